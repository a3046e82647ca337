"""Incrementality: what came because something was done, by comparison with where it was not done.

Belongs here: the estimate from daily outcomes of treated and control units, its interval, the days that can be
compared, and the dates on which nothing was done and nothing must show. Does not belong here: which units those are.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

from analytics_assets.statistics.multiple import holm

if TYPE_CHECKING:
    import numpy as np

State: TypeAlias = Literal["identified", "not identified"]

FEWEST_DAYS = 14
"""Days before, without which nothing is compared: two weeks."""
MOST_DAYS = 56
"""Days before that are compared, the last ones: eight weeks."""
ALPHA = 0.05
"""The chance with which a sound comparison may be refused for its placebo dates, all of them together."""


@dataclass(frozen=True)
class Placebo:
    """Say what the estimator sees on dates on which nothing was done.

    Attributes:
        days: The places of its days among those before.
        uplift: Relative, as if something had been done then; there was nothing to find.
        low: Lower end of its interval; None where a group of one unit gives none.
        high: Upper end of it.
        p_value: Of no effect, two-sided, by the jackknife over units.
        adjusted: The same, adjusted for all placebo dates (Holm).
    """

    days: tuple[int, ...]
    uplift: float
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    adjusted: float | None = None

    @property
    def shows(self) -> bool:
        """Whether the dates show something, though there is nothing to show."""
        return self.adjusted is not None and self.adjusted < ALPHA


@dataclass(frozen=True)
class Increment:
    """Say what came because something was done.

    Attributes:
        state: Whether that can be told.
        reason: Why not; or what the estimate rests on, where that is less than usual.
        treated: The outcome of treated units while it was done.
        days_before: Days before that it is compared with.
        estimate: What would not have come without; None where nothing can be computed.
        low: Lower end of the interval of the estimate.
        high: Upper end of it.
        uplift: The estimate, to what would have come without.
        uplift_low: Lower end of its interval.
        uplift_high: Upper end of it.
        placebo_p_value: Share of the moving windows of days before (the real one counted in) in which as much shows.
        placebos: What shows on dates on which nothing was done, the latest first.
    """

    state: State
    reason: str
    treated: float = 0.0
    days_before: int = 0
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    uplift: float | None = None
    uplift_low: float | None = None
    uplift_high: float | None = None
    placebo_p_value: float | None = None
    placebos: tuple[Placebo, ...] = ()


@dataclass(frozen=True)
class _Change:
    """A change in the log ratio of treated to control units, with the variance that units show."""

    log_ratio: float
    variance: float | None
    freedom: float


@dataclass(frozen=True)
class Before:
    """Say which days before something was done can be compared with it.

    Attributes:
        days: Their numbers, in order of time; the last `MOST_DAYS` of them.
        reason: Why there are none, or fewer than there could be; empty where nothing is to be said.
    """

    days: tuple[int, ...]
    reason: str = ""


def alike_before(during: range, others: Mapping[str, range]) -> Before:
    """Find the days before something was done on which the same other things were done as while it was.

    What is done all the time falls out of the comparison, and so do days on which something else was done. Where
    others begin or end while it is done, or are done with it and never before it, nobody can tell them apart.

    Args:
        during: The numbers of its days; days are numbered from 0, the first one that there are outcomes of.
        others: The days of everything else, by name.

    >>> alike_before(range(20, 25), {"spring": range(3, 8), "always": range(0, 90)}).days[:5]
    (0, 1, 2, 8, 9)
    >>> alike_before(range(20, 25), {"autumn": range(22, 30)}).reason
    'autumn began or ended while it ran'
    """
    with_it = {name for name, days in others.items() if any(day in days for day in during)}
    if torn := sorted(name for name in with_it if not all(day in others[name] for day in during)):
        return Before((), f"{', '.join(torn)} began or ended while it ran")
    alike = (
        day
        for day in reversed(range(during.start))
        if all((day in ran) == (name in with_it) for name, ran in others.items())
    )
    days = tuple(sorted(itertools.islice(alike, MOST_DAYS)))
    if with_it and len(days) < FEWEST_DAYS:
        names = ", ".join(sorted(with_it))
        return Before((), f"{names} ran on the same days, and on {len(days)} days alone before: one effect")
    return Before(days)


def increment(  # noqa: PLR0911 - one reason after the other why nothing can be told
    outcome: np.ndarray, treated: Sequence[bool], before: Sequence[int], during: Sequence[int], confidence: float = 0.95
) -> Increment:
    """Estimate by how much treated units rose above what control units say, while something was done.

    Difference in differences of logs of sums, so that whatever multiplies both groups alike (season, weekdays,
    holidays) falls out, and large units count for more, as they do in the total::

        theta = ln(treated during / treated before) - ln(control during / control before)
        uplift = exp(theta) - 1,  increment = treated during x (1 - exp(-theta))

    The variance of theta is the larger of two. That of *units*: the jackknife within each group (Efron, Stein 1981),
    with the degrees of freedom of Welch and Satterthwaite, where a group has as many as its effective number of units,
    (sum of sizes)^2 / sum of squared sizes, minus one. It holds however a unit's days depend on each other, and
    however overdispersed they are (MacKinnon, Nielsen, Webb 2023, on clusters and the jackknife). That of *dates*: the
    mean square of the same estimate over all circular moving windows of the days before, in which nothing was done
    (block permutations as in Chernozhukov, Wuthrich, Zhu 2021), scaled to the length of the real one. It sees what
    moves a whole group. With one unit in a group there is only the second.

    The days before, without gaps or with, are cut into windows that do not overlap, as long as the real one or half of
    them at most: the placebo dates. If one of them shows something (Holm over all, 5 %), the two groups do not move
    alike, and nothing is identified.

    Args:
        outcome: Days x units, not negative in sum.
        treated: Of each unit, whether it was done there.
        before: The days (rows) on which it was not done yet, nor anything else, in order of time.
        during: The days on which it was done.
        confidence: Of the interval.

    >>> import numpy as np
    >>> flat = np.random.default_rng(1).poisson(100, (42, 8)).astype(float)
    >>> flat[28:, :4] *= 1.2
    >>> found = increment(flat, [True] * 4 + [False] * 4, range(28), range(28, 42))
    >>> found.state, found.uplift_low < 0.2 < found.uplift_high, len(found.placebos)
    ('identified', True, 2)
    """
    import numpy as np

    whether = np.asarray(treated, dtype=bool)
    rows, window = np.asarray(before, dtype=int)[-MOST_DAYS:], np.asarray(during, dtype=int)
    if not whether.any():
        return _unknown("no treated units")
    if whether.all():
        return _unknown("no control units")
    if not len(window):
        return _unknown("no days on which it was done")
    total = float(outcome[window][:, whether].sum())
    if len(rows) < FEWEST_DAYS:
        days = f"{len(rows)} day{'' if len(rows) == 1 else 's'}"
        return _unknown(f"{days} before it to compare with, of {FEWEST_DAYS} at least", total, len(rows))
    groups = [np.asarray(outcome, dtype=float)[:, whether], np.asarray(outcome, dtype=float)[:, ~whether]]
    empty = [
        f"{name} units have none {when}"
        for name, group in zip(("treated", "control"), groups, strict=True)
        for when, days in (("before", rows), ("while it was done", window))
        if group[days].sum() <= 0
    ]
    if empty:
        return _unknown("; ".join(empty), total, len(rows))
    found = _change(groups, rows, window)
    length = min(len(window), len(rows) // 2)
    moving = _moving(groups, rows, length)
    if moving is None:
        return _unknown("there are days before without any", total, len(rows))
    # to the length of the real window
    scale = (1 / len(window) + 1 / len(rows)) / (1 / length + 1 / (len(rows) - length))
    of_dates = float((moving**2).mean()) * scale
    placebos = _placebos(groups, rows, length, confidence)
    told = Increment("identified", "", total, len(rows), placebos=placebos)
    if found.variance is None:
        told = replace(told, reason="a group is one unit: the interval is that of dates alone")
        found = _Change(found.log_ratio, of_dates, max(len(rows) // length - 2, 1))
    width = _quantile(confidence, found.freedom) * math.sqrt(max(found.variance or 0.0, of_dates))
    told = _with_estimate(told, found.log_ratio, width)
    at_least = int((np.abs(moving) * math.sqrt(scale) >= abs(found.log_ratio)).sum())
    told = replace(told, placebo_p_value=(1 + at_least) / (1 + len(moving)))
    if shown := [placebo for placebo in placebos if placebo.shows]:
        worst = max(shown, key=lambda placebo: abs(placebo.uplift))
        reason = f"{len(shown)} of {len(placebos)} placebo dates show something, {worst.uplift:+.1%} at most"
        return replace(told, state="not identified", reason=reason)
    return told


def _unknown(reason: str, treated: float = 0.0, days_before: int = 0) -> Increment:
    return Increment("not identified", reason, treated, days_before)


def _with_estimate(told: Increment, log_ratio: float, width: float) -> Increment:
    """Turn a change of logs into what came more, and its share."""
    low, high = log_ratio - width, log_ratio + width
    return replace(
        told,
        estimate=-told.treated * math.expm1(-log_ratio),
        low=-told.treated * _grown(-low),
        high=-told.treated * _grown(-high),
        uplift=_grown(log_ratio),
        uplift_low=_grown(low),
        uplift_high=_grown(high),
    )


def _grown(log_ratio: float) -> float:
    """Return exp(x) - 1, and infinity where that is more than a number holds."""
    return math.inf if log_ratio > 700 else math.expm1(log_ratio)


def _quantile(confidence: float, freedom: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + confidence) / 2))


def _change(groups: list[np.ndarray], before: np.ndarray, during: np.ndarray) -> _Change:
    """Return the change of the log ratio from some days to others, and how much units vary in it."""
    parts = [_of_group(group[before].sum(axis=0), group[during].sum(axis=0)) for group in groups]
    log_ratio = parts[0].log_ratio - parts[1].log_ratio
    variances = [part.variance for part in parts]
    if variances[0] is None or variances[1] is None:
        return _Change(log_ratio, None, 0.0)
    variance = variances[0] + variances[1]
    if variance <= 0:  # units without any difference: dates alone tell how much it varies
        return _Change(log_ratio, 0.0, min(part.freedom for part in parts))
    shares = [(part.variance or 0.0) / variance for part in parts]
    freedom = 1 / sum(share**2 / part.freedom for share, part in zip(shares, parts, strict=True) if share)
    return _Change(log_ratio, variance, freedom)


def _of_group(before: np.ndarray, during: np.ndarray) -> _Change:
    """Return the log change of a group's sum, with its jackknife variance over units; None of one unit."""
    import numpy as np

    log_ratio = math.log(during.sum() / before.sum())
    seen = (before != 0) | (during != 0)
    before, during = before[seen], during[seen]
    count = len(before)
    without_before, without_during = before.sum() - before, during.sum() - during
    if count < 2 or without_before.min() <= 0 or without_during.min() <= 0:
        return _Change(log_ratio, None, 0.0)
    left_out = np.log(without_during / without_before)
    variance = (count - 1) / count * float(((left_out - left_out.mean()) ** 2).sum())
    effective = float(before.sum() ** 2 / (before**2).sum())
    return _Change(log_ratio, variance, max(effective - 1, 0.5))


def _moving(groups: list[np.ndarray], before: np.ndarray, length: int) -> np.ndarray | None:
    """Return the change of the log ratio in every circular window of the days before; None where a sum is zero."""
    import numpy as np

    logs = []
    for group in groups:
        daily = group[before].sum(axis=1)
        reached = np.concatenate([[0.0], np.cumsum(np.concatenate([daily, daily[: length - 1]]))])
        inside = reached[length:] - reached[:-length]
        outside = daily.sum() - inside
        if inside.min() <= 0 or outside.min() <= 0:
            return None
        logs.append(np.log(inside / outside))
    moving: np.ndarray = logs[0] - logs[1]
    return moving


def _placebos(groups: list[np.ndarray], before: np.ndarray, length: int, confidence: float) -> tuple[Placebo, ...]:
    """Estimate what was done on dates on which nothing was: windows that do not overlap, the latest first."""
    import numpy as np
    from scipy.special import stdtr

    found: list[Placebo] = []
    for end in range(len(before), length - 1, -length):
        places = np.arange(end - length, end)
        change = _change(groups, np.delete(before, places), before[places])
        days, seen = tuple(places.tolist()), change.log_ratio
        if change.variance is None or change.variance <= 0:
            found.append(Placebo(days, _grown(seen)))
            continue
        error = math.sqrt(change.variance)
        width = _quantile(confidence, change.freedom) * error
        p_value = 2 * float(stdtr(change.freedom, -abs(seen) / error))
        found.append(Placebo(days, _grown(seen), _grown(seen - width), _grown(seen + width), p_value))
    told = [placebo.p_value for placebo in found if placebo.p_value is not None]
    adjusted = iter(holm(told))
    return tuple(placebo if placebo.p_value is None else replace(placebo, adjusted=next(adjusted)) for placebo in found)
