"""Sessions: which events of a user belong together.

Belongs here: the rule of a session. Does not belong here: which columns the published tables have (`assets.events`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import ibis

if TYPE_CHECKING:
    from ibis.expr.types import StringValue, Table

GAP_SECONDS = 1800
_MICROSECONDS = 1_000_000


def sessionize(events: Table, gap: int = GAP_SECONDS) -> Table:
    """Name the session of each event in `session_id`: `user/day/n`, or `user/day/id:ID` where the source knows it.

    A session is the source's, or ends before a pause of more than `gap` seconds; it also ends at midnight of the
    reporting zone, so that a day's sessions need that day alone. Events are ordered by (occurred_at, event_id).

    Args:
        events: Columns user_id, day, occurred_at (an instant), event_id, and session_id: the source's, or null.
        gap: The longest pause inside a session, in seconds.

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
    of_user_day = [ibis._.user_id, ibis._.day]
    before = ibis._.occurred_at.lag().over(ibis.window(group_by=of_user_day, order_by=order))
    # a comparison with nothing is null: the first event of a day begins a session too
    begun = events.mutate(
        begins_=(ibis._.occurred_at.delta(before, unit="microsecond") <= gap * _MICROSECONDS)
        .fill_null(False)  # noqa: FBT003
        .ifelse(0, 1)
    )
    so_far = ibis.window(group_by=of_user_day, order_by=order, preceding=None, following=0)
    numbered = begun.mutate(number_=ibis._.begins_.sum().over(so_far))
    name: StringValue = ("id:" + numbered.session_id).fill_null(numbered.number_.cast("string"))
    return numbered.mutate(session_id=numbered.user_id + "/" + numbered.day.cast("string") + "/" + name).drop(
        "begins_", "number_"
    )
