"""What the tables of pretended experiments promise: baselines and traffic for planning, and A/A tests of the metrics.

Belongs here: one contract a table. Does not belong here: how it is computed (`analysis.baselines`,
`statistics.rerandomisation`).
"""

from __future__ import annotations

from analytics_assets.contracts.experiments import sums
from analytics_assets.contracts.model import Accepted, Column, Contract, InRange

_EXPERIMENT = Column("experiment", "string", "the experiment whose plan asks, as its file is called", nullable=False)
_OUTCOME = (
    Column("metric", "string", "the metric, as its file in `metrics` is called", nullable=False),
    Column("window_days", "int64", "how long it is measured", "days", nullable=False),
    Column("delay_days", "int64", "how long after exposure it begins to be", "days", nullable=False),
)
_SLOT = ("experiment", "metric", "window_days", "delay_days")

EXPERIMENT_BASELINES = Contract(
    table="experiment_baselines",
    cadence="weekly",
    grain="one row an experiment, metric with its window, and bucket of the users who met the exposing event lately",
    columns=(
        _EXPERIMENT,
        *_OUTCOME,
        Column("bucket", "string", "first 3 hexadecimal digits of the MD5 of the user's id: 4,096", nullable=False),
        Column("n", "int64", "users in the sums", "users", nullable=False),
        Column("not_finite", "int64", "users whose numbers are not finite, in no sum", "users", nullable=False),
        *sums("known_before"),
    ),
    key=(*_SLOT, "bucket"),
    rules=(InRange("n", minimum=0), InRange("not_finite", 0, 0, severity="warning")),
    clustered_by=(*_SLOT, "bucket"),
)

EXPERIMENT_REACH = Contract(
    table="experiment_reach",
    cadence="weekly",
    grain="one row an experiment and day of the last 28: the users who would be exposed if it had begun on the first",
    columns=(
        _EXPERIMENT,
        Column("day", "date", "the day", nullable=False),
        Column("users", "int64", "users whose first exposing event of these days was on it", "users", nullable=False),
    ),
    key=("experiment", "day"),
    rules=(InRange("users", minimum=0),),
)

EXPERIMENT_AA = Contract(
    table="experiment_aa",
    cadence="weekly",
    grain="one row an experiment, metric with its window, and estimator: A/A tests of the users who were there lately",
    columns=(
        _EXPERIMENT,
        *_OUTCOME,
        Column("role", "string", "primary, secondary or guardrail", nullable=False),
        Column("estimator", "string", "plain, or adjusted for the days before exposure", nullable=False),
        Column("first_day", "date", "the first day of exposure; null: the data are younger than the window"),
        Column("last_day", "date", "the last day of exposure whose windows are over"),
        Column("users", "int64", "users who would have been exposed", "users", nullable=False),
        Column("draws", "int64", "divisions into two arms that could be tested", nullable=False),
        Column("alarms", "int64", "of them: a difference at alpha 0.05 where there is none", nullable=False),
        Column("rate", "float64", "alarms / draws: the false-positive rate"),
        Column("low", "float64", "lower end of what chance makes of 0.05, 999 times of 1,000"),
        Column("high", "float64", "upper end"),
        Column("state", "string", "fine; flagged: the rate is outside; untested: there is none", nullable=False),
        Column("reason", "string", "why it is flagged or untested; null: it is fine"),
    ),
    key=(*_SLOT, "estimator"),
    rules=(
        Accepted("role", ("primary", "secondary", "guardrail")),
        Accepted("estimator", ("plain", "adjusted")),
        Accepted("state", ("fine", "flagged", "untested")),
        Accepted("state", ("fine",), severity="warning"),
        InRange("rate", 0, 1),
    ),
)
