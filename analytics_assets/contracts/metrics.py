"""What the tables of metrics promise.

Belongs here: the numbers that a team defined, and the events that its questions name. Does not belong here: how they
are defined (`project.questions`).
"""

from __future__ import annotations

from analytics_assets.contracts.model import UNKNOWN_MEMBER, Accepted, Column, Contract, InRange, MinimumRows

METRIC_DAILY = Contract(
    table="metric_daily",
    grain="one row a metric, interval, period, dimension and value; a period in which nothing happened has one too",
    columns=(
        Column("metric", "string", "the metric, as its file in `metrics` is called", nullable=False),
        Column("interval", "string", "day, week (from Monday) or month; each is computed for itself", nullable=False),
        Column("period", "date", "the first day of the period", nullable=False),
        Column("dimension", "string", "by what rows are told apart; empty for all of them", nullable=False),
        Column(
            "value",
            "string",
            f"the dimension's value, `{UNKNOWN_MEMBER}` where it is missing; empty for all",
            nullable=False,
        ),
        Column("users", "int64", "how many stand behind the number", "users", nullable=False),
        Column(
            "nobody",
            "int64",
            "rows without a user: in counts and sums, and where a fact knows no users at all; in no other number",
            "rows",
            nullable=False,
        ),
        Column("numerator", "float64", "what is divided; null where the metric is no ratio"),
        Column("denominator", "float64", "by what it is divided; null where the metric is no ratio"),
        Column("estimate", "float64", "the number, in the metric's unit; null where there is nothing to divide by"),
        Column("low", "float64", "lower end of its 95 % interval; null where it has none"),
        Column("high", "float64", "upper end of it"),
        Column(
            "complete",
            "boolean",
            "the period began on or after the first day and is over; for retention, the days to return are too",
            nullable=False,
        ),
        Column("unit", "string", "of what the number is", nullable=False),
        Column("direction", "string", "which way is better: up, down or neither", nullable=False),
    ),
    key=("metric", "interval", "period", "dimension", "value"),
    rules=(
        Accepted("interval", ("day", "week", "month")),
        Accepted("direction", ("up", "down", "neither")),
        InRange("users", minimum=0),
        InRange("nobody", minimum=0),
        MinimumRows(),
    ),
    clustered_by=("metric", "interval", "dimension", "value", "period"),
)

DECLARED_EVENTS = Contract(
    table="declared_events",
    grain="one row a question or experiment and an event type that it names",
    columns=(
        Column("question", "string", "the folder and name of what names it: funnels.checkout", nullable=False),
        Column("event", "string", "the event type", nullable=False),
        Column("near", "string", "the event type with the closest name that does occur; null where none is close"),
        Column("seen", "int64", "how often it occurred so far", "events", nullable=False),
    ),
    # a warning names rows by their key, so that it shows the near match beside what never occurs
    key=("question", "event", "near"),
    rules=(InRange("seen", minimum=1, severity="warning"),),
)
