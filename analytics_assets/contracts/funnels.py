"""What the tables of funnels promise; a project names its funnels, so the contracts are made by name.

Belongs here: the tables of one funnel, and the classic tables beside them. Does not belong here: how they are computed.
"""

from __future__ import annotations

from collections.abc import Mapping

from analytics_assets.contracts.delivered import AMOUNT, MONEY
from analytics_assets.contracts.model import Column, Contract, InRange

_SHARES = (InRange("of_all", 0, 1), InRange("of_previous", 0, 1))


def attempts(name: str, steps: int, kept: Mapping[str, str]) -> Contract:
    """Promise the attempts of a funnel: every event with which a unit began, and what is kept of it, by column."""
    elapsed = tuple(
        Column(f"elapsed_{step}", "int64", f"from the beginning to step {step}; null: not reached", "microseconds")
        for step in range(2, steps + 1)
    )
    return Contract(
        table=f"funnel_{name}_attempts",
        grain="one row a breakdown, unit and beginning of the funnel",
        columns=(
            Column(
                "dimension", "string", "the breakdown that needs attempts of its own; '' for the others", nullable=False
            ),
            Column("value", "string", "its value; '' for the others", nullable=False),
            Column("unit", "string", "who", nullable=False, personal=True),
            Column("position", "int64", "the place of the beginning among the unit's events", nullable=False),
            Column("entered_at", "timestamp('UTC', 6)", "the beginning", nullable=False),
            Column("entered_on", "date", "its day in the reporting time zone", nullable=False),
            *(Column(column, "string", f"`{by}` of the beginning", nullable=False) for column, by in kept.items()),
            Column("deepest", "int64", "the highest step that was reached, from 1 on", nullable=False),
            *elapsed,
            Column("voided", "boolean", "something happened that the funnel excludes", nullable=False),
            Column("matured", "boolean", "the window has closed", nullable=False),
        ),
        key=("dimension", "value", "unit", "position"),
        rules=(InRange("deepest", 1, steps),),
    )


def funnel(name: str) -> Contract:
    """Promise the numbers of a funnel."""
    return Contract(
        table=f"funnel_{name}",
        grain="one row a period of entry, breakdown, value and step",
        columns=(
            Column("interval", "string", "day, week, month, or all", nullable=False),
            Column("period", "date", "the first day of the period in which units entered", nullable=False),
            Column("dimension", "string", "the breakdown; '' for everybody", nullable=False),
            Column("value", "string", "its value; '' for everybody", nullable=False),
            Column("step", "int64", "the step, from 1 on", nullable=False),
            Column("name", "string", "what it is called", nullable=False),
            Column("observed", "int64", "units that reached it so far", "units", nullable=False),
            Column(
                "matured", "int64", "of those whose window has closed, units that reached it", "units", nullable=False
            ),
            Column("immature", "int64", "observed and not matured", "units", nullable=False),
            Column(
                "voided",
                "int64",
                "units all of whose attempts were voided: they did not enter",
                "units",
                nullable=False,
            ),
            Column(
                "voided_matured", "int64", "of those whose window has closed, voided units", "units", nullable=False
            ),
            Column("of_all", "float64", "matured, as a share of those who entered"),
            Column("of_previous", "float64", "matured, as a share of those who reached the required step before"),
            Column("low", "float64", "lower end of the 95 % interval of `of_previous` (Wilson)"),
            Column("high", "float64", "upper end of it"),
            Column("drop_off", "int64", "matured units that were lost since the required step before", "units"),
            Column("seconds_mean", "float64", "mean time since the required step before", "s"),
            Column("seconds_median", "float64", "median of it", "s"),
            Column("seconds_from_entry_q25", "float64", "quarter quantile of the time since the entry", "s"),
            Column("seconds_from_entry_q50", "float64", "median of it", "s"),
            Column("seconds_from_entry_q75", "float64", "three-quarter quantile of it", "s"),
            Column("seconds_from_entry_q90", "float64", "nine-tenth quantile of it", "s"),
        ),
        key=("interval", "period", "dimension", "value", "step"),
        rules=(*_SHARES, InRange("observed", minimum=0), InRange("drop_off", minimum=0)),
    )


def times(name: str) -> Contract:
    """Promise how long units took."""
    return Contract(
        table=f"funnel_{name}_times",
        grain="one row a step and stretch of time since the entry",
        columns=(
            Column("step", "int64", "the step that was reached", nullable=False),
            Column("bin", "int64", "the stretch, from 0 on", nullable=False),
            Column("seconds", "float64", "where it begins", "s", nullable=False),
            Column("units", "int64", "matured units that took so long", "units", nullable=False),
        ),
        key=("step", "bin"),
    )


def users(name: str, steps: int) -> Contract:
    """Promise the list of who entered."""
    reached = tuple(
        Column(f"reached_at_{step}", "timestamp('UTC', 6)", f"when step {step} was reached")
        for step in range(2, steps + 1)
    )
    return Contract(
        table=f"funnel_{name}_users",
        grain="one row a unit that entered: its attempt that counts",
        columns=(
            Column("unit", "string", "who", nullable=False, personal=True),
            Column("entered_at", "timestamp('UTC', 6)", "when", nullable=False),
            Column("entered_on", "date", "the day of it in the reporting time zone", nullable=False),
            Column("deepest", "int64", "the highest step that was reached, from 1 on", nullable=False),
            Column("deepest_name", "string", "what it is called; null where the order of steps is open"),
            Column("completed", "boolean", "all required steps were reached", nullable=False),
            Column("voided", "boolean", "every attempt was voided", nullable=False),
            Column("matured", "boolean", "the window has closed", nullable=False),
            *reached,
        ),
        key=("unit",),
    )


def friction(name: str) -> Contract:
    """Promise where a funnel loses units, and whether a value loses more than the others do."""
    return Contract(
        table=f"funnel_{name}_friction",
        grain="one row a breakdown, value and step after the first",
        columns=(
            Column("dimension", "string", "the breakdown; '' for everybody", nullable=False),
            Column("value", "string", "its value; '' for everybody", nullable=False),
            Column("step", "int64", "the step, from 2 on", nullable=False),
            Column("name", "string", "what it is called", nullable=False),
            Column("came", "int64", "matured units that reached the required step before", "units", nullable=False),
            Column("went_on", "int64", "those of them that reached this one", "units", nullable=False),
            Column("rate", "float64", "their share"),
            Column("rate_of_others", "float64", "the share among the other values of the breakdown"),
            Column("difference", "float64", "rate minus that of the others"),
            Column("p_value", "float64", "of no difference: pooled z test, two-sided"),
            Column("p_adjusted", "float64", "Holm-adjusted over all steps and values of the funnel"),
            Column("significant", "boolean", "p_adjusted is below 0.05"),
            Column("lost", "float64", "units lost here; of a value: beyond what the others' rate would lose", "units"),
            Column(
                "rank", "int64", "1 for the largest loss: among everybody's steps, and among the significant values"
            ),
        ),
        key=("dimension", "value", "step"),
        rules=(InRange("rate", 0, 1), InRange("p_adjusted", 0, 1)),
    )


FUNNEL_DAILY_METRICS = Contract(
    table="funnel_daily_metrics",
    grain="one row a funnel, day and stage",
    columns=(
        Column("day", "date", "the day in the reporting time zone", nullable=False),
        Column("funnel", "string", "the funnel whose stages they are", nullable=False),
        Column("step", "int64", "the stage, from 1 on", nullable=False),
        Column("name", "string", "what it is called", nullable=False),
        Column("users", "int64", "users who did it on that day, in whatever order", "users", nullable=False),
        Column("of_first", "float64", "users, as a share of those of the first stage"),
        Column("of_previous", "float64", "users, as a share of those of the stage before"),
    ),
    key=("day", "funnel", "step"),
    rules=(InRange("users", minimum=0),),
)

DEVICE_METRICS = Contract(
    table="device_metrics",
    grain="one row a device",
    columns=(
        Column("device", "string", "the device; (unknown) where none is known", nullable=False),
        Column("users", "int64", "distinct users", "users", nullable=False),
        Column("sessions", "int64", "sessions", "sessions", nullable=False),
        Column("events", "int64", "events", "events", nullable=False),
        Column("buyers", "int64", "distinct users with a purchase", "users", nullable=False),
        Column("purchases", "int64", "purchase events", "events", nullable=False),
        Column("conversion", "float64", "buyers / users"),
        Column("revenue", AMOUNT, "amount of the purchase events", MONEY),
    ),
    key=("device",),
    rules=(InRange("conversion", 0, 1),),
)

USER_REVENUE = Contract(
    table="user_revenue",
    grain="one row a user who acted or bought",
    columns=(
        Column("user_id", "string", "the user", nullable=False, personal=True),
        Column("active_days", "int64", "days on which the user acted or bought", "days", nullable=False),
        Column("orders", "int64", "orders that are not cancelled", "orders", nullable=False),
        Column("units", "int64", "pieces in them", "pieces", nullable=False),
        Column("revenue", AMOUNT, "net revenue of them", MONEY, nullable=False),
        Column("first_order", "date", "day of the first of them"),
        Column("last_order", "date", "day of the last of them"),
    ),
    key=("user_id",),
    rules=(InRange("orders", minimum=0),),
)
