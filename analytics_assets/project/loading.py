"""From a folder to a project, or to every problem in it at once.

Belongs here: finding the files, and all that takes two files or a contract to judge. Does not belong here: YAML and
its positions (`yaml`).
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from analytics_assets.contracts.delivered import DELIVERED
from analytics_assets.project.model import ColumnMapping, Feed, Project, ProjectFile, Source
from analytics_assets.project.problems import Positions, Problem, ProjectError
from analytics_assets.project.yaml import read_yaml

PROJECT_FILE = "project.yaml"
SOURCES = "sources"
_VARIABLE = re.compile(r"\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}")


def load_project(folder: Path, environment: Mapping[str, str]) -> Project:
    """Read a project's folder.

    Args:
        folder: Holds `project.yaml` and `sources/*.yaml`.
        environment: Stands in for `${NAME}` and `${NAME:-default}` in the paths of sources.

    Raises:
        ProjectError: With every problem of every file.
    """
    if not (folder / PROJECT_FILE).is_file():
        hint = "Name a folder with a project.yaml: --project DIR or ANALYTICS_PROJECT."
        raise ProjectError([Problem(folder / PROJECT_FILE, 1, "", "there is no such file", hint)])
    problems: list[Problem] = list(_strangers(folder))
    declared: ProjectFile | None = None
    try:
        declared, _ = read_yaml(folder / PROJECT_FILE, ProjectFile)
    except ProjectError as error:
        problems += error.problems
    sources: dict[str, Source] = {}
    places: dict[str, Positions] = {}
    for path in sorted((folder / SOURCES).glob("*.yaml")):
        try:
            source, places[path.stem] = read_yaml(path, Source)
        except ProjectError as error:
            problems += error.problems
            continue
        problems += _source_problems(source, places[path.stem])
        resolved, unset = _substituted(source.path, environment)
        problems += [
            places[path.stem].problem(
                ("path",), f"the environment variable {name} is not set", f"Set it, or write ${{{name}:-default}}"
            )
            for name in unset
        ]
        if "://" not in resolved:
            resolved = str((folder / resolved).absolute())
        sources[path.stem] = source.model_copy(update={"path": resolved})
    if not sources and not problems:
        problems.append(
            Problem(folder / SOURCES, 1, "", "there is no source", "Add a sources/NAME.yaml for each kind of file.")
        )
    if declared is None or problems:
        raise ProjectError(problems)
    project = Project(**declared.model_dump(), folder=folder, sources=sources)
    if mixed := list(_mixed_problems(project, places)):
        raise ProjectError(mixed)
    return project


def _strangers(folder: Path) -> Iterator[Problem]:
    """Find YAML that nobody would read."""
    known = {PROJECT_FILE, SOURCES}
    for path in sorted(folder.iterdir()):
        stranger = path.suffix in {".yaml", ".yml"} and path.name not in known
        near = path.is_dir() and difflib.get_close_matches(path.name, [SOURCES], cutoff=0.7) and path.name not in known
        if stranger or near:
            yield Problem(path, 1, "", "nothing reads this", f"A project has {PROJECT_FILE} and {SOURCES}/*.yaml.")
    for path in sorted((folder / SOURCES).glob("*.yml")):
        yield Problem(path, 1, "", "nothing reads this", f"Rename it to {path.stem}.yaml.")


def _substituted(path: str, environment: Mapping[str, str]) -> tuple[str, list[str]]:
    unset: list[str] = []

    def value(found: re.Match[str]) -> str:
        text = environment.get(found["name"]) or found["default"]
        if text is None:
            unset.append(found["name"])
            return ""
        return text

    return _VARIABLE.sub(value, path), unset


def _near(word: str, known: Iterable[str]) -> str:
    known = list(known)
    near = difflib.get_close_matches(word, known, n=1)
    return (f"Did you mean '{near[0]}'? " if near else "") + f"Allowed: {', '.join(known)}"


def _source_problems(source: Source, positions: Positions) -> Iterator[Problem]:
    for number, feed in enumerate(source.feeds):
        at: tuple[str | int, ...] = ("feeds", number)
        if (feed.table is None) == (feed.drop is None):
            yield positions.problem(at, "a feed needs either `table` or `drop`", f"Tables: {', '.join(DELIVERED)}")
        elif feed.drop is not None:
            for key in ("columns", "properties", "unique_by", "distinct"):
                if key in feed.model_fields_set:
                    yield positions.problem(
                        (*at, key), "rows that are dropped have no columns", f"Remove '{key}'", key=True
                    )
        elif feed.table not in DELIVERED:
            yield positions.problem(
                (*at, "table"), f"there is no raw table '{feed.table}'", _near(feed.table or "", DELIVERED)
            )
        else:
            yield from _feed_problems(feed, positions, at)
        if number + 1 < len(source.feeds) and not feed.when and not feed.distinct:
            yield (
                positions.problem(
                    ("feeds", number + 1),
                    f"no row ever comes here: feed {number} takes all",
                    "Give that feed a `when`, or move it last",
                )
                if not all(later.distinct for later in source.feeds[number + 1 :])
                else positions.problem(
                    at, "a feed without `when` comes last", "Move the feeds with `distinct: true` above it"
                )
            )
    told = Counter(feed.table for feed in source.feeds if feed.distinct)
    for number, feed in enumerate(source.feeds):
        if feed.distinct and told[feed.table] > 1:
            yield positions.problem(("feeds", number), f"{feed.table} is fed twice with `distinct`", "Keep one of them")


def _feed_problems(feed: Feed, positions: Positions, at: tuple[str | int, ...]) -> Iterator[Problem]:
    delivered = feed.delivered
    names = [column.name for column in delivered.columns]
    for name in feed.columns:
        if name not in names:
            yield positions.problem(
                (*at, "columns", name), f"{delivered.name} has no column '{name}'", _near(name, names), key=True
            )
        mapping = feed.mapping(name)
        if (
            mapping
            and mapping.negate
            and name in names
            and not delivered.column(name).type.startswith(("int", "decimal", "float"))
        ):
            yield positions.problem(
                (*at, "columns", name, "negate"), f"{name} is no number", "Remove 'negate'", key=True
            )
    for column in delivered.columns:
        if not column.nullable and column.name not in feed.columns:
            hint = (
                f"Map it: {column.name}: DELIVERED_COLUMN, or {column.name}: {{constant: TEXT}}. It is {column.meaning}"
            )
            yield positions.problem(
                (*at, "columns"), f"the required column '{column.name}' is not mapped", hint, key=True
            )
    if feed.distinct and delivered.time is not None:
        hint = "Only users, products, campaigns and identities can be told from the rows of something else"
        yield positions.problem((*at, "distinct"), f"{delivered.name} is no list of things", hint, key=True)
    if feed.distinct and feed.unique_by is not None:
        yield positions.problem((*at, "unique_by"), "a distinct feed has one row a key", "Remove 'unique_by'", key=True)
    for key in delivered.key if feed.distinct else ():
        if isinstance(feed.columns.get(key), ColumnMapping):
            told = f"{key} of a distinct feed is a delivered column as it is"
            yield positions.problem((*at, "columns", key), told, f"Write {key}: DELIVERED_COLUMN", key=True)


def _mixed_problems(project: Project, places: Mapping[str, Positions]) -> Iterator[Problem]:
    """Refuse a table that one source feeds by day and another as a snapshot."""
    for table in project.raw_tables():
        feeds = project.feeds(table)
        if len({source.by_day(feed) for _, _, source, feed in feeds}) > 1:
            for name, place, source, feed in feeds:
                if not source.by_day(feed):
                    yield places[name].problem(
                        ("feeds", place),
                        f"{table} comes by day from another source, and here without a day",
                        f"Put {{day}} in the path{f', or map {feed.delivered.time}' if feed.delivered.time else ''}",
                    )
