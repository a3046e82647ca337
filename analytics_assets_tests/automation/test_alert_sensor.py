"""The sensor of alerts: real runs on Dagster's own history, real receivers, and ticks that are killed half way."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.execution.plan.objects import StepSuccessData

from analytics_assets.assets.catalog import resolve
from analytics_assets.automation.alert_sensor import Tick, _is_by_day, alert_sensor
from analytics_assets.automation.alert_state import AlertState, ask_to_close, load_state
from analytics_assets.automation.jobs import range_tags
from analytics_assets.automation.reporting import check_results, check_specs
from analytics_assets.automation.runtime import open_lake
from analytics_assets.contracts.audit import Finding
from analytics_assets.contracts.model import Contract
from analytics_assets.contracts.quality import QUALITY_FINDINGS
from analytics_assets.contracts.star import FACT_SALES
from analytics_assets.contracts.verdicts import EXPERIMENT_VERDICTS
from analytics_assets.definitions import build_definitions
from analytics_assets.lake.days import Days
from analytics_assets.lake.errors import LakeError
from analytics_assets.lake.releases import Computed, commit_release
from analytics_assets.outlets.messages import Failure, Message
from analytics_assets_tests.conftest import ORDERS, Workshop, day
from analytics_assets_tests.making import table
from analytics_assets_tests.receivers import PATH, TOKEN, HttpReceiver

NOW = dt.datetime(2024, 3, 20, 10, 0, tzinfo=dt.UTC)  # long after the last day of the project
CHANNELS = {
    "team": {"type": "slack", "url_env": "ALERTS_TEST_URL"},
    "pager": {"type": "webhook", "url_env": "ALERTS_TEST_URL", "token_env": "ALERTS_TEST_TOKEN"},
}
Made = Callable[..., dg.DagsterRun]


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpReceiver]:
    opened = HttpReceiver()
    monkeypatch.setenv("ALERTS_TEST_URL", opened.url)
    monkeypatch.setenv("ALERTS_TEST_TOKEN", TOKEN)
    yield opened
    opened.close()


def declare(workshop: Workshop, *to: str) -> None:
    """Let all problems go to some channels."""
    told = {"channels": CHANNELS, "routes": [{"to": list(to)}]}
    (workshop.home / "alerts.yaml").write_text(yaml.safe_dump(told))


@pytest.fixture
def bench(workshop: Workshop) -> Workshop:
    """Give a project of orders that tells the channel `pager` of all problems, and has ended long ago."""
    workshop.source("orders", ORDERS)
    declare(workshop, "pager")
    return workshop


def tick(workshop: Workshop, at: dt.datetime = NOW, **keys: Any) -> AlertState:
    project = workshop.project
    return Tick(workshop.instance, resolve(project), project, workshop.settings, clock=lambda: at, **keys).run()


def state_of(workshop: Workshop) -> AlertState:
    state = load_state(workshop.instance.daemon_cursor_storage, "workshop")
    assert state is not None
    return state


def told(receiver: HttpReceiver) -> list[str]:
    return [f"{posted.document['change']} {posted.document['problem']}" for posted in receiver.got]


def run_of(workshop: Workshop, days: Days, *findings: Finding, crash: str = "") -> dg.DagsterRun:
    """Run a tiny daily job whose one table has these findings."""

    @dg.asset(
        name="fact_sales",
        partitions_def=dg.DailyPartitionsDefinition("2024-03-01"),
        backfill_policy=dg.BackfillPolicy.single_run(),
        check_specs=check_specs(FACT_SALES),
    )
    def body() -> Iterator[Any]:
        if crash:
            raise RuntimeError(crash)
        yield from check_results(FACT_SALES, findings, dg.AssetKey("fact_sales"))
        if any(finding.severity == "error" and not finding.holds for finding in findings):
            raise dg.Failure("not published", allow_retries=False)
        yield dg.MaterializeResult(asset_key="fact_sales")

    @dg.asset(deps=[body])
    def release() -> None:
        """Stand for the release, which comes after all tables."""

    assets = [body, release]
    job = dg.Definitions(
        assets=assets, jobs=[dg.define_asset_job("daily", assets)], executor=dg.in_process_executor
    ).resolve_job_def("daily")
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    result = job.execute_in_process(
        instance=workshop.instance, raise_on_error=False, tags=range_tags(days), run_config=quiet
    )
    return result.dagster_run


def recorded(workshop: Workshop, status: dg.DagsterRunStatus, job: str = "weekly", **keys: Any) -> dg.DagsterRun:
    """Record a run that nobody ran."""
    run = dg.DagsterRun(job_name=job, status=dg.DagsterRunStatus.STARTED, **keys)
    workshop.instance.add_run(run)
    end(workshop, run, status)
    return run


def end(workshop: Workshop, run: dg.DagsterRun, status: dg.DagsterRunStatus) -> None:
    events = {
        dg.DagsterRunStatus.SUCCESS: dg.DagsterEventType.RUN_SUCCESS,
        dg.DagsterRunStatus.FAILURE: dg.DagsterEventType.RUN_FAILURE,
        dg.DagsterRunStatus.CANCELED: dg.DagsterEventType.RUN_CANCELED,
    }
    if status == SUCCESS:
        done = dg.DagsterEvent(
            "STEP_SUCCESS", run.job_name, step_key="release", event_specific_data=StepSuccessData(1.0)
        )
        workshop.instance.report_dagster_event(done, run.run_id)
    if status in events:
        event = dg.DagsterEvent(events[status].value, run.job_name, message="The process of this run is gone.")
        workshop.instance.report_dagster_event(event, run.run_id)


FAILURE, SUCCESS = dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS
DAYS = Days(day("03-01"), day("03-03"))
BROKEN = Finding(
    "keys", "order_id, line names one row", "error", 2, days=(day("03-02"),), samples=("order_id o1, line 1",)
)


# from a run to a message


@pytest.mark.slow
def test_a_failing_check_is_told_once_with_all_a_person_needs_and_its_recovery_once(
    bench: Workshop, receiver: HttpReceiver
) -> None:
    bench.declare(owners=["team:sales"])
    run = run_of(bench, DAYS, BROKEN)
    for _ in range(3):
        tick(bench)
    (posted,) = receiver.got
    said = posted.document
    assert (said["change"], said["severity"], said["asset"], said["check"]) == ("opened", "error", "fact_sales", "keys")
    assert said["title"] == "fact_sales: check keys fails on 2024-03-02"
    assert said["samples"] == ["order_id o1, line 1"]
    assert "order_id, line names one row (error): 2 rows" in said["text"]
    assert "Owner: team:sales" in said["text"]
    assert said["links"] == [{"title": "Run", "url": f"http://127.0.0.1:3000/runs/{run.run_id}"}]
    assert said["advice"][-1].endswith("analytics-assets backfill 2024-03-02 2024-03-02")

    run_of(bench, Days(day("03-01"), day("03-01")))
    tick(bench)
    assert len(receiver.got) == 1
    mended = run_of(bench, Days(day("03-02"), day("03-02")))
    for _ in range(3):
        tick(bench)
    assert told(receiver) == ["opened check:fact_sales:keys", "recovered check:fact_sales:keys"]
    assert receiver.got[1].document["answers"] == said["id"]
    assert receiver.got[1].document["run_id"] == mended.run_id
    assert state_of(bench).book.open == {}


def test_a_warning_is_told_though_the_run_succeeds(bench: Workshop, receiver: HttpReceiver) -> None:
    run = run_of(
        bench, DAYS, Finding("references", "product_id is in dim_products", "warning", 1, days=(day("03-03"),))
    )
    assert run.status == SUCCESS
    tick(bench)
    assert told(receiver) == ["opened check:fact_sales:references"]
    assert receiver.got[0].document["severity"] == "warning"


@pytest.mark.parametrize(
    ("contract", "check", "by_day"),
    [(FACT_SALES, "keys", True), (QUALITY_FINDINGS, "values", False), (QUALITY_FINDINGS, "metrics", True)],
)
def test_a_check_that_judges_the_days_of_its_run_alone_is_by_day(contract: Contract, check: str, by_day: bool) -> None:
    assert _is_by_day(contract, check) == by_day


@pytest.mark.slow
def test_a_run_that_crashes_is_told_with_its_cause_and_without_a_login(bench: Workshop, receiver: HttpReceiver) -> None:
    run_of(bench, DAYS, crash="no answer from postgres://me:hunter2@db/shop")
    tick(bench)
    assert told(receiver) == ["opened run:daily:2024-03-01..2024-03-03"]
    assert "fact_sales: RuntimeError: no answer from postgres://***@db/shop" in receiver.got[0].document["text"]
    run_of(bench, DAYS)
    tick(bench)
    assert told(receiver)[1:] == ["recovered run:daily:2024-03-01..2024-03-03"]


def test_a_run_that_was_killed_is_told_and_one_that_was_canceled_is_not(
    bench: Workshop, receiver: HttpReceiver
) -> None:
    recorded(bench, dg.DagsterRunStatus.CANCELED)
    recorded(bench, FAILURE)
    tick(bench)
    assert told(receiver) == ["opened run:weekly"]
    assert "The process of this run is gone." in receiver.got[0].document["text"]


def test_a_run_that_ends_between_two_ticks_is_seen_whatever_the_clock_says(
    bench: Workshop, receiver: HttpReceiver
) -> None:
    slow = recorded(bench, dg.DagsterRunStatus.STARTED)
    tick(bench)
    recorded(bench, SUCCESS, "other")
    tick(bench, NOW - dt.timedelta(days=400))
    assert receiver.got == []
    end(bench, slow, FAILURE)
    tick(bench, NOW + dt.timedelta(days=400))
    assert told(receiver) == ["opened run:weekly"]


def test_what_is_over_when_the_sensor_looks_for_the_first_time_is_not_told(
    bench: Workshop, receiver: HttpReceiver
) -> None:
    recorded(bench, FAILURE)
    recorded(bench, SUCCESS)
    recorded(bench, FAILURE, "other")
    tick(bench)
    assert told(receiver) == ["opened run:other"]


def test_the_first_look_goes_back_over_the_last_runs_only(bench: Workshop, receiver: HttpReceiver) -> None:
    recorded(bench, FAILURE, "ancient")
    for _ in range(30):
        recorded(bench, SUCCESS, "other")
    tick(bench)
    tick(bench)
    assert receiver.got == []


@pytest.mark.slow
def test_many_runs_are_read_over_several_ticks_and_none_is_forgotten(bench: Workshop, receiver: HttpReceiver) -> None:
    tick(bench)
    recorded(bench, SUCCESS, "first")
    tick(bench)
    for number in range(130):
        recorded(bench, FAILURE, f"job{number}", tags={})
    for _ in range(8):
        tick(bench)
    assert len(state_of(bench).book.open) == 130
    assert len({posted.document["problem"] for posted in receiver.got}) == len(receiver.got) == 130


def test_runs_that_somebody_deleted_do_not_blind_the_sensor(bench: Workshop, receiver: HttpReceiver) -> None:
    runs = [recorded(bench, SUCCESS, "gone") for _ in range(3)]
    slow = recorded(bench, dg.DagsterRunStatus.STARTED)
    tick(bench)
    for run in (*runs, slow):
        bench.instance.delete_run(run.run_id)
    recorded(bench, FAILURE)
    tick(bench)
    assert told(receiver) == ["opened run:weekly"]
    assert state_of(bench).running == ()


@pytest.mark.slow
def test_runs_of_another_code_location_are_none_of_ours(bench: Workshop, receiver: HttpReceiver) -> None:
    from dagster._core.remote_origin import (
        RegisteredCodeLocationOrigin,
        RemoteJobOrigin,
        RemoteRepositoryOrigin,
    )

    def of(location: str) -> RemoteJobOrigin:
        return RemoteJobOrigin(RemoteRepositoryOrigin(RegisteredCodeLocationOrigin(location), "repository"), "weekly")

    for _ in range(150):  # more than a tick reads
        recorded(bench, FAILURE, remote_job_origin=of("theirs"))
    recorded(bench, FAILURE, "ours", remote_job_origin=of("ours"))
    for _ in range(5):
        tick(bench, location="ours")
    assert told(receiver) == ["opened run:ours"]


# delivery


@pytest.mark.slow
def test_an_unreachable_channel_gets_its_messages_later_and_once(bench: Workshop, receiver: HttpReceiver) -> None:
    receiver.behaves = 500
    recorded(bench, FAILURE)
    at = NOW
    for _ in range(40):
        tick(bench, at)
        at += dt.timedelta(seconds=15)
    assert {posted.document["problem"] for posted in receiver.got} == {"run:weekly"}
    assert {posted.headers["Idempotency-Key"] for posted in receiver.got} == {f"{receiver.got[0].document['id']}.pager"}
    assert len(receiver.got) == 5  # after 0, 30, 90, 210 and 450 seconds
    assert state_of(bench).outbox.waiting[0].reason == "channel pager at 127.0.0.1: it answers with status 500"
    receiver.behaves, receiver.got = 200, []
    for _ in range(80):
        tick(bench, at)
        at += dt.timedelta(seconds=15)
    assert told(receiver) == ["opened run:weekly"]


def test_a_channel_that_does_not_deliver_is_told_to_another_channel(
    bench: Workshop, receiver: HttpReceiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    receiver.behaves = 404
    recorded(bench, FAILURE)
    tick(bench)
    tick(bench)
    state = state_of(bench)
    assert [(lost.channel, lost.reason) for lost in state.outbox.undelivered] == [
        ("pager", "channel pager at 127.0.0.1: it answers with status 404")
    ]
    assert "delivery:pager" in state.book.open
    assert "run of weekly failed" in caplog.text  # what was given up
    assert "channel pager does not deliver" in caplog.text
    assert len(receiver.got) == 1
    receiver.behaves = 200
    recorded(bench, FAILURE, "other")
    tick(bench)
    tick(bench)
    assert "delivery:pager" not in state_of(bench).book.open
    assert "channel pager delivers again" in caplog.text


def test_a_channel_that_just_failed_is_left_alone_for_the_rest_of_the_tick(
    bench: Workshop, receiver: HttpReceiver
) -> None:
    receiver.behaves = 500
    for job in ("weekly", "other", "third"):
        recorded(bench, FAILURE, job)
    tick(bench)
    assert len(receiver.got) == 1


def test_a_missing_variable_is_a_recorded_failure(
    bench: Workshop, receiver: HttpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ALERTS_TEST_TOKEN")
    recorded(bench, FAILURE)
    tick(bench)
    (waiting,) = state_of(bench).outbox.waiting
    assert waiting.reason == "channel pager: the environment variable ALERTS_TEST_TOKEN is not set"
    monkeypatch.setenv("ALERTS_TEST_TOKEN", TOKEN)
    tick(bench, NOW + dt.timedelta(minutes=1))
    assert told(receiver) == ["opened run:weekly"]


def test_a_channel_that_is_gone_from_the_project_loses_nothing_silently(
    bench: Workshop, receiver: HttpReceiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.behaves = 500
    recorded(bench, FAILURE)
    tick(bench)
    (bench.home / "alerts.yaml").unlink()
    tick(bench, NOW + dt.timedelta(minutes=1))
    assert [lost.reason for lost in state_of(bench).outbox.undelivered] == ["the project has no channel pager any more"]
    assert "run of weekly failed" in caplog.text


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.mark.parametrize("at", [0, 1, 2, 3])
@pytest.mark.parametrize("after", [True, False])
def test_a_tick_that_is_killed_sends_nothing_twice_that_was_recorded(bench: Workshop, at: int, after: bool) -> None:
    sent: list[str] = []

    def deliver(message: Message, name: str, *_: Any, **__: Any) -> Failure | None:
        return sent.append(f"{message.id}.{name}")  # type: ignore[func-returns-value]

    def killed(message: Message, name: str, *_: Any, **__: Any) -> Failure | None:
        if len(sent) == at:
            if after:
                sent.append(f"{message.id}.{name}")
            raise Killed
        return deliver(message, name)

    declare(bench, "team", "pager")
    recorded(bench, FAILURE)
    recorded(bench, FAILURE, "other")
    with pytest.raises(Killed):
        tick(bench, deliver=killed)
    tick(bench, deliver=deliver)
    tick(bench, deliver=deliver)
    assert len(set(sent)) == 4
    assert len(sent) == (5 if after else 4)  # at least once: what was sent and not recorded goes again, by its id


def test_a_tick_that_is_killed_before_it_recorded_sees_everything_again(
    bench: Workshop, receiver: HttpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded(bench, FAILURE)
    with monkeypatch.context() as patched:
        patched.setattr(Tick, "_save", lambda *_: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            tick(bench)
    assert receiver.got == []
    tick(bench)
    assert told(receiver) == ["opened run:weekly"]


# what is remembered


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"version": 99}', '{"version": 1, "book": {"open": {"a": {}}}}'])
def test_a_record_that_cannot_be_read_is_said_and_what_is_open_is_told_again(
    bench: Workshop, receiver: HttpReceiver, damage: str
) -> None:
    recorded(bench, FAILURE)
    tick(bench)
    store = bench.instance.daemon_cursor_storage
    store.set_cursor_values({"analytics_assets/alerts/workshop": damage})
    tick(bench)
    tick(bench)
    assert told(receiver) == ["opened run:weekly", "told lost", "opened run:weekly"]
    assert store.get_cursor_values({"analytics_assets/alerts/workshop/unreadable"}) == {
        "analytics_assets/alerts/workshop/unreadable": damage
    }


def test_a_person_can_close_a_problem(bench: Workshop, receiver: HttpReceiver) -> None:
    recorded(bench, FAILURE)
    tick(bench)
    store = bench.instance.daemon_cursor_storage
    for key in ("run:weekly", "nothing"):
        ask_to_close(store, "workshop", key, state_of(bench).handled)
    tick(bench)
    tick(bench)
    assert told(receiver) == ["opened run:weekly", "closed run:weekly"]
    recorded(bench, FAILURE)
    tick(bench)
    assert told(receiver)[2:] == ["opened run:weekly"]


def test_a_tick_without_news_writes_nothing(bench: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    tick(bench)
    monkeypatch.setattr(Tick, "_save", lambda *_: pytest.fail("written"))
    tick(bench)


# the deadline and verdicts, by the newest release


def release(workshop: Workshop, days: Days | None, verdict: str | None = None) -> None:
    """Release the days of every table, and a verdict, without computing anything but that."""
    contracts = resolve(workshop.project).contracts()
    written = {name: Computed(1, days) for name, contract in contracts.items() if contract.day and days}
    with open_lake(workshop.settings, "workshop") as lake:
        if verdict is not None:
            row = {
                "experiment": "checkout", "variant": "new", "verdict": verdict, "because": "by its numbers",
                "over": False, "as_of": day("03-01"), "plan": "registered", "hypothesis": "h", "starts": day("03-01"),
                "ends": day("03-02"), "method": "fixed", "metric": "orders", "n_control": 1, "n": 1,
            }  # fmt: skip
            staged = lake.stage(EXPERIMENT_VERDICTS, table(EXPERIMENT_VERDICTS, row))
            written[EXPERIMENT_VERDICTS.table] = Computed(lake.publish(staged, "r").version)
        commit_release(lake, "r", written, NOW)


def morning(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(f"2024-03-{text}").replace(tzinfo=dt.UTC)


def test_a_missed_deadline_is_told_once_and_its_end_once(bench: Workshop, receiver: HttpReceiver) -> None:
    bench.declare(last_day=None)
    release(bench, Days(day("03-01"), day("03-02")))
    tick(bench, morning("03 10:00"))
    tick(bench, morning("04 08:59"))
    assert receiver.got == []
    for _ in range(3):
        tick(bench, morning("04 09:00"))
    tick(bench, morning("05 09:00"))
    assert told(receiver) == ["opened deadline"]
    assert receiver.got[0].document["title"] == "2024-03-03 is not there, though its deadline has passed"
    assert "fact_sales" in receiver.got[0].document["text"]
    assert "analytics-assets backfill 2024-03-03 2024-03-03" in receiver.got[0].document["text"]
    release(bench, Days(day("03-03"), day("03-04")))
    recorded(bench, SUCCESS, "daily")
    tick(bench, morning("05 09:30"))
    assert told(receiver) == ["opened deadline", "recovered deadline"]


def test_the_deadline_is_one_of_the_reporting_time_zone_over_a_change_of_the_clock(
    bench: Workshop, receiver: HttpReceiver
) -> None:
    bench.declare(last_day=None, time_zone="Europe/Berlin")
    release(bench, Days(day("03-01"), day("03-29")))
    tick(bench, morning("31 06:59"))  # 08:59 in Berlin, where the clocks went ahead that night
    assert receiver.got == []
    tick(bench, morning("31 07:00"))
    assert told(receiver) == ["opened deadline"]


def test_a_clock_that_jumps_a_day_ahead_and_back_tells_one_problem_and_its_end(
    bench: Workshop, receiver: HttpReceiver
) -> None:
    bench.declare(last_day=None)
    release(bench, Days(day("03-01"), day("03-02")))
    for at in ("03 10:00", "04 10:00", "03 10:00", "03 11:00"):
        tick(bench, morning(at))
    assert told(receiver) == ["opened deadline", "recovered deadline"]


def test_a_project_without_a_release_says_so(bench: Workshop, receiver: HttpReceiver) -> None:
    bench.declare(last_day=None)
    tick(bench, morning("02 08:00"))
    assert receiver.got == []
    tick(bench, morning("02 09:00"))
    assert "there is no release yet" in receiver.got[0].document["text"]


def test_data_that_has_ended_has_no_deadline(bench: Workshop, receiver: HttpReceiver) -> None:
    tick(bench, morning("20 10:00"))
    assert receiver.got == []


@pytest.mark.slow
def test_a_changed_verdict_is_told_once(bench: Workshop, receiver: HttpReceiver) -> None:
    release(bench, None, "too early")
    tick(bench)
    for verdict in ("too early", "rollback", "rollback"):
        release(bench, None, verdict)
        recorded(bench, SUCCESS, "daily")
        tick(bench)
    assert told(receiver) == ["told verdict:checkout/new"]
    said = receiver.got[0].document
    assert said["title"] == "experiment checkout: new: rollback, was too early"
    assert "by its numbers" in said["text"]


def test_a_lake_that_cannot_be_read_is_read_again(
    bench: Workshop, receiver: HttpReceiver, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object) -> None:
        raise LakeError("no answer from s3://lake")

    bench.declare(last_day=None)
    recorded(bench, FAILURE)
    with monkeypatch.context() as patched:
        patched.setattr("analytics_assets.automation.alert_sensor.latest_release", broken)
        tick(bench, morning("04 10:00"))
    assert told(receiver) == ["opened run:weekly"]
    assert "the newest release cannot be read; the next tick tries again: no answer from s3://lake" in caplog.text
    tick(bench, morning("04 10:01"))
    assert told(receiver)[1:] == ["opened deadline"]


# as Dagster calls it, and no secret anywhere


def test_dagster_calls_the_sensor(bench: Workshop, receiver: HttpReceiver) -> None:
    recorded(bench, FAILURE)
    project = bench.project
    sensor = alert_sensor(resolve(project), project, bench.settings)
    assert (sensor.name, sensor.minimum_interval_seconds) == ("alerts", 15)
    context = dg.build_sensor_context(instance=bench.instance)
    skipped = sensor(context)
    assert isinstance(skipped, dg.SkipReason)
    assert skipped.skip_message == "open problems: 1, messages on their way: 0, given up: 0"
    assert told(receiver) == ["opened run:weekly"]


@pytest.mark.parametrize(("automation", "status"), [(True, "RUNNING"), (False, "STOPPED")])
def test_the_sensor_begins_as_the_settings_say(bench: Workshop, automation: bool, status: str) -> None:
    settings = bench.settings.model_copy(update={"automation": automation})
    sensors = build_definitions(bench.project, settings).sensors or ()
    assert [s.default_status.name for s in sensors if s.name == "alerts"] == [status]


@pytest.mark.parametrize("behaves", [200, 500, 404, "reset"])
def test_no_secret_is_in_what_is_remembered_logged_or_shown(
    bench: Workshop, receiver: HttpReceiver, caplog: pytest.LogCaptureFixture, capfd: Any, behaves: int | str
) -> None:
    caplog.set_level(logging.DEBUG)
    receiver.behaves = behaves
    declare(bench, "team", "pager", "log")
    run = run_of(bench, DAYS, crash="boom")
    for minutes in range(5):
        state = tick(bench, NOW + dt.timedelta(minutes=minutes))
    store = bench.instance.daemon_cursor_storage
    everything = [
        caplog.text,
        *capfd.readouterr(),
        repr(state),
        str(store.get_cursor_values({"analytics_assets/alerts/workshop"})),
        repr(bench.instance.all_logs(run.run_id)),
        repr(bench.instance.get_run_records()),
        repr(alert_sensor(resolve(bench.project), bench.project, bench.settings)),
        "".join(path.read_text() for path in Path(bench.home).rglob("*.yaml")),
    ]
    assert receiver.got
    for secret in (PATH, "planted-path", TOKEN):
        assert not any(secret in text for text in everything), secret
