"""A vacuum takes what no remembered release shows, and nothing else, at whatever moment it is killed."""

from __future__ import annotations

import datetime as dt
import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from analytics_assets.contracts.model import Column, Contract
from analytics_assets.lake.days import Days, DaySet
from analytics_assets.lake.duckdb import DuckDBEngine
from analytics_assets.lake.engine import Engine
from analytics_assets.lake.errors import LakeError
from analytics_assets.lake.files import Files
from analytics_assets.lake.releases import Computed, all_releases, commit_release, latest_release
from analytics_assets.lake.tables import Lake
from analytics_assets.lake.vacuum import NEWEST_KEPT, Vacuumed, vacuum
from analytics_assets_tests.making import NOON, day, table

VISITS = Contract(
    table="visits",
    grain="one row a visit",
    columns=(
        Column("day", "date", "the day", nullable=False),
        Column("id", "string", "the visit", nullable=False),
        Column("release", "int64", "the release that it came with"),
    ),
    key=("id",),
    day="day",
    clustered_by=("id",),
)
TOTALS = replace(VISITS, table="totals", day=None)
CONTRACTS = {contract.table: contract for contract in (VISITS, TOTALS)}
ALL = Days(day(1), day(3))
MONTH = dt.timedelta(days=30)
YEAR = dt.timedelta(days=365)
AT_ONCE = dt.timedelta(seconds=-60)


@pytest.fixture
def lake(tmp_path: Path, engine: Engine) -> Lake:
    return Lake(str(tmp_path / "lake"), engine)


def release(lake: Lake, number: int, at: dt.datetime) -> None:
    """Release tables whose every row says the release."""
    rows = table(VISITS, *({"day": day(n), "id": f"{n}{key}", "release": number} for n in (1, 2, 3) for key in "ab"))
    written = {
        contract.table: Computed(
            lake.publish(lake.stage(contract, rows, ALL), "a run").version, ALL if contract.day else None
        )
        for contract in CONTRACTS.values()
    }
    commit_release(lake, f"run {number}", written, at)


def fill(lake: Lake, releases: int = 6) -> None:
    """Make a release every ten days, the last one now."""
    for number in range(1, releases + 1):
        release(lake, number, NOON - dt.timedelta(days=10 * (releases - number)))


def taken(lake: Lake, retention: dt.timedelta = dt.timedelta(), *, dry_run: bool = False) -> Vacuumed:
    return vacuum(lake, CONTRACTS, "vacuum", NOON, retention, dry_run=dry_run, grace=_old_enough())


def _old_enough() -> dt.timedelta:
    """Give the grace by which what was written just now is old, seen from the noon of these tests."""
    return NOON - dt.datetime.now(dt.UTC) + AT_ONCE


def seen(lake: Lake, number: int) -> dict[str, str]:
    """Return the content of a release, by table."""
    (wanted,) = (found for found in all_releases(lake) if found.number == number)
    return {name: lake.fingerprint(CONTRACTS[name], version) for name, version in wanted.versions.items()}


def stored(lake: Lake) -> list[Path]:
    return sorted(path for path in Path(lake.root).rglob("*.parquet") if "_delta_log" not in path.parts)


@pytest.mark.slow
def test_releases_are_remembered_for_as_long_as_it_was_asked(lake: Lake) -> None:
    fill(lake)
    before = {number: seen(lake, number) for number in (3, 4, 5, 6)}
    done = taken(lake, MONTH)
    assert [r.number for r in done.forgotten] == [1, 2]
    assert [r.number for r in all_releases(lake)] == [3, 4, 5, 6]
    assert {number: seen(lake, number) for number in (3, 4, 5, 6)} == before


@pytest.mark.slow
def test_the_newest_releases_are_kept_however_old_they_are(lake: Lake) -> None:
    fill(lake)
    taken(lake)
    assert [r.number for r in all_releases(lake)] == [4, 5, 6]
    assert len(all_releases(lake)) == NEWEST_KEPT


@pytest.mark.slow
def test_what_is_said_to_be_removed_is_what_is_gone(lake: Lake) -> None:
    fill(lake)
    before = stored(lake)
    sizes = {path: path.stat().st_size for path in before}
    planned = taken(lake, dry_run=True)
    assert stored(lake) == before
    assert [r.number for r in all_releases(lake)] == [1, 2, 3, 4, 5, 6]
    done = taken(lake)
    gone = set(before) - set(stored(lake))
    for name in CONTRACTS:
        files = [path for path in gone if name in path.parts]
        assert (done.removed[name].files, done.removed[name].bytes) == (len(files), sum(sizes[path] for path in files))
        assert done.removed[name].files == planned.removed[name].files
    assert done.removed["visits"].files == 9
    assert done.removed["totals"].files == 3


@pytest.mark.slow
def test_a_second_vacuum_finds_nothing(lake: Lake) -> None:
    fill(lake)
    taken(lake)
    taken(lake)  # now the entries before the checkpoint of the first one
    done = taken(lake)
    assert not done.forgotten
    assert not sum(gone.files for gone in done.removed.values())


def test_files_that_were_never_committed_go_when_they_are_old(lake: Lake) -> None:
    fill(lake, 3)
    staged = lake.stage(VISITS, table(VISITS, {"day": day(9), "id": "x"}), Days(day(9), day(9)))
    (file,) = (Path(written.path) for written in staged.files)
    assert not taken_after_a_day(lake).removed
    assert file.exists()
    long_ago = dt.datetime.now(dt.UTC).timestamp() - 2 * 86_400
    os.utime(file, (long_ago, long_ago))
    done = taken_after_a_day(lake)
    assert (done.removed["visits"].files, done.removed["visits"].folders) == (1, 1)
    assert not file.exists()
    assert not file.parent.exists()


def taken_after_a_day(lake: Lake) -> Vacuumed:
    """Take away, today, what is older than a day."""
    return vacuum(lake, CONTRACTS, "vacuum", dt.datetime.now(dt.UTC), YEAR * 10)


@pytest.mark.slow
def test_the_log_is_shortened_as_far_as_kept_releases_allow(lake: Lake) -> None:
    fill(lake, 12)
    kept = {number: seen(lake, number) for number in (10, 11, 12)}
    taken(lake)
    done = taken(lake)  # the first one left a checkpoint, the second relies on it
    assert done.removed["visits"].entries == 10
    assert {number: seen(lake, number) for number in (10, 11, 12)} == kept
    with pytest.raises(LakeError, match="version 3 of table visits is gone"):
        lake.read(VISITS, version=3)
    release(lake, 13, NOON)
    assert [r.number for r in all_releases(lake)] == [10, 11, 12, 13]
    assert lake.undo("visits", latest_release(lake).versions["visits"] - 1)


@pytest.mark.slow
def test_a_table_that_left_the_release_is_emptied_even_when_its_first_version_is_gone(lake: Lake) -> None:
    fill(lake, 12)
    taken(lake)
    taken(lake)
    assert lake.undo("visits", None)
    assert lake.extent("visits").rows == 0
    assert not lake.undo("visits", None)


def in_pieces(lake: Lake) -> dict[str, str]:
    """Release days that have several files, and return the content."""
    fill(lake, 1)
    many = [
        lake.stage(VISITS, table(VISITS, {"day": day(n), "id": key, "release": 2}), ALL) for n in (1, 3) for key in "ab"
    ]
    whole = replace(many[0], files=tuple(file for staged in many for file in staged.files))
    version = lake.publish(whole, "a run").version
    commit_release(lake, "run 2", {"visits": Computed(version, ALL)}, NOON)
    return seen(lake, 2)


def test_days_of_several_files_become_one_file_with_the_same_rows_in_order(lake: Lake) -> None:
    before = in_pieces(lake)
    computed = latest_release(lake).computed_at
    planned = taken(lake, YEAR, dry_run=True)
    done = taken(lake, YEAR)
    assert done.compacted == planned.compacted
    put = done.compacted["visits"]
    assert (put.days, put.before, put.after) == (DaySet.of([day(1), day(3)]), 4, 2)
    newest = latest_release(lake)
    assert newest.number == 3
    assert newest.computed_at == computed
    assert newest.covered == {"visits": DaySet((ALL,))}
    assert seen(lake, 3) == before
    assert len(lake.files_at("visits", newest.versions["visits"])) == 2
    (file,) = [p for p in stored(lake) if p.name in lake.files_at("visits") and "day=2024-03-01" in str(p)]
    assert [row["id"] for row in lake.engine.rows(lake.engine.table("x", [str(file)], {"id": "string"}, None))] == [
        "a",
        "b",
    ]
    assert not taken(lake, YEAR).compacted


def test_rows_that_would_change_are_not_put_together(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    before = in_pieces(lake)
    prints = iter("abc")
    with monkeypatch.context() as patched:
        patched.setattr(DuckDBEngine, "fingerprint", lambda *_: next(prints))
        with pytest.raises(LakeError, match="would not have been the same"):
            taken(lake, YEAR)
    assert latest_release(lake).number == 2
    assert seen(lake, 2) == before


@pytest.fixture
def reading(lake: Lake) -> Iterator[Callable[[], list[str]]]:
    """Read the releases of today in a loop, in a thread with an engine of its own; give what went wrong."""
    wrong: list[str] = []
    stop, begun = threading.Event(), threading.Event()

    def read() -> None:
        engine = DuckDBEngine(memory="300MB", threads=1)
        own = Lake(lake.root, engine)
        try:
            while not stop.is_set():
                for found in (r for r in all_releases(own) if r.released_at and r.released_at > NOON):
                    for name, version in found.versions.items():
                        rows = engine.rows(own.read(CONTRACTS[name], version=version))
                        told = {row["release"] for row in rows}
                        if told != {found.number} or len(rows) != 6:
                            wrong.append(f"release {found.number} shows {len(rows)} rows of {told} in {name}")
                begun.set()
        except Exception as error:  # noqa: BLE001 - whatever a reader meets is wrong
            wrong.append(repr(error))
        finally:
            begun.set()
            engine.close()

    def end() -> list[str]:
        stop.set()
        thread.join()
        return wrong

    thread = threading.Thread(target=read)
    fill(lake)
    thread.start()
    begun.wait()
    yield end
    end()


@pytest.mark.slow
def test_readers_notice_nothing(lake: Lake, reading: Callable[[], list[str]]) -> None:
    for number in range(7, 13):
        release(lake, number, dt.datetime.now(dt.UTC))
        vacuum(lake, CONTRACTS, "vacuum", dt.datetime.now(dt.UTC), dt.timedelta(hours=1), grace=dt.timedelta(seconds=1))
    assert reading() == []
    assert [r.number for r in all_releases(lake)] == [*range(7, 13)]


_KILLED = """
import datetime as dt, sys
from analytics_assets.lake.duckdb import DuckDBEngine
from analytics_assets.lake.tables import Lake
from analytics_assets_tests.lake.test_vacuum import taken
lake = Lake(sys.argv[1], DuckDBEngine(memory="300MB", threads=1))
lake.version("visits")
print("begins", flush=True)
taken(lake)
"""


@pytest.mark.slow
def test_a_vacuum_that_is_killed_harms_no_kept_release_and_the_next_one_ends_it(lake: Lake, engine: Engine) -> None:
    seed = random.randrange(1_000)
    moments = random.Random(seed)
    killed = 0
    for number in range(8):
        own = Lake(f"{lake.root}_{number}", engine)
        fill(own)
        kept = {n: seen(own, n) for n in (4, 5, 6)}
        process = subprocess.Popen([sys.executable, "-c", _KILLED, own.root], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        process.stdout.readline()
        moment = moments.random() * 0.5
        try:
            process.wait(timeout=moment)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            killed += 1
        where = f"round {number}, after {moment:.3f} s, seed {seed}"
        assert {n: seen(own, n) for n in (4, 5, 6)} == kept, where
        taken(own)
        assert {n: seen(own, n) for n in (4, 5, 6)} == kept, where
        shown = {name for found in all_releases(own) for t, v in found.versions.items() for name in own.files_at(t, v)}
        left = {file.name for t in CONTRACTS for file in Files(own.root).of(t)}
        assert left == shown, where
    assert killed
