"""What is true of the shop: what was planted, what follows from it exactly, and where an analysis should find it.

Belongs here: the answers. Does not belong here: any look at what the platform makes of the data.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from analytics_assets.lake.days import Days
from analytics_assets.project.shop import DEVICES, SEGMENTS, Shop
from analytics_assets.sources.shop.delivery import open_shop
from analytics_assets.sources.shop.dirt import Planted, alike_products
from analytics_assets.sources.shop.people import People
from analytics_assets.sources.shop.rows import ROWS
from analytics_assets.sources.shop.streams import joined
from analytics_assets.sources.shop.visits import PURCHASE, USER, faded
from analytics_assets.sources.shop.vocabulary import REGIONS
from analytics_assets.sources.shop.world import Day, World

if TYPE_CHECKING:
    from analytics_assets.project.model import Project

HORIZON = 60
"""Days without an order after which a customer is said to have churned."""
_MOST = 600.0
"""The largest exponent that is told from certainty."""
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@dataclass(frozen=True)
class Truth:
    """Say one thing that is true of the shop.

    Attributes:
        name: What it is, from the general to the particular: `funnel.purchase.mobile`.
        value: How much.
        unit: Of what.
        reappears: Where an analysis should find it.
    """

    name: str
    value: float
    unit: str
    reappears: str


@dataclass(frozen=True)
class ChurnCeiling:
    """Say how well anybody can tell which customers will churn.

    Attributes:
        auc: Area under the ROC curve of P(no order | what is known at the cut), under the true parameters.
        customers: Customers at the cut.
        churned: Those of them without an order within the horizon.
    """

    auc: float
    customers: int
    churned: int


def truths(project: Project, days: Days) -> list[Truth]:
    """Tell all that is known of the shop of a project; what happened is counted over some days from the first on."""
    world = open_shop(project).world
    shop = world.shop
    told = [*_funnel(shop, world), *_purchases(shop), *_calendar(shop), *_campaigns(shop), *_experiments(shop)]
    return [*told, *_happened(world, days)]


def _funnel(shop: Shop, world: World) -> Iterator[Truth]:
    rates, visits = shop.funnel, "sessions of signed-up users outside of experiments"
    yield Truth("funnel.view_product", rates.view_product, "share", f"view_product of {visits}")
    yield Truth("funnel.add_to_cart", rates.add_to_cart, "share", f"add_to_cart of {visits} with view_product")
    yield Truth("funnel.begin_checkout", rates.begin_checkout, "share", f"begin_checkout of {visits} with add_to_cart")
    for device in DEVICES:
        rate = getattr(rates.purchase, device)
        yield Truth(f"funnel.purchase.{device}", rate, "share", f"purchase of {visits} with begin_checkout on {device}")
    mix = np.array(shop.visits.devices.numbers())
    whole = float(world.orders_a_visit @ (mix / mix.sum()))
    yield Truth("funnel.search", rates.search, "share", "search of sessions of signed-up users")
    yield Truth("funnel.pricing_page", rates.pricing_page, "share", "the feature pricing_page of the same sessions")
    for feature, rate in rates.features.items():
        yield Truth(f"funnel.features.{feature}", rate, "share", "adoption by session, of those that it can be used in")
    yield Truth("funnel.orders_a_visit", whole, "share", f"purchase of {visits}")


def _purchases(shop: Shop) -> Iterator[Truth]:
    told, spend, orders = shop.purchases, shop.spend, shop.orders
    yield Truth("purchases.r", told.r, "", "BG/NBD: r, customers in operational days")
    yield Truth("purchases.alpha", told.alpha, "days", "BG/NBD: alpha")
    for segment in SEGMENTS:
        a = told.a * getattr(told.dropout, segment)
        yield Truth(f"purchases.a.{segment}", a, "", f"BG/NBD: a of the segment {segment}")
    yield Truth("purchases.b", told.b, "", "BG/NBD: b")
    yield Truth("spend.p", spend.p, "", "Gamma-Gamma: p")
    yield Truth("spend.q", spend.q, "", "Gamma-Gamma: q")
    yield Truth("spend.gamma", spend.gamma, "project currency", "Gamma-Gamma: gamma")
    mean = spend.p * spend.gamma / (spend.q - 1)
    yield Truth("spend.mean", mean, "project currency", "average net order value, a customer counting once")
    yield Truth("orders.cancelled", orders.cancelled, "share", "share of orders with the status cancelled")
    yield Truth("orders.pending", orders.pending, "share", "share of orders with the status pending")
    yield Truth("orders.returned", orders.returned, "share", "share of lines of completed orders that come back")


def _calendar(shop: Shop) -> Iterator[Truth]:
    season = shop.season
    mean = float(np.mean(season.weekdays))
    for name, pace in zip(_WEEKDAYS, season.weekdays, strict=True):
        yield Truth(f"season.{name}", pace / mean, "ratio to the mean", "weekly pattern of visits and orders")
    yield Truth("season.amplitude", season.amplitude, "ratio", f"yearly wave, highest on day {season.peak_day}")
    yield Truth("season.growth", season.growth, "a year", "trend of sign-ups")


def _campaigns(shop: Shop) -> Iterator[Truth]:
    for name, campaign in shop.campaigns.items():
        where = "all regions" if not campaign.withheld else f"{1 - campaign.withheld:.0%} of regions"
        found = f"incremental visits of {campaign.name}, which runs in {where}, to those that would come anyway"
        yield Truth(f"campaign.{name}.uplift", campaign.uplift, "ratio", found)


def _experiments(shop: Shop) -> Iterator[Truth]:
    for name, experiment in shop.experiments.items():
        if not experiment.effects:
            yield Truth(f"experiment.{name}.lift", 0.0, "ratio", f"every metric; verdict: {experiment.verdict}")
        for variant, effects in experiment.effects.items():
            for effect in effects:
                whom = f" of the segment {effect.segment}" if effect.segment else ""
                fades = f", half of it gone every {effect.half_life:g} days" if effect.half_life else ""
                found = (
                    f"{effect.step} in visits with {experiment.exposure}{whom}{fades}; verdict: {experiment.verdict}"
                )
                yield Truth(f"experiment.{name}.{variant}.{effect.step}.lift", faded(effect, 0), "ratio", found)
        for variant in experiment.free_shipping:
            found = (
                f"shipping charged on orders of visits with {experiment.exposure}: the margin, net + shipping - cost"
            )
            yield Truth(f"experiment.{name}.{variant}.shipping", 0.0, "project currency", found)
        for variant, share in experiment.lost.items():
            found = f"sample ratio: assignments of {variant} that are missing"
            yield Truth(f"experiment.{name}.{variant}.lost", share, "share", found)


def _happened(world: World, days: Days) -> Iterator[Truth]:
    last = world.number(days.last)
    cut = last - HORIZON
    history = History(world, cut if cut > 0 else last)
    visits, orders, customers, cents = 0, 0, 0, 0
    added = np.zeros(len(world.shop.campaigns), dtype=np.int64)
    for number in range(last + 1):
        day = world.day(number)
        history.add(day)
        ours = day.visits[day.visits["kind"] == USER]
        visits += len(ours)
        orders += int((ours["deep"] == PURCHASE).sum())
        customers += int(ours["first_order"].sum())
        cents += int(day.lines["net"].sum())
        added += np.bincount(ours["campaign"][ours["caused"]], minlength=len(added))
    yield Truth("happened.users", world.calendar.sign_ups(last).stop, "users", "rows of dim_users, but for the unknown")
    yield Truth("happened.visits", visits, "sessions", "sessions of signed-up users")
    yield Truth("happened.orders", orders, "orders", "orders of any status")
    yield Truth("happened.customers", customers, "users", "users with an order of any status")
    yield Truth("happened.net", cents / 100, "project currency", "net revenue of orders of any status")
    for name, count in zip(world.shop.campaigns, added.tolist(), strict=True):
        found = "visits caused while it ran; what they changed later is not in it"
        yield Truth(f"campaign.{name}.visits", count, "sessions", found)
    if cut > 0:
        ceiling = _ceiling(*history.churn(HORIZON))
        when = f"within {HORIZON} days, known on {days.last - dt.timedelta(days=HORIZON)}"
        yield Truth("churn.auc", ceiling.auc, "AUC", f"AUC of the best churn model: no order {when}")
        rate = ceiling.churned / ceiling.customers if ceiling.customers else 0.0
        yield Truth("churn.rate", rate, "share", f"customers without an order {when}")


_USER = np.dtype(
    [
        ("region", "i2"), ("segment", "i1"), ("device", "i1"), ("variants", "u4"), ("became", "f8"), ("visits", "i4"),
        ("orders", "i4"), ("last", "f8"), ("ordered_last", "?"), ("ordered_after", "?"),
    ]
)  # fmt: skip


class History:
    """Hold what is known of every user at the end of a day, and whether an order came after it; grows with users only.

    `became` is the operational time of the first order; `visits` and `orders` count those after it, `last` is the
    operational time of the last of these visits, and `ordered_last` says whether it brought an order.
    """

    def __init__(self, world: World, cut: int) -> None:
        self.world = world
        self.cut = cut
        self.users = np.zeros(0, dtype=_USER)
        self.clock = np.zeros(len(REGIONS))

    def add(self, day: Day) -> None:
        """Take in a day; days come in order."""
        if day.today.number <= self.cut:
            self._sign_up(day.people)
            self.clock += day.today.paces
        ours = day.visits[day.visits["kind"] == USER]
        ours = ours[ours["user"] < len(self.users)]
        bought = ours["deep"] == PURCHASE
        if day.today.number > self.cut:
            self.users["ordered_after"][ours["user"][bought]] = True
            return
        users = self.users
        first = ours["first_order"]
        users["became"][ours["user"][first]] = ours["clock"][first]
        since = np.flatnonzero(ours["clock"] > users["became"][ours["user"]])
        since = since[np.argsort(ours["clock"][since], kind="stable")]
        who = ours["user"][since]
        np.add.at(users["visits"], who, 1)
        np.add.at(users["orders"], who[bought[since]], 1)
        users["last"][who] = ours["clock"][since]  # in order of time: the last one stays
        users["ordered_last"][who] = bought[since]

    def _sign_up(self, people: People) -> None:
        new = np.zeros(len(people), dtype=_USER)
        new["region"], new["segment"], new["device"] = people.region, people.segment, people.device
        new["variants"], new["became"] = people.variants, np.inf
        self.users = joined([self.users, new], _USER)

    def churn(self, horizon: int) -> tuple[np.ndarray, np.ndarray]:
        """Return P(no order within `horizon` days | what is known) of every customer, and whether none came."""
        world, told = self.world, self.world.shop.purchases
        known = self.users[np.isfinite(self.users["became"])]
        usual = world.orders_a_visit[known["device"]]
        ahead = np.zeros(len(known))
        for number in range(self.cut + 1, self.cut + horizon + 1):
            pace = world.calendar.today(number).paces[known["region"]]
            ahead += pace * world.orders_a_visit_on(number, known) / usual
        seen = told.alpha + (self.clock[known["region"]] - known["became"]) / usual
        dropout = told.a * np.array(told.dropout.numbers())[known["segment"]]
        shape = told.r + known["visits"]
        gone = known["ordered_last"]
        until = told.alpha + np.where(gone, known["last"] - known["became"], 0) / usual
        grown = np.exp(np.minimum(shape * np.log(seen / until), _MOST))
        dead = np.where(gone, dropout / (told.b + np.maximum(known["orders"], 1) - 1) * grown, 0)
        quiet = (seen / (seen + ahead)) ** shape
        return (dead + quiet) / (dead + 1), ~known["ordered_after"]


def churn_probabilities(world: World, cut: int, horizon: int) -> tuple[np.ndarray, np.ndarray]:
    """Return P(no order within `horizon` days | what is known at the cut) of every customer, and whether none came.

    What is known are a customer's visits and orders until the end of day `cut`, segment, device, region and variants.
    Under the true parameters, visits after the first order are a Poisson process of rate lambda / q in operational time
    (q: the orders a visit), lambda ~ gamma(r, alpha), and a customer is gone only after an order, with probability
    p ~ beta(a, b). With x orders after the first, V visits, the last of them after t, and T until the cut, lambda and p
    integrate out as in Fader, Hardie and Lee (2005), eq. 3 to 6::

        dead  = a / (b + x - 1) ((alpha + T/q) / (alpha + t/q))^(r + V)   where the last visit was a further order, or 0
        quiet = ((alpha + T/q) / (alpha + T/q + F))^(r + V)
        P(no order) = (dead + quiet) / (dead + 1)

    F is the operational time of the horizon, each day of it times P(order | visit) / q under the user's variants then.
    """
    history = History(world, cut)
    for number in range(cut + horizon + 1):
        history.add(world.day(number))
    return history.churn(horizon)


def churn_ceiling(world: World, cut: int, horizon: int) -> ChurnCeiling:
    """Say how well the customers who will not order within `horizon` days after the cut can be told from the others."""
    return _ceiling(*churn_probabilities(world, cut, horizon))


def _ceiling(chance: np.ndarray, churned: np.ndarray) -> ChurnCeiling:
    return ChurnCeiling(area_under_curve(chance, churned), len(churned), int(churned.sum()))


def area_under_curve(score: np.ndarray, positive: np.ndarray) -> float:
    """Return the probability that a positive has a higher score than a negative, ties counting half.

    >>> area_under_curve(np.array([0.9, 0.5, 0.5, 0.1]), np.array([True, True, False, False]))
    0.875
    """
    _, place, counts = np.unique(score, return_inverse=True, return_counts=True)
    rank = (np.cumsum(counts) - (counts - 1) / 2)[place]
    positives, negatives = int(positive.sum()), int((~positive).sum())
    if not positives or not negatives:
        return float("nan")
    return float((rank[positive].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def ledger(project: Project, days: Days) -> list[tuple[dt.date, Planted]]:
    """List the dirt in the deliveries of some days; that of the lists on the project's first day."""
    opened = open_shop(project)
    told: list[tuple[dt.date, Planted]] = []
    for date in days:
        for table in ROWS:
            told += [(date, planted) for planted in opened.planted(table, opened.world.number(date))]
    again = alike_products(opened.world.shop)
    if again and days.first <= project.first_day:
        rule = "no two product_id differ only in case or spaces"
        told.append((project.first_day, Planted("products", "mixed_case", "dim_products", rule, again)))
    return told
