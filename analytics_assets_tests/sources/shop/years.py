"""A year of the shop as arrays, and the theory of who buys again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analytics_assets.project.shop import Shop
from analytics_assets.sources.shop.people import BITS
from analytics_assets.sources.shop.visits import USER
from analytics_assets.sources.shop.vocabulary import REGIONS
from analytics_assets.sources.shop.world import World
from analytics_assets_tests.sources.shop.readings import Opened


class Year:
    """Live through the days of a shop, and keep what users did: visits with the number of their day, and orders."""

    def __init__(self, opened: Opened, days: int) -> None:
        self.shop: Shop = opened.shop
        self.days = days
        self.world: World = opened.deliveries().world
        lived = [self.world.day(number) for number in range(days)]
        of_users = [day.visits[day.visits["kind"] == USER] for day in lived]
        self.visits = np.concatenate(of_users)
        self.day = np.repeat(np.arange(days), [len(rows) for rows in of_users])
        self.lines = np.concatenate([day.lines for day in lived])
        self.returns = np.concatenate([day.returns for day in lived])
        self.assigned = np.concatenate([day.assigned for day in lived])
        self.assigned_on = np.repeat(np.arange(days), [len(day.assigned) for day in lived])
        self.bots = sum(len(day.visits) - len(day.visits[day.visits["kind"] < 3]) for day in lived)
        who = [day.people for day in lived]
        for name in ("device", "segment", "region", "country", "channel", "gender", "earlier", "variants"):
            setattr(self, name, np.concatenate([getattr(people, name) for people in who]))
        self.signed_up = np.repeat(np.arange(days), [len(people) for people in who])
        self.pace = np.array([day.today.paces for day in lived])
        # the first visit of a user is the sign-up: visits of a day are in the order of their start
        self.first = np.zeros(len(self.visits), dtype=bool)
        self.first[np.unique(self.visits["user"], return_index=True)[1]] = True

    def span(self, told: object) -> range:
        """Give the day numbers of a campaign or experiment, by the definition of its parameters."""
        begin = round(told.starts * self.shop.days)
        return range(begin, begin + max(1, round(told.lasts * self.shop.days)))

    def during(self, told: object) -> np.ndarray:
        """Say of each visit whether it falls into the days of a campaign or experiment."""
        span = self.span(told)
        return (self.day >= span.start) & (self.day < span.stop)

    def variant(self, place: int) -> np.ndarray:
        """Give every user's variant of an experiment."""
        return (self.variants >> (BITS * place)) & ((1 << BITS) - 1)

    def treated(self, campaign: str) -> np.ndarray:
        """Say of each region whether a campaign runs there."""
        withheld = set(self.world.calendar.withheld(campaign))
        return np.array([name not in withheld for _, name in REGIONS])


@dataclass(frozen=True)
class Customers:
    """Hold what BG/NBD looks at, an array an item: further orders, when the last came, until when.

    Time is operational, from a customer's first order on; `gap` is infinite where there was no further order. `value`
    is what the first order came to, `again` the first further one (0 without), `revenue` all of them, in cents.
    """

    x: np.ndarray
    recency: np.ndarray
    until: np.ndarray
    gap: np.ndarray
    value: np.ndarray
    again: np.ndarray
    revenue: np.ndarray
    spend: np.ndarray
    segment: np.ndarray
    device: np.ndarray


def customers(year: Year) -> Customers:
    """Read customers off the orders of a year, each as the process sees it: by the operational clock of its visits."""
    orders = year.lines
    keys = orders["day"].astype(np.int64) * 10**7 + orders["order"]
    _, firsts, of = np.unique(keys, return_index=True, return_inverse=True)
    net = np.bincount(of, orders["net"])
    bought = year.visits[year.visits["deep"] == 4]
    key = year.day[year.visits["deep"] == 4].astype(np.int64) * 10**7 + bought["order"]
    assert (np.sort(key) == keys[firsts]).all()
    net = net[np.searchsorted(keys[firsts], key)]
    turn = np.lexsort((bought["clock"], bought["user"]))
    bought, net = bought[turn], net[turn]
    begin = np.flatnonzero(np.diff(bought["user"], prepend=-1))
    count = np.diff(begin, append=len(bought))
    assert bought["first_order"][begin].all()
    assert bought["first_order"].sum() == len(begin)
    start = bought["clock"][begin]
    region = bought["region"][begin]
    second = np.minimum(begin + 1, len(bought) - 1)
    return Customers(
        x=count - 1,
        recency=bought["clock"][begin + count - 1] - start,
        until=year.pace.sum(axis=0)[region] - start,
        gap=np.where(count > 1, bought["clock"][second] - start, np.inf),
        value=net[begin],
        again=np.where(count > 1, net[second], 0),
        revenue=np.add.reduceat(net, begin),
        spend=bought["spend"][second],
        segment=bought["segment"][begin],
        device=year.device[bought["user"][begin]],
    )


def simulated(shop: Shop, until: np.ndarray, a: np.ndarray | float, rng: np.random.Generator) -> np.ndarray:
    """Draw further orders of customers by the definition of BG/NBD, order by order: number, and time of the last."""
    told = shop.purchases
    rate = rng.gamma(told.r, 1 / told.alpha, len(until))
    drops = rng.beta(a, told.b, len(until))
    x, last = np.zeros(len(until)), np.zeros(len(until))
    living = np.arange(len(until))
    while len(living):
        now = last[living] + rng.standard_exponential(len(living)) / rate[living]
        came = now <= until[living]
        living = living[came]
        x[living] += 1
        last[living] = now[came]
        living = living[rng.random(len(living)) >= drops[living]]
    return np.array([x, last])


def expected_orders(shop: Shop, until: np.ndarray, a: float) -> np.ndarray:
    """Give E[X(T)]: (1 - exp(-lambda p T)) / p, integrated over lambda in closed form and over p by the midpoint rule.

    Fader, Hardie and Lee (2005), eq. 9, is the same, but for a = 1, where it divides by nothing.
    """
    told = shop.purchases
    steps = 2000
    p = (np.arange(steps) + 0.5) / steps
    weight = p ** (a - 1) * (1 - p) ** (told.b - 1)
    weight /= weight.sum()
    grid = np.linspace(0, until.max(), 800)
    on_grid = ((1 - (told.alpha / (told.alpha + np.outer(grid, p))) ** told.r) / p) @ weight
    return np.interp(until, grid, on_grid)
