"""Known values, the definitions, and packages that know the same."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats
from scipy.special import xlogy
from statsmodels.stats import proportion as sm

from analytics_assets.statistics.effects import Reason, difference
from analytics_assets.statistics.proportions import (
    Z95,
    barnard_exact,
    boschloo_exact,
    chi_square,
    difference_interval,
    fisher_exact,
    pooled_z,
    ratio_interval,
    share_interval,
    shares,
    two_proportions,
    wilson,
)

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


def pearson(*counted: tuple[int, int]) -> float:
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
    assert found.z**2 == pytest.approx(pearson(one, other), abs=1e-9)
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


TWO = [(1000, 10_000, 1087, 10_050), (14, 28, 16, 30), (97, 1_000_000, 141, 1_000_000), (3, 40, 11, 45), (0, 20, 4, 25)]


@pytest.mark.parametrize("counts", TWO)
@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
def test_the_pooled_z_is_that_of_statsmodels(counts, alternative):
    s, n, t, m = counts
    z, p = sm.proportions_ztest(
        [t, s], [m, n], alternative={"greater": "larger", "less": "smaller"}.get(alternative, alternative)
    )
    found = pooled_z(*counts, alternative=alternative)
    assert (found.statistic, found.p_value) == (pytest.approx(z, rel=1e-9), pytest.approx(p, rel=1e-9))


@pytest.mark.parametrize("counts", TWO)
@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
def test_the_interval_of_the_pooled_z_is_unpooled(counts, alternative):
    found = pooled_z(*counts, alternative=alternative)
    unpooled = difference(shares(*counts), reference="normal", alternative=alternative)
    assert (found.low, found.high) == (pytest.approx(unpooled.low), pytest.approx(unpooled.high))


@pytest.mark.parametrize("counts", TWO)
def test_corrected_z_is_corrected_chi_square(counts):
    s, n, t, m = counts
    table = [[t, s], [m - t, n - s]]
    expected = stats.chi2_contingency(table, correction=True)
    assert pooled_z(*counts, correction=True).p_value == pytest.approx(expected.pvalue, rel=1e-9)
    assert chi_square(table, correction=True).p_value == pytest.approx(expected.pvalue, rel=1e-9)
    assert chi_square(table, likelihood_ratio=True).statistic == pytest.approx(
        stats.chi2_contingency(table, correction=False, lambda_="log-likelihood").statistic, rel=1e-9
    )


@pytest.mark.parametrize("counts", TWO)
@pytest.mark.parametrize(
    ("method", "theirs"), [("wald", "wald"), ("agresti-caffo", "agresti-caffo"), ("newcombe", "newcomb")]
)
@pytest.mark.parametrize("alpha", [0.05, 0.2])
def test_intervals_of_differences_are_those_of_statsmodels(counts, method, theirs, alpha):
    s, n, t, m = counts
    expected = sm.confint_proportions_2indep(t, m, s, n, method=theirs, compare="diff", alpha=alpha)
    found = difference_interval(*counts, method=method, alpha=alpha)
    assert (found.low, found.high) == tuple(pytest.approx(end, rel=2e-6, abs=1e-9) for end in expected)


@pytest.mark.parametrize(
    ("counts", "method", "correction", "low", "high"),
    [  # Newcombe (1998), Statistics in Medicine 17, 873-890, table II, methods 1, 10, 5 (Mee), 6 (Miettinen-Nurminen)
        ((48, 80, 56, 70), "wald", False, 0.0575, 0.3425),
        ((48, 80, 56, 70), "newcombe", False, 0.0524, 0.3339),
        ((48, 80, 56, 70), "score", False, 0.0533, 0.3377),
        ((48, 80, 56, 70), "score", True, 0.0528, 0.3382),
        ((3, 10, 9, 10), "newcombe", False, 0.1705, 0.8090),
        ((3, 10, 9, 10), "score", False, 0.1821, 0.8370),
        ((3, 10, 9, 10), "score", True, 0.1700, 0.8406),
    ],
)
def test_intervals_of_differences_have_the_published_values(counts, method, correction, low, high):
    found = difference_interval(*counts, method=method, correction=correction)
    assert (found.low, found.high) == (pytest.approx(low, abs=6e-5), pytest.approx(high, abs=6e-5))


@pytest.mark.parametrize("counts", [*TWO, (0, 30, 0, 40), (30, 30, 40, 40), (0, 10, 10, 10)])
@pytest.mark.parametrize("alpha", [0.05, 0.3])
def test_a_score_interval_ends_where_the_score_test_refuses(counts, alpha):
    """The restricted shares are found here by maximising the likelihood, and not by its formula."""
    s, n, t, m = counts
    found = difference_interval(*counts, method="score", alpha=alpha)
    assert found.low <= t / m - s / n <= found.high
    for null in (found.low, found.high):
        if abs(null) > 1 - 1e-9:
            continue
        low, high = max(0.0, -null), min(1.0, 1 - null)

        def unlikely(share, null=null):
            return -(
                xlogy(s, share) + xlogy(n - s, 1 - share) + xlogy(t, share + null) + xlogy(m - t, 1 - share - null)
            )

        share = optimize.minimize_scalar(unlikely, bounds=(low, high), options={"xatol": 1e-12}, method="bounded").x
        variance = share * (1 - share) / n + (share + null) * (1 - share - null) / m
        z = (t / m - s / n - null) / np.sqrt(variance)
        assert abs(z) == pytest.approx(stats.norm.isf(alpha / 2), rel=2e-4)


@pytest.mark.parametrize("counts", [count for count in TWO if count[0]])
@pytest.mark.parametrize("method", ["log", "log-adjusted"])
def test_intervals_of_ratios_are_those_of_statsmodels(counts, method):
    s, n, t, m = counts
    low, high = sm.confint_proportions_2indep(t, m, s, n, method=method, compare="ratio")
    found = ratio_interval(*counts, method=method)
    assert (found.low, found.high) == (pytest.approx(low, rel=1e-9), pytest.approx(high, rel=1e-9))


@pytest.mark.parametrize(("hits", "total"), [(0, 30), (30, 30), (7, 50), (1000, 10_000)])
@pytest.mark.parametrize(
    ("method", "theirs"),
    [
        ("wilson", "wilson"),
        ("clopper-pearson", "beta"),
        ("jeffreys", "jeffreys"),
        ("agresti-coull", "agresti_coull"),
        ("wald", "normal"),
    ],
)
def test_intervals_of_a_share_are_those_of_statsmodels(hits, total, method, theirs):
    low, high = sm.proportion_confint(hits, total, method=theirs)
    found = share_interval(hits, total, method=method)
    assert (found.low, found.high) == (pytest.approx(low, abs=1e-9), pytest.approx(high, abs=1e-9))


def test_exact_tests_are_those_of_scipy():
    table = [[9, 2], [3, 10]]
    for alternative in ("two-sided", "greater", "less"):
        assert fisher_exact(table, alternative=alternative).p_value == stats.fisher_exact(table, alternative).pvalue
        for pooled in (True, False):
            expected = stats.barnard_exact(table, alternative, pooled=pooled).pvalue
            assert barnard_exact(table, alternative=alternative, pooled=pooled).p_value == pytest.approx(expected)
        expected = stats.boschloo_exact(table, alternative).pvalue
        assert boschloo_exact(table, alternative=alternative).p_value == pytest.approx(expected)


@pytest.mark.parametrize("succeeded", [0, 1])
def test_where_none_or_all_succeed_there_is_no_difference_and_no_test(succeeded):
    s, n, t, m = counts = (succeeded * 50, 50, succeeded * 60, 60)
    for effect in (pooled_z(*counts), difference(shares(*counts))):
        assert (effect.estimate, effect.p_value, effect.low, effect.reason) == (0, None, None, Reason.NO_VARIANCE)
    table = [[t, s], [m - t, n - s]]
    for test in (chi_square, fisher_exact, barnard_exact, boschloo_exact):
        assert (test(table).p_value, test(table).reason) == (None, Reason.NO_VARIANCE)
    # what does not rest on an estimated variance still says how large a difference there can be
    for method in ("newcombe", "score", "agresti-caffo"):
        found = difference_interval(*counts, method=method)
        assert found.low < 0 < found.high


def test_of_an_empty_arm_nothing_is_said():
    table = [[3, 0], [7, 0]]
    for test in (chi_square, fisher_exact, barnard_exact, boschloo_exact):
        assert test(table).reason == Reason.NO_UNITS
    assert pooled_z(0, 0, 3, 10).reason == Reason.NO_UNITS
    assert difference(shares(3, 10, 0, 0)).reason == Reason.NO_UNITS
    assert share_interval(0, 0).reason == Reason.NO_UNITS
    assert difference_interval(3, 10, 0, 0).reason == Reason.NO_UNITS
    assert ratio_interval(0, 0, 3, 10).reason == Reason.NO_UNITS
    assert ratio_interval(0, 10, 3, 10).reason == Reason.NOT_POSITIVE


def test_more_successes_than_units_are_refused():
    for ask in (lambda: shares(11, 10, 1, 2), lambda: share_interval(-1, 10), lambda: difference_interval(1, 2, 3, 2)):
        with pytest.raises(ValueError, match="cannot have succeeded"):
            ask()


@given(counts, counts, st.sampled_from(["newcombe", "score", "agresti-caffo", "wald"]))
def test_an_interval_of_a_difference_turns_with_the_arms(one, other, method):
    there, back = difference_interval(*one, *other, method=method), difference_interval(*other, *one, method=method)
    assert (there.low, there.high) == (pytest.approx(-back.high, abs=1e-7), pytest.approx(-back.low, abs=1e-7))
    if method in {"newcombe", "score"}:
        assert np.all(np.abs([there.low, there.high]) <= 1 + 1e-9)
