"""Metrics: numbers of what users did, by day, week and month, as a whole and by dimension, with 95 % intervals.

Belongs here: what each kind of metric means, and how sure it is. Does not belong here: which rows a team means by it;
the caller hands them over as `measured` makes them.

Every function below but `measured` takes such rows, the first and the last day, dimensions (names of columns), those of
them that a user has one value of (`own`: they are not told apart again where rows are already summed up by user), and
returns one row for each interval (day, week, month), period (its first day; weeks begin on Monday), dimension and value
('' and '' for all): the columns of `PLACE` and

- complete: the period lies within the days;
- users: how many stand behind the number;
- nobody: rows without a user, which are in totals and in no other number;
- numerator, denominator: float64, null where the number is no ratio;
- estimate: float64, the number;
- low, high: its 95 % interval, null where it has none.

Each interval is computed for itself: the users of a week are distinct over the week. A period in which nothing
happened has a row: totals are 0, what is divided by nothing is null. Values of a dimension that never occur have none.
"""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import ibis

from analytics_assets.analysis.periods import Period, Unit, ratio
from analytics_assets.contracts.model import UNKNOWN_MEMBER
from analytics_assets.statistics.proportions import Z95

if TYPE_CHECKING:
    from ibis.expr.types import BooleanValue, NumericScalar, NumericValue, Table, Value

PLACE = ("interval", "period", "dimension", "value")
_HERE = ("interval", "number", "dimension", "value")
"""What is answered for: an interval, the number of a period, a dimension and a value of it."""
UNITS: tuple[Unit, ...] = ("day", "week", "month")
_DIGITS = 9
"""A floating-point sum depends on the order of its parts, in the last of its 16 digits: what comes of one is rounded to
so many significant digits, so that a table is the same in every run. Sums of decimals and whole numbers are exact and
are left as they are."""
_FINEST = 22
"""The largest power of ten that a floating-point number holds exactly."""


def measured(
    rows: Table, value: str | None = None, cap: float | None = None, by: Sequence[str] = (), at: str | None = None
) -> Table:
    """Pick what a metric needs of rows: user_id (if they have it), day, amount, and dimensions as text.

    Args:
        rows: The rows that count.
        value: The column that is the amount; a row without a value counts in nothing. Without a column, each row is 1.
        cap: The most that one row counts for.
        by: The dimensions; what is missing is `(unknown)`.
        at: The column that says when; it is then kept, as `at`.

    >>> rows = ibis.memtable([{"user_id": "ann", "day": dt.date(2024, 3, 1), "net": n} for n in (5, 70)])
    >>> sorted(measured(rows, "net", cap=10).amount.execute())
    [5, 10]
    """
    amount: NumericValue = ibis.literal(1, "int64") if value is None else rows[value]
    if cap is not None:
        kind = "float64" if amount.type().is_integer() and cap != int(cap) else amount.type()
        most = ibis.literal(cap).cast(kind)
        amount = (amount > most).ifelse(most, amount)  # the least of a number and nothing is no longer nothing
    who = ["user_id"] if "user_id" in rows.columns else []
    texts = {name: rows[name].cast("string").fill_null(UNKNOWN_MEMBER) for name in by}
    when = {} if at is None else {"at": rows[at]}
    picked = rows.select(*who, "day", **when, **texts, amount=amount)
    return picked.filter(picked.amount.notnull())


def totals(rows: Table, first: dt.date, last: dt.date, by: Sequence[str] = (), own: Sequence[str] = ()) -> Table:
    """Add up amounts, those of nobody too.

    >>> rows = ibis.memtable([{"user_id": "ann", "day": dt.date(2024, 3, 2), "amount": n} for n in (5, 7)])
    >>> days = totals(rows, dt.date(2024, 3, 1), dt.date(2024, 3, 2)).filter(ibis._.interval == "day")
    >>> days.order_by("period").estimate.execute().to_list()
    [0.0, 12.0]
    """

    def added(sums: Table) -> Table:
        return sums.group_by(_HERE).aggregate(**_people(sums), total=steady(sums.amount.sum()))

    daily = _daily(rows, first, last, by, own)
    found = _everywhere(_by_user(daily, by, own, _sums("rows", "amount")), first, last, added)
    return _told(found, estimate=found.total.fill_null(0))


def unique_users(rows: Table, first: dt.date, last: dt.date, by: Sequence[str] = (), own: Sequence[str] = ()) -> Table:
    """Count different users."""

    def counted(sums: Table) -> Table:
        return sums.group_by(_HERE).aggregate(**_people(sums))

    daily = _daily(rows, first, last, by, own)
    found = _everywhere(_by_user(daily, by, own, _sums("rows")), first, last, counted)
    return _told(found, estimate=found.users)


def means(rows: Table, first: dt.date, last: dt.date, by: Sequence[str] = (), own: Sequence[str] = ()) -> Table:
    """Average the amount of a row; its interval takes the rows of a user as belonging together, as `ratios` does."""
    daily = _daily(rows, first, last, by, own)
    both = daily.mutate(numerator=daily.amount, denominator=daily.rows)
    return _divided(both, first, last, by, own, by_user="user_id" in rows.columns)


def ratios(
    numerator: Table,
    denominator: Table,
    first: dt.date,
    last: dt.date,
    by: Sequence[str] = (),
    own: Sequence[str] = (),
) -> Table:
    """Divide one sum by another, over the users who are in either.

    The interval is by the delta method over users: with M and D a user's two sums, R = sum(M)/sum(D) and n users,
    var R = (s2M - 2R sMD + R^2 s2D)/(n mD^2). It is computed as s2(M - R D)/(n mD^2), which is the same, and does not
    lose its digits where the two go together. Where the rows of one side have no `user_id` at all (what was spent on
    campaigns), the sums are of all rows, and there is no interval.
    """
    by_user = all("user_id" in rows.columns for rows in (numerator, denominator))
    both = _both(numerator, denominator, first, last, by, own)
    return _divided(both, first, last, by, own, by_user=by_user)


def proportions(
    numerator: Table,
    denominator: Table,
    first: dt.date,
    last: dt.date,
    by: Sequence[str] = (),
    own: Sequence[str] = (),
) -> Table:
    """Give the share of the denominator's users who are in the numerator in the same period, with Wilson's interval."""

    def counted(sums: Table) -> Table:
        return _hits(sums.mutate(asked=sums.below > 0, hit=sums.above > 0))

    both = _both(numerator, denominator, first, last, by, own)
    users = _by_user(both, by, own, _sums("rows", "above", "below"))
    return _shares(_everywhere(users, first, last, counted))


def returns(
    rows: Table,
    first: dt.date,
    last: dt.date,
    after_days: tuple[int, int] = (1, 7),
    by: Sequence[str] = (),
    own: Sequence[str] = (),
) -> Table:
    """Give the share of a period's users who are there again so many days after their first day in it.

    Any row of the user counts as a return, whatever its dimensions. Only users whose days to return are over on the
    last day count, returned or not; a period is complete when those of its last day are. Wilson's interval.

    Args:
        rows: What users did.
        first: The first day.
        last: The last day.
        after_days: The first and the last day after, both counted in.
        by: The dimensions of what the user did on that first day.
        own: Those of them that a user has one value of.
    """
    daily = _daily(rows, first, last, by, own)
    daily = daily.mutate(on=Period("day").number(daily.day))
    later = ibis.range_window(group_by="user_id", order_by="on", following=after_days)
    daily = daily.mutate(hit=daily.count().over(later) > 0)
    matured = Period("day").number_of(last) - after_days[1]

    def entered(rows: Table) -> dict[str, Value]:
        return {"rows": rows.rows.sum(), "on": rows.on.min(), "hit": rows.hit.argmin(rows.on)}

    def counted(entries: Table) -> Table:
        # a user whose first day in the period is too late has no earlier one that would count instead
        return _hits(entries.mutate(asked=entries.on <= matured))

    entries = _by_user(daily, by, own, entered)
    return _shares(_everywhere(entries, first, last, counted, matures=after_days[1]))


def quantiles(
    rows: Table,
    first: dt.date,
    last: dt.date,
    quantile: float = 0.5,
    by: Sequence[str] = (),
    own: Sequence[str] = (),  # noqa: ARG001 - rows are ranked, and not summed up by user
) -> Table:
    """Give a quantile of the amounts of users' rows, between two of them by straight line; without an interval."""
    by_user = "user_id" in rows.columns
    within = _within(rows, first, last)

    def ranked(rows: Table) -> Table:
        return rows.group_by(_HERE).aggregate(
            users=rows.user_id.nunique(),
            nobody=rows.user_id.isnull().sum(),
            ranked=rows.amount.cast("float64").quantile(quantile, where=_counts(rows, by_user=by_user)),
        )

    found = _everywhere(_placed(within, by), first, last, ranked)
    return _told(found, estimate=found.ranked)


def _within(rows: Table, first: dt.date, last: dt.date) -> Table:
    """Keep the rows of the days; rows without a column of users are of nobody."""
    within = rows.filter(rows.day.between(ibis.literal(first), ibis.literal(last)))
    return within if "user_id" in rows.columns else within.mutate(user_id=ibis.null("string"))


def _daily(rows: Table, first: dt.date, last: dt.date, by: Sequence[str], own: Sequence[str]) -> Table:
    """Sum rows up by user, day and dimensions, before they are counted by every period and dimension."""
    within = _within(rows, first, last)
    sums = {"rows": within.count(), "amount": within.amount.sum()}
    return within.group_by(_daily_key(by, own)).aggregate(**sums, **_kept(within, own))


def _daily_key(by: Sequence[str], own: Sequence[str]) -> list[str]:
    return ["user_id", "day", *(name for name in by if name not in own)]


def _kept(rows: Table, own: Sequence[str]) -> dict[str, Value]:
    """Keep of a user's rows the dimensions that the user has one value of."""
    return {name: rows[name].arbitrary() for name in own}


def _both(
    numerator: Table, denominator: Table, first: dt.date, last: dt.date, by: Sequence[str], own: Sequence[str]
) -> Table:
    """Put the daily sums of two measures beside each other: rows of either (above, below) and of both, and amounts."""
    above, below = (_within(rows, first, last) for rows in (numerator, denominator))
    where, none, one = ["user_id", "day", *by], ibis.literal(0, "int64"), ibis.literal(1, "int64")
    parts = above.select(
        *where, above=one, below=none, numerator="amount", denominator=none.cast(below.amount.type())
    ).union(below.select(*where, above=none, below=one, numerator=none.cast(above.amount.type()), denominator="amount"))
    sums = ("above", "below", "numerator", "denominator")
    both = parts.group_by(_daily_key(by, own)).aggregate(
        **{name: parts[name].sum() for name in sums}, **_kept(parts, own)
    )
    return both.mutate(rows=both.above + both.below)


def _sums(*names: str) -> Callable[[Table], dict[str, Value]]:
    return lambda rows: {name: rows[name].sum() for name in names}


def _by_user(daily: Table, by: Sequence[str], own: Sequence[str], told: Callable[[Table], dict[str, Value]]) -> Table:
    """Tell of each user, interval, period, dimension and value, what users did in it; nobody has a row of their own.

    Args:
        daily: Rows a user, day and dimensions that are not the user's own.
        by: The dimensions.
        own: Those of them that are the user's own: of them, one row a user and period tells all.
        told: Aggregates of such rows.
    """
    others = [name for name in by if name not in own]
    parts = []
    for unit in UNITS:
        rows = daily.mutate(number=_number(unit, daily))
        once = rows.group_by(["number", "user_id"]).aggregate(**told(rows), **_kept(rows, own))
        parts += [_placed_by(once, unit, name, by) for name in ("", *own)]
        for name in others:
            apart = rows.group_by(["number", "user_id", name]).aggregate(**told(rows))
            parts.append(_placed_by(apart, unit, name, by))
    return _union(parts)


def _placed(rows: Table, by: Sequence[str]) -> Table:
    """Repeat rows for every interval and dimension that they are in."""
    placed = [rows.mutate(number=_number(unit, rows)) for unit in UNITS]
    return _union(
        [_placed_by(of_unit, unit, name, by) for unit, of_unit in zip(UNITS, placed, strict=True) for name in ("", *by)]
    )


def _placed_by(rows: Table, unit: Unit, name: str, by: Sequence[str]) -> Table:
    value = rows[name] if name else ibis.literal("")
    rest = [column for column in rows.columns if column not in {*_HERE, *by}]
    here = {"interval": ibis.literal(unit), "number": rows.number, "dimension": ibis.literal(name), "value": value}
    return rows.select(**here, **{column: rows[column] for column in rest})


def _number(unit: Unit, rows: Table) -> Value:
    return Period(unit).number(rows.day).cast("int64")


def _people(sums: Table) -> dict[str, Value]:
    return {"users": sums.user_id.count(), "nobody": _of_nobody(sums)}


def _of_nobody(sums: Table) -> NumericScalar:
    return sums.rows.sum(where=sums.user_id.isnull())


def _counts(rows: Table, *, by_user: bool) -> BooleanValue:
    return rows.user_id.notnull() if by_user else ibis.literal(True)  # noqa: FBT003


def _divided(
    both: Table, first: dt.date, last: dt.date, by: Sequence[str], own: Sequence[str], *, by_user: bool
) -> Table:
    """Divide one sum by another, and put the delta method's interval around it where they are by user."""

    def summed(sums: Table) -> Table:
        counts = _counts(sums, by_user=by_user)
        found = sums.group_by(_HERE).aggregate(
            **_people(sums),
            **{name: steady(sums[name].sum(where=counts)) for name in ("numerator", "denominator")},
        )
        return _with_squares(found, sums) if by_user else found.mutate(squares=ibis.null("float64"))

    users = _by_user(both, by, own, _sums("rows", "numerator", "denominator"))
    found = _everywhere(users, first, last, summed)
    above, below = (found[name].cast("float64").fill_null(0) for name in ("numerator", "denominator"))
    several = found.users / (found.users - 1).nullif(0)
    margin = ibis.literal(Z95) * (found.squares * several).sqrt() / below.nullif(0).abs()
    found = found.mutate(numerator=above, denominator=below, estimate=ratio(above, below), margin=margin)
    found = found.mutate(scale=ibis.greatest(found.estimate.abs(), found.margin))
    low, high = (rounded(found.estimate + side * found.margin, found.scale) for side in (-1, 1))
    found = found.mutate(low=low, high=high)
    ends = _interval(found.estimate, found.low, found.high)
    return _told(found, **{name: found[name] for name in ("numerator", "denominator", "estimate")}, **ends)


def _with_squares(found: Table, sums: Table) -> Table:
    """Add up the squares of what is left of users' numerators beside the common ratio to their denominators."""
    rates = found.select(*_HERE, rate=ratio(found.numerator, found.denominator))
    of_users = sums.filter(sums.user_id.notnull()).inner_join(rates, _HERE)
    left = of_users.numerator.cast("float64") - of_users.rate * of_users.denominator.cast("float64")
    squares = of_users.mutate(square=left * left).group_by(_HERE).aggregate(squares=ibis._.square.sum())
    return found.left_join(squares, _HERE).drop(*(f"{name}_right" for name in _HERE))


def _interval(estimate: NumericValue, low: NumericValue, high: NumericValue) -> dict[str, Value]:
    """Let an interval hold its estimate to the last digit; where an end is not known, there is none."""
    known = low.notnull() & high.notnull()
    nothing = ibis.null("float64")
    return {
        "low": known.ifelse(ibis.least(estimate, low), nothing),
        "high": known.ifelse(ibis.greatest(estimate, high), nothing),
    }


def _hits(users: Table) -> Table:
    """Count users who are asked about, and those of them who hit."""
    asked: BooleanValue = users.asked & users.user_id.notnull()
    return users.group_by(_HERE).aggregate(users=asked.sum(), nobody=_of_nobody(users), hits=(asked & users.hit).sum())


def _shares(found: Table) -> Table:
    """Divide hits by users, with Wilson's interval (1927)."""
    hits, seen = found.hits.fill_null(0), found.users.cast("float64").nullif(0)
    share = hits / seen
    middle = (share + Z95**2 / (2 * seen)) / (1 + Z95**2 / seen)
    width = Z95 * (share * (1 - share) / seen + Z95**2 / (4 * seen * seen)).sqrt() / (1 + Z95**2 / seen)
    # at 0 and at 1 the interval ends there: `_interval` takes the last digit off
    ends = _interval(share, (middle - width).clip(0.0), (middle + width).clip(upper=1.0))
    return _told(found, numerator=hits, denominator=found.users, estimate=share, **ends)


def _told(found: Table, **numbers: Value) -> Table:
    """Return the columns that every metric has; numbers that it has not are null."""
    names = ("numerator", "denominator", "estimate", "low", "high")
    missing = ibis.null("float64")
    floats = {name: numbers[name].cast("float64") if name in numbers else missing for name in names}
    return found.select(*PLACE, "complete", "users", "nobody", **floats)


def _everywhere(
    rows: Table, first: dt.date, last: dt.date, answer: Callable[[Table], Table], *, matures: int = 0
) -> Table:
    """Answer for each interval as a whole and by each dimension, and give every period a row.

    Args:
        rows: The columns of `_HERE`, and what the answer needs.
        first: The first day.
        last: The last day.
        answer: Given these rows, it returns one row for each value of `_HERE`: with users, nobody, and numbers.
        matures: How many days after its last one a period is complete.
    """
    answered = answer(rows)
    spine = _union([_periods(unit, first, last, matures) for unit in UNITS])
    # there is a row for all even where nothing is answered
    values = spine.select(dimension=ibis.literal(""), value=ibis.literal(""))
    values = values.union(answered.select("dimension", "value")).distinct()
    every = spine.cross_join(values).left_join(answered, _HERE)
    counts = {name: every[name].cast("int64").fill_null(0) for name in ("users", "nobody")}
    others = [column for column in answered.columns if column not in {*_HERE, *counts}]
    return every.select(*PLACE, "complete", *others, **counts)


def _union(tables: Sequence[Table]) -> Table:
    return functools.reduce(lambda one, other: one.union(other), tables)


def _periods(unit: Unit, first: dt.date, last: dt.date, matures: int) -> Table:
    period = Period(unit)
    listed = period.numbers(first, last)
    start = period.start(listed.number)
    over = listed.number <= period.last_complete(last - dt.timedelta(days=matures))
    complete = (start >= ibis.literal(first)) & over
    return listed.select(interval=ibis.literal(unit), number="number", period=start, complete=complete)


def steady(total: NumericValue) -> NumericValue:
    """Round a sum of floating-point numbers; leave an exact one as it is."""
    return rounded(total, total.abs()) if total.type().is_floating() else total


def rounded(number: NumericValue, scale: NumericValue) -> NumericValue:
    """Round to the significant digits of another number; what is not finite stays as it is.

    >>> numbers = ibis.memtable({"x": [0.1 + 0.2, 2 / 3 * 1e-7, -123456789012.3, 0.0]})
    >>> rounded(numbers.x, numbers.x.abs()).execute().to_list()
    [0.3, 6.66666667e-08, -123456789000.0, 0.0]
    """
    off = number.isnan() | number.isinf() | scale.isnan() | scale.isinf()
    known, size = (off.ifelse(ibis.null("float64"), one.cast("float64")) for one in (number, scale))
    places = (_DIGITS - 1 - size.nullif(0).log10().floor()).fill_null(0)
    # both are powers of ten that are exact, and so is the nearest decimal number
    up = ibis.literal(10.0) ** places.clip(0, _FINEST)
    down = ibis.literal(10.0) ** (-places).clip(0, _FINEST)
    near: NumericValue = (known * up / down).round(0).cast("float64") / up * down
    return off.ifelse(number, near)
