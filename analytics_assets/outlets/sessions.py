"""One conversation with the warehouse: statements, questions, and rows that stream into a table.

Belongs here: how rows of the lake become what Postgres takes. Does not belong here: which statements (`warehouse`).
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from analytics_assets.postgres import Database, Line, PostgresError, open_line, quoted

if TYPE_CHECKING:
    import pyarrow as pa

    from analytics_assets.postgres import Connection

_STAND_IN = "\ufffd"
_WAIT_FOR_READERS = "30s"
_ENDLESS = 2**63 - 10**15
_BATCHES_AHEAD = 4
_LOOK_UP = 0.2


@dataclass
class Copied:
    """Count what streamed into a table.

    Attributes:
        rows: Rows.
        cleaned: Texts in which NUL, which Postgres cannot hold, became U+FFFD.
    """

    rows: int = 0
    cleaned: int = 0


class Session:
    """Speak to the warehouse within a transaction, which the caller commits."""

    def __init__(self, line: Line) -> None:
        self._line = line

    def run(self, *statements: str) -> None:
        """Run statements, one after the other."""

        def work(connection: Connection) -> None:
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
                    self._line.heard()

        self._line.ask(work)

    def rows(self, query: str) -> list[dict[str, Any]]:
        """Return the rows of a query."""

        def work(connection: Connection) -> list[dict[str, Any]]:
            with connection.cursor() as cursor:
                cursor.execute(query)
                answer: list[dict[str, Any]] = cursor.fetch_arrow_table().to_pylist()
                return answer

        return self._line.ask(work)

    def copy(self, schema: str, table: str, batches: Iterable[pa.RecordBatch], types: pa.Schema) -> Copied:
        """Stream rows into a table, by the names of their columns."""
        import pyarrow as pa

        copied = Copied()
        failed: list[Exception] = []

        def given() -> Iterator[pa.RecordBatch]:
            try:
                for batch in _ahead(batches, self._line.heard):
                    typed = batch.select(types.names).cast(types)
                    _refuse_endless(typed, table)
                    copied.rows += typed.num_rows
                    yield _clean(typed, copied)
            except Exception as error:
                failed.append(error)  # what goes through the driver comes back as an error of the driver's own
                raise

        def work(connection: Connection) -> None:
            with connection.cursor() as cursor:
                reader = pa.RecordBatchReader.from_batches(types, given())
                cursor.adbc_ingest(table, reader, mode="append", db_schema_name=schema)

        try:
            self._line.ask(work)
        except PostgresError:
            if failed:
                raise failed[0] from None
            raise
        return copied

    def roll_back(self) -> None:
        """Undo what was not committed."""
        self._line.ask(lambda connection: connection.rollback())

    def commit(self) -> None:
        """Let everybody see what was done."""
        self._line.ask(lambda connection: connection.commit())


@contextmanager
def session(database: Database, seconds: float) -> Iterator[Session]:
    """Open a conversation in which each answer is waited for so long; what is not committed at its end is undone."""
    with open_line(database, seconds, lock_timeout=_WAIT_FOR_READERS, client_min_messages="warning") as line:
        yield Session(line)


def _ahead(batches: Iterable[pa.RecordBatch], waiting: Callable[[], None]) -> Iterator[pa.RecordBatch]:
    """Compute the next batches while the last ones are on their way to the server; tell while one is waited for."""
    ready: queue.Queue[pa.RecordBatch | BaseException | None] = queue.Queue(_BATCHES_AHEAD)
    given_up = threading.Event()

    def hand_over(item: pa.RecordBatch | BaseException | None) -> None:
        while not given_up.is_set():
            with suppress(queue.Full):
                ready.put(item, timeout=_LOOK_UP)
                return

    def compute() -> None:
        try:
            for batch in batches:
                hand_over(batch)
                if given_up.is_set():
                    return
        except BaseException as error:  # noqa: BLE001 - it is raised where the batches are taken
            hand_over(error)
        else:
            hand_over(None)

    computing = threading.Thread(target=compute, daemon=True)
    computing.start()
    try:
        while True:
            waiting()
            try:
                item = ready.get(timeout=_LOOK_UP)
            except queue.Empty:
                continue
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        given_up.set()
        computing.join()


def _refuse_endless(batch: pa.RecordBatch, table: str) -> None:
    """Refuse instants at the ends of what an engine can count to, by which it means infinity: no contract has one."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for column, field in zip(batch.columns, batch.schema, strict=True):
        if pa.types.is_timestamp(field.type) and len(column) > column.null_count:
            ends = pc.min_max(column.cast(pa.int64())).as_py()
            if max(-ends["min"], ends["max"]) >= _ENDLESS:
                raise PostgresError(
                    f"{table}.{field.name} holds infinity, or an instant that Postgres does not know: nothing was "
                    "published. See which row has it by analytics-assets show."
                )


def _clean(batch: pa.RecordBatch, copied: Copied) -> pa.RecordBatch:
    """Put U+FFFD in the place of NUL; looking for one takes a hundredth of what replacing it everywhere would."""
    import pyarrow as pa
    import pyarrow.compute as pc

    columns = list(batch.columns)
    for place, column in enumerate(columns):
        if not pa.types.is_string(column.type) or not _holds_nul(column):
            continue
        there = pc.match_substring(column, "\0")
        copied.cleaned += pc.sum(there).as_py() or 0
        columns[place] = pc.replace_substring(column, "\0", _STAND_IN)
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema)


def _holds_nul(column: pa.Array) -> bool:
    text = column.buffers()[2]
    return text is not None and b"\0" in bytes(memoryview(text))


def sql_name(schema: str, table: str) -> str:
    """Return a table's name in SQL.

    >>> print(sql_name('the "best" schema', "fact_sales"))
    "the ""best"" schema"."fact_sales"
    """
    return f"{quoted(schema)}.{quoted(table)}"
