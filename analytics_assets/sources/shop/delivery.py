"""What the shop delivers: the rows of every table as text, a file a day, dirt and all.

Belongs here: how numbers are written, and which day's rows stand in which delivery. Does not belong here: how rows come
about, and reading them into the lake (`sources.reading`).
"""

from __future__ import annotations

import datetime as dt
import functools
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from analytics_assets.lake.days import Days
from analytics_assets.project.shop import DEVICES, SEGMENTS, Shop
from analytics_assets.sources.shop.dirt import (
    BAD_TIME,
    MIXED_CASE,
    TOO_LATE,
    UNKNOWN_PRODUCT,
    WITHOUT,
    Planted,
    Sent,
    alike_products,
    spoil,
)
from analytics_assets.sources.shop.events import TYPES
from analytics_assets.sources.shop.orders import RETURN_STATUSES, STATUSES
from analytics_assets.sources.shop.rows import IDS, ROWS
from analytics_assets.sources.shop.streams import joined
from analytics_assets.sources.shop.visits import ANONYMOUS, BOT, USER, VISITOR
from analytics_assets.sources.shop.vocabulary import (
    CATEGORIES,
    CHANNELS,
    CITIES,
    COUNTRIES,
    FEATURES,
    GENDERS,
    PAYMENTS,
    REASONS,
    REGION_COUNTRY,
    REGIONS,
    ascii_form,
    words,
)
from analytics_assets.sources.shop.world import World

if TYPE_CHECKING:
    from analytics_assets.project.model import Project

Texts = dict[str, pa.Array]

_BATCH = 65_536
_KEPT = len(ROWS) * (TOO_LATE + 1)
"""Days of tables that are remembered, so that what comes late is not made again."""
_UNKNOWN_PRODUCTS = 20
_BAD_TIMES = ("yesterday, 14:05", "2025-13-45 99:10:00Z", "31.12. um neun", "0")
_CENTS = pa.array([f"{cents:02d}" for cents in range(100)])
_COUNTRY_CODES = pa.array([country.code for country in COUNTRIES])
_REGION_NAMES = pa.array([region for _, region in REGIONS])
_CITY_NAMES = pa.array([city for _, city in CITIES])
_PRIME = 2_654_435_761
_VISITORS = 2**40


def _coded(places: np.ndarray, vocabulary: pa.Array | Sequence[str]) -> pa.Array:
    """Write places in a vocabulary; a negative place is nothing."""
    known = vocabulary if isinstance(vocabulary, pa.Array) else pa.array(vocabulary, pa.string())
    return pa.DictionaryArray.from_arrays(pa.array(places.astype(np.int32), mask=places < 0), known)


def _numbered(prefix: str, numbers: np.ndarray, where: np.ndarray | None = None) -> pa.Array:
    """Write numbers with a prefix, where they count."""
    texts = pc.cast(pa.array(numbers, mask=None if where is None else ~where), pa.string())
    return pc.binary_join_element_wise(prefix, texts, "") if prefix else texts


def _money(cents: np.ndarray, where: np.ndarray | None = None) -> pa.Array:
    """Write cents as an amount with two decimals; no amount is negative."""
    mask = None if where is None else ~where
    whole = pc.cast(pa.array(cents // 100, mask=mask), pa.string())
    return pc.binary_join_element_wise(whole, _CENTS.take(pa.array(cents % 100)), ".")


def _times(rows: np.ndarray) -> pa.Array:
    """Write milliseconds since 1970 as an instant; a spoilt one as something that is none."""
    texts = pc.binary_join_element_wise(pc.cast(pa.array(rows["at"].astype("datetime64[ms]")), pa.string()), "Z", "")
    broken = rows["spoilt"] == BAD_TIME
    if not broken.any():
        return texts
    wrong = pa.array(_BAD_TIMES).take(pa.array(rows["id"][broken] % len(_BAD_TIMES)))
    return pc.replace_with_mask(texts, pa.array(broken), wrong)


def _dates(days: np.ndarray, first_day: dt.date) -> pa.Array:
    return pc.cast(pa.array(days.astype("int32") + (first_day - dt.date(1970, 1, 1)).days, pa.date32()), pa.string())


def _user(numbers: np.ndarray, where: np.ndarray | None = None) -> pa.Array:
    return _numbered("u", numbers + 1, where)


def _anonymous(kind: np.ndarray, user: np.ndarray, day: np.ndarray) -> pa.Array:
    """Write who nobody knows: users before their sign-up, visitors, crawlers."""
    strangers = np.flatnonzero(kind != USER)
    place = np.full(len(kind), -1)
    place[strangers] = np.arange(len(strangers))
    kind, user, day = kind[strangers], user[strangers], day[strangers].astype(np.int64)
    number = np.where(
        kind == ANONYMOUS, (user * _PRIME) % _VISITORS, np.where(kind == VISITOR, day * IDS - user, -user)
    )
    prefix = pa.array(["", "a", "v", "crawler-"]).take(pa.array(kind))
    return _coded(place, pc.binary_join_element_wise(prefix, pc.cast(pa.array(number), pa.string()), ""))


class Writer:
    """Write the rows of a shop's tables as text."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.shop = world.shop
        self.first_day = world.calendar.first_day
        self.campaigns = pa.array(list(self.shop.campaigns), pa.string())
        width = len(str(self.shop.products))
        ids = [f"P{number:0{width}d}" for number in range(1, self.shop.products + 1)]
        mixed = [f"p{code[1:]}" if place % 2 else f" {code} " for place, code in enumerate(ids)]
        unknown = [f"X{number:0{width}d}" for number in range(_UNKNOWN_PRODUCTS)]
        self.product_ids = ids
        self._products = pa.array([*ids, *mixed, *unknown])

    def product(self, rows: np.ndarray) -> pa.Array:
        """Write product ids: as listed, in another case, or such as nobody listed."""
        count = self.shop.products
        place = rows["product"].astype(np.int64)
        place = np.where(rows["spoilt"] == MIXED_CASE, place + count, place)
        place = np.where(rows["spoilt"] == UNKNOWN_PRODUCT, 2 * count + place % _UNKNOWN_PRODUCTS, place)
        return _coded(place, self._products)

    def events(self, rows: np.ndarray) -> Texts:
        """Write events."""
        user, kind = rows["user"], rows["kind"]
        return {
            "event_id": _numbered("e", rows["id"]),
            "user_id": _user(user, kind == USER),
            "anonymous_id": _anonymous(kind, user, rows["day"]),
            "event_type": _coded(rows["type"], TYPES),
            "occurred_at": _times(rows),
            "session_id": _numbered("s", rows["day"].astype(np.int64) * IDS + rows["session"]),
            "device": _coded(rows["device"], DEVICES),
            "country": _coded(REGION_COUNTRY[rows["region"]], _COUNTRY_CODES),
            "product_id": self.product(rows),
            "feature": _coded(rows["feature"], FEATURES),
            "campaign_id": _coded(rows["campaign"], self.campaigns),
            "amount": _money(rows["amount"], rows["amount"] >= 0),
            "order_id": _numbered("o", rows["day"].astype(np.int64) * IDS + rows["order"], rows["order"] > 0),
            "agent": _coded((kind == BOT).astype(np.int8), ("browser", "crawler")),
        }

    def users(self, rows: np.ndarray) -> Texts:
        """Write profiles."""
        known = words(self.shop.seed)
        here = {bit: (rows["without"] >> bit) & 1 == 0 for bit in range(len(WITHOUT))}
        names: dict[str, list[str]] = {"name": [], "email": [], "street": []}
        for row in rows:
            country = row["country"]
            first, last = known.first[country][row["first_name"]], known.last[country][row["last_name"]]
            names["name"].append(f"{first} {last}")
            names["email"].append(f"{ascii_form(f'{first}.{last}')}.{row['user'] + 1}@example.com")
            names["street"].append(f"{known.streets[country][row['street']]} {row['user'] % 97 + 1}")
        return {
            "user_id": _user(rows["user"]),
            "signed_up_at": _times(rows),
            **{name: pa.array(texts, pa.string()) for name, texts in names.items()},
            "age": _numbered("", rows["age"], here[WITHOUT.index("age")]),
            "gender": _coded(np.where(here[WITHOUT.index("gender")], rows["gender"], -1), GENDERS),
            "country": _coded(rows["country"], _COUNTRY_CODES),
            "region": _coded(rows["region"], _REGION_NAMES),
            "city": _coded(np.where(here[WITHOUT.index("city")], rows["city"], -1), _CITY_NAMES),
            "device": _coded(rows["device"], DEVICES),
            "channel": _coded(rows["channel"], CHANNELS),
            "campaign_id": _coded(rows["campaign"], self.campaigns),
            "segment": _coded(rows["segment"], SEGMENTS),
        }

    def order_lines(self, rows: np.ndarray) -> Texts:
        """Write order lines."""
        return {
            "order_id": _numbered("o", rows["day"].astype(np.int64) * IDS + rows["order"]),
            "line": _numbered("", rows["line"]),
            "user_id": _user(rows["user"]),
            "product_id": self.product(rows),
            "ordered_at": _times(rows),
            "quantity": _numbered("", rows["quantity"]),
            "unit_price": _money(rows["price"]),
            "discount": _money(rows["discount"]),
            "tax": _money(rows["tax"]),
            "shipping": _money(rows["shipping"]),
            "status": _coded(rows["status"], STATUSES),
            "payment_method": _coded(rows["payment"], PAYMENTS),
            "campaign_id": _coded(rows["campaign"], self.campaigns),
        }

    def returns(self, rows: np.ndarray) -> Texts:
        """Write returns."""
        return {
            "return_id": _numbered("r", rows["id"]),
            "line": _numbered("", rows["line"]),
            "order_id": _numbered("o", rows["ordered"].astype(np.int64) * IDS + rows["order"]),
            "user_id": _user(rows["user"]),
            "product_id": self.product(rows),
            "returned_at": _times(rows),
            "quantity": _numbered("", rows["quantity"]),
            "unit_price": _money(rows["price"]),
            "refund": _money(rows["refund"]),
            "reason": _coded(rows["reason"], REASONS),
            "status": _coded(rows["status"], RETURN_STATUSES),
        }

    def campaign_spend(self, rows: np.ndarray) -> Texts:
        """Write what campaigns cost."""
        channels = [campaign.channel for campaign in self.shop.campaigns.values()]
        return {
            "campaign_id": _coded(rows["campaign"], self.campaigns),
            "spent_on": _dates(rows["day"], self.first_day),
            "channel": _coded(rows["campaign"], pa.array(channels, pa.string())),
            "spend": _money(rows["spend"]),
            "impressions": _numbered("", rows["impressions"]),
            "clicks": _numbered("", rows["clicks"]),
        }

    def experiment_assignments(self, rows: np.ndarray) -> Texts:
        """Write who was assigned to what."""
        most = max((len(experiment.variants) for experiment in self.shop.experiments.values()), default=1)
        variants = [
            name
            for experiment in self.shop.experiments.values()
            for name in [*experiment.variants, *[""] * (most - len(experiment.variants))]
        ]
        place = rows["experiment"].astype(np.int64) * most + rows["variant"]
        return {
            "experiment": _coded(rows["experiment"], pa.array(list(self.shop.experiments), pa.string())),
            "user_id": _user(rows["user"]),
            "variant": _coded(place, pa.array(variants, pa.string())),
            "assigned_at": _times(rows),
        }

    def identities(self, rows: np.ndarray) -> Texts:
        """Write which anonymous visitors became known."""
        kind = np.full(len(rows), ANONYMOUS, dtype=np.int8)
        return {
            "anonymous_id": _anonymous(kind, rows["user"], rows["day"]),
            "user_id": _user(rows["user"]),
            "known_from": _times(rows),
        }

    def products(self) -> Texts:
        """Write the list of products; the last ones stand in it twice, under a code with a space."""
        told, known = self.world.products, words(self.shop.seed)
        again = alike_products(self.shop)
        kinds = list(CATEGORIES)
        places = [*range(self.shop.products), *range(self.shop.products - again, self.shop.products)]
        subcategories = [CATEGORIES[kinds[told.category[p]]][told.subcategory[p]] for p in places]
        take = np.array(places)
        alike = [f"{self.product_ids[place]} " for place in places[len(places) - again :]]
        names = [f"{known.words[told.word[p]]} {kind}" for p, kind in zip(places, subcategories, strict=True)]
        return {
            "product_id": pa.array([*self.product_ids, *alike]),
            "name": pa.array(names),
            "category": _coded(told.category[take], kinds),
            "subcategory": pa.array(subcategories),
            "brand": pa.array([known.brands[told.brand[p]] for p in places]),
            "list_price": _money(told.prices[take]),
            "cost": _money(told.costs[take]),
            "launched_on": _dates(told.launched[take], self.first_day),
        }

    def campaigns_list(self) -> Texts:
        """Write the list of campaigns."""
        told = list(self.shop.campaigns.values())
        spans = [self.shop.span(campaign) for campaign in told]
        budgets = [round(c.spend * len(span) * 100) for c, span in zip(told, spans, strict=True)]
        return {
            "campaign_id": self.campaigns,
            "name": pa.array([campaign.name for campaign in told], pa.string()),
            "channel": pa.array([campaign.channel for campaign in told], pa.string()),
            "starts_on": _dates(np.array([span.start for span in spans], dtype=np.int64), self.first_day),
            "ends_on": _dates(np.array([span.stop - 1 for span in spans], dtype=np.int64), self.first_day),
            "budget": _money(np.array(budgets, dtype=np.int64)),
            "withheld": pa.array(
                [";".join(self.world.calendar.withheld(name)) for name in self.shop.campaigns], pa.string()
            ),
        }


class Deliveries:
    """Hand over the tables of a shop, day by day."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.writer = Writer(world)
        self._sent: OrderedDict[tuple[str, int], Sent] = OrderedDict()
        self._write: dict[str, Callable[[np.ndarray], Texts]] = {name: getattr(self.writer, name) for name in ROWS}
        self._lists: dict[str, Callable[[], Texts]] = {
            "products": self.writer.products,
            "campaigns": self.writer.campaigns_list,
        }

    def columns(self, table: str) -> tuple[str, ...]:
        """Name the delivered columns of a table."""
        if table in self._lists:
            return tuple(self._lists[table]())
        nothing = ROWS[table](self.world, self.world.day(0))[:0]
        return tuple(self._write[table](nothing))

    def sent(self, table: str, day: int) -> Sent:
        """Return what became of the rows of a table and day."""
        key = (table, day)
        if key not in self._sent:
            rows = ROWS[table](self.world, self.world.day(day))
            self._sent[key] = spoil(self.world.shop, table, rows, day)
            while len(self._sent) > _KEPT:
                self._sent.popitem(last=False)
        return self._sent[key]

    def rows(self, table: str, day: int) -> np.ndarray:
        """Return the rows of a delivery: the day's own, and what comes late from the days before."""
        parts = [sent.rows[days] for days, sent in self._arriving(table, day) if days in sent.rows]
        return joined(parts[::-1], parts[0].dtype)

    def planted(self, table: str, day: int) -> tuple[Planted, ...]:
        """Return the dirt in a delivery."""
        return tuple(dirt for days, sent in self._arriving(table, day) for dirt in sent.planted.get(days, ()))

    def _arriving(self, table: str, day: int) -> Iterator[tuple[int, Sent]]:
        """Yield how many days each day's rows may take to come, and the rows; the oldest day first."""
        for days in range(min(TOO_LATE, day), -1, -1):
            yield days, self.sent(table, day - days)

    def batches(self, table: str, days: Days) -> Iterator[pa.RecordBatch]:
        """Yield the rows of some days' deliveries as text, with the day of their file and their place in it."""
        if table in self._lists:
            texts = self._lists[table]()
            count = len(next(iter(texts.values())))
            yield _batch(texts, np.arange(1, count + 1), pa.nulls(count, pa.date32()))
            return
        # Arrow writes one batch while NumPy makes the rows of the next
        with ThreadPoolExecutor(max_workers=1) as writing:
            written: Future[pa.RecordBatch] | None = None
            held: list[np.ndarray] = []
            for date in days:
                held.append(self.rows(table, self.world.number(date)))
                if sum(map(len, held)) >= _BATCH or date == days.last:
                    first = date - dt.timedelta(days=len(held) - 1)
                    before, written = written, writing.submit(self._written, table, held, first)
                    held = []
                    if before is not None:
                        yield before.result()
            if written is not None:
                yield written.result()

    def _written(self, table: str, held: list[np.ndarray], first: dt.date) -> pa.RecordBatch:
        counts = [len(rows) for rows in held]
        place = np.concatenate([np.arange(1, count + 1) for count in counts])
        dates = np.repeat(np.arange(len(held), dtype=np.int32) + (first - dt.date(1970, 1, 1)).days, counts)
        return _batch(
            self._write[table](joined(held, held[0].dtype)), place, pa.array(dates.astype(np.int32), pa.date32())
        )


def _batch(texts: Texts, place: np.ndarray, dates: pa.Array) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({**texts, "row_number": pa.array(place, pa.int64()), "file_day": dates})


@functools.lru_cache(maxsize=1)
def _opened(shop: str, first_day: dt.date, zone: str) -> Deliveries:
    return Deliveries(World(Shop.model_validate_json(shop), first_day, zone))


def open_shop(project: Project) -> Deliveries:
    """Open the shop of a project; the one that was opened last is kept, with the days that it remembers.

    Raises:
        ValueError: Where the project has no shop.
    """
    if project.shop is None:
        raise ValueError(f"project {project.name} has no shop.yaml")
    return _opened(project.shop.model_dump_json(), project.first_day, project.time_zone)


def columns(project: Project, table: str) -> tuple[str, ...]:
    """Name the columns that a table of the shop is delivered with."""
    return open_shop(project).columns(table)


def deliver(project: Project, table: str, days: Days) -> Iterator[pa.RecordBatch]:
    """Yield what the shop delivers of a table on some days, as text; lists come whole, without a day."""
    return open_shop(project).batches(table, days)
