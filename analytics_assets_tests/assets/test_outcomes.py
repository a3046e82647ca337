from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from analytics_assets.analysis import experiments
from analytics_assets.analysis.moments import VARIABLES, names
from analytics_assets.assets import outcomes
from analytics_assets.assets.catalog import Setting, resolve
from analytics_assets.assets.outcomes import INSTANTS, analysed, experiment_tables
from analytics_assets.contracts import experiments as promised
from analytics_assets.contracts import sales as of_sales
from analytics_assets.contracts import star
from analytics_assets.contracts.audit import audit_expression, read_audit
from analytics_assets.lake.days import Days
from analytics_assets.lake.tables import conform
from analytics_assets.project.asking import BEFORE_EXPOSURE, FACTS
from analytics_assets.project.experiments import Plan
from analytics_assets.project.model import Project
from analytics_assets_tests.answers import answers, event, happened, inquiring, people
from analytics_assets_tests.making import at, day, feed, source, table

Row = dict[str, Any]
Tables = dict[str, list[Row]]
DAYS = Days(day(1), day(31))
METRICS: dict[str, Row] = {
    "buyers": {"kind": "unique_users", "fact": "fact_events", "where": {"event_type": "buy"}},
    "revenue": {"kind": "sum", "fact": "fact_sales", "value": "net", "cap": 100},
    "order": {
        "kind": "ratio",
        "numerator": {"fact": "fact_sales", "value": "net"},
        "denominator": {"fact": "fact_user_days", "value": "orders"},
    },
    "took": {"kind": "quantile", "fact": "fact_sessions", "value": "duration"},
}
PLAN: Row = {
    "hypothesis": "it is better",
    "variants": {"old": 0.5, "new": 0.5},
    "exposure": {"event": "see", "where": {"device": "phone"}},
    "starts": day(5),
    "ends": day(9),
    "primary": {"metric": "buyers", "window_days": 3, "minimum_effect": 0.1},
    "secondary": [{"metric": "revenue", "window_days": 30}, {"metric": "order", "window_days": 3}],
    "segments": ["device", "user.country"],
    "covariate_days": 3,
}
SOURCES = [
    source(feed(name, "user_id"), path=f"{name}-{{day}}.csv")
    for name in ("events", "order_lines", "users", "experiment_assignments")
]


def planning(metrics: dict[str, Row] | None = None, **plans: Row) -> Project:
    asked = inquiring({"metrics": METRICS if metrics is None else metrics}, *SOURCES)
    told = {name: Plan.model_validate(PLAN | says) for name, says in plans.items()}
    return asked.model_copy(update={"experiments": told})


def assigned(user: str, variant: str | None, when: str = "05 10:00", experiment: str = "e", **says: Any) -> Row:
    told = {"experiment": experiment, "user_id": user, "variant": variant, "assigned_at": at(when)}
    return {"day": at(when).date(), **told, **says}


def sold(user: str, when: str, net: float, **says: Any) -> Row:
    return {"user_id": user, "ordered_at": at(when), "day": at(when).date(), "net": net, "status": "completed", **says}


def computed(engine, project: Project, *assignments: Row, days: Days = DAYS, **facts: list[Row]) -> Tables:
    tables = {
        "fact_assignments": table(star.FACT_ASSIGNMENTS, *assignments),
        "fact_events": happened(*facts.get("events", [])),
        "fact_sales": table(star.FACT_SALES, *facts.get("sales", [])),
        "fact_user_days": table(star.FACT_USER_DAYS, *facts.get("user_days", [])),
        "fact_sessions": table(star.FACT_SESSIONS, *facts.get("sessions", [])),
        **people(*facts.get("users", [])),
    }
    setting = Setting(project, days, days, engine.rows)
    return answers(engine, experiment_tables(project), tables, setting)


def seen(user: str, when: str = "06 10:00") -> Row:
    return event(user, "see", when, device="phone")


def test_without_experiments_there_are_no_tables():
    assert list(experiment_tables(planning())) == []


def test_a_project_that_knows_assignments_and_events_has_them_all():
    made = {asset.name: asset for asset in resolve(planning(e={})).tables if asset.group == "experiments"}
    assert set(made) > {
        "experiment_exposures",
        "experiment_traffic",
        "experiment_outcomes",
        "experiment_moments",
        "user_exposure",
        "user_outcomes",
    }
    assert made["experiment_outcomes"].requires == (
        "experiment_exposures",
        "fact_events",
        "fact_sales",
        "fact_user_days",
    )
    assert {"dim_users", "dim_geography"} <= set(made["experiment_moments"].requires)
    took = {"primary": {"metric": "buyers", "window_days": 3, "minimum_effect": 1}}
    ranked = planning(e={**took, "secondary": [{"metric": "took", "window_days": 3}], "segments": []})
    made = {asset.name: asset for asset in experiment_tables(ranked)}
    assert made["experiment_amounts"].requires == ("experiment_exposures", "fact_sessions")
    assert made["experiment_moments"].requires == ("experiment_exposures", "experiment_outcomes")


def test_every_fact_that_knows_instants_tells_which_column_says_them():
    for name, contract in FACTS.items():
        instants = [column.name for column in contract.columns if column.type.startswith("timestamp")]
        knows_users = any(column.name == "user_id" for column in contract.columns)
        if name.startswith("fact_") and name not in {"fact_assignments", "fact_user_day_events"} and knows_users:
            assert (name in INSTANTS) == bool(instants), name
    for name, column in INSTANTS.items():
        assert FACTS[name].column(column).type.startswith("timestamp"), name


def test_segments_of_events_are_those_that_a_plan_may_name():
    assert set(experiments.OF_EVENTS) == set(BEFORE_EXPOSURE)


def test_the_contracts_say_what_the_analysis_gives():
    assert set(names()) <= {column.name for column in promised.EXPERIMENT_MOMENTS.columns}
    assert set(VARIABLES) <= {column.name for column in promised.EXPERIMENT_OUTCOMES.columns}
    reasons = next(rule for rule in promised.EXPERIMENT_EXPOSURES.rules if getattr(rule, "column", "") == "left_out")
    assert reasons.values == experiments.LEFT_OUT


def test_a_plan_is_told_to_the_analysis():
    told = analysed("e", Plan.model_validate(PLAN | {"segments": []}))
    assert told == experiments.Plan(
        "e",
        ("old", "new"),
        "old",
        day(5),
        day(9),
        (experiments.Measured("buyers", 3), experiments.Measured("revenue", 30), experiments.Measured("order", 3)),
        (),
        3,
    )


@pytest.mark.slow
def test_from_plans_to_moments(engine):
    found = computed(
        engine,
        planning(e={}),
        assigned("ann", "old"),
        assigned("bob", "new"),
        assigned("cat", "new"),
        assigned("bot", "new", excluded_as="bot"),
        events=[
            event("ann", "see", "02 10:00", device="tv"),
            event("ann", "see", "05 11:00", device="tv"),
            seen("ann"),
            event("bob", "look", "05 10:00", device="phone"),
            seen("bob"),
            seen("bot"),
            event("ann", "buy", "06 11:00"),
            event("bob", "buy", "09 10:00"),
            event("bob", "buy", "06 10:30", excluded_as="staff"),
        ],
        sales=[sold("ann", "06 11:00", 500), sold("ann", "04 11:00", 7), sold("bob", "20 10:00", 30)],
        user_days=[{"user_id": "ann", "day": day(6), "orders": 2}, {"user_id": "ann", "day": day(4), "orders": 1}],
        users=[{"user_id": "ann", "country": "DE"}, {"user_id": "bob"}],
    )
    exposed = {row["user_id"]: row for row in found["experiment_exposures"]}
    assert exposed.keys() == {"ann", "bob", "cat"}
    assert (exposed["ann"]["exposed_at"], exposed["ann"]["known_before"]) == (at("06 10:00"), True)
    assert (exposed["ann"]["device"], exposed["bob"]["device"], exposed["bob"]["country"]) == ("tv", "phone", None)
    assert (exposed["cat"]["left_out"], exposed["bob"]["left_out"]) == ("not exposed", None)
    assert [(row["user_id"], row["variant"]) for row in found["user_exposure"]] == [("ann", "old"), ("bob", "new")]

    numbers = ("value", "weight", "pre_value", "pre_weight", "matured")
    told = {(row["metric"], row["user_id"]): tuple(row[n] for n in numbers) for row in found["experiment_outcomes"]}
    assert told == {
        ("buyers", "ann"): (1, None, 0, None, True),
        ("buyers", "bob"): (0, None, 0, None, True),
        ("revenue", "ann"): (100, None, 7, None, False),
        ("revenue", "bob"): (30, None, 0, None, False),
        ("order", "ann"): (500, 2, 7, 1, True),
        ("order", "bob"): (0, 0, 0, 0, True),
    }
    outcome = {(row["metric"], row["user_id"]): row["outcome"] for row in found["user_outcomes"]}
    assert outcome["order", "ann"] == 250
    assert outcome["order", "bob"] is None
    assert outcome["revenue", "bob"] == 30

    cells = [row for row in found["experiment_moments"] if row["metric"] == "revenue"]
    assert {(row["variant"], row["dimension"], row["segment"]): row["n"] for row in cells} == {
        ("old", "", ""): 1,
        ("new", "", ""): 1,
        ("old", "device", "tv"): 1,
        ("new", "device", "phone"): 1,
        ("old", "user.country", "DE"): 1,
        ("new", "user.country", "(unknown)"): 1,
    }
    assert {row["shift_value"] for row in cells} == {65.0}
    assert {row["variant"]: row["sum_value"] for row in cells} == {"old": 35.0, "new": -35.0}
    assert {row["exposed_on"] for row in cells} == {day(6)}

    traffic = {(row["day"], row["variant"]): row for row in found["experiment_traffic"]}
    assert traffic[day(5), "new"]["assigned"] == 2
    assert traffic[day(5), "new"]["excluded"] == 1
    assert traffic[day(6), "new"]["exposed"] == 1


def test_what_is_left_out_stays_in_sight_and_in_no_outcome(engine):
    project = planning(e={"segments": []})
    assignments = [
        assigned("ann", "old"),
        assigned("ann", "new", "05 11:00"),
        assigned("bob", "newer"),
        assigned("cat", None),
        assigned("dan", "old", "10 10:00"),
        assigned("eve", "old"),
    ]
    events = [*(seen(user) for user in ("ann", "bob", "cat", "eve")), seen("dan", "10 11:00")]
    exposed = outcomes.experiment_exposures(
        Setting(project, DAYS, DAYS), table(star.FACT_ASSIGNMENTS, *assignments), happened(*events)
    )
    found = engine.rows(conform(exposed, promised.EXPERIMENT_EXPOSURES))
    assert {row["user_id"]: row["left_out"] for row in found} == {
        "ann": "several variants",
        "bob": "not in the plan",
        "cat": "no variant",
        "dan": "assigned after the end",
        "eve": None,
    }

    contract = promised.EXPERIMENT_EXPOSURES
    audit = read_audit(engine.rows(audit_expression(table(contract, *found), contract, {})), contract, {})
    assert not audit.broken("error")
    assert "variants_seen <= 1" in " ".join(str(finding) for finding in audit.broken("warning"))


@pytest.mark.slow
def test_the_same_user_in_two_experiments_is_in_both(engine):
    found = computed(
        engine,
        planning(e={"segments": []}, f={"segments": ["device"], "starts": day(7)}),
        assigned("ann", "old"),
        assigned("ann", "new", experiment="f"),
        assigned("ann", "new", experiment="unknown"),
        events=[seen("ann"), seen("ann", "08 10:00"), event("ann", "buy", "10 10:00")],
    )
    told = {row["experiment"]: (row["variant"], row["exposed_on"]) for row in found["user_exposure"]}
    assert told == {"e": ("old", day(6)), "f": ("new", day(8))}
    bought = {row["experiment"]: row["value"] for row in found["experiment_outcomes"] if row["metric"] == "buyers"}
    assert bought == {"e": 0, "f": 1}
    assert {row["experiment"] for row in found["experiment_moments"] if row["dimension"]} == {"f"}


@pytest.mark.slow
@pytest.mark.parametrize("last", [4, 5, 31])
def test_an_experiment_that_has_not_begun_or_exposed_nobody_has_empty_tables(engine, last):
    days = Days(day(1), day(last))
    found = computed(engine, planning(e={}), assigned("ann", "old"), events=[seen("ann", "04 10:00")], days=days)
    assert [row["left_out"] for row in found["experiment_exposures"]] == ["not exposed"]
    assert not found["experiment_outcomes"]
    assert not found["experiment_moments"]
    empty = computed(engine, planning(e={}), days=days)
    assert not any(empty.values())


@pytest.mark.slow
def test_what_was_delivered_says_who_has_matured(engine):
    def matured(zone: str, last: int) -> bool:
        project = planning(e={"segments": []}).model_copy(update={"time_zone": zone})
        found = computed(
            engine, project, assigned("ann", "old"), events=[seen("ann", "06 22:30")], days=Days(day(1), day(last))
        )
        return next(row["matured"] for row in found["experiment_outcomes"] if row["metric"] == "buyers")

    # the window is over on the 9th at 22:30 in UTC, half an hour before the day is over in Berlin
    assert (matured("UTC", 8), matured("UTC", 9)) == (False, True)
    assert (matured("Europe/Berlin", 8), matured("Europe/Berlin", 9)) == (False, True)
    assert matured("America/New_York", 9)
    assert not matured("Asia/Tokyo", 9)


@pytest.mark.slow
def test_quantiles_have_the_rows_that_they_rank(engine):
    plan = {"secondary": [{"metric": "took", "window_days": 3}], "segments": []}
    session = {"user_id": "ann", "day": day(6), "entry_event": "see", "exit_event": "see", "events": 1}
    found = computed(
        engine,
        planning(e=plan),
        assigned("ann", "old"),
        events=[seen("ann")],
        sessions=[
            {**session, "session_id": str(number), "started_at": at(f"{number:02} 10:00"), "duration": float(number)}
            for number in (5, 6, 8, 9)
        ],
    )
    assert sorted(row["amount"] for row in found["experiment_amounts"]) == [6.0, 8.0]
    assert {row["metric"] for row in found["experiment_outcomes"]} == {"buyers"}


def test_outcomes_of_sales_come_from_the_rows_that_the_metric_means(engine):
    metric = {"kind": "sum", "fact": "sales_overview", "value": "net"}
    project = planning({"net": metric}, e={"primary": {"metric": "net", "window_days": 3, "minimum_effect": 1},
                                           "secondary": [], "segments": []})  # fmt: skip
    setting = Setting(project, DAYS, DAYS, engine.rows)
    rows = table(
        of_sales.SALES_OVERVIEW,
        {"user_id": "ann", "day": day(6), "ordered_at": at("06 10:00"), "net": 5},
        {"user_id": "ann", "day": day(9), "ordered_at": at("09 10:00"), "net": 50},
        {"user_id": None, "day": day(6), "ordered_at": at("06 10:00"), "net": 500},
    )
    exposures = table(
        promised.EXPERIMENT_EXPOSURES,
        {"experiment": "e", "user_id": "ann", "variant": "old", "exposed_at": at("06 10:00"), "exposed_on": day(6)},
    )
    found = outcomes.experiment_outcomes(setting, exposures, sales_overview=rows)
    (row,) = engine.rows(conform(found, promised.EXPERIMENT_OUTCOMES))
    assert (row["value"], row["matures_at"]) == (5.0, at("06 10:00") + dt.timedelta(days=3))
