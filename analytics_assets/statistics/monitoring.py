"""Whether the numbers of a day are odd, with a stated rate of false alarms over all series together.

Belongs here: what a day is expected to be by the days before it, and how far off it must be. Does not belong here: what
is counted (`analysis.quality`), and why a day was odd (named days come as places in the series).

Every day is judged by the days before it alone, so that a verdict never changes when more days come. A finding lies
beyond three things at once: what sampling may do (negative binomial, binomial), what the last eight weeks did (their
one-step errors), and a change that matters. All of it rests on medians: a broken day or two change nothing of what is
expected, and a change that stays is the level from its fifth day on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from analytics_assets.statistics.series import WEEK

if TYPE_CHECKING:
    from numpy import bool_, float64, int_
    from numpy.typing import NDArray

    Numbers: TypeAlias = NDArray[float64]
    Flags: TypeAlias = NDArray[bool_]

WEEKS = 8
"""Weeks before a day by which it is judged."""
WARM_UP = 5 * WEEK
"""Days of a series before the first that is judged: three weeks for its weekdays, two for its errors."""
LEARNT = WEEK // 2 + 1
"""Days on which a change that stays is told; then it is the level."""
CHANGE = 0.5
"""The least change of a number, or of the odds of a share, that is a finding: half as much again, or a third less."""
NAMED_CHANGE = 3.0
"""The same on a named day: four times, or a quarter; more, where a named day before was farther off."""
MIX = 0.1
"""The least part of the rows that must have another value before a mix of values is a finding."""
NEW_ROWS = 10
"""The rows that a value must have on the day on which it is new."""
_FEWEST_WEEKS = 3
_FEWEST_RECENT = 3
_FEWEST_ERRORS = 14
_FEWEST_BEFORE = 28
_FEWEST_ROWS = 5
_AHEAD = 1.6
_QUANTILE = 0.8
_NORMAL = 1.2815515655446004
_LEAST_FREEDOM = 5.0
_SMALLEST = 0.5
_FARTHER = 1.25
_HIGH = 0.9


@dataclass(frozen=True)
class Judged:
    """Hold the verdicts on series: a row a series, a column a day; NaN where a day is not judged.

    Attributes:
        observed: What was observed.
        expected: What the days before say.
        low: The least that is no finding.
        high: The most.
        odd: Whether the day is a finding.
    """

    observed: Numbers
    expected: Numbers
    low: Numbers
    high: Numbers
    odd: Flags

    def times(self, unit: Numbers) -> Judged:
        """Give the same verdicts in another unit."""
        return Judged(self.observed * unit, self.expected * unit, self.low * unit, self.high * unit, self.odd)

    @property
    def judged(self) -> Flags:
        """Which days are judged."""
        import numpy as np

        return np.isfinite(self.expected)


def judge_counts(
    counts: Numbers, *, rate: float, named: Flags | None = None, change: float = CHANGE, weeks: int = WEEKS
) -> Judged:
    """Judge counts, or amounts in units of a typical one, by the eight weeks before each day.

    What is expected is the median of the last week without its weekdays, and the weekday: the median, over eight weeks,
    of how far the same weekday was from the days around it; both of logarithms.

    Args:
        counts: A number a series (rows) and day (columns); NaN where a day is not known.
        rate: The share of days without a fault that may have a finding, in all series together.
        named: Days that are not like others: they shape no expectation, and must be farther off.
        change: The least change that is a finding, as a share of what is expected.
        weeks: The weeks before a day by which it is judged.

    >>> import numpy as np
    >>> counts = np.random.default_rng(1).poisson(200, (1, 80)).astype(float)
    >>> counts[0, 70] = 100
    >>> judge_counts(counts, rate=0.001).odd.nonzero()[1]
    array([70])
    """
    import numpy as np
    from scipy.stats import nbinom

    special = _flags(named, counts.shape[1])
    ordinary = np.where(special, math.nan, counts)
    expected = np.exp(_ahead(np.log(ordinary + _SMALLEST), weeks)) - _SMALLEST
    expected = np.maximum(expected, _SMALLEST)
    off = 2 * (np.sqrt(ordinary + 0.375) - np.sqrt(expected + 0.375)) / math.sqrt(_AHEAD)
    wide, freedom = _scale(off, weeks)
    ((usual,), _) = _quantiles(_before(np.where(np.isfinite(off), expected, math.nan), weeks * WEEK), (0.5,))
    beyond = np.sqrt(np.maximum((wide**2 - 1) / usual, 1e-9))
    expected = np.where(np.isfinite(beyond) & np.isfinite(counts), expected, math.nan)
    tail = _tail(expected, rate)
    reach = _reach(tail, freedom) * math.sqrt(_AHEAD) / 2
    factor = _least(np.log((counts + _SMALLEST) / (expected + _SMALLEST)), special, change)
    size, share = expected / (_AHEAD - 1), 1 / _AHEAD
    level = np.arcsinh(beyond * np.sqrt(expected + 0.375))
    by_errors = [np.sinh(np.maximum(level + side * beyond * reach, 0)) ** 2 / beyond**2 - 0.375 for side in (-1, 1)]
    low = np.minimum(nbinom.ppf(tail, size, share), by_errors[0])
    high = np.maximum(nbinom.isf(tail, size, share), by_errors[1])
    low = np.minimum(low, expected / factor)
    # less than half a row is none
    return _verdict(counts, expected, np.where(low < _SMALLEST, 0, low), np.maximum(high, expected * factor))


def judge_shares(
    counts: Numbers,
    totals: Numbers,
    *,
    rate: float,
    named: Flags | None = None,
    change: float = CHANGE,
    weeks: int = WEEKS,
) -> Judged:
    """Judge shares by the eight weeks before each day, as `judge_counts` does: what is expected is of log odds.

    Where fewer than 5 rows are expected, or all but 5, a day is not judged.

    Args:
        counts: Of how many it is true: a row a series, a column a day.
        totals: Of how many it might be; 0 or NaN: the day is not judged.
        rate: The share of days without a fault that may have a finding, in all series together.
        named: Days that are not like others.
        change: The least change of the odds that is a finding.
        weeks: The weeks before a day by which it is judged.
    """
    import numpy as np
    from scipy.stats import binom

    special = _flags(named, counts.shape[1])
    known = totals > 0
    total = np.where(known, totals, 1.0)
    share = np.where(known, counts / total, math.nan)
    odds = np.log((counts + _SMALLEST) / (total - counts + _SMALLEST))
    expected = 1 / (1 + np.exp(-_ahead(np.where(special | ~known, math.nan, odds), weeks)))
    angle = np.arcsin(np.sqrt(expected))
    off = 2 * np.sqrt(total / _AHEAD) * (np.arcsin(np.sqrt(share)) - angle)
    wide, freedom = _scale(np.where(special, math.nan, off), weeks)
    # what is rare comes in clusters: the events of one visitor
    enough = np.minimum(expected, 1 - expected) * total >= _FEWEST_ROWS
    expected = np.where(np.isfinite(wide) & known & enough, expected, math.nan)
    tail = _tail(expected, rate)
    reach = _reach(tail, freedom) * wide / (2 * np.sqrt(total / _AHEAD))
    fewer = np.maximum(np.floor(total / _AHEAD), 1)
    factor = _least(odds - np.log(expected / (1 - expected)), special, change)
    low = np.minimum(binom.ppf(tail, fewer, expected) / fewer, np.sin(np.maximum(angle - reach, 0)) ** 2)
    high = np.maximum(binom.isf(tail, fewer, expected) / fewer, np.sin(np.minimum(angle + reach, math.pi / 2)) ** 2)
    ratio = expected / (1 - expected)
    least, most = (ratio / factor) / (1 + ratio / factor), (ratio * factor) / (1 + ratio * factor)
    low = np.minimum(low, least)
    return _verdict(share, expected, np.where(low * total < _SMALLEST, 0, low), np.maximum(high, most))


def judge_rises(counts: Numbers, totals: Numbers, *, rate: float, rise: float, weeks: int = WEEKS) -> Judged:
    """Judge whether shares rose above all that the last eight weeks had; what falls is no finding.

    What is expected is the share below which nine of ten days of the last eight weeks were.

    Args:
        counts: Of how many it is true: a row a series, a column a day.
        totals: Of how many it might be; 0 or NaN: the day is not judged.
        rate: The share of days without a fault that may have a finding, in all series together.
        rise: The least rise that is a finding; where little is left, half of what is left.
        weeks: The weeks before a day by which it is judged.
    """
    import numpy as np
    from scipy.stats import binom

    known = totals > 0
    total = np.where(known, totals, 1.0)
    share = np.where(known, counts / total, math.nan)
    before = _before(share, weeks * WEEK)
    (middle, high), days = _quantiles(before, (0.5, _HIGH))
    weight = np.sqrt(_before(np.where(known, total, math.nan), weeks * WEEK))
    off = np.abs(2 * weight * (np.arcsin(np.sqrt(before)) - np.arcsin(np.sqrt(middle))[..., None]))
    (spread,), _ = _quantiles(off, (_QUANTILE,))
    seen = np.nansum(_before(np.where(known, total, math.nan), weeks * WEEK), axis=2)
    expected = np.where((days >= _FEWEST_BEFORE) & known, np.maximum(high, 1 / np.maximum(seen, 2.0)), math.nan)
    tail = _tail(expected, rate)
    wide = np.maximum(spread / _NORMAL, 1.0)
    reach = _reach(tail, np.maximum(days / 2, _LEAST_FREEDOM)) * wide / (2 * np.sqrt(total))
    by_chance = binom.isf(tail, total, np.minimum(expected, 1)) / total
    by_errors = np.sin(np.minimum(np.arcsin(np.sqrt(expected)) + reach, math.pi / 2)) ** 2
    matters = np.minimum(expected + rise, (1 + expected) / 2)
    most = np.maximum(np.maximum(by_chance, by_errors), matters)
    return _verdict(share, expected, np.full_like(most, -math.inf), most)


def judge_mixes(
    counts: Numbers,
    totals: Numbers,
    columns: NDArray[int_],
    *,
    rate: float,
    named: Flags | None = None,
    change: float = MIX,
    weeks: int = WEEKS,
) -> Judged:
    """Judge mixes of values: the part of the rows that would have to have another value to be the mix expected.

    Its distance is the total variation. By chance it is farther than its mean by `e` with probability `exp(-2 n e^2)`
    at most (McDiarmid), where `n` are the rows, fewer as the distances of the last eight weeks were larger than chance.

    Args:
        counts: Rows of each value (rows) on each day (columns).
        totals: Rows of the value's column on each day.
        columns: Of each value the place of its column.
        rate: The share of days without a fault that may have a finding, in all mixes together.
        named: Days that are not like others.
        change: The least distance that is a finding.
        weeks: The weeks before a day by which it is judged.

    Returns:
        A row a column; `expected` is the mean distance by chance.
    """
    import numpy as np

    special = _flags(named, counts.shape[1])
    many, days = int(columns.max(initial=-1)) + 1, counts.shape[1]
    known = totals > 0
    total = np.where(known, totals, 1.0)
    odds = np.log((counts + _SMALLEST) / (total - counts + _SMALLEST))
    shares = 1 / (1 + np.exp(-_ahead(np.where(special | ~known, math.nan, odds), weeks)))
    shares = np.where((counts > 0) | np.isfinite(shares), np.nan_to_num(shares), math.nan)
    distance, chance, rows = (np.full((many, days), math.nan) for _ in range(3))
    for place in range(many):
        own = columns == place
        whole = np.nansum(shares[own], axis=0)
        told = shares[own] / np.where(whole > _SMALLEST, whole, math.nan)
        n = total[own][0]
        here = known[own].any(axis=0) & np.isfinite(whole) & (whole > _SMALLEST)
        apart = np.nansum(np.abs(counts[own] / n - np.nan_to_num(told)), axis=0) / 2
        by_chance = np.nansum(np.sqrt(2 * told * (1 - told) * _AHEAD / (math.pi * n)), axis=0) / 2
        distance[place], chance[place] = np.where(here, apart, math.nan), np.where(here, by_chance, math.nan)
        rows[place] = n
    relative = np.where(special | ~(chance > 0), math.nan, distance / np.where(chance > 0, chance, 1.0))
    (larger,), errors = _quantiles(_before(relative, weeks * WEEK), (_QUANTILE,))
    expected = np.where((errors >= _FEWEST_ERRORS) & np.isfinite(distance), chance, math.nan)
    tail = _tail(expected, rate)
    wide = np.maximum(larger, 1.0)
    most = np.maximum(
        expected * wide + np.sqrt(-np.log(2 * tail) / 2 / rows) * wide, np.where(special, 3 * change, change)
    )
    return _verdict(distance, expected, np.full_like(most, -math.inf), most)


def find_new(
    counts: Numbers,
    totals: Numbers,
    *,
    rows: Numbers | float = NEW_ROWS,
    share: Numbers | float = 0.0,
    weeks: int = WEEKS,
) -> Judged:
    """Find values that were not there in the eight weeks before, and have more than a few rows.

    Args:
        counts: Rows of each value (rows) on each day (columns); 0 where the column has others alone.
        totals: Rows of the value's column on each day; 0 or NaN: the day is not known.
        rows: The least rows of a new value.
        share: The least share of the column's rows.
        weeks: How long a value must not have been there.
    """
    import numpy as np

    known = totals > 0
    seen = np.nan_to_num(_before(np.where(known, counts, math.nan), weeks * WEEK)).sum(axis=2) > 0
    days = np.isfinite(_before(np.where(known, totals, math.nan), weeks * WEEK)).sum(axis=2)
    most = np.maximum(rows - 1.0, np.ceil(share * np.nan_to_num(totals)) - 1)
    expected = np.where((days >= _FEWEST_BEFORE) & ~seen & known, 0.0, math.nan)
    return _verdict(np.where(known, counts, math.nan), expected, np.full_like(most, -math.inf), most)


# --- what is expected -------------------------------------------------------------------------------------------------


def _ahead(values: Numbers, weeks: int) -> Numbers:
    """Say what each day is expected to be by the days before it; NaN where too few are known."""
    import numpy as np

    around = _window(np.pad(values, ((0, 0), (WEEK // 2, WEEK // 2)), constant_values=math.nan), WEEK)
    middle = _median(around, WEEK // 2 + 1)
    apart = values - middle
    # the first of so many weeks is as many weeks ago
    weekday = _median(_before(apart, weeks * WEEK)[:, :, ::WEEK], _FEWEST_WEEKS)
    level = _median(_before(values - weekday, WEEK), _FEWEST_RECENT)
    return level + weekday


def _scale(off: Numbers, weeks: int) -> tuple[Numbers, Numbers]:
    """Say how much wider than chance the errors of the last eight weeks were, and how surely that is known."""
    import numpy as np

    (spread,), errors = _quantiles(np.abs(_before(off, weeks * WEEK)), (_QUANTILE,))
    wide = np.where(errors >= _FEWEST_ERRORS, np.maximum(spread / _NORMAL, 1.0), math.nan)
    return wide, np.maximum(errors / 2, _LEAST_FREEDOM)


def _tail(expected: Numbers, rate: float) -> Numbers:
    """Share the rate of a day between the series that are judged on it, and between both sides."""
    import numpy as np

    judged = np.isfinite(expected).sum(axis=0)
    shared: Numbers = np.broadcast_to(rate / (2 * np.maximum(judged, 1)), expected.shape)
    return shared


def _reach(tail: Numbers, freedom: Numbers) -> Numbers:
    import numpy as np
    from scipy.special import stdtrit

    reached: Numbers = -stdtrit(np.broadcast_to(freedom, tail.shape), tail)
    return reached


def _least(off: Numbers, special: Flags, change: float) -> Numbers:
    """Give the factor by which a day must be off; on a named day, that of the named days before where it is larger."""
    import numpy as np

    far = np.where(special & np.isfinite(off), np.abs(off), 0.0)
    before = np.pad(np.maximum.accumulate(far, axis=1), ((0, 0), (1, 0)))[:, :-1]
    named = np.maximum(1 + NAMED_CHANGE, np.exp(_FARTHER * before))
    factor: Numbers = np.where(special, named, 1 + change)
    return factor


def _verdict(observed: Numbers, expected: Numbers, low: Numbers, high: Numbers) -> Judged:
    import numpy as np

    judged = np.isfinite(expected)
    low, high = np.where(judged, low, math.nan), np.where(judged, high, math.nan)
    with np.errstate(invalid="ignore"):
        odd = judged & ((observed < low) | (observed > high))
    return Judged(observed, expected, low, high, odd)


# --- windows ----------------------------------------------------------------------------------------------------------


def _flags(named: Flags | None, days: int) -> Flags:
    import numpy as np

    return np.zeros(days, dtype=bool) if named is None else named


def _window(values: Numbers, length: int) -> Numbers:
    import numpy as np

    windows: Numbers = np.lib.stride_tricks.sliding_window_view(values, length, axis=1)
    return windows


def _before(values: Numbers, length: int) -> Numbers:
    """Give the days before each day, the oldest first: series x days x length."""
    import numpy as np

    padded = np.pad(values, ((0, 0), (length, 0)), constant_values=math.nan)
    return _window(padded, length)[:, :-1]


def _quantiles(windows: Numbers, shares: tuple[float, ...]) -> tuple[list[Numbers], Numbers]:
    """Give quantiles of the numbers that are known in each window, and how many these are."""
    import numpy as np

    ordered = np.sort(windows, axis=-1)
    known = np.isfinite(windows).sum(axis=-1)
    found = []
    for share in shares:
        place = share * np.maximum(known - 1, 0)
        below = np.floor(place).astype(int)
        above = np.minimum(below + 1, np.maximum(known - 1, 0))
        low = np.take_along_axis(ordered, below[..., None], axis=-1)[..., 0]
        high = np.take_along_axis(ordered, above[..., None], axis=-1)[..., 0]
        found.append(np.where(known > 0, low + (high - low) * (place - below), math.nan))
    return found, known


def _median(windows: Numbers, fewest: int) -> Numbers:
    import numpy as np

    (middle,), known = _quantiles(windows, (0.5,))
    return np.where(known >= fewest, middle, math.nan)
