"""What the tables of experiments promise: exposures, traffic, outcomes, and the moments that statistics read.

Belongs here: one contract a table. Does not belong here: how it is computed (`analysis`), and what a plan is
(`project.experiments`).
"""

from __future__ import annotations

from itertools import combinations_with_replacement

from analytics_assets.contracts.delivered import INSTANT
from analytics_assets.contracts.model import Accepted, Column, Contract, InRange

_EXPERIMENT = Column("experiment", "string", "the experiment, as its file in `experiments` is called", nullable=False)
_USER = Column("user_id", "string", "the user", nullable=False, personal=True)
_VARIANT = Column("variant", "string", "the variant", nullable=False)
_EXPOSED_ON = Column(
    "exposed_on", "date", "the day of the exposure in the reporting time zone; null: never", nullable=True
)
_EXPOSED = Column("exposed_on", "date", "the day of the exposure in the reporting time zone", nullable=False)
_OUTCOME = (
    Column("metric", "string", "the metric, as its file in `metrics` is called", nullable=False),
    Column("window_days", "int64", "how long it is measured", "days", nullable=False),
    Column("delay_days", "int64", "how long after exposure it begins to be", "days", nullable=False),
)
_SLOT = ("experiment", "metric", "window_days", "delay_days")
_MATURES = Column("matures_at", INSTANT, "when the window is over", nullable=False)
_MATURED = Column("matured", "boolean", "the window was over by the end of the last day delivered", nullable=False)
_KNOWN = Column(
    "known_before", "boolean", "did anything before the earlier of assignment and exposure; null: never exposed"
)
_LEFT_OUT = ("several variants", "no variant", "not in the plan", "assigned after the end", "not exposed")

EXPERIMENT_EXPOSURES = Contract(
    table="experiment_exposures",
    grain="one row an experiment and user on its list, but for bots, staff and test accounts",
    columns=(
        _EXPERIMENT,
        _USER,
        Column("variant", "string", "the variant; null: several or none"),
        Column("variants_seen", "int64", "different variants that the user was assigned", "variants", nullable=False),
        Column("first_variant", "string", "the variant of the first assignment; null: none, or nobody knows"),
        Column("assigned_at", INSTANT, "the first assignment; null where it is not known"),
        Column("assigned_on", "date", "its day in the reporting time zone"),
        Column("exposed_at", INSTANT, "the first exposing event at or after it, on the plan's days; null: never"),
        _EXPOSED_ON,
        Column(
            "exposed_before_assignment",
            "boolean",
            "there was an exposing event on the plan's days before the assignment",
            nullable=False,
        ),
        Column("left_out", "string", "why the user is in no outcome; null: the user counts"),
        _KNOWN,
        Column("device", "string", "of the last event before; null: not known, or no plan asks for it"),
        Column("country", "string", "of the last event before, likewise"),
        Column("campaign_id", "string", "of the last event before, likewise"),
    ),
    key=("experiment", "user_id"),
    rules=(
        Accepted("left_out", _LEFT_OUT),
        InRange("variants_seen", minimum=0),
        InRange("variants_seen", maximum=1, severity="warning"),
    ),
    clustered_by=("experiment", "user_id"),
)

EXPERIMENT_TRAFFIC = Contract(
    table="experiment_traffic",
    grain="one row an experiment, day and variant; before anybody is left out",
    columns=(
        _EXPERIMENT,
        Column("day", "date", "the day in the reporting time zone; null: nobody knows when users were assigned"),
        Column(
            "variant",
            "string",
            "of the user's first assignment; '': none, or nobody knows which it was",
            nullable=False,
        ),
        Column("assigned", "int64", "users assigned on the day", "users", nullable=False),
        Column("exposed", "int64", "users first exposed on the day", "users", nullable=False),
        Column("several", "int64", "of those assigned: seen in several variants", "users", nullable=False),
        Column("early", "int64", "of those assigned: exposed before it", "users", nullable=False),
        Column(
            "excluded",
            "int64",
            "bots, staff and test accounts assigned on the day, in no other number",
            "users",
            nullable=False,
        ),
        Column(
            "unassigned",
            "int64",
            "users nobody assigned, by the day of their first exposing event",
            "users",
            nullable=False,
        ),
        Column("nobody", "int64", "exposing events without a user", "events", nullable=False),
    ),
    key=("experiment", "day", "variant"),
    rules=(InRange("assigned", minimum=0), InRange("exposed", minimum=0)),
    clustered_by=("experiment", "day", "variant"),
)

EXPERIMENT_OUTCOMES = Contract(
    table="experiment_outcomes",
    grain="one row an experiment, metric with its window, and exposed user of one variant of the plan",
    columns=(
        _EXPERIMENT,
        *_OUTCOME,
        _USER,
        _VARIANT,
        _EXPOSED,
        Column("value", "float64", "the metric of the user in the window, or its numerator"),
        Column("weight", "float64", "its denominator; null: the metric is no ratio"),
        Column("pre_value", "float64", "value in the days before exposure; 0: nothing, or not known"),
        Column("pre_weight", "float64", "weight in the days before exposure"),
        _KNOWN,
        _MATURES,
        _MATURED,
    ),
    key=(*_SLOT, "user_id"),
    clustered_by=(*_SLOT, "user_id"),
)

EXPERIMENT_AMOUNTS = Contract(
    table="experiment_amounts",
    grain="one row a row that a quantile ranks, in the window of an exposed user",
    columns=(
        _EXPERIMENT,
        *_OUTCOME,
        _USER,
        _VARIANT,
        _EXPOSED,
        Column("amount", "float64", "what is ranked", nullable=False),
        _MATURES,
        _MATURED,
    ),
    key=(),
    clustered_by=(*_SLOT, "user_id", "amount"),
)

_VARIABLES = {
    "value": "the metric or its numerator",
    "weight": "its denominator",
    "pre_value": "value before exposure",
    "pre_weight": "weight before exposure",
    "known_before": "1 for users known before",
}


def sums(*left_out: str) -> tuple[Column, ...]:
    """Describe the shifts, sums and products of all variables but some."""
    variables = {name: told for name, told in _VARIABLES.items() if name not in left_out}
    pairs = combinations_with_replacement(variables, 2)
    return (
        *(
            Column(f"shift_{name}", "float64", f"what was taken off {told}, the same in all cells of an outcome")
            for name, told in variables.items()
        ),
        *(Column(f"sum_{name}", "float64", f"sum of {name} - shift") for name in variables),
        *(Column(f"product_{a}_{b}", "float64", f"sum of ({a} - shift) x ({b} - shift)") for a, b in pairs),
    )


EXPERIMENT_MOMENTS = Contract(
    table="experiment_moments",
    grain="one row an experiment, metric with its window, variant, dimension, segment, day of exposure and maturity",
    columns=(
        _EXPERIMENT,
        *_OUTCOME,
        _VARIANT,
        Column("dimension", "string", "by what users are told apart, as before exposure; '' for all", nullable=False),
        Column("segment", "string", "its value; '' for all", nullable=False),
        _EXPOSED,
        _MATURED,
        Column("n", "int64", "users in the sums", "users", nullable=False),
        Column("not_finite", "int64", "users whose numbers are not finite, in no sum", "users", nullable=False),
        *sums(),
    ),
    key=(*_SLOT, "variant", "dimension", "segment", "exposed_on", "matured"),
    rules=(InRange("n", minimum=0), InRange("not_finite", 0, 0, severity="warning")),
    clustered_by=(*_SLOT, "variant", "dimension", "segment", "exposed_on", "matured"),
)

USER_EXPOSURE = Contract(
    table="user_exposure",
    grain="one row an experiment and user who is compared: exposed, and in one variant of the plan",
    columns=(
        _EXPERIMENT,
        _USER,
        _VARIANT,
        Column("exposed_at", INSTANT, "when the user was exposed", nullable=False),
        _EXPOSED,
    ),
    key=("experiment", "user_id"),
    clustered_by=("experiment", "user_id"),
)

USER_OUTCOMES = Contract(
    table="user_outcomes",
    grain="one row an experiment, metric with its window, and user who is compared",
    columns=(
        _EXPERIMENT,
        _USER,
        _VARIANT,
        *_OUTCOME,
        Column("outcome", "float64", "the metric of the user; of a ratio, null where there is nothing to divide by"),
        _MATURED,
    ),
    key=(*_SLOT, "user_id"),
    clustered_by=(*_SLOT, "user_id"),
)
