from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ibis.expr.types import Table

from analytics_assets.assets import marts
from analytics_assets.assets.catalog import Setting, declaration
from analytics_assets.contracts import star
from analytics_assets.contracts.model import UNKNOWN_MEMBER
from analytics_assets.lake.days import Days
from analytics_assets.lake.engine import Engine
from analytics_assets.lake.tables import conform
from analytics_assets_tests.making import at, day, project, table

Record = dict[str, Any]
DAYS = Days(day(1), day(10))
MARTS = (
    marts.sales_overview, marts.order_value, marts.product_performance, marts.customer_lifetime_value,
    marts.revenue_daily, marts.revenue_concentration, marts.revenue_lorenz, marts.reconciliation,
)  # fmt: skip
PRODUCTS = table(
    star.DIM_PRODUCTS,
    {"product_id": "tea", "name": "Green tea", "category": "Tea", "cost": "2"},
    {"product_id": "cup", "name": "Cup", "category": "Ware"},
    {"product_id": "pot", "name": "Pot", "category": "Ware", "cost": "8"},
    {"product_id": UNKNOWN_MEMBER},
)
USERS = table(
    star.DIM_USERS,
    {"user_id": "ann", "geography_id": "g1", "channel": "search", "signed_up_on": day(1)},
    {"user_id": UNKNOWN_MEMBER, "geography_id": UNKNOWN_MEMBER},
)
PLACES = table(star.DIM_GEOGRAPHY, {"geography_id": "g1", "country": "DE", "region": "Bremen"})


def sale(order: str, number: int = 1, line: str = "1", **says: Any) -> Record:
    """Make an order line of a day of March; unless it says otherwise, Ann buys one tea for 5."""
    told = {"user_id": "ann", "product_id": "tea", "quantity": 1, "unit_price": "5", "discount": "0", "tax": "1",
            "shipping": "0", "status": "completed", **says}  # fmt: skip
    gross = Decimal(told["unit_price"]) * told["quantity"]
    time = dt.datetime.combine(day(number), dt.time(9), dt.UTC)
    amounts = {"gross": gross, "net": gross - Decimal(told["discount"])}
    return {"day": day(number), "order_id": order, "line": line, "ordered_at": time, **told, **amounts}


def back(order: str | None, number: int = 5, **says: Any) -> Record:
    told = {"return_id": f"r{order}{number}", "line": "1", "order_id": order, "user_id": "ann", "product_id": "tea"}
    more = {"returned_at": at(f"{number:02} 09:00:00"), "quantity": 1, "refund": "5", "status": "refunded"}
    return {"day": day(number), **told, **more, **says}


def computed(engine: Engine, sales: Iterable[Record], returns: Iterable[Record] = (), **more: Table) -> dict[str, Any]:
    """Compute every mart, each from those before it; rows by key."""
    tables: dict[str, Table] = {
        "fact_sales": table(star.FACT_SALES, *sales),
        "fact_returns": table(star.FACT_RETURNS, *returns),
        "dim_products": PRODUCTS,
        "dim_users": USERS,
        "dim_geography": PLACES,
        **more,
    }
    found = {}
    for function in MARTS:
        asset = declaration(function)
        rows = engine.rows(conform(asset.compute(tables, Setting(project(), DAYS)), asset.contract))
        found[asset.name] = sorted(rows, key=lambda row: str([row[name] for name in asset.contract.key]))
        tables[asset.name] = table(asset.contract, *rows)
    return found


def only(found: list[Record], **where: Any) -> Record:
    (row,) = (row for row in found if all(row[name] == value for name, value in where.items()))
    return row


@pytest.mark.slow
def test_a_line_has_its_cost_its_profit_and_the_words_of_its_dimensions(engine):
    found = computed(
        engine, [sale("o1", quantity=3, discount="1.5", shipping="2"), sale("o1", line="2", product_id="cup")]
    )
    first, second = found["sales_overview"]
    assert {name: first[name] for name in ("net", "cost", "profit", "net_uncosted", "contribution")} == {
        "net": Decimal("13.5"), "cost": 6, "profit": Decimal("7.5"), "net_uncosted": 0,
        "contribution": Decimal("9.5"),
    }  # fmt: skip
    assert (second["cost"], second["profit"], second["contribution"], second["net_uncosted"]) == (None, None, None, 5)
    words = ("product", "category", "country", "region", "channel", "month_start", "week_start", "weekday")
    assert [first[name] for name in words] == [
        "Green tea", "Tea", "DE", "Bremen", "search", day(1), dt.date(2024, 2, 26), 5,
    ]  # fmt: skip


@pytest.mark.slow
def test_what_is_cancelled_or_excluded_is_in_no_mart(engine):
    lines = [sale("o1"), sale("o1", line="2", status="cancelled"), sale("o2", status="cancelled")]
    found = computed(engine, [*lines, sale("o3", excluded_as="test"), sale("o4", status="pending")])
    assert [(row["order_id"], row["line"]) for row in found["sales_overview"]] == [("o1", "1"), ("o4", "1")]
    assert [(row["order_id"], row["lines"], row["status"]) for row in found["order_value"]] == [
        ("o1", 1, "completed"), ("o4", 1, "pending"),
    ]  # fmt: skip


@pytest.mark.slow
def test_an_order_is_its_lines_and_not_each_of_them(engine):
    found = computed(engine, [sale("o1"), sale("o1", line="2", unit_price="7"), sale("o2", 2)])
    first, second = found["order_value"]
    assert (first["net"], first["lines"], first["tax"], second["net"]) == (12, 2, 2, 5)
    assert only(found["customer_lifetime_value"])["average_order"] == 8.5


@pytest.mark.slow
def test_orders_are_numbered_by_customer_and_time(engine):
    lines = [sale("o9", 1), sale("o2", 3), sale("o1", 3), sale("o4", 2, user_id="bob"), sale("o5", 1, user_id=None)]
    found = computed(engine, lines)["order_value"]
    assert {row["order_id"]: row["order_number"] for row in found} == {"o9": 1, "o1": 2, "o2": 3, "o4": 1, "o5": None}


@pytest.mark.slow
def test_an_order_of_several_days_began_on_the_first_and_has_one_customer(engine):
    lines = [sale("o1", 2, "2", user_id="bob"), sale("o1", 1, "1"), sale("o2", 3, user_id="bob"), sale("o1", 4, "1")]
    found = computed(engine, lines)
    first, second = found["order_value"]
    assert (first["day"], first["user_id"], first["lines"], second["order_number"]) == (day(1), "ann", 3, 1)
    told = {row["day"].day: (row["orders"], row["net"]) for row in found["revenue_daily"] if not row["dimension"]}
    assert [told[number] for number in (1, 2, 3, 4)] == [(1, 5), (0, 5), (1, 5), (0, 5)]


@pytest.mark.slow
def test_a_return_belongs_to_the_first_line_of_its_order_with_its_product(engine):
    lines = [sale("o1", line="1", product_id="cup"), sale("o1", line="2"), sale("o1", line="3"), sale("o2", 2)]
    found = computed(engine, lines, [back("o1"), back("o1", 6, refund="2"), back("o2", status="refused")])
    told = {(row["order_id"], row["line"]): (row["returned"], row["refund"]) for row in found["sales_overview"]}
    assert told == {("o1", "1"): (0, 0), ("o1", "2"): (2, 7), ("o1", "3"): (0, 0), ("o2", "1"): (0, 0)}


@pytest.mark.slow
def test_a_return_of_no_known_line_is_paid_back_on_its_day_and_for_no_order(engine):
    found = computed(engine, [sale("o1")], [back(None), back("o1", product_id="pot"), back("o7", 6)])
    assert sum(row["refund"] for row in found["order_value"]) == 0
    paid = {row["day"]: row["refunds"] for row in found["revenue_daily"] if not row["dimension"] and row["refunds"]}
    assert paid == {day(5): 10, day(6): 5}


@pytest.mark.slow
def test_days_without_a_sale_are_zeros_and_costs_that_nobody_knows_are_null(engine):
    found = computed(engine, [sale("o1", 2), sale("o2", 2, product_id="cup")])["revenue_daily"]
    assert len(found) == len(DAYS) * 3
    empty, sold = only(found, day=day(1), value="Tea"), only(found, day=day(2), value="")
    assert (empty["orders"], empty["net"], empty["refunds"], empty["cost"]) == (0, 0, 0, None)
    assert (sold["net"], sold["cost"], sold["profit"], sold["net_uncosted"]) == (10, 2, 3, 5)
    assert only(found, day=day(2), value="Ware")["cost"] is None


@pytest.mark.slow
def test_a_product_without_a_category_is_of_the_category_unknown(engine):
    found = computed(engine, [sale("o1", product_id="strange")])["revenue_daily"]
    assert {row["value"] for row in found} == {"", UNKNOWN_MEMBER}


def test_an_order_may_come_back_until_its_days_are_over(engine):
    within = Setting(project(customers={"return_days": 4}), DAYS)
    lines = conform(
        marts.sales_overview(table(star.FACT_SALES, sale("o1"))), declaration(marts.sales_overview).contract
    )
    rows = engine.rows(marts.revenue_daily(within, lines))
    assert {row["day"].day for row in rows if row["returns_open"]} == {7, 8, 9, 10}


@pytest.mark.slow
def test_new_customers_are_those_of_a_first_order(engine):
    lines = [sale("o1", 1), sale("o2", 2), sale("o3", 2, user_id="bob"), sale("o4", 2, user_id=None)]
    found = computed(engine, lines)["revenue_daily"]
    told = {row["day"].day: (row["customers"], row["new_customers"]) for row in found if not row["dimension"]}
    assert (told[1], told[2], told[3]) == ((1, 1), (2, 1), (0, 0))


@pytest.mark.slow
def test_products_are_ranked_and_classed_by_what_they_bring(engine):
    lines = [sale("o1", unit_price="85"), sale("o2", product_id="cup", unit_price="12")]
    found = computed(engine, [*lines, sale("o3", product_id="jug", unit_price="3")])["product_performance"]
    told = {row["product_id"]: (row["rank"], row["class"], row["net_share"]) for row in found}
    assert told == {"tea": (1, "A", 0.85), "cup": (2, "B", 0.12), "jug": (3, "C", 0.03), "pot": (4, "C", 0.0)}
    pot = only(found, product_id="pot")
    assert (pot["orders"], pot["first_sold_on"], pot["average_price"], pot["product"]) == (0, None, None, "Pot")


@pytest.mark.slow
def test_a_customer_is_valued_until_the_last_day_delivered(engine):
    lines = [sale("o1", 1), sale("o2", 4), sale("o3", 4), sale("o4", 2, user_id=None)]
    (ann,) = computed(engine, lines)["customer_lifetime_value"]
    told = {name: ann[name] for name in ("orders", "order_days", "net", "lifetime_days", "days_since_last")}
    assert told == {"orders": 3, "order_days": 2, "net": 15, "lifetime_days": 3, "days_since_last": 6}


@pytest.mark.slow
def test_a_customer_whose_net_is_below_zero_is_left_out_of_concentration_and_counted(engine):
    lines = [sale("o1"), sale("o2", user_id="bob", discount="9"), sale("o3", user_id="eve", discount="5")]
    (found,) = computed(engine, lines)["revenue_concentration"]
    assert (found["customers"], found["revenue"], found["negative"], found["gini"]) == (2, 5, 1, 0.5)


@pytest.mark.slow
def test_without_any_sale_there_is_nothing_and_it_agrees(engine):
    found = computed(engine, [])
    assert all(row["expected"] == row["found"] == 0 for row in found.pop("reconciliation"))
    assert {len(row) for name, row in found.items() if name not in {"product_performance", "revenue_daily"}} == {0}


def test_marts_need_no_dimension(engine):
    nothing: dict[str, Any] = {"dim_products": None, "dim_users": None, "dim_geography": None, "fact_returns": None}
    tables = {"fact_sales": table(star.FACT_SALES, sale("o1"))}
    asset = declaration(marts.sales_overview)
    (found,) = engine.rows(conform(marts.sales_overview(tables["fact_sales"], **nothing), asset.contract))
    assert (found["net"], found["cost"], found["net_uncosted"], found["country"]) == (5, None, 5, None)


@pytest.mark.slow
def test_the_sums_that_do_not_agree_break_the_contract(engine):
    found = computed(engine, [sale("o1")])
    by_table = {declaration(function).name: declaration(function) for function in MARTS}
    made = {name: table(asset.contract, *found[name]) for name, asset in by_table.items()}
    lost = dict(found["order_value"][0], net=Decimal(4))
    tables = {**made, "order_value": table(by_table["order_value"].contract, lost)}
    rows = engine.rows(marts.reconciliation(table(star.FACT_SALES, sale("o1")), **{
        name: tables[name] for name in by_table["reconciliation"].requires if name != "fact_sales"
    }))  # fmt: skip
    broken = {row["name"] for row in rows if row["expected"] != row["found"]}
    assert broken == {"net of order_value", "net of customer_lifetime_value"}


people = st.sampled_from(["ann", "bob", None])
lines = st.fixed_dictionaries(
    {
        "order": st.sampled_from(["o1", "o2", "o3", "o4"]),
        "number": st.integers(1, 10),
        "user_id": people,
        "product_id": st.sampled_from(["tea", "cup", "strange"]),
        "quantity": st.integers(1, 5),
        "unit_price": st.decimals("0.01", 100, places=2),
        "discount": st.decimals(0, 20, places=4),
        "status": st.sampled_from(["completed", "pending", "cancelled"]),
        "excluded_as": st.sampled_from([None, None, "test"]),
    }
)
refunds = st.fixed_dictionaries(
    {
        "order": st.sampled_from(["o1", "o2", "o9", None]),
        "number": st.integers(1, 10),
        "product_id": st.sampled_from(["tea", "cup"]),
        "refund": st.decimals(0, 50, places=2),
        "status": st.sampled_from(["approved", "refunded", "requested", "refused"]),
    }
)


@pytest.mark.slow
@settings(max_examples=8, deadline=None)
@given(st.lists(lines, max_size=40), st.lists(refunds, max_size=16), st.randoms(use_true_random=False))
def test_every_sum_agrees_and_does_not_depend_on_order(engine, sold, returned, random):
    told = [sale(**record, line=str(n)) for n, record in enumerate(sold)]
    paid = [back(**record, return_id=f"r{n}") for n, record in enumerate(returned)]
    found = computed(engine, told, paid)
    assert [row["name"] for row in found["reconciliation"] if row["expected"] != row["found"]] == []
    counting = [line for line in told if line["status"] != "cancelled" and line["excluded_as"] is None]
    assert sum(row["net"] for row in found["order_value"]) == sum(line["net"] for line in counting)
    random.shuffle(told)
    random.shuffle(paid)
    assert computed(engine, told, paid) == found


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sales_overview", "order_value", "revenue_daily"])
def test_all_orders_on_one_day_by_one_customer_are_no_problem(engine, name):
    assert computed(engine, [sale(f"o{n}", 10) for n in range(5)])[name]
