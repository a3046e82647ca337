"""Raw text becomes typed rows, and every row is judged: kept, or rejected with the reasons.

Belongs here: reading text by the feed that it came through, reason codes, and duplicates. Does not belong here: what a
raw table holds (`contracts.delivered`) and how one text is parsed (`lake.functions`).

Reason codes, the main one first: `malformed`, `missing_COLUMN`, `unparseable_COLUMN`, `nonexistent_COLUMN` (a local
time that clocks skip), `out_of_range_COLUMN`, `precision_COLUMN` (more decimals than amounts have), the table's own
refusals (`negative_quantity`, `zero_price`, `unknown_status`, ...), `foreign_currency`, `before_first_day`,
`after_last_day`, `too_late`, `too_early`, `duplicate`.
"""

from __future__ import annotations

import functools
import operator
from typing import TYPE_CHECKING

import ibis

from analytics_assets.contracts.delivered import AMOUNT, Delivered, Refusal
from analytics_assets.lake import functions
from analytics_assets.project.model import Feed, Project, Source

if TYPE_CHECKING:
    from ibis.expr.types import BooleanValue, DateValue, StringValue, Table

_MAX_AMOUNT = 1e14
"""Where `decimal(18, 4)` ends."""
_RATE = "decimal(18, 8)"
_PROVENANCE = ("delivery_day", "source", "feed", "file", "row_number", "row_key", "excluded_as")


def stage(raw: Table, delivered: Delivered, project: Project) -> Table:
    """Type and judge raw rows.

    Args:
        raw: The raw rows of the days, and of as many days before as a row may be late: what was delivered then makes
            a later row a duplicate.
        delivered: What the raw table may hold.
        project: Says how each feed is to be read.

    Returns:
        Every raw row once, with `rejected` empty where it is kept.
    """
    parts = []
    feeds = project.feeds(delivered.name)
    for name, place, source, feed in feeds:
        of_feed = (raw.source == name) & (raw.feed == place)
        parts.append(_judge(raw if len(feeds) == 1 else raw.filter(of_feed), source, feed, project))
    rows = functools.reduce(lambda left, right: left.union(right), parts)
    if all(feed.key_columns is None for *_, feed in feeds):
        return rows
    return _without_duplicates(rows, delivered, project.lateness)


def text_as_meant(raw: Table, name: str, feed: Feed, source: Source) -> StringValue:
    """Give a canonical column's text as the feed means it: null markers, replaced values, constants, defaults."""
    mapping = feed.mapping(name)
    default = dict(feed.delivered.defaults).get(name)
    if mapping is None:
        return ibis.null("string") if default is None else ibis.literal(default)
    if mapping.constant is not None:
        return ibis.literal(mapping.constant)
    text = raw[name]
    if mapping.values:
        text = ibis.cases(*((text == old, new) for old, new in mapping.values.items()), else_=text)
    text = text.isin(source.nulls).ifelse(ibis.null("string"), text) if source.nulls else text
    if mapping.decimals is not None:
        text = functions.rounded(text, mapping.decimals)
    return text if default is None else text.fill_null(default)


def _key_text(raw: Table, name: str, source: Source, feed: Feed, text: StringValue) -> StringValue:
    """Give a key that the source does not have: what makes the row the same row, or the row's place."""
    if feed.mapping(name) is not None:
        return text
    place = raw.row_number.cast("string")
    if name == "line":  # an order's lines may stand in several files, if there are several
        return raw.file + ":" + place if source.has_many_files else place
    if name == "event_id":
        return raw.row_key.fill_null(raw.source + ":" + raw.file + ":" + place)
    return text


def _refused(rows: Table, refusal: Refusal) -> BooleanValue:
    value = rows[refusal.column]
    if refusal.below is not None:
        return value < refusal.below
    if refusal.equals is not None:
        return value == refusal.equals
    return value.notin(refusal.outside)


def _texts(raw: Table, source: Source, feed: Feed) -> Table:
    """Give each canonical column the text that the feed means, beside where the row came from."""
    texts = {}
    for column in feed.delivered.columns:
        text = text_as_meant(raw, column.name, feed, source)
        texts[column.name] = (
            _key_text(raw, column.name, source, feed, text) if column.name in feed.delivered.key else text
        )
    return raw.select(
        **texts,
        properties=_properties(raw, feed),
        malformed=raw.malformed.notnull(),
        **{name: raw[name] for name in _PROVENANCE},
    )


def _typed(rows: Table, source: Source, feed: Feed, project: Project) -> Table:
    """Turn texts into values, with a column beside them for every way in which a value can be bad."""
    delivered = feed.delivered
    missing = [
        column.name
        for column in delivered.columns
        if not column.nullable
        or (column.name in delivered.key and feed.mapping(column.name) and column.name not in delivered.optional)
    ]
    rows = rows.mutate(**{f"missing_{name}": rows[name].isnull() for name in missing})
    for column in delivered.columns:
        mapping = feed.mapping(column.name)
        if mapping is None:  # a null, a default, or a key made of the row's place
            rows = rows.mutate(**{column.name: rows[column.name].cast(column.type)})
            continue
        rows = functions.with_value(rows, column.name, column.type, source.timestamps, project.clock(source.time_zone))
        if mapping and mapping.negate:
            rows = rows.mutate(**{column.name: -rows[column.name]})
    rows = rows.mutate(day=_day(rows, delivered, project))
    return _in_one_currency(rows, feed, project) if feed.mapping("currency") is not None and project.rates else rows


def _in_one_currency(rows: Table, feed: Feed, project: Project) -> Table:
    """Turn amounts of other currencies into the project's, at the rate of the row's day, to the fourth decimal."""
    at = [
        ((rows.currency == currency) & (rows.day >= ibis.literal(since)), ibis.literal(rate, _RATE))
        for currency, rates in project.rates.items()
        for since, rate in sorted(rates.items(), reverse=True)
    ]
    rows = rows.mutate(rate_=ibis.cases(*at, else_=ibis.null(_RATE)))
    for column in feed.delivered.columns:
        if column.type != AMOUNT or feed.mapping(column.name) is None:
            continue
        name, too_large = column.name, f"out_of_range_{column.name}"
        exchanged = functions.exchanged(rows[name], rows.rate_)
        lost = rows.rate_.notnull() & rows[name].notnull() & exchanged.isnull()
        rows = rows.mutate(
            **{name: rows.rate_.notnull().ifelse(exchanged, rows[name]), too_large: rows[too_large] | lost}
        )
    return rows.drop("rate_")


def _day(rows: Table, delivered: Delivered, project: Project) -> DateValue:
    """Give the day of each row. A row that may go without a time, or began before the project, has its delivery's."""
    if delivered.time is None:
        return ibis.null("date")
    day = project.clock().day(rows[delivered.time])
    if not delivered.column(delivered.time).nullable:
        return day
    known: DateValue = (day >= ibis.literal(project.first_day)).fill_null(False).ifelse(day, rows.delivery_day)  # noqa: FBT003
    return known


def _judge(raw: Table, source: Source, feed: Feed, project: Project) -> Table:
    """Type the rows of one feed and collect every reason against each."""
    delivered = feed.delivered
    rows = _typed(_texts(raw, source, feed), source, feed, project)
    codes = ["malformed", *(name for name in rows.columns if name.startswith("missing_"))]
    codes += [
        code
        for column in delivered.columns
        for code in functions.reasons(column.name, column.type)
        if code in rows.columns
    ]
    judged = {code: rows[code] for code in codes}
    judged |= {
        refusal.reason: _refused(rows, refusal) for refusal in delivered.refusals if feed.mapping(refusal.column)
    }
    for number, price in delivered.products:
        product = rows[number].cast("float64").abs() * rows[price].cast("float64").abs()
        judged["out_of_range_amount"] = product >= _MAX_AMOUNT
    if feed.mapping("currency") is not None:
        judged["foreign_currency"] = (rows.currency != project.currency) & ~_has_rate(rows, project)
    judged |= _day_reasons(rows, feed, source, project)
    rows = rows.mutate(**{f"is_{code}": broken.fill_null(False) for code, broken in judged.items()})  # noqa: FBT003
    any_reason = functools.reduce(operator.or_, (rows[f"is_{code}"] for code in judged))
    listed = ibis.array([rows[f"is_{code}"].ifelse(ibis.literal(code), ibis.null("string")) for code in judged])
    # the list is built only for rows that have any reason: a long list a row is what staging would spend its time on
    none = ibis.literal([], type="array<string>")
    return rows.select(
        *(column.name for column in delivered.columns),
        "day",
        "properties",
        *_PROVENANCE,
        rejected=any_reason.ifelse(listed.filter(lambda code: code.notnull()), none),
    )


def _has_rate(rows: Table, project: Project) -> BooleanValue:
    """Say whether the project has a rate for a row's currency on its day."""
    first = {currency: min(rates) for currency, rates in project.rates.items()}
    known = [(rows.currency == currency) & (rows.day >= ibis.literal(since)) for currency, since in first.items()]
    return functools.reduce(operator.or_, known, ibis.literal(False))  # noqa: FBT003


def _day_reasons(rows: Table, feed: Feed, source: Source, project: Project) -> dict[str, BooleanValue]:
    """Refuse rows of days that the project, or the source's lateness, does not cover."""
    if feed.delivered.time is None:
        return {}
    never = ibis.literal(False)  # noqa: FBT003
    early = rows.day < ibis.literal(project.first_day)
    after = never if project.last_day is None else rows.day > ibis.literal(project.last_day)
    reasons = {"before_first_day": early, "after_last_day": after}
    if source.day_form is not None:
        days_late = rows.delivery_day.delta(rows.day, unit="day")
        reasons |= {"too_late": (days_late > source.lateness) & ~early, "too_early": (days_late < 0) & ~after}
    return reasons


def _properties(raw: Table, feed: Feed) -> StringValue:
    """Give the delivered columns that the project keeps, as a JSON object."""
    mapped = {mapping.column: name for name in feed.columns if (mapping := feed.mapping(name)) and mapping.column}
    picked = {
        name: raw[mapped[name]] if name in mapped else functions.json_text(raw.extra, name) for name in feed.properties
    }
    return functions.json_object(picked)


def _without_duplicates(rows: Table, delivered: Delivered, lateness: int) -> Table:
    """Reject all but one of the acceptable rows that are the same row: the first event, the last word on a thing."""
    acceptable = rows.rejected.length() == 0
    place = [rows.delivery_day, rows.source, rows.file, rows.row_number]
    by = {"row_key": rows.row_key, "acceptable": acceptable}
    if delivered.keep == "last":
        by["delivery_day"] = rows.delivery_day  # a later delivery is a newer version, not a duplicate
        place = [ibis.desc(column) for column in place]
    order = ibis.window(group_by=list(by.values()), order_by=place)
    # what was delivered longer ago than a row may be late is not read by every run, so it makes no duplicates
    since = rows.delivery_day.delta(rows.delivery_day.lag().over(order), unit="day")
    repeated = (ibis.row_number().over(order) > 0) & (since <= lateness).fill_null(True)  # noqa: FBT003
    duplicate = acceptable & rows.row_key.notnull() & repeated
    return rows.mutate(rejected=duplicate.ifelse(ibis.array(["duplicate"]), rows.rejected))


def kept(staged: Table) -> Table:
    """Keep the rows of a staged table that are not rejected."""
    return staged.filter(staged.rejected.length() == 0)


def rejected_rows(staged: Table, raw: Table, reason: str | None = None) -> Table:
    """Show rejected rows with the reasons, and each as it came."""
    bad = staged.filter(staged.rejected.length() > 0)
    if reason is not None:
        bad = bad.filter(bad.rejected.contains(reason))
    place = ["source", "feed", "file", "row_number"]
    own = [name for name in raw.columns if name not in {*place, "delivery_day", "row_key", "excluded_as"}]
    came = raw.select(*place, *own)
    return bad.select("rejected", "delivery_day", *place).inner_join(came, place).drop("feed")
