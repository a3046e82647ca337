"""The served warehouse: the newest release of the lake in a schema of Postgres, for tools that ask SQL.

Belongs here: what has changed since the release that is served, and its loading. Does not belong here: what a table is
like there (`served`, `views`), whether it holds what the lake holds (`reconciling`), and when it is loaded
(`automation.warehouse`).

A publication is one transaction: readers see the release before it or this one, never a part, and never wait, for rows
are deleted and inserted while they read the old ones. Only tables that are new, or whose contract changed, are made
beside the schema first, each in a transaction of its own, and moved into it by that one transaction. What is served is
remembered there by the names of the lake's files, which never change: so a publication that was killed, a database
that was restored, and a lake that was begun anew all end in the same tables.
"""

from __future__ import annotations

import datetime as dt
import itertools
import json
import secrets
import zlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from analytics_assets.lake.releases import latest_release
from analytics_assets.lake.tables import arrow_schema
from analytics_assets.outlets.reconciling import Compared, Within, compare, days_condition
from analytics_assets.outlets.served import (
    INFERRED,
    LONGEST_NAME,
    ServedTable,
    named,
    served,
    together,
    unknown_member,
)
from analytics_assets.outlets.sessions import Copied, Session, session, sql_name
from analytics_assets.outlets.views import VIEWS
from analytics_assets.postgres import Database, PostgresError, literal, quoted

if TYPE_CHECKING:
    import pyarrow as pa
    from ibis.expr.types import Table

    from analytics_assets.contracts.model import Contract
    from analytics_assets.lake.tables import Lake

How = Literal["made", "rows", "days", "dropped"]
COMPARED_EVERY = dt.timedelta(days=7)
"""How often whole tables are compared, and not only what was loaded."""
_RELEASE, _TABLES, _LOADER = "release", "_tables", "_loader"
"""What a schema says of itself: to the reader which release it shows, to the loader all else."""
_OLDEST_SERVER = 150_000
"""The first version in whose keys a null is like a null."""
_FEW = 5_000
"""Rows that are rather written again than compared."""
_APART = "tables that analytics-assets makes and has not moved in yet; it is deleted, with all that is in it"
_TOO_LONG = "54000"
"""SQLSTATE of a text that is longer than an index takes."""
_FRESH, _GONE = "fresh_rows", "gone_keys"
_TEMPORARY = "pg_temp"


@dataclass(frozen=True)
class Target:
    """Say where tables are served.

    Attributes:
        database: The database; its user owns what is served.
        schema: The schema.
        reader: The role that may read.
        project: Whose tables they are: a schema is of one project.
        seconds: How long the server may take to answer.

    Raises:
        PostgresError: Where a name is longer than Postgres keeps, or the reader is who loads.
    """

    database: Database
    schema: str
    reader: str
    project: str
    seconds: int = 300

    def __post_init__(self) -> None:
        for setting, name in (("SCHEMA", self.schema), ("READER", self.reader)):
            if len(name.encode()) > LONGEST_NAME:
                raise PostgresError(
                    f"ANALYTICS_WAREHOUSE_{setting} has {len(name.encode())} bytes, and Postgres keeps {LONGEST_NAME} "
                    "of a name: give it a shorter one."
                )
        if self.reader == self.database.user:
            raise PostgresError(
                f"ANALYTICS_WAREHOUSE_READER names {self.reader}, who loads, and who sees what is personal. Name "
                "another role."
            )


@dataclass(frozen=True)
class Loaded:
    """Say what a publication did to one table.

    Attributes:
        table: The table.
        how: `made` anew, its `rows` or its `days` replaced, or `dropped`.
        rows: Rows that were written.
        days: Days that were touched, of a table that is kept by day.
        cleaned: Texts in which NUL, which Postgres cannot hold, became U+FFFD.
        taken: Rows that were deleted, for the lake has none with their keys any more.
    """

    table: str
    how: How
    rows: int
    days: int = 0
    cleaned: int = 0
    taken: int = 0


@dataclass(frozen=True)
class Publication:
    """Say what a publication did.

    Attributes:
        release: The release that readers see now.
        loaded: What was loaded; tables that are as they were are not named.
        compared: Counts and sums of the lake beside those of the warehouse.
        warnings: What a person should know.
    """

    release: int
    loaded: tuple[Loaded, ...]
    compared: tuple[Compared, ...]
    warnings: tuple[str, ...] = ()


class ReconciliationError(PostgresError):
    """The warehouse would not hold what the lake holds; nothing of it was committed.

    Attributes:
        compared: Every comparison.
    """

    def __init__(self, compared: Sequence[Compared]) -> None:
        broken = [str(one) for one in compared if not one.holds]
        shown = "; ".join(broken[:5]) + (f"; and {len(broken) - 5} more" if len(broken) > 5 else "")
        super().__init__(
            f"nothing was published, for the warehouse would differ from the lake: {shown}. Where somebody changed "
            "what is served, analytics-assets publish --anew makes every table again."
        )
        self.compared = tuple(compared)


_Files = Mapping[str, Sequence[str]]
"""The names of a table's files by day; all under an empty one where it has no days."""


@dataclass(frozen=True)
class _State:
    """Hold what a schema says of itself."""

    salt: str
    reader: str = ""
    compared_at: dt.datetime | None = None
    files: Mapping[str, _Files] = field(default_factory=dict)
    shapes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Change:
    """Say what has to be loaded of a table.

    Attributes:
        table: The table.
        how: How it is loaded.
        now: Its files in the release.
        was: Its files as they are served.
        days: The days whose files differ, of a table that is kept by day.
    """

    table: ServedTable
    how: How
    now: _Files
    was: _Files
    days: tuple[str, ...]

    @property
    def within(self) -> Within:
        """The days to load; None: all."""
        if self.table.contract.day is None or self.how == "made":
            return None
        return frozenset(dt.date.fromisoformat(day) if day else None for day in self.days)


def publish(
    lake: Lake, contracts: Mapping[str, Contract], target: Target, *, compare_all: bool = False, anew: bool = False
) -> Publication:
    """Serve the newest release of the lake, all of it at once.

    Args:
        lake: The lake.
        contracts: The contracts of the project's tables.
        target: Where to.
        compare_all: Compare whole tables, and not only what was loaded; every seventh day this is done by itself.
        anew: Make every table anew, whatever is served.

    Raises:
        PostgresError: Where the server refuses or fails: it then shows what it showed before.
        ReconciliationError: Where counts or sums would differ from the lake's.
    """
    try:
        with session(target.database, target.seconds) as loading:
            return _Publishing(lake, contracts, target, loading).publish(compare_all=compare_all, anew=anew)
    except PostgresError as error:
        if error.state != _TOO_LONG or anew:
            raise
    # a text is longer than the index of its table takes: made anew, the table has another
    with session(target.database, target.seconds) as loading:
        return _Publishing(lake, contracts, target, loading).publish(compare_all=compare_all, anew=True)


def served_release(target: Target) -> int:
    """Return the number of the release that is served; 0 where none is.

    Raises:
        PostgresError: Where the server refuses or fails.
    """
    with session(target.database, target.seconds) as looking:
        name = sql_name(target.schema, _RELEASE)
        (there,) = looking.rows(f"SELECT to_regclass({literal(name)}) IS NOT NULL AS made")
        rows = looking.rows(f"SELECT release FROM {name}") if there["made"] else []
    return int(rows[0]["release"]) if rows else 0


class _Publishing:
    """Take one publication from what has changed to its commit."""

    def __init__(self, lake: Lake, contracts: Mapping[str, Contract], target: Target, loading: Session) -> None:
        self.lake, self.target, self.session = lake, target, loading
        self.apart = named(target.schema, "loading")
        # others may publish at the same time: the second one waits here
        self._wait_for_others()
        self.release = latest_release(lake)
        if not self.release.number:
            raise PostgresError(
                "the lake has no release, so there is nothing to publish, and what is served stays as it is. Run the "
                "project first; where it ran, see whether ANALYTICS_LAKE names its lake."
            )
        self._clear_apart()
        self.state = self._prepare()
        # a table can refer to what is released, and to nothing else
        self.tables = served({name: it for name, it in contracts.items() if name in self.release.versions})
        self.lacking: set[str] = set()  # dimensions that may lack a member that rows refer to

    def publish(self, *, compare_all: bool, anew: bool) -> Publication:
        changes = self._changes(anew=anew)
        made = [change.table for change in changes if change.how == "made"]
        gone = [name for name in self.state.files if name not in self.tables]
        loaded = self._make_apart(made)
        if made or gone:
            self._move_in(made, gone)
        loaded += [self._load(change) for change in changes if change.how != "made"]
        loaded += [Loaded(name, "dropped", 0) for name in gone]
        self.lacking.update(table.name for table in made if table.identified_by)
        self._infer_members({change.table.name: change.within for change in changes})
        if made or gone:
            self._refer()
            self._view()
        reader = self._reader()
        if made or gone or reader != self.state.reader:
            self._let_nobody_read(reader)
            self._let_read(reader)
        whole = compare_all or self._is_due()
        written = {one.table for one in loaded if one.rows or one.taken or one.how != "rows"}
        looked_at: Mapping[str, tuple[ServedTable, Within]] = (
            {name: (table, None) for name, table in self.tables.items()}
            if whole
            else {
                change.table.name: (change.table, change.within) for change in changes if change.table.name in written
            }
        )
        compared = tuple(compare(self.session, self.lake, self.release, looked_at, self.target.schema))
        if not all(one.holds for one in compared):
            raise ReconciliationError(compared)
        self._remember(changes, gone, reader, compared_all=whole)
        warnings = self._warnings(loaded, reader)
        self.session.commit()
        return Publication(self.release.number, tuple(loaded), compared, tuple(warnings))

    def _name(self, table: str) -> str:
        return sql_name(self.target.schema, table)

    def _wait_for_others(self) -> None:
        number = zlib.crc32(f"analytics_assets {self.target.schema}".encode())
        self.session.run("SET LOCAL lock_timeout = 0")  # a first publication may take its time
        self.session.rows(f"SELECT pg_advisory_lock({number})::text AS locked")
        self.session.commit()

    # What is served, and what has changed since

    def _prepare(self) -> _State:
        """Make what is not there yet, and read what the schema says of itself."""
        schema = quoted(self.target.schema)
        (there,) = self.session.rows(
            f"SELECT to_regnamespace({literal(schema)}) IS NOT NULL AS made, "
            f"to_regclass({literal(self._name(_LOADER))}) IS NOT NULL AS ours, "
            "current_setting('server_version_num')::int AS version"
        )
        if there["version"] < _OLDEST_SERVER:
            raise PostgresError(
                f"Postgres ({self.target.database}) is older than {_OLDEST_SERVER // 10_000}: serve from a newer one."
            )
        if not there["made"]:
            self.session.run(f"CREATE SCHEMA {schema}")
        if not there["ours"]:
            self.session.run(
                f"CREATE TABLE {self._name(_RELEASE)} (release bigint NOT NULL, run_id text NOT NULL, "
                "released_at timestamptz, published_at timestamptz NOT NULL)",
                f"COMMENT ON TABLE {self._name(_RELEASE)} IS 'the release that all tables here are of'",
                f"CREATE TABLE {self._name(_TABLES)} (name text PRIMARY KEY, shape text NOT NULL, files text NOT NULL)",
                f"CREATE TABLE {self._name(_LOADER)} (salt text NOT NULL, reader text NOT NULL, "
                "compared_at timestamptz, project text NOT NULL)",
                f"INSERT INTO {self._name(_LOADER)} VALUES "
                f"({literal(secrets.token_hex(16))}, '', NULL, {literal(self.target.project)})",
            )
        self.session.commit()
        (told,) = self.session.rows(f"SELECT salt, reader, compared_at, project FROM {self._name(_LOADER)}")
        if told["project"] != self.target.project:
            raise PostgresError(
                f"schema {self.target.schema} of Postgres ({self.target.database}) serves project {told['project']}: "
                f"name another schema for {self.target.project} in ANALYTICS_WAREHOUSE_SCHEMA."
            )
        tables = self.session.rows(f"SELECT name, shape, files FROM {self._name(_TABLES)}")
        return _State(
            told["salt"],
            told["reader"],
            told["compared_at"],
            {row["name"]: json.loads(row["files"]) for row in tables},
            {row["name"]: row["shape"] for row in tables},
        )

    def _changes(self, *, anew: bool) -> list[_Change]:
        """Find the tables whose files or contracts are not those that are served."""
        there = self._columns()
        if strangers := [name for name in self.tables if name in there and name not in self.state.files]:
            raise PostgresError(
                f"Postgres ({self.target.database}) has a table {strangers[0]} in schema {self.target.schema} that was "
                "not made by analytics-assets: move it away, or name another schema in ANALYTICS_WAREHOUSE_SCHEMA."
            )
        changes = []
        for name, table in self.tables.items():
            now, was = self._files(name), self.state.files.get(name, {})
            wanted = tuple((column.name, column.type) for column in table.columns)
            days = tuple(sorted(day for day in {*now, *was} if now.get(day) != was.get(day)))
            if anew or there.get(name) != wanted or self.state.shapes.get(name) != table.shape:
                changes.append(_Change(table, "made", now, {}, ()))
            elif days:
                changes.append(_Change(table, "rows", now, was, days))
        return changes

    def _files(self, name: str) -> _Files:
        """Return the names of the files that the release shows, by day."""
        folder = f"{self.lake.uri(name)}/"
        files: dict[str, list[str]] = {}
        for file in self.lake.shown(name, self.release.versions[name]):
            files.setdefault(str(file.day or ""), []).append(file.path.removeprefix(folder))
        return {day: sorted(names) for day, names in files.items()}

    def _columns(self) -> dict[str, tuple[tuple[str, str], ...]]:
        """Return the columns that the tables of the schema have."""
        found: dict[str, list[tuple[str, str]]] = {}
        for row in self.session.rows(
            "SELECT c.relname, a.attname, replace(format_type(a.atttypid, a.atttypmod), ',', ', ') AS kind "
            "FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped "
            f"WHERE c.relnamespace = to_regnamespace({literal(quoted(self.target.schema))}) "
            "AND c.relkind IN ('r', 'v', 'm', 'p', 'f') ORDER BY c.relname, a.attnum"
        ):
            found.setdefault(row["relname"], []).append((row["attname"], row["kind"]))
        return {name: tuple(columns) for name, columns in found.items()}

    # Loading

    def _clear_apart(self) -> None:
        """Take away what a publication left that was killed: persons may be in it that were forgotten since."""
        apart = quoted(self.apart)
        (found,) = self.session.rows(
            f"SELECT obj_description(to_regnamespace({literal(apart)}), 'pg_namespace') AS told"
        )
        if found["told"] == _APART:
            self.session.run(f"DROP SCHEMA {apart} CASCADE")
            self.session.commit()

    def _make_apart(self, tables: Sequence[ServedTable]) -> list[Loaded]:
        """Make tables beside the schema, each in a transaction; keys follow while the next one is loaded."""
        if not tables:
            return []
        apart = quoted(self.apart)
        (found,) = self.session.rows(f"SELECT to_regnamespace({literal(apart)}) IS NOT NULL AS there")
        if found["there"]:
            raise PostgresError(
                f"Postgres ({self.target.database}) has a schema {self.apart} that was not made by analytics-assets, "
                "which makes tables in one of that name: name another schema in ANALYTICS_WAREHOUSE_SCHEMA."
            )
        self.session.run(f"CREATE SCHEMA {apart}", f"COMMENT ON SCHEMA {apart} IS {literal(_APART)}")
        self.session.commit()
        loaded = []
        with session(self.target.database, self.target.seconds) as finishing, ThreadPoolExecutor(1) as beside:

            def finish(table: ServedTable) -> None:
                try:
                    finishing.run(table.name_rows(self.apart))
                except PostgresError as error:
                    if error.state != _TOO_LONG or table.identified_by:
                        raise
                    finishing.roll_back()
                    finishing.run(table.name_rows_by_hashes(self.apart))
                finishing.run(*table.finish(self.apart))
                finishing.commit()

            under_way = []
            for table in tables:
                self.session.run(table.create(self.apart))
                rows = self.lake.read(table.contract, version=self.release.versions[table.name])
                copied = self._copy(self.apart, table.name, rows, table)
                self.session.commit()
                loaded.append(Loaded(table.name, "made", copied.rows, cleaned=copied.cleaned))
                under_way.append(beside.submit(finish, table))
            for one in under_way:
                one.result()
        return loaded

    def _move_in(self, made: Sequence[ServedTable], gone: Sequence[str]) -> None:
        """Take away what is no longer, and move in what was made beside the schema."""
        self.session.run(*(f"DROP VIEW IF EXISTS {self._name(view.name)}" for view in VIEWS))
        there = self._columns()
        old = [name for name in (*gone, *(table.name for table in made)) if name in there]
        for name in old:
            for row in self._references_to(name):
                self.session.run(f"ALTER TABLE {row['source']} DROP CONSTRAINT {quoted(row['called'])}")
        self.session.run(*(f"DROP TABLE {self._name(name)}" for name in old))
        moved = f"SET SCHEMA {quoted(self.target.schema)}"
        self.session.run(*(f"ALTER TABLE {sql_name(self.apart, table.name)} {moved}" for table in made))
        if made:
            self.session.run(f"DROP SCHEMA {quoted(self.apart)}")

    def _references_to(self, name: str) -> list[dict[str, Any]]:
        return self.session.rows(
            "SELECT conrelid::regclass::text AS source, conname::text AS called FROM pg_constraint "
            f"WHERE contype = 'f' AND confrelid = to_regclass({literal(self._name(name))}) "
            f"AND connamespace = to_regnamespace({literal(quoted(self.target.schema))})"
        )

    def _load(self, change: _Change) -> Loaded:
        """Replace what has changed of a table: rows that differ, or all rows of the days where few are to be told."""
        table, days = change.table, len(change.days) if change.table.contract.day else 0
        new = self.lake.read(table.contract, change.within, self.release.versions[table.name])
        old_files = [file for day in change.days for file in change.was.get(day, ())]
        old = None if self._is_small(change) else self.lake.rows_in(table.contract, old_files)
        if old is None:
            copied = self._replace_days(change, new)
            return Loaded(table.name, "days", copied.rows, days, copied.cleaned)
        if not old_files:
            copied = self._put_in(table, new)
            return Loaded(table.name, "rows", copied.rows, days, copied.cleaned)
        copied = self._put_in(table, new.difference(old), over=True)
        taken = self._take_out(table, old.select(*table.key).difference(new.select(*table.key)))
        if taken and table.identified_by:
            self.lacking.add(table.name)
        return Loaded(table.name, "rows", copied.rows, days, copied.cleaned, taken)

    def _is_small(self, change: _Change) -> bool:
        """Say whether there are so few rows to load that telling which of them differ takes longer."""
        shown = self.lake.shown(change.table.name, self.release.versions[change.table.name])
        rows = sum(file.rows for file in shown if str(file.day or "") in change.days)
        return not change.table.identified_by and rows <= _FEW

    def _replace_days(self, change: _Change, new: Table) -> Copied:
        """Replace all rows of the days; of a dimension, whose members are referred to, only what is no longer."""
        table, name = change.table, self._name(change.table.name)
        if not table.identified_by:
            self.session.run(f"DELETE FROM {name} t WHERE {days_condition(table, change.within)}")
            return self._copy(self.target.schema, table.name, new, table)
        copied = self._put_in(table, new, over=True)
        (key,) = table.key
        kept = f"EXISTS (SELECT FROM {_TEMPORARY}.{_FRESH} f WHERE f.{quoted(key)} = t.{quoted(key)})"
        self.session.run(f"DELETE FROM {name} t WHERE NOT t.{INFERRED} AND NOT {kept}")
        self.lacking.add(table.name)
        return copied

    def _take_out(self, table: ServedTable, keys: Table) -> int:
        """Delete rows by their keys; return how many."""
        import pyarrow as pa

        given = self.lake.engine.batches(keys)
        if (first := next((batch for batch in given if batch.num_rows), None)) is None:
            return 0
        types = {column.name: column.type for column in table.columns}
        columns = ", ".join(f"{quoted(name)} {types[name]}" for name in table.key)
        self.session.run(
            f"DROP TABLE IF EXISTS {_TEMPORARY}.{_GONE}",
            f"CREATE TEMP TABLE {_TEMPORARY}.{_GONE} ({columns}) ON COMMIT DROP",
        )
        stored = arrow_schema(table.contract)
        schema = pa.schema([(name, stored.field(name).type) for name in table.key])
        copied = self.session.copy(_TEMPORARY, _GONE, itertools.chain([first], given), schema)
        self.session.run(
            f"DELETE FROM {self._name(table.name)} t USING {_TEMPORARY}.{_GONE} g WHERE {_same_key(table, 't', 'g')}"
        )
        return copied.rows

    def _put_in(self, table: ServedTable, rows: Table, *, over: bool = False) -> Copied:
        """Insert rows, over those that have their keys if any may; members of a dimension stay what they are."""
        if not over and not table.identified_by:
            return self._copy(self.target.schema, table.name, rows, table)
        name = self._name(table.name)
        columns = [quoted(column.name) for column in table.loaded]
        made = (
            f"CREATE TEMP TABLE {_TEMPORARY}.{_FRESH} ON COMMIT DROP AS SELECT {', '.join(columns)} FROM {name} LIMIT 0"
        )
        self.session.run(f"DROP TABLE IF EXISTS {_TEMPORARY}.{_FRESH}", made)
        copied = self._copy(_TEMPORARY, _FRESH, rows, table)
        if not copied.rows:
            return copied
        conflict = ""
        if table.identified_by:
            set_to = ", ".join([*(f"{column} = EXCLUDED.{column}" for column in columns), f"{INFERRED} = false"])
            conflict = f" ON CONFLICT ({', '.join(map(quoted, table.key))}) DO UPDATE SET {set_to}"
        else:
            self.session.run(f"DELETE FROM {name} t USING {_TEMPORARY}.{_FRESH} f WHERE {_same_key(table, 't', 'f')}")
        self.session.run(f"INSERT INTO {name} ({', '.join(columns)}) SELECT * FROM {_TEMPORARY}.{_FRESH}{conflict}")
        return copied

    def _copy(self, schema: str, name: str, rows: Table, table: ServedTable) -> Copied:
        """Stream rows of the lake into a table, with the pseudonyms of who they name."""
        return self.session.copy(schema, name, self.lake.engine.batches(self._as_served(rows, table)), _types(table))

    def _as_served(self, rows: Table, table: ServedTable) -> Table:
        from analytics_assets.lake.functions import pseudonym

        columns = {
            column.name: pseudonym(rows[column.pseudonym_of], self.state.salt) if column.pseudonym_of else column.name
            for column in table.loaded
        }
        return rows.select(**columns)

    # What tables are to each other, and to the reader

    def _infer_members(self, loaded: Mapping[str, Within]) -> None:
        """Give each dimension a member for whatever refers to none, as the unknown one is; take such away again."""
        for dimension in filter(lambda table: table.identified_by, self.tables.values()):
            if dimension.name in loaded:
                self._show_as_unknown(dimension)
        referring = sorted(self.tables.values(), key=lambda table: bool(table.identified_by))
        for table in referring:
            for foreign in table.foreign_keys:
                if table.name not in loaded and foreign.table not in self.lacking:
                    continue
                # a dimension that lost members may lack one that any row refers to
                within = None if foreign.table in self.lacking else loaded[table.name]
                dimension = self.tables[foreign.table]
                keys = {
                    foreign.key: f"s.{quoted(foreign.column)}",
                    foreign.natural_key: f"s.{quoted(foreign.natural)}",
                }
                columns = [column.name for column in dimension.loaded]
                values = [keys.get(name, f"u.{quoted(name)}") for name in columns]
                self.session.run(
                    f"INSERT INTO {self._name(foreign.table)} ({', '.join(map(quoted, columns))}, {INFERRED}) "
                    f"SELECT DISTINCT {', '.join(values)}, true FROM {self._name(table.name)} s "
                    f"LEFT JOIN {self._name(foreign.table)} u ON {unknown_member(dimension, 'u')} "
                    f"WHERE s.{quoted(foreign.column)} IS NOT NULL AND {days_condition(table, within, 's')} "
                    f"AND NOT EXISTS (SELECT FROM {self._name(foreign.table)} d "
                    f"WHERE d.{quoted(foreign.key)} = s.{quoted(foreign.column)})"
                )
        for dimension in filter(lambda table: table.identified_by, self.tables.values()):
            unused = [
                f"NOT EXISTS (SELECT FROM {self._name(table.name)} s "
                f"WHERE s.{quoted(foreign.column)} = d.{quoted(foreign.key)})"
                for table in referring
                for foreign in table.foreign_keys
                if foreign.table == dimension.name
            ]
            condition = " AND ".join([f"d.{INFERRED}", *unused])
            self.session.run(f"DELETE FROM {self._name(dimension.name)} d WHERE {condition}")

    def _show_as_unknown(self, dimension: ServedTable) -> None:
        """Let inferred members be as the unknown one is now, should it have changed."""
        own = {*dimension.key, dimension.identified_by}
        others = [quoted(column.name) for column in dimension.loaded if column.name not in own]
        if others:
            now, then = (", ".join(f"{rows}.{column}" for column in others) for rows in "ud")
            self.session.run(
                f"UPDATE {self._name(dimension.name)} d SET ({', '.join(others)}) = ROW({now}) "
                f"FROM {self._name(dimension.name)} u WHERE {unknown_member(dimension, 'u')} AND d.{INFERRED} "
                f"AND ROW({now}) IS DISTINCT FROM ROW({then})"
            )

    def _refer(self) -> None:
        """Hold every reference to its dimension."""
        there = {
            row["called"]
            for row in self.session.rows(
                "SELECT conname::text AS called FROM pg_constraint WHERE contype = 'f' "
                f"AND connamespace = to_regnamespace({literal(quoted(self.target.schema))})"
            )
        }
        # a table whose references wait to be held cannot be changed: all members are there, so let them be held now
        self.session.run("SET CONSTRAINTS ALL IMMEDIATE")
        for table in self.tables.values():
            for foreign in table.foreign_keys:
                if foreign.name(table.name) not in there:
                    self.session.run(table.refer(self.target.schema, foreign))

    def _view(self) -> None:
        for view in VIEWS:
            self.session.run(*view.statements(self.tables, self.target.schema))

    def _reader(self) -> str:
        """Return what names the reader as it is now: a role that was made anew has none of the old one's rights."""
        found = self.session.rows(f"SELECT oid::text FROM pg_roles WHERE rolname = {literal(self.target.reader)}")
        return f"{self.target.reader} {found[0]['oid']}" if found else ""

    def _let_nobody_read(self, reader: str) -> None:
        """Take back what everybody, the reader and the one before it may do: by default rights, or as it was."""
        before, _, number = self.state.reader.rpartition(" ")
        found = self.session.rows(
            f"SELECT rolname::text AS name FROM pg_roles WHERE rolname = {literal(before)} "
            f"AND oid::text = {literal(number)} AND rolname <> current_user"
        )
        who = {row["name"] for row in found} | ({self.target.reader} if reader else set())
        ours = [*self.tables, *self._views(), _RELEASE, _TABLES, _LOADER]
        self.session.run(
            f"REVOKE ALL ON {', '.join(map(self._name, ours))} FROM {', '.join(['PUBLIC', *map(quoted, sorted(who))])}"
        )

    def _views(self) -> list[str]:
        there = self._columns()
        return [view.name for view in VIEWS if view.name in there]

    def _let_read(self, reader: str) -> None:
        """Let the reader see every table, view and the release, without what is personal."""
        if not reader:
            return
        to = f"TO {quoted(self.target.reader)}"
        rights = [
            f"GRANT USAGE ON SCHEMA {quoted(self.target.schema)} {to}",
            f"GRANT SELECT ON {self._name(_RELEASE)} {to}",
            *(table.grant(self.target.schema, self.target.reader) for table in self.tables.values()),
            *(f"GRANT SELECT ON {self._name(name)} {to}" for name in self._views()),
        ]
        self.session.run(together(rights))

    # The end of it

    def _is_due(self) -> bool:
        """Say whether whole tables were last compared so long ago that they are now."""
        last, now = self.state.compared_at, self.release.released_at
        return now is not None and (last is None or now - last >= COMPARED_EVERY)

    def _remember(self, changes: Sequence[_Change], gone: Sequence[str], reader: str, *, compared_all: bool) -> None:
        """Write down what is served from here on."""
        names = [*gone, *(change.table.name for change in changes)]
        rows = [
            f"({literal(change.table.name)}, {literal(change.table.shape)}, {literal(json.dumps(change.now))})"
            for change in changes
        ]
        if names:
            listed = ", ".join(map(literal, names))
            self.session.run(f"DELETE FROM {self._name(_TABLES)} WHERE name IN ({listed})")
        if rows:
            self.session.run(f"INSERT INTO {self._name(_TABLES)} VALUES {', '.join(rows)}")
        at = f"{literal(self.release.released_at.isoformat())}::timestamptz" if self.release.released_at else "NULL"
        compared = f", compared_at = {at}" if compared_all else ""
        self.session.run(
            f"UPDATE {self._name(_LOADER)} SET reader = {literal(reader)}{compared}",
            f"DELETE FROM {self._name(_RELEASE)}",
            f"INSERT INTO {self._name(_RELEASE)} VALUES "
            f"({self.release.number}, {literal(self.release.run_id)}, {at}, clock_timestamp())",
        )

    def _warnings(self, loaded: Sequence[Loaded], reader: str) -> list[str]:
        found = [
            f"{one.table}: NUL, which Postgres cannot hold, became U+FFFD in {one.cleaned:,} texts"
            for one in loaded
            if one.cleaned
        ]
        if not reader:
            found.append(
                f"there is no role {self.target.reader}, so nobody but {self.target.database.user} can read: "
                f"CREATE ROLE {quoted(self.target.reader)} LOGIN, or name another one in ANALYTICS_WAREHOUSE_READER"
            )
            return found
        role = literal(self.target.reader)
        personal = [
            f"({literal(f'{table.name}.{column.name}')}, {literal(self._name(table.name))}, {literal(column.name)})"
            for table in self.tables.values()
            for column in table.columns
            if column.personal
        ]
        personal.append(f"({literal(f'{_LOADER}.salt')}, {literal(self._name(_LOADER))}, 'salt')")
        (may,) = self.session.rows(
            f"SELECT has_schema_privilege({role}, {literal(self.target.schema)}, 'USAGE') AS enter, "
            "(SELECT string_agg(named, ', ' ORDER BY named) FROM "
            f"(VALUES {', '.join(personal)}) AS c (named, held, called) "
            f"WHERE has_column_privilege({role}, held, called, 'SELECT')) AS personal"
        )
        if not may["enter"]:
            found.append(
                f"{self.target.reader} may not enter the schema {self.target.schema}, which belongs to somebody else: "
                f"let its owner GRANT USAGE ON SCHEMA {quoted(self.target.schema)} TO {quoted(self.target.reader)}"
            )
        if may["personal"]:
            found.append(
                f"{self.target.reader} may read what is personal: {may['personal']}. It is a superuser, or a member of "
                "a role that may: see \\du in psql, and take that away"
            )
        return found


def _same_key(table: ServedTable, one: str, other: str) -> str:
    """Return the condition that two rows have the same key; a null is like a null."""
    required = {column.name for column in table.columns if column.required}
    return " AND ".join(
        f"{one}.{quoted(name)} {'=' if name in required else 'IS NOT DISTINCT FROM'} {other}.{quoted(name)}"
        for name in table.key
    )


def _types(table: ServedTable) -> pa.Schema:
    """Return the Arrow types in which the rows of a table are handed over."""
    import pyarrow as pa

    stored = arrow_schema(table.contract)
    return pa.schema([(it.name, pa.binary() if it.pseudonym_of else stored.field(it.name).type) for it in table.loaded])
