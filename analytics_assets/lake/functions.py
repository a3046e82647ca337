"""Text becomes values: each parser replaces a column of text by its values, and says beside it what was wrong.

Belongs here: the typing of one column, and the engine's own functions that it takes. Does not belong here: which
column is read how, and what happens to a row with a bad value (`assets.staging`).

What is wrong with a value stands in a boolean column of its own, named by its reason code, `unparseable_COLUMN` for
one. Every step is a select of its own, so that the engine computes it once.
"""

from __future__ import annotations

import datetime as dt
import functools
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import ibis

from analytics_assets.contracts.delivered import AMOUNT
from analytics_assets.lake.clocks import INSTANT, LOCAL, Clock, from_microseconds, utc

if TYPE_CHECKING:
    from ibis.expr.types import BinaryValue, BooleanValue, DecimalValue, StringValue, Table, TimestampValue, Value

ISO = "iso"
EPOCHS = {"epoch_s": 1, "epoch_ms": 1_000, "epoch_us": 1_000_000}
_ZONED = r":\d{2}(\.\d+)?\s*([Zz]|(?i:UTC)|[+-]\d{2}(:?\d{2}){0,2})\s*$"
_FIRST_TIME = dt.datetime(1, 1, 2)  # noqa: DTZ001 - local times, a day away from the ends of the calendar
_LAST_TIME = dt.datetime(9999, 12, 30)  # noqa: DTZ001
_MAX_SECONDS = 1e12
_INTEGER = r"^\s*[+-]?\d+(\.0*)?\s*$"
_NUMBER = r"^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$"
_FALSE = ("false", "f", "no", "n", "0")
_TRUE = ("true", "t", "yes", "y", "1")


@ibis.udf.scalar.builtin(name="try_strptime", signature=(("string", "string"), "timestamp"))
def _try_strptime(text, form):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Parse text by a strptime format, null where it does not fit."""


@ibis.udf.scalar.builtin(name="json_extract_string", signature=(("string", "string"), "string"))
def _json_text(document, pointer):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Give the text of the value that a JSON pointer names."""


def json_text(document: StringValue, key: str) -> StringValue:
    """Give the text of one key of JSON objects, whatever the key is called."""
    text: StringValue = _json_text(document, "/" + key.replace("~", "~0").replace("/", "~1"))
    return text


@ibis.udf.scalar.builtin(name="multiply", signature=(("decimal(20, 4)", "decimal(18, 8)"), "decimal(38, 12)"))
def _product(amount, rate):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Multiply exactly; Ibis refuses decimals of different scales."""


def exchanged(amount: DecimalValue, rate: DecimalValue) -> DecimalValue:
    """Give an amount at a rate of exchange, rounded to the fourth decimal, half away from zero; null: too large."""
    worth: DecimalValue = _product(amount.cast("decimal(20, 4)"), rate).round(4).try_cast(AMOUNT)
    return worth


@ibis.udf.scalar.builtin(name="json_merge_patch", signature=(("string", "string"), "string"))
def _patched(document, patch):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Patch a JSON document; what the patch has as null is left out."""


@ibis.udf.scalar.builtin(name="unhex", signature=(("string",), "binary"))
def _unhex(digits):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Read hexadecimal digits as bytes."""


def pseudonym(value: StringValue, salt: str) -> BinaryValue:
    """Give 16 bytes that stand for a text, the same for the same text; without the salt nobody can tell which."""
    stands_in: BinaryValue = _unhex((ibis.literal(salt) + value).hexdigest("md5"))
    return stands_in


def json_object(values: Mapping[str, StringValue]) -> StringValue:
    """Give JSON objects of texts, without what is missing; null where all is."""
    if not values:
        return ibis.null("string")
    document = ibis.struct(dict(values)).cast("json").cast("string")
    complete = functools.reduce(operator.and_, (value.notnull() for value in values.values()))
    known: StringValue = complete.ifelse(document, _patched("{}", document))
    return _where(known != "{}", known)


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
            count = _where(text.re_search(_NUMBER), text.try_cast("decimal(38, 6)"))
            near = count.abs() < _MAX_SECONDS * EPOCHS[form]
            parsed.append(from_microseconds(_where(near, (count * (1_000_000 // EPOCHS[form])).try_cast("int64"))))
        else:
            parsed.append(_where(text.re_search(r"\d"), _try_strptime(text, form)))
    times: TimestampValue = ibis.coalesce(*parsed)
    return times


def _in_calendar(local: TimestampValue) -> TimestampValue:
    """Leave out times at which the arithmetic of time zones ends."""
    times: TimestampValue = _where(local.between(_FIRST_TIME, _LAST_TIME), local)
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
    epochs = [place for place, form in enumerate(formats) if form in EPOCHS]
    offset = digits = ibis.literal(False)  # noqa: FBT003
    if ISO in formats:
        offset = _holds(text.re_search(_ZONED))
    if epochs:
        digits = _holds(text.re_search(_NUMBER))
        if before := formats[: epochs[0]]:
            digits = digits & _local_times(text, before).isnull()
    read = rows.mutate(**{given: text, local: _local_times(text, formats), zoned: offset, f"{name}__digits": digits})
    read = read.mutate(**{local: _in_calendar(read[local])})
    placed = clock.instant(read[local])
    if epochs:  # a count of seconds is of UTC, wherever it was written
        placed = read[f"{name}__digits"].ifelse(utc(read[local]), placed)
    if ISO in formats:
        placed = read[zoned].ifelse(read[given].try_cast(INSTANT), placed)
    known = read.mutate(**{name: placed})
    return known.mutate(
        **{
            f"unparseable_{name}": _holds(known[given].notnull() & known[local].isnull()),
            f"nonexistent_{name}": _holds(known[local].notnull() & known[name].isnull()),
        }
    ).drop(given, local, zoned, f"{name}__digits")


def with_decimal(rows: Table, name: str, kind: str) -> Table:
    """Parse a column of text to exact decimals of a type such as `decimal(18, 4)`.

    Beside it come `unparseable_NAME` (NaN and infinity too), `out_of_range_NAME` for a number that is too large, and
    `precision_NAME` for one with more decimals than the type holds.
    """
    text = rows[name]
    given, number, power = f"{name}__given", f"{name}__number", f"{name}__power"
    held = ibis.dtype(kind)
    # digits past the type's last, up to one that is not 0
    fine = text.re_search(rf"\.\d{{{held.scale}}}\d*[1-9]\d*\s*$")
    read = rows.mutate(
        **{
            given: text.notnull(),
            number: _holds(text.re_search(_NUMBER)),
            # a number with an exponent is rare, and compared as what it is about
            power: _where(text.re_search("[eE]"), text.try_cast("float64")),
            f"{name}__fine": _holds(fine),
            name: text.try_cast(kind),
        }
    )
    in_range = (read[power].abs() < 10.0 ** (held.precision - held.scale)).fill_null(True)  # noqa: FBT003
    checked = read.mutate(**{name: _where(in_range, read[name])})
    rounded = checked[power] != checked[name].cast("float64")
    return checked.mutate(
        **{
            f"unparseable_{name}": _holds(checked[given] & ~checked[number]),
            f"out_of_range_{name}": _holds(checked[number] & checked[name].isnull()),
            f"precision_{name}": _holds(
                checked[number] & checked[name].notnull() & (checked[f"{name}__fine"] | _holds(rounded))
            ),
        }
    ).drop(given, number, power, f"{name}__fine")


def rounded(text: StringValue, decimals: int) -> StringValue:
    """Round texts that are numbers to so many decimals, a half away from zero; others pass as they are."""
    number = _where(_holds(text.re_search(_NUMBER)), text.try_cast(f"decimal(38, {decimals})"))
    rounded: StringValue = ibis.coalesce(number.cast("string"), text)
    return rounded


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
    return _with_value(rows, name, _in_calendar(_local_times(rows[name], formats)).date())


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
