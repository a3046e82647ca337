from __future__ import annotations

from pathlib import Path

import pytest

from analytics_assets.project.loading import load_project
from analytics_assets.project.problems import Problem, ProjectError

PROJECT = "name: shop\nfirst_day: 2024-03-01\n"
EVENTS = """\
path: events.csv
format: csv
feeds:
  - table: events
    columns: {event_type: what, occurred_at: when}
    properties: [plan]
"""
HERE = "# here"
RATIO = """\
kind: ratio
numerator: {fact: fact_user_days, value: revenue}
denominator: {fact: fact_user_days, value: orders}
"""
SHARE = "kind: ratio\nnumerator: {fact: fact_sales}\ndenominator: {fact: fact_events}\n"


def write(folder: Path, text: str, name: str = "it") -> Path:
    for part, file, content in (("sources", "web", EVENTS), ("metrics", name, text)):
        (folder / part).mkdir()
        (folder / part / f"{file}.yaml").write_text(content)
    (folder / "project.yaml").write_text(PROJECT)
    return folder


def problem(folder: Path, text: str, name: str = "it") -> Problem:
    """Load a metric with one problem; it stands in the line that says `here`."""
    with pytest.raises(ProjectError) as caught:
        load_project(write(folder, text, name), {})
    (found,) = caught.value.problems
    assert found.file == folder / "metrics" / f"{name}.yaml"
    lines = text.splitlines()
    assert found.line == next((n for n, line in enumerate(lines, 1) if line.endswith(HERE)), 1), found
    return found


@pytest.mark.parametrize(
    "text",
    [
        "kind: count\nfact: fact_events\n",
        "kind: unique_users\nfact: fact_events\nwhere: {plan: pro, event_type: [a, b]}\ndimensions: [device]\n",
        "kind: sum\nfact: fact_sales\nvalue: net\ncap: 500\ndimensions: [user.country, status]\n",
        "kind: mean\nfact: fact_sessions\nvalue: duration\n",
        "kind: quantile\nfact: fact_sessions\nvalue: duration\nquantile: 0.9\n",
        "kind: retention\nfact: fact_user_days\nafter_days: [7, 7]\n",
        "kind: proportion\nnumerator: {fact: fact_sales}\ndenominator: {fact: fact_user_days}\n",
        f"{RATIO}description: Money an order\ndirection: down\nunit: EUR\nowner: team:a\n",
    ],
    ids=lambda text: text.split("\n", maxsplit=1)[0],
)
def test_a_good_metric_is_loaded(tmp_path, text):
    assert list(load_project(write(tmp_path, text), {}).questions.metrics) == ["it"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kind: ratio\nnumerator: {fact: fact_sales}\n", "a ratio needs a `numerator` and a `denominator`"),
        ("kind: proportion\ndenominator: {fact: fact_sales}\n", "a proportion needs a `numerator` and a `denominator`"),
        (f"{RATIO}fact: fact_sales\n", "a ratio has its fact in `numerator` and `denominator`"),
        (f"{RATIO}where: {{orders: '1'}}\n", "a ratio has its fact in `numerator` and `denominator`"),
        ("kind: count\n", "a count needs a `fact`"),
        ("kind: count\nfact: fact_sales\nvalue: net\n", "a count has no `value`"),
        ("kind: sum\nfact: fact_sales\n", "a sum needs a `value`"),
        ("kind: quantile\nfact: fact_sales\n", "a quantile needs a `value`"),
        ("kind: mean\nfact: fact_sales\nvalue: net\nnumerator: {fact: fact_sales}\n", "a mean has a `fact`"),
        ("kind: count\nfact: fact_sales\ncap: 5\n", "a count has no `cap`"),
        ("kind: retention\nfact: fact_sales\nafter_days: [0, 7]\n", "the first not after the last"),
        ("kind: retention\nfact: fact_sales\nafter_days: [8, 7]\n", "the first not after the last"),
    ],
    ids=lambda text: text.replace("\n", " ")[:60],
)
def test_a_metric_without_its_parts_is_refused(tmp_path, text, message):
    assert message in problem(tmp_path, text).message


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (
            "kind: sum\nfact: fact_sales\nvalue: nett # here\n",
            "no column of fact_sales, with numbers, is called 'nett'",
            "Did you mean 'net'?",
        ),
        (
            "kind: sum\nfact: fact_sales\nvalue: status # here\n",
            "no column of fact_sales, with numbers, is called 'status'",
            "There are: quantity, ",
        ),
        (
            "kind: count\nfact: fact_sales\nwhere:\n  statuss: completed # here\n",
            "no column of fact_sales is called 'statuss'",
            "Did you mean 'status'?",
        ),
        (
            "kind: count\nfact: fact_events\nwhere:\n  plam: pro # here\n",
            "no column of fact_events is called 'plam'",
            "Did you mean 'plan'?",
        ),
        (
            "kind: ratio\nnumerator: {fact: fact_sales}\ndenominator:\n  fact: fact_user_days\n  value: order # here\n",
            "no column of fact_user_days, with numbers, is called 'order'",
            "Did you mean 'orders'?",
        ),
        (
            "kind: count\nfact: fact_sales\ndimensions:\n  - user.county # here\n",
            "no column of all facts of the metric is called 'user.county'",
            "Did you mean 'user.country'?",
        ),
        (
            SHARE + "dimensions:\n- line # here\n",
            "no column of all facts of the metric is called 'line'",
            "There are: ",
        ),
        (
            "kind: count\nfact: fact_sale # here\n",
            "fact_sale",
            "Did you mean 'fact_sales'",
        ),
        (
            "kind: means # here\nfact: fact_sales\nvalue: net\n",
            "means",
            "Did you mean 'mean'?",
        ),
        ("kind: count\nfact: fact_sales\nunits: lines # here\n", "unknown key 'units'", "Did you mean 'unit'?"),
    ],
    ids=lambda text: text.replace("\n", " ")[:60],
)
def test_a_name_that_no_table_has_is_told_with_what_is_near(tmp_path, text, message, hint):
    found = problem(tmp_path, text)
    assert message in found.message
    assert hint in found.hint


@pytest.mark.parametrize(
    "line", ["quantile: 1", "quantile: 0", "cap: 0", "cap: -1", "after_days: [1]", "direction: left", "dimensions: a"]
)
def test_a_value_that_makes_no_sense_is_refused(tmp_path, line):
    text = f"kind: quantile\nfact: fact_sales\nvalue: net\n{line} {HERE}\n"
    assert line.split(":", maxsplit=1)[0] in problem(tmp_path, text).where


def test_the_name_of_a_metric_is_a_name_of_a_table(tmp_path):
    assert "'Net Revenue' is no name" in problem(tmp_path, RATIO, name="Net Revenue").message
