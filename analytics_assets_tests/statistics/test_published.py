"""Real experiments with published results, read in place: what others found in them is what is found here."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analytics_assets.statistics.adjustment import cuped, cuped_ratios
from analytics_assets.statistics.effects import difference, lift
from analytics_assets.statistics.logistic import logistic
from analytics_assets.statistics.means import clustered_means, means, ratios
from analytics_assets.statistics.moments import Moments
from analytics_assets.statistics.proportions import pooled_z
from analytics_assets.statistics.srm import binomial_sample_ratio, sample_ratio

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("ANALYTICS_SHARED", ROOT.parent / "shared")) / "data"

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.skipif(not DATA.is_dir(), reason=f"no data in {DATA}: set ANALYTICS_SHARED"),
]


def counts(outcome: pd.Series, treated: pd.Series) -> tuple[int, int, int, int]:
    control, treatment = outcome[~treated], outcome[treated]
    return int(control.sum()), len(control), int(treatment.sum()), len(treatment)


def test_cookie_cats_kept_fewer_players_after_a_week():
    players = pd.read_csv(DATA / "cookie_cats/cookie_cats.csv")
    later = players.version == "gate_40"
    day_1, day_7 = (pooled_z(*counts(players[f"retention_{day}"], later)) for day in (1, 7))
    assert (day_1.control, day_1.treatment) == (pytest.approx(0.448188, abs=5e-7), pytest.approx(0.442283, abs=5e-7))
    assert (day_7.control, day_7.treatment) == (pytest.approx(0.190201, abs=5e-7), pytest.approx(0.182, abs=5e-7))
    assert day_1.p_value == pytest.approx(0.0744, abs=5e-5)
    assert day_7.p_value == pytest.approx(0.0016, abs=5e-5)
    ratio = sample_ratio([44_700, 45_489], [0.5, 0.5])
    assert (~later).sum() == 44_700
    assert ratio.p_value == pytest.approx(0.0086, abs=5e-5)
    assert ratio.verdict == "warning"


def test_udacitys_page_sold_no_better():
    visits = pd.read_csv(DATA / "udacity_ab_page/ab_data.csv.gz")
    contaminated = (visits.group == "treatment") != (visits.landing_page == "new_page")
    assert contaminated.sum() == 3893
    users = visits[~contaminated].drop_duplicates("user_id")
    found = pooled_z(*counts(users.converted, users.group == "treatment"))
    assert found.control == pytest.approx(0.1203863045004612, rel=1e-12)
    assert found.treatment == pytest.approx(0.11880806551510564, rel=1e-12)
    assert found.statistic == pytest.approx(-1.3109241984234394, rel=1e-9)
    assert found.p_value == pytest.approx(0.18988337448195103, rel=1e-9)
    better = pooled_z(*counts(users.converted, users.group == "treatment"), alternative="greater")
    assert better.p_value == pytest.approx(0.9050583127590245, rel=1e-9)


def test_udacitys_odds_do_not_differ_by_page_or_country():
    """The same by regression, of grouped counts: p 0.190 for the page alone."""
    visits = pd.read_csv(DATA / "udacity_ab_page/ab_data.csv.gz")
    users = visits[(visits.group == "treatment") == (visits.landing_page == "new_page")].drop_duplicates("user_id")
    joined = users.merge(pd.read_csv(DATA / "udacity_ab_page/countries.csv.gz"), on="user_id")
    cells = joined.assign(page=(joined.group == "treatment") * 1).groupby(["page", "country"]).converted
    table = cells.agg(["sum", "count"]).reset_index()
    page = {"page": table.page}
    alone = logistic(table["sum"], page, trials=table["count"])["page"]
    assert alone.odds_ratio == pytest.approx(np.exp(-0.0150), abs=1e-4)
    assert alone.p_value == pytest.approx(0.190, abs=5e-4)
    countries = {country: table.country == country for country in ("UK", "CA")}
    full = logistic(table["sum"], {**page, **countries}, trials=table["count"])
    assert full["page"].p_value == pytest.approx(0.191, abs=5e-4)
    assert min(term.p_value for term in full.terms[1:]) > 0.05


def arms(users: pd.DataFrame, *columns: str) -> list[Moments]:
    return [Moments.of(*(users.loc[users.variant == arm, name] for name in columns)) for arm in (0, 1)]


def test_tea_tastings_users():
    users = pd.read_csv(DATA / "tea_tasting_users/users_rng42.csv")
    found = {
        "sessions per user": means(*arms(users, "sessions")),
        "orders per session": ratios(*arms(users, "orders", "sessions")),
        "orders per user": means(*arms(users, "orders")),
        "revenue per user": means(*arms(users, "revenue")),
    }
    p_values = [difference(two).p_value for two in found.values()]
    assert p_values == [pytest.approx(p, abs=5e-7) for p in (0.674021, 0.076238, 0.117732, 0.12307)]
    lifts = [lift(two).estimate for two in found.values()]
    assert lifts == [pytest.approx(value, abs=5e-7) for value in (-0.006635, 0.087703, 0.080487, 0.093318)]
    assert binomial_sample_ratio(2023, 1977).p_value == pytest.approx(0.477, abs=5e-4)


def test_tea_tastings_users_adjusted_for_their_past():
    users = pd.read_csv(DATA / "tea_tasting_users/users_rng42_covariates.csv")
    found = [
        cuped(*arms(users, "sessions", "sessions_covariate")),
        cuped_ratios(*arms(users, "orders", "sessions", "orders_covariate", "sessions_covariate")),
        cuped(*arms(users, "orders", "orders_covariate")),
        cuped(*arms(users, "revenue", "revenue_covariate")),
    ]
    p_values = [difference(two).p_value for two in found]
    assert p_values == [
        pytest.approx(0.603, abs=5e-4), pytest.approx(0.00229, abs=5e-6),
        pytest.approx(0.00733, abs=5e-6), pytest.approx(0.00674, abs=5e-6),
    ]  # fmt: skip


def test_fast_food_weeks_are_not_stores():
    """Rows are weeks of stores: the published t takes them for stores; the clustered one does not."""
    weeks = pd.read_csv(DATA / "fast_food_campaign/WA_Marketing-Campaign.csv")
    sales = {promotion: rows.SalesInThousands for promotion, rows in weeks.groupby("Promotion")}
    assert [sales[promotion].mean() for promotion in (1, 2, 3)] == [
        pytest.approx(value, abs=5e-7) for value in (58.099012, 47.329415, 55.364468)
    ]
    naive = difference(means(Moments.of(sales[2]), Moments.of(sales[1])))
    assert naive.statistic == pytest.approx(6.427529, abs=5e-7)
    assert naive.p_value == pytest.approx(4.29e-10, rel=2e-3)
    third = difference(means(Moments.of(sales[3]), Moments.of(sales[1])))
    assert third.statistic == pytest.approx(1.556, abs=5e-4)
    assert third.p_value == pytest.approx(0.120591, abs=5e-7)
    two = weeks[weeks.Promotion.isin([1, 2])]
    clustered = difference(clustered_means(two.SalesInThousands, two.Promotion == 1, two.LocationID))
    assert clustered.estimate == pytest.approx(naive.estimate)
    assert clustered.std_error > 1.8 * naive.std_error
    # of a mean of each store, which has four weeks of each, the answer is the same
    stores = two.groupby(["Promotion", "LocationID"]).SalesInThousands.mean()
    of_stores = difference(means(Moments.of(stores[2]), Moments.of(stores[1])))
    assert clustered.std_error == pytest.approx(of_stores.std_error, rel=0.01)
