"""What the tables of the churn model promise: what it knows, what it says of whom, and how far that can be trusted.

Belongs here: one contract a table, and the words for what a model knows of a customer. Does not belong here: how it is
computed (`analysis.churn_features`, `statistics.churn`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from analytics_assets.contracts.delivered import MONEY
from analytics_assets.contracts.model import Accepted, Column, Contract, InRange

MODELS = ("boosting", "logistic", "bg_nbd")
"""The model, and the two that it must be better than."""
FITTED = "fitted"
TOO_SHORT = "history too short"
OFF = 0.05
"""Chances that are off by more than this on average are not to be taken at their word."""


@dataclass(frozen=True)
class Feature:
    """Describe one thing that a model knows of a customer at the cut.

    Attributes:
        name: The column.
        theme: What it speaks of: features of one theme are one reason.
        meaning: What a value says.
        unit: Its unit, empty where there is none.
        kind: `count` (whole), `number` or `category`.
    """

    name: str
    theme: str
    meaning: str
    unit: str = ""
    kind: Literal["count", "number", "category"] = "count"

    @property
    def type(self) -> str:
        """The Ibis type of the column."""
        return {"count": "int64", "number": "float64", "category": "string"}[self.kind]


FEATURES = (
    Feature("days_since_order", "last order", "days since the last order", "days"),
    Feature("silence", "last order", "days since the last order / mean days between orders", "", "number"),
    Feature("orders_30", "last order", "orders in the last 30 days", "orders"),
    Feature("orders_90", "last order", "orders in the last 90 days", "orders"),
    Feature("orders", "orders", "orders", "orders"),
    Feature("order_days", "orders", "days with an order", "days"),
    Feature("mean_gap", "orders", "mean days between days with orders", "days", "number"),
    Feature("days_since_first", "first order", "days since the first order", "days"),
    Feature("net", "value", "net revenue", MONEY, "number"),
    Feature("average_net", "value", "net revenue of an order", MONEY, "number"),
    Feature("discount_share", "value", "discount / gross", "", "number"),
    Feature("returned_lines", "returns", "order lines that came back", "lines"),
    Feature("refund_share", "returns", "refunds / net revenue", "", "number"),
    Feature("visits", "visits", "sessions since the first order", "sessions"),
    Feature("active_days", "visits", "days with a session since the first order", "days"),
    Feature("visits_a_day", "visits", "sessions a day since the first order", "sessions", "number"),
    Feature("orders_a_visit", "visits", "days with an order / sessions since the first order", "", "number"),
    Feature("days_since_visit", "last visit", "days since the last session", "days"),
    Feature("visits_missed", "last visit", "sessions missed: the usual ones since the last", "sessions", "number"),
    Feature("visits_7", "last visit", "sessions in the last 7 days", "sessions"),
    Feature("visits_30", "last visit", "sessions in the last 30 days", "sessions"),
    Feature("visits_90", "last visit", "sessions in the last 90 days", "sessions"),
    Feature("visits_since_order", "visits without an order", "sessions since the last order", "sessions"),
    Feature("last_visit_ordered", "visits without an order", "last session brought an order (1: yes)"),
    Feature("events_30", "steps", "events in the last 30 days", "events"),
    Feature("product_views_30", "steps", "events view_product in the last 30 days", "events"),
    Feature("carts_30", "steps", "events add_to_cart in the last 30 days", "events"),
    Feature("checkouts_30", "steps", "events begin_checkout in the last 30 days", "events"),
    Feature("days_since_sign_up", "sign-up", "days since the sign-up", "days"),
    Feature("segment", "segment", "segment", "", "category"),
    Feature("device", "device", "device of the sign-up", "", "category"),
    Feature("channel", "channel", "acquisition channel", "", "category"),
    Feature("country", "country", "country", "", "category"),
)
"""Everything that a model knows of a customer; what no table of the project tells is null."""

_CUT = Column("cut", "date", "the day: what is known ends with it", nullable=False)
_USER = Column("user_id", "string", "the customer", nullable=False, personal=True)
_MODEL = Column("model", "string", "boosting, logistic or bg_nbd", nullable=False)
_CHURNED = Column("churned", "boolean", "no order came in the `churn_days` after the cut; null: they are not over")

CUSTOMER_CHURN_FEATURES = Contract(
    table="customer_churn_features",
    cadence="weekly",
    grain="one row a cut and customer with an order on or before it; empty where there is no model",
    columns=(
        _CUT,
        _USER,
        _CHURNED,
        *(Column(told.name, told.type, f"{told.meaning}, as of the cut", told.unit) for told in FEATURES),
    ),
    key=("cut", "user_id"),
    rules=(
        InRange("orders", minimum=1),
        InRange("days_since_order", minimum=0),
        InRange("days_since_visit", minimum=0),
        InRange("discount_share", maximum=1, severity="warning"),
    ),
)

CUSTOMER_CHURN_PREDICTIONS = Contract(
    table="customer_churn_predictions",
    cadence="weekly",
    grain="one row a customer today, and one a customer at the cut of the test; empty where there is no model",
    columns=(
        _CUT,
        Column("sample", "string", "today, or test: a cut whose `churn_days` are over", nullable=False),
        _USER,
        Column("boosting", "float64", "P(no order within `churn_days`) by gradient boosting", nullable=False),
        Column("logistic", "float64", "the same by a logistic regression", nullable=False),
        Column("bg_nbd", "float64", "the same by BG/NBD, from orders alone; null: it cannot be fitted"),
        Column("rank", "int64", "by `boosting` within the cut, from 1; then by user_id", nullable=False),
        Column("band", "string", "high: boosting of 0.8 and above; medium: 0.5 and above; low", nullable=False),
        Column(
            "value",
            "float64",
            "what `churn_days` bring by the past: net a day since the first order, taken as `churn_days` ago at least",
            MONEY,
            nullable=False,
        ),
        Column("expected_loss", "float64", "boosting x value", MONEY, nullable=False),
        Column(
            "reasons",
            "string",
            "of the 1,000 of today's high band with the highest expected loss: what puts them above the usual customer",
        ),
        _CHURNED,
    ),
    key=("cut", "user_id"),
    rules=(
        *(InRange(name, 0, 1) for name in MODELS),
        Accepted("sample", ("today", "test")),
        Accepted("band", ("high", "medium", "low")),
        InRange("expected_loss", minimum=0),
    ),
)

CUSTOMER_CHURN_RISK = Contract(
    table="customer_churn_risk",
    cadence="weekly",
    grain="one row a customer of the high band: the 1,000 with the highest expected loss; the list to act on",
    columns=(
        Column("place", "int64", "by expected loss, from 1; then by user_id", nullable=False),
        _USER,
        Column("expected_loss", "float64", "chance x value", MONEY, nullable=False),
        Column("chance", "float64", "P(no order within `churn_days`) by gradient boosting", nullable=False),
        Column("value", "float64", "what `churn_days` of the customer bring, by the past", MONEY, nullable=False),
        Column("net", "float64", "net revenue so far", MONEY, nullable=False),
        Column("orders", "int64", "orders so far", "orders", nullable=False),
        Column("days_since_order", "int64", "days since the last order", "days", nullable=False),
        Column("days_since_visit", "int64", "days since the last session", "days"),
        Column(
            "reasons", "string", "the three themes that raise the risk most; empty: nothing is unusual", nullable=False
        ),
    ),
    key=("user_id",),
    rules=(InRange("chance", 0.8, 1), InRange("place", 1, 1_000)),
)

CUSTOMER_CHURN_PERFORMANCE = Contract(
    table="customer_churn_performance",
    cadence="weekly",
    grain="one row a model and measure, on customers of the test, whom it was not trained on",
    columns=(
        _MODEL,
        Column(
            "metric",
            "string",
            "auc; average_precision; brier: mean squared error; calibration_error: mean |observed - predicted| of "
            "tenths of customers; bias: mean predicted - observed",
            nullable=False,
        ),
        Column("state", "string", "fitted, or why there is no number", nullable=False),
        Column("value", "float64", "the measure; null where there is none"),
        Column("low", "float64", "lower end of its 95 % interval (AUC: DeLong; average precision: Boyd; else normal)"),
        Column("high", "float64", "upper end"),
        Column("baseline", "string", "of the AUC of boosting: the better of the other models"),
        Column("gain", "float64", "of the AUC of boosting: how much it is above the baseline's"),
        Column("gain_low", "float64", "lower end of its 95 % interval (DeLong, of pairs)"),
        Column("gain_high", "float64", "upper end"),
        Column(
            "verdict",
            "string",
            "of boosting, auc: better or no better than the baseline; calibration_error: calibrated, or off by more "
            f"than {OFF}",
        ),
        Column("churn_days", "int64", "days without an order that are churn", "days", nullable=False),
        Column("test_cut", "date", "the cut of the test"),
        Column("trained_from", "date", "the first cut of the training"),
        Column("trained_to", "date", "the last; its labels were over by the cut of the test"),
        Column("trained_on", "int64", "rows of the training, a customer and cut each", "rows", nullable=False),
        Column("customers", "int64", "customers of the test", "users", nullable=False),
        Column("churned", "int64", "those of them who churned", "users", nullable=False),
    ),
    key=("model", "metric"),
    rules=(
        Accepted("state", (FITTED, TOO_SHORT), severity="warning"),  # time alone cures the latter
        Accepted("verdict", ("better", "calibrated"), severity="warning"),
        Accepted("model", MODELS),
    ),
)

CUSTOMER_CHURN_CALIBRATION = Contract(
    table="customer_churn_calibration",
    cadence="weekly",
    grain="one row a model and tenth of the test's customers, from the lowest chances up: the calibration curve",
    columns=(
        _MODEL,
        Column("bin", "int64", "1 to 10; customers with one chance are in one", nullable=False),
        Column("customers", "int64", "customers", "users", nullable=False),
        Column("churned", "int64", "those of them who churned", "users", nullable=False),
        Column("lowest", "float64", "the least chance among them", nullable=False),
        Column("highest", "float64", "the greatest", nullable=False),
        Column("predicted", "float64", "the mean chance", nullable=False),
        Column("observed", "float64", "churned / customers", nullable=False),
        Column("low", "float64", "lower end of the 95 % interval of observed (Wilson)", nullable=False),
        Column("high", "float64", "upper end", nullable=False),
    ),
    key=("model", "bin"),
    rules=(InRange("predicted", 0, 1), InRange("observed", 0, 1), InRange("bin", 1, 10)),
)

CUSTOMER_CHURN_IMPORTANCE = Contract(
    table="customer_churn_importance",
    cadence="weekly",
    grain="one row a feature, and one a theme: what the ranking of the boosting rests on",
    columns=(
        Column("theme", "string", "what the feature speaks of", nullable=False),
        Column("feature", "string", "the feature; '' for all of the theme, shuffled together", nullable=False),
        Column("drop", "float64", "fall of the test's AUC once it is shuffled, mean of three shuffles", nullable=False),
        Column("spread", "float64", "standard deviation over the shuffles", nullable=False),
        Column("rank", "int64", "by drop, among features or among themes, from 1", nullable=False),
    ),
    key=("theme", "feature"),
    rules=(InRange("drop", -1, 1), InRange("rank", minimum=1)),
)
