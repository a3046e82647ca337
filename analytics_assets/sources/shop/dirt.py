"""What goes wrong between the shop and its deliveries, and the ledger of it.

Nothing that the truth speaks of is lost: dirt adds rows, or delays rows that no order depends on. So what is left when
the platform has refused what it should is the world itself.

Belongs here: which rows are spoilt, and how many. Does not belong here: how a spoilt row is written (`delivery`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from analytics_assets.project.shop import Shop
from analytics_assets.sources.shop.events import PAGE_VIEW, USE_FEATURE, VIEW_PRODUCT
from analytics_assets.sources.shop.rows import IDS
from analytics_assets.sources.shop.streams import joined, stream
from analytics_assets.sources.shop.visits import BOT, USER

CLEAN, BAD_TIME, UNKNOWN_PRODUCT, MIXED_CASE = range(4)
"""What `spoilt` says of a row."""
WITHOUT = ("age", "gender", "city")
"""The optional fields of a profile, a bit each in `without`."""
TOO_LATE = 5
"""Days after which nobody waits for a row any more; `late` rows come within 3."""
_LATE = 3
_ADDED = IDS - 1_000_000
_EXTRA_LINE = 90
_RESENT_TABLES = frozenset({"events", "order_lines", "returns", "experiment_assignments"})
_COPIED_TABLES = _RESENT_TABLES | {"users"}


@dataclass(frozen=True)
class Planted:
    """Say how much dirt of one kind a delivery holds, and where the platform should find it.

    Attributes:
        table: The delivered table.
        dirt: The parameter of `dirt` that planted it.
        found_in: The table in which it is found.
        found_as: As what: a reason for which rows are rejected, a rule that they break, or what is counted.
        rows: How many rows.
    """

    table: str
    dirt: str
    found_in: str
    found_as: str
    rows: int


@dataclass(frozen=True)
class Sent:
    """Hold the rows of one day by how many days later they are delivered, and the dirt in each delivery."""

    rows: Mapping[int, np.ndarray]
    planted: Mapping[int, tuple[Planted, ...]]


class _Spoiler:
    """Spoil the rows of one table and day, and count."""

    def __init__(self, shop: Shop, table: str, rows: np.ndarray, day: int) -> None:
        self.dirt = shop.dirt
        self.table = table
        self.day = day
        self.clean = rows
        self.rng = stream(shop.seed, f"dirt {table}", day)
        self.sent: dict[int, list[np.ndarray]] = {0: []}
        self.planted: dict[int, list[Planted]] = {0: []}
        self._added = 0

    def chosen(self, rate: float, among: np.ndarray | None = None) -> np.ndarray:
        """Draw places of rows at a rate, among all or some."""
        if not rate:
            return np.zeros(0, dtype=np.int64)
        hit = self.rng.random(len(self.clean)) < rate
        return np.flatnonzero(hit if among is None else hit & among)

    def send(self, rows: np.ndarray, dirt: str, found_as: str, *, days: int = 0, found_in: str = "") -> None:
        """Deliver more rows, so many days later, and write them down."""
        if len(rows):
            self.sent.setdefault(days, []).append(rows)
            self.note(len(rows), dirt, found_as, days=days, found_in=found_in)

    def note(self, count: int, dirt: str, found_as: str, *, days: int = 0, found_in: str = "") -> None:
        """Write dirt down in the ledger."""
        if count:
            planted = Planted(self.table, dirt, found_in or f"staged_{self.table}", found_as, int(count))
            self.planted.setdefault(days, []).append(planted)

    def copies(self, places: np.ndarray) -> np.ndarray:
        """Copy rows under ids of their own."""
        rows: np.ndarray = self.clean[places].copy()
        rows["id"] = self.day * IDS + _ADDED + self._added + np.arange(len(rows))
        self._added += len(rows)
        return rows

    def done(self) -> Sent:
        """Give the rows by delay, the clean ones first."""
        kind = self.clean.dtype
        sent = {0: joined([self.clean, *self.sent.pop(0)], kind)}
        sent |= {days: joined(parts, kind) for days, parts in self.sent.items()}
        return Sent(sent, {days: tuple(planted) for days, planted in self.planted.items()})


def spoil(shop: Shop, table: str, rows: np.ndarray, day: int) -> Sent:
    """Send the rows of a table and day on their way, with all that goes wrong."""
    spoiler = _Spoiler(shop, table, rows, day)
    if table == "events":
        _spoil_events(spoiler)
    elif table == "order_lines":
        _spoil_lines(spoiler)
    elif table == "users":
        _spoil_users(spoiler)
    among = spoiler.clean["kind"] == USER if table == "events" else None
    if table in _RESENT_TABLES:
        again = spoiler.chosen(spoiler.dirt.resent, among)
        after = spoiler.rng.integers(1, _LATE + 1, len(again))
        for days in range(1, _LATE + 1):
            spoiler.send(spoiler.clean[again[after == days]], "resent", "duplicate", days=days)
    if table in _COPIED_TABLES:
        spoiler.send(spoiler.clean[spoiler.chosen(spoiler.dirt.duplicates, among)], "duplicates", "duplicate")
    return spoiler.done()


def _spoil_events(spoiler: _Spoiler) -> None:
    rows, dirt = spoiler.clean, spoiler.dirt
    ours = rows["kind"] == USER
    spoiler.note((rows["kind"] == BOT).sum(), "bots", "excluded_as bot", found_in="fact_events")
    # a phone without a connection can look around, and cannot order
    late = spoiler.chosen(dirt.late, ours & (rows["type"] <= USE_FEATURE))
    after = spoiler.rng.integers(1, _LATE + 1, len(late))
    for days in range(1, _LATE + 1):
        spoiler.send(rows[late[after == days]], "late", "kept, and delivered after its day", days=days)
    pages = ours & (rows["type"] == PAGE_VIEW)
    spoiler.send(spoiler.copies(spoiler.chosen(dirt.too_late, pages)), "too_late", "too_late", days=TOO_LATE)
    broken = spoiler.copies(spoiler.chosen(dirt.malformed_times, ours))
    broken["spoilt"] = BAD_TIME
    spoiler.send(broken, "malformed_times", "unparseable_occurred_at")
    viewed = ours & (rows["type"] == VIEW_PRODUCT)
    unknown = spoiler.copies(spoiler.chosen(dirt.unknown_products, viewed))
    unknown["spoilt"] = UNKNOWN_PRODUCT
    found_as = "product_id is in dim_products"
    spoiler.send(unknown, "unknown_products", found_as, found_in="fact_events")
    on_time = np.ones(len(rows), dtype=bool)
    on_time[late] = False
    spoiler.clean = rows[on_time]


def _spoil_lines(spoiler: _Spoiler) -> None:
    rows, dirt = spoiler.clean, spoiler.dirt
    mixed = spoiler.chosen(dirt.mixed_case)
    rows["spoilt"][mixed] = MIXED_CASE
    found_as = "product_id is in dim_products"
    spoiler.note(len(mixed), "mixed_case", found_as, found_in="fact_sales")
    negative = spoiler.copies(spoiler.chosen(dirt.negative_quantities))
    negative["quantity"] *= -1
    negative["line"] += _EXTRA_LINE
    spoiler.send(negative, "negative_quantities", "negative_quantity")
    broken = spoiler.copies(spoiler.chosen(dirt.malformed_times))
    broken["spoilt"] = BAD_TIME
    broken["line"] += 2 * _EXTRA_LINE
    spoiler.send(broken, "malformed_times", "unparseable_ordered_at")


def _spoil_users(spoiler: _Spoiler) -> None:
    missing = spoiler.rng.random((len(WITHOUT), len(spoiler.clean))) < spoiler.dirt.missing
    for place, name in enumerate(WITHOUT):
        spoiler.clean["without"] |= missing[place].astype(np.int8) << place
        spoiler.note(missing[place].sum(), "missing", f"kept, without {name}")


def alike_products(shop: Shop) -> int:
    """Return how many products stand in the list a second time, under a code that differs in a space only."""
    return min(shop.products, int(np.ceil(shop.dirt.mixed_case * shop.products)))
