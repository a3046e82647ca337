from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import ibis
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ibis.expr.types import Table

from analytics_assets.analysis.funnel import (
    MAX_ALIKE,
    NOT_REACHED,
    UNKNOWN,
    Breakdown,
    Exclusion,
    Funnel,
    Step,
    attempts,
    chosen,
    contenders,
    nobody,
    reached,
    times,
    users,
)
from analytics_assets.lake.engine import Engine
from analytics_assets_tests.analysis.naive_funnel import Naive
from analytics_assets_tests.making import at, day, table
from analytics_assets_tests.oracles import funnel_cases

SHARED = Path(os.environ.get("ANALYTICS_SHARED", Path(__file__).resolve().parents[2].parent / "shared"))
ORACLES = Path(os.environ.get("PRODUCT_ORACLES", SHARED / "oracles" / "product_oracles.json"))
VANGUARD = SHARED / "data" / "vanguard_2017_03" / "web_events.csv.gz"

TYPES = {
    "event_id": "string",
    "user_id": "string",
    "session_id": "string",
    "day": "date",
    "occurred_at": "timestamp('UTC', 6)",
    "event_type": "string",
    "device": "string",
    "country": "string",
}
HOUR = dt.timedelta(hours=1)
TINY = dt.timedelta(microseconds=1)
START = at("01 12:00")
Event = Mapping[str, Any]


def happened(story: str, user: str | None = "ann", start: dt.datetime = START, **says: Any) -> list[Event]:
    """Tell what a user did, and how many seconds after the start: `A B@10 C@20.5`; `A/phone` is on a device."""
    events = []
    for number, part in enumerate(story.split()):
        what, _, second = part.partition("@")
        name, _, device = what.partition("/")
        moment = start + dt.timedelta(microseconds=round(float(second or 0) * 1_000_000))
        events.append(
            {
                "event_id": f"{user}{number:03}",
                "user_id": user,
                "day": moment.date(),
                "occurred_at": moment,
                "event_type": name,
                "device": device or None,
                **says,
            }
        )
    return events


def steps(names: str) -> tuple[Step, ...]:
    """Make steps: `A B? C` may do without B. A step is called as its event; a second one of an event gets its place."""
    made: list[Step] = []
    for number, name in enumerate(names.split()):
        event = name.rstrip("?")
        called = event if event not in {step.name for step in made} else f"{event}{number + 1}"
        made.append(Step(called, event, optional=name.endswith("?")))
    return tuple(made)


def seconds(number: float) -> dt.timedelta:
    return dt.timedelta(seconds=number)


def attempted(engine: Engine, funnel: Funnel, *events: Event, **options: Any) -> list[dict[str, Any]]:
    found = attempts(table(TYPES, *events), funnel, keep=("day",), **options)
    return engine.rows(found.order_by(*funnel.of_whom, "position"))


def stood_for(engine: Engine, funnel: Funnel, *events: Event, **options: Any) -> list[dict[str, Any]]:
    """Return the attempts that stand for the units, by unit."""
    found = chosen(attempts(table(TYPES, *events), funnel, **options), funnel)
    return engine.rows(found.order_by(*funnel.of_whom))


def depth(engine: Engine, funnel: Funnel, story: str) -> int | None:
    """Return how deep a user got; 0 where all was voided, None where nothing was begun."""
    found = stood_for(engine, funnel, *happened(story))
    return (0 if found[0]["voided"] else found[0]["deepest"]) if found else None


def lines(engine: Engine, funnel: Funnel, *events: Event, by: Sequence[str] = (), **options: Any):
    found = reached(attempts(table(TYPES, *events), funnel, keep=("day",), **options), funnel, by)
    return engine.rows(found.order_by(*by, *funnel.split, "step"))


def counts(engine: Engine, funnel: Funnel, *events: Event, **options: Any) -> list[int]:
    return [line["observed"] for line in lines(engine, funnel, *events, **options)]


@pytest.mark.parametrize(
    ("story", "deepest"),
    [
        ("A B C", 3),
        ("A@0 B@1 C@2", 3),
        ("A@0 C@1 B@2", 2),
        ("B@0 C@1 A@2", 1),
        ("B@0 C@1", None),
        ("A@0 X@1 B@2 X@3 C@4", 3),
        ("A@0 B@1 A@2 C@3", 3),
        ("C B A", 3),
    ],
)
def test_steps_are_taken_in_order_whatever_else_happens(engine, story, deepest):
    assert depth(engine, Funnel(steps("A B C")), story) == deepest


@pytest.mark.parametrize(("second", "deepest"), [(10 - 1e-6, 2), (10, 2), (10 + 1e-6, 1)])
@pytest.mark.parametrize("order", ["ordered", "strict", "unordered"])
def test_the_window_is_inclusive(engine, order, second, deepest):
    assert depth(engine, Funnel(steps("A B"), order=order, window=seconds(10)), f"A B@{second:f}") == deepest


def test_the_window_is_measured_from_the_first_step(engine):
    assert depth(engine, Funnel(steps("A B C"), window=seconds(10)), "A@0 B@6 C@12") == 2


@pytest.mark.parametrize("order", ["ordered", "strict", "unordered"])
def test_a_window_of_zero_holds_one_instant(engine, order):
    funnel = Funnel(steps("A B"), order=order, window=seconds(0))
    assert depth(engine, funnel, "A@5 B@5") == 2
    assert depth(engine, funnel, "A@5 B@5.000001") == 1


def test_a_window_is_elapsed_time_when_clocks_change(engine):
    new_york = ZoneInfo("America/New_York")
    before = dt.datetime(2024, 3, 9, 12, tzinfo=new_york).astimezone(dt.UTC)
    same_clock = dt.datetime(2024, 3, 10, 12, tzinfo=new_york).astimezone(dt.UTC)
    funnel = Funnel(steps("A B"), window=dt.timedelta(hours=23))
    assert counts(engine, funnel, *happened("A", start=before), *happened("x B", start=same_clock)) == [1, 1]
    funnel = Funnel(steps("A B"), window=dt.timedelta(hours=23) - TINY)
    assert counts(engine, funnel, *happened("A", start=before), *happened("x B", start=same_clock)) == [1, 0]


def test_the_engine_may_count_microseconds_its_own_way(engine):
    funnel = Funnel(steps("A B"), window=seconds(10))
    counted: list[str] = []

    def own(instant: ibis.Value) -> ibis.Value:
        counted.append("once")
        return instant.epoch_seconds().cast("int64") * 1_000_000

    assert attempted(engine, funnel, *happened("A@0 B@3"), microseconds=own) == attempted(
        engine, funnel, *happened("A@0 B@3")
    )
    assert counted == ["once"]


def test_without_a_window_a_step_may_be_reached_at_any_time(engine):
    assert depth(engine, Funnel(steps("A B")), "A B@99999999") == 2


def test_any_entry_is_the_deepest_then_the_earliest(engine):
    funnel = Funnel(steps("A B C"), window=seconds(10))
    story = "A@0 A@5 B@6 A@7 C@14 A@15 B@16"
    (found,) = stood_for(engine, funnel, *happened(story))
    assert (found["entered_at"], found["deepest"], found["elapsed_3"]) == (START + seconds(5), 3, 9_000_000)


def test_first_entry_is_the_first_whatever_comes_of_it(engine):
    funnel = Funnel(steps("A B"), window=seconds(10), entry="first")
    (found,) = stood_for(engine, funnel, *happened("A@0 A@5 B@12"))
    assert (found["entered_at"], found["deepest"]) == (START, 1)


def test_first_entry_voided_is_voided(engine):
    funnel = Funnel(steps("A B"), window=seconds(10), entry="first", exclusions=(Exclusion("X"),))
    assert depth(engine, funnel, "A@0 X@1 A@2 B@3") == 0


@pytest.mark.parametrize(
    ("story", "deepest"),
    [("A", 1), ("A@0 A@0", 2), ("A@0 A@1", 2), ("A@0 A@1 A@2", 3), ("A@0 A@1 A@2 A@3", 3)],
)
@pytest.mark.parametrize("order", ["ordered", "strict", "unordered"])
def test_one_event_satisfies_one_step(engine, order, story, deepest):
    assert depth(engine, Funnel(steps("A A A"), order=order), story) == deepest


@pytest.mark.parametrize(
    ("story", "deepest"),
    [
        ("A@0 B@1 C@2", 3),
        ("A@0 X@1 B@2 C@3", 1),
        ("A@0 A@1 B@2 C@3", 3),
        ("A@0 B@1 B@2 C@3", 2),
        ("A@0 X@0 B@0 C@0", 3),
        ("A@0 B@1 X@2 A@3 B@4 C@5", 3),
    ],
)
def test_strict_lets_nothing_come_between(engine, story, deepest):
    assert depth(engine, Funnel(steps("A B C"), order="strict"), story) == deepest


@pytest.mark.parametrize(
    ("story", "deepest"),
    [
        ("C@0 B@1 A@2", 3),
        ("C@0 X@1 C@2 B@10", 2),
        ("C@0 B@5 A@11", 2),
        ("C@0 B@5 A@11 C@12", 3),
        ("B", 1),
        ("X", None),
    ],
)
def test_unordered_takes_the_steps_as_they_come(engine, story, deepest):
    assert depth(engine, Funnel(steps("A B C"), order="unordered", window=seconds(10)), story) == deepest


def test_steps_of_an_unordered_funnel_that_may_share_events_are_given_as_many_as_there_are(engine):
    def phone(events: Table) -> ibis.Value:
        return events.device == "phone"

    funnel = Funnel((Step("any", "A"), Step("phone", "A", (phone,))), order="unordered")
    assert depth(engine, funnel, "A/phone@0 A/desk@1") == 2
    assert depth(engine, funnel, "A/desk@0 A/phone@1") == 2
    assert depth(engine, funnel, "A/desk@0 A/desk@1") == 1


@pytest.mark.parametrize(
    ("story", "elapsed"),
    [
        ("A@0 B@1 C@2 D@3", (1, 2, 3)),
        ("A@0 D@3", (None, None, 3)),
        ("A@0 C@2 D@3", (None, 2, 3)),
        ("A@0 C@1 B@2 D@3", (2, None, 3)),
        ("A@0 D@3 B@4 C@5", (None, None, 3)),
        ("A@0 B@1 C@2", (1, 2, None)),
        ("A@0 B@11 D@12", (None, None, None)),
    ],
)
def test_an_optional_step_may_be_left_out(engine, story, elapsed):
    (found,) = stood_for(engine, Funnel(steps("A B? C? D"), window=seconds(10)), *happened(story))
    taken = tuple(None if found[f"elapsed_{n}"] is None else found[f"elapsed_{n}"] // 1_000_000 for n in (2, 3, 4))
    assert taken == elapsed


def test_a_step_after_an_optional_one_converts_from_the_required_one_before(engine):
    events = [*happened("A@0 B@1 C@3", "ann"), *happened("A@0 C@5", "bob"), *happened("A@0", "cat")]
    found = lines(engine, Funnel(steps("A B? C")), *events)
    assert [line["observed"] for line in found] == [3, 1, 2]
    assert [line["of_previous"] for line in found] == [None, 1 / 3, 2 / 3]
    assert found[2]["seconds_mean"] == 4


def test_strict_steps_may_be_optional_too(engine):
    funnel = Funnel(steps("A B? C"), order="strict")
    assert [depth(engine, funnel, story) for story in ("A@0 C@1", "A@0 B@1 C@2", "A@0 X@1 C@2")] == [3, 3, 1]


@pytest.mark.parametrize(
    ("story", "deepest"),
    [
        ("A@0 X@1 B@2", 0),
        ("A@1 X@1 B@2", 2),
        ("A@1 X@2 B@2", 2),
        ("A@1 X@3 B@2", 2),
        ("X@0 A@1 B@2", 2),
        ("A@0 X@10", 0),
        ("A@0 X@10.000001", 1),
        ("A@0 X@1 A@2 B@3", 2),
        ("A@0 A@1 X@2", 0),
        ("A@0 X@1 A@2", 1),
    ],
)
def test_an_exclusion_voids_the_attempt_between_two_steps_their_times_left_out(engine, story, deepest):
    funnel = Funnel(steps("A B"), window=seconds(10), exclusions=(Exclusion("X"),))
    assert depth(engine, funnel, story) == deepest


@pytest.mark.slow
def test_an_exclusion_acts_from_its_step_on_if_that_was_reached(engine):
    funnel = Funnel(steps("A B C D"), window=seconds(10), exclusions=(Exclusion("X", after="B", before="D"),))
    stories = ("A X@1 B@2 C@3 D@4", "A B@2 X@3 C@4 D@5", "A B@2 C@3 X@4 D@5", "A X@1", "A B@2 X@9", "A B@1 C@2 D@3 X@4")
    assert [depth(engine, funnel, story) for story in stories] == [4, 0, 0, 1, 0, 4]


def test_an_exclusion_may_ask_for_more_than_an_event(engine):
    only_phone = Exclusion("X", where=(lambda events: events.device == "phone",))
    funnel = Funnel(steps("A B"), exclusions=(only_phone,))
    assert [depth(engine, funnel, f"A X{device}@1 B@2") for device in ("/phone", "/desk", "")] == [0, 2, 2]


def test_a_voided_unit_did_not_enter_and_is_counted(engine):
    funnel = Funnel(steps("A B"), exclusions=(Exclusion("X"),))
    found = lines(engine, funnel, *happened("A@0 X@1 B@2", "ann"), *happened("A@0 B@1", "bob"))
    assert [(line["observed"], line["voided"]) for line in found] == [(1, 1), (1, 1)]


def test_nobody_is_in_no_attempt_and_is_counted(engine):
    events, funnel = [*happened("A B@1 X@2", None), *happened("A", "bob")], Funnel(steps("A B"))
    assert counts(engine, funnel, *events) == [1, 0]
    assert engine.rows(nobody(table(TYPES, *events), funnel)) == [{"events": 2}]


def test_the_unit_may_be_a_session(engine):
    first, second = happened("A@0 B@1", session_id="s1"), happened("x A@2 C@3", session_id="s2")
    funnel = Funnel(steps("A B C"), unit="session_id")
    assert counts(engine, funnel, *first, *second, *happened("A@9", "bob")) == [2, 1, 0]


def test_the_first_time_is_of_all_events_given(engine):
    funnel = Funnel((Step("first", "A", first=True), Step("then", "B")))
    events = happened("A@0 A@100 B@101")
    assert counts(engine, funnel, *events) == [1, 1]
    later = {"since": START + seconds(50)}
    assert counts(engine, funnel, *events, **later) == [0, 0]
    assert counts(engine, Funnel(steps("A B")), *events, **later) == [1, 1]


def test_the_first_time_is_of_the_event_and_then_of_its_conditions(engine):
    phone = (lambda events: events.device == "phone",)
    funnel = Funnel((Step("first", "A", phone, first=True),))
    assert depth(engine, funnel, "A/desk@0 A/phone@1") is None
    assert depth(engine, funnel, "A/phone@0 A/desk@1") == 1


def test_events_outside_of_the_time_asked_for_take_no_part(engine):
    events = happened("A@0 B@10 C@20")
    funnel = Funnel(steps("A B C"))
    assert counts(engine, funnel, *events, until=START + seconds(20)) == [1, 1, 0]
    assert counts(engine, funnel, *events, until=START + seconds(20) + TINY) == [1, 1, 1]


@pytest.mark.parametrize(
    ("attribution", "step", "found"),
    [
        ("first_touch", None, {"desk": [1, 1]}),
        ("last_touch", None, {"phone": [1, 1]}),
        ("step", "A", {UNKNOWN: [1, 1]}),
        ("step", "B", {"tv": [1, 1]}),
        ("all_events", None, {UNKNOWN: [1, 0]}),
    ],
)
def test_a_breakdown_takes_its_value_from_the_event_that_it_says(engine, attribution, step, found):
    funnel = Funnel(steps("A B"), breakdown=Breakdown(("device",), attribution, step))
    events = happened("X/car@0 A@1 B/desk@0.5 B/tv@2 B/phone@3 X/car@4")
    by_value: dict[str, list[int]] = {}
    for line in lines(engine, funnel, *events):
        by_value.setdefault(line["device"], []).append(line["observed"])
    assert by_value == found


def test_who_did_not_reach_the_step_that_gives_the_value_is_told_apart(engine):
    funnel = Funnel(steps("A B"), breakdown=Breakdown(("device",), "step", "B"))
    found = lines(engine, funnel, *happened("A B/tv@1", "ann"), *happened("A", "bob"), *happened("A B@1", "cat"))
    assert {(line["device"], line["observed"]) for line in found if line["step"] == 1} == {
        ("tv", 1),
        (NOT_REACHED, 1),
        (UNKNOWN, 1),
    }


def test_a_step_after_the_window_gives_no_value(engine):
    funnel = Funnel(steps("A B"), window=seconds(10), breakdown=Breakdown(("device",), "step", "B"))
    (found,) = stood_for(engine, funnel, *happened("A@0 B/tv@11"))
    assert found["device"] == NOT_REACHED


@pytest.mark.parametrize("order", ["ordered", "strict", "unordered"])
def test_an_event_of_no_step_is_no_touch(engine, order):
    funnel = Funnel(steps("A B"), order=order, breakdown=Breakdown(("device",)))
    (found,) = stood_for(engine, funnel, *happened("X/car@0 A/tv@1 B/phone@2"))
    assert found["device"] == "tv"


def test_of_events_of_one_instant_and_step_the_first_is_by_event_id(engine):
    one, other = happened("A/tv A/phone")
    funnel = Funnel(steps("A"), breakdown=Breakdown(("device",)))
    for events in ([one, other], [other, one]):
        assert stood_for(engine, funnel, *events)[0]["device"] == "tv"
    swapped = [{**one, "event_id": "z"}, other]
    assert stood_for(engine, funnel, *swapped)[0]["device"] == "phone"
    found = attempts(table(TYPES, *swapped), Funnel(steps("A")), keep=("device",))
    assert engine.rows(chosen(found, Funnel(steps("A"))))[0]["device"] == "phone"


def test_a_breakdown_may_have_several_columns(engine):
    funnel = Funnel(steps("A B"), breakdown=Breakdown(("device", "country")))
    events = [{**e, "country": "NL" if e["event_type"] == "B" else None} for e in happened("A@0 B/tv@1 A/tv@2")]
    (line, _) = lines(engine, funnel, *events)
    assert (line["device"], line["country"]) == ("tv", "NL")


def test_matured_entries_decide_and_immature_ones_are_counted_apart(engine):
    funnel = Funnel(steps("A B"), window=seconds(10))
    events = [
        *happened("A@0 B@5", "ann"),
        *happened("A@0", "bob"),
        *happened("A@90 B@91", "cat"),
        *happened("A@0 A@95 B@96", "dan"),  # matured without B, immature with it
    ]
    found = lines(engine, funnel, *events, as_of=START + seconds(100))
    assert [(n["observed"], n["matured"], n["immature"]) for n in found] == [(4, 3, 1), (3, 1, 2)]
    assert found[1]["of_all"] == found[1]["of_previous"] == 1 / 3
    assert found[1]["drop_off"] == 2
    assert found[1]["seconds_mean"] == found[1]["seconds_median"] == found[1]["seconds_from_entry_q90"] == 5


@pytest.mark.parametrize(("second", "matured"), [(10, False), (10 + 1e-6, True)])
def test_a_window_has_closed_when_its_last_instant_is_known(engine, second, matured):
    """Events from `as_of` on are not known, and one at the very end of the window would still count."""
    (found,) = attempted(
        engine, Funnel(steps("A B"), window=seconds(10)), *happened("A@0"), as_of=START + seconds(second)
    )
    assert found["matured"] is matured


def test_without_a_window_all_have_matured(engine):
    (found,) = attempted(engine, Funnel(steps("A B")), *happened("A@0"), as_of=START + seconds(1))
    assert found["matured"]


def test_each_period_of_entry_is_computed_for_itself(engine):
    events = happened("A@0 A@2 B@3 A@43200 B@43201 A@86400")
    funnel = Funnel(steps("A B"), window=seconds(2))
    found = lines(engine, funnel, *events, by=["day"])
    assert [(line["day"], line["observed"]) for line in found] == [(day(1), 1), (day(1), 1), (day(2), 1), (day(2), 1)]
    found = lines(engine, funnel, *happened("A@0 A@43200 B@43201"), by=["day"])
    assert [line["observed"] for line in found] == [1, 0, 1, 1]
    assert counts(engine, funnel, *events) == [1, 1]


@pytest.mark.slow
@pytest.mark.parametrize("entry", ["any", "first"])
@pytest.mark.parametrize("window", [None, seconds(5)])
def test_who_stands_for_all_days_is_chosen_from_the_best_of_each(engine, entry, window):
    stories = {"ann": "A@0 A@2 B@3 A@43200 B@43201 A@86400 B@86410", "bob": "A@0 X@1 A@2 A@86399", "eve": "A@86399 B@0"}
    events = [event for user, story in stories.items() for event in happened(story, user)]
    funnel = Funnel(steps("A B"), window=window, entry=entry, exclusions=(Exclusion("X"),))
    found = attempts(table(TYPES, *events), funnel, keep=("day",), as_of=START + dt.timedelta(days=1))
    few = contenders(found, funnel, ["day"])
    assert len(engine.rows(few)) < len(engine.rows(found))
    for by in ([], ["day"]):
        best = [engine.rows(chosen(told, funnel, by).order_by("user_id", *by, "entered_at")) for told in (found, few)]
        assert best[0] == [{name: row[name] for name in best[0][0]} for row in best[1]]
        told = [engine.rows(reached(rows, funnel, by).order_by(*by, "step")) for rows in (found, few)]
        assert told[0] == told[1]


def test_rates_of_nothing_are_null(engine):
    found = lines(engine, Funnel(steps("A B C"), window=seconds(10)), *happened("A@0"), as_of=START)
    assert [(line["observed"], line["matured"]) for line in found] == [(1, 0), (0, 0), (0, 0)]
    assert all(line["of_all"] is None and line["of_previous"] is None for line in found)
    found = lines(engine, Funnel(steps("A B C")), *happened("A@0"))
    assert [(line["of_all"], line["of_previous"]) for line in found] == [(1, None), (0, 0), (0, None)]


def test_a_funnel_of_one_step_counts_entries(engine):
    assert counts(engine, Funnel(steps("A")), *happened("A@0 A@1"), *happened("B", "bob")) == [1]


def test_a_step_that_never_occurs_is_reached_by_nobody(engine):
    assert counts(engine, Funnel(steps("A Z B")), *happened("A@0 B@1")) == [1, 0, 0]


@pytest.mark.parametrize("order", ["ordered", "strict", "unordered"])
@pytest.mark.parametrize("events", [[], happened("Z")])
def test_no_events_are_zeros_and_no_lines_of_days(engine, order, events):
    funnel = Funnel(steps("A B"), order=order, exclusions=(Exclusion("X"),))
    assert counts(engine, funnel, *events) == [0, 0]
    assert lines(engine, funnel, *events, by=["day"]) == []


@pytest.mark.slow
def test_one_user_with_many_events(engine):
    n = 200_000
    stream = ibis.range(0, n).unnest().name("n").as_table()
    events = stream.mutate(
        event_id=stream.n.cast("string"),
        user_id=ibis.literal("ann"),
        occurred_at=(ibis.timestamp("2024-03-01 00:00:00") + stream.n.as_interval("s")).cast("timestamp('UTC', 6)"),
        event_type=ibis.cases((stream.n % 3 == 0, "A"), (stream.n % 3 == 1, "B"), else_="C"),
    )
    funnel = Funnel(steps("A B C"), window=seconds(5))
    (found,) = engine.rows(chosen(attempts(events, funnel), funnel))
    assert (found["deepest"], found["entered_at"]) == (3, at("01 00:00"))


def test_times_are_spread_over_bins_of_whole_seconds(engine):
    funnel = Funnel(steps("A B"))
    events = [e for n, s in enumerate((10, 11, 30, 50)) for e in happened(f"A@0 B@{s}", f"u{n}")]
    units = chosen(attempts(table(TYPES, *events), funnel), funnel)
    spread = [(row["seconds"], row["units"]) for row in engine.rows(times(units, funnel, bins=2).order_by("bin"))]
    assert spread == [(10, 2), (30, 1), (50, 1)]
    with pytest.raises(ValueError, match="no times from step 2 to step 2 of 2"):
        times(units, funnel, 2, 2)


def test_nobody_who_converts_is_no_bin(engine):
    funnel = Funnel(steps("A B"))
    units = chosen(attempts(table(TYPES, *happened("A")), funnel), funnel)
    assert engine.rows(times(units, funnel)) == []


def test_users_are_listed_with_how_far_they_got_and_when(engine):
    funnel = Funnel(steps("A B? C"))
    events = [*happened("A@0 C@5", "ann"), *happened("A@1 B@2", "bob")]
    found = engine.rows(users(chosen(attempts(table(TYPES, *events), funnel), funnel), funnel).order_by("user_id"))
    assert [(row["user_id"], row["deepest_name"], row["completed"]) for row in found] == [
        ("ann", "C", True),
        ("bob", "B", False),
    ]
    assert (found[0]["reached_at_2"], found[0]["reached_at_3"]) == (None, START + seconds(5))


@pytest.mark.parametrize(
    ("says", "message"),
    [
        ({"steps": ()}, "at least one step"),
        ({"steps": (Step("a"), Step("a"))}, "names of their own: a, a"),
        ({"steps": steps("A? B")}, "cannot be optional: A"),
        ({"window": seconds(-1)}, "the window is negative"),
        ({"exclusions": (Exclusion("X", "A", "Z"),)}, "no step is called Z: there are A, B"),
        ({"exclusions": (Exclusion("X", "B", "A"),)}, "ends at a step after"),
        ({"exclusions": (Exclusion("X", "B"),)}, "no step after B"),
        ({"steps": steps("A B? C"), "exclusions": (Exclusion("X", "B", "C"),)}, "steps that are required: B is not"),
        ({"steps": steps("A B?"), "order": "unordered"}, "no optional steps"),
        ({"steps": steps("A B C"), "order": "unordered", "exclusions": (Exclusion("X", "B"),)}, "begins at the first"),
        ({"breakdown": Breakdown(("device",), "step", "Z")}, "no step is called Z"),
        ({"steps": steps("A B?"), "breakdown": Breakdown(("device",), "step", "B")}, "the optional step B"),
        ({"order": "unordered", "breakdown": Breakdown(("device",), "step", "B")}, "the step that begins it alone"),
    ],
)
def test_a_funnel_that_means_nothing_is_refused(says, message):
    with pytest.raises(ValueError, match=message):
        Funnel(**{"steps": steps("A B"), **says})


def test_too_many_steps_that_may_share_events_are_refused(engine):
    made = tuple(Step(str(n), "A", (lambda events, n=n: events.device == str(n),)) for n in range(MAX_ALIKE + 1))
    with pytest.raises(ValueError, match=f"more than {MAX_ALIKE} steps"):
        attempted(engine, Funnel(made, order="unordered"), *happened("A"))


# --- against plain loops ---------------------------------------------------------------------------------------------


def on_phone(events: Table) -> ibis.Value:
    return events.device == "phone"


MEANINGS = {on_phone: lambda event: event["device"] == "phone"}
WINDOWS = [None, seconds(0), seconds(10), HOUR]
ZONE = ZoneInfo("America/New_York")
# an hour before clocks go forward in New York, before they go back, and before a midnight there
BEGINNINGS = [dt.datetime(*when, tzinfo=dt.UTC) for when in ((2024, 3, 10, 6), (2024, 11, 3, 5), (2024, 6, 1, 3))]
GAPS = [seconds(0), seconds(0), seconds(1), seconds(5), seconds(10) - TINY, seconds(10), HOUR - TINY, HOUR, HOUR + TINY]


@st.composite
def streams(draw: st.DrawFn) -> list[Event]:
    moment = draw(st.sampled_from(BEGINNINGS))
    events = []
    for number in range(draw(st.integers(0, 25))):
        moment += draw(st.sampled_from(GAPS))
        events.append(
            {
                "event_id": f"e{number:03}",
                "user_id": draw(st.sampled_from(["ann", "ann", "bob", None])),
                "session_id": None,
                "day": moment.astimezone(ZONE).date(),
                "occurred_at": moment,
                "event_type": draw(st.sampled_from("AAABBCX")),
                "device": draw(st.sampled_from(["phone", "desk", None])),
                "country": draw(st.sampled_from(["NL", None])),
            }
        )
    return draw(st.permutations(events))


@st.composite
def funnels(draw: st.DrawFn) -> Funnel:
    order = draw(st.sampled_from(["ordered", "ordered", "strict", "unordered"]))
    made = tuple(
        Step(
            name=f"s{number}",
            event=draw(st.sampled_from(["A", "A", "B", "B", "C", None])),
            where=draw(st.sampled_from([(), (), (on_phone,)])),
            optional=bool(number) and order != "unordered" and draw(st.sampled_from([False, False, True])),
            first=draw(st.sampled_from([False] * 7 + [True])),
        )
        for number in range(draw(st.integers(1, 5 if order != "unordered" else 4)))
    )
    required = [step.name for step in made if not step.optional]
    exclusions = []
    if len(required) > 1:
        for _ in range(draw(st.sampled_from([0, 0, 1, 2]))):
            after = 0 if order == "unordered" else draw(st.integers(0, len(required) - 2))
            before = draw(st.integers(after + 1, len(required) - 1))
            event, where = draw(st.sampled_from([("X", ()), ("B", ()), (None, (on_phone,))]))
            exclusions.append(Exclusion(event, required[after], required[before], where))
    attribution = draw(st.sampled_from([None, None, "first_touch", "last_touch", "step", "all_events"]))
    breakdown = None
    if attribution:
        at_step = required[0] if order == "unordered" else draw(st.sampled_from(required))
        columns = draw(st.sampled_from([("device",), ("device", "country")]))
        breakdown = Breakdown(columns, attribution, at_step if attribution == "step" else None)
    return Funnel(
        made,
        order=order,
        window=draw(st.sampled_from(WINDOWS)),
        entry=draw(st.sampled_from(["any", "first"])),
        exclusions=tuple(exclusions),
        breakdown=breakdown,
    )


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(events=streams(), funnel=funnels(), wait=st.sampled_from([None, *GAPS]))
def test_a_funnel_is_what_plain_loops_find(engine, events, funnel, wait):
    as_of = None if wait is None else max((e["occurred_at"] for e in events), default=START) + TINY + wait
    naive = Naive(funnel, MEANINGS)
    wanted = naive.attempts(events, as_of)
    found = attempts(table(TYPES, *events), funnel, as_of=as_of, keep=("day",))
    said = [name for name in found.columns if name != "position"]

    def plain(rows):
        return sorted((tuple(row[name] for name in said) for row in rows), key=repr)

    rows = engine.rows(found)
    assert plain(rows) == plain(wanted)
    for by in ((), ("day",)):
        best = naive.chosen(wanted, by)
        assert plain(engine.rows(chosen(found, funnel, by))) == plain(best.values())
    closed = naive.chosen([attempt for attempt in wanted if attempt["matured"]], ("day",))
    counted = engine.rows(reached(found, funnel, ["day"]))
    for line in counted:
        here = [u for u in naive.chosen(wanted, ("day",)).values() if _in(u, line, funnel)]
        late = [u for u in closed.values() if _in(u, line, funnel)]
        assert line["observed"] == sum(_reached(unit, line["step"]) for unit in here)
        assert line["matured"] == sum(_reached(unit, line["step"]) for unit in late)
        assert line["voided"] == sum(unit["voided"] for unit in here)
    assert len(counted) == len(funnel.steps) * len(
        {(unit["day"], *(unit[name] for name in funnel.split)) for unit in naive.chosen(wanted, ("day",)).values()}
    )


def _in(unit: Mapping[str, Any], line: Mapping[str, Any], funnel: Funnel) -> bool:
    return all(unit[name] == line[name] for name in ("day", *funnel.split))


def _reached(unit: Mapping[str, Any], step: int) -> bool:
    return not unit["voided"] and (step == 1 or unit[f"elapsed_{step}"] is not None)


# --- against others --------------------------------------------------------------------------------------------------


def _cases() -> list[Any]:
    if not ORACLES.is_file():
        return []
    found = json.loads(ORACLES.read_text())["cases"]
    return [pytest.param(case, id=case["id"]) for case in found if case["kind"] == "funnel" and case["gate"]]


@pytest.mark.acceptance
@pytest.mark.skipif(not ORACLES.is_file(), reason=f"no oracles in {ORACLES}: set ANALYTICS_SHARED")
@pytest.mark.parametrize("case", _cases())
def test_others_find_the_same(case):
    funnel_cases.check(case)


@pytest.mark.acceptance
@pytest.mark.skipif(not VANGUARD.is_file(), reason=f"no data in {SHARED}: set ANALYTICS_SHARED")
@pytest.mark.parametrize(
    ("unit", "window", "expected"),
    [
        ("user_id", dt.timedelta(days=1), [15364, 13140, 12030, 11154, 9566]),
        ("user_id", HOUR, [15364, 13140, 12029, 11152, 9558]),
        ("visit_id", None, [16518, 13639, 12112, 11051, 9324]),
    ],
)
def test_vanguard_is_what_is_known_of_it(engine, unit, window, expected):
    log = ibis.memtable(pd.read_csv(VANGUARD, dtype=str)).distinct()
    events = log.select(
        user_id="client_id",
        visit_id="visit_id",
        event_type="process_step",
        occurred_at=log.date_time.cast("timestamp").cast("timestamp('UTC', 6)"),
        event_id=log.visit_id + log.client_id + log.process_step + log.date_time,
    )
    named = tuple(Step(name, name) for name in ("start", "step_1", "step_2", "step_3", "confirm"))
    funnel = Funnel(named, unit=unit, window=window)
    found = engine.rows(reached(attempts(events, funnel), funnel).order_by("step"))
    assert [line["observed"] for line in found] == expected
