from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics_assets.analysis import moments
from analytics_assets.analysis.moments import VARIABLES
from analytics_assets_tests.making import day, table

Row = dict[str, Any]
TWO = ("value", "pre_value")
KINDS = {"metric": "string", "variant": "string", "on": "date", **dict.fromkeys(VARIABLES, "float64")}


def user(value: float, pre_value: float = 0.0, metric: str = "m", variant: str = "a", **says: Any) -> Row:
    return {"metric": metric, "variant": variant, "on": day(1), "value": value, "pre_value": pre_value, **says}


def cells(engine, rows: list[Row], variables: tuple[str, ...] = TWO) -> list[Row]:
    found = moments.moments(table(KINDS, *rows), ["metric", "variant", "on"], ["metric"], variables)
    return engine.rows(found)


def exact(values: list[tuple[float, ...]]) -> tuple[list[Fraction], list[list[Fraction]]]:
    """Give means and sums of products of deviations, without any rounding."""
    n = len(values)
    columns = [[Fraction(number) for number in column] for column in zip(*values, strict=True)]
    middles = [sum(column) / n for column in columns]
    apart = [[number - middle for number in column] for column, middle in zip(columns, middles, strict=True)]
    return middles, [[sum(a * b for a, b in zip(x, y, strict=True)) for y in apart] for x in apart]


def told(cell: Row, variables: tuple[str, ...] = TWO) -> tuple[list[float], list[list[float]]]:
    """Give the same of a cell, as statistics do."""
    given = moments.told(cell, variables)
    n, sums, shifts = given["n"], given["sums"], given["shifts"]
    middles = [shift + total / n for shift, total in zip(shifts, sums, strict=True)]
    places = range(len(variables))
    return middles, [[given["products"][i][j] - sums[i] * sums[j] / n for j in places] for i in places]


def close(cell: Row, values: list[tuple[float, ...]], variables: tuple[str, ...] = TWO) -> None:
    (middles, products), (wanted, squares) = told(cell, variables), exact(values)
    assert cell["n"] == len(values)
    for found, middle in zip(middles, wanted, strict=True):
        assert found == pytest.approx(float(middle), rel=1e-14, abs=1e-9)
    for i, j in itertools.product(range(len(variables)), repeat=2):
        size = math.sqrt(float(squares[i][i]) * float(squares[j][j]))
        assert products[i][j] == pytest.approx(float(squares[i][j]), rel=1e-9, abs=1e-9 * size + 1e-9)


numbers = st.integers(-50, 50).map(lambda n: n / 4)


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("mn"), st.sampled_from("ab"), numbers, numbers), min_size=1, max_size=30),
    st.sampled_from([0.0, 1e3, 1e9, -1e9]),
)
def test_moments_are_those_of_going_through_users_wherever_their_values_are(engine, people, offset):
    rows = [user(value + offset, pre + offset, metric, variant) for metric, variant, value, pre in people]
    found = cells(engine, rows)
    own = {(cell["metric"], cell["variant"]): cell for cell in found}
    assert len(found) == len(own) == len({(row["metric"], row["variant"]) for row in rows})
    for (metric, variant), cell in own.items():
        members = [row for row in rows if (row["metric"], row["variant"]) == (metric, variant)]
        close(cell, [(row["value"], row["pre_value"]) for row in members])


def test_cells_of_an_outcome_add_up(engine):
    days = [user(float(n * n), float(n % 5), on=day(1 + n % 7), variant="ab"[n % 2]) for n in range(100)]
    daily = moments.moments(table(KINDS, *days), ["metric", "variant", "on"], ["metric"], TWO)
    whole = engine.rows(moments.summed(daily, ["metric", "variant"], TWO))
    for cell in whole:
        close(cell, [(row["value"], row["pre_value"]) for row in days if row["variant"] == cell["variant"]])
    ran = engine.rows(moments.running(daily, ["metric", "variant"], "on", TWO))
    assert len(ran) == 14
    for cell in ran:
        until = [row for row in days if row["variant"] == cell["variant"] and row["on"] <= cell["on"]]
        close(cell, [(row["value"], row["pre_value"]) for row in until])


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("where", TWO)
def test_a_user_whose_numbers_are_not_finite_is_counted_and_in_no_sum(engine, bad, where):
    (cell,) = cells(engine, [user(1.0, 2.0), user(4.0, 8.0), {**user(1.0, 2.0), where: bad}])
    assert (cell["n"], cell["not_finite"]) == (2, 1)
    close(cell, [(1.0, 2.0), (4.0, 8.0)])
    (alone,) = cells(engine, [{**user(1.0, 2.0), where: bad}])
    assert (alone["n"], alone["not_finite"], alone["sum_value"]) == (0, 1, None)


def test_weights_that_are_not_there_have_no_sums(engine):
    (cell,) = cells(engine, [user(1.0, known_before=1.0), user(3.0, known_before=0.0)], VARIABLES)
    assert cell["product_value_weight"] is None
    assert cell["sum_weight"] is None
    close(cell, [(1.0, 1.0), (3.0, 0.0)], ("value", "known_before"))


def test_the_order_of_users_changes_no_digit(engine):
    rows = [user(math.sin(n) * 1e3, math.cos(n)) for n in range(5000)]
    assert cells(engine, rows) == cells(engine, rows[::-1])


def test_without_users_there_are_no_cells(engine):
    assert cells(engine, []) == []


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ab"), numbers, numbers, numbers), min_size=1, max_size=20), st.booleans())
def test_outcomes_beside_each_other_have_the_same_moments(engine, people, asked_before):
    rows = [{"variant": v, "paid": x + 1e9, "visits": y, "before": z} for v, x, y, z in people]
    kinds = {"variant": "string", "paid": "float64", "visits": "int64", "before": "float64"}
    rows = [{**row, "visits": int(row["visits"])} for row in rows]
    metrics = {
        "paid": {"value": "paid", "pre_value": "before"},
        "visits": {"value": "visits", "pre_value": "before"},
        "rate": {"value": "visits", "weight": "before"},
    }
    users = table(kinds, *rows)
    shifts = engine.rows(moments.near(users, ["paid", "visits", "before"]))[0] if asked_before else None
    found = engine.rows(moments.wide_moments(users, metrics, ["variant"], shifts))
    assert len(found) == 3 * len({row["variant"] for row in rows})
    for cell in found:
        of = metrics[cell["metric"]]
        members = [row for row in rows if row["variant"] == cell["variant"]]
        close(cell, [tuple(float(row[name]) for name in of.values()) for row in members], tuple(of))
        assert (cell["sum_weight"] is None) == ("weight" not in of)


def test_outcomes_beside_each_other_may_be_of_everybody(engine):
    rows = table({"paid": "float64"}, {"paid": 1.0}, {"paid": 3.0})
    (cell,) = engine.rows(moments.wide_moments(rows, {"paid": {"value": "paid"}}, []))
    close(cell, [(1.0,), (3.0,)], ("value",))


def test_a_number_that_is_not_finite_shows_in_the_sums_it_is_in(engine):
    rows = table(
        {"paid": "float64", "visits": "float64"}, {"paid": math.nan, "visits": 1.0}, {"paid": 1.0, "visits": 2.0}
    )
    found = engine.rows(moments.wide_moments(rows, {name: {"value": name} for name in ("paid", "visits")}, []))
    by = {cell["metric"]: cell for cell in found}
    assert math.isnan(by["paid"]["sum_value"])
    close(by["visits"], [(1.0,), (2.0,)], ("value",))


def test_a_cell_is_told_in_the_order_asked_for():
    cell = {"n": 2, "shift_value": 1.0, "shift_pre_value": 2.0, "sum_value": 3.0, "sum_pre_value": 4.0}
    cell |= {"product_value_value": 5.0, "product_value_pre_value": 6.0, "product_pre_value_pre_value": 7.0}
    assert moments.told(cell, ("pre_value", "value")) == {
        "n": 2,
        "sums": [4.0, 3.0],
        "products": [[7.0, 6.0], [6.0, 5.0]],
        "shifts": [2.0, 1.0],
    }
