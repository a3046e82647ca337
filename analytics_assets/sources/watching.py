"""What lies in the folders and buckets of file sources now, by day, without reading a file.

Belongs here: listing files, and a short mark of those of a day that changes when one of them does. Does not belong
here: what is asked for when a mark changes (`automation`), and reading (`files`).
"""

from __future__ import annotations

import datetime as dt
import glob
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analytics_assets.project.model import DAY_IN_PATH, Project, Source
from analytics_assets.sources.errors import SourceError

_MARK = 12
_STAMPS = ("ETag", "etag", "LastModified", "last_modified", "mtime", "updated", "created")


@dataclass(frozen=True)
class Delivered:
    """Say what there is of the file sources of a project.

    Attributes:
        days: A mark of the files of each day for which a source that names days in its files has any.
        waiting: Of such a day, the sources that must have a file for it and do not yet.
        undated: A mark of the files without a day in their names; empty where there are none.
    """

    days: Mapping[dt.date, str]
    waiting: Mapping[dt.date, tuple[str, ...]]
    undated: str


def delivered(project: Project) -> Delivered:
    """List what was delivered to the file sources of a project.

    A mark is made of names, sizes and times of change, or what a bucket has for these.

    Raises:
        SourceError: Where a folder or bucket cannot be listed.
    """
    by_day: dict[dt.date, dict[str, list[str]]] = {}
    undated: list[str] = []
    needed = []
    for name, source in project.sources.items():
        if source.path is None:
            continue
        if source.day_form is None:
            undated += [f"{name} {told}" for _, told in _listing(source.path)]
            continue
        if not source.optional:
            needed.append(name)
        for day, told in _dated(source):
            by_day.setdefault(day, {}).setdefault(name, []).append(told)
    marks = {
        day: _mark(f"{name} {told}" for name in sorted(files) for told in files[name])
        for day, files in sorted(by_day.items())
    }
    waiting = {
        day: lacking
        for day, files in by_day.items()
        if (lacking := tuple(name for name in needed if name not in files))
    }
    return Delivered(marks, waiting, _mark(undated) if undated else "")


def _mark(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()[:_MARK]


def _dated(source: Source) -> Iterable[tuple[dt.date, str]]:
    """Give each file of a source with the day in its name; a name whose day cannot be read is none of its files."""
    path, form = source.origin, source.day_form or ""
    parts = DAY_IN_PATH.split(path)[::2]
    pattern = re.compile("(.+)".join(_as_pattern(part) for part in parts))
    for url, told in _listing("*".join(parts)):
        found = pattern.fullmatch(url) or pattern.fullmatch(url.partition("://")[2])
        if found is None or len(set(found.groups())) != 1:
            continue
        try:
            yield dt.datetime.strptime(found[1], form).date(), told  # noqa: DTZ007 - a date has no zone
        except ValueError:
            continue


def _as_pattern(part: str) -> str:
    return re.escape(part.partition("://")[2] or part).replace(r"\*", ".*").replace(r"\?", ".")


def _listing(path: str) -> list[tuple[str, str]]:
    """Give the files of a path with wildcards, each with its name, size and time of change in one line."""
    if "://" not in path:
        found = glob.glob(path, recursive=True) if glob.has_magic(path) else [path]  # noqa: PTH207
        return [(name, told) for name in sorted(found) if (told := _local(Path(name)))]
    import fsspec

    try:
        system, inner = fsspec.url_to_fs(path, use_listings_cache=False)
        details: Mapping[str, Mapping[str, Any]] = system.glob(inner, detail=True)
    except (OSError, ImportError, ValueError) as error:
        raise SourceError(
            f"{path}: it cannot be listed: {error}. Check the URL, the rights and the network."
        ) from error
    return [
        (name, f"{name} {info.get('size')} {[str(info[key]) for key in _STAMPS if key in info]}")
        for name, info in sorted(details.items())
        if info.get("type") != "directory"
    ]


def _local(path: Path) -> str:
    try:
        told = path.stat()
    except OSError:  # it went away since it was listed
        return ""
    return f"{path} {told.st_size} {told.st_mtime_ns}" if path.is_file() else ""
