"""Records become a table: what a function computed as numbers, and not as an expression, in the types of its contract.

Belongs here: that one step. Does not belong here: what is computed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import ibis

from analytics_assets.contracts.model import Contract

if TYPE_CHECKING:
    from ibis.expr.types import Table


def made(contract: Contract, records: Iterable[Mapping[str, Any]]) -> Table:
    """Make a table of records; a column that a record does not say is null.

    It goes through Arrow: on the way through pandas, an amount that is missing in some rows is refused.
    """
    import pyarrow as pa
    from ibis.formats.pyarrow import PyArrowSchema

    types = {column.name: column.type for column in contract.columns}
    rows = [{name: record.get(name) for name in types} for record in records]
    return ibis.memtable(pa.Table.from_pylist(rows, schema=PyArrowSchema.from_ibis(ibis.schema(types))))
