"""Moments: how many users, and shifted sums and products of what is known of them, in one pass of the engine.

Belongs here: the sums that statistics read instead of users. Does not belong here: what becomes of them (`statistics`).

Sums are of each variable minus a shift near its mean, so that nothing is lost where values are near 1e9 and differ by
1; all cells of one outcome have the same shift, so that their sums add up (`summed`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import ibis

from analytics_assets.analysis.metrics import steady

if TYPE_CHECKING:
    from ibis.expr.types import BooleanValue, NumericValue, Table, Value

VARIABLES = ("value", "weight", "pre_value", "pre_weight", "known_before")
"""What is known of a user and an outcome; a weight is null where the metric is no ratio."""
_SAMPLE = 10_000
_STEPS, _FAR = 128.0, 1e12
_ROOM = 4096.0
"""So many times the size of a number, 12 of the 52 binary digits after the first are taken by what is larger."""


def names(variables: Sequence[str] = VARIABLES) -> tuple[str, ...]:
    """Name the columns of sums and products.

    >>> names(["value", "pre_value"])
    ('sum_value', 'sum_pre_value', 'product_value_value', 'product_value_pre_value', 'product_pre_value_pre_value')
    """
    return (*(f"sum_{one}" for one in variables), *(f"product_{one}_{other}" for one, other in _pairs(variables)))


def _pairs(variables: Sequence[str]) -> Iterator[tuple[str, str]]:
    return itertools.combinations_with_replacement(variables, 2)


def moments(rows: Table, by: Sequence[str], outcome: Sequence[str] = (), variables: Sequence[str] = VARIABLES) -> Table:
    """Sum up users by whatever tells them apart.

    A user of whom any number is not finite is counted in `not_finite` and is in no sum; a variable that is null for all
    has null sums.

    Args:
        rows: One row a user and outcome.
        by: The columns that tell cells apart.
        outcome: Those of them that name an outcome, whose cells have shifts in common; without any, all have.
        variables: Numbers.

    Returns:
        The columns of `by`; n (users in the sums), not_finite; shift_V of each variable; sum_V of V - shift; and
        product_V_W, the sum of products of the two.

    >>> users = ibis.memtable({"variant": ["a", "a", "b"], "value": [1e9, 1e9 + 2, 1e9 + 1]})
    >>> cells = moments(users, ["variant"], variables=["value"]).order_by("variant")
    >>> cells.select("n", "shift_value", "sum_value", "product_value_value").execute().values.tolist()
    [[2.0, 1000000001.0, 0.0, 2.0], [1.0, 1000000001.0, 0.0, 0.0]]
    """
    shifts = {f"shift_{name}": name for name in variables}
    typed = rows.select(*by, **{name: rows[name].cast("float64") for name in variables})
    kept = typed.mutate(fine_=~_off(typed, variables))
    # the rows of users who are not finite count, and their numbers do not
    kept = kept.mutate(**{name: kept.fine_.ifelse(kept[name], ibis.null("float64")) for name in variables})
    means = {shift: _short(kept[name].mean()) for shift, name in shifts.items()}
    near = kept.group_by(outcome).aggregate(**means) if outcome else kept.aggregate(**means)
    both = kept.inner_join(near, list(outcome)) if outcome else kept.cross_join(near)
    apart = both.select(*by, "fine_", *shifts, **{name: both[name] - both[shift] for shift, name in shifts.items()})
    cells = apart.group_by(by).aggregate(
        n=apart.fine_.sum().cast("int64"),
        not_finite=(~apart.fine_).sum().cast("int64"),
        **{shift: apart[shift].max() for shift in shifts},
        **_sums(apart, variables),
    )
    return _without_noise(cells, variables)


def _short(mean: NumericValue) -> NumericValue:
    """Cut a mean to a number of few binary digits, so that whole numbers minus it, and their products, are exact.

    Then their sums do not depend on the order of rows: those of shares and counts, above all.
    """
    cut: NumericValue = (mean.abs() < _FAR).ifelse((mean * _STEPS).round(0) / _STEPS, steady(mean))
    return cut


def _off(rows: Table, variables: Sequence[str]) -> BooleanValue:
    off = [(rows[name].isnan() | rows[name].isinf()).fill_null(False) for name in variables]  # noqa: FBT003
    return ibis.or_(*off)


def _sums(apart: Table, variables: Sequence[str]) -> dict[str, Value]:
    products = {f"product_{one}_{other}": (apart[one] * apart[other]).sum() for one, other in _pairs(variables)}
    return {f"sum_{name}": apart[name].sum() for name in variables} | products


def _without_noise(cells: Table, variables: Sequence[str]) -> Table:
    """Round off what depends on the order of rows: beside what the squares come to, 2 ** -40 of it is nothing.

    A number plus a larger one, minus it again, is left with the digits that the larger one has room for. That takes
    no logarithm, and leaves whole numbers as they are.
    """
    sizes = {name: cells[f"product_{name}_{name}"] for name in variables}
    scales = {f"sum_{name}": (size * cells.n).sqrt() for name, size in sizes.items()}
    scales |= {f"product_{one}_{other}": sizes[one].sqrt() * sizes[other].sqrt() for one, other in _pairs(variables)}
    scaled = cells.mutate(**{f"{name}_": scale * _ROOM for name, scale in scales.items()})
    kept = [name for name in cells.columns if name not in scales]
    return scaled.select(*kept, **{name: (scaled[name] + scaled[f"{name}_"]) - scaled[f"{name}_"] for name in scales})


def wide_moments(
    rows: Table,
    metrics: Mapping[str, Mapping[str, str]],
    by: Sequence[str],
    shifts: Mapping[str, float] | None = None,
) -> Table:
    """Sum up users whose outcomes stand beside each other, a column each, in one pass over them.

    A number that is not finite makes the sums that it is in not finite.

    Args:
        rows: One row a user, without nulls in what is summed.
        metrics: By name: the column of each of its variables, `{"revenue": {"value": "revenue"}}`.
        by: The columns that tell cells apart.
        shifts: A number near the mean of each column, such as `near` gives of the first rows; without them it is asked
            in the same query, which then takes a tenth longer.

    Returns:
        As `moments`, for each cell and metric; what a metric has not is null.

    >>> users = ibis.memtable({"variant": ["a", "a", "b"], "paid": [1.0, 3.0, 2.0], "paid_before": [1.0, 2.0, 3.0]})
    >>> metrics = {"paid": {"value": "paid", "pre_value": "paid_before"}}
    >>> cells = wide_moments(users, metrics, ["variant"]).order_by("variant")
    >>> cells.select("metric", "n", "shift_value", "product_value_pre_value").execute().values.tolist()
    [['paid', 2, 2.0, 1.0], ['paid', 1, 2.0, 0.0]]
    """
    columns = list(dict.fromkeys(column for of in metrics.values() for column in of.values()))
    known = {f"shift_{name}": ibis.literal(float(shifts[name])) for name in columns} if shifts is not None else None
    # the rows are asked for twice, and not what was made of them: that would be kept in between, all of it
    first = None if known is not None else near(rows, columns).rename({f"shift_{name}": name for name in columns})
    both = rows.select(*by, *columns)
    both = both.cross_join(first) if first is not None else both.mutate(**(known or {}))
    apart = both.select(*by, **{name: both[name].cast("float64") - both[f"shift_{name}"] for name in columns})
    pairs = {pair for of in metrics.values() for pair in _pairs([of[name] for name in VARIABLES if name in of])}
    sums = {f"sum_{name}": apart[name].sum() for name in columns}
    sums |= {f"product_{one}_{other}": (apart[one] * apart[other]).sum() for one, other in sorted(pairs)}
    counted: Table = (
        apart.group_by(by).aggregate(n=apart.count(), **sums) if by else apart.aggregate(n=apart.count(), **sums)
    )
    cells = counted.cross_join(first) if first is not None else counted.mutate(**(known or {}))
    # one row a cell becomes one a metric: as a table for each metric, all of them would be computed as often
    each = cells.select(*by, "n", told=ibis.array([_of_metric(cells, *metric) for metric in metrics.items()]).unnest())
    lifted = {name: each.told[name] for name in ("metric", *_columns(VARIABLES))}
    return each.select(*by, "n", not_finite=ibis.literal(0, "int64"), **lifted)


def near(rows: Table, columns: Sequence[str]) -> Table:
    """Give numbers near the mean of columns, in one row: the means of the first rows, 0 where none of them is finite.

    >>> near(ibis.memtable({"paid": [1.0, 2.0, float("nan")]}), ["paid"]).paid.execute().to_list()
    [1.5]
    """
    first = rows.limit(_SAMPLE)
    typed = first.select(**{name: first[name].cast("float64") for name in columns})
    finite = {name: ~(typed[name].isnan() | typed[name].isinf()) for name in columns}
    return typed.aggregate(**{name: typed[name].mean(where=finite[name]).fill_null(0.0) for name in columns})


def _columns(variables: Sequence[str]) -> tuple[str, ...]:
    return (*(f"shift_{name}" for name in variables), *names(variables))


def _of_metric(cells: Table, metric: str, of: Mapping[str, str]) -> Value:
    none = ibis.null("float64")
    numbers = {f"shift_{name}": cells[f"shift_{of[name]}"] if name in of else none for name in VARIABLES}
    numbers |= {f"sum_{name}": cells[f"sum_{of[name]}"] if name in of else none for name in VARIABLES}
    numbers |= {
        f"product_{one}_{other}": cells[f"product_{of[one]}_{of[other]}"] if one in of and other in of else none
        for one, other in _pairs(VARIABLES)
    }
    return ibis.struct({"metric": ibis.literal(metric), **numbers})


def summed(cells: Table, by: Sequence[str], variables: Sequence[str] = VARIABLES) -> Table:
    """Add cells up, such as days and maturities, of outcomes whose shifts they have in common.

    Args:
        cells: What `moments` gives.
        by: The columns that still tell cells apart; the outcome among them.
        variables: Those of the cells.
    """
    added = ("n", "not_finite", *names(variables))
    shifts = {f"shift_{name}": cells[f"shift_{name}"].max() for name in variables}
    whole = cells.group_by(by).aggregate(**shifts, **{name: cells[name].sum() for name in added})
    return whole.cast({"n": "int64", "not_finite": "int64"})


def running(cells: Table, by: Sequence[str], over: str, variables: Sequence[str] = VARIABLES) -> Table:
    """Add cells up from the first to each, in the order of a column such as the day of exposure.

    Args:
        cells: What `moments` or `summed` give, one row a value of `by` and `over`.
        by: The columns that tell series apart.
        over: The column of the order.
        variables: Those of the cells.
    """
    so_far = ibis.cumulative_window(group_by=by, order_by=over)
    added = ("n", "not_finite", *names(variables))
    ran = cells.mutate(**{name: cells[name].sum().over(so_far) for name in added})
    return ran.cast({"n": "int64", "not_finite": "int64"})


def told(cell: Mapping[str, Any], variables: Iterable[str]) -> dict[str, Any]:
    """Give a collected cell as the arguments of `statistics.moments.Moments.from_sums`.

    >>> cell = {"n": 2, "shift_value": 5.0, "sum_value": 1.0, "product_value_value": 3.0}
    >>> told(cell, ["value"])
    {'n': 2, 'sums': [1.0], 'products': [[3.0]], 'shifts': [5.0]}
    """
    asked = list(variables)
    order = {name: place for place, name in enumerate(VARIABLES)}

    def product(one: str, other: str) -> float:
        first, second = sorted((one, other), key=lambda name: order[name])
        return float(cell[f"product_{first}_{second}"])

    return {
        "n": cell["n"],
        "sums": [cell[f"sum_{name}"] for name in asked],
        "products": [[product(one, other) for other in asked] for one in asked],
        "shifts": [cell[f"shift_{name}"] for name in asked],
    }
