"""Who signs up on a day, and who had looked around before.

Belongs here: what is true of a user at sign-up. Does not belong here: what users do afterwards (`visits`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analytics_assets.project.shop import Shop
from analytics_assets.sources.shop.calendar import Calendar
from analytics_assets.sources.shop.streams import stream
from analytics_assets.sources.shop.vocabulary import (
    CITIES,
    COUNTRIES,
    REGION_COUNTRY,
    words,
)

EARLIEST = 7
"""Days before the sign-up at which somebody may have looked around already."""
BITS = 2
"""Of a variant: an experiment has four at most."""
_LAST_MOMENT = 60_000
_CHANNEL_SHARES = np.array([0.28, 0.26, 0.18, 0.08, 0.1, 0.1])
_GENDER_SHARES = np.array([0.52, 0.46, 0.02])
_CITY_REGION = np.array([region for region, _ in CITIES])


@dataclass(frozen=True)
class People:
    """Hold the users who sign up on one day, an array a property, in the order of their numbers.

    Attributes:
        number: The user.
        uniform: The share of the day's visits before the sign-up.
        at: The sign-up, in milliseconds into the day.
        city: Place in `CITIES`; `region` and `country` follow from it.
        region: Place in `REGIONS`.
        country: Place in `COUNTRIES`.
        device: Main device, place in `DEVICES`.
        segment: Place in `SEGMENTS`.
        channel: Place in `CHANNELS`.
        age: Years.
        gender: Place in `GENDERS`.
        first_name: Place in the country's vocabulary; so are `last_name` and `street`.
        last_name: See above.
        street: See above.
        rate: Visits per operational day before a first order.
        variants: The variant in each experiment, two bits each.
        earlier: How many days before the sign-up they looked around; 0: they did not.
    """

    number: np.ndarray
    uniform: np.ndarray
    at: np.ndarray
    city: np.ndarray
    region: np.ndarray
    country: np.ndarray
    device: np.ndarray
    segment: np.ndarray
    channel: np.ndarray
    age: np.ndarray
    gender: np.ndarray
    first_name: np.ndarray
    last_name: np.ndarray
    street: np.ndarray
    rate: np.ndarray
    variants: np.ndarray
    earlier: np.ndarray

    def __len__(self) -> int:
        """Count them."""
        return len(self.number)


def drawn(uniform: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Draw places by weight."""
    cumulated = np.cumsum(weights)
    places: np.ndarray = np.searchsorted(cumulated[:-1] / cumulated[-1], uniform, side="right")
    return places


_CITY_WEIGHTS = np.array(
    [
        COUNTRIES[REGION_COUNTRY[region]].share
        / sum(len(cities) for cities in COUNTRIES[REGION_COUNTRY[region]].regions.values())
        for region, _ in CITIES
    ]
)


def people(shop: Shop, calendar: Calendar, day: int) -> People:
    """Make the users who sign up on a day."""
    numbers = np.array(calendar.sign_ups(day), dtype=np.int64)
    count = len(numbers)
    rng = stream(shop.seed, "people", day)
    uniform = rng.random((9, count))
    city = drawn(uniform[0], _CITY_WEIGHTS)
    region = _CITY_REGION[city]
    country = REGION_COUNTRY[region]
    today = calendar.today(day)
    earlier = np.where(uniform[1] < shop.visits.earlier, rng.integers(1, EARLIEST + 1, count), 0)
    words_each = len(words(shop.seed).first[0])
    return People(
        number=numbers,
        uniform=uniform[2],
        at=np.minimum(today.moments(country, uniform[2]), today.length - _LAST_MOMENT),
        city=city,
        region=region,
        country=country,
        device=drawn(uniform[3], np.array(shop.visits.devices.numbers())),
        segment=drawn(uniform[4], np.array(shop.visits.segments.numbers())),
        channel=drawn(uniform[5], _CHANNEL_SHARES),
        age=np.clip(rng.normal(38, 12, count), 16, 90).astype(np.int64),
        gender=drawn(uniform[6], _GENDER_SHARES),
        first_name=rng.integers(words_each, size=count),
        last_name=rng.integers(words_each, size=count),
        street=rng.integers(words_each, size=count),
        rate=rng.standard_gamma(shop.visits.lead_shape, count) * (shop.visits.lead_rate / shop.visits.lead_shape),
        variants=_variants(shop, rng, count),
        earlier=np.where(earlier <= day, earlier, 0),
    )


def _variants(shop: Shop, rng: np.random.Generator, count: int) -> np.ndarray:
    """Draw a variant in every experiment for every user, each apart from the others."""
    packed = np.zeros(count, dtype=np.uint32)
    for place, experiment in enumerate(shop.experiments.values()):
        variant = drawn(rng.random(count), np.array(list(experiment.variants.values())))
        packed |= variant.astype(np.uint32) << np.uint32(BITS * place)
    return packed
