"""What users did: events, the sessions they make, and the long hub of event types."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ibis

from analytics_assets.analysis.sessions import sessionize
from analytics_assets.assets.catalog import table
from analytics_assets.assets.staging import kept
from analytics_assets.contracts import star

if TYPE_CHECKING:
    from ibis.expr.types import Table


@table(star.MAP_IDENTITY)
def map_identity(staged_identities: Table) -> Table:
    """Keep the newest user behind each anonymous visitor."""
    known = kept(staged_identities)
    newest = ibis.window(
        group_by="anonymous_id", order_by=[ibis.desc("delivery_day"), ibis.desc("file"), ibis.desc("row_number")]
    )
    return known.mutate(place=ibis.row_number().over(newest)).filter(ibis._.place == 0)


@table(star.FACT_EVENTS)
def fact_events(staged_events: Table, map_identity: Table | None = None) -> Table:
    """Name the actor and the session of every kept event."""
    events = kept(staged_events)
    if map_identity is None:
        later_known = events.mutate(known_as=ibis.null("string"))
    else:
        known = map_identity.select(visitor="anonymous_id", known_as="user_id")
        later_known = events.left_join(known, events.anonymous_id == known.visitor)
    user = ibis.coalesce(later_known.user_id, later_known.known_as)
    acted = later_known.mutate(
        user_id=ibis.coalesce(user, later_known.anonymous_id),
        is_mapped=later_known.user_id.isnull() & later_known.known_as.notnull(),
        is_anonymous=user.isnull() & later_known.anonymous_id.notnull(),
    )
    return sessionize(acted)


@table(star.FACT_SESSIONS)
def fact_sessions(fact_events: Table) -> Table:
    """Sum up each session."""
    acted = fact_events.filter(fact_events.session_id.notnull())
    order = ibis.struct({"at": acted.occurred_at, "id": acted.event_id})
    seen = {
        name: acted[name].argmin(order, where=acted[name].notnull()) for name in ("device", "country", "campaign_id")
    }
    sessions = acted.group_by(["day", "session_id", "user_id"]).aggregate(
        is_anonymous=acted.is_anonymous.any(),
        started_at=acted.occurred_at.min(),
        ended_at=acted.occurred_at.max(),
        events=acted.count(),
        entry_event=acted.event_type.argmin(order),
        exit_event=acted.event_type.argmax(order),
        excluded_as=acted.excluded_as.max(),
        **seen,
    )
    return sessions.mutate(duration=sessions.ended_at.delta(sessions.started_at, unit="microsecond") / 1_000_000)


@table(star.FACT_USER_DAY_EVENTS)
def fact_user_day_events(fact_events: Table) -> Table:
    """Count each user's events by day and type."""
    counting = fact_events.filter(fact_events.user_id.notnull(), fact_events.excluded_as.isnull())
    return counting.group_by(["day", "user_id", "event_type"]).aggregate(
        events=counting.count(), first_at=counting.occurred_at.min()
    )
