"""Readers, a loader and a server that are killed at any moment, while one release after the other is served.

Belongs here: the storm, for a test of a few publications and a script of many
(`python -m analytics_assets_tests.outlets.storm 200`). Does not belong here: what is held to it.
"""

from __future__ import annotations

import datetime as dt
import itertools
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import dagster as dg
import psycopg2

from analytics_assets.automation.runtime import open_lake
from analytics_assets.lake.releases import latest_release
from analytics_assets.lake.restoring import restore
from analytics_assets_tests import deliveries
from analytics_assets_tests.conftest import Workshop, day
from analytics_assets_tests.outlets.serving import SELECTED, Served, fill
from analytics_assets_tests.postgres import FreshDatabase, PostgresServer, server
from analytics_assets_tests.processes import ROOT, until

MODULE = "analytics_assets_tests.outlets.storm"
READERS = 8
KILLED = ("loader", "backend of the loader", "backend of a reader", "server")
_TRIES = 20
SEEN = """
select (select release from analytics.release),
       (select count(*) || ' ' || coalesce(sum(net), 0) from analytics.fact_sales),
       (select count(*) || ' ' || coalesce(sum(net), 0) from analytics.order_value),
       (select count(*) || ' ' || coalesce(sum(net), 0) from analytics.vw_sales_overview),
       (select count(*) || ' ' || max(day) from analytics.fact_events),
       (select count(*) from analytics.dim_dates)
"""
"""One statement, and so one moment; the release, and figures that every release has others of."""


@dataclass
class Storm:
    """Hold what happened.

    Attributes:
        served: The lake and where it is served.
        random: Decides what is killed, and when.
        expected: The figures of each release.
        seen: How often each release was read.
        wrong: What was read and is of no release.
        kills: What was killed how often.
        broken: How often a reader lost its connection.
    """

    served: Served
    random: random.Random
    expected: dict[int, tuple[Any, ...]] = field(default_factory=dict)
    seen: Counter[int] = field(default_factory=Counter)
    wrong: list[tuple[Any, ...]] = field(default_factory=list)
    kills: Counter[str] = field(default_factory=Counter)
    broken: int = 0

    @property
    def server(self) -> PostgresServer:
        return self.served.database.server

    def rage(self, publications: int, *, killing: float = 0.4) -> None:
        """Publish so often, and kill something during so large a part of the publications."""
        over, struck = threading.Event(), itertools.cycle(KILLED)
        when = set(self.random.sample(range(publications), round(publications * killing)))
        readers = [threading.Thread(target=self._read, args=(over,)) for _ in range(READERS)]
        for reader in readers:
            reader.start()
        try:
            with _Loader(self.served) as loader:
                for number in range(publications):
                    release = self._new_release()
                    loader.begin()
                    if number in when:
                        self._kill(next(struck), loader, over)
                    tries = 0
                    while (answer := loader.answer()) != f"serves {release}":
                        tries += 1
                        assert tries < _TRIES, answer
                        loader.begin()
                    self._is_served(release)
        finally:
            over.set()
            for reader in readers:
                reader.join()

    def _new_release(self) -> int:
        """Make a release of one of those that were computed, whose figures are known."""
        known = [number for number in self.expected if number <= FIRST_RELEASES]
        with open_lake(self.served.workshop.settings, "workshop") as lake:
            shown = self.expected[latest_release(lake).number]
            other = self.random.choice([number for number in known if self.expected[number] != shown])
            _, release = restore(lake, other, "storm", dt.datetime.now(dt.UTC))
        self.expected[release.number] = self.expected[other]
        return release.number

    def _kill(self, what: str, loader: _Loader, over: threading.Event) -> None:
        over.wait(self.random.random() * 0.8)
        self.kills[what] += 1
        if what == "loader":
            loader.kill()
        elif what == "server":
            self.server.stop()
            self.server.start()
        else:
            name = "analytics_assets" if what == "backend of the loader" else "reader"
            with suppress(psycopg2.Error, ProcessLookupError, IndexError):
                os.kill(self.random.choice(self.server.backends(name)), signal.SIGKILL)

    def _read(self, over: threading.Event) -> None:
        while not over.is_set():
            with suppress(psycopg2.Error):
                url = self.served.database.url(self.served.reader)
                with closing(psycopg2.connect(url, application_name="reader")) as connection:
                    connection.autocommit = True
                    with connection.cursor() as cursor:
                        while not over.is_set():
                            cursor.execute(SEEN)
                            self._see(cursor.fetchone())
            self.broken += not over.is_set()

    def _see(self, row: tuple[Any, ...] | None) -> None:
        release, *figures = row or (None,)
        if self.expected.get(release) != tuple(figures):
            self.wrong.append((release, *figures))
        self.seen[release] += 1

    def _shown(self) -> list[Any]:
        """Return what is served; nothing while the server picks itself up after a kill."""
        with suppress(psycopg2.OperationalError):
            return self.served.ask(SEEN)
        return []

    def _is_served(self, release: int) -> None:
        ((number, *figures),) = until(self._shown, "a server that answers again")
        if (number, tuple(figures)) != (release, self.expected[release]):
            self.wrong.append((number, *figures))


FIRST_RELEASES = 4


@contextmanager
def prepared(workshop: Workshop, database: FreshDatabase, seed: int) -> Iterator[Storm]:
    """Compute four releases, each of a day more, and serve each once to learn its figures."""
    storm = Storm(Served(workshop, database, database.role("reader")), random.Random(seed))
    fill(workshop, days=2)
    for number in range(1, FIRST_RELEASES + 1):
        if number > 1:
            deliveries.deliver(workshop, number + 1)
            workshop.declare(last_day=day(deliveries.DAYS[number]))
            assert workshop.run(deliveries.DAYS[number]).succeeded
        storm.served.publish()
        assert storm.served.differences() == []
        ((release, *figures),) = storm.served.ask(SEEN)
        storm.expected[release] = tuple(figures)
    yield storm


class _Loader:
    """A process that publishes the newest release whenever it is told to; it is begun anew when it died."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def begin(self) -> None:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-m", MODULE, "loader"],
                env=self._served.workshop.environment
                | {
                    "ANALYTICS_WAREHOUSE_URL": self._served.database.url(),
                    "ANALYTICS_WAREHOUSE_READER": self._served.reader,
                    "PYTHONPATH": str(ROOT),
                },
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write("publish\n")
            self._process.stdin.flush()

    def answer(self) -> str:
        """Wait for what became of it; empty where the process died."""
        if self._process is None:
            return ""
        assert self._process.stdout is not None
        if not (line := self._process.stdout.readline()):
            self.kill()
        return line.strip()

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


def _load() -> None:
    """Publish at each line that comes in, and say which release is served then, or what failed."""
    from analytics_assets.assets.catalog import resolve
    from analytics_assets.automation.warehouse import warehouse_of
    from analytics_assets.outlets.warehouse import publish
    from analytics_assets.postgres import PostgresError
    from analytics_assets.project.loading import load_project
    from analytics_assets.settings import Settings

    settings = Settings()
    project = load_project(settings.project, {})
    target = warehouse_of(settings, project.name)
    assert target is not None
    for _ in sys.stdin:
        try:
            with open_lake(settings, project.name) as lake:
                done = publish(lake, resolve(project).contracts(), target)
            sys.stdout.write(f"serves {done.release}\n")
        except PostgresError as error:
            sys.stdout.write(f"{error}\n".replace("\n", " ").strip() + "\n")
        sys.stdout.flush()


def main(publications: int) -> None:
    """Let a storm rage over so many publications, and say what was seen."""
    started = time.monotonic()
    with server() as running, dg.DagsterInstance.ephemeral() as instance, tempfile.TemporaryDirectory() as folder:
        workshop = Workshop(Path(folder), instance, selects=SELECTED)
        with prepared(workshop, FreshDatabase(running), seed=publications) as storm:
            storm.rage(publications)
            same = not storm.served.differences()
    sys.stdout.write(
        f"{publications} publications, {sum(storm.seen.values()):,} readings of {len(storm.seen)} releases, "
        f"{len(storm.wrong)} of them wrong; killed: {dict(storm.kills)}; {storm.broken} connections of readers lost; "
        f"tables {'as' if same else 'NOT as'} in the lake; {time.monotonic() - started:.0f} s\n"
    )
    sys.exit(bool(storm.wrong) or not same)


if __name__ == "__main__":
    _load() if sys.argv[1] == "loader" else main(int(sys.argv[1]))
