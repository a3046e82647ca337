"""Sessions: which events of a user belong together.

Belongs here: the rule of a session. Does not belong here: which columns the published tables have (`assets.events`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import ibis

if TYPE_CHECKING:
    from ibis.expr.types import IntegerValue, StringValue, Table

GAP_SECONDS = 1800


def sessionize(events: Table, gap: int | None = GAP_SECONDS, *, midnight: bool = True) -> Table:
    """Name the session of each event in `session_id`: `user/day/n`, or `user/day/id:ID` where the source knows it.

    A session is the source's, or ends before a pause of more than `gap` seconds; it also ends at midnight of the
    reporting zone, so that a day's sessions need that day alone. Events are ordered by (occurred_at, event_id).

    Args:
        events: Columns user_id, day, occurred_at (an instant), event_id, and session_id: the source's, or null.
        gap: The longest pause inside a session, in seconds; None where no pause ends one.
        midnight: Whether midnight ends a session. Where it does not, names have no day: `user/n`, `user/id:ID`.

    Returns:
        The same rows; `session_id` is null where nobody acted.

    >>> import datetime as dt
    >>> noon = dt.datetime(2024, 1, 1, 12)
    >>> events = ibis.memtable(
    ...     [
    ...         {"user_id": "a", "day": noon.date(), "occurred_at": noon + dt.timedelta(seconds=s), "event_id": str(s)}
    ...         for s in (0, 1800, 3601)
    ...     ]
    ... ).mutate(session_id=ibis.null("string"))
    >>> sorted(sessionize(events).session_id.execute())
    ['a/2024-01-01/1', 'a/2024-01-01/1', 'a/2024-01-01/2']
    """
    order = [ibis._.occurred_at, ibis._.event_id]
    within = _within(midnight=midnight)
    before = ibis._.occurred_at.lag().over(ibis.window(group_by=within, order_by=order))
    # a comparison with nothing is null: the first event of a day begins a session too
    # an interval added to an instant takes a tenth of the time that the difference of two instants takes
    goes_on = (
        before.notnull()
        if gap is None
        else (ibis._.occurred_at <= before + ibis.interval(seconds=gap)).fill_null(False)  # noqa: FBT003
    )
    return _numbered(events.mutate(begins_=goes_on.ifelse(0, 1)), midnight=midnight)


def separate_sessions(events: Table, separators: Sequence[str], *, midnight: bool = True) -> Table:
    """Name the session of each event in `session_id`, where certain events begin one: `user/day/n`.

    A separator is in no session itself, nor is what comes before the first one.

    Args:
        events: Columns user_id, day, occurred_at (an instant), event_id, event_type.
        separators: The event types that begin a session.
        midnight: Whether midnight ends a session, so that the next one waits for a separator.

    Returns:
        The same rows with `session_id`.
    """
    begun = events.mutate(session_id=ibis.null("string"), begins_=ibis._.event_type.isin(list(separators)).ifelse(1, 0))
    named = _numbered(begun, midnight=midnight, keep=True)
    inside = (named.number_ > 0) & (named.begins_ == 0)
    return named.mutate(session_id=inside.ifelse(named.session_id, ibis.null("string"))).drop("begins_", "number_")


def session_spans(events: Table, gap: int = GAP_SECONDS) -> Table:
    """Sum up the sessions of each user and day, without naming the session of each event.

    They are those of `sessionize` where the source knows none, in less time: no pause is hidden among events that fall
    into one stretch of `gap` seconds on the clock, so that only stretches have to be put in order.

    Args:
        events: Columns user_id, day, occurred_at.
        gap: The longest pause inside a session, in seconds.

    Returns:
        Columns user_id, day, started_at, ended_at, events.

    >>> import datetime as dt
    >>> noon = dt.datetime(2024, 1, 1, 12, tzinfo=dt.UTC)
    >>> times = [noon + dt.timedelta(seconds=seconds) for seconds in (0, 1800, 3601)]
    >>> events = ibis.memtable([{"user_id": "a", "day": noon.date(), "occurred_at": time} for time in times])
    >>> session_spans(events).order_by("started_at").events.execute().to_list()
    [2, 1]
    """
    acted = events.filter(events.user_id.notnull())
    stretches = (
        acted.select("user_id", "day", "occurred_at", stretch_=acted.occurred_at.bucket(seconds=gap))
        .group_by(["user_id", "day", "stretch_"])
        .aggregate(started_at=ibis._.occurred_at.min(), ended_at=ibis._.occurred_at.max(), events=ibis._.count())
    )
    in_order = ibis.window(group_by=["user_id", "day"], order_by="started_at")
    before = ibis._.ended_at.lag().over(in_order)
    goes_on = (ibis._.started_at <= before + ibis.interval(seconds=gap)).fill_null(False)  # noqa: FBT003
    begun = stretches.mutate(begins_=goes_on.ifelse(0, 1))
    so_far = ibis.window(group_by=["user_id", "day"], order_by="started_at", preceding=None, following=0)
    numbered = begun.mutate(number_=begun.begins_.sum().over(so_far))
    return (
        numbered.group_by(["user_id", "day", "number_"])
        .aggregate(started_at=numbered.started_at.min(), ended_at=numbered.ended_at.max(), events=numbered.events.sum())
        .drop("number_")
    )


def _within(*, midnight: bool) -> list[str]:
    return ["user_id", "day"] if midnight else ["user_id"]


def _numbered(begun: Table, *, midnight: bool, keep: bool = False) -> Table:
    """Count the beginnings so far in `begins_`, and name sessions by their number or by the source's id."""
    within = _within(midnight=midnight)
    order = [ibis._.occurred_at, ibis._.event_id]
    so_far = ibis.window(group_by=within, order_by=order, preceding=None, following=0)
    number: IntegerValue = ibis._.begins_.sum().over(so_far)
    numbered = begun.mutate(number_=number)
    name: StringValue = ("id:" + numbered.session_id).fill_null(numbered.number_.cast("string"))
    whose = numbered.user_id + "/" + numbered.day.cast("string") if midnight else numbered.user_id
    named = numbered.mutate(session_id=whose + "/" + name)
    return named if keep else named.drop("begins_", "number_")
