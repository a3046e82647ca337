from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics_assets.analysis.concentration import concentration, lorenz
from analytics_assets.lake.engine import Engine
from analytics_assets_tests.making import table

TYPES = {"unit": "string", "amount": "decimal(18, 4)"}
amounts = st.lists(st.decimals(0, 1_000_000, places=2), min_size=1, max_size=40)


def measured(engine: Engine, spent: list[Decimal]) -> dict[str, float]:
    (found,) = engine.rows(concentration(spending(spent)))
    return found


def spending(spent: list[Decimal]):
    return table(TYPES, *({"unit": f"u{n}", "amount": amount} for n, amount in enumerate(spent)))


def curve(engine: Engine, spent: list[Decimal]) -> list[float]:
    rows = engine.rows(lorenz(spending(spent)).order_by("percent"))
    assert [row["percent"] for row in rows] == list(range(101))
    return [row["share"] for row in rows]


def naive_curve(spent: list[Decimal], percent: int) -> float:
    """Walk along the line through (customers, revenue), customer by customer."""
    whole, left, share = sum(spent), Decimal(percent * len(spent)) / 100, Decimal(0)
    for amount in sorted(spent):
        taken = min(left, Decimal(1))
        share, left = share + taken * amount, left - taken
    return float(share / whole)


def naive_gini(spent: list[Decimal]) -> float:
    """Average the differences of all pairs, over twice the mean."""
    pairs = sum(abs(one - other) for one in spent for other in spent)
    return float(pairs / (2 * len(spent) * sum(spent)))


def naive_half(spent: list[Decimal]) -> float:
    so_far, top = Decimal(0), sorted(spent, reverse=True)
    for count, amount in enumerate(top, 1):
        so_far += amount
        if so_far * 2 >= sum(spent):
            return count / len(spent)
    raise AssertionError


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(amounts.filter(any))
def test_it_is_as_counted_by_hand(engine, spent):
    found = measured(engine, spent)
    assert found["units"] == len(spent)
    assert found["whole"] == sum(spent)
    assert found["gini"] == pytest.approx(naive_gini(spent), abs=1e-9)
    assert found["half_of_whole"] == pytest.approx(naive_half(spent))
    assert found["top_decile_share"] == pytest.approx(1 - naive_curve(spent, 90), abs=1e-9)
    assert curve(engine, spent) == pytest.approx([naive_curve(spent, n) for n in range(101)], abs=1e-9)


def test_where_all_spend_alike_nothing_is_concentrated(engine):
    found = measured(engine, [Decimal(7)] * 20)
    assert found["gini"] == pytest.approx(0)
    assert found["top_decile_share"] == pytest.approx(0.1)
    assert found["half_of_whole"] == 0.5


def test_one_customer_has_it_all_and_no_inequality(engine):
    found = measured(engine, [Decimal(5)])
    assert (found["gini"], found["half_of_whole"]) == (0, 1)


def test_of_nobody_and_of_nothing_there_is_no_share(engine):
    assert engine.rows(concentration(spending([]))) == []
    assert engine.rows(lorenz(spending([]))) == []
    found = measured(engine, [Decimal(0), Decimal(0)])
    assert (found["gini"], found["top_decile_share"], found["half_of_whole"]) == (None, None, None)
