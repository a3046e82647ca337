"""Measure one daily run of the demo after a history, and after one of three times as many days.

`make bench` prints figures beside what they are to reach: a run in process, at most 15 s; and what of it is kept by
day, at most 1.2 times as long after three times the history.

The histories are made first, in one run each, in processes of their own: with the default days that takes minutes.
`--days 30` is quick. The shop lives through all days before a day (`benchmarks/shop.py`): what that takes grows with
the history, is the generator's and not the graph's, and is shown apart and left out of the rows by day.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

DAYS = 365
TIMES = 3
MOST_SECONDS = 15
MOST_RATIO = 1.2


def opened(folder: str, days: int) -> tuple[Any, Any]:
    """Open the demo as if its last day were so many days after its first."""
    from analytics_assets.project.loading import load_project
    from analytics_assets.settings import Settings

    settings = Settings(dagster_home=Path(folder) / ".dagster_home", lake=f"{folder}/lake", exports=f"{folder}/exports")
    project = load_project(settings.project, {})
    last = project.first_day + dt.timedelta(days=days - 1)
    return project.model_copy(update={"last_day": last}), settings


def history(folder: str, days: int) -> dict[str, float]:
    """Make the history in one run."""
    from analytics_assets.automation.running import run
    from analytics_assets.lake.days import Days

    project, settings = opened(folder, days)
    outcomes = run(project, settings, Days(project.first_day, project.last_day))
    assert all(outcome.success for outcome in outcomes), [outcome.failures for outcome in outcomes]
    return {"wall": sum(outcome.seconds for outcome in outcomes)}


def daily(folder: str, days: int) -> dict[str, float]:
    """Run the last day again, as the schedule asks: with the days whose rows may come late, without weekly tables."""
    import analytics_assets.definitions  # noqa: F401 - imports are no part of the run
    from analytics_assets.assets.catalog import resolve
    from analytics_assets.automation.jobs import weekly_tables
    from analytics_assets.automation.running import run
    from analytics_assets.lake.days import Days
    from analytics_assets.sources.shop.world import World

    lived = 0.0
    live = World._live  # noqa: SLF001

    def timed(world: World, number: int) -> Any:
        nonlocal lived
        started = time.perf_counter()
        day = live(world, number)
        lived += time.perf_counter() - started
        return day

    World._live = timed  # type: ignore[method-assign]  # noqa: SLF001
    project, settings = opened(folder, days)
    graph = resolve(project)
    every_day = [name for name in graph.contracts() if name not in weekly_tables(graph)]
    chosen = " or ".join([*every_day, "group:charts", "group:report"])
    started, worked = time.perf_counter(), time.process_time()
    outcomes = run(project, settings, Days(project.last_day, project.last_day), select=chosen)
    wall, processor = time.perf_counter() - started, time.process_time() - worked
    assert all(outcome.success for outcome in outcomes), [outcome.failures for outcome in outcomes]
    by_day = {name for name, contract in resolve(project).contracts().items() if contract.day}
    # what the facts tell; the sums over all days, kept by day or not, are marts
    by_day = {name for name in by_day if name.startswith(("raw_", "staged_", "fact_"))}
    reports = [report for outcome in outcomes for report in outcome.reports]
    return {
        "wall": wall,
        "processor": processor,
        "tables": sum(report.seconds for report in reports),
        "by day": sum(report.seconds for report in reports if report.table in by_day),
        "shop": lived,
        "steps": len(reports),
    }


def measured(kind: str, folder: str, days: int) -> dict[str, float]:
    """Run one kind in a fresh process."""
    command = [sys.executable, __file__, "--kind", kind, "--folder", folder, "--days", str(days)]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1]
    return dict(json.loads(answer))


def main(days: int) -> None:
    """Print the figures."""
    print(f"{'':<52}{days:>8} days{days * TIMES:>8} days   ratio   to reach")
    told = []
    for span in (days, days * TIMES):
        with tempfile.TemporaryDirectory(prefix="analytics_assets_") as folder:
            made = measured("history", folder, span)
            told.append({"history": made["wall"]} | measured("daily", folder, span))
    few, many = told

    def line(name: str, key: str, goal: str = "", *, reached: bool | None = None) -> None:
        verdict = "" if reached is None else f"{goal}: {'reached' if reached else 'NOT REACHED'}"
        ratio = many[key] / few[key] if few[key] else float("nan")
        print(f"{name:<52}{few[key]:>13.2f}{many[key]:>13.2f}{ratio:>8.2f}   {verdict}".rstrip())

    line("seconds for the history, in one run", "history")
    line("seconds for one daily run", "wall", f"at most {MOST_SECONDS} s", reached=few["wall"] <= MOST_SECONDS)
    line("  processor seconds of it, on all cores", "processor")
    line("  in tables, the rest is Dagster's", "tables")
    ratio = many["by day"] / few["by day"]
    line("  in tables of rows by day", "by day", f"at most {MOST_RATIO} times", reached=ratio <= MOST_RATIO)
    line("the shop's living through the days before", "shop")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=DAYS, help="days of the shorter history")
    parser.add_argument("--kind", choices=["history", "daily"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.kind:
        print(json.dumps({"history": history, "daily": daily}[asked.kind](asked.folder, asked.days)))
    else:
        main(asked.days)
