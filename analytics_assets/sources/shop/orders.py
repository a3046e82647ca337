"""What is in an order, and what of it comes back.

Belongs here: order lines and returns, in cents. Does not belong here: who orders and when (`visits`).
"""

from __future__ import annotations

import numpy as np

from analytics_assets.project.shop import LONGEST_RETURN, Shop
from analytics_assets.sources.shop.streams import stream
from analytics_assets.sources.shop.things import Products
from analytics_assets.sources.shop.visits import PURCHASE
from analytics_assets.sources.shop.vocabulary import COUNTRIES, REASONS, REGIONS

COMPLETED, PENDING, CANCELLED = range(3)
STATUSES = ("completed", "pending", "cancelled")
REFUNDED, REQUESTED, REFUSED = range(3)
RETURN_STATUSES = ("refunded", "requested", "refused")
LINE = np.dtype(
    [
        ("visit", "i4"), ("user", "i8"), ("order", "i4"), ("line", "i2"), ("at", "i4"), ("product", "i4"),
        ("quantity", "i4"), ("price", "i8"), ("discount", "i8"), ("net", "i8"), ("tax", "i8"), ("shipping", "i8"),
        ("status", "i1"), ("payment", "i1"), ("campaign", "i2"), ("day", "i4"),
    ]
)  # fmt: skip
"""An order line: `visit` is its place among the day's visits, `at` milliseconds into the day, amounts are cents."""
RETURN = np.dtype([*((name, LINE[name].str) for name in LINE.names or ()), ("back", "i4"), ("reason", "i1"),
                   ("returned", "i1"), ("hour", "f8")])  # fmt: skip
"""A return: the line that comes back, and the day number on which it does."""
_MOST_LINES = 8
_TAX = np.array([COUNTRIES[country].tax for country, _ in REGIONS])
_QUANTITIES = np.array([1, 2, 3])
_RETURN_SHARES = np.array([0.9, 0.97])


def order_lines(shop: Shop, products: Products, visits: np.ndarray, day: int) -> np.ndarray:
    """Make the lines of a day's orders.

    What an order comes to is drawn first. Each line then gets a share of it, a product whose list price is at or above
    that, and the difference as its discount.
    """
    rng = stream(shop.seed, "orders", day)
    bought = np.flatnonzero(visits["deep"] == PURCHASE)
    orders = visits[bought]
    value = np.rint(rng.standard_gamma(shop.spend.p, len(orders)) * orders["spend"] * 100).astype(np.int64)
    count = 1 + np.minimum(rng.poisson(shop.orders.more_lines, len(orders)), _MOST_LINES - 1)
    value = np.maximum(value, count * 100)
    of = np.repeat(np.arange(len(orders)), count)
    place = np.arange(len(of)) - np.repeat(np.cumsum(count) - count, count)
    lines = np.zeros(len(of), dtype=LINE)
    uniform = rng.random((5, len(of)))
    lines["net"] = _shares(value, of, place, 0.5 + uniform[0])
    quantity = _QUANTITIES[np.searchsorted([0.78, 0.94], uniform[1])]
    shelf = products.on(day)
    quantity = np.maximum(quantity, -(-lines["net"] // shelf.prices[-1]))
    chosen = shelf.for_money(-(-lines["net"] // quantity), uniform[2])
    gross = shelf.prices[chosen] * quantity
    lines["visit"], lines["user"], lines["order"] = bought[of], orders["user"][of], orders["order"][of]
    lines["line"] = place + 1
    lines["at"] = (orders["start"] + orders["lasts"])[of]
    lines["product"], lines["price"], lines["quantity"] = shelf.products[chosen], shelf.prices[chosen], quantity
    lines["discount"] = gross - lines["net"]
    lines["tax"] = np.rint(lines["net"] * _TAX[orders["region"][of]]).astype(np.int64)
    ships = (value < shop.orders.free_above * 100) & ~orders["ships_free"]
    lines["shipping"] = np.where(place == 0, ships[of] * round(shop.orders.shipping * 100), 0)
    fate = rng.random(len(orders))
    told = np.where(fate < shop.orders.cancelled, CANCELLED, np.where(fate > 1 - shop.orders.pending, PENDING, 0))
    lines["status"] = told[of]
    lines["payment"] = rng.integers(5, size=len(orders))[of]
    lines["campaign"] = orders["campaign"][of]
    lines["day"] = day
    return lines


def _shares(value: np.ndarray, of: np.ndarray, place: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Split what orders come to over their lines, to the cent: the first line takes what rounding leaves."""
    total = np.bincount(of, weight, len(value))
    shares: np.ndarray = np.maximum((value[of] * (weight / total[of])).astype(np.int64), 1)
    left = value - np.bincount(of, shares, len(value)).astype(np.int64)
    shares[place == 0] += left
    return shares


def returns_of(shop: Shop, lines: np.ndarray, day: int) -> np.ndarray:
    """Draw which lines of a day's orders come back, when, and why."""
    rng = stream(shop.seed, "returns", day)
    uniform = rng.random((4, len(lines)))
    back = np.flatnonzero((uniform[0] < shop.orders.returned) & (lines["status"] == COMPLETED))
    returned = np.zeros(len(back), dtype=RETURN)
    for name in LINE.names or ():
        returned[name] = lines[name][back]
    days = rng.geometric(1 / shop.orders.return_days, len(back))
    returned["back"] = day + np.minimum(days, LONGEST_RETURN)
    returned["reason"] = (uniform[1][back] * len(REASONS)).astype(np.int8)
    returned["returned"] = np.searchsorted(_RETURN_SHARES, uniform[2][back])
    returned["hour"] = uniform[3][back]
    return returned
