from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import ibis
import pytest

from analytics_assets.analysis.funnel import NOT_REACHED
from analytics_assets.assets.catalog import Graph, resolve
from analytics_assets.assets.funnels import daily_funnels, device_metrics, funnels, user_revenue
from analytics_assets.contracts.model import UNKNOWN_MEMBER
from analytics_assets.contracts.star import FACT_USER_DAY_EVENTS, FACT_USER_DAYS
from analytics_assets.lake.days import Days
from analytics_assets.statistics.multiple import holm
from analytics_assets.statistics.proportions import two_proportions, wilson
from analytics_assets_tests.answers import MARCH, Row, answer, answers, asking, event, happened, inquiring, people
from analytics_assets_tests.making import at, day, feed, source, table

BUY: dict[str, Any] = {"steps": [{"event": "view"}, {"event": "cart"}, {"event": "buy"}], "window": "2 days"}


def ask(
    engine: Any, events: Sequence[Row], users: Sequence[Row] = (), days: Days = MARCH, **says: Any
) -> dict[str, list[Row]]:
    """Answer a funnel called `f`: its tables by what comes after `funnel_f`."""
    setting = asking(engine, days, {"funnels": {"f": {**BUY, **says}}}, time_zone="Europe/Berlin")
    found = answers(engine, funnels(setting.project), {"fact_events": happened(*events), **people(*users)}, setting)
    return {name.removeprefix("funnel_f").removeprefix("_"): rows for name, rows in found.items()}


def lines(rows: Sequence[Row], *columns: str, interval: str = "all", dimension: str = "") -> list[tuple[Any, ...]]:
    told = [row for row in rows if (row["interval"], row["dimension"]) == (interval, dimension)]
    names = (*(["period"] if interval != "all" else []), *(["value"] if dimension else []), "step", *columns)
    return sorted(tuple(row[name] for name in names) for row in told)


def walk(user: str, *kinds: str, start: str = "05 10:", **says: Any) -> list[Row]:
    """Make the events of a user, a minute apart."""
    return [event(user, kind, f"{start}{minute:02}", **says) for minute, kind in enumerate(kinds)]


def many(name: str, count: int, *kinds: str, **says: Any) -> list[Row]:
    return [row for number in range(count) for row in walk(f"{name}{number}", *kinds, **says)]


# --- who reached what -------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_each_step_is_a_share_of_all_and_of_the_step_before_with_its_interval(engine):
    events = [*many("a", 10, "view"), *many("b", 4, "view", "cart"), *many("c", 6, "view", "cart", "buy")]
    found = ask(engine, events)[""]
    assert lines(found, "name", "observed", "matured", "immature", "of_all", "of_previous", "drop_off") == [
        (1, "view", 20, 20, 0, 1.0, None, None),
        (2, "cart", 10, 10, 0, 0.5, 0.5, 10),
        (3, "buy", 6, 6, 0, 0.3, 0.6, 4),
    ]
    ends = {row["step"]: (row["low"], row["high"]) for row in found if row["interval"] == "all"}
    assert ends[1] == (None, None)
    assert ends[2] == pytest.approx(wilson(10, 20))
    assert ends[3] == pytest.approx(wilson(6, 10))


def test_the_time_of_the_steps_is_that_of_the_matured(engine):
    found = ask(engine, [*walk("a", "view", "cart", "buy"), *walk("b", "view", "x", "x", "cart")])
    (cart,) = [row for row in found[""] if (row["interval"], row["step"]) == ("all", 2)]
    assert (cart["seconds_mean"], cart["seconds_median"], cart["seconds_from_entry_q25"]) == (120, 120, 90)
    (buy,) = [row for row in found[""] if (row["interval"], row["step"]) == ("all", 3)]
    assert (buy["seconds_mean"], buy["seconds_from_entry_q90"]) == (60, 120)


def test_units_whose_window_is_open_are_observed_and_immature_and_in_no_rate(engine):
    """The days end on the fifth at midnight in Berlin, 23:00 UTC: the windows of 2 days close from the third on."""
    early, late = "03 22:59:59.999999", "03 23:00"
    days = Days(day(1), day(5))
    events = [event("closed", "view", early), event("open", "view", late), event("open", "cart", "03 23:30")]
    found = ask(engine, events, days=days)
    assert lines(found[""], "observed", "matured", "immature", "of_all") == [
        (1, 2, 1, 1, 1.0),
        (2, 1, 0, 1, 0.0),
        (3, 0, 0, 0, 0.0),
    ]
    assert {row["unit"]: row["matured"] for row in found["users"]} == {"closed": True, "open": False}


def test_midnight_of_the_reporting_zone_closes_a_window_even_on_a_day_of_25_hours(engine):
    """Clocks go back in Berlin on 2024-10-27: the day ends at 23:00 UTC."""
    october = Days(dt.date(2024, 10, 1), dt.date(2024, 10, 27))
    end = dt.datetime(2024, 10, 28, tzinfo=ZoneInfo("Europe/Berlin")).astimezone(dt.UTC)
    instants = {"closed": end - dt.timedelta(days=2, microseconds=1), "open": end - dt.timedelta(days=2)}
    events = [event(user, "view", "01 00:00", occurred_at=when, day=day(1)) for user, when in instants.items()]
    found = ask(engine, events, days=october)
    assert {row["unit"]: row["matured"] for row in found["users"]} == {"closed": True, "open": False}


def test_a_funnel_without_a_window_is_always_matured(engine):
    found = ask(engine, [event("a", "view", "31 23:00"), event("b", "view", "01 10:00")], window=None)[""]
    assert lines(found, "observed", "matured")[0] == (1, 2, 2)


@pytest.mark.slow
def test_a_voided_attempt_did_not_enter_and_is_counted_apart(engine):
    events = [
        *walk("voided", "view", "help", "cart"),
        *walk("fine", "view", "cart"),
        *walk("late", "view", "cart", "help"),
    ]
    found = ask(engine, events, exclusions=[{"event": "help"}])
    assert lines(found[""], "observed", "voided", "voided_matured") == [(1, 2, 1, 1), (2, 2, 1, 1), (3, 0, 1, 1)]
    assert {row["unit"]: row["voided"] for row in found["users"]} == {"voided": True, "fine": False, "late": False}
    again = [*walk("voided", "view", "help", "cart"), *walk("voided", "view", start="06 10:")]
    assert lines(ask(engine, again, exclusions=[{"event": "help"}])[""], "observed", "voided")[0] == (1, 1, 0)


def test_an_exclusion_acts_between_the_steps_that_it_names(engine):
    events = [*walk("between", "view", "cart", "help", "buy"), *walk("before", "view", "help", "cart", "buy")]
    found = ask(engine, events, exclusions=[{"event": "help", "after": "cart", "before": "buy"}])["users"]
    assert {row["unit"]: row["voided"] for row in found} == {"between": True, "before": False}


@pytest.mark.slow
def test_conditions_ask_for_columns_and_for_properties(engine):
    big, small = {"properties": '{"size": "big"}'}, {"properties": '{"size": "small"}'}
    events = [*walk("a", "view", **big), *walk("b", "view", **small), *walk("c", "view"), *walk("d", "see", **big)]
    found = ask(engine, events, steps=[{"event": "view", "where": {"size": "big"}}, {"event": "buy"}])["users"]
    assert [row["unit"] for row in found] == ["a"]
    amounts = [event("a", "view", "05 10:00"), event("a", "buy", "05 11:00", amount="9.99")]
    for least, bought in ((9.99, 1), (10, 0)):
        step = {"event": "buy", "where": {"amount": {"at_least": least}}}
        assert lines(ask(engine, amounts, steps=[{"event": "view"}, step])[""], "observed")[1] == (2, bought)


def test_who_is_excluded_or_nobody_is_in_no_funnel(engine):
    events = [*walk("bot", "view", excluded_as="bot"), event(None, "view", "05 10:00"), *walk("ann", "view")]
    assert [row["unit"] for row in ask(engine, events)["users"]] == ["ann"]


@pytest.mark.slow
def test_the_order_of_the_steps_is_as_declared(engine):
    events = [*walk("a", "cart", "view"), *walk("b", "view", "x", "cart"), *walk("c", "view", "cart")]
    for order, entered, carted in (("ordered", 3, 2), ("strict", 3, 1), ("unordered", 3, 3)):
        steps = [{"event": "view"}, {"event": "cart"}]
        assert lines(ask(engine, events, steps=steps, order=order)[""], "observed") == [(1, entered), (2, carted)]


def test_a_step_may_be_left_out_and_rates_are_of_the_required_step_before(engine):
    steps = [{"event": "view"}, {"event": "cart", "optional": True}, {"event": "buy"}]
    events = [
        *walk("a", "view", "buy"),
        *walk("b", "view", "cart", "buy"),
        *walk("c", "view", "cart"),
        *walk("d", "view"),
    ]
    found = ask(engine, events, steps=steps)
    assert lines(found[""], "observed", "of_previous", "drop_off") == [
        (1, 4, None, None),
        (2, 2, 0.5, 2),
        (3, 2, 0.5, 2),
    ]
    assert {row["unit"] for row in found["users"] if row["completed"]} == {"a", "b"}


@pytest.mark.slow
def test_the_deepest_or_the_first_attempt_stands_for_a_unit(engine):
    events = [event("a", "view", "05 10:00"), event("a", "view", "08 10:00"), event("a", "cart", "08 10:01")]
    (deepest,) = ask(engine, events)["users"]
    (first,) = ask(engine, events, entry="first")["users"]
    assert (deepest["entered_on"], deepest["deepest"]) == (day(8), 2)
    assert (first["entered_on"], first["deepest"]) == (day(5), 1)


def test_only_the_users_first_event_of_its_kind_may_count(engine):
    events = [event("a", "view", "05 10:00"), event("a", "view", "08 10:00"), event("a", "buy", "08 10:01")]
    steps = [{"event": "view", "first_time": True}, {"event": "buy"}]
    assert lines(ask(engine, events, steps=steps)[""], "observed") == [(1, 1), (2, 0)]


# --- units ------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_sessions_can_be_the_units(engine):
    events = [
        *walk("a", "view", "cart"), *walk("a", "view", "cart", "buy", start="06 10:"),
        event("b", "view", "05 23:59"), event("b", "cart", "06 00:01"),
        event("c", "view", "05 10:00", session_id=None),
    ]  # fmt: skip
    found = ask(engine, events, unit="session", window=None)
    assert lines(found[""], "observed") == [(1, 3), (2, 2), (3, 1)]
    assert [row["unit"] for row in found["users"]] == ["a/2024-03-05/1", "a/2024-03-06/1", "b/2024-03-05/1"]


@pytest.mark.slow
def test_a_property_or_a_column_can_be_the_unit(engine):
    team = {"properties": '{"team": "red"}'}
    events = [*walk("a", "view", **team), *walk("b", "cart", start="05 11:", **team), *walk("c", "view")]
    assert lines(ask(engine, events, unit="team")[""], "observed") == [(1, 1), (2, 1), (3, 0)]
    by_country = [*walk("a", "view", country="DE"), *walk("b", "cart", start="05 11:", country="DE")]
    assert [row["unit"] for row in ask(engine, by_country, unit="country")["users"]] == ["DE"]


# --- intervals --------------------------------------------------------------------------------------------------------


def test_each_day_week_and_month_is_computed_for_itself(engine):
    """On Friday the first ann enters twice, and on Monday the fourth once more, to buy."""
    events = [
        *walk("ann", "view", start="01 10:"), *walk("ann", "view", "cart", start="01 12:"),
        *walk("ann", "view", "cart", "buy", start="04 10:"), *walk("bob", "view", start="03 10:"),
    ]  # fmt: skip
    found = ask(engine, events)[""]
    by_day, by_week, by_month = (lines(found, "observed", interval=i) for i in ("day", "week", "month"))
    assert by_day == [
        (day(1), 1, 1), (day(1), 2, 1), (day(1), 3, 0), (day(3), 1, 1), (day(3), 2, 0), (day(3), 3, 0),
        (day(4), 1, 1), (day(4), 2, 1), (day(4), 3, 1),
    ]  # fmt: skip
    monday = dt.date(2024, 2, 26)
    assert by_week == [(monday, 1, 2), (monday, 2, 1), (monday, 3, 0), (day(4), 1, 1), (day(4), 2, 1), (day(4), 3, 1)]
    assert by_month == [(day(1), 1, 2), (day(1), 2, 1), (day(1), 3, 1)]
    assert {row["period"] for row in found if row["interval"] == "all"} == {day(1)}


def test_only_the_intervals_that_are_asked_for_are_there(engine):
    found = ask(engine, walk("a", "view"), intervals=["month"])[""]
    assert {row["interval"] for row in found} == {"all", "month"}


def test_the_day_of_an_entry_is_that_of_the_reporting_zone(engine):
    found = ask(engine, [event("a", "view", "05 23:30", day=day(6))])
    assert lines(found[""], "observed", interval="day")[0] == (day(6), 1, 1)
    assert found["users"][0]["entered_on"] == day(6)


# --- breakdowns -------------------------------------------------------------------------------------------------------

#: ann looks on a phone, puts it into the cart on a tablet, and buys on a desktop; bob says nothing of his device
WANDERING = [
    event("ann", "view", "05 10:00", device="phone"), event("ann", "cart", "05 11:00", device="tablet"),
    event("ann", "buy", "05 12:00", device="desktop"), event("ann", "x", "05 13:00", device="watch"),
    event("bob", "view", "05 10:00"), event("bob", "cart", "05 10:00:01", device="phone"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("breakdown", "expected"),
    [
        ("device", {"phone": [1, 1, 1], UNKNOWN_MEMBER: [1, 1, 0]}),
        ({"attribution": "first_touch"}, {"phone": [2, 2, 1]}),
        ({"attribution": "last_touch"}, {"desktop": [1, 1, 1], "phone": [1, 1, 0]}),
        ({"step": "cart"}, {"tablet": [1, 1, 1], "phone": [1, 1, 0]}),
        ({"step": "buy"}, {"desktop": [1, 1, 1], NOT_REACHED: [1, 1, 0]}),
        ({"attribution": "all_events"}, {"phone": [1, 0, 0], UNKNOWN_MEMBER: [1, 0, 0]}),
    ],
    ids=["entry", "first_touch", "last_touch", "cart", "buy", "all_events"],
)
def test_a_breakdown_has_the_value_of_the_event_that_it_says(engine, breakdown, expected):
    asked = breakdown if isinstance(breakdown, str) else {"by": "device", **breakdown}
    found = ask(engine, WANDERING, breakdowns=[asked])[""]
    told: dict[str, list[int]] = {}
    for value, _, observed in lines(found, "observed", dimension="device"):
        told.setdefault(value, []).append(observed)
    assert told == expected
    assert lines(found, "observed") == [(1, 2), (2, 2), (3, 1)]


@pytest.mark.slow
def test_with_all_events_a_unit_is_in_the_funnel_of_each_of_its_values(engine):
    events = [*walk("a", "view", device="phone"), *walk("a", "view", "cart", "buy", device="tv", start="05 11:")]
    found = ask(engine, events, breakdowns=[{"by": "device", "attribution": "all_events"}])[""]
    assert lines(found, "observed", dimension="device") == [
        *(("phone", 1, 1), ("phone", 2, 0), ("phone", 3, 0)),
        *(("tv", 1, 1), ("tv", 2, 1), ("tv", 3, 1)),
    ]


@pytest.mark.slow
def test_several_breakdowns_stand_side_by_side(engine):
    users = [{"user_id": "ann", "country": "DE", "channel": "ads"}, {"user_id": "bob", "country": "FR"}]
    asked = ["device", "user.country", "user.channel", {"by": "country", "attribution": "last_touch"}]
    found = ask(engine, WANDERING, users, breakdowns=asked)
    assert lines(found[""], "observed", dimension="user.country")[::3] == [("DE", 1, 1), ("FR", 1, 1)]
    assert lines(found[""], "observed", dimension="user.channel")[::3] == [(UNKNOWN_MEMBER, 1, 1), ("ads", 1, 1)]
    assert lines(found[""], "observed", dimension="country")[0] == (UNKNOWN_MEMBER, 1, 2)
    assert {"by_device", "by_user_country", "by_user_channel"} <= found["attempts"][0].keys()
    assert "by_country" not in found["attempts"][0]


def test_a_unit_has_one_value_in_each_period_and_values_add_up(engine):
    events = [*walk("a", "view", device="phone"), *walk("a", "view", "cart", device="tv", start="09 10:")]
    found = ask(engine, events, breakdowns=["device"])[""]
    assert lines(found, "observed", dimension="device")[0] == ("tv", 1, 1)
    by_day = [line for line in lines(found, "observed", interval="day", dimension="device") if line[2] == 1]
    assert by_day == [(day(5), "phone", 1, 1), (day(9), "tv", 1, 1)]


def test_a_property_with_any_name_breaks_down(engine):
    events = walk("a", "view", properties='{"Utm Source/x": "mail"}')
    found = ask(engine, events, breakdowns=["Utm Source/x"])
    assert lines(found[""], "observed", dimension="Utm Source/x")[0] == ("mail", 1, 1)
    assert found["attempts"][0]["by_utm_source_x"] == "mail"


# --- attempts, users, times -------------------------------------------------------------------------------------------


def test_every_beginning_is_an_attempt(engine):
    events = [*walk("a", "view", "view", "cart"), *walk("a", "view", start="09 10:")]
    found = sorted(ask(engine, events)["attempts"], key=lambda row: row["entered_at"])
    hour = 60 * 60 * 1_000_000
    assert [(row["deepest"], row["elapsed_2"]) for row in found] == [(2, hour // 30), (2, hour // 60), (1, None)]
    assert {(row["dimension"], row["value"], row["unit"]) for row in found} == {("", "", "a")}


@pytest.mark.slow
def test_events_of_one_instant_begin_one_attempt(engine):
    """Their attempts are alike, and could not be told apart by the key."""
    events = [event("a", "view", "05 10:00"), event("a", "view", "05 10:00"), event("a", "cart", "05 10:01")]
    assert len(ask(engine, events)["attempts"]) == 1
    told_apart = ask(engine, events, breakdowns=["device"])
    assert len(told_apart["attempts"]) == 2
    assert lines(told_apart[""], "observed") == lines(ask(engine, events)[""], "observed")


def test_the_users_are_listed_with_how_far_they_came_and_when(engine):
    found = ask(engine, [*walk("a", "view", "cart"), *walk("b", "view", "cart", "buy")])["users"]
    told = ("unit", "deepest", "deepest_name", "completed", "reached_at_2", "reached_at_3")
    assert [tuple(row[name] for name in told) for row in found] == [
        ("a", 2, "cart", False, at("05 10:01"), None),
        ("b", 3, "buy", True, at("05 10:01"), at("05 10:02")),
    ]
    assert {row["entered_at"] for row in found} == {at("05 10:00")}


def test_the_steps_of_an_unordered_funnel_have_no_name_in_the_list(engine):
    (row,) = ask(engine, walk("a", "cart", "view"), order="unordered")["users"]
    assert (row["deepest"], row["deepest_name"]) == (2, None)


def test_times_spread_the_matured_over_how_long_they_took_from_the_entry(engine):
    events = [*many("a", 3, "view", "cart"), *walk("b", "view", "x", "x", "cart", "buy")]
    found = ask(engine, [*events, event("open", "view", "31 10:00"), event("open", "cart", "31 20:00")])["times"]
    carts = [(row["seconds"], row["units"]) for row in found if row["step"] == 2]
    assert carts == [(60, 3), (120, 0), (180, 1)]
    assert sum(row["units"] for row in found if row["step"] == 3) == 1


# --- friction ---------------------------------------------------------------------------------------------------------


def crowds(**bought: tuple[int, int]) -> list[Row]:
    """Make, for each device, so many who viewed, of whom so many bought."""
    found: list[Row] = []
    for device, (viewed, done) in bought.items():
        found += many(f"{device}-v", viewed - done, "view", device=device)
        found += many(f"{device}-b", done, "view", "buy", device=device)
    return found


STEPS = [{"event": "view"}, {"event": "buy"}]


def test_friction_ranks_where_everybody_is_lost(engine):
    events = [*many("a", 5, "view"), *many("b", 20, "view", "cart"), *many("c", 3, "view", "cart", "buy")]
    found = [row for row in ask(engine, events)["friction"] if not row["dimension"]]
    told = ("step", "name", "came", "went_on", "rate", "lost", "rank")
    assert [tuple(row[name] for name in told) for row in found] == [
        (2, "cart", 28, 23, 23 / 28, 5.0, 2),
        (3, "buy", 23, 3, 3 / 23, 20.0, 1),
    ]
    assert {(row["p_value"], row["significant"], row["rate_of_others"]) for row in found} == {(None, None, None)}


def test_friction_compares_each_value_with_the_others_and_adjusts_for_how_many_there_are(engine):
    events = crowds(phone=(60, 6), tv=(40, 20), desktop=(50, 25))
    found = {row["value"]: row for row in ask(engine, events, steps=STEPS, breakdowns=["device"])["friction"]}
    counts = {"phone": (6, 60, 45, 90), "tv": (20, 40, 31, 110), "desktop": (25, 50, 26, 100)}
    tests = {value: two_proportions(*count) for value, count in counts.items()}
    adjusted = dict(zip(tests, holm([test.p_value for test in tests.values()]), strict=True))
    for value, (went_on, came, other_went, other_came) in counts.items():
        row = found[value]
        assert (row["came"], row["went_on"]) == (came, went_on)
        assert (row["rate"], row["rate_of_others"]) == (went_on / came, other_went / other_came)
        assert row["difference"] == pytest.approx(went_on / came - other_went / other_came)
        assert row["p_value"] == pytest.approx(tests[value].p_value)
        assert row["p_adjusted"] == pytest.approx(adjusted[value])
        assert row["p_adjusted"] >= row["p_value"]
        assert row["significant"] == (adjusted[value] < 0.05)
        assert row["lost"] == pytest.approx(came * (other_went / other_came - went_on / came))
    assert {value: row["rank"] for value, row in found.items() if value} == {"phone": 1, "tv": None, "desktop": None}
    assert found["phone"]["lost"] == pytest.approx(24)
    assert found["desktop"]["significant"]  # better than the others: significant, and no loss to rank


def test_a_difference_that_chance_explains_has_no_rank(engine):
    found = ask(engine, crowds(phone=(10, 4), tv=(10, 6)), steps=STEPS, breakdowns=["device"])["friction"]
    assert {(row["significant"], row["rank"]) for row in found if row["dimension"]} == {(False, None)}


def test_a_difference_is_adjusted_over_all_breakdowns_and_steps(engine):
    events = crowds(phone=(40, 12), tv=(40, 21))
    alone = ask(engine, events, steps=STEPS, breakdowns=["device"])["friction"]
    p = next(row["p_value"] for row in alone if row["value"] == "phone")
    assert 0.025 < p < 0.05
    assert p == pytest.approx(two_proportions(12, 40, 21, 40).p_value)
    assert not any(row["significant"] for row in alone if row["dimension"])  # two tests: 2p is above 0.05


def test_a_value_that_stands_alone_is_compared_with_nobody(engine):
    (_, row) = ask(engine, many("a", 5, "view", device="tv"), steps=STEPS, breakdowns=["device"])["friction"]
    assert (row["value"], row["rate"], row["rate_of_others"], row["p_value"], row["rank"]) == (
        "tv",
        0,
        None,
        None,
        None,
    )


@pytest.mark.slow
def test_a_value_is_not_compared_at_steps_that_decide_it(engine):
    """Who has the value of the step `cart` came to it: no wonder that nobody of them is lost before."""
    events = [*many("a", 30, "view"), *many("b", 30, "view", "cart", device="tv")]
    events += many("c", 30, "view", "cart", "buy", device="phone")
    found = ask(engine, events, breakdowns=[{"by": "device", "step": "cart"}])["friction"]
    compared = {(row["value"], row["step"]) for row in found if row["p_value"] is not None}
    assert compared == {("tv", 3), ("phone", 3)}
    assert {row["value"]: row["rank"] for row in found if row["dimension"] and row["step"] == 3}["tv"] == 1


def test_friction_is_of_the_matured_in_the_whole_range(engine):
    events = [*many("a", 4, "view", "buy"), *many("open", 50, "view", start="31 10:")]
    (row,) = ask(engine, events, steps=STEPS)["friction"]
    assert (row["came"], row["went_on"], row["lost"]) == (4, 4, 0)


# --- bad input --------------------------------------------------------------------------------------------------------


def test_nothing_happened(engine):
    found = ask(engine, [], breakdowns=["device", {"by": "country", "attribution": "all_events"}])
    assert {name: len(rows) for name, rows in found.items()} == dict.fromkeys(
        ["attempts", "", "times", "users", "friction"], 0
    )


@pytest.mark.slow
def test_a_step_that_never_occurs_is_reached_by_nobody(engine):
    found = ask(engine, walk("a", "view", "cart"), steps=[{"event": "view"}, {"event": "viwe"}, {"event": "cart"}])
    assert lines(found[""], "observed", "of_previous", "low") == [(1, 1, None, None), (2, 0, 0, 0), (3, 0, None, None)]
    assert [(row["step"], row["rate"]) for row in found["friction"]] == [(2, 0), (3, None)]
    assert found["times"] == []
    nothing = ask(engine, walk("a", "view", "cart"), steps=[{"event": "viwe"}, {"event": "cart"}])
    assert nothing[""] == []


def test_one_event_in_two_steps_satisfies_one_at_a_time(engine):
    steps = [{"event": "view"}, {"event": "view", "name": "view again"}]
    found = ask(engine, [*walk("once", "view"), *walk("twice", "view", "view")], steps=steps)
    assert lines(found[""], "name", "observed") == [(1, "view", 2), (2, "view again", 1)]


def test_no_event_in_the_period_leaves_other_periods_as_they_are(engine):
    found = ask(engine, walk("a", "view", start="20 10:"), days=Days(day(1), day(25)))[""]
    assert {row["period"] for row in found if row["interval"] == "day"} == {day(20)}


@pytest.mark.slow
def test_one_user_with_very_many_events(engine):
    """100,000 events of one user, a second apart: views, and a purchase at the end."""
    count = 100_000
    start = at("01 00:00")
    n = ibis.range(count).unnest().name("n").as_table()
    made = n.select(
        day=ibis.literal(day(1)),
        event_id=n.n.cast("string").lpad(6, "0"),
        user_id=ibis.literal("ann"),
        session_id=ibis.literal("s"),
        event_type=(n.n == count - 1).ifelse("buy", "view"),
        occurred_at=(ibis.literal(start) + n.n.as_interval("s")).cast("timestamp('UTC', 6)"),
        excluded_as=ibis.null("string"),
        device=(n.n % 2 == 0).ifelse("tv", "phone"),
        properties=ibis.null("string"),
    )
    for order in ("ordered", "strict", "unordered"):
        asked = {"steps": STEPS, "window": "1 hour", "order": order, "breakdowns": ["device"]}
        setting = asking(engine, questions={"funnels": {"f": asked}})
        attempts, reached, *_ = funnels(setting.project)
        tables = {"fact_events": made}
        found = engine.rows(reached.compute({attempts.name: attempts.compute(tables, setting)}, setting))
        assert lines(found, "observed") == [(1, 1), (2, 1)]


# --- the classic tables -----------------------------------------------------------------------------------------------


def stages(engine: Any, *did: Row, **asked: Any) -> list[Row]:
    setting = asking(engine, questions={"funnels": asked or {"f": BUY}})
    rows = [{"events": 1, "first_at": at("01 00:00"), **row} for row in did]
    tables = {"fact_user_day_events": table(FACT_USER_DAY_EVENTS, *rows)}
    (found,) = answers(engine, daily_funnels(setting.project), tables, setting).values()
    return found


def did(user: str, kind: str, when: int = 1) -> Row:
    return {"day": day(when), "user_id": user, "event_type": kind}


def test_the_daily_funnel_counts_users_at_each_stage_of_each_day(engine):
    found = stages(engine, did("a", "view"), did("b", "view"), did("a", "cart"), did("c", "buy"), did("c", "cart", 2))
    told = ("day", "step", "name", "users", "of_first", "of_previous")
    assert [tuple(row[name] for name in told) for row in found] == [
        (day(1), 1, "view", 2, 1.0, None), (day(1), 2, "cart", 1, 0.5, 0.5), (day(1), 3, "buy", 1, 0.5, 1.0),
        (day(2), 1, "view", 0, None, None), (day(2), 2, "cart", 1, None, None), (day(2), 3, "buy", 0, None, 0.0),
    ]  # fmt: skip


def test_the_daily_funnel_is_of_funnels_whose_steps_are_types_of_events(engine):
    plain = {"steps": [{"event": "view"}, {"event": "view", "name": "again"}]}
    conditional = {"steps": [{"event": "view", "where": {"device": "tv"}}, {"event": "buy"}]}
    found = stages(engine, did("a", "view"), plain=plain, conditional=conditional)
    assert [(row["funnel"], row["name"], row["users"]) for row in found] == [
        ("plain", "view", 1),
        ("plain", "again", 1),
    ]
    assert not list(daily_funnels(asking(engine, questions={"funnels": {"c": conditional}}).project))
    assert stages(engine) == []


def test_device_metrics_sum_up_each_device(engine):
    events = [
        event("a", "view", "01 10:00", device="tv"), event("a", "purchase", "01 10:01", device="tv", amount="9.99"),
        event("a", "purchase", "02 10:01", device="tv", amount="0.01"), event("b", "view", "01 10:00", device="tv"),
        event("b", "view", "01 10:00"), event(None, "view", "01 10:00", device="tv"),
        event("bot", "purchase", "01 10:00", device="tv", amount="100", excluded_as="bot"),
        event(None, "view", "01 10:00", device="radio"),
    ]  # fmt: skip
    found = answer(engine, device_metrics, {"fact_events": happened(*events)}, asking(engine))
    told = ("device", "users", "sessions", "events", "buyers", "purchases", "conversion", "revenue")
    assert sorted(tuple(row[name] for name in told) for row in found) == [
        (UNKNOWN_MEMBER, 1, 1, 1, 0, 0, 0.0, None),
        ("radio", 0, 0, 1, 0, 0, None, None),
        ("tv", 2, 3, 5, 1, 2, 0.5, Decimal("10.0000")),
    ]
    assert answer(engine, device_metrics, {"fact_events": happened()}, asking(engine)) == []


def test_user_revenue_sums_up_each_user(engine):
    idle = {
        "is_anonymous": False,
        "sessions": 1,
        "events": 1,
        "active_time": 0.0,
        "orders": 0,
        "units": 0,
        "revenue": 0,
    }
    ordered = {**idle, "orders": 2, "units": 3, "revenue": "5.5"}
    days = table(
        FACT_USER_DAYS,
        {"day": day(1), "user_id": "a", **idle}, {"day": day(2), "user_id": "a", **ordered},
        {"day": day(4), "user_id": "a", **ordered}, {"day": day(5), "user_id": "a", **idle},
        {"day": day(1), "user_id": "b", **idle},
    )  # fmt: skip
    found = answer(engine, user_revenue, {"fact_user_days": days}, asking(engine))
    told = ("user_id", "active_days", "orders", "units", "revenue", "first_order", "last_order")
    assert [tuple(row[name] for name in told) for row in found] == [
        ("a", 4, 4, 6, Decimal(11), day(2), day(4)),
        ("b", 1, 0, 0, Decimal(0), None, None),
    ]


# --- the graph --------------------------------------------------------------------------------------------------------


def test_a_funnel_reads_users_only_where_it_speaks_of_them():
    def graph(breakdown: str, *, users: bool) -> Graph:
        sources = [source(feed("events", "user_id")), *([source(feed("users"))] if users else [])]
        return resolve(inquiring({"funnels": {"f": {**BUY, "breakdowns": [breakdown]}}}, *sources))

    tables = {f"funnel_f{rest}" for rest in ("", "_attempts", "_times", "_users", "_friction")}
    assert tables <= graph("device", users=False).contracts().keys()
    without = graph("user.country", users=False)
    assert not tables & without.contracts().keys()
    assert without.absent["funnel_f_attempts"] == "needs dim_users and dim_geography"
    assert without.absent["funnel_f"] == "needs funnel_f_attempts"
    assert tables <= graph("user.country", users=True).contracts().keys()
