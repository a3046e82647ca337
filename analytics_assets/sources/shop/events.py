"""What happens in a visit: pages, a search, products, features, the cart, the checkout, the order.

Belongs here: the events of a day's visits, in a sensible order. Does not belong here: how far a visit goes (`visits`)
and what is bought (`orders`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from analytics_assets.project.shop import Feature, Shop
from analytics_assets.sources.shop.streams import stream
from analytics_assets.sources.shop.things import Products
from analytics_assets.sources.shop.visits import BOT, USER
from analytics_assets.sources.shop.vocabulary import FEATURES
from analytics_assets.sources.shop.world import Day

TYPES = ("page_view", "search", "use_feature", "view_product", "add_to_cart", "begin_checkout", "purchase")
PAGE_VIEW, SEARCH, USE_FEATURE, VIEW_PRODUCT, ADD_TO_CART, BEGIN_CHECKOUT, PURCHASE = range(7)
EVENT = np.dtype([("visit", "i4"), ("type", "i1"), ("product", "i4"), ("feature", "i1"), ("at", "i4")])
"""An event: `visit` is its place among the day's visits, `at` milliseconds into the day."""
_CRAWLED = 20
_MORE_PAGES = 0.25
_MORE_PRODUCTS = 0.45
_MORE_IN_CART = 0.12
_ANYWHERE: tuple[Feature, ...] = ("chat", "store_finder", "newsletter", "loyalty_page")
_AT_PRODUCTS: tuple[Feature, ...] = ("wishlist", "reviews", "size_guide", "compare")
_IN_CART: tuple[Feature, ...] = ("gift_wrap",)


def events(shop: Shop, products: Products, day: Day) -> np.ndarray:
    """Make the events of a day, in the order of their visits and of their time within."""
    rng = stream(shop.seed, "events", day.today.number)
    parts = list(_parts(shop, day, products, rng))
    counts = [len(part.visits) for part in parts]
    visit = np.concatenate([part.visits for part in parts])
    turn, kind, feature = (
        np.repeat(np.array(told), counts)
        for told in zip(*((part.turn, part.type, part.feature) for part in parts), strict=True)
    )
    product = np.concatenate(
        [np.full(len(part.visits), -1) if part.products is None else part.products for part in parts]
    )
    order = np.argsort(visit * 16 + turn, kind="stable")
    rows = np.zeros(len(order), dtype=EVENT)
    rows["visit"], rows["type"], rows["product"], rows["feature"] = (
        told[order] for told in (visit, kind, product, feature)
    )
    rows["at"] = _moments(day.visits, rows["visit"], rng)
    return rows


class _Part(NamedTuple):
    """Hold events of one type and feature; `turn` is their part of the visit."""

    visits: np.ndarray
    turn: int
    type: int
    products: np.ndarray | None = None
    feature: int = -1


def _parts(shop: Shop, day: Day, products: Products, rng: np.random.Generator) -> Iterator[_Part]:
    """Give the day's events by type."""
    visits, shelf = day.visits, products.on(day.today.number)
    deep = visits["deep"]
    everyone = np.arange(len(visits))
    crawlers = int((visits["kind"] == BOT).sum())
    pages = np.append(1 + rng.poisson(_MORE_PAGES, len(visits) - crawlers), np.full(crawlers, _CRAWLED))
    yield _Part(np.repeat(everyone, pages), 0, PAGE_VIEW)
    yield _Part(np.flatnonzero(visits["searched"]), 1, SEARCH)
    ours = np.flatnonzero(visits["kind"] == USER)
    yield from _features(shop, _ANYWHERE, ours, 2, rng)
    yield _Part(np.flatnonzero(visits["priced"]), 2, USE_FEATURE, None, FEATURES.index("pricing_page"))
    looked = np.flatnonzero(deep >= 1)
    first = shelf.looked_at(rng.random(len(looked)))
    bought = np.searchsorted(looked, day.lines["visit"][day.lines["line"] == 1])
    first[bought] = day.lines["product"][day.lines["line"] == 1]
    yield _Part(looked, 3, VIEW_PRODUCT, first)
    more = np.repeat(looked, rng.poisson(_MORE_PRODUCTS, len(looked)))
    yield _Part(more, 4, VIEW_PRODUCT, shelf.looked_at(rng.random(len(more))))
    yield from _features(shop, _AT_PRODUCTS, looked, 5, rng)
    filled = np.flatnonzero((deep >= 2) & (deep < 4))
    yield _Part(filled, 6, ADD_TO_CART, first[np.searchsorted(looked, filled)])
    added = np.repeat(filled, rng.poisson(_MORE_IN_CART, len(filled)))
    yield _Part(added, 7, ADD_TO_CART, shelf.looked_at(rng.random(len(added))))
    yield _Part(day.lines["visit"], 7, ADD_TO_CART, day.lines["product"])
    yield from _features(shop, _IN_CART, np.flatnonzero(deep >= 2), 8, rng)
    yield _Part(np.flatnonzero(deep >= 3), 9, BEGIN_CHECKOUT)
    yield _Part(np.flatnonzero(deep >= 4), 10, PURCHASE)


def _features(
    shop: Shop, names: tuple[Feature, ...], visits: np.ndarray, turn: int, rng: np.random.Generator
) -> Iterator[_Part]:
    for name in names:
        used = visits[rng.random(len(visits)) < shop.funnel.features.get(name, 0)]
        yield _Part(used, turn, USE_FEATURE, None, FEATURES.index(name))


def _moments(visits: np.ndarray, of: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Spread the events of each visit over it: the first at its start, the last at its end."""
    if not len(of):
        return np.zeros(0, dtype=np.int64)
    firsts = np.flatnonzero(np.diff(of, prepend=-1))
    pauses = rng.standard_exponential(len(of)) + 0.05
    passed = np.cumsum(pauses)
    counts = np.diff(firsts, append=len(of))
    begun = np.repeat(passed[firsts], counts)
    whole = np.repeat(passed[firsts + counts - 1], counts) - begun
    share = np.where(whole > 0, (passed - begun) / np.where(whole > 0, whole, 1), 0)
    last = np.zeros(len(of), dtype=bool)
    last[(firsts + counts - 1)[counts > 1]] = True
    share[last] = 1
    start, lasts = visits["start"][of], visits["lasts"][of]
    moments: np.ndarray = start + (share * lasts).astype(np.int64)
    return moments
