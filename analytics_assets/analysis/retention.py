"""Retention: of the users who began in a period, how many were there later.

Belongs here: cohorts, who of them returned, the matrix of it and its weighted curve. Does not belong here: which event
begins and which one counts as a return; the caller hands over their rows.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import ibis

from analytics_assets.analysis.periods import Period, known_users, numbers, ratio, with_zeros

if TYPE_CHECKING:
    from ibis.expr.types import BooleanValue, IntegerValue, Table, Value

Entry: TypeAlias = Literal["first_time", "recurring"]
Measure: TypeAlias = Literal["n_day", "unbounded", "bracket"]

_SECONDS = {"hour": 3_600, "day": 86_400, "week": 7 * 86_400, "month": 30 * 86_400}
_MICROSECONDS = 1_000_000
_NO = ibis.literal(False)  # noqa: FBT003


@dataclass(frozen=True)
class Retention:
    """Say what a cohort is, and what it is to return.

    Attributes:
        period: What cohorts are made by, and returns counted in.
        periods: How many columns the matrix has, that of the cohort's own period included. Brackets say it themselves.
        entry: `first_time`: a user is in the cohort of their first time ever. `recurring`: in that of every period in
            which they did what begins a cohort.
        measure: `n_day`: returned in exactly the n-th period. `unbounded`: in the n-th or any later one. `bracket`: in
            one of several periods.
        brackets: The first and the last period of each bracket, both counted in; period 0 is the cohort's own, and
            always there.
        elapsed: Count periods as time since the user's own cohort event (24 hours a day, 30 days a month), instead of
            by the calendar.
        at_least: How often a user must have returned in a period (or in a bracket) to count as retained.
    """

    period: Period = field(default_factory=lambda: Period("week"))
    periods: int = 8
    entry: Entry = "first_time"
    measure: Measure = "n_day"
    brackets: tuple[tuple[int, int], ...] = ()
    elapsed: bool = False
    at_least: int = 1

    def __post_init__(self) -> None:
        if self.entry not in get_args(Entry) or self.measure not in get_args(Measure):
            raise ValueError(f"no retention is {self.entry!r} and {self.measure!r}")
        if self.periods < 1 or self.at_least < 1:
            raise ValueError("retention needs at least one period and one return")
        if (self.measure == "bracket") != bool(self.brackets):
            raise ValueError("brackets belong to the measure `bracket`, and it needs some")
        after = 0
        for begin, end in self.brackets:
            if begin <= after or end < begin:
                raise ValueError(f"brackets begin after period 0, are in order and do not overlap: not {self.brackets}")
            after = end

    @property
    def columns(self) -> tuple[tuple[int, int | None], ...]:
        """The first and the last period of each column of the matrix; unbounded ones have no last."""
        if self.measure == "bracket":
            return ((0, 0), *self.brackets)
        if self.measure == "unbounded":
            return ((0, None), *((number, None) for number in range(1, self.periods)))
        return tuple((number, number) for number in range(self.periods))


def cohort_entries(
    started: Table, retention: Retention, by: Sequence[str] = (), known_from: dt.date | None = None
) -> Table:
    """List who is in which cohort: columns user_id, those of `by`, cohort (a period's number), left_censored.

    For elapsed time also `began_at`, the user's first cohort event in the period.

    Args:
        started: The events that begin a cohort; see `retention_cells`.
        retention: What a cohort is.
        by: Dimensions. Those of a user's first time are those of their first event; at one instant, the smallest.
        known_from: The first day on which a user who was not seen before is new.
    """
    began = {"began_at": ibis._.began_at.min()} if retention.elapsed else {}
    if retention.entry == "recurring":
        periods = _sums(started, retention, by, first_days=False)
        return periods.select("user_id", *by, *began, cohort="number", left_censored=_NO)
    censors = known_from is not None
    periods = _sums(_first_events(started, retention, by) if by else started, retention, by, first_days=censors)
    day = {"first_": ibis._.first_.min()} if censors else {}
    first = periods.group_by(["user_id", *by]).aggregate(cohort=ibis._.number.min(), **day, **began)
    censored = first.first_ < ibis.literal(known_from).cast(first.first_.type()) if censors else _NO
    return first.mutate(left_censored=censored).select("user_id", *by, "cohort", "left_censored", *began)


def retention_cells(
    started: Table,
    returned: Table,
    retention: Retention,
    first: dt.date,
    last: dt.date,
    *,
    by: Sequence[str] = (),
    known_from: dt.date | None = None,
) -> Table:
    """Count, for each cohort and period after it, the users who were retained: the cohort matrix, a row a cell.

    Args:
        started: The events that begin a cohort: columns user_id, day (for hours: occurred_at; for elapsed time both),
            and those of `by`. For `first_time` the full history, from before `first` too.
        returned: The events that count as a return: columns user_id, day (for hours: occurred_at; for elapsed time
            both), `events` where a row stands for several, `revenue` where it is asked for. Where it has columns of
            `by`, only returns with the cohort's own values count; else any return of the user does.
        retention: What a cohort is, and what it is to return.
        first: The first cohort: a day in it (for hours, an instant).
        last: The last day (for hours, hour) that the data hold in full: the last cohort is that of it.
        by: Dimensions, each with cohorts of its own.
        known_from: The first day on which a user who was not seen before is new. Without sign-up dates, those first
            seen before it may have been here before the data begin: they are `left_censored`.

    Returns:
        Columns cohort (the start of its period), those of `by`, left_censored, period and period_to (what the cell
        counts, see `Retention.columns`), users (in the cohort), retained, rate, complete (all of the cell's time
        is over for every user of the cohort; unbounded cells: their first period is), and with revenue: revenue,
        revenue_per_user. Cohorts in which nobody began are there too, with zeros. Period 0 holds the cohort itself.

    >>> days = {"ann": (1, 2), "bob": (1,), "cas": (2, 3)}
    >>> visits = ibis.memtable([{"user_id": u, "day": dt.date(2024, 3, d)} for u, ds in days.items() for d in ds])
    >>> daily = Retention(Period("day"), periods=3)
    >>> cells = retention_cells(visits, visits, daily, dt.date(2024, 3, 1), dt.date(2024, 3, 3))
    >>> cells.filter(ibis._.complete).order_by("cohort", "period").retained.execute().to_list()
    [2, 1, 0, 1, 1, 0]
    """
    period = retention.period
    low, high = period.number_of(first), period.number_of(last)
    entries = cohort_entries(started, retention, by, known_from).filter(ibis._.cohort.between(low, high))
    key = ["cohort", *by, "left_censored"]
    with_revenue = "revenue" in returned.columns
    counted = _by_slot(
        _returns(entries, returned, retention, high, by, first_days=known_from is not None), retention, key
    )
    slots = numbers(0, len(retention.columns) - 1).rename(slot="number")
    sizes = entries.group_by(key).aggregate(users=entries.count()).cross_join(slots)
    began = sizes.mutate(
        retained=ibis.literal(0, "int64"),
        **({"revenue": ibis.literal(0).cast(counted.revenue.type())} if with_revenue else {}),
    )
    spine = numbers(low, high).rename(cohort="number").cross_join(slots).mutate(left_censored=_NO)
    grid = with_zeros(began.select(*counted.columns).union(counted), spine, by)
    if retention.measure == "unbounded":
        later = ibis.window(group_by=key, order_by=ibis.desc("slot"), preceding=None, following=0)
        grid = grid.mutate(
            retained=grid.retained.sum().over(later).cast("int64"),
            **({"revenue": grid.revenue.sum().over(later).cast(grid.revenue.type())} if with_revenue else {}),
        )
    grid = grid.mutate(retained=(grid.slot == 0).ifelse(grid.users, grid.retained))
    return _described(grid, retention, last, by, with_revenue=with_revenue)


def retention_curve(cells: Table, by: Sequence[str] = ()) -> Table:
    """Average the retention of all cohorts by period, weighted by their size.

    Only complete cells of cohorts that are not left-censored count, so that each period averages over cohorts that
    had the time to return: the rate is all users retained over all users of these cohorts.

    Args:
        cells: As `retention_cells` makes them.
        by: Dimensions of the cells to keep apart.

    Returns:
        Columns those of `by`, period, period_to, cohorts (that have users), users, retained, rate, and with revenue:
        revenue, revenue_per_user.
    """
    counting = cells.filter(cells.complete, ~cells.left_censored)
    revenue = {"revenue": counting.revenue.sum()} if "revenue" in cells.columns else {}
    curve = counting.group_by([*by, "period", "period_to"]).aggregate(
        cohorts=(counting.users > 0).sum(), users=counting.users.sum(), retained=counting.retained.sum(), **revenue
    )
    averaged = curve.mutate(rate=ratio(curve.retained, curve.users))
    if revenue:
        averaged = averaged.mutate(revenue_per_user=ratio(averaged.revenue, averaged.users))
    return averaged


def retained_users(
    started: Table,
    returned: Table,
    retention: Retention,
    first: dt.date,
    last: dt.date,
    *,
    by: Sequence[str] = (),
) -> Table:
    """List who of which cohort returned in which period: the users behind the cells; arguments as there.

    Returns:
        Columns cohort (the start of its period), user_id, those of `by`, period (the first one of the cell's; for
        unbounded retention the last in which they returned). Period 0 lists the cohort itself.
    """
    period = retention.period
    low, high = period.number_of(first), period.number_of(last)
    entries = cohort_entries(started, retention, by).filter(ibis._.cohort.between(low, high))
    came = _returns(entries, returned, retention, high, by, first_days=False)
    back = came.filter(came.enough, came.slot > 0).select("user_id", *by, "cohort", "slot")
    if retention.measure == "unbounded":
        back = back.group_by(["user_id", *by, "cohort"]).aggregate(slot=back.slot.max())
    listed = entries.select("user_id", *by, "cohort", slot=ibis.literal(0, "int64")).union(back)
    return listed.select(
        period.start(listed.cohort).name("cohort"),
        "user_id",
        *by,
        period=_looked_up(listed.slot, [begin for begin, _ in retention.columns]),
    )


def _first_events(started: Table, retention: Retention, by: Sequence[str]) -> Table:
    """Keep each user's first event; of several at one time, the one with the smallest values of `by`."""
    users = known_users(started)
    instants = ["occurred_at"] if "occurred_at" in users.columns else []
    order = [users[name] for name in dict.fromkeys((retention.period.column, *instants, *by))]
    place = ibis.row_number().over(ibis.window(group_by="user_id", order_by=order))
    return users.mutate(place_=place).filter(ibis._.place_ == 0).drop("place_")


def _sums(rows: Table, retention: Retention, by: Sequence[str], *, first_days: bool) -> Table:
    """Sum up what each user did by period: one row a user, those of `by`, and period (`number`).

    Where the same events begin a cohort and count as a return, both sides of the matrix come from this one pass. It
    sums up only what is asked for: mere presence takes half the time.
    """
    users = known_users(rows)
    when = users[retention.period.column]
    facts = {"number": retention.period.number(when)}
    sums = {}
    if "events" in users.columns or retention.at_least > 1:
        facts["events"] = users.events if "events" in users.columns else ibis.literal(1, "int64")
        sums["events"] = ibis._.events.sum()
    if first_days:
        facts["when_"] = when
        sums["first_"] = ibis._.when_.min()
    if "revenue" in users.columns:
        facts["revenue"] = users.revenue
        sums["revenue"] = ibis._.revenue.sum()
    if retention.elapsed:
        facts["at_"] = users.occurred_at
        sums["began_at"] = ibis._.at_.min()
    placed = users.select("user_id", *by, **facts)
    return placed.group_by(["user_id", *by, "number"]).aggregate(**sums) if sums else placed.distinct()


def _returns(
    entries: Table, returned: Table, retention: Retention, high: int, by: Sequence[str], *, first_days: bool
) -> Table:
    """List each member's returns by slot (a column of the matrix): `enough` says whether they count as retained."""
    same = [name for name in by if name in returned.columns]
    measures = ["events", *(["revenue"] if "revenue" in returned.columns else [])]
    if retention.elapsed:
        users = known_users(returned)
        events = users.events if "events" in users.columns else ibis.literal(1, "int64")
        did = users.mutate(events=events, number=retention.period.number(users[retention.period.column]))
        measures.append("occurred_at")
    else:
        did = _sums(returned, retention, same, first_days=first_days)
        if "events" not in did.columns:
            did = did.mutate(events=ibis.literal(1, "int64"))
    did = did.filter(did.number <= high)
    did = did.select(
        "number",
        returner="user_id",
        **{f"{name}_back": name for name in same},
        **{f"{name}_": name for name in measures},
    )
    on = [
        entries.user_id == did.returner,
        *(entries[name].identical_to(did[f"{name}_back"]) for name in same),
        did.number >= entries.cohort,
    ]
    joined = entries.inner_join(did, on)
    after = joined.number - joined.cohort
    if retention.elapsed:
        joined = joined.filter(joined.occurred_at_ >= joined.began_at)
        passed = joined.occurred_at_.delta(joined.began_at, unit="microsecond")
        after = passed // (_SECONDS[retention.period.unit] * _MICROSECONDS)
    placed = joined.mutate(after=after)
    placed = placed.mutate(slot=_slot(placed.after, retention)).filter(ibis._.slot.notnull())
    if retention.elapsed or retention.measure == "bracket":
        # how often they must return is asked of each period (or bracket), which now has several rows
        unbounded = ["after"] if retention.measure == "unbounded" else []
        sums = {f"{name}_": placed[f"{name}_"].sum() for name in measures if name != "occurred_at"}
        placed = placed.group_by([*entries.columns, "slot", *unbounded]).aggregate(**sums)
    revenue = {"revenue": placed.revenue_} if "revenue" in measures else {}
    return placed.select(*entries.columns, "slot", enough=placed.events_ >= retention.at_least, **revenue)


def _by_slot(came: Table, retention: Retention, key: Sequence[str]) -> Table:
    """Count the members retained in each slot; where it is unbounded, those for whom the slot is the last one."""
    none = ibis.literal(0, "int64")
    returns = came.enough & (came.slot > 0)
    if retention.measure == "unbounded":
        back = came.filter(returns).group_by(["user_id", *key]).aggregate(slot=ibis._.slot.max())
        retained = back.group_by([*key, "slot"]).aggregate(retained=back.count())
        if "revenue" in came.columns:
            earned = came.group_by([*key, "slot"]).aggregate(retained=none, revenue=came.revenue.sum())
            nothing = ibis.literal(0).cast(earned.revenue.type())
            retained = retained.mutate(revenue=nothing).select(*earned.columns).union(earned)
    else:
        revenue = {"revenue": came.revenue.sum()} if "revenue" in came.columns else {}
        retained = came.group_by([*key, "slot"]).aggregate(retained=returns.sum(), **revenue)
    return retained.mutate(users=none)


def _slot(after: IntegerValue, retention: Retention) -> IntegerValue:
    """Give the column of the matrix that a period so many after the cohort's belongs to; null where there is none."""
    if retention.measure == "bracket":
        return ibis.cases(
            *(
                (after.between(begin, end or 0), ibis.literal(slot, "int64"))
                for slot, (begin, end) in enumerate(retention.columns)
            ),
            else_=ibis.null("int64"),
        )
    if retention.measure == "unbounded":
        return ibis.least(after, retention.periods - 1).cast("int64")
    return (after < retention.periods).ifelse(after, ibis.null("int64")).cast("int64")


def _described(grid: Table, retention: Retention, last: dt.date, by: Sequence[str], *, with_revenue: bool) -> Table:
    """Give cells their names: dates for numbers, rates, and whether their time is over."""
    cells = grid.select(
        retention.period.start(grid.cohort).name("cohort"),
        *by,
        "left_censored",
        period=_looked_up(grid.slot, [begin for begin, _ in retention.columns]),
        period_to=_looked_up(grid.slot, [end for _, end in retention.columns]),
        users=grid.users,
        retained=grid.retained,
        rate=ratio(grid.retained, grid.users),
        complete=_complete(grid, retention, last),
        **({"revenue": grid.revenue} if with_revenue else {}),
    )
    return cells.mutate(revenue_per_user=ratio(cells.revenue, cells.users)) if with_revenue else cells


def _looked_up(slot: IntegerValue, values: Sequence[int | None]) -> IntegerValue:
    found = [ibis.null("int64") if value is None else ibis.literal(value, "int64") for value in values]
    return ibis.cases(*((slot == number, value) for number, value in enumerate(found)), else_=ibis.null("int64"))


def _complete(grid: Table, retention: Retention, last: dt.date) -> BooleanValue:
    """Say whether the time of a cell is over for every user of the cohort."""
    period = retention.period
    until = _looked_up(grid.slot, [begin if end is None else end for begin, end in retention.columns])
    if not retention.elapsed:
        return grid.cohort + until <= period.last_complete(last)
    # whoever began last in the cohort's period still has all of their own time before them; a cohort is complete
    # when its period is
    base = Period("hour" if period.unit == "hour" else "day")
    length = _SECONDS[period.unit] // _SECONDS[base.unit]
    begun: Value = period.start(grid.cohort + 1)
    waiting = (grid.slot == 0).ifelse(0, (until + 1) * length)
    return base.number(begun) + waiting <= base.last_complete(last) + 1
