"""The chart of the tables themselves.

Belongs here: which tables and columns the diagram shows. Does not belong here: how it looks (`charts.schema`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import ibis

from analytics_assets.assets.catalog import Setting, resolve
from analytics_assets.assets.drawing import chart
from analytics_assets.charts import schema as drawn

if TYPE_CHECKING:
    from ibis.expr.types import Table

_STAR = ("dim_", "fact_")


@chart(drawn.entities)
def entities(setting: Setting) -> Table:
    """List the columns of the star schema, as the contracts say them."""
    rows = [
        {
            "table": name,
            "place": place,
            "column": column.name,
            "key": column.name in contract.key,
            "refers_to": next((r.table for r in contract.references if r.column == column.name), ""),
        }
        for name, contract in resolve(setting.project).contracts().items()
        if name.startswith(_STAR)
        for place, column in enumerate(contract.columns)
    ]
    types = {"table": "string", "place": "int64", "column": "string", "key": "boolean", "refers_to": "string"}
    return ibis.memtable(rows, schema=ibis.schema(types))
