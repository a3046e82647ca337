"""Days and their pace, and who lives and what is sold in the world: what is true of any shop."""

from __future__ import annotations

import datetime as dt
import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics_assets.project.shop import DEVICES, SEGMENTS, Shop
from analytics_assets.sources.shop.calendar import Calendar
from analytics_assets.sources.shop.vocabulary import CATEGORIES, CHANNELS, CITIES, COUNTRIES, REGIONS
from analytics_assets_tests.sources.shop.readings import (
    Opened,
    Reading,
    binomial,
    chi_square,
    chi_square_limit,
    deviation,
    number,
    quantile,
    readings,
    shops,
    tiny,
)

HOUR = 3_600_000


@settings(max_examples=40, deadline=None)
@given(shops(), st.integers(1, 400))
def test_exactly_the_users_sign_up_numbered_without_a_gap(opened, beyond):
    calendar = Calendar(opened.shop, opened.first_day, opened.zone)
    days = opened.shop.days + beyond
    spans = [calendar.sign_ups(day) for day in range(days)]
    assert spans[0].start == 0
    assert all(before.stop == after.start for before, after in itertools.pairwise(spans))
    assert spans[opened.shop.days - 1].stop == opened.shop.users
    # a calendar that is asked for one day alone says the same
    alone = Calendar(opened.shop, opened.first_day, opened.zone)
    assert alone.sign_ups(days - 1) == spans[-1]


def check_profiles_are_of_who_signed_up_that_day(reading):
    users = reading.clean("users")
    assert number(users["user_id"]).tolist() == list(range(1, len(users) + 1))
    if reading.days >= reading.shop.days:
        assert (users["day"] < reading.shop.days).sum() == reading.shop.users
    assert (users["on"] == users["day"]).all()
    assert users["email"].is_unique
    assert users["email"].str.fullmatch(r"[a-z0-9.]+@example\.com").all()
    places = {(COUNTRIES[country].code, region) for country, region in REGIONS}
    assert set(zip(users["country"], users["region"], strict=True)) <= places
    cities = {(REGIONS[region][1], city) for region, city in CITIES}
    told = users[users["city"].notna()]
    assert set(zip(told["region"], told["city"], strict=True)) <= cities
    assert set(users["segment"]) <= set(SEGMENTS)
    assert set(users["device"]) <= set(DEVICES)
    assert set(users["channel"]) <= set(CHANNELS)
    assert pd.to_numeric(users["age"]).dropna().between(16, 90).all()
    if not reading.shop.dirt.missing:
        assert users.drop(columns="campaign_id").notna().all(axis=None)
    assert users[["name", "street", "country", "region"]].notna().all(axis=None)


def check_the_campaign_of_a_profile_is_that_of_the_first_visit(reading):
    users, events = reading.clean("users"), reading.whole("events")
    ours = events[events["user_id"].notna()].assign(place=lambda rows: number(rows["event_id"]))
    first = ours.sort_values(["at", "place"]).drop_duplicates("user_id").set_index("user_id")
    same = (
        users[users["on"] < reading.days - 3]
        .set_index("user_id")
        .join(first[["campaign_id", "at"]].add_suffix("_first"))
    )
    assert (same["campaign_id"].fillna("") == same["campaign_id_first"].fillna("")).all()
    assert (same["at"] == same["at_first"]).all()  # the sign-up is the first that is heard of a user


def check(reading: Reading) -> None:
    check_profiles_are_of_who_signed_up_that_day(reading)
    check_the_campaign_of_a_profile_is_that_of_the_first_visit(reading)


@pytest.mark.slow
@settings(max_examples=6, deadline=None)
@given(readings())
def test_any_shop(reading):
    check(reading)


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(readings())
def test_many_shops(reading):
    check(reading)


@settings(max_examples=6, deadline=None)
@given(shops())
def test_products_have_prices_above_their_costs_and_a_day_of_launch(opened):
    listed = Reading(opened, 1).all("products")
    again = listed["product_id"].str.endswith(" ")
    assert again.sum() == min(opened.shop.products, int(np.ceil(opened.shop.dirt.mixed_case * opened.shop.products)))
    once = listed[~again]
    assert len(once) == opened.shop.products == once["product_id"].nunique()
    assert once["product_id"].str.len().nunique() == 1
    assert (once["cost"] > 0).all()
    assert (once["cost"] < once["list_price"]).all()
    launched = pd.to_datetime(once["launched_on"]) - pd.Timestamp(opened.first_day)
    assert launched.dt.days.between(0, max(1, opened.shop.days - 1)).all()
    assert (launched.dt.days == 0).any()
    for category, subcategory in zip(once["category"], once["subcategory"], strict=True):
        assert subcategory in CATEGORIES[category]
    # what is listed again says the same as before
    twins = listed[again].assign(product_id=lambda rows: rows["product_id"].str.strip()).set_index("product_id")
    assert twins.drop(columns="row_number").equals(
        once.set_index("product_id").loc[twins.index].drop(columns="row_number")
    )


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("UTC", "2025-03-30", 24), ("Europe/Berlin", "2025-03-30", 23), ("Europe/Berlin", "2025-10-26", 25),
        ("America/New_York", "2025-03-09", 23), ("America/New_York", "2025-11-02", 25),
        ("Australia/Lord_Howe", "2025-04-06", 24.5), ("Australia/Lord_Howe", "2025-10-05", 23.5),
        ("America/Santiago", "2025-09-07", 23), ("Asia/Kathmandu", "2025-09-07", 24),
    ],
)  # fmt: skip
def test_a_day_is_as_long_as_its_clocks_say(zone, day, hours):
    opened = tiny(users=5000, days=1)
    first = dt.date.fromisoformat(day)
    today = Calendar(opened.shop, first, zone).today(0)
    assert today.length == hours * HOUR
    uniform = np.array([0, 1e-12, 0.5, 1 - 1e-12])
    moments = today.moments(np.zeros(4, dtype=int), uniform)
    assert moments[0] == 0
    assert (np.diff(moments) >= 0).all()
    assert moments[-1] < today.length
    reading = Reading(Opened(opened.shop, first, zone), 1)
    clean = reading.clean("events")
    assert (clean["on"] == 0).all()
    last = (clean["at"].max() - clean["at"].min()).total_seconds() / 3600
    assert hours - 0.5 < last < hours


def test_hours_are_those_of_the_country():
    calendar = Calendar(Shop(size="tiny", preset="plain"), dt.date(2025, 6, 3), "Europe/Berlin")
    hours = np.diff(calendar.today(0).hours, axis=1)
    codes = [country.code for country in COUNTRIES]
    berlin, new_york, tokyo = (hours[codes.index(code)] for code in ("DE", "US", "JP"))
    assert np.allclose(np.roll(berlin, 6), new_york)
    assert np.allclose(np.roll(berlin, -7), tokyo)
    assert berlin.argmax() == 20


def test_the_pace_is_weekday_times_season():
    shop = Shop()
    calendar = Calendar(shop, dt.date(2025, 1, 1), "Europe/Berlin")
    berlin = [place for place, (country, _) in enumerate(REGIONS) if COUNTRIES[country].code == "DE"]
    for day in (dt.date(2025, 4, 20), dt.date(2025, 11, 28), dt.date(2025, 12, 6)):
        number = (day - calendar.first_day).days
        today = calendar.today(number)
        wave = 1 + 0.12 * np.cos(2 * np.pi * (day.timetuple().tm_yday - 340) / 365.25)
        pace = wave * 1.1 ** (number / 365) * shop.season.weekdays[day.weekday()]
        pace *= shop.season.holidays.get(f"{day:%m-%d}", 1)
        assert calendar._arrivals_on(today.number) == pytest.approx(pace)
        assert today.paces[berlin] == pytest.approx(pace * (1 + today.quickened.sum(axis=0)[berlin]))


def test_plain_days_are_all_alike():
    calendar = Calendar(Shop(preset="plain"), dt.date(2025, 1, 1), "Europe/Berlin")
    for day in (0, 100, 331):
        assert calendar.today(day).paces == pytest.approx(1.0)
        assert calendar._arrivals_on(day) == 1


@pytest.mark.slow
def test_people_are_mixed_as_planted(demo):
    visits = demo.shop.visits
    planted = {
        "device": visits.devices.numbers(),
        "segment": visits.segments.numbers(),
        "country": [country.share for country in COUNTRIES],
    }
    users = len(demo.device)
    assert users == demo.shop.users
    for name, weights in planted.items():
        share = np.array(weights) / sum(weights)
        counts = np.bincount(getattr(demo, name), minlength=len(share))
        assert chi_square(counts, users * share) < chi_square_limit(len(share) - 1, 6), name
    # nobody came before the shop opened: who could have is who signed up a week later or more
    came = demo.earlier[demo.signed_up >= 7]
    assert binomial((came > 0).sum(), len(came), visits.earlier) < quantile(6)
    ahead = np.bincount(came[came > 0])[1:]
    assert chi_square(ahead, np.full(7, ahead.sum() / 7)) < chi_square_limit(6, 6)
    # properties of a user have nothing to do with each other
    table = np.bincount(demo.device * 3 + demo.segment, minlength=9).reshape(3, 3)
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / users
    assert chi_square(table, expected) < chi_square_limit(4, 6)


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["demo", "plain"])
def test_the_weekly_pattern_is_the_planted_one(preset, request):
    """Hold visits, at the ordinary pace, to be the same on every weekday.

    Counts of visits are overdispersed by users, whose rates differ, and by their coming and going. What users bring
    to a week they bring to all of its days, so it cancels from a day's difference to the mean of the seven days around
    it; and so does any linear trend. Given everybody's rate, visits are Poisson, so the variance of a sum of such
    differences is that of a weighted sum of Poisson counts. New users come most often at first, and their number has
    a weekly pattern itself; so users count from their fifth week on. Campaigns' visits are left out, and so are
    countries whose week begins at another hour.
    """
    year = request.getfixturevalue(preset)
    first_day = dt.date(2025, 1, 1)
    here = np.array([COUNTRIES[country].zone == "Europe/Berlin" for country, _ in REGIONS])
    rows = year.visits
    counted = here[rows["region"]] & ~rows["caused"] & (year.day - year.signed_up[rows["user"]] >= 28)
    visits = np.bincount(year.day[counted], minlength=year.days)
    season = year.shop.season
    dates = [first_day + dt.timedelta(days=day) for day in range(year.days)]
    pace = np.array([year.world.calendar.season(date) * season.weekdays[date.weekday()] for date in dates])
    used = np.arange(35, year.days - 3)
    weekday = np.array([date.weekday() for date in dates])
    for which in range(7):
        weights = np.zeros(year.days)
        for day in used[weekday[used] == which]:
            weights[day] += 1
            weights[day - 3 : day + 4] -= 1 / 7
        weights /= pace
        assert deviation(weights @ visits, 0, weights**2 @ visits) < quantile(7), which
    if preset == "demo":  # and the test would see it if weekdays were all alike
        flat = pace / np.array(season.weekdays)[weekday]
        sunday = np.isin(np.arange(year.days), used[weekday[used] == 6])
        monday = np.isin(np.arange(year.days), used[weekday[used] == 0])
        ratio = (visits[sunday] / flat[sunday]).mean() / (visits[monday] / flat[monday]).mean()
        assert ratio > 1.1
