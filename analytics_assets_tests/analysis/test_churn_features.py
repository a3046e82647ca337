"""What is known at a cut: values by hand and by a naive reading, and that nothing after the cut is in them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from decimal import Decimal
from typing import Any

import ibis
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ibis.expr.types import Table

from analytics_assets.analysis import churn_features
from analytics_assets.analysis.churn_features import Sources, cuts, feature_rows, features, known_at, labels
from analytics_assets.contracts.churn_model import FEATURES
from analytics_assets.contracts.sales import ORDER_VALUE
from analytics_assets.contracts.star import DIM_GEOGRAPHY, DIM_USERS, FACT_RETURNS, FACT_SESSIONS, FACT_USER_DAY_EVENTS
from analytics_assets_tests.making import at, day, table

Row = dict[str, Any]
Happened = Mapping[str, Sequence[Row]]
CONTRACTS = {
    "orders": ORDER_VALUE, "returns": FACT_RETURNS, "sessions": FACT_SESSIONS, "events": FACT_USER_DAY_EVENTS,
    "users": DIM_USERS, "places": DIM_GEOGRAPHY,
}  # fmt: skip
CUT = day(20)


def when(number: int, hour: int = 12) -> Row:
    return {"day": day(number), "at": at(f"{number:02} {hour:02}:00")}


def order(number: int, user: str | None = "ann", net: Any = 10, hour: int = 12, **says: Any) -> Row:
    told = {"order_id": f"{user}/{number}/{hour}/{net}", "gross": net, "discount": 0, **says}
    moment = when(number, hour)
    return {"day": moment["day"], "ordered_at": moment["at"], "user_id": user, "net": net, **told}


def session(number: int, user: str | None = "ann", hour: int = 12, **says: Any) -> Row:
    moment = when(number, hour)
    return {"day": moment["day"], "started_at": moment["at"], "user_id": user, **says}


def returned(number: int, order_id: str | None, user: str | None = None, refund: Any = 1, **says: Any) -> Row:
    return {"day": day(number), "order_id": order_id, "user_id": user, "refund": refund, "status": "refunded", **says}


def did(number: int, kind: str, events: int = 1, user: str | None = "ann") -> Row:
    return {"day": day(number), "user_id": user, "event_type": kind, "events": events}


def sources(**rows: Sequence[Row]) -> Sources:
    """Make tables; one that is not named is not there."""
    return Sources(**{"orders": table(ORDER_VALUE), **{n: table(CONTRACTS[n], *told) for n, told in rows.items()}})


def told(engine, made: Sources, *days: dt.date) -> dict[str, Row]:
    rows = engine.rows(features(known_at(made, *(days or (CUT,)))))
    assert len({(row["cut"], row["user_id"]) for row in rows}) == len(rows)
    return {row["user_id"]: row for row in rows}


def of_ann(engine, **rows: Sequence[Row]) -> Row:
    return told(engine, sources(**rows))["ann"]


# --- values -----------------------------------------------------------------------------------------------------------


def test_what_orders_tell(engine):
    orders = [
        order(1, gross=12, discount=2), order(1, hour=18, net=20), order(11), order(21, net=99), order(5, None),
    ]  # fmt: skip
    row = of_ann(engine, orders=orders)
    assert (row["orders"], row["order_days"], row["orders_30"], row["orders_90"]) == (3, 2, 3, 3)
    assert (row["days_since_first"], row["days_since_order"], row["mean_gap"]) == (19, 9, 10.0)
    assert (row["silence"], row["net"]) == (0.9, 40.0)
    assert (row["average_net"], row["discount_share"]) == (pytest.approx(40 / 3), pytest.approx(2 / 42))
    assert set(told(engine, sources(orders=orders))) == {"ann"}


def test_of_one_day_with_orders_there_is_no_gap_and_of_free_goods_no_share(engine):
    row = of_ann(engine, orders=[order(20, net=0), order(20, net=0, hour=13)])
    assert (row["mean_gap"], row["silence"], row["discount_share"]) == (None, None, None)
    assert (row["days_since_first"], row["days_since_order"]) == (0, 0)


@pytest.mark.slow
def test_windows_end_with_the_cut_and_hold_so_many_days(engine):
    made = sources(
        orders=[order(1), order(20)],
        sessions=[session(n) for n in (13, 14, 20, 21)],
        events=[did(20, "view_product", 2), did(21, "view_product", 9), did(1, "add_to_cart"), did(20, "odd", 4)],
    )
    late = told(engine, made, day(30), day(31))["ann"]  # the first of March is 30 days ago
    assert (late["orders_30"], late["carts_30"], late["product_views_30"]) == (1, 0, 11)
    on_30 = told(engine, made, day(30))["ann"]
    assert (on_30["orders_30"], on_30["carts_30"], on_30["events_30"]) == (2, 1, 16)
    assert on_30["checkouts_30"] == 0
    early = told(engine, made, CUT)["ann"]
    assert (early["visits_7"], early["visits_30"], early["events_30"]) == (2, 3, 7)


def test_what_visits_tell(engine):
    visits = [
        session(1, hour=11), session(2), session(2, hour=15), session(9), session(16, hour=11),
        session(17, excluded_as="bot"), session(18, "bob"), session(19, None),
    ]  # fmt: skip
    row = of_ann(engine, orders=[order(1), order(16)], sessions=visits)
    assert (row["visits"], row["active_days"], row["days_since_visit"]) == (4, 3, 4)
    assert (row["visits_since_order"], row["last_visit_ordered"]) == (0, 1)
    assert row["visits_a_day"] == pytest.approx(4 / 20)
    assert row["visits_missed"] == pytest.approx(4 / 20 * 4)
    assert row["orders_a_visit"] == 0.25
    again = of_ann(engine, orders=[order(1), order(16)], sessions=[*visits, session(16, hour=13)])
    assert (again["visits_since_order"], again["last_visit_ordered"]) == (1, 0)


def test_who_never_visited_has_no_last_visit(engine):
    row = of_ann(engine, orders=[order(1)], sessions=[session(1, "bob")])
    assert (row["visits"], row["visits_30"], row["days_since_visit"], row["visits_missed"]) == (0, 0, None, None)
    assert row["orders_a_visit"] is None


def test_returns_count_on_their_day_and_belong_to_who_ordered(engine):
    mine = order(1, net=40)
    backs = [
        returned(9, mine["order_id"]), returned(10, None, "ann", 3), returned(21, mine["order_id"], refund=30),
        returned(11, mine["order_id"], status="requested", refund=5), returned(12, mine["order_id"], status="refused"),
        returned(12, mine["order_id"], excluded_as="test"), returned(12, "unknown"),
    ]  # fmt: skip
    row = of_ann(engine, orders=[mine], returns=backs)
    assert (row["returned_lines"], row["refund_share"]) == (3, pytest.approx(4 / 40))
    assert of_ann(engine, orders=[mine], returns=[])["returned_lines"] == 0


def test_what_is_known_of_users_and_a_sign_up_that_is_yet_to_come(engine):
    users = [
        {"user_id": "ann", "geography_id": "g", "signed_up_on": day(5), "segment": "gold", "channel": "ads"},
        {"user_id": "bob", "geography_id": "?", "signed_up_on": day(25), "device": "tv"},
    ]
    found = told(
        engine,
        sources(
            orders=[order(6), order(7, "bob"), order(7, "cas")],
            users=users,
            places=[{"geography_id": "g", "country": "DE"}],
        ),
    )
    words = ("days_since_sign_up", "segment", "device", "channel", "country")
    assert {user: tuple(row[name] for name in words) for user, row in found.items()} == {
        "ann": (15, "gold", None, "ads", "DE"),
        "bob": (None, None, "tv", None, None),
        "cas": (None,) * 5,
    }


def test_what_no_table_tells_is_null(engine):
    row = of_ann(engine, orders=[order(1)])
    alone = {"last order", "orders", "first order", "value"}
    assert all(row[f.name] is None for f in FEATURES if f.theme not in alone)
    assert list(row) == ["cut", "user_id", *(f.name for f in FEATURES)]
    types = features(known_at(sources(), CUT)).schema()
    assert {f.name: str(types[f.name]) for f in FEATURES} == {f.name: f.type for f in FEATURES}


def test_labels_look_so_many_days_ahead_and_only_where_these_are_over(engine):
    orders = sources(orders=[order(1), order(15), order(2, "bob"), order(16, "cas"), order(3, None)]).orders

    def churned(cut: dt.date, days: int, last: int = 31) -> dict[str, bool]:
        return {row["user_id"]: row["churned"] for row in engine.rows(labels(orders, [cut], days, day(last)))}

    assert churned(day(5), 9) == {"ann": True, "bob": True}
    assert churned(day(5), 10) == {"ann": False, "bob": True}
    assert churned(day(15), 16) == {"ann": True, "bob": True}
    assert churned(day(15), 17) == {}
    assert churned(day(15), 5, 19) == {}


@pytest.mark.slow
def test_rows_of_several_cuts_are_those_of_each(engine):
    made = sources(orders=[order(1), order(9, "bob"), order(25)], sessions=[session(2), session(22)])
    days = [day(5), day(20), day(31)]
    both = engine.rows(feature_rows(made, days, 11, day(31)).order_by("cut", "user_id"))
    alone = [row for cut in days for row in engine.rows(feature_rows(made, [cut], 11, day(31)).order_by("user_id"))]
    assert both == alone
    assert [(r["cut"].day, r["user_id"], r["churned"]) for r in both] == [
        (5, "ann", True), (20, "ann", False), (20, "bob", True), (31, "ann", None), (31, "bob", None),
    ]  # fmt: skip


# --- nothing after the cut --------------------------------------------------------------------------------------------

users = st.sampled_from(["ann", "bob", "cas", None])
days = st.integers(1, 31)
happenings = st.fixed_dictionaries(
    {
        "orders": st.lists(
            st.builds(
                lambda n, u, net, hour, off: order(n, u, net, hour, gross=net + off, discount=off),
                days, users, st.integers(0, 50), st.integers(8, 20), st.integers(0, 9),
            ),
            max_size=8,
            unique_by=lambda row: row["order_id"],
        ),
        "returns": st.lists(
            st.builds(
                returned, days, st.sampled_from(["ann/1/12/10", "x", None]), users, st.integers(0, 9),
                status=st.sampled_from(["refunded", "requested", "refused"]),
                excluded_as=st.sampled_from([None, None, "bot"]),
            ),
            max_size=4,
        ),
        "sessions": st.lists(
            st.builds(
                session, days, users, st.integers(8, 20), excluded_as=st.sampled_from([None, None, None, "bot"])
            ),
            max_size=12,
        ),
        "events": st.lists(
            st.builds(did, days, st.sampled_from(["view_product", "add_to_cart", "begin_checkout", "other"]),
                      st.integers(1, 5), users),
            max_size=6,
        ),
    }
)  # fmt: skip
PEOPLE = [{"user_id": "ann", "geography_id": "g", "signed_up_on": day(2), "segment": "gold"}]
PLACES = [{"geography_id": "g", "country": "DE"}]
Telling = Callable[[Any, Sources], list[Row]]


def honest(engine, made: Sources) -> list[Row]:
    return engine.rows(features(known_at(made, CUT)).order_by("user_id"))


def told_of(telling: Telling, engine, worlds: Sequence[Happened]) -> list[list[Row]]:
    """Tell of several worlds in one query: the users and orders of each have names of their own."""

    def own(place: int, row: Row) -> Row:
        names = {name: f"{place}|{row[name]}" for name in ("user_id", "order_id") if row.get(name) is not None}
        return {**row, **names}

    rows = {name: [own(place, row) for place, w in enumerate(worlds) for row in w[name]] for name in worlds[0]}
    people = [own(place, row) for place in range(len(worlds)) for row in PEOPLE]
    found: list[list[Row]] = [[] for _ in worlds]
    for row in telling(engine, sources(**rows, users=people, places=PLACES)):
        place, _, user = row["user_id"].partition("|")
        found[int(place)].append({**row, "user_id": user})
    return found


def looks_ahead(telling: Telling, engine, *pairs: tuple[Happened, Happened]) -> bool:
    """Say whether what is told of a past changes with its future: rows added, others in their place, or none."""
    worlds: list[Happened] = []
    for past, future in pairs:
        before, after, other = (
            {name: [row for row in rows if (row["day"] <= CUT) == early] for name, rows in told.items()}
            for told, early in ((past, True), (past, False), (future, False))
        )
        futures = ((before,), (before, after), (before, other), (other, after, before))
        worlds += [{name: [row for piece in pieces for row in piece[name]] for name in past} for pieces in futures]
    found = told_of(telling, engine, worlds)
    return any(found[place : place + 4] != [found[place]] * 4 for place in range(0, len(found), 4))


@pytest.mark.slow
@settings(max_examples=6, deadline=None)
@given(st.lists(st.tuples(happenings, happenings), min_size=1, max_size=12))
def test_no_feature_changes_with_anything_after_the_cut(engine, pairs):
    assert not looks_ahead(honest, engine, *pairs)


PAST: Happened = {
    "orders": [order(1), order(21)], "returns": [returned(22, None, "ann")], "sessions": [session(2), session(22)],
    "events": [did(3, "add_to_cart"), did(21, "add_to_cart")],
}  # fmt: skip
NONE: Happened = {name: [] for name in PAST}


def leaking(name: str) -> Telling:
    """Make a telling that reads one table whole."""

    def tell(engine, made: Sources) -> list[Row]:
        known = known_at(made, CUT)
        whole = known_at(made, day(31))
        late = getattr(whole, name).mutate(cut=ibis.literal(CUT))
        return engine.rows(features(replace(known, **{name: late})).order_by("user_id"))

    return tell


@pytest.mark.slow
@pytest.mark.parametrize("name", [field.name for field in fields(Sources) if field.name not in {"users", "places"}])
def test_a_feature_that_looks_ahead_is_caught_whichever_table_it_reads(engine, name):
    assert not looks_ahead(honest, engine, (PAST, NONE))
    assert looks_ahead(leaking(name), engine, (PAST, NONE))


def test_a_day_too_many_is_caught_too(engine, monkeypatch):
    def a_day_more(rows: Table, days: Table) -> Table:
        each = rows.cross_join(days)
        return each.filter(each.day <= each.cut + ibis.interval(days=1))

    monkeypatch.setattr(churn_features, "_until", a_day_more)
    assert looks_ahead(honest, engine, (PAST, NONE))


def test_a_label_among_the_features_is_caught(engine):
    def tell(engine, made: Sources) -> list[Row]:
        return engine.rows(feature_rows(made, [CUT], 5, day(31)).order_by("user_id"))

    assert looks_ahead(tell, engine, (PAST, NONE))


@given(
    st.integers(0, 900), st.integers(1, 200), st.integers(1, 6)
)  # fmt: skip
def test_labels_of_the_training_are_over_before_the_test_begins_and_those_of_the_test_by_today(span, window, most):
    first = dt.date(2024, 1, 1)
    last = first + dt.timedelta(days=span)
    found = cuts(first, last, window, most)
    assert (found is None) == (span < 2 * window)
    if found is None:
        return
    over = dt.timedelta(days=window)
    assert found.today == last
    assert found.test + over == last
    assert 1 <= len(found.training) <= most
    assert 1 <= len(found.final) <= most
    assert all(first <= cut and cut + over <= found.test for cut in found.training)
    assert all(first <= cut and cut + over <= found.today for cut in found.final)
    assert found.training[0] + over == found.test
    assert found.all == tuple(sorted({last, found.test, *found.training, *found.final}))


# --- a naive reading --------------------------------------------------------------------------------------------------


def naive(past: Happened, user: str) -> Row:
    """Read the same off lists of what happened until the cut."""
    ours = {
        name: [
            row for row in rows if row["day"] <= CUT and row["user_id"] == user and row.get("excluded_as") is None
        ]
        for name, rows in past.items()
    }  # fmt: skip
    orders = ours["orders"]
    dates = sorted({row["day"] for row in orders})
    net, gross = (Decimal(sum(row[name] for row in orders)) for name in ("net", "gross"))
    begin, end = min(row["ordered_at"] for row in orders), max(row["ordered_at"] for row in orders)
    further = [row for row in ours["sessions"] if row["started_at"] > begin]
    age = (CUT - dates[0]).days
    seen = [(CUT - row["day"]).days for row in ours["sessions"]]
    since = sum(row["started_at"] > end for row in ours["sessions"])
    return {
        "orders": len(orders),
        "order_days": len(dates),
        "days_since_first": age,
        "days_since_order": (CUT - dates[-1]).days,
        "mean_gap": (dates[-1] - dates[0]).days / (len(dates) - 1) if len(dates) > 1 else None,
        "net": float(net),
        "discount_share": float((gross - net) / gross) if gross else None,
        "visits": len(further),
        "active_days": len({row["day"] for row in further}),
        "visits_7": sum(days < 7 for days in seen),
        "days_since_visit": min(seen) if seen else None,
        "visits_since_order": since,
        "visits_a_day": len(further) / (age + 1),
        "carts_30": sum(row["events"] for row in ours["events"] if row["event_type"] == "add_to_cart"),
        "events_30": sum(row["events"] for row in ours["events"]),
    }


@pytest.mark.slow
@settings(max_examples=6, deadline=None)
@given(st.lists(happenings, min_size=1, max_size=30))
def test_features_are_what_a_naive_reading_finds(engine, pasts):
    for past, rows in zip(pasts, told_of(honest, engine, pasts), strict=True):
        found = {row["user_id"]: row for row in rows}
        assert set(found) == {row["user_id"] for row in past["orders"] if row["day"] <= CUT and row["user_id"]}
        for user in found:
            expected = naive(past, user)
            assert {name: found[user][name] for name in expected} == pytest.approx(expected, nan_ok=True), user
