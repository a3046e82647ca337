"""Measure how long the models of lifetime value take to fit, beside one look at their likelihood, in one run.

`make bench` prints seconds and ratios; machines differ and are noisy, ratios to one evaluation of the likelihood (with
its slope and curvature, and what is done once before) hold. It is CPU time on one thread, so that nothing that runs
beside it counts. It makes its own customers, by the definition of the process:

- a sample of the size and the parameters of CDNOW: 2,357 customers over 39 weeks, to be fitted in at most 1 second
- a million customers over a year of whole days, as distinct (x, t_x, T) with weights: in at most 3 seconds, and beside
  it the same fit without weights, a row a customer
- what is expected of all of them, and Gamma-Gamma on those who came back
- the way there: from a table of their orders to the distinct (x, t_x, T), in the engine
"""

from __future__ import annotations

import argparse
import datetime as dt
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from analytics_assets.analysis.lifetime import alike_lives, customer_lives
from analytics_assets.lake.duckdb import DuckDBEngine
from analytics_assets.statistics.lifetime import (
    BetaGeometric,
    GammaGamma,
    alive_probability,
    bg_nbd_log_likelihood,
    expected_orders,
    fit_bg_nbd,
    fit_gamma_gamma,
    gamma_gamma_log_likelihood,
)

CDNOW = BetaGeometric(0.243, 4.414 * 7, 0.793, 2.426)
SHOP = BetaGeometric(0.8, 45.0, 1.0, 4.0)
SPEND = GammaGamma(6.0, 4.0, 30.0)
FIRST = dt.date(2024, 1, 1)


def lived(model: BetaGeometric, ages: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw every order after the first: whose it is, and on which day; of one day a customer has one order."""
    rate, drop = rng.gamma(model.r, 1 / model.alpha, len(ages)), rng.beta(model.a, model.b, len(ages))
    now, there = np.zeros(len(ages)), np.arange(len(ages))
    users, days = [], []
    while len(there):
        now[there] += rng.exponential(1 / np.maximum(rate[there], 1e-12))
        there = there[now[there] < ages[there] + 1]
        users.append(there)
        days.append(np.floor(now[there]).astype(np.int64))
        there = there[rng.random(len(there)) >= drop[there]]
    user, day = np.concatenate(users), np.concatenate(days)
    later = day > 0
    distinct = np.unique(np.stack([user[later], day[later]], axis=1), axis=0)
    return distinct[:, 0], distinct[:, 1]


def customers(model: BetaGeometric, count: int, first: int, last: int, seed: int) -> tuple[np.ndarray, ...]:
    """Make x, t_x, T, and the orders (user, day since the first)."""
    rng = np.random.default_rng(seed)
    ages = rng.integers(first, last + 1, count)
    user, day = lived(model, ages, rng)
    x = np.bincount(user, minlength=count)
    t_x = np.zeros(count, dtype=np.int64)
    np.maximum.at(t_x, user, day)
    return x, t_x, ages, user, day


def timed(work: Callable[[], Any], rounds: int) -> list[float]:
    """Give the seconds of some rounds."""
    took = []
    for _ in range(rounds):
        begun = time.process_time()
        work()
        took.append(time.process_time() - begun)
    return took


def line(name: str, took: list[float], one: float | None = None, most: float | None = None) -> None:
    """Print seconds, their ratio to one evaluation, and whether they are what they should be."""
    middle = statistics.median(took)
    shown = f"{name:<58}{middle:>9.3f}{min(took):>9.3f}{max(took):>9.3f}"
    shown += f"{middle / one:>9.0f}" if one else " " * 9
    if most is not None:
        shown += f"   at most {most:g}: {'reached' if middle <= most else 'NOT REACHED'}"
    print(shown)


def sample(rounds: int) -> None:
    """Measure a sample like CDNOW."""
    x, t_x, age, *_ = customers(CDNOW, 2_357, 188, 272, seed=1)
    alike, number = np.unique(np.stack([x, t_x, age], axis=1), axis=0, return_counts=True)
    print(f"{len(x):,} customers, {len(alike):,} distinct (x, t_x, T)")
    first = timed(lambda: fit_bg_nbd(*alike.T, weights=number), 1)
    one = statistics.median(timed(lambda: bg_nbd_log_likelihood(CDNOW, *alike.T, weights=number), 20))
    line("  BG/NBD, the first time: scipy is imported", first, one, 1)
    line("  BG/NBD", timed(lambda: fit_bg_nbd(*alike.T, weights=number), rounds), one, 1)


def million(count: int, rounds: int) -> None:
    """Measure many customers."""
    x, t_x, age, user, day = customers(SHOP, count, 0, 364, seed=2)
    alike, number = np.unique(np.stack([x, t_x, age], axis=1), axis=0, return_counts=True)
    print(f"{count:,} customers, {len(alike):,} distinct (x, t_x, T), {count + len(user):,} days with an order")
    one = statistics.median(timed(lambda: bg_nbd_log_likelihood(SHOP, *alike.T, weights=number), 5))
    line("  one evaluation, with slope and curvature", [one])
    line("  BG/NBD", timed(lambda: fit_bg_nbd(*alike.T, weights=number), rounds), one, 3)
    line("  BG/NBD without weights, a row a customer", timed(lambda: fit_bg_nbd(x, t_x, age), rounds), one)

    def expect() -> None:
        alive_probability(SHOP, *alike.T)
        expected_orders(SHOP, *alike.T, 90)

    line("  P(alive) and expected orders of each", timed(expect, rounds), one)
    rng = np.random.default_rng(3)
    again = x[x > 0]
    mean = rng.gamma(SPEND.p * again) / again / rng.gamma(SPEND.q, 1 / SPEND.gamma, len(again))
    print(f"{len(again):,} of them came back")
    one = statistics.median(timed(lambda: gamma_gamma_log_likelihood(SPEND, again, mean), 5))
    line("  one evaluation, with slope and curvature", [one])
    line("  Gamma-Gamma", timed(lambda: fit_gamma_gamma(again, mean), rounds), one)
    engine_side(age, user, day, rounds)


def engine_side(age: np.ndarray, user: np.ndarray, day: np.ndarray, rounds: int) -> None:
    """Measure the way from orders to distinct lives."""
    with tempfile.TemporaryDirectory() as folder:
        engine = DuckDBEngine(memory="4GB", folder=Path(folder), threads=1)
        last = FIRST + dt.timedelta(days=365)
        came = (365 - age).astype(np.int64)
        whose = np.concatenate([np.arange(len(age)), user])
        when = np.concatenate([came, came[user] + day])
        connection = engine.backend.con
        connection.register("rows_", {"u": whose, "d": when})
        connection.execute(
            f"CREATE TABLE orders AS SELECT 'u' || u AS user_id, DATE '{FIRST}' + d::INT AS day,"
            " 20::DECIMAL(18, 4) AS net FROM rows_"
        )
        orders = engine.backend.table("orders")
        lives = alike_lives(customer_lives(orders, last))
        query = engine.backend.compile(lives.aggregate(n=lives.count(), customers=lives.customers.sum()))
        print(f"{len(whose):,} orders in the engine, one thread")
        line("  from orders to distinct (x, t_x, T)", timed(lambda: connection.execute(query).fetchall(), rounds))
        line("  the same, fetched as records", timed(lambda: engine.rows(lives), rounds))
        engine.close()


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    print(f"{'seconds':<58}{'median':>9}{'min':>9}{'max':>9}{'x one':>9}   to reach")
    sample(asked.rounds)
    million(asked.customers, asked.rounds)


if __name__ == "__main__":
    main()
