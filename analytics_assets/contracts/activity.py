"""What the tables of activity promise: retention, actives, lifecycle, churn, paths, features.

Belongs here: one contract a table; those of a project's own questions are made by name. Does not belong here: how the
tables are computed.
"""

from __future__ import annotations

from analytics_assets.contracts.delivered import AMOUNT, MONEY
from analytics_assets.contracts.model import Column, Contract, InRange

_DIMENSION = Column("dimension", "string", "by what users are told apart; '' for all", nullable=False)
_VALUE = Column("value", "string", "its value; '' for all", nullable=False)
_INTERVAL = Column("interval", "string", "day, week or month", nullable=False)
_PERIOD = Column("period", "date", "the first day of the period", nullable=False)
_COMPLETE = Column("complete", "boolean", "the period is over", nullable=False)
_REVENUE = (
    Column("revenue", AMOUNT, "net revenue of the cohort in the cell, returns of goods not taken off", MONEY),
    Column("revenue_per_user", "float64", "revenue / users", MONEY),
)


def retention(name: str, *, revenue: bool) -> Contract:
    """Promise a cohort matrix."""
    return Contract(
        table=f"retention_{name}",
        grain="one row a cohort, breakdown, value and period after the cohort's",
        columns=(
            _DIMENSION,
            _VALUE,
            Column("cohort", "date", "the first day of the period in which users began", nullable=False),
            Column("left_censored", "boolean", "users who may have been here before the data begin", nullable=False),
            Column("period", "int64", "periods after the cohort's own, 0 is itself", "periods", nullable=False),
            Column("period_to", "int64", "the last period that the cell counts; null: any later one", "periods"),
            Column("users", "int64", "users of the cohort", "users", nullable=False),
            Column("retained", "int64", "those of them who returned", "users", nullable=False),
            Column("rate", "float64", "retained / users; null where the cohort is empty"),
            Column("complete", "boolean", "the cell's time is over for every user of the cohort", nullable=False),
            *(_REVENUE if revenue else ()),
        ),
        key=("dimension", "value", "cohort", "left_censored", "period"),
        rules=(InRange("rate", 0, 1), InRange("retained", minimum=0)),
    )


def retention_curve(name: str, *, revenue: bool) -> Contract:
    """Promise the average of a cohort matrix."""
    return Contract(
        table=f"retention_{name}_curve",
        grain="one row a breakdown, value and period after the cohort's",
        columns=(
            _DIMENSION,
            _VALUE,
            Column("period", "int64", "periods after the cohort's own, 0 is itself", "periods", nullable=False),
            Column("period_to", "int64", "the last period that is counted; null: any later one", "periods"),
            Column(
                "cohorts", "int64", "cohorts that had the time to return, none left-censored", "cohorts", nullable=False
            ),
            Column("users", "int64", "users of these cohorts", "users", nullable=False),
            Column("retained", "int64", "those of them who returned", "users", nullable=False),
            Column("rate", "float64", "retained / users: cohorts weighted by their size"),
            Column("low", "float64", "lower end of the 95 % interval of the rate (Wilson)"),
            Column("high", "float64", "upper end of it"),
            *(_REVENUE if revenue else ()),
        ),
        key=("dimension", "value", "period"),
        rules=(InRange("rate", 0, 1),),
    )


ACTIVE_USERS = Contract(
    table="active_users",
    grain="one row a day, dimension and value",
    columns=(
        Column("day", "date", "the day in the reporting time zone", nullable=False),
        _DIMENSION,
        _VALUE,
        Column("dau", "int64", "distinct users on the day", "users", nullable=False),
        Column("wau", "int64", "distinct users on the day and the 6 before", "users", nullable=False),
        Column("mau", "int64", "distinct users on the day and the 29 before", "users", nullable=False),
        Column("stickiness", "float64", "dau / mau"),
    ),
    key=("day", "dimension", "value"),
    rules=(InRange("stickiness", 0, 1), InRange("dau", minimum=0)),
)

ACTIVE_DAYS = Contract(
    table="active_days",
    grain="one row a month and number of days",
    columns=(
        Column("month", "date", "the first day of the month", nullable=False),
        Column("days", "int64", "on how many of its days users were active", "days", nullable=False),
        Column("users", "int64", "users who were active on so many", "users", nullable=False),
        Column("share", "float64", "their share of all active users of the month", nullable=False),
        Column("complete", "boolean", "the month is over", nullable=False),
    ),
    key=("month", "days"),
    rules=(InRange("days", 1, 31), InRange("share", 0, 1)),
)

LIFECYCLE = Contract(
    table="lifecycle",
    grain="one row an interval and period",
    columns=(
        _INTERVAL,
        _PERIOD,
        Column("users", "int64", "active users", "users", nullable=False),
        Column("new", "int64", "active for the first time ever", "users", nullable=False),
        Column("returning", "int64", "active in the period before too", "users", nullable=False),
        Column("resurrecting", "int64", "active before, though not in the period before", "users", nullable=False),
        Column("dormant", "int64", "minus the users of the period before who are not active", "users", nullable=False),
        Column("quick_ratio", "float64", "(new + resurrecting) / dormant, without its sign"),
        _COMPLETE,
    ),
    key=("interval", "period"),
    rules=(InRange("dormant", maximum=0),),
)

CHURN = Contract(
    table="churn",
    grain="one row an interval, period, and periods of absence",
    columns=(
        _INTERVAL,
        _PERIOD,
        Column(
            "inactive", "int64", "after how many full periods of absence a user has churned", "periods", nullable=False
        ),
        Column("users", "int64", "active users of the period", "users", nullable=False),
        Column("observable", "int64", "those whose next periods are over", "users", nullable=False),
        Column("churned", "int64", "those of them who were not there in these", "users", nullable=False),
        Column("rate", "float64", "churned / observable"),
        Column("observable_share", "float64", "observable / users"),
    ),
    key=("interval", "period", "inactive"),
    rules=(InRange("rate", 0, 1),),
)


def paths(name: str) -> Contract:
    """Promise the edges of paths."""
    return Contract(
        table=f"paths_{name}",
        grain="one row a step and pair of events",
        columns=(
            Column(
                "step",
                "int64",
                "the step of the source; of paths that end at an event, steps before it",
                nullable=False,
            ),
            Column("source", "string", "the event; (other) where several are one", nullable=False),
            Column("target", "string", "the event that follows", nullable=False),
            Column("sessions", "int64", "sessions that go this way", "sessions", nullable=False),
            Column("pooled", "int64", "how many pairs the row stands for", "pairs", nullable=False),
        ),
        key=("step", "source", "target"),
        rules=(InRange("sessions", minimum=1),),
    )


TRANSITIONS = Contract(
    table="transitions",
    grain="one row a pair of events of which one directly follows the other in a session",
    columns=(
        Column("source", "string", "the event", nullable=False),
        Column("target", "string", "the event that follows", nullable=False),
        Column("transitions", "int64", "how often", "transitions", nullable=False),
        Column("share", "float64", "of all transitions from the source", nullable=False),
    ),
    key=("source", "target"),
    rules=(InRange("share", 0, 1),),
)

FEATURE_USAGE = Contract(
    table="feature_usage",
    grain="one row a feature, weekday and hour",
    columns=(
        Column("feature", "string", "the feature", nullable=False),
        Column(
            "weekday", "int64", "ISO 8601 weekday: Monday 1 to Sunday 7, in the reporting time zone", nullable=False
        ),
        Column("hour", "int64", "hour of the day, 0 to 23, in the reporting time zone", nullable=False),
        Column("uses", "int64", "uses", "events", nullable=False),
        Column("users", "int64", "distinct users", "users", nullable=False),
    ),
    key=("feature", "weekday", "hour"),
    rules=(InRange("weekday", 1, 7), InRange("hour", 0, 23)),
)

FEATURE_ADOPTION = Contract(
    table="feature_adoption",
    grain="one row a feature, dimension and value",
    columns=(
        Column("feature", "string", "the feature", nullable=False),
        _DIMENSION,
        _VALUE,
        Column("active_users", "int64", "users who did anything", "users", nullable=False),
        Column("users", "int64", "users who used the feature", "users", nullable=False),
        Column("adoption", "float64", "users / active_users"),
        Column("uses", "int64", "uses", "events", nullable=False),
        Column("repeat_users", "int64", "users who used it on two days or more", "users", nullable=False),
        Column("repeat_share", "float64", "repeat_users / users"),
        Column("first_use", "date", "day of the first use by anybody", nullable=False),
        Column("last_use", "date", "day of the last", nullable=False),
    ),
    key=("feature", "dimension", "value"),
    rules=(InRange("adoption", 0, 1), InRange("repeat_share", 0, 1)),
)
