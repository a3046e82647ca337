"""What the tables of marketing promise: spend, credit, increments, return on investment, and correlation.

Belongs here: one contract a table. Does not belong here: how it is computed (`analysis.attribution`,
`analysis.campaigns`, `statistics.incrementality`).
"""

from __future__ import annotations

from dataclasses import replace

from analytics_assets.contracts.delivered import AMOUNT, MONEY
from analytics_assets.contracts.model import Accepted, Column, Contract, InRange

_CAMPAIGN = Column("campaign_id", "string", "the campaign", nullable=False)
_NAME = Column("name", "string", "the campaign's name")
_CHANNEL = Column("channel", "string", "the channel that the campaign runs on")
_FIRST = Column("first_day", "date", "the campaign's first day; of its spend, where none is told")
_LAST = Column("last_day", "date", "its last day; of its spend, or the last delivered one, where none is told")
_COMPLETE = Column("complete", "boolean", "the campaign is over; null: its days are not known")
_CREDITED = Column(
    "campaign_id", "string", "the campaign that is credited; (none): no campaign touched the order", nullable=False
)
_MODEL = Column("model", "string", "who is credited: the first touch, the last, or all alike: linear", nullable=False)
_MODELS = Accepted("model", ("first", "last", "linear"))
_OUTCOME = Column("outcome", "string", "what is counted: visits, orders, or revenue (net)", nullable=False)
_OUTCOMES = Accepted("outcome", ("visits", "orders", "revenue"))
_UNIT = "visits, orders or project currency"
_DIMENSION = Column("dimension", "string", "campaign, channel, or empty for all", nullable=False)
_VALUE = Column("value", "string", "the campaign or channel; empty for all", nullable=False)
_SPEND = Column("spend", AMOUNT, "money spent", MONEY, nullable=False)
_REACH = (
    Column("impressions", "int64", "times shown; null: nobody says", "impressions"),
    Column("clicks", "int64", "times clicked; null: nobody says", "clicks"),
    Column("conversions", "int64", "conversions that the platform reports; null: it reports none", "conversions"),
)
_STATE = Column("state", "string", "identified, or not identified", nullable=False)
_STATES = Accepted("state", ("identified", "not identified"))

ATTRIBUTION_ORDERS = Contract(
    table="attribution_orders",
    grain="one row an order, model and credited campaign; an order's credits add up to it, to the last digit",
    columns=(
        Column("order_id", "string", "the order", nullable=False),
        _MODEL,
        _CREDITED,
        Column("day", "date", "the day of the order", nullable=False),
        Column("user_id", "string", "the customer", personal=True),
        Column("orders", AMOUNT, "the share of the order that is credited", "orders", nullable=False),
        Column("net", AMOUNT, "the net revenue that is credited", MONEY, nullable=False),
        Column("profit", AMOUNT, "the profit that is credited; null: no cost is known", MONEY),
    ),
    key=("order_id", "model", "campaign_id"),
    rules=(_MODELS, InRange("orders", 0, 1)),
)

ATTRIBUTION = Contract(
    table="attribution",
    grain="one row a campaign and model; the sums of a model are those of all orders",
    columns=(
        _CREDITED,
        _MODEL,
        Column("orders", AMOUNT, "orders that are credited", "orders", nullable=False),
        Column("net", AMOUNT, "net revenue that is credited", MONEY, nullable=False),
        Column("profit", AMOUNT, "profit that is credited; null: no cost is known", MONEY),
        Column("customers", "int64", "distinct customers of these orders; one may be of several campaigns", "users"),
        Column("share", "float64", "of the net revenue of all orders"),
    ),
    key=("campaign_id", "model"),
    rules=(_MODELS, InRange("orders", minimum=0)),
)

CAMPAIGN_PERFORMANCE = Contract(
    table="campaign_performance",
    grain="one row a campaign, a channel, and all",
    columns=(
        _DIMENSION,
        _VALUE,
        _NAME,
        _CHANNEL,
        _FIRST,
        _LAST,
        Column("days", "int64", "days with spend", "days", nullable=False),
        Column("budget", AMOUNT, "planned spend", MONEY),
        _SPEND,
        *_REACH,
        Column("ctr", "float64", "clicks / impressions, where both are known"),
        Column("cpc", "float64", "spend / clicks, where these are known", MONEY),
        Column("cpm", "float64", "spend / impressions x 1000, where these are known", MONEY),
        Column("cost_per_conversion", "float64", "spend / conversions that the platform reports", MONEY),
        Column("orders", AMOUNT, "orders whose last touch it was; null: no orders are delivered", "orders"),
        Column("cpa", "float64", "spend / orders", MONEY),
        Column("net", AMOUNT, "net revenue of these orders", MONEY),
    ),
    key=("dimension", "value"),
    rules=(
        Accepted("dimension", ("", "channel", "campaign")),
        InRange("spend", minimum=0),
        InRange("ctr", 0, 1, severity="warning"),
    ),
)

CAMPAIGN_DAILY = Contract(
    table="campaign_daily",
    grain="one row a campaign and day on which it cost something or an order is credited to it",
    columns=(
        Column("campaign_id", "string", "the campaign; (none): orders that no campaign touched", nullable=False),
        Column("day", "date", "the day of the spend, and of the order", nullable=False),
        _SPEND,
        *_REACH,
        Column("orders", AMOUNT, "orders whose last touch it was; null: no orders are delivered", "orders"),
        Column("net", AMOUNT, "net revenue of these orders", MONEY),
    ),
    key=("campaign_id", "day"),
    rules=(InRange("spend", minimum=0),),
)

CAMPAIGN_UNITS = Contract(
    table="campaign_units",
    grain="one row a day and unit: the regions, or what else is declared, that campaigns are compared by",
    columns=(
        Column("day", "date", "the day", nullable=False),
        Column("unit", "string", "the region; (unknown): nobody knows where the user is", nullable=False),
        Column("visits", "int64", "sessions; null: no events are delivered", "visits"),
        Column("orders", "int64", "orders", "orders", nullable=False),
        Column("revenue", AMOUNT, "net revenue", MONEY, nullable=False),
    ),
    key=("day", "unit"),
    rules=(InRange("visits", minimum=0), InRange("orders", minimum=0)),
)

CAMPAIGN_INCREMENTALITY = Contract(
    table="campaign_incrementality",
    grain="one row a campaign and outcome: what would not have come without it",
    columns=(
        _CAMPAIGN,
        _OUTCOME,
        _STATE,
        Column("reason", "string", "why not; or what is to be known of the estimate", nullable=False),
        _FIRST,
        _LAST,
        _COMPLETE,
        Column("units", "string", "what tells treated from control: region, ...; null: nothing is declared"),
        Column("control", "string", "the units in which it does not run, with ; between them", nullable=False),
        Column("treated_units", "int64", "units in which it runs", "units", nullable=False),
        Column("control_units", "int64", "units in which it does not run", "units", nullable=False),
        Column("days_before", "int64", "days before it that it is compared with", "days", nullable=False),
        Column("treated", "float64", "the outcome of treated units on its days so far", _UNIT),
        Column("unplaced", "float64", "the outcome of users in no unit on these days: in no estimate", _UNIT),
        Column("estimate", "float64", "what would not have come without it", _UNIT),
        Column("low", "float64", "lower end of its interval of 95 %", _UNIT),
        Column("high", "float64", "upper end of it", _UNIT),
        Column("uplift", "float64", "estimate / what would have come without it"),
        Column("uplift_low", "float64", "lower end of its interval of 95 %"),
        Column("uplift_high", "float64", "upper end of it"),
        Column("placebos", "int64", "placebo dates: see campaign_placebos", "windows", nullable=False),
        Column("placebos_showing", "int64", "those that show something", "windows", nullable=False),
        Column("placebo_p_value", "float64", "share of moving windows before, and the real one, that show as much"),
    ),
    key=("campaign_id", "outcome"),
    rules=(
        _OUTCOMES,
        _STATES,
        InRange("placebos_showing", maximum=0, severity="warning"),
        InRange("placebo_p_value", 0, 1),
    ),
)

CAMPAIGN_PLACEBOS = Contract(
    table="campaign_placebos",
    grain="one row a campaign, outcome and placebo date: what the estimator sees where there is nothing to see",
    columns=(
        _CAMPAIGN,
        _OUTCOME,
        Column("placebo", "int64", "which one: 1 is the last before the campaign", nullable=False),
        Column("first_day", "date", "its first day", nullable=False),
        Column("last_day", "date", "its last day", nullable=False),
        Column("days", "int64", "its days: those on which another campaign ran are left out", "days", nullable=False),
        Column("uplift", "float64", "what shows", nullable=False),
        Column("low", "float64", "lower end of its interval of 95 %; null: a group is one unit"),
        Column("high", "float64", "upper end of it"),
        Column("p_value", "float64", "of nothing showing, two-sided"),
        Column("adjusted", "float64", "the same, adjusted for all placebo dates of the row's outcome (Holm)"),
        Column("shows", "boolean", "adjusted < 0.05: the two groups do not move alike", nullable=False),
    ),
    key=("campaign_id", "outcome", "placebo"),
    rules=(_OUTCOMES, InRange("p_value", 0, 1), InRange("adjusted", 0, 1)),
)

CAMPAIGN_ROI_ANALYSIS = Contract(
    table="campaign_roi_analysis",
    grain="one row a campaign and method of telling what it brought",
    columns=(
        _CAMPAIGN,
        Column("method", "string", "how its revenue is told", nullable=False),
        _NAME,
        _CHANNEL,
        replace(_FIRST, meaning=f"{_FIRST.meaning}; of the days so far"),
        _LAST,
        _COMPLETE,
        Column(
            "revenue",
            AMOUNT,
            "naive: all net revenue on its days; attributed: what is credited to it; incremental: what would not have "
            "come without it",
            MONEY,
        ),
        Column("revenue_low", "float64", "of incremental: lower end of the interval of 95 %", MONEY),
        Column("revenue_high", "float64", "of incremental: upper end of it", MONEY),
        Column("profit", AMOUNT, "of that revenue, where cost is known; null: of none. Spend is not taken off", MONEY),
        _SPEND,
        Column("roi", "float64", "(revenue - spend) / spend; null: nothing was spent"),
        Column("roi_low", "float64", "of incremental: lower end of the interval of 95 %"),
        Column("roi_high", "float64", "of incremental: upper end of it"),
        Column("roas", "float64", "revenue / spend; null: nothing was spent"),
        Column("state", "string", "counted; identified, not identified; no dates; no spend", nullable=False),
        Column("reason", "string", "why not, or what is to be known of it", nullable=False),
    ),
    key=("campaign_id", "method"),
    rules=(
        Accepted("method", ("naive", "attributed_first", "attributed_last", "attributed_linear", "incremental")),
        Accepted("state", ("counted", "identified", "not identified", "no dates", "no spend")),
        InRange("spend", minimum=0),
    ),
)

CAMPAIGN_CORRELATION = Contract(
    table="campaign_correlation",
    grain="one row a campaign, a channel and all, and lag: how daily spend and daily net revenue go together",
    columns=(
        _DIMENSION,
        _VALUE,
        Column("lag", "int64", "days from the spend to the revenue", "days", nullable=False),
        Column("first_day", "date", "the first day of spend", nullable=False),
        Column("last_day", "date", "the last one; days between without spend are zeros", nullable=False),
        Column("points", "int64", "days that are compared", "days", nullable=False),
        Column("effective_points", "float64", "independent points that would say as much", "points", nullable=False),
        Column("r", "float64", "Pearson's correlation of spend and all net revenue of the day"),
        Column("low", "float64", "lower end of its interval of 95 %; null: too few points for any"),
        Column("high", "float64", "upper end of it"),
        Column("spearman", "float64", "the correlation of ranks"),
        Column("state", "string", "measured, too few points, or constant", nullable=False),
    ),
    key=("dimension", "value", "lag"),
    rules=(
        Accepted("dimension", ("", "channel", "campaign")),
        Accepted("state", ("measured", "too few points", "constant")),
        InRange("r", -1, 1),
        InRange("spearman", -1, 1),
    ),
)
