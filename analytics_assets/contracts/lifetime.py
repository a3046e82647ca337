"""What the tables of lifetime value promise: the models, what they expect of customers, and how well they did.

Belongs here: one contract a table, and the bounds beyond which a fit is called poor. Does not belong here: how the
tables are computed.
"""

from __future__ import annotations

from dataclasses import replace

from analytics_assets.contracts.delivered import MONEY
from analytics_assets.contracts.model import Accepted, Column, Contract, InRange
from analytics_assets.contracts.sales import SUM

HOLDOUT_ERROR = 0.25
"""By what share expected orders may miss those of the holdout before the fit is called poor."""
SPEND_CORRELATION = 0.2
"""From which correlation of spend and frequency on they are no longer taken as independent."""

_ORDERS = "orders (days with one)"
_FITTED_ON = Column(
    "fitted_on", "string", "all: every day until now; calibration: the days before the holdout", nullable=False
)
_MODEL = Column("model", "string", "bg_nbd: when customers order; gamma_gamma: what an order comes to", nullable=False)
_UNTIL = Column("until", "date", "the last day that it was fitted on", nullable=False)
_STATE = (
    "fitted; not identified: a parameter tends to 0 or infinity, and the likeliest values found are used; else why"
    " there is no model"
)
_COUNTS = (
    Column("log_likelihood", "float64", "at the estimates, with time in days and money in the project's currency"),
    Column("customers", "int64", "customers that it was fitted on", "users", nullable=False),
    Column("repeat_customers", "int64", "those of them with an order on a further day", "users", nullable=False),
    Column(
        "left_out",
        "int64",
        "repeat customers that Gamma-Gamma cannot use: their mean value is not positive",
        "users",
        nullable=False,
    ),
)

CLV_MODEL = Contract(
    table="clv_model",
    cadence="weekly",
    grain="one row a model, what it was fitted on, and parameter",
    columns=(
        _FITTED_ON,
        _MODEL,
        Column(
            "parameter", "string", "r, alpha (days), a, b of BG/NBD; p, q, gamma (money) of Gamma-Gamma", nullable=False
        ),
        _UNTIL,
        Column("state", "string", _STATE, nullable=False),
        Column("estimate", "float64", "the value of greatest likelihood; null: no model"),
        Column("standard_error", "float64", "from the curvature of the likelihood; null: not identified"),
        Column("low_95", "float64", "lower end of the 95 % interval, symmetric around the logarithm"),
        Column("high_95", "float64", "upper end of it"),
        Column("low_99", "float64", "lower end of the 99 % interval"),
        Column("high_99", "float64", "upper end of it"),
        *_COUNTS,
        Column("correlation", "float64", "of number and mean value of repeat orders, between customers (Pearson)"),
        Column("correlation_low", "float64", "lower end of its 95 % interval (Fisher)"),
        Column("correlation_high", "float64", "upper end of it"),
    ),
    key=("fitted_on", "model", "parameter"),
    rules=(InRange("estimate", minimum=0), InRange("standard_error", minimum=0)),
)

_INDEPENDENCE = Column(
    "spend_independence",
    "string",
    "Gamma-Gamma assumes that what orders come to is independent of how often one orders: not refuted; refuted: the"
    " correlation is beyond 0.2 and its interval does not reach 0; unknown: too few to say",
    nullable=False,
)

CLV_FIT = Contract(
    table="clv_fit",
    cadence="weekly",
    grain="one row a model and what it was fitted on: whether to trust it",
    columns=(
        _FITTED_ON,
        _MODEL,
        _UNTIL,
        Column("state", "string", _STATE, nullable=False),
        *_COUNTS,
        Column("correlation", "float64", "of number and mean value of repeat orders, between customers (Pearson)"),
        replace(_INDEPENDENCE, nullable=True),
        Column("holdout_days", "int64", "days after `until` that are compared; of BG/NBD on calibration", "days"),
        Column("holdout_orders", "int64", "what the customers of the calibration ordered in them", _ORDERS),
        Column("holdout_expected", "float64", "what the model expected of them", _ORDERS),
        Column("holdout_error", "float64", "holdout_expected / holdout_orders - 1"),
    ),
    key=("fitted_on", "model"),
    rules=(
        Accepted("state", ("fitted", "no customers"), severity="warning"),
        Accepted("spend_independence", ("not refuted", "unknown"), severity="warning"),
        InRange("holdout_error", -HOLDOUT_ERROR, HOLDOUT_ERROR, severity="warning"),
    ),
)

CLV_CUSTOMERS = Contract(
    table="clv_customers",
    grain="one row a customer: what is expected of them (for what was bought, see `customer_lifetime_value`)",
    columns=(
        Column("user_id", "string", "the customer", nullable=False, personal=True),
        Column("first_on", "date", "day of the first order", nullable=False),
        Column("x", "int64", "further days with an order", "days", nullable=False),
        Column("t_x", "int64", "from the first order to the last", "days", nullable=False),
        Column("age", "int64", "from the first order to the last day delivered: T", "days", nullable=False),
        Column(
            "mean_value",
            "float64",
            "net of an order, the first left out and orders of a day one; null where x is 0",
            MONEY,
        ),
        Column("horizon_days", "int64", "how far ahead is looked", "days", nullable=False),
        Column("p_alive", "float64", "P(the customer has not dropped out); 1 where x is 0; null: no model"),
        Column("expected_orders", "float64", "to come within the horizon", _ORDERS),
        Column("expected_order_value", "float64", "net of each of them", MONEY),
        Column("expected_value", "float64", "expected_orders x expected_order_value, not discounted", MONEY),
        Column("orders_state", "string", "of BG/NBD: fitted, or why nothing is expected", nullable=False),
        Column(
            "value_state",
            "string",
            "the same of Gamma-Gamma; no positive mean: the customer has none; no finite mean: the model has none",
            nullable=False,
        ),
        _INDEPENDENCE,
    ),
    key=("user_id",),
    rules=(
        InRange("x", minimum=0),
        InRange("t_x", minimum=0),
        InRange("age", minimum=0),
        InRange("p_alive", 0, 1),
        InRange("expected_orders", minimum=0),
        InRange("expected_order_value", minimum=0),
    ),
)

CLV_CALIBRATION = Contract(
    table="clv_calibration",
    cadence="weekly",
    grain="one row a number of repeat orders in the calibration: what was expected of the holdout, and what came",
    columns=(
        Column(
            "repeat_orders",
            "int64",
            "days with an order after the first, before the holdout; 7 is 7 and more",
            _ORDERS,
            nullable=False,
        ),
        Column("customers", "int64", "customers who had so many", "users", nullable=False),
        Column("calibrated_until", "date", "the last day before the holdout", nullable=False),
        Column("holdout_days", "int64", "days of the holdout", "days", nullable=False),
        Column("orders", "int64", "what they ordered in the holdout", _ORDERS, nullable=False),
        Column("expected_orders", "float64", "what BG/NBD expected; null: no model", _ORDERS),
        Column("value", SUM, "net of these orders", MONEY, nullable=False),
        Column("expected_value", "float64", "what both models expected, of the customers below", MONEY),
        Column("customers_valued", "int64", "customers of whom a value can be expected", "users", nullable=False),
    ),
    key=("repeat_orders",),
    rules=(InRange("repeat_orders", 0, 7), InRange("orders", minimum=0), InRange("expected_orders", minimum=0)),
)

CLV_TRACKING = Contract(
    table="clv_tracking",
    cadence="weekly",
    grain="one row a week since the first day: repeat orders so far of the customers of the calibration",
    columns=(
        Column("week", "int64", "weeks since the first day", "weeks", nullable=False),
        Column("until", "date", "the week's last day", nullable=False),
        Column("in_calibration", "boolean", "the week was over when the holdout began", nullable=False),
        Column("customers", "int64", "customers so far; none is added in the holdout", "users", nullable=False),
        Column("orders", "int64", "their repeat orders so far", _ORDERS, nullable=False),
        Column(
            "expected_orders",
            "float64",
            "what BG/NBD expects of as many who came on these days; null: no model",
            _ORDERS,
        ),
    ),
    key=("week",),
    rules=(InRange("week", minimum=1), InRange("orders", minimum=0), InRange("expected_orders", minimum=0)),
)
