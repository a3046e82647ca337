"""The command line: what each command says, and how it exits."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from analytics_assets import console
from analytics_assets.automation.running import RunOutcome
from analytics_assets.automation.runtime import StepReport
from analytics_assets.cli import main
from analytics_assets.lake.days import Days
from analytics_assets.report.shop import Answer
from analytics_assets_tests.conftest import ORDERS, UNDRAWN, Workshop, csv, day, orders

FAILED, MISUSED = 1, 2
GOOD = ("o1,1,u1,p1,2024-03-01 10:00:00,2,9.99", "o2,1,u2,p1,2024-03-02 11:00:00,1,5")
BAD = ("[o3],1,u1,p1,2024-03-01 10:00:00,2,NaN", "o4,1,u1,p1,2024-03-02 10:00:00,-1,2", "o5,1,u1")
EVENTS = {
    "path": "data/events.csv",
    "format": "csv",
    "feeds": [{"table": "events", "columns": {"user_id": "user", "event_type": "type", "occurred_at": "at"}}],
}
Call = Callable[..., Result]


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no message be folded."""
    for name in ("out", "err"):
        monkeypatch.setattr(console, name, Console(width=400, highlight=False, stderr=name == "err"))


def caller(workshop: Workshop) -> Call:
    def call(*arguments: str, **environment: str) -> Result:
        result = CliRunner().invoke(main, arguments, env=workshop.environment | environment)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert "Traceback" not in result.output
        return result

    return call


@pytest.fixture
def call(workshop: Workshop) -> Call:
    """Give the command line of an empty project."""
    return caller(workshop)


@pytest.fixture(scope="module")
def ran(shared_workshop: Workshop) -> Iterator[tuple[Workshop, Result]]:
    """Run a project of orders, good and bad, and events, once for the tests that only look."""
    shared_workshop.declare(last_day=day("03-02"))
    shared_workshop.source("orders", ORDERS)
    shared_workshop.source("events", EVENTS)
    shared_workshop.deliver("orders.csv", orders(*GOOD, *BAD))
    shared_workshop.deliver("events.csv", csv(("user", "type", "at"), "u1,view,2024-03-01 09:00:00"))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(console, "out", Console(width=400, highlight=False))
        yield shared_workshop, caller(shared_workshop)("run", "--each")


@pytest.fixture
def look(ran: tuple[Workshop, Result]) -> Call:
    """Give the command line of the project that was run."""
    return caller(ran[0])


def row_of(result: Result, name: str) -> list[str]:
    """Return the cells of the first line that begins with a word."""
    return next(line.split() for line in result.output.splitlines() if line.split()[:1] == [name])


# run


@pytest.mark.slow
def test_run_says_what_it_did_and_exits_with_zero(ran: tuple[Workshop, Result]) -> None:
    _, result = ran
    assert result.exit_code == 0, result.output
    assert row_of(result, "staged_order_lines")[1:3] == ["5", "3"]
    assert row_of(result, "fact_sales")[1] == "2"
    assert ["order_lines", "unparseable_unit_price", "1"] in [line.split() for line in result.output.splitlines()]
    assert "done: 60 tables" in result.output
    assert "readers see release 1" in result.output


def test_run_names_its_charts_and_its_report(ran: tuple[Workshop, Result]) -> None:
    workshop, result = ran
    told = dict(line.split(": ", 1) for line in result.output.splitlines() if line.startswith(("charts: ", "report: ")))
    count, folder = told["charts"].split(", in ")
    assert len(list(Path(folder).glob("*.png"))) == int(count) > 0
    assert Path(told["report"]).is_relative_to(workshop.folder)
    assert Path(told["report"]).read_text().startswith("<!")


def _finished(table: str, *, version: int | None = 1, rejected: int = 0) -> StepReport:
    reasons = {"duplicate": rejected} if rejected else {}
    return StepReport(table, 10, seconds=1.5, engine_seconds=0.5, version=version, rejected=reasons)


def _outcome(*reports: StepReport) -> RunOutcome:
    days = Days(dt.date(2024, 3, 1), dt.date(2024, 3, 2))
    return RunOutcome("r", days, success=all(report.version for report in reports), reports=reports)


def test_many_tables_are_shown_by_group_but_each_that_was_not_published(capsys: pytest.CaptureFixture[str]) -> None:
    reports = [_finished(f"fact_{number}") for number in range(40)]
    groups = {report.table: "facts" for report in reports} | {"staged_a": "staged"}
    reports += [_finished("raw_a"), _finished("staged_a", rejected=3), _finished("fact_broken", version=None)]
    console.summary(_outcome(*reports), "lake", groups)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["facts", "40", "400", "60.00", "20.00"] in lines
    assert ["raw", "1", "10", "1.50", "0.50"] in lines
    assert ["staged", "1", "10", "3", "1.50", "0.50"] in lines
    assert ["fact_broken", "(not", "published)", "10", "1.50", "0.50"] in lines
    assert not [line for line in lines if line[:1] == ["fact_1"]]


def test_few_tables_are_shown_one_by_one(capsys: pytest.CaptureFixture[str]) -> None:
    console.summary(_outcome(_finished("fact_1"), _finished("fact_2")), "lake", {"fact_1": "facts", "fact_2": "facts"})
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines() if "fact" in line] == ["fact_1", "fact_2"]


def test_what_run_did_is_in_dagster_s_history(ran: tuple[Workshop, Result], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", ran[0].environment["DAGSTER_HOME"])
    with dg.DagsterInstance.get() as history:
        (record,) = history.get_run_records()
        assert record.dagster_run.status == dg.DagsterRunStatus.SUCCESS
        assert history.get_materialized_partitions(dg.AssetKey("fact_sales")) == {"2024-03-01", "2024-03-02"}


@pytest.mark.slow
def test_run_fails_with_the_file_that_is_missing(workshop: Workshop, call: Call) -> None:
    workshop.source("orders", ORDERS)
    result = call("run")
    assert result.exit_code == FAILED
    assert f"failed land_orders: source orders: no file {workshop.home}/data/orders.csv" in result.output
    assert "readers see release 0" in result.output


@pytest.mark.slow
def test_run_fails_with_the_rule_that_is_broken_its_count_and_samples(workshop: Workshop, call: Call) -> None:
    workshop.source("orders", ORDERS, feeds=[{**ORDERS["feeds"][0], "unique_by": "row"}])
    workshop.deliver("orders.csv", orders(GOOD[0], GOOD[0], GOOD[1]))
    result = call("run", "--select", "+fact_sales")
    assert result.exit_code == FAILED
    assert "fact_sales (not published)" in result.output
    assert "order_id, line names one row: broken by 1 row, on 2024-03-01; such as order_id o1, line 1" in result.output
    assert "readers see release 0" in result.output


@pytest.mark.slow
def test_run_succeeds_with_a_warning_and_says_it(workshop: Workshop, call: Call) -> None:
    workshop.source("orders", ORDERS)
    workshop.deliver("orders.csv", orders())
    result = call("run", "--select", "raw_order_lines")
    assert result.exit_code == 0
    assert "warning raw_order_lines, volume: no file is empty (orders.csv)" in result.output


@pytest.mark.slow
def test_run_computes_the_selected_table_and_all_that_come_of_it(workshop: Workshop, call: Call) -> None:
    workshop.source("events", EVENTS)
    workshop.deliver("events.csv", csv(("user", "type", "at"), "u1,view,2024-03-01 09:00:00"))
    assert call("run", "--select", UNDRAWN).exit_code == 0
    before = workshop.release().versions
    result = call("run", "--select", "fact_events+")
    assert result.exit_code == 0, result.output
    after = workshop.release().versions
    made = {name for name in after if after[name] != before[name]}
    assert made >= {"fact_events", "fact_sessions", "fact_user_days", "fact_user_day_events", "active_users"}
    assert not {name for name in made if name.startswith(("raw_", "staged_", "dim_"))}


@pytest.mark.slow
def test_run_computes_the_days_that_are_asked_for(workshop: Workshop, call: Call) -> None:
    workshop.source("orders", ORDERS)
    workshop.deliver("orders.csv", orders(*GOOD))
    result = call("run", "--from", "2024-03-02", "--to", "2024-03-02", "--select", "+fact_sales")
    assert "2024-03-02 in" in result.output
    assert workshop.rows("fact_sales", "order_id") == ["o2"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--from", "2024-02-01"], "2024-02-01 lies before the project's first day 2024-03-01"),
        (["--to", "2024-03-05"], "2024-03-05 lies after the last day of the project, 2024-03-04"),
        (["--from", "2024-03-03", "--to", "2024-03-01"], "2024-03-01 lies before the first day 2024-03-03"),
        (["--from", "someday"], "'someday' does not match the format '%Y-%m-%d'"),
        (["--select", "fact_sale+"], "fact_sales"),
        (["--select", "fact_sales and and"], "Invalid selection string"),
        (["--select", "group:nothing"], "no table or chart of this project is named by group:nothing"),
    ],
)
def test_run_refuses_days_and_tables_that_the_project_does_not_have(
    workshop: Workshop, call: Call, arguments: list[str], says: str
) -> None:
    workshop.source("orders", ORDERS)
    result = call("run", *arguments)
    assert result.exit_code == MISUSED
    assert "Invalid value for" in result.output
    assert arguments[-2].removeprefix("--") in result.output
    assert says in result.output
    assert not workshop.lake.exists()


# check


def test_check_says_which_tables_there_are_and_why_others_are_absent(workshop: Workshop, call: Call) -> None:
    workshop.source("orders", ORDERS)
    result = call("check")
    assert result.exit_code == 0
    assert "days in UTC, amounts in USD" in result.output
    assert row_of(result, "facts")[1:] == ["fact_sales,", "fact_user_days"]
    assert row_of(result, "raw_users")[1:] == ["no", "source", "feeds", "users"]
    assert row_of(result, "fact_events")[1:] == ["needs", "staged_events"]
    assert row_of(result, "dim_users")[1:] == ["needs", "staged_users"]


@pytest.mark.parametrize("command", ["check", "run", "tables"])
def test_a_wrong_key_is_named_with_file_line_and_what_is_allowed(workshop: Workshop, call: Call, command: str) -> None:
    workshop.source("orders", {"timezone": "UTC", **ORDERS})
    result = call(command)
    assert result.exit_code == FAILED
    assert f"{workshop.home}/sources/orders.yaml:1: timezone: unknown key 'timezone'" in result.output
    assert "Did you mean 'time_zone'?" in result.output
    assert "Allowed: path, postgres, shop, description, format" in result.output


def test_every_problem_of_a_project_is_said_at_once(workshop: Workshop, call: Call) -> None:
    workshop.declare(time_zone="Mars/Olympus")
    workshop.source("orders", ORDERS, feeds=[{"table": "order_line", "columns": {}}])
    result = call("check")
    assert result.exit_code == FAILED
    assert "project.yaml:" in result.output
    assert "'Mars/Olympus' is no time zone" in result.output
    assert "orders.yaml:" in result.output
    assert "there is no raw table 'order_line'" in result.output
    assert "Did you mean 'order_lines'?" in result.output


def test_yaml_that_is_none_is_named_with_file_and_line(workshop: Workshop, call: Call) -> None:
    (workshop.home / "sources" / "orders.yaml").write_text("path: data.csv\nformat: [csv\n")
    result = call("check")
    assert result.exit_code == FAILED
    assert f"{workshop.home}/sources/orders.yaml:" in result.output


def test_a_folder_without_a_project_is_named(workshop: Workshop, call: Call) -> None:
    result = call("check", "--project", str(workshop.folder / "nowhere"))
    assert result.exit_code == FAILED
    assert f"{workshop.folder}/nowhere/project.yaml:1: there is no such file" in result.output


def test_a_wrong_setting_is_named(workshop: Workshop, call: Call) -> None:
    result = call("check", ANALYTICS_THREADS="none")
    assert result.exit_code == FAILED
    assert "setting ANALYTICS_THREADS" in result.output


# tables, show, rejected


def test_before_a_release_there_is_nothing_to_look_at(workshop: Workshop, call: Call) -> None:
    workshop.source("orders", ORDERS)
    assert "no rows" in call("tables").output
    for command in ("show", "rejected"):
        result = call(command, "fact_sales")
        assert result.exit_code == FAILED
        assert "there is no release in" in result.output
        assert "analytics-assets run makes one" in result.output


def test_tables_lists_rows_days_version_and_grain(look: Call) -> None:
    result = look("tables")
    assert result.exit_code == 0
    assert " ".join(row_of(result, "fact_sales")) == "fact_sales 2 2024-03-01 to 2024-03-02 1 one row an order line"
    assert "release 1 of workshop" in result.output


def test_show_shows_rows_by_key_and_how_many_there_are(look: Call) -> None:
    result = look("show", "fact_sales", "--limit", "1")
    assert result.exit_code == 0
    assert "o1" in result.output
    assert "o2" not in result.output
    assert "1 of 2 rows" in result.output


def test_show_shows_one_day(look: Call) -> None:
    result = look("show", "fact_sales", "--day", "2024-03-02")
    assert "o2" in result.output
    assert "o1" not in result.output


def test_show_shows_only_the_columns_that_are_asked_for(look: Call) -> None:
    result = look("show", "fact_sales", "--columns", "order_id, quantity")
    assert "o1" in result.output
    assert "quantity" in result.output
    assert "unit_price" not in result.output


def test_show_refuses_a_column_that_is_none(look: Call) -> None:
    result = look("show", "fact_sales", "--columns", "order")
    assert result.exit_code == MISUSED
    assert "fact_sales has no column order. It has: day, order_id" in result.output


def test_show_refuses_a_day_of_a_table_without_days(look: Call) -> None:
    result = look("show", "dim_dates", "--day", "2024-03-02")
    assert result.exit_code == MISUSED
    assert "dim_dates is not kept by day" in result.output


@pytest.mark.parametrize("command", ["show", "rejected"])
def test_a_table_that_is_none_is_answered_with_the_nearest_one(look: Call, command: str) -> None:
    result = look(command, "order_linse" if command == "rejected" else "fact_sale")
    assert result.exit_code == FAILED
    assert "Did you mean " in result.output
    assert ("staged_order_lines?" if command == "rejected" else "fact_sales?") in result.output


@pytest.mark.parametrize("table", ["order_lines", "raw_order_lines", "staged_order_lines", "fact_sales"])
def test_rejected_shows_reasons_and_each_row_as_it_came(look: Call, table: str) -> None:
    result = look("rejected", table)
    assert result.exit_code == 0
    for said in ("unparseable_unit_price", "[o3]", "NaN", "negative_quantity", "3 values for 7 columns: o5,1,u1"):
        assert said in result.output
    assert "o1" not in result.output


def test_rejected_shows_one_reason(look: Call) -> None:
    result = look("rejected", "fact_sales", "--reason", "negative_quantity")
    assert "o4" in result.output
    assert "o3" not in result.output
    assert "no rows" in look("rejected", "events").output


# experiment

PLAN = """\
hypothesis: a shorter checkout lets more visitors buy
variants: {control: 0.5, treatment: 0.5}
exposure: {event: begin_checkout}
starts: 2024-03-02
ends: 2024-03-03
primary: {metric: buyers, window_days: 7, minimum_effect: 0.02}
"""


@pytest.fixture
def planned(workshop: Workshop) -> Workshop:
    """Give a project with a metric and a plan."""
    workshop.source("events", EVENTS)
    for name, text in {
        "metrics/buyers": "kind: unique_users\nfact: fact_events\n",
        "experiments/checkout": PLAN,
    }.items():
        path = workshop.home / f"{name}.yaml"
        path.parent.mkdir()
        path.write_text(text)
    return workshop


def change(workshop: Workshop, was: str, now: str) -> None:
    path = workshop.home / "experiments" / "checkout.yaml"
    path.write_text(path.read_text().replace(was, now))


def test_a_plan_is_locked_on_a_day_and_listed_with_its_state(planned: Workshop, call: Call) -> None:
    assert row_of(call("experiment", "list"), "checkout") == ["checkout", "2024-03-02", "2024-03-03", "retrospective"]
    result = call("experiment", "lock", "checkout", "--on", "2024-03-01")
    assert result.exit_code == 0, result.output
    assert f"checkout: locked in {planned.home}/plans.lock. It is registered: the plan was locked" in result.output
    assert row_of(call("experiment", "list"), "checkout")[3:] == ["2024-03-01", "registered"]
    before = (planned.home / "plans.lock").read_bytes()
    again = call("experiment", "lock", "checkout")
    assert (again.exit_code, (planned.home / "plans.lock").read_bytes()) == (0, before)
    assert "checkout: nothing to lock. It is registered" in again.output


def test_a_plan_is_locked_today_where_no_day_is_given(planned: Workshop, call: Call) -> None:
    result = call("experiment", "lock", "checkout")
    assert "It is retrospective: the plan was first locked on 20" in result.output
    assert "after its first day, 2024-03-02" in result.output


def test_a_changed_plan_is_locked_with_an_amendment_alone(planned: Workshop, call: Call) -> None:
    call("experiment", "lock", "checkout", "--on", "2024-03-01")
    change(planned, "ends: 2024-03-03", "ends: 2024-03-04")
    assert row_of(call("experiment", "list"), "checkout")[-1] == "changed"
    refused = call("experiment", "lock", "checkout", "--on", "2024-03-02")
    assert refused.exit_code == FAILED
    assert "checkout changed since it was locked on 2024-03-01:" in refused.output
    assert "  ends: was 2024-03-03, is 2024-03-04" in refused.output
    assert '  - {on: 2024-03-02, what: "...", why: "..."}' in refused.output
    change(planned, "ends:", "amendments: [{on: 2024-03-02, what: a day more, why: it was down}]\nends:")
    result = call("experiment", "lock", "checkout", "--on", "2024-03-02")
    assert result.exit_code == 0, result.output
    assert "It is amended: the plan was locked on 2024-03-01" in result.output
    assert "  ends: was 2024-03-03, is 2024-03-04" in result.output
    assert row_of(call("experiment", "list"), "checkout")[3:] == ["2024-03-01", "amended"]


def test_a_plan_that_is_none_is_answered_with_the_nearest_one(planned: Workshop, call: Call) -> None:
    result = call("experiment", "lock", "chekout")
    assert result.exit_code == FAILED
    assert f"there is no {planned.home}/experiments/chekout.yaml. Did you mean checkout?" in result.output
    (planned.home / "experiments" / "checkout.yaml").unlink()
    assert "There is no other plan either" in call("experiment", "lock", "checkout").output
    assert "no rows" in call("experiment", "list").output


def test_a_plan_that_is_gone_stays_in_the_list(planned: Workshop, call: Call) -> None:
    call("experiment", "lock", "checkout", "--on", "2024-03-01")
    (planned.home / "experiments" / "checkout.yaml").unlink()
    assert row_of(call("experiment", "list"), "checkout")[1:3] == ["2024-03-01", "gone:"]


def test_nothing_is_locked_on_a_day_to_come(planned: Workshop, call: Call) -> None:
    result = call("experiment", "lock", "checkout", "--on", "2999-01-01")
    assert result.exit_code == MISUSED
    assert "2999-01-01 lies after today" in result.output
    assert not (planned.home / "plans.lock").exists()


def test_a_lock_that_cannot_be_written_is_told(planned: Workshop, call: Call) -> None:
    (planned.home / "plans.lock.new").mkdir()
    result = call("experiment", "lock", "checkout")
    assert result.exit_code == FAILED
    assert f"{planned.home}/plans.lock cannot be written" in result.output


def test_a_plan_that_is_wrong_is_named_with_file_and_line(planned: Workshop, call: Call) -> None:
    change(planned, "metric: buyers", "metric: buyer")
    for command in (["check"], ["experiment", "list"], ["experiment", "lock", "checkout"]):
        result = call(*command)
        assert result.exit_code == FAILED
        assert (
            f"{planned.home}/experiments/checkout.yaml:6: primary.metric: there is no metric 'buyer'" in result.output
        )
        assert "Did you mean 'buyers'?" in result.output


# findings


def test_findings_are_of_a_shop_only(look: Call) -> None:
    result = look("findings")
    assert result.exit_code == FAILED
    assert "has no shop.yaml: nothing was planted in it. What its tables say is in the report" in result.output


def test_findings_are_wrapped_by_words_and_keep_numbers_with_their_sign(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(console, "out", Console(width=30, highlight=False))
    console.answers([Answer("checkout [on] mobile", "found at the very most, or so, 57 % of all")], ["shop_dirt"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[-4:] == [
        "- checkout [on] mobile: found",
        "  at the very most, or so,",
        "  57 % of all",
        "All that was planted: analytics-assets show shop_dirt --limit 50",
    ]


def test_a_release_of_few_days_says_that_nothing_is_found_yet(capsys: pytest.CaptureFixture[str]) -> None:
    console.answers([], [])
    assert "too few days to find anything" in capsys.readouterr().out
