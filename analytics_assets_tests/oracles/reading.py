"""The oracles' own form: cases as records, their events as rows of ours.

Belongs here: times, identities and property filters as the file writes them. Does not belong here: what a kind of
case asks of `analysis` (`*_cases`).
"""

from __future__ import annotations

import datetime as dt
import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from ibis.expr.types import Table

from analytics_assets.analysis.periods import Period
from analytics_assets.lake.duckdb import DuckDBEngine
from analytics_assets_tests.making import table

Case = Mapping[str, Any]
Event = Mapping[str, Any]

COLUMNS = {
    "event_id": "string",
    "user_id": "string",
    "event_type": "string",
    "occurred_at": "timestamp('UTC', 6)",
    "day": "date",
    "value": "string",
    "session_id": "string",
}


@functools.cache
def _engine() -> DuckDBEngine:
    return DuckDBEngine(memory="500MB", threads=1)


def rows(expression: Table) -> list[dict[str, Any]]:
    """Compute a table."""
    return _engine().rows(expression)


def instant(written: float | str, zone: str = "UTC") -> dt.datetime:
    """Read a time: seconds since 1970, or ISO text, which is in UTC where it does not say otherwise."""
    if isinstance(written, int | float):
        return dt.datetime.fromtimestamp(written, dt.UTC)
    read = dt.datetime.fromisoformat(written)
    return (read if read.tzinfo else read.replace(tzinfo=ZoneInfo(zone))).astimezone(dt.UTC)


def date(written: str) -> dt.date:
    """Read a date, or the date of a time."""
    return dt.datetime.fromisoformat(written).date()


def events(case: Case) -> list[Event]:
    """Give a case's events with the persons behind the users, their instants, and days in the case's time zone."""
    says = case["definition"]
    persons = says.get("identity") or {}
    zone = ZoneInfo(says.get("timezone") or "UTC")
    found = []
    for number, written in enumerate(case["events"]):
        user = written["user"]
        at = instant(written["timestamp"])
        found.append(
            {
                "event_id": f"{number:09}",
                "user_id": None if user is None else str(persons.get(user, user)),
                "event_type": written["event"],
                "occurred_at": at,
                "day": at.astimezone(zone).date(),
                "props": written.get("props") or {},
            }
        )
    return found


def as_table(happened: Iterable[Event], value: str | None = None) -> Table:
    """Make a table of events; `value` is the property whose text the column of that name holds."""
    return table(
        COLUMNS,
        *(
            {**{k: v for k, v in event.items() if k != "props"}, "value": _text(event["props"].get(value))}
            for event in happened
        ),
    )


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def matching(happened: Sequence[Event], wanted: Mapping[str, Any] | None) -> list[Event]:
    """Keep the events of a type (null means any) whose properties hold what is asked."""
    wanted = wanted or {}
    props = wanted.get("props") or {}
    return [
        event
        for event in happened
        if wanted.get("event") in {None, event["event_type"]}
        and all(_is(event["props"].get(name), value) for name, value in props.items())
    ]


def _is(found: Any, wanted: Any) -> bool:
    """Compare a property with a value, or with several of which one must hold, as text where the types differ."""
    if isinstance(wanted, list):
        return any(_is(found, one) for one in wanted)
    return found == wanted or (found is not None and wanted is not None and str(found) == str(wanted))


def period(unit: str, week_start: Any = None) -> Period:
    """Read a period; the sources begin weeks on Sunday where they do not say otherwise, and count days from 0 there."""
    names = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"]
    begin = names[week_start % 7] if isinstance(week_start, int) else (week_start or "sunday").lower()
    return Period(unit, week_start=begin)


def bounds(says: Mapping[str, Any], unit: str) -> tuple[dt.date, dt.date]:
    """Read date_from and date_to: dates, and for hours instants in the case's time zone."""
    if unit != "hour":
        return date(says["date_from"]), date(says["date_to"])
    zone = says.get("timezone") or "UTC"
    return instant(says["date_from"], zone), instant(says["date_to"], zone)


def same(found: Any, expected: Any) -> bool:
    """Compare results, fractions with a small tolerance."""
    if isinstance(expected, Mapping):
        return found.keys() == expected.keys() and all(same(found[key], expected[key]) for key in expected)
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(same, found, expected))
    if isinstance(expected, float) and found is not None:
        return math.isclose(found, expected, rel_tol=1e-9, abs_tol=1e-9)
    return found == expected


def assert_same(found: Any, expected: Any) -> None:
    assert same(found, expected), f"expected {expected}\nfound    {found}"
