"""Lives read off orders, against the same done one customer at a time."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from decimal import Decimal
from typing import Any

import ibis
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics_assets.analysis.lifetime import (
    alike_lives,
    alike_values,
    arrivals_and_repeats,
    customer_lives,
    later_orders,
    order_days,
    with_expected_value,
)
from analytics_assets.statistics.lifetime import GammaGamma, expected_value
from analytics_assets_tests.making import day, table

TYPES = {"user_id": "string", "day": "date", "net": "decimal(18, 4)"}
Order = tuple[str | None, int, float]
LAST = day(20)

orders_of_march = st.lists(
    st.tuples(
        st.sampled_from(["ann", "bob", "cas", "Ann", None]),
        st.integers(1, 31),
        st.integers(-300, 900).map(lambda cents: cents / 100),
    ),
    max_size=25,
)


def bought(*orders: Order) -> Any:
    return table(TYPES, *({"user_id": user, "day": day(number), "net": net} for user, number, net in orders))


def by_hand(orders: list[Order], last: dt.date = LAST) -> dict[str, dict[dt.date, Decimal]]:
    """Sum up what each customer spent on each day."""
    found: dict[str, dict[dt.date, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    for user, number, net in orders:
        if user is not None and day(number) <= last:
            found[user][day(number)] += Decimal(str(net))
    return found


@settings(max_examples=25, deadline=None)
@given(orders_of_march)
def test_lives_are_those_that_one_reads_off_by_hand(engine, orders):
    found = {row["user_id"]: row for row in engine.rows(customer_lives(bought(*orders), LAST))}
    expected = by_hand(orders)
    assert found.keys() == expected.keys()
    for user, days in expected.items():
        first, *again = sorted(days)
        row = found[user]
        assert (row["first_on"], row["x"]) == (first, len(again))
        assert row["t_x"] == (max(days) - first).days
        assert row["age"] == (LAST - first).days
        mean = float(sum(days[one] for one in again)) / len(again) if again else None
        assert row["mean_value"] == (mean if mean is None else pytest.approx(mean))
        assert 0 <= row["t_x"] <= row["age"]


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(orders_of_march)
def test_what_came_after_a_day_is_told_of_those_who_were_there_before(engine, orders):
    table_ = bought(*orders)
    cut = day(10)
    found = {row["user_id"]: row for row in engine.rows(later_orders(customer_lives(table_, cut), table_, cut, LAST))}
    whole = by_hand(orders)
    assert found.keys() == by_hand(orders, cut).keys()
    for user, row in found.items():
        later = [one for one in whole[user] if one > cut]
        assert row["later_orders"] == len(later)
        assert row["later_value"] == sum((whole[user][one] for one in later), Decimal(0))


@settings(max_examples=25, deadline=None)
@given(orders_of_march)
def test_arrivals_and_repeats_are_counted_by_day(engine, orders):
    cut = day(10)
    found = engine.rows(arrivals_and_repeats(bought(*orders), cut, LAST))
    arrivals: Counter[dt.date] = Counter()
    repeats: Counter[dt.date] = Counter()
    for days in by_hand(orders).values():
        first, *again = sorted(days)
        if first <= cut:
            arrivals[first] += 1
            repeats.update(again)
    assert [row["day"] for row in found] == sorted({*arrivals, *repeats})
    assert {row["day"]: (row["arrivals"], row["repeats"]) for row in found} == {
        one: (arrivals[one], repeats[one]) for one in {*arrivals, *repeats}
    }


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(orders_of_march)
def test_alike_customers_are_counted_and_none_is_lost(engine, orders):
    lives = customer_lives(bought(*orders), LAST)
    rows = engine.rows(lives)
    alike = engine.rows(alike_lives(lives))
    assert [(r["x"], r["t_x"], r["age"]) for r in alike] == sorted({(r["x"], r["t_x"], r["age"]) for r in rows})
    assert sum(r["customers"] for r in alike) == len(rows)
    values = engine.rows(alike_values(lives))
    assert sum(r["customers"] for r in values) == sum(r["x"] > 0 for r in rows)
    assert all(r["x"] > 0 for r in values)


def test_orders_of_one_day_are_one_and_the_first_day_is_not_repeated(engine):
    (row,) = engine.rows(customer_lives(bought(("ann", 3, 10), ("ann", 3, 5), ("ann", 3, 1)), LAST))
    assert (row["x"], row["t_x"], row["age"], row["mean_value"]) == (0, 0, 17, None)


def test_days_sum_up_their_orders_and_leave_out_nobody_and_the_future(engine):
    orders = bought(("ann", 3, 10), ("ann", 3, -2.5), (None, 3, 9), ("ann", 21, 5))
    assert engine.rows(order_days(orders, LAST)) == [{"user_id": "ann", "day": day(3), "net": Decimal("7.5000")}]


def test_of_no_orders_there_are_no_lives(engine):
    lives = customer_lives(bought(), LAST)
    assert engine.rows(lives) == engine.rows(alike_lives(lives)) == engine.rows(alike_values(lives)) == []
    assert engine.rows(arrivals_and_repeats(bought(), LAST, LAST)) == []


@settings(max_examples=25, deadline=None)
@given(
    st.builds(GammaGamma, st.floats(0.1, 20), st.floats(0.1, 10), st.floats(0.1, 100)),
    st.lists(st.tuples(st.integers(0, 20), st.floats(0.01, 1_000)), min_size=1, max_size=8),
)
def test_the_expected_value_is_that_of_the_model(engine, model, rows):
    told = [{"x": x, "mean_value": mean if x else None} for x, mean in rows]
    lives = ibis.memtable(told, schema={"x": "int64", "mean_value": "float64"}).distinct()
    for row in engine.rows(with_expected_value(lives, **vars(model))):
        expected = float(expected_value(model, row["x"], row["mean_value"] or 0.0))
        if np.isinf(expected):
            assert (row["expected_order_value"], row["value_state"]) == (None, "no finite mean")
        else:
            assert row["expected_order_value"] == pytest.approx(expected)
            assert row["value_state"] == "fitted"


def test_of_a_mean_that_is_not_positive_nothing_is_expected(engine):
    lives = ibis.memtable({"x": [2, 1], "mean_value": [0.0, -3.0]})
    found = engine.rows(with_expected_value(lives, 6.0, 4.0, 30.0))
    assert [(row["expected_order_value"], row["value_state"]) for row in found] == [(None, "no positive mean")] * 2
