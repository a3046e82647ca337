from __future__ import annotations

import datetime as dt
from hashlib import md5

import ibis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics_assets.analysis.baselines import by_bucket, lately, met, reached
from analytics_assets_tests.making import at, day, table

SLOT = {"experiment": "string", "metric": "string", "window_days": "int64", "delay_days": "int64"}
OUTCOME = tuple(SLOT)
NUMBERS = ("value", "weight", "pre_value", "pre_weight")


@given(st.integers(0, 60), st.integers(0, 40))
def test_the_days_are_the_last_whose_windows_are_over(length: int, over: int):
    first = dt.date(2024, 1, 1)
    last = first + dt.timedelta(days=length)
    found = lately(first, last, over)
    every = [first + dt.timedelta(days=place) for place in range(length + 1)]
    closed = [one for one in every if one + dt.timedelta(days=over) <= last][-28:]
    assert found == ((closed[0], closed[-1]) if closed else None)


EVENTS = {"experiment": "string", "user_id": "string", "day": "date", "occurred_at": "timestamp('UTC', 6)"}


def test_users_are_exposed_by_their_first_event_and_counted_by_its_day(engine):
    rows = [
        {"experiment": "x", "user_id": user, "day": at(when).date(), "occurred_at": at(when)}
        for user, when in (("ann", "02 10:00"), ("ann", "01 23:00"), ("bob", "02 09:00"), (None, "01 08:00"))
    ]
    people = met(table(EVENTS, *rows))
    found = {row["user_id"]: row for row in engine.rows(people)}
    assert {user: row["exposed_at"] for user, row in found.items()} == {"ann": at("01 23:00"), "bob": at("02 09:00")}
    assert found["ann"]["exposed_on"] == day(1)
    assert (found["ann"]["assigned_at"], found["ann"]["variant"]) == (None, "everybody")
    assert engine.rows(reached(people).order_by("day")) == [
        {"experiment": "x", "day": day(1), "users": 1},
        {"experiment": "x", "day": day(2), "users": 1},
    ]
    assert engine.rows(reached(met(table(EVENTS)))) == []


def outcome(user: str, value: float, *, matured: bool = True, metric: str = "m") -> dict:
    told = {"experiment": "x", "metric": metric, "window_days": 7, "delay_days": 0}
    return {**told, "user_id": user, "value": value, "weight": None, "pre_value": value / 2, "matured": matured}


def outcomes(*rows: dict) -> ibis.expr.types.Table:
    return table(
        {**SLOT, "user_id": "string", **dict.fromkeys(NUMBERS, "float64"), "matured": "boolean"}, *rows
    )  # fmt: skip


def test_users_are_in_the_bucket_of_their_id_and_the_sums_are_all_that_is_left(engine):
    users = [f"user {n}" for n in range(200)]
    rows = [outcome(user, float(n)) for n, user in enumerate(users)]
    found = engine.rows(by_bucket(outcomes(*rows, outcome("late", 9.0, matured=False)), OUTCOME))
    shift = sum(row["value"] for row in rows) / len(rows)
    naive: dict[str, list[float]] = {}
    for row in rows:
        naive.setdefault(md5(row["user_id"].encode()).hexdigest()[:3], []).append(row["value"])
    assert {row["bucket"]: row["n"] for row in found} == {name: len(values) for name, values in naive.items()}
    for row in found:
        values = naive[row["bucket"]]
        assert row["shift_value"] == pytest.approx(shift)
        assert row["sum_value"] == pytest.approx(sum(value - shift for value in values))
        products = sum((value - shift) * (value / 2 - shift / 2) for value in values)
        assert row["product_value_pre_value"] == pytest.approx(products)
        assert row["sum_weight"] is None
    assert "user_id" not in found[0]


def test_a_user_whose_number_is_not_finite_is_counted_and_in_no_sum(engine):
    found = engine.rows(by_bucket(outcomes(outcome("a", float("inf")), outcome("b", 2.0)), OUTCOME))
    assert sorted((row["n"], row["not_finite"]) for row in found) == [(0, 1), (1, 0)]
    assert {row["shift_value"] for row in found} == {2.0}
