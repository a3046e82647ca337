"""Periods: hours, days, weeks and months as whole numbers, so that the next period is always one more.

Belongs here: which period a day or an instant is in, when a period starts, and the tools that every table by period
needs: users who are known, and rows for periods in which nothing happened. Does not belong here: time zones (a day
    comes
here as a date, as `lake.clocks` made it), and what is counted.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import ibis

if TYPE_CHECKING:
    from ibis.expr.types import IntegerScalar, IntegerValue, Table, Value

Unit: TypeAlias = Literal["hour", "day", "week", "month"]
Weekday: TypeAlias = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]

_EPOCH = dt.date(1970, 1, 1)
_INSTANT = "timestamp('UTC')"


@dataclass(frozen=True)
class Period:
    """Hold a kind of period.

    Attributes:
        unit: How long one is. Hours are those of the UTC clock; the others are made of days as they come.
        week_start: The day on which a week begins.

    >>> Period("week").number_of(dt.date(2024, 3, 4)) - Period("week").number_of(dt.date(2024, 3, 3))
    1
    >>> sunday = Period("week", week_start="sunday")
    >>> sunday.number_of(dt.date(2024, 3, 4)) - sunday.number_of(dt.date(2024, 3, 3))
    0
    """

    unit: Unit = "day"
    week_start: Weekday = "monday"

    def __post_init__(self) -> None:
        if self.unit not in get_args(Unit):
            raise ValueError(f"no period is called {self.unit!r}: choose one of {', '.join(get_args(Unit))}")
        if self.week_start not in get_args(Weekday):
            raise ValueError(f"no weekday is called {self.week_start!r}: choose one of {', '.join(get_args(Weekday))}")

    @property
    def column(self) -> str:
        """The column that places a row in a period: the instant for hours, else the day."""
        return "occurred_at" if self.unit == "hour" else "day"

    @property
    def _days_into_week(self) -> int:
        """How many days of its week are over when 1970 begins, on a Thursday."""
        return (_EPOCH.weekday() - get_args(Weekday).index(self.week_start)) % 7

    def number(self, when: Value) -> IntegerValue:
        """Give the number of the period that a date (for hours, an instant) is in.

        >>> march = ibis.memtable([{"day": dt.date(2024, 3, 1)}, {"day": dt.date(2024, 2, 29)}])
        >>> sorted(Period("month").number(march.day).execute())
        [649, 650]
        """
        if self.unit == "hour":
            beginning = ibis.timestamp(_EPOCH.isoformat() + " 00:00:00").cast(_INSTANT)
            return when.cast(_INSTANT).delta(beginning, unit="hour")
        epoch = ibis.date(_EPOCH.isoformat())
        if self.unit == "month":
            return when.delta(epoch, unit="month")
        days = when.delta(epoch, unit="day")
        return days if self.unit == "day" else (days + self._days_into_week) // 7

    def start(self, number: IntegerValue) -> Value:
        """Give the date (for hours, the instant) on which the period of that number begins.

        >>> ibis.memtable([{"number": 650}]).mutate(start=Period("month").start(ibis._.number)).start.execute()[0]
        Timestamp('2024-03-01 00:00:00')
        """
        if self.unit == "month":
            return ibis.date(1970 + number // 12, number - number // 12 * 12 + 1, 1)
        if self.unit == "hour":
            return (number.as_interval("h") + _midnight()).cast(_INSTANT)
        days = number if self.unit == "day" else number * 7 - self._days_into_week
        return (days.as_interval("D") + _midnight()).date()

    def number_of(self, when: dt.date) -> int:
        """Give the number of the period that a date, or for hours an instant, is in."""
        if self.unit == "hour":
            instant = when if isinstance(when, dt.datetime) else dt.datetime.combine(when, dt.time())
            utc = instant if instant.tzinfo else instant.replace(tzinfo=dt.UTC)
            return (utc - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(hours=1)
        if self.unit == "month":
            return (when.year - 1970) * 12 + when.month - 1
        days = (when if not isinstance(when, dt.datetime) else when.date()).toordinal() - _EPOCH.toordinal()
        return days if self.unit == "day" else (days + self._days_into_week) // 7

    def last_complete(self, last: dt.date) -> int:
        """Give the number of the last period that is over when the day (for hours, the hour) `last` is.

        >>> Period("month").last_complete(dt.date(2024, 2, 29)) - Period("month").last_complete(dt.date(2024, 2, 28))
        1
        """
        if self.unit == "hour":
            return self.number_of(last)
        return self.number_of(last + dt.timedelta(days=1)) - 1

    def numbers(self, first: dt.date, last: dt.date) -> Table:
        """List the numbers of all periods from that of `first` to that of `last`, in the column `number`."""
        return numbers(self.number_of(first), self.number_of(last))


def _midnight() -> Value:
    return ibis.timestamp(_EPOCH.isoformat() + " 00:00:00")


def numbers(first: int, last: int) -> Table:
    """List the whole numbers from `first` to `last` in the column `number`; none where `last` is smaller.

    >>> sorted(numbers(3, 5).number.execute())
    [3, 4, 5]
    """
    return ibis.range(ibis.literal(first, "int64"), ibis.literal(last + 1, "int64")).unnest().name("number").as_table()


def known_users(rows: Table) -> Table:
    """Leave out rows of nobody: they are no person, and no two of them are the same one."""
    return rows.filter(rows.user_id.notnull())


def count_nobody(rows: Table) -> IntegerScalar:
    """Count the rows of nobody, which no table by user holds.

    >>> count_nobody(ibis.memtable({"user_id": ["ann", None]})).execute()
    1
    """
    return rows.user_id.isnull().sum().fill_null(0)


def with_zeros(counts: Table, spine: Table, by: Sequence[str]) -> Table:
    """Sum counts by `by` and the spine's columns, with zeros where nothing was counted.

    Each combination of `by` that was counted at all gets every row of the spine; nulls in `by` are a value as any
    other. Without `by`, the spine is there even where nothing was counted.

    Args:
        counts: The columns of the spine, of `by`, and counts.
        spine: Every place for which a row is wanted; what lies outside stays too.
        by: The dimensions.

    >>> counts = ibis.memtable([{"number": 1, "device": None, "users": 5}]).cast({"device": "string"})
    >>> filled = with_zeros(counts, numbers(1, 2), ["device"])
    >>> filled.order_by("number").users.execute().to_list()
    [5, 0]
    """
    places = spine.columns
    measures = [name for name in counts.columns if name not in {*places, *by}]
    types = counts.schema()
    everywhere = spine.cross_join(counts.select(*by).distinct()) if by else spine
    zeros = everywhere.select(
        **{name: everywhere[name].cast(types[name]) for name in (*places, *by)},
        **{name: ibis.literal(0).cast(types[name]) for name in measures},
    )
    both = counts.select(*places, *by, *measures).union(zeros)
    return both.group_by([*places, *by]).aggregate(**{name: both[name].sum().cast(types[name]) for name in measures})


def ratio(part: Value, whole: Value) -> Value:
    """Divide, and give null where there is nothing to divide by."""
    return part.cast("float64") / whole.cast("float64").nullif(0)
