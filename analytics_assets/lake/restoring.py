"""Going back: an earlier release becomes what readers see, as a release of its own.

Belongs here: finding a release and making sure that all of it is there. Does not belong here: asking for it (`cli`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from analytics_assets.lake.errors import LakeError
from analytics_assets.lake.files import Files
from analytics_assets.lake.releases import Release, all_releases, append_release, undo_unreleased

if TYPE_CHECKING:
    from analytics_assets.lake.tables import Lake

_SHOWN = 5


def find_release(releases: Sequence[Release], to: int | dt.datetime) -> Release:
    """Find a release by its number, or the newest that was made no later than a time.

    Raises:
        LakeError: Where there is none; it says which there are.
    """
    if not releases:
        raise LakeError("there is no release yet: analytics-assets run makes one")
    numbers = f"Remembered are releases {told_numbers(releases)}; analytics-assets releases lists them."
    if isinstance(to, int):
        for release in releases:
            if release.number == to:
                return release
        raise LakeError(f"there is no release {to}. {numbers}")
    found = [release for release in releases if release.released_at is not None and release.released_at <= to]
    if not found:
        first = next((release.released_at for release in releases if release.released_at), None)
        since = f"; the oldest that is remembered is of {first:%Y-%m-%d %H:%M:%S} UTC" if first else ""
        raise LakeError(f"no release was made by {to:%Y-%m-%d %H:%M:%S %Z}{since}. {numbers}")
    return found[-1]


def told_numbers(releases: Sequence[Release]) -> str:
    """Name releases in few words.

    >>> told_numbers([Release(n) for n in (1, 2, 3, 5)])
    '1 to 3, 5'
    """
    ranges: list[list[int]] = []
    for release in releases:
        if ranges and release.number == ranges[-1][-1] + 1:
            ranges[-1][1:] = [release.number]
        else:
            ranges.append([release.number])
    return ", ".join(" to ".join(map(str, pair)) for pair in ranges)


def missing_files(lake: Lake, release: Release) -> dict[str, int]:
    """Return the tables of a release that cannot be read, with how many files each lacks; all of them: -1."""
    files = Files(lake.root)
    missing: dict[str, int] = {}
    for name, version in release.versions.items():
        try:
            shown = lake.files_at(name, version)
        except LakeError:  # even the log does not know it any more
            missing[name] = -1
            continue
        if lost := shown - {file.name for file in files.of(name)}:
            missing[name] = len(lost)
        elif not shown and lake.open(name, version) is None:
            missing[name] = -1
    return missing


def restore(lake: Lake, to: int | dt.datetime, run_id: str, now: dt.datetime) -> tuple[Release, Release]:
    """Release again what an earlier release showed: its versions, when they were computed, the days that they cover.

    Nothing is deleted, so that this can be taken back the same way. What the lake's tables show beyond the release is
    undone at once; a process that is killed before leaves that to the next run, as always.

    Args:
        lake: The lake; whoever calls holds its lock.
        to: The number of the release, or a time.
        run_id: Goes with the new release.
        now: The time.

    Returns:
        The earlier release and the new one; twice the same where readers see it already.
    """
    releases = all_releases(lake)
    wanted, newest = find_release(releases, to), releases[-1] if releases else Release()
    if (wanted.versions, wanted.covered) == (newest.versions, newest.covered):
        return newest, newest
    if missing := missing_files(lake, wanted):
        told = [f"{name} ({count} files)" if count > 0 else name for name, count in missing.items()]
        more = f" and {len(told) - _SHOWN} more" if len(told) > _SHOWN else ""
        raise LakeError(
            f"release {wanted.number} cannot be restored, files of it are gone: {', '.join(told[:_SHOWN])}{more}. "
            "Nothing was changed."
        )
    release = replace(wanted, number=newest.number + 1, run_id=run_id, released_at=now)
    append_release(lake, release)
    undo_unreleased(lake, {*newest.versions, *release.versions})
    return wanted, release
