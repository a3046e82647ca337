"""Sessions in one sorted pass of DuckDB; see `analysis.sessions` for what they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analytics_assets.analysis import sessions
from analytics_assets.analysis.sessions import GAP_SECONDS
from analytics_assets.lake.kernels.sql import on_duckdb, select

if TYPE_CHECKING:
    from ibis.expr.types import Table

_MICROSECONDS = 1_000_000
_BEFORE_ALL = 1 << 62
"""Added to microseconds since 1970 to make all of them positive, whose division rounds down."""

_SPANS = """
WITH stretches AS (
  SELECT user_id, day, min(at_) AS began, max(at_) AS ended, count(*) AS events
  FROM (SELECT user_id, day, epoch_us(occurred_at) AS at_ FROM {rows} WHERE user_id IS NOT NULL)
  GROUP BY user_id, day, (at_ + {before_all}) // {stretch}
),
in_order AS (
  SELECT * FROM (FROM stretches UNION ALL SELECT NULL, NULL, NULL, NULL, 0)
  ORDER BY day NULLS LAST, user_id NULLS LAST, began NULLS LAST
),
met AS (
  SELECT
    user_id, day, began,
    lag(user_id) OVER () AS user_before, lag(day) OVER () AS day_before, lag(ended) OVER () AS ended_before,
    sum(events) OVER (ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) - events AS events_before
  FROM in_order
),
begun AS (
  SELECT user_id, day, began, ended_before, events_before FROM met
  WHERE began - ended_before > {gap}
    OR ended_before IS NULL OR user_before IS DISTINCT FROM user_id OR day_before IS DISTINCT FROM day
),
done AS (
  SELECT
    user_id, day, began, lead(ended_before) OVER () AS ended,
    CAST(lead(events_before) OVER () - events_before AS BIGINT) AS events
  FROM begun
)
SELECT user_id, day, make_timestamptz(began) AS started_at, make_timestamptz(ended) AS ended_at, events
FROM done WHERE user_id IS NOT NULL
"""


def session_spans(events: Table, gap: int = GAP_SECONDS) -> Table:
    """Sum up the sessions of each user and day; see `analysis.sessions.session_spans`.

    Events in one stretch of `gap` seconds are summed up first. The stretches are put in order, and one that begins a
    session tells the one before it where its session ended, and how many events there were until then. A row of nobody
    comes last, to end the last session.
    """
    spans = sessions.session_spans(events, gap)
    instants = {events.occurred_at.type(), spans.started_at.type(), spans.ended_at.type()}
    if not on_duckdb(events) or any(kind.timezone is None for kind in instants):
        return spans

    def query(rows: str) -> str:
        length = gap * _MICROSECONDS
        return _SPANS.format(rows=rows, gap=length, stretch=max(length, 1), before_all=_BEFORE_ALL)

    return select(events.select("user_id", "day", "occurred_at"), query, spans.schema())
