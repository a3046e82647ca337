"""Speaking to a Postgres server: where it is, connections that end when it does not answer, and its errors in words.

Belongs here: what reading from Postgres (`sources`) and serving from it (`outlets`) share. Does not belong here: what
is asked of a server, and what a failure means to a run (`automation`).

A password never stands in a message: a `Database` shows where it leads and as whom, and nothing else.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qsl, quote, unquote, urlencode

if TYPE_CHECKING:
    import pyarrow as pa
    from adbc_driver_postgresql.dbapi import Connection as Connection  # noqa: PLC0414 - others know it from here

T = TypeVar("T")

_SCHEMES = {"postgres", "postgresql"}
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_HOST = re.compile(r"^(\[[0-9A-Fa-f:.]+\]|[^:\s]*)$")
_CONNECT_SECONDS = 10
_CLOSE_SECONDS = 5
_KEEPALIVE = {"keepalives_idle": "30", "keepalives_interval": "10", "keepalives_count": "3"}
"""How a machine that is gone is noticed within a minute."""
_PASSING = ("08", "40", "53", "57", "58", "55P03")
"""SQLSTATE classes of what may be over in a moment: connection, conflict, resources, operator, system, lock."""
_ROW = re.compile(r"\s*DETAIL:  Failing row contains .*?(?=\nCONTEXT:|\Z)", re.DOTALL)
_KEY = re.compile(r"(Key \([^\n]*?\))=\(.*?\)(?= (?:is |already |conflicts ))", re.DOTALL)
"""Where a server shows the rows that it refuses, which may be persons, and are nothing for logs and alerts."""
_ENCODE = "percent-encode what is special in it (@ as %40, / as %2F, # as %23, % as %25)"


class PostgresError(Exception):
    """A Postgres server refused or failed; the message says which, why and what to do.

    Attributes:
        passing: Whether trying again a little later may help.
        state: The server's SQLSTATE; empty where it did not say.
    """

    def __init__(self, message: str, *, passing: bool = False, state: str = "") -> None:
        super().__init__(message)
        self.passing = passing
        self.state = state


@dataclass(frozen=True)
class Database:
    """Say where a database is, and as whom to enter it.

    >>> str(Database.read("postgresql://bi:p%40ss@db.example.com/shop", "ANALYTICS_WAREHOUSE_URL"))
    'bi at db.example.com:5432/shop'
    """

    host: str
    port: str
    name: str
    user: str
    password: str = field(repr=False)
    parameters: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, url: str, told_by: str, password: str | None = None) -> Database:
        """Read a URL `postgresql://user:password@host:port/database?sslmode=require`, whatever the password is.

        Args:
            url: The URL; what is special in its parts is percent-encoded.
            told_by: The setting that holds it, for messages.
            password: The password as it is, which then stands apart and need not be encoded.

        Raises:
            PostgresError: Where it cannot be read; the message does not repeat it.
        """
        scheme, separator, rest = url.strip().partition("://")
        if not separator or scheme not in _SCHEMES:
            raise PostgresError(f"{told_by} is no URL of Postgres: write postgresql://USER:PASSWORD@HOST:5432/DATABASE")
        place, _, query = rest.partition("?")
        user_info, at, address = place.rpartition("@")
        hosts, _, name = address.partition("/")
        user, _, secret = user_info.partition(":")
        host, _, port = hosts.rpartition(":") if re.search(r":\d*$", hosts) else (hosts, "", "")
        parameters = dict(parse_qsl(query))
        odd = (at and "/" in user_info) or "@" in user_info + query or "#" in place or not _HOST.match(host)
        if odd or _BAD_PERCENT.search(place) or "\ufffd" in unquote(place):
            raise PostgresError(
                f"{told_by} cannot be read as a URL: if its password has special characters, {_ENCODE}, or give the "
                "password apart, as it is"
            )
        return cls(
            host=unquote(host).strip("[]") or parameters.get("host", "localhost"),
            port=port or parameters.get("port", "5432"),
            name=unquote(name) or parameters.get("dbname", "") or unquote(user) or "postgres",
            user=unquote(user) or parameters.get("user", "postgres"),
            password=password if password is not None else unquote(secret) or parameters.get("password", ""),
            parameters={k: v for k, v in parameters.items() if k not in {"host", "port", "dbname", "user", "password"}},
        )

    def url(self, **parameters: str) -> str:
        """Return the URL that libpq reads, with everything special in it encoded. It holds the password."""
        user = quote(self.user, safe="") + (f":{quote(self.password, safe='')}" if self.password else "")
        asked = {"host": self.host, "port": self.port, **self.parameters, **parameters}
        return f"postgresql://{user}@/{quote(self.name, safe='')}?{urlencode(asked, quote_via=quote)}"

    def __str__(self) -> str:
        return f"{self.user} at {self.host}:{self.port}/{self.name}"


def quoted(name: str) -> str:
    """Return a name as an identifier of SQL, whatever characters it has.

    >>> quoted('the "best" schema')
    '"the ""best"" schema"'
    """
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return a text as a literal of SQL.

    >>> literal("it's")
    "'it''s'"
    """
    return (" E" if "\\" in text else "") + "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


@contextmanager
def connected(database: Database, **session: str) -> Iterator[Connection]:
    """Open a connection; nothing is committed unless it is asked to.

    Args:
        database: Where.
        session: Settings of the session, such as `statement_timeout="60s"`.

    Raises:
        PostgresError: Where the server cannot be reached, refuses, or fails at anything done in the block.
    """
    try:
        from adbc_driver_manager import Error
        from adbc_driver_postgresql import dbapi
    except ImportError as error:
        needed = "Postgres needs more packages: run pip install 'analytics-assets[postgres]'"
        raise PostgresError(needed) from error

    options = {"TimeZone": "UTC", "DateStyle": "ISO", "extra_float_digits": "1", **session}
    given = " ".join(f"-c {name}={_escaped(value)}" for name, value in options.items())
    told = {"connect_timeout": str(_CONNECT_SECONDS), **_KEEPALIVE, **database.parameters}
    url = database.url(
        **{key: told[key] for key in ("connect_timeout", *_KEEPALIVE)},
        application_name="analytics_assets",
        client_encoding="UTF8",
        options=f"{database.parameters.get('options', '')} {given}".strip(),
    )
    try:
        with dbapi.connect(url) as connection:
            yield connection
    except Error as error:
        raise in_words(error, database) from error


class Line:
    """A connection that is waited for so long and no longer.

    libpq waits for an answer for ever. A server that is frozen, or a network that swallows what is sent, would hold a
    run for good. So a thread of its own does what the connection is asked; when it stays silent it is left behind, and
    closes the connection should an answer ever come.

    Attributes:
        database: Where it leads.
    """

    def __init__(self, database: Database, seconds: float, session: Mapping[str, str]) -> None:
        self.database = database
        self._seconds = seconds
        self._heard = time.monotonic()
        self._asked: SimpleQueue[tuple[Callable[[Connection], Any], Future[Any]] | None] = SimpleQueue()
        self._streams: list[list[Any]] = []
        self._last: Future[Any] = Future()
        self._thread = threading.Thread(target=self._serve, args=(session, self._last), name="postgres", daemon=True)
        self._thread.start()

    def _serve(self, session: Mapping[str, str], opened: Future[Any]) -> None:
        try:
            with connected(self.database, **session) as connection:
                opened.set_result(None)
                for work, done in iter(self._asked.get, None):
                    _do(work, connection, self.database, done)
                    del work, done  # an answer is nobody's but the asker's
                for held in self._streams:
                    _let_go(held)
        except BaseException as error:  # noqa: BLE001 - whoever waits is told
            if not opened.done():
                opened.set_exception(error)

    def ask(self, work: Callable[[Connection], T]) -> T:
        """Have something done on the connection.

        Args:
            work: Is called with the connection, by the line's thread. Where it takes longer than the line waits, and
                goes on, it calls `heard`.

        Raises:
            PostgresError: Where the server refuses, fails or does not answer.
        """
        return self._answer(self._begin(work))

    def heard(self) -> None:
        """Say that work goes on: the line waits its time again."""
        self._heard = time.monotonic()

    def schema(self, query: str) -> pa.Schema:
        """Give the columns of a query's rows, with the types that they come as."""

        def describe(connection: Connection) -> pa.Schema:
            with connection.cursor() as cursor:
                cursor.execute(query)
                return cursor.fetch_record_batch().schema

        return self.ask(describe)

    def batches(self, query: str) -> Iterator[pa.RecordBatch]:
        """Give the rows of a query as a stream, the next batch being read while one is worked on.

        It is read to its end before the line is asked for anything else.
        """
        held: list[Any] = []  # the cursor and its reader: only the line's thread opens, reads and lets go of them

        def begin(connection: Connection) -> None:
            held.append(connection.cursor())
            self._streams.append(held)
            held[0].execute(query)
            held.append(held[0]._results.reader)  # noqa: SLF001 - the public reader loses SQLSTATE when a stream breaks

        def read(_: Connection) -> pa.RecordBatch | None:
            try:
                return held[1].read_next_batch()
            except StopIteration:
                return None

        try:
            self.ask(begin)
            ahead = self._begin(read)
            while (batch := self._answer(ahead)) is not None:
                ahead = self._begin(read)
                yield batch
        finally:  # whoever took the batches may be gone while the next one is read
            self._begin(lambda _: _let_go(held))

    def _begin(self, work: Callable[[Connection], T]) -> Future[T]:
        done: Future[T] = Future()
        self._last = done
        self._asked.put((work, done))
        return done

    def _answer(self, done: Future[T]) -> T:
        self.heard()
        while not wait([done], self._heard + self._seconds - time.monotonic()).done:
            if time.monotonic() >= self._heard + self._seconds:
                told = (
                    f"Postgres ({self.database}) has not answered for {self._seconds:g} s. See what holds it up there."
                )
                raise PostgresError(told, passing=True)
        return done.result()

    def close(self) -> None:
        """Close the connection, now or when it answers."""
        self._asked.put(None)
        if self._last.done():
            self._thread.join(_CLOSE_SECONDS)


def _let_go(held: list[Any]) -> None:
    """Let go of a stream, its reader before its cursor: the other way round the driver reads what is freed."""
    if len(held) > 1:
        held.pop()
    if held:
        held.pop().close()


def _do(work: Callable[[Connection], T], connection: Connection, database: Database, done: Future[T]) -> None:
    from adbc_driver_manager import Error

    try:
        done.set_result(work(connection))
    except Error as error:
        worded = in_words(error, database)
        worded.__cause__ = error
        done.set_exception(worded)
    except BaseException as error:  # noqa: BLE001 - whoever waits is told
        done.set_exception(error)


@contextmanager
def open_line(database: Database, seconds: float, **session: str) -> Iterator[Line]:
    """Open a connection that is waited for so long and no longer; nothing is committed unless it is asked to.

    Args:
        database: Where.
        seconds: How long the server may be silent. Let it be longer than a `statement_timeout`, which ends more gently.
        session: Settings of the session, such as `statement_timeout="60s"`.

    Raises:
        PostgresError: Where the server cannot be reached, or does not answer.
    """
    line = Line(database, seconds, session)
    try:
        line._answer(line._last)  # noqa: SLF001 - it is open then
        yield line
    finally:
        line.close()


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace(" ", "\\ ")


def in_words(error: Exception, database: Database) -> PostgresError:
    """Say in words what a server, or the way to it, said."""
    state = getattr(error, "sqlstate", None) or ""
    said = _first_line(error)
    where = f"Postgres ({database})"
    match state[:5]:
        case "28P01" | "28000":
            message = f"{where} refuses the password or the user. Check both, and pg_hba.conf of the server."
        case "3D000":
            message = f"{where} has no database {database.name}. Make it, or name another one."
        case "42501":
            message = f"{where} does not let {database.user} do this: {said}. Grant it the right."
        case "57014":
            message = f"{where} took longer than it may: {said}."
        case "55P03":
            message = f"{where} waited in vain for what somebody else holds: {said}. See pg_stat_activity there."
        case "53100":
            message = f"{where} has no space left on its disk: {said}. Make room there, then run again."
        case "53300":
            message = f"{where} has no connection left: {said}."
        case _ if _is_refused(said):
            message = f"{where} refuses the password or the user: {said}. Check both."
            return PostgresError(message)
        case _ if "does not exist" in said and "database" in said and not state:
            return PostgresError(f"{where} has no database {database.name}. Make it, or name another one.")
        case "57P01" | "57P02" | "57P03" | "" | "08000" | "08006" | "08001" | "08003" | "08P01":
            message = f"{where} cannot be reached, or went away: {said}."
            return PostgresError(message, passing=True)
        case _:
            message = f"{where}: {said} (SQLSTATE {state})."
    return PostgresError(message, passing=state.startswith(_PASSING), state=state)


def _is_refused(said: str) -> bool:
    return "password authentication failed" in said or "no password supplied" in said or "no pg_hba.conf" in said


def _first_line(error: Exception) -> str:
    text = re.sub(r"\.? SQLSTATE: \w+$", "", str(error).strip())
    text = re.sub(r"^([A-Z_]+: )?(\[libpq\] )?", "", text.partition("\nQuery was: ")[0])
    text = re.split(r"(?:ERROR|FATAL|PANIC):  ", text)[-1]
    text = _KEY.sub(r"\1", _ROW.sub("", text))
    # what the server shows of a statement is not what anybody wrote
    lines = [line.strip() for line in re.sub(r"\nLINE \d+: .*", "", text).splitlines() if line.strip(" ^.")]
    return " ".join(lines[:3]).rstrip(".") or type(error).__name__
