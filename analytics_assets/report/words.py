"""Words that follow from numbers: which way something went, and how amounts, shares and names are written.

Belongs here: the one function that says rose, fell, did not change noticeably or cannot be told, and the formats of
templates. Does not belong here: any sentence of a section (`writing`).
"""

from __future__ import annotations

import datetime as dt
import math
import string
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from analytics_assets.charts.house import money, number, share, short
from analytics_assets.report.findings import Range, Unit
from analytics_assets.statistics.changes import Change

NOTICEABLE = 0.05
"""What nobody minds: a change whose whole interval lies within 5 % of what was did not change noticeably."""
_LONGEST = 60


class Way(StrEnum):
    """Say which way something went, as far as its interval tells."""

    ROSE = "rose"
    FELL = "fell"
    STEADY = "did not change noticeably"
    UNTOLD = "cannot be told"


def way(low: float | None, high: float | None, noticeable: float) -> Way:
    """Say which way something went: by its interval alone.

    >>> way(0.02, 0.10, 0.05).value, way(-0.10, -0.02, 0.05).value
    ('rose', 'fell')
    >>> way(-0.02, 0.03, 0.05).value, way(-0.02, 0.30, 0.05).value, way(None, None, 0.05).value
    ('did not change noticeably', 'cannot be told', 'cannot be told')
    """
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return Way.UNTOLD
    if low > 0:
        return Way.ROSE
    if high < 0:
        return Way.FELL
    return Way.STEADY if -noticeable <= low and high <= noticeable else Way.UNTOLD


def went(change: Change | None, unit: Unit = "count") -> Way:
    """Say which way a number went; a share is held against 5 % of what it was, as all else is."""
    if change is None:
        return Way.UNTOLD
    return way(change.low, change.high, NOTICEABLE * (abs(change.before) if unit == "share" else 1.0))


def changed(change: Change, unit: Unit = "count") -> str:
    """Write a change with its sign: in percent, of shares in points.

    >>> changed(Change(0.1, 0.12, 0.02), "share"), changed(Change(100, 90, -0.1))
    ('+2 points', '-10 %')
    """
    return "n/a" if change.change is None else _signed(change.change, unit)


def changed_between(change: Change, unit: Unit = "count") -> str:
    """Write the interval of a change."""
    if change.low is None or change.high is None:
        return change.reason or "no interval"
    low = _signed(change.low, unit)
    return f"{low.removesuffix(' points')} to {_signed(change.high, unit)}"


def _signed(value: float, unit: Unit = "count") -> str:
    return points(value) if unit == "share" else f"{'+' if value > 0 else ''}{share(value)}"


def points(value: float) -> str:
    """Write a difference of shares in percentage points.

    >>> points(0.0213), points(-0.00042), points(0.0)
    ('+2.1 points', '-0.042 points', '0 points')
    """
    if not math.isfinite(value):
        return "n/a"
    told = share(abs(value)).removesuffix(" %")
    return f"{'+' if value > 0 else '-' if value < 0 else ''}{told} points"


def points_between(low: float, high: float) -> str:
    """Write an interval of a difference of shares.

    >>> points_between(-0.02, 0.013)
    '-2 to +1.3 points'
    """
    return f"{points(low).removesuffix(' points')} to {points(high)}"


def valued(value: float | None, unit: Unit, currency: str) -> str:
    """Write a number in its unit."""
    if value is None:
        return "n/a"
    return {"money": lambda: money(value, currency), "share": lambda: share(value), "count": lambda: number(value)}[
        unit
    ]()


def named(name: object) -> str:
    """Write a name that somebody gave: in one line, and not longer than a line bears."""
    return short(name, _LONGEST)


def weekday(number: int) -> str:
    """Name a day of the week by its ISO number.

    >>> weekday(1)
    'Mondays'
    """
    names = ("Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays", "Sundays")
    return names[number - 1]


def listed(names: Sequence[str], most: int = 6) -> str:
    """Write names one after the other.

    >>> listed(["a", "b", "c"]), listed(["a", "b", "c", "d"], 2), listed([])
    ('a, b and c', 'a, b and 2 more', '')
    """
    shown = list(names[:most])
    if len(names) > most:
        shown.append(f"{len(names) - most} more")
    return " and ".join([", ".join(shown[:-1]), shown[-1]]) if len(shown) > 1 else "".join(shown)


def counted(value: int, one: str, more: str = "") -> str:
    """Write how many there are.

    >>> counted(1, "day"), counted(2000, "day"), counted(2, "country", "countries")
    ('1 day', '2,000 days', '2 countries')
    """
    return f"{value:,} {one if value == 1 else more or one + 's'}"


def days_of(period: Range) -> str:
    """Write a period."""
    return str(period.first) if period.first == period.last else f"{period.first} to {period.last}"


class Template(string.Formatter):
    """Fill a sentence with the numbers of a finding, each in its format.

    A format is one of `FORMATS`; `bare` are points without the word, for the first end of an interval.

    >>> Template("EUR").fill("{who:name} brings {much:money}, {part:share}.", {"who": "A", "much": 1200, "part": 0.4})
    'A brings 1,200 EUR, 40 %.'
    """

    def __init__(self, currency: str) -> None:
        self.currency = currency

    def fill(self, template: str, numbers: Mapping[str, Any]) -> str:
        """Fill a template."""
        return self.vformat(template, (), numbers)

    def format_field(self, value: Any, format_spec: str) -> str:  # noqa: ANN401 - whatever a finding holds
        """Write one number; what is not there is n/a."""
        if format_spec not in FORMATS:
            raise ValueError(f"{format_spec!r} is no format: use one of {', '.join(FORMATS)}")
        if value is None:
            return "n/a"
        if format_spec == "bare":
            return points(float(value)).removesuffix(" points")
        if format_spec == "money":
            return money(float(value), self.currency)
        write = {
            "count": lambda: f"{round(value):,}",
            "share": lambda: share(float(value)),
            "points": lambda: points(float(value)),
            "change": lambda: _signed(float(value)),
            "number": lambda: number(float(value)),
            "name": lambda: named(value),
            "day": lambda: str(value) if isinstance(value, dt.date) else "n/a",
            "text": lambda: short(value, 400) if value else "",
        }
        return write[format_spec]()


FORMATS = ("money", "count", "share", "points", "bare", "change", "number", "name", "day", "text")
"""How a template may write a number."""
