"""Tables as wholes of parts.

Belongs here: what is done with tables whatever they hold. Does not belong here: any column.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ibis.expr.types import Table


def together(parts: Iterable[Table]) -> Table:
    """Put the rows of tables with the same columns into one table.

    >>> import ibis
    >>> one, two = ibis.memtable({"n": [1]}), ibis.memtable({"n": [2]})
    >>> sorted(together([one, two]).n.execute())
    [1, 2]
    """
    return functools.reduce(lambda one, other: one.union(other), parts)
