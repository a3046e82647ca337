"""The models of a project's YAML: the project, its sources, and how their rows feed raw tables.

Belongs here: one model a kind of declaration, each field with the line that `check` and the docs show. Does not belong
here: what needs two files, or a contract, to be judged (`loading`).
"""

from __future__ import annotations

import datetime as dt
import glob
import re
from pathlib import Path
from typing import Annotated, Literal, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, model_validator

from analytics_assets.contracts.delivered import DELIVERED, Delivered
from analytics_assets.lake.clocks import Clock
from analytics_assets.lake.days import Days
from analytics_assets.lake.functions import EPOCHS, ISO
from analytics_assets.project.alerts import Alerts
from analytics_assets.project.base import Model
from analytics_assets.project.business import Customers, Forecasts, Marketing, Rates
from analytics_assets.project.conditions import Condition
from analytics_assets.project.experiments import Plan
from analytics_assets.project.operations import Daily
from analytics_assets.project.plans import Locked, Registration, registration
from analytics_assets.project.postgres import PostgresRows
from analytics_assets.project.quality import Quality
from analytics_assets.project.questions import Questions
from analytics_assets.project.shop import Shop

DAY_IN_PATH = re.compile(r"\{day(?::(?P<form>[^{}]+))?\}")
ISO_DAY = "%Y-%m-%d"
_QUICK_YEARS = 12
_DIRECTIVE = re.compile(r"%-?.")
_DIRECTIVES = set("aAwdbBmyYHIpMSgfnjUWcxX%")


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ValueError(
            f"'{name}' is no time zone; use an IANA name such as UTC, Europe/London or America/New_York"
        ) from error
    return name


def _one_character(text: str) -> str:
    if len(text) != 1:
        raise ValueError(f"must be one character, not '{text}'")
    return text


def _time_format(form: str) -> str:
    if "%z" in form or "%Z" in form:
        raise ValueError(f"'{form}' reads an offset; write iso, which reads times with an offset too")
    if form not in {ISO, *EPOCHS} and "%" not in form:
        raise ValueError(
            f"'{form}' is no format; use {ISO}, {', '.join(EPOCHS)}, or a strptime format such as %d/%m/%Y %H:%M"
        )
    if unknown := [found for found in _DIRECTIVE.findall(form) if found.lstrip("%-") not in _DIRECTIVES]:
        raise ValueError(f"'{form}' has {unknown[0]}, which means nothing; see the directives of strptime")
    return form


ZoneName = Annotated[str, AfterValidator(_zone)]
Character = Annotated[str, AfterValidator(_one_character)]
TimeFormat = Annotated[str, AfterValidator(_time_format)]
ShopTable = Literal[
    "events",
    "users",
    "products",
    "order_lines",
    "returns",
    "campaigns",
    "campaign_spend",
    "experiment_assignments",
    "identities",
]
SHOP_TABLES: tuple[ShopTable, ...] = get_args(ShopTable)
SHOP_SNAPSHOTS: frozenset[ShopTable] = frozenset({"products", "campaigns"})
"""What the shop hands over as a whole, without a day."""


class ColumnMapping(Model):
    """Say where a canonical column comes from, and how its text is to be read."""

    column: str | None = Field(None, description="the delivered column")
    constant: str | None = Field(None, description="the same text for every row, instead of a column")
    values: dict[str, str] = Field({}, description="texts to be replaced, others pass")
    negate: bool = Field(default=False, description="turn the sign of a number")
    decimals: int | None = Field(
        None, ge=0, le=4, description="round an amount to so many decimals, where more than 4 would be refused"
    )

    @model_validator(mode="after")
    def _one_origin(self) -> ColumnMapping:
        if (self.column is None) == (self.constant is None):
            raise ValueError("needs either `column` or `constant`")
        return self


class Feed(Model):
    """Say which delivered rows go into which raw table, and how their columns are called there."""

    table: str | None = Field(None, description=f"the raw table: {', '.join(DELIVERED)}")
    drop: str | None = Field(None, description="instead of a table: leave these rows out, counted under this name")
    when: Condition = Field({}, description="the rows that it takes; without it, all that no feed above took")
    distinct: bool = Field(
        default=False,
        description="one row a key out of all rows, the last word of each column; takes no row from other feeds",
    )
    columns: dict[str, str | ColumnMapping] = Field({}, description="canonical column: delivered column")
    properties: list[str] = Field([], description="delivered columns that are kept as properties")
    unique_by: Literal["row"] | list[str] | None = Field(
        None, description="delivered columns that make a row the same row as another, or `row`: every row is its own"
    )

    def mapping(self, column: str) -> ColumnMapping | None:
        """Return where a canonical column comes from, None where it is not mapped."""
        origin = self.columns.get(column)
        return ColumnMapping(column=origin) if isinstance(origin, str) else origin

    @property
    def delivered(self) -> Delivered:
        """The raw table's description."""
        return DELIVERED[self.table or ""]

    @property
    def key_columns(self) -> tuple[str, ...] | None:
        """The delivered columns that make a row the same row; () for all of them, None for every row its own.

        Without `unique_by`, the columns that the table's key is mapped from, where all of it is mapped.
        """
        if self.unique_by == "row":
            return None
        if self.unique_by is not None:
            return tuple(self.unique_by)
        mapped = [self.mapping(name) for name in self.delivered.key]
        columns = [mapping.column for mapping in mapped if mapping is not None and mapping.column is not None]
        return tuple(columns) if len(columns) == len(self.delivered.key) else ()

    def delivered_columns(self) -> tuple[str, ...]:
        """Name every delivered column that the feed speaks of."""
        mapped = [mapping.column for name in self.columns if (mapping := self.mapping(name)) and mapping.column]
        return tuple(dict.fromkeys([*mapped, *self.properties, *self.when, *((self.table and self.key_columns) or ())]))


class Source(Model):
    """Say where rows come from (files, Postgres, the synthetic shop), how they are written, and what they feed."""

    path: str | None = Field(
        None, description="a path or fsspec URL, with * for any text and {day} or {day:%Y%m%d} for the delivery day"
    )
    postgres: PostgresRows | None = Field(None, description="instead of files, a table or query of a Postgres database")
    shop: ShopTable | None = Field(
        None, description=f"instead of files, a table of the synthetic shop: {', '.join(SHOP_TABLES)}"
    )
    description: str = Field("", description="what the rows are, for the asset's page")
    format: Literal["csv", "jsonl", "parquet"] | None = Field(
        None, description="csv, jsonl (a JSON object a line) or parquet"
    )
    encoding: str = Field("utf-8", description="of a text file")
    delimiter: Character = Field(",", description="of a CSV file")
    quote: Character = Field('"', description="of a CSV file")
    nulls: list[str] = Field([""], description="texts that mean a missing value")
    time_zone: ZoneName | None = Field(None, description="of times without an offset; the project's by default")
    timestamps: list[TimeFormat] = Field(
        [ISO], min_length=1, description="iso, epoch_s, epoch_ms, epoch_us or strptime formats, tried in this order"
    )
    lateness: int = Field(0, ge=0, le=60, description="how many days after its day a row may still be delivered")
    optional: bool = Field(default=False, description="whether a file may be missing")
    excluded: dict[str, Condition] = Field({}, description="rows that count in no metric, by why: bot, staff, test")
    feeds: list[Feed] = Field(min_length=1, description="the raw tables that it feeds, in order")

    @property
    def origin(self) -> str:
        """Where the rows come from: the path of the files, or a table."""
        return self.path or (self.postgres.origin if self.postgres else f"the shop's {self.shop}")

    @property
    def kind(self) -> str:
        """What the rows come as: the files' format, `postgres` or `shop`."""
        return self.format or ("postgres" if self.postgres else "shop")

    @property
    def day_form(self) -> str | None:
        """The strptime format of the day in a delivery's name, None where deliveries have no day."""
        if self.shop is not None:
            return None if self.shop in SHOP_SNAPSHOTS else ISO_DAY
        if self.postgres is not None:
            return None if self.postgres.day_by is None else ISO_DAY
        found = DAY_IN_PATH.search(self.origin)
        return None if found is None else found["form"] or ISO_DAY

    @property
    def has_many_files(self) -> bool:
        """Whether the rows come in more than one file, or as on more than one day."""
        return self.day_form is not None or (self.path is not None and glob.has_magic(self.path))

    def by_day(self, feed: Feed) -> bool:
        """Say whether a feed's raw table is kept by delivery day, or is a snapshot that is replaced as a whole.

        A day in the delivery's name, or the column `day_by`, dates it; without one the row's own time does. Things that
        have no time of their own (users, products) and rows without one are a snapshot.
        """
        time = feed.delivered.time
        return self.day_form is not None or (time is not None and feed.mapping(time) is not None)


class ProjectFile(Model):
    """What `project.yaml` holds."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="lower case, as the folder of its tables is called")
    description: str = Field("", description="what the project is about")
    time_zone: ZoneName = Field("UTC", description="the reporting time zone: a day is a date there")
    currency: str = Field("USD", pattern=r"^[A-Z]{3}$", description="ISO 4217 code of all amounts")
    first_day: dt.date = Field(description="the first day that is reported")
    last_day: dt.date | None = Field(None, description="the last day, of data that has ended")
    owners: list[str] = Field([], description="e-mail addresses or team:NAME, shown as the owners of every table")
    rates: Rates = Field(
        {},
        description="what other currencies are worth in this one, by the day from which it holds; others are refused",
    )
    customers: Customers = Field(Customers(), description="when a customer is lost, and how far ahead one is valued")
    forecasts: Forecasts = Field(Forecasts(), description="how far ahead is forecast, and which days are special")
    marketing: Marketing = Field(Marketing(), description="what orders are credited to, and where campaigns do not run")
    daily: Daily = Field(Daily(), description="when the daily run begins, and by when its day has to be there")
    quality: Quality = Field(Quality(), description="what of the numbers stands out, and what blocks the release")
    exports: list[str] = Field(
        ["rfm_customer_segments", "campaign_roi_analysis"],
        description="tables that every run also writes as CSV files, for tools that read files",
    )

    @model_validator(mode="after")
    def _ends_after_it_begins(self) -> ProjectFile:
        if self.last_day is not None and self.last_day < self.first_day:
            raise ValueError(f"last_day {self.last_day} lies before first_day {self.first_day}")
        return self

    @model_validator(mode="after")
    def _has_one_currency(self) -> ProjectFile:
        if self.currency in self.rates:
            raise ValueError(f"rates are of other currencies, and {self.currency} is the project's own")
        if empty := [currency for currency, since in self.rates.items() if not since]:
            raise ValueError(f"{empty[0]} has no rate; write {empty[0]}: {{{self.first_day}: RATE}}")
        return self


class Project(ProjectFile):
    """A whole project: `project.yaml`, its folder, sources, questions and experiments by name, the shop if it has one.

    `locks` are the versions of each plan that were locked, the oldest first; of plans that are gone, too.
    """

    folder: Path
    sources: dict[str, Source]
    shop: Shop | None = None
    questions: Questions = Questions()
    experiments: dict[str, Plan] = Field({})
    locks: dict[str, tuple[Locked, ...]] = Field({})
    alerts: Alerts = Alerts()

    def registration(self, experiment: str) -> Registration:
        """Say how the plan of an experiment stands to what was locked of it."""
        versions = self.locks.get(experiment, ())
        return registration(experiment, self.experiments[experiment], self.questions.metrics, versions)

    @property
    def lateness(self) -> int:
        """The longest lateness of any source, in days."""
        return max((source.lateness for source in self.sources.values()), default=0)

    def clock(self, zone: str | None = None) -> Clock:
        """Return a clock in the reporting time zone, or in another, quick around the project's days."""
        last = self.last_day or self.first_day.replace(year=self.first_day.year + _QUICK_YEARS, day=1)
        return Clock(zone or self.time_zone, Days(self.first_day, last))

    def feeds(self, table: str) -> tuple[tuple[str, int, Source, Feed], ...]:
        """Return source name, place, source and feed of all that feed a raw table."""
        return tuple(
            (name, place, source, feed)
            for name, source in self.sources.items()
            for place, feed in enumerate(source.feeds)
            if feed.table == table
        )

    def raw_tables(self) -> tuple[str, ...]:
        """Name the raw tables that the sources feed, without `raw_`."""
        return tuple(name for name in DELIVERED if self.feeds(name))

    def by_day(self, table: str) -> bool:
        """Say whether a raw table is kept by delivery day."""
        return any(source.by_day(feed) for _, _, source, feed in self.feeds(table))

    def days(self, last: dt.date) -> Days:
        """Return the days of the project up to `last`, or to its own last day if that comes first."""
        return Days(self.first_day, min(last, self.last_day or last))
