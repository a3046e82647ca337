"""Thirty mornings with faults end in the tables of thirty without, with every fault on record and told once."""

from __future__ import annotations

import datetime as dt
import random
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import pytest
import yaml

from analytics_assets.assets.catalog import resolve
from analytics_assets.automation.alert_sensor import Tick
from analytics_assets.automation.jobs import DAILY, days_of, missing_days
from analytics_assets.automation.running import prepare_history, run
from analytics_assets.automation.runtime import open_lake
from analytics_assets.automation.sensors import bury_dead_runs
from analytics_assets.definitions import build_definitions
from analytics_assets.lake.days import Days
from analytics_assets.lake.lock import RUNS, clear_dead_runs
from analytics_assets.lake.releases import latest_release
from analytics_assets_tests.conftest import ORDERS, Workshop, on_history, orders
from analytics_assets_tests.processes import until
from analytics_assets_tests.receivers import HttpReceiver

ZONE = ZoneInfo("Europe/Berlin")  # the clock changes on the last day of this month
MONTH = Days(dt.date(2024, 3, 2), dt.date(2024, 3, 31))
KILLED, BAD, LATE, FULL, TWICE = "killed", "bad file", "late file", "full disk", "run twice"
FAULTS = (KILLED, BAD, LATE, FULL, TWICE)
SIZE = "64m"
LOOKS = ((6, 20), (6, 21), (9, 30), (23, 0))
"""When the sensor of alerts looks: after the run, again, after the deadline, and late."""


def text(day: dt.date) -> str:
    """Return the file of a day: its own rows, and one of the day before that comes late."""
    before = day - dt.timedelta(days=1)
    sold = [f"o{day:%d}{n},1,u{(n + day.day) % 7},p{n},{day} 1{n}:00:00,{n + 1},9.99" for n in range(4)]
    sold.append(f"late{day:%d},1,u1,p1,{before} 23:30:00,1,5.00")
    return orders(*sold)


@dataclass
class Month:
    """Live through mornings: files come or do not, the schedule asks, runs end or are killed, people are told."""

    workshop: Workshop
    receiver: HttpReceiver
    chance: random.Random
    happened: list[tuple[dt.date, str]] = field(default_factory=list)
    accepted: list[dict[str, Any]] = field(default_factory=list)
    heard: int = 0

    def __post_init__(self) -> None:
        project = self.workshop.project
        self.graph = resolve(project)
        by_day = [c.table for c in self.graph.contracts().values() if c.day]
        self.select = " or ".join(f"+{name}" for name in by_day)

    def deliver(self, day: dt.date, fault: str = "") -> None:
        if fault != LATE:
            told = text(day).replace("quantity", "pieces") if fault == BAD else text(day)
            self.workshop.deliver(f"orders_{day}.csv", told)

    def morning(self, today: dt.date, fault: str) -> None:
        """Let the schedule ask at six, and do what it asks; the fault strikes the newest day."""
        yesterday = today - dt.timedelta(days=1)
        for ranges in self.asked(dt.datetime.combine(today, dt.time(6), ZONE)):
            if yesterday in ranges and fault in {KILLED, TWICE}:
                self.in_processes(ranges, fault)
            elif yesterday in ranges and fault == FULL:
                with filled(self.workshop.lake):
                    self.run(ranges)
                self.happened.append((yesterday, fault))
            else:
                self.run(ranges)
                if yesterday in ranges and fault:
                    self.happened.append((yesterday, fault))
        bury_dead_runs(self.workshop.instance, self.workshop.settings, self.workshop.project)
        clear_dead_runs(str(self.workshop.lake))

    def asked(self, at: dt.datetime) -> list[Days]:
        schedule = build_definitions(self.workshop.project, self.workshop.settings).resolve_schedule_def(DAILY)
        context = on_history(dg.build_schedule_context(scheduled_execution_time=at), self.workshop.instance)
        found = [days_of(request.tags) for request in schedule.evaluate_tick(context).run_requests or ()]
        return [days for days in found if days is not None]

    def run(self, days: Days) -> None:
        """Run days of delivery; the schedule has widened them by what may come late already."""
        delivered = Days(min(days.first + dt.timedelta(days=1), days.last), days.last)
        project, settings = self.workshop.project, self.workshop.settings
        run(project, settings, delivered, select=self.select, instance=self.workshop.instance)

    def in_processes(self, days: Days, fault: str) -> None:
        """Run the newest day in a process that is killed, or in two at once."""
        command = ["run", "--from", str(days.last), "--to", str(days.last), "--select", self.select]
        processes = [self.workshop.command(*command) for _ in range(2 if fault == TWICE else 1)]
        if fault == KILLED:
            (process,) = processes
            marks = self.workshop.lake / RUNS
            until(lambda: process.poll() is not None or (marks.is_dir() and any(marks.iterdir())), "the begin of a run")
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=self.chance.random())
            process.kill()
        for process in processes:
            process.communicate(timeout=600)
        # a process that was killed after its run had ended was killed too late
        if bury_dead_runs(self.workshop.instance, self.workshop.settings, self.workshop.project) or fault == TWICE:
            self.happened.append((days.last, fault))

    def tell(self, today: dt.date, *, deaf: bool = False, looks: Sequence[tuple[int, int]] = LOOKS) -> None:
        """Let the sensor of alerts look a few times on a day; in the morning the webhook may not answer."""
        project = self.workshop.project
        for hour, minute in looks:
            self.receiver.behaves = 503 if deaf and hour == 6 else 200
            now = dt.datetime.combine(today, dt.time(hour, minute), ZONE)
            Tick(self.workshop.instance, self.graph, project, self.workshop.settings, clock=lambda: now).run()  # noqa: B023
            new, self.heard = self.receiver.got[self.heard :], len(self.receiver.got)
            if self.receiver.behaves == 200:
                self.accepted += [posted.document for posted in new]


@contextmanager
def filled(folder: Path) -> Iterator[None]:
    """Fill the disk of a folder to the last byte, for a while."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    try:
        yield
    finally:
        filler.unlink()


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[Path]:
    """Give a folder on a small disk of its own."""
    folder = tmp_path / "small_disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("needs the right to mount a small disk, to fill it")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def declare(workshop: Workshop) -> None:
    workshop.declare(first_day=MONTH.first, last_day=None, time_zone="Europe/Berlin")
    workshop.source("orders", ORDERS, path="data/orders_{day}.csv", lateness=1)
    alerts = {
        "channels": {"pager": {"type": "webhook", "url_env": "MONTH_PAGER_URL"}},
        "routes": [{"to": ["pager"], "severity": "error"}],
    }
    (workshop.home / "alerts.yaml").write_text(yaml.safe_dump(alerts))


def by_day_fingerprints(workshop: Workshop) -> dict[str, str]:
    contracts = resolve(workshop.project).contracts()
    with open_lake(workshop.settings, "workshop") as lake:
        versions = latest_release(lake).versions
        return {name: lake.fingerprint(contracts[name], version) for name, version in versions.items()}


@pytest.mark.slow
def test_thirty_mornings_with_faults(tmp_path: Path, lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seed = random.randrange(10_000)
    chance = random.Random(seed)
    receiver = HttpReceiver()
    monkeypatch.setenv("MONTH_PAGER_URL", receiver.url)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "faulty" / "history"))
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "1000")
    faults = [*FAULTS, *chance.choices(FAULTS, k=4)]
    days = sorted(chance.sample(list(MONTH)[:-1], len(faults)))
    struck = dict(zip(days, chance.sample(faults, len(faults)), strict=True))

    (tmp_path / "faulty").mkdir()
    workshop = Workshop(tmp_path / "faulty", dg.DagsterInstance.ephemeral(), lake=lake)
    workshop.lake = lake / "lake"
    workshop.lake.mkdir()
    declare(workshop)
    prepare_history(workshop.settings.model_copy(update={"dagster_home": tmp_path / "faulty" / "history"}))
    with dg.DagsterInstance.get() as instance:
        workshop.instance = instance
        month = Month(workshop, receiver, chance)
        for day in MONTH:
            fault = struck.get(day, "")
            month.deliver(day, fault)
            today = day + dt.timedelta(days=1)
            month.morning(today, fault)
            month.tell(today, deaf=fault in {BAD, KILLED})
            month.deliver(day)  # whoever delivers has mended it since
        month.morning(MONTH.last + dt.timedelta(days=1), "")  # what the last fault left is made good
        month.tell(MONTH.last + dt.timedelta(days=2), looks=LOOKS[:2])
        with open_lake(workshop.settings, "workshop") as opened:
            release = latest_release(opened)
            contracts = resolve(workshop.project).contracts().values()
            assert not missing_days(workshop.project, contracts, release, MONTH.last), (seed, struck)
        runs = [(days_of(found.tags), found.status.value) for found in instance.get_runs()]
        ended = Counter((of.last, status) for of, status in runs if of)
    with dg.DagsterInstance.ephemeral() as instance:
        whole = Workshop(tmp_path / "whole", instance)
        declare(whole)
        for day in MONTH:
            whole.deliver(f"orders_{day}.csv", text(day))
        whole.selects = month.select
        assert whole.run(str(MONTH.first), str(MONTH.last)).succeeded
        assert by_day_fingerprints(workshop) == by_day_fingerprints(whole), (seed, struck)
    assert len(month.happened) >= len(struck) - 2, (
        seed,
        struck,
        month.happened,
    )  # a process may end before it is killed
    for day, fault in month.happened:
        assert fault == TWICE or ended[day, "FAILURE"], (seed, day, fault, ended)
    assert max(Counter(document["id"] for document in month.accepted).values()) == 1, "no message comes twice"
    told = Counter((document["change"], document["problem"]) for document in month.accepted)
    opened = {problem: count for (change, problem), count in told.items() if change == "opened"}
    assert opened == {problem: count for (change, problem), count in told.items() if change == "recovered"}, (
        seed,
        told,
    )
    failed_days = {day for day, fault in month.happened if fault != TWICE}
    assert {day for day in failed_days if any(str(day) in problem for problem in opened)} == failed_days, (seed, opened)
    receiver.close()
