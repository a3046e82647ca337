"""The star schema's promises: dimensions, facts, and the hubs that marts are built from.

Belongs here: one contract a published table. Does not belong here: how the tables are computed (`assets`).
"""

from __future__ import annotations

from analytics_assets.contracts.delivered import AMOUNT, INSTANT, MONEY
from analytics_assets.contracts.model import (
    UNKNOWN_MEMBER,
    Accepted,
    Column,
    Contract,
    Identity,
    InRange,
    MinimumRows,
    NoLookalikes,
    Reference,
)

_DAY = Column("day", "date", "the day in the reporting time zone", nullable=False)
_USER = Column("user_id", "string", "the user", personal=True)
_ACTOR = Column(
    "user_id", "string", "who acted: the user, the user later known behind the visitor, or the visitor", personal=True
)
_PRODUCT = Column("product_id", "string", "the product")
_CAMPAIGN = Column("campaign_id", "string", "the campaign")
_EXCLUDED = Column("excluded_as", "string", "why the row counts in no metric (bot, staff, test); null: it counts")
_PROPERTIES = Column("properties", "string", "what else was delivered and kept, as a JSON object")
_TO_USERS = Reference("user_id", "dim_users", "user_id", unless=("excluded_as",))
_TO_ACTORS = Reference("user_id", "dim_users", "user_id", unless=("is_anonymous", "excluded_as"))
_TO_PRODUCTS = Reference("product_id", "dim_products", "product_id")
_TO_CAMPAIGNS = Reference("campaign_id", "dim_campaigns", "campaign_id")
_TO_DATES = Reference("day", "dim_dates", "day")

MAP_IDENTITY = Contract(
    table="map_identity",
    grain="one row an anonymous visitor who became known",
    columns=(
        Column("anonymous_id", "string", "the visitor", nullable=False, personal=True),
        Column("user_id", "string", "the user behind the visitor", nullable=False, personal=True),
        Column("known_from", INSTANT, "when the two were seen to be one"),
    ),
    key=("anonymous_id",),
)

DIM_DATES = Contract(
    table="dim_dates",
    grain="one row a day",
    columns=(
        _DAY,
        Column("year", "int64", "calendar year"),
        Column("quarter", "int64", "quarter of the year, 1 to 4"),
        Column("month", "int64", "month of the year, 1 to 12"),
        Column("month_name", "string", "name of the month"),
        Column("day_of_month", "int64", "1 to 31"),
        Column("day_of_year", "int64", "1 to 366"),
        Column("iso_week", "int64", "ISO 8601 week, 1 to 53"),
        Column("iso_year", "int64", "the year that the ISO week belongs to"),
        Column("weekday", "int64", "ISO 8601 weekday: Monday 1 to Sunday 7"),
        Column("weekday_name", "string", "name of the weekday"),
        Column("is_weekend", "boolean", "Saturday or Sunday"),
        Column("week_start", "date", "the Monday of its week"),
        Column("month_start", "date", "the first day of its month"),
    ),
    key=("day",),
    rules=(InRange("weekday", 1, 7), MinimumRows()),
)

DIM_USERS = Contract(
    table="dim_users",
    grain="one row a user, and the unknown user",
    columns=(
        Column(
            "user_id",
            "string",
            f"the user; `{UNKNOWN_MEMBER}` stands for users without a row",
            nullable=False,
            personal=True,
        ),
        Column("signed_up_at", INSTANT, "when the user signed up"),
        Column("signed_up_on", "date", "the day of the sign-up in the reporting time zone"),
        Column("name", "string", "the user's name", personal=True),
        Column("email", "string", "the user's e-mail address", personal=True),
        Column("age", "float64", "age as the source gives it", "years"),
        Column("gender", "string", "gender as the source gives it"),
        Column("geography_id", "string", "the user's place", nullable=False),
        Column("device", "string", "the device of the sign-up"),
        Column("channel", "string", "acquisition channel"),
        _CAMPAIGN,
        Column("segment", "string", "the team's own segment"),
        _PROPERTIES,
        _EXCLUDED,
    ),
    key=("user_id",),
    references=(Reference("geography_id", "dim_geography", "geography_id", severity="error"), _TO_CAMPAIGNS),
    rules=(NoLookalikes("user_id"),),
)

DIM_GEOGRAPHY = Contract(
    table="dim_geography",
    grain="one row a place where users live, and the unknown place",
    columns=(
        Column("geography_id", "string", "hash of country, region and city", nullable=False),
        Column("country", "string", "country"),
        Column("region", "string", "region or state"),
        Column("city", "string", "city"),
    ),
    key=("geography_id",),
)

DIM_PRODUCTS = Contract(
    table="dim_products",
    grain="one row a product, and the unknown product",
    columns=(
        Column(
            "product_id", "string", f"the product; `{UNKNOWN_MEMBER}` stands for products without a row", nullable=False
        ),
        Column("name", "string", "the product's name"),
        Column("category", "string", "category"),
        Column("subcategory", "string", "subcategory"),
        Column("brand", "string", "brand"),
        Column("list_price", AMOUNT, "list price of one piece", MONEY),
        Column("cost", AMOUNT, "cost of one piece", MONEY),
        Column("launched_on", "date", "first day of sale"),
        _PROPERTIES,
    ),
    key=("product_id",),
    rules=(
        InRange("list_price", minimum=0, severity="warning"),
        InRange("cost", minimum=0, severity="warning"),
        NoLookalikes("product_id"),
    ),
)

DIM_CAMPAIGNS = Contract(
    table="dim_campaigns",
    grain="one row a campaign, and the unknown campaign",
    columns=(
        Column(
            "campaign_id",
            "string",
            f"the campaign; `{UNKNOWN_MEMBER}` stands for campaigns without a row",
            nullable=False,
        ),
        Column("name", "string", "the campaign's name"),
        Column("channel", "string", "the channel that it runs on"),
        Column("starts_on", "date", "first day"),
        Column("ends_on", "date", "last day"),
        Column("budget", AMOUNT, "planned spend", MONEY),
        _PROPERTIES,
    ),
    key=("campaign_id",),
    rules=(NoLookalikes("campaign_id"),),
)

FACT_EVENTS = Contract(
    table="fact_events",
    grain="one row an event",
    columns=(
        _DAY,
        Column("event_id", "string", "the event", nullable=False),
        _ACTOR,
        Column("is_anonymous", "boolean", "nobody knows yet who the visitor is", nullable=False),
        Column("is_mapped", "boolean", "the user is known by `map_identity`, not by the event itself", nullable=False),
        Column("anonymous_id", "string", "the visitor, as delivered", personal=True),
        Column("session_id", "string", "the session; null where nobody acted", personal=True),
        Column("occurred_at", INSTANT, "when it happened", nullable=False),
        Column("event_type", "string", "what happened", nullable=False, categorical=True),
        Column("device", "string", "desktop, mobile, tablet, ...", categorical=True),
        Column("country", "string", "where it happened", categorical=True),
        _PRODUCT,
        Column("feature", "string", "the named feature that was used"),
        _CAMPAIGN,
        Column("amount", AMOUNT, "the amount that the event carries", MONEY),
        _PROPERTIES,
        _EXCLUDED,
    ),
    key=("event_id",),
    day="day",
    references=(_TO_ACTORS, _TO_PRODUCTS, _TO_CAMPAIGNS, _TO_DATES),
    rules=(MinimumRows(),),
    clustered_by=("user_id", "occurred_at", "event_id"),
    accounts_for="staged_events",
)

FACT_SESSIONS = Contract(
    table="fact_sessions",
    grain="one row a session: a user's events without a pause of more than 30 minutes, within one day",
    columns=(
        _DAY,
        Column("session_id", "string", "the session", nullable=False, personal=True),
        Column("user_id", "string", "who acted", nullable=False, personal=True),
        Column("is_anonymous", "boolean", "nobody knows yet who the visitor is", nullable=False),
        Column("started_at", INSTANT, "its first event", nullable=False),
        Column("ended_at", INSTANT, "its last event", nullable=False),
        Column("duration", "float64", "from its first event to its last", "s", nullable=False),
        Column("events", "int64", "its events", "events", nullable=False),
        Column("entry_event", "string", "the type of its first event", nullable=False),
        Column("exit_event", "string", "the type of its last event", nullable=False),
        Column("device", "string", "the first device seen in it", categorical=True),
        Column("country", "string", "the first country seen in it", categorical=True),
        Column("campaign_id", "string", "the first campaign seen in it"),
        _EXCLUDED,
    ),
    key=("session_id",),
    day="day",
    rules=(InRange("duration", 0, 90_000), InRange("events", minimum=1)),
    clustered_by=("user_id", "started_at"),
)

FACT_SALES = Contract(
    table="fact_sales",
    grain="one row an order line",
    columns=(
        _DAY,
        Column("order_id", "string", "the order", nullable=False),
        Column("line", "string", "the line within its order", nullable=False),
        _USER,
        Column("product_id", "string", "the product", nullable=False),
        Column("ordered_at", INSTANT, "when the order was placed", nullable=False),
        Column("status", "string", "completed, pending or cancelled", nullable=False, categorical=True),
        Column("quantity", "int64", "pieces", "pieces", nullable=False),
        Column("unit_price", AMOUNT, "price of one piece before discount", MONEY, nullable=False),
        Column("gross", AMOUNT, "quantity x unit price", MONEY, nullable=False),
        Column("discount", AMOUNT, "discount on the line", MONEY, nullable=False),
        Column("net", AMOUNT, "gross - discount: the revenue of the line", MONEY, nullable=False),
        Column("tax", AMOUNT, "tax on the line", MONEY, nullable=False),
        Column("shipping", AMOUNT, "shipping charged on the line", MONEY, nullable=False),
        Column("payment_method", "string", "how it was paid", categorical=True),
        _CAMPAIGN,
        _PROPERTIES,
        _EXCLUDED,
    ),
    key=("order_id", "line"),
    day="day",
    references=(_TO_USERS, _TO_PRODUCTS, _TO_CAMPAIGNS, _TO_DATES),
    rules=(
        Identity("net", plus=("gross",), minus=("discount",)),
        InRange("quantity", minimum=1),
        InRange("net", minimum=0, severity="warning"),
        Accepted("status", ("completed", "pending", "cancelled")),
        MinimumRows(),
    ),
    clustered_by=("user_id", "ordered_at", "order_id", "line"),
    accounts_for="staged_order_lines",
)

FACT_RETURNS = Contract(
    table="fact_returns",
    grain="one row a returned order line",
    columns=(
        _DAY,
        Column("return_id", "string", "the return or credit note", nullable=False),
        Column("line", "string", "the line within the return", nullable=False),
        Column("order_id", "string", "the order that it takes back"),
        _USER,
        Column("product_id", "string", "the product", nullable=False),
        Column("returned_at", INSTANT, "when it came back", nullable=False),
        Column("quantity", "int64", "pieces that came back", "pieces", nullable=False),
        Column("refund", AMOUNT, "money paid back", MONEY),
        Column("reason", "string", "why it came back", categorical=True),
        Column("status", "string", "requested, approved, refunded or refused", nullable=False, categorical=True),
        _PROPERTIES,
        _EXCLUDED,
    ),
    key=("return_id", "line"),
    day="day",
    references=(_TO_USERS, _TO_PRODUCTS, _TO_DATES),
    rules=(
        InRange("quantity", minimum=1),
        InRange("refund", minimum=0),
        Accepted("status", ("requested", "approved", "refunded", "refused")),
    ),
    clustered_by=("user_id", "returned_at", "return_id", "line"),
    accounts_for="staged_returns",
)

FACT_CAMPAIGN_SPEND = Contract(
    table="fact_campaign_spend",
    grain="one row a campaign, day and channel",
    columns=(
        _DAY,
        Column("campaign_id", "string", "the campaign", nullable=False),
        Column("channel", "string", "the channel", nullable=False, categorical=True),
        Column("spend", AMOUNT, "money spent", MONEY, nullable=False),
        Column("impressions", "int64", "times shown", "impressions"),
        Column("clicks", "int64", "times clicked", "clicks"),
        Column("conversions", "int64", "conversions that the platform reports; null: it reports none", "conversions"),
    ),
    key=("campaign_id", "channel"),
    day="day",
    references=(_TO_CAMPAIGNS, _TO_DATES),
    rules=tuple(InRange(name, minimum=0) for name in ("spend", "impressions", "clicks", "conversions")),
    accounts_for="staged_campaign_spend",
)

FACT_ASSIGNMENTS = Contract(
    table="fact_assignments",
    grain="one row a user, experiment and variant",
    columns=(
        Column("day", "date", "the day of the assignment in the reporting time zone; null where it is not known"),
        Column("experiment", "string", "the experiment", nullable=False, categorical=True),
        Column("user_id", "string", "the user", nullable=False, personal=True),
        Column("variant", "string", "the variant; null: on the roster, in no variant"),
        Column("assigned_at", INSTANT, "when it was assigned; null where it is not known"),
        _EXCLUDED,
    ),
    key=("experiment", "user_id", "variant"),
    day="day",
    references=(_TO_USERS,),
    rules=(MinimumRows(),),
    accounts_for="staged_experiment_assignments",
)

FACT_USER_DAYS = Contract(
    table="fact_user_days",
    grain="one row a user and day on which the user acted or bought",
    columns=(
        _DAY,
        Column("user_id", "string", "who acted", nullable=False, personal=True),
        Column("is_anonymous", "boolean", "nobody knows yet who the visitor is", nullable=False),
        Column("sessions", "int64", "sessions", "sessions", nullable=False),
        Column("events", "int64", "events", "events", nullable=False),
        Column(
            "active_time", "float64", "time between the first and the last event of its sessions", "s", nullable=False
        ),
        Column("orders", "int64", "orders that are not cancelled", "orders", nullable=False),
        Column("units", "int64", "pieces in them", "pieces", nullable=False),
        Column("revenue", AMOUNT, "net revenue of orders that are not cancelled", MONEY, nullable=False),
    ),
    key=("user_id",),
    day="day",
    rules=(InRange("sessions", minimum=0), InRange("orders", minimum=0)),
    clustered_by=("user_id",),
)

FACT_USER_DAY_EVENTS = Contract(
    table="fact_user_day_events",
    grain="one row a user, day and event type",
    columns=(
        _DAY,
        Column("user_id", "string", "who acted", nullable=False, personal=True),
        Column("event_type", "string", "what happened", nullable=False),
        Column("events", "int64", "how often", "events", nullable=False),
        Column("first_at", INSTANT, "when first on that day", nullable=False),
    ),
    key=("user_id", "event_type"),
    day="day",
    rules=(InRange("events", minimum=1),),
    clustered_by=("user_id", "event_type"),
)
