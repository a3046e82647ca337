from __future__ import annotations

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from analytics_assets.assets.sales import fact_returns, fact_sales
from analytics_assets.contracts.star import FACT_RETURNS, FACT_SALES
from analytics_assets.lake.engine import Engine
from analytics_assets.lake.tables import conform
from analytics_assets_tests.making import staged

Line = dict[str, object]


def sales(engine: Engine, *lines: Line) -> list[Line]:
    fine = {"quantity": 1, "unit_price": 1, "discount": 0, "tax": 0, "shipping": 0, "status": "completed"}
    rows = staged("order_lines", *({"order_id": "o", "line": str(n), **fine, **line} for n, line in enumerate(lines)))
    return engine.rows(conform(fact_sales(rows), FACT_SALES).order_by("line"))


def returns(engine: Engine, *lines: Line) -> list[object]:
    rows = staged("returns", *({"return_id": "r", "line": str(n), **line} for n, line in enumerate(lines)))
    return [row["refund"] for row in engine.rows(conform(fact_returns(rows), FACT_RETURNS).order_by("line"))]


def test_net_is_gross_less_discount_and_tax_and_shipping_stay_apart(engine):
    line = {"quantity": 3, "unit_price": "2.5000", "discount": "0.7501", "tax": "1.5", "shipping": "4"}
    (sale,) = sales(engine, line)
    amounts = {name: sale[name] for name in ("gross", "discount", "net", "tax", "shipping")}
    assert amounts == {
        "gross": Decimal("7.5"),
        "discount": Decimal("0.7501"),
        "net": Decimal("6.7499"),
        "tax": Decimal("1.5"),
        "shipping": Decimal(4),
    }


def test_only_kept_lines_are_sales(engine):
    found = sales(engine, {"line": "a"}, {"line": "b", "rejected": ["zero_price"]}, {"line": "c"})
    assert [row["line"] for row in found] == ["a", "c"]


def test_cancelled_and_excluded_lines_and_lines_of_nobody_stay_sales(engine):
    found = sales(engine, {"status": "cancelled"}, {"excluded_as": "test"}, {"user_id": None})
    assert len(found) == 3


def test_amounts_as_large_as_they_come_do_not_overflow(engine):
    (sale,) = sales(engine, {"quantity": 9, "unit_price": "9999999999999.9999", "discount": "0.0001"})
    assert sale["net"] == Decimal("89999999999999.9990")


amounts = st.decimals(0, 1_000_000, places=4)


@settings(max_examples=10, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 10_000), amounts, amounts), min_size=1, max_size=30))
def test_sums_are_exact(engine, drawn):
    lines = [{"quantity": q, "unit_price": price, "discount": discount} for q, price, discount in drawn]
    found = sales(engine, *lines)
    assert sum(row["gross"] for row in found) == sum(q * price for q, price, _ in drawn)
    assert sum(row["net"] for row in found) == sum(q * price - discount for q, price, discount in drawn)


def test_a_return_is_refunded_as_delivered_or_else_by_price_and_quantity(engine):
    lines = [
        {"quantity": 2, "unit_price": "1.25", "refund": "2"},
        {"quantity": 2, "unit_price": "1.2345"},
        {"quantity": 2, "refund": "3"},
        {"quantity": 2},
        {"quantity": 2, "unit_price": "1.25", "refund": "0"},
    ]
    assert returns(engine, *lines) == [Decimal(2), Decimal("2.469"), Decimal(3), None, Decimal(0)]


def test_only_kept_returns_are_returns(engine):
    assert returns(engine, {"quantity": 1, "refund": 1}, {"quantity": 1, "rejected": ["duplicate"]}) == [Decimal(1)]
