from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics_assets.analysis.actives import DAYS, Frequency, active_periods, actives, period_users, trailing_users
from analytics_assets.analysis.periods import Period, count_nobody
from analytics_assets_tests.making import at, day, table

TYPES = {
    "user_id": "string",
    "day": "date",
    "occurred_at": "timestamp('UTC', 6)",
    "device": "string",
    "events": "int64",
}
Visit = dict[str, Any]


def visit(number: int, user: str | None = "ann", device: str | None = None, events: int = 1) -> Visit:
    """A visit on a day of March 2024, or so many days before or after it."""
    when = day(1) + dt.timedelta(days=number - 1)
    return {"user_id": user, "day": when, "device": device, "events": events}


def counted(engine, expression, *names: str) -> list[Any]:
    """Compute a table of one row a period: the values of a column (or several), in the order of time."""
    rows = sorted(engine.rows(expression), key=lambda row: row.get("day") or row.get("at") or row["stretches"])
    return [row[names[0]] if len(names) == 1 else tuple(row[name] for name in names) for row in rows]


def of_days(engine, name: str, *visits: Visit, first: int = 1, last: int = 10) -> list[Any]:
    return counted(engine, actives(table(TYPES, *visits), day(first), day(last)), name)


def test_a_user_is_a_daily_active_once_however_often_they_come(engine):
    assert of_days(engine, "dau", visit(2), visit(2), visit(2, "bob"), last=3) == [0, 2, 0]


def test_a_weekly_active_was_there_on_the_day_or_the_six_before(engine):
    assert of_days(engine, "wau", visit(2)) == [0, 1, 1, 1, 1, 1, 1, 1, 0, 0]


def test_a_monthly_active_was_there_on_the_day_or_the_29_before(engine):
    assert of_days(engine, "mau", visit(1), last=31) == [1] * 30 + [0]


def test_who_comes_again_within_the_window_is_counted_once_and_for_longer(engine):
    assert of_days(engine, "wau", visit(1), visit(3)) == [1] * 9 + [0]


def test_who_comes_again_the_day_after_the_window_has_no_gap(engine):
    assert of_days(engine, "wau", visit(-5), visit(2), last=4) == [1, 1, 1, 1]
    assert of_days(engine, "wau", visit(-6), visit(2), last=4) == [0, 1, 1, 1]


def test_days_before_the_first_one_shown_are_looked_back_on(engine):
    assert of_days(engine, "mau", visit(-10), visit(-40, "bob"), last=2) == [1, 1]


def test_days_after_the_last_one_change_nothing(engine):
    assert of_days(engine, "wau", visit(1), visit(20, "bob"), last=3) == [1, 1, 1]


def test_stickiness_is_daily_over_monthly_actives_of_the_same_day(engine):
    assert of_days(engine, "stickiness", visit(2), visit(2, "bob"), visit(3), last=3) == [None, 1.0, 0.5]


def test_nobody_is_no_user_and_is_counted_apart(engine):
    visits = table(TYPES, visit(1, None), visit(1, None), visit(1, "bob"))
    assert counted(engine, actives(visits, day(1), day(1)), "dau", "mau") == [(1, 1)]
    assert engine.rows(visits.aggregate(nobody=count_nobody(visits))) == [{"nobody": 2}]


def test_without_any_visit_there_are_zeros(engine):
    assert of_days(engine, "dau", last=2) == [0, 0]
    assert of_days(engine, "stickiness", last=2) == [None, None]


def test_each_value_of_a_dimension_is_counted_for_itself_and_so_is_no_value(engine):
    visits = [visit(1, "ann", "phone"), visit(1, "ann", "desk"), visit(2, "bob", "phone"), visit(2, "cas", None)]
    found = engine.rows(actives(table(TYPES, *visits), day(1), day(2), by=["device"]))
    assert {(row["device"], row["day"].day): (row["dau"], row["wau"]) for row in found} == {
        ("phone", 1): (1, 1),
        ("phone", 2): (1, 2),
        ("desk", 1): (1, 1),
        ("desk", 2): (0, 1),
        (None, 1): (0, 0),
        (None, 2): (1, 1),
    }


def test_users_of_a_week_are_those_from_its_first_day_to_its_last(engine):
    visits = table(TYPES, visit(1), visit(3), visit(4), visit(10, "bob"), visit(11, "bob"))
    monday = period_users(visits, Period("week"), day(1), day(11))
    assert counted(engine, monday, "at", "users") == [
        (dt.date(2024, 2, 26), 1),
        (day(4), 2),
        (day(11), 1),
    ]
    sunday = period_users(visits, Period("week", "sunday"), day(1), day(11))
    assert counted(engine, sunday, "users") == [1, 1, 1]
    assert counted(engine, period_users(visits, Period("month"), day(1), day(11)), "at", "users") == [(day(1), 2)]


def test_hours_are_counted_by_instants(engine):
    visits = table(
        TYPES, *({"user_id": "ann", "occurred_at": at(moment)} for moment in ("01 10:59:59.999999", "01 13:00"))
    )
    hourly = trailing_users(visits, {"users": 2}, at("01 10:00"), at("01 15:00"), Period("hour"))
    assert counted(engine, hourly, "at", "users")[:2] == [(at("01 10:00"), 1), (at("01 11:00"), 1)]
    assert counted(engine, hourly, "users") == [1, 1, 0, 1, 1, 0]


def spread(engine, *visits: Visit, first: int = 1, last: int = 4, **says: Any) -> list[int]:
    return counted(engine, active_periods(table(TYPES, *visits), Frequency(**says), day(first), day(last)), "users")


VISITS = [visit(1), visit(2), visit(2), visit(4), visit(2, "bob", events=2), visit(5, "bob"), visit(3, None)]


def test_users_are_spread_by_the_number_of_their_days(engine):
    assert spread(engine, *VISITS) == [1, 0, 1, 0]


def test_cumulated_it_is_so_many_days_or_more(engine):
    assert spread(engine, *VISITS, cumulative=True) == [2, 1, 1, 0]


def test_a_day_can_ask_for_a_number_of_events(engine):
    assert spread(engine, *VISITS, at_least=2) == [2, 0, 0, 0]
    assert spread(engine, *VISITS, at_most=1) == [0, 1, 0, 0]
    assert spread(engine, *VISITS, at_least=3) == [0, 0, 0, 0]


def test_stretches_of_several_days_are_counted_back_from_the_last(engine):
    # of five days by two: the fifth and fourth, the third and second, and the first alone
    assert spread(engine, visit(1), visit(2), last=5, length=2) == [0, 1, 0]
    assert spread(engine, visit(2), visit(3), last=5, length=2) == [1, 0, 0]


def test_months_are_months(engine):
    visits = table(TYPES, visit(1), visit(31), visit(32), visit(-1, "bob"), visit(40, "bob"))
    months = active_periods(visits, Frequency(Period("month")), day(5), dt.date(2024, 5, 1))
    assert counted(engine, months, "users") == [1, 1, 0]


def test_a_stretch_of_no_periods_is_refused():
    with pytest.raises(ValueError, match="one period or more, not 0"):
        Frequency(length=0)


visits = st.lists(
    st.builds(
        visit,
        st.sampled_from([-30, -29, -28, -6, -5, 0, 1, 2, 3, 7, 8, 9, 28, 29, 30, 31, 32]),
        st.sampled_from(["ann", "bob", "cas", None]),
        st.sampled_from(["phone", "desk", None]),
        st.integers(1, 3),
    ),
    max_size=25,
)


def naive(rows: Sequence[Visit], first: dt.date, last: dt.date, *, by_device: bool) -> dict[tuple[Any, ...], Any]:
    seen = {(row["user_id"], row["day"], row["device"] if by_device else "all") for row in rows if row["user_id"]}
    values = {device for _, _, device in seen} if by_device else {"all"}
    found = {}
    for device in values:
        of_value = [(user, when) for user, when, value in seen if value == device]
        for offset in range((last - first).days + 1):
            now = first + dt.timedelta(days=offset)
            found[device, now] = tuple(
                len({user for user, when in of_value if 0 <= (now - when).days < width}) for width in DAYS.values()
            )
    return found


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(visits, st.booleans(), st.randoms(use_true_random=False))
def test_actives_are_those_of_counting_each_window_in_any_order_of_rows(engine, rows, by_device, random):
    first, last = day(1), day(31)
    expected = naive(rows, first, last, by_device=by_device)
    for _ in range(2):
        told = engine.rows(actives(table(TYPES, *rows), first, last, by=["device"] if by_device else ()))
        found = {(row.get("device", "all"), row["day"]): (row["dau"], row["wau"], row["mau"]) for row in told}
        # a value that was seen only too long ago may be there with zeros, or not at all
        assert {key: users for key, users in found.items() if any(users)} == {
            key: users for key, users in expected.items() if any(users)
        }
        assert len(told) == len(found)
        random.shuffle(rows)


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(visits, st.integers(1, 4), st.integers(1, 3), st.sampled_from([None, 1, 4]), st.booleans())
def test_the_spread_is_that_of_counting_each_user(engine, rows, length, at_least, at_most, cumulative):
    first, last = day(1), day(9)
    did: Counter[tuple[str, int]] = Counter()
    for row in rows:
        if row["user_id"] and first <= row["day"] <= last:
            did[row["user_id"], (last - row["day"]).days // length] += row["events"]
    stretches = defaultdict(int)
    for (user, _), events in did.items():
        stretches[user] += at_least <= events <= (at_most or 1_000)
    most = -(-9 // length)
    expected = [
        sum((n >= number if cumulative else n == number) for n in stretches.values()) for number in range(1, most + 1)
    ]
    says = {"length": length, "at_least": at_least, "at_most": at_most, "cumulative": cumulative}
    assert spread(engine, *rows, last=9, **says) == expected
