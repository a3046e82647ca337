"""How often intervals of increments hold the truth, by estimator of the variance: the figures of ADR 18.

    .venv/bin/python benchmarks/incrementality.py [years of the shop, 30 by default]

Of the shop: visits and orders that campaigns caused, one year a seed. Of simulated worlds: an uplift of 20 % in counts.
"""

from __future__ import annotations

import datetime as dt
import math
import sys
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy import stats

from analytics_assets.project.shop import Shop
from analytics_assets.sources.shop.visits import PURCHASE, USER
from analytics_assets.sources.shop.vocabulary import REGIONS
from analytics_assets.sources.shop.world import World
from analytics_assets.statistics.incrementality import alike_before, increment

Case = tuple[np.ndarray, list[bool], list[int], list[int], float]
WORLDS = 400


def shop_cases(years: int, *, orders: bool) -> Iterator[Case]:
    """Give the campaigns of some years of the shop that have a control and days before them."""
    for seed in range(1, years + 1):
        shop = Shop(seed=seed)
        world = World(shop, dt.date(2025, 1, 1), "Europe/Berlin")
        visits, caused = np.zeros((shop.days, len(REGIONS))), np.zeros(len(shop.campaigns))
        for number in range(shop.days):
            rows = world.day(number).visits
            ours = rows[(rows["kind"] == USER) & ((rows["deep"] == PURCHASE) | (not orders))]
            visits[number] = np.bincount(ours["region"], minlength=len(REGIONS))
            caused += np.bincount(ours["campaign"][ours["caused"]], minlength=len(caused))
        spans = {name: shop.span(told) for name, told in shop.campaigns.items()}
        for place, (name, during) in enumerate(spans.items()):
            treated = world.calendar.runs_in(place)
            before = alike_before(during, {other: span for other, span in spans.items() if other != name})
            if not treated.all() and len(before.days) >= 14:
                yield visits, treated.tolist(), list(before.days), list(during), caused[place]


def made_cases(kind: str, units: tuple[int, int], days: int, before: int) -> Iterator[Case]:
    """Make worlds whose days are independent, overdispersed, autocorrelated by unit, or moved by group."""
    rng = np.random.default_rng(len(kind) * 1000 + units[0] * 100 + days + before)
    treated, length = units[0], days + before
    for _ in range(WORLDS):
        mean = 30 * (rng.gamma(2, 0.5, sum(units)) + 0.1) * np.exp(rng.normal(0, 0.1, (length, 1)))
        if kind == "overdispersed":
            mean = mean * rng.gamma(3, 1 / 3, (length, sum(units)))
        if kind in {"autocorrelated", "by group"}:
            own = kind == "autocorrelated"
            rho, spread, many = (0.9, 0.15, sum(units)) if own else (0.8, 0.05, 2)
            drift = np.zeros((length, many))
            for day in range(1, length):
                drift[day] = rho * drift[day - 1] + rng.normal(0, spread * math.sqrt(1 - rho**2), many)
            mean = mean * np.exp(drift if own else np.repeat(drift, units, axis=1))
        outcome = rng.poisson(mean).astype(float)
        added = rng.poisson(0.2 * outcome[before:, :treated])
        outcome[before:, :treated] += added
        flags = [True] * treated + [False] * units[1]
        yield outcome, flags, list(range(before)), list(range(before, length)), float(added.sum())


def others(case: Case) -> dict[str, tuple[float, float]]:
    """Give the intervals of theta of the estimators that were not chosen."""
    outcome, flags, before, during, _ = case
    rows = np.array(before[-56:])
    groups = [outcome[:, np.array(flags)], outcome[:, ~np.array(flags)]]
    sums = [(group[rows].sum(axis=0), group[during].sum(axis=0)) for group in groups]
    logs = [math.log(after.sum() / ahead.sum()) for ahead, after in sums]
    theta = logs[0] - logs[1]
    poisson = sum(1 / ahead.sum() + 1 / after.sum() for ahead, after in sums)
    daily = [np.log(group[rows].sum(axis=1) + 0.5) for group in groups]
    ratio = daily[0] - daily[1]
    error, count = ratio - ratio.mean(), len(rows)
    lags = math.ceil(4 * (count / 100) ** (2 / 9))
    long_run = float((error**2).mean())
    for lag in range(1, lags + 1):
        long_run += 2 * (1 - lag / (lags + 1)) * float((error[lag:] * error[:-lag]).sum()) / count
    newey_west = long_run * count / (count - 1) * (1 / len(during) + 1 / count)
    found = {"Poisson": (poisson, 1e6), "Newey-West": (newey_west, count - 1.0)}
    if min(len(ahead) for ahead, _ in sums) > 1:
        parts = []
        for ahead, after in sums:
            left = np.log((after.sum() - after) / (ahead.sum() - ahead))
            own = (len(ahead) - 1) / len(ahead) * float(((left - left.mean()) ** 2).sum())
            parts.append((own, float(ahead.sum() ** 2 / (ahead**2).sum()) - 1))
        variance = sum(own for own, _ in parts)
        found["units"] = variance, variance**2 / sum(own**2 / max(each, 0.5) for own, each in parts)
    widths = {name: float(stats.t.ppf(0.975, each)) * math.sqrt(own) for name, (own, each) in found.items()}
    return {name: (theta - width, theta + width) for name, width in widths.items()}


def report(title: str, cases: Iterator[Case]) -> None:
    """Print how often each interval holds the truth."""
    held: dict[str, list[Any]] = defaultdict(list)
    for case in cases:
        *told, truth = case
        outcome, flags, _, during, _ = case
        total = outcome[during][:, np.array(flags)].sum()
        for name, (low, high) in others(case).items():
            held[name].append(-total * math.expm1(-low) <= truth <= -total * math.expm1(-high))
        found = increment(*told)
        if found.estimate is None or found.low is None or found.high is None:
            continue
        inside = found.low <= truth <= found.high
        held["chosen"].append(inside)
        held["identified"].append(found.state == "identified")
        if found.state == "identified":
            held["chosen, identified"].append(inside)
    figures = "  ".join(f"{name} {np.mean(values):.3f}" for name, values in held.items())
    print(f"{title:44} n {len(held['chosen']):4}  {figures}", flush=True)


def main() -> None:
    years = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    report("shop, visits", shop_cases(years, orders=False))
    report("shop, orders", shop_cases(years, orders=True))
    for kind in ("independent", "overdispersed", "autocorrelated", "by group"):
        for units in ((16, 17), (4, 4), (2, 3), (1, 1)):
            for days, before in ((21, 56), (7, 56)):
                report(f"{kind}, {units[0]}+{units[1]} units, {days} days", made_cases(kind, units, days, before))


if __name__ == "__main__":
    main()
