"""Delta tables under one root: read by days, staged, audited, and published in one atomic commit.

Belongs here: how a table becomes visible, and how it follows a contract that grew. Does not belong here: computing
(`engine`), the release of a whole run (`releases`), and whether a finding fails a run (`automation`).
"""

from __future__ import annotations

import datetime as dt
import functools
import json
import os
import re
import threading
import uuid
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analytics_assets.contracts.audit import (
    Audit,
    audit_expression,
    distinct_expressions,
    read_audit,
    sample_expressions,
)
from analytics_assets.lake.days import Days, DaySet
from analytics_assets.lake.engine import WrittenFile
from analytics_assets.lake.errors import LakeError

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import DeltaTable
    from ibis.expr.types import Table, Value

    from analytics_assets.contracts.model import Contract
    from analytics_assets.lake.engine import Engine

RUN_ID = "run_id"
_ONE_WRITER = "analytics_assets.publish"
_ATTEMPTS = 20


@dataclass(frozen=True)
class Staged:
    """Hold rows that are written and not yet visible.

    Attributes:
        contract: What they promise.
        files: The files that hold them.
        days: The days that they replace; None: the whole table.
        sql: The query that made them.
    """

    contract: Contract
    files: tuple[WrittenFile, ...]
    days: Days | DaySet | None
    sql: str

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return sum(file.rows for file in self.files)


@dataclass(frozen=True)
class Published:
    """Say what a publication did.

    Attributes:
        version: The version of the table that shows the rows.
        evolved: How the table followed its contract, in words; empty where it had not to.
    """

    version: int
    evolved: str = ""


@dataclass(frozen=True)
class Extent:
    """Say how large a table is."""

    rows: int
    first_day: dt.date | None
    last_day: dt.date | None


@dataclass(frozen=True)
class _Snapshot:
    """Hold what one version of a table shows.

    Attributes:
        schema: Its columns.
        day: The column that it is kept by; None for a table without days.
        files: Its files; their days are None in a table without days.
    """

    schema: pa.Schema
    day: str | None
    files: tuple[WrittenFile, ...]


@functools.lru_cache(maxsize=1024)
def arrow_schema(contract: Contract) -> pa.Schema:
    """Return a contract's columns as an Arrow schema."""
    import ibis

    schema: pa.Schema = ibis.schema({column.name: column.type for column in contract.columns}).to_pyarrow()
    return schema


def conform(table: Table, contract: Contract) -> Table:
    """Return the contract's columns in its order and with its types; a missing column is an error.

    Amounts and dates are always cast: Ibis calls a whole number times a `decimal(18, 4)` the same type again, and
    leaves out a cast to it, while the engine makes it a `decimal(37, 4)`, which a file would then hold; and a date plus
    an interval a date, of which the engine makes an instant.
    """
    import ibis
    import ibis.expr.operations as ops

    if missing := [column.name for column in contract.columns if column.name not in table.columns]:
        raise LakeError(f"{contract.table} was computed without {', '.join(missing)}: its contract promises them.")
    types = table.schema()

    def typed(name: str, kind: str) -> Value:
        if kind.startswith("decimal") or kind == "date":
            amount: Value = ops.Cast(table[name], ibis.dtype(kind)).to_expr()
            return amount
        return table[name] if types[name] == ibis.dtype(kind) else table[name].cast(kind)

    return table.select(**{column.name: typed(column.name, column.type) for column in contract.columns})


class Lake:
    """Keep tables as Delta tables under one root.

    Args:
        root: A local folder or an `s3://` URL.
        engine: What computes.
        storage_options: Credentials and endpoint of a remote root, by the names that delta-rs uses.
    """

    def __init__(self, root: str, engine: Engine, storage_options: Mapping[str, str] | None = None) -> None:
        self.root = root.rstrip("/")
        self.engine = engine
        # a log entry is put only where there is none: of two writers of one version, one wins
        self._options = {**(storage_options or {}), "AWS_CONDITIONAL_PUT": "etag"} if "://" in root else None
        self._reading = threading.Lock()
        self._handles: dict[str, DeltaTable] = {}
        self._snapshots: dict[tuple[str, int], _Snapshot] = {}

    def uri(self, name: str) -> str:
        """Return where a table is kept."""
        return f"{self.root}/{name}"

    def open(self, name: str, version: int | None = None) -> DeltaTable | None:
        """Open a table at a version, the newest by default; None where it does not exist."""
        from deltalake import DeltaTable
        from deltalake.exceptions import TableNotFoundError

        with self._readable(name):
            try:
                return DeltaTable(_as_url(self.uri(name)), version=version, storage_options=self._options)
            except TableNotFoundError:
                if version is not None and self.open(name) is not None:
                    raise LakeError(
                        f"version {version} of table {name} is gone from {self.root}: a vacuum took it, or somebody's "
                        "rows were deleted. `analytics-assets releases` lists what can be read."
                    ) from None
                return None

    @contextmanager
    def _readable(self, name: str) -> Iterator[None]:
        from deltalake.exceptions import DeltaError

        try:
            yield
        except (DeltaError, OSError) as error:
            raise LakeError(
                f"cannot read table {name} in {self.root}: {_reason(error)}. Check the rights on the folder and "
                "that nothing but analytics-assets writes there."
            ) from None

    def version(self, name: str) -> int | None:
        """Return a table's newest version; None where it does not exist."""
        with self._reading:
            table = self._newest(name)
            return None if table is None else table.version()

    def _newest(self, name: str) -> DeltaTable | None:
        """Return the handle that is kept of a table, and asked for what was committed since.

        That takes a fifth of opening the table again, and most steps look at ten. A handle is for one thread at a
        time: who writes has one of their own.
        """
        if name in self._handles:
            with self._readable(name):
                self._handles[name].update_incremental()
        elif (table := self.open(name)) is not None:
            self._handles[name] = table
        return self._handles.get(name)

    def _snapshot(self, name: str, version: int | None) -> _Snapshot | None:
        """Return what a version of a table shows, the newest by default; None where it does not exist."""
        if version is not None and (name, version) in self._snapshots:
            return self._snapshots[name, version]
        with self._reading:
            table = self._newest(name) if version is None else self.open(name, version)
            return None if table is None else self._shown(name, table)

    def _shown(self, name: str, table: DeltaTable) -> _Snapshot:
        """Return what an open table shows, which is read once: a version never changes."""
        if (name, table.version()) not in self._snapshots:
            self._snapshots[name, table.version()] = _snapshot(table, self.uri(name))
        return self._snapshots[name, table.version()]

    def look_again(self) -> None:
        """Let go of what is known of tables: versions were taken away, which else never changes."""
        with self._reading:
            self._snapshots.clear()
            self._handles.clear()

    def extent(self, name: str, version: int | None = None) -> Extent:
        """Return how many rows a table has and which days, without reading it."""
        table = self._snapshot(name, version)
        if table is None:
            return Extent(0, None, None)
        days = [file.day for file in table.files if file.day is not None]
        return Extent(sum(file.rows for file in table.files), min(days, default=None), max(days, default=None))

    def rows_by_day(self, name: str) -> dict[dt.date, int]:
        """Return how many rows a table kept by day has of each day, without reading it."""
        table = self._snapshot(name, None)
        counted: dict[dt.date, int] = {}
        for file in table.files if table else ():
            if file.day is not None:
                counted[file.day] = counted.get(file.day, 0) + file.rows
        return counted

    def shown(self, name: str, version: int | None = None) -> tuple[WrittenFile, ...]:
        """Return the files that a version of a table shows, the newest by default; none where it does not exist."""
        table = self._snapshot(name, version)
        return () if table is None else table.files

    def rows_in(self, contract: Contract, files: Sequence[str]) -> Table | None:
        """Read files that a version of a table showed once; None where one of them is gone, or of another contract."""
        paths = [f"{self.uri(contract.table)}/{file}" for file in files]
        if not self._are_there(contract.table, paths):
            return None
        types = {column.name: column.type for column in contract.columns}
        with suppress(LakeError):
            return self.engine.table(contract.table, paths, types, contract.day)
        return None

    def read(
        self, contract: Contract, days: Container[dt.date | None] | None = None, version: int | None = None
    ) -> Table:
        """Read a table, or some days of it; a table that does not exist yet has no rows."""
        import ibis

        table = self._snapshot(contract.table, version)
        wanted = {column.name: column.type for column in contract.columns}
        if table is None:
            return ibis.memtable([], schema=ibis.schema(wanted))
        changes = _evolution(contract, table, self.uri(contract.table))
        files = [file.path for file in table.files if days is None or contract.day is None or file.day in days]
        if not changes:  # what is stored is what is wanted, whatever the order of its columns
            return self.engine.table(contract.table, files, wanted, table.day)
        stored = ibis.Schema.from_pyarrow(table.schema)
        rows = self.engine.table(contract.table, files, {name: str(kind) for name, kind in stored.items()}, table.day)
        missing = {name: ibis.null(kind) for name, kind in wanted.items() if name not in stored}
        return conform(rows.mutate(**missing) if missing else rows, contract)

    def stage(
        self, contract: Contract, rows: Table, days: Days | DaySet | None = None, *, together: bool = False
    ) -> Staged:
        """Write rows where nobody sees them yet.

        Args:
            contract: What they promise.
            rows: The rows.
            days: The days that they replace, of a table that is kept by day; rows of other days are left out. A range
                is the days of a run, which it answers for.
            together: Write one file a day, which takes longer.
        """
        rows = conform(rows, contract)
        contract = contract.of_run(days.first, days.last) if isinstance(days, Days) else contract
        if contract.day is not None:
            if days is None:
                raise LakeError(f"{contract.table} is kept by day: name the days that are written.")
            own = rows[contract.day]
            rows = rows.filter(own.between(days.first, days.last) if isinstance(days, Days) else own.isin(list(days)))
        by_day = [contract.day] if contract.day else []
        order = [*by_day, *contract.clustered_by] if contract.clustered_by else by_day if together else []
        stem = uuid.uuid4().hex
        ordered = rows.order_by(order) if order else rows
        written = self.engine.write(ordered, self.uri(contract.table), contract.day, stem, together=together)
        return Staged(contract, written.files, days if contract.day else None, written.sql)

    def rows_of(self, staged: Staged) -> Table:
        """Read staged rows."""
        types = {column.name: column.type for column in staged.contract.columns}
        return self.engine.table(
            f"{staged.contract.table}_staged", [file.path for file in staged.files], types, staged.contract.day
        )

    def audit(self, staged: Staged, referenced: Mapping[str, Table]) -> Audit:
        """Judge staged rows by their contract in one aggregate query; look closer only at rules that are broken."""
        contract, rows = staged.contract, self.rows_of(staged)
        audit = read_audit(self.engine.rows(audit_expression(rows, contract, referenced)), contract, referenced)
        if all(finding.holds for finding in audit.findings):
            return audit
        samples = sample_expressions(rows, contract, referenced)
        distinct = distinct_expressions(rows, contract, referenced)
        findings = []
        for finding in audit.findings:
            closer = finding
            if not finding.holds and finding.rule in samples:
                shown = self.engine.rows(samples[finding.rule])
                closer = replace(closer, samples=tuple(_shown(row) for row in shown))
            if not finding.holds and finding.rule in distinct:
                (row,) = self.engine.rows(distinct[finding.rule].name("n").as_table())
                closer = replace(closer, distinct=row["n"])
            findings.append(closer)
        return replace(audit, findings=tuple(findings))

    def discard(self, staged: Staged) -> None:
        """Remove staged files that will not be published."""
        if "://" in self.root:
            import fsspec

            # what cannot be removed stays invisible, and the vacuum takes it; why it is discarded matters more
            with suppress(OSError):
                system, _ = fsspec.url_to_fs(self.root)
                system.rm([file.path for file in staged.files])
            return
        for file in staged.files:
            Path(file.path).unlink(missing_ok=True)

    def publish(self, staged: Staged, run_id: str) -> Published:
        """Make staged rows visible in one commit, replacing exactly their days.

        A commit that another run wins is tried again on the newer table with the same files.
        """
        from deltalake import Schema, Transaction
        from deltalake.exceptions import CommitFailedError, DeltaError
        from deltalake.transaction import (
            AddAction,
            CommitProperties,
            PostCommitHookProperties,
            RemoveAction,
            create_table_with_add_actions,
        )

        contract = staged.contract
        uri = self.uri(contract.table)
        partition: list[str] = [contract.day] if contract.day else []
        schema = Schema.from_arrow(arrow_schema(contract))
        # by itself, Delta forgets versions after 30 days: here a version is there as long as a release shows it
        after = PostCommitHookProperties(create_checkpoint=True, cleanup_expired_logs=False)

        def added(files: Sequence[WrittenFile]) -> list[AddAction | RemoveAction]:
            return [
                AddAction(
                    os.path.relpath(file.path, uri) if "://" not in uri else file.path.removeprefix(f"{uri}/"),
                    file.size,
                    {contract.day: str(file.day)} if contract.day else {},
                    0,
                    True,  # noqa: FBT003 - data_change
                    json.dumps({"numRecords": file.rows}),
                )
                for file in files
            ]

        def properties(version: int) -> CommitProperties:
            # the transaction makes any two concurrent commits a conflict, those to different days included
            # and the one who comes second looks again here: Delta's own second try would make a table that is there
            return CommitProperties(
                custom_metadata={RUN_ID: run_id},
                max_commit_retries=0,
                app_transactions=[Transaction(_ONE_WRITER, version)],
            )

        evolved = ""
        for attempt in range(_ATTEMPTS):
            try:
                table = self.open(contract.table)
                if table is None:
                    create_table_with_add_actions(
                        _as_url(uri),
                        schema,
                        [],
                        partition_by=partition or None,
                        storage_options=self._options,
                        commit_properties=properties(0),
                        post_commithook_properties=after,
                    )
                    continue
                if attempt and _shows(table, staged.files):
                    return Published(table.version(), evolved)
                if evolution := _evolution(contract, self._shown(contract.table, table), uri):
                    everything = self.stage_all(contract)
                    table.create_write_transaction(
                        added(everything),
                        "overwrite",
                        schema,
                        partition or None,
                        commit_properties=properties(table.version() + 1),
                        post_commithook_properties=after,
                    )
                    evolved = f"{contract.table} followed its contract: {evolution}"
                    continue
                filters: list[tuple[str, str, Any]] | None = None
                if isinstance(staged.days, DaySet) and contract.day is not None:
                    filters = [(contract.day, "in", [str(day) for day in staged.days])]
                elif isinstance(staged.days, Days) and contract.day is not None:
                    filters = [
                        (contract.day, ">=", str(staged.days.first)),
                        (contract.day, "<=", str(staged.days.last)),
                    ]
                table.create_write_transaction(
                    added(staged.files),
                    "overwrite",
                    schema,
                    partition or None,
                    filters,
                    commit_properties=properties(table.version() + 1),
                    post_commithook_properties=after,
                )
                return Published(table.version() + 1, evolved)
            except CommitFailedError:
                continue
            except (DeltaError, OSError) as error:
                if "already exists" in str(error):  # another run made the table first
                    continue
                raise LakeError(
                    f"cannot publish {contract.table} to {uri}: {_reason(error)}. Nothing of this run became "
                    "visible in it. Check the rights on the folder and the space on the disk, then run the days again."
                ) from None
        raise LakeError(
            f"cannot publish {contract.table}: other runs won {_ATTEMPTS} times in a row. Run one at a time, then run "
            "the days again."
        )

    def stage_all(self, contract: Contract) -> tuple[WrittenFile, ...]:
        """Write a table anew, as its contract has it today, where nobody sees it yet."""
        return self.engine.write(self.read(contract), self.uri(contract.table), contract.day, uuid.uuid4().hex).files

    def undo(self, name: str, version: int | None) -> bool:
        """Give a table the rows of an earlier version again, none where there is no such version; say if that took one.

        The undone versions stay in the table's history.
        """
        from deltalake.transaction import PostCommitHookProperties

        table = self.open(name) if self.is_ahead(name, version) else None
        if table is None:
            return False
        after = PostCommitHookProperties(create_checkpoint=True, cleanup_expired_logs=False)
        if version is None:
            # the first version had no rows either, but a vacuum may have taken it
            partition = list(table.metadata().partition_columns)
            table.create_write_transaction(
                [], "overwrite", table.schema(), partition or None, post_commithook_properties=after
            )
            return True
        table.restore(version, post_commithook_properties=after)
        return True

    def is_ahead(self, name: str, version: int | None) -> bool:
        """Say whether a table shows other rows than at a version; than none where there is no such version."""
        newest = self.version(name)
        if newest is None or newest == (version or 0):
            return False
        now, then = self._snapshot(name, newest), None if version is None else self._snapshot(name, version)
        return {*(now.files if now else ())} != {*(then.files if then else ())}  # restored, they come in another order

    def is_whole(self, name: str, version: int) -> bool:
        """Say whether every file of a table at a version is there."""
        try:
            table = self._snapshot(name, version)
        except LakeError:
            return False
        return table is not None and self._are_there(name, [file.path for file in table.files])

    def _are_there(self, name: str, files: Iterable[str]) -> bool:
        """Say whether files of a table exist."""
        if "://" not in self.root:
            return all(Path(file).is_file() for file in files)
        import fsspec

        system, folder = fsspec.url_to_fs(self.uri(name), use_listings_cache=False)
        there = {str(path).removeprefix(folder) for path in system.find(folder)}
        return all(file.removeprefix(self.uri(name)) in there for file in files)

    def files_at(self, name: str, version: int | None = None) -> frozenset[str]:
        """Return the names of the files that a version of a table shows, the newest by default; each name is unique."""
        table = self.open(name, version)
        return frozenset() if table is None else frozenset(uri.rpartition("/")[2] for uri in table.file_uris())

    def fingerprint(self, contract: Contract, version: int | None = None) -> str:
        """Return a hash of a table's rows that does not depend on their order."""
        return self.engine.fingerprint(self.read(contract, version=version))


def _shows(table: DeltaTable, files: Sequence[WrittenFile]) -> bool:
    """Say whether files are visible already: a bucket may take a commit, and its answer be lost on the way."""
    names = {uri.rpartition("/")[2] for uri in table.file_uris()}
    return bool(files) and names.issuperset(Path(file.path).name for file in files)


def _snapshot(table: DeltaTable, uri: str) -> _Snapshot:
    import pyarrow as pa

    day = next(iter(table.metadata().partition_columns), None)
    adds = pa.table(table.get_add_actions(flatten=True))
    # of what follows the table's folder nothing has to be escaped
    paths = [f"{uri}/{path}" for path in adds["path"].to_pylist()]
    days = adds[f"partition.{day}"].to_pylist() if day else [None] * len(paths)
    told = zip(paths, adds["num_records"].to_pylist(), adds["size_bytes"].to_pylist(), days, strict=True)
    files = tuple(WrittenFile(path, rows or 0, size, of) for path, rows, size, of in told)
    return _Snapshot(pa.schema(table.schema().to_arrow()), day, files)


def _evolution(contract: Contract, table: _Snapshot, uri: str) -> str:
    """Say in words how a stored table has to follow its contract; refuse what would lose or bend data."""
    stored, wanted = table.schema, arrow_schema(contract)
    refusals = []
    if table.day != contract.day:
        refusals.append(f"it is kept by {table.day or 'no day'}, the contract wants {contract.day or 'no day'}")
    refusals += [f"the contract has no column {name}" for name in stored.names if name not in wanted.names]
    changes = [f"gained {name}" for name in wanted.names if name not in stored.names]
    for name in wanted.names:
        if name in stored.names and (old := stored.field(name).type) != (new := wanted.field(name).type):
            old_name, new_name = str(old), str(new)
            if _widens(old, new):
                changes.append(f"widened {name} from {old_name} to {new_name}")
            elif not _same(old, new):
                refusals.append(f"{name} is {old_name}, the contract wants {new_name}")
    if refusals:
        raise LakeError(
            f"table {contract.table} in the lake does not fit its contract: {'; '.join(refusals)}. A column may be "
            f"added or widened; anything else needs the table to be made anew: move {uri} away, then run all its "
            "days again."
        )
    return ", ".join(changes)


def _as_url(uri: str) -> str:
    """Return a place as a URL, so that a percent sign or a space in a folder's name is taken for what it is."""
    return uri if "://" in uri else Path(uri).as_uri()


def _same(old: pa.DataType, new: pa.DataType) -> bool:
    """Say whether two Arrow types differ only in how Delta spells them."""
    import pyarrow as pa

    if pa.types.is_list(old) and pa.types.is_list(new):
        return bool(old.value_type == new.value_type) or _same(old.value_type, new.value_type)
    return str(old).removeprefix("large_").removesuffix("_view") == str(new)


def _widens(old: pa.DataType, new: pa.DataType) -> bool:
    import pyarrow as pa

    kinds = pa.types
    if kinds.is_integer(old) and kinds.is_integer(new):
        return bool(old.bit_width < new.bit_width)
    if kinds.is_floating(old) and kinds.is_floating(new):
        return bool(old.bit_width < new.bit_width)
    if kinds.is_decimal(new):
        digits = new.precision - new.scale
        if kinds.is_decimal(old):
            return bool(new.scale >= old.scale and digits >= old.precision - old.scale and new != old)
        return kinds.is_integer(old) and bool(digits >= {8: 3, 16: 5, 32: 10, 64: 19}[old.bit_width])
    return bool(kinds.is_date(old) and kinds.is_timestamp(new) and new.tz is None)


def _shown(row: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in row.items())


def _reason(error: Exception) -> str:
    """Say in one line what went wrong; of a bucket's answer only its message, for it may repeat credentials."""
    text, _, answer = str(error).partition("<")
    lines = [re.sub(r"\x1b\[\d*m|↳", "", line).strip() for line in text.splitlines()]
    said = re.search("<Message>([^<]*)", answer)
    return ": ".join([*filter(None, lines), *([said[1]] if said else [])]) or type(error).__name__
