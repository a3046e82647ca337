"""Visitors who became known: which days their events ask to be computed again.

Belongs here: comparing events with `map_identity`. Does not belong here: who is behind a visitor (`assets.events`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from analytics_assets.contracts.star import FACT_EVENTS, MAP_IDENTITY
from analytics_assets.lake.days import Days, DaySet

if TYPE_CHECKING:
    from analytics_assets.lake.releases import Release
    from analytics_assets.lake.tables import Lake


def days_to_repeat(lake: Lake, release: Release, computed: Days) -> tuple[Days, ...]:
    """Return the days outside a run on which events name another actor than `map_identity` does now.

    It looks at the tables, not at what a run did, so that what a killed run left undone is found by the next.

    Args:
        lake: The lake.
        release: The release to look at.
        computed: The days that the run computed itself.
    """
    if MAP_IDENTITY.table not in release.versions or FACT_EVENTS.table not in release.versions:
        return ()
    events = lake.read(FACT_EVENTS, version=release.versions[FACT_EVENTS.table])
    events = events.filter(events.is_anonymous | events.is_mapped)
    known = lake.read(MAP_IDENTITY, version=release.versions[MAP_IDENTITY.table])
    known = known.select(visitor="anonymous_id", known_as="user_id")
    matched = events.left_join(known, events.anonymous_id == known.visitor)
    stale = matched.filter(matched.known_as.fill_null(matched.anonymous_id) != matched.user_id)
    days = {row["day"] for row in lake.engine.rows(stale.select("day").distinct())}
    return (DaySet.of(days) - computed).ranges
