"""The command line of experiments after a run: their reports, verdicts, and what plans can see."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from analytics_assets import console
from analytics_assets_tests.conftest import UNDRAWN, Workshop, csv, day
from analytics_assets_tests.test_cli import EVENTS, FAILED, Call, caller, row_of

pytestmark = pytest.mark.slow
ROSTER = {
    "path": "data/assignments.csv",
    "format": "csv",
    "feeds": [
        {
            "table": "experiment_assignments",
            "columns": {name: name for name in ("experiment", "user_id", "variant", "assigned_at")},
        }
    ],
}
CHECKOUT = """\
hypothesis: a shorter checkout lets more visitors buy
variants: {control: 0.5, treatment: 0.5}
exposure: {event: begin_checkout}
starts: 2024-03-02
ends: 2024-03-03
primary: {metric: buyers, window_days: 1, minimum_effect: 0.2}
guardrails: [{metric: buys, window_days: 1, margin: 0.5}]
"""
NEXT = """\
hypothesis: three colours of the button
variants: {grey: 0.4, red: 0.3, green: 0.3}
exposure: {event: begin_checkout}
starts: 2024-06-01
ends: 2024-06-28
primary: {metric: buyers, window_days: 2, minimum_effect: 0.05}
secondary: [{metric: share_of_never, window_days: 1}]
method: always_valid
"""
NEVER = NEXT.replace("begin_checkout", "open_letter")
FILES = {
    "metrics/buyers": "kind: unique_users\nfact: fact_events\nwhere: {event_type: buy}\ndirection: up\n",
    "metrics/buys": "kind: count\nfact: fact_events\nwhere: {event_type: buy}\ndirection: up\n",
    "metrics/share_of_never": "kind: unique_users\nfact: fact_events\nwhere: {event_type: never}\n",
    "experiments/checkout": CHECKOUT,
    "experiments/colours": NEXT,
    "experiments/letters": NEVER,
}


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no message be folded."""
    for name in ("out", "err"):
        monkeypatch.setattr(console, name, Console(width=400, highlight=False, stderr=name == "err"))


def declare(workshop: Workshop) -> None:
    workshop.declare(last_day=day("03-06"))
    workshop.source("events", EVENTS)
    workshop.source("assignments", ROSTER)
    for name, text in FILES.items():
        path = workshop.home / f"{name}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


@pytest.fixture(scope="module")
def ran(shared_workshop: Workshop) -> Iterator[Workshop]:
    """Run a project with experiments once: one that is over, one that has not begun, one that nobody meets."""
    declare(shared_workshop)
    rng = random.Random(1)
    events, roster = [], []
    for place in range(80):
        date = f"2024-03-0{rng.randint(2, 3)}"
        roster.append(f"checkout,u{place},{('control', 'treatment')[place % 2]},2024-03-01 08:00:00")
        events.append(f"u{place},begin_checkout,{date} 10:00:00")
        events += [f"u{place},buy,{date} 11:0{n}:00" for n in range(rng.randint(0, 2))]
    events.append("u1,view,2024-03-06 09:00:00")
    shared_workshop.deliver("events.csv", csv(("user", "type", "at"), *events))
    shared_workshop.deliver("assignments.csv", csv(("experiment", "user_id", "variant", "assigned_at"), *roster))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(console, "out", Console(width=400, highlight=False))
        result = caller(shared_workshop)("run", "--select", UNDRAWN)
        assert result.exit_code == 0, result.output
        yield shared_workshop


@pytest.fixture
def look(ran: Workshop) -> Call:
    return caller(ran)


# experiment report


def test_a_report_is_plain_markdown_where_it_is_piped(look: Call) -> None:
    result = look("experiment", "report", "checkout")
    assert result.exit_code == 0, result.output
    assert result.output.startswith("# checkout\n")
    assert "| metric | role | variant |" in result.output
    assert "## What can be doubted" in result.output


def test_a_report_is_rendered_on_a_terminal(look: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.StringIO()
    monkeypatch.setattr(console, "out", Console(width=200, file=shown, force_terminal=True))
    assert look("experiment", "report", "checkout").exit_code == 0
    assert "What can be doubted" in shown.getvalue()
    assert "## What" not in shown.getvalue()
    assert "|---|" not in shown.getvalue()


def test_a_report_is_written_to_a_file(look: Call, tmp_path: Path) -> None:
    file = tmp_path / "checkout.md"
    result = look("experiment", "report", "checkout", "--to", str(file))
    assert result.exit_code == 0, result.output
    assert file.read_text() == look("experiment", "report", "checkout").output
    assert f"checkout: {file}" in result.output
    lost = look("experiment", "report", "checkout", "--to", str(tmp_path / "none" / "checkout.md"))
    assert lost.exit_code == FAILED
    assert "checkout.md cannot be written: No such file or directory" in lost.output


def test_the_list_tells_the_verdicts(look: Call) -> None:
    listed = look("experiment", "list")
    assert row_of(listed, "checkout")[3] == "retrospective"
    verdict = " ".join(row_of(listed, "checkout")[4:])
    assert f"**{verdict.capitalize()}**" in look("experiment", "report", "checkout").output
    assert " ".join(row_of(listed, "colours")[4:]) == "green: too early; red: too early"


@pytest.mark.parametrize("command", [("experiment", "report"), ("power",)])
def test_an_experiment_that_is_none_is_answered_with_the_nearest(look: Call, command: tuple[str, ...]) -> None:
    result = look(*command, "colors")
    assert result.exit_code == FAILED
    assert "experiments/colors.yaml. Did you mean colours?" in result.output


@pytest.mark.parametrize("command", [("experiment", "report"), ("power",)])
def test_without_a_release_there_is_nothing_to_show(workshop: Workshop, command: tuple[str, ...]) -> None:
    declare(workshop)
    call = caller(workshop)
    result = call(*command, "checkout")
    assert result.exit_code == FAILED
    assert "there is no release in" in result.output
    assert row_of(call("experiment", "list"), "checkout")[-1] == "retrospective"


# power


def test_power_tells_what_a_plan_can_see_by_week(look: Call) -> None:
    result = look("power", "checkout")
    assert result.exit_code == 0, result.output
    assert "checkout: fixed, alpha 0.05, power 0.8, 2 variants, 1 week from 2024-03-02" in result.output
    cells = row_of(result, "buyers")
    assert cells[:6] == ["buyers", "over", "1", "day", "primary", "80"]
    assert "margin 0.5" in " ".join(row_of(result, "buys"))
    assert "Power 0.9 for the primary and each guardrail, so that all go well with 0.8." in result.output
    assert "buys over 1 day non-inferior" in result.output
    # 80 users in 6 days, and a seventh day like them
    assert row_of(result, "1")[:2] == ["1", "93"]
    assert "in the 6 days to 2024-03-06" in result.output


def test_power_works_for_a_plan_that_has_not_begun(look: Call) -> None:
    result = look("power", "colours", "--weeks", "6")
    assert result.exit_code == 0, result.output
    assert "colours: always_valid, alpha 0.05, power 0.8, 3 variants, 4 weeks from 2024-06-01" in result.output
    assert [row_of(result, str(week))[0] for week in range(1, 7)] == ["1", "2", "3", "4", "5", "6"]
    assert "the outcomes do not vary" in " ".join(row_of(result, "share_of_never"))
    assert "Alpha of the primary is divided by 2 variants" in result.output


def test_power_says_that_nobody_would_be_exposed(look: Call) -> None:
    result = look("power", "letters")
    assert result.exit_code == FAILED
    assert "nobody met the exposing event of letters from 2024-03-01 to 2024-03-06" in result.output


def test_power_says_that_a_plan_is_newer_than_the_release(ran: Workshop, look: Call) -> None:
    path = ran.home / "experiments" / "newer.yaml"
    path.write_text(NEXT)
    try:
        result = look("power", "newer")
        reported = look("experiment", "report", "newer")
    finally:
        path.unlink()
    assert (result.exit_code, reported.exit_code) == (FAILED, FAILED)
    assert "the newest release knows nothing of the plan newer: it is newer" in result.output
    assert "has no table verdict_newer" in reported.output


def test_weeks_are_at_least_one(look: Call) -> None:
    assert look("power", "checkout", "--weeks", "0").exit_code == 2


def test_a_metric_that_cannot_be_tested_is_told_by_the_run(ran: Workshop) -> None:
    rows = ran.rows("experiment_aa", "experiment", "metric", "state", "reason")
    told = {(row[0], row[1]): tuple(row[2:]) for row in rows}
    assert told["letters", "buyers"] == ("untested", "nobody met the exposing event")
    assert told["colours", "share_of_never"] == ("untested", "the outcomes do not vary")
