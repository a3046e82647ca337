"""What sources may deliver: the raw tables, how their text is typed, and which rows are refused.

One `Delivered` a raw table; its raw and its staged contract come out of it. Belongs here: the vocabulary that a
team's files are mapped to. Does not belong here: how a file is read (`sources`) and how text is parsed (`assets`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from analytics_assets.contracts.model import Column, Contract, InRange, MinimumRows

AMOUNT = "decimal(18, 4)"
INSTANT = "timestamp('UTC', 6)"
MONEY = "project currency"

PROVENANCE = (
    Column("delivery_day", "date", "the day on which the source handed the row over", nullable=False),
    Column("source", "string", "the source of the project that delivered the row", nullable=False),
    Column("feed", "int64", "which feed of that source took the row, counted from 0", nullable=False),
    Column("file", "string", "the file that the row came in", nullable=False),
    Column("row_number", "int64", "the row's place in that file, counted from 1", nullable=False),
    Column("row_key", "string", "what makes the row the same as another; null: every row is its own", personal=True),
    Column("excluded_as", "string", "why the row counts in no metric (bot, staff, test); null: it counts"),
)
RAW_ONLY = (
    Column("extra", "string", "the delivered columns that no mapping took, as a JSON object"),
    Column("malformed", "string", "what is wrong with the row as a line of its file, and its text"),
)
STAGED_ONLY = (
    Column("day", "date", "the day of the row in the reporting time zone; null where it has none"),
    Column("properties", "string", "the delivered columns that the project keeps as properties, as a JSON object"),
    Column("rejected", "array<string>", "reason codes, the main one first; empty: the row is kept", nullable=False),
)


@dataclass(frozen=True)
class Refusal:
    """Refuse rows by a value: below a bound, equal to a number, or outside a list."""

    reason: str
    column: str
    below: int | None = None
    equals: int | None = None
    outside: tuple[str, ...] = ()


@dataclass(frozen=True)
class Delivered:
    """Describe one raw table that a source may feed.

    Attributes:
        name: The table's name without a layer: `order_lines` gives `raw_order_lines` and `staged_order_lines`.
        grain: What one row is.
        columns: The canonical columns with the types that staging gives them. A column that is not nullable is
            required: a row without it is rejected.
        key: The columns that name a row.
        time: The column that dates a row; None where a row has no time of its own.
        keep: Which of several rows with one key is kept: the `first` of an event, the `last` word on a thing.
        refusals: Values for which a row is rejected, the main reason first.
        defaults: What an absent or empty value means, by column.
        optional: Columns of the key that may be empty even where they are mapped.
        products: Pairs of columns whose product is an amount too, and must not be beyond all amounts.
    """

    name: str
    grain: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    time: str | None = None
    keep: Literal["first", "last"] = "first"
    refusals: tuple[Refusal, ...] = ()
    defaults: tuple[tuple[str, str], ...] = ()
    optional: tuple[str, ...] = ()
    products: tuple[tuple[str, str], ...] = ()

    def column(self, name: str) -> Column:
        """Return the canonical column of that name."""
        return next(column for column in self.columns if column.name == name)

    def raw(self) -> Contract:
        """Promise the rows as delivered: text, by delivery day."""
        text = tuple(replace(column, type="string", nullable=True, unit="") for column in self.columns)
        return Contract(
            table=f"raw_{self.name}",
            grain=f"one row as delivered: {self.grain.removeprefix('one row ')}",
            columns=(*text, *RAW_ONLY, *PROVENANCE),
            key=("source", "file", "row_number", "feed"),
            day="delivery_day",
            rules=(MinimumRows(),),
        )

    def staged(self) -> Contract:
        """Promise every raw row once, typed, and kept or rejected with the reasons."""
        typed = tuple(replace(column, nullable=True) for column in self.columns)
        return Contract(
            table=f"staged_{self.name}",
            grain=f"one row as delivered, judged: {self.grain.removeprefix('one row ')}",
            columns=(*typed, *STAGED_ONLY, *PROVENANCE),
            key=("source", "file", "row_number", "feed"),
            day="delivery_day",
            rules=(InRange("row_number", minimum=1),),
        )


_USER = Column("user_id", "string", "the user, by the source's own id", personal=True)
_ANONYMOUS = Column("anonymous_id", "string", "the visitor before sign-up or log-in", personal=True)
_PRODUCT = Column("product_id", "string", "the product, by the source's own id")
_CAMPAIGN = Column("campaign_id", "string", "the campaign that brought it")
_CURRENCY = Column("currency", "string", "ISO 4217 code of the amounts")
_QUANTITY = Column("quantity", "int64", "pieces", "pieces", nullable=False)


def _required(column: Column) -> Column:
    return replace(column, nullable=False)


_TABLES = (
    Delivered(
        name="events",
        grain="one row something a user did",
        columns=(
            Column("event_id", "string", "the event; without one, a hash of what makes the row the same row"),
            _USER,
            _ANONYMOUS,
            Column("event_type", "string", "what happened: page_view, add_to_cart, purchase, ...", nullable=False),
            Column("occurred_at", INSTANT, "when it happened", nullable=False),
            Column("session_id", "string", "the session, where the source knows it"),
            Column("device", "string", "desktop, mobile, tablet, ..."),
            Column("country", "string", "where it happened"),
            _PRODUCT,
            Column("feature", "string", "the named feature that was used"),
            _CAMPAIGN,
            Column("amount", AMOUNT, "the amount that the event carries", MONEY),
            _CURRENCY,
        ),
        key=("event_id",),
        time="occurred_at",
    ),
    Delivered(
        name="users",
        grain="one row a user",
        columns=(
            _required(_USER),
            Column("signed_up_at", INSTANT, "when the user signed up"),
            Column("name", "string", "the user's name", personal=True),
            Column("email", "string", "the user's e-mail address", personal=True),
            Column("age", "float64", "age as the source gives it", "years"),
            Column("gender", "string", "gender as the source gives it"),
            Column("country", "string", "country"),
            Column("region", "string", "region or state"),
            Column("city", "string", "city"),
            Column("device", "string", "the device of the sign-up"),
            Column("channel", "string", "acquisition channel"),
            _CAMPAIGN,
            Column("segment", "string", "the team's own segment"),
        ),
        key=("user_id",),
        keep="last",
    ),
    Delivered(
        name="products",
        grain="one row a product",
        columns=(
            _required(_PRODUCT),
            Column("name", "string", "the product's name"),
            Column("category", "string", "category"),
            Column("subcategory", "string", "subcategory"),
            Column("brand", "string", "brand"),
            Column("list_price", AMOUNT, "list price of one piece", MONEY),
            Column("cost", AMOUNT, "cost of one piece", MONEY),
            Column("launched_on", "date", "first day of sale"),
        ),
        key=("product_id",),
        keep="last",
    ),
    Delivered(
        name="order_lines",
        grain="one row an order line",
        columns=(
            Column("order_id", "string", "the order", nullable=False),
            Column("line", "string", "the line within its order; without one, the row's place in its file"),
            _USER,
            _required(_PRODUCT),
            Column("ordered_at", INSTANT, "when the order was placed", nullable=False),
            _QUANTITY,
            Column("unit_price", AMOUNT, "price of one piece before discount", MONEY, nullable=False),
            Column("discount", AMOUNT, "discount on the line", MONEY),
            Column("tax", AMOUNT, "tax on the line", MONEY),
            Column("shipping", AMOUNT, "shipping charged on the line", MONEY),
            _CURRENCY,
            Column("status", "string", "completed, pending or cancelled"),
            Column("payment_method", "string", "how it was paid"),
            _CAMPAIGN,
        ),
        key=("order_id", "line"),
        time="ordered_at",
        refusals=(
            Refusal("negative_quantity", "quantity", below=0),
            Refusal("zero_quantity", "quantity", equals=0),
            Refusal("negative_price", "unit_price", below=0),
            Refusal("zero_price", "unit_price", equals=0),
            Refusal("negative_discount", "discount", below=0),
            Refusal("negative_tax", "tax", below=0),
            Refusal("negative_shipping", "shipping", below=0),
            Refusal("unknown_status", "status", outside=("completed", "pending", "cancelled")),
        ),
        defaults=(("discount", "0"), ("tax", "0"), ("shipping", "0"), ("status", "completed")),
        products=(("quantity", "unit_price"),),
    ),
    Delivered(
        name="returns",
        grain="one row a returned order line",
        columns=(
            Column("return_id", "string", "the return or credit note", nullable=False),
            Column("line", "string", "the line within the return; without one, the row's place in its file"),
            Column("order_id", "string", "the order that it takes back"),
            _USER,
            _required(_PRODUCT),
            Column("returned_at", INSTANT, "when it came back", nullable=False),
            _QUANTITY,
            Column("unit_price", AMOUNT, "refund for one piece", MONEY),
            Column("refund", AMOUNT, "money paid back; without one, quantity x unit price", MONEY),
            _CURRENCY,
            Column("reason", "string", "why it came back"),
            Column("status", "string", "requested, approved, refunded or refused"),
        ),
        key=("return_id", "line"),
        time="returned_at",
        refusals=(
            Refusal("negative_quantity", "quantity", below=0),
            Refusal("zero_quantity", "quantity", equals=0),
            Refusal("negative_price", "unit_price", below=0),
            Refusal("negative_refund", "refund", below=0),
            Refusal("unknown_status", "status", outside=("requested", "approved", "refunded", "refused")),
        ),
        defaults=(("status", "refunded"),),
        products=(("quantity", "unit_price"),),
    ),
    Delivered(
        name="campaigns",
        grain="one row a campaign",
        columns=(
            _required(_CAMPAIGN),
            Column("name", "string", "the campaign's name"),
            Column("channel", "string", "the channel that it runs on"),
            Column("starts_on", "date", "first day"),
            Column("ends_on", "date", "last day"),
            Column("budget", AMOUNT, "planned spend", MONEY),
        ),
        key=("campaign_id",),
        keep="last",
    ),
    Delivered(
        name="campaign_spend",
        grain="one row a campaign, day and channel",
        columns=(
            _required(_CAMPAIGN),
            Column("spent_on", INSTANT, "the day of the spend, at its midnight", nullable=False),
            Column("channel", "string", "the channel"),
            Column("spend", AMOUNT, "money spent", MONEY, nullable=False),
            Column("impressions", "int64", "times shown", "impressions"),
            Column("clicks", "int64", "times clicked", "clicks"),
            Column("conversions", "int64", "conversions that the platform reports", "conversions"),
            _CURRENCY,
        ),
        key=("campaign_id", "spent_on", "channel"),
        time="spent_on",
        keep="last",
        optional=("channel",),
        refusals=(
            Refusal("negative_spend", "spend", below=0),
            Refusal("negative_impressions", "impressions", below=0),
            Refusal("negative_clicks", "clicks", below=0),
            Refusal("negative_conversions", "conversions", below=0),
        ),
    ),
    Delivered(
        name="experiment_assignments",
        grain="one row a unit and experiment",
        columns=(
            Column("experiment", "string", "the experiment", nullable=False),
            _required(_USER),
            Column("variant", "string", "the variant; null: on the roster, in no variant"),
            Column("assigned_at", INSTANT, "when it was assigned"),
        ),
        key=("experiment", "user_id", "variant"),
        time="assigned_at",
        optional=("variant",),
    ),
    Delivered(
        name="identities",
        grain="one row an anonymous visitor who became known",
        columns=(
            _required(_ANONYMOUS),
            _required(_USER),
            Column("known_from", INSTANT, "when the two were seen to be one"),
        ),
        key=("anonymous_id",),
        keep="last",
    ),
)

DELIVERED: dict[str, Delivered] = {table.name: table for table in _TABLES}
"""Every raw table by name."""
