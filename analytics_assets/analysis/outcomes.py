"""Outcomes: what exposed users did in a window after their exposure, and in the days before it.

Belongs here: a metric as a number of each user. Does not belong here: who is exposed (`experiments`), which rows a
metric means (`metrics.measured`), and sums over users (`moments`).

Rows of facts that know instants count in [exposure + delay, exposure + delay + window), days being 24 hours; those of
facts that know days only, on so many whole days from the day of exposure + delay on. What is known of the time before
counts from `covariate_days` before exposure to the earlier of assignment and exposure, the latter left out. A user has
*matured* when the window is over by the end of the last day delivered.
"""

from __future__ import annotations

import datetime as dt
import functools
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import ibis

from analytics_assets.analysis.experiments import Plan, before
from analytics_assets.analysis.metrics import steady
from analytics_assets.analysis.periods import Period

if TYPE_CHECKING:
    from ibis.expr.types import BooleanValue, NumericValue, Table, Value

Kind = Literal["count", "unique_users", "sum", "mean", "proportion", "ratio", "quantile", "retention"]
OF_TWO: tuple[Kind, ...] = ("mean", "proportion", "ratio")
"""Metrics whose number is sum(value) / sum(weight), over users."""
_INSTANT = "timestamp('UTC', 6)"
_DAY = Period("day")
_SLOT = ["experiment", "window_days", "delay_days"]
_WHO = [*_SLOT, "user_id"]


@dataclass(frozen=True)
class Definition:
    """Hold what a metric means.

    Attributes:
        kind: What becomes of its rows.
        parts: The rows that it means, as `metrics.measured` gives them, with `at` where their fact knows instants: one
            table, or those of the numerator and the denominator.
        after_days: Of retention: the first and the last day after that of exposure and the delay, both counted in; a
            window that closes before them is made as long as they take.
    """

    kind: Kind
    parts: tuple[Table, ...]
    after_days: tuple[int, int] = (1, 7)

    def __post_init__(self) -> None:
        needed = 2 if self.kind in {"ratio", "proportion"} else 1
        if len(self.parts) != needed:
            raise ValueError(f"a {self.kind} has {needed} tables of rows, not {len(self.parts)}")


def outcomes(metric: str, definition: Definition, plans: Sequence[Plan], exposed: Table, until: dt.datetime) -> Table:
    """Give each exposed user of the experiments that measure a metric its value there.

    ============  ==========================  =========================
    kind          value                       weight
    ============  ==========================  =========================
    count         rows
    unique_users  1 if there is any row
    sum           sum of amounts
    mean          sum of amounts              rows
    ratio         the numerator's sum         the denominator's sum
    proportion    1 if there are both         1 if the denominator has any
    retention     1 if any in `after_days`
    ============  ==========================  =========================

    A quantile has no number of each user: see `amounts`. Before exposure, retention is whether there was any row.

    Args:
        metric: Its name.
        definition: What it means.
        plans: All experiments.
        exposed: The users who count: experiment, user_id, variant, assigned_at, exposed_at, assigned_on, exposed_on,
            known_before.
        until: The end of the last day delivered.

    Returns:
        Columns experiment, metric, window_days, delay_days, user_id, variant, exposed_on, value, weight, pre_value,
        pre_weight (float64; weights null where there are none), known_before, matures_at, matured.
    """
    if definition.kind == "quantile":
        raise ValueError("a quantile has no number of each user: ask for `amounts`")
    subjects = _subjects(metric, definition, plans, exposed)
    days = _days(metric, definition, plans)
    sums = [
        _summed(rows, subjects, days, definition).rename(
            {f"{name}_{place}": name for name in ("rows", "total", "pre_rows", "pre_total")}
        )
        for place, rows in enumerate(definition.parts)
    ]
    every = subjects
    for found in sums:
        joined = every.left_join(found, _WHO)
        every = joined.drop(*(f"{name}_right" for name in _WHO))
    value, weight = _numbers(definition.kind, every, "")
    pre_value, pre_weight = _numbers(definition.kind, every, "pre_")
    return every.select(
        *_SLOT,
        "user_id",
        "variant",
        "exposed_on",
        "known_before",
        "matures_at",
        metric=ibis.literal(metric),
        value=value,
        weight=weight,
        pre_value=pre_value,
        pre_weight=pre_weight,
        matured=every.matures_at <= _instant(until),
    )


def amounts(metric: str, definition: Definition, plans: Sequence[Plan], exposed: Table, until: dt.datetime) -> Table:
    """List the amounts of the rows in users' windows, for what is no sum over users: quantiles and ranks.

    Args:
        metric: Its name.
        definition: What it means: one table of rows.
        plans: All experiments.
        exposed: The users who count, as for `outcomes`.
        until: The end of the last day delivered.

    Returns:
        Columns experiment, metric, window_days, delay_days, user_id, variant, exposed_on, amount (float64), matures_at,
        matured. Users without a row have none.
    """
    subjects = _subjects(metric, definition, plans, exposed)
    (rows,) = definition.parts
    met, now, _ = _met(rows, subjects, _days(metric, definition, plans), definition)
    return met.filter(now).select(
        *_SLOT,
        "user_id",
        "variant",
        "exposed_on",
        "matures_at",
        metric=ibis.literal(metric),
        amount=met.amount.cast("float64"),
        matured=met.matures_at <= _instant(until),
    )


def _instant(when: dt.datetime) -> Value:
    return ibis.literal(when.astimezone(dt.UTC), _INSTANT)


def _slots(metric: str, plans: Sequence[Plan]) -> list[tuple[Plan, int, int]]:
    """List the plans that measure a metric, each with a window and delay."""
    return [
        (plan, told.window_days, told.delay_days) for plan in plans for told in plan.measured if told.metric == metric
    ]


def _over_after(definition: Definition, window: int) -> int:
    """Give the days after exposure and delay when everything that counts has happened."""
    return max(window, definition.after_days[1] + 1) if definition.kind == "retention" else window


def _days(metric: str, definition: Definition, plans: Sequence[Plan]) -> tuple[dt.date, dt.date]:
    """Give the first and the last day on which anything may count, to read no others."""
    slots = _slots(metric, plans)
    margin = dt.timedelta(days=1)
    first = min(plan.starts - dt.timedelta(days=plan.covariate_days) for plan, *_ in slots)
    last = max(plan.ends + dt.timedelta(days=delay + _over_after(definition, window)) for plan, window, delay in slots)
    return first - margin, last + margin


def _subjects(metric: str, definition: Definition, plans: Sequence[Plan], exposed: Table) -> Table:
    """Give every user in every window of the metric, with the ends of it, as instants and as numbers of days."""
    slots = _slots(metric, plans)
    if not slots:
        raise ValueError(f"no experiment measures {metric}")
    windows = ibis.memtable(
        [
            {
                "experiment": plan.name,
                "window_days": window,
                "delay_days": delay,
                "covariate_days": plan.covariate_days,
                "over_": delay + _over_after(definition, window),
            }
            for plan, window, delay in slots
        ],
        schema={
            "experiment": "string",
            **dict.fromkeys(("window_days", "delay_days", "covariate_days", "over_"), "int64"),
        },
    )
    told = exposed.select(
        "experiment",
        "user_id",
        "variant",
        "exposed_on",
        "known_before",
        exposed_at=exposed.exposed_at.cast(_INSTANT),
        before_at=before(exposed).cast(_INSTANT),
        exposed_day=_DAY.number(exposed.exposed_on),
        before_day=_DAY.number(ibis.least(exposed.exposed_on, ibis.coalesce(exposed.assigned_on, exposed.exposed_on))),
    )
    both = told.inner_join(windows, "experiment")
    return both.mutate(
        from_at=both.exposed_at + _elapsed(both.delay_days),
        matures_at=both.exposed_at + _elapsed(both.over_),
        pre_from_at=both.exposed_at - _elapsed(both.covariate_days),
        from_day=both.exposed_day + both.delay_days,
        over_day=both.exposed_day + both.over_,
        pre_from_day=both.exposed_day - both.covariate_days,
    )


def _elapsed(days: NumericValue) -> Value:
    """Give days of 24 hours, whatever clocks do in between."""
    return (days * 24).as_interval("h")


def _met(
    rows: Table, subjects: Table, days: tuple[dt.date, dt.date], definition: Definition
) -> tuple[Table, BooleanValue, BooleanValue]:
    """Bring rows together with the users whose they are, and say which are in the window, and which before."""
    if "user_id" not in rows.columns:
        rows = rows.mutate(user_id=ibis.null("string"))
    first, last = days
    near = rows.filter(rows.day >= ibis.literal(first), rows.day <= ibis.literal(last))
    met = near.inner_join(subjects, "user_id")
    number = _DAY.number(met.day)
    if "at" in rows.columns:
        at = met.at.cast(_INSTANT)
        now = (at >= met.from_at) & (at < met.matures_at)
        pre = (at >= met.pre_from_at) & (at < met.before_at)
    else:
        now = (number >= met.from_day) & (number < met.over_day)
        pre = (number >= met.pre_from_day) & (number < met.before_day)
    if definition.kind == "retention":
        # days after, as of a retention of all users
        earliest, latest = definition.after_days
        now = (number >= met.from_day + earliest) & (number <= met.from_day + latest)
    return met, now, pre


def _summed(rows: Table, subjects: Table, days: tuple[dt.date, dt.date], definition: Definition) -> Table:
    """Sum up the rows of each user, in the window and before."""
    met, now, pre = _met(rows, subjects, days, definition)
    told = met.select(*_WHO, "amount", now=now, pre=pre)
    told = told.filter(told.now | told.pre)
    return told.group_by(_WHO).aggregate(
        rows=told.now.sum(),
        total=steady(told.amount.sum(where=told.now)),
        pre_rows=told.pre.sum(),
        pre_total=steady(told.amount.sum(where=told.pre)),
    )


def _numbers(kind: Kind, users: Table, when: str) -> tuple[Value, Value]:
    """Make value and weight of the sums of each user."""

    def number(name: str) -> NumericValue:
        return users[when + name].cast("float64").fill_null(0.0)

    def any_(*places: int) -> NumericValue:
        did = functools.reduce(operator.and_, (number(f"rows_{place}") > 0 for place in places))
        return did.ifelse(1.0, 0.0)

    none = ibis.null("float64")
    match kind:
        case "count":
            return number("rows_0"), none
        case "unique_users" | "retention":
            return any_(0), none
        case "mean":
            return number("total_0"), number("rows_0")
        case "ratio":
            return number("total_0"), number("total_1")
        case "proportion":
            return any_(0, 1), any_(1)
        case _:
            return number("total_0"), none
