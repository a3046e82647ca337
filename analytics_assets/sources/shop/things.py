"""The products and campaigns of the shop: lists that are made once.

Belongs here: what is sold and advertised. Does not belong here: who buys it (`visits`, `orders`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analytics_assets.project.shop import Shop
from analytics_assets.sources.shop.streams import stream
from analytics_assets.sources.shop.vocabulary import CATEGORIES, words

_CHOICE = 8
_LAUNCHED_LATER = 0.2


@dataclass(frozen=True)
class Products:
    """Hold the list of products, cheapest first.

    Attributes:
        prices: List prices in cents, rising.
        costs: Costs in cents.
        launched: The day number from which each is sold; 0 for most.
        popularity: How often each is looked at, in any unit.
        category: Place in `CATEGORIES`.
        subcategory: Place among the category's.
        brand: Place in the vocabulary.
        word: Place in the vocabulary.
    """

    prices: np.ndarray
    costs: np.ndarray
    launched: np.ndarray
    popularity: np.ndarray
    category: np.ndarray
    subcategory: np.ndarray
    brand: np.ndarray
    word: np.ndarray

    def on(self, day: int) -> Shelf:
        """Return what is sold on a day."""
        sold = np.flatnonzero(self.launched <= day)
        return Shelf(sold, self.prices[sold], np.cumsum(self.popularity[sold]), self.popularity[sold])


@dataclass(frozen=True)
class Shelf:
    """Hold the products of a day, cheapest first: their places in the list, prices and popularity."""

    products: np.ndarray
    prices: np.ndarray
    cumulated: np.ndarray
    popularity: np.ndarray

    def looked_at(self, uniform: np.ndarray) -> np.ndarray:
        """Draw products by popularity."""
        places = np.searchsorted(self.cumulated, uniform * self.cumulated[-1], side="right")
        chosen: np.ndarray = self.products[np.minimum(places, len(self.products) - 1)]
        return chosen

    def for_money(self, cents: np.ndarray, uniform: np.ndarray) -> np.ndarray:
        """Draw, by popularity, one of the next products that cost at least so much; places on this shelf."""
        first = np.searchsorted(self.prices, cents)
        among = np.minimum(first[:, None] + np.arange(_CHOICE), len(self.prices) - 1)
        weights = np.cumsum(self.popularity[among], axis=1)
        chosen = (weights < (uniform * weights[:, -1])[:, None]).sum(axis=1)
        places: np.ndarray = among[np.arange(len(among)), np.minimum(chosen, _CHOICE - 1)]
        return places


def products(shop: Shop) -> Products:
    """Make the list of products."""
    rng = stream(shop.seed, "products")
    count = shop.products
    # steps of about a hundredth in tiny lists too: what an order comes to is met by a price and a small discount
    prices = np.sort(np.exp(rng.uniform(np.log(250), np.log(60_000), count))).astype(np.int64)
    prices = prices // 10 * 10 + 9
    later = rng.random(count) < _LAUNCHED_LATER
    later[-1] = False
    kinds = np.array([len(parts) for parts in CATEGORIES.values()])
    category = rng.integers(len(kinds), size=count)
    return Products(
        prices=prices,
        costs=(prices * rng.uniform(0.35, 0.65, count)).astype(np.int64),
        launched=np.where(later, rng.integers(1, max(2, shop.days), count), 0),
        popularity=rng.pareto(1.3, count) + 0.2,
        category=category,
        subcategory=(rng.random(count) * kinds[category]).astype(np.int64),
        brand=rng.integers(len(words(shop.seed).brands), size=count),
        word=rng.integers(len(words(shop.seed).words), size=count),
    )
