"""Assignment: the same for ever, uniform, independent across experiments, and what an engine computes."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import duckdb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from analytics_assets.statistics.assignment import assign, assign_many, boundaries, uniform

UNITS = [f"user-{number}" for number in range(40_000)]
HALVES = {"control": 0.5, "treatment": 0.5}

VECTORS = [  # for good: a change of these moves users of running experiments
    ("user-1", "checkout", 0.1657048639662897, "control"),
    ("user-2", "checkout", 0.07222034396738852, "control"),
    ("", "checkout", 0.9280594864082627, "treatment"),
    ("Ünïcode ☃", "price 2024", 0.9241061176144811, "treatment"),
    ("a:b", "checkout", 0.21834867228821309, "control"),
]


@pytest.mark.parametrize(("unit", "salt", "value", "variant"), VECTORS)
def test_vectors_stay(unit, salt, value, variant):
    assert uniform(unit, salt) == value
    assert assign(unit, salt, HALVES) == variant


@pytest.mark.slow
@given(st.text(), st.text(min_size=1).filter(lambda salt: ":" not in salt))
def test_the_hash_is_a_number_from_0_up_to_1_and_one_unit_is_as_many(unit, salt):
    try:
        unit.encode(), salt.encode()
    except UnicodeEncodeError:
        return
    assert 0 <= uniform(unit, salt) < 1
    assert assign_many([unit, unit], salt, HALVES) == [assign(unit, salt, HALVES)] * 2


def test_values_are_uniform():
    values = [uniform(unit, "one") for unit in UNITS]
    assert stats.kstest(values, "uniform").pvalue > 0.001
    assert stats.chisquare(np.histogram(values, 100, (0, 1))[0]).pvalue > 0.001


def test_variants_have_their_shares():
    shares = {"control": 0.7, "a": 0.2, "b": 0.1}
    counted = Counter(assign_many(UNITS, "two", shares))
    expected = [share * len(UNITS) for share in shares.values()]
    assert stats.chisquare([counted[name] for name in shares], expected).pvalue > 0.001


def test_experiments_are_independent_of_each_other():
    salts = [f"experiment-{number}" for number in range(12)]
    assigned = [np.array(assign_many(UNITS, salt, HALVES)) == "treatment" for salt in salts]
    p_values = [
        stats.chi2_contingency(np.histogram2d(one, other, 2)[0], correction=False).pvalue
        for one, other in combinations(assigned, 2)
    ]
    assert min(p_values) > 0.001 / len(p_values)
    assert stats.kstest(p_values, "uniform").pvalue > 0.001


def test_ids_in_sequence_are_as_random_as_any():
    """Neighbours do not share a variant more often than chance."""
    treated = np.array(assign_many([str(number) for number in range(40_000)], "three", HALVES)) == "treatment"
    assert abs((treated[1:] == treated[:-1]).mean() - 0.5) < 4 * 0.5 / 200
    assert stats.binomtest(int(treated.sum()), len(treated)).pvalue > 0.001


def test_more_for_the_treatment_moves_nobody_out_of_it():
    few = assign_many(UNITS, "ramp", {"treatment": 0.1, "control": 0.9})
    many = assign_many(UNITS, "ramp", {"treatment": 0.5, "control": 0.5})
    assert all(after == "treatment" for before, after in zip(few, many, strict=True) if before == "treatment")


def test_an_engine_computes_the_same():
    units = ["user-1", "Ünïcode ☃", "", "a:b", *UNITS[:200]]
    rows = duckdb.execute(
        "SELECT ('0x' || sha256('checkout:' || unit)[1:13])::BIGINT / 16^13 FROM (SELECT unnest(?) AS unit)", [units]
    ).fetchall()
    assert [value for (value,) in rows] == [uniform(unit, "checkout") for unit in units]


@pytest.mark.parametrize("salt", ["", "a:b", ":"])
def test_a_salt_has_no_colon(salt):
    for ask in (lambda: uniform("user", salt), lambda: assign("user", salt, HALVES)):
        with pytest.raises(ValueError, match="a salt is a text without a colon"):
            ask()


@pytest.mark.parametrize("shares", [{}, {"a": 0.5, "b": 0.6}, {"a": 0.5, "b": 0.4}, {"a": 1.0, "b": 0.0}])
def test_shares_sum_to_one(shares):
    with pytest.raises(ValueError, match="shares are above zero and sum to 1"):
        assign("user", "salt", shares)


def test_a_variant_begins_where_the_one_before_it_ends():
    share = uniform("user-1", "checkout")
    assert assign("user-1", "checkout", {"before": share, "after": 1 - share}) == "after"


def test_ten_tenths_cover_everybody():
    shares = {str(number): 0.1 for number in range(10)}
    assert len(boundaries(shares)) == 9
    assert set(assign_many(UNITS, "tenths", shares)) == set(shares)
