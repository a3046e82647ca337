from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics_assets.assets import marketing
from analytics_assets.assets.catalog import Setting, declaration
from analytics_assets.contracts.sales import ORDER_VALUE
from analytics_assets.contracts.star import (
    DIM_CAMPAIGNS,
    DIM_GEOGRAPHY,
    DIM_USERS,
    FACT_CAMPAIGN_SPEND,
    FACT_SESSIONS,
)
from analytics_assets.lake.days import Days
from analytics_assets.lake.tables import conform
from analytics_assets_tests.making import day, project, table

Row = dict[str, Any]

SPRING = Days(day(1), day(1) + dt.timedelta(days=59))
REGIONS = ("north", "south", "east", "west", "inner", "outer")
CONTROL = {"by": "region", "property": "withheld"}
TABLES = (
    marketing.attribution_orders, marketing.attribution, marketing.campaign_performance, marketing.campaign_daily,
    marketing.campaign_units, marketing.campaign_incrementality, marketing.campaign_placebos,
    marketing.campaign_roi_analysis, marketing.campaign_correlation,
)  # fmt: skip


def later(number: int) -> dt.date:
    """Give a day of the spring by its number, from 0."""
    return SPRING.first + dt.timedelta(days=number)


def setting(engine: Any, control: Mapping[str, Any] | None = CONTROL, days: Days = SPRING) -> Setting:
    told = {"marketing": {"control": control} if control else {}}
    return Setting(project(first_day=days.first, **told), days, days, engine.rows)


def campaign(name: str, first: int | None, last: int | None, *control: str, **says: Any) -> Row:
    told = {"campaign_id": name, "name": name.title(), "channel": "mail"}
    told |= {"starts_on": None if first is None else later(first), "ends_on": None if last is None else later(last)}
    return {**told, "properties": json.dumps({"withheld": ";".join(control)}), **says}


def spend(name: str, numbers: Sequence[int], each: Any = 10) -> list[Row]:
    told = {"campaign_id": name, "channel": "mail", "spend": each, "impressions": 100, "clicks": 5}
    return [{**told, "day": later(number)} for number in numbers]


def order(name: str, user: str | None, number: int, net: Any = 20, **says: Any) -> Row:
    at = dt.datetime.combine(later(number), dt.time(12), dt.UTC)
    money = {"net": net, "profit": Decimal(str(net)) / 2, "net_uncosted": 0}
    return {"order_id": name, "user_id": user, "day": later(number), "ordered_at": at, **money, **says}


def session(user: str, number: int, campaign_id: str | None = None, **says: Any) -> Row:
    at = dt.datetime.combine(later(number), dt.time(8), dt.UTC)
    told = {"user_id": user, "day": later(number), "started_at": at, "campaign_id": campaign_id}
    return {"session_id": f"{user}/{number}/{says.pop('n', 0)}", **told, **says}


def world(boost: float = 1.0, window: range = range(35, 49), boosted: Sequence[str] = REGIONS[:3]) -> Row:
    """Make two months of visits and orders in six regions, a user each; in some, a window has more of both."""
    rng = np.random.default_rng(8)
    orders, sessions = [], []
    for number in range(len(SPRING)):
        for region in REGIONS:
            more = boost if number in window and region in boosted else 1.0
            came = int(rng.poisson(20 * more))
            sessions += [session(f"user {region}", number, n=n) for n in range(came)]
            orders += [order(f"{region}/{number}/{n}", f"user {region}", number) for n in range(came // 4)]
    return {"orders": orders, "sessions": sessions}


HERE = (
    [{"user_id": f"user {region}", "geography_id": region} for region in REGIONS],
    [{"geography_id": region, "region": region, "country": "DE"} for region in REGIONS],
)


def computed(engine: Any, within: Setting, wanted: Sequence[Any] = TABLES, **given_: Any) -> dict[str, list[Row]]:
    """Compute the tables of marketing of rows made by hand; a table whose rows are None is not there."""
    users, places = given_.get("people", HERE)
    rows: dict[str, tuple[Any, list[Row] | None]] = {
        "dim_users": (DIM_USERS, users), "dim_geography": (DIM_GEOGRAPHY, places),
        "dim_campaigns": (DIM_CAMPAIGNS, given_.get("campaigns", [])),
        "fact_campaign_spend": (FACT_CAMPAIGN_SPEND, given_.get("spend", [])),
        "fact_sessions": (FACT_SESSIONS, given_.get("sessions", [])),
        "order_value": (ORDER_VALUE, given_.get("orders", [])),
    }  # fmt: skip
    known = {name: table(contract, *told) for name, (contract, told) in rows.items() if told is not None}
    found = {}
    for function in wanted:
        asset = declaration(function)
        if all(name in known for name in asset.requires):
            answer = engine.rows(conform(asset.compute(known, within), asset.contract))
            found[asset.name] = sorted(answer, key=lambda row: [str(row[name]) for name in asset.contract.key])
            known[asset.name] = table(asset.contract, *found[asset.name])
    return found


def told(rows: Sequence[Row], **key: Any) -> Row:
    (found,) = [row for row in rows if all(row[name] == value for name, value in key.items())]
    return found


SALE = campaign("sale", 35, 48, "west", "inner", "outer")


@pytest.fixture(scope="module")
def boosted() -> Row:
    return world(1.5)


@pytest.fixture(scope="module")
def sale(engine: Any, boosted: Row) -> dict[str, list[Row]]:
    return computed(engine, setting(engine), campaigns=[SALE], spend=spend("sale", range(35, 49), 50), **boosted)


@pytest.mark.slow
def test_a_campaign_with_a_control_has_an_increment_of_every_outcome(sale):
    planted = {"visits": 3 * 14 * 10, "orders": 3 * 14 * 10 / 4, "revenue": 3 * 14 * 10 / 4 * 20}
    for outcome, about in planted.items():
        found = told(sale["campaign_incrementality"], outcome=outcome)
        assert (found["state"], found["reason"]) == ("identified", "")
        assert found["low"] < about * 1.1
        assert found["high"] > about * 0.9
        assert found["low"] < found["estimate"] < found["high"]
        assert (found["treated_units"], found["control_units"], found["days_before"]) == (3, 3, 35)
        assert (found["units"], found["control"]) == ("region", "west;inner;outer")
        assert (found["first_day"], found["last_day"], found["complete"]) == (later(35), later(48), True)
        assert (found["placebos"], found["unplaced"]) == (2, 0)


def test_every_placebo_date_is_listed_with_its_days(sale):
    dates = [(row["placebo"], row["first_day"], row["last_day"], row["days"]) for row in sale["campaign_placebos"]]
    assert dates == [(1, later(21), later(34), 14), (2, later(7), later(20), 14)] * 3
    assert not any(row["shows"] for row in sale["campaign_placebos"])
    assert all(row["low"] < 0 < row["high"] for row in sale["campaign_placebos"])


def test_returns_stand_side_by_side_each_under_its_own_name(sale, boosted):
    rows = {row["method"]: row for row in sale["campaign_roi_analysis"]}
    assert list(rows) == ["attributed_first", "attributed_last", "attributed_linear", "incremental", "naive"]
    net = sum(row["net"] for row in boosted["orders"] if later(35) <= row["day"] <= later(48))
    naive = rows["naive"]
    assert (naive["revenue"], naive["spend"], naive["state"], naive["profit"]) == (net, 700, "counted", net / 2)
    assert (naive["roas"], naive["roi"]) == (net / 700, (net - 700) / 700)
    assert (naive["roi_low"], naive["revenue_low"]) == (None, None)
    assert rows["attributed_last"]["revenue"] == 0  # nobody came through it
    assert rows["attributed_last"]["roi"] == -1
    found, increment = rows["incremental"], told(sale["campaign_incrementality"], outcome="revenue")
    assert float(found["revenue"]) == pytest.approx(increment["estimate"], abs=1e-3)
    assert found["roi"] == pytest.approx((increment["estimate"] - 700) / 700, abs=1e-3)
    assert found["roi_low"] == pytest.approx((increment["low"] - 700) / 700)
    assert found["revenue_high"] == increment["high"]
    assert float(found["profit"]) == pytest.approx(increment["estimate"] / 2, abs=1e-3)
    assert (found["state"], found["name"], found["channel"]) == ("identified", "Sale", "mail")
    assert found["roi"] < naive["roi"] / 3


def test_attributed_revenue_is_what_is_credited(engine):
    orders = [order("a", "user north", 40, 30), order("b", "user north", 41, 12), order("c", "user west", 41, 8)]
    sessions = [session("user north", 38, "sale"), session("user north", 40, "other")]
    found = computed(
        engine, setting(engine), campaigns=[SALE], spend=spend("sale", [38]), orders=orders, sessions=sessions
    )
    rows = {row["method"]: row for row in found["campaign_roi_analysis"] if row["campaign_id"] == "sale"}
    assert {name: row["revenue"] for name, row in rows.items() if name != "incremental"} == {
        "naive": 50, "attributed_first": 42, "attributed_last": 0, "attributed_linear": 21,
    }  # fmt: skip
    other = told(found["campaign_roi_analysis"], campaign_id="other", method="attributed_last")
    assert (other["revenue"], other["spend"], other["roi"], other["state"]) == (42, 0, None, "no spend")
    whole = {row["campaign_id"]: row for row in found["attribution"] if row["model"] == "last"}
    assert {name: (row["orders"], row["net"], row["customers"]) for name, row in whole.items()} == {
        "other": (2, 42, 1), "(none)": (1, 8, 1),
    }  # fmt: skip
    assert sum(row["share"] for row in whole.values()) == pytest.approx(1)


@pytest.mark.slow
@given(
    st.lists(
        st.tuples(st.sampled_from([*HERE[0], {"user_id": None}]), st.integers(0, 50), st.integers(1, 10_000)),
        max_size=8,
    )
)
@settings(max_examples=10, deadline=None)
def test_what_is_credited_adds_up_to_what_was_sold_in_every_table(engine, sold):
    orders = [
        order(f"o{n}", user["user_id"], number, Decimal(cents) / 100) for n, (user, number, cents) in enumerate(sold)
    ]
    sessions = [session(f"user {region}", number, name) for number, name in enumerate("abca") for region in REGIONS]
    wanted = [marketing.attribution_orders, marketing.attribution, marketing.campaign_daily]
    found = computed(engine, setting(engine), wanted, spend=spend("a", [1, 2]), orders=orders, sessions=sessions)
    net = sum((row["net"] for row in orders), Decimal(0))
    for model in ("first", "last", "linear"):
        assert sum(row["net"] for row in found["attribution"] if row["model"] == model) == net
        assert sum(row["orders"] for row in found["attribution"] if row["model"] == model) == len(orders)
    assert sum(row["net"] for row in found["campaign_daily"]) == net
    assert sum(row["orders"] for row in found["campaign_daily"]) == len(orders)


# --- what cannot be told ----------------------------------------------------------------------------------------------


def reasons(found: Mapping[str, list[Row]], name: str = "sale") -> set[tuple[str, str]]:
    rows = [row for row in found["campaign_incrementality"] if row["campaign_id"] == name]
    assert len(rows) == 3
    return {(row["state"], row["reason"]) for row in rows}


UNKNOWN = "not identified"


@pytest.mark.parametrize(
    ("control", "told_of", "reason"),
    [
        (None, SALE, "no control is declared"),
        (CONTROL, campaign("sale", 35, 48), "withheld names no region in which it does not run"),
        (
            {"by": "region", "values": {"other": ["west"]}}, SALE,
            "the project declares no region in which it does not run",
        ),
        (CONTROL, {**SALE, "properties": None}, "withheld names no region in which it does not run"),
        (CONTROL, campaign("sale", 35, 48, *REGIONS), "no treated units"),
        (CONTROL, campaign("sale", 35, 48, "atlantis"), "no control units; nothing is known of region atlantis"),
        (CONTROL, campaign("sale", None, None, "west"), "nothing tells its days"),
        (CONTROL, campaign("sale", 48, 35, "west"), "it ends before it begins"),
        (CONTROL, campaign("sale", 70, 80, "west"), "it has not begun"),
        (CONTROL, campaign("sale", -20, -10, "west"), "it ended before the first day"),
        (CONTROL, campaign("sale", 5, 20, "west", "inner"), "5 days before it to compare with, of 14 at least"),
        (CONTROL, campaign("sale", -3, 20, "west", "inner"), "0 days before it to compare with, of 14 at least"),
    ],
)  # fmt: skip
def test_without_a_control_or_days_it_is_not_identified_and_the_reason_is_told(
    engine, boosted, control, told_of, reason
):
    wanted = [marketing.campaign_units, marketing.campaign_incrementality, marketing.campaign_placebos]
    found = computed(engine, setting(engine, control), wanted, campaigns=[told_of], **boosted)
    assert reasons(found) == {(UNKNOWN, reason)}
    assert all(row["estimate"] is None for row in found["campaign_incrementality"])
    assert found["campaign_placebos"] == []


def test_a_control_may_be_declared_by_campaign_and_by_a_column_of_users(engine, boosted):
    people = ([{**user, "segment": user["geography_id"][0]} for user in HERE[0]], HERE[1])
    control = {"by": "segment", "values": {"sale": ["w", "i", "o"]}}
    wanted = [marketing.campaign_units, marketing.campaign_incrementality]
    by_segment = computed(engine, setting(engine, control), wanted, campaigns=[SALE], people=people, **boosted)
    by_region = computed(engine, setting(engine), wanted, campaigns=[SALE], **boosted)
    assert reasons(by_segment) == {("identified", "")}
    for outcome in ("visits", "orders", "revenue"):
        one, other = (told(rows["campaign_incrementality"], outcome=outcome) for rows in (by_segment, by_region))
        assert one["estimate"] == pytest.approx(other["estimate"])
        assert (one["units"], one["control"]) == ("segment", "w;i;o")


def test_a_region_that_nobody_knows_is_told_of_and_the_others_are_compared(engine, boosted):
    wanted = [marketing.campaign_units, marketing.campaign_incrementality]
    told_of = campaign("sale", 35, 48, "west", "inner", "outer", "atlantis")
    found = computed(engine, setting(engine), wanted, campaigns=[told_of], **boosted)
    assert reasons(found) == {("identified", "nothing is known of region atlantis")}


def test_two_campaigns_at_once_are_one_effect(engine, boosted):
    wanted = [marketing.campaign_units, marketing.campaign_incrementality]
    twin = {**SALE, "campaign_id": "twin"}
    found = computed(engine, setting(engine), wanted, campaigns=[SALE, twin], **boosted)
    assert reasons(found) == {(UNKNOWN, "twin ran on the same days, and on 0 days alone before: one effect")}
    torn = campaign("torn", 40, 55, "west")
    found = computed(engine, setting(engine), wanted, campaigns=[SALE, torn], **boosted)
    assert reasons(found) == {(UNKNOWN, "torn began or ended while it ran")}
    always = campaign("always", 0, 59)
    found = computed(engine, setting(engine), wanted, campaigns=[SALE, always], **boosted)
    assert reasons(found) == {("identified", "")}


def test_days_on_which_another_campaign_ran_are_not_compared(engine, boosted):
    early = campaign("early", 10, 15, "north", "west")
    wanted = [marketing.campaign_units, marketing.campaign_incrementality, marketing.campaign_placebos]
    found = computed(engine, setting(engine), wanted, campaigns=[SALE, early], **boosted)
    assert told(found["campaign_incrementality"], campaign_id="sale", outcome="visits")["days_before"] == 29
    dates = [(row["first_day"], row["last_day"]) for row in found["campaign_placebos"] if row["outcome"] == "visits"]
    assert dates == [(later(21), later(34)), (later(1), later(20))]


@pytest.mark.slow
def test_where_placebo_dates_show_something_nothing_is_identified_and_no_return_is_told(engine):
    odd = world(1.8, range(20, 35))
    found = computed(engine, setting(engine), campaigns=[SALE], spend=spend("sale", [36]), **odd)
    row = told(found["campaign_incrementality"], outcome="visits")
    assert row["state"] == UNKNOWN
    assert "placebo dates show something" in row["reason"]
    assert row["placebos_showing"] > 0
    assert any(row["shows"] for row in found["campaign_placebos"])
    roi = told(found["campaign_roi_analysis"], method="incremental")
    assert (roi["state"], roi["revenue"], roi["roi"], roi["roi_low"]) == (UNKNOWN, None, None, None)
    assert "placebo dates show something" in roi["reason"]


@pytest.mark.slow
def test_visits_need_events_and_the_rest_does_not(engine, boosted):
    found = computed(
        engine, setting(engine), campaigns=[SALE], spend=spend("sale", [36]), orders=boosted["orders"], sessions=None
    )
    visits = told(found["campaign_incrementality"], outcome="visits")
    assert (visits["state"], visits["reason"], visits["treated"]) == (UNKNOWN, "no visits are delivered", 0)
    assert told(found["campaign_incrementality"], outcome="revenue")["state"] == "identified"
    assert {row["campaign_id"] for row in found["attribution"]} == {"(none)"}
    named = [{**row, "campaign_id": "sale"} for row in boosted["orders"][:3]]
    found = computed(engine, setting(engine), spend=spend("sale", [36]), orders=named, sessions=None)
    assert {row["campaign_id"]: row["orders"] for row in found["attribution"]} == {"sale": 3}


@pytest.mark.slow
def test_a_campaign_before_the_first_sale_brought_nothing_and_says_so(engine):
    orders = [order("a", "user north", 50), order("b", "user west", 55)]
    early = campaign("sale", 20, 25, "west")
    found = computed(engine, setting(engine), campaigns=[early], spend=spend("sale", range(20, 26)), orders=orders)
    rows = {row["method"]: row for row in found["campaign_roi_analysis"]}
    assert (rows["naive"]["revenue"], rows["naive"]["profit"], rows["naive"]["roi"]) == (0, None, -1)
    assert rows["incremental"]["state"] == UNKNOWN
    assert rows["incremental"]["reason"].startswith("treated units have none before")
    correlated = told(found["campaign_correlation"], dimension="campaign", lag=0)
    assert (correlated["state"], correlated["r"]) == ("too few points", None)


@pytest.mark.slow
def test_spend_without_orders_and_orders_without_spend(engine):
    nothing_sold = computed(engine, setting(engine), campaigns=[SALE], spend=spend("sale", range(35, 49)))
    assert {row["method"]: row["roi"] for row in nothing_sold["campaign_roi_analysis"]} == {
        "naive": -1, "attributed_first": -1, "attributed_last": -1, "attributed_linear": -1, "incremental": None,
    }  # fmt: skip
    assert nothing_sold["attribution"] == []
    assert told(nothing_sold["campaign_performance"], dimension="")["cpa"] is None
    no_table = computed(engine, setting(engine), campaigns=[SALE], spend=spend("sale", [35]), orders=None)
    assert set(no_table) == {"campaign_performance", "campaign_daily"}
    assert told(no_table["campaign_performance"], dimension="")["orders"] is None
    unpaid = computed(
        engine, setting(engine), campaigns=[SALE], orders=[order("a", "user north", 40, campaign_id="gift")]
    )
    rows = {(row["campaign_id"], row["method"]): row for row in unpaid["campaign_roi_analysis"]}
    assert (rows["gift", "attributed_last"]["revenue"], rows["gift", "attributed_last"]["roi"]) == (20, None)
    assert (rows["gift", "naive"]["state"], rows["gift", "naive"]["reason"]) == ("no dates", "nothing tells its days")
    assert (rows["sale", "naive"]["revenue"], rows["sale", "naive"]["state"]) == (20, "no spend")
    assert unpaid["campaign_correlation"] == []


@pytest.mark.slow
def test_zero_spend_has_no_return_rather_than_an_endless_one(engine, boosted):
    found = computed(engine, setting(engine), campaigns=[SALE], spend=spend("sale", range(35, 49), 0), **boosted)
    for row in found["campaign_roi_analysis"]:
        assert (row["spend"], row["roi"], row["roas"], row["roi_low"]) == (0, None, None, None)
    kept = told(found["campaign_roi_analysis"], method="incremental")
    assert (kept["state"], kept["reason"]) == ("identified", "nothing was spent")
    assert kept["revenue"] > 0
    assert told(found["campaign_correlation"], dimension="campaign", lag=0)["r"] is None


@pytest.mark.slow
def test_a_campaign_that_runs_still_is_told_so_far(engine, boosted):
    open_end = campaign("sale", 35, None, "west", "inner", "outer")
    found = computed(engine, setting(engine), campaigns=[open_end], **boosted)
    row = told(found["campaign_incrementality"], outcome="visits")
    assert (row["last_day"], row["complete"], row["state"]) == (SPRING.last, True, "identified")
    beyond = campaign("sale", 35, 90, "west", "inner", "outer")
    found = computed(engine, setting(engine), campaigns=[beyond], **boosted)
    assert told(found["campaign_incrementality"], outcome="visits")["complete"] is False


@pytest.mark.slow
def test_without_any_campaign_there_is_nothing(engine, boosted):
    found = computed(engine, setting(engine), **boosted)
    assert {
        name: rows for name, rows in found.items() if rows and name not in {"campaign_units", "campaign_daily"}
    } == {name: found[name] for name in ("attribution", "attribution_orders")}
    assert {row["campaign_id"] for row in found["campaign_daily"]} == {"(none)"}


def test_without_users_the_increment_of_a_return_is_not_identified(engine, boosted):
    found = computed(
        engine, setting(engine), people=(None, None), campaigns=[SALE], spend=spend("sale", [36]), **boosted
    )
    row = told(found["campaign_roi_analysis"], method="incremental")
    assert (row["state"], row["reason"]) == (UNKNOWN, "what users do by region is not known")


def test_three_days_cost_nothing_and_say_why(engine):
    days = Days(day(1), day(3))
    found = computed(
        engine, setting(engine, days=days), campaigns=[campaign("sale", 1, 2, "west")], spend=spend("sale", [1, 2]),
        orders=[order("a", "user north", 0), order("b", "user west", 1)], sessions=[session("user north", 0)],
    )  # fmt: skip
    assert reasons(found) == {(UNKNOWN, "1 day before it to compare with, of 14 at least")}
    assert {row["state"] for row in found["campaign_correlation"]} == {"too few points"}


# --- correlation ------------------------------------------------------------------------------------------------------


def test_spend_is_correlated_with_the_revenue_of_the_day_and_of_days_after_it(engine):
    rng = np.random.default_rng(2)
    money = rng.integers(1, 100, 60).tolist()
    paid = [row for number in range(50) for row in spend("sale", [number], money[number])]
    orders = [order(f"o{number}", None, number, 3 * money[number - 2]) for number in range(2, 60)]
    found = computed(engine, setting(engine), [marketing.campaign_correlation], spend=paid, orders=orders)
    rows = found["campaign_correlation"]
    assert {(row["dimension"], row["value"]) for row in rows} == {("", ""), ("channel", "mail"), ("campaign", "sale")}
    by_lag = {row["lag"]: row for row in rows if row["dimension"] == "campaign"}
    assert list(by_lag) == list(marketing.LAGS)
    assert by_lag[2]["r"] == pytest.approx(1)
    assert abs(by_lag[0]["r"]) < 0.5
    assert (by_lag[0]["points"], by_lag[0]["first_day"], by_lag[0]["last_day"]) == (50, later(0), later(49))
    assert (by_lag[0]["state"], by_lag[0]["low"] < 0 < by_lag[0]["high"]) == ("measured", True)


def test_days_that_are_not_over_are_not_correlated_and_days_without_spend_are_zeros(engine):
    paid = [*spend("sale", [40], 10), *spend("sale", [59], 20)]
    orders = [order(f"o{number}", None, number) for number in range(60)]
    found = computed(engine, setting(engine), [marketing.campaign_correlation], spend=paid, orders=orders)
    points = {row["lag"]: row["points"] for row in found["campaign_correlation"] if row["dimension"] == ""}
    assert points == {0: 20, 1: 19, 2: 18, 3: 17, 7: 13}
