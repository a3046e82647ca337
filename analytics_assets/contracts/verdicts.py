"""What the answers of experiments promise: results, their course in time, what can be trusted, and verdicts.

Belongs here: one contract a table. Does not belong here: what the answers are made of (`experiments`), and the rules
(`statistics.verdicts`).
"""

from __future__ import annotations

from analytics_assets.contracts.model import Accepted, Column, Contract, InRange

_EXPERIMENT = Column("experiment", "string", "the experiment, as its file in `experiments` is called", nullable=False)
_VARIANT = Column("variant", "string", "the variant that is compared with the control", nullable=False)
_METRIC = (
    Column("metric", "string", "the metric, as its file in `metrics` is called", nullable=False),
    Column("window_days", "int64", "how long it is measured", "days", nullable=False),
    Column("delay_days", "int64", "how long after exposure it begins to be", "days", nullable=False),
    Column("role", "string", "primary, secondary or guardrail", nullable=False),
)
_ROLE = Accepted("role", ("primary", "secondary", "guardrail"))
_UNIT = "the metric's"
VERDICTS = ("invalid", "rollback", "too early", "ship", "no meaningful difference", "inconclusive")

EXPERIMENT_RESULTS = Contract(
    table="experiment_results",
    grain="one row an experiment, metric with its window, variant, segment and maturity",
    columns=(
        _EXPERIMENT,
        *_METRIC,
        _VARIANT,
        Column("dimension", "string", "by what users are told apart; '' for all", nullable=False),
        Column("segment", "string", "its value; '' for all", nullable=False),
        Column(
            "maturity",
            "string",
            "matured: users whose window is over, by whom is decided; observed: all so far, who never decide",
            nullable=False,
        ),
        Column("n_control", "int64", "users of the control", "users", nullable=False),
        Column("n", "int64", "users of the variant", "users", nullable=False),
        Column("control", "float64", "the metric of the control", _UNIT),
        Column("treatment", "float64", "the metric of the variant", _UNIT),
        Column(
            "difference", "float64", "variant - control, adjusted for the days before where the plan says so", _UNIT
        ),
        Column("low", "float64", "lower end of its interval at the plan's alpha, at a fixed horizon", _UNIT),
        Column("high", "float64", "upper end", _UNIT),
        Column("std_error", "float64", "standard error of the difference", _UNIT),
        Column("p_value", "float64", "of no difference, two-sided, at a fixed horizon"),
        Column(
            "p_adjusted",
            "float64",
            "of the primary: by the plan's method, Holm over variants; of segments: Benjamini-Hochberg over them",
        ),
        Column("anytime_low", "float64", "lower end of the interval that may be read on any day", _UNIT),
        Column("anytime_high", "float64", "upper end", _UNIT),
        Column("plain_difference", "float64", "variant - control, as observed", _UNIT),
        Column("variance_left", "float64", "variance of the difference to that of the plain one: what adjusting left"),
        Column("lift", "float64", "difference / |control|"),
        Column("lift_low", "float64", "lower end of its interval (Fieller, else delta)"),
        Column("lift_high", "float64", "upper end"),
        Column("chance_to_win", "float64", "posterior chance that the variant is better, with a flat prior"),
        Column("expected_loss", "float64", "posterior expected loss of taking the variant", _UNIT),
        Column("margin", "float64", "of a guardrail: by how much it may be worse", _UNIT),
        Column("non_inferior", "boolean", "of a guardrail: it is worse by less than the margin, one-sided"),
        Column("reason", "string", "why there is no number; null: there is one"),
    ),
    key=("experiment", "metric", "window_days", "delay_days", "variant", "dimension", "segment", "maturity"),
    rules=(
        _ROLE,
        Accepted("maturity", ("matured", "observed")),
        InRange("p_value", 0, 1),
        InRange("p_adjusted", 0, 1),
        InRange("chance_to_win", 0, 1),
    ),
)

EXPERIMENT_TIMELINE = Contract(
    table="experiment_timeline",
    grain="one row an experiment, metric with its window, variant and day: what was known at the end of the day",
    columns=(
        _EXPERIMENT,
        *_METRIC,
        _VARIANT,
        Column("day", "date", "the day", nullable=False),
        Column("n", "int64", "users of both arms whose window was over", "users", nullable=False),
        Column("difference", "float64", "variant - control", _UNIT),
        Column("low", "float64", "lower end of the interval at a fixed horizon: to be read on one day only", _UNIT),
        Column("high", "float64", "upper end", _UNIT),
        Column("anytime_low", "float64", "lower end of the interval that may be read on every day", _UNIT),
        Column("anytime_high", "float64", "upper end", _UNIT),
        Column("p_value", "float64", "of no difference, at a fixed horizon"),
        Column("anytime_p", "float64", "of no difference, however often it is read"),
    ),
    key=("experiment", "metric", "window_days", "delay_days", "variant", "day"),
    rules=(_ROLE, InRange("p_value", 0, 1), InRange("anytime_p", 0, 1)),
)

EXPERIMENT_TRUST = Contract(
    table="experiment_trust",
    grain="one row an experiment and thing that can make its numbers worthless",
    columns=(
        _EXPERIMENT,
        Column("question", "string", "what is asked", nullable=False),
        Column("state", "string", "fine, warning, or invalid: no verdict can be trusted", nullable=False),
        Column("value", "float64", "the p-value, share or count that was found"),
        Column("limit", "float64", "from where on it is a warning"),
        Column("detail", "string", "what was found, in words", nullable=False),
    ),
    key=("experiment", "question"),
    rules=(Accepted("state", ("fine", "warning", "invalid")), Accepted("state", ("fine",), severity="warning")),
)

EXPERIMENT_VERDICTS = Contract(
    table="experiment_verdicts",
    grain="one row an experiment and variant: what is decided, and why",
    columns=(
        _EXPERIMENT,
        _VARIANT,
        Column("verdict", "string", f"one of {', '.join(VERDICTS)}", nullable=False),
        Column("because", "string", "the rule's reason, with its numbers", nullable=False),
        Column("notes", "string", "what else to know: an effect that fades, or that one segment has; '' for nothing"),
        Column("over", "boolean", "the planned end and the longest window have passed", nullable=False),
        Column("as_of", "date", "the last day whose data count; it stays when all windows are over", nullable=False),
        Column("plan", "string", "registered, amended, retrospective or changed", nullable=False),
        Column("hypothesis", "string", "what was believed", nullable=False),
        Column("owner", "string", "whom to ask"),
        Column("starts", "date", "first day of exposure", nullable=False),
        Column("ends", "date", "last day of exposure", nullable=False),
        Column("method", "string", "fixed, always_valid or group_sequential", nullable=False),
        Column("metric", "string", "the primary metric", nullable=False),
        Column("n_control", "int64", "matured users of the control", "users", nullable=False),
        Column("n", "int64", "matured users of the variant", "users", nullable=False),
        Column("difference", "float64", "of the primary", _UNIT),
        Column("low", "float64", "lower end of the interval that decides", _UNIT),
        Column("high", "float64", "upper end", _UNIT),
        Column("p_value", "float64", "that decides, adjusted over variants; null: the method has none"),
        Column("detectable", "float64", "of the inconclusive: the effect that could have been seen", _UNIT),
    ),
    key=("experiment", "variant"),
    rules=(Accepted("verdict", VERDICTS),),
)


def report(name: str) -> Contract:
    """Promise the report of an experiment."""
    return Contract(
        table=f"verdict_{name}",
        grain="one row: the verdict and the report",
        columns=(
            Column("verdict", "string", "the verdict; of several variants each", nullable=False),
            Column("report", "string", "the report and decision record, in Markdown", nullable=False),
        ),
        key=("verdict",),
    )
