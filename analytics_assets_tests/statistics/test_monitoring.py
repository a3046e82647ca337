"""Worlds without a fault raise few alarms, planted breaks are found on their day, and nothing depends on the future."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics_assets.statistics.monitoring import (
    LEARNT,
    MIX,
    NEW_ROWS,
    WARM_UP,
    Judged,
    find_new,
    judge_counts,
    judge_mixes,
    judge_rises,
    judge_shares,
)

YEAR = 365
RATE = 0.01
ALARMS = 0.01
"""The share of days of a year that may alarm, in all kinds together."""


@dataclass(frozen=True)
class World:
    """Hold a year of a company: 100 series of every kind, and the days that have a name."""

    volumes: Any
    shares: tuple[Any, Any]
    nulls: tuple[Any, Any]
    values: tuple[Any, Any, Any]
    named: Any

    def alarms(self, rate: float = RATE) -> Any:
        """Say on which days anything at all stands out; a fifth of the rate is each kind's."""
        each = rate / 5
        values, totals, columns = self.values
        judged = [
            judge_counts(self.volumes, rate=each, named=self.named),
            judge_shares(*self.shares, rate=each, named=self.named),
            judge_rises(*self.nulls, rate=each, rise=0.1),
            judge_shares(values, totals, rate=each, named=self.named),
            judge_mixes(values, totals, columns, rate=each, named=self.named),
            find_new(values, totals),
        ]
        return np.any([told.odd.any(axis=0) for told in judged], axis=0)


def world(seed: int, *, spread: float = 0.0, lowest: float = 10, highest: float = 10_000, memory: float = 0.0) -> World:
    """Make a year without faults: weekdays, a wave, growth or decline, ten named days, noise that may persist."""
    dice = np.random.default_rng(seed)
    days = np.arange(YEAR)
    named = np.isin(days, dice.choice(YEAR, 10, replace=False))
    season = 1 + 0.15 * np.sin(2 * math.pi * (days / YEAR + dice.uniform()))
    effect = np.where(named, np.exp(dice.uniform(-1, 1, YEAR)), 1.0) * season

    def noisy(series: int) -> Any:
        noise = dice.normal(size=(series, YEAR))
        for day in range(1, YEAR):
            noise[:, day] = memory * noise[:, day - 1] + math.sqrt(1 - memory**2) * noise[:, day]
        return np.exp(spread * noise - spread**2 / 2)

    def level(series: int) -> Any:
        weekdays = np.exp(dice.normal(0, 0.2, (series, 7)))[:, days % 7]
        growth = np.exp(dice.uniform(-0.7, 1.0, (series, 1)) * days / YEAR)
        size = np.exp(dice.uniform(math.log(lowest), math.log(highest), (series, 1)))
        return size * weekdays * growth * effect

    volumes = dice.poisson(level(20) * noisy(20)).astype(float)
    people = dice.poisson(level(5)).astype(float) + 1
    odds = dice.uniform(0.02, 0.4, (5, 1))
    shares = dice.binomial(people.astype(int), np.clip(odds * noisy(5), 0, 1)).astype(float), people
    rows = dice.poisson(level(25)).astype(float) + 1
    missing = np.clip(np.repeat([0, 0, 0.01, 0.3, 0.95], 5)[:, None] * noisy(25), 0, 1)
    nulls = dice.binomial(rows.astype(int), missing).astype(float), rows
    mixes = [
        dice.multinomial(n, p).astype(float).T
        for n, p in (
            (dice.poisson(level(1)[0]) + 1, _normed(dice.dirichlet(np.ones(10)) * noisy(10).T)) for _ in range(5)
        )
    ]
    values = np.vstack(mixes)
    totals = np.vstack([np.repeat(mix.sum(axis=0)[None], 10, axis=0) for mix in mixes])
    return World(volumes, shares, nulls, (values, totals, np.repeat(np.arange(5), 10)), named)


def _normed(shares: Any) -> Any:
    return shares / shares.sum(axis=1, keepdims=True)


WORLDS = {
    "only chance": {},
    "days vary by 5 %": {"spread": 0.05},
    "days vary by 15 %": {"spread": 0.15},
    "days vary by 10 % and hang together": {"spread": 0.1, "memory": 0.6},
    "small": {"lowest": 0.1, "highest": 30},
    "small, and days vary by 20 %": {"spread": 0.2, "lowest": 0.1, "highest": 30},
    "large": {"spread": 0.03, "lowest": 1e4, "highest": 1e6},
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", WORLDS)
def test_of_years_without_a_fault_at_most_one_day_in_a_hundred_alarms(kind):
    alarms = np.array([world(seed, **WORLDS[kind]).alarms() for seed in range(5)])
    assert alarms.mean() <= ALARMS, alarms.sum(axis=1)
    assert alarms[:, :WARM_UP].sum() == 0


def test_rare_values_that_come_in_clusters_do_not_alarm():
    alarms = []
    for seed in range(5):
        dice = np.random.default_rng(seed)
        visitors = dice.poisson(400 / np.arange(1, 81)[:, None] ** 1.5, (80, YEAR))
        # a visitor has 6 events in the mean, some have many
        values = visitors + dice.negative_binomial(np.maximum(visitors, 1), 1 / 6) * (visitors > 0)
        totals = np.broadcast_to(values.sum(axis=0), values.shape).astype(float)
        told = values.astype(float)
        columns = np.zeros(len(told), dtype=int)
        judged = [
            judge_shares(told, totals, rate=RATE / 5),
            judge_mixes(told, totals, columns, rate=RATE / 5),
            find_new(told, totals, rows=50, share=0.01),
        ]
        alarms.append(np.any([found.odd.any(axis=0) for found in judged], axis=0))
    assert np.mean(alarms) <= ALARMS


def test_a_larger_rate_alarms_more_often_and_is_held_without_the_least_change():
    told = world(1, spread=0.1).volumes
    share = [judge_counts(told, rate=rate, change=0.0).odd.any(axis=0).mean() for rate in (0.01, 0.5)]
    assert share[0] <= 0.02
    assert 0.1 <= share[1] <= 0.5


# --- breaks -----------------------------------------------------------------------------------------------------------


def _steady(mean: float, days: int = 120, series: int = 200, seed: int = 1, spread: float = 0.0) -> Any:
    weekdays = np.array([0.9, 0.9, 0.95, 1, 1.05, 1.1, 1.1])[np.arange(days) % 7]
    dice = np.random.default_rng(seed)
    noise = np.exp(spread * dice.normal(size=(series, days)) - spread**2 / 2)
    return dice.poisson(mean * weekdays * noise).astype(float)


def found(judged: Judged, day: int) -> float:
    """Give the share of series in which a day was found."""
    return float(judged.odd[:, day].mean())


def _documented() -> Iterator[tuple[int, float, float]]:
    """Read the breaks of docs/quality.md: rows a day, by what they are multiplied, by how much days vary besides."""
    page = (Path(__file__).resolve().parents[2] / "docs/quality.md").read_text()
    for rows, *ends in re.findall(r"^\| (\d+) \| (.+) \| (.+) \| (.+) \| (.+) \|$", page, re.MULTILINE):
        for place, end in enumerate(ends):
            if end != "not found":
                factor = float(end.removesuffix("x")) if "x" in end else float(end.removesuffix("%")) / 100
                yield int(rows), factor, 0.1 if place > 1 else 0.0


@pytest.mark.parametrize(("rows", "factor", "spread"), [*_documented()])
def test_the_breaks_of_the_documents_are_found(rows: int, factor: float, spread: float):
    counts = _steady(rows, days=100, spread=spread)
    broken = np.random.default_rng(2).poisson(counts[:, 90] * factor) if factor < 1 else counts[:, 90] * factor
    counts[:, 90] = np.round(broken)
    # a quarter of the rate is shared by five tables
    assert found(judge_counts(counts, rate=RATE * 0.25 * len(counts) / 5), 90) >= 0.87


def test_the_documents_have_a_table_of_breaks():
    assert len([*_documented()]) == 29


@pytest.mark.parametrize(
    ("before", "after", "rows"), [(0.0, 0.15, 150), (0.01, 0.3, 120), (0.3, 0.5, 600), (0.97, 1.0, 3_000)]
)
def test_a_flood_of_nulls_is_found(before, after, rows):
    dice = np.random.default_rng(3)
    totals = np.full((100, 90), float(rows))
    missing = dice.binomial(rows, before, totals.shape).astype(float)
    missing[:, 80] = dice.binomial(rows, after, 100)
    judged = judge_rises(missing, totals, rate=RATE * 0.1 * 100 / 20, rise=0.1)
    assert found(judged, 80) >= 0.9
    assert judged.odd.sum() == judged.odd[:, 80].sum()


@pytest.mark.parametrize(("share", "rows"), [(0.02, 8_000), (0.1, 2_000), (0.4, 600)])
def test_a_value_that_is_told_twice_is_found_by_its_odds(share, rows):
    dice = np.random.default_rng(4)
    totals = np.full((100, 90), float(rows))
    told = dice.binomial(rows, share, totals.shape).astype(float)
    totals[:, 80] += told[:, 80]
    told[:, 80] *= 2
    judged = judge_shares(told, totals, rate=RATE * 0.2 * 100 / 50)
    assert found(judged, 80) >= 0.9
    assert judged.odd.sum() == judged.odd[:, 80].sum()


def test_a_mix_that_changes_a_little_everywhere_is_found_by_its_distance():
    dice = np.random.default_rng(5)
    values = dice.multinomial(20_000, np.full((90, 10), 0.1)).T.astype(float)
    values[:, 80] = dice.multinomial(20_000, np.array([0.123, 0.077] * 5))
    totals, columns = np.full(values.shape, 20_000.0), np.zeros(10, dtype=int)
    assert not judge_shares(values, totals, rate=RATE).odd.any()
    judged = judge_mixes(values, totals, columns, rate=RATE)
    assert judged.odd.nonzero()[1].tolist() == [80]
    assert judged.observed[0, 80] > MIX


def test_a_value_is_new_once_and_only_with_more_than_a_few_rows():
    values = np.zeros((2, 120))
    values[0, [60, 61, 119]] = NEW_ROWS
    values[1, 60] = NEW_ROWS - 1
    totals = np.full(values.shape, 1_000.0)
    # 58 days later it is as new as at first
    assert np.argwhere(find_new(values, totals).odd).tolist() == [[0, 60], [0, 119]]
    assert not find_new(values, totals, share=0.02).odd.any()
    assert not find_new(values[:, 40:], totals[:, 40:]).odd[:, :28].any()


# --- what is learnt, and what is not ----------------------------------------------------------------------------------


def test_a_broken_day_changes_nothing_of_the_days_after():
    whole = _steady(2_000, series=5)
    broken = whole.copy()
    broken[:, 80] = 0
    judged = judge_counts(broken, rate=RATE)
    assert judged.odd.nonzero()[1].tolist() == [80] * 5
    off = judge_counts(whole, rate=RATE).expected[:, 81:] / judged.expected[:, 81:]
    assert np.abs(np.log(off)).max() < 0.05


def test_a_change_that_stays_alarms_and_is_learnt_on_the_stated_day():
    counts = _steady(2_000, series=3)
    counts[:, 80:] *= 3
    odd = judge_counts(counts, rate=RATE).odd
    assert odd[:, 80 : 80 + LEARNT].all()
    assert not odd[:, 80 + LEARNT :].any()


def test_growth_and_weekdays_are_no_findings():
    days = np.arange(200)
    counts = np.round(1_000 * np.exp(0.02 * days) * np.where(days % 7 < 5, 1, 0.1))[None]
    assert not judge_counts(counts, rate=RATE).odd.any()


def test_a_named_day_may_be_off_by_four_and_by_as_much_as_named_days_before():
    named = np.isin(np.arange(160), (80, 110, 140))
    counts = _steady(1_000, days=160, series=1)
    counts[0, 80] /= 3
    counts[0, [110, 140]] = 0
    assert judge_counts(counts, rate=RATE, named=named).odd.nonzero()[1].tolist() == [110]
    assert judge_counts(counts, rate=RATE).odd.nonzero()[1].tolist() == [80, 110, 140]


# --- bad input --------------------------------------------------------------------------------------------------------


def _judges() -> dict[str, Callable[[Any], Judged]]:
    columns = np.arange(3)

    totals = 1e5

    return {
        "counts": lambda counts: judge_counts(counts, rate=RATE),
        "shares": lambda counts: judge_shares(counts, totals + 0 * counts, rate=RATE),
        "rises": lambda counts: judge_rises(counts, totals + 0 * counts, rate=RATE, rise=0.1),
        "mixes": lambda counts: judge_mixes(np.nan_to_num(counts), np.nan_to_num(counts) + 5, columns, rate=RATE),
        "new": lambda counts: find_new(counts, np.full(counts.shape, 1e6)),
    }


@pytest.mark.parametrize("judge", _judges())
@given(data=st.data())
@settings(max_examples=15, deadline=None)
def test_a_verdict_never_changes_when_more_days_come(judge, data):
    seed, last = data.draw(st.integers(0, 10_000)), data.draw(st.integers(40, 99))
    dice = np.random.default_rng(seed)
    counts = dice.poisson(np.exp(dice.uniform(0, 6, (3, 1))), (3, 100)).astype(float)
    counts[dice.uniform(size=counts.shape) < 0.05] = math.nan
    counts[:, dice.integers(100)] *= 5
    whole, cut = (_judges()[judge](told) for told in (counts, counts[:, :last]))
    for name in ("expected", "low", "high", "odd"):
        np.testing.assert_array_equal(getattr(whole, name)[:, :last], getattr(cut, name))


@pytest.mark.parametrize("judge", ["counts", "shares", "rises", "new"])
def test_a_day_has_no_say_in_what_is_expected_of_it(judge):
    counts = _steady(50, days=80, series=3)
    other = counts.copy()
    other[:, 79] *= 7
    whole, changed = _judges()[judge](counts), _judges()[judge](other)
    for name in ("expected", "low", "high"):
        np.testing.assert_array_equal(getattr(whole, name)[:, 79], getattr(changed, name)[:, 79])


def test_too_few_days_say_nothing():
    counts = _steady(1_000, series=1)
    assert not judge_counts(counts, rate=RATE).judged[:, : WARM_UP - 3].any()
    assert judge_counts(counts, rate=RATE).judged[:, WARM_UP + 3 :].all()
    for days in range(1, 4):
        assert not judge_counts(np.ones((2, days)), rate=RATE).odd.any()
        assert not judge_rises(np.ones((2, days)), np.ones((2, days)), rate=RATE, rise=0.1).odd.any()
    assert judge_counts(np.ones((0, 50)), rate=RATE).odd.shape == (0, 50)


def test_a_gap_is_not_judged_and_an_empty_day_is():
    counts = _steady(500, series=1)
    counts[0, 70], counts[0, 80] = math.nan, 0
    judged = judge_counts(counts, rate=RATE)
    assert not judged.judged[0, 70]
    assert judged.odd.nonzero()[1].tolist() == [80]


def test_a_series_that_never_changes_is_quiet_until_it_does():
    counts = np.full((1, 90), 400.0)
    counts[0, 80] = 200
    assert judge_counts(counts, rate=RATE).odd.nonzero()[1].tolist() == [80]
    assert not judge_counts(np.zeros((1, 90)), rate=RATE).odd.any()


def test_one_row_a_day_is_too_little_to_be_missed():
    one = np.ones((1, 90))
    one[0, 80] = 0
    assert not judge_counts(one, rate=RATE).odd.any()


def test_a_column_that_is_all_null_and_one_that_never_is():
    totals = np.full((2, 90), 500.0)
    missing = np.vstack([np.full(90, 500.0), np.zeros(90)])
    assert not judge_rises(missing, totals, rate=RATE, rise=0.1).odd.any()
    missing[1, 80] = 500
    assert np.argwhere(judge_rises(missing, totals, rate=RATE, rise=0.1).odd).tolist() == [[1, 80]]


def test_a_single_value_has_no_share_to_lose():
    only = np.full((1, 90), 300.0)
    assert not judge_shares(only, only, rate=RATE).odd.any()
    assert not judge_mixes(only, only, np.zeros(1, dtype=int), rate=RATE).odd.any()
