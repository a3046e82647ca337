"""The words of the shop: where people live, what they are called, what is sold.

Belongs here: lists, and what Faker makes of them once. Does not belong here: which of them a row gets.
"""

from __future__ import annotations

import functools
import unicodedata
from dataclasses import dataclass

import numpy as np

FEATURES = (
    "wishlist", "reviews", "size_guide", "compare", "chat", "gift_wrap", "store_finder", "newsletter", "loyalty_page",
    "pricing_page",
)  # fmt: skip
CHANNELS = ("organic", "paid_search", "social", "email", "referral", "direct")
GENDERS = ("female", "male", "diverse")
PAYMENTS = ("card", "paypal", "invoice", "wallet", "transfer")
REASONS = ("too small", "too large", "damaged", "not as described", "changed my mind", "late")
_NAMES = 120


@dataclass(frozen=True)
class Country:
    """Describe where people live: the clock they keep, the language of their names, their share, regions and cities."""

    code: str
    zone: str
    locale: str
    share: float
    tax: float
    regions: dict[str, tuple[str, ...]]


COUNTRIES = (
    Country("DE", "Europe/Berlin", "de_DE", 0.30, 0.19, {
        "Bayern": ("München", "Nürnberg", "Augsburg"), "Berlin": ("Berlin",), "Hessen": ("Frankfurt", "Kassel"),
        "Nordrhein-Westfalen": ("Köln", "Düsseldorf", "Dortmund"), "Sachsen": ("Leipzig", "Dresden"),
    }),
    Country("FR", "Europe/Paris", "fr_FR", 0.13, 0.20, {
        "Île-de-France": ("Paris", "Versailles"), "Occitanie": ("Toulouse", "Montpellier"),
        "Auvergne-Rhône-Alpes": ("Lyon", "Grenoble"), "Bretagne": ("Rennes", "Brest"),
    }),
    Country("GB", "Europe/London", "en_GB", 0.15, 0.20, {
        "England": ("London", "Manchester", "Leeds"), "Scotland": ("Glasgow", "Edinburgh"), "Wales": ("Cardiff",),
        "Northern Ireland": ("Belfast",),
    }),
    Country("ES", "Europe/Madrid", "es_ES", 0.09, 0.21, {
        "Madrid": ("Madrid",), "Cataluña": ("Barcelona", "Girona"), "Andalucía": ("Sevilla", "Málaga"),
    }),
    Country("IT", "Europe/Rome", "it_IT", 0.08, 0.22, {
        "Lombardia": ("Milano", "Bergamo"), "Lazio": ("Roma",), "Campania": ("Napoli",),
    }),
    Country("NL", "Europe/Amsterdam", "nl_NL", 0.07, 0.21, {
        "Noord-Holland": ("Amsterdam", "Haarlem"), "Zuid-Holland": ("Rotterdam", "Den Haag"), "Utrecht": ("Utrecht",),
    }),
    Country("PL", "Europe/Warsaw", "pl_PL", 0.06, 0.23, {
        "Mazowieckie": ("Warszawa",), "Małopolskie": ("Kraków",), "Pomorskie": ("Gdańsk", "Gdynia"),
    }),
    Country("SE", "Europe/Stockholm", "sv_SE", 0.04, 0.25, {
        "Stockholm": ("Stockholm",), "Skåne": ("Malmö", "Lund"), "Västra Götaland": ("Göteborg",),
    }),
    Country("US", "America/New_York", "en_US", 0.06, 0.07, {
        "New York": ("New York", "Buffalo"), "Massachusetts": ("Boston",), "Florida": ("Miami", "Tampa"),
    }),
    Country("JP", "Asia/Tokyo", "ja_JP", 0.02, 0.10, {"Tokyo": ("Tokyo",), "Osaka": ("Osaka", "Sakai")}),
)  # fmt: skip

CATEGORIES: dict[str, tuple[str, ...]] = {
    "Clothing": ("Shirts", "Trousers", "Jackets", "Dresses"),
    "Shoes": ("Sneakers", "Boots", "Sandals"),
    "Electronics": ("Audio", "Phones", "Cameras", "Wearables"),
    "Home": ("Kitchen", "Bedding", "Lighting"),
    "Beauty": ("Skin", "Hair", "Fragrance"),
    "Sports": ("Running", "Cycling", "Yoga"),
    "Toys": ("Games", "Puzzles", "Figures"),
    "Books": ("Fiction", "Cooking", "Travel"),
    "Garden": ("Tools", "Plants", "Furniture"),
    "Food": ("Tea", "Coffee", "Chocolate"),
}


@dataclass(frozen=True)
class Words:
    """Hold what Faker made, as arrays to be sampled: names and e-mail parts by country, streets, words, brands."""

    first: tuple[np.ndarray, ...]
    last: tuple[np.ndarray, ...]
    streets: tuple[np.ndarray, ...]
    words: np.ndarray
    brands: np.ndarray


def ascii_form(name: str) -> str:
    """Return a name as the local part of an e-mail address may hold it.

    >>> ascii_form("Łukasz Müller"), ascii_form("淳")
    ('ukasz.muller', 'user')
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    kept = "".join(c for c in plain.replace(" ", ".").replace("-", ".") if c.isalnum() or c == ".").strip(".")
    return kept or "user"


@functools.cache
def words(seed: int) -> Words:
    """Make the small vocabularies that rows are sampled from; Faker a row would take minutes."""
    from faker import Faker

    first, last, streets = [], [], []
    for country in COUNTRIES:
        fake = Faker(country.locale)
        fake.seed_instance(seed)
        first.append(np.array([fake.first_name() for _ in range(_NAMES)], dtype=object))
        last.append(np.array([fake.last_name() for _ in range(_NAMES)], dtype=object))
        streets.append(np.array([fake.street_name() for _ in range(_NAMES)], dtype=object))
    fake = Faker("en_US")
    fake.seed_instance(seed)
    adjectives = [fake.unique.color_name() for _ in range(_NAMES)]
    brands = [fake.unique.last_name() for _ in range(40)]
    return Words(
        tuple(first), tuple(last), tuple(streets), np.array(adjectives, dtype=object), np.array(brands, dtype=object)
    )


REGIONS: tuple[tuple[int, str], ...] = tuple(
    (place, region) for place, country in enumerate(COUNTRIES) for region in country.regions
)
"""Every region with the place of its country."""
REGION_COUNTRY = np.array([country for country, _ in REGIONS])
CITIES: tuple[tuple[int, str], ...] = tuple(
    (place, city) for place, (country, region) in enumerate(REGIONS) for city in COUNTRIES[country].regions[region]
)
"""Every city with the place of its region."""
