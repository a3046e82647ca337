"""Known values, and the definitions: no package that knows the same is a dependency."""

from __future__ import annotations

import math
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics_assets.statistics.proportions import Z95, holm, two_proportions, wilson

counts = st.integers(1, 10_000).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total)))


def test_the_deviate_of_an_interval_of_95_percent():
    assert pytest.approx(NormalDist().inv_cdf(0.975), abs=1e-12) == Z95


@pytest.mark.parametrize(
    ("hits", "total", "low", "high"),
    [  # Newcombe (1998), Statistics in Medicine 17, table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilsons_interval_has_the_published_values(hits, total, low, high):
    assert wilson(hits, total) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


@given(counts, st.sampled_from([0.8, 0.95, 0.999]))
def test_wilsons_interval_ends_where_the_score_test_would_refuse_the_share(count, level):
    hits, total = count
    z = NormalDist().inv_cdf((1 + level) / 2)
    share, ends = hits / total, wilson(hits, total, z)
    assert ends is not None
    assert 0 <= ends[0] <= share + 1e-12
    assert share - 1e-12 <= ends[1] <= 1
    for end in ends:
        assert (share - end) ** 2 == pytest.approx(z * z * end * (1 - end) / total, abs=1e-9)


def test_of_nothing_there_is_no_interval_and_no_difference():
    assert wilson(0, 0) is None
    assert two_proportions(0, 0, 1, 2) is None
    assert two_proportions(1, 2, 0, 0) is None


def chi_square(*counted: tuple[int, int]) -> float:
    """Sum up (observed - expected)^2 / expected over the four cells, without a correction."""
    total = sum(n for _, n in counted)
    hits = sum(h for h, _ in counted)
    cells = [(h, n * hits / total) for h, n in counted] + [(n - h, n * (total - hits) / total) for h, n in counted]
    return sum((observed - expected) ** 2 / expected for observed, expected in cells)


@given(counts, counts)
def test_two_shares_differ_as_the_chi_square_test_without_correction_says(one, other):
    found = two_proportions(*one, *other)
    assert found is not None
    assert found.difference == one[0] / one[1] - other[0] / other[1]
    if one[0] + other[0] in {0, one[1] + other[1]}:
        assert (found.z, found.p_value) == (0, 1)
        return
    assert found.z**2 == pytest.approx(chi_square(one, other), abs=1e-9)
    assert found.p_value == pytest.approx(2 * NormalDist().cdf(-abs(found.z)), abs=1e-9)
    mirrored = two_proportions(*other, *one)
    assert mirrored is not None
    assert (mirrored.z, mirrored.p_value) == (pytest.approx(-found.z), pytest.approx(found.p_value))


def test_a_published_comparison():
    """Agresti (2007), An Introduction to Categorical Data Analysis, 2.2: aspirin, 189/11034 against 104/11037."""
    found = two_proportions(189, 11_034, 104, 11_037)
    assert found is not None
    assert found.difference == pytest.approx(0.0077, abs=5e-5)
    assert found.z == pytest.approx(5.0, abs=0.05)


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
