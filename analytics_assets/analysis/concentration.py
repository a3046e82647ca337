"""Concentration: how much comes from how few.

Belongs here: the Lorenz curve and what is read off it. Does not belong here: who the few are (`rfm`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import ibis

if TYPE_CHECKING:
    from ibis.expr.types import Table

_WIDE = "decimal(38, 4)"


def ranked(amounts: Table) -> Table:
    """Rank units from the least amount: columns place (from 1), amount, so_far (with its own), units, whole.

    Args:
        amounts: Columns unit and amount (a decimal, zero or more).
    """
    order = [amounts.amount, amounts.unit]
    running = ibis.window(order_by=order, preceding=None, following=0)
    everything = ibis.window()
    return amounts.select(
        place=ibis.row_number().over(ibis.window(order_by=order)) + 1,
        amount=amounts.amount.cast(_WIDE),
        so_far=amounts.amount.sum().over(running).cast(_WIDE),
        units=amounts.count().over(everything),
        whole=amounts.amount.sum().over(everything).cast(_WIDE),
    )


def lorenz(amounts: Table) -> Table:
    """Return the Lorenz curve by percent of units, from those with least: columns percent (0 to 100) and share.

    Between two units the curve is a line. Without any amount there is no share.

    >>> from decimal import Decimal
    >>> spent = ibis.memtable({"unit": ["a", "b"], "amount": [Decimal(1), Decimal(3)]})
    >>> curve = lorenz(spent).order_by("percent").share.execute()
    >>> [round(float(curve[percent]), 3) for percent in (0, 25, 50, 75, 100)]
    [0.0, 0.125, 0.25, 0.625, 1.0]
    """
    places = ranked(amounts)
    percents = ibis.range(1, 101).unnest().name("percent").as_table()
    # the unit in which a percent of all falls: the first whose place is not below it
    at = percents.cross_join(places.aggregate(units=places.units.max()))
    at = at.mutate(place=(at.percent * at.units + 99) // 100).drop("units")
    found = at.inner_join(places, "place")
    inside = found.percent * found.units / 100.0 - (found.place - 1)
    before = (found.so_far - found.amount).cast("float64")
    share = (before + inside * found.amount.cast("float64")) / found.whole.cast("float64").nullif(0)
    start = places.aggregate(n=places.count()).filter(ibis._.n > 0)
    zero = start.select(percent=ibis.literal(0, "int64"), share=ibis.literal(0.0))
    curve = found.select(percent=found.percent.cast("int64"), share=(share > 1).ifelse(1.0, share))
    return zero.union(curve)


def concentration(amounts: Table) -> Table:
    """Measure concentration: columns units, whole, gini, top_decile_share, half_of_whole.

    Gini = 2 sum(place x amount) / (n sum(amount)) - (n + 1) / n (Gini 1912, of a whole population); half_of_whole is
    the least share of units that have half of it.

    >>> from decimal import Decimal
    >>> spent = ibis.memtable({"unit": ["a", "b"], "amount": [Decimal(1), Decimal(3)]})
    >>> float(concentration(spent).gini.execute()[0])
    0.25
    """
    places = ranked(amounts)
    above = places.whole - places.so_far
    told = places.aggregate(
        units=places.units.max(),
        whole=places.whole.max(),
        weighted=(places.place * places.amount.cast("decimal(28, 4)")).sum(),
        # as many, from the top, as leave less than half to those above each
        needed=(above * 2 < places.whole).sum(),
    ).filter(ibis._.units > 0)
    n, whole = told.units.cast("float64"), told.whole.cast("float64").nullif(0)
    curve = lorenz(amounts)
    below = curve.filter(curve.percent == 90).select(below="share")
    spread = told.cross_join(below)
    least = spread.needed.cast("float64") / n
    gini = 2 * spread.weighted.cast("float64") / (n * whole) - (n + 1) / n
    return spread.select(
        "units",
        "whole",
        gini=(gini < 0).ifelse(0.0, gini),
        top_decile_share=1 - spread.below,
        half_of_whole=whole.notnull().ifelse(least, ibis.null("float64")),
    )
