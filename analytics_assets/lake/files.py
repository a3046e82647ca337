"""The files of a lake, on a disk or in a bucket: which there are, how old, and taking them away.

Belongs here: listing and removing, the same for both. Does not belong here: which files may go (`vacuum`) and what
stands in them (`tables`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analytics_assets.lake.errors import LakeError

LOG = "_delta_log"
_AT_ONCE = 500


@dataclass(frozen=True)
class Found:
    """Describe one file.

    Attributes:
        path: Where it is: a path, or a bucket's key.
        size: Bytes.
        modified: When it was written.
    """

    path: str
    size: int
    modified: dt.datetime

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.path.rpartition("/")[2]


class Files:
    """Look at the files under a lake's root, and remove some.

    Args:
        root: A local folder or a URL.
    """

    def __init__(self, root: str) -> None:
        self.root = root.rstrip("/")
        self._remote = "://" in root

    def tables(self) -> tuple[str, ...]:
        """Name the folders that hold a table."""
        if not self._remote:
            folder = Path(self.root)
            return tuple(sorted(p.name for p in folder.iterdir() if (p / LOG).is_dir())) if folder.is_dir() else ()
        with self._bucket() as (system, root):
            system.invalidate_cache()
            folders = system.ls(root, detail=False) if system.exists(root) else []
            logged = [folder.rstrip("/") for folder in folders if system.exists(f"{folder.rstrip('/')}/{LOG}")]
        return tuple(sorted(folder.rpartition("/")[2] for folder in logged))

    def of(self, table: str) -> tuple[Found, ...]:
        """List the data files of a table, whether they are visible or not."""
        return tuple(file for file in self._list(table) if file.name.endswith(".parquet") and LOG not in file.path)

    def log_of(self, table: str) -> tuple[Found, ...]:
        """List the files of a table's log."""
        return tuple(self._list(f"{table}/{LOG}"))

    def _list(self, folder: str) -> list[Found]:
        if not self._remote:
            found = []
            for path in (Path(self.root) / folder).rglob("*"):
                with suppress(FileNotFoundError):  # a commit may tidy up after itself meanwhile
                    if path.is_file():
                        told = path.stat()
                        found.append(Found(str(path), told.st_size, dt.datetime.fromtimestamp(told.st_mtime, dt.UTC)))
            return found
        with self._bucket() as (system, root):
            system.invalidate_cache()
            listed = system.find(f"{root}/{folder}", detail=True)
            return [Found(path, told["size"], _modified(system, path, told)) for path, told in listed.items()]

    def remove(self, files: Iterable[Found]) -> None:
        """Remove files; one that is gone already is no matter."""
        paths = [file.path for file in files]
        if not self._remote:
            for path in paths:
                try:
                    Path(path).unlink(missing_ok=True)
                except OSError as error:
                    raise LakeError(
                        f"cannot remove {path}: {error.strerror}. Give this user the right to write there, and repeat "
                        "the command: what it has done so far is whole."
                    ) from error
            return
        with self._bucket() as (system, _):
            for start in range(0, len(paths), _AT_ONCE):
                system.rm(paths[start : start + _AT_ONCE])

    def remove_empty_folders(self, table: str) -> int:
        """Remove the day folders of a table that hold nothing, and say how many; a bucket has no folders."""
        if self._remote:
            return 0
        removed = 0
        for folder in (Path(self.root) / table).glob("*=*"):
            with suppress(OSError):  # one that holds something stays
                folder.rmdir()
                removed += 1
        return removed

    @contextmanager
    def _bucket(self) -> Iterator[tuple[Any, str]]:
        """Reach the bucket; give fsspec's file system and the root as it names it."""
        import fsspec

        try:
            yield fsspec.url_to_fs(self.root)
        except LakeError:
            raise
        except Exception as error:  # every kind of storage has its own exceptions
            first = str(error).strip().splitlines()[:1] or [type(error).__name__]
            raise LakeError(
                f"cannot reach {self.root}: {first[0]}. Check the bucket's name, the rights on it, and the AWS_* "
                "variables, then repeat the command: what it has done so far is whole."
            ) from error


def _modified(system: Any, path: str, told: dict[str, Any]) -> dt.datetime:  # noqa: ANN401 - fsspec has no types
    known = told.get("LastModified") or told.get("mtime") or system.modified(path)
    if isinstance(known, dt.datetime):
        return known if known.tzinfo else known.replace(tzinfo=dt.UTC)
    return dt.datetime.fromtimestamp(float(known), dt.UTC)
