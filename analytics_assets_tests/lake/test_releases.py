"""Releases: what readers see, when it was computed, and which days it covers."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics_assets.lake.days import Days, DaySet
from analytics_assets.lake.engine import Engine
from analytics_assets.lake.releases import Computed, Release, all_releases, commit_release, latest_release
from analytics_assets.lake.tables import Lake
from analytics_assets_tests.making import NOON

FIRST = dt.date(2024, 3, 1)
LATER = NOON + dt.timedelta(days=1)
days_of_march = st.sets(st.integers(0, 40).map(lambda n: FIRST + dt.timedelta(days=n)), max_size=25)


def days(first: int, last: int) -> Days:
    return Days(FIRST.replace(day=first), FIRST.replace(day=last))


@pytest.fixture
def lake(tmp_path: Path, engine: Engine) -> Lake:
    return Lake(str(tmp_path), engine)


def test_a_lake_without_a_release_has_number_0(lake: Lake) -> None:
    assert latest_release(lake) == Release()
    assert all_releases(lake) == ()


def test_a_release_keeps_what_the_run_did_not_compute(lake: Lake) -> None:
    commit_release(lake, "a", {"facts": Computed(1, days(1, 3)), "mart": Computed(1)}, NOON)
    commit_release(lake, "b", {"facts": Computed(2, days(5, 6))}, LATER)
    release = latest_release(lake)
    assert release == all_releases(lake)[-1]
    assert (release.number, release.run_id, release.released_at) == (2, "b", LATER)
    assert release.versions == {"facts": 2, "mart": 1}
    assert release.computed_at == {"facts": LATER, "mart": NOON}
    assert release.covered == {"facts": DaySet((days(1, 3), days(5, 6)))}


def test_days_that_meet_are_one_range(lake: Lake) -> None:
    commit_release(lake, "a", {"facts": Computed(1, days(1, 3))}, NOON)
    commit_release(lake, "b", {"facts": Computed(2, days(4, 6))}, LATER)
    assert latest_release(lake).covered == {"facts": DaySet((days(1, 6),))}


@given(days_of_march, days_of_march)
def test_a_set_of_days_is_a_set(some: set[dt.date], others: set[dt.date]) -> None:
    one, other = DaySet.of(some), DaySet.of(others)
    assert set(one) == some
    assert set(one | other) == some | others
    assert set(one & other) == some & others
    assert set(one - other) == some - others
    assert list(one) == sorted(some)
    assert DaySet.read(str(one)) == one
    assert all(b.first > a.last + dt.timedelta(days=1) for a, b in zip(one.ranges, one.ranges[1:], strict=False))
