"""What the tables of customers promise: RFM scores and segments, and the cohorts of first orders.

Belongs here: one contract a table. Does not belong here: how the tables are computed, and the rules of the segments
(`analysis.rfm`).
"""

from __future__ import annotations

from analytics_assets.contracts.delivered import AMOUNT, MONEY
from analytics_assets.contracts.model import Accepted, Column, Contract, InRange
from analytics_assets.contracts.sales import SUM

SEGMENTS = ("Champions", "Loyal", "Potential Loyalist", "New", "Needs Attention", "At Risk", "Lost")
"""The segments, from best to worst."""
NOBODY_YET = "(none)"
"""The segment of whoever is not a customer yet."""

_SEGMENT = Column("segment", "string", "the segment, by rule", nullable=False)
_PLACE = Column("place", "int64", "1 for the best segment, and so on", nullable=False)
_CUSTOMERS = Column("customers", "int64", "customers", "customers", nullable=False)
_REVENUE = Column("revenue", SUM, "net revenue of all their orders", MONEY, nullable=False)
_R = Column("r_score", "int64", "score of recency: 5 bought most recently", nullable=False)
_F = Column("f_score", "int64", "score of frequency: 5 bought most often", nullable=False)
_M = Column("m_score", "int64", "score of net revenue: 5 brought the most; of zero or less, 1", nullable=False)
_MONTH = Column("month", "date", "the first day of the month", nullable=False)
_COMPLETE = Column("complete", "boolean", "the month is over", nullable=False)

RFM_CUSTOMER_SEGMENTS = Contract(
    table="rfm_customer_segments",
    grain="one row a customer",
    columns=(
        Column("user_id", "string", "the customer", nullable=False, personal=True),
        Column("recency_days", "int64", "days from the last order to the last day of the data", "days", nullable=False),
        Column("frequency", "int64", "orders", "orders", nullable=False),
        Column("monetary", AMOUNT, "net revenue of all orders; may be zero or less", MONEY, nullable=False),
        _R,
        _F,
        _M,
        Column("rfm", "string", "the three scores, as in 545", nullable=False),
        _SEGMENT,
        Column("first_order_on", "date", "day of the first order", nullable=False),
        Column("last_order_on", "date", "day of the last order", nullable=False),
    ),
    key=("user_id",),
    rules=(
        InRange("recency_days", minimum=0),
        InRange("frequency", minimum=1),
        *(InRange(f"{measure}_score", 1, 5) for measure in "rfm"),
        Accepted("segment", SEGMENTS),
    ),
)

RFM_SEGMENTS = Contract(
    table="rfm_segments",
    grain="one row a segment",
    columns=(
        _SEGMENT,
        _PLACE,
        Column("rule", "string", "the scores that it takes", nullable=False),
        _CUSTOMERS,
        Column("share", "float64", "of all customers", nullable=False),
        Column("orders", "int64", "their orders", "orders", nullable=False),
        _REVENUE,
        Column("revenue_share", "float64", "of the revenue of all customers; null where that is nothing"),
        Column("mean_recency_days", "float64", "days since the last order, a customer", "days"),
        Column("mean_frequency", "float64", "orders / customers", "orders"),
        Column("mean_monetary", "float64", "revenue / customers", MONEY),
        Column("average_order", "float64", "revenue / orders", MONEY),
    ),
    key=("segment",),
    rules=(InRange("share", 0, 1), InRange("mean_recency_days", minimum=0), Accepted("segment", SEGMENTS)),
)

RFM_SCORES = Contract(
    table="rfm_scores",
    grain="one row a score of recency and score of frequency",
    columns=(
        _R,
        _F,
        _CUSTOMERS,
        Column("share", "float64", "of all customers", nullable=False),
        _REVENUE,
    ),
    key=("r_score", "f_score"),
    rules=(InRange("r_score", 1, 5), InRange("f_score", 1, 5), InRange("share", 0, 1)),
)

RFM_THRESHOLDS = Contract(
    table="rfm_thresholds",
    grain="one row a measure and score",
    columns=(
        Column("measure", "string", "recency (days), frequency (orders) or monetary (net revenue)", nullable=False),
        Column("score", "int64", "the score", nullable=False),
        Column("lowest", AMOUNT, "the lowest value with this score; null where nobody has it", "of the measure"),
        Column("highest", AMOUNT, "the highest value with it", "of the measure"),
        _CUSTOMERS,
    ),
    key=("measure", "score"),
    rules=(InRange("score", 1, 5), Accepted("measure", ("recency", "frequency", "monetary"))),
)

RFM_HISTORY = Contract(
    table="rfm_history",
    grain="one row a month and segment",
    columns=(
        _MONTH,
        Column("as_of", "date", "its last day, or that of the data: scores are as of it", nullable=False),
        _SEGMENT,
        _PLACE,
        _CUSTOMERS,
        Column("share", "float64", "of all customers until then", nullable=False),
        Column("revenue", SUM, "net revenue of all their orders until then", MONEY, nullable=False),
        _COMPLETE,
    ),
    key=("month", "segment"),
    rules=(InRange("share", 0, 1), Accepted("segment", SEGMENTS)),
)

RFM_MIGRATION = Contract(
    table="rfm_migration",
    grain="one row a month and pair of segments between which customers moved, staying included",
    columns=(
        _MONTH,
        Column("from_segment", "string", "at the end of the month before; (none): no customer yet", nullable=False),
        Column("to_segment", "string", "at the end of the month", nullable=False),
        _CUSTOMERS,
        Column("share", "float64", "of all who were in from_segment; null of (none)"),
        _COMPLETE,
    ),
    key=("month", "from_segment", "to_segment"),
    rules=(
        InRange("customers", minimum=1),
        InRange("share", 0, 1),
        Accepted("from_segment", (NOBODY_YET, *SEGMENTS)),
        Accepted("to_segment", SEGMENTS),
    ),
)

_INTERVAL = Column("interval", "string", "month or week (from Monday)", nullable=False)
_AFTER = Column("period", "int64", "periods after the cohort's own, 0 is itself", "periods", nullable=False)

ORDER_COHORTS = Contract(
    table="order_cohorts",
    grain="one row an interval, cohort and period after its own that has begun",
    columns=(
        _INTERVAL,
        Column("cohort", "date", "the first day of the period of the first order", nullable=False),
        _AFTER,
        Column("customers", "int64", "customers of the cohort", "customers", nullable=False),
        Column("active", "int64", "those of them who ordered in the period", "customers", nullable=False),
        Column("retention", "float64", "active / customers", nullable=False),
        Column("net", SUM, "net revenue of the cohort in the period", MONEY, nullable=False),
        Column("cumulative_net", SUM, "net revenue of the cohort until the period's end", MONEY, nullable=False),
        Column(
            "cumulative_net_per_customer",
            "float64",
            "cumulative_net / customers: what an acquired customer has brought",
            MONEY,
            nullable=False,
        ),
        Column("complete", "boolean", "the period is over", nullable=False),
    ),
    key=("interval", "cohort", "period"),
    rules=(InRange("customers", minimum=1), InRange("retention", 0, 1), Accepted("interval", ("month", "week"))),
)

ORDER_COHORT_CURVE = Contract(
    table="order_cohort_curve",
    grain="one row an interval and period after the cohorts'",
    columns=(
        _INTERVAL,
        _AFTER,
        Column("cohorts", "int64", "cohorts for which the period is over", "cohorts", nullable=False),
        Column("customers", "int64", "customers of these cohorts", "customers", nullable=False),
        Column("active", "int64", "those of them who ordered in the period", "customers", nullable=False),
        Column("retention", "float64", "active / customers: cohorts weighted by their size", nullable=False),
        Column("low", "float64", "lower end of the 95 % interval of it (Wilson)"),
        Column("high", "float64", "upper end of it"),
        Column("cumulative_net", SUM, "net revenue of these cohorts until the period's end", MONEY, nullable=False),
        Column(
            "cumulative_net_per_customer",
            "float64",
            "cumulative_net / customers: what an acquired customer has brought",
            MONEY,
            nullable=False,
        ),
    ),
    key=("interval", "period"),
    rules=(InRange("cohorts", minimum=1), InRange("retention", 0, 1), Accepted("interval", ("month", "week"))),
)
