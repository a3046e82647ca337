"""A deployment without Docker: the processes of docker-compose.yml, with its commands and variables.

Belongs here: reading the files of the deployment, starting what they say, and starting anew what dies, as Docker does.
Does not belong here: what is tested on it.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2
import yaml

from analytics_assets_tests.postgres import PASSWORD, PostgresServer
from analytics_assets_tests.processes import ROOT, Ui, until
from analytics_assets_tests.receivers import free_port

SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
IN_WORDS = re.compile(r"\$\{(\w+)(?::?-([^}]*)|:\?[^}]*)\}")
STAYING = ("code", "webserver", "daemon")
SENSOR = "query ($sensor: SensorSelector!) { sensorOrError(sensorSelector: $sensor) { ... on Sensor { id } } }"
STOP_SENSOR = "mutation ($id: String!) { stopSensor(id: $id) { __typename } }"
LAUNCH = """
mutation ($run: ExecutionParams!) {
  launchRun(executionParams: $run) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } }
}
"""


def of_the_image() -> dict[str, str]:
    """Return the variables that the Dockerfile sets for every process."""
    told = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    lines = re.findall(r"^ENV (.*)$", told, re.MULTILINE)
    return dict(pair.split("=", 1) for pair in lines[-1].split() if not pair.startswith("PATH="))


@dataclass
class Deployment:
    """Run what docker-compose.yml says.

    Attributes:
        given: The variables of `.env`.
        more: Variables of a `docker-compose.override.yml`, for the code server.
    """

    folder: Path
    server: PostgresServer
    given: Mapping[str, str]
    more: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.ports = {"code": free_port(), "webserver": free_port()}
        self.ui = Ui(self.ports["webserver"])
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.begun: dict[str, int] = dict.fromkeys(STAYING, 0)
        self.over = threading.Event()
        self.one_at_a_time = threading.Lock()
        self.home.mkdir(parents=True)
        (self.data / "tmp").mkdir(parents=True)
        (self.home / "storage").mkdir()
        for name in ("dagster.yaml", "workspace.yaml"):
            shutil.copyfile(ROOT / "deploy" / name, self.home / name)
        secrets = self.folder / "secrets"
        secrets.mkdir()
        (secrets / "analytics_history_password").write_text(f"{PASSWORD}\n")

    @property
    def home(self) -> Path:
        return self.folder / "dagster"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def lake(self) -> Path:
        return self.data / "lake"

    def here(self, text: str) -> str:
        """Say of a place in a container where it is on this machine."""
        told = IN_WORDS.sub(lambda found: self.given.get(found[1]) or found[2] or "", text)
        for there, place in {
            "@postgres:5432": f"@127.0.0.1:{self.server.port}",
            "127.0.0.1:3000": f"127.0.0.1:{self.ports['webserver']}",
            "/var/lib/analytics": str(self.data),
            "/opt/dagster": str(self.home),
            "/opt/project": str(self.folder / "project"),
        }.items():
            told = told.replace(there, place)
        return told

    def environment(self, name: str) -> dict[str, str]:
        """Return all that a process is told: what the image and the service say, and nothing of this machine."""
        service = {key: self.here(str(value)) for key, value in SERVICES[name]["environment"].items()}
        kept = {key: os.environ[key] for key in ("PATH", "PYTHONPATH", "LANG") if key in os.environ}
        moved = {
            "ANALYTICS_CODE_HOST": "127.0.0.1",
            "ANALYTICS_CODE_PORT": str(self.ports["code"]),
            "ANALYTICS_SECRETS": str(self.folder / "no secrets"),
            "PYTHONPATH": str(ROOT),
        }
        image = {key: self.here(value) for key, value in of_the_image().items()}
        by_file = {}
        if name == "daemon":  # as deploy/secrets.yml has it
            by_file = {"ANALYTICS_HISTORY_PASSWORD": "", "ANALYTICS_SECRETS": str(self.folder / "secrets")}
        return {**kept, **image, **service, **moved, **by_file, **(self.more if name == "code" else {})}

    def command(self, words: list[str]) -> list[str]:
        """Return a command of the compose file as this machine has it."""
        places = {"0.0.0.0": "127.0.0.1", "4000": str(self.ports["code"]), "3000": str(self.ports["webserver"])}
        program, *rest = (places.get(word) or self.here(word) for word in words)
        return [str(Path(sys.executable).with_name(program)), *rest]

    def once(self, name: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the place of a service, as `docker compose exec` or a one-shot service does."""
        return subprocess.run(
            self.command(list(words) or SERVICES[name]["command"]),
            env=self.environment(name),
            cwd=self.home,
            capture_output=True,
            text=True,
            check=False,
        )

    def start(self, name: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                self.command(SERVICES[name]["command"]),
                env=self.environment(name),
                cwd=self.home,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.begun[name] += 1

    def supervise(self) -> None:
        """Start anew what has ended, as `restart: unless-stopped` does."""
        while not self.over.wait(0.3):
            with self.one_at_a_time:
                for name, process in list(self.running.items()):
                    if process.poll() is not None and not self.over.is_set():
                        self.start(name)

    def healthy(self, name: str) -> bool:
        """Ask as the healthcheck of the compose file does."""
        return self.once(name, *SERVICES[name]["healthcheck"]["test"][1:]).returncode == 0

    def kill(self, name: str) -> None:
        """Kill a service with all that it began, as a container that is gone takes its processes with it."""
        if name == "postgres":
            self.server.stop()
            return
        with self.one_at_a_time:
            os.killpg(self.running[name].pid, signal.SIGKILL)
            self.running[name].wait()

    def ask(self, query: str, *values: Any) -> list[Any]:
        """Ask Dagster's history itself; nothing where the server is away."""
        try:
            return self.server.ask(query, *values, database="dagster", user="dagster")
        except psycopg2.OperationalError:
            return []

    def runs(self) -> list[tuple[str, str, str | None]]:
        """Return every daily run: its id, its status and the run that it retries; the oldest first."""
        return self.ask(
            "select r.run_id, r.status, t.value from runs r left join run_tags t "
            "on t.run_id = r.run_id and t.key = 'dagster/parent_run_id' where pipeline_name = 'daily' order by r.id"
        )

    def events(self, run_id: str) -> str:
        """Return the record of a run."""
        return "\n".join(text for (text,) in self.ask("select event from event_logs where run_id = %s", run_id))

    def stop_sensor(self, name: str) -> None:
        """Stop a sensor as a person does in the UI."""
        place = {"repositoryName": "__repository__", "repositoryLocationName": "analytics_assets"}
        found = self.ui.ask(SENSOR, sensor=place | {"sensorName": name})["sensorOrError"]
        stopped = self.ui.ask(STOP_SENSOR, id=found["id"])["stopSensor"]
        assert stopped["__typename"] == "StopSensorMutationResult", stopped

    def launch(self, **tags: str) -> str:
        """Start a daily run as a person does in the UI."""
        selector = {
            "repositoryName": "__repository__",
            "repositoryLocationName": "analytics_assets",
            "jobName": "daily",
        }
        told = [{"key": f"dagster/{key}", "value": value} for key, value in tags.items()]
        run = {"selector": selector, "runConfigData": {}, "executionMetadata": {"tags": told}}
        launched = self.ui.ask(LAUNCH, run=run)["launchRun"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        return str(launched["run"]["runId"])

    def dumped(self, database: str) -> str:
        """Return a database as text."""
        return subprocess.run(
            [self.server.programs / "pg_dump", "--dbname", self.server.url(database)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    def log(self, name: str) -> str:
        path = self.folder / f"{name}.log"
        return path.read_text() if path.exists() else ""


@contextmanager
def deployed(deployment: Deployment) -> Iterator[Deployment]:
    """Migrate, then start what stays, in the order that the compose file says."""
    ran = deployment.once("migrate")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    deployment.start("code")
    watching = threading.Thread(target=deployment.supervise, daemon=True)
    watching.start()
    try:
        until(lambda: deployment.healthy("code"), "the start of the code server")
        deployment.start("daemon")
        deployment.start("webserver")
        until(deployment.ui.up, "the start of the UI")
        yield deployment
    finally:
        deployment.over.set()
        watching.join(10)
        for process in deployment.running.values():
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
