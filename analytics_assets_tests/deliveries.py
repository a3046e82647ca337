"""Eight days of a small shop, delivered a file a day, with all that makes the order of runs matter.

Rows come late and too late, rows are sent again, visitors become known days after they acted, and files gain
columns and change their order.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from analytics_assets_tests.conftest import Workshop, csv, day

LATENESS = 2
FIRST, LAST = "03-01", "03-08"
DAYS = [f"03-{n:02}" for n in range(1, 9)]
_EVENT = ("event_id", "user_id", "anonymous_id", "event_type", "occurred_at")
_ORDER = ("order_id", "line", "user_id", "product_id", "ordered_at", "quantity", "unit_price")
_IDENTITY = ("anonymous_id", "user_id")


def _source(name: str, table: str, columns: tuple[str, ...], **changes: Any) -> dict[str, Any]:
    feed = {"table": table, "columns": {column: column for column in columns}}
    return {"path": f"data/{name}_{{day}}.csv", "format": "csv", "lateness": LATENESS, "feeds": [{**feed, **changes}]}


def fill(workshop: Workshop, days: int = len(DAYS)) -> None:
    """Declare the project, and deliver so many days of it."""
    workshop.declare(last_day=day(DAYS[days - 1]))
    workshop.source("events", _source("events", "events", _EVENT, properties=["page"]))
    # no id of its own: a row is the same row as another that is alike in all that was delivered
    clicks = ("user_id", "event_type", "occurred_at")
    workshop.source("clicks", _source("clicks", "events", clicks))
    workshop.source("orders", _source("orders", "order_lines", _ORDER))
    workshop.source("identities", {**_source("identities", "identities", _IDENTITY), "optional": True})
    for number in range(1, days + 1):
        deliver(workshop, number)


def deliver(workshop: Workshop, number: int) -> None:
    """Deliver the files of one day."""
    name = day(DAYS[number - 1])
    workshop.deliver(f"events_{name}.csv", _events(number))
    workshop.deliver(f"clicks_{name}.csv", _clicks(number))
    workshop.deliver(f"orders_{name}.csv", _orders(number))
    if number in _KNOWN:
        workshop.deliver(f"identities_{name}.csv", csv(_IDENTITY, *_KNOWN[number]))


_KNOWN = {3: ["v1,u1", "v2,u2"], 5: ["v2,u3", "v3,u3"], 8: ["v5,u1"]}


def _at(number: int, step: int) -> str:
    """Return a time of that day, ten minutes a step."""
    return str(dt.datetime(2024, 3, 1, 8, tzinfo=dt.UTC) + dt.timedelta(days=number - 1, minutes=10 * step))


def _event(number: int, step: int, visitor: bool = False) -> str:
    who = f",v{number}" if visitor else f"u{number % 3},"
    return f"e{number}_{step},{who},{'view' if step % 2 else 'click'},{_at(number, step)},/p{step}"


def _events(number: int) -> str:
    rows = [_event(number, 9), _event(number, 10), _event(number, 11, visitor=True), _event(number, 12, visitor=True)]
    # late by one day and by two, too late, and sent again on each of the three days after
    rows += [_event(number - 1, 20, visitor=True), _event(number - 2, 21), _event(number - 3, 22)]
    rows += [_event(number - 1, 9), _event(number - 2, 9), _event(number - 3, 9), _event(number, 10)]
    rows.append("short,row")
    return csv((*_EVENT, "page"), *rows)


def _clicks(number: int) -> str:
    """Return rows without an id; one day's file has a column more, another its columns in another order."""
    rows = [f"u{number % 3},click,{_at(number, 13)}", f"u{number % 3},click,{_at(number - 1, 13)}"]
    if number == 3:
        return csv(("user_id", "event_type", "occurred_at", "button"), *(f"{row},buy" for row in rows))
    if number == 5:
        return csv(("event_type", "user_id", "occurred_at"), *(f"click,{row.replace(',click', '', 1)}" for row in rows))
    return csv(("user_id", "event_type", "occurred_at"), *rows)


def _orders(number: int) -> str:
    def line(placed: int, place: int) -> str:
        return f"o{placed},{place},u{placed % 3},p{place},{_at(placed, 15)},{place},9.99"

    rows = [line(number, 1), line(number, 2), line(number - 1, 3), line(number - 1, 1), line(number - 3, 4)]
    return csv(_ORDER, *rows, f"x{number},1,u1,p1,{_at(number, 16)},-1,9.99")
