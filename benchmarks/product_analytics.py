"""Measure the questions of a product team over 20 million events against a scan of three columns of them, in one run.

`make bench` prints ratios; machines differ and are noisy, ratios hold. It makes its own data: 700,000 users over 90
days in visits, one Parquet file a day. Two layouts: `clustered` by user and time inside a day, as the lake keeps facts,
and in the order of `time`, as they come. Give `--events N` for fewer of them.

What is compared is CPU time on one thread, so that nothing that runs beside it counts: with several threads, DuckDB's
client polls while another thread works, which looks like work. A row is reached when its median over the rounds is
within the goal, on the clustered layout; the time-ordered one is there to see what clustering is worth. For funnels and
sessions there are two forms: `kernel` is DuckDB's own (`lake.kernels`), `ibis` the one for any engine.
"""

from __future__ import annotations

import argparse
import datetime as dt
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from analytics_assets.analysis import funnel as funnels
from analytics_assets.analysis import sessions
from analytics_assets.analysis.actives import actives
from analytics_assets.analysis.funnel import Funnel, Step
from analytics_assets.analysis.periods import Period
from analytics_assets.analysis.retention import Retention, retention_cells
from analytics_assets.lake.duckdb import DuckDBEngine
from analytics_assets.lake.kernels import funnel as quick_funnels
from analytics_assets.lake.kernels import sessions as quick_sessions

if TYPE_CHECKING:
    from ibis.expr.types import Table

FIRST, DAYS = dt.date(2024, 1, 1), 90
LAST = FIRST + dt.timedelta(days=DAYS - 1)
TYPES = {
    "event_id": "string",
    "user_id": "string",
    "day": "date",
    "occurred_at": "timestamp('UTC', 6)",
    "event_type": "string",
}
LAYOUTS = {"clustered": "user_id, occurred_at, event_id", "time": "occurred_at"}
STEPS = ("product_view", "add_to_cart", "begin_checkout", "purchase")
FUNNEL = Funnel(tuple(Step(name, name) for name in STEPS), window=dt.timedelta(days=7))

# of four user-days one has two visits; 7.4 events a user-day; some users come far more often than others
MAKE_VISITS = """
CREATE TEMP TABLE visits AS
SELECT
  number * 2 + visit AS visit, (hash(number, 2) % {days})::INT AS day_number,
  floor({users} * power((hash(number, 1) % 1000003) / 1000003.0, 1.2))::BIGINT AS user_number,
  (hash(number, visit, 3) % 86400000000)::BIGINT AS begins_at,
  1 + floor(-ln(1 - (hash(number, visit, 4) % 1000003) / 1000004.0) * 5.4)::BIGINT AS events
FROM (
  SELECT number, unnest(CASE WHEN hash(number, 0) % 4 = 0 THEN [0, 1] ELSE [0] END) AS visit
  FROM range({user_days}) AS numbers(number)
)
"""
MAKE_EVENTS = """
CREATE TEMP TABLE made AS
SELECT
  'e' || (visit * 1000 + place)::VARCHAR AS event_id, 'u' || user_number AS user_id, DATE '{first}' + day_number AS day,
  TIMESTAMPTZ '{first} 00:00:00+00' + to_days(day_number) + to_microseconds(least(at_, 86399999999)) AS occurred_at,
  CASE
    WHEN chance < 45 THEN 'page_view' WHEN chance < 70 THEN 'product_view' WHEN chance < 78 THEN 'search'
    WHEN chance < 88 THEN 'add_to_cart' WHEN chance < 93 THEN 'begin_checkout' WHEN chance < 96 THEN 'purchase'
    ELSE 'feature_used'
  END AS event_type
FROM (
  SELECT
    *, hash(visit, place, 5) % 100 AS chance,
    (begins_at + sum((hash(visit, place, 6) % 120000000)::BIGINT) OVER so_far)::BIGINT AS at_
  FROM (SELECT *, unnest(range(events)) AS place FROM visits)
  WINDOW so_far AS (PARTITION BY visit ORDER BY place)
)
"""


def make_events(engine: DuckDBEngine, events: int, folder: Path) -> dict[str, Table]:
    """Make the events, and write them in each layout, a file a day."""
    connection = engine.backend.con
    users, user_days = events * 7 // 200, events * 10 // 74
    connection.execute(MAKE_VISITS.format(users=users, user_days=user_days, days=DAYS))
    connection.execute(MAKE_EVENTS.format(first=FIRST))
    for layout, order in LAYOUTS.items():
        ordered = f"FROM made ORDER BY day, {order}"
        connection.execute(
            f"COPY ({ordered}) TO '{folder / layout}' (FORMAT parquet, COMPRESSION zstd, PARTITION_BY (day))"
        )
    connection.execute("DROP TABLE made; DROP TABLE visits")
    files = {layout: sorted(map(str, (folder / layout).glob("*/*.parquet"))) for layout in LAYOUTS}
    return {layout: engine.table(layout, files[layout], TYPES, "day") for layout in LAYOUTS}


def depths(attempts: Table) -> Table:
    """Count units by the deepest step they reached."""
    units = funnels.chosen(attempts, FUNNEL)
    return units.group_by("deepest").aggregate(units=units.count())


def hub(events: Table) -> Table:
    """List who was there on which day."""
    return events.select("user_id", "day").distinct()


def weekly(events: Table) -> Table:
    """Count weekly cohorts."""
    return retention_cells(events, events, Retention(Period("week"), periods=13), FIRST, LAST)


ROWS: list[tuple[str, Callable[[Table], Table], float | None]] = [
    ("4-step funnel in 7 days, kernel", lambda events: depths(quick_funnels.attempts(events, FUNNEL)), 10),
    ("4-step funnel in 7 days, ibis", lambda events: depths(funnels.attempts(events, FUNNEL)), None),
    ("sessions, kernel", quick_sessions.session_spans, 8),
    ("sessions, ibis", sessions.session_spans, None),
    ("DAU, WAU and MAU, from events", lambda events: actives(events.select("user_id", "day"), FIRST, LAST), 6),
    ("weekly cohorts, from events", weekly, 5),
]
FROM_HUB: list[tuple[str, Callable[[Table], Table], float | None]] = [
    ("DAU, WAU and MAU, from user-days", lambda days: actives(days, FIRST, LAST), 6),
    ("weekly cohorts, from user-days", weekly, 5),
]


class Clock:
    """Time queries whose answers are summed up, so that every column of every row is computed and none is kept."""

    def __init__(self, engine: DuckDBEngine) -> None:
        self.engine = engine

    def scan(self, view: str) -> float:
        """Time the floor."""
        return self._timed(f"SELECT max(user_id), max(event_type), max(occurred_at) FROM {view}")

    def answer(self, expression: Table) -> float:
        """Time a table."""
        query = self.engine.backend.compile(expression)
        return self._timed(f"SELECT count(*), bit_xor(hash(answer)) FROM ({query}) AS answer")

    def _timed(self, query: str) -> float:
        started = time.process_time()
        self.engine.backend.con.execute(query).fetchall()
        return time.process_time() - started


def main() -> None:
    """Print the ratios."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--events", type=int, default=20_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        engine = DuckDBEngine(memory="8GB", folder=Path(folder))
        tables = make_events(engine, asked.events, Path(folder))
        engine.backend.con.execute("SET threads = 1")
        engine.backend.con.execute(f"CREATE TEMP TABLE user_days AS {engine.backend.compile(hub(tables['clustered']))}")
        days = engine.backend.table("user_days")
        rows = engine.rows(tables["time"].aggregate(events=tables["time"].count()))[0]["events"]
        users = engine.rows(days.aggregate(users=days.user_id.nunique(), days=days.count()))[0]
        print(f"{rows:,} events, {users['users']:,} users, {users['days']:,} user-days; CPU time, one thread")
        measure(Clock(engine), tables, days, asked.rounds)
        engine.close()


def measure(clock: Clock, tables: dict[str, Table], days: Table, rounds: int) -> None:
    """Measure everything in turn, each time beside a scan of the same layout."""
    lines = [(name, layout, compute(tables[layout]), goal) for name, compute, goal in ROWS for layout in LAYOUTS]
    lines += [(name, "", compute(days), goal) for name, compute, goal in FROM_HUB]
    ratios: dict[tuple[str, str], list[float]] = {}
    floors: list[float] = []
    for _ in range(rounds):
        for name, layout, expression, _goal in lines:
            view = tables[layout or "clustered"].get_name()
            floor = min(clock.scan(view) for _ in range(2))
            floors.append(floor)
            ratios.setdefault((name, layout), []).append(clock.answer(expression) / floor)
    print(f"the scan of three columns: {statistics.median(floors):.2f} s; the rows below are ratios to it")
    print(f"{'':<46}{'median':>8}{'min':>8}{'max':>8}   to reach")
    for name, layout, _, goal in lines:
        found = ratios[name, layout]
        shown = (statistics.median(found), min(found), max(found))
        judged = ""
        if goal is not None:
            verdict = "reached" if shown[0] <= goal else "NOT reached"
            judged = f"at most {goal:g}" + (f": {verdict}" if layout != "time" else f" ({verdict})")
        title = f"{name}, {layout}" if layout else name
        print(f"{title:<46}" + "".join(f"{figure:>8.2f}" for figure in shown) + f"   {judged}")


if __name__ == "__main__":
    main()
