from __future__ import annotations

import datetime as dt
import functools
import itertools
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics_assets.lake.clocks import INSTANT, LOCAL, Clock, from_microseconds, periods, utc
from analytics_assets.lake.days import Days
from analytics_assets.lake.engine import Engine
from analytics_assets_tests.making import table

YEAR = Days(dt.date(2023, 7, 1), dt.date(2024, 6, 30))
SKIPPING = Days(dt.date(2011, 12, 1), dt.date(2012, 1, 31))
ZONES = {
    "Europe/London": YEAR,
    "America/New_York": YEAR,
    "Australia/Lord_Howe": YEAR,
    "Africa/Casablanca": YEAR,
    "Asia/Kolkata": YEAR,
    "Pacific/Apia": SKIPPING,
    "UTC": YEAR,
}
"""By zone, the days around which its clock is quick."""


def instants(engine: Engine, clock: Clock, *local: dt.datetime | None) -> list[dt.datetime | None]:
    rows = table({"n": "int64", "local": LOCAL}, *({"n": n, "local": moment} for n, moment in enumerate(local)))
    found = engine.rows(rows.select("n", at=clock.instant(rows.local)))
    return [row["at"] for row in sorted(found, key=lambda row: row["n"])]


def days(engine: Engine, clock: Clock, *moments: dt.datetime | None) -> list[dt.date | None]:
    rows = table({"n": "int64", "at": INSTANT}, *({"n": n, "at": moment} for n, moment in enumerate(moments)))
    found = engine.rows(rows.select("n", day=clock.day(rows["at"])))
    return [row["day"] for row in sorted(found, key=lambda row: row["n"])]


def naive_instant(zone: str, local: dt.datetime) -> dt.datetime | None:
    """Ask the standard library; a time that comes back as another one is skipped by the clock."""
    found = local.replace(tzinfo=ZoneInfo(zone)).astimezone(dt.UTC)
    return found if found.astimezone(ZoneInfo(zone)).replace(tzinfo=None) == local else None


@functools.cache
def turns(zone: str, first: int, last: int) -> tuple[dt.datetime, ...]:
    """Find, to the second, when a zone's offset changes in some years."""

    def offset(second: int) -> dt.timedelta | None:
        return dt.datetime.fromtimestamp(second, ZoneInfo(zone)).utcoffset()

    found = []
    begin, end = (int(dt.datetime(year, 1, 1, tzinfo=dt.UTC).timestamp()) for year in (first, last + 1))
    for second in range(begin, end, 86_400):
        low, high = second, second + 86_400
        if offset(low) != offset(high):
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if offset(middle) == offset(low) else (low, middle)
            found.append(dt.datetime.fromtimestamp(high, dt.UTC))
    return tuple(found)


@st.composite
def moments(draw: st.DrawFn, zone: str) -> dt.datetime:
    """Draw an instant of the years whose clocks are settled, often near a turn of the clocks or a midnight."""
    known = turns(zone, 1975, 2025)
    kind = draw(st.sampled_from(["turn", "turn", "midnight", "any"] if known else ["midnight", "any"]))
    if kind == "any":
        naive = draw(st.datetimes(dt.datetime(1975, 1, 1), dt.datetime(2025, 12, 31)))  # noqa: DTZ001
        return naive.replace(tzinfo=dt.UTC)
    quick = [turn for turn in known if turn.date() in ZONES[zone].widened(before=300, after=300)]
    if kind == "turn":
        base = draw(st.sampled_from(known) if not quick else st.sampled_from(known) | st.sampled_from(quick))
    else:
        date = draw(
            st.dates(dt.date(1975, 1, 1), dt.date(2025, 12, 31)) | st.dates(ZONES[zone].first, ZONES[zone].last)
        )
        base = dt.datetime.combine(date, dt.time(), ZoneInfo(zone)).astimezone(dt.UTC)
    hours = draw(st.sampled_from([0, 0, 0.5, 1, -0.5, -1, 2, -2, 24, -24]))
    return base + dt.timedelta(
        hours=hours, microseconds=draw(st.sampled_from([0, 0, 1, -1, 10**6, -(10**6), 9 * 10**8]))
    )


@pytest.mark.parametrize("zone", ZONES)
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_a_clock_sets_and_reads_instants_as_the_standard_library_does(engine, zone, data):
    drawn = data.draw(st.lists(moments(zone), min_size=1, max_size=30))
    clock = Clock(zone, ZONES[zone])
    assert days(engine, clock, *drawn) == [moment.astimezone(ZoneInfo(zone)).date() for moment in drawn]
    # the wall clock of an instant, and times that are on no clock or on two
    local = [moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None, fold=0) for moment in drawn]
    local += [
        moment.replace(tzinfo=None) + (naive - moment.replace(tzinfo=None)) / 2
        for moment, naive in zip(drawn, local, strict=True)
    ]
    assert instants(engine, clock, *local) == [naive_instant(zone, moment) for moment in local]


DISTANT = Days(dt.date(1990, 1, 1), dt.date(1990, 1, 2))
quick_or_not = pytest.mark.parametrize("around", [YEAR, DISTANT], ids=["quick", "asked"])


@quick_or_not
def test_a_local_time_that_clocks_skip_is_no_instant(engine, around):
    first, tick = dt.datetime(2024, 3, 31, 1), dt.timedelta(microseconds=1)  # noqa: DTZ001
    last = first + dt.timedelta(hours=1) - tick
    found = instants(engine, Clock("Europe/London", around), first - tick, first, last, last + tick)
    turn = dt.datetime(2024, 3, 31, 1, tzinfo=dt.UTC)
    assert found == [turn - tick, None, None, turn]


@quick_or_not
def test_a_local_time_that_clocks_show_twice_is_the_first(engine, around):
    twice, tick = dt.datetime(2023, 10, 29, 1), dt.timedelta(microseconds=1)  # noqa: DTZ001
    hour = dt.timedelta(hours=1)
    found = instants(engine, Clock("Europe/London", around), twice - tick, twice, twice + hour - tick, twice + hour)
    midnight = dt.datetime(2023, 10, 29, tzinfo=dt.UTC)
    assert found == [midnight - tick, midnight, midnight + hour - tick, midnight + 2 * hour]


@quick_or_not
def test_a_change_of_half_an_hour_is_kept_too(engine, around):
    twice, skipped = dt.datetime(2024, 4, 7, 1, 45), dt.datetime(2023, 10, 1, 2, 15)  # noqa: DTZ001
    found = instants(engine, Clock("Australia/Lord_Howe", around), twice, skipped)
    assert found == [dt.datetime(2024, 4, 6, 14, 45, tzinfo=dt.UTC), None]


@pytest.mark.parametrize("around", [SKIPPING, DISTANT], ids=["quick", "asked"])
def test_a_day_that_a_whole_country_skipped_has_no_instants(engine, around):
    noons = [dt.datetime(2011, 12, number, 12) for number in (29, 30, 31)]  # noqa: DTZ001
    clock = Clock("Pacific/Apia", around)
    found = instants(engine, clock, *noons)
    assert found == [
        dt.datetime(2011, 12, 29, 22, tzinfo=dt.UTC),
        None,
        dt.datetime(2011, 12, 30, 22, tzinfo=dt.UTC),
    ]
    midnight = dt.datetime(2011, 12, 30, 10, tzinfo=dt.UTC)
    read = days(engine, clock, found[0], midnight - dt.timedelta(microseconds=1), midnight, found[2])
    assert read == [dt.date(2011, 12, 29)] * 2 + [dt.date(2011, 12, 31)] * 2


@pytest.mark.parametrize("zone", ["UTC", "Europe/London"])
def test_nothing_is_no_instant_and_on_no_day(engine, zone):
    assert instants(engine, Clock(zone, YEAR), None) == [None]
    assert days(engine, Clock(zone, YEAR), None) == [None]


def test_microseconds_survive(engine):
    local = dt.datetime(2024, 7, 1, 12, 0, 0, 123_457)  # noqa: DTZ001
    found = instants(engine, Clock("Asia/Kolkata", YEAR), local)
    assert found == [dt.datetime(2024, 7, 1, 6, 30, 0, 123_457, tzinfo=dt.UTC)]


def test_a_time_of_the_engine_is_the_instant_of_a_clock_in_utc(engine):
    rows = table({"us": "int64"}, {"us": 0}, {"us": 1_704_110_400_000_001})
    found = engine.rows(rows.select(local=from_microseconds(rows.us)).mutate(at=lambda t: utc(t.local)).order_by("at"))
    assert [row["at"] for row in found] == [
        dt.datetime(1970, 1, 1, tzinfo=dt.UTC),
        dt.datetime(2024, 1, 1, 12, 0, 0, 1, tzinfo=dt.UTC),
    ]


@pytest.mark.parametrize("zone", ZONES)
def test_periods_follow_each_other_and_turn_where_the_zone_does(zone):
    found = periods(zone, ZONES[zone])
    assert all(before.end == after.start for before, after in itertools.pairwise(found))
    inside = [
        t.replace(tzinfo=None)
        for t in turns(zone, 2009, 2026)
        if found[0].start < t.replace(tzinfo=None) < found[-1].end
    ]
    assert [period.start for period in found[1:]] == inside
    assert found[0].start < dt.datetime.combine(ZONES[zone].first, dt.time()) < found[-1].end
