"""Measure the statistics of 1,000 segments x 20 metrics, from moments: at most a second of CPU time.

The functions take one segment at a time: plain numbers in, a record out that says what it could not compute. That is
quick enough, so there is no second, vectorised form to keep equal. Each row is one of the methods that a table of
segments can show; the goal is for the first three together, which is what it shows.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np

from analytics_assets.statistics.adjustment import cuped, lin
from analytics_assets.statistics.bayes import posterior
from analytics_assets.statistics.effects import difference, lift
from analytics_assets.statistics.means import means, ratios
from analytics_assets.statistics.moments import Moments
from analytics_assets.statistics.sequential import always_valid

SEGMENTS, METRICS, GOAL = 1000, 20, 1.0


def pairs(rng: np.random.Generator, units: int = 50) -> list[tuple[Moments, Moments]]:
    """Make the moments of every segment and metric, of an outcome and a covariate."""
    made = []
    for _ in range(SEGMENTS * METRICS):
        arms = []
        for _ in range(2):
            x = rng.gamma(2.0, 1.0, units)
            arms.append(Moments.of(x + rng.exponential(1.0, units), x))
        made.append((arms[0], arms[1]))
    return made


def seconds(run: Callable[[Moments, Moments], object], over: list[tuple[Moments, Moments]], rounds: int) -> float:
    """Give the smallest CPU time of some rounds."""
    taken = []
    for _ in range(rounds):
        begun = time.process_time()
        for control, treatment in over:
            run(control, treatment)
        taken.append(time.process_time() - begun)
    return min(taken)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    over = pairs(np.random.default_rng(1))
    first, second = over[0]
    sums = [5.0, 6.0], [[9.0, 1.0], [1.0, 9.0]]
    methods: dict[str, Callable[[Moments, Moments], object]] = {
        "moments from sums, both arms": lambda *_: (Moments.from_sums(50, *sums), Moments.from_sums(50, *sums)),
        "difference": lambda a, b: difference(means(a, b)),
        "lift": lambda a, b: lift(means(a, b)),
        "CUPED, difference": lambda a, b: difference(cuped(a, b)),
        "ratio, lift": lambda a, b: lift(ratios(a, b)),
        "lift, Fieller": lambda a, b: lift(means(a, b), method="fieller"),
        "always-valid difference": lambda a, b: always_valid(difference(means(a, b))),
        "posterior": lambda a, b: posterior(difference(means(a, b))),
        "regression adjustment": lin,
    }
    for run in methods.values():
        run(first, second)
    total = 0.0
    for place, (name, run) in enumerate(methods.items()):
        taken = seconds(run, over, rounds)
        total += taken if place < 3 else 0.0
        print(f"{name:32} {taken:6.2f} s   {1e6 * taken / len(over):5.1f} us each")
    verdict = "reached" if total <= GOAL else "MISSED"
    print(f"{'the first three together':32} {total:6.2f} s   goal {GOAL} s: {verdict}")


if __name__ == "__main__":
    main()
