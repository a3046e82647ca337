"""`alerts.yaml`: what it may say, what is refused and in which words, and where problems go."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from analytics_assets.project.alerts import Alerts, EmailChannel, Route, unset_variables
from analytics_assets.project.loading import load_project
from analytics_assets.project.problems import Problem, ProjectError

PROJECT = {"name": "shop", "first_day": "2024-03-01"}
SOURCE = {
    "path": "data/users.csv",
    "format": "csv",
    "feeds": [{"table": "users", "columns": {"user_id": "id"}}],
}
GOOD = """
channels:
  team: {type: slack, url_env: ALERTS_SLACK_URL}
  pager: {type: webhook, url_env: ALERTS_PAGER_URL, token_env: ALERTS_PAGER_TOKEN}
  mail:
    type: email
    host: smtp.example.com
    from: data@example.com
    to: [ana@example.com]
    user_env: ALERTS_MAIL_USER
    password_env: ALERTS_MAIL_PASSWORD
routes:
  - to: [team, log]
  - to: [pager]
    severity: error
    kinds: [run, deadline]
  - to: [mail]
    assets: [fact_*]
    owners: ["team:growth"]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sources").mkdir()
    (tmp_path / "project.yaml").write_text(yaml.safe_dump(PROJECT))
    (tmp_path / "sources/users.yaml").write_text(yaml.safe_dump(SOURCE))
    return tmp_path


def refused(folder: Path, text: str) -> list[Problem]:
    (folder / "alerts.yaml").write_text(text)
    with pytest.raises(ProjectError) as caught:
        load_project(folder, {})
    assert {problem.file.name for problem in caught.value.problems} == {"alerts.yaml"}
    return list(caught.value.problems)


def channel(**keys: object) -> str:
    return yaml.safe_dump({"channels": {"team": keys}}, sort_keys=False)


def test_a_project_without_the_file_tells_the_log_of_everything(folder: Path) -> None:
    alerts = load_project(folder, {}).alerts
    assert alerts.receivers("run", "error") == alerts.receivers("verdict", "info") == ("log",)


def test_channels_and_routes_are_read(folder: Path) -> None:
    (folder / "alerts.yaml").write_text(GOOD)
    alerts = load_project(folder, {}).alerts
    assert set(alerts.channels) == {"team", "pager", "mail"}
    mail = alerts.channels["mail"]
    assert isinstance(mail, EmailChannel)
    assert (mail.sender, mail.address) == ("data@example.com", ("smtp.example.com", 587))


@pytest.mark.parametrize(("security", "port"), [("starttls", 587), ("tls", 465), ("none", 25)])
def test_the_port_follows_from_the_security(security: str, port: int) -> None:
    told = {"type": "email", "host": "h", "from": "a@b", "to": ["c@d"], "security": security}
    assert EmailChannel.model_validate(told).address == ("h", port)
    assert EmailChannel.model_validate({**told, "port": 2525}).address == ("h", 2525)


# where problems go


@pytest.mark.parametrize(
    ("problem", "to"),
    [
        (("check", "warning", "dim_users", ()), ("team", "log")),
        (("run", "error", "", ()), ("team", "log", "pager")),
        (("check", "error", "fact_sales", ("team:growth", "b@c")), ("team", "log", "mail")),
        (("check", "error", "fact_sales", ("team:other",)), ("team", "log")),
    ],
)
def test_a_problem_goes_to_the_channels_of_every_route_that_fits(folder: Path, problem: tuple, to: tuple) -> None:
    (folder / "alerts.yaml").write_text(GOOD)
    assert load_project(folder, {}).alerts.receivers(*problem) == to


def test_what_no_route_takes_goes_to_the_log() -> None:
    alerts = Alerts(routes=[Route(to=["a"], severity="error")])
    assert alerts.receivers("check", "warning", "fact_sales") == ("log",)


def test_a_channel_that_two_routes_name_is_told_once() -> None:
    alerts = Alerts(routes=[Route(to=["a", "b"]), Route(to=["a"])])
    assert alerts.receivers("run", "error") == ("a", "b")


def test_a_problem_without_a_table_fits_no_route_of_tables() -> None:
    assert not Route(to=["a"], assets=["fact_*"]).takes("run", "error", "", [])


# what is refused


@pytest.mark.parametrize(
    ("text", "line", "where", "told"),
    [
        ("chanels: {}\n", 1, "chanels", "unknown key 'chanels'. Did you mean 'channels'?"),
        ("- to: [a]\n", 1, "", "the file must hold keys with values"),
        ("routes: [\n", 2, "", "not valid YAML"),
        ("", 1, "", "the file is empty"),
        (channel(url_env="X"), 3, "channels.team", "missing key 'type'"),
        (channel(type="slak", url_env="X"), 3, "channels.team.type", "Did you mean 'slack'?"),
        (channel(type="slack"), 3, "channels.team", "missing key 'url_env'"),
        (channel(type="slack", uri_env="X", url_env="Y"), 4, "channels.team.uri_env", "Did you mean 'url_env'?"),
        ("routes:\n- to: []\n", 2, "routes[0].to", "1"),
        ("routes:\n- to: [log]\n  severity: eror\n", 3, "routes[0].severity", "Did you mean 'error'?"),
        ("routes:\n- to: [log]\n  kinds: [checks]\n", 3, "routes[0].kinds[0]", "Did you mean 'check'?"),
        ("routes:\n- severity: error\n", 2, "routes[0]", "missing key 'to'"),
        ("routes:\n- to: log\n", 2, "routes[0].to", "must be a list, not 'log'"),
        (
            "channels:\n  team: {type: log}\nroutes:\n- to: [log]\n- to: [taem]\n",
            5, "routes[1].to[0]", "there is no channel 'taem'. Did you mean 'team'? There are: team, log",
        ),
        ("channels:\n  log: {type: slack, url_env: X}\n", 2, "channels.log", "`log` is the log, always"),
    ],
)  # fmt: skip
def test_a_malformed_file_is_refused_with_its_line(folder: Path, text: str, line: int, where: str, told: str) -> None:
    (problem,) = refused(folder, text)
    assert (problem.line, problem.where) == (line, where), str(problem)
    assert told in str(problem)


MAIL = {"type": "email", "host": "smtp.example.com", "from": "a@b.c", "to": ["d@e.f"]}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"to": ["ana"]}, "'ana' is no e-mail address"),
        ({"from": "a@b.c\nBcc: x@y.z"}, "is no e-mail address"),
        ({"port": 0}, "must be 1 or more, not 0"),
        ({"security": "ssl"}, "must be one of 'starttls', 'tls', 'none', not 'ssl'"),
        ({"user_env": "U"}, "`user_env` and `password_env` go together"),
        ({"security": "none", "user_env": "U", "password_env": "P"}, "for all to read"),
    ],
)
def test_a_malformed_mail_channel_is_refused(folder: Path, changes: dict[str, object], told: str) -> None:
    (problem,) = refused(folder, channel(**{**MAIL, **changes}))
    assert told in str(problem)


@pytest.mark.parametrize(
    "keys",
    [
        {"type": "slack", "url_env": "https://hooks.example.com/services/hunter2"},
        {"type": "slack", "url_env": "hunter2"},
        {"type": "slack", "url_env": 4711000},
        {"type": "slack", "url_env": ["hunter2"]},
        {"type": "slack", "url_env": "X", "url": "https://hooks.example.com/hunter2"},
        {"type": "webhook", "url_env": "X", "token_env": "Bearer hunter2"},
        {**MAIL, "user_env": "USER", "password_env": "hunter2"},
        {**MAIL, "password": "hunter2"},
        {**MAIL, "host": "me:hunter2@smtp.example.com"},
        {**MAIL, "host": "smtps://me:hunter2@smtp.example.com:465"},
    ],
)
def test_a_secret_in_the_file_is_refused_and_not_repeated(folder: Path, keys: dict[str, object]) -> None:
    (problem,) = refused(folder, channel(**keys))
    assert "hunter2" not in str(problem)
    assert "4711000" not in str(problem)


def test_a_file_that_cannot_be_read_is_refused(folder: Path) -> None:
    (folder / "alerts.yaml").mkdir()
    with pytest.raises(ProjectError, match="folder, not a file"):
        load_project(folder, {})


# the environment


def test_variables_that_are_not_set_are_found_with_their_lines(folder: Path) -> None:
    (folder / "alerts.yaml").write_text(GOOD)
    found = unset_variables(folder, {"ALERTS_SLACK_URL": "https://x", "ALERTS_PAGER_URL": ""})
    assert [(problem.line, problem.message.split()[3]) for problem in found] == [
        (4, "ALERTS_PAGER_URL"), (4, "ALERTS_PAGER_TOKEN"), (10, "ALERTS_MAIL_USER"), (11, "ALERTS_MAIL_PASSWORD"),
    ]  # fmt: skip


def test_a_project_without_the_file_needs_no_variable(folder: Path) -> None:
    assert unset_variables(folder, {}) == ()
