"""Marketing: what campaigns cost and reached, who is credited with orders, what would not have come without them.

Belongs here: the tables of campaigns, and which of their days and units are compared. Does not belong here: how credit
is given (`analysis.attribution`), what is summed up (`analysis.campaigns`), and how an increment is estimated
(`statistics.incrementality`).
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeAlias

import ibis

from analytics_assets.analysis import attribution as crediting
from analytics_assets.analysis import campaigns as campaigning
from analytics_assets.analysis.periods import ratio
from analytics_assets.assets.catalog import Setting, table
from analytics_assets.assets.records import made
from analytics_assets.contracts import marketing as promised
from analytics_assets.contracts.model import UNKNOWN_MEMBER
from analytics_assets.lake.days import Days
from analytics_assets.project.business import Control
from analytics_assets.statistics.correlation import correlate
from analytics_assets.statistics.incrementality import Increment, alike_before, increment

if TYPE_CHECKING:
    import numpy as np
    from ibis.expr.types import Table

Record: TypeAlias = dict[str, Any]

LAST = "last"
"""The model whose credit stands beside spend."""
OUTCOMES = ("visits", "orders", "revenue")
LAGS = (0, 1, 2, 3, 7)
"""Days from spend to revenue for which the two are correlated."""
_CENTS = Decimal("0.0001")
_MOST = 1e13
"""What an estimated amount may be at most; beyond it, nothing was estimated."""


# --- credit -----------------------------------------------------------------------------------------------------------


@table(promised.ATTRIBUTION_ORDERS)
def attribution_orders(setting: Setting, order_value: Table, fact_sessions: Table | None = None) -> Table:
    """Credit each order to the campaigns that touched it: the first, the last, or all alike."""
    touches = None if fact_sessions is None else crediting.touches(fact_sessions)
    touched = crediting.touched_orders(order_value, touches, setting.project.marketing.lookback_days)
    credited = crediting.credit(order_value, touched, ["net", "profit"])
    return credited.inner_join(order_value.select("order_id", "day", "user_id"), "order_id")


@table(promised.ATTRIBUTION)
def attribution(attribution_orders: Table) -> Table:
    """Sum up credit by campaign and model; what no campaign touched is `(none)`."""
    rows = attribution_orders
    found = rows.group_by(["campaign_id", "model"]).aggregate(
        orders=rows.orders.sum(), net=rows.net.sum(), profit=rows.profit.sum(), customers=rows.user_id.nunique()
    )
    return found.mutate(share=ratio(found.net, found.net.sum().over(ibis.window(group_by="model"))))


# --- cost -------------------------------------------------------------------------------------------------------------


@table(promised.CAMPAIGN_PERFORMANCE)
def campaign_performance(
    setting: Setting,
    fact_campaign_spend: Table,
    dim_campaigns: Table | None = None,
    attribution: Table | None = None,
) -> Table:
    """Sum up what each campaign and channel cost, reached, and was the last to touch."""
    credited = None if attribution is None else attribution.filter(attribution.model == LAST)
    listed = campaigning.campaigns(dim_campaigns, fact_campaign_spend, credited, setting.so_far.last)
    return campaigning.performance(listed, fact_campaign_spend, credited)


@table(promised.CAMPAIGN_DAILY)
def campaign_daily(fact_campaign_spend: Table, attribution_orders: Table | None = None) -> Table:
    """Sum up cost, reach and credit of each campaign by day."""
    credited = None if attribution_orders is None else attribution_orders.filter(attribution_orders.model == LAST)
    return campaigning.daily(fact_campaign_spend, credited)


# --- increment --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Campaign:
    """A campaign, with what is known of its days and its control.

    `days` are those so far, by their numbers since the project's first; `why` says why there are none.
    """

    campaign_id: str
    name: str | None
    channel: str | None
    spend: Decimal
    first_day: dt.date | None
    last_day: dt.date | None
    complete: bool | None
    days: range
    why: str
    control: tuple[str, ...]

    @property
    def told(self) -> Record:
        """What every table says of it."""
        names = ("campaign_id", "first_day", "last_day", "complete")
        return {name: getattr(self, name) for name in names}


def _campaigns(
    setting: Setting,
    dim_campaigns: Table | None,
    fact_campaign_spend: Table | None,
    credited: Table | None = None,
) -> list[_Campaign]:
    """List the campaigns that are known from anywhere, in the order of their ids."""
    if dim_campaigns is None and fact_campaign_spend is None and credited is None:
        return []
    days = setting.so_far
    listed = campaigning.campaigns(dim_campaigns, fact_campaign_spend, credited, days.last)
    control = setting.project.marketing.control
    named: dict[str, str | None] = {}
    if dim_campaigns is not None and control is not None and control.property is not None:
        rows = setting.collect(dim_campaigns.select("campaign_id", "properties"))
        named = {row["campaign_id"]: row["properties"] for row in rows}
    found = []
    for row in sorted(setting.collect(listed), key=lambda row: row["campaign_id"]):
        first, last = row["first_day"], row["last_day"]
        ran, why = _days_so_far(first, last, days)
        found.append(
            _Campaign(
                campaign_id=row["campaign_id"],
                name=row["name"],
                channel=row["channel"],
                spend=row["spend"],
                first_day=first,
                last_day=last,
                complete=None if last is None else last <= days.last,
                days=ran,
                why=why,
                control=_control(control, row["campaign_id"], named.get(row["campaign_id"])),
            )
        )
    return found


def _days_so_far(first: dt.date | None, last: dt.date | None, days: Days) -> tuple[range, str]:
    """Number a campaign's days so far, or say why there are none."""
    if first is None or last is None:
        return range(0), "nothing tells its days"
    if last < first:
        return range(0), "it ends before it begins"
    if first > days.last:
        return range(0), "it has not begun"
    if last < days.first:
        return range(0), "it ended before the first day"
    begin, end = max(first, days.first), min(last, days.last)
    return range((begin - days.first).days, (end - days.first).days + 1), ""


def _control(declared: Control | None, campaign: str, properties: str | None) -> tuple[str, ...]:
    """Name the units in which a campaign does not run, as the project declares them."""
    if declared is None:
        return ()
    if declared.property is None:
        return tuple(dict.fromkeys(declared.values.get(campaign, [])))
    text = json.loads(properties or "{}").get(declared.property) or ""
    return tuple(dict.fromkeys(part.strip() for part in text.split(";") if part.strip()))


@table(promised.CAMPAIGN_UNITS)
def campaign_units(
    setting: Setting,
    order_value: Table,
    dim_users: Table,
    dim_geography: Table,
    fact_sessions: Table | None = None,
) -> Table:
    """Count visits, orders and revenue by day and region, or what else the project declares as control."""
    control = setting.project.marketing.control
    if control is None:
        return made(promised.CAMPAIGN_UNITS, [])
    known = dim_users.filter(dim_users.user_id != UNKNOWN_MEMBER, dim_users.excluded_as.isnull())
    told = known.left_join(dim_geography, "geography_id")
    if control.by not in told.columns:
        return made(promised.CAMPAIGN_UNITS, [])
    people = told.select("user_id", unit=told[control.by].cast("string"))
    return campaigning.unit_days(people, order_value, fact_sessions)


@dataclass(frozen=True)
class _World:
    """What happened by day and unit: an array of days x units for each outcome that is known."""

    units: tuple[str, ...]
    outcomes: Mapping[str, np.ndarray]
    unplaced: Mapping[str, np.ndarray]


def _world(setting: Setting, campaign_units: Table) -> _World:
    import numpy as np

    days = setting.so_far
    inside = campaign_units.filter(campaign_units.day.between(days.first, days.last))
    rows = setting.collect(inside.mutate(revenue=inside.revenue.cast("float64")))
    rows.sort(key=lambda row: (row["day"], row["unit"]))
    names = sorted({row["unit"] for row in rows} | {UNKNOWN_MEMBER})
    place = {name: number for number, name in enumerate(names)}
    where = [(row["day"] - days.first).days for row in rows], [place[row["unit"]] for row in rows]
    outcomes = {}
    for name in OUTCOMES:
        if any(row[name] is not None for row in rows):
            outcomes[name] = np.zeros((len(days), len(names)))
            outcomes[name][where] = [float(row[name] or 0) for row in rows]
    known = [place[name] for name in names if name != UNKNOWN_MEMBER]
    return _World(
        tuple(name for name in names if name != UNKNOWN_MEMBER),
        {name: array[:, known] for name, array in outcomes.items()},
        {name: array[:, place[UNKNOWN_MEMBER]] for name, array in outcomes.items()},
    )


@dataclass(frozen=True)
class _Compared:
    """One campaign's increment of one outcome, and what it was compared by."""

    campaign: _Campaign
    outcome: str
    found: Increment
    treated_units: int
    control_units: int
    unplaced: float | None
    before: tuple[int, ...] = ()


def _compared(setting: Setting, campaign_units: Table, campaigns: Sequence[_Campaign]) -> Iterator[_Compared]:
    """Estimate the increments of every campaign, or say why they are not identified."""
    control = setting.project.marketing.control
    world = _world(setting, campaign_units) if any(told.control and told.days for told in campaigns) else None
    running = {told.campaign_id: told.days for told in campaigns if told.days}
    for campaign in campaigns:
        why = campaign.why
        if control is None:
            why = why or "no control is declared"
        elif not campaign.control:
            names = f"{control.property} names" if control.property else "the project declares"
            why = why or f"{names} no {control.by} in which it does not run"
        if why or world is None or control is None:
            for outcome in OUTCOMES:
                yield _Compared(campaign, outcome, Increment("not identified", why), 0, 0, None)
            continue
        if not world.units:
            for outcome in OUTCOMES:
                yield _Compared(
                    campaign, outcome, Increment("not identified", f"no {control.by} of users is known"), 0, 0, None
                )
            continue
        treated = [unit not in campaign.control for unit in world.units]
        strange = [unit for unit in campaign.control if unit not in world.units]
        said = f"nothing is known of {control.by} {', '.join(strange)}" if strange else ""
        others = {name: days for name, days in running.items() if name != campaign.campaign_id}
        before = alike_before(campaign.days, others)
        for outcome in OUTCOMES:
            found, unplaced = Increment("not identified", f"no {outcome} are delivered"), None
            if outcome in world.outcomes:
                unplaced = float(world.unplaced[outcome][campaign.days].sum())
                if before.reason:
                    found = Increment("not identified", before.reason)
                else:
                    found = increment(world.outcomes[outcome], treated, before.days, campaign.days)
                found = replace(found, reason="; ".join(part for part in (found.reason, said) if part))
            yield _Compared(campaign, outcome, found, sum(treated), len(treated) - sum(treated), unplaced, before.days)


@table(promised.CAMPAIGN_INCREMENTALITY)
def campaign_incrementality(
    setting: Setting,
    campaign_units: Table,
    dim_campaigns: Table | None = None,
    fact_campaign_spend: Table | None = None,
) -> Table:
    """Estimate what would not have come without each campaign, by comparison with where it did not run."""
    control = setting.project.marketing.control
    campaigns = _campaigns(setting, dim_campaigns, fact_campaign_spend)
    records = []
    for told in _compared(setting, campaign_units, campaigns):
        found = asdict(told.found)
        placebos = found.pop("placebos")
        records.append(
            {
                **told.campaign.told,
                **found,
                "outcome": told.outcome,
                "units": None if control is None else control.by,
                "control": ";".join(told.campaign.control),
                "treated_units": told.treated_units,
                "control_units": told.control_units,
                "treated": found["treated"] if told.treated_units else None,
                "unplaced": told.unplaced,
                "placebos": len(placebos),
                "placebos_showing": sum(placebo.shows for placebo in told.found.placebos),
            }
        )
    return made(promised.CAMPAIGN_INCREMENTALITY, records)


@table(promised.CAMPAIGN_PLACEBOS)
def campaign_placebos(
    setting: Setting,
    campaign_units: Table,
    dim_campaigns: Table | None = None,
    fact_campaign_spend: Table | None = None,
) -> Table:
    """Show what the estimator sees on dates before each campaign, on which nothing ran."""
    first = setting.so_far.first
    records = []
    for told in _compared(setting, campaign_units, _campaigns(setting, dim_campaigns, fact_campaign_spend)):
        before = told.before[len(told.before) - told.found.days_before :]
        for number, placebo in enumerate(told.found.placebos, 1):
            days = [first + dt.timedelta(days=before[place]) for place in placebo.days]
            seen = asdict(placebo) | {"days": len(days), "first_day": days[0], "last_day": days[-1]}
            named = {"campaign_id": told.campaign.campaign_id, "outcome": told.outcome, "placebo": number}
            records.append({**seen, **named, "shows": placebo.shows})
    return made(promised.CAMPAIGN_PLACEBOS, records)


# --- return on investment ---------------------------------------------------------------------------------------------


@table(promised.CAMPAIGN_ROI_ANALYSIS)
def campaign_roi_analysis(
    setting: Setting,
    fact_campaign_spend: Table,
    order_value: Table,
    attribution: Table,
    dim_campaigns: Table | None = None,
    campaign_incrementality: Table | None = None,
) -> Table:
    """Tell what each campaign brought three ways, each under its own name: naive, attributed, incremental."""
    campaigns = _campaigns(setting, dim_campaigns, fact_campaign_spend, attribution)
    if not campaigns:
        return made(promised.CAMPAIGN_ROI_ANALYSIS, [])
    rows = setting.collect(
        order_value.group_by("day").aggregate(
            net=order_value.net.sum(), profit=order_value.profit.sum(), uncosted=order_value.net_uncosted.sum()
        )
    )
    daily = {(row["day"] - setting.so_far.first).days: row for row in rows}
    credited = {(row["campaign_id"], row["model"]): row for row in setting.collect(attribution)}
    increments = {}
    if campaign_incrementality is not None:
        found = campaign_incrementality.filter(campaign_incrementality.outcome == "revenue")
        increments = {row["campaign_id"]: row for row in setting.collect(found)}
    records = []
    for campaign in campaigns:
        window = [daily[day] for day in campaign.days if day in daily]
        records += [_naive(campaign, window)]
        records += [
            _attributed(campaign, model, credited.get((campaign.campaign_id, model))) for model in crediting.MODELS
        ]
        records += [_incremental(campaign, window, increments.get(campaign.campaign_id))]
    return made(promised.CAMPAIGN_ROI_ANALYSIS, records)


def _total(values: Iterable[Decimal | None]) -> Decimal | None:
    """Sum up what is known; null where nothing is."""
    known = [value for value in values if value is not None]
    return sum(known, Decimal(0)) if known else None


def _return(campaign: _Campaign, method: str, revenue: Decimal | None, profit: Decimal | None) -> Record:
    """Divide revenue by spend; where nothing was spent, there is nothing to divide by."""
    roas = None if revenue is None or not campaign.spend else float(revenue / campaign.spend)
    return {
        **campaign.told,
        "method": method,
        "name": campaign.name,
        "channel": campaign.channel,
        "revenue": revenue,
        "revenue_low": None,
        "revenue_high": None,
        "profit": profit,
        "spend": campaign.spend,
        "roi": None if roas is None or revenue is None else float((revenue - campaign.spend) / campaign.spend),
        "roi_low": None,
        "roi_high": None,
        "roas": roas,
        "state": "counted" if campaign.spend else "no spend",
        "reason": "" if campaign.spend else "nothing was spent",
    }


def _naive(campaign: _Campaign, window: Sequence[Record]) -> Record:
    """Count all revenue on a campaign's days, whoever brought it."""
    if not campaign.days:
        return _return(campaign, "naive", None, None) | {"state": "no dates", "reason": campaign.why}
    net = _total(row["net"] for row in window) or Decimal(0)
    return _return(campaign, "naive", net, _total(row["profit"] for row in window))


def _attributed(campaign: _Campaign, model: str, credit: Record | None) -> Record:
    """Count what is credited to a campaign; of no order, that is nothing."""
    told = credit or {"net": Decimal(0), "profit": None}
    return _return(campaign, f"attributed_{model}", told["net"], told["profit"])


def _incremental(campaign: _Campaign, window: Sequence[Record], found: Record | None) -> Record:
    """Count what would not have come without a campaign, and its profit at the margin of the campaign's days."""
    if found is None or found["state"] != "identified" or abs(found["estimate"]) > _MOST:
        reason = "what users do by region is not known" if found is None else found["reason"]
        nothing = _return(campaign, "incremental", None, None)
        return nothing | {"state": "not identified", "reason": reason or "the estimate is beyond all bounds"}
    revenue = Decimal(found["estimate"]).quantize(_CENTS)
    profit = _total(row["profit"] for row in window)
    costed = sum((row["net"] - row["uncosted"] for row in window), Decimal(0))
    if profit is not None:
        profit = (revenue * profit / costed).quantize(_CENTS) if costed else None
    spend = float(campaign.spend)
    ends = {"low": found["low"], "high": found["high"]}
    told = _return(campaign, "incremental", revenue, profit)
    told |= {f"revenue_{end}": value for end, value in ends.items()}
    told |= {f"roi_{end}": (value - spend) / spend if spend else None for end, value in ends.items()}
    return told | {
        "state": "identified",
        "reason": "; ".join(part for part in (told["reason"], found["reason"]) if part),
    }


# --- correlation ------------------------------------------------------------------------------------------------------


@table(promised.CAMPAIGN_CORRELATION)
def campaign_correlation(setting: Setting, fact_campaign_spend: Table, order_value: Table) -> Table:
    """Correlate daily spend with the net revenue of the same day and of days soon after."""
    days = setting.so_far
    inside = fact_campaign_spend.filter(fact_campaign_spend.day.between(days.first, days.last))
    sums = inside.group_by(["campaign_id", "channel", "day"]).aggregate(spend=inside.spend.sum())
    rows = setting.collect(sums)
    if not rows:
        return made(promised.CAMPAIGN_CORRELATION, [])
    revenue = {
        row["day"]: float(row["net"])
        for row in setting.collect(order_value.group_by("day").aggregate(net=order_value.net.sum()))
    }
    spent: dict[tuple[str, str], dict[dt.date, Decimal]] = {}
    for row in rows:
        for key in (("", ""), ("channel", row["channel"]), ("campaign", row["campaign_id"])):
            by_day = spent.setdefault(key, {})
            by_day[row["day"]] = by_day.get(row["day"], Decimal(0)) + row["spend"]
    records = []
    for (dimension, value), by_day in sorted(spent.items()):
        span = Days(min(by_day), max(by_day))
        for lag in LAGS:
            later = [(day, day + dt.timedelta(days=lag)) for day in span]
            pairs = [(float(by_day.get(day, 0)), revenue.get(after, 0.0)) for day, after in later if after <= days.last]
            found = asdict(correlate([pair[0] for pair in pairs], [pair[1] for pair in pairs]))
            told = {"dimension": dimension, "value": value, "lag": lag, "first_day": span.first, "last_day": span.last}
            records.append({**told, **found, "r": found.pop("pearson")})
    return made(promised.CAMPAIGN_CORRELATION, records)
