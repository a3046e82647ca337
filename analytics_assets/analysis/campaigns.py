"""Campaigns: when each ran, what it cost and reached, and what happened where it ran and where it did not.

Belongs here: sums over campaigns, channels, days and units. Does not belong here: whose merit an order is
(`attribution`), and what would have come anyway (`statistics.incrementality`).
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import ibis

from analytics_assets.analysis.attribution import NONE
from analytics_assets.analysis.periods import ratio
from analytics_assets.analysis.tables import together

if TYPE_CHECKING:
    from ibis.expr.types import Table, Value

AMOUNT = "decimal(18, 4)"
UNKNOWN = "(unknown)"
_NOTHING = ibis.literal(0).cast(AMOUNT)
_TOLD = {"name": "string", "channel": "string", "starts_on": "date", "ends_on": "date", "budget": AMOUNT}
_SPENT = {"spend": AMOUNT, "impressions": "int64", "clicks": "int64", "conversions": "int64"}
_CREDITED = {"orders": AMOUNT, "net": AMOUNT}


def campaigns(listed: Table | None, spend: Table | None, credited: Table | None, last: dt.date) -> Table:
    """List every campaign that is listed, costs something, or is credited with something, with its days.

    Args:
        listed: Columns campaign_id, name, channel, starts_on, ends_on, budget.
        spend: Columns campaign_id, channel, day, spend.
        credited: Column campaign_id.
        last: The last day delivered: that of a campaign of which no end is told, and no spend is known.

    Returns:
        Columns campaign_id, name, channel (of the list; else of its spend, where that is one alone), budget, spend,
        first_day and last_day: as listed; else the first and the last day of its spend. Null where nothing tells.
    """
    parts = []
    spent = {"spend": AMOUNT, "first_spend": "date", "last_spend": "date", "spend_channel": "string"}
    if listed is not None:
        known = listed.filter(listed.campaign_id != UNKNOWN)
        parts.append(known.select("campaign_id", *_TOLD, **_nulls(spent)))
    if spend is not None:
        paid = spend.filter(spend.spend > 0)
        days = paid.group_by("campaign_id").aggregate(first_spend=paid.day.min(), last_spend=paid.day.max())
        sums = spend.group_by("campaign_id").aggregate(
            spend=spend.spend.sum().cast(AMOUNT),
            spend_channel=(spend.channel.nunique() == 1).ifelse(spend.channel.max(), ibis.null("string")),
        )
        sums = sums.left_join(days, "campaign_id")
        parts.append(sums.select("campaign_id", **_nulls(_TOLD), **{name: sums[name] for name in spent}))
    if credited is not None:
        named = credited.filter(credited.campaign_id != NONE).select("campaign_id").distinct()
        parts.append(named.select("campaign_id", **_nulls(_TOLD), **_nulls(spent)))
    every = together(parts)
    one = every.group_by("campaign_id").aggregate(**{name: every[name].max() for name in (*_TOLD, *spent)})
    running = one.starts_on.notnull().ifelse(ibis.literal(last), ibis.null("date"))
    return one.select(
        "campaign_id",
        "name",
        channel=ibis.coalesce(one.channel, one.spend_channel, ibis.literal(UNKNOWN)),
        budget=one.budget,
        spend=one.spend.fill_null(_NOTHING),
        first_day=ibis.coalesce(one.starts_on, one.first_spend),
        last_day=ibis.coalesce(one.ends_on, one.last_spend, running),
    )


def _nulls(kinds: dict[str, str]) -> dict[str, Value]:
    return {name: ibis.null(kind) for name, kind in kinds.items()}


def daily(spend: Table, credited: Table | None) -> Table:
    """Sum up what each campaign cost and reached, and what is credited to it, by day.

    Args:
        spend: Columns campaign_id, day, spend, impressions, clicks, conversions.
        credited: Columns campaign_id, day, orders, net: of one model; None where no orders are delivered.
    """
    parts = [spend.select("campaign_id", "day", *_SPENT, **_nulls(_CREDITED))]
    if credited is not None:
        parts.append(credited.select("campaign_id", "day", **_nulls(_SPENT), **{n: credited[n] for n in _CREDITED}))
    both = together(parts)
    sums = {name: both[name].sum() for name in (*_SPENT, *_CREDITED)}
    found = both.group_by(["campaign_id", "day"]).aggregate(**sums)
    zeros = {"spend": found.spend.fill_null(0)}
    if credited is not None:
        zeros |= {name: found[name].fill_null(0) for name in _CREDITED}
    return found.mutate(**{name: value.cast(AMOUNT) for name, value in zeros.items()})


def performance(listed: Table, spend: Table, credited: Table | None) -> Table:
    """Sum up what was spent and reached, and what each of it cost: of each campaign, each channel, and all.

    A rate takes the rows alone in which both of its sides are known; of nothing it is null.

    Args:
        listed: As `campaigns` makes them.
        spend: Columns campaign_id, channel, day, spend, impressions, clicks, conversions. A channel that is not known
            is that of the campaign.
        credited: Columns campaign_id, orders, net: of one model; None where no orders are delivered.
    """
    own = listed.select("campaign_id", own_="channel")
    rows = spend.left_join(own, "campaign_id")
    rows = rows.mutate(channel=(rows.channel == UNKNOWN).ifelse(rows.own_.fill_null(UNKNOWN), rows.channel))
    merits = None if credited is None else credited.inner_join(own, "campaign_id").rename(channel="own_")
    parts = [
        _performance(listed, rows, merits, dimension).mutate(dimension=ibis.literal(dimension))
        for dimension in ("", "channel", "campaign")
    ]
    return together(parts)


def _performance(listed: Table, rows: Table, merits: Table | None, dimension: str) -> Table:
    """Sum up by the values of a dimension."""
    column = {"channel": "channel", "campaign": "campaign_id"}.get(dimension)

    def valued(table: Table) -> Table:
        return table.mutate(value=table[column] if column else ibis.literal(""))

    listed, rows = valued(listed), valued(rows)
    found = listed.select("value").union(rows.select("value"), distinct=True)
    for told in (_described(listed, dimension), _costs(rows)):
        found = found.left_join(told, "value").drop("value_right")
    if merits is None:
        found = found.mutate(**_nulls(_CREDITED))
    else:
        by = valued(merits)
        sums = by.group_by("value").aggregate(**{name: by[name].sum().cast(AMOUNT) for name in _CREDITED})
        found = found.left_join(sums, "value").drop("value_right")
        found = found.mutate(**{name: found[name].fill_null(_NOTHING) for name in _CREDITED})
    found = found.mutate(spend=found.spend.fill_null(_NOTHING), days=found.days.fill_null(0))
    return found.mutate(cpa=ratio(found.spend, found.orders))


def _described(listed: Table, dimension: str) -> Table:
    """Give campaigns their names, and channels and all the days and budgets of their campaigns."""
    only = dimension == "campaign"
    return listed.group_by("value").aggregate(
        name=listed.name.max() if only else ibis.null("string"),
        channel=listed.channel.max() if dimension else ibis.null("string"),
        first_day=listed.first_day.min(),
        last_day=listed.last_day.max(),
        budget=listed.budget.sum().cast(AMOUNT),
    )


def _costs(rows: Table) -> Table:
    """Sum up spend and reach by `value`, with rates of what is known on both sides."""
    paid, shown, clicked, converted = rows.spend, rows.impressions, rows.clicks, rows.conversions
    return rows.group_by("value").aggregate(
        days=rows.day.nunique(where=paid > 0),
        spend=paid.sum().cast(AMOUNT),
        impressions=shown.sum(),
        clicks=clicked.sum(),
        conversions=converted.sum(),
        ctr=ratio(clicked.sum(where=shown.notnull()), shown.sum(where=clicked.notnull())),
        cpc=ratio(paid.sum(where=clicked.notnull()), clicked.sum()),
        cpm=ratio(paid.sum(where=shown.notnull()), shown.sum()) * 1000,
        cost_per_conversion=ratio(paid.sum(where=converted.notnull()), converted.sum()),
    )


def unit_days(people: Table, orders: Table, sessions: Table | None) -> Table:
    """Count visits, orders and net revenue by day and unit.

    Args:
        people: Columns user_id, unit: where each user is.
        orders: Columns day, user_id, net.
        sessions: Columns day, user_id, excluded_as; None where no events are delivered.

    Returns:
        Columns day, unit, visits, orders, revenue; what users without a unit did is that of `(unknown)`.
    """
    bought = orders.left_join(people, "user_id")
    counts = {"visits": "int64", "orders": "int64", "revenue": AMOUNT}
    found = bought.group_by(day=bought.day, unit=bought.unit.fill_null(UNKNOWN)).aggregate(
        visits=ibis.null("int64"), orders=bought.count(), revenue=bought.net.sum().cast(AMOUNT)
    )
    if sessions is not None:
        counting = sessions.filter(sessions.excluded_as.isnull())
        came = counting.group_by(["day", "user_id"]).aggregate(visits=counting.count()).left_join(people, "user_id")
        visits = came.group_by(day=came.day, unit=came.unit.fill_null(UNKNOWN)).aggregate(visits=came.visits.sum())
        more = visits.mutate(orders=ibis.literal(0, "int64"), revenue=_NOTHING)
        found = found.union(more.select(*found.columns))
        found = found.group_by(["day", "unit"]).aggregate(**{name: found[name].sum() for name in counts})
        found = found.mutate(visits=found.visits.fill_null(0))
    return found.mutate(**{name: found[name].cast(kind) for name, kind in counts.items()})
