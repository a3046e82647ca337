"""Adjusted p-values: by their definitions, and by statsmodels."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from analytics_assets.statistics.multiple import adjust, bonferroni, holm

THEIRS = {
    "bonferroni": "bonferroni",
    "sidak": "sidak",
    "holm-sidak": "holm-sidak",
    "hochberg": "simes-hochberg",
    "hommel": "hommel",
    "benjamini-hochberg": "fdr_bh",
    "benjamini-yekutieli": "fdr_by",
}


def test_holm_steps_down():
    assert holm([]) == []
    assert holm([0.2]) == [0.2]
    assert holm([0.01, 0.02, 0.03, 0.005]) == pytest.approx([0.03, 0.04, 0.04, 0.02])
    assert holm([0.5, 0.6]) == [1.0, 1.0]
    assert holm([0.02, 0.02]) == [0.04, 0.04]


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_is_what_its_definition_says(p_values):
    """The adjusted value is the largest of (m - j + 1) p(j) over all p(j) that are not larger, and 1 at most."""
    n, told = len(p_values), sorted(p_values)
    for p, adjusted in zip(p_values, holm(p_values), strict=True):
        steps = [(n - place) * other for place, other in enumerate(told) if other <= p]
        assert math.isclose(adjusted, min(1.0, max(steps)), abs_tol=1e-12)
        assert adjusted >= p


@pytest.mark.parametrize("method", THEIRS)
@given(p_values=st.lists(st.floats(1e-6, 1), min_size=1, max_size=12))
def test_families_are_those_of_statsmodels(method, p_values):
    expected = multipletests(p_values, method=THEIRS[method])[1]
    assert adjust(p_values, method) == pytest.approx(list(expected), rel=1e-9)


def test_holm_is_that_of_statsmodels():
    """Once, because statsmodels collects garbage at each call of it."""
    p_values = [0.001, 0.04, 0.03, 0.2, 0.04, 1.0]
    assert holm(p_values) == pytest.approx(list(multipletests(p_values, method="holm")[1]))


@given(
    st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=8), st.sampled_from([*THEIRS, "holm", "hochberg-sidak"])
)
def test_what_was_not_tested_counts_for_nothing(p_values, method):
    found = adjust(p_values, method)
    made = [p for p in p_values if p is not None]
    assert [p for p in found if p is not None] == adjust(made, method)
    assert [p is None for p in found] == [p is None for p in p_values]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_is_never_larger_than_bonferroni(p_values):
    assert all(a <= b + 1e-15 for a, b in zip(holm(p_values), bonferroni(p_values), strict=True))


def test_an_unknown_method_and_an_impossible_p_value_are_refused():
    with pytest.raises(ValueError, match="no method is called 'magic'"):
        adjust([0.1], "magic")
    with pytest.raises(ValueError, match="between 0 and 1"):
        adjust([1.1])
