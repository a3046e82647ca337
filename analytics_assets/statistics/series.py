"""Daily series: what is missing in them, trend and pattern, how strong these are, and what named days do.

Belongs here: numbers, one a day, and what they are made of. Does not belong here: what comes next (`forecasts`), which
days are out of the ordinary (`anomalies`), and calendars: a named day comes here as its place in the series.

A series is an array with a number a day and NaN where there is none. `multiplicative` means that the parts are
multiplied, so that all sums are over logarithms.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from numpy import bool_, float64
    from numpy.typing import NDArray

    Numbers: TypeAlias = NDArray[float64]
    Flags: TypeAlias = NDArray[bool_]

Power: TypeAlias = Literal["1", "1/2", "0"]
"""The scale on which a series is looked at: as it is, its square root, its logarithm."""

WEEK = 7
YEAR = 365
FEWEST = 2 * WEEK
"""Days below which a weekly pattern cannot be told from chance: no day of the week has been there twice."""
OCCURRENCES = 2
"""How often a named day must have been there until its effect is told from noise."""
_AROUND = 4
_CLOSED_SPREAD = 0.25
_WEEKLY_WINDOW = 53
_TREND_WINDOW = 31
_JUMPS = {"seasonal_jump": 6, "trend_jump": 4}
"""Smooth at every so-manieth day, and take lines between them, as R's `stl` does: a tenth of the windows."""
_HARMONICS = 6
_LEVEL95 = 0.95


@dataclass(frozen=True)
class Prepared:
    """Hold a series that is ready to be looked at.

    Attributes:
        start: How many days of the series that was given lie before the first: nothing had happened yet.
        values: A number a day; NaN where none was given, or the shop was closed.
        closed: The days that are taken for closures.
    """

    start: int
    values: Numbers
    closed: Flags


@dataclass(frozen=True)
class Decomposition:
    """Hold the parts of a series; their sum (multiplicative: their product) is what was observed.

    Attributes:
        multiplicative: Whether the parts are factors.
        trend: What is left when the patterns are taken away and the rest is smoothed, in the unit of the series.
        weekly: The pattern of the week: an amount, or a factor.
        yearly: The pattern of the year; 0 (1) where there are less than two years.
        remainder: The rest; NaN where nothing was observed.
        has_year: Whether there is a yearly part.
        named: Days that were left out when the parts were found.
    """

    multiplicative: bool
    trend: Numbers
    weekly: Numbers
    yearly: Numbers
    remainder: Numbers
    has_year: bool
    named: Flags


@dataclass(frozen=True)
class Strength:
    """Say how much each part of a series matters.

    Attributes:
        trend: 1 - var(remainder) / var(trend + remainder), at least 0.
        weekly: The same of the weekly part; 0 is no pattern, 1 nothing else.
        yearly: The same of the yearly part; None where there is none.
        shares: The variances of trend, weekly, yearly and remainder, divided by their sum.
    """

    trend: float
    weekly: float
    yearly: float | None
    shares: tuple[float, float, float, float]


@dataclass(frozen=True)
class Effect:
    """Say what a day does, against one like it that has no name; or a day of the week, against the mean of the week.

    Attributes:
        effect: A ratio less 1 (multiplicative), or an amount.
        low: Lower end of its 95 % interval.
        high: Upper end.
        occurrences: How often it was there.
        state: `estimated`; `one occurrence`: the interval is the spread of ordinary days, so that an effect outside
            of it is more than noise, though not known to come again; `never observed`.
    """

    effect: float | None
    low: float | None
    high: float | None
    occurrences: int
    state: str


def prepare(values: Sequence[float | None]) -> Prepared:
    """Make a series explicit: what is no number is a gap, and zeros are told apart.

    The days before the first number that is not 0 are left out: the series starts late. A later zero is a closure,
    and so a gap, where it cannot be chance: most days of that weekday in the four weeks before and after are positive,
    and positive days spread by less than a quarter around the median of these. So a shop that never opens on Sundays
    has zeros, not gaps, and so has a series of small counts.

    >>> prepare([None, 0.0, 3.0, float("nan")]).values
    array([ 3., nan])
    """
    import numpy as np

    raw = np.array([math.nan if value is None else value for value in values], dtype=float)
    raw[~np.isfinite(raw)] = math.nan
    begun = np.flatnonzero(~np.isnan(raw) & (raw != 0))
    if not len(begun):
        kept = raw if np.any(raw == 0) else raw[:0]
        return Prepared(0, kept, np.zeros(len(kept), dtype=bool))
    start = int(begun[0])
    found = raw[start:]
    closed = _closures(found)
    found = np.where(closed, math.nan, found)
    return Prepared(start, found, closed)


def _closures(values: Numbers) -> Flags:
    import numpy as np

    none = np.zeros(len(values), dtype=bool)
    if len(values) < FEWEST or not np.any(values == 0) or np.nanmin(values) < 0:
        return none
    around = _weekday_medians(np.where(values > 0, values, math.nan))
    share_open = _weekday_medians(np.where(np.isnan(values), math.nan, (values > 0).astype(float)))
    ratios = (values / around)[values > 0]
    if len(ratios) < FEWEST or not np.std(ratios) < _CLOSED_SPREAD:
        return none
    return np.asarray((values == 0) & (share_open > 0), dtype=bool)


def _weekday_medians(values: Numbers) -> Numbers:
    """Give every day the median of its weekday in the weeks around it, itself included; NaN where there is none."""
    import warnings

    import numpy as np

    length = len(values)
    padded = np.full(-(-length // WEEK) * WEEK, math.nan)
    padded[:length] = values
    weeks = padded.reshape(-1, WEEK)
    edge = np.full((_AROUND, WEEK), math.nan)
    windows = np.lib.stride_tricks.sliding_window_view(np.vstack([edge, weeks, edge]), 2 * _AROUND + 1, axis=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a weekday without a value: its median is NaN
        return np.asarray(np.nanmedian(windows, axis=-1).reshape(-1)[:length], dtype=float)


def power_of(values: Numbers, period: int = WEEK, powers: Sequence[Power] = ("1", "1/2", "0")) -> Power:
    """Choose the scale on which the spread of a series does not grow with its level.

    Guerrero (1993), of few powers: that with the least coefficient of variation of spread / level ^ (1 - power) over
    the weeks; logarithms only where all is positive, roots only where nothing is negative, and neither of fewer than
    four weeks. A series is taken apart by factors where "0" is chosen of "1" and "0".

    >>> import numpy as np
    >>> power_of(np.exp(np.tile([0.1, 0.5, -0.5, 0, 0.3, 0.2, 0.4], 20) + np.arange(140) / 50))
    '0'
    """
    import numpy as np

    known = values[~np.isnan(values)]
    weeks = len(known) // period
    if weeks < 4 or known.min() < 0 or period < 2:
        return "1"
    blocks = known[len(known) - weeks * period :].reshape(weeks, period)
    level, spread = blocks.mean(axis=1), blocks.std(axis=1, ddof=1)
    some = level > 0
    if some.sum() < 4 or not np.any(spread[some] > 0):
        return "1"
    level, spread = level[some], spread[some]

    def varies(power: float) -> float:
        ratio = spread / level ** (1 - power)
        return float(ratio.std() / ratio.mean())

    possible = [power for power in powers if power != "0" or known.min() > 0]
    exponents: dict[Power, float] = {"1": 1.0, "1/2": 0.5, "0": 0.0}
    return min(possible, key=lambda power: varies(exponents[power]))


def fill(values: Numbers, period: int = WEEK) -> Numbers:
    """Fill gaps by a straight line between the days around them, plus the pattern of the period.

    >>> import numpy as np
    >>> fill(np.array([1.0, math.nan, 3.0, 4.0]), period=1)
    array([1., 2., 3., 4.])
    """
    import numpy as np

    missing = np.isnan(values)
    if not missing.any() or missing.all():
        return values.copy()
    place = np.arange(len(values))
    flat = np.interp(place, place[~missing], values[~missing])
    if period < 2 or (~missing).sum() < 2 * period:
        return flat
    smooth = _moving_average(flat, period)
    off = np.where(missing, math.nan, values - smooth)
    by_phase = np.array([_mean(off[phase::period]) for phase in range(period)])
    pattern = (by_phase - by_phase.mean())[place % period]
    level = np.interp(place, place[~missing], (values - pattern)[~missing])
    return np.where(missing, level + pattern, values)


def _mean(values: Numbers) -> float:
    import numpy as np

    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else 0.0


def _moving_average(values: Numbers, width: int) -> Numbers:
    import numpy as np

    before = width // 2
    padded = np.pad(values, (before, width - 1 - before), mode="edge")
    return np.convolve(padded, np.full(width, 1 / width), mode="valid")


def decompose(values: Numbers, *, multiplicative: bool, named: Flags | None = None) -> Decomposition | None:
    """Take a daily series apart by STL (Cleveland et al. 1990), with a year by MSTL (Bandara et al. 2021).

    The week's pattern may change over about a year (a window of 53 weeks). A year needs two of them; its part is the
    first 6 harmonics of MSTL's, so that single days stay in the remainder. Gaps and named days are filled while the
    parts are found, and outliers count for little (robust); the remainder is what was observed less the parts.

    Args:
        values: A number a day; NaN for a gap.
        multiplicative: Whether parts are multiplied; only where all is positive.
        named: Days that are not like others, and are not to shape the parts.

    Returns:
        The parts; None of fewer than two weeks.

    >>> import numpy as np
    >>> parts = decompose(np.tile([1.0, 2, 3, 4, 5, 6, 7], 8), multiplicative=False)
    >>> float(round(parts.weekly[3] - parts.weekly[0], 6))
    3.0
    """
    import numpy as np

    if len(values) < FEWEST or (~np.isnan(values)).sum() < FEWEST:
        return None
    left_out = np.zeros(len(values), dtype=bool) if named is None else named.copy()
    if (~np.isnan(values) & ~left_out).sum() < FEWEST:
        left_out[:] = False
    scaled = np.log(values) if multiplicative else values
    whole = fill(np.where(left_out, math.nan, scaled))
    trend, weekly, yearly = _parts(whole)
    remainder = scaled - trend - weekly - yearly
    has_year = len(values) >= 2 * YEAR
    if multiplicative:
        trend, weekly, yearly, remainder = np.exp(trend), np.exp(weekly), np.exp(yearly), np.exp(remainder)
    return Decomposition(multiplicative, trend, weekly, yearly, remainder, has_year, left_out)


def _parts(whole: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    import numpy as np
    from statsmodels.tsa.seasonal import MSTL, STL

    if len(whole) < 2 * YEAR:
        found = STL(whole, period=WEEK, seasonal=_WEEKLY_WINDOW, trend=_TREND_WINDOW, robust=True, **_JUMPS).fit()
        return np.asarray(found.trend), np.asarray(found.seasonal), np.zeros(len(whole))
    both = MSTL(
        whole, periods=(WEEK, YEAR), windows=(_WEEKLY_WINDOW, _WEEKLY_WINDOW), stl_kwargs={"robust": True, **_JUMPS}
    )
    parts = both.fit()
    seasonal = np.asarray(parts.seasonal)
    wave = harmonics(len(whole), YEAR + 0.25, _HARMONICS)
    yearly = wave @ np.linalg.lstsq(wave, seasonal[:, 1], rcond=None)[0]
    return np.asarray(parts.trend), seasonal[:, 0], yearly


def harmonics(length: int, period: float, count: int, start: int = 0) -> Numbers:
    """Give the sines and cosines of a period and its parts, a column each: Fourier terms.

    >>> harmonics(4, 4, 1).round(6) + 0.0
    array([[ 0.,  1.],
           [ 1.,  0.],
           [ 0., -1.],
           [-1.,  0.]])
    """
    import numpy as np

    angle = 2 * np.pi * np.arange(start, start + length)[:, None] * np.arange(1, count + 1)[None, :] / period
    return np.stack([np.sin(angle), np.cos(angle)], axis=-1).reshape(length, 2 * count)


def strengths(parts: Decomposition) -> Strength:
    """Measure trend and seasonality (Wang, Smith, Hyndman 2006; Hyndman, Athanasopoulos, FPP3 4.3).

    Of factors, logarithms are taken. Days without a number and named days do not count.

    >>> import numpy as np
    >>> parts = decompose(np.tile([1.0, 2, 3, 4, 5, 6, 7], 8), multiplicative=False)
    >>> round(strengths(parts).weekly, 3)
    1.0
    """
    import numpy as np

    kept = ~np.isnan(parts.remainder) & ~parts.named
    told = [part[kept] for part in (parts.trend, parts.weekly, parts.yearly, parts.remainder)]
    trend, weekly, yearly, rest = (np.log(part) for part in told) if parts.multiplicative else told
    tiny = 1e-12 * max(float(np.abs(trend).max()), 1.0) ** 2

    def strength(part: Numbers) -> float:
        both = float(np.var(part + rest))
        return max(0.0, 1 - float(np.var(rest)) / both) if both > tiny else 0.0

    variances = [float(np.var(part)) for part in (trend, weekly, yearly, rest)]
    total = sum(variances)
    one, two, three, four = (variance / total if total > tiny else 0.0 for variance in variances)
    return Strength(
        strength(trend), strength(weekly), strength(yearly) if parts.has_year else None, (one, two, three, four)
    )


def weekday_effects(parts: Decomposition, first: dt.date) -> list[Effect]:
    """Compare the days of the week, from Monday to Sunday, with their mean.

    The mean by weekday of what was observed less trend and year, with Student's interval of it; effects are against
    the arithmetic mean of the seven, so that factors have the mean 1. Named days do not count.
    """
    import numpy as np

    phase = (first.weekday() + np.arange(len(parts.trend))) % WEEK
    rest = np.log(parts.remainder) if parts.multiplicative else parts.remainder
    off = rest + (np.log(parts.weekly) if parts.multiplicative else parts.weekly)
    kept = ~np.isnan(off) & ~parts.named
    counts = [int((kept & (phase == weekday)).sum()) for weekday in range(WEEK)]
    if min(counts) < 2:
        return [
            Effect(None, None, None, count, "never observed" if not count else "one occurrence") for count in counts
        ]
    means = np.array([off[kept & (phase == weekday)].mean() for weekday in range(WEEK)])
    freedom = int(kept.sum()) - WEEK
    spread = math.sqrt(float(((off - means[phase])[kept] ** 2).sum()) / freedom)
    reach = _student(freedom) * spread
    middle = math.log(float(np.exp(means).mean())) if parts.multiplicative else float(means.mean())
    return [
        _effect(float(mean) - middle, reach / math.sqrt(count), count, parts.multiplicative, "estimated")
        for mean, count in zip(means, counts, strict=True)
    ]


def named_effects(parts: Decomposition, named: Mapping[str, Sequence[int]]) -> dict[str, Effect]:
    """Tell what named days do: a regression of the remainder on them.

    The effect is the mean remainder of the days of that name; its standard error comes from the remainder's spread on
    all other days (1.4826 times the median absolute deviation), with Student's quantile. Days of one name in a row are
    one occurrence; below two, an effect may be noise, and the state says so.

    Args:
        parts: The series, taken apart with the named days left out.
        named: Places in the series by name; those outside of it do not count.
    """
    import numpy as np

    rest = np.log(parts.remainder) if parts.multiplicative else parts.remainder
    known = ~np.isnan(rest)
    marked = np.zeros(len(rest), dtype=bool)
    for places in named.values():
        marked[[place for place in places if 0 <= place < len(rest)]] = True
    ordinary = rest[known & ~marked]
    centre = float(np.median(ordinary)) if len(ordinary) else 0.0
    spread = 1.4826 * float(np.median(np.abs(ordinary - centre))) if len(ordinary) else math.nan
    told = {}
    for name, places in named.items():
        there = sorted(place for place in set(places) if 0 <= place < len(rest) and known[place])
        occurrences = sum(1 for place in there if place - 1 not in there)
        if not there or len(ordinary) < FEWEST:
            told[name] = Effect(None, None, None, occurrences, "never observed" if not there else "too few other days")
            continue
        reach = _student(len(ordinary) - 1) * spread * math.sqrt(1 / occurrences + 1 / len(ordinary))
        state = "estimated" if occurrences >= OCCURRENCES else "one occurrence"
        told[name] = _effect(float(rest[there].mean()) - centre, reach, occurrences, parts.multiplicative, state)
    return told


def _student(freedom: int) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + _LEVEL95) / 2))


def _effect(middle: float, reach: float, occurrences: int, multiplicative: bool, state: str) -> Effect:  # noqa: FBT001
    ends = middle, middle - reach, middle + reach
    effect, low, high = (math.expm1(end) for end in ends) if multiplicative else ends
    return Effect(effect, low, high, occurrences, state)
