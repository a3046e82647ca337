from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics_assets.analysis import experiments
from analytics_assets.analysis.experiments import LEFT_OUT, Measured, Plan
from analytics_assets.statistics.assignment import assign_many
from analytics_assets_tests.analysis import naive_experiments as naive
from analytics_assets_tests.making import at, day, table

Row = dict[str, Any]
TINY = dt.timedelta(microseconds=1)
ASSIGNMENTS = {
    "experiment": "string",
    "user_id": "string",
    "variant": "string",
    "assigned_at": "timestamp('UTC', 6)",
    "excluded_as": "string",
    "day": "date",
}
EVENTS = {
    "event_id": "string",
    "user_id": "string",
    "day": "date",
    "occurred_at": "timestamp('UTC', 6)",
    "device": "string",
}
BOTTLE = Plan("bottle", ("a", "b"), "a", day(5), day(10), (Measured("m", 3),))
CAN = Plan("can", ("a", "b", "c"), "b", day(7), day(7))
MOMENTS = [at("04 23:59:59.999999"), at("05 00:00"), at("07 12:00"), at("07 12:00") + TINY, at("08 00:00")]
MOMENTS += [at("10 23:59:59.999999"), at("11 00:00")]


def assigned(user: str | None, variant: str | None, when: Any = "05 10:00", experiment: str = "bottle", **says: Any):
    instant = at(when) if isinstance(when, str) else when
    date = instant.date() if instant else None
    told = {"experiment": experiment, "user_id": user, "variant": variant, "assigned_at": instant, "day": date}
    return {**told, "excluded_as": None, **says}


def acted(user: str | None, when: Any, **says: Any) -> Row:
    instant = at(when) if isinstance(when, str) else when
    return {"event_id": f"{user}{instant}", "user_id": user, "day": instant.date(), "occurred_at": instant, **says}


def found(engine, assignments: list[Row], events: list[Row], plans=(BOTTLE,), last: int = 31) -> list[Row]:
    lists, happened = table(ASSIGNMENTS, *assignments), table(EVENTS, *events)
    exposing = [experiments.exposing(plan, happened, day(last)) for plan in plans]
    rows = engine.rows(experiments.exposures(plans, lists, experiments.together(exposing)))
    return sorted(rows, key=lambda row: (row["experiment"], row["user_id"]))


def one(engine, assignments: list[Row], *events: Row, **says: Any) -> Row:
    (row,) = found(engine, assignments, list(events), **says)
    return row


instants = st.sampled_from(MOMENTS)
users = st.sampled_from(["ann", "bob", "cat", None])


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.builds(
            assigned,
            users,
            st.sampled_from(["a", "b", "z", None]),
            st.one_of(st.none(), instants),
            st.sampled_from(["bottle", "can", "other"]),
            excluded_as=st.sampled_from([None, None, None, "bot"]),
        ),
        max_size=10,
    ),
    st.lists(st.builds(acted, users, instants), max_size=12),
    st.integers(4, 12),
)
def test_exposures_are_those_of_going_through_users_one_by_one(engine, assignments, events, last):
    plans = (BOTTLE, CAN)
    exposing = [
        {**event, "experiment": plan.name}
        for plan in plans
        for event in events
        if plan.starts <= event["day"] <= min(plan.ends, day(last))
    ]
    wanted = naive.exposures(plans, assignments, exposing)
    assert found(engine, assignments, events, plans, last) == wanted


def test_the_first_event_at_or_after_the_assignment_exposes(engine):
    told = one(engine, [assigned("ann", "a", "07 12:00")], acted("ann", "07 12:00"), acted("ann", "08 00:00"))
    assert (told["exposed_at"], told["exposed_on"], told["left_out"]) == (at("07 12:00"), day(7), None)
    assert not told["exposed_before_assignment"]


def test_an_exposure_before_the_assignment_is_flagged_and_does_not_count(engine):
    told = one(engine, [assigned("ann", "a", "07 12:00")], acted("ann", "07 11:59"))
    assert (told["exposed_at"], told["left_out"], told["exposed_before_assignment"]) == (None, "not exposed", True)
    told = one(engine, [assigned("ann", "a", "07 12:00")], acted("ann", "07 11:59"), acted("ann", "09 11:59"))
    assert (told["exposed_at"], told["left_out"], told["exposed_before_assignment"]) == (at("09 11:59"), None, True)


def test_what_happens_before_the_first_day_is_no_exposure_at_all(engine):
    told = one(engine, [assigned("ann", "a", "05 12:00")], acted("ann", "04 23:59"))
    assert (told["left_out"], told["exposed_before_assignment"]) == ("not exposed", False)


def test_of_a_roster_the_first_event_from_the_first_day_on_exposes(engine):
    told = one(engine, [assigned("ann", "a", None)], acted("ann", "04 12:00"), acted("ann", "06 12:00"))
    assert (told["exposed_at"], told["assigned_on"], told["left_out"]) == (at("06 12:00"), None, None)


@pytest.mark.parametrize(
    ("assignments", "reason"),
    [
        ([assigned("ann", "a"), assigned("ann", "b", "06 10:00")], "several variants"),
        ([assigned("ann", None)], "no variant"),
        ([assigned("ann", "z")], "not in the plan"),
        ([assigned("ann", "a", "11 00:00")], "assigned after the end"),
        ([assigned("ann", "a")], None),
        ([assigned("ann", "a"), assigned("ann", "a", "06 10:00")], None),
    ],
)
def test_who_is_left_out_is_there_with_the_reason(engine, assignments, reason):
    told = one(engine, assignments, acted("ann", "07 00:00"), acted("ann", "11 10:00"))
    assert told["left_out"] == reason
    assert reason in {*LEFT_OUT, None}


def test_of_several_variants_the_first_one_is_known_unless_it_cannot_be(engine):
    late, early = assigned("ann", "a", "06 10:00"), assigned("ann", "b", "05 10:00")
    assert one(engine, [late, early])["first_variant"] == "b"
    assert one(engine, [{**late, "assigned_at": early["assigned_at"]}, early])["first_variant"] is None
    assert one(engine, [{**late, "assigned_at": None}, early])["first_variant"] is None


def test_one_user_in_two_experiments_is_in_each_for_itself(engine):
    both = [assigned("ann", "a"), assigned("ann", "b", experiment="can")]
    rows = found(engine, both, [acted("ann", "06 00:00"), acted("ann", "07 00:00")], (BOTTLE, CAN))
    assert [(row["experiment"], row["variant"], row["exposed_on"]) for row in rows] == [
        ("bottle", "a", day(6)),
        ("can", "b", day(7)),
    ]


def test_an_experiment_that_has_not_begun_exposes_nobody(engine):
    told = one(engine, [assigned("ann", "a", "04 10:00")], acted("ann", "04 11:00"), last=4)
    assert told["left_out"] == "not exposed"
    assert found(engine, [], []) == []


def test_what_is_later_than_the_last_day_delivered_is_not_known_yet(engine):
    events = [acted("ann", "07 10:00")]
    assert one(engine, [assigned("ann", "a")], *events, last=6)["left_out"] == "not exposed"
    assert one(engine, [assigned("ann", "a")], *events, last=7)["left_out"] is None


def test_an_experiment_that_has_ended_exposes_nobody_any_more(engine):
    told = one(engine, [assigned("ann", "a", "10 10:00")], acted("ann", "11 00:00"))
    assert (told["exposed_at"], told["left_out"]) == (None, "not exposed")


def test_what_is_known_of_before(engine):
    lists = [assigned("ann", "a", "06 10:00"), assigned("bob", "b", "06 10:00"), assigned("cat", "b", None)]
    lists.append(assigned("dan", "a"))
    events = [
        acted("ann", "01 10:00", device="phone"),
        acted("ann", "02 10:00"),
        acted("ann", "06 10:00:01", device="tv"),
        acted("ann", "07 10:00", device="watch"),
        acted("bob", "06 10:00", device="tv"),
        acted("cat", "06 10:00"),
        acted(None, "01 10:00", device="none"),
    ]
    happened = table(EVENTS, *events)
    exposed = experiments.exposures(
        [BOTTLE], table(ASSIGNMENTS, *lists), experiments.exposing(BOTTLE, happened, day(31))
    )
    told = engine.rows(experiments.with_past(exposed, happened, ["device"]))
    assert {row["user_id"]: (row["known_before"], row["device"]) for row in told} == {
        "ann": (True, "phone"),
        "bob": (False, "tv"),
        "cat": (False, None),
        "dan": (None, None),
    }
    assert "device" not in experiments.with_past(exposed, happened).columns


def test_traffic_counts_everybody_once_before_anybody_is_left_out(engine):
    lists = [
        assigned("ann", "a"),
        assigned("bob", "a"),
        assigned("bob", "b", "06 10:00"),
        assigned("cat", "z", None),
        assigned("dan", "a", "07 12:00"),
        assigned("eve", "b", excluded_as="staff"),
        assigned("flo", None),
    ]
    events = [acted(user, "06 12:00") for user in ("ann", "bob", "cat", "dan", "gus", None, None)]
    events += [acted("gus", "07 12:00"), acted("gus", "11 12:00")]
    happened, assignments = table(EVENTS, *events), table(ASSIGNMENTS, *lists)
    exposing = experiments.exposing(BOTTLE, happened, day(31))
    exposed = experiments.exposures([BOTTLE], assignments, exposing)
    rows = engine.rows(experiments.traffic(exposed, assignments, exposing))
    shown = {
        (row["day"], row["variant"]): {name: n for name, n in row.items() if isinstance(n, int) and n} for row in rows
    }
    assert shown == {
        (day(5), "a"): {"assigned": 2, "several": 1},
        (day(5), "b"): {"excluded": 1},
        (day(5), ""): {"assigned": 1},
        (day(6), "a"): {"exposed": 2},
        (None, "z"): {"assigned": 1},
        (day(6), "z"): {"exposed": 1},
        (day(7), "a"): {"assigned": 1, "early": 1},
        (day(6), ""): {"unassigned": 1, "nobody": 2},
    }


def test_a_control_that_is_no_variant_is_refused():
    with pytest.raises(ValueError, match="the control 'c' is no variant: a, b"):
        Plan("e", ("a", "b"), "c", day(1), day(2))


def test_a_rollout_after_the_end_changes_nobody_who_was_in_it(engine):
    before = [assigned("ann", "a"), assigned("bob", "b")]
    rollout = [assigned(user, "b", "20 10:00") for user in ("ann", "bob", "cat")]
    events = [acted("ann", "06 12:00"), acted("bob", "06 12:00")]
    told = {row["user_id"]: row for row in found(engine, [*before, *rollout], events)}
    assert {user: row["left_out"] for user, row in told.items()} == {
        "ann": None,
        "bob": None,
        "cat": "assigned after the end",
    }
    assert (told["ann"]["variant"], told["ann"]["variants_seen"]) == ("a", 1)


# --- the documented hash ----------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=30),
    st.sampled_from(["checkout", "salt é", "x"]),
    st.sampled_from([{"a": 0.5, "b": 0.5}, {"a": 0.34, "b": 0.33, "c": 0.33}, {"a": 0.01, "b": 0.99}]),
)
def test_the_hash_in_the_engine_is_the_hash_of_assign(engine, users, salt, shares):
    rows = table({"n": "int64", "user_id": "string"}, *({"n": n, "user_id": user} for n, user in enumerate(users)))
    found = engine.rows(rows.select("n", variant=experiments.hashed_variant(rows.user_id, salt, shares)).order_by("n"))
    assert [row["variant"] for row in found] == assign_many(users, salt, shares)
