"""Changes between periods: intervals that cover as often as they say, and nothing where nothing can be told."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest

from analytics_assets.statistics.changes import Shared, of_daily_shares, of_days, of_people, of_shares
from analytics_assets.statistics.proportions import difference_interval


def year(seed: int, days: int, hang_together: float) -> np.ndarray:
    """Make days of a shop in which nothing changes: a week's pattern, and noise that lasts."""
    random = np.random.default_rng(seed)
    noise = np.zeros(days)
    last = random.normal()
    for day in range(days):
        last = hang_together * last + math.sqrt(1 - hang_together**2) * random.normal()
        noise[day] = last
    return np.exp(4 + 0.15 * noise) * (1 + 0.2 * np.sin(np.arange(days) * 2 * np.pi / 7))


def covered(days: int, hang_together: float, times: int = 800) -> float:
    def hits() -> Iterator[bool]:
        for seed in range(times):
            told = year(seed, 2 * days, hang_together).tolist()
            found = of_days(told[days:], told[:days])
            assert found.low is not None
            assert found.high is not None
            yield found.low <= 0 <= found.high

    return sum(hits()) / times


@pytest.mark.parametrize(("days", "hang_together", "least"), [(28, 0.0, 0.925), (28, 0.3, 0.905), (14, 0.0, 0.915)])
def test_where_nothing_changes_about_one_interval_in_twenty_misses_it(
    days: int, hang_together: float, least: float
) -> None:
    assert least <= covered(days, hang_together) <= 0.975


def test_people_and_their_shares_are_covered_although_many_are_in_both_periods() -> None:
    random = np.random.default_rng(1)
    hits = {"people": 0, "shares": 0}
    for _ in range(1000):
        everybody = random.poisson(2000)
        eager, keen = random.beta(1, 3, everybody), random.beta(1, 4, everybody)
        before, now = (random.random(everybody) < eager for _ in range(2))
        bought_before, bought = before & (random.random(everybody) < keen), now & (random.random(everybody) < keen)
        both = before & now
        counts = [int(told.sum()) for told in (both, bought & both, bought_before & both, bought & bought_before)]
        people = of_people(int(now.sum()), int(before.sum()), counts[0])
        shares = of_shares(
            int(bought.sum()), int(now.sum()), int(bought_before.sum()), int(before.sum()), Shared(*counts)
        )
        hits["people"] += people.low <= 0 <= people.high  # type: ignore[operator]
        hits["shares"] += shares.low <= 0 <= shares.high  # type: ignore[operator]
    assert 930 <= hits["people"] <= 970
    assert 930 <= hits["shares"] <= 970


def test_without_people_in_both_periods_the_interval_is_newcombes() -> None:
    found = of_shares(56, 70, 48, 80)
    told = difference_interval(48, 80, 56, 70)
    assert (found.low, found.high) == pytest.approx((told.low, told.high))
    # Newcombe 1998, table II (a), method 10
    assert (round(found.low or 0, 4), round(found.high or 0, 4)) == (0.0524, 0.3339)


def test_people_who_do_in_both_periods_what_they_always_do_narrow_the_interval() -> None:
    apart = of_shares(100, 1000, 100, 1000)
    the_same = of_shares(100, 1000, 100, 1000, Shared(1000, 100, 100, 100))
    opposite = of_shares(500, 1000, 500, 1000, Shared(1000, 500, 500, 0))
    strangers = of_shares(500, 1000, 500, 1000)
    assert the_same.high - the_same.low < 0.2 * (apart.high - apart.low)  # type: ignore[operator]
    assert opposite.high - opposite.low > 1.3 * (strangers.high - strangers.low)  # type: ignore[operator]


def test_weekdays_are_compared_with_their_like() -> None:
    week = [100.0, 50.0, 200.0, 80.0, 120.0, 300.0, 30.0]
    found = of_days([1.1 * day for day in week * 4], week * 4)
    assert found.change == pytest.approx(0.1)
    assert found.low == pytest.approx(0.1, abs=1e-6)  # nothing but the change is there
    assert found.high == pytest.approx(0.1, abs=1e-6)


def test_a_ratio_is_compared_by_its_sums() -> None:
    net, orders = [100.0, 220.0] * 14, [1.0, 2.0] * 14
    found = of_days([2 * value for value in net], net, [2 * value for value in orders], orders)
    assert found.now == found.before == pytest.approx(320 / 3)
    assert found.change == pytest.approx(0.0)


def test_one_outlier_widens_the_interval_and_a_shock_to_all_days_does_not() -> None:
    calm = year(3, 56, 0.0).tolist()
    shock = [*calm[:28], calm[28] * 20, *calm[29:]]
    plain, odd = of_days(calm[28:], calm[:28]), of_days(shock[28:], shock[:28])
    assert odd.high - odd.low > 2 * (plain.high - plain.low)  # type: ignore[operator]
    lifted = of_days([2 * day for day in calm[28:]], calm[:28])
    assert (1 + lifted.low) / (1 + plain.low) == pytest.approx(2)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (of_days([1.0] * 28, [0.0] * 28), "one of the periods has nothing"),
        (of_days([1.0] * 13, [1.0] * 13), "13 days are too few"),
        (of_days([1.0] * 28, [1.0] * 28, [1.0] * 28, [0.0] * 28), "nothing to divide by"),
        (of_people(0, 10, 0), "one of the periods has nobody"),
        (of_shares(0, 0, 1, 10), "one of the periods has nobody"),
        (of_daily_shares([1.0] * 28, [2.0] * 28, [0.0] * 28, [0.0] * 28), "one of the periods has nobody"),
    ],
)
def test_where_nothing_can_be_told_the_reason_is(change: object, reason: str) -> None:
    assert reason in change.reason  # type: ignore[attr-defined]
    assert change.low is None  # type: ignore[attr-defined]


def test_periods_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="compare periods of the same length, not 2 days with 1"):
        of_days([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="compare periods of the same length, not 2 days with 1"):
        of_daily_shares([1.0, 2.0], [2.0, 2.0], [1.0], [2.0])
