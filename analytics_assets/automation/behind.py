"""Released days that are behind what was delivered: late rows came, or visitors became known.

Belongs here: comparing facts with what they are made of. Does not belong here: who is behind a visitor
(`assets.events`), and asking for runs (`running`, `sensors`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from analytics_assets.contracts.star import FACT_EVENTS, MAP_IDENTITY
from analytics_assets.lake.days import Days, DaySet

if TYPE_CHECKING:
    from analytics_assets.assets.catalog import Graph
    from analytics_assets.contracts.model import Contract
    from analytics_assets.lake.releases import Release
    from analytics_assets.lake.tables import Lake


def days_behind(lake: Lake, release: Release, graph: Graph) -> DaySet:
    """Return the released days that are behind what was delivered.

    It looks at the tables, not at what a run did, so that what a killed run left undone is found by the next.

    Args:
        lake: The lake.
        release: The release to look at.
        graph: The tables of the project.
    """
    behind = DaySet.of(day for days in days_to_repeat(lake, release) for day in days)
    contracts = graph.contracts()
    for asset in graph.tables:
        fact, staged = asset.contract, contracts.get(asset.contract.accounts_for or "")
        if staged is not None and fact.day and {fact.table, staged.table} <= release.versions.keys():
            behind = behind | _unlike(lake, release, fact, staged)
    return behind


def _unlike(lake: Lake, release: Release, fact: Contract, staged: Contract) -> DaySet:
    """Return the days that a fact covers with another number of rows than were kept for it."""
    rows = lake.read(staged, version=release.versions[staged.table])
    kept = rows.filter((rows.rejected.length() == 0) & rows.day.notnull())
    counted = kept.group_by("day").aggregate(kept=kept.count())
    facts = lake.read(fact, version=release.versions[fact.table])
    facts = facts.group_by("day").aggregate(there=facts.count())
    both = counted.outer_join(facts, "day")
    both = both.select(day=both.day.coalesce(both.day_right), unlike=both.kept.fill_null(0) != both.there.fill_null(0))
    days = DaySet.of(row["day"] for row in lake.engine.rows(both.filter(both.unlike).select("day")))
    return days & release.covered.get(fact.table, DaySet())


def days_to_repeat(lake: Lake, release: Release, computed: Days | None = None) -> tuple[Days, ...]:
    """Return the days outside a run on which events name another actor than `map_identity` does now.

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
    days = DaySet.of(row["day"] for row in lake.engine.rows(stale.select("day").distinct()))
    return (days - computed if computed else days).ranges
