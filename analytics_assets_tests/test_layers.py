from __future__ import annotations

import ast
import functools
import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

import analytics_assets

PACKAGE = Path(analytics_assets.__file__).parent
PYPROJECT = PACKAGE.parent / "pyproject.toml"
MODULES = sorted(PACKAGE.rglob("*.py"))
SQL = re.compile(
    r"\b(SELECT\b.*\bFROM|INSERT INTO|DELETE FROM|UPDATE \w+ SET|COPY \(|PARTITION BY|ORDER BY|GROUP BY"
    r"|(CREATE|DROP)( OR REPLACE)?( TEMP)? (TABLE|VIEW|SCHEMA|MACRO))\b",
    re.DOTALL,
)
CALLS = {"raw_sql", "sql", "execute", "to_pyarrow", "to_pandas"}
"""Methods that hand an engine its text, or have it compute."""


def imported(tree: ast.AST) -> Iterator[str]:
    """Name the packages that a module imports anywhere, inside functions too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield (node.module or "").partition(".")[0]


def texts(tree: ast.AST) -> Iterator[str]:
    """Give the texts of a module, and a formatted one as a whole."""
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(part.value if isinstance(part, ast.Constant) else "x" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


OF_DAGSTER = {
    "automation/storage.py",
    "automation/postgres_storage.py",
    "automation/history.py",
    "automation/roles.py",
}
"""What keeps Dagster's own history, takes a person out of it, and makes who may enter its database."""


def room(name: str) -> str:
    """Name the room of a module: a folder, or a file that stands alone."""
    return name.removesuffix(".py").split("/")[0]


def outside(*rooms: str) -> list[tuple[str, ast.Module]]:
    """Parse every module that is in none of these rooms."""
    names = [(str(path.relative_to(PACKAGE)), path) for path in MODULES]
    return [(name, ast.parse(path.read_text())) for name, path in names if room(name) not in rooms]


@functools.cache
def known() -> dict[str, frozenset[str]]:
    """Name the packages that each module imports; parsed once for all that ask."""
    return {name: frozenset(imported(tree)) for name, tree in outside()}


@pytest.fixture
def loggers() -> Iterator[None]:
    """Let loggers speak again that somebody has silenced, as the linter of imports does to all that there are."""
    before = {name: logging.getLogger(name).disabled for name in logging.root.manager.loggerDict}
    yield
    for name, disabled in before.items():
        logging.getLogger(name).disabled = disabled


def test_imports_point_downward(capsys, loggers):
    status = lint_imports(config_filename=str(PYPROJECT), no_cache=True, no_logo=True)
    assert status == 0, capsys.readouterr().out


@pytest.mark.parametrize(
    ("package", "rooms"),
    [
        ("duckdb", {"lake"}),
        ("deltalake", {"lake"}),
        ("dagster", {"automation", "definitions"}),
        ("fsspec", {"lake", "sources"}),
        ("yaml", {"project"}),
        ("click", {"cli"}),
        ("rich", {"console"}),
        ("matplotlib", {"charts"}),
        ("jinja2", {"report"}),
        ("adbc_driver_postgresql", {"postgres"}),
        ("adbc_driver_manager", {"postgres"}),
    ],
)
def test_a_package_is_known_in_its_own_room_alone(package, rooms):
    knowing = [name for name, packages in known().items() if package in packages]
    assert knowing
    assert [name for name in knowing if room(name) not in rooms] == []


OF_POSTGRES = {
    "sources/postgres.py",
    "outlets/reconciling.py",
    "outlets/served.py",
    "outlets/sessions.py",
    "outlets/views.py",
    "outlets/warehouse.py",
}
"""What a database of the team's own is asked, and what the warehouse is made of."""


def test_only_the_lake_speaks_sql():
    told = [(name, text) for name, tree in outside("lake") for text in texts(tree) if SQL.search(text)]
    assert [(name, text) for name, text in told if name not in OF_DAGSTER | OF_POSTGRES] == []
    assert any(SQL.search(text) for text in texts(ast.parse((PACKAGE / "lake" / "duckdb.py").read_text())))


def test_only_the_lake_has_an_engine_compute():
    called = [
        (name, node.func.attr)
        for name, tree in outside("lake", "charts")  # what charts execute is a layout
        if name not in OF_DAGSTER | {"postgres.py", "outlets/sessions.py"}  # what a connection executes is its caller's
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CALLS
    ]
    assert called == []


def test_only_the_command_line_and_the_settings_read_the_clock_and_the_environment():
    reads = re.compile(r"\b(date\.today|datetime\.(now|utcnow)|os\.environ|os\.getenv)\b")
    assert [name for name, tree in outside("cli", "settings", "automation") if reads.search(ast.unparse(tree))] == []


HEAVY = {"duckdb", "deltalake", "pandas", "matplotlib", "statsmodels", "scipy"}


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("analytics_assets.definitions", HEAVY),
        ("analytics_assets.cli", HEAVY | {"dagster", "ibis", "rich"}),
        ("analytics_assets.assets.funnel_charts", HEAVY),
        ("analytics_assets.charts.funnels", HEAVY | {"dagster", "ibis"}),
        ("analytics_assets.contracts.star", HEAVY | {"dagster", "ibis"}),
    ],
)
def test_what_is_heavy_is_imported_at_first_use(module, heavy):
    program = f"import sys, {module}; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert heavy & set(ran.stdout.split()) == set()


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_room_says_what_belongs_in_it(path):
    assert (ast.get_docstring(ast.parse(path.read_text())) or "").strip()
