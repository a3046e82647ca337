"""The command line about alerts: what it shows, what it sends, and what it refuses."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest
import yaml
from click.testing import CliRunner, Result
from rich.console import Console

from analytics_assets import console
from analytics_assets.automation.alert_outbox import added, failed
from analytics_assets.automation.alert_state import AlertState, learned, peek, requests, save_state
from analytics_assets.automation.alerting import Due, Run
from analytics_assets.cli import main
from analytics_assets.outlets.messages import Failure, Message
from analytics_assets_tests.conftest import ORDERS, Workshop
from analytics_assets_tests.receivers import PATH, HttpReceiver, free_port

FAILED, MISUSED = 1, 2
NOW = dt.datetime(2024, 3, 4, 9, 30, tzinfo=dt.UTC)


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no message be folded."""
    for name in ("out", "err"):
        monkeypatch.setattr(console, name, Console(width=400, highlight=False, stderr=name == "err"))


@pytest.fixture
def bench(workshop: Workshop) -> Workshop:
    workshop.source("orders", ORDERS)
    channels = {"team": {"type": "slack", "url_env": "ALERTS_TEST_URL"}}
    (workshop.home / "alerts.yaml").write_text(yaml.safe_dump({"channels": channels, "routes": [{"to": ["team"]}]}))
    return workshop


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    opened = HttpReceiver()
    yield opened
    opened.close()


def call(workshop: Workshop, *arguments: str, **environment: str) -> Result:
    result = CliRunner().invoke(main, arguments, env=workshop.environment | environment)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.output
    assert PATH not in result.output
    return result


@pytest.fixture
def history(bench: Workshop, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Give the store of the history that the command line works on."""
    call(bench, "alerts")
    monkeypatch.setenv("DAGSTER_HOME", bench.environment["DAGSTER_HOME"])
    with dg.DagsterInstance.get() as instance:
        yield instance.daemon_cursor_storage


def remembered(bench: Workshop) -> AlertState:
    seen = [Run("r1", "daily", "failure", failures={"land_orders": "no such file"}), Due(NOW.date(), ("fact_sales",))]
    state = learned(AlertState(), seen, NOW, bench.project, "http://ui")
    lost = Message("9", NOW, "workshop", "opened", "run", "error", "an old story")
    outbox, _ = failed(state.outbox, state.outbox.waiting[0], Failure("channel team: no answer", transient=True), NOW)
    outbox = added(outbox, lost, ["team"])
    outbox, _ = failed(outbox, outbox.waiting[-1], Failure("channel team: status 404", transient=False), NOW)
    return learned(AlertState(state.book, outbox), [Due(NOW.date())], NOW, bench.project, "http://ui")


def test_before_the_sensor_looked_it_says_how_to_switch_it_on(bench: Workshop) -> None:
    result = call(bench, "alerts")
    assert result.exit_code == FAILED
    assert "ANALYTICS_AUTOMATION=true" in result.output


@pytest.mark.slow
def test_what_is_open_waiting_undelivered_and_over_is_shown(bench: Workshop, history: Any) -> None:
    save_state(history, "workshop", remembered(bench))
    said = call(bench, "alerts").output
    for told in ("run:daily", "2024-03-04 09:30", "land_orders: no such file", "channel team: no answer"):
        assert told in said
    for told in ("an old story", "channel team: status 404", "deadline", "recovered"):
        assert told in said


@pytest.mark.slow
def test_nothing_wrong_is_said_as_well(bench: Workshop, history: Any) -> None:
    save_state(history, "workshop", AlertState())
    assert "no problem is open" in call(bench, "alerts").output


def test_a_record_that_cannot_be_read_is_said_and_not_touched(bench: Workshop, history: Any) -> None:
    history.set_cursor_values({"analytics_assets/alerts/workshop": "{"})
    assert "cannot be read" in call(bench, "alerts").output
    assert history.get_cursor_values({"analytics_assets/alerts/workshop"}).popitem()[1] == "{"


def test_a_problem_is_closed_by_asking_the_sensor(bench: Workshop, history: Any) -> None:
    save_state(history, "workshop", remembered(bench))
    result = call(bench, "alerts", "close", "run:daily")
    assert result.exit_code == 0, result.output
    assert [request.close for request in requests(history, "workshop")] == ["run:daily"]
    assert peek(history, "workshop") == remembered(bench)  # the sensor alone writes it


def test_a_problem_that_there_is_not_is_refused_with_those_that_there_are(bench: Workshop, history: Any) -> None:
    save_state(history, "workshop", remembered(bench))
    result = call(bench, "alerts", "close", "run:dayly")
    assert result.exit_code == MISUSED
    assert "there is no open problem run:dayly. Did you mean run:daily? There are: run:daily" in result.output
    assert requests(history, "workshop") == ()


def test_a_channel_is_tried(bench: Workshop, receiver: HttpReceiver) -> None:
    result = call(bench, "alerts", "test", "team", ALERTS_TEST_URL=receiver.url)
    assert result.exit_code == 0, result.output
    assert "channel team took the message" in result.output
    assert "a test of channel team" in receiver.got[0].document["text"]


@pytest.mark.parametrize(
    ("url", "told"),
    [
        (f"http://127.0.0.1:{free_port()}{PATH}", "channel team at 127.0.0.1: the connection was refused"),
        ("", "channel team: the environment variable ALERTS_TEST_URL is not set"),
    ],
    ids=["refused", "unset"],  # a port in a test's name would be another in each process
)
def test_a_channel_that_fails_says_why(bench: Workshop, url: str, told: str) -> None:
    result = call(bench, "alerts", "test", "team", ALERTS_TEST_URL=url)
    assert result.exit_code == FAILED
    assert told in result.output


def test_a_channel_that_there_is_not_is_refused(bench: Workshop) -> None:
    result = call(bench, "alerts", "test", "taem")
    assert result.exit_code == MISUSED
    assert "there is no channel taem. Did you mean team? There are: team, log" in result.output


def test_the_log_can_be_tried(bench: Workshop) -> None:
    assert call(bench, "alerts", "test", "log").exit_code == 0


def test_check_says_which_variables_are_not_set_and_succeeds(bench: Workshop) -> None:
    result = call(bench, "check")
    assert result.exit_code == 0
    assert (
        "alerts.yaml:4: channels.team.url_env: the environment variable ALERTS_TEST_URL is not set here"
        in result.output
    )
    assert "not set" not in call(bench, "check", ALERTS_TEST_URL="http://h").output


def test_a_malformed_file_is_refused_by_every_command(bench: Workshop) -> None:
    (bench.home / "alerts.yaml").write_text("routes:\n- to: [taem]\n")
    for arguments in (["check"], ["alerts"], ["alerts", "test", "log"], ["alerts", "close", "x"]):
        result = call(bench, *arguments)
        assert result.exit_code == FAILED
        assert "alerts.yaml:2: routes[0].to[0]: there is no channel 'taem'" in result.output
