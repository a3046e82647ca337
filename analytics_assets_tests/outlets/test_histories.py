"""Whatever happened before: after each publication the warehouse is as one that was made of the release alone.

Belongs here: random histories of small tables, written into a lake without any run. Does not belong here: single
events (`test_warehouse`), and what dies meanwhile (`storm`).
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from analytics_assets.contracts.model import UNKNOWN_MEMBER, Column, Contract, InRange, Reference
from analytics_assets.lake.days import DaySet
from analytics_assets.lake.errors import LakeError
from analytics_assets.lake.releases import Computed, commit_release, latest_release
from analytics_assets.lake.restoring import restore
from analytics_assets.lake.tables import Lake
from analytics_assets.outlets import warehouse
from analytics_assets.outlets.served import served
from analytics_assets.outlets.warehouse import Target, publish
from analytics_assets.postgres import Database
from analytics_assets_tests.making import NOON, day, engine, table
from analytics_assets_tests.postgres import FreshDatabase

FIXTURES = (engine,)
PLACES = Contract(
    table="dim_places",
    grain="one row a place",
    columns=(Column("place_id", "string", "the place", nullable=False), Column("country", "string", "its country")),
    key=("place_id",),
)
PEOPLE = Contract(
    table="dim_people",
    grain="one row a person",
    columns=(
        Column("person_id", "string", "the person", nullable=False, personal=True),
        Column("name", "string", "what they are called", personal=True),
        Column("place_id", "string", "where they live", nullable=False),
    ),
    key=("person_id",),
    references=(Reference("place_id", "dim_places", "place_id"),),
)
GOODS = Contract(
    table="dim_goods",
    grain="one row a good",
    columns=(
        Column("good_id", "string", "the good", nullable=False),
        Column("weight", "float64", "how heavy"),
        Column("signs", "array<string>", "what stands on it"),
        Column("price", "decimal(18, 4)", "of one"),
    ),
    key=("good_id",),
)
BOUGHT = Contract(
    table="fact_bought",
    grain="one row a purchase",
    columns=(
        Column("day", "date", "the day", nullable=False),
        Column("bought_id", "string", "the purchase", nullable=False),
        Column("person_id", "string", "who", personal=True),
        Column("is_visitor", "boolean", "whether nobody knows who"),
        Column("good_id", "string", "what"),
        Column("pieces", "int64", "how many"),
        Column("net", "decimal(18, 4)", "for how much"),
        Column("at", "timestamp('UTC', 6)", "when"),
    ),
    key=("bought_id",),
    day="day",
    references=(
        Reference("person_id", "dim_people", "person_id", unless=("is_visitor",)),
        Reference("good_id", "dim_goods", "good_id"),
    ),
    rules=(InRange("pieces", minimum=0),),
)
BY_GOOD = Contract(
    table="by_good",
    grain="one row a good and place, or neither",
    columns=(
        Column("good_id", "string", "the good"),
        Column("place_id", "string", "the place"),
        Column("net", "decimal(18, 4)", "for how much"),
    ),
    key=("good_id", "place_id"),
    references=(Reference("good_id", "dim_goods", "good_id"), Reference("place_id", "dim_places", "place_id")),
)
CONTRACTS = {contract.table: contract for contract in (PLACES, PEOPLE, GOODS, BOUGHT, BY_GOOD)}
DAYS = range(1, 5)
_WORDS = ("a", "b", "é", "'; --", "\\", "", "a b", "💡", UNKNOWN_MEMBER)


@dataclass
class History:
    """Let things happen to a lake, and serve it.

    Attributes:
        random: Decides what happens.
        told: What happened, for who looks at a failure.
    """

    lake: Lake
    database: FreshDatabase
    random: random.Random
    told: list[str]
    contracts: dict[str, Contract]
    reader: str

    def happen(self) -> None:
        """Make one release."""
        acts = [self.dimension] * 4 + [self.days] * 4 + [self.mart, self.again, self.contract, self.project, self.lose]
        self.random.choice(acts)()

    def dimension(self) -> None:
        contract = self.random.choice([PLACES, PEOPLE, GOODS])
        key = contract.key[0]
        ids = {UNKNOWN_MEMBER, *self.random.sample(_WORDS, self.random.randrange(len(_WORDS)))}
        self.write(contract, [{**self.row(contract), key: each} for each in sorted(ids)])

    def days(self) -> None:
        days = self.random.sample(DAYS, self.random.randint(1, 3))
        rows = [
            {**self.row(BOUGHT), "day": day(number), "bought_id": name}
            for number in days
            for name in self.random.sample("uvwxyz", self.random.choice([0, 1, 3, 6]))
        ]
        self.write(BOUGHT, rows, DaySet.of(day(number) for number in days))

    def mart(self) -> None:
        rows = [self.row(BY_GOOD) for _ in range(self.random.randrange(5))]
        self.write(BY_GOOD, list({(row["good_id"], row["place_id"]): row for row in rows}.values()))

    def again(self) -> None:
        """Restore a release, as far as its files are there."""
        number = latest_release(self.lake).number
        self.told.append("restore")
        with suppress(LakeError):
            restore(self.lake, self.random.randint(max(1, number - 3), number), "restored", NOON)

    def contract(self) -> None:
        """Let a contract say something else."""
        contract = self.random.choice(list(CONTRACTS.values()))
        now = self.contracts.get(contract.table, contract)
        more = Column("more", "int64", "what was not asked for before")
        others = [replace(contract, grain=f"one row, {self.random.random()}"), contract]
        others.append(replace(contract, columns=(*contract.columns, more)))
        others.append(replace(contract, references=contract.references[1:]))
        self.contracts[contract.table] = self.random.choice([one for one in others if one != now])
        self.told.append(f"contract of {contract.table}")

    def project(self) -> None:
        """Let a project lose a table, or gain one that it had."""
        name = self.random.choice(list(CONTRACTS))
        if self.contracts.pop(name, None) is None:
            self.contracts[name] = CONTRACTS[name]
        self.told.append(f"{name} {'comes' if name in self.contracts else 'goes'}")

    def lose(self) -> None:
        """Let the files of a table go that the newest release does not show, as a vacuum does."""
        name = self.random.choice(list(CONTRACTS))
        contract = CONTRACTS[name]
        if self.lake.version(name) is None:
            return  # a dimension that is there has its unknown member
        rows = self.lake.engine.rows(self.lake.read(contract))
        self.write(contract, rows, DaySet.of({row["day"] for row in rows}) if contract.day else None)
        self.told[-1] += ", and old files are gone"
        shown = {file.path for file in self.lake.shown(name)}
        for file in self.lake.shown(name, max(0, (self.lake.version(name) or 0) - 1)):
            if file.path not in shown:
                Path(file.path).unlink(missing_ok=True)

    def write(self, contract: Contract, rows: list[dict[str, Any]], days: DaySet | None = None) -> None:
        written = self.lake.publish(self.lake.stage(contract, table(contract, *rows), days), "a run")
        commit_release(self.lake, "a run", {contract.table: Computed(written.version, days)}, NOON)
        self.told.append(f"{contract.table}: {len(rows)} rows{f' of {days}' if days else ''}")

    def row(self, contract: Contract) -> dict[str, Any]:
        return {column.name: self.value(column) for column in contract.columns}

    def value(self, column: Column) -> Any:
        one = self.random
        if column.nullable and one.random() < 0.2:
            return None
        drawn: dict[str, Callable[[], Any]] = {
            "string": lambda: one.choice(_WORDS),
            "int64": lambda: one.choice([0, 1, 2**62]),
            "float64": lambda: one.choice([0.0, 0.1 + 0.2, float("nan"), float("inf"), 1e300]),
            "boolean": lambda: one.random() < 0.5,
            "array<string>": lambda: one.sample(_WORDS, one.randrange(3)),
            "date": lambda: day(1),
            "decimal(18, 4)": lambda: one.choice(["0", "0.0001", "-1.5", "99999999999999.9999"]),
            "timestamp('UTC', 6)": lambda: NOON + dt.timedelta(microseconds=one.randrange(10**12)),
        }
        return drawn[column.type]()

    # What is served of it

    def publish(self, schema: str, **asked: Any) -> None:
        target = Target(Database.read(self.database.url(), "X"), schema, self.reader, "random", 60)
        publish(self.lake, self.contracts, target, **asked)

    def shown(self, schema: str) -> dict[str, list[str]]:
        """Return all that a schema has: columns, rows without pseudonyms, constraints, indexes, rights, comments."""
        versions = latest_release(self.lake).versions
        found = {}
        for name, one in served({k: v for k, v in self.contracts.items() if k in versions}).items():
            columns = ", ".join(f'"{column.name}"' for column in one.columns if column.type != "uuid")
            rows = self.database.ask(f"select ({columns})::text from {schema}.{name}")
            found[name] = sorted(str(row) for row in rows)
        about = (
            """select relname, conname, pg_get_constraintdef(c.oid), convalidated
               from pg_constraint c join pg_class r on r.oid = conrelid where connamespace = %s::regnamespace""",
            "select tablename, indexdef from pg_indexes where schemaname = %s",
            "select relname, relkind, relacl, obj_description(oid) from pg_class where relnamespace = %s::regnamespace",
            """select relname, attname, attacl, attnotnull, format_type(atttypid, atttypmod),
                      col_description(r.oid, attnum)
               from pg_attribute join pg_class r on r.oid = attrelid
               where relnamespace = %s::regnamespace and attnum > 0 and not attisdropped""",
        )
        for number, query in enumerate(about):
            rows = self.database.ask(query, schema)
            found[f"about {number}"] = sorted(str(row).replace(f"{schema}.", "") for row in rows)
        return found


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "few"), [(1, 0), (2, 0), (3, 5_000)], ids=["by rows", "by rows again", "by days"])
def test_a_warehouse_is_what_the_release_is_whatever_came_before(seed, few, tmp_path, engine, database, monkeypatch):
    monkeypatch.setattr(warehouse, "_FEW", few)  # rows that are rather written again than compared
    lake = Lake(str(tmp_path / "lake"), engine)
    decides = random.Random(seed)
    history = History(lake, database, decides, [], dict(CONTRACTS), database.role("reader"))
    history.dimension()
    for number in range(12):
        for _ in range(decides.choice([1, 1, 2])):
            history.happen()
        if not history.contracts:
            continue
        history.publish("served", compare_all=decides.random() < 0.3)
        history.told.append("publish")
        fresh = f"fresh_{number}"
        history.publish(fresh)
        assert history.shown("served") == history.shown(fresh), history.told
        database.ask(f"drop schema {fresh} cascade")
