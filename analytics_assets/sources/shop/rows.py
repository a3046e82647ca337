"""The rows of every table on a day, as arrays of numbers: what would be delivered if nothing went wrong.

Belongs here: which facts of a day go into which table. Does not belong here: what goes wrong (`dirt`) and how numbers
are written (`delivery`).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from analytics_assets.sources.shop.events import PURCHASE, events
from analytics_assets.sources.shop.people import BITS, EARLIEST, People
from analytics_assets.sources.shop.streams import stream
from analytics_assets.sources.shop.visits import USER
from analytics_assets.sources.shop.world import Day, World

IDS = 10_000_000
"""Numbers of one day: the first event of day 3 is 30,000,000."""

_OWN = [("id", "i8"), ("day", "i4"), ("spoilt", "i1")]
_EVENT = np.dtype(
    [
        *_OWN, ("user", "i8"), ("kind", "i1"), ("device", "i1"), ("region", "i2"), ("campaign", "i2"),
        ("session", "i4"), ("at", "i8"), ("type", "i1"), ("product", "i4"), ("feature", "i1"), ("amount", "i8"),
        ("order", "i4"),
    ]
)  # fmt: skip
_USER = np.dtype(
    [
        *_OWN, ("user", "i8"), ("at", "i8"), ("city", "i2"), ("region", "i2"), ("country", "i2"), ("device", "i1"),
        ("segment", "i1"), ("channel", "i1"), ("campaign", "i2"), ("age", "i2"), ("gender", "i1"),
        ("first_name", "i2"), ("last_name", "i2"), ("street", "i2"), ("without", "i1"),
    ]
)  # fmt: skip
_LINE = np.dtype(
    [
        *_OWN, ("user", "i8"), ("order", "i4"), ("line", "i2"), ("at", "i8"), ("product", "i4"), ("quantity", "i4"),
        ("price", "i8"), ("discount", "i8"), ("tax", "i8"), ("shipping", "i8"), ("status", "i1"), ("payment", "i1"),
        ("campaign", "i2"),
    ]
)  # fmt: skip
_RETURN = np.dtype(
    [
        *_OWN, ("user", "i8"), ("ordered", "i4"), ("order", "i4"), ("line", "i2"), ("at", "i8"), ("product", "i4"),
        ("quantity", "i4"), ("price", "i8"), ("refund", "i8"), ("reason", "i1"), ("status", "i1"),
    ]
)  # fmt: skip
_SPEND = np.dtype([*_OWN, ("campaign", "i2"), ("spend", "i8"), ("impressions", "i8"), ("clicks", "i8")])
_ASSIGNMENT = np.dtype([*_OWN, ("user", "i8"), ("experiment", "i1"), ("variant", "i1"), ("at", "i8")])
_IDENTITY = np.dtype([*_OWN, ("user", "i8"), ("at", "i8")])
_REFUSED = 2
_THOUSAND_SHOWN = 4.0
_CLICKS_A_VISIT = 1.25


def _filled(dtype: np.dtype, count: int, day: int) -> np.ndarray:
    rows = np.zeros(count, dtype=dtype)
    rows["day"] = day
    rows["id"] = np.arange(count) + day * IDS
    return rows


def event_rows(world: World, day: Day) -> np.ndarray:
    """Return what happened, an event a row."""
    made = events(world.shop, world.products, day)
    rows = _filled(_EVENT, len(made), day.today.number)
    visits = day.visits
    for name in ("user", "kind", "device", "region", "campaign", "order"):
        rows[name] = visits[name][made["visit"]]
    for name in ("type", "product", "feature"):
        rows[name] = made[name]
    rows["session"] = made["visit"]
    rows["at"] = made["at"].astype(np.int64) + day.today.starts
    worth = np.bincount(day.lines["visit"], day.lines["net"], len(visits)).astype(np.int64)
    bought = made["type"] == PURCHASE
    rows["amount"] = np.where(bought, worth[made["visit"]], -1)
    rows["order"] = np.where(bought, rows["order"], 0)
    return rows


def user_rows(world: World, day: Day) -> np.ndarray:
    """Return who signed up; `without` has a bit for each optional field of the profile that is missing."""
    del world
    who = day.people
    rows = _filled(_USER, len(who), day.today.number)
    rows["user"] = who.number
    rows["at"] = who.at + day.today.starts
    for name in ("city", "region", "country", "device", "segment", "channel", "age", "gender"):
        rows[name] = getattr(who, name)
    for name in ("first_name", "last_name", "street"):
        rows[name] = getattr(who, name)
    rows["campaign"] = _brought_by(day, who)
    return rows


def _brought_by(day: Day, who: People) -> np.ndarray:
    """Return the campaign of each new user's first visit."""
    ours = day.visits[day.visits["kind"] == USER]
    ours = ours[ours["user"] >= (who.number[0] if len(who) else 0)] if len(who) else ours[:0]
    brought = np.full(len(who), -1)
    places = ours["user"][::-1] - (who.number[0] if len(who) else 0)
    brought[places] = ours["campaign"][::-1]  # the earliest visit of a user is written last
    return brought


def line_rows(world: World, day: Day) -> np.ndarray:
    """Return what was ordered, a line a row."""
    del world
    rows = _filled(_LINE, len(day.lines), day.today.number)
    for name in ("user", "order", "line", "product", "quantity", "price", "discount", "tax", "shipping", "status",
                 "payment", "campaign"):  # fmt: skip
        rows[name] = day.lines[name]
    rows["at"] = day.lines["at"].astype(np.int64) + day.today.starts
    return rows


def return_rows(world: World, day: Day) -> np.ndarray:
    """Return what came back."""
    del world
    rows = _filled(_RETURN, len(day.returns), day.today.number)
    for name in ("user", "order", "line", "product", "quantity", "price", "reason"):
        rows[name] = day.returns[name]
    rows["ordered"], rows["status"] = day.returns["day"], day.returns["returned"]
    rows["at"] = day.today.starts + (day.returns["hour"] * day.today.length).astype(np.int64)
    rows["refund"] = np.where(day.returns["returned"] == _REFUSED, 0, day.returns["net"])
    return rows


def spend_rows(world: World, day: Day) -> np.ndarray:
    """Return what the running campaigns cost: spend, impressions and clicks."""
    rng = stream(world.shop.seed, "spend", day.today.number)
    rows = _filled(_SPEND, len(day.today.running), day.today.number)
    campaigns = list(world.shop.campaigns.values())
    came = np.bincount(day.visits["campaign"][day.visits["campaign"] >= 0], minlength=len(campaigns))
    for place, campaign in enumerate(day.today.running):
        spend = campaigns[campaign].spend * 100 * rng.lognormal(-0.02, 0.2)
        clicks = came[campaign] + rng.poisson(came[campaign] * (_CLICKS_A_VISIT - 1))
        rows["campaign"][place], rows["spend"][place], rows["clicks"][place] = campaign, round(spend), clicks
        rows["impressions"][place] = clicks + rng.poisson(spend / 100 / _THOUSAND_SHOWN * 1000)
    return rows


def assignment_rows(world: World, day: Day) -> np.ndarray:
    """Return who was assigned to what; a broken assignment loses some of them."""
    rng = stream(world.shop.seed, "lost", day.today.number)
    lost = np.zeros((len(world.shop.experiments) or 1, 1 << BITS))
    for place, experiment in enumerate(world.shop.experiments.values()):
        for name, share in experiment.lost.items():
            lost[place, list(experiment.variants).index(name)] = share
    arrive = rng.random(len(day.assigned)) >= lost[day.assigned["experiment"], day.assigned["variant"]]
    assigned = day.assigned[arrive]
    rows = _filled(_ASSIGNMENT, len(assigned), day.today.number)
    for name in ("user", "experiment", "variant"):
        rows[name] = assigned[name]
    rows["at"] = assigned["at"].astype(np.int64) + day.today.starts
    return rows


def identity_rows(world: World, day: Day) -> np.ndarray:
    """Return which anonymous visitors became known: those of the week before who signed up."""
    del world
    known = np.flatnonzero((day.people.earlier > 0) & (day.people.earlier <= EARLIEST))
    rows = _filled(_IDENTITY, len(known), day.today.number)
    rows["user"] = day.people.number[known]
    rows["at"] = day.people.at[known] + day.today.starts
    return rows


ROWS: dict[str, Callable[[World, Day], np.ndarray]] = {
    "events": event_rows,
    "users": user_rows,
    "order_lines": line_rows,
    "returns": return_rows,
    "campaign_spend": spend_rows,
    "experiment_assignments": assignment_rows,
    "identities": identity_rows,
}
"""What makes the rows of each table that is delivered by day."""
