"""Changes from one period to the next: of sums over days, of people, and of shares of people.

Belongs here: a change with its interval, from numbers. Does not belong here: which periods are compared, and words.

Two kinds of chance are told apart. A sum over days varies with what happens from day to day: days are compared with the
days as many before, so that weekdays meet their like, and neighbouring days may hang together. A count of people, or a
share of them, varies with who comes: people act independently of each other, and many are there in both periods.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from analytics_assets.statistics.proportions import Z95, wilson

_FIXED_B = (1.9600, 2.9694, 0.4160, -0.5324)
"""Kiefer and Vogelsang 2005, table 1: the 97.5 % point of t with Bartlett's kernel, by the bandwidth's share of n."""
_FEWEST_DAYS = 14


@dataclass(frozen=True, slots=True)
class Change:
    """Hold how a number changed.

    Attributes:
        before: The number of the period before.
        now: That of the period.
        change: Of a share the difference, else the ratio less 1; None: there is nothing to compare with.
        low: Lower end of its interval of 95 %; None: none can be told.
        high: Upper end.
        reason: Why numbers are None; empty where none is.
    """

    before: float
    now: float
    change: float | None
    low: float | None = None
    high: float | None = None
    reason: str = ""


def of_days(
    now: Sequence[float],
    before: Sequence[float],
    over_now: Sequence[float] | None = None,
    over_before: Sequence[float] | None = None,
) -> Change:
    """Compare sums over days, or ratios of such sums, each day with its like of the period before.

    The logarithm of the ratio is linearised a pair of days; its variance is Newey and West's with Bartlett's kernel
    over a quarter of the days, and the critical value is that of fixed-b asymptotics (Kiefer, Vogelsang 2005), which
    knows that so short a series tells its own variance badly.

    Args:
        now: A number a day of the period, the oldest first.
        before: As many of the period before.
        over_now: What each is divided by, where the sum of the one over the sum of the other is meant.
        over_before: The same of the period before.

    >>> found = of_days([110, 121, 108, 112, 109, 111, 113] * 2, [100, 108, 99, 101, 98, 102, 100] * 2)
    >>> round(found.change, 3), round(found.low, 3), round(found.high, 3)
    (0.107, 0.102, 0.113)
    """
    days = len(now)
    if len(before) != days:
        raise ValueError(f"compare periods of the same length, not {days} days with {len(before)}")
    above = (math.fsum(now), math.fsum(before))
    below = (1.0, 1.0) if over_now is None or over_before is None else (math.fsum(over_now), math.fsum(over_before))
    if below[0] <= 0 or below[1] <= 0:
        return Change(math.nan, math.nan, None, reason="there is nothing to divide by")
    is_now, was = above[0] / below[0], above[1] / below[1]
    if above[0] <= 0 or above[1] <= 0:
        return Change(was, is_now, None, reason="one of the periods has nothing")
    ratio = is_now / was
    if days < _FEWEST_DAYS:
        return Change(was, is_now, ratio - 1, reason=f"{days} days are too few to tell chance from change")
    pulls = [one / above[0] - other / above[1] for one, other in zip(now, before, strict=True)]
    if over_now is not None and over_before is not None:
        against = [one / below[0] - other / below[1] for one, other in zip(over_now, over_before, strict=True)]
        pulls = [pull - other for pull, other in zip(pulls, against, strict=True)]
    wide = _reach(pulls)
    return Change(was, is_now, ratio - 1, ratio * math.exp(-wide) - 1, ratio * math.exp(wide) - 1)


def of_daily_shares(
    now: Sequence[float], over_now: Sequence[float], before: Sequence[float], over_before: Sequence[float]
) -> Change:
    """Compare shares of what came on some days by their difference, with the chance of `of_days`.

    Who comes on two days counts on both, so days, and not people, are what varies.

    >>> found = of_daily_shares([12, 10] * 7, [100] * 14, [10, 9] * 7, [100] * 14)
    >>> round(found.change, 3), round(found.low, 4), round(found.high, 4)
    (0.015, 0.013, 0.017)
    """
    days = len(now)
    if not days == len(before) == len(over_now) == len(over_before):
        raise ValueError(f"compare periods of the same length, not {days} days with {len(before)}")
    below, earlier = math.fsum(over_now), math.fsum(over_before)
    if below <= 0 or earlier <= 0:
        return Change(math.nan, math.nan, None, reason="one of the periods has nobody")
    share, was = math.fsum(now) / below, math.fsum(before) / earlier
    if days < _FEWEST_DAYS:
        return Change(was, share, share - was, reason=f"{days} days are too few to tell chance from change")
    pulls = [
        (hits - share * total) / below - (hits_before - was * total_before) / earlier
        for hits, total, hits_before, total_before in zip(now, over_now, before, over_before, strict=True)
    ]
    wide = _reach(pulls)
    return Change(was, share, share - was, share - was - wide, share - was + wide)


def _reach(pulls: Sequence[float]) -> float:
    """Say how far an interval of 95 % reaches to each side, of what each day adds to a number, in their order."""
    days = len(pulls)
    band = max(1, days // 4)
    long_run = math.fsum(pull * pull for pull in pulls)
    for lag in range(1, band):
        together = math.fsum(one * other for one, other in zip(pulls[lag:], pulls[:-lag], strict=True))
        long_run += 2 * (1 - lag / band) * together
    share = band / days
    return sum(value * share**power for power, value in enumerate(_FIXED_B)) * math.sqrt(max(long_run, 0.0))


def of_people(now: int, before: int, both: int) -> Change:
    """Compare how many people there were, of whom some were there in both periods.

    Each person is there or not independently of the others, so the variance of the logarithm of the ratio is
    1 / now + 1 / before - 2 both / (now before).

    >>> found = of_people(1100, 1000, 400)
    >>> round(found.change, 3), round(found.low, 3), round(found.high, 3)
    (0.1, 0.028, 0.177)
    """
    if not now or not before:
        return Change(float(before), float(now), None, reason="one of the periods has nobody")
    ratio = now / before
    wide = Z95 * math.sqrt(max(1 / now + 1 / before - 2 * both / (now * before), 0.0))
    return Change(float(before), float(now), ratio - 1, ratio * math.exp(-wide) - 1, ratio * math.exp(wide) - 1)


@dataclass(frozen=True, slots=True)
class Shared:
    """Count who is in both of two shares, which then vary together.

    Attributes:
        people: In both periods.
        hits: Those of them who count in the period.
        hits_before: Those of them who count in the period before.
        hits_both: Those of them who count in both.
    """

    people: int = 0
    hits: int = 0
    hits_before: int = 0
    hits_both: int = 0


def of_shares(hits: int, total: int, hits_before: int, total_before: int, shared: Shared | None = None) -> Change:
    """Compare two shares of people by their difference.

    The interval puts those of Wilson together (Newcombe 1998, method 10; with people in both periods the method of
    variance estimates recovery with their correlation: Zou, Donner 2008).

    >>> found = of_shares(150, 1000, 120, 1000)
    >>> round(found.change, 3), round(found.low, 4), round(found.high, 4)
    (0.03, 0.0, 0.06)
    """
    own, earlier = wilson(hits, total), wilson(hits_before, total_before)
    if own is None or earlier is None:
        return Change(math.nan, math.nan, None, reason="one of the periods has nobody")
    share, was = hits / total, hits_before / total_before
    tied = 0.0
    spread = math.sqrt(share * (1 - share) / total * was * (1 - was) / total_before)
    if shared is not None and spread:
        crossed = shared.hits_both - was * shared.hits - share * shared.hits_before + shared.people * share * was
        tied = min(max(crossed / (total * total_before) / spread, -1.0), 1.0)

    def reach(one: float, other: float) -> float:
        return math.sqrt(max(one * one + other * other - 2 * tied * one * other, 0.0))

    change = share - was
    low = change - reach(share - own[0], earlier[1] - was)
    return Change(was, share, change, low, change + reach(own[1] - share, was - earlier[0]))
