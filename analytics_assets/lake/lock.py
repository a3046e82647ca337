"""One run at a time on a local lake.

Belongs here: the lock that a run holds from its first table to its release. Does not belong here: conflicts of single
commits, which `tables` settles, and remote lakes, whose runs the run queue serialises.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from analytics_assets.lake.errors import LakeError

LOCK = "_run.lock"


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
        raise LakeError(
            f"cannot write to the lake folder {root}: {error.strerror}. Give this user the right to write there, or "
            "name another folder in ANALYTICS_LAKE."
        ) from error
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
