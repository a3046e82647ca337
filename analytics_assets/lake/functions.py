"""Text becomes values: each parser replaces a column of text by its values, and says beside it what was wrong.

Belongs here: the typing of one column, and the engine's own functions that it takes. Does not belong here: which
column is read how, and what happens to a row with a bad value (`assets.staging`).

What is wrong with a value stands in a boolean column of its own, named by its reason code, `unparseable_COLUMN` for
one. Every step is a select of its own, so that the engine computes it once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import ibis

from analytics_assets.lake.clocks import LOCAL, Clock, from_microseconds, utc

if TYPE_CHECKING:
    from ibis.expr.types import BooleanValue, StringValue, Table, TimestampValue, Value

ISO = "iso"
EPOCHS = {"epoch_s": 1, "epoch_ms": 1_000, "epoch_us": 1_000_000}
_ZONED = r":\d{2}(\.\d+)?\s*([Zz]|[+-]\d{2}(:?\d{2})?)$"
_INTEGER = r"^\s*[+-]?\d+(\.0*)?\s*$"
_NUMBER = r"^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$"
_EXACT = "decimal(38, 18)"
_FALSE = ("false", "f", "no", "n", "0")
_TRUE = ("true", "t", "yes", "y", "1")


@ibis.udf.scalar.builtin(name="try_strptime", signature=(("string", "string"), "timestamp"))
def _try_strptime(text, form):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Parse text by a strptime format, null where it does not fit."""


def _where(condition: BooleanValue, value: Value) -> Value:
    return condition.ifelse(value, ibis.null(value.type()))


def _holds(condition: BooleanValue) -> BooleanValue:
    return condition.fill_null(False)  # noqa: FBT003


def _local_times(text: StringValue, formats: Sequence[str]) -> TimestampValue:
    # words such as "infinity" and "epoch" are times to the engine, and not to people
    digit = text.strip()[0:1].between("0", "9")
    parsed = []
    for form in formats:
        if form == ISO:
            parsed.append(_where(digit, text.try_cast(LOCAL)))
        elif form in EPOCHS:
            seconds = _where(text.re_search(_NUMBER), text.try_cast("decimal(38, 6)"))
            parsed.append(from_microseconds((seconds * (1_000_000 // EPOCHS[form])).try_cast("int64")))
        else:
            parsed.append(_where(text.re_search(r"\d"), _try_strptime(text, form)))
    times: TimestampValue = ibis.coalesce(*parsed)
    return times


def with_instant(rows: Table, name: str, formats: Sequence[str], clock: Clock) -> Table:
    """Parse a column of text to instants; text without an offset is what the clock showed.

    Beside it come `unparseable_NAME`, and `nonexistent_NAME` for a local time that the clock skipped.

    Args:
        rows: The table.
        name: Its column of text.
        formats: `iso`, `epoch_s`, `epoch_ms`, `epoch_us` or strptime formats, tried in this order.
        clock: Of the time zone in which texts without an offset were written.
    """
    text = rows[name]
    given, local, zoned = f"{name}__given", f"{name}__local", f"{name}__zoned"
    has_offset = text.re_search(_ZONED) if ISO in formats else ibis.literal(False)  # noqa: FBT003
    epochs = [form for form in formats if form in EPOCHS]
    if epochs:
        has_offset = has_offset | text.re_search(_NUMBER)
    absolute = len(epochs) == len(formats)
    read = rows.mutate(**{given: text.notnull(), local: _local_times(text, formats), zoned: _holds(has_offset)})
    # the engine reads a time with an offset as the UTC time that it means
    placed = utc(read[local]) if absolute else read[zoned].ifelse(utc(read[local]), clock.instant(read[local]))
    known = read.mutate(**{name: placed})
    return known.mutate(
        **{
            f"unparseable_{name}": _holds(known[given] & known[local].isnull()),
            f"nonexistent_{name}": _holds(known[local].notnull() & known[name].isnull()),
        }
    ).drop(given, local, zoned)


def with_decimal(rows: Table, name: str, kind: str) -> Table:
    """Parse a column of text to exact decimals of a type such as `decimal(18, 4)`.

    Beside it come `unparseable_NAME` (NaN and infinity too), `out_of_range_NAME` for a number that is too large, and
    `precision_NAME` for one with more decimals than the type holds.
    """
    text = rows[name]
    given, number, exact = f"{name}__given", f"{name}__number", f"{name}__exact"
    scale = ibis.dtype(kind).scale
    # only a text that can have more decimals than the type is parsed a second time, which is slow
    fine = text.re_search(rf"\.\d{{{scale + 1}}}|[eE]")
    read = rows.mutate(
        **{
            given: text.notnull(),
            number: _holds(text.re_search(_NUMBER)),
            exact: _where(fine, text.try_cast(_EXACT)),
            name: text.try_cast(kind),
        }
    )
    return read.mutate(
        **{
            f"unparseable_{name}": _holds(read[given] & ~read[number]),
            f"out_of_range_{name}": _holds(read[number] & read[name].isnull()),
            f"precision_{name}": _holds(read[number] & (read[exact] != read[name].cast(_EXACT))),
        }
    ).drop(given, number, exact)


def _with_value(rows: Table, name: str, value: Value) -> Table:
    given = f"{name}__given"
    read = rows.mutate(**{given: rows[name].notnull(), name: value})
    return read.mutate(**{f"unparseable_{name}": _holds(read[given] & read[name].isnull())}).drop(given)


def with_integer(rows: Table, name: str) -> Table:
    """Parse a column of text to whole numbers; `3.0` is 3, `3.5` is unparseable."""
    text = rows[name]
    return _with_value(rows, name, _where(text.re_search(_INTEGER), text.try_cast("int64")))


def with_float(rows: Table, name: str) -> Table:
    """Parse a column of text to finite floating-point numbers."""
    text = rows[name]
    return _with_value(
        rows, name, _where(text.re_search(_NUMBER) & ~text.try_cast("float64").isinf(), text.try_cast("float64"))
    )


def with_boolean(rows: Table, name: str) -> Table:
    """Parse a column of text to true (true, t, yes, y, 1) and false (false, f, no, n, 0)."""
    low = rows[name].strip().lower()
    return _with_value(
        rows, name, ibis.cases((low.isin(_TRUE), True), (low.isin(_FALSE), False), else_=ibis.null("boolean"))
    )


def with_date(rows: Table, name: str, formats: Sequence[str]) -> Table:
    """Parse a column of text to dates, by the formats of `with_instant`; a time of day is left out."""
    return _with_value(rows, name, _local_times(rows[name], formats).date())


def with_value(rows: Table, name: str, kind: str, formats: Sequence[str], clock: Clock) -> Table:
    """Parse a column of text to a type of the contracts; see the parser of that type."""
    parsers: dict[str, Callable[[], Table]] = {
        "string": lambda: rows,
        "int64": lambda: with_integer(rows, name),
        "float64": lambda: with_float(rows, name),
        "boolean": lambda: with_boolean(rows, name),
        "date": lambda: with_date(rows, name, formats),
    }
    if kind.startswith("timestamp"):
        return with_instant(rows, name, formats, clock)
    return with_decimal(rows, name, kind) if kind.startswith("decimal") else parsers[kind]()


def reasons(name: str, kind: str) -> tuple[str, ...]:
    """Name the reason codes that `with_value` puts beside a column, the main one first.

    >>> reasons("quantity", "int64")
    ('unparseable_quantity',)
    """
    if kind == "string":
        return ()
    more = {"timestamp": ("nonexistent",), "decimal": ("out_of_range", "precision")}
    return tuple(f"{code}_{name}" for code in ("unparseable", *more.get(kind.split("(", maxsplit=1)[0], ())))
