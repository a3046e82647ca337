"""What a contract becomes in Postgres: a table with its types, keys, checks, comments, and what the reader may see.

Belongs here: the shape of a served table, and the SQL that makes it; no connection. Does not belong here: loading it
(`warehouse`), and views over several tables (`views`).

Beside the contract's columns a table may have some of its own:

- `user_key` beside a personal `user_id`: a pseudonym, by which a reader counts and joins people without knowing them;
- `dim_users_key`, where some rows name nobody whom the dimension could know (visitors, bots): the key of the
  dimension for the others, null for these;
- `inferred` in a dimension: rows refer to this member, and no source described it. It is as the `(unknown)` member is.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain

from analytics_assets.contracts.model import UNKNOWN_MEMBER, Accepted, Column, Contract, Identity, InRange, Reference
from analytics_assets.postgres import literal, quoted

INFERRED = "inferred"
_TYPES = {
    "string": "text",
    "int64": "bigint",
    "float64": "double precision",
    "boolean": "boolean",
    "date": "date",
    "array<string>": "text[]",
}
_DECIMAL = re.compile(r"decimal\((\d+), (\d+)\)")
LONGEST_NAME = 63
"""Bytes of a name that Postgres keeps; it cuts the others off and goes on."""


def sql_type(kind: str) -> str:
    """Return the Postgres type of a contract's type.

    >>> sql_type("decimal(18, 4)"), sql_type("timestamp('UTC', 6)"), sql_type("string")
    ('numeric(18, 4)', 'timestamp with time zone', 'text')
    """
    if kind.startswith("timestamp("):
        return "timestamp with time zone"
    if found := _DECIMAL.fullmatch(kind):
        return f"numeric({found[1]}, {found[2]})"
    return _TYPES[kind]


@dataclass(frozen=True)
class ForeignKey:
    """Say which column of a served table names a row of which dimension, by which of its columns.

    Attributes:
        column: The column.
        table: The dimension.
        key: The dimension's column.
        natural: The id behind the column, as it was delivered; the column itself where that is the id.
        natural_key: The dimension's column of these ids.
    """

    column: str
    table: str
    key: str
    natural: str
    natural_key: str

    def name(self, table: str) -> str:
        """Return the name of the constraint."""
        return named(table, self.column, "fkey")


@dataclass(frozen=True)
class ServedColumn:
    """Describe a column of a served table.

    Attributes:
        name: Its name.
        type: Its type in Postgres.
        comment: What a value says.
        required: Whether a value must be there.
        personal: Whether the reader must not see it.
        pseudonym_of: The column of the contract that it stands for.
        generated: The expression that Postgres computes it by.
        default: What it is in rows that do not say.
    """

    name: str
    type: str
    comment: str
    required: bool = False
    personal: bool = False
    pseudonym_of: str = ""
    generated: str = ""
    default: str = ""

    @property
    def sql(self) -> str:
        """How it is declared."""
        parts = [quoted(self.name), self.type]
        parts += [f"GENERATED ALWAYS AS ({self.generated}) STORED"] if self.generated else []
        parts += [f"DEFAULT {self.default}"] if self.default else []
        return " ".join([*parts, *(["NOT NULL"] if self.required else [])])


@dataclass(frozen=True)
class ServedTable:
    """Describe a table as it is served.

    Attributes:
        contract: What it promises.
        columns: Its columns: the contract's, and those of its own.
        foreign_keys: What it refers to.
        identified_by: The column by which others refer to it; empty where none does.
        indexed: Columns with an index of their own.
    """

    contract: Contract
    columns: tuple[ServedColumn, ...]
    foreign_keys: tuple[ForeignKey, ...] = ()
    identified_by: str = ""
    indexed: tuple[str, ...] = field(default=())

    @property
    def name(self) -> str:
        """The table's name."""
        return self.contract.table

    @property
    def key(self) -> tuple[str, ...]:
        """The columns that name a row in the whole table."""
        return tuple(dict.fromkeys([*([self.contract.day] if self.contract.day else []), *self.contract.key]))

    @property
    def loaded(self) -> tuple[ServedColumn, ...]:
        """The columns whose values come from the lake."""
        return tuple(column for column in self.columns if not column.generated and not column.default)

    @property
    def readable(self) -> tuple[str, ...]:
        """The columns that the reader may see."""
        return tuple(column.name for column in self.columns if not column.personal)

    @property
    def shape(self) -> str:
        """Return a mark that changes when the table has to be made anew."""
        told = [
            self.create("s", "t"),
            self.name_rows("s"),
            *self.finish("s"),
            *map(str, self.columns),
            *map(str, self.foreign_keys),
        ]
        return hashlib.sha256("\n".join(told).encode()).hexdigest()[:16]

    def create(self, schema: str, name: str | None = None) -> str:
        """Return the statement that makes the table, still without its keys."""
        parts = [*(column.sql for column in self.columns), *(f"CHECK ({check})" for check in self._checks())]
        return f"CREATE TABLE {quoted(schema)}.{quoted(name or self.name)} (\n  " + ",\n  ".join(parts) + "\n)"

    def name_rows(self, schema: str) -> str:
        """Return the statement that makes the key unique, once the rows are there."""
        required = {column.name for column in self.columns if column.required}
        key = ", ".join(map(quoted, self.key))
        unique = f"PRIMARY KEY ({key})" if required.issuperset(self.key) else f"UNIQUE NULLS NOT DISTINCT ({key})"
        table = f"{quoted(schema)}.{quoted(self.name)}"
        return f"ALTER TABLE {table} ADD CONSTRAINT {quoted(named(self.name, 'key'))} {unique}"

    def name_rows_by_hashes(self, schema: str) -> str:
        """Return the statement that does so where a text in the key is longer than an index of Postgres takes."""
        texts = {column.name for column in self.columns if column.type == "text"}
        key = ", ".join(f"md5({quoted(name)})" if name in texts else quoted(name) for name in self.key)
        table = f"{quoted(schema)}.{quoted(self.name)}"
        return f"CREATE UNIQUE INDEX {quoted(named(self.name, 'key'))} ON {table} ({key}) NULLS NOT DISTINCT"

    def finish(self, schema: str) -> tuple[str, ...]:
        """Return the statements that a table needs further: indexes, comments."""
        table = f"{quoted(schema)}.{quoted(self.name)}"
        statements = []
        if self.identified_by and (self.identified_by,) != self.key:
            name = named(self.name, self.identified_by, "key")
            statements.append(
                f"ALTER TABLE {table} ADD CONSTRAINT {quoted(name)} UNIQUE ({quoted(self.identified_by)})"
            )
        for column in self.indexed:
            name, there = named(self.name, column, "idx"), f"{quoted(column)} IS NOT NULL"
            statements.append(f"CREATE INDEX {quoted(name)} ON {table} ({quoted(column)}) WHERE {there}")
        comments = [f"COMMENT ON TABLE {table} IS {literal(self.contract.grain)}"]
        comments += [
            f"COMMENT ON COLUMN {table}.{quoted(column.name)} IS {literal(column.comment)}" for column in self.columns
        ]
        return (*statements, together(comments), f"ANALYZE {table}")

    def refer(self, schema: str, foreign: ForeignKey) -> str:
        """Return the statement that holds a column to its dimension, at the end of each transaction."""
        table = f"{quoted(schema)}.{quoted(self.name)}"
        return (
            f"ALTER TABLE {table} ADD CONSTRAINT {quoted(foreign.name(self.name))} FOREIGN KEY "
            f"({quoted(foreign.column)}) REFERENCES {quoted(schema)}.{quoted(foreign.table)} ({quoted(foreign.key)}) "
            "DEFERRABLE INITIALLY DEFERRED"
        )

    def grant(self, schema: str, reader: str) -> str:
        """Return the statement that lets the reader see all that is not personal."""
        personal = any(column.personal for column in self.columns)
        columns = f" ({', '.join(map(quoted, self.readable))})" if personal else ""
        return f"GRANT SELECT{columns} ON {quoted(schema)}.{quoted(self.name)} TO {quoted(reader)}"

    def _checks(self) -> Iterable[str]:
        """Give what the contract says of every row, where breaking it keeps a table from being published."""
        for rule in self.contract.rules:
            if rule.severity != "error":
                continue
            match rule:
                case Accepted(column=column, values=values):
                    yield f"{quoted(column)} IN ({', '.join(map(literal, values))})"
                case InRange(column=column, minimum=minimum, maximum=maximum):
                    yield from [f"{quoted(column)} >= {minimum!r}"] if minimum is not None else []
                    yield from [f"{quoted(column)} <= {maximum!r}"] if maximum is not None else []
                case Identity(total=total, plus=plus, minus=minus):
                    parts = [("+", name) for name in plus] + [("-", name) for name in minus]
                    amount = " ".join(f"{sign} coalesce({quoted(name)}, 0)" for sign, name in parts)
                    yield f"{quoted(total)} = {amount.removeprefix('+ ')}"
                case _:
                    pass


def served(contracts: Mapping[str, Contract]) -> dict[str, ServedTable]:
    """Say how the published tables of a project are served: dimensions, facts and marts, by name.

    Raw and staged tables stay in the lake.
    """
    published = {name: it for name, it in contracts.items() if not name.startswith(("raw_", "staged_"))}
    naming = {name for contract in published.values() for name in contract.key if contract.column(name).personal}
    held = {
        name: [r for r in contract.references if _can_be_held(contract, r, published)]
        for name, contract in published.items()
    }
    referred = {reference.table: reference.key for reference in chain.from_iterable(held.values())}
    tables = {}
    for name, contract in published.items():
        columns: list[ServedColumn] = []
        for column in contract.columns:
            columns.append(_plain(column))
            if _is_pseudonymous(column, naming):
                columns.append(_pseudonym(column))
        foreign = []
        for reference in held[name]:
            found = _foreign_key(reference, published)
            if reference.unless:
                columns.append(_held_column(contract, reference, found))
            foreign.append(found)
        identified_by = ""
        if name in referred:
            named = contract.column(referred[name])
            identified_by = _key_name(named.name) if named.personal else named.name
            columns.append(
                ServedColumn(INFERRED, "boolean", "rows refer to it, and no source described it", True, default="false")  # noqa: FBT003
            )
        leading = (contract.day or contract.key[0],)
        indexed = tuple(key.column for key in foreign if (key.column,) != leading)
        tables[name] = ServedTable(contract, tuple(columns), tuple(foreign), identified_by, indexed)
    return tables


def together(statements: Iterable[str]) -> str:
    """Return one statement that does what several short ones do, without a way to the server for each."""
    return f"DO $together$ BEGIN {'; '.join(statements)}; END $together$"


def unknown_member(table: ServedTable, rows: str) -> str:
    """Return the condition of a dimension's `(unknown)` row; one of days has none."""
    (key,) = table.contract.key
    is_text = table.contract.column(key).type == "string"
    return f"{rows}.{quoted(key)} = {literal(UNKNOWN_MEMBER)}" if is_text else "false"


def _can_be_held(contract: Contract, reference: Reference, published: Mapping[str, Contract]) -> bool:
    """Say whether a reference can be a foreign key: its table is served, and kept as a whole by that key."""
    other = published.get(reference.table)
    return other is not None and other.day is None and other.key == (reference.key,) and other.table != contract.table


def _plain(column: Column) -> ServedColumn:
    unit = f" ({column.unit})" if column.unit else ""
    comment = f"{column.meaning}{unit}"
    return ServedColumn(
        column.name, sql_type(column.type), comment, required=not column.nullable, personal=column.personal
    )


def _is_pseudonymous(column: Column, naming: set[str]) -> bool:
    return column.personal and column.name in naming and column.type == "string"


def _pseudonym(column: Column) -> ServedColumn:
    return ServedColumn(
        _key_name(column.name),
        "uuid",
        f"stands for {column.name}: the same wherever it is the same, and does not tell who it is",
        required=not column.nullable,
        pseudonym_of=column.name,
    )


def _key_name(column: str) -> str:
    return f"{column.removesuffix('_id')}_key"


def _foreign_key(reference: Reference, published: Mapping[str, Contract]) -> ForeignKey:
    personal = published[reference.table].column(reference.key).personal
    column = _key_name(reference.column) if personal else reference.column
    key = _key_name(reference.key) if personal else reference.key
    held = f"{reference.table}_key" if reference.unless else column
    return ForeignKey(held, reference.table, key, reference.column, reference.key)


def _held_column(contract: Contract, reference: Reference, foreign: ForeignKey) -> ServedColumn:
    """Describe the column that is the reference where it is held, and null where it is not."""
    is_key = foreign.key != reference.key
    source = _key_name(reference.column) if is_key else reference.column
    excused = [
        f"coalesce({quoted(name)}, false)" if contract.column(name).type == "boolean" else f"{quoted(name)} IS NOT NULL"
        for name in reference.unless
    ]
    excused_rows = " and ".join(reference.unless)
    return ServedColumn(
        foreign.column,
        "uuid" if is_key else sql_type(contract.column(reference.column).type),
        f"the row of {reference.table}; null where {excused_rows} says that none is expected",
        generated=f"CASE WHEN {' OR '.join(excused)} THEN NULL ELSE {quoted(source)} END",
    )


def named(*parts: str) -> str:
    """Return a name for a schema, a constraint or an index; one that Postgres would cut off ends in a hash."""
    name = "_".join(parts)
    if len(name.encode()) <= LONGEST_NAME:
        return name
    return f"{name.encode()[:40].decode(errors='ignore')}_{hashlib.sha256(name.encode()).hexdigest()[:12]}"
