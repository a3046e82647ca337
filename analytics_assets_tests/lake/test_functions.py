from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics_assets.lake import functions
from analytics_assets.lake.clocks import INSTANT, Clock
from analytics_assets.lake.days import Days
from analytics_assets.lake.engine import Engine
from analytics_assets_tests.making import table

AMOUNT = "decimal(18, 4)"
YEAR = Days(dt.date(2023, 7, 1), dt.date(2024, 6, 30))
NEW_YORK = "America/New_York"

Parsed = tuple[Any, list[str]]


def parsed(
    engine: Engine, kind: str, texts: Sequence[str | None], formats: Sequence[str] = ("iso",), zone: str = "UTC"
) -> list[Parsed]:
    """Return the value of each text, with the reasons against it."""
    rows = table({"n": "int64", "x": "string"}, *({"n": n, "x": text} for n, text in enumerate(texts)))
    answer = engine.rows(functions.with_value(rows, "x", kind, formats, Clock(zone, YEAR)).order_by("n"))
    flags = [name for name in (answer[0] if answer else {}) if name not in {"n", "x"}]
    assert set(flags) <= set(functions.reasons("x", kind)) or not answer
    return [(row["x"], [flag.removesuffix("_x") for flag in flags if row[flag]]) for row in answer]


def one(engine: Engine, kind: str, text: str | None, *formats: str, zone: str = "UTC") -> Parsed:
    (found,) = parsed(engine, kind, [text], formats or ("iso",), zone)
    return found


@pytest.mark.parametrize("kind", ["string", "int64", "float64", "boolean", "date", AMOUNT, INSTANT])
def test_nothing_is_nothing_and_no_mistake(engine, kind):
    assert one(engine, kind, None) == (None, [])


@pytest.mark.parametrize("kind", ["int64", "float64", "boolean", "date", AMOUNT, INSTANT])
@pytest.mark.parametrize("text", ["", " ", "abc", "infinity", "NaN", "now", "today", "epoch", "-inf", "12abc", "1,5"])
def test_words_are_no_values(engine, kind, text):
    assert one(engine, kind, text) == (None, ["unparseable"])


def test_text_stays_as_it_is(engine):
    assert one(engine, "string", " Straße ") == (" Straße ", [])


def test_other_columns_stay(engine):
    rows = table({"x": "string", "y": "string"}, {"x": "1", "y": "left"})
    found = functions.with_value(rows, "x", "int64", ("iso",), Clock("UTC", YEAR))
    assert engine.rows(found) == [{"x": 1, "y": "left", "unparseable_x": False}]


# --- instants ---------------------------------------------------------------------------------------------------------


def utc(*parts: int) -> dt.datetime:
    return dt.datetime(*parts, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2024-02-29 12:34:56", utc(2024, 2, 29, 17, 34, 56)),
        ("2024-02-29T12:34:56", utc(2024, 2, 29, 17, 34, 56)),
        ("2024-02-29 12:34", utc(2024, 2, 29, 17, 34)),
        ("2024-02-29", utc(2024, 2, 29, 5)),
        ("2024-02-29T12:34:56.5", utc(2024, 2, 29, 17, 34, 56, 500_000)),
        ("2024-02-29T12:34:56.123456", utc(2024, 2, 29, 17, 34, 56, 123_456)),
        (" 2024-02-29 12:34:56 ", utc(2024, 2, 29, 17, 34, 56)),
    ],
)
def test_an_iso_time_without_an_offset_is_what_the_clock_showed(engine, text, instant):
    assert one(engine, INSTANT, text, zone=NEW_YORK) == (instant, [])


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2024-02-29T12:34:56Z", utc(2024, 2, 29, 12, 34, 56)),
        ("2024-02-29 12:34:56.25Z", utc(2024, 2, 29, 12, 34, 56, 250_000)),
        ("2024-02-29 12:34:56+00", utc(2024, 2, 29, 12, 34, 56)),
        ("2024-02-29T12:34:56+02:00", utc(2024, 2, 29, 10, 34, 56)),
        ("2024-02-29 12:34:56+0530", utc(2024, 2, 29, 7, 4, 56)),
        ("2024-02-29 12:34:56.25-03", utc(2024, 2, 29, 15, 34, 56, 250_000)),
        ("2024-03-10T02:30:00-08:00", utc(2024, 3, 10, 10, 30)),
    ],
)
def test_an_iso_time_with_an_offset_is_that_instant_whatever_the_clock(engine, text, instant):
    assert one(engine, INSTANT, text, zone=NEW_YORK) == (instant, [])


@pytest.mark.parametrize(
    "ending",
    [
        "Z ",
        "+00 ",
        " UTC",
        " utc",
        "+00:00:00",
    ],
)
def test_a_time_that_says_utc_is_never_read_by_the_clock(engine, ending):
    value, reasons = one(engine, INSTANT, f"2024-02-29 12:00:00{ending}", zone=NEW_YORK)
    assert value == utc(2024, 2, 29, 12) or reasons == ["unparseable"]


@pytest.mark.parametrize(
    "text",
    [
        "2024-02-30",
        "2023-02-29 10:00:00",
        "2024-13-01",
        "2024-00-10",
        "2024-01-00",
        "2024-01-01 25:00:00",
        "2024-01-01 12:60:00",
        "2024-01-01 12:00:61",
        "12:30",
        "2024",
        "29/02/2024",
        "2024-02-29 12:34:56 Europe/London",
    ],
)
def test_an_impossible_or_foreign_time_is_unparseable(engine, text):
    assert one(engine, INSTANT, text, zone=NEW_YORK) == (None, ["unparseable"])


def test_a_time_that_the_clock_skipped_is_nonexistent_and_not_unparseable(engine):
    assert one(engine, INSTANT, "2024-03-10 02:30:00", zone=NEW_YORK) == (None, ["nonexistent"])


def test_a_time_that_the_clock_showed_twice_is_the_first(engine):
    assert one(engine, INSTANT, "2023-11-05 01:30:00", zone=NEW_YORK) == (utc(2023, 11, 5, 5, 30), [])


@pytest.mark.parametrize(
    ("form", "text", "instant"),
    [
        ("epoch_s", "1709210096", utc(2024, 2, 29, 12, 34, 56)),
        ("epoch_s", "1709210096.25", utc(2024, 2, 29, 12, 34, 56, 250_000)),
        ("epoch_s", "1.709210096e9", utc(2024, 2, 29, 12, 34, 56)),
        ("epoch_s", "-1", utc(1969, 12, 31, 23, 59, 59)),
        ("epoch_ms", "1709210096250", utc(2024, 2, 29, 12, 34, 56, 250_000)),
        ("epoch_us", "1709210096250001", utc(2024, 2, 29, 12, 34, 56, 250_001)),
        ("epoch_us", "0", utc(1970, 1, 1)),
    ],
)
def test_a_number_since_1970_is_an_instant_whatever_the_clock(engine, form, text, instant):
    assert one(engine, INSTANT, text, form, zone=NEW_YORK) == (instant, [])


@pytest.mark.parametrize("text", ["2024-02-29", "infinity", "nan", "1e300", "", "9" * 17])
def test_what_is_no_number_since_1970_is_unparseable(engine, text):
    assert one(engine, INSTANT, text, "epoch_s") == (None, ["unparseable"])


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("epoch_s", "9" * 32),
        ("epoch_ms", "9223372036854775"),
        ("epoch_us", str(2**63 - 1)),
        ("epoch_us", str(-(2**63))),
        ("iso", "294247-01-10 04:00:54.775806"),
    ],
)
def test_a_time_beyond_all_calendars_is_a_bad_value_and_stops_nothing(engine, form, text):
    value, reasons = one(engine, INSTANT, text, form, zone=NEW_YORK)
    assert value is None
    assert reasons


@pytest.mark.parametrize(
    ("form", "text", "instant"),
    [
        ("%d/%m/%Y %H:%M", "29/02/2024 12:34", utc(2024, 2, 29, 17, 34)),
        ("%m/%d/%y %I:%M %p", "02/29/24 09:05 PM", utc(2024, 3, 1, 2, 5)),
        ("%d.%m.%Y", "01.07.2023", utc(2023, 7, 1, 4)),
        ("%Y%m%dT%H%M%S.%f", "20240229T123456.250000", utc(2024, 2, 29, 17, 34, 56, 250_000)),
        ("%d %b %Y", "29 Feb 2024", utc(2024, 2, 29, 5)),
    ],
)
def test_a_format_reads_what_the_clock_showed(engine, form, text, instant):
    assert one(engine, INSTANT, text, form, zone=NEW_YORK) == (instant, [])


@pytest.mark.parametrize("text", ["30/02/2024", "2024-02-29", "29/02/2024 10:00", "infinity", "29/2", "now"])
def test_what_does_not_fit_the_format_is_unparseable(engine, text):
    assert one(engine, INSTANT, text, "%d/%m/%Y") == (None, ["unparseable"])


def test_formats_are_tried_in_their_order(engine):
    text = "03/04/2024"
    assert one(engine, INSTANT, text, "%d/%m/%Y", "%m/%d/%Y")[0] == utc(2024, 4, 3)
    assert one(engine, INSTANT, text, "%m/%d/%Y", "%d/%m/%Y")[0] == utc(2024, 3, 4)
    texts = ["2024-02-29T00:00:00", "29.02.2024", "1709164800", "29-02-2024"]
    found = parsed(engine, INSTANT, texts, ("iso", "%d.%m.%Y", "epoch_s"))
    assert found == [(utc(2024, 2, 29), [])] * 3 + [(None, ["unparseable"])]


def test_a_format_of_digits_before_an_epoch_reads_what_the_clock_showed(engine):
    assert one(engine, INSTANT, "20240229", "%Y%m%d", "epoch_ms", zone=NEW_YORK) == (utc(2024, 2, 29, 5), [])


@st.composite
def iso_times(draw: st.DrawFn, *, offset: bool) -> tuple[str, dt.datetime | None]:
    """Draw a text and the instant that a New York clock, or its offset, makes of it."""
    local = draw(st.datetimes(dt.datetime(1975, 1, 1), dt.datetime(2030, 1, 1)))  # noqa: DTZ001
    digits = draw(st.integers(0, 6))
    local = local.replace(microsecond=local.microsecond // 10 ** (6 - digits) * 10 ** (6 - digits), fold=0)
    fraction = f".{local.microsecond:06}"[: digits + 1] if digits else ""
    text = local.strftime(f"%Y-%m-%d{draw(st.sampled_from('T '))}%H:%M:%S") + fraction
    if offset:
        minutes = draw(st.integers(-14 * 4, 14 * 4)) * 15
        sign, hours, rest = "-" if minutes < 0 else "+", abs(minutes) // 60, abs(minutes) % 60
        forms = [f"{sign}{hours:02}:{rest:02}", f"{sign}{hours:02}{rest:02}"]
        text += draw(st.sampled_from(forms + [f"{sign}{hours:02}"] * (rest == 0) + ["Z"] * (minutes == 0)))
        return text, local.replace(tzinfo=dt.timezone(dt.timedelta(minutes=minutes))).astimezone(dt.UTC)
    instant = local.replace(tzinfo=ZoneInfo(NEW_YORK)).astimezone(dt.UTC)
    exists = instant.astimezone(ZoneInfo(NEW_YORK)).replace(tzinfo=None) == local
    return text, instant if exists else None


@settings(max_examples=10, deadline=None)
@given(st.lists(iso_times(offset=False), min_size=1, max_size=40))
def test_any_iso_time_by_the_clock(engine, times):
    found = parsed(engine, INSTANT, [text for text, _ in times], zone=NEW_YORK)
    assert found == [(instant, [] if instant else ["nonexistent"]) for _, instant in times]


@settings(max_examples=10, deadline=None)
@given(st.lists(iso_times(offset=True), min_size=1, max_size=40))
def test_any_iso_time_by_its_offset(engine, times):
    assert parsed(engine, INSTANT, [text for text, _ in times], zone=NEW_YORK) == [(i, []) for _, i in times]


# --- amounts ----------------------------------------------------------------------------------------------------------


def amount(text: str) -> Parsed:
    """Judge a text in plain Python: its value, or why it is none."""
    try:
        exact = Decimal(text)
    except InvalidOperation:
        return None, ["unparseable"]
    if not exact.is_finite() or not text.isascii() or "_" in text or text.strip() != text.strip(" \t\n\f\r"):
        return None, ["unparseable"]
    if exact.adjusted() >= 14:
        return (None, ["out_of_range"]) if exact else (Decimal(0), [])
    rounded = exact.quantize(Decimal("0.0001"), ROUND_HALF_UP)
    if abs(rounded) >= 10**14:
        return None, ["out_of_range"]
    return (rounded, []) if rounded == exact else (None, ["precision"])


def is_told_exactly(text: str) -> bool:
    """Say whether a number has no digits beyond the eighteenth decimal, which the test above is about."""
    try:
        return int(Decimal(text).as_tuple().exponent) >= -18
    except (InvalidOperation, ValueError):
        return True


def judged(found: Sequence[Parsed]) -> list[Parsed]:
    """Leave out the values of texts that are refused."""
    return [(None if reasons else value, reasons) for value, reasons in found]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1.2345", "1.2345"),
        ("-0.5", "-0.5"),
        (" 12 ", "12"),
        ("+1", "1"),
        (".5", "0.5"),
        ("5.", "5"),
        ("1.5e2", "150"),
        ("12345E-4", "1.2345"),
        ("1.23450000000000000000000000", "1.2345"),
        ("99999999999999.9999", "99999999999999.9999"),
        ("0" * 50 + "1", "1"),
        ("-0", "0"),
    ],
)
def test_an_amount_is_read_exactly(engine, text, value):
    assert one(engine, AMOUNT, text) == (Decimal(value), [])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("1.23456", "precision"),
        ("0.00001", "precision"),
        ("1e-5", "precision"),
        ("1.23456789e3", "precision"),
        ("1e308", "out_of_range"),
        ("-1e14", "out_of_range"),
        ("100000000000000", "out_of_range"),
        ("1" * 60, "out_of_range"),
        ("1_000", "unparseable"),
        ("1,000.00", "unparseable"),
        ("£5", "unparseable"),
        ("0x10", "unparseable"),
        ("1e", "unparseable"),
        (".", "unparseable"),
        ("--1", "unparseable"),
        ("٣", "unparseable"),
    ],
)
def test_an_amount_that_cannot_be_kept_exactly_is_refused_and_never_rounded(engine, text, reason):
    assert one(engine, AMOUNT, text)[1] == [reason]


@pytest.mark.parametrize("text", ["1." + "0" * 18 + "1", "0." + "0" * 24 + "9", "1e-30"])
def test_more_than_eighteen_decimals_are_refused_too(engine, text):
    assert one(engine, AMOUNT, text)[1] == ["precision"]


@pytest.mark.parametrize("text", ["10.00000e13", "10.00009e13"])
def test_an_amount_with_an_exponent_is_not_beyond_the_largest(engine, text):
    assert one(engine, AMOUNT, text)[1] == ["out_of_range"]


digits = st.text("0123456789", max_size=25)
signs = st.sampled_from(["", "", "-", "+"])


@st.composite
def numbers(draw: st.DrawFn) -> str:
    """Draw the text of a number of at most eighteen decimals."""
    whole, fraction = draw(digits), draw(st.none() | st.text("0123456789", max_size=18))
    places = len(fraction or "")
    exponent = draw(st.none() | st.integers(places - 18, 4))
    if exponent is not None:  # fifteen digits at most: such a number is compared as a floating-point one
        whole, fraction = whole[:9], fraction and fraction[:6]
    text = whole + ("" if fraction is None else f".{fraction}") + ("" if exponent is None else f"e{exponent}")
    space = st.sampled_from(["", "", " ", "\t"])
    return draw(space) + draw(signs) + text + draw(space)


@settings(max_examples=25, deadline=None)
@given(st.lists(numbers() | st.text(max_size=6) | st.text("0123456789.eE+- ", max_size=8), min_size=1, max_size=60))
def test_amounts_are_read_as_pythons_decimals_are(engine, texts):
    told = [text for text in texts if is_told_exactly(text)]
    assert judged(parsed(engine, AMOUNT, told)) == [amount(text) for text in told]


# --- other numbers, truths and dates ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("3.0", 3),
        ("3.", 3),
        (" -7 ", -7),
        ("+4", 4),
        ("-0", 0),
        ("3.0000000", 3),
        (str(2**63 - 1), 2**63 - 1),
    ],
)
def test_a_whole_number_is_read_with_or_without_zeros_behind_the_point(engine, text, value):
    assert one(engine, "int64", text) == (value, [])


@pytest.mark.parametrize("text", ["3.5", "3.01", "1e3", str(2**63), "1" * 50, "1_000", "0x1", "true", "3.0.0", "1 2"])
def test_what_is_no_whole_number_is_unparseable_and_never_rounded(engine, text):
    assert one(engine, "int64", text) == (None, ["unparseable"])


@settings(max_examples=10, deadline=None)
@given(st.lists(st.tuples(st.integers(-(2**65), 2**65), st.sampled_from(["", ".", ".0", ".00"])), min_size=1))
def test_whole_numbers_are_exact_as_far_as_they_fit(engine, drawn):
    fits = [(number, []) if -(2**63) <= number < 2**63 else (None, ["unparseable"]) for number, _ in drawn]
    assert parsed(engine, "int64", [f"{number}{end}" for number, end in drawn]) == fits


@settings(max_examples=10, deadline=None)
@given(st.lists(st.floats(), min_size=1, max_size=50))
def test_floating_point_numbers_are_read_to_the_last_bit_and_must_be_finite(engine, drawn):
    finite = [(x, []) if abs(x) < float("inf") else (None, ["unparseable"]) for x in drawn]
    assert parsed(engine, "float64", [repr(x) for x in drawn]) == finite


@pytest.mark.parametrize("text", ["1e400", "-1e400", "1_000.5", "0x1p3"])
def test_a_floating_point_number_that_is_too_large_or_strange_is_unparseable(engine, text):
    assert one(engine, "float64", text) == (None, ["unparseable"])


@pytest.mark.parametrize(
    ("texts", "value"),
    [(["true", "T", " yes ", "Y", "1", "TRUE"], True), (["false", "F", "no", "N ", "0", "False"], False)],
)
def test_truths_are_told_in_a_few_words(engine, texts, value):
    assert parsed(engine, "boolean", texts) == [(value, [])] * len(texts)


@pytest.mark.parametrize("text", ["2", "ja", "1.0", "on", "-"])
def test_other_words_are_no_truths(engine, text):
    assert one(engine, "boolean", text) == (None, ["unparseable"])


@settings(max_examples=10, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 9999), st.integers(0, 13), st.integers(0, 32)), min_size=1, max_size=60),
    st.sampled_from(["", " 23:59:59", "T00:00:00.5"]),
)
def test_dates_are_those_of_the_calendar_without_their_time_of_day(engine, drawn, time):
    def expected(year: int, month: int, day: int) -> Parsed:
        try:
            return dt.date(year, month, day), []
        except ValueError:
            return None, ["unparseable"]

    texts = [f"{year:04}-{month:02}-{day:02}{time}" for year, month, day in drawn]
    assert parsed(engine, "date", texts) == [expected(*parts) for parts in drawn]


def test_a_date_beyond_all_calendars_is_a_bad_value(engine):
    assert one(engine, "date", "290000-01-01") == (None, ["unparseable"])


def test_dates_are_read_by_formats_too(engine):
    assert parsed(engine, "date", ["29/02/2024", "2024-02-29"], ("%d/%m/%Y", "iso")) == [(dt.date(2024, 2, 29), [])] * 2


@pytest.mark.parametrize("kind", ["string", "int64", "float64", "boolean", "date", AMOUNT, INSTANT])
def test_reasons_are_named_as_the_columns_that_carry_them(engine, kind):
    rows = functions.with_value(table({"x": "string"}), "x", kind, ("iso",), Clock("UTC", YEAR))
    assert set(rows.columns) == {"x", *functions.reasons("x", kind)}


# --- objects ----------------------------------------------------------------------------------------------------------

NAMES = ["a", "geo.country", "$cost", "a:b", "a[0]", "it's", 'the "id"', "*", "a/b~c", "", "Größe"]


def test_any_key_of_an_object_can_be_read(engine):
    rows = table({"object": "string"}, {"object": json.dumps({name: f"of {name}" for name in NAMES})})
    for name in NAMES:
        found = engine.rows(
            rows.select(text=functions.json_text(rows.object, name), none=functions.json_text(rows.object, "b"))
        )
        assert found == [{"text": f"of {name}", "none": None}]


@settings(max_examples=10, deadline=None)
@given(st.lists(st.fixed_dictionaries({name: st.none() | st.text(max_size=5) for name in NAMES[:-2]}), min_size=1))
def test_an_object_holds_what_is_there_and_nothing_where_all_is_missing(engine, records):
    rows = table({"n": "int64"} | dict.fromkeys(NAMES[:-2], "string"), *({"n": n, **r} for n, r in enumerate(records)))
    told = rows.select("n", object=functions.json_object({name: rows[name] for name in NAMES[:-2]})).order_by("n")
    there = [{name: text for name, text in record.items() if text is not None} for record in records]
    assert [row["object"] and json.loads(row["object"]) for row in engine.rows(told)] == [
        known or None for known in there
    ]


def test_an_object_of_no_columns_is_nothing(engine):
    rows = table({"n": "int64"}, {"n": 1})
    assert engine.rows(rows.select(object=functions.json_object({}))) == [{"object": None}]


@pytest.mark.parametrize("decimals", [0, 2, 4])
@given(text=st.from_regex(r"\A[+-]?[0-9]{1,12}(\.[0-9]{0,12})?\Z"))
@settings(max_examples=60, deadline=None)
def test_texts_are_rounded_as_decimals_are(engine, decimals, text):
    """A half goes away from zero, in one step: 0.0049 is no half cent."""
    rows = table({"x": "string"}, {"x": text})
    (row,) = engine.rows(rows.select(x=functions.rounded(rows.x, decimals)))
    assert Decimal(row["x"]) == Decimal(text).quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP)


@pytest.mark.parametrize("text", ["", "none", "1.2.3", "NaN", "1e300", None])
def test_what_is_no_number_is_not_rounded(engine, text):
    rows = table({"x": "string"}, {"x": text})
    assert engine.rows(rows.select(x=functions.rounded(rows.x, 2))) == [{"x": text}]
