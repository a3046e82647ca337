"""Pretended experiments on events made by hand: baselines, traffic, A/A tests, and what a plan can see by them."""

from __future__ import annotations

import datetime as dt
import random
from hashlib import md5
from typing import Any

import pytest

from analytics_assets.analysis import moments
from analytics_assets.assets.baselines import (
    baseline_tables,
    experiment_aa,
    experiment_baselines,
    experiment_reach,
    known_of,
    outlook,
)
from analytics_assets.assets.catalog import Setting, asked
from analytics_assets.contracts import baselines as promised
from analytics_assets.contracts.audit import audit_expression, read_audit
from analytics_assets.contracts.star import FACT_EVENTS
from analytics_assets.lake.days import Days
from analytics_assets.project.experiments import Plan
from analytics_assets_tests.answers import conforming, event, inquiring
from analytics_assets_tests.making import at, day, table

METRICS = {
    "buyers": {"kind": "unique_users", "fact": "fact_events", "where": {"event_type": "buy"}},
    "bought": {"kind": "count", "fact": "fact_events", "where": {"event_type": "buy"}},
    "amount_a_buy": {
        "kind": "mean", "fact": "fact_events", "value": "amount", "where": {"event_type": "buy"},
    },
    "median": {
        "kind": "quantile", "quantile": 0.5, "fact": "fact_events", "value": "amount", "where": {"event_type": "buy"},
    },
}  # fmt: skip
PLAN: dict[str, Any] = {
    "hypothesis": "more buy",
    "variants": {"control": 0.5, "treatment": 0.5},
    "exposure": {"event": "view"},
    # it has not begun
    "starts": dt.date(2024, 5, 1),
    "ends": dt.date(2024, 5, 28),
    "primary": {"metric": "buyers", "window_days": 2, "minimum_effect": 0.1},
    "covariate_days": 3,
}
LAST = day(20)


def setting(engine, *, last: dt.date = LAST, zone: str = "UTC", **plans: Any) -> Setting:
    told = {name: Plan.model_validate({**PLAN, **changes}) for name, changes in (plans or {"x": {}}).items()}
    metrics = {"metrics": {name: {**kind, "direction": "up"} for name, kind in METRICS.items()}}
    within = inquiring(metrics, time_zone=zone).model_copy(update={"experiments": told})
    days = Days(day(1), last)
    return Setting(within, days, days, engine.rows)


def happenings(seed: int = 1, users: int = 60, last: int = 20) -> list[dict[str, Any]]:
    rng = random.Random(seed)
    rows = []
    for place in range(users):
        for _ in range(rng.randint(1, 8)):
            kind = rng.choice(("view", "view", "buy", "other"))
            when = f"{rng.randint(1, last):02} {rng.randint(0, 23):02}:{rng.randint(0, 59):02}"
            rows.append(event(f"user {place}", kind, when, amount=float(rng.randint(1, 50))))
    rows.append(event(None, "view", "05 10:00"))
    rows.append(event("robot", "view", "05 10:00", excluded_as="bot"))
    return rows


def baselines(engine, told: Setting, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return conforming(engine, experiment_baselines(told, table(FACT_EVENTS, *rows)), promised.EXPERIMENT_BASELINES)


def aa(engine, told: Setting, rows: list[dict[str, Any]], *, warn: bool = False) -> list[dict[str, Any]]:
    found = table(promised.EXPERIMENT_BASELINES, *baselines(engine, told, rows))
    computed = experiment_aa(told, found)
    if warn:
        contract = promised.EXPERIMENT_AA
        judged = read_audit(engine.rows(audit_expression(computed, contract, {})), contract, {})
        broken = [finding for finding in judged.findings if not finding.holds]
        assert [(finding.severity, finding.check) for finding in broken] == [("warning", "values")]
        return engine.rows(computed)
    return conforming(engine, computed, promised.EXPERIMENT_AA)


def naive(rows: list[dict[str, Any]], *, window: int, covariate_days: int, last: int = 20) -> dict[str, tuple]:
    """Value and covariate of each exposed user, of the number of buys, by loops."""
    end = at(f"{last - window:02} 23:59") + dt.timedelta(minutes=1)
    start = at("01 00:00")
    counting = [row for row in rows if row["user_id"] and not row.get("excluded_as")]
    found = {}
    for user in {row["user_id"] for row in counting}:
        own = [row for row in counting if row["user_id"] == user]
        views = [row["occurred_at"] for row in own if row["event_type"] == "view" and start <= row["occurred_at"] < end]
        if not views:
            continue
        first = min(views)
        buys = [row["occurred_at"] for row in own if row["event_type"] == "buy"]
        after = sum(first <= when < first + dt.timedelta(days=window) for when in buys)
        before = sum(first - dt.timedelta(days=covariate_days) <= when < first for when in buys)
        found[user] = (after, before)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_baselines_are_sums_of_what_users_would_have_done(engine, seed: int):
    rows = happenings(seed)
    told = setting(engine, x={"secondary": [{"metric": "bought", "window_days": 5}]})
    found = [row for row in baselines(engine, told, rows) if row["metric"] == "bought"]
    users = naive(rows, window=5, covariate_days=3)
    assert {row["bucket"] for row in found} == {md5(user.encode()).hexdigest()[:3] for user in users}
    assert sum(row["n"] for row in found) == len(users)
    n, shift = len(users), found[0]["shift_value"]
    assert sum(row["sum_value"] for row in found) + n * shift == pytest.approx(sum(now for now, _ in users.values()))
    before = sum(row["sum_pre_value"] for row in found) + n * found[0]["shift_pre_value"]
    assert before == pytest.approx(sum(earlier for _, earlier in users.values()))
    products = sum((now - shift) * (past - found[0]["shift_pre_value"]) for now, past in users.values())
    assert sum(row["product_value_pre_value"] for row in found) == pytest.approx(products)


def test_every_plan_finds_its_own_and_plans_alike_have_the_same(engine):
    rows = happenings()
    told = setting(
        engine,
        x={},
        again={"starts": dt.date(2024, 6, 1), "ends": dt.date(2024, 6, 2)},
        buys={"exposure": {"event": "buy"}},
        bare={"covariate_days": 0},
    )
    found = baselines(engine, told, rows)
    of = {
        name: [{**row, "experiment": ""} for row in found if row["experiment"] == name]
        for name in ("x", "again", "buys", "bare")
    }
    assert of["x"] == of["again"]
    assert [row["n"] for row in of["bare"]] == [row["n"] for row in of["x"]]
    assert {row["shift_pre_value"] for row in of["bare"]} == {0.0}
    assert sum(row["n"] for row in of["buys"]) != sum(row["n"] for row in of["x"])


@pytest.mark.slow
def test_rows_in_any_order_give_the_same_sums_and_tests(engine):
    rows = happenings()
    mixed = random.Random(5).sample(rows, len(rows))
    told = setting(engine)
    sums = baselines(engine, told, rows)
    assert sums == baselines(engine, told, mixed)
    one = table(promised.EXPERIMENT_BASELINES, *sums)
    other = table(promised.EXPERIMENT_BASELINES, *reversed(sums))
    assert engine.rows(experiment_aa(told, one)) == engine.rows(experiment_aa(told, other))


def test_reach_counts_each_user_once_and_every_day(engine):
    rows = happenings()
    found = conforming(engine, experiment_reach(setting(engine), table(FACT_EVENTS, *rows)), promised.EXPERIMENT_REACH)
    assert [row["day"] for row in found] == [day(n) for n in range(1, 21)]
    firsts: dict[str, dt.date] = {}
    for row in sorted(rows, key=lambda row: row["occurred_at"]):
        if row["event_type"] == "view" and row["user_id"] and not row.get("excluded_as"):
            firsts.setdefault(row["user_id"], row["day"])
    assert [row["users"] for row in found] == [list(firsts.values()).count(day(n)) for n in range(1, 21)]


@pytest.mark.slow
def test_aa_tests_every_metric_plain_and_adjusted(engine):
    told = setting(
        engine,
        x={
            "secondary": [{"metric": "amount_a_buy", "window_days": 2}, {"metric": "median", "window_days": 2}],
            "guardrails": [{"metric": "bought", "window_days": 2, "margin": 1}],
        },
    )
    found = aa(engine, told, happenings(5, users=400))
    assert sorted((row["metric"], row["role"], row["estimator"]) for row in found) == [
        ("amount_a_buy", "secondary", "adjusted"),
        ("amount_a_buy", "secondary", "plain"),
        ("bought", "guardrail", "adjusted"),
        ("bought", "guardrail", "plain"),
        ("buyers", "primary", "adjusted"),
        ("buyers", "primary", "plain"),
    ]
    for row in found:
        assert (row["draws"], row["state"], row["reason"]) == (500, "fine", None)
        assert (row["first_day"], row["last_day"]) == (day(1), day(18))
        assert row["rate"] == row["alarms"] / 500
        assert (row["low"], row["high"]) == (0.022, 0.084)


@pytest.mark.slow
def test_a_ratio_of_few_raises_too_many_alarms_and_is_flagged(engine):
    ratio = {"metric": "amount_a_buy", "window_days": 2, "minimum_effect": 1}
    found = aa(engine, setting(engine, x={"primary": ratio}), happenings(4, users=400), warn=True)
    assert {(row["state"], row["reason"]) for row in found} == {
        ("flagged", "too often a difference where there is none")
    }
    assert all(row["rate"] > row["high"] for row in found)


@pytest.mark.slow
def test_an_experiment_without_covariates_is_tested_plainly(engine):
    found = aa(engine, setting(engine, x={"covariate_days": 0}), happenings(4, users=400))
    assert [(row["metric"], row["estimator"], row["state"]) for row in found] == [("buyers", "plain", "fine")]


@pytest.mark.slow
def test_nobody_exposed_leaves_nothing_to_test(engine):
    told = setting(engine, x={"exposure": {"event": "never"}})
    assert baselines(engine, told, happenings()) == []
    found = aa(engine, told, happenings(), warn=True)
    assert {(row["state"], row["reason"], row["users"]) for row in found} == {
        ("untested", "nobody met the exposing event", 0)
    }
    rows = engine.rows(experiment_reach(told, table(FACT_EVENTS, *happenings())))
    assert {row["users"] for row in rows} == {0}


@pytest.mark.slow
def test_no_event_at_all_is_fine(engine):
    assert baselines(engine, setting(engine), []) == []
    assert {row["state"] for row in aa(engine, setting(engine), [], warn=True)} == {"untested"}


@pytest.mark.slow
def test_a_metric_without_variance_is_not_tested(engine):
    rows = [row for row in happenings() if row["event_type"] != "buy"]
    found = aa(engine, setting(engine), rows, warn=True)
    assert {(row["state"], row["reason"], row["rate"]) for row in found} == {
        ("untested", "the outcomes do not vary", None)
    }
    of_ratio = setting(engine, x={"primary": {"metric": "amount_a_buy", "window_days": 2, "minimum_effect": 1}})
    assert {row["reason"] for row in aa(engine, of_ratio, rows, warn=True)} == {"the denominator of a ratio is zero"}


@pytest.mark.slow
def test_fewer_days_than_the_window_leave_nothing_to_test(engine):
    told = setting(engine, last=day(2), x={"secondary": [{"metric": "bought", "window_days": 1}]})
    rows = happenings(users=400, last=2)
    found = aa(engine, told, rows, warn=True)
    short = [row for row in found if row["metric"] == "buyers"]
    assert {(row["state"], row["reason"], row["first_day"]) for row in short} == {
        ("untested", "no window is over yet", None)
    }
    assert {row["first_day"] for row in found if row["metric"] == "bought"} == {day(1)}
    whole = setting(engine, last=day(2), x={})
    assert baselines(engine, whole, rows) == []


@pytest.mark.slow
def test_a_delay_counts_as_the_window_does(engine):
    told = setting(engine, x={"primary": {**PLAN["primary"], "delay_days": 3}})
    assert {row["last_day"] for row in aa(engine, told, happenings(4, users=400))} == {day(15)}


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Australia/Lord_Howe"])
def test_windows_end_with_the_last_day_wherever_the_shop_is(engine, zone: str):
    # in New York clocks go forward on 10 March; the hour it takes is at most that of one day's end
    found = baselines(engine, setting(engine, zone=zone), happenings())
    assert 0 < sum(row["n"] for row in found) <= len(naive(happenings(), window=2, covariate_days=3))


# --- planning ---------------------------------------------------------------------------------------------------------


def planned(engine, told: Setting, rows: list[dict[str, Any]], name: str = "x", weeks: int | None = None):
    events = table(FACT_EVENTS, *rows)
    sums, days = known_of(
        name,
        table(promised.EXPERIMENT_BASELINES, *engine.rows(experiment_baselines(told, events))),
        table(promised.EXPERIMENT_REACH, *engine.rows(experiment_reach(told, events))),
    )
    return outlook(name, told.project, engine.rows(sums), engine.rows(days), weeks)


@pytest.mark.slow
def test_a_plan_that_has_not_begun_is_planned_by_what_users_did(engine):
    rows = happenings(7, users=300)
    told = setting(engine, x={"secondary": [{"metric": "median", "window_days": 2}]}, other={"covariate_days": 0})
    found = planned(engine, told, rows)
    ((ask, primary), (_, ranked)) = found.prospects
    users = naive(rows, window=2, covariate_days=3)
    bought = [now > 0 for now, _ in users.values()]
    assert ask.measured.called == "buyers over 2 days"
    assert ranked is None
    assert primary.baseline.units == len(users)
    assert primary.baseline.mean == pytest.approx(sum(bought) / len(users))
    assert (found.last, found.weeks, len(primary.weeks)) == (LAST, 4, 4)
    assert found.weeks == len(planned(engine, told, rows, weeks=4).prospects[0][1].weeks)
    assert primary.weeks[0].users == found.reach.after(7)
    assert len(planned(engine, told, rows, weeks=9).prospects[0][1].weeks) == 9
    assert planned(engine, told, rows, "other").prospects[0][1].baseline.correlation == 0


def test_what_is_not_known_is_not_planned(engine):
    none = planned(engine, setting(engine, x={"exposure": {"event": "never"}}), happenings())
    assert none.prospects[0][1].baseline.reason is not None
    assert none.prospects[0][1].weeks == ()
    assert outlook("x", setting(engine).project, [], []).last is None


# --- the graph --------------------------------------------------------------------------------------------------------


def test_a_project_has_the_tables_that_its_plans_can_feed(engine):
    names = ["experiment_reach", "experiment_baselines", "experiment_aa"]
    told = setting(engine)
    assert [asset.name for asset in baseline_tables(told.project)] == names
    assert {*names} <= {asset.name for asset in asked(told.project)}
    assert all(asset.group == "experiments" and asset.function.__doc__ for asset in baseline_tables(told.project))
    ranked = setting(engine, x={"primary": {"metric": "median", "window_days": 2, "minimum_effect": 1}})
    assert [asset.name for asset in baseline_tables(ranked.project)] == names[:1]
    assert list(baseline_tables(inquiring({}))) == []


def test_baselines_add_up_as_moments_do(engine):
    rows = baselines(engine, setting(engine), happenings())
    table_of = table(promised.EXPERIMENT_BASELINES, *rows)
    by = ["experiment", "metric", "window_days", "delay_days"]
    (whole,) = engine.rows(moments.summed(table_of, by, ("value", "pre_value")))
    assert whole["n"] == sum(row["n"] for row in rows)


@pytest.mark.slow
def test_a_bucket_of_users_who_are_not_finite_changes_no_test(engine):
    told = setting(engine)
    rows = baselines(engine, told, happenings(4, users=400))
    empty = next(f"{n:03x}" for n in range(4096) if f"{n:03x}" not in {row["bucket"] for row in rows})
    sums = {name: None for name in rows[0] if name.startswith(("sum_", "product_"))}
    lost = {**rows[0], **sums, "bucket": empty, "n": 0, "not_finite": 1}
    before, after = (
        engine.rows(experiment_aa(told, table(promised.EXPERIMENT_BASELINES, *given)))
        for given in (rows, [*rows, lost])
    )
    assert before == after
