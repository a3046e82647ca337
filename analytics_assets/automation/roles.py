"""Who may enter which database: the roles and databases of Dagster's history and of the warehouse, made where absent.

Belongs here: what an administrator does once, and again after a change of passwords. Does not belong here: what roles
may do with served tables, which their owner says when it makes them (`outlets`), and Dagster's own tables.

A password is handed to the server as a SCRAM verifier, so that no log of statements ever has it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from analytics_assets.automation.history import URL, history_database
from analytics_assets.postgres import Database, PostgresError, in_words, literal, quoted
from analytics_assets.settings import Settings

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection  # noqa: N812 - a class, written small

LEAST = 8
"""The fewest characters of a password."""
_GIVE = "Set {name}, or hand it over as a file of that name in the folder of secrets."


@dataclass(frozen=True)
class Grant:
    """Say who owns a database, and who may read in it.

    Attributes:
        database: Where it is, and its owner with the password.
        told_by: The setting of the owner's password.
        reader: Who may enter it too, with the password.
        schema: Where the reader looks first.
    """

    database: Database
    told_by: str
    reader: Database | None = None
    schema: str | None = None


def wanted(settings: Settings) -> tuple[Grant, ...]:
    """Say which databases the settings ask for.

    Raises:
        PostgresError: Where a URL cannot be read, or lacks a password.
    """
    history = history_database(settings)
    if history is None:
        raise PostgresError(f"{URL} is not set: say whose database Dagster's history shall be")
    grants = [Grant(history, "ANALYTICS_HISTORY_PASSWORD")]
    if settings.warehouse_url is not None:
        password = settings.warehouse_password.get_secret_value() if settings.warehouse_password else None
        warehouse = Database.read(settings.warehouse_url.get_secret_value(), "ANALYTICS_WAREHOUSE_URL", password)
        reader = None
        if settings.warehouse_reader_password is not None:
            secret = settings.warehouse_reader_password.get_secret_value()
            reader = Database(warehouse.host, warehouse.port, warehouse.name, settings.warehouse_reader, secret)
        grants.append(Grant(warehouse, "ANALYTICS_WAREHOUSE_PASSWORD", reader, settings.warehouse_schema))
    return tuple(grants)


def make_roles(settings: Settings) -> tuple[str, ...]:
    """Make the roles and databases that are not there, and set the passwords of all; return what was done, in words.

    Args:
        settings: Say who the administrator is, and which databases are wanted.

    Raises:
        PostgresError: Where the administrator may not do this, or a database belongs to somebody else.
    """
    if settings.admin_url is None:
        return ()
    secret = settings.admin_password.get_secret_value() if settings.admin_password else None
    admin = Database.read(settings.admin_url.get_secret_value(), "ANALYTICS_ADMIN_URL", secret)
    grants = wanted(settings)
    for grant in grants:
        _judge(grant.database, grant.told_by, admin)
        if grant.reader is not None:
            _judge(grant.reader, "ANALYTICS_WAREHOUSE_READER_PASSWORD", admin)
            if grant.reader.user in {other.database.user for other in grants}:
                raise PostgresError(
                    f"{grant.reader.user} is named in ANALYTICS_WAREHOUSE_READER and keeps a database. Name another "
                    "role: who reads the warehouse must not be able to write."
                )
    done: list[str] = []
    with _entered(admin) as connection:
        for grant in grants:
            done += _role(connection, grant.database)
            done += [] if grant.reader is None else _role(connection, grant.reader)
            done += _database(connection, grant)
    for grant in grants:
        with _entered(replace(admin, name=grant.database.name)) as connection:
            _do(connection, "REVOKE ALL ON SCHEMA public FROM PUBLIC")
            _do(connection, f"GRANT ALL ON SCHEMA public TO {quoted(grant.database.user)}")
    return tuple(done)


def _judge(database: Database, told_by: str, admin: Database) -> None:
    """Refuse what would lock somebody out, or let everybody in."""
    if len(database.password) < LEAST:
        few = "is not set" if not database.password else f"has fewer than {LEAST} characters"
        raise PostgresError(f"the password of {database.user} {few}. {_GIVE.format(name=told_by)}")
    if database.user == admin.user:
        raise PostgresError(
            f"{database.user} is the administrator of Postgres. Name another user in the URL: who only keeps tables "
            "must not be able to do everything."
        )


def _role(connection: Connection, database: Database) -> list[str]:
    """Make a role that may log in and nothing else, or set the password of the one that is there."""
    from psycopg2.extensions import encrypt_password

    name = quoted(database.user)
    there = _ask(connection, "SELECT rolsuper FROM pg_roles WHERE rolname = %s", database.user)
    if there and there[0][0]:
        raise PostgresError(f"{database.user} is a superuser of Postgres. Name another user in the URL.")
    if not there:
        _do(connection, f"CREATE ROLE {name} LOGIN")
    verifier = encrypt_password(database.password, database.user, connection, "scram-sha-256")
    _do(connection, f"ALTER ROLE {name} LOGIN PASSWORD {literal(verifier)}")
    return [] if there else [f"made the role {database.user}"]


def _database(connection: Connection, grant: Grant) -> list[str]:
    """Make a database that nobody but its owner and its reader may enter."""
    name, owner = quoted(grant.database.name), quoted(grant.database.user)
    there = _ask(
        connection,
        "SELECT rolname FROM pg_database JOIN pg_roles ON pg_roles.oid = datdba WHERE datname = %s",
        grant.database.name,
    )
    if there and there[0][0] != grant.database.user:
        raise PostgresError(
            f"the database {grant.database.name} belongs to {there[0][0]} and not to {grant.database.user}. Name "
            f"another one in the URL, or give it away: ALTER DATABASE {name} OWNER TO {owner}."
        )
    if not there:
        _do(connection, f"GRANT {owner} TO CURRENT_USER")  # who is no superuser gives away only as a member
        _do(connection, f"CREATE DATABASE {name} OWNER {owner}")
    _do(connection, f"REVOKE ALL ON DATABASE {name} FROM PUBLIC")
    if grant.reader is not None:
        reader = quoted(grant.reader.user)
        _do(connection, f"GRANT CONNECT ON DATABASE {name} TO {reader}")
        _do(connection, f"ALTER ROLE {reader} SET default_transaction_read_only = on")
        if grant.schema is not None:
            _do(connection, f"ALTER ROLE {reader} IN DATABASE {name} SET search_path = {quoted(grant.schema)}")
    return [] if there else [f"made the database {grant.database.name} of {grant.database.user}"]


@contextmanager
def _entered(database: Database) -> Iterator[Connection]:
    import psycopg2

    try:
        opened = psycopg2.connect(database.url(connect_timeout="10", application_name="analytics_assets_migrate"))
        with closing(opened) as connection:
            connection.autocommit = True  # a database is made outside of any transaction
            yield connection
    except psycopg2.Error as error:
        raise in_words(_SaidError(error), database) from error


class _SaidError(Exception):
    """What psycopg2 says, as the other driver says it."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.sqlstate = getattr(error, "pgcode", None)


def _do(connection: Connection, statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def _ask(connection: Connection, query: str, *values: str) -> list[tuple[object, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        return list(cursor.fetchall())
