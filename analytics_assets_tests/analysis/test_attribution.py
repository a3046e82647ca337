from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ibis.expr.types import Table

from analytics_assets.analysis.attribution import MODELS, NONE, credit, touched_orders, touches
from analytics_assets.contracts.star import FACT_SESSIONS
from analytics_assets_tests.making import at, table

Row = dict[str, Any]

ORDERS = {
    "order_id": "string", "user_id": "string", "ordered_at": "timestamp('UTC', 6)", "campaign_id": "string",
    "net": "decimal(18, 4)", "profit": "decimal(18, 4)",
}  # fmt: skip


def order(order_id: str, user: str | None, time: str, net: Any = "10", campaign: str | None = None, **says: Any) -> Row:
    told = {"order_id": order_id, "user_id": user, "ordered_at": at(time), "net": net, "campaign_id": campaign}
    return {**told, "profit": None, **says}


def session(name: str, user: str, time: str, campaign: str | None, **says: Any) -> Row:
    return {"session_id": name, "user_id": user, "started_at": at(time), "campaign_id": campaign, **says}


def credited(engine: Any, orders: list[Row], sessions: list[Row] | None, lookback_days: int = 7) -> list[Row]:
    told = table(ORDERS, *orders)
    touched = None if sessions is None else touches(table(FACT_SESSIONS, *sessions))
    found: Table = credit(told, touched_orders(told, touched, lookback_days), ["net", "profit"])
    return engine.rows(found.order_by("order_id", "model", "campaign_id"))


def by_model(rows: list[Row], measure: str = "net") -> dict[str, dict[str, str]]:
    """Read credits as model -> campaign -> amount."""
    found: dict[str, dict[str, str]] = {}
    for row in rows:
        found.setdefault(row["model"], {})[row["campaign_id"]] = f"{row[measure]:f}".rstrip("0").rstrip(".")
    return found


def test_the_first_the_last_or_all_touches_are_credited(engine):
    sessions = [
        session("a", "ann", "01 10:00", "x"),
        session("b", "ann", "02 10:00", "y"),
        session("c", "ann", "03 10:00", "y"),
        session("d", "bob", "02 10:00", "z"),
        session("e", "ann", "02 11:00", None),
    ]
    found = credited(engine, [order("o", "ann", "04 10:00", "9")], sessions)
    assert by_model(found) == {"first": {"x": "9"}, "last": {"y": "9"}, "linear": {"x": "3", "y": "6"}}
    assert by_model(found, "orders") == {
        "first": {"x": "1"}, "last": {"y": "1"}, "linear": {"x": "0.3333", "y": "0.6667"},
    }  # fmt: skip


def test_a_touch_counts_at_or_before_the_order_and_not_for_ever(engine):
    orders = [order("o", "ann", "10 10:00")]
    for time, seen in {"10 10:00": True, "10 10:01": False, "03 10:00": True, "03 09:59": False}.items():
        found = credited(engine, orders, [session("a", "ann", time, "x")], lookback_days=7)
        assert by_model(found)["last"] == {("x" if seen else NONE): "10"}, time


def test_an_order_that_nothing_is_known_to_have_touched_names_its_campaign_itself(engine):
    orders = [order("own", "ann", "04 10:00", campaign="y"), order("none", "ann", "04 10:00")]
    orders += [order("nobody", None, "04 10:00"), order("touched", "bob", "04 10:00", campaign="y")]
    found = credited(engine, orders, [session("a", "bob", "01 10:00", "x")])
    last = {row["order_id"]: row["campaign_id"] for row in found if row["model"] == "last"}
    assert last == {"own": "y", "none": NONE, "nobody": NONE, "touched": "x"}
    without = credited(engine, orders, None)
    assert {row["order_id"]: row["campaign_id"] for row in without if row["model"] == "linear"} == {
        "own": "y", "none": NONE, "nobody": NONE, "touched": "y",
    }  # fmt: skip


def test_excluded_sessions_and_those_of_nobody_touch_nothing(engine):
    sessions = [
        session("a", "ann", "01 10:00", "x", excluded_as="staff"),
        {**session("b", "", "01 10:00", "x"), "user_id": None},
    ]
    found = credited(engine, [order("o", "ann", "04 10:00"), order("p", None, "04 10:00")], sessions)
    assert {row["campaign_id"] for row in found} == {NONE}


def test_touches_at_one_instant_are_in_the_order_of_their_ids(engine):
    sessions = [session(name, "ann", "01 10:00", campaign) for name, campaign in {"b": "x", "a": "y", "c": "z"}.items()]
    for turned in (sessions, sessions[::-1]):
        found = by_model(credited(engine, [order("o", "ann", "04 10:00")], turned))
        assert (found["first"], found["last"]) == ({"y": "10"}, {"z": "10"})


@pytest.mark.parametrize("net", ["10", "0.0001", "0.0002", "-10", "0", "99999999999999.9999"])
def test_thirds_add_up_to_the_last_digit(engine, net):
    sessions = [session(name, "ann", f"0{day} 10:00", name) for day, name in enumerate("xyz", 1)]
    (linear,) = [
        [row["net"] for row in rows]
        for rows in [
            [
                row
                for row in credited(engine, [order("o", "ann", "04 10:00", net)], sessions)
                if row["model"] == "linear"
            ]
        ]
    ]
    assert sum(linear) == Decimal(net)
    assert max(linear) - min(linear) <= max(Decimal("0.0001"), abs(Decimal(net)) * Decimal("1e-15"))


TIMES = st.integers(0, 20 * 24).map(lambda hours: at("01 00:00") + dt.timedelta(hours=hours))
AMOUNTS = st.decimals(-1000, 1000, places=4, allow_nan=False)
SOME_ORDERS = st.lists(
    st.tuples(
        st.sampled_from(["ann", "bob", None]), TIMES, AMOUNTS, st.sampled_from(["x", "y", None]), st.none() | AMOUNTS
    ),
    max_size=8,
)
SOME_SESSIONS = st.lists(
    st.tuples(st.sampled_from(["ann", "bob"]), TIMES, st.sampled_from(["x", "y", "z", None])), max_size=12
)


@pytest.mark.slow
@given(SOME_ORDERS, SOME_SESSIONS)
@settings(max_examples=40, deadline=None)
def test_credits_are_those_of_a_naive_reading_and_add_up_to_every_order(engine, some_orders, some_sessions):
    orders = [
        {"order_id": f"o{n}", "user_id": user, "ordered_at": time, "net": net, "campaign_id": own, "profit": profit}
        for n, (user, time, net, own, profit) in enumerate(some_orders)
    ]
    sessions = [
        {"session_id": f"s{n:02}", "user_id": user, "started_at": time, "campaign_id": campaign}
        for n, (user, time, campaign) in enumerate(some_sessions)
    ]
    found = credited(engine, orders, sessions)
    for told in orders:
        touched = sorted(
            (s["started_at"], s["session_id"], s["campaign_id"])
            for s in sessions
            if s["campaign_id"] and s["user_id"] == told["user_id"]
            and told["ordered_at"] - dt.timedelta(days=7) <= s["started_at"] <= told["ordered_at"]
        )  # fmt: skip
        names = [name for *_, name in touched] or [told["campaign_id"] or NONE]
        rows = [row for row in found if row["order_id"] == told["order_id"]]
        assert {row["campaign_id"] for row in rows if row["model"] == "first"} == {names[0]}
        assert {row["campaign_id"] for row in rows if row["model"] == "last"} == {names[-1]}
        linear = {row["campaign_id"]: row for row in rows if row["model"] == "linear"}
        assert linear.keys() == set(names)
        for name, count in Counter(names).items():
            assert abs(linear[name]["net"] - told["net"] * count / len(names)) <= Decimal("0.0001") * count
        for measure, whole in {"orders": Decimal(1), "net": told["net"], "profit": told["profit"]}.items():
            sums: dict[str, Decimal | None] = defaultdict(lambda: None)
            for row in rows:
                if row[measure] is not None:
                    sums[row["model"]] = (sums[row["model"]] or Decimal(0)) + row[measure]
            assert [sums[model] for model in MODELS] == [whole] * len(MODELS), measure
