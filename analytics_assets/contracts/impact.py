"""What follows from experiments, and how far methods can be trusted: regression, impact, calibration.

Belongs here: one contract a table. Does not belong here: verdicts and what they rest on (`verdicts`, `experiments`).
"""

from __future__ import annotations

from analytics_assets.contracts.delivered import MONEY
from analytics_assets.contracts.model import Accepted, Column, Contract, InRange
from analytics_assets.contracts.sales import SUM

_EXPERIMENT = Column("experiment", "string", "the experiment, as its file in `experiments` is called", nullable=False)
_VARIANT = Column("variant", "string", "the variant that is compared with the control", nullable=False)
_PRIMARY = (
    Column("metric", "string", "the primary metric, as its file in `metrics` is called", nullable=False),
    Column("window_days", "int64", "how long it is measured", "days", nullable=False),
    Column("delay_days", "int64", "how long after exposure it begins to be", "days", nullable=False),
)
REGRESSION_STATES = ("fitted", "left out", "refused", "no users yet", "separated", "not converged", "no fit")
IMPACT_STATES = ("told", "not yet", "invalid", "no lift", "no orders", "not of orders")
CALIBRATION_STATES = ("calibrated", "off")
FIGURES = ("false alarms", "coverage", "power", "false alarms with daily peeking")

EXPERIMENT_REGRESSION = Contract(
    table="experiment_regression",
    grain="one row an experiment, variant and term of a logistic model of the primary in the variant and the control",
    columns=(
        _EXPERIMENT,
        *_PRIMARY,
        _VARIANT,
        Column(
            "term",
            "string",
            "treatment, intercept, or what was known before exposure; of a category with its value",
            nullable=False,
        ),
        Column("reference", "string", "the value that it is compared with"),
        Column("n", "int64", "matured users of both arms", "users", nullable=False),
        Column("successes", "int64", "of them, those whose primary is above 0", "users", nullable=False),
        Column("odds_ratio", "float64", "by what it multiplies the odds that the primary is above 0"),
        Column("low", "float64", "lower end of its interval at the plan's alpha (Wald)"),
        Column("high", "float64", "upper end"),
        Column("p_value", "float64", "of an odds ratio of 1, two-sided"),
        Column(
            "state",
            "string",
            "fitted; left out: it is the same for all, or others determine it; refused: measured after exposure; "
            "no users yet; separated: it says outcomes for sure, so that there is no fit; not converged; no fit",
            nullable=False,
        ),
        Column("reason", "string", "why there is no number; null: there is one"),
    ),
    key=("experiment", "variant", "term"),
    rules=(
        Accepted("state", REGRESSION_STATES),
        Accepted("state", ("fitted", "left out", "no users yet"), severity="warning"),
        InRange("p_value", 0, 1),
        InRange("odds_ratio", minimum=0),
    ),
)


def _three(name: str, meaning: str, unit: str) -> tuple[Column, ...]:
    return (
        Column(name, "float64", meaning, unit),
        Column(f"{name}_low", "float64", "lower end of its interval: that of the lift, the rest as measured", unit),
        Column(f"{name}_high", "float64", "upper end", unit),
    )


EXPERIMENT_IMPACT = Contract(
    table="experiment_impact",
    grain="one row an experiment and variant: what everybody in the variant instead of the control is worth a month",
    columns=(
        _EXPERIMENT,
        _VARIANT,
        *_PRIMARY,
        Column("verdict", "string", "what was decided", nullable=False),
        Column(
            "state",
            "string",
            "told; not yet: too early; invalid: no impact is claimed; no lift: it has no interval; no orders: the "
            "control has none; not of orders: orders do not rise as the primary does",
            nullable=False,
        ),
        Column("reason", "string", "why a number is missing; null: none is"),
        Column("exposed", "int64", "users who are compared, of all variants", "users", nullable=False),
        Column("exposure_days", "int64", "days of the plan so far on which they were exposed", "days", nullable=False),
        Column("exposed_a_month", "float64", "exposed / exposure_days x 30.44", "users a month"),
        Column(
            "control_users", "int64", "users of the control whose window of the primary is over", "users",
            nullable=False,
        ),
        Column("control_orders", "int64", "their orders in that window", "orders", nullable=False),
        Column("control_net", SUM, "net of these orders", MONEY, nullable=False),
        Column("control_refund", SUM, "paid back for them so far", MONEY, nullable=False),
        Column("control_profit", SUM, "net - cost of their lines whose cost is known; null: of none", MONEY),
        Column("control_uncosted", SUM, "net of their lines of which no cost is known", MONEY, nullable=False),
        Column(
            "open_returns", "int64", "of these orders, those that may still come back: younger than return_days",
            "orders", nullable=False,
        ),
        Column("orders_a_user", "float64", "control_orders / control_users", "orders a user"),
        Column("orders_a_treated", "float64", "the same of the variant, as measured: to compare", "orders a user"),
        Column("net_an_order", "float64", "(control_net - control_refund) / control_orders", MONEY),
        Column(
            "profit_an_order", "float64",
            "profit on net, of lines whose cost is known, times control_net, - control_refund, / control_orders", MONEY,
        ),
        Column("lift", "float64", "of the primary, as in experiment_results"),
        Column("lift_low", "float64", "lower end of its interval (Fieller, else delta)"),
        Column("lift_high", "float64", "upper end"),
        *_three("orders", "exposed_a_month x orders_a_user x lift", "orders a month"),
        *_three("revenue", "orders x net_an_order", "project currency a month"),
        *_three("margin", "orders x profit_an_order", "project currency a month"),
        Column("assumptions", "string", "what must hold for the numbers to come true", nullable=False),
    ),
    key=("experiment", "variant"),
    rules=(
        Accepted("state", IMPACT_STATES),
        Accepted("state", ("told", "not yet", "invalid", "not of orders"), severity="warning"),
        InRange("exposed", minimum=0),
        InRange("control_orders", minimum=0),
    ),
)  # fmt: skip

EXPERIMENT_CALIBRATION = Contract(
    table="experiment_calibration",
    cadence="weekly",
    grain="one row a method, figure and what was drawn: how often it is wrong, or right, by simulation",
    columns=(
        Column("method", "string", "the method", nullable=False),
        Column("figure", "string", f"what was counted: {', '.join(FIGURES)}", nullable=False),
        Column("setting", "string", "what was drawn", nullable=False),
        Column("kind", "string", "approximate, exact or sequential", nullable=False),
        Column("experiments", "int64", "drawn experiments", "experiments", nullable=False),
        Column("counted", "int64", "of them, those in which it happened", "experiments", nullable=False),
        Column("rate", "float64", "counted / experiments", nullable=False),
        Column("rate_low", "float64", "lower end of its 99.9 % interval (Wilson)", nullable=False),
        Column("rate_high", "float64", "upper end", nullable=False),
        Column("nominal", "float64", "what the method, or the theory of power, promises", nullable=False),
        Column(
            "low", "float64",
            "the least rate that chance makes of the promise in 99.9 % of simulations; 0 where less is better",
            nullable=False,
        ),
        Column("high", "float64", "the largest; 1 where more is better", nullable=False),
        Column("state", "string", "calibrated: the rate is between low and high; off: it is not", nullable=False),
    ),
    key=("method", "figure", "setting"),
    rules=(
        Accepted("figure", FIGURES),
        Accepted("state", CALIBRATION_STATES),
        Accepted("state", ("calibrated",), severity="warning"),
        InRange("rate", 0, 1),
    ),
)  # fmt: skip
