"""One run at a time on a local lake, and which runs are alive.

Belongs here: the lock that a run holds from its first table to its release, and the mark of its life, with what it
leaves behind when it is killed. Does not belong here: conflicts of single commits, which `tables` settles, and remote
lakes, whose runs the run queue serialises.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from analytics_assets.lake.errors import LakeError

LOCK = "_run.lock"
RUNS = "_runs"


@contextmanager
def run_lock(root: str, run_id: str, waiting: Callable[[str], None]) -> Iterator[None]:
    """Hold the lake's lock; wait for the run that has it.

    The operating system lets go of the lock when the process ends, however it ends, so a killed run never blocks
    the next.

    Args:
        root: The lake's root; a URL takes no lock.
        run_id: Written into the lock file for whoever waits.
        waiting: Told once, in words, when there is somebody to wait for.
    """
    if "://" in root:
        yield
        return
    import fcntl

    path = Path(root) / LOCK
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = path.open("a+")
    except OSError as error:
        raise LakeError(_no_right(root, error)) from error
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            waiting(f"waiting for another run on this lake to end: {handle.read().strip() or 'unknown'}")
            fcntl.flock(handle, fcntl.LOCK_EX)
        handle.seek(0)
        handle.truncate()
        handle.write(f"run {run_id}, process {os.getpid()}\n")
        handle.flush()
        yield


@contextmanager
def life_of(root: str, run_id: str) -> Iterator[Path]:
    """Mark a run as alive, and give it a folder for copies; both go when it ends.

    The mark is a file beside the tables that the run holds locked and that names the folder. Where the process is
    killed, the file stays and its lock does not: so the dead are told from the living, and what they leave is found.

    Args:
        root: The lake's root; a URL takes no mark.
        run_id: The run.
    """
    with tempfile.TemporaryDirectory(prefix="analytics_assets_") as folder:
        if "://" in root:
            yield Path(folder)
            return
        import fcntl

        mark = Path(root) / RUNS / run_id
        try:
            mark.parent.mkdir(parents=True, exist_ok=True)
            handle = mark.open("w")
        except OSError as error:
            raise LakeError(_no_right(root, error)) from error
        with handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            handle.write(folder)
            handle.flush()
            try:
                yield Path(folder)
            finally:
                mark.unlink(missing_ok=True)


def is_alive(root: str, run_id: str) -> bool | None:
    """Say whether a run is alive; None where that cannot be told: it has not begun, or has ended in order."""
    if "://" in root:
        return None
    import fcntl

    try:
        with (Path(root) / RUNS / run_id).open() as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False if handle.read() else None  # one that is empty is about to be locked
    except BlockingIOError:
        return True
    except OSError:
        return None


def dead_runs(root: str) -> dict[str, Path]:
    """Return the runs that were killed and not cleared away yet, each with its folder of copies."""
    if "://" in root or not (Path(root) / RUNS).is_dir():
        return {}
    marks = sorted((Path(root) / RUNS).iterdir())
    return {mark.name: Path(mark.read_text()) for mark in marks if is_alive(root, mark.name) is False}


def clear_dead_runs(root: str) -> tuple[str, ...]:
    """Remove what killed runs left: their folders of copies and their marks; return the runs."""
    dead = dead_runs(root)
    for run_id, folder in dead.items():
        if folder.name.startswith("analytics_assets_"):
            shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):
            (Path(root) / RUNS / run_id).unlink()
    return tuple(dead)


def _no_right(root: str, error: OSError) -> str:
    return (
        f"cannot write to the lake folder {root}: {error.strerror}. Give this user the right to write there, or "
        "name another folder in ANALYTICS_LAKE."
    )
