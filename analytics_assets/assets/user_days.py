"""The hub of daily activity: one row a user and day."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ibis

from analytics_assets.assets.catalog import table
from analytics_assets.contracts import star
from analytics_assets.contracts.delivered import AMOUNT

if TYPE_CHECKING:
    from ibis.expr.types import Table


@table(star.FACT_USER_DAYS)
def fact_user_days(fact_sessions: Table | None = None, fact_sales: Table | None = None) -> Table:
    """Sum up what each user did and bought on each day; rows that are excluded, or of nobody, are left out."""
    parts = []
    if fact_sessions is not None:
        sessions = fact_sessions.filter(fact_sessions.excluded_as.isnull())
        parts.append(
            sessions.select(
                "day",
                "user_id",
                "is_anonymous",
                sessions=ibis.literal(1, "int64"),
                events="events",
                active_time="duration",
                order_id=ibis.null("string"),
                units=ibis.literal(0, "int64"),
                revenue=ibis.literal(0).cast(AMOUNT),
            )
        )
    if fact_sales is not None:
        sales = fact_sales.filter(
            fact_sales.excluded_as.isnull(), fact_sales.user_id.notnull(), fact_sales.status != "cancelled"
        )
        parts.append(
            sales.select(
                "day",
                "user_id",
                is_anonymous=ibis.literal(False),  # noqa: FBT003
                sessions=ibis.literal(0, "int64"),
                events=ibis.literal(0, "int64"),
                active_time=ibis.literal(0.0),
                order_id="order_id",
                units="quantity",
                revenue="net",
            )
        )
    did = parts[0].union(parts[1]) if len(parts) > 1 else parts[0]
    return did.group_by(["day", "user_id"]).aggregate(
        is_anonymous=did.is_anonymous.all(),
        sessions=did.sessions.sum(),
        events=did.events.sum(),
        active_time=did.active_time.sum(),
        orders=did.order_id.nunique(),
        units=did.units.sum(),
        revenue=did.revenue.sum().cast(AMOUNT),
    )
