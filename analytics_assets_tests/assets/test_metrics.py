from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path
from typing import Any

import dagster as dg
import ibis
import pytest
import yaml
from ibis.expr.types import Table

import analytics_assets.shop
from analytics_assets.assets.catalog import Setting, resolve
from analytics_assets.assets.metrics import declared_events, metric_daily, named_events
from analytics_assets.automation.running import run
from analytics_assets.automation.runtime import open_lake
from analytics_assets.contracts import star
from analytics_assets.contracts.audit import audit_expression, read_audit, sample_expressions
from analytics_assets.contracts.metrics import DECLARED_EVENTS, METRIC_DAILY
from analytics_assets.lake.days import Days
from analytics_assets.lake.releases import latest_release
from analytics_assets.lake.tables import conform
from analytics_assets.project.asking import FACTS
from analytics_assets.project.experiments import Plan
from analytics_assets.project.loading import load_project
from analytics_assets.project.model import Project, Source
from analytics_assets.project.questions import Questions
from analytics_assets.settings import Settings
from analytics_assets_tests.making import at, day, feed, project, source, table

Row = dict[str, Any]
DAYS = Days(day(1), day(31))
SHOP = Path(next(iter(analytics_assets.shop.__path__)))
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
STARTER = [source(feed(name), path=f"{name}-{{day}}.csv") for name in ("events", "order_lines", "users", "returns")]


def asking(*sources: Source, **questions: Any) -> Project:
    return project(*sources).model_copy(update={"questions": Questions.model_validate(questions)})


def computed(engine, tables: dict[str, Table], days: Days = DAYS, **metrics: Row) -> list[Row]:
    asked = asking(metrics=metrics)
    found = conform(metric_daily(Setting(asked, days), **tables), METRIC_DAILY)
    rows = engine.rows(found)
    audit = read_audit(engine.rows(audit_expression(found, METRIC_DAILY, {})), METRIC_DAILY, {})
    assert not [finding for finding in audit.findings if not finding.holds]
    return rows


def of_month(rows: list[Row], dimension: str = "") -> dict[str, Row]:
    return {row["value"]: row for row in rows if row["interval"] == "month" and row["dimension"] == dimension}


def one(engine, tables: dict[str, Table], **metric: Any) -> Row:
    return of_month(computed(engine, tables, it=metric))[""]


def sales(*records: Row) -> dict[str, Table]:
    filled = [{"day": day(1), "user_id": "ann", "status": "completed", "quantity": 1, **record} for record in records]
    return {"fact_sales": table(star.FACT_SALES, *filled)}


def events(*records: Row) -> dict[str, Table]:
    filled = [{"day": day(1), "user_id": "ann", "event_type": "view", **record} for record in records]
    return {"fact_events": table(star.FACT_EVENTS, *filled)}


def test_a_metric_says_what_it_is_beside_each_number(engine):
    tables = sales({"net": 5})
    rows = computed(
        engine,
        tables,
        revenue={"kind": "sum", "fact": "fact_sales", "value": "net", "unit": "EUR"},
        lines={"kind": "count", "fact": "fact_sales", "unit": "lines", "direction": "neither"},
    )
    assert {(row["metric"], row["unit"], row["direction"]) for row in rows} == {
        ("revenue", "EUR", "up"),
        ("lines", "lines", "neither"),
    }
    assert {(row["metric"], row["interval"]): row["estimate"] for row in rows if row["period"] == day(1)} == {
        ("revenue", "day"): 5.0,
        ("revenue", "month"): 5.0,
        ("lines", "day"): 1.0,
        ("lines", "month"): 1.0,
    }


def test_excluded_rows_are_in_no_metric_and_cancelled_ones_unless_where_leaves_them_out(engine):
    tables = sales({"net": 1}, {"net": 10, "excluded_as": "staff"}, {"net": 100, "status": "cancelled"})
    asked = {"kind": "sum", "fact": "fact_sales", "value": "net"}
    assert one(engine, tables, **asked)["estimate"] == 101.0
    assert one(engine, tables, **asked, where={"status": {"not_equals": "cancelled"}})["estimate"] == 1.0


def test_where_asks_columns_of_any_type_and_properties(engine):
    tables = events({"properties": '{"plan": "pro"}', "amount": 7}, {"amount": "6.9"}, {"is_anonymous": True})
    count = {"kind": "count", "fact": "fact_events"}
    assert one(engine, tables, **count, where={"amount": {"at_least": 7}})["estimate"] == 1
    assert one(engine, tables, **count, where={"plan": "pro"})["estimate"] == 1
    assert one(engine, tables, **count, where={"is_anonymous": "true"})["estimate"] == 1
    assert one(engine, tables, **count, where={"day": {"starts_with": "2024-03"}})["estimate"] == 3


@pytest.mark.slow
def test_each_kind_is_what_it_is_called(engine):
    tables = sales({"net": 2}, {"net": 4, "day": day(2)}, {"net": 30, "user_id": "bob"}, {"net": 500, "user_id": None})
    tables |= events({}, {"user_id": "bob"}, {"user_id": "cat"})
    lines, acts = {"fact": "fact_sales", "value": "net"}, {"fact": "fact_events"}
    estimates = {
        kind: one(engine, tables, kind=kind, **says)["estimate"]
        for kind, says in {
            "count": {"fact": "fact_sales"},
            "unique_users": {"fact": "fact_sales"},
            "sum": lines,
            "mean": lines,
            "quantile": {**lines, "quantile": 0.5},
            "ratio": {"numerator": lines, "denominator": acts},
            "proportion": {"numerator": {"fact": "fact_sales"}, "denominator": acts},
            "retention": {"fact": "fact_sales", "after_days": [1, 1]},
        }.items()
    }
    assert estimates == {
        "count": 4.0, "unique_users": 2.0, "sum": 536.0, "mean": 12.0, "quantile": 4.0, "ratio": 12.0,
        "proportion": 2 / 3, "retention": 0.5,
    }  # fmt: skip


def test_a_cap_holds_for_each_row(engine):
    tables = sales({"net": 2}, {"net": 1000})
    assert one(engine, tables, kind="mean", fact="fact_sales", value="net", cap=10)["estimate"] == 6.0


def test_users_are_told_apart_by_their_own_columns_and_those_of_their_place(engine):
    users = table(
        star.DIM_USERS,
        {"user_id": "(unknown)", "geography_id": "(unknown)"},
        {"user_id": "ann", "geography_id": "g", "segment": "pro"},
        {"user_id": "bob", "geography_id": "h"},
    )
    places = table(star.DIM_GEOGRAPHY, {"geography_id": "(unknown)"}, {"geography_id": "g", "country": "NO"})
    tables = sales({"net": 1}, {"net": 2, "user_id": "bob"}, {"net": 4, "user_id": "new"}, {"net": 8, "user_id": None})
    by = ["user.segment", "user.country", "status"]
    metric = {"kind": "sum", "fact": "fact_sales", "value": "net", "dimensions": by}
    rows = computed(engine, {**tables, "dim_users": users, "dim_geography": places}, it=metric)
    told = {name: {value: row["estimate"] for value, row in of_month(rows, name).items()} for name in ("", *by)}
    assert told == {
        "": {"": 15.0},
        "user.segment": {"pro": 1.0, "(unknown)": 14.0},
        "user.country": {"NO": 1.0, "(unknown)": 14.0},
        "status": {"completed": 15.0},
    }
    metric["dimensions"] = ["user.segment"]
    rows = computed(engine, {**tables, "dim_users": users}, it=metric)
    assert {row["estimate"] for row in of_month(rows, "user.segment").values()} == {1.0, 14.0}


@pytest.mark.slow
def test_a_ratio_to_what_was_spent_is_of_all_sales(engine):
    spent = table(star.FACT_CAMPAIGN_SPEND, {"day": day(2), "campaign_id": "c", "channel": "tv", "spend": 4})
    metric = {
        "kind": "ratio",
        "numerator": {"fact": "fact_sales", "value": "net"},
        "denominator": {"fact": "fact_campaign_spend", "value": "spend"},
    }
    found = one(engine, {**sales({"net": 6}, {"net": 4, "user_id": None}), "fact_campaign_spend": spent}, **metric)
    assert (found["estimate"], found["low"]) == (2.5, None)
    metric["dimensions"] = ["user.segment"]
    tables = {"fact_sales": sales({"net": 6})["fact_sales"], "fact_campaign_spend": spent}
    rows = computed(engine, {**tables, "dim_users": table(star.DIM_USERS)}, it=metric)
    assert of_month(rows, "user.segment")["(unknown)"]["estimate"] == 1.5


def test_numbers_go_to_the_last_day_that_anything_was_delivered_for(engine):
    asked = asking(metrics={"lines": {"kind": "count", "fact": "fact_sales"}})
    setting = Setting(asked, Days(day(1), day(31)), landed=Days(day(1), day(10)))
    rows = engine.rows(metric_daily(setting, **sales({})))
    assert max(row["period"] for row in rows if row["interval"] == "day") == day(10)
    assert [row["complete"] for row in rows if row["interval"] == "month"] == [False]


@pytest.mark.slow
def test_the_table_is_computed_of_nothing_too(engine):
    asked = load_project(SHOP, {})
    graph = resolve(asked)
    (asset,) = (asset for asset in graph.tables if asset.name == "metric_daily")
    nothing = {name: table(graph.contracts()[name]) for name in asset.inputs}
    found = conform(asset.compute(nothing, Setting(asked, DAYS)), METRIC_DAILY)
    assert found.schema() == ibis.schema({column.name: column.type for column in METRIC_DAILY.columns})
    rows = engine.rows(found)
    assert {row["estimate"] for row in rows} == {0.0, None}
    assert {row["metric"] for row in rows} == set(asked.questions.metrics)


# --- the tables in the graph ------------------------------------------------------------------------------------------


def requirements(project: Project) -> dict[str, tuple[str, ...]]:
    return {asset.name: asset.inputs for asset in resolve(project).tables if asset.group == "metrics"}


def test_a_project_without_questions_has_neither_table():
    assert requirements(asking(*STARTER)) == {}
    assert "metric_daily" not in resolve(asking(*STARTER)).absent


@pytest.mark.parametrize(
    ("dimensions", "needed"),
    [
        ([], []),
        (["status"], []),
        (["user.segment"], ["dim_users"]),
        (["user.country"], ["dim_users", "dim_geography"]),
    ],
    ids=str,
)
def test_metrics_need_the_facts_that_they_name_and_users_where_they_are_told_apart(dimensions, needed):
    revenue = {"kind": "sum", "fact": "fact_sales", "value": "net", "dimensions": dimensions}
    asked = asking(*STARTER, metrics={"revenue": revenue})
    assert requirements(asked) == {"metric_daily": ("fact_sales", *needed)}
    share = {"kind": "ratio", "numerator": {"fact": "fact_returns"}, "denominator": {"fact": "fact_sales"}}
    asked = asking(*STARTER, metrics={"revenue": revenue, "share": share})
    assert requirements(asked) == {"metric_daily": ("fact_returns", "fact_sales", *needed)}


def test_metrics_of_a_fact_that_nothing_feeds_are_absent_with_the_reason():
    asked = asking(STARTER[0], metrics={"revenue": {"kind": "sum", "fact": "fact_sales", "value": "net"}})
    assert resolve(asked).absent["metric_daily"] == "needs fact_sales"


@pytest.mark.parametrize("folder", [SHOP, EXAMPLES / "online_retail", EXAMPLES / "vanguard"], ids=lambda f: f.name)
def test_packaged_metrics_can_be_fed_and_say_what_they_are(folder):
    declared = load_project(folder, {"ANALYTICS_SHARED": "/nowhere"})
    assert "metric_daily" in {asset.name for asset in resolve(declared).tables}
    assert len(declared.questions.metrics) >= 3
    for metric in declared.questions.metrics.values():
        assert metric.description
        assert metric.unit
        assert metric.owner


# --- events that questions name ---------------------------------------------------------------------------------------

CHECKOUT = {
    "steps": [{"event": "view"}, {"event": "adds_to_cart"}, {"where": {"event_type": ["buy", "pay"]}}],
    "exclusions": [{"event": "leave"}],
}
ASKED: dict[str, Any] = {
    "funnels": {"checkout": CHECKOUT},
    "retention": {"weekly": {"cohort": {"event": "sign_up"}, "returned": {"where": {"device": "app"}}}},
    "paths": {"home": {"start": "open", "end": "buy"}, "any": {}},
    "metrics": {
        "views": {"kind": "count", "fact": "fact_events", "where": {"event_type": "view"}},
        "buyers": {
            "kind": "proportion",
            "numerator": {"fact": "fact_user_day_events", "where": {"event_type": {"equals": ["buy"]}}},
            "denominator": {"fact": "fact_events", "where": {"event_type": {"starts_with": "vi"}}},
        },
    },
}

PLAN = Plan.model_validate(
    {
        "hypothesis": "a shorter checkout lets more visitors buy",
        "variants": {"control": 0.5, "treatment": 0.5},
        "exposure": {"event": "begin_checkout"},
        "starts": day(1),
        "ends": day(5),
        "primary": {"metric": "buyers", "window_days": 7, "minimum_effect": 0.02},
    }
)


def test_every_event_that_a_question_or_a_plan_names_is_known():
    assert set(named_events(Questions.model_validate(ASKED), {"checkout": PLAN})) == {
        ("funnels.checkout", "view"),
        ("funnels.checkout", "adds_to_cart"),
        ("funnels.checkout", "buy"),
        ("funnels.checkout", "pay"),
        ("funnels.checkout", "leave"),
        ("retention.weekly", "sign_up"),
        ("paths.home", "open"),
        ("paths.home", "buy"),
        ("metrics.views", "view"),
        ("metrics.buyers", "buy"),
        ("experiments.checkout", "begin_checkout"),
    }
    assert requirements(asking(*STARTER, funnels=ASKED["funnels"])).keys() >= {"declared_events"}
    assert requirements(asking(*STARTER, paths={"any": {}})) == {}


def test_an_event_that_never_occurs_is_a_warning_that_shows_what_may_be_meant(engine):
    seen = table(
        star.FACT_USER_DAY_EVENTS,
        {"day": day(1), "user_id": "ann", "event_type": "view", "events": 3, "first_at": at("01 10:00")},
        {"day": day(1), "user_id": "bob", "event_type": "view", "events": 1, "first_at": at("01 10:00")},
        {"day": day(1), "user_id": "bob", "event_type": "add_to_cart", "events": 2, "first_at": at("01 10:00")},
    )
    setting = Setting(asking(funnels=ASKED["funnels"]), DAYS, collect=engine.rows)
    found = conform(declared_events(setting, seen), DECLARED_EVENTS)
    assert engine.rows(found) == [
        {"question": "funnels.checkout", "event": event, "near": near, "seen": times}
        for event, near, times in [
            ("adds_to_cart", "add_to_cart", 0),
            ("buy", None, 0),
            ("leave", None, 0),
            ("pay", None, 0),
            ("view", None, 4),
        ]
    ]
    audit = read_audit(engine.rows(audit_expression(found, DECLARED_EVENTS, {})), DECLARED_EVENTS, {})
    assert [(finding.rule, finding.violations) for finding in audit.broken("warning")] == [("1 <= seen", 4)]
    assert not audit.broken("error")
    samples = engine.rows(sample_expressions(found, DECLARED_EVENTS, {})["1 <= seen"])
    assert samples[0] == {"question": "funnels.checkout", "event": "adds_to_cart", "near": "add_to_cart", "seen": 0}


# --- on the shop ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_shops_metrics_agree_with_its_facts(tmp_path):
    shutil.copytree(SHOP, tmp_path / "shop", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "shop" / "shop.yaml").write_text(yaml.safe_dump({"seed": 7, "size": "tiny", "users": 300, "days": 31}))
    last = dt.date(2025, 1, 31)
    said = yaml.safe_load((SHOP / "project.yaml").read_text()) | {"last_day": str(last)}
    (tmp_path / "shop" / "project.yaml").write_text(yaml.safe_dump(said))
    shop = load_project(tmp_path / "shop", {})
    settings = Settings(lake=str(tmp_path / "lake"), exports=tmp_path / "exports", memory="500MB")
    chosen = "+metric_daily or +declared_events"
    with dg.DagsterInstance.ephemeral() as instance:
        for outcome in run(shop, settings, Days(shop.first_day, last), select=chosen, instance=instance):
            assert outcome.success, outcome.failures
    with open_lake(settings, shop.name) as lake:
        contracts, versions = resolve(shop).contracts(), latest_release(lake).versions

        def rows(name: str) -> list[Row]:
            return lake.engine.rows(lake.read(contracts[name], version=versions[name]))

        told = {row["metric"]: row for row in of_all(rows("metric_daily"))}
        user_days = rows("fact_user_days")
        assert all(row["seen"] > 0 for row in rows("declared_events"))
    bought = {row["user_id"] for row in user_days if row["orders"]}
    visited = {row["user_id"] for row in user_days if row["sessions"]}
    revenue, orders = sum(row["revenue"] for row in user_days), sum(row["orders"] for row in user_days)
    assert told["revenue"]["estimate"] == float(revenue)
    assert told["orders"]["estimate"] == orders
    assert told["average_order_value"]["estimate"] == pytest.approx(float(revenue) / orders)
    assert told["conversion"]["estimate"] == len(bought & visited) / len(visited)
    assert told["revenue_per_active_user"]["estimate"] == pytest.approx(float(revenue) / len(user_days))
    assert told["conversion"]["low"] < told["conversion"]["estimate"] < told["conversion"]["high"]


def of_all(rows: list[Row]) -> list[Row]:
    return [row for row in rows if row["interval"] == "month" and not row["dimension"]]


def test_every_fact_of_a_metric_is_a_table_of_the_star():
    assert {"fact_sales", "fact_user_days", "fact_user_day_events", "fact_campaign_spend"} <= set(FACTS)
