"""Measure the moments of an experiment, with CUPED, against a hand-written pass of SQL and tea-tasting, in one run.

It prints ratios; machines differ and are noisy, ratios hold. It makes its own data: users in two variants
with ten metrics, a number after and one before exposure each, in one table in memory. Give `--users N` for fewer.

What is compared is CPU time, so that nothing that runs beside it counts, in turn within each round, and the median over
the rounds is judged. By hand is one SELECT of count, sums, squares and products about shifts that are written into it:
what a careful analyst would write. tea-tasting is needed for this only, and its part is left out where it is absent:

    pip install --no-deps --target ./tea tea-tasting narwhals
    PYTHONPATH=./tea python benchmarks/experiments.py
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from analytics_assets.analysis.moments import near, wide_moments
from analytics_assets.lake.duckdb import DuckDBEngine

METRICS = 10
BY_HAND, TEA = "by hand", "tea-tasting"
GOALS = {BY_HAND: 1.2, TEA: 0.4}
MAKE = """
CREATE TABLE users AS
SELECT
  number AS user_number, CASE WHEN hash(number, 0) % 2 = 0 THEN 'control' ELSE 'treatment' END AS variant, {columns}
FROM range({users}) AS numbers(number)
"""
MIDDLE = 50.0


def make(engine: DuckDBEngine, users: int, kind: str) -> None:
    """Make the users; what they do after has to do with what they did before."""
    columns = []
    for metric in range(METRICS):
        before = f"(hash(number, {metric}, 1) % 10000) / 100"
        columns.append(f"CAST({before} AS {kind}) AS before_{metric}")
        columns.append(f"CAST(({before} + (hash(number, {metric}, 2) % 10000) / 100) / 2 AS {kind}) AS after_{metric}")
    engine.backend.con.execute(MAKE.format(columns=", ".join(columns), users=users))


def by_hand() -> str:
    """Write the one pass."""
    apart, sums = [], []
    for metric in range(METRICS):
        apart += [f"after_{metric} - {MIDDLE} AS y{metric}", f"before_{metric} - {MIDDLE} AS x{metric}"]
        sums += [f"sum(y{metric})", f"sum(x{metric})"]
        sums += [f"sum(y{metric} * y{metric})", f"sum(y{metric} * x{metric})", f"sum(x{metric} * x{metric})"]
    near = f"SELECT variant, {', '.join(apart)} FROM users"
    return f"SELECT variant, count(*), {', '.join(sums)} FROM ({near}) GROUP BY variant"


def ours(engine: DuckDBEngine) -> Callable[[], object]:
    """Return our pass, from the expression to collected cells; the shifts are asked before, of the first rows."""
    metrics = {f"m{metric}": {"value": f"after_{metric}", "pre_value": f"before_{metric}"} for metric in range(METRICS)}
    columns = [column for of in metrics.values() for column in of.values()]

    def work() -> object:
        users = engine.backend.table("users")
        shifts = engine.rows(near(users, columns))[0]
        return engine.rows(wide_moments(users, metrics, ["variant"], shifts))

    return work


def tea_tasting(engine: DuckDBEngine) -> Callable[[], object] | None:
    """Return tea-tasting's analysis of the same table, or nothing where it is not installed."""
    if importlib.util.find_spec("tea_tasting") is None:
        return None
    tea: Any = importlib.import_module("tea_tasting")
    metrics = {f"m{metric}": tea.Mean(f"after_{metric}", covariate=f"before_{metric}") for metric in range(METRICS)}
    experiment = tea.Experiment(metrics)
    return lambda: experiment.analyze(engine.backend.table("users"))


def timed(work: Callable[[], object]) -> float:
    """Time one run."""
    started = time.process_time()
    work()
    return time.process_time() - started


def main() -> None:
    """Print the ratios."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--users", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--kind", choices=("DOUBLE", "INTEGER"), default="DOUBLE")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        engine = DuckDBEngine(memory="8GB", threads=asked.threads, folder=Path(folder))
        make(engine, asked.users, asked.kind)
        query = by_hand()
        rows: dict[str, Callable[[], object]] = {
            "moments": ours(engine),
            BY_HAND: lambda: engine.backend.con.execute(query).fetchall(),
        }
        if (other := tea_tasting(engine)) is not None:
            rows[TEA] = other
        seconds: dict[str, list[float]] = {name: [] for name in rows}
        for work in rows.values():
            work()
        for _ in range(asked.rounds):
            for name, work in rows.items():
                seconds[name].append(timed(work))
        engine.close()
    print(f"{asked.users:,} users x {METRICS} metrics ({asked.kind}) with CUPED; CPU time")
    for name, found in seconds.items():
        print(f"{name:<14}{statistics.median(found):>8.2f} s")
    for name, goal in GOALS.items():
        if name not in seconds:
            print(f"moments / {name}: {name} is not installed")
            continue
        ratios = [one / two for one, two in zip(seconds["moments"], seconds[name], strict=True)]
        ratio = statistics.median(ratios)
        verdict = "reached" if ratio <= goal else "NOT reached"
        print(
            f"moments / {name:<12}{ratio:>6.2f} ({min(ratios):.2f} to {max(ratios):.2f})   at most {goal:g}: {verdict}"
        )


if __name__ == "__main__":
    main()
