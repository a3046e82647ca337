"""Time zones: local times to instants, and instants to days, exactly and on any engine.

Belongs here: the offsets of a zone as plain comparisons, from the standard library's time zone data. Does not belong
here: the parsing of text (`functions`).
"""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import ibis
from ibis.expr.types import DateColumn, TimestampColumn, TimestampValue

from analytics_assets.lake.days import Days

INSTANT = "timestamp('UTC', 6)"
LOCAL = "timestamp(6)"
_MARGIN_DAYS = 400
_HOUR = dt.timedelta(hours=1)
_SECOND = dt.timedelta(seconds=1)


@ibis.udf.scalar.builtin(name="timezone", signature=(("string", "timestamp"), "timestamp('UTC')"))
def _instant_of(zone, local):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Give the instant at which a clock in `zone` shows `local`, by the engine's own time zone data."""


@ibis.udf.scalar.builtin(name="timezone", signature=(("string", "timestamp('UTC')"), "timestamp"))
def _shown_at(zone, instant):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Give what a clock in `zone` shows at `instant`, by the engine's own time zone data."""


@ibis.udf.scalar.builtin(name="epoch_us", signature=(("timestamp('UTC')",), "int64"))
def microseconds(instant):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Give the microseconds since 1970 of an instant."""


@ibis.udf.scalar.builtin(name="make_timestamp", signature=(("int64",), "timestamp"))
def from_microseconds(microseconds):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Give the UTC time so many microseconds after 1970."""


def utc(local: TimestampValue) -> TimestampValue:
    """Give the instant at which a clock in UTC shows a local time."""
    instant: TimestampValue = _instant_of("UTC", local)
    return instant.cast(INSTANT)


@dataclass(frozen=True)
class Period:
    """Hold a stretch of time in which a zone keeps one offset: UTC times, `start` included, `end` not."""

    start: dt.datetime
    end: dt.datetime
    offset: dt.timedelta


@dataclass(frozen=True)
class Clock:
    """Read and set a clock in a time zone.

    Around `days` this takes a few comparisons a row; for other times it asks the engine's own time zone data, which
    takes ten times as long and gives the same.
    """

    zone: str
    days: Days

    def instant(self, local: TimestampColumn) -> TimestampValue:
        """Give the instant at which the clock shows a local time.

        A local time that clocks skip (daylight saving begins) gives null; one that they show twice gives the first.
        """
        if self.zone == "UTC":
            return utc(local)
        # the periods are in order, so the first of two that show the same time is the earlier
        branches = [
            (
                (local >= period.start + period.offset) & (local < period.end + period.offset),
                local - _seconds(period.offset),
            )
            for period in periods(self.zone, self.days)
        ]
        known = ibis.cases(*branches, else_=ibis.null(LOCAL))
        placed: TimestampValue = ibis.coalesce(utc(known), self._asked(local))
        return placed

    def _asked(self, local: TimestampColumn) -> TimestampValue:
        """Ask the engine's own time zone data for the instant of a local time; null where clocks skip it."""
        later = _instant_of(self.zone, local)
        found = ibis.null("timestamp('UTC')")
        for shift in (ibis.interval(hours=1), ibis.interval(minutes=30), None):
            candidate = later if shift is None else later - shift
            found = ibis.coalesce(
                found, (_shown_at(self.zone, candidate) == local).ifelse(candidate, ibis.null("timestamp('UTC')"))
            )
        instant: TimestampValue = found
        return instant.cast(INSTANT)

    def shown(self, instant: TimestampColumn) -> TimestampValue:
        """Give the local time that the clock shows at an instant."""
        at = from_microseconds(microseconds(instant.cast("timestamp('UTC')")))
        if self.zone == "UTC":
            return at
        branches = [
            ((instant >= _aware(period.start)) & (instant < _aware(period.end)), at + _seconds(period.offset))
            for period in periods(self.zone, self.days)
        ]
        local: TimestampValue = ibis.cases(*branches, else_=_shown_at(self.zone, instant.cast("timestamp('UTC')")))
        return local

    def day(self, instant: TimestampColumn) -> DateColumn:
        """Give the date that the clock shows at an instant."""
        day: DateColumn = self.shown(instant).date()
        return day


def _seconds(offset: dt.timedelta) -> ibis.Value:
    return ibis.interval(seconds=int(offset.total_seconds()))


def _aware(utc_time: dt.datetime) -> ibis.Value:
    return ibis.literal(utc_time.replace(tzinfo=dt.UTC), INSTANT)


@functools.lru_cache(maxsize=64)
def periods(zone: str, days: Days) -> tuple[Period, ...]:
    """List a zone's periods of one offset around some days, oldest first.

    >>> around = Days(dt.date(2024, 6, 1), dt.date(2024, 6, 30))
    >>> [(period.start.isoformat(), str(period.offset)) for period in periods("Europe/London", around)][1:3]
    [('2023-10-29T01:00:00', '0:00:00'), ('2024-03-31T01:00:00', '1:00:00')]
    """
    return tuple(_periods(ZoneInfo(zone), days))


def _periods(zone: ZoneInfo, days: Days) -> Iterator[Period]:
    margin = dt.timedelta(days=_MARGIN_DAYS)
    first = dt.datetime.combine(days.first, dt.time()) - margin
    last = dt.datetime.combine(days.last, dt.time()) + margin
    start, at = first, first
    while at < last:
        if _offset(zone, at) != _offset(zone, at + _HOUR):
            turn = at
            while _offset(zone, turn) == _offset(zone, at):
                turn += (
                    _SECOND
                    if _offset(zone, turn + dt.timedelta(minutes=1)) != _offset(zone, at)
                    else dt.timedelta(minutes=1)
                )
            yield Period(start, turn, _offset(zone, at))
            start = turn
        at += _HOUR
    yield Period(start, last, _offset(zone, start))


def _offset(zone: ZoneInfo, utc_time: dt.datetime) -> dt.timedelta:
    return utc_time.replace(tzinfo=dt.UTC).astimezone(zone).utcoffset() or dt.timedelta()
