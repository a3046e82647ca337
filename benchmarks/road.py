"""Measure the road from files to star schema on Online Retail against a script written by hand, in one run.

`make bench` prints ratios; machines differ and are noisy, ratios hold. Needs the data of examples/online_retail.

What is measured, each in a process of its own, the two in turn:
- ours: the whole project, 374 days in one run, with engine time (inside queries and writes) and peak memory
- by hand: `handwritten_road.sql`, which writes the same raw, staged and star tables without audits or history
- the import of the code location against the import of Dagster alone
- one day of Vanguard run again with 1 and with 17 days in the lake
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
EXAMPLES = HERE.parent / "examples"
SHARED = Path(os.environ.get("ANALYTICS_SHARED", HERE.parent.parent / "shared"))
ROUNDS = 3


def ours(folder: str) -> dict[str, float]:
    """Run the whole project, as the command line does."""
    import datetime as dt

    from analytics_assets.automation.running import run
    from analytics_assets.lake.days import Days
    from analytics_assets.project.loading import load_project
    from analytics_assets.settings import Settings

    settings = Settings(dagster_home=Path(folder) / ".dagster_home")
    project = load_project(EXAMPLES / "online_retail", os.environ | {"ANALYTICS_SHARED": str(SHARED)})
    (outcome,) = run(project, settings, Days(project.first_day, project.last_day or dt.date.max))
    assert outcome.success, outcome.failures
    return {"wall": outcome.seconds, "engine": sum(report.engine_seconds for report in outcome.reports)}


def by_hand(folder: str) -> dict[str, float]:
    """Run the script statement by statement."""
    import duckdb

    script = (HERE / "handwritten_road.sql").read_text()
    script = script.replace("$source", str(SHARED / "data/online_retail/online_retail.parquet")).replace(
        "$root", folder
    )
    connection = duckdb.connect(config={"temp_directory": folder})
    started = time.perf_counter()
    connection.execute(script)
    return {"wall": time.perf_counter() - started, "engine": time.perf_counter() - started}


def one_day(folder: str, days: int) -> dict[str, float]:
    """Run Vanguard's last day again, with so many days in the lake."""
    import datetime as dt

    from analytics_assets.automation.running import run
    from analytics_assets.lake.days import Days
    from analytics_assets.project.loading import load_project
    from analytics_assets.settings import Settings

    settings = Settings(dagster_home=Path(folder) / ".dagster_home")
    project = load_project(EXAMPLES / "vanguard", os.environ | {"ANALYTICS_SHARED": str(SHARED)})
    last = project.last_day or dt.date.max
    run(project, settings, Days(last - dt.timedelta(days=days - 1), last))
    times = [run(project, settings, Days(last, last))[0] for _ in range(3)]
    assert all(outcome.success for outcome in times)
    return {
        "wall": statistics.median(outcome.seconds for outcome in times),
        "engine": statistics.median(sum(r.engine_seconds for r in outcome.reports) for outcome in times),
    }


def importing(modules: str) -> float:
    """Time the import of modules in a fresh process."""
    program = f"import time; t = time.perf_counter(); import {modules}; print(time.perf_counter() - t)"
    environment = os.environ | {"ANALYTICS_PROJECT": str(EXAMPLES / "starter")}
    process = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, env=environment
    )
    return float(process.stdout)


KINDS: dict[str, Callable[[str], dict[str, float]]] = {
    "ours": ours,
    "by_hand": by_hand,
    "day_of_1": lambda folder: one_day(folder, 1),
    "day_of_17": lambda folder: one_day(folder, 17),
}


def measured(kind: str) -> dict[str, float]:
    """Run one kind in a fresh process and folder."""
    with tempfile.TemporaryDirectory() as folder:
        answer = subprocess.run(
            [sys.executable, __file__, kind, folder], check=True, capture_output=True, text=True
        ).stdout.splitlines()[-1]
    return dict(json.loads(answer))


def main() -> None:
    """Print the ratios."""
    rounds: dict[str, list[dict[str, float]]] = {kind: [] for kind in KINDS}
    for _ in range(ROUNDS):
        for kind, runs in rounds.items():
            runs.append(measured(kind))
    pairs = list(zip(rounds["ours"], rounds["by_hand"], strict=True))
    engine = [a["engine"] / b["engine"] for a, b in pairs]
    share = [1 - a["engine"] / a["wall"] for a, _ in pairs]
    imports = [importing("analytics_assets.definitions") / importing("dagster") for _ in range(5)]
    loads = [importing("analytics_assets.definitions as d; d.defs()") / importing("dagster") for _ in range(5)]
    days = [a["wall"] / b["wall"] for a, b in zip(rounds["day_of_17"], rounds["day_of_1"], strict=True)]
    peaks = [a["peak"] / 1e9 for a, _ in pairs]
    lines = [
        ("engine time, ours to by hand", engine, "at most 2"),
        ("orchestration, share of wall time", share, "below 0.5"),
        ("peak memory, GB", peaks, "below 1"),
        ("import of the code location, to dagster's", imports, "at most 1.5"),
        ("the same with its definitions built", loads, ""),
        ("one day again, 17 days in the lake to 1", days, "at most 1.2"),
    ]
    print(f"{'':<44}{'median':>8}{'min':>8}{'max':>8}   to reach")
    for name, figures, goal in lines:
        shown = (statistics.median(figures), min(figures), max(figures))
        print(f"{name:<44}" + "".join(f"{figure:>8.2f}" for figure in shown) + f"   {goal}")
    a, b = pairs[-1]
    print(f"last round: ours {a['wall']:.1f} s, of it {a['engine']:.1f} s in the engine; by hand {b['engine']:.1f} s")


if __name__ == "__main__":
    if len(sys.argv) > 2:
        answer = KINDS[sys.argv[1]](sys.argv[2])
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(json.dumps(answer | {"peak": peak}))
    else:
        main()
