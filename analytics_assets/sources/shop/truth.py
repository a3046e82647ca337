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
from analytics_assets.sources.shop.rows import ROWS
from analytics_assets.sources.shop.visits import PURCHASE, USER, faded
from analytics_assets.sources.shop.world import World

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
    shop, world = _shop(project), open_shop(project).world
    told = [*_funnel(shop, world), *_purchases(shop), *_calendar(shop), *_campaigns(shop), *_experiments(shop)]
    return [*told, *_happened(world, days)]


def _shop(project: Project) -> Shop:
    if project.shop is None:
        raise ValueError(f"project {project.name} has no shop.yaml")
    return project.shop


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
        for variant, share in experiment.lost.items():
            found = f"sample ratio: assignments of {variant} that are missing"
            yield Truth(f"experiment.{name}.{variant}.lost", share, "share", found)


def _happened(world: World, days: Days) -> Iterator[Truth]:
    last = world.number(days.last)
    visits = _visits(world, last)
    ours = visits[visits["kind"] == USER]
    yield Truth("happened.users", world.calendar.sign_ups(last).stop, "users", "rows of dim_users, but for the unknown")
    yield Truth("happened.visits", len(ours), "sessions", "sessions of signed-up users")
    yield Truth("happened.orders", int((ours["deep"] == PURCHASE).sum()), "orders", "orders of any status")
    yield Truth("happened.customers", int(ours["first_order"].sum()), "users", "users with an order of any status")
    net = sum(int(world.day(number).lines["net"].sum()) for number in range(last + 1))
    yield Truth("happened.net", net / 100, "project currency", "net revenue of orders of any status")
    for place, name in enumerate(world.shop.campaigns):
        added = int((ours["caused"] & (ours["campaign"] == place)).sum())
        yield Truth(f"campaign.{name}.visits", added, "sessions", "visits that would not have come without it")
    cut = days.last - dt.timedelta(days=HORIZON)
    if cut > days.first:
        ceiling = churn_ceiling(world, world.number(cut), HORIZON)
        found = f"AUC of the best churn model: no order within {HORIZON} days, known on {cut}"
        yield Truth("churn.auc", ceiling.auc, "AUC", found)
        rate = ceiling.churned / ceiling.customers if ceiling.customers else 0.0
        yield Truth("churn.rate", rate, "share", f"customers of {cut} without an order within {HORIZON} days")


def _visits(world: World, last: int) -> np.ndarray:
    return np.concatenate([world.day(number).visits for number in range(last + 1)])


def churn_probabilities(world: World, cut: int, horizon: int) -> tuple[np.ndarray, np.ndarray]:
    """Return P(no order within `horizon` days | what is known at the cut) of every customer, and whether none came.

    What is known are a customer's visits and orders until the end of day `cut`, segment, device and region. Under the
    true parameters, visits after the first order are a Poisson process of rate lambda / q in operational time (q: the
    orders a visit), lambda ~ gamma(r, alpha), and a customer is gone only after an order, with probability p ~ beta(a,
    b). With x orders after the first, V visits, the last of them after t, and T until the cut, lambda and p integrate
    out as in Fader, Hardie and Lee (2005), eq. 3 to 6::

        dead  = a / (b + x - 1) ((alpha + T/q) / (alpha + t/q))^(r + V)   where the last visit was a further order, or 0
        quiet = ((alpha + T/q) / (alpha + T/q + F))^(r + V)               F: the operational time of the horizon
        P(no order) = (dead + quiet) / (dead + 1)

    Experiments that run within the horizon are left out of F; they move it by hundredths.
    """
    visits = _visits(world, cut + horizon)
    visits = visits[visits["kind"] == USER]
    day = np.repeat(np.arange(cut + horizon + 1), [_count(world, n) for n in range(cut + horizon + 1)])
    order = np.lexsort((visits["clock"], visits["user"]))
    visits, day = visits[order], day[order]
    bought = visits["deep"] == PURCHASE
    users = world.calendar.sign_ups(cut + horizon).stop
    became = np.full(users, np.inf)
    first = np.flatnonzero(visits["first_order"] & (day <= cut))
    became[visits["user"][first]] = visits["clock"][first]
    customers = visits["user"][first]
    since = visits["clock"] > became[visits["user"]]
    known = since & (day <= cut)
    told = world.shop.purchases
    count = np.bincount(visits["user"][known], minlength=users)[customers]
    again = np.bincount(visits["user"][known & bought], minlength=users)[customers]
    last, ordered_last = np.zeros(users), np.zeros(users, dtype=bool)
    last[visits["user"][known]] = visits["clock"][known]  # in order of time: the last one stays
    ordered_last[visits["user"][known]] = bought[known]
    region, segment, device = _profiles(world, cut)
    clock, later = np.zeros(len(world.calendar.today(0).paces)), np.zeros(len(world.calendar.today(0).paces))
    for number in range(cut + horizon + 1):
        (clock if number <= cut else later)[:] += world.calendar.today(number).paces
    begun = became[customers]
    scale = 1 / world.orders_a_visit[device[customers]]
    seen = told.alpha + (clock[region[customers]] - begun) * scale
    dropout = told.a * np.array(told.dropout.numbers())[segment[customers]]
    shape = told.r + count
    gone = ordered_last[customers]
    until = told.alpha + np.where(gone, last[customers] - begun, 0) * scale
    grown = np.exp(np.minimum(shape * np.log(seen / until), _MOST))
    dead = np.where(gone, dropout / (told.b + np.maximum(again, 1) - 1) * grown, 0)
    quiet = (seen / (seen + later[region[customers]])) ** shape
    ordered = np.bincount(visits["user"][bought & (day > cut)], minlength=users)[customers] > 0
    return (dead + quiet) / (dead + 1), ~ordered


def _count(world: World, number: int) -> int:
    return int((world.day(number).visits["kind"] == USER).sum())


def _profiles(world: World, last: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return region, segment and main device of every user until a day."""
    who = [world.people(number) for number in range(last + 1)]
    return (
        np.concatenate([people.region for people in who]),
        np.concatenate([people.segment for people in who]),
        np.concatenate([people.device for people in who]),
    )


def churn_ceiling(world: World, cut: int, horizon: int) -> ChurnCeiling:
    """Say how well the customers who will not order within `horizon` days after the cut can be told from the others."""
    chance, churned = churn_probabilities(world, cut, horizon)
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
    for table in ROWS:
        for date in days:
            told += [(date, planted) for planted in opened.planted(table, opened.world.number(date))]
    again = alike_products(_shop(project))
    if again and days.first <= project.first_day:
        rule = "no two product_id differ only in case or spaces"
        told.append((project.first_day, Planted("products", "mixed_case", "dim_products", rule, again)))
    return told
