"""Sample ratio: do the arms have the shares that were planned?

Belongs here: the tests of counts against planned shares, once and daily. Does not belong here: who is counted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from analytics_assets.statistics.effects import Reason
from analytics_assets.statistics.proportions import chi_square_tail

INVALID, WARNING = 0.001, 0.01
"""Below the first, no result can be trusted; below the second, somebody should look."""

Verdict = Literal["fine", "warning", "invalid"]


@dataclass(frozen=True, slots=True)
class SampleRatio:
    """Hold a test of counts against planned shares.

    Attributes:
        observed: Units of each arm.
        expected: Units that the plan expects in each.
        statistic: Chi-square, or z; None of a test that has none.
        p_value: Of the hypothesis that units were assigned by the plan.
        df: Degrees of freedom of chi-square; None of another test.
        reason: Why numbers are None.
    """

    observed: tuple[int, ...]
    expected: tuple[float, ...]
    statistic: float | None
    p_value: float | None
    df: int | None = None
    reason: Reason | None = None

    @property
    def verdict(self) -> Verdict | None:
        """The p-value as "invalid" (below 0.001), "warning" (below 0.01) or "fine"; None without one."""
        return None if self.p_value is None else judged(self.p_value)


def judged(p_value: float) -> Verdict:
    """Judge the p-value of a sample ratio.

    >>> judged(0.0086), judged(0.0001)
    ('warning', 'invalid')
    """
    return "invalid" if p_value < INVALID else "warning" if p_value < WARNING else "fine"


def checked_shares(shares: Sequence[float]) -> tuple[float, ...]:
    """Return planned shares, or raise ValueError where they are none: above zero, and 1 together.

    >>> checked_shares([0.9, 0.1])
    (0.9, 0.1)
    """
    told = tuple(float(share) for share in shares)
    if not told or any(not share > 0 for share in told) or abs(math.fsum(told) - 1) > 1e-9:
        msg = f"shares are above zero and sum to 1: {', '.join(map(str, told))}"
        raise ValueError(msg)
    return told


def sample_ratio(observed: Sequence[int], shares: Sequence[float]) -> SampleRatio:
    """Test counts against planned shares by Pearson's chi-square, once: at the end.

    >>> found = sample_ratio([44700, 45489], [0.5, 0.5])
    >>> round(found.p_value, 4), found.verdict
    (0.0086, 'warning')
    """
    planned = checked_shares(shares)
    counts = _counted(observed, planned)
    total = sum(counts)
    expected = tuple(total * share for share in planned)
    if not total:
        return SampleRatio(counts, expected, None, None, None, Reason.NO_UNITS)
    if len(counts) < 2:
        return SampleRatio(counts, expected, None, None, None, Reason.NO_VARIANCE)
    statistic = math.fsum((count - due) ** 2 / due for count, due in zip(counts, expected, strict=True))
    df = len(counts) - 1
    return SampleRatio(counts, expected, statistic, chi_square_tail(statistic, df), df)


def binomial_sample_ratio(
    control: int, treatment: int, share: float = 0.5, *, exact: bool = True, correction: bool = True
) -> SampleRatio:
    """Test the counts of two arms: exactly, or by z with a correction for continuity.

    Args:
        control: Units.
        treatment: Units.
        share: That the treatment was to have.
        exact: Whether to sum up the binomial distribution; of many units, z is the same.
        correction: Whether z is brought nearer to zero by half a unit.

    >>> round(binomial_sample_ratio(5020, 4980, exact=False, correction=False).p_value, 4)
    0.6892
    """
    planned = checked_shares([1 - share, share])
    counts = _counted([control, treatment], planned)
    total = sum(counts)
    expected = (total * planned[0], total * planned[1])
    if not total:
        return SampleRatio(counts, expected, None, None, None, Reason.NO_UNITS)
    if exact:
        from scipy.stats import binomtest

        return SampleRatio(counts, expected, None, float(binomtest(treatment, total, share).pvalue))
    apart = treatment - expected[1]
    if correction:
        apart = math.copysign(max(abs(apart) - 0.5, 0.0), apart)
    z = apart / math.sqrt(total * share * (1 - share))
    return SampleRatio(counts, expected, z, min(1.0, math.erfc(abs(z) / math.sqrt(2))))


def daily_sample_ratio(
    observed: Sequence[Sequence[int]], shares: Sequence[float], *, concentration: float = 100.0
) -> tuple[float, ...]:
    """Test counts against planned shares every day, for as long as one likes (Lindon, Malek, arXiv:2011.03567).

    The p-value of a day is one over the largest Bayes factor up to it, of shares from a Dirichlet distribution about
    the planned ones against those. The chance that it ever falls below a level is that level at most, however often
    one looks.

    Args:
        observed: Units so far (not of the day) of each arm, a row a day.
        shares: Planned.
        concentration: Of the Dirichlet distribution, as a number of units: the smaller, the larger the deviations that
            are looked for; 100 finds small ones too, and large ones within a few dozen units.

    >>> [round(p, 4) for p in daily_sample_ratio([[500, 520], [1010, 1190], [1500, 1890]], [0.5, 0.5])]
    [1.0, 0.0042, 0.0]
    """
    planned = checked_shares(shares)
    if not concentration > 0:
        msg = f"a concentration is above zero, not {concentration}"
        raise ValueError(msg)
    most, p_values = 0.0, []
    for row in observed:
        counts = _counted(row, planned)
        total = sum(counts)
        log_factor = math.lgamma(concentration) - math.lgamma(concentration + total)
        for count, share in zip(counts, planned, strict=True):
            log_factor += math.lgamma(concentration * share + count) - math.lgamma(concentration * share)
            log_factor -= count * math.log(share)
        most = max(most, log_factor)
        p_values.append(math.exp(-most))
    return tuple(p_values)


def _counted(observed: Sequence[int], shares: Sequence[float]) -> tuple[int, ...]:
    counts = tuple(int(count) for count in observed)
    if len(counts) != len(shares) or any(count < 0 for count in counts):
        msg = f"a count of units is needed for each of {len(shares)} shares: {', '.join(map(str, counts))}"
        raise ValueError(msg)
    return counts
