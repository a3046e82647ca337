"""Taking away what no reader of a remembered release sees: old releases, their files, files of nobody, old log entries.

Belongs here: what may go, and in which order, so that being killed between any two steps harms nobody. Does not belong
here: how long releases are remembered (`settings`), and waiting for runs (`lock`).

The order: first the list of releases is written anew without the old ones, in one commit; only then do files go that
none of those that are left shows. What a killed vacuum leaves is found by the next.
"""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from analytics_assets.lake.days import DaySet
from analytics_assets.lake.errors import LakeError
from analytics_assets.lake.files import Files
from analytics_assets.lake.releases import RELEASES, Release, all_releases, append_release, keep_releases
from analytics_assets.lake.suppression import RECEIPTS, SUPPRESSED

if TYPE_CHECKING:
    from analytics_assets.contracts.model import Contract
    from analytics_assets.lake.files import Found
    from analytics_assets.lake.tables import Lake

LONGEST_RUN = dt.timedelta(days=1)
"""What is younger may belong to a run or a reader that is under way, and is left alone."""
NEWEST_KEPT = 3
"""So many releases are remembered however old they are."""
_NOT_BY_RELEASE = {RELEASES.table, RECEIPTS.table, SUPPRESSED.table}
_ENTRY = re.compile(r"(\d{20})\.")
_COMMIT = re.compile(r"(\d{20})\.json")
_CHECKPOINT = re.compile(r"(\d{20})\.checkpoint\.parquet")


@dataclass(frozen=True)
class Removed:
    """Say what was taken away from one table.

    Attributes:
        files: Data files.
        bytes: Their size.
        entries: Entries of the table's log.
        folders: Empty folders of days.
    """

    files: int = 0
    bytes: int = 0
    entries: int = 0
    folders: int = 0


@dataclass(frozen=True)
class Compacted:
    """Say what was put together in one table.

    Attributes:
        days: The days that had several files.
        before: Files of these days before.
        after: Files of these days now.
    """

    days: DaySet
    before: int
    after: int


@dataclass(frozen=True)
class Vacuumed:
    """Say what a vacuum did, or would do.

    Attributes:
        forgotten: Releases that are no longer remembered.
        kept: Releases that are.
        compacted: By table, what was put together.
        removed: By table, what was taken away.
    """

    forgotten: tuple[Release, ...]
    kept: tuple[Release, ...]
    compacted: Mapping[str, Compacted] = field(default_factory=dict)
    removed: Mapping[str, Removed] = field(default_factory=dict)


def split_releases(
    releases: Sequence[Release], since: dt.datetime, newest: int = NEWEST_KEPT
) -> tuple[tuple[Release, ...], tuple[Release, ...]]:
    """Tell the releases to forget from those to keep: made since then, or of the newest so many.

    >>> old, new = (Release(n, released_at=dt.datetime(2024, 3, n, tzinfo=dt.UTC)) for n in (1, 2))
    >>> later = dt.datetime(2024, 4, 1, tzinfo=dt.UTC)
    >>> [[release.number for release in part] for part in split_releases([old, new], later, 1)]
    [[1], [2]]
    """
    safe = {release.number for release in releases[-max(newest, 1) :]}
    kept = tuple(r for r in releases if r.number in safe or (r.released_at is not None and r.released_at >= since))
    return tuple(r for r in releases if r not in kept), kept


def vacuum(
    lake: Lake,
    contracts: Mapping[str, Contract],
    run_id: str,
    now: dt.datetime,
    retention: dt.timedelta,
    *,
    dry_run: bool = False,
    grace: dt.timedelta = LONGEST_RUN,
) -> Vacuumed:
    """Put small files together, forget old releases, and remove what none of the others shows.

    Args:
        lake: The lake; whoever calls holds its lock.
        contracts: The tables of the project.
        run_id: Goes with the release of what was put together.
        now: The time.
        retention: How long releases are remembered.
        dry_run: Say what would be done, and do nothing.
        grace: How old a file must be that no release shows, before it goes.
    """
    compacted = compact(lake, contracts, run_id, now, dry_run=dry_run)
    forgotten, kept = split_releases(all_releases(lake), now - retention)
    if forgotten and not dry_run:
        keep_releases(lake, kept, run_id)
    files = Files(lake.root)
    removed = {
        name: gone
        for name in sorted({*files.tables(), *contracts})
        if (gone := clear(lake, files, name, kept, now - grace, dry_run=dry_run)) != Removed()
    }
    lake.look_again()
    return Vacuumed(forgotten, kept, compacted, removed)


def clear(
    lake: Lake, files: Files, name: str, kept: Iterable[Release], before: dt.datetime, *, dry_run: bool = False
) -> Removed:
    """Remove the files of a table that no kept release shows, nor its newest version, and that are from before a time.

    Returns:
        What went, or what would go.
    """
    table, log = lake.open(name), files.log_of(name)
    versions = {release.versions[name] for release in kept if name in release.versions}
    if table is not None:
        # what is read by its newest version may be read this moment by the one that was the newest just now
        versions |= {table.version(), *(_young_versions(log, before) if name in _NOT_BY_RELEASE else ())}
    shown: set[str] = set()
    for version in versions:
        shown |= lake.files_at(name, version)
    stale = [file for file in files.of(name) if file.name not in shown and file.modified < before]
    entries = _old_entries(log, min(versions, default=0), before)
    if dry_run:
        return Removed(len(stale), sum(file.size for file in stale), len(entries))
    files.remove(stale)
    if table is not None:
        _shorten_log(lake, files, name, min(versions), entries)
    return Removed(
        len(stale), sum(file.size for file in stale), len(entries), files.remove_empty_folders(name) if stale else 0
    )


def _young_versions(log: Sequence[Found], before: dt.datetime) -> set[int]:
    """Return the versions that were still the newest at a time, or came after it, by the age of their entries."""
    entries = {int(m[1]): file for file in log if (m := _COMMIT.fullmatch(file.name))}
    young: set[int] = set()
    for version in sorted(entries, reverse=True):
        young.add(version)
        if entries[version].modified < before:
            break
    return young


def _old_entries(log: Sequence[Found], oldest: int, before: dt.datetime) -> list[Found]:
    """Return the entries of a log that no version from `oldest` on needs: those before a checkpoint not after it.

    The checkpoint must be from before a time, too: a reader who listed the log earlier may still be reading entries.
    """
    points = [int(m[1]) for file in log if (m := _CHECKPOINT.fullmatch(file.name)) and file.modified < before]
    base = max((point for point in points if point <= oldest), default=0)
    numbered = [(int(m[1]), file) for file in log if (m := _ENTRY.match(file.name))]
    return [file for number, file in sorted(numbered, key=lambda pair: pair[0]) if number < base]


def _shorten_log(lake: Lake, files: Files, name: str, oldest: int, entries: Sequence[Found]) -> None:
    """Remove entries, the oldest first; leave a checkpoint from which the next vacuum can go on."""
    files.remove(entries)
    left = files.log_of(name)
    behind = [m for file in left if (m := _ENTRY.match(file.name)) and int(m[1]) < oldest]
    if behind and f"{oldest:020}.checkpoint.parquet" not in {file.name for file in left}:
        table = lake.open(name, oldest)
        if table is not None:
            table.create_checkpoint()


def compact(
    lake: Lake, contracts: Mapping[str, Contract], run_id: str, now: dt.datetime, *, dry_run: bool = False
) -> dict[str, Compacted]:
    """Write the days anew that have several files, one file a day, and release them.

    The rows stay what they are, which is checked; so the release says of every table that it was computed when it was.
    """
    releases = all_releases(lake)
    if not releases:
        return {}
    release = releases[-1]
    compacted: dict[str, Compacted] = {}
    versions: dict[str, int] = {}
    for name, contract in contracts.items():
        if contract.day is None or name not in release.versions:
            continue
        scattered = _scattered(lake, contract, release.versions[name])
        if not scattered:
            continue
        days = DaySet.of(scattered)
        if not dry_run:
            versions[name] = _put_together(lake, contract, release.versions[name], days, run_id)
        compacted[name] = Compacted(days, sum(scattered.values()), len(days))
    if versions:
        merged = {**release.versions, **versions}
        append_release(
            lake, replace(release, number=release.number + 1, run_id=run_id, versions=merged, released_at=now)
        )
    return compacted


def _scattered(lake: Lake, contract: Contract, version: int) -> dict[dt.date, int]:
    """Return the days that have several files, with how many."""
    import pyarrow as pa

    table = lake.open(contract.table, version)
    if table is None:
        return {}
    files = pa.table(table.get_add_actions(flatten=True)).to_pylist()
    counted = Counter(file[f"partition.{contract.day}"] for file in files)
    return {day: count for day, count in counted.items() if count > 1}


def _put_together(lake: Lake, contract: Contract, version: int, days: DaySet, run_id: str) -> int:
    rows = lake.read(contract, version=version)
    if contract.day is None:
        raise LakeError(f"{contract.table} is not kept by day")
    rows = rows.filter(rows[contract.day].isin(list(days)))
    staged = lake.stage(contract, rows, days, together=True)
    if lake.engine.fingerprint(lake.rows_of(staged)) != lake.engine.fingerprint(rows):
        lake.discard(staged)
        raise LakeError(
            f"{contract.table} would not have been the same after its files were put together, so nothing was changed. "
            "This should never happen: please report it."
        )
    return lake.publish(staged, run_id).version
