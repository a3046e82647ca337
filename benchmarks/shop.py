"""Measure how fast the synthetic shop makes its deliveries, and in how much memory.

`make bench` prints figures beside what they are to reach. Each is measured in a process of its own, from the opening of
the shop (its vocabularies included) to the last batch of text; nothing is written.

- a year of the demo: events, then their order lines, as a run asks for them
- where that time goes: the days alone, then every table on top of days that are remembered
- a day alone: what it costs to live through the days before it
- `--large`: 100 million events with their orders (`--large USERS` for another size), some minutes
"""

from __future__ import annotations

import datetime as dt
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

ROUNDS = 5
FIRST_DAY = dt.date(2025, 1, 1)
ZONE = "Europe/Berlin"
EVENTS = 1_460_000
LARGE_USERS = 3_400_000


def opened(**given: Any) -> Any:
    """Open a shop that nobody has opened before."""
    from analytics_assets.project.shop import Shop
    from analytics_assets.sources.shop.delivery import Deliveries
    from analytics_assets.sources.shop.world import World

    return Deliveries(World(Shop(**given), FIRST_DAY, ZONE))


def rows_of(deliveries: Any, table: str, days: int) -> int:
    """Count the rows of a table as they go by."""
    from analytics_assets.lake.days import Days

    span = Days(FIRST_DAY, FIRST_DAY + dt.timedelta(days=days - 1))
    return sum(batch.num_rows for batch in deliveries.batches(table, span))


def year(users: int) -> dict[str, float]:
    """Deliver the events of a year, then their order lines; the demo's users where none are given."""
    large = {"users": users, "products": 5_000} if users else {}
    begun, worked = time.perf_counter(), time.process_time()
    deliveries = opened(size="demo", **large)
    events = rows_of(deliveries, "events", 365)
    between = time.perf_counter()
    lines = rows_of(deliveries, "order_lines", 365)
    ended = time.perf_counter()
    told = {"events": events, "lines": lines, "first": between - begun, "second": ended - between}
    return told | {"processor": time.process_time() - worked}


def tables() -> dict[str, float]:
    """Time the days of a demo year, then each table on top of them."""
    from analytics_assets.sources.shop.rows import ROWS

    begun = time.perf_counter()
    deliveries = opened(size="demo")
    times = {"open": time.perf_counter() - begun}
    begun = time.perf_counter()
    for number in range(365):
        deliveries.world.day(number)
    times["days"] = time.perf_counter() - begun
    for table in (*ROWS, "products", "campaigns"):
        begun = time.perf_counter()
        times[f"rows of {table}"] = rows_of(deliveries, table, 365)
        times[table] = time.perf_counter() - begun
    return times


def one_day(number: int) -> dict[str, float]:
    """Ask a shop that was just opened for one day."""
    deliveries = opened(size="demo")
    begun = time.perf_counter()
    deliveries.world.day(number)
    return {"seconds": time.perf_counter() - begun}


KINDS: dict[str, Callable[[int], dict[str, float]]] = {
    "year": year,
    "tables": lambda _: tables(),
    "day": one_day,
}


def measured(kind: str, argument: int = 0) -> dict[str, float]:
    """Run one kind in a fresh process."""
    answer = subprocess.run(
        [sys.executable, __file__, kind, str(argument)], check=True, capture_output=True, text=True
    ).stdout.splitlines()[-1]
    return dict(json.loads(answer))


def line(name: str, figures: Iterable[float], most: float | None = None, goal: str = "") -> None:
    """Print a figure, and whether it is what it should be."""
    known = list(figures)
    shown = (statistics.median(known), min(known), max(known))
    verdict = "" if most is None else f"{goal}: {'reached' if shown[0] <= most else 'NOT REACHED'}"
    print(f"{name:<52}" + "".join(f"{figure:>9.2f}" for figure in shown) + f"   {verdict}".rstrip())


def large(users: int) -> None:
    """Print what a year of so many users costs."""
    told = measured("year", users)
    print(f"a year of {users:,} users: {told['events']:,.0f} rows of events, {told['lines']:,.0f} order lines")
    line("events of it, million", [told["events"] / 1e6])
    line("seconds for the events", [told["first"]])
    line("seconds for the order lines, days lived again", [told["second"]])
    line("million events a second", [told["events"] / told["first"] / 1e6])
    line("peak memory, GB", [told["peak"] / 1e9], 2, "below 2")


def main() -> None:
    """Print the figures."""
    years = [measured("year") for _ in range(ROUNDS)]
    print(f"a year of the demo: {years[0]['events']:,.0f} rows of events, {years[0]['lines']:,.0f} order lines")
    print(f"{'':<52}{'median':>9}{'min':>9}{'max':>9}   to reach")
    scaled = [(told["first"] + told["second"]) * EVENTS / told["events"] for told in years]
    line("seconds for 1.46 million events with their orders", scaled, 2.5, "at most 2.5")
    line("  processor seconds of it, on two cores", [told["processor"] * EVENTS / told["events"] for told in years])
    line("peak memory, MB", [told["peak"] / 1e6 for told in years], 600, "at most 600")
    rounds = [measured("tables") for _ in range(ROUNDS)]
    print("seconds, of it:")
    line("  opening: products, names, streets", [told["open"] for told in rounds])
    line("  the days: who comes, buys, returns", [told["days"] for told in rounds])
    for name in rounds[0]:
        if f"rows of {name}" in rounds[0]:
            rows = rounds[0][f"rows of {name}"]
            line(f"  {name}, {rows:,.0f} rows", [told[name] for told in rounds])
    print("a day alone, in a shop that was just opened:")
    for number in (0, 90, 364):
        seconds = [measured("day", number)["seconds"] for _ in range(3)]
        line(f"  day {number}, milliseconds a day lived through", [1000 * s / (number + 1) for s in seconds])


if __name__ == "__main__":
    if sys.argv[1:2] == ["--large"]:
        large(int(sys.argv[2]) if len(sys.argv) > 2 else LARGE_USERS)
    elif len(sys.argv) > 2:
        opened(size="tiny", seed=2)  # imports are not what is measured
        answer = KINDS[sys.argv[1]](int(sys.argv[2]))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(json.dumps(answer | {"peak": peak}))
    else:
        main()
