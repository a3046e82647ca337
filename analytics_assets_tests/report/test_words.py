"""Words follow from intervals alone."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics_assets.report.words import FORMATS, Template, Way, changed, changed_between, listed, way, went
from analytics_assets.statistics.changes import Change

ends = st.floats(-2, 2)


@given(ends, ends)
def test_a_word_never_says_more_than_its_interval(one: float, other: float) -> None:
    low, high = min(one, other), max(one, other)
    word = way(low, high, 0.05)
    assert (word is Way.ROSE) == (low > 0)
    assert (word is Way.FELL) == (high < 0)
    assert (word is Way.STEADY) == (not low > 0 and not high < 0 and low >= -0.05 and high <= 0.05)
    assert way(-high, -low, 0.05) == {Way.ROSE: Way.FELL, Way.FELL: Way.ROSE}.get(word, word)


@pytest.mark.parametrize("ends", [(None, None), (None, 1.0), (1.0, None), (math.nan, 1.0), (1.0, math.inf)])
def test_without_an_interval_nothing_can_be_told(ends: tuple[float | None, float | None]) -> None:
    assert way(*ends, 0.05) is Way.UNTOLD
    assert went(None) is Way.UNTOLD


def test_a_share_is_noticed_against_what_it_was() -> None:
    small = Change(0.02, 0.0205, 0.0005, -0.002, 0.003)
    assert went(small, "share") is Way.UNTOLD  # -10 % to +15 % of what it was
    assert went(Change(0.5, 0.5005, 0.0005, -0.002, 0.003), "share") is Way.STEADY
    assert went(small) is Way.STEADY


def test_changes_are_written_with_their_sign_and_unit() -> None:
    told = Change(100.0, 88.0, -0.12, -0.2, 0.013)
    assert (changed(told), changed_between(told)) == ("-12 %", "-20 % to +1.3 %")
    assert changed_between(told, "share") == "-20 to +1.3 points"
    assert changed_between(Change(1, 2, 1.0, reason="8 days are too few")) == "8 days are too few"


def test_every_format_writes_what_is_not_there() -> None:
    for name in FORMATS:
        assert Template("EUR").fill(f"{{x:{name}}}", {"x": None}) == "n/a"
    with pytest.raises(ValueError, match="'percent' is no format: use one of money"):
        Template("EUR").fill("{x:percent}", {"x": 1})


def test_long_lists_end_in_how_many_more_there_are() -> None:
    assert listed([str(n) for n in range(9)], 3) == "0, 1, 2 and 6 more"
