"""Going back to a release shows what it showed, deletes nothing, and is refused where files are gone."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from analytics_assets.lake.days import Days
from analytics_assets.lake.engine import Engine
from analytics_assets.lake.errors import LakeError
from analytics_assets.lake.releases import Computed, Release, all_releases, commit_release, latest_release
from analytics_assets.lake.restoring import find_release, missing_files, restore
from analytics_assets.lake.tables import Lake
from analytics_assets_tests.lake.test_vacuum import CONTRACTS, VISITS, fill, release, seen, stored
from analytics_assets_tests.making import NOON, day, table

DAYS = Days(day(1), day(1))
LATER = NOON + dt.timedelta(hours=1)


@pytest.fixture
def lake(tmp_path: Path, engine: Engine) -> Lake:
    return Lake(str(tmp_path / "lake"), engine)


def test_readers_see_what_the_old_release_showed(lake: Lake) -> None:
    fill(lake, 3)
    old, new = restore(lake, 1, "restore", LATER)
    assert (old.number, new.number, latest_release(lake)) == (1, 4, new)
    assert seen(lake, 4) == seen(lake, 1) != seen(lake, 3)
    assert (new.computed_at, new.covered, new.released_at) == (old.computed_at, old.covered, LATER)


def test_who_reads_without_releases_sees_it_too(lake: Lake) -> None:
    fill(lake, 2)
    restore(lake, 1, "restore", LATER)
    assert {name: lake.fingerprint(contract) for name, contract in CONTRACTS.items()} == seen(lake, 1)


def test_a_restore_can_be_taken_back(lake: Lake) -> None:
    fill(lake, 3)
    newest, files = seen(lake, 3), set(stored(lake))
    restore(lake, 1, "restore", LATER)
    restore(lake, 3, "restore", LATER)
    assert seen(lake, 5) == newest
    assert files <= set(stored(lake))


def test_tables_that_came_later_leave_the_release(lake: Lake) -> None:
    version = lake.publish(lake.stage(VISITS, table(VISITS, {"day": day(1), "id": "a"}), DAYS), "a").version
    commit_release(lake, "a", {"visits": Computed(version, DAYS)}, NOON)
    release(lake, 2, NOON)
    _, new = restore(lake, 1, "restore", LATER)
    assert set(new.versions) == {"visits"}
    assert lake.extent("totals").rows == 0
    _, again = restore(lake, 2, "restore", LATER)
    assert set(again.versions) == {"visits", "totals"}
    assert lake.extent("totals").rows == 6


def test_the_run_after_it_builds_on_the_restored_tables(lake: Lake) -> None:
    fill(lake, 3)
    restore(lake, 1, "restore", LATER)
    one = lake.publish(lake.stage(VISITS, table(VISITS, {"day": day(1), "id": "new"}), DAYS), "b").version
    commit_release(lake, "b", {"visits": Computed(one, DAYS)}, LATER)
    rows = lake.engine.rows(lake.read(VISITS, version=one).order_by("id"))
    assert [(row["id"], row["release"]) for row in rows] == [("2a", 1), ("2b", 1), ("3a", 1), ("3b", 1), ("new", None)]


def test_the_release_that_readers_see_is_not_made_again(lake: Lake) -> None:
    fill(lake, 2)
    old, new = restore(lake, 2, "restore", LATER)
    assert old is new
    assert len(all_releases(lake)) == 2


def test_a_release_whose_files_are_gone_is_refused_before_anything_changes(lake: Lake) -> None:
    fill(lake, 2)
    first = all_releases(lake)[0]
    (lost,) = [path for path in stored(lake) if path.name in lake.files_at("totals", first.versions["totals"])]
    lost.unlink()
    assert missing_files(lake, first) == {"totals": 1}
    heads = {name: lake.version(name) for name in CONTRACTS}
    with pytest.raises(LakeError, match=r"release 1 cannot be restored, files of it are gone: totals \(1 files\)"):
        restore(lake, 1, "restore", LATER)
    assert latest_release(lake).number == 2
    assert {name: lake.version(name) for name in CONTRACTS} == heads


def test_an_unknown_release_is_answered_with_those_there_are(lake: Lake) -> None:
    fill(lake, 3)
    with pytest.raises(LakeError, match=r"there is no release 9\. Remembered are releases 1 to 3"):
        restore(lake, 9, "restore", LATER)


def test_a_time_names_the_newest_release_that_was_made_by_then(lake: Lake) -> None:
    releases = [Release(n, released_at=NOON + dt.timedelta(days=n)) for n in (1, 2, 3)]
    assert find_release(releases, NOON + dt.timedelta(days=2)).number == 2
    assert find_release(releases, NOON + dt.timedelta(days=2.9)).number == 2
    with pytest.raises(LakeError, match=r"no release was made by 2024-03-05 .*; the oldest that is remembered is of"):
        find_release(releases, NOON)
    with pytest.raises(LakeError, match="there is no release yet"):
        find_release([], 1)


def test_releases_without_a_time_are_found_by_number_alone() -> None:
    releases = [Release(1), Release(2, released_at=NOON)]
    assert find_release(releases, 1).number == 1
    with pytest.raises(LakeError, match="no release was made by"):
        find_release(releases, NOON - dt.timedelta(days=1))
