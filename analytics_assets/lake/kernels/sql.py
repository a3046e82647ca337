"""SQL over an Ibis expression, as an Ibis expression.

Belongs here: how the kernels stand in an expression. Does not belong here: any kernel.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import ibis
import ibis.expr.operations as ops
from ibis.common.exceptions import IbisError

if TYPE_CHECKING:
    from ibis.expr.schema import Schema
    from ibis.expr.types import Table


def quoted(name: str) -> str:
    """Quote the name of a column or table.

    >>> quoted('a"b')
    '"a""b"'
    """
    return '"' + name.replace('"', '""') + '"'


def select(rows: Table, query: Callable[[str], str], schema: Schema) -> Table:
    """Compute a DuckDB query over a table.

    Args:
        rows: The table.
        query: Makes the query, given the name by which it knows the table.
        schema: What the query answers.
    """
    name = ibis.util.gen_name("rows")
    answer: Table = ops.SQLStringView(parent=rows.alias(name), query=query(quoted(name)), schema=schema).to_expr()
    return answer


def on_duckdb(rows: Table) -> bool:
    """Say whether DuckDB computes a table; of rows in memory, the default engine does, and of a mere schema none."""
    try:
        return bool(rows.get_backend().name == "duckdb")
    except IbisError:
        return False
