"""A small shop whose lake is served from a real Postgres."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import Any

from analytics_assets.assets.catalog import resolve
from analytics_assets.automation.runtime import open_lake
from analytics_assets.lake.releases import latest_release
from analytics_assets.lake.tables import Lake
from analytics_assets.outlets.served import ServedTable, served
from analytics_assets.outlets.warehouse import Publication, Target, publish
from analytics_assets.postgres import Database, quoted
from analytics_assets_tests import deliveries
from analytics_assets_tests.conftest import STAR, Workshop, csv
from analytics_assets_tests.postgres import FreshDatabase

SCHEMA = "analytics"
PRODUCTS = ("product_id", "name", "category")
SELECTED = f"{STAR} or key:sales_overview or key:order_value or key:product_performance or key:revenue_daily"
USERS = ("user_id", "name", "email", "country")


@dataclass
class Served:
    """Hold a project, its lake, and the database that it is served from."""

    workshop: Workshop
    database: FreshDatabase
    reader: str
    schema: str = SCHEMA
    seconds: int = 60
    project: str = "workshop"
    loader: str = "postgres"

    @property
    def target(self) -> Target:
        return Target(
            Database.read(self.database.url(self.loader), "X"), self.schema, self.reader, self.project, self.seconds
        )

    @property
    def tables(self) -> dict[str, ServedTable]:
        """The tables of the newest release as they are served."""
        there = self.workshop.release().versions
        return {name: it for name, it in served(resolve(self.workshop.project).contracts()).items() if name in there}

    def publish(self, **asked: Any) -> Publication:
        with open_lake(self.workshop.settings, "workshop") as lake:
            return publish(lake, resolve(self.workshop.project).contracts(), self.target, **asked)

    def ask(self, query: str, *values: Any, user: str = "postgres") -> list[Any]:
        return self.database.ask(query, *values, user=user)

    def read(self, query: str) -> list[Any]:
        """Ask as the reader."""
        return self.ask(query, user=self.reader)

    def name(self, table: str) -> str:
        return f"{quoted(self.schema)}.{quoted(table)}"

    def differences(self) -> list[str]:
        """Name the tables that do not show the rows of the newest release."""
        with open_lake(self.workshop.settings, "workshop") as lake, closing(self.database.connect()) as connection:
            versions = latest_release(lake).versions
            return [
                name
                for name, table in self.tables.items()
                if _rows(connection, table, self.name(name)) != _lake_rows(lake, table, versions[name])
            ]


def _rows(connection: Any, table: ServedTable, name: str) -> list[tuple[Any, ...]]:
    """Return the rows that are served of a table, without what the table has of its own."""
    columns = ", ".join(quoted(column.name) for column in table.contract.columns)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {columns} FROM {name}{' WHERE NOT inferred' if table.identified_by else ''}")
        return sorted(cursor.fetchall(), key=repr)


def _lake_rows(lake: Lake, table: ServedTable, version: int) -> list[tuple[Any, ...]]:
    contract = table.contract
    rows = lake.engine.rows(lake.read(contract, version=version))
    return sorted((tuple(row[column.name] for column in contract.columns) for row in rows), key=repr)


def fill(workshop: Workshop, days: int = 3) -> None:
    """Declare a shop with dimensions, deliver and run some days of it."""
    workshop.selects = SELECTED
    deliveries.fill(workshop, days)
    feed = {"table": "products", "columns": {name: name for name in PRODUCTS}}
    workshop.source("products", {"path": "data/products.csv", "format": "csv", "feeds": [feed]})
    feed = {"table": "users", "columns": {name: name for name in USERS}}
    workshop.source("users", {"path": "data/users.csv", "format": "csv", "feeds": [feed]})
    deliver_products(workshop, "p1,Lamp,light")
    deliver_users(workshop, "u0,Ada Lovelace,ada@example.com,GB", "u1,Grace Hopper,grace@example.com,US")
    assert workshop.run(deliveries.DAYS[0], deliveries.DAYS[days - 1]).succeeded


def deliver_products(workshop: Workshop, *rows: str) -> None:
    workshop.deliver("products.csv", csv(PRODUCTS, *rows))


def deliver_users(workshop: Workshop, *rows: str) -> None:
    workshop.deliver("users.csv", csv(USERS, *rows))


def statement(database: FreshDatabase, query: str, user: str) -> None:
    """Run a statement of one connection, as a role."""
    with closing(database.connect(user)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(query)
