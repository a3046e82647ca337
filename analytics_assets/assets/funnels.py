"""Funnels: how far people get, how long it takes them, and where they are lost.

Belongs here: the tables of the funnels that a project asks for, and the classic tables beside them. Does not belong
here: what a funnel is (`analysis.funnel`).
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import ibis

from analytics_assets.analysis import funnel as asked_of
from analytics_assets.analysis.funnel import Breakdown, Exclusion, Step
from analytics_assets.analysis.intervals import wilson
from analytics_assets.analysis.periods import ratio
from analytics_assets.analysis.tables import together
from analytics_assets.assets.asking import askable, predicate, read_for
from analytics_assets.assets.catalog import Setting, TableAsset, declaration, family, table
from analytics_assets.assets.records import made
from analytics_assets.contracts import funnels as promised
from analytics_assets.contracts.delivered import AMOUNT
from analytics_assets.contracts.model import UNKNOWN_MEMBER, Contract
from analytics_assets.lake.kernels import funnel as quick
from analytics_assets.project.model import Project
from analytics_assets.project.questions import Funnel, FunnelBreakdown
from analytics_assets.statistics.multiple import holm
from analytics_assets.statistics.proportions import two_proportions

if TYPE_CHECKING:
    from ibis.expr.types import Table

_UNITS = {"user": "user_id", "session": "session_id"}
_ALPHA = 0.05
_SEPARATOR = "\x1f"


def analysed(asked: Funnel, breakdown: Breakdown | None = None) -> asked_of.Funnel:
    """Return the funnel of the analysis that a declared one stands for."""
    return asked_of.Funnel(
        steps=tuple(
            Step(step.called, step.event, predicate(step.where), step.optional, step.first_time) for step in asked.steps
        ),
        order=asked.order,
        window=asked.window,
        entry=asked.entry,
        unit=_UNITS.get(asked.unit, asked.unit),
        exclusions=tuple(
            Exclusion(told.event, told.after, told.before, predicate(told.where)) for told in asked.exclusions
        ),
        breakdown=breakdown,
    )


def _by_entry(asked: Funnel, breakdown: FunnelBreakdown) -> bool:
    """Say whether the value at the beginning of an attempt is the one that counts."""
    return breakdown.attribution == "step" and breakdown.step in {None, asked.steps[0].called}


def _named(asked: Funnel) -> list[str]:
    """Name every column that a funnel speaks of."""
    names = [column for told in (*asked.steps, *asked.exclusions) for column in told.where]
    names += [breakdown.by for breakdown in asked.broken_down()]
    return names + ([] if asked.unit in _UNITS else [asked.unit])


@family
def funnels(project: Project) -> Iterator[TableAsset]:
    """Make the tables of each funnel."""
    for name, asked in project.questions.funnels.items():
        yield from _tables(name, asked)


def _tables(name: str, asked: Funnel) -> Iterator[TableAsset]:
    steps, named, source = len(asked.steps), _named(asked), f"funnel_{name}_attempts"
    kept = {breakdown.column: breakdown.by for breakdown in asked.broken_down() if _by_entry(asked, breakdown)}

    def attempts(setting: Setting, **tables: Table) -> Table:
        """Follow every beginning of the funnel as far as it goes."""
        return _attempts(asked, askable(tables, named), setting)

    yield TableAsset(promised.attempts(name, steps, kept), attempts, read_for(named), ())
    yield _reading(source, promised.funnel(name), asked, _reached)
    yield _reading(source, promised.times(name), asked, lambda asked, rows, _: _times(asked, rows))
    yield _reading(source, promised.users(name, steps), asked, lambda asked, rows, _: _users(asked, rows))
    yield _reading(f"funnel_{name}", promised.friction(name), asked, _friction)


def _reading(
    source: str, contract: Contract, asked: Funnel, compute: Callable[[Funnel, Table, Setting], Table]
) -> TableAsset:
    """Declare a table that reads one other, whose name only the project knows."""

    def function(setting: Setting, **tables: Table) -> Table:
        return compute(asked, tables[source], setting)

    function.__doc__ = asked.description or contract.grain
    return TableAsset(contract=contract, function=function, requires=(source,), uses=())


def _end(setting: Setting) -> dt.datetime:
    """Return the instant from which on nothing is known."""
    after = setting.so_far.last + dt.timedelta(days=1)
    return dt.datetime.combine(after, dt.time(), ZoneInfo(setting.project.time_zone))


def _attempts(asked: Funnel, events: Table, setting: Setting) -> Table:
    by_entry = [breakdown for breakdown in asked.broken_down() if _by_entry(asked, breakdown)]
    told = events.mutate(**{b.column: events[b.by].cast("string").fill_null(UNKNOWN_MEMBER) for b in by_entry})
    keep = ["day", *(breakdown.column for breakdown in by_entry)]
    others = [breakdown for breakdown in asked.broken_down() if breakdown not in by_entry]
    return together(_attempted(asked, breakdown, told, setting, keep) for breakdown in (None, *others))


def _attempted(
    asked: Funnel, breakdown: FunnelBreakdown | None, events: Table, setting: Setting, keep: list[str]
) -> Table:
    if breakdown is None:
        funnel = analysed(asked)
    else:
        events = events.mutate(value_=events[breakdown.by].cast("string"))
        funnel = analysed(asked, Breakdown(("value_",), breakdown.attribution, breakdown.step))
    found = quick.attempts(events, funnel, as_of=_end(setting), keep=keep)
    value = ibis.literal("") if breakdown is None else found.value_.fill_null(UNKNOWN_MEMBER)
    found = found.mutate(
        dimension=ibis.literal(breakdown.by if breakdown else ""),
        value=value,
        unit=found[funnel.unit].cast("string"),
        entered_on=found.day,
    )
    steps = [f"elapsed_{number}" for number in range(2, len(asked.steps) + 1)]
    told = found.select(
        "dimension",
        "value",
        "unit",
        "position",
        "entered_at",
        "entered_on",
        *keep[1:],
        "deepest",
        *steps,
        "voided",
        "matured",
    )
    # with nothing kept of them, events of one instant begin attempts that are alike and have one position
    return told if keep[1:] else told.distinct()


def _exploded(asked: Funnel, attempts: Table, first: dt.date) -> Table:
    """Repeat attempts for every interval and breakdown that they are counted in."""
    own = attempts.filter(attempts.dimension == "")
    by_entry = [breakdown.column for breakdown in asked.broken_down() if _by_entry(asked, breakdown)]
    own = asked_of.contenders(own, _of_units(asked), ["entered_on", *by_entry])
    by: list[Table] = [own]
    for breakdown in asked.broken_down():
        if _by_entry(asked, breakdown):
            by.append(own.mutate(dimension=ibis.literal(breakdown.by), value=own[breakdown.column]))
            continue
        rows = attempts.filter(attempts.dimension == breakdown.by)
        if breakdown.attribution == "all_events":  # each value has a funnel of its own
            rows = rows.mutate(unit=rows.unit + _SEPARATOR + rows.value)
        by.append(rows)
    parts = []
    periods = {"day": lambda day: day, "week": lambda day: day.truncate("W"), "month": lambda day: day.truncate("M")}
    for rows in by:
        parts.append(rows.mutate(interval=ibis.literal("all"), period=ibis.literal(first)))
        parts += [
            rows.mutate(interval=ibis.literal(name), period=periods[name](rows.entered_on).cast("date"))
            for name in asked.intervals
        ]
    return together(parts)


def _of_units(asked: Funnel) -> asked_of.Funnel:
    """Return the funnel for attempts that were kept, whose unit and value have columns of these names."""
    return dataclasses.replace(analysed(asked, Breakdown(("value",), "step")), unit="unit")


def _reached(asked: Funnel, attempts: Table, setting: Setting) -> Table:
    rows = _exploded(asked, attempts, setting.project.first_day)
    found = asked_of.reached(rows, _of_units(asked), by=("interval", "period", "dimension"))
    # of the first step there is no drop-off, and so no interval
    low, high = wilson(found.matured, found.matured + found.drop_off)
    return found.mutate(low=low, high=high)


def _times(asked: Funnel, attempts: Table) -> Table:
    funnel = dataclasses.replace(analysed(asked), unit="unit")
    units = asked_of.chosen(attempts.filter(attempts.dimension == "", attempts.matured), funnel)
    return together(
        asked_of.times(units, funnel, 1, step).mutate(step=ibis.literal(step, "int64"))
        for step in range(2, len(asked.steps) + 1)
    )


def _users(asked: Funnel, attempts: Table) -> Table:
    funnel = dataclasses.replace(analysed(asked), unit="unit")
    return asked_of.users(asked_of.chosen(attempts.filter(attempts.dimension == ""), funnel), funnel)


def _friction(asked: Funnel, funnel: Table, setting: Setting) -> Table:
    """Compare each value of a breakdown with the others, at each step."""
    whole = funnel.filter(funnel.interval == "all", funnel.step > 1)
    came = (whole.matured + whole.drop_off).cast("int64")
    rows = setting.collect(whole.select("dimension", "value", "step", "name", came=came, went_on="matured"))
    rows.sort(key=lambda row: (row["dimension"], row["value"], row["step"]))
    decided = {breakdown.by: _decided_by(asked, breakdown) for breakdown in asked.broken_down()}
    all_came: Counter[tuple[str, int]] = Counter()
    all_went: Counter[tuple[str, int]] = Counter()
    for row in rows:
        all_came[row["dimension"], row["step"]] += row["came"]
        all_went[row["dimension"], row["step"]] += row["went_on"]
    tested = []
    for row in rows:
        compared_at = (row["dimension"], row["step"])
        row["rate"] = row["went_on"] / row["came"] if row["came"] else None
        if not row["dimension"]:
            row["lost"] = float(row["came"] - row["went_on"])
            continue
        other_came, other_went = all_came[compared_at] - row["came"], all_went[compared_at] - row["went_on"]
        row["rate_of_others"] = other_went / other_came if other_came else None
        compared = two_proportions(row["went_on"], row["came"], other_went, other_came)
        if compared is None or row["step"] <= decided[row["dimension"]]:
            continue
        row |= {"difference": compared.difference, "p_value": compared.p_value}
        row["lost"] = -compared.difference * row["came"]
        tested.append(row)
    for row, adjusted in zip(tested, holm([row["p_value"] for row in tested]), strict=True):
        row["p_adjusted"], row["significant"] = adjusted, adjusted < _ALPHA
    for ranked in (
        [row for row in rows if not row["dimension"]],
        [row for row in tested if row["significant"] and row["lost"] > 0],
    ):
        for place, row in enumerate(sorted(ranked, key=lambda row: (-row["lost"], row["value"], row["step"])), 1):
            row["rank"] = place
    return made(promised.friction("any"), rows)


def _decided_by(asked: Funnel, breakdown: FunnelBreakdown) -> int:
    """Return the step up to which a breakdown's value follows from having come so far: nothing to compare there."""
    names = [step.called for step in asked.steps]
    return names.index(breakdown.step) + 1 if breakdown.attribution == "step" and breakdown.step else 1


@family
def daily_funnels(project: Project) -> Iterator[TableAsset]:
    """Make the classic table of stages by day, where the steps of a funnel are types of events."""
    stages = {
        name: asked
        for name, asked in project.questions.funnels.items()
        if all(step.event and not step.where for step in asked.steps)
    }
    if not stages:
        return

    @table(promised.FUNNEL_DAILY_METRICS)
    def funnel_daily_metrics(fact_user_day_events: Table) -> Table:
        """Count the users at each stage of each funnel, a day for itself and whatever the order."""
        steps = ibis.memtable(
            [
                {"funnel": name, "step": number, "name": step.called, "event_type": step.event}
                for name, asked in stages.items()
                for number, step in enumerate(asked.steps, 1)
            ],
            schema={"funnel": "string", "step": "int64", "name": "string", "event_type": "string"},
        )
        did = fact_user_day_events.group_by(["day", "event_type"]).aggregate(users=ibis._.user_id.nunique())
        days = fact_user_day_events.select("day").distinct()
        every = days.cross_join(steps).left_join(did, ["day", "event_type"])
        counted = every.select("day", "funnel", "step", "name", users=every.users.fill_null(0))
        order = ibis.window(group_by=["day", "funnel"], order_by="step")
        return counted.mutate(
            of_first=ratio(counted.users, counted.users.first().over(order)),
            of_previous=ratio(counted.users, counted.users.lag().over(order)),
        )

    yield declaration(funnel_daily_metrics)


@table(promised.DEVICE_METRICS)
def device_metrics(fact_events: Table) -> Table:
    """Sum up each device: users, sessions, purchases, conversion, revenue."""
    events = fact_events.filter(fact_events.excluded_as.isnull())
    bought = events.event_type == "purchase"
    by = events.group_by(device=events.device.fill_null(UNKNOWN_MEMBER)).aggregate(
        users=events.user_id.nunique(),
        sessions=ibis.struct({"day": events.day, "session": events.session_id}).nunique(
            where=events.session_id.notnull()
        ),
        events=events.count(),
        buyers=events.user_id.nunique(where=bought),
        purchases=bought.sum().cast("int64").fill_null(0),
        revenue=events.amount.sum(where=bought).cast(AMOUNT),
    )
    return by.mutate(conversion=ratio(by.buyers, by.users))


@table(promised.USER_REVENUE)
def user_revenue(fact_user_days: Table) -> Table:
    """Sum up each user: days, orders, revenue, first and last order."""
    ordered = fact_user_days.orders > 0
    return fact_user_days.group_by("user_id").aggregate(
        active_days=fact_user_days.count(),
        orders=fact_user_days.orders.sum(),
        units=fact_user_days.units.sum(),
        revenue=fact_user_days.revenue.sum().cast(AMOUNT),
        first_order=fact_user_days.day.min(where=ordered),
        last_order=fact_user_days.day.max(where=ordered),
    )
