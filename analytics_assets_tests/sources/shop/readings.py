"""Shops drawn at random, what they deliver as a reader sees it, and the intervals of theory."""

from __future__ import annotations

import datetime as dt
import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
from hypothesis import strategies as st

from analytics_assets.lake.days import Days
from analytics_assets.project.model import Project
from analytics_assets.project.shop import Shop
from analytics_assets.sources.shop.delivery import Deliveries
from analytics_assets.sources.shop.world import World

IDS = 10_000_000
"""An id tells its day: e30000000 is the first event of day 3."""
DAILY = ("events", "users", "order_lines", "returns", "campaign_spend", "experiment_assignments", "identities")
LISTS = ("products", "campaigns")
TABLES = (*DAILY, *LISTS)
KEYS = {
    "events": ["event_id"],
    "users": ["user_id"],
    "order_lines": ["order_id", "line"],
    "returns": ["return_id"],
    "experiment_assignments": ["experiment", "user_id"],
    "identities": ["anonymous_id"],
    "campaign_spend": ["campaign_id", "spent_on"],
}
_TIMES = {
    "events": "occurred_at",
    "users": "signed_up_at",
    "order_lines": "ordered_at",
    "returns": "returned_at",
    "experiment_assignments": "assigned_at",
    "identities": "known_from",
}
_AMOUNTS = ("amount", "unit_price", "discount", "tax", "shipping", "refund", "spend", "list_price", "cost")
WAITED = 3
"""Days for which readers wait for late rows."""


@dataclass(frozen=True)
class Opened:
    """Say which shop opens where and when."""

    shop: Shop
    first_day: dt.date = dt.date(2025, 1, 1)
    zone: str = "Europe/Berlin"

    def deliveries(self) -> Deliveries:
        return Deliveries(World(self.shop, self.first_day, self.zone))

    def days(self, first: int, last: int | None = None) -> Days:
        """Name days by their numbers."""
        end = first if last is None else last
        return Days(self.first_day + dt.timedelta(days=first), self.first_day + dt.timedelta(days=end))

    def project(self) -> Project:
        told = {"name": "shop", "first_day": self.first_day, "time_zone": self.zone, "folder": Path(), "sources": {}}
        return Project.model_validate({**told, "shop": self.shop})


def tiny(users: int = 200, products: int = 40, days: int = 15, **says: Any) -> Opened:
    """Open a shop that takes a moment."""
    return Opened(Shop.model_validate({"users": users, "products": products, "days": days, **says}))


def text(deliveries: Deliveries, table: str, days: Days) -> pa.Table:
    """Give what is delivered as one table of plain texts, however it was coded and batched."""
    parts = []
    for batch in deliveries.batches(table, days):
        columns = {
            name: column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column
            for name, column in zip(batch.schema.names, batch.columns, strict=True)
        }
        parts.append(pa.table(columns))
    return pa.concat_tables(parts).combine_chunks()


class Reading:
    """Read what a shop delivers on its first days, and judge every row as anybody would who only sees the text.

    `day` is the number of the delivery, `on` that of the day on which it happened; `at` is null where nobody can read
    it; amounts are cents.
    """

    def __init__(self, opened: Opened, days: int) -> None:
        self.opened = opened
        self.shop = opened.shop
        self.days = days
        self.deliveries = opened.deliveries()

    @functools.cache  # noqa: B019 - a reading lives as long as its test
    def all(self, table: str) -> pd.DataFrame:
        """Give every row, and what is wrong with it."""
        rows = text(self.deliveries, table, self.opened.days(0, self.days - 1)).to_pandas()
        for name in _AMOUNTS:
            if name in rows:
                rows[name] = pd.to_numeric(rows[name]).mul(100).round().astype("Int64")
        if table in LISTS:
            return rows
        rows["day"] = (pd.to_datetime(rows["file_day"]) - pd.Timestamp(self.opened.first_day)).dt.days
        rows["duplicate"] = rows.sort_values(["day", "row_number"]).duplicated(KEYS[table]).reindex(rows.index)
        if table not in _TIMES:
            return rows
        told = pd.to_datetime(rows[_TIMES[table]], format="%Y-%m-%d %H:%M:%S.%fZ", errors="coerce", utc=True)
        rows["at"] = told.dt.as_unit("ms")
        rows["bad_time"] = told.isna()
        local = told.dt.tz_convert(ZoneInfo(self.opened.zone)).dt.tz_localize(None).dt.normalize()
        rows["on"] = (local - pd.Timestamp(self.opened.first_day)).dt.days
        rows["too_late"] = rows["day"] - rows["on"] > WAITED
        if "product_id" in rows:
            listed = set(self.all("products")["product_id"])
            rows["as_listed"] = rows["product_id"].isna() | rows["product_id"].isin(listed)
            rows["product_id"] = rows["product_id"].str.strip().str.upper()
            rows["unknown"] = rows["product_id"].notna() & ~rows["product_id"].isin(listed)
        if "quantity" in rows:
            rows["quantity"] = rows["quantity"].astype(int)
        return rows

    @functools.cache  # noqa: B019 - see above
    def clean(self, table: str) -> pd.DataFrame:
        """Give the rows that anybody would keep, in the order in which they came."""
        rows = self.all(table)
        wrong = rows["duplicate"].copy()
        for name in ("bad_time", "too_late", "unknown"):
            if name in rows:
                wrong |= rows[name]
        if table == "order_lines":
            wrong |= rows["quantity"] < 0
        kept = rows[~wrong].sort_values(["day", "row_number"], ignore_index=True)
        if "on" in kept:
            kept["on"] = kept["on"].astype(int)
        return kept

    def whole(self, table: str) -> pd.DataFrame:
        """Give the clean rows of the days of which nothing is still on its way."""
        rows = self.clean(table)
        return rows[rows["on"] < self.days - WAITED]


def number(ids: pd.Series) -> pd.Series:
    """Give the number in ids."""
    return ids.str.extract(r"(\d+)", expand=False).astype("int64")


def day_of(ids: pd.Series) -> pd.Series:
    """Give the day of which ids tell."""
    return number(ids) // IDS


_rates = st.one_of(st.sampled_from([0.0, 1.0]), st.floats(0.05, 0.95))
_shares = st.one_of(st.sampled_from([0.0, 1.0]), st.floats(0, 1))
_ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "Asia/Kathmandu")
_NEAR_CHANGES = tuple(
    dt.date.fromisoformat(text)
    for text in ("2025-03-20", "2025-10-20", "2025-03-01", "2024-10-25", "2025-04-01", "2025-09-28", "2024-02-25",
                 "2025-08-30", "2025-12-20")
)  # fmt: skip


@st.composite
def _campaigns(draw: st.DrawFn) -> dict[str, Any]:
    return {
        f"K{place}": {
            "name": f"Campaign {place}", "channel": "email", "starts": draw(st.floats(0, 1)),
            "lasts": draw(st.floats(0, 1)), "uplift": draw(st.sampled_from([0, 0.3, 2.0])), "clicked": draw(_shares),
            "withheld": draw(_shares), "spend": draw(st.floats(0, 1000)),
        }
        for place in range(draw(st.integers(0, 4)))
    }  # fmt: skip


@st.composite
def _experiments(draw: st.DrawFn) -> dict[str, Any]:
    order = ["page_view", "search", "pricing_page", "view_product", "add_to_cart", "begin_checkout", "purchase"]
    told = {}
    for place in range(draw(st.integers(0, 3))):
        exposure = draw(st.integers(0, 5))
        step = order[draw(st.integers(max(exposure, 2) + 1, 6))]
        effect = {"step": step, "lift": draw(st.sampled_from([-0.5, 0.2, 3.0]))}
        told[f"x{place}"] = {
            "starts": draw(st.floats(0, 1)), "lasts": draw(st.floats(0, 1)), "exposure": order[exposure],
            "variants": draw(st.sampled_from([{"a": 0.5, "b": 0.5}, {"a": 0.1, "b": 0.2, "c": 0.3, "d": 0.4}])),
            "effects": {"b": [effect]}, "free_shipping": draw(st.sampled_from([[], ["a"]])),
        }  # fmt: skip
    return told


@st.composite
def shops(draw: st.DrawFn, **fixed: Any) -> Opened:
    """Draw any shop: its seed, size, preset, parameters, first day and time zone."""
    told: dict[str, Any] = {
        "seed": draw(st.one_of(st.integers(0, 4), st.integers(0, 2**63 - 1))),  # small ones have their words already
        "preset": draw(st.sampled_from(["everything", "plain"])),
        "users": draw(st.integers(1, 400)),
        "products": draw(st.integers(1, 80)),
        "days": draw(st.integers(1, 40)),
    }
    parts: dict[str, st.SearchStrategy[Any]] = {
        "funnel": st.fixed_dictionaries(
            {"view_product": _rates, "add_to_cart": _rates, "begin_checkout": _rates, "search": _shares,
             "pricing_page": _shares,
             "purchase": st.fixed_dictionaries(dict.fromkeys(("mobile", "desktop", "tablet"), _rates))}
        ),
        "visits": st.fixed_dictionaries({"earlier": _shares, "visitors": st.sampled_from([0, 0.5, 3])}),
        "orders": st.fixed_dictionaries(
            {"cancelled": st.floats(0, 0.5), "pending": st.floats(0, 0.5), "returned": _shares,
             "more_lines": st.floats(0, 3), "return_days": st.floats(1, 40)}
        ),
        "spend": st.fixed_dictionaries({"gamma": st.sampled_from([0.01, 30.0, 5000.0])}),
        "campaigns": st.one_of(st.just({}), _campaigns()),
        "experiments": st.one_of(st.just({}), _experiments()),
        "dirt": st.fixed_dictionaries(
            {name: st.one_of(st.just(0.0), st.floats(0, 0.3))
             for name in ("duplicates", "resent", "late", "too_late", "malformed_times", "unknown_products",
                          "mixed_case", "negative_quantities", "bots", "missing")}
        ),
    }  # fmt: skip
    for name, strategy in parts.items():
        if name not in fixed and draw(st.booleans()):
            told[name] = draw(strategy)
    first_day = draw(st.one_of(st.sampled_from(_NEAR_CHANGES), st.dates(dt.date(2000, 1, 1), dt.date(2035, 1, 1))))
    return Opened(Shop.model_validate({**told, **fixed}), first_day, draw(st.sampled_from(_ZONES)))


@st.composite
def readings(draw: st.DrawFn, **fixed: Any) -> Reading:
    """Draw any shop, and what it delivers over more or fewer days than its own."""
    opened = draw(shops(**fixed))
    return Reading(opened, draw(st.integers(1, opened.shop.days + 12)))


def quantile(checks: int = 1) -> float:
    """Give the half-width, in standard deviations, of intervals that together hold with 99.9 %."""
    return NormalDist().inv_cdf(1 - 0.001 / checks / 2)


def deviation(found: float, expected: float, variance: float) -> float:
    """Give by how many standard deviations something differs from what theory says."""
    return abs(found - expected) / math.sqrt(variance) if variance else abs(found - expected) * math.inf


def binomial(hits: int, among: int, share: float) -> float:
    """Give by how many standard deviations a share differs from its own."""
    assert among * share * (1 - share) > 10, "too few for the normal approximation"
    return deviation(hits, among * share, among * share * (1 - share))


def chi_square(counts: Sequence[float] | np.ndarray, expected: Sequence[float] | np.ndarray) -> float:
    """Give Pearson's statistic."""
    found, wanted = np.asarray(counts, dtype=float), np.asarray(expected, dtype=float)
    return float(((found - wanted) ** 2 / wanted).sum())


def chi_square_limit(freedom: int, checks: int = 1) -> float:
    """Give what a chi-square stays below in 99.9 % of worlds (Wilson and Hilferty 1931)."""
    width = 2 / (9 * freedom)
    return freedom * (1 - width + NormalDist().inv_cdf(1 - 0.001 / checks) * math.sqrt(width)) ** 3
