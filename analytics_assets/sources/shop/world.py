"""The world, one day after the other: everything that happens on a day, as arrays.

Belongs here: the order in which a day comes about, and what is kept from one day to the next. Does not belong here:
how any of it is drawn.
"""

from __future__ import annotations

import datetime as dt
import functools
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np

from analytics_assets.project.shop import Shop
from analytics_assets.sources.shop.calendar import Calendar, Today
from analytics_assets.sources.shop.orders import (
    RETURN,
    order_lines,
    returns_of,
)
from analytics_assets.sources.shop.people import EARLIEST, People, drawn, people
from analytics_assets.sources.shop.streams import joined, stream
from analytics_assets.sources.shop.things import Products, products
from analytics_assets.sources.shop.visits import (
    ANONYMOUS,
    BOT,
    PURCHASE,
    VISIT,
    VISITOR,
    Process,
    click_chances,
    come_through,
)
from analytics_assets.sources.shop.vocabulary import COUNTRIES, REGION_COUNTRY, REGIONS

_KEPT_DAYS = 8
_KEPT_VISITS = 600_000
_LANDING = 60_000
_CRAWL = 600_000
_CRAWLERS = 20
_REGION_WEIGHTS = np.array([COUNTRIES[country].share / len(COUNTRIES[country].regions) for country, _ in REGIONS])


@dataclass(frozen=True)
class Day:
    """Hold what happened on one day.

    Attributes:
        today: The day and its pace.
        people: Who signed up.
        visits: All visits, an array of `visits.VISIT`, in the order of their start; crawlers last.
        lines: The order lines, an array of `orders.LINE`.
        returns: What came back, an array of `orders.RETURN`.
        assigned: Who was assigned to experiments.
    """

    today: Today
    people: People
    visits: np.ndarray
    lines: np.ndarray
    returns: np.ndarray
    assigned: np.ndarray


class World:
    """Live through the days of a shop; days that are asked for in order are lived through once."""

    def __init__(self, shop: Shop, first_day: dt.date, zone: str) -> None:
        self.shop = shop
        self.calendar = Calendar(shop, first_day, zone)
        self.products: Products = products(shop)
        self._days: OrderedDict[int, Day] = OrderedDict()
        self._open()

    def _open(self) -> None:
        self._next = 0
        self._visits = 0
        self._process = Process(self.shop, self.calendar)
        self._coming_back: dict[int, list[np.ndarray]] = {}

    @property
    def orders_a_visit(self) -> np.ndarray:
        """P(order | visit) of users by main device, where no experiment runs."""
        chances: np.ndarray = self._process.orders_a_visit
        return chances

    def orders_a_visit_on(self, day: int, who: np.ndarray) -> np.ndarray:
        """Return P(order | visit) of users on a day; see `visits.Process`."""
        return self._process.orders_a_visit_on(day, who)

    def number(self, date: dt.date) -> int:
        """Return the number of a day since the shop opened."""
        return (date - self.calendar.first_day).days

    @functools.lru_cache(maxsize=2 * EARLIEST)  # noqa: B019 - a world lives as long as its process
    def people(self, day: int) -> People:
        """Return who signs up on a day."""
        return people(self.shop, self.calendar, day)

    def day(self, number: int) -> Day:
        """Return what happened on a day; the days before it are lived through if they are not remembered."""
        if number in self._days:
            return self._days[number]
        if number < self._next:
            self._days.clear()
            self._open()
        while self._next <= number:
            self._days[self._next] = self._live(self._next)
            self._visits += len(self._days[self._next].visits)
            self._next += 1
            while len(self._days) > _KEPT_DAYS and self._visits > _KEPT_VISITS:
                _, forgotten = self._days.popitem(last=False)
                self._visits -= len(forgotten.visits)
        return self._days[number]

    def _live(self, number: int) -> Day:
        today = self.calendar.today(number)
        signing_up = self.people(number)
        lived = self._process.day(today, signing_up)
        visits = joined([lived.rows, self._strangers(today)], VISIT)
        visits = visits[np.argsort(visits["start"], kind="stable")]
        visits = joined([visits, self._crawlers(today, len(lived.rows))], VISIT)  # last: they move nobody's numbers
        bought = visits["deep"] == PURCHASE
        visits["order"][bought] = np.arange(1, bought.sum() + 1)
        lines = order_lines(self.shop, self.products, visits, number)
        coming = returns_of(self.shop, lines, number)
        for back in np.unique(coming["back"]).tolist():
            self._coming_back.setdefault(back, []).append(coming[coming["back"] == back])
        returns = joined(self._coming_back.pop(number, []), RETURN)
        return Day(today, signing_up, visits, lines, returns, lived.assigned)

    def _strangers(self, today: Today) -> np.ndarray:
        """Make visits of users who will sign up within a week, and of people who never will."""
        rng = stream(self.shop.seed, "strangers", today.number)
        soon = [self.people(today.number + ahead) for ahead in range(1, EARLIEST + 1)]
        came = [np.flatnonzero(who.earlier == ahead) for ahead, who in enumerate(soon, start=1)]
        users = np.concatenate([who.number[places] for who, places in zip(soon, came, strict=True)])
        never = rng.poisson(self.shop.visits.visitors * len(self.people(today.number)))
        visits = np.zeros(len(users) + never, dtype=VISIT)
        visits["user"][: len(users)] = users
        visits["user"][len(users) :] = -1 - np.arange(never)
        visits["kind"] = np.where(np.arange(len(visits)) < len(users), ANONYMOUS, VISITOR)
        uniform = rng.random((5, len(visits)))
        regions = np.concatenate([who.region[places] for who, places in zip(soon, came, strict=True)])
        visits["region"] = np.concatenate([regions, drawn(uniform[0][len(users) :], _REGION_WEIGHTS)])
        mix = np.array(self.shop.visits.devices.numbers())
        visits["device"] = drawn(uniform[1], mix)
        visits["searched"] = uniform[2] < self.shop.funnel.search
        visits["start"] = today.moments(REGION_COUNTRY[visits["region"]], uniform[3])
        visits["lasts"] = np.minimum(
            rng.standard_exponential(len(visits)) * _LANDING, today.length - 1 - visits["start"]
        )
        come_through(
            visits, click_chances(today, self.calendar), uniform[4], today.running, first=np.ones(len(visits), bool)
        )
        return visits

    def _crawlers(self, today: Today, of: int) -> np.ndarray:
        """Make visits of crawlers, in proportion to those of users."""
        rng = stream(self.shop.seed, "crawlers", today.number)
        visits = np.zeros(rng.poisson(self.shop.dirt.bots * of), dtype=VISIT)
        visits["kind"] = BOT
        visits["user"] = -1 - rng.integers(_CRAWLERS, size=len(visits))
        visits["campaign"] = -1
        visits["start"] = (rng.random(len(visits)) * (today.length - _CRAWL)).astype(np.int64)
        visits["lasts"] = _CRAWL - 1
        return visits
