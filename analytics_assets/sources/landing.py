"""Delivered rows become raw rows: each goes to the first feed that takes it, as text, with where it came from.

Belongs here: routing, the naming of columns, what makes a row the same row, and the delivery day. Does not belong
here: typing and judging (`assets.staging`): a raw row is what was delivered, and nothing is refused here.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import ibis

from analytics_assets.lake.engine import FILE, FILE_DAY, MALFORMED, ORDER, PREFIX, ROW_NUMBER, Engine
from analytics_assets.lake.functions import json_object, with_instant
from analytics_assets.project.conditions import Condition, holds
from analytics_assets.project.model import Feed, Project, Source
from analytics_assets.sources.reading import read

if TYPE_CHECKING:
    from ibis.expr.types import BooleanValue, IntegerValue, StringValue, Table

    from analytics_assets.lake.days import Days

NO_FEED = "no feed took it"
DELIVERY_DAY = PREFIX + "delivery_day"
ROUTE = PREFIX + "route"
_AT = PREFIX + "at"
_TAKEN_BY_NONE = -1
_SEPARATOR = "\x1f"
_MISSING = "\x1e"
_MAX_PLAIN_KEY = 2


@dataclass(frozen=True)
class Landing:
    """Hold what one source delivered on some days.

    Attributes:
        source: Its name.
        delivery: The engine's temporary table of the delivered rows, to be dropped once the raw rows are written.
        raw: The raw rows by raw table, without `raw_`.
        delivered: Rows in the files.
        routed: Rows that belong to each raw table on these days, as counted before anything was written.
        things: The raw tables that were told from the rows of others; their rows are not among those delivered.
        other_days: Rows of a file without a day that belong to other days.
        filtered: Rows left out, by condition.
        files: How many files there were; of the shop, days with rows.
        empty_files: Files, or days, without rows, where that is odd.
        undated: Rows that belong to no day, so that no run reads them.
    """

    source: str
    delivery: str
    raw: Mapping[str, Table]
    delivered: int
    routed: Mapping[str, int]
    things: frozenset[str]
    other_days: int
    filtered: Mapping[str, int]
    files: int
    empty_files: tuple[str, ...]
    undated: int


def meets(rows: Table, condition: Condition) -> BooleanValue:
    """Say of each delivered row whether a condition holds."""
    return holds(lambda column: rows[column], condition)


def route(rows: Table, source: Source) -> IntegerValue:
    """Say of each delivered row which feed takes it: the first whose condition holds; -1 for none.

    A row that could not be read as a line goes to the last feed with a table, so that staging rejects it with its text.
    """
    feeds = [(place, feed) for place, feed in enumerate(source.feeds) if not feed.distinct]
    branches = [(meets(rows, feed.when), ibis.literal(place, "int64")) for place, feed in feeds]
    last = [place for place, feed in feeds if feed.table]
    if last:
        branches.append((rows[PREFIX + MALFORMED].notnull(), ibis.literal(last[-1], "int64")))
    taken: IntegerValue = (
        ibis.cases(*branches, else_=ibis.literal(_TAKEN_BY_NONE, "int64"))
        if branches
        else ibis.literal(_TAKEN_BY_NONE, "int64")
    )
    return taken


def row_key(rows: Table, feed: Feed, columns: Sequence[str]) -> StringValue:
    """Give what makes a delivered row the same row as another: one or two values as they are, more as a hash."""
    key = feed.key_columns
    if key is None:
        return ibis.null("string")
    if not key:  # a column that only other files have changes nothing
        return json_object({column: rows[column] for column in sorted(columns)}).hexdigest("md5")
    parts = [rows[column].fill_null(_MISSING) for column in key]
    if len(parts) == 1:
        return parts[0]
    joined = functools.reduce(lambda left, right: left + _SEPARATOR + right, parts)
    return joined if len(parts) <= _MAX_PLAIN_KEY else joined.hexdigest("md5")


def with_delivery_day(rows: Table, feed: Feed, source: Source, project: Project) -> Table:
    """Add the delivery day of each row: the one in the file's name, or else that of the row's own time.

    Rows that are undated, or dated before the first day, belong to the first day; rows after the project's last day
    belong to that.
    """
    if not source.by_day(feed):
        return rows.mutate(**{DELIVERY_DAY: ibis.null("date")})
    if source.day_form is not None:
        return rows.mutate(**{DELIVERY_DAY: rows[PREFIX + FILE_DAY]})
    time = feed.mapping(feed.delivered.time or "")
    text = ibis.null("string") if time is None or time.column is None else rows[time.column]
    dated = with_instant(rows.mutate(**{_AT: text}), _AT, source.timestamps, project.clock(source.time_zone))
    first = ibis.literal(project.first_day)
    known = dated.mutate(**{_AT: project.clock().day(dated[_AT]).fill_null(first)})
    day = ibis.greatest(known[_AT], first)
    day = ibis.least(day, ibis.literal(project.last_day)) if project.last_day else day
    return known.mutate(**{DELIVERY_DAY: day}).drop(_AT, f"unparseable_{_AT}", f"nonexistent_{_AT}")


def _extra(rows: Table, feed: Feed, columns: Sequence[str]) -> StringValue:
    mapped = {mapping.column for name in feed.columns if (mapping := feed.mapping(name))}
    others = {name: rows[name] for name in columns if name not in mapped}
    return json_object(others)


def raw_rows(rows: Table, name: str, place: int, project: Project, columns: Sequence[str]) -> Table:
    """Turn the delivered rows that one feed took into rows of its raw table."""
    source = project.sources[name]
    feed = source.feeds[place]
    rows = with_delivery_day(rows, feed, source, project)
    texts = {}
    for column in feed.delivered.columns:
        mapping = feed.mapping(column.name)
        texts[column.name] = rows[mapping.column] if mapping and mapping.column else ibis.null("string")
    # a thing told from other rows has not all of their columns: what it was not told from says nothing of it
    told = {why: condition for why, condition in source.excluded.items() if set(condition) <= set(rows.columns)}
    excluded = [(meets(rows, condition), ibis.literal(why)) for why, condition in told.items()]
    return rows.select(
        **texts,
        extra=_extra(rows, feed, columns),
        malformed=rows[PREFIX + MALFORMED],
        delivery_day=rows[DELIVERY_DAY],
        source=ibis.literal(name),
        feed=ibis.literal(place, "int64"),
        file=rows[PREFIX + FILE],
        row_number=rows[PREFIX + ROW_NUMBER],
        row_key=row_key(rows, feed, columns),
        excluded_as=ibis.cases(*excluded, else_=ibis.null("string")) if excluded else ibis.null("string"),
    )


def distinct_rows(rows: Table, name: str, place: int, project: Project) -> Table:
    """Tell things (products, users) from the rows of something else: one raw row a key, each column's last word."""
    source = project.sources[name]
    feed = source.feeds[place]
    present = rows.filter(meets(rows, feed.when), rows[PREFIX + MALFORMED].isnull())
    key = [mapping.column for column in feed.delivered.key if (mapping := feed.mapping(column)) and mapping.column]
    present = present.filter([present[column].notin(source.nulls) for column in key])
    others = [column for column in feed.delivered_columns() if column not in key]
    last = {
        column: present[column].argmax(present[PREFIX + ORDER], where=present[column].notin(source.nulls))
        for column in others
    }
    provenance = {
        PREFIX + FILE: present[PREFIX + FILE].argmax(present[PREFIX + ORDER]),
        PREFIX + ROW_NUMBER: present[PREFIX + ROW_NUMBER].argmax(present[PREFIX + ORDER]),
    }
    by = [*key, *([PREFIX + FILE_DAY] if source.day_form else [])]
    things = present.group_by(by).aggregate(**last, **provenance)
    own = {PREFIX + MALFORMED: ibis.null("string")} | (
        {} if source.day_form else {PREFIX + FILE_DAY: ibis.null("date")}
    )
    return raw_rows(things.mutate(**own), name, place, project, [*key, *others])


def _counts(routed: Table, source: Source, project: Project, days: Days, engine: Engine) -> dict[str, int]:
    """Count, before anything is written, the rows that each feed took, and of these the rows of the run's days."""
    counts: dict[str, IntegerValue] = {
        "delivered": routed.count(),
        "files": routed[PREFIX + FILE].nunique(),
        "none": (routed[ROUTE] == _TAKEN_BY_NONE).sum(),
    }
    today: dict[str, int] = {}
    for place, feed in enumerate(source.feeds):
        if feed.distinct:
            continue
        counts[f"taken_{place}"] = (routed[ROUTE] == place).sum()
        if feed.table and source.by_day(feed):
            dated = with_delivery_day(routed.filter(routed[ROUTE] == place), feed, source, project)
            (row,) = engine.rows(dated.aggregate(n=dated[DELIVERY_DAY].between(days.first, days.last).sum()))
            today[f"today_{place}"] = row["n"] or 0
    (counted,) = engine.rows(routed.aggregate(**counts))
    return {name: count or 0 for name, count in counted.items()} | today


def land(
    name: str,
    project: Project,
    days: Days,
    engine: Engine,
    folder: Path,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> Landing:
    """Read what one source delivered on some days, in one pass over its files, and route it to raw tables.

    Args:
        name: The source.
        project: The project.
        days: The days of delivery.
        engine: What computes.
        folder: For copies of files.
        environment: Holds what a source names by a variable: where a database is, and its password.
    """
    source = project.sources[name]
    reading = read(name, project, days, engine, folder, environment)
    rows, columns = reading.rows, reading.columns
    routed = rows.mutate(**{ROUTE: route(rows, source)})
    counted = _counts(routed, source, project, days, engine)
    raw: dict[str, Table] = {}
    belongs: dict[str, int] = {}
    filtered = {NO_FEED: counted["none"]} if counted["none"] else {}
    other_days = 0
    for place, feed in enumerate(source.feeds):
        if feed.drop is not None:
            filtered[feed.drop] = filtered.get(feed.drop, 0) + counted[f"taken_{place}"]
            continue
        table = feed.delivered.name
        if feed.distinct:
            added = distinct_rows(rows, name, place, project)
            if not source.by_day(feed):
                (things,) = engine.rows(added.aggregate(n=added.count()))
            else:
                in_days = added.delivery_day.between(days.first, days.last)
                (things,) = engine.rows(added.aggregate(n=in_days.sum()))
            count = things["n"] or 0
        else:
            added = raw_rows(routed.filter(routed[ROUTE] == place), name, place, project, columns)
            taken = counted[f"taken_{place}"]
            count = counted.get(f"today_{place}", taken)
            other_days += taken - count
        raw[table] = raw[table].union(added) if table in raw else added
        belongs[table] = belongs.get(table, 0) + count
    return Landing(
        source=name,
        delivery=rows.get_name(),
        raw=raw,
        delivered=counted["delivered"],
        routed=belongs,
        things=frozenset(feed.delivered.name for feed in source.feeds if feed.distinct),
        other_days=other_days,
        filtered=filtered,
        files=counted["files"] + len(reading.empty),
        empty_files=reading.empty,
        undated=reading.undated,
    )
