from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path

import pytest

from analytics_assets.project.loading import load_project
from analytics_assets.project.model import Project
from analytics_assets.project.problems import Problem, ProjectError

PROJECT = "name: shop\nfirst_day: 2024-03-01\n"
EVENTS = """\
path: events.csv
format: csv
feeds:
  - table: events
    columns: {event_type: what, occurred_at: when}
"""
HERE = "# here"


def write(folder: Path, sources: Mapping[str, str], project: str = PROJECT) -> Path:
    (folder / "sources").mkdir(exist_ok=True)
    (folder / "project.yaml").write_text(project)
    for name, text in sources.items():
        (folder / "sources" / f"{name}.yaml").write_text(text)
    return folder


def load(folder: Path, sources: Mapping[str, str], **environment: str) -> Project:
    return load_project(write(folder, sources), environment)


def refused(folder: Path, **environment: str) -> tuple[Problem, ...]:
    with pytest.raises(ProjectError) as caught:
        load_project(folder, environment)
    return caught.value.problems


def problem(folder: Path, text: str, **environment: str) -> Problem:
    """Load a source with one problem; it stands in the line that says `here`."""
    (found,) = refused(write(folder, {"rows": text}), **environment)
    assert found.file == folder / "sources" / "rows.yaml"
    assert found.line == next(n for n, line in enumerate(text.splitlines(), 1) if line.endswith(HERE)), found
    return found


def feeds(*lines: str) -> str:
    """Return the text of a source with these lines under `feeds`."""
    return "\n".join(["path: rows.csv", "format: csv", "feeds:", *(f"  {line}" for line in lines)]) + "\n"


def test_a_good_project_is_loaded(tmp_path):
    found = load(tmp_path, {"web": EVENTS, "app": EVENTS.replace("events.csv", "app-{day}.csv")})
    assert (found.name, found.first_day, found.last_day, found.folder) == ("shop", dt.date(2024, 3, 1), None, tmp_path)
    assert list(found.sources) == ["app", "web"]
    assert found.sources["web"].path == str(tmp_path / "events.csv")
    assert found.sources["app"].path == str(tmp_path / "app-{day}.csv")
    assert [(name, place) for name, place, _, _ in found.feeds("events")] == [("app", 0), ("web", 0)]


def test_the_order_of_feeds_is_that_of_the_file(tmp_path):
    text = feeds(
        "- {table: products, distinct: true, columns: {product_id: sku}}",
        "- {drop: test rows, when: {kind: test}}",
        "- {table: events, when: {kind: [view, buy]}, columns: {event_type: kind, occurred_at: at}}",
        "- {drop: the rest}",
    )
    (rows,) = load(tmp_path, {"rows": text}).sources.values()
    assert [feed.table or feed.drop for feed in rows.feeds] == ["products", "test rows", "events", "the rest"]


# --- the folder -------------------------------------------------------------------------------------------------------


def test_a_folder_without_a_project_is_refused(tmp_path):
    (found,) = refused(tmp_path)
    assert (found.file, found.message) == (tmp_path / "project.yaml", "there is no such file")
    assert "ANALYTICS_PROJECT" in found.hint


def test_a_project_without_a_source_is_refused(tmp_path):
    (found,) = refused(write(tmp_path, {}))
    assert (found.file, found.message) == (tmp_path / "sources", "there is no source")


@pytest.mark.parametrize(
    "stranger", ["metrics.yaml", "Project.yml", "project.yml", "sources.yaml", "source/web.yaml", "sources/web.yml"]
)
def test_a_file_that_nothing_reads_is_refused(tmp_path, stranger):
    write(tmp_path, {"events": EVENTS})
    (tmp_path / stranger).parent.mkdir(exist_ok=True)
    (tmp_path / stranger).write_text("a: b\n")
    (found,) = refused(tmp_path)
    assert found.message == "nothing reads this"
    assert found.file in {tmp_path / stranger, (tmp_path / stranger).parent}


def test_other_files_may_lie_beside_a_project(tmp_path):
    write(tmp_path, {"events": EVENTS})
    for name in ("README.md", "sources/notes.txt", "data/rows.csv", "data/schema.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    assert load_project(tmp_path, {}).name == "shop"


def test_every_problem_of_every_file_is_told_at_once(tmp_path):
    write(
        tmp_path,
        {
            "bad": "path: x.csv\nformat: xml\nfeeds: []\n",
            "broken": "path: [\n",
            "good": EVENTS,
            "wrong": EVENTS.replace("table: events", "table: evnts"),
        },
        project="name: The Shop\nfirst_day: soon\n",
    )
    (tmp_path / "metrics.yaml").write_text("")
    found = refused(tmp_path)
    told = {(problem.file.name, problem.where) for problem in found}
    assert told >= {
        ("metrics.yaml", ""),
        ("project.yaml", "name"),
        ("project.yaml", "first_day"),
        ("bad.yaml", "format"),
        ("bad.yaml", "feeds"),
        ("wrong.yaml", "feeds[0].table"),
    }
    assert "broken.yaml" in {name for name, _ in told}
    assert "good.yaml" not in {name for name, _ in told}


def test_the_days_of_a_project_are_in_order(tmp_path):
    (found,) = refused(write(tmp_path, {"e": EVENTS}, project=PROJECT + "last_day: 2024-02-01\n"))
    assert found.file.name == "project.yaml"
    assert "last_day 2024-02-01 lies before first_day 2024-03-01" in found.message


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("time_zone: London", "'London' is no time zone"),
        ("time_zone: ../etc/passwd", "is no time zone"),
        ("currency: euro", "must be text that matches"),
        ("owner: me", "unknown key 'owner'"),
    ],
)
def test_a_wrong_line_of_the_project_is_named(tmp_path, line, message):
    (found,) = refused(write(tmp_path, {"e": EVENTS}, project=f"{PROJECT}{line}\n"))
    assert (found.file.name, found.line) == ("project.yaml", 3)
    assert message in found.message


# --- paths ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "resolved"),
    [
        ("${LAKE}/rows.csv", "/data/rows.csv"),
        ("${LAKE:-/other}/rows.csv", "/data/rows.csv"),
        ("${NONE:-/other}/rows.csv", "/other/rows.csv"),
        ("${EMPTY:-/other}/rows.csv", "/other/rows.csv"),
        ("${LAKE}/${KIND}-{day}.csv", "/data/web-{day}.csv"),
        ("${NONE:-}/rows.csv", "/rows.csv"),
        ("s3://bucket/${KIND}/rows.csv", "s3://bucket/web/rows.csv"),
        ("$LAKE/rows.csv", "HERE/$LAKE/rows.csv"),
        ("rows.csv", "HERE/rows.csv"),
    ],
)
def test_a_path_is_filled_in_from_the_environment(tmp_path, path, resolved):
    text = EVENTS.replace("events.csv", f'"{path}"')
    found = load(tmp_path, {"rows": text}, LAKE="/data", KIND="web", EMPTY="")
    assert found.sources["rows"].path == resolved.replace("HERE", str(tmp_path))


def test_a_variable_that_is_not_set_is_named_with_what_to_do(tmp_path):
    text = "description: rows\n" + EVENTS.replace("events.csv", f"${{A}}/${{B}}/${{C:-c}}.csv {HERE}")
    found = refused(write(tmp_path, {"rows": text}), B="b")
    assert [(problem.line, problem.where, problem.message) for problem in found] == [
        (2, "path", "the environment variable A is not set")
    ]
    assert "${A:-default}" in found[0].hint


# --- what takes a contract to judge -----------------------------------------------------------------------------------


def test_an_unknown_table_is_named_with_the_nearest(tmp_path):
    found = problem(tmp_path, feeds(f"- table: order_line {HERE}", "  columns: {order_id: id}"))
    assert (found.where, found.message) == ("feeds[0].table", "there is no raw table 'order_line'")
    assert "Did you mean 'order_lines'?" in found.hint
    assert "experiment_assignments" in found.hint


def test_an_unknown_column_is_named_with_the_nearest(tmp_path):
    text = feeds("- table: events", "  columns:", "    event_type: a", "    occurred_at: b", f"    sesion_id: c {HERE}")
    found = problem(tmp_path, text)
    assert (found.where, found.message) == ("feeds[0].columns.sesion_id", "events has no column 'sesion_id'")
    assert "Did you mean 'session_id'?" in found.hint


def test_a_required_column_that_is_not_mapped_is_named_with_its_meaning(tmp_path):
    found = problem(tmp_path, feeds("- table: events", f"  columns: {HERE}", "    event_type: a"))
    assert found.message == "the required column 'occurred_at' is not mapped"
    assert "{constant: TEXT}" in found.hint
    assert "when it happened" in found.hint


def test_a_feed_without_columns_lacks_every_required_one(tmp_path):
    found = refused(write(tmp_path, {"rows": feeds("- table: events")}))
    assert [(problem.line, problem.message) for problem in found] == [
        (4, "the required column 'event_type' is not mapped"),
        (4, "the required column 'occurred_at' is not mapped"),
    ]


@pytest.mark.parametrize("lines", [[f"- columns: {{event_type: a}} {HERE}"], [f"- {{table: users, drop: x}} {HERE}"]])
def test_a_feed_has_a_table_or_drops_its_rows(tmp_path, lines):
    assert problem(tmp_path, feeds(*lines)).message == "a feed needs either `table` or `drop`"


@pytest.mark.parametrize("key", ["columns: {a: b}", "properties: [a]", "unique_by: row", "distinct: true"])
def test_rows_that_are_dropped_have_no_columns(tmp_path, key):
    found = problem(tmp_path, feeds("- drop: tests", "  when: {a: b}", f"  {key} {HERE}", "- drop: others"))
    assert found.message == "rows that are dropped have no columns"


@pytest.mark.parametrize("name", ["product_id", "ordered_at", "status"])
def test_only_numbers_have_a_sign_to_turn(tmp_path, name):
    columns = {c: c for c in ("order_id", "product_id", "ordered_at", "quantity", "unit_price")} | {
        name: f"{{column: x, negate: true}} {HERE}"
    }
    text = feeds("- table: order_lines", "  columns:", *(f"    {c}: {origin}" for c, origin in columns.items()))
    assert problem(tmp_path, text).message == f"{name} is no number"
    assert load(tmp_path, {"rows": text.replace("negate: true", "negate: false")})


@pytest.mark.parametrize("name", ["product_id", "ordered_at", "quantity"])
def test_only_amounts_have_decimals_to_round(tmp_path, name):
    columns = {c: c for c in ("order_id", "product_id", "ordered_at", "quantity", "unit_price")} | {
        name: f"{{column: x, decimals: 2}} {HERE}"
    }
    text = feeds("- table: order_lines", "  columns:", *(f"    {c}: {origin}" for c, origin in columns.items()))
    assert problem(tmp_path, text).message == f"{name} is no amount"
    unit_price = text.replace("{column: x, decimals: 2}", "x").replace("unit_price: unit_price", f"unit_price: {HERE}")
    assert load(tmp_path, {"rows": unit_price.replace(f": {HERE}", ": {column: x, decimals: 4}")})


USERS = "table: users, columns: {user_id: id}"


def test_no_feed_comes_after_one_that_takes_all(tmp_path):
    found = problem(tmp_path, feeds(f"- {{{USERS}}}", f"- {{drop: x, when: {{a: b}}}} {HERE}"))
    assert found.message == "no row ever comes here: feed 0 takes all"


def test_no_distinct_feed_comes_after_one_that_takes_all(tmp_path):
    found = problem(tmp_path, feeds(f"- drop: x {HERE}", f"- {{{USERS}, distinct: true}}"))
    assert found.message == "a feed without `when` comes last"


def test_a_distinct_feed_without_a_condition_leaves_the_rows_to_others(tmp_path):
    assert load(tmp_path, {"rows": feeds(f"- {{{USERS}, distinct: true}}", "- drop: x")})


def test_a_table_is_told_from_other_rows_once(tmp_path):
    told = f"- {{{USERS}, distinct: true, when: {{a: b}}}}"
    found = refused(write(tmp_path, {"rows": feeds(told, told, "- drop: x")}))
    assert [(problem.line, problem.message) for problem in found] == [
        (4, "users is fed twice with `distinct`"),
        (5, "users is fed twice with `distinct`"),
    ]


def test_only_things_are_told_from_other_rows(tmp_path):
    text = feeds("- table: events", "  columns: {event_type: a, occurred_at: b}", f"  distinct: true {HERE}")
    assert problem(tmp_path, text).message == "events is no list of things"


def test_a_distinct_feed_has_no_other_key(tmp_path):
    text = feeds("- table: users", "  columns: {user_id: id}", "  distinct: true", f"  unique_by: [id] {HERE}")
    assert problem(tmp_path, text).message == "a distinct feed has one row a key"


@pytest.mark.parametrize("origin", ["{constant: x}", "{column: id, values: {a: b}}"])
def test_the_key_of_a_distinct_feed_is_a_column_as_it_is(tmp_path, origin):
    text = feeds("- table: users", "  distinct: true", "  columns:", f"    user_id: {origin} {HERE}", "    age: years")
    assert "user_id of a distinct feed" in problem(tmp_path, text).message


def test_the_wrong_key_of_a_distinct_feed_is_shown_in_its_own_line(tmp_path):
    text = feeds(
        "- table: users", "  distinct: true", "  columns:", "    age: years", f"    user_id: {{constant: x}} {HERE}"
    )
    assert problem(tmp_path, text)


def test_a_table_is_fed_by_day_from_every_source_or_from_none(tmp_path):
    dated = "path: users-{day}.csv\nformat: csv\nfeeds:\n  - {table: users, columns: {user_id: id}}\n"
    found = refused(write(tmp_path, {"a": dated, "b": feeds("- drop: x", "").replace("- drop: x", f"- {{{USERS}}}")}))
    assert [(problem.file.name, problem.line, problem.where) for problem in found] == [("b.yaml", 4, "feeds[0]")]
    assert found[0].message == "users comes by day from another source, and here without a day"
    assert "{day}" in found[0].hint
    assert load(tmp_path, {"a": dated, "b": dated})


def test_a_table_with_a_time_is_fed_by_day_where_its_time_is_mapped(tmp_path):
    roster = "table: experiment_assignments, columns: {experiment: a, user_id: b"
    sources = {"a": feeds(f"- {{{roster}, assigned_at: c}}}}"), "b": feeds(f"- {{{roster}}}}}")}
    (found,) = refused(write(tmp_path, sources))
    assert (found.file.name, found.hint) == ("b.yaml", "Put {day} in the path, or map assigned_at")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("delimiter: ';;'", "must be one character"),
        ("timestamps: []", "timestamps"),
        ("timestamps: [isso]", "'isso' is no format"),
        ("timestamps: ['%Y-%m-%d %z']", "reads an offset"),
        ("lateness: -1", "must be 0 or more"),
        ("lateness: 61", "must be 60 or less"),
        ("time_zone: Mars/Olympus", "is no time zone"),
        ("optonal: true", "unknown key 'optonal'"),
        ("excluded: {bot: {browser: {}}}", "asks nothing"),
        ("excluded: {bot: {browser: {strats_with: x}}}", "unknown key 'strats_with'"),
    ],
)
def test_a_wrong_line_of_a_source_is_named(tmp_path, line, message):
    found = problem(tmp_path, f"{line} {HERE}\n{EVENTS}")
    assert message in str(found)


@pytest.mark.parametrize(
    "line",
    ["timestamps: ['%d/%m/%Y %i']", "timestamps: ['%Q']", "excluded: {bot: {browser: {matches: '['}}}"],
)
def test_a_pattern_that_the_engine_cannot_read_is_refused_before_a_run(tmp_path, line):
    assert problem(tmp_path, f"{line} {HERE}\n{EVENTS}")


@pytest.mark.parametrize("mapping", ["{column: a, constant: b}", "{values: {a: b}}"])
def test_a_column_comes_from_a_column_or_a_constant(tmp_path, mapping):
    text = feeds("- table: users", "  columns:", f"    user_id: {mapping} {HERE}")
    assert "needs either `column` or `constant`" in str(problem(tmp_path, text))
