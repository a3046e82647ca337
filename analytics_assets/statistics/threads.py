"""The threads of numerical libraries.

Belongs here: keeping them to one. Does not belong here: the engine's threads (`settings`).
"""

from __future__ import annotations

import functools
import importlib
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController


def one_thread(library: str) -> AbstractContextManager[object]:
    """Keep a library to one thread: on a machine that others use too, threads wait for each other ten times as long."""
    limit: AbstractContextManager[object] = _threads(library).limit(limits=1)
    return limit


@functools.cache
def _threads(library: str) -> ThreadpoolController:
    from threadpoolctl import ThreadpoolController

    importlib.import_module(library)  # a controller knows the libraries that are loaded
    return ThreadpoolController()
