"""The real examples: the whole road on data that nobody here made, against figures that others published."""

from __future__ import annotations

import datetime as dt
import functools
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
import ibis
import pandas as pd
import pytest

from analytics_assets.assets.catalog import resolve
from analytics_assets.automation.running import RunOutcome, run
from analytics_assets.automation.runtime import open_lake
from analytics_assets.lake.days import Days
from analytics_assets.lake.releases import latest_release
from analytics_assets.project.loading import load_project
from analytics_assets.project.model import Project
from analytics_assets.settings import Settings
from analytics_assets_tests.conftest import STAR, UNDRAWN

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"
SHARED = Path(os.environ.get("ANALYTICS_SHARED", ROOT.parent / "shared"))
BUSIEST = dt.date(2017, 3, 29)
"""Of Vanguard's test: more than half of its events."""

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.skipif(not (SHARED / "data").is_dir(), reason=f"no data in {SHARED}: set ANALYTICS_SHARED"),
]


@dataclass
class Example:
    """One example project and its lake."""

    project: Project
    settings: Settings
    instance: dg.DagsterInstance

    def run(self, days: Days, select: str | None = None) -> RunOutcome:
        outcome, *more = run(self.project, self.settings, days, select=select, instance=self.instance)
        assert outcome.success, outcome.failures
        assert not more
        return outcome

    def run_each(self, ranges: Iterable[Days]) -> None:
        """Run ranges of days one after the other, marts with the last alone: every run makes them of all days anew."""
        *before, last = ranges
        for days in before:
            self.run(days, STAR)
        self.run(last, UNDRAWN)

    def ask(self, table: str, **measures: Any) -> dict[str, Any]:
        """Compute measures over a table of the newest release."""
        with open_lake(self.settings, self.project.name) as lake:
            rows = lake.read(resolve(self.project).contracts()[table], version=latest_release(lake).versions[table])
            (answer,) = lake.engine.rows(rows.aggregate(**measures))
        return answer

    def rows(self, table: str) -> list[dict[str, Any]]:
        """Read a small table of the newest release."""
        with open_lake(self.settings, self.project.name) as lake:
            return lake.engine.rows(
                lake.read(resolve(self.project).contracts()[table], version=latest_release(lake).versions[table])
            )

    def fingerprints(self) -> dict[str, str]:
        contracts = resolve(self.project).contracts()
        with open_lake(self.settings, self.project.name) as lake:
            versions = latest_release(lake).versions
            return {name: lake.fingerprint(contracts[name], version) for name, version in versions.items()}


def example(name: str, folder: Path, instance: dg.DagsterInstance, **changes: object) -> Example:
    project = load_project(EXAMPLES / name, {"ANALYTICS_SHARED": str(SHARED)}).model_copy(update=changes)
    return Example(project, Settings(lake=str(folder), exports=folder / "exports", memory="1GB"), instance)


def whole(project: Project) -> Days:
    assert project.last_day is not None
    return Days(project.first_day, project.last_day)


@dataclass
class Ran:
    """An example after a run of all its days."""

    example: Example
    outcome: RunOutcome

    def rejected(self, table: str) -> Mapping[str, int]:
        return next(report.rejected for report in self.outcome.reports if report.table == f"staged_{table}")

    def rows(self, table: str) -> int:
        return next(report.rows for report in self.outcome.reports if report.table == table)


@pytest.fixture(scope="module")
def online_retail(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    with dg.DagsterInstance.ephemeral() as instance:
        made = example("online_retail", tmp_path_factory.mktemp("online_retail"), instance)
        yield Ran(made, made.run(whole(made.project)))


@pytest.fixture(scope="module")
def vanguard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    with dg.DagsterInstance.ephemeral() as instance:
        made = example("vanguard", tmp_path_factory.mktemp("vanguard"), instance)
        yield Ran(made, made.run(whole(made.project)))


@pytest.fixture(scope="module")
def facebook_ads(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    with dg.DagsterInstance.ephemeral() as instance:
        made = example("facebook_ads", tmp_path_factory.mktemp("facebook_ads"), instance)
        yield Ran(made, made.run(whole(made.project)))


def test_online_retail_accounts_for_every_line(online_retail: Ran) -> None:
    assert online_retail.rows("raw_order_lines") + online_retail.rows("raw_returns") == 541_909
    assert online_retail.rows("fact_sales") == 530_104
    assert online_retail.rows("fact_returns") == 9_288
    assert online_retail.rejected("order_lines") == {"negative_quantity": 1336, "zero_price": 1179, "negative_price": 2}
    assert not online_retail.rejected("returns")


def test_online_retail_sales_are_exact(online_retail: Ran) -> None:
    sales = online_retail.example.ask("fact_sales", net=ibis._.net.sum(), gross=ibis._.gross.sum())
    assert sales == {"net": Decimal("10666684.5440"), "gross": Decimal("10666684.5440")}


def test_online_retail_customers_are_the_published_ones(online_retail: Ran) -> None:
    known = ibis._.user_id.notnull()
    sales = online_retail.example.ask(
        "fact_sales", lines=known.sum(), users=ibis._.user_id.nunique(), net=ibis._.net.sum(where=known)
    )
    assert sales == {"lines": 397_884, "users": 4_338, "net": Decimal("8911407.9040")}
    days = online_retail.example.ask("fact_user_days", users=ibis._.user_id.nunique(), revenue=ibis._.revenue.sum())
    assert days == {"users": 4_338, "revenue": Decimal("8911407.9040")}


def test_online_retail_ids_are_as_people_write_them(online_retail: Ran) -> None:
    as_float = ibis._.user_id.contains(".").sum()
    assert online_retail.example.ask("dim_users", n=as_float, users=ibis._.count()) == {"n": 0, "users": 4_372 + 1}


def test_online_retail_has_4070_stock_codes_and_38_countries(online_retail: Ran) -> None:
    products = online_retail.example.ask("dim_products", n=(ibis._.product_id != "(unknown)").sum())
    countries = online_retail.example.ask("dim_geography", n=ibis._.country.nunique())
    assert (products["n"], countries["n"]) == (4_070, 37)  # the 38th country has no line with a customer


def test_online_retail_churn_is_told_as_well_by_a_logistic_regression_and_nearly_by_orders_alone(
    online_retail: Ran,
) -> None:
    """There are no visits, and Christmas follows the cut: the list of measures says what that means."""

    def value(model: str, metric: str, column: str = "value") -> Any:
        told = ibis._[column].max(where=(ibis._.model == model) & (ibis._.metric == metric))
        return online_retail.example.ask("customer_churn_performance", told=told)["told"]

    areas = {model: value(model, "auc") for model in ("boosting", "logistic", "bg_nbd")}
    assert 0.72 < areas["bg_nbd"] < areas["boosting"] < 0.78
    assert abs(areas["boosting"] - areas["logistic"]) < 0.01
    assert value("boosting", "auc", "test_cut") == dt.date(2011, 10, 10)
    assert value("boosting", "auc", "customers") == 3_741
    assert 0.03 < value("boosting", "bias") < 0.1
    assert value("boosting", "calibration_error", "verdict") == "off"


@functools.cache
def purchases() -> pd.DataFrame:
    """Read the lines that count of the Online Retail file, on a road of their own: customer, invoice, day, net."""
    told = pd.read_parquet(SHARED / "data/online_retail/online_retail.parquet")
    credit = told.InvoiceNo.astype(str).str.startswith("C")
    lines = told[(told.Quantity > 0) & (told.UnitPrice > 0) & told.CustomerID.notna() & ~credit]
    net = [
        Decimal(int(quantity)) * Decimal(str(price))
        for quantity, price in zip(lines.Quantity, lines.UnitPrice, strict=True)
    ]
    return pd.DataFrame(
        {
            "user": lines.CustomerID.astype(float).astype(int).astype(str),
            "order": lines.InvoiceNo.astype(str),
            "day": pd.to_datetime(lines.InvoiceDate).dt.normalize(),
            "net": net,
        }
    )


def test_online_retail_has_4338_customers_in_segments_and_their_net_to_the_last_digit(online_retail: Ran) -> None:
    net = Decimal("8911407.9040")
    each = online_retail.example.rows("rfm_customer_segments")
    assert (len(each), sum(row["monetary"] for row in each)) == (4_338, net)
    segments = online_retail.example.rows("rfm_segments")
    assert (sum(row["customers"] for row in segments), sum(row["revenue"] for row in segments)) == (4_338, net)
    assert sum(row["orders"] for row in segments) == 18_532
    held = {row["name"]: row for row in online_retail.example.rows("reconciliation")}
    assert held["net of rfm_segments"]["found"] == held["net of rfm_segments"]["expected"] == net


def test_online_retail_scores_are_those_of_pandas(online_retail: Ran) -> None:
    lines = purchases()
    told = lines.groupby("user").agg(orders=("order", "nunique"), net=("net", "sum"), last=("day", "max"))
    recency = (pd.Timestamp("2011-12-09") - told["last"]).dt.days
    fifth = {
        name: (values.rank(method="min").astype(int) - 1) * 5 // len(told)
        for name, values in {"r": recency, "f": told.orders, "m": told.net.astype(float)}.items()
    }
    expected = {
        user: (recency[user], told.orders[user], told.net[user],
               f"{5 - fifth['r'][user]}{1 + fifth['f'][user]}{1 + fifth['m'][user]}")
        for user in told.index
    }  # fmt: skip
    found = {
        row["user_id"]: (row["recency_days"], row["frequency"], row["monetary"], row["rfm"])
        for row in online_retail.example.rows("rfm_customer_segments")
    }
    assert found == expected


@pytest.mark.parametrize(("interval", "code"), [("month", "M"), ("week", "W-SUN")])
def test_online_retail_cohorts_are_those_of_pandas(online_retail: Ran, interval: str, code: str) -> None:
    lines = purchases().copy()
    lines["at"] = lines.day.dt.to_period(code)
    lines["cohort"] = lines.groupby("user")["at"].transform("min")
    lines["period"] = [at.ordinal - cohort.ordinal for at, cohort in zip(lines["at"], lines.cohort, strict=True)]
    sizes = lines.groupby("cohort").user.nunique()
    cells = lines.groupby(["cohort", "period"]).agg(active=("user", "nunique"), net=("net", "sum"))
    last = pd.Period("2011-12-09", code)
    found = {
        (row["cohort"], row["period"]): row
        for row in online_retail.example.rows("order_cohorts")
        if row["interval"] == interval
    }
    pooled: dict[int, list[Any]] = {}
    for cohort, size in sizes.items():
        brought = Decimal(0)
        for period in range(min(last.ordinal - cohort.ordinal, 52) + 1):
            there = (cohort, period) in cells.index
            active, net = cells.loc[(cohort, period)] if there else (0, Decimal(0))
            brought += net
            row = found.pop((cohort.start_time.date(), period))
            assert (row["customers"], row["active"], row["net"]) == (size, active, net)
            assert row["cumulative_net"] == brought
            assert row["complete"] == ((cohort + period).end_time < pd.Timestamp("2011-12-10"))
            if row["complete"]:
                pooled.setdefault(period, []).append((size, active, brought))
    assert not found
    curve = {
        row["period"]: row for row in online_retail.example.rows("order_cohort_curve") if row["interval"] == interval
    }
    assert curve.keys() == pooled.keys()
    for period, counted in pooled.items():
        size, active, brought = (sum(values) for values in zip(*counted, strict=True))
        row = curve[period]
        assert (row["cohorts"], row["customers"], row["active"]) == (len(counted), size, active)
        assert row["retention"] == pytest.approx(active / size, rel=1e-12)
        assert row["cumulative_net_per_customer"] == pytest.approx(float(brought / int(size)), rel=1e-12)


def test_online_retail_december_cohort_is_the_published_one(online_retail: Ran) -> None:
    cells = {
        row["period"]: row
        for row in online_retail.example.rows("order_cohorts")
        if (row["interval"], row["cohort"]) == ("month", dt.date(2010, 12, 1))
    }
    assert (cells[0]["customers"], cells[1]["active"]) == (885, 324)
    assert round(cells[1]["retention"], 3) == 0.366
    assert [cells[period]["complete"] for period in (11, 12)] == [True, False]


def test_vanguard_counts_are_the_known_ones(vanguard: Ran) -> None:
    assert vanguard.rows("raw_events") == 83_036
    assert vanguard.rejected("events") == {"duplicate": 153}
    assert vanguard.example.ask("fact_events", users=ibis._.user_id.nunique()) == {"users": 15_566}
    assert vanguard.rows("fact_user_days") == 16_530
    assert vanguard.rows("fact_sessions") == 17_002
    types = {
        f"n_{step}": (ibis._.event_type == step).sum() for step in ("start", "step_1", "step_2", "step_3", "confirm")
    }
    assert list(vanguard.example.ask("fact_events", **types).values()) == [24442, 18038, 15571, 13496, 11336]


def test_vanguard_busiest_day_has_45713_events(vanguard: Ran) -> None:
    busiest = ibis._.day == BUSIEST
    events = vanguard.example.ask("fact_events", n=busiest.sum())
    by_type = vanguard.example.ask("fact_user_day_events", n=ibis._.events.sum(where=busiest))
    assert (events["n"], by_type["n"]) == (45_713, 45_713)


def test_vanguard_clients_marked_na_have_no_variant(vanguard: Ran) -> None:
    counted = vanguard.example.ask(
        "fact_assignments",
        test=(ibis._.variant == "Test").sum(),
        control=(ibis._.variant == "Control").sum(),
        none=ibis._.variant.isnull().sum(),
    )
    assert counted == {"test": 26_968, "control": 23_532, "none": 20_109}


def test_vanguard_clients_that_no_roster_knows_keep_their_id_and_are_counted(vanguard: Ran) -> None:
    events = next(report for report in vanguard.outcome.reports if report.table == "fact_events")
    (finding,) = [finding for finding in events.findings if not finding.holds]
    assert (finding.rule, finding.severity, finding.distinct) == ("user_id is in dim_users", "warning", 762)


def test_vanguard_is_invalid_by_its_sample_ratio_against_equal_shares(vanguard: Ran) -> None:
    (found,) = vanguard.example.rows("experiment_verdicts")
    assert (found["verdict"], found["plan"]) == ("invalid", "retrospective")
    assert found["because"].startswith("the shares of assigned users are not those of the plan")
    (told,) = vanguard.example.rows("verdict_form_redesign")
    assert told["verdict"] == "invalid"


def test_vanguard_confirmations_of_the_exposed_are_the_known_ones_as_observed(vanguard: Ran) -> None:
    rows = vanguard.example.rows("experiment_results")
    (found,) = [row for row in rows if row["maturity"] == "observed" and not row["dimension"]]
    assert (found["n_control"], found["n"]) == (4_725, 5_728)
    confirmed = [found["control"] * found["n_control"], found["treatment"] * found["n"]]
    assert confirmed == pytest.approx([2_941, 3_873], rel=1e-9)
    (matured,) = [row for row in rows if row["maturity"] == "matured" and not row["dimension"]]
    assert matured["n"] < found["n"]


def test_facebook_ads_cost_what_the_files_say(facebook_ads: Ran) -> None:
    assert not facebook_ads.rejected("campaign_spend")
    assert facebook_ads.rows("fact_campaign_spend") == 1_143
    everything = ibis._.dimension == ""
    told = ("spend", "impressions", "clicks", "conversions", "cpc", "cost_per_conversion", "ctr")
    found = facebook_ads.example.ask("campaign_performance", **{n: ibis._[n].max(where=everything) for n in told})
    assert (found["spend"], found["impressions"], found["clicks"]) == (Decimal("58705.2300"), 213_434_828, 38_165)
    assert (found["conversions"], round(found["cost_per_conversion"], 6)) == (1_079, 54.407071)
    assert round(found["cpc"], 6) == 1.538195
    assert found["ctr"] == pytest.approx(38_165 / 213_434_828)


def test_facebook_ads_have_the_known_conversions_by_campaign(facebook_ads: Ran) -> None:
    by = {f"c{name}": ibis._.conversions.sum(where=ibis._.value == name) for name in ("916", "936", "1178")}
    assert facebook_ads.example.ask("campaign_performance", **by) == {"c916": 24, "c936": 183, "c1178": 872}
    never = facebook_ads.example.ask("campaign_performance", n=(ibis._.clicks == 0).sum(), cpc=ibis._.cpc.isinf().any())
    assert never == {"n": 207, "cpc": False}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("funnel", "counts"),
    [
        ("form", [15_364, 13_140, 12_030, 11_154, 9_566]),
        ("form_visits", [16_518, 13_639, 12_112, 11_051, 9_324]),
    ],
)
def test_vanguard_funnels_are_the_known_ones(vanguard: Ran, funnel: str, counts: list[int]) -> None:
    whole_range = (ibis._.interval == "all") & (ibis._.dimension == "")
    steps = {
        str(step): ibis._.observed.sum(where=whole_range & (ibis._.step == step)) for step in range(1, len(counts) + 1)
    }
    assert list(vanguard.example.ask(f"funnel_{funnel}", **steps).values()) == counts


def test_vanguard_is_the_same_run_at_once_day_by_day_backwards_and_twice(vanguard: Ran, tmp_path: Path) -> None:
    expected = vanguard.example.fingerprints()
    days = whole(vanguard.example.project)
    singly = [Days(day, day) for day in days]
    for name, order in {"forwards": singly, "backwards": singly[::-1]}.items():
        made = example("vanguard", tmp_path / name, vanguard.example.instance)
        made.run_each(order)
        assert made.fingerprints() == expected, name
    vanguard.example.run(days, UNDRAWN)
    assert vanguard.example.fingerprints() == expected


@pytest.mark.slow
def test_two_weeks_of_online_retail_are_the_same_in_any_order(tmp_path: Path) -> None:
    days = Days(dt.date(2011, 3, 20), dt.date(2011, 4, 2))  # clocks change on the 27th
    singly = [Days(day, day) for day in days]
    with dg.DagsterInstance.ephemeral() as instance:
        made = {
            name: example("online_retail", tmp_path / name, instance, first_day=days.first, last_day=days.last)
            for name in ("at once", "forwards", "backwards")
        }
        made["at once"].run(days, UNDRAWN)
        made["forwards"].run_each(singly)
        made["backwards"].run_each(singly[::-1])
        expected = made["at once"].fingerprints()
        assert made["forwards"].fingerprints() == expected
        assert made["backwards"].fingerprints() == expected
