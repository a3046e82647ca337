from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest

from analytics_assets.analysis.paths import OTHER
from analytics_assets.assets.activity import (
    active_days,
    active_users,
    churn,
    feature_adoption,
    feature_usage,
    lifecycle,
    path_tables,
    retentions,
    transitions,
)
from analytics_assets.assets.catalog import resolve
from analytics_assets.contracts.model import UNKNOWN_MEMBER
from analytics_assets.contracts.star import FACT_SALES, FACT_SESSIONS, FACT_USER_DAYS
from analytics_assets.lake.days import Days
from analytics_assets.statistics.proportions import wilson
from analytics_assets_tests.answers import MARCH, Row, answer, answers, asking, event, happened, inquiring, people
from analytics_assets_tests.making import at, day, feed, source, table

IDLE = {"is_anonymous": False, "sessions": 1, "events": 1, "active_time": 0.0, "orders": 0, "units": 0, "revenue": 0}


def user_days(**days: Sequence[int]) -> Any:
    """Make the fact of user days: who was there on which days of March."""
    return table(FACT_USER_DAYS, *({"day": day(n), "user_id": u, **IDLE} for u, ns in days.items() for n in ns))


# --- retention --------------------------------------------------------------------------------------------------------

FOUR_DAYS = Days(day(1), day(4))
DAILY: dict[str, Any] = {"period": "day", "periods": 3}


def retained(
    engine: Any,
    events: Sequence[Row],
    users: Sequence[Row] = (),
    sales: Sequence[Row] = (),
    days: Days = FOUR_DAYS,
    **asked: Any,
) -> tuple[list[Row], list[Row]]:
    """Answer a retention: its cells, and its curve."""
    setting = asking(engine, days, {"retention": {"r": {**DAILY, **asked}}})
    tables = {"fact_events": happened(*events), "fact_sales": table(FACT_SALES, *sales), **people(*users)}
    cells, curve = answers(engine, retentions(setting.project), tables, setting).values()
    return cells, curve


def grid(cells: Sequence[Row], measure: str = "retained", value: str = "") -> dict[dt.date, list[Any]]:
    """Read the cells of a value: a cohort's numbers by period; incomplete ones stand in a list of their own."""
    found: dict[dt.date, list[Any]] = {}
    for row in sorted(cells, key=lambda row: (row["cohort"], row["period"])):
        if row["value"] == value:
            found.setdefault(row["cohort"], []).append(row[measure] if row["complete"] else [row[measure]])
    return found


def visits(**days: Sequence[int]) -> list[Row]:
    return [event(user, "visit", f"{n:02} 10:00") for user, ns in days.items() for n in ns]


def test_a_cohort_is_who_began_in_a_period_and_a_cell_who_was_there_so_much_later(engine):
    cells, curve = retained(engine, visits(ann=[1, 2, 3], bob=[1], cas=[2, 4]))
    assert grid(cells) == {day(1): [2, 1, 1], day(2): [1, 0, 1], day(3): [0, 0, [0]], day(4): [0, [0], [0]]}
    assert grid(cells, "users")[day(1)] == [2, 2, 2]
    assert grid(cells, "rate")[day(2)] == [1, 0, 1]
    assert grid(cells, "rate")[day(3)] == [None, None, [None]]
    told = ("period", "cohorts", "users", "retained", "rate")
    assert [tuple(row[name] for name in told) for row in curve] == [
        (0, 2, 3, 3, 1),
        (1, 2, 3, 1, 1 / 3),
        (2, 2, 3, 2, 2 / 3),
    ]
    assert (curve[1]["low"], curve[1]["high"]) == pytest.approx(wilson(1, 3))
    assert (curve[0]["low"], curve[0]["high"]) == pytest.approx(wilson(3, 3))


def test_the_curve_averages_complete_cells_alone(engine):
    """Of dan, who begins on the last day but one, nobody knows yet whether he returns after two days."""
    cells, curve = retained(engine, visits(ann=[1, 2, 3], dan=[3]))
    assert grid(cells)[day(3)] == [1, 0, [0]]
    assert [(row["users"], row["retained"]) for row in curve] == [(2, 2), (2, 1), (1, 1)]


def test_a_cohort_period_longer_than_the_data_has_no_complete_cell(engine):
    cells, curve = retained(engine, visits(ann=[1, 2]), period="month", periods=2)
    assert grid(cells) == {day(1): [[1], [0]]}
    assert curve == []


def test_which_events_begin_and_which_return_is_asked(engine):
    events = [event("ann", "visit", "01 10:00"), event("ann", "buy", "02 10:00"), event("bob", "visit", "01 10:00")]
    events += [event("ann", "visit", "03 10:00"), event("bob", "buy", "03 10:00", properties='{"kind": "gift"}')]
    cells, _ = retained(engine, events, cohort={"event": "buy"}, returned={"event": "visit"})
    assert grid(cells)[day(2)] == [1, 1, 0]
    cells, _ = retained(engine, events, cohort={"event": "buy", "where": {"kind": "gift"}})
    assert grid(cells, "users") == {day(1): [0, 0, 0], day(2): [0, 0, 0], day(3): [1, 1, [1]], day(4): [0, [0], [0]]}


@pytest.mark.slow
def test_each_measure_is_that_of_the_analysis(engine):
    events = visits(ann=[1, 3], bob=[1, 2])
    assert grid(retained(engine, events, measure="unbounded")[0])[day(1)] == [2, 2, 1]
    cells, curve = retained(engine, events, measure="bracket", brackets=[[1, 2]])
    assert [(row["period"], row["period_to"], row["retained"]) for row in cells[:2]] == [(0, 0, 2), (1, 2, 2)]
    assert [(row["period"], row["period_to"]) for row in curve] == [(0, 0), (1, 2)]
    assert grid(retained(engine, [*events, *visits(ann=[3])], at_least=2)[0])[day(1)] == [2, 0, 1]
    assert grid(retained(engine, events, entry="recurring")[0], "users")[day(2)] == [1, 1, 1]


def test_elapsed_time_is_that_of_the_users_own_event(engine):
    events = [event("ann", "visit", "01 22:00"), event("ann", "visit", "02 10:00"), event("ann", "visit", "02 23:00")]
    assert grid(retained(engine, events[:2], elapsed=True)[0])[day(1)] == [1, 0, 0]
    assert grid(retained(engine, events, elapsed=True)[0])[day(1)] == [1, 1, 0]
    assert grid(retained(engine, events[:2])[0])[day(1)] == [1, 1, 0]


def test_a_breakdown_is_by_the_value_of_the_event_that_began(engine):
    """Ann begins on a phone, though a tablet comes first in the alphabet; what she returns on does not matter."""
    events = [
        event("ann", "visit", "01 10:00", device="phone"), event("ann", "visit", "01 11:00", device="a tablet"),
        event("ann", "visit", "02 10:00", device="tv"), event("bob", "visit", "01 10:00"),
    ]  # fmt: skip
    users = [{"user_id": "ann", "country": "DE", "channel": UNKNOWN_MEMBER}]
    cells, curve = retained(engine, events, users, breakdowns=["device", "user.country", "user.channel"])
    by = {
        (row["dimension"], row["value"]): row["retained"]
        for row in cells
        if (row["cohort"], row["period"]) == (day(1), 1)
    }
    assert by == {
        ("", ""): 1, ("device", "phone"): 1, ("device", UNKNOWN_MEMBER): 0, ("user.country", "DE"): 1,
        ("user.country", UNKNOWN_MEMBER): 0, ("user.channel", UNKNOWN_MEMBER): 1,
    }  # fmt: skip
    assert {(row["dimension"], row["value"]) for row in curve} == by.keys()
    unknown = [row["users"] for row in cells if (row["dimension"], row["cohort"]) == ("user.channel", day(1))]
    assert unknown == [2, 2, 2]  # a channel that is not known, and one that says so, are one value


def test_users_of_the_first_days_may_have_been_there_before(engine):
    cells, curve = retained(engine, visits(ann=[1, 2], bob=[2, 3]), censored_days=1)
    assert {(row["cohort"], row["left_censored"]) for row in cells if row["users"]} == {(day(1), True), (day(2), False)}
    assert [row["users"] for row in curve] == [1, 1, 1]


def test_who_is_excluded_or_nobody_is_in_no_cohort(engine):
    events = [event("bot", "visit", "01 10:00", excluded_as="bot"), event(None, "visit", "01 10:00")]
    cells, _ = retained(engine, [*events, *visits(ann=[1])])
    assert grid(cells, "users")[day(1)] == [1, 1, 1]


def sale(user: str | None, when: int, net: Any, **says: Any) -> Row:
    told = {"day": day(when), "ordered_at": at(f"{when:02} 09:59"), "order_id": "o", "line": "1", "status": "completed"}
    return {**told, "user_id": user, "net": net, **says}


SALES = [
    sale("ann", 1, "10"), sale("ann", 1, "0.5", status="pending"), sale("ann", 2, "4"), sale("bob", 3, "2.25"),
    sale("ann", 1, 100, status="cancelled"), sale("ann", 1, 100, excluded_as="test"), sale(None, 1, 100),
    sale("who never came", 1, 100),
]  # fmt: skip


@pytest.mark.parametrize("elapsed", [False, True])
def test_revenue_is_what_the_cohort_brought_in_each_period(engine, elapsed):
    """The orders are at 9:59 of their day, and the users came at 10:00 on the first, or at 9."""
    events = [event("ann", "visit", "01 09:00"), event("bob", "visit", "01 09:00"), event("ann", "visit", "02 10:00")]
    cells, curve = retained(engine, events, sales=SALES, revenue=True, elapsed=elapsed)
    assert grid(cells)[day(1)] == [2, 1, 0]
    assert grid(cells, "revenue")[day(1)] == [Decimal("10.5"), 4, Decimal("2.25")]
    assert grid(cells, "revenue_per_user")[day(1)] == [5.25, 2.0, 1.125]
    assert [row["revenue"] for row in curve] == [Decimal("10.5"), 4, Decimal("2.25")]
    assert curve[0]["revenue_per_user"] == 5.25


def test_an_order_is_no_return_and_returns_bring_revenue_whether_they_count_or_not(engine):
    cells, _ = retained(engine, visits(ann=[1]), sales=SALES, revenue=True, returned={"event": "never"})
    assert grid(cells)[day(1)] == [1, 0, 0]
    assert grid(cells, "revenue")[day(1)] == [Decimal("10.5"), 4, 0]


def test_revenue_by_a_breakdown_is_that_of_the_cohorts_members(engine):
    events = [event("ann", "visit", "01 10:00", device="tv"), event("bob", "visit", "01 10:00")]
    cells, _ = retained(engine, events, sales=SALES, revenue=True, breakdowns=["device"])
    assert grid(cells, "revenue", "tv")[day(1)] == [Decimal("10.5"), 4, 0]
    assert grid(cells, "revenue", UNKNOWN_MEMBER)[day(1)] == [0, 0, Decimal("2.25")]


def test_retention_of_nothing_has_no_users(engine):
    cells, curve = retained(engine, [], breakdowns=["device"], revenue=True)
    assert {row["users"] for row in (*cells, *curve)} <= {0}


def test_a_retention_reads_users_and_sales_only_where_it_speaks_of_them():
    def absent(**asked: Any) -> dict[str, str]:
        found = resolve(inquiring({"retention": {"r": asked}}, source(feed("events", "user_id")))).absent
        return {name: why for name, why in found.items() if name.startswith("retention")}

    assert absent(breakdowns=["device"]) == {}
    assert absent(revenue=True) == {"retention_r": "needs fact_sales", "retention_r_curve": "needs retention_r"}
    assert absent(breakdowns=["user.channel"])["retention_r"] == "needs dim_users and dim_geography"


# --- actives ----------------------------------------------------------------------------------------------------------


def session(user: str, number: int, **says: Any) -> Row:
    when = at(f"{number:02} 10:00")
    told = {"day": day(number), "session_id": f"{user}/{number}", "user_id": user, "is_anonymous": False, "events": 1}
    ends = {"started_at": when, "ended_at": when, "duration": 0.0, "entry_event": "visit", "exit_event": "visit"}
    return {**told, **ends, **says}


def test_daily_weekly_and_monthly_users_and_stickiness(engine):
    found = answer(
        engine, active_users, {"fact_user_days": user_days(ann=[1, 8], bob=[1])}, asking(engine, Days(day(1), day(31)))
    )
    told = {row["day"]: (row["dau"], row["wau"], row["mau"], row["stickiness"]) for row in found}
    assert len(told) == 31
    assert told[day(1)] == (2, 2, 2, 1.0)
    assert told[day(7)] == (0, 2, 2, 0.0)
    assert told[day(8)] == (1, 1, 2, 0.5)
    assert told[day(30)] == (0, 0, 2, 0.0)
    assert told[day(31)] == (0, 0, 1, 0.0)
    assert {(row["dimension"], row["value"]) for row in found} == {("", "")}


def test_actives_by_device_country_and_channel(engine):
    sessions = [
        session("ann", 1, device="tv", country="DE"), session("ann", 2, device="phone"), session("bob", 2, device="tv"),
        session("bot", 1, device="tv", excluded_as="bot"),
    ]  # fmt: skip
    tables = {
        "fact_user_days": user_days(ann=[1, 2], bob=[2]),
        "fact_sessions": table(FACT_SESSIONS, *sessions),
        "dim_users": people({"user_id": "ann", "channel": "ads"})["dim_users"],
    }
    found = answer(engine, active_users, tables, asking(engine, Days(day(1), day(2))))
    told = {(row["dimension"], row["value"], row["day"].day): (row["dau"], row["mau"]) for row in found}
    assert told == {
        ("", "", 1): (1, 1), ("", "", 2): (2, 2),
        ("device", "tv", 1): (1, 1), ("device", "tv", 2): (1, 2),
        ("device", "phone", 1): (0, 0), ("device", "phone", 2): (1, 1),
        ("country", "DE", 1): (1, 1), ("country", "DE", 2): (0, 1),
        ("country", UNKNOWN_MEMBER, 1): (0, 0), ("country", UNKNOWN_MEMBER, 2): (2, 2),
        ("channel", "ads", 1): (1, 1), ("channel", "ads", 2): (1, 1),
        ("channel", UNKNOWN_MEMBER, 1): (0, 0), ("channel", UNKNOWN_MEMBER, 2): (1, 1),
    }  # fmt: skip


def test_the_distribution_of_active_days_of_each_month(engine):
    days = user_days(ann=[1, 2, 31], bob=[5], cas=[6])
    april = {"day": dt.date(2024, 4, 1), "user_id": "ann", **IDLE}
    within = asking(engine, Days(day(1), dt.date(2024, 4, 2)))
    found = answer(engine, active_days, {"fact_user_days": days.union(table(FACT_USER_DAYS, april))}, within)
    assert [tuple(row[name] for name in ("month", "days", "users", "share", "complete")) for row in found] == [
        (day(1), 1, 2, pytest.approx(2 / 3), True),
        (day(1), 3, 1, pytest.approx(1 / 3), True),
        (dt.date(2024, 4, 1), 1, 1, 1.0, False),
    ]


def test_lifecycle_by_day_week_and_month(engine):
    found = answer(
        engine, lifecycle, {"fact_user_days": user_days(ann=[1, 2, 4], bob=[2])}, asking(engine, Days(day(1), day(4)))
    )
    told = ("users", "new", "returning", "resurrecting", "dormant", "quick_ratio", "complete")
    by = {(row["interval"], row["period"]): tuple(row[name] for name in told) for row in found}
    assert [by["day", day(n)] for n in (1, 2, 3, 4)] == [
        (1, 1, 0, 0, 0, None, True),
        (2, 1, 1, 0, 0, None, True),
        (0, 0, 0, 0, -2, 0.0, True),
        (1, 0, 0, 1, 0, None, True),
    ]
    assert by["week", dt.date(2024, 2, 26)] == (2, 2, 0, 0, 0, None, True)
    assert by["week", day(4)] == (1, 0, 1, 0, -1, 0.0, False)
    assert by["month", day(1)] == (2, 2, 0, 0, 0, None, False)
    assert len(by) == len(found) == 7


def test_churn_is_of_those_whose_absence_can_be_seen(engine):
    days = user_days(ann=[4, 11, 18], bob=[4, 18], cas=[4], dan=[25])
    found = answer(engine, churn, {"fact_user_days": days}, asking(engine, Days(day(4), day(31))))
    told = ("users", "observable", "churned", "rate", "observable_share")
    by = {(r["interval"], r["inactive"], r["period"].day): tuple(r[name] for name in told) for r in found}
    assert by["week", 1, 4] == (3, 3, 2, pytest.approx(2 / 3), 1.0)
    assert by["week", 1, 11] == (1, 1, 0, 0.0, 1.0)
    assert by["week", 1, 18] == (2, 2, 2, 1.0, 1.0)
    assert by["week", 1, 25] == (1, 0, 0, None, 0.0)
    assert by["week", 4, 4] == (3, 0, 0, None, 0.0)
    assert by["month", 1, 1] == (4, 0, 0, None, 0.0)
    assert len(by) == len(found) == 4 + 4 + 1


# --- paths ------------------------------------------------------------------------------------------------------------


def trips(**kinds: str) -> list[Row]:
    """Make events, a minute apart; a session is called USER_N."""
    return [
        event(name.split("_")[0], kind, f"{int(name.split('_')[1]):02} 10:{minute:02}", session_id=name)
        for name, told in kinds.items()
        for minute, kind in enumerate(told.split())
    ]


def edges(engine: Any, events: Sequence[Row], **asked: Any) -> list[tuple[Any, ...]]:
    setting = asking(engine, questions={"paths": {"p": asked}})
    (found,) = answers(engine, path_tables(setting.project), {"fact_events": happened(*events)}, setting).values()
    return [tuple(row[name] for name in ("step", "source", "target", "sessions", "pooled")) for row in found]


TRIPS = trips(a_1="home view view buy", a_2="home view", b_1="home help buy home")


def test_paths_count_sessions_step_by_step(engine):
    assert edges(engine, TRIPS, steps=3) == [
        (1, "home", "help", 1, 1), (1, "home", "view", 2, 1), (2, "help", "buy", 1, 1), (2, "view", "buy", 1, 1),
    ]  # fmt: skip
    assert edges(engine, TRIPS, steps=3, collapse_repeats=False)[-1] == (2, "view", "view", 1, 1)
    assert edges(engine, TRIPS, start="view") == [(1, "view", "buy", 1, 1)]
    assert edges(engine, TRIPS, end="buy", steps=2) == [(-1, "help", "buy", 1, 1), (-1, "view", "buy", 1, 1)]
    assert edges(engine, TRIPS, steps=2, nodes=1) == [(1, "home", "view", 2, 1), (1, "home", OTHER, 1, 1)]


def test_paths_leave_out_who_is_excluded_and_what_is_in_no_session(engine):
    events = [{**row, "excluded_as": "bot"} for row in trips(bot_1="home view")]
    events += [{**row, "session_id": None, "user_id": None} for row in trips(who_1="home view")]
    assert edges(engine, events) == []
    assert answer(engine, transitions, {"fact_events": happened(*events)}, asking(engine)) == []


def test_transitions_are_shares_of_all_that_follows(engine):
    found = answer(engine, transitions, {"fact_events": happened(*TRIPS)}, asking(engine))
    assert [tuple(row[name] for name in ("source", "target", "transitions", "share")) for row in found] == [
        ("buy", "home", 1, 1.0), ("help", "buy", 1, 1.0), ("home", "help", 1, pytest.approx(1 / 3)),
        ("home", "view", 2, pytest.approx(2 / 3)), ("view", "buy", 1, 0.5), ("view", "view", 1, 0.5),
    ]  # fmt: skip


# --- features ---------------------------------------------------------------------------------------------------------


def test_features_are_used_at_hours_and_weekdays_of_the_reporting_zone(engine):
    """In Berlin summer time begins on Sunday 2024-03-31: 00:30 UTC is half past one, 01:30 UTC is half past three."""

    def use(user: str | None, when: str, local: int, **says: Any) -> Row:
        return event(user, "use", when, feature="search", **{"day": day(local), **says})

    events = [use("a", "31 00:30", 31), use("a", "31 00:40", 31), use("b", "31 01:30", 31), use(None, "31 01:40", 31)]
    events += [use("a", "30 23:30", 31), use("a", "29 23:30", 30), use("bot", "31 01:30", 31, excluded_as="bot")]
    events.append(event("a", "use", "31 01:30"))
    within = asking(engine, time_zone="Europe/Berlin")
    found = answer(engine, feature_usage, {"fact_events": happened(*events)}, within)
    assert [tuple(row[name] for name in ("feature", "weekday", "hour", "uses", "users")) for row in found] == [
        ("search", 6, 0, 1, 1), ("search", 7, 0, 1, 1), ("search", 7, 1, 2, 1), ("search", 7, 3, 2, 1),
    ]  # fmt: skip


def test_adoption_is_of_all_who_were_active_and_repeated_on_another_day(engine):
    events = [
        event("ann", "use", "01 10:00", feature="search"), event("ann", "use", "01 11:00", feature="search"),
        event("ann", "use", "03 10:00", feature="search"), event("bob", "use", "02 10:00", feature="search"),
        event("bob", "use", "02 11:00", feature="search"), event("ann", "use", "02 10:00", feature="share"),
        event("bot", "use", "02 10:00", feature="share", excluded_as="bot"),
        event(None, "use", "09 10:00", feature="share"), event("cas", "visit", "01 10:00"),
    ]  # fmt: skip
    tables = {"fact_events": happened(*events), "fact_user_days": user_days(ann=[1, 2, 3], bob=[2], cas=[1], dan=[4])}
    users = people({"user_id": "ann", "segment": "gold"}, {"user_id": "bob", "segment": "gold"})
    found = answer(engine, feature_adoption, {**tables, "dim_users": users["dim_users"]}, asking(engine))
    told = ("active_users", "users", "adoption", "uses", "repeat_users", "repeat_share", "first_use", "last_use")
    by = {(row["feature"], row["dimension"], row["value"]): tuple(row[name] for name in told) for row in found}
    assert by == {
        ("search", "", ""): (4, 2, 0.5, 5, 1, 0.5, day(1), day(3)),
        ("search", "segment", "gold"): (2, 2, 1.0, 5, 1, 0.5, day(1), day(3)),
        ("share", "", ""): (4, 1, 0.25, 1, 0, 0.0, day(2), day(2)),
        ("share", "segment", "gold"): (2, 1, 0.5, 1, 0, 0.0, day(2), day(2)),
    }
    without = answer(engine, feature_adoption, tables, asking(engine))
    assert {row["dimension"] for row in without} == {""}


@pytest.mark.parametrize("asked", [active_users, active_days, lifecycle, churn])
def test_where_nobody_was_nothing_is_counted(engine, asked):
    found = answer(engine, asked, {"fact_user_days": user_days()}, asking(engine, MARCH))
    assert {row.get("users", row.get("mau")) for row in found} <= {0}
