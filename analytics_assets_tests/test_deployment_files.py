"""The files of the deployment say what they promise; nothing here starts anything."""

from __future__ import annotations

import fnmatch
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from analytics_assets.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
COMPOSE = ROOT / "docker-compose.yml"
SECRETS = ROOT / "deploy/secrets.yml"
EXAMPLE = (ROOT / "deploy/.env.example").read_text()
DEPLOYMENT = (ROOT / "docs/deployment.md").read_text()
PASSWORDS = tuple(f"ANALYTICS_{who}_PASSWORD" for who in ("ADMIN", "HISTORY", "WAREHOUSE", "WAREHOUSE_READER"))
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE.read_text())["services"]
LONG = ("postgres", "code", "webserver", "daemon")
OURS = ("migrate", "code", "webserver", "daemon")


def variables(path: Path) -> dict[str, set[str]]:
    """Return the variables that a file asks for, each with what stands behind its name."""
    found: dict[str, set[str]] = {}
    for name, rest in re.findall(r"\$\{(\w+)([^}]*)\}", path.read_text()):
        found.setdefault(name, set()).add(rest)
    return found


def test_there_are_four_that_stay_and_one_that_ends() -> None:
    assert set(SERVICES) == {*LONG, "migrate"}


@pytest.mark.parametrize("name", SERVICES)
def test_every_container_is_held(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["logging"] == {"driver": "json-file", "options": {"max-size": "10m", "max-file": "5"}}
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory"}
    assert service["restart"] == ("no" if name == "migrate" else "unless-stopped")
    assert ("healthcheck" in service) == (name != "migrate")
    assert not {"privileged", "network_mode", "pid", "cap_add"} & set(service)
    assert "docker.sock" not in str(service)


def test_nobody_is_root_and_every_base_is_pinned() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert SERVICES["postgres"]["user"] == "postgres"
    assert re.findall(r"^USER (.*)$", dockerfile, re.MULTILINE) == ["10001:10001"]
    assert not any("user" in SERVICES[name] for name in OURS)
    bases = [SERVICES["postgres"]["image"], *re.findall(r"^ARG PYTHON_IMAGE=(.*)$", dockerfile, re.MULTILINE)]
    assert len(bases) == 2
    for base in bases:
        assert re.fullmatch(r"\w+:\d+\.\d+(\.\d+)?-[\w-]+", base), base
    assert set(re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE)) == {"${PYTHON_IMAGE}"}
    minor = "{}.{}".format(*sys.version_info)
    if os.environ.get("CI"):
        assert f"python:{minor}." in dockerfile, "the image has another Python than the tests ran with"


def test_what_must_come_first_is_waited_for() -> None:
    waits = {name: {k: v["condition"] for k, v in SERVICES[name].get("depends_on", {}).items()} for name in SERVICES}
    ended, healthy = "service_completed_successfully", "service_healthy"
    assert waits == {
        "postgres": {},
        "migrate": {"postgres": healthy},
        "code": {"migrate": ended},
        "webserver": {"migrate": ended, "code": healthy},
        "daemon": {"migrate": ended, "code": healthy},
    }


def test_ports_are_those_of_this_machine_alone_unless_it_is_said() -> None:
    ports = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert ports == {
        "postgres": ["${ANALYTICS_POSTGRES_BIND:-127.0.0.1}:${ANALYTICS_POSTGRES_PORT:-5432}:5432"],
        "webserver": ["${ANALYTICS_UI_BIND:-127.0.0.1}:${ANALYTICS_UI_PORT:-3000}:3000"],
    }


def test_no_password_has_a_default() -> None:
    asked = variables(COMPOSE)
    for name in PASSWORDS:
        assert asked[name] == {f":?set {name} in .env, as deploy/.env.example shows"}, name
    assert {name for name in asked if "PASSWORD" in name} == set(PASSWORDS)


def test_each_container_has_the_passwords_that_it_needs_and_no_other() -> None:
    def given(service: dict[str, Any]) -> set[str]:
        return {name for value in service["environment"].values() for name in PASSWORDS if f"${{{name}:" in str(value)}

    admin, history, warehouse, reader = PASSWORDS
    assert {name: given(service) for name, service in SERVICES.items()} == {
        "postgres": {admin},
        "migrate": {admin, history, warehouse, reader},
        "code": {history, warehouse},
        "webserver": {history},
        "daemon": {history},
    }
    by_file = yaml.safe_load(SECRETS.read_text())
    for name, service in SERVICES.items():
        other = by_file["services"][name]
        assert set(other["secrets"]) == {secret.lower() for secret in given(service)}
        emptied = {variable for variable, value in other["environment"].items() if value == ""}
        assert emptied == {variable for variable, value in service["environment"].items() if "PASSWORD:?" in str(value)}
    assert {name: told["file"].partition(":")[0] for name, told in by_file["secrets"].items()} == {
        name.lower(): f"${{{name}" for name in PASSWORDS
    }


def test_the_lake_is_where_runs_are_and_nowhere_else() -> None:
    mounts = {
        name: [volume.rpartition(":/")[2] for volume in service.get("volumes", [])]
        for name, service in SERVICES.items()
    }
    assert mounts == {
        "postgres": ["var/lib/postgresql"],
        "migrate": [],
        "code": ["opt/project:ro", "var/lib/analytics", "opt/dagster/storage"],
        "webserver": ["opt/dagster/storage"],
        "daemon": ["opt/dagster/storage"],
    }


def test_every_variable_is_in_the_example_and_in_the_documents() -> None:
    asked = {name for path in (COMPOSE, SECRETS) for name in variables(path)}
    shown = set(re.findall(r"^#(\w+)=", EXAMPLE, re.MULTILINE))
    assert shown == asked | {"COMPOSE_FILE"}
    for name in asked:
        assert re.search(rf"^\| `{name}` \|", DEPLOYMENT, re.MULTILINE), name
    assert re.findall(r"^[^#\n].*", EXAMPLE, re.MULTILINE) == []  # nothing is set by copying it


def test_the_example_shows_the_defaults() -> None:
    asked = variables(COMPOSE)
    for name, value in re.findall(r"^#(\w+)=(.*)$", EXAMPLE, re.MULTILINE):
        if name not in {*PASSWORDS, "COMPOSE_FILE"}:
            assert {rest.lstrip(":").removeprefix("-") for rest in asked[name]} == {value}, name


def test_what_containers_are_told_are_settings() -> None:
    known = {f"ANALYTICS_{name.upper()}" for name in Settings.model_fields}
    elsewhere = {"ANALYTICS_CODE_HOST", "ANALYTICS_CODE_PORT"}  # of workspace.yaml
    for name in OURS:
        told = {key for key in SERVICES[name]["environment"] if key.startswith("ANALYTICS_")}
        assert told - elsewhere <= known


@pytest.mark.parametrize(
    "name",
    [
        "history_url", "history_password", "warehouse_url", "warehouse_password", "warehouse_schema",
        "warehouse_reader", "warehouse_reader_password", "admin_url", "admin_password",
    ],
)  # fmt: skip
def test_every_setting_of_a_deployment_is_documented_in_its_own_words(name: str) -> None:
    assert f"| {Settings.model_fields[name].description} |" in DEPLOYMENT


def test_a_variable_that_compose_hands_over_empty_is_one_that_nobody_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANALYTICS_MEMORY", "")
    monkeypatch.setenv("ANALYTICS_THREADS", "")
    monkeypatch.setenv("ANALYTICS_WAREHOUSE_PASSWORD", "")
    settings = Settings()
    assert (settings.memory, settings.threads, settings.warehouse_password) == (None, None, None)


def test_a_password_may_be_a_file_where_its_variable_is_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "analytics_history_password").write_text("p@ss/$w:rd'\n")
    monkeypatch.setenv("ANALYTICS_SECRETS", str(tmp_path))
    monkeypatch.setenv("ANALYTICS_HISTORY_PASSWORD", "")
    told = Settings().history_password
    assert told is not None
    assert told.get_secret_value() == "p@ss/$w:rd'"


def test_files_beside_ours_are_variables_where_they_are_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shop_password").write_text("of the shop\n")
    (tmp_path / "SLACK_URL").write_text("of a file")
    (tmp_path / "keys.p12").write_bytes(b"\xff\xfe\x00")
    monkeypatch.setenv("ANALYTICS_SECRETS", str(tmp_path))
    monkeypatch.setenv("SHOP_PASSWORD", "")  # as Compose makes it of a variable that nobody set
    monkeypatch.setenv("SLACK_URL", "of a variable")
    told = Settings().environment
    assert (told["SHOP_PASSWORD"], told["SLACK_URL"]) == ("of the shop", "of a variable")
    assert "KEYS.P12" not in told


def copied() -> list[str]:
    """Return what the Dockerfile copies from the repository."""
    found = re.findall(r"^COPY (?!--from)(.*) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    return [name for line in found for name in line.split()]


def test_the_image_is_made_of_files_of_the_repository() -> None:
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert rules[0] == "*"
    kept = {rule.removeprefix("!").rstrip("/") for rule in rules if rule.startswith("!")}
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    for name in copied():
        source = name.removeprefix("./")
        assert source in kept, f"{source} is not let through by .dockerignore"
        assert any(file == source or file.startswith(f"{source}/") for file in tracked), source
    assert kept == {name.removeprefix("./") for name in copied()}  # and nothing else is sent to the engine
    dropped = [rule for rule in rules if rule.startswith("**/")]
    needed = [file for file in tracked if file.startswith("analytics_assets/")]
    assert not [file for file in needed for rule in dropped if fnmatch.fnmatch(file, rule.removeprefix("**/"))]


def test_the_image_installs_what_is_pinned() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert "--constraint constraints.txt '.[ui,s3,postgres]'" in dockerfile
    assert not re.search(r"\b(curl|wget|git clone|ADD)\b", dockerfile)


def test_the_linter_of_dockerfiles_is_content() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    ran = subprocess.run([hadolint, ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout


def test_the_instance_of_a_deployment_is_that_of_one_machine_but_for_where_things_are() -> None:
    deployed = yaml.safe_load((ROOT / "deploy/dagster.yaml").read_text())
    local = yaml.safe_load((ROOT / "dagster.yaml").read_text())
    for section in ("concurrency", "telemetry", "nux", "run_retries", "retention"):
        assert deployed[section] == local[section], section
    assert deployed["run_monitoring"] == {**local["run_monitoring"], "poll_interval_seconds": 15}
    assert set(deployed) - set(local) == {"storage", "run_launcher"}
    assert "ENV PATH" in (ROOT / "Dockerfile").read_text()
    assert "DAGSTER_EVENT_BATCH_SIZE=1000" in (ROOT / "Dockerfile").read_text()


def test_made_up_passwords_are_long_and_differ(tmp_path: Path) -> None:
    script = ROOT / "deploy/passwords.sh"
    assert subprocess.run(["bash", "-n", script], check=False).returncode == 0
    told = [subprocess.run(["sh", script], capture_output=True, text=True, check=True).stdout for _ in range(2)]
    lines = "".join(told).splitlines()
    assert [line.partition("=")[0] for line in lines] == [*PASSWORDS, *PASSWORDS]
    made = {line.partition("=")[2] for line in lines}
    assert len(made) == 8
    assert all(re.fullmatch("'[0-9a-f]{48}'", password) for password in made)


def composer() -> list[str] | None:
    """Return the command of Docker Compose where there is one; reading files needs no engine."""
    asked = ["docker", "compose", "version"]
    if shutil.which("docker") and subprocess.run(asked, capture_output=True, check=False).returncode == 0:
        return asked[:2]
    return ["docker-compose"] if shutil.which("docker-compose") else None


def compose(folder: Path, files: tuple[Path, ...], **environment: str) -> subprocess.CompletedProcess[str]:
    """Have Docker Compose read files of the deployment."""
    program = composer()
    if program is None:
        pytest.skip("Docker Compose is not installed")
    given = {name: value for name, value in os.environ.items() if not name.startswith(("ANALYTICS_", "COMPOSE_"))}
    chosen = [part for file in files for part in ("-f", str(file))]
    return subprocess.run(
        [*program, "--env-file", str(folder / "env"), *chosen, "config"],
        env=given | environment,
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )


@pytest.mark.parametrize("missing", PASSWORDS)
@pytest.mark.parametrize("empty", [False, True], ids=["absent", "empty"])
def test_compose_refuses_to_start_without_a_password(tmp_path: Path, missing: str, empty: bool) -> None:
    (tmp_path / "env").write_text("")
    given = {name: "a password" for name in PASSWORDS if name != missing} | ({missing: ""} if empty else {})
    ran = compose(tmp_path, (COMPOSE,), **given)
    assert ran.returncode != 0
    assert f"set {missing} in .env, as deploy/.env.example shows" in ran.stdout + ran.stderr


def test_compose_reads_the_files_and_hands_over_any_password(tmp_path: Path) -> None:
    password = 'p@ss/$w:rd#%?&"€ $HOME'
    (tmp_path / "env").write_text("".join(f"{name}='{password}'\n" for name in PASSWORDS))
    ran = compose(tmp_path, (COMPOSE,))
    assert ran.returncode == 0, ran.stderr
    read = yaml.safe_load(ran.stdout)
    for service in ("migrate", "code", "webserver", "daemon"):
        told = read["services"][service]["environment"]["ANALYTICS_HISTORY_PASSWORD"]
        assert told.replace("$$", "$") == password
    assert read["services"]["webserver"]["environment"]["ANALYTICS_HISTORY_URL"].startswith("postgresql://dagster@")


def test_compose_reads_passwords_by_file(tmp_path: Path) -> None:
    (tmp_path / "env").write_text("".join(f"{name}=./secrets/{name.lower()}\n" for name in PASSWORDS))
    ran = compose(tmp_path, (COMPOSE, SECRETS))
    assert ran.returncode == 0, ran.stderr
    read = yaml.safe_load(ran.stdout)
    assert "secrets/" not in str({name: s["environment"] for name, s in read["services"].items()}).replace(
        "/run/secrets/analytics_admin_password", ""
    )
    assert read["secrets"]["analytics_history_password"]["file"] == str(ROOT / "secrets/analytics_history_password")


def test_scripts_of_the_deployment_say_how_they_are_run() -> None:
    for path in (ROOT / "deploy").glob("*.sh"):
        assert path.read_text().startswith("#!/bin/sh\n")
        assert stat.S_IMODE(path.stat().st_mode) & 0o111 in {0, 0o111}
