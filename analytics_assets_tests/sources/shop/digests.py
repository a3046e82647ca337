"""The bytes of a shop, with no more imports than a process that makes them needs."""

from __future__ import annotations

import datetime as dt
import hashlib

import pyarrow as pa

from analytics_assets.lake.days import Days
from analytics_assets.project.shop import Shop
from analytics_assets.sources.shop.delivery import Deliveries
from analytics_assets.sources.shop.rows import ROWS
from analytics_assets.sources.shop.world import World

_FIRST_DAY = dt.date(2025, 1, 1)


def digest(shop: Shop, order: list[int]) -> dict[tuple[str, int], str]:
    """Hash the bytes of every table and day; the days are asked for in an order."""
    deliveries = Deliveries(World(shop, _FIRST_DAY, "Europe/Berlin"))
    found = {}
    for number in order:
        day = _FIRST_DAY + dt.timedelta(days=number)
        for table in (*ROWS, "products", "campaigns"):
            sink = pa.BufferOutputStream()
            for batch in deliveries.batches(table, Days(day, day)):
                with pa.ipc.new_stream(sink, batch.schema) as writer:
                    writer.write_batch(batch)
            found[table, number] = hashlib.sha256(sink.getvalue()).hexdigest()
    return found
