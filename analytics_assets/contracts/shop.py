"""What the tables of the synthetic shop's truth promise.

Belongs here: the answers and the ledger. Does not belong here: what the shop delivers (`delivered`).
"""

from __future__ import annotations

from analytics_assets.contracts.model import Accepted, Column, Contract, InRange, MinimumRows

SHOP_TRUTH = Contract(
    table="shop_truth",
    cadence="weekly",
    grain="one row a thing that is true of the shop",
    columns=(
        Column("name", "string", "what it is, from the general to the particular", nullable=False),
        Column("value", "float64", "how much; null where the days are too few to tell"),
        Column("unit", "string", "of what", nullable=False),
        Column("reappears", "string", "where an analysis should find it", nullable=False),
    ),
    key=("name",),
    rules=(MinimumRows(),),
)

SHOP_LEDGER = Contract(
    table="shop_ledger",
    cadence="weekly",
    grain="one row a delivery, kind of dirt, and place where it should be found",
    columns=(
        Column("delivery_day", "date", "the day of the delivery", nullable=False),
        Column("delivered", "string", "the table that was delivered", nullable=False),
        Column("dirt", "string", "what was planted, by the name of its parameter", nullable=False),
        Column("found_in", "string", "the table in which it is found", nullable=False),
        Column("found_as", "string", "the reason of a rejection, the rule broken, or what is counted", nullable=False),
        Column("rows", "int64", "how many", "rows", nullable=False),
    ),
    key=("delivered", "dirt", "found_in", "found_as"),
    day="delivery_day",
    rules=(InRange("rows", minimum=1),),
)

SHOP_FINDINGS = Contract(
    table="shop_findings",
    cadence="weekly",
    grain="one row a thing that is true of the shop and was looked for in the tables",
    columns=(
        Column("name", "string", "what it is, as in `shop_truth`", nullable=False),
        Column("planted", "float64", "what is true", nullable=False),
        Column("found", "float64", "what the tables say; null where they have nothing to say it by"),
        Column("low", "float64", "lower end of the 99.9 % interval around what is found; what is counted has none"),
        Column("high", "float64", "upper end of it"),
        Column("seen", "int64", "how many things were looked at", "rows", nullable=False),
        Column("verdict", "string", "agrees, differs, or nothing seen", nullable=False),
    ),
    key=("name",),
    rules=(Accepted("verdict", ("agrees", "nothing seen"), severity="warning"),),
)

SHOP_DIRT = Contract(
    table="shop_dirt",
    cadence="weekly",
    grain="one row a kind of dirt by where it is found",
    columns=(
        Column("found_in", "string", "the table in which it is found", nullable=False),
        Column("found_as", "string", "the reason of a rejection, the rule broken, or what is counted", nullable=False),
        Column("planted", "int64", "what `shop_ledger` says was planted", "rows", nullable=False),
        Column("found", "int64", "what was found", "rows", nullable=False),
        Column("verdict", "string", "agrees or differs", nullable=False),
    ),
    key=("found_in", "found_as"),
    rules=(Accepted("verdict", ("agrees",), severity="warning"),),
)
