"""The words of alerts: what they name, and that what they say to do can be done."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any, get_args

import click
import pytest

from analytics_assets.automation.alert_words import advice, some_days, written
from analytics_assets.automation.alerting import Book, Channels, Due, Evaluation, Lost, Notice, Problem, Run, observe
from analytics_assets.cli import main
from analytics_assets.contracts.model import CheckName
from analytics_assets.lake.days import Days, DaySet
from analytics_assets_tests.making import project

AT = dt.datetime(2025, 3, 2, 6, 12, tzinfo=dt.UTC)
DAYS = DaySet.read("2025-03-01 to 2025-03-02")


def problem(kind: Any, **keys: Any) -> Problem:
    return Problem(f"{kind}:x", kind, "error", AT, **keys)


PROBLEMS = [
    *(
        problem("check", asset=asset, check=check, days=days)
        for asset in ("raw_events", "staged_events", "fact_sales", "rfm_customer_segments", "quality_findings")
        for check in (*get_args(CheckName), "another")
        for days in (DAYS, DaySet())
    ),
    problem("run", job="daily", days=DAYS),
    problem("run", job="weekly"),
    problem("deadline", days=DAYS),
    problem("verdict", asset="verdict_checkout"),
    problem("delivery", check="team"),
    Problem("lost", "delivery", "warning", AT),
]


@pytest.mark.parametrize("found", PROBLEMS, ids=lambda p: f"{p.asset}.{p.check}.{p.kind}.{len(p.days)}")
def test_every_command_that_is_advised_is_one(found: Problem) -> None:
    steps = advice(found)
    assert steps
    for step in steps:
        assert "{" not in step
        for command in re.findall(r"analytics-assets (.*)$", step):
            words = command.split()
            known: click.Command = main
            while isinstance(known, click.Group) and words and words[0] in known.commands:
                known = known.commands[words.pop(0)]
            assert known is not main, step
            known.make_context("x", words)  # its options and arguments are as the command wants them


def test_no_day_is_asked_of_a_table_that_has_none() -> None:
    (shown, *_) = advice(problem("check", asset="quality_findings", check="metrics", days=DAYS))
    assert shown.endswith("analytics-assets show quality_findings --limit 100")


def test_only_what_is_delivered_has_refused_rows() -> None:
    assert "rejected events" in advice(problem("check", asset="staged_events", check="volume"))[0]
    assert "rejected" not in advice(problem("check", asset="rfm_customer_segments", check="volume"))[0]


def told(*observations: Any) -> list[Notice]:
    return list(observe(Book(), observations, AT)[1])


def test_a_message_holds_few_of_many_rules_and_samples() -> None:
    seen = Evaluation(
        "fact_sales", "values", passed=False, days=DAYS,
        rules=tuple(f"rule {n}" for n in range(9)), samples=tuple(f"row {n}" for n in range(9)),
    )  # fmt: skip
    (notice,) = told(Run("r", "daily", "success", Days(min(DAYS), max(DAYS)), evaluations=(seen,)))
    message = written(notice, project(), "http://ui/")
    assert message.samples == tuple(f"row {n}" for n in range(5))
    assert "and 4 more" in message.lines
    assert message.links == (("Run", "http://ui/runs/r"),)


@pytest.mark.parametrize(
    ("seen", "titles"),
    [
        ((Run("r", "x", "failure"), Run("s", "x", "success")), ["run of x failed", "run of x succeeded again"]),
        (
            (Due(AT.date(), ("a",)), Due(AT.date())),
            ["2025-03-02 is not there, though its deadline has passed", "the day that was due is there"],
        ),
        ((Channels({"team": "x"}), Channels({})), ["channel team does not deliver", "channel team delivers again"]),
        ((Lost("x"),), ["the record of alerts was lost, and is begun anew"]),
    ],
)  # fmt: skip
def test_a_title_says_what_happened(seen: Any, titles: list[str]) -> None:
    assert [written(notice, project(), "").title for notice in told(*seen)] == titles


def test_a_run_that_failed_after_its_release_does_not_say_that_nothing_is_released() -> None:
    (notice,) = told(Run("r", "daily", "failure", failures={"chart": "x"}, released=True))
    assert written(notice, project(), "").lines[0] == "Its tables are released; what failed comes after them."


def test_a_day_more_is_one_day() -> None:
    text = ", ".join(f"2025-03-{day:02}" for day in range(1, 13, 2))
    assert some_days(DaySet.read(text)).endswith("2025-03-09 and 1 more day")
