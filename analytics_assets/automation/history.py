"""Dagster's history: taking a person's ids out of the samples that failed checks kept.

Belongs here: the files of the history, and its tables in Postgres. Does not belong here: whose ids (`forgetting`).

A check that fails shows up to five rows by key, as `user_id 17, day 2024-03-01`, in its metadata, in the message of the
failure and so in the logs of the run. That is the only way in which an id comes into the history; these places are
written anew. What is stored elsewhere (a log collector) is not reached.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from analytics_assets.postgres import Database, PostgresError, connected, quoted
from analytics_assets.settings import Settings

URL = "ANALYTICS_HISTORY_URL"
STAND_IN = "(forgotten)"
_LOGS = {".out", ".err", ".log", ".txt"}
_SECONDS = 30.0


@dataclass(frozen=True)
class Scrubbed:
    """Say what was taken out of the history.

    Attributes:
        places: How many texts were written anew.
        left: Files that an id may still stand in, and why.
    """

    places: int
    left: tuple[str, ...] = ()


def history_database(settings: Settings) -> Database | None:
    """Return where the settings say that Dagster's history is; None where it is in files.

    Raises:
        PostgresError: Where the URL cannot be read.
    """
    if settings.history_url is None:
        return None
    password = settings.history_password.get_secret_value() if settings.history_password else None
    return Database.read(settings.history_url.get_secret_value(), URL, password)


def scrub(history: Path, ids: Iterable[str], database: Database | None = None) -> Scrubbed:
    """Take ids out of the samples in a history's databases and logs; what cannot be written is told.

    Args:
        history: The folder of the history.
        ids: Whose.
        database: Where runs and events are in Postgres.
    """
    found = [text for text in ids if text]
    if not found:
        return Scrubbed(0)
    # in a database the samples stand in JSON, where some letters are escaped
    spelt = sorted({*found, *(text.encode("unicode_escape").decode() for text in found)}, key=len, reverse=True)
    either = "|".join(map(re.escape, spelt))
    # a session is called after its user: user/day/number
    pattern = re.compile(
        rf"((?:\b(?:user_id|unit|anonymous_id|session_id|spellings)|\|) )(?:{either})(?=[/,;\"\\\s]|$)"
    )
    places, left = 0, []
    for path in sorted(path for path in history.rglob("*") if path.is_file()) if history.is_dir() else ():
        try:
            if path.suffix == ".db":
                places += _in_database(path, pattern, spelt)
            elif path.suffix in _LOGS:
                text = path.read_text(errors="surrogateescape")
                fresh, count = pattern.subn(rf"\1{STAND_IN}", text)
                if count:
                    path.write_text(fresh, errors="surrogateescape")
                places += count
        except (OSError, sqlite3.Error) as error:
            left.append(f"{path}: {error}")
    if database is not None:
        try:
            places += _in_postgres(database, pattern, spelt)
        except PostgresError as error:
            left.append(str(error))
    return Scrubbed(places, tuple(left))


def _in_postgres(database: Database, pattern: re.Pattern[str], ids: Iterable[str]) -> int:
    """Write the texts anew that hold a sample, all of them or none; then let go of what was there."""
    places, touched = 0, set()
    with connected(database) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
            " AND data_type IN ('text', 'character varying')"
        )
        for table, column in cursor.fetchall():
            name, text = quoted(table), quoted(column)
            holds = " OR ".join(f"position(${n} IN {text}) > 0" for n, _ in enumerate(ids, 1))
            cursor.execute(f"SELECT ctid::text, {text} FROM {name} WHERE {holds}", list(ids))  # noqa: S608
            for place, told in cursor.fetchall():
                fresh, count = pattern.subn(rf"\1{STAND_IN}", told)
                if count:
                    cursor.execute(f"UPDATE {name} SET {text} = $1 WHERE ctid = $2::tid", [fresh, place])  # noqa: S608
                    touched.add(name)
                    places += 1
        connection.commit()
        if touched:
            connection.adbc_connection.set_autocommit(True)
            cursor.execute(f"VACUUM {', '.join(sorted(touched))}")
    return places


def _in_database(path: Path, pattern: re.Pattern[str], ids: Iterable[str]) -> int:
    """Write the texts anew that hold a sample; what was there is overwritten, not only unlinked."""
    places = 0
    with closing(sqlite3.connect(path, timeout=_SECONDS, isolation_level=None)) as database:
        database.execute("PRAGMA secure_delete = ON")
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            columns = [row[1] for row in database.execute(f'PRAGMA table_info("{table}")') if _is_text(row[2])]
            for column in columns:
                places += _in_column(database, table, column, pattern, ids)
        if places:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            database.execute("VACUUM")
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return places


def _is_text(kind: str) -> bool:
    return kind.upper().startswith(("TEXT", "VARCHAR", "CHAR", "CLOB"))


def _in_column(
    database: sqlite3.Connection, table: str, column: str, pattern: re.Pattern[str], ids: Iterable[str]
) -> int:
    places = 0
    holds = " OR ".join(f'instr("{column}", ?) > 0' for _ in ids)
    rows = database.execute(f'SELECT rowid, "{column}" FROM "{table}" WHERE {holds}', tuple(ids)).fetchall()  # noqa: S608
    for rowid, text in rows:
        fresh, count = pattern.subn(rf"\1{STAND_IN}", text)
        if count:
            database.execute(f'UPDATE "{table}" SET "{column}" = ? WHERE rowid = ?', (fresh, rowid))  # noqa: S608
            places += 1
    return places
