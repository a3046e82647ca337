from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from analytics_assets.project.loading import load_project
from analytics_assets.project.model import Project
from analytics_assets.project.problems import Problem
from analytics_assets.project.questions import Duration, FunnelBreakdown
from analytics_assets_tests.project.test_loading import HERE, refused, write

EVENTS = """\
path: events.csv
format: csv
feeds:
  - {table: events, columns: {event_type: what, occurred_at: when}, properties: [page, plan]}
"""
FUNNEL = "steps: [{event: view}, {event: cart}, {event: buy}]\n"
DURATION: TypeAdapter[dt.timedelta] = TypeAdapter(Duration)


def ask(folder: Path, **questions: str) -> Path:
    """Write a project with questions: `funnels__checkout="steps: ..."`."""
    write(folder, {"events": EVENTS})
    for name, text in questions.items():
        path = folder.joinpath(*name.split("__")).with_suffix(".yaml")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return folder


def load(folder: Path, **questions: str) -> Project:
    return load_project(ask(folder, **questions), {})


def problem(folder: Path, kind: str, text: str) -> Problem:
    """Load a question with one problem, in the line that says `here`, or the first."""
    (found,) = refused(ask(folder, **{f"{kind}__q": text}))
    assert found.file == folder / kind / "q.yaml"
    assert found.line == next((n for n, line in enumerate(text.splitlines(), 1) if line.endswith(HERE)), 1), found
    return found


# --- what is understood -----------------------------------------------------------------------------------------------


def test_questions_are_loaded_by_name_and_have_their_defaults(tmp_path):
    told = "cohort: {event: buy}\nperiod: month\n"
    found = load(tmp_path, funnels__checkout=FUNNEL, retention__buyers=told, paths__starts="steps: 3\n").questions
    assert (list(found.funnels), list(found.retention), list(found.paths)) == (["checkout"], ["buyers"], ["starts"])
    funnel, retention = found.funnels["checkout"], found.retention["buyers"]
    assert [step.called for step in funnel.steps] == ["view", "cart", "buy"]
    assert (funnel.order, funnel.entry, funnel.unit, funnel.window) == ("ordered", "any", "user", None)
    assert funnel.intervals == ["day", "week", "month"]
    assert (retention.period, retention.periods, retention.entry, retention.measure) == (
        "month",
        12,
        "first_time",
        "n_day",
    )
    assert (retention.returned.event, retention.returned.where) == (None, {})
    assert (found.paths["starts"].nodes, found.paths["starts"].collapse_repeats) == (8, True)


def test_a_project_without_questions_asks_none(tmp_path):
    assert load(tmp_path).questions.model_dump() == {"metrics": {}, "funnels": {}, "retention": {}, "paths": {}}


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("7 days", dt.timedelta(days=7)),
        ("1 day", dt.timedelta(days=1)),
        (" 90minutes ", dt.timedelta(hours=1.5)),
        ("1.5 hours", dt.timedelta(hours=1.5)),
        ("2 weeks", dt.timedelta(days=14)),
        ("0.5 seconds", dt.timedelta(seconds=0.5)),
        ("36500 days", dt.timedelta(days=36_500)),
    ],
)
def test_a_length_of_time_is_read_and_written_as_people_say_it(text, duration):
    assert DURATION.validate_python(text) == duration
    assert DURATION.validate_python(DURATION.dump_python(duration)) == duration


def test_a_length_of_time_is_shown_in_its_largest_whole_unit():
    shown = [
        DURATION.dump_python(DURATION.validate_python(text)) for text in ("14 days", "1 day", "36 hours", "90 seconds")
    ]
    assert shown == ["2 weeks", "1 day", "36 hours", "90 seconds"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        *((text, "is no duration") for text in ("soon", "7", "-1 days", "1 month", "")),
        *((text, "longer than 36500 days") for text in ("36501 days", "9" * 30 + " weeks")),
    ],
)
def test_what_is_no_length_of_time_is_refused(text, message):
    with pytest.raises(ValidationError, match=message):
        DURATION.validate_python(text)


def test_a_breakdown_keeps_its_value_in_a_column_that_any_table_can_have():
    names = ["device", "user.country", "Utm Source", "a/b-c"]
    assert [FunnelBreakdown(by=name).column for name in names] == [
        "by_device",
        "by_user_country",
        "by_utm_source",
        "by_a_b_c",
    ]


# --- funnels ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("steps: [{event: view}]  # here", "at least 2"),
        ("steps: []  # here", "at least 2"),
        ("order: ordered", "missing key 'steps'"),
        ("steps: [{event: view}, {event: view}]", "two steps are called 'view': give one of them a `name` of its own"),
        ("steps: [{event: view}, {event: buy, name: view}]", "two steps are called 'view'"),
        (f"{FUNNEL}window: 0 days", "a window of zero closes as it opens"),
        (f"{FUNNEL}window: soon  # here", "'soon' is no duration: write a number and seconds"),
        (
            "steps: [{event: view, optional: true}, {event: buy}]",
            "the first step begins the funnel and cannot be optional",
        ),
        ("steps: [{event: view}, {name: any}]", "the step 'any' needs an `event` or a `where`"),
        (f"{FUNNEL}order: any  # here", "must be one of 'ordered', 'strict', 'unordered'"),
        (f"{FUNNEL}entry: last  # here", "must be one of 'any', 'first'"),
        (f"{FUNNEL}intervals: [day, day]", "the interval 'day' stands there twice"),
        (f"{FUNNEL}intervals: [year]  # here", "must be one of 'day', 'week', 'month'"),
        (f"{FUNNEL}exclusions: [{{event: help, after: crt}}]", "there is no step 'crt': the steps are view, cart, buy"),
        (f"{FUNNEL}exclusions: [{{event: help, before: by}}]", "there is no step 'by'"),
        (f"{FUNNEL}exclusions: [{{event: help, after: buy}}]", "there is no step after buy for an exclusion to end at"),
        (
            f"{FUNNEL}exclusions: [{{event: help, after: cart, before: view}}]",
            "an exclusion ends at a step after the one",
        ),
        (f"{FUNNEL}breakdowns: [{{by: device, step: crt}}]", "there is no step 'crt'"),
        (
            f"{FUNNEL}breakdowns: [{{by: device, attribution: last}}]  # here",
            "must be one of 'first_touch', 'last_touch', 'step'",
        ),
        (
            f"{FUNNEL}breakdowns: [{{by: device, attribution: last_touch, step: cart}}]  # here",
            "`step` belongs to `attribution: step`",
        ),
        (
            f"{FUNNEL}breakdowns: [device, {{by: device, attribution: last_touch}}]",
            "two breakdowns are by the same column",
        ),
        (
            f"{FUNNEL}order: unordered\nbreakdowns: [{{by: device, step: cart}}]",
            "a breakdown of an unordered funnel can be by",
        ),
        (
            "steps: [{event: a}, {event: b, optional: true}]\norder: unordered",
            "an unordered funnel has no optional steps",
        ),
        (
            "steps: [{event: a}, {event: b, optional: true}, {event: c}]\nbreakdowns: [{by: device, step: b}]",
            "optional step b",
        ),
        (f"{FUNNEL}stpes: []  # here", "unknown key 'stpes'"),
        ("", "the file is empty"),
    ],
)
def test_a_funnel_that_makes_no_sense_is_refused_with_its_line(tmp_path, text, message):
    found = problem(tmp_path, "funnels", text)
    assert message in f"{found.message} {found.hint}", found


@pytest.mark.parametrize(
    ("text", "message", "near"),
    [
        (f"{FUNNEL}unit: pge  # here", "no column of events is called 'pge'", "page"),
        (f"{FUNNEL}unit: user.country  # here", "no column of events is called 'user.country'", "country"),
        (f"{FUNNEL}breakdowns: [dvice]  # here", "no column of events, with users, is called 'dvice'", "device"),
        (f"{FUNNEL}breakdowns: [user.contry]  # here", "is called 'user.contry'", "user.country"),
        (f"{FUNNEL}breakdowns: [user.email]  # here", "is called 'user.email'", None),
        (f"{FUNNEL}breakdowns:\n  - by: plam  # here", "is called 'plam'", "plan"),
        ("steps:\n  - event: view\n  - event: buy\n    where:\n      paeg: x  # here", "is called 'paeg'", "page"),
        (f"{FUNNEL}exclusions:\n  - where:\n      plna: x  # here", "is called 'plna'", "plan"),
    ],
)
def test_a_name_that_no_event_has_is_refused_with_the_nearest(tmp_path, text, message, near):
    found = problem(tmp_path, "funnels", text)
    assert message in found.message
    assert found.hint.startswith(f"Did you mean '{near}'? There are: " if near else ("Did you mean", "There are: "))


def test_columns_properties_and_columns_of_users_may_be_asked_for(tmp_path):
    view = "{event: view, where: {page: [/a, /b], amount: {at_least: 1}}}"
    steps = f"steps: [{view}, {{where: {{plan: {{missing: false}}}}, name: paid}}]\n"
    text = f"{steps}unit: plan\nbreakdowns: [page, device, user.country, user.segment, {{by: feature, step: paid}}]\n"
    (funnel,) = load(tmp_path, funnels__q=text).questions.funnels.values()
    assert [b.by for b in funnel.broken_down()] == ["page", "device", "user.country", "user.segment", "feature"]
    assert [step.called for step in funnel.steps] == ["view", "paid"]


# --- retention and paths ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("period: year  # here", "must be one of 'day', 'week', 'month'"),
        ("periods: 1  # here", "must be 2 or more, not 1"),
        ("at_least: 0  # here", "must be 1 or more, not 0"),
        ("measure: bracket", "`brackets` and `measure: bracket` belong together"),
        ("brackets: [[1, 2]]", "`brackets` and `measure: bracket` belong together"),
        ("measure: bracket\nbrackets: [[2, 1]]", "brackets begin after period 0, are in order and do not overlap"),
        ("measure: bracket\nbrackets: [[0, 1]]", "brackets begin after period 0, are in order and do not overlap"),
        (
            "measure: bracket\nbrackets: [[1, 3], [3, 4]]",
            "brackets begin after period 0, are in order and do not overlap",
        ),
        ("entry: recurring\ncensored_days: 7", "`censored_days` belong to `entry: first_time`"),
        ("breakdowns: [device, device]", "it is broken down by 'device' twice"),
        (
            "breakdowns:\n  - devise  # here",
            "no column of events, with users, is called 'devise'. Did you mean 'device'?",
        ),
        ("cohort:\n  where:\n    pagee: x  # here", "no column of events is called 'pagee'. Did you mean 'page'?"),
        ("returned:\n  where:\n    plann: x  # here", "no column of events is called 'plann'. Did you mean 'plan'?"),
        ("cohort: {evnt: buy}  # here", "unknown key 'evnt'. Did you mean 'event'?"),
    ],
)
def test_a_retention_that_makes_no_sense_is_refused_with_its_line(tmp_path, text, message):
    found = problem(tmp_path, "retention", text)
    assert message in f"{found.message}. {found.hint}", found


@pytest.mark.parametrize(("text", "message"), [("steps: 1  # here", "2 or more"), ("nodes: 0  # here", "1 or more")])
def test_paths_that_make_no_sense_are_refused_with_their_line(tmp_path, text, message):
    assert message in problem(tmp_path, "paths", text).message


# --- the folder -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "stranger", ["funnel/q.yaml", "funnels/q.yml", "retentions/q.yaml", "path/q.yaml", "metric/q.yaml"]
)
def test_a_question_that_nothing_reads_is_refused(tmp_path, stranger):
    ask(tmp_path)
    (tmp_path / stranger).parent.mkdir(exist_ok=True)
    (tmp_path / stranger).write_text(FUNNEL)
    (found,) = refused(tmp_path)
    assert found.message == "nothing reads this"
    if stranger.endswith(".yml"):
        assert (found.file.name, found.hint) == ("q.yml", "Rename it to q.yaml.")
    else:
        assert found.file == (tmp_path / stranger).parent
        assert "sources, metrics, funnels, retention, paths" in found.hint


@pytest.mark.parametrize("name", ["Checkout", "check-out", "1st", "check out", "_x", "x" * 49])
def test_a_question_has_a_name_that_a_table_can_have(tmp_path, name):
    ask(tmp_path)
    (tmp_path / "funnels").mkdir()
    (tmp_path / "funnels" / f"{name}.yaml").write_text(FUNNEL)
    (found,) = refused(tmp_path)
    assert (found.file.name, found.line) == (f"{name}.yaml", 1)
    assert found.message == f"'{name}' is no name of a question"
    assert "lower case letters, digits and _, at most 48" in found.hint


@pytest.mark.parametrize("rest", ["attempts", "times", "users", "friction"])
def test_no_funnel_has_the_name_of_another_ones_table(tmp_path, rest):
    (found,) = refused(ask(tmp_path, funnels__a=FUNNEL, **{f"funnels__a_{rest}": FUNNEL}))
    assert (found.file.name, found.line) == (f"a_{rest}.yaml", 1)
    assert found.message == f"there is another table called funnel_a_{rest}"


def test_a_name_may_end_like_a_table_where_there_is_no_such_table(tmp_path):
    assert load(tmp_path, funnels__new_users=FUNNEL, funnels__a=FUNNEL, retention__a_users="period: day\n")


def test_the_names_of_other_tables_are_taken(tmp_path):
    found = refused(
        ask(tmp_path, funnels__daily_metrics=FUNNEL, retention__r="periods: 3\n", retention__r_curve="periods: 3\n")
    )
    assert [problem.message.split()[-1] for problem in found] == ["funnel_daily_metrics", "retention_r_curve"]


def test_every_problem_of_every_question_is_told_at_once(tmp_path):
    wrong = {"funnels__a": "steps: [{event: view}]", "funnels__b": "steps: [", "retention__c": "period: year"}
    assert [problem.file.name for problem in refused(ask(tmp_path, **wrong))] == ["a.yaml", "b.yaml", "c.yaml"]
    unknown = {"funnels__a": f"{FUNNEL}unit: x\nbreakdowns: [y]", "retention__c": "breakdowns: [z]"}
    (tmp_path / "funnels" / "b.yaml").unlink()
    assert [problem.where for problem in refused(ask(tmp_path, **unknown))] == [
        "breakdowns[0]",
        "unit",
        "breakdowns[0]",
    ]
