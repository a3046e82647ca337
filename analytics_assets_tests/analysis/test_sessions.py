from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ibis import _

from analytics_assets.analysis.sessions import GAP_SECONDS, separate_sessions, session_spans, sessionize
from analytics_assets.lake.engine import Engine
from analytics_assets_tests.making import at, table

TYPES = {
    "event_id": "string",
    "user_id": "string",
    "day": "date",
    "occurred_at": "timestamp('UTC', 6)",
    "session_id": "string",
}
Event = Mapping[str, Any]


def event(number: int, moment: dt.datetime, user: str | None = "ann", session: str | None = None, zone: str = "UTC"):
    local = moment.astimezone(ZoneInfo(zone))
    return {
        "event_id": f"e{number}",
        "user_id": user,
        "day": local.date(),
        "occurred_at": moment,
        "session_id": session,
    }


def sessions(engine: Engine, *events: Event, **options: Any) -> dict[str, str | None]:
    """Return the session of each event, by event."""
    return {row["event_id"]: row["session_id"] for row in engine.rows(sessionize(table(TYPES, *events), **options))}


def after(*seconds: float, **says: Any) -> list[Event]:
    """Make events so many seconds after each other, from noon of the first on."""
    moments, moment = [], at("01 12:00")
    for pause in (0, *seconds):
        moment += dt.timedelta(microseconds=round(pause * 1_000_000))
        moments.append(moment)
    return [event(number, moment, **says) for number, moment in enumerate(moments)]


@pytest.mark.parametrize(
    ("pauses", "numbers"),
    [
        ((GAP_SECONDS,), [1, 1]),
        ((GAP_SECONDS + 0.000001,), [1, 2]),
        ((GAP_SECONDS - 0.000001,), [1, 1]),
        ((0, 0), [1, 1, 1]),
        ((1801, 1800, 1801), [1, 2, 2, 3]),
        ((1000, 1000, 1000), [1, 1, 1, 1]),
    ],
)
def test_a_session_ends_before_a_pause_of_more_than_half_an_hour(engine, pauses, numbers):
    assert list(sessions(engine, *after(*pauses)).values()) == [f"ann/2024-03-01/{number}" for number in numbers]


def test_events_are_in_the_order_of_time_and_not_of_their_ids(engine):
    found = sessions(engine, event(2, at("01 12:00")), event(1, at("01 12:20")), event(0, at("01 12:40")))
    assert set(found.values()) == {"ann/2024-03-01/1"}


def test_the_longest_pause_can_be_chosen(engine):
    assert set(sessions(engine, *after(60, 61), gap=60).values()) == {"ann/2024-03-01/1", "ann/2024-03-01/2"}


def test_a_session_ends_at_midnight_of_the_reporting_zone(engine):
    late, early = at("02 04:59:59"), at("02 05:00:00")
    there = sessions(engine, *(event(n, moment, zone="America/New_York") for n, moment in enumerate((late, early))))
    assert there == {"e0": "ann/2024-03-01/1", "e1": "ann/2024-03-02/1"}
    here = sessions(engine, event(0, late), event(1, early))
    assert set(here.values()) == {"ann/2024-03-02/1"}


def test_each_user_has_sessions_of_their_own(engine):
    found = sessions(engine, event(0, at("01 12:00"), "ann"), event(1, at("01 12:01"), "bob"))
    assert found == {"e0": "ann/2024-03-01/1", "e1": "bob/2024-03-01/1"}


def test_where_nobody_acted_there_is_no_session(engine):
    nobody = event(0, at("01 12:00"), None), event(1, at("01 12:01"), None, "s1")
    assert sessions(engine, *nobody, event(2, at("01 12:02"))) == {
        "e0": None,
        "e1": None,
        "e2": "ann/2024-03-01/1",
    }


def test_a_session_that_the_source_knows_survives_any_pause(engine):
    assert set(sessions(engine, *after(7200, session="s1")).values()) == {"ann/2024-03-01/id:s1"}


def test_one_source_session_of_two_users_on_two_days_is_four_sessions(engine):
    events = [
        event(n, at(f"{day} 12:00"), user, "s1")
        for n, (day, user) in enumerate((day, user) for day in ("01", "02") for user in ("ann", "bob"))
    ]
    assert len(set(sessions(engine, *events).values())) == 4


def test_a_source_session_that_is_called_like_a_number_is_none_of_the_computed(engine):
    found = sessions(engine, event(0, at("01 10:00")), event(1, at("01 15:00"), session="1"))
    assert found["e0"] != found["e1"]


def test_the_other_columns_and_the_number_of_rows_stay(engine):
    events = [{**made, "device": "phone"} for made in after(1, 1)]
    found = engine.rows(sessionize(table({**TYPES, "device": "string"}, *events)))
    assert [{**row, "session_id": None} for row in sorted(found, key=lambda row: row["event_id"])] == events


def test_a_session_can_go_on_over_midnight_and_over_any_pause(engine):
    events = event(0, at("01 23:50")), event(1, at("02 00:10")), event(2, at("02 12:00"))
    assert list(sessions(engine, *events, midnight=False).values()) == ["ann/1", "ann/1", "ann/2"]
    assert list(sessions(engine, *events, gap=None).values()) == ["ann/2024-03-01/1"] + ["ann/2024-03-02/1"] * 2
    assert set(sessions(engine, *events, gap=None, midnight=False).values()) == {"ann/1"}


def separated(engine, *kinds: str, **says: Any) -> list[str | None]:
    """Return the session of each event, an event an hour from ten o'clock in the evening on."""
    made = [{**event(n, at("01 22:00") + dt.timedelta(hours=n)), "event_type": kind} for n, kind in enumerate(kinds)]
    rows = engine.rows(separate_sessions(table({**TYPES, "event_type": "string"}, *made), ["begin", "open"], **says))
    return [row["session_id"] for row in sorted(rows, key=lambda row: row["event_id"])]


def test_separators_begin_sessions_and_are_in_none(engine):
    kinds = "a", "begin", "b", "c", "open", "begin", "d"
    assert separated(engine, *kinds, midnight=False) == [None, None, "ann/1", "ann/1", None, None, "ann/3"]


def test_after_midnight_a_session_waits_for_a_separator(engine):
    assert separated(engine, "begin", "a", "b", "open", "c") == [
        None,
        "ann/2024-03-01/1",
        None,
        None,
        "ann/2024-03-02/1",
    ]


def naive(events: Sequence[Event]) -> dict[str, str | None]:
    """Name the session of each event, one after the other."""
    named: dict[str, str | None] = {}
    last: dict[tuple[str, dt.date], dt.datetime] = {}
    numbers: dict[tuple[str, dt.date], int] = {}
    for e in sorted(events, key=lambda e: (e["occurred_at"], e["event_id"])):
        user_day = e["user_id"], e["day"]
        if e["user_id"] is None:
            named[e["event_id"]] = None
            continue
        if user_day not in last or (e["occurred_at"] - last[user_day]) > dt.timedelta(seconds=1800):
            numbers[user_day] = numbers.get(user_day, 0) + 1
        last[user_day] = e["occurred_at"]
        named[e["event_id"]] = (
            f"{e['user_id']}/{e['day']}/{'id:' + e['session_id'] if e['session_id'] else numbers[user_day]}"
        )
    return named


pauses = st.sampled_from([0, 0, 0.000001, 1, 900, 1799.999999, 1800, 1800.000001, 3600, 20_000, 43_200])


@st.composite
def streams(draw: st.DrawFn) -> list[Event]:
    zone = draw(st.sampled_from(["UTC", "Europe/London", "America/New_York", "Australia/Lord_Howe"]))
    moment = draw(st.sampled_from([at("30 23:00"), at("31 00:30"), at("09 23:30"), at("10 04:59:59")]))
    events = []
    for number in draw(st.permutations(range(draw(st.integers(0, 25))))):
        moment += dt.timedelta(microseconds=round(draw(pauses) * 1_000_000))
        user = draw(st.sampled_from(["ann", "bob", None]))
        events.append(event(number, moment, user, draw(st.sampled_from([None, None, "s1", "s2"])), zone))
    return events


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(streams(), st.randoms(use_true_random=False))
def test_sessions_are_those_of_going_through_the_events_one_by_one_in_any_order_of_rows(engine, events, random):
    expected = naive(events)
    assert sessions(engine, *events) == expected
    random.shuffle(events)
    assert sessions(engine, *events) == expected


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(streams())
def test_spans_are_the_sums_of_the_sessions(engine, events):
    unnamed = [{**made, "session_id": None} for made in events]
    named = sessionize(table(TYPES, *unnamed))
    expected = (
        named.filter(named.session_id.notnull())
        .group_by(["user_id", "day", "session_id"])
        .aggregate(started_at=_.occurred_at.min(), ended_at=_.occurred_at.max(), events=_.count())
        .drop("session_id")
    )
    found = session_spans(table(TYPES, *unnamed))
    assert sorted(map(str, engine.rows(found))) == sorted(map(str, engine.rows(expected)))
