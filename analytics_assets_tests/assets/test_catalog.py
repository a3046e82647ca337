from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import ibis
import pytest
from ibis.expr.types import Table

from analytics_assets.assets import catalog
from analytics_assets.assets.catalog import (
    Setting,
    TableAsset,
    asked,
    catalogue,
    declaration,
    family,
    resolve,
    staged_asset,
    table,
)
from analytics_assets.contracts import (
    activity,
    baselines,
    churn_model,
    customers,
    experiments,
    funnels,
    lifetime,
    marketing,
    metrics,
    quality,
    sales,
    series,
    shop,
    star,
    verdicts,
)
from analytics_assets.contracts.delivered import DELIVERED
from analytics_assets.contracts.model import Contract
from analytics_assets.lake.days import Days
from analytics_assets.lake.tables import conform
from analytics_assets.project.experiments import Plan
from analytics_assets.project.model import Project, Source
from analytics_assets.project.shop import Shop
from analytics_assets_tests.answers import inquiring
from analytics_assets_tests.making import at, day, feed, project, source
from analytics_assets_tests.making import table as made

DECLARED = {
    contract.table: contract
    for module in (star, shop, activity, funnels, metrics, sales, customers, lifetime, churn_model, marketing, series)
    for contract in vars(module).values()
    if isinstance(contract, Contract)
}
OF_QUESTIONS = {"funnel_daily_metrics", "metric_daily", "declared_events"}
"""The tables that are there only where a project asks something."""
OF_EVERYONE = set(DECLARED) - OF_QUESTIONS
OF_EXPERIMENTS = {
    contract.table
    for module in (experiments, verdicts, baselines)
    for contract in vars(module).values()
    if isinstance(contract, Contract)
}
"""The tables that are there only where a project plans experiments."""
OF_METRICS = {"quality_sums_of_metrics"}
"""The tables that are there only where a project has a metric that adds up."""
OF_QUALITY = {told.table for told in vars(quality).values() if isinstance(told, Contract)} - OF_METRICS
"""The tables that are there where a fact is kept by day."""
OF_USER_DAYS = {"active_users", "active_days", "lifecycle", "churn", "user_revenue"}
OF_CREDIT = {"attribution_orders", "attribution"}
OF_SALES = {name for name in DECLARED if catalog._GROUPS.get(name.split("_")[0]) in {"sales", "customers", "forecasts"}}
OF_EVENTS = {"transitions", "feature_usage", "feature_adoption", "device_metrics"}
ZEROS = {
    "active_users": 1,
    "lifecycle": 3,
    "churn": 3,
    "reconciliation": 48,
    "customer_churn_performance": 15,
    "clv_model": 14,
}
"""How many rows say of one day that nothing happened."""
QUESTIONS: dict[str, Any] = {
    "funnels": {"f": {"steps": [{"event": "view"}, {"event": "buy"}]}},
    "retention": {"r": {}},
    "paths": {"p": {}},
    "metrics": {"orders": {"kind": "sum", "fact": "fact_user_days", "value": "orders"}},
}
MEASURED: dict[str, Any] = {
    "metrics": {
        "buyers": {"kind": "unique_users", "fact": "fact_events", "direction": "up"},
        "spent": {"kind": "quantile", "quantile": 0.5, "fact": "fact_events", "value": "amount"},
    }
}
PLAN: dict[str, Any] = {
    "hypothesis": "h",
    "variants": {"a": 0.5, "b": 0.5},
    "exposure": {"event": "view"},
    "starts": day(1),
    "ends": day(9),
    "primary": {"metric": "buyers", "window_days": 2, "minimum_effect": 0.1},
    "secondary": [{"metric": "spent", "window_days": 2}],
}
EVENTS, SALES, USERS = feed("events", "user_id"), feed("order_lines", "user_id"), feed("users")
EVERYTHING = [source(feed(name), path=f"{name}-{{day}}.csv") for name in DELIVERED]


def names(*sources: Source) -> list[str]:
    return [asset.name for asset in resolve(project(*sources)).tables]


def test_every_declared_table_has_a_function_and_every_function_a_declared_table():
    assert {asset.name for asset in catalogue()} == OF_EVERYONE
    assert all(asset.contract is DECLARED[asset.name] for asset in catalogue())


@pytest.mark.parametrize("asset", catalogue(), ids=lambda asset: asset.name)
def test_a_function_names_tables_that_there_are_and_says_in_a_line_what_it_does(asset: TableAsset):
    known = {*DECLARED, *(f"staged_{name}" for name in DELIVERED)}
    assert set(asset.inputs) <= known
    assert (asset.function.__doc__ or "").strip()
    told = any(asset.contract is contract for module in (star, shop) for contract in vars(module).values())
    assert (asset.group in {"dimensions", "facts", "shop"}) == told


@pytest.mark.parametrize("asset", catalogue(), ids=lambda asset: asset.name)
def test_a_function_computes_what_its_contract_promises_even_of_nothing(engine, asset: TableAsset):
    contracts = resolve(project(*EVERYTHING, shop=Shop())).contracts()
    inputs = {name: made(contracts[name]) for name in asset.inputs}
    setting = Setting(project(shop=Shop(size="tiny")), Days(day(1), day(1)), collect=engine.rows)
    found = conform(asset.compute(inputs, setting), asset.contract)
    assert found.schema() == ibis.schema({column.name: column.type for column in asset.contract.columns})
    if asset.group != "shop":  # its truth does not come out of the tables
        stand_in = asset.name.startswith("dim_")  # the unknown member, or the one day
        assert len(engine.rows(found)) == (1 if stand_in else ZEROS.get(asset.name, 0))


# --- what a project asks ----------------------------------------------------------------------------------------------


def test_a_question_has_tables_of_its_own():
    assert {asset.name for asset in asked(inquiring(QUESTIONS))} == OF_QUESTIONS | OF_QUALITY | OF_METRICS | {
        *(f"funnel_f{rest}" for rest in ("", "_attempts", "_times", "_users", "_friction")),
        "retention_r",
        "retention_r_curve",
        "paths_p",
    }
    assert asked(project()) == ()


def test_the_tables_of_questions_are_in_the_graph_with_all_that_they_need():
    graph = resolve(inquiring(QUESTIONS, *EVERYTHING, shop=Shop()))
    assert graph.absent == {}
    assert {asset.name for asset in graph.tables} > OF_EVERYONE | OF_QUESTIONS | {"funnel_f_friction", "paths_p"}
    order = [asset.name for asset in graph.tables]
    assert order.index("funnel_f_attempts") < order.index("funnel_f") < order.index("funnel_f_friction")
    without = resolve(inquiring(QUESTIONS, source(SALES)))
    assert without.absent["funnel_f_attempts"] == "needs fact_events"
    assert without.absent["retention_r_curve"] == "needs retention_r"
    assert "metric_daily" in without.contracts()


def test_the_tables_of_a_question_keep_what_they_promise_even_of_nothing(engine):
    within = inquiring(QUESTIONS, *EVERYTHING, shop=Shop(size="tiny"))
    contracts = resolve(within).contracts()
    setting = Setting(within, Days(day(1), day(1)), collect=engine.rows)
    for asset in asked(within):
        inputs = {name: made(contracts[name]) for name in asset.inputs}
        found = conform(asset.compute(inputs, setting), asset.contract)
        assert found.schema() == ibis.schema({column.name: column.type for column in asset.contract.columns})
        assert (asset.function.__doc__ or "").strip(), asset.name
        assert not asset.name.startswith(("funnel_f", "paths")) or engine.rows(found) == []


def experimenting(*sources: Source) -> Project:
    within = inquiring(MEASURED, *sources, shop=Shop(size="tiny"))
    return within.model_copy(update={"experiments": {"x": Plan.model_validate(PLAN)}})


def test_the_tables_of_experiments_are_in_the_graph_where_there_are_plans():
    within = experimenting(*EVERYTHING)
    assert {asset.name for asset in asked(within)} >= OF_EXPERIMENTS | {"verdict_x"}
    graph = resolve(within)
    assert graph.absent == {}
    assert {asset.group for asset in graph.tables if asset.name in OF_EXPERIMENTS | {"verdict_x"}} == {"experiments"}
    assert not {asset.name for asset in asked(inquiring(MEASURED, *EVERYTHING))} & OF_EXPERIMENTS
    # what is planned needs nobody who was assigned
    unassigned = {asset.name for asset in resolve(experimenting(source(EVENTS))).tables}
    assert {"experiment_baselines", "experiment_reach", "experiment_aa"} == unassigned & OF_EXPERIMENTS


@pytest.mark.slow
def test_the_tables_of_experiments_keep_what_they_promise_even_of_nothing(engine):
    within = experimenting(*EVERYTHING)
    contracts = resolve(within).contracts()
    setting = Setting(within, Days(day(1), day(1)), collect=engine.rows)
    for asset in asked(within):
        if asset.name in OF_EXPERIMENTS | {"verdict_x"}:
            inputs = {name: made(contracts[name]) for name in asset.inputs}
            found = conform(asset.compute(inputs, setting), asset.contract)
            assert found.schema() == ibis.schema({column.name: column.type for column in asset.contract.columns})
            engine.rows(found)
            assert (asset.function.__doc__ or getattr(asset.function, "func", asset.function).__doc__ or "").strip()


def test_a_family_makes_tables_of_each_question_and_is_found_by_its_mark(monkeypatch):
    @family
    def of_paths(within: Project) -> Iterator[TableAsset]:
        for name in within.questions.paths:
            yield TableAsset(activity.paths(name), lambda: None, (), ())  # type: ignore[arg-type, return-value]

    def unmarked(within: Project) -> Iterator[TableAsset]:
        raise AssertionError

    monkeypatch.setattr(catalog, "_members", lambda: (of_paths, unmarked, of_paths))
    two = inquiring({"paths": {"a": {}, "b": {}}})
    assert [asset.name for asset in asked(two)] == ["paths_a", "paths_b"]


def test_a_setting_collects_small_tables_where_it_has_an_engine(engine):
    days = Days(day(1), day(1))
    numbers = ibis.memtable({"n": [1, 2]})
    assert Setting(project(), days, collect=engine.rows).collect(numbers) == [{"n": 1}, {"n": 2}]
    with pytest.raises(LookupError, match="this setting has no engine: give it one"):
        Setting(project(), days).collect(numbers)


def test_a_setting_knows_the_days_so_far():
    assert Setting(project(), Days(day(3), day(3))).so_far == Days(day(3), day(3))
    assert Setting(project(), Days(day(3), day(3)), Days(day(1), day(9))).so_far == Days(day(1), day(9))


# --- what a function asks for -----------------------------------------------------------------------------------------


def test_a_function_is_declared_by_its_parameters():
    @table(star.FACT_EVENTS)
    def fact_events(staged_events: Table, setting: Setting, map_identity: Table | None = None) -> Table:
        return staged_events

    asset = declaration(fact_events)
    assert (asset.name, asset.group) == ("fact_events", "facts")
    assert (asset.requires, asset.uses) == (("staged_events",), ("map_identity",))
    assert asset.inputs[:2] == ("staged_events", "map_identity")
    assert set(asset.inputs[2:]) == {"dim_users", "dim_products", "dim_campaigns", "dim_dates"}


def test_a_function_gets_the_tables_that_it_names_and_the_setting_only_if_it_asks():
    seen: dict[str, object] = {}

    def asks(first: str, setting: Setting, other: str | None = None) -> str:
        seen.update(first=first, setting=setting, other=other)
        return first

    setting = Setting(project(), Days(day(1), day(2)))
    asset = declaration(table(star.DIM_USERS)(asks))  # type: ignore[type-var]
    assert asset.compute({"first": "a", "dim_geography": "not asked for"}, setting) == "a"  # type: ignore[dict-item]
    assert seen == {"first": "a", "setting": setting, "other": None}
    asset.compute({"first": "a", "other": "b"}, setting)  # type: ignore[dict-item]
    assert seen["other"] == "b"


def test_a_function_that_asks_for_the_shop_gets_its_parameters():
    def truth(staged_events: Table, shop: Shop) -> Table:
        return (staged_events, shop)  # type: ignore[return-value]

    asset = declaration(table(star.DIM_USERS)(truth))
    within = project(shop=Shop(seed=7))
    assert (asset.requires, asset.uses, asset.needs_shop) == (("staged_events",), (), True)
    found = asset.compute({"staged_events": "e"}, Setting(within, Days(day(1), day(1))))  # type: ignore[dict-item]
    assert found == ("e", within.shop)


def test_a_table_that_needs_the_shop_is_absent_from_a_project_without_one(monkeypatch):
    @table(star.MAP_IDENTITY)
    def alone(shop: Shop) -> Table: ...

    @table(star.FACT_RETURNS)
    def with_events(staged_events: Table, shop: Shop) -> Table: ...

    @table(star.FACT_ASSIGNMENTS)
    def after(map_identity: Table) -> Table: ...

    monkeypatch.setattr(catalog, "catalogue", lambda: tuple(map(declaration, (alone, with_events, after))))
    without = resolve(project(source(USERS))).absent
    assert without["map_identity"] == "needs a shop.yaml"
    assert without["fact_returns"] == "needs staged_events and a shop.yaml"
    assert without["fact_assignments"] == "needs map_identity"
    there = resolve(project(source(EVENTS), shop=Shop()))
    assert {"map_identity", "fact_returns", "fact_assignments"} <= {asset.name for asset in there.tables}


def test_a_project_with_everything_lacks_nothing():
    graph = resolve(project(*EVERYTHING, shop=Shop()))
    assert graph.absent == {}
    assert {contract.table for contract in graph.raw} == {f"raw_{name}" for name in DELIVERED}
    assert {asset.name for asset in graph.tables} == OF_EVERYONE | OF_QUALITY | {f"staged_{name}" for name in DELIVERED}
    assert set(graph.contracts()) == {c.table for c in graph.raw} | {asset.name for asset in graph.tables}


@pytest.mark.parametrize(
    "sources",
    [EVERYTHING, [source(EVENTS)], [source(SALES, USERS)], [source(EVENTS), source(SALES), source(feed("identities"))]],
)
def test_every_table_comes_after_all_that_it_reads(sources):
    graph = resolve(project(*sources))
    done = {contract.table for contract in graph.raw}
    there = set(graph.contracts())
    for asset in graph.tables:
        assert set(asset.inputs) & there <= done
        assert set(asset.requires) <= done
        done.add(asset.name)
    assert done == there
    assert len(graph.tables) == len({asset.name for asset in graph.tables})


def test_a_project_of_events_has_what_events_feed():
    assert set(names(source(EVENTS))) == {
        "staged_events",
        "dim_dates",
        "fact_events",
        "fact_sessions",
        "fact_user_days",
        "fact_user_day_events",
        *OF_USER_DAYS,
        *OF_EVENTS,
        *OF_QUALITY,
    }


def test_a_project_of_sales_has_user_days_without_sessions():
    there = {"staged_order_lines", "dim_dates", "fact_sales", "fact_user_days", *OF_USER_DAYS, *OF_SALES, *OF_CREDIT}
    assert set(names(source(SALES))) == there | OF_QUALITY


def test_a_table_that_can_do_with_one_of_two_needs_one():
    graph = resolve(project(source(USERS)))
    assert graph.absent["fact_user_days"] == "needs one of fact_sessions, fact_sales"
    assert {asset.name for asset in graph.tables} == {"staged_users", "dim_users", "dim_geography", "dim_dates"}


def test_every_absent_table_says_why():
    absent = resolve(project(source(USERS))).absent
    assert absent["raw_events"] == "no source feeds events"
    assert absent["staged_events"] == "needs raw_events"
    assert absent["fact_events"] == "needs staged_events"
    assert absent["fact_sessions"] == "needs fact_events"
    assert not set(absent) & {"raw_users", "staged_users", "dim_users", "dim_dates"}


def test_every_table_is_there_or_absent_with_a_reason():
    every = {*OF_EVERYONE, *(f"{layer}_{name}" for layer in ("raw", "staged") for name in DELIVERED)}
    for sources in ([source(EVENTS)], [source(USERS)], EVERYTHING):
        graph = resolve(project(*sources))
        assert (set(graph.contracts()) | set(graph.absent)) - OF_QUALITY == every
        assert not set(graph.contracts()) & set(graph.absent)


def test_an_optional_input_is_read_where_the_project_has_it():
    with_identities = resolve(project(source(EVENTS), source(feed("identities"))))
    order = [asset.name for asset in with_identities.tables]
    assert order.index("map_identity") < order.index("fact_events")
    assert "map_identity" in resolve(project(source(EVENTS))).absent


def test_raw_tables_are_kept_by_day_or_are_snapshots_as_the_project_says():
    dated = {**feed("users"), "columns": {"user_id": "id", "signed_up_at": "when"}}
    graph = resolve(project(source(EVENTS), source(dated), source(feed("products"), path="products-{day}.csv")))
    days = {name: contract.day for name, contract in graph.contracts().items()}
    assert {name: days[name] for name in ("raw_events", "raw_users", "raw_products")} == {
        "raw_events": "delivery_day",
        "raw_users": None,
        "raw_products": "delivery_day",
    }
    assert (days["staged_events"], days["staged_users"], days["staged_products"]) == (
        "delivery_day",
        None,
        "delivery_day",
    )
    assert (days["fact_events"], days["dim_users"]) == ("day", None)


def test_a_fact_of_a_snapshot_is_a_snapshot():
    roster = feed("experiment_assignments", "variant")
    assert resolve(project(source(roster))).contracts()["fact_assignments"].day is None
    dated = feed("experiment_assignments", "variant", "assigned_at")
    assert resolve(project(source(dated))).contracts()["fact_assignments"].day == "day"


def test_a_staged_table_reads_its_raw_table_by_the_projects_feeds(engine):
    within: Project = project(source(EVENTS))
    asset = staged_asset(DELIVERED["events"], within)
    provenance = {"delivery_day": day(1), "source": "s0", "feed": 0, "file": "f.csv", "row_number": 1}
    event = {"event_type": "view", "occurred_at": "2024-03-01 12:00", **provenance}
    raw = made(DELIVERED["events"].raw(), event)
    (found,) = engine.rows(asset.compute({"raw_events": raw}, Setting(within, Days(day(1), day(1)))))
    assert (asset.name, asset.requires, found["occurred_at"]) == ("staged_events", ("raw_events",), at("01 12:00"))
