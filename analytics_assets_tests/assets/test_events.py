from __future__ import annotations

from typing import Any

import pytest
from ibis.expr.types import Table

from analytics_assets.assets.events import fact_events, fact_sessions, fact_user_day_events, map_identity
from analytics_assets.contracts.star import FACT_EVENTS, FACT_SESSIONS, FACT_USER_DAY_EVENTS, MAP_IDENTITY
from analytics_assets.lake.engine import Engine
from analytics_assets.lake.tables import conform
from analytics_assets_tests.making import at, day, staged, table

Row = dict[str, Any]


def acted(*events: Row) -> Table:
    """Make staged events, a minute after each other, of type `view`."""
    rows = []
    for number, event in enumerate(events):
        moment = event.get("occurred_at", at(f"01 12:{number:02}"))
        told = {"event_id": f"e{number}", "event_type": "view", "occurred_at": moment, "day": moment.date()}
        rows.append({**told, **event})
    return staged("events", *rows)


def events(engine: Engine, *rows: Row, identity: Table | None = None) -> list[Row]:
    return engine.rows(conform(fact_events(acted(*rows), identity), FACT_EVENTS).order_by("event_id"))


def actors(engine: Engine, *rows: Row, identity: Table | None = None) -> list[tuple[str | None, bool]]:
    return [(row["user_id"], row["is_anonymous"]) for row in events(engine, *rows, identity=identity)]


def known(*pairs: tuple[str, str]) -> Table:
    return table(MAP_IDENTITY, *({"anonymous_id": visitor, "user_id": user} for visitor, user in pairs))


def test_the_actor_is_the_user_or_else_the_visitor(engine):
    rows = [{"user_id": "ann"}, {"user_id": "ann", "anonymous_id": "v1"}, {"anonymous_id": "v1"}, {}]
    assert actors(engine, *rows) == [("ann", False), ("ann", False), ("v1", True), (None, False)]


def test_the_actor_is_the_user_later_known_behind_the_visitor(engine):
    rows = [{"anonymous_id": "v1"}, {"anonymous_id": "v2"}, {"user_id": "bob", "anonymous_id": "v1"}, {}]
    found = actors(engine, *rows, identity=known(("v1", "ann"), ("v9", "zed")))
    assert found == [("ann", False), ("v2", True), ("bob", False), (None, False)]


def test_a_visitor_who_became_known_keeps_the_visitor_beside_the_user(engine):
    (found,) = events(engine, {"anonymous_id": "v1"}, identity=known(("v1", "ann")))
    assert (found["user_id"], found["anonymous_id"], found["session_id"]) == ("ann", "v1", "ann/2024-03-01/1")


def test_an_event_says_whether_its_user_is_known_by_the_identity_map_alone(engine):
    rows = [{"anonymous_id": "v1"}, {"user_id": "bob", "anonymous_id": "v1"}, {"anonymous_id": "v2"}, {}]
    found = events(engine, *rows, identity=known(("v1", "ann")))
    assert [row["is_mapped"] for row in found] == [True, False, False, False]
    assert not any(row["is_mapped"] for row in events(engine, *rows))


def test_an_empty_identity_map_changes_nothing(engine):
    rows = [{"user_id": "ann"}, {"anonymous_id": "v1"}, {}]
    assert events(engine, *rows, identity=known()) == events(engine, *rows)


def test_events_of_nobody_stay_without_a_session(engine):
    assert [row["session_id"] for row in events(engine, {}, {}, {"user_id": "ann"})] == [None, None, "ann/2024-03-01/1"]


def test_a_visitor_who_becomes_known_and_their_user_share_sessions(engine):
    rows = [{"anonymous_id": "v1"}, {"user_id": "ann"}]
    assert len({row["session_id"] for row in events(engine, *rows)}) == 2
    assert len({row["session_id"] for row in events(engine, *rows, identity=known(("v1", "ann")))}) == 1


def test_only_kept_events_are_facts_and_a_rejected_one_does_not_bridge_a_pause(engine):
    rows = [
        {"user_id": "ann", "occurred_at": at("01 12:00")},
        {"user_id": "ann", "occurred_at": at("01 12:25"), "rejected": ["duplicate"]},
        {"user_id": "ann", "occurred_at": at("01 12:50"), "excluded_as": "bot"},
    ]
    assert [(row["event_id"], row["session_id"]) for row in events(engine, *rows)] == [
        ("e0", "ann/2024-03-01/1"),
        ("e2", "ann/2024-03-01/2"),
    ]


def test_the_newest_user_behind_a_visitor_is_the_one(engine):
    rows = staged(
        "identities",
        {"anonymous_id": "v1", "user_id": "old", "delivery_day": day(1)},
        {"anonymous_id": "v1", "user_id": "new", "delivery_day": day(3), "known_from": at("03 10:00")},
        {"anonymous_id": "v1", "user_id": "between", "delivery_day": day(2)},
        {"anonymous_id": "v2", "user_id": "first", "row_number": 1},
        {"anonymous_id": "v2", "user_id": "last", "row_number": 2},
        {"anonymous_id": "v2", "user_id": "bad", "row_number": 3, "rejected": ["duplicate"]},
    )
    found = engine.rows(conform(map_identity(rows), MAP_IDENTITY).order_by("anonymous_id"))
    assert [(row["anonymous_id"], row["user_id"], row["known_from"]) for row in found] == [
        ("v1", "new", at("03 10:00")),
        ("v2", "last", None),
    ]


def facts(*events: Row) -> Table:
    """Make facts of one session."""
    said = {"event_id": "e", "user_id": "ann", "is_anonymous": False, "event_type": "view", "session_id": "ann/1"}
    return table(FACT_EVENTS, *({"day": day(1), **said, **event} for event in events))


def sessions(engine: Engine, *events: Row) -> list[Row]:
    return engine.rows(conform(fact_sessions(facts(*events)), FACT_SESSIONS).order_by("session_id"))


def test_a_session_is_summed_up(engine):
    found = sessions(
        engine,
        {"occurred_at": at("01 12:00:30"), "event_type": "buy", "device": "phone", "campaign_id": "late"},
        {"occurred_at": at("01 12:00:00.25"), "event_type": "land"},
        {"occurred_at": at("01 12:00:10"), "event_type": "view", "device": "tablet", "country": "UK"},
    )
    assert found == [
        {
            "day": day(1),
            "session_id": "ann/1",
            "user_id": "ann",
            "is_anonymous": False,
            "started_at": at("01 12:00:00.25"),
            "ended_at": at("01 12:00:30"),
            "duration": 29.75,
            "events": 3,
            "entry_event": "land",
            "exit_event": "buy",
            "device": "tablet",
            "country": "UK",
            "campaign_id": "late",
            "excluded_as": None,
        }
    ]


def test_events_at_the_same_time_are_ordered_by_their_id(engine):
    same = at("01 12:00")
    (found,) = sessions(
        engine,
        {"occurred_at": same, "event_id": "b", "event_type": "last", "device": "phone"},
        {"occurred_at": same, "event_id": "a", "event_type": "first", "device": "tablet"},
    )
    assert (found["entry_event"], found["exit_event"], found["device"], found["duration"]) == (
        "first",
        "last",
        "tablet",
        0.0,
    )


def test_events_without_a_session_make_none_and_sessions_stay_apart(engine):
    moment = {"occurred_at": at("01 12:00")}
    found = sessions(engine, moment, {**moment, "session_id": None}, {**moment, "session_id": "ann/2"})
    assert [(row["session_id"], row["events"]) for row in found] == [("ann/1", 1), ("ann/2", 1)]


@pytest.mark.parametrize("order", [1, -1])
def test_a_session_with_an_excluded_event_is_excluded(engine, order):
    moment = {"occurred_at": at("01 12:00")}
    (found,) = sessions(engine, *[moment, {**moment, "excluded_as": "bot"}][::order])
    assert (found["excluded_as"], found["events"]) == ("bot", 2)


def test_event_types_are_counted_by_user_and_day(engine):
    rows = [
        {"occurred_at": at("01 12:00"), "event_type": "view"},
        {"occurred_at": at("01 11:00"), "event_type": "view"},
        {"occurred_at": at("01 12:00"), "event_type": "buy"},
        {"occurred_at": at("02 12:00"), "event_type": "view", "day": day(2)},
        {"occurred_at": at("01 10:00"), "event_type": "view", "user_id": "bob"},
        {"occurred_at": at("01 10:00"), "event_type": "view", "excluded_as": "bot"},
        {"occurred_at": at("01 10:00"), "event_type": "view", "user_id": None},
    ]
    found = engine.rows(conform(fact_user_day_events(facts(*rows)), FACT_USER_DAY_EVENTS))
    assert sorted(tuple(row.values()) for row in found) == [
        (day(1), "ann", "buy", 1, at("01 12:00")),
        (day(1), "ann", "view", 2, at("01 11:00")),
        (day(1), "bob", "view", 1, at("01 10:00")),
        (day(2), "ann", "view", 1, at("02 12:00")),
    ]
