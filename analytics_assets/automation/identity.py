"""Visitors who became known: which days their events ask to be computed again.

Belongs here: comparing two releases of `map_identity`. Does not belong here: who is behind a visitor (`assets.events`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from analytics_assets.contracts.star import FACT_EVENTS, MAP_IDENTITY
from analytics_assets.lake.days import Days

if TYPE_CHECKING:
    from analytics_assets.lake.releases import Release
    from analytics_assets.lake.tables import Lake


def days_to_repeat(lake: Lake, before: Release, after: Release, computed: Days) -> tuple[Days, ...]:
    """Return the days outside a run on which visitors acted whose user it changed.

    Args:
        lake: The lake.
        before: The release that readers had before the run.
        after: The release that the run made.
        computed: The days that the run computed itself.
    """
    if MAP_IDENTITY.table not in before.versions or FACT_EVENTS.table not in before.versions:
        return ()
    old = lake.read(MAP_IDENTITY, version=before.versions[MAP_IDENTITY.table])
    new = lake.read(MAP_IDENTITY, version=after.versions[MAP_IDENTITY.table])
    pair = ["anonymous_id", "user_id"]
    changed = new.select(pair).difference(old.select(pair)).union(old.select(pair).difference(new.select(pair)))
    events = lake.read(FACT_EVENTS)
    touched = events.semi_join(changed, "anonymous_id").select("day").distinct()
    days = {row["day"] for row in lake.engine.rows(touched)}
    return tuple(_ranges(day for day in days if day not in computed))


def _ranges(days: Iterable[dt.date]) -> Iterator[Days]:
    """Join days that follow each other, oldest first."""
    current: Days | None = None
    for day in sorted(days):
        if current is not None and day == current.last + dt.timedelta(days=1):
            current = Days(current.first, day)
        else:
            if current is not None:
                yield current
            current = Days(day, day)
    if current is not None:
        yield current
