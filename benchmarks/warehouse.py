"""Measure how long it takes to serve the demo from Postgres: all of it, and a day after histories of two lengths.

`make bench` prints figures beside what they are to reach: the whole demo in at most 20 s, a new day in at most 2 s
whatever the history. The Postgres is that of the tests, on the same machine: it shares the cores with the loader. The
histories are made first, which takes minutes; `--days 60` is quick.
"""

from __future__ import annotations

import argparse
import datetime as dt
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from daily import TIMES, opened

ROOT = Path(__file__).resolve().parents[1]
DAYS = 365
MOST_ALL = 20
MOST_DAY = 2


def served(lake: Any, contracts: Mapping[str, Any], url: str, schema: str) -> tuple[float, int, int]:
    """Publish, and return seconds, tables and rows."""
    from analytics_assets.outlets.warehouse import Target, publish
    from analytics_assets.postgres import Database

    target = Target(Database.read(url, "the server of the tests"), schema, "nobody_yet", "shop")
    started = time.perf_counter()
    done = publish(lake, contracts, target)
    return time.perf_counter() - started, len(done.loaded), sum(one.rows for one in done.loaded)


def measured(folder: str, days: int, url: str) -> None:
    """Make a history but for its last day, publish it, run the day, and publish that."""
    from analytics_assets.assets.catalog import resolve
    from analytics_assets.automation.jobs import weekly_tables
    from analytics_assets.automation.running import run
    from analytics_assets.automation.runtime import open_lake
    from analytics_assets.lake.days import Days

    project, settings = opened(folder, days)
    contracts = resolve(project).contracts()
    by_day = {name: it for name, it in contracts.items() if it.day or name.startswith("dim_")}
    weekly = weekly_tables(resolve(project))
    last = project.last_day
    ranges = {
        "all": (Days(project.first_day, last - dt.timedelta(days=1)), "not group:charts and not group:report"),
        "a day": (Days(last, last), " or ".join(name for name in contracts if name not in weekly)),
    }
    for what, (asked, chosen) in ranges.items():
        outcomes = run(project, settings, asked, select=chosen)
        assert all(outcome.success for outcome in outcomes), [outcome.failures for outcome in outcomes]
        for which, chosen_contracts in (("every table", contracts), ("facts and dimensions", by_day)):
            with open_lake(settings, project.name) as lake:
                seconds, tables, rows = served(lake, chosen_contracts, url, f"{which} of {days} days")
            limit = MOST_ALL if what == "all" else MOST_DAY
            print(
                f"{days} days, {what}, {which}: {seconds:.2f} s (to reach: {limit}), {tables} tables changed, "
                f"{rows:,} rows written",
                flush=True,
            )


def main() -> None:
    """Measure a history, and one of three times as many days."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--days", type=int, default=DAYS, help="days of the longer history")
    days = asked.parse_args().days
    sys.path.insert(0, str(ROOT))
    from analytics_assets_tests.postgres import server

    with server() as running:
        for length in (days // TIMES, days):
            with tempfile.TemporaryDirectory() as folder:
                measured(folder, length, running.url())


if __name__ == "__main__":
    main()
