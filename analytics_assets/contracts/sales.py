"""What the marts of sales promise: order lines with all that is known of them, orders, products, days, customers.

Belongs here: one contract a table. Does not belong here: how it is computed (`analysis.sales`, `assets.marts`).
"""

from __future__ import annotations

from analytics_assets.contracts.delivered import AMOUNT, INSTANT, MONEY
from analytics_assets.contracts.model import Column, Contract, Identity, InRange

SUM = "decimal(38, 4)"
"""A sum of amounts that nobody has to fear is too large."""

_NET = Identity("net", plus=("gross",), minus=("discount",))
_PROFIT = Identity("net", plus=("cost", "profit", "net_uncosted"))


def amounts(whose: str, kind: str = AMOUNT) -> tuple[Column, ...]:
    """Describe what every table of sales says of money."""
    return (
        Column("gross", kind, f"quantity x unit price {whose}", MONEY, nullable=False),
        Column("discount", kind, f"discount {whose}", MONEY, nullable=False),
        Column("net", kind, f"gross - discount {whose}: revenue", MONEY, nullable=False),
        Column("tax", kind, f"tax {whose}", MONEY, nullable=False),
        Column("shipping", kind, f"shipping charged {whose}", MONEY, nullable=False),
        Column("cost", kind, f"cost of the pieces {whose}, at today's cost of a piece; null: not known of any", MONEY),
        Column("profit", kind, f"net - cost {whose}, where the cost is known; null: not known of any", MONEY),
        Column("net_uncosted", kind, f"net {whose} of which no cost is known", MONEY, nullable=False),
    )


_REFUND = Column("refund", AMOUNT, "paid back for it so far, approved or refunded", MONEY, nullable=False)
_ORDER_NUMBER = Column(
    "order_number", "int64", "the customer's 1st, 2nd, ... order that counts; null where nobody is known to have bought"
)

SALES_OVERVIEW = Contract(
    table="sales_overview",
    grain="one row an order line that counts (not cancelled, not excluded), with all that is known of it",
    columns=(
        Column("day", "date", "the day of the line", nullable=False),
        Column("month_start", "date", "the first day of its month", nullable=False),
        Column("week_start", "date", "the Monday of its week", nullable=False),
        Column("weekday", "int64", "ISO 8601 weekday: Monday 1 to Sunday 7", nullable=False),
        Column("order_id", "string", "the order", nullable=False),
        Column("line", "string", "the line within its order", nullable=False),
        Column("order_day", "date", "the day of the order's first line", nullable=False),
        Column("ordered_at", INSTANT, "when the line was ordered", nullable=False),
        Column("status", "string", "completed or pending", nullable=False),
        Column("payment_method", "string", "how it was paid"),
        Column("user_id", "string", "the customer", personal=True),
        _ORDER_NUMBER,
        Column("signed_up_on", "date", "the day of the customer's sign-up"),
        Column("country", "string", "the customer's country"),
        Column("region", "string", "the customer's region"),
        Column("city", "string", "the customer's city"),
        Column("channel", "string", "the channel that the customer came by"),
        Column("segment", "string", "the customer's segment, the team's own"),
        Column("device", "string", "the device of the customer's sign-up"),
        Column("product_id", "string", "the product", nullable=False),
        Column("product", "string", "the product's name"),
        Column("category", "string", "the product's category"),
        Column("subcategory", "string", "its subcategory"),
        Column("brand", "string", "its brand"),
        Column("campaign_id", "string", "the campaign that the order names"),
        Column("campaign", "string", "the campaign's name"),
        Column("campaign_channel", "string", "the campaign's channel"),
        Column("quantity", "int64", "pieces", "pieces", nullable=False),
        Column("unit_price", AMOUNT, "price of one piece before discount", MONEY, nullable=False),
        *amounts("of the line"),
        Column(
            "contribution", AMOUNT, "net + shipping - cost of the line: what it leaves; null: no cost is known", MONEY
        ),
        Column("returned", "int64", "pieces that came back so far", "pieces", nullable=False),
        _REFUND,
    ),
    key=("day", "order_id", "line"),
    rules=(_NET, _PROFIT, InRange("quantity", minimum=1), InRange("weekday", 1, 7)),
)

ORDER_VALUE = Contract(
    table="order_value",
    grain="one row an order that counts; its cancelled and excluded lines are left out",
    columns=(
        Column("order_id", "string", "the order", nullable=False),
        Column("day", "date", "the day of its first line", nullable=False),
        Column("ordered_at", INSTANT, "when its first line was ordered", nullable=False),
        Column("user_id", "string", "the customer", personal=True),
        _ORDER_NUMBER,
        Column("status", "string", "pending where any line is, else completed", nullable=False),
        Column("lines", "int64", "its lines", "lines", nullable=False),
        Column("units", "int64", "pieces", "pieces", nullable=False),
        *amounts("of the order"),
        _REFUND,
        Column("payment_method", "string", "how it was paid"),
        Column("campaign_id", "string", "the campaign that it names"),
    ),
    key=("order_id",),
    rules=(_NET, _PROFIT, InRange("lines", minimum=1), InRange("order_number", minimum=1)),
)

PRODUCT_PERFORMANCE = Contract(
    table="product_performance",
    grain="one row a product that is listed or was sold",
    columns=(
        Column("product_id", "string", "the product", nullable=False),
        Column("product", "string", "its name"),
        Column("category", "string", "its category"),
        Column("subcategory", "string", "its subcategory"),
        Column("brand", "string", "its brand"),
        Column("orders", "int64", "orders with it", "orders", nullable=False),
        Column("customers", "int64", "distinct customers", "users", nullable=False),
        Column("units", "int64", "pieces sold", "pieces", nullable=False),
        *amounts("of its lines"),
        Column("margin", "float64", "profit / the net that it is of"),
        Column("average_price", "float64", "net / units", MONEY),
        Column("returned", "int64", "pieces that came back so far", "pieces", nullable=False),
        _REFUND,
        Column("return_rate", "float64", "returned / units"),
        Column("net_share", "float64", "of the net of all products"),
        Column("rank", "int64", "by net, from 1; products with the same net by name", nullable=False),
        Column(
            "class",
            "string",
            "A: the products that bring the first 80 % of net, B: the next 15 %, C: the rest",
            nullable=False,
        ),
        Column("first_sold_on", "date", "the day of its first sale"),
        Column("last_sold_on", "date", "the day of its last"),
    ),
    key=("product_id",),
    rules=(_NET, _PROFIT, InRange("units", minimum=0), InRange("rank", minimum=1)),
)

CUSTOMER_LIFETIME_VALUE = Contract(
    table="customer_lifetime_value",
    grain="one row a customer: what was bought until now (for what is expected, see `clv_customers`)",
    columns=(
        Column("user_id", "string", "the customer", nullable=False, personal=True),
        Column("orders", "int64", "orders", "orders", nullable=False),
        Column("order_days", "int64", "days with an order", "days", nullable=False),
        Column("units", "int64", "pieces", "pieces", nullable=False),
        *amounts("of all orders"),
        _REFUND,
        Column("average_order", "float64", "net / orders", MONEY, nullable=False),
        Column("first_order_on", "date", "day of the first order", nullable=False),
        Column("last_order_on", "date", "day of the last", nullable=False),
        Column("days_since_last", "int64", "from the last order to the last day delivered", "days", nullable=False),
        Column("lifetime_days", "int64", "from the first order to the last", "days", nullable=False),
    ),
    key=("user_id",),
    rules=(
        _NET,
        _PROFIT,
        InRange("orders", minimum=1),
        InRange("lifetime_days", minimum=0),
        InRange("days_since_last", minimum=0),
    ),
)

REVENUE_DAILY = Contract(
    table="revenue_daily",
    grain="one row a day, in all and for each category of products; days without a sale are zeros",
    columns=(
        Column("day", "date", "the day", nullable=False),
        Column("dimension", "string", "category, or empty for all", nullable=False),
        Column("value", "string", "the category, (unknown) where a product has none; empty for all", nullable=False),
        Column("orders", "int64", "orders that began on the day", "orders", nullable=False),
        Column("customers", "int64", "distinct customers who bought", "users", nullable=False),
        Column("new_customers", "int64", "those of them with their first order", "users", nullable=False),
        Column("units", "int64", "pieces", "pieces", nullable=False),
        *amounts("of the day"),
        Column("refunds", AMOUNT, "paid back on the day, for whatever order", MONEY, nullable=False),
        Column(
            "refunds_of_orders",
            AMOUNT,
            "paid back so far for the orders of the day; of (unknown): where no line is found, on the day of return",
            MONEY,
            nullable=False,
        ),
        Column("returns_open", "boolean", "the day's orders may still come back: `return_days` are not over"),
    ),
    key=("dimension", "value", "day"),
    rules=(_NET, _PROFIT, InRange("orders", minimum=0), InRange("refunds", minimum=0)),
)

REVENUE_CONCENTRATION = Contract(
    table="revenue_concentration",
    grain="one row: how much of revenue comes from how few customers",
    columns=(
        Column("customers", "int64", "customers with a net revenue of zero or more", "users", nullable=False),
        Column("revenue", SUM, "their net revenue", MONEY, nullable=False),
        Column("negative", "int64", "customers left out because their net revenue is below zero", "users"),
        Column("gini", "float64", "Gini coefficient of revenue: 0 where all spend alike, near 1 where one spends all"),
        Column("top_decile_share", "float64", "share of revenue of the tenth of customers who spend most"),
        Column("half_of_revenue", "float64", "least share of customers who bring half of revenue"),
    ),
    key=("customers",),
    rules=(InRange("gini", 0, 1), InRange("top_decile_share", 0, 1)),
)

REVENUE_LORENZ = Contract(
    table="revenue_lorenz",
    grain="one row a percent of customers, from those who spend least: the Lorenz curve",
    columns=(
        Column("percent", "int64", "percent of customers", "%", nullable=False),
        Column("share", "float64", "the share of revenue that they bring; between two customers, on the line"),
    ),
    key=("percent",),
    rules=(InRange("percent", 0, 100), InRange("share", 0, 1)),
)

RECONCILIATION = Contract(
    table="reconciliation",
    grain="one row a sum that two tables must agree on",
    columns=(
        Column("name", "string", "what is summed, and in which tables", nullable=False),
        Column("expected", SUM, "the sum in the table that is read", "project currency, or rows", nullable=False),
        Column("found", SUM, "the sum in the table that is made of it", "project currency, or rows", nullable=False),
    ),
    key=("name",),
    rules=(Identity("found", plus=("expected",)),),
)
