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
from analytics_assets.project.alerts import ALERTS_FILE, Alerts, alerts_problems
from analytics_assets.project.asking import Asked, experiment_problems, question_problems
from analytics_assets.project.experiments import Plan
from analytics_assets.project.model import SHOP_TABLES, ColumnMapping, Feed, Project, ProjectFile, Source
from analytics_assets.project.plans import LOCK_FILE, Locked, read_locks
from analytics_assets.project.problems import Positions, Problem, ProjectError
from analytics_assets.project.questions import KINDS, Questions
from analytics_assets.project.shop import Shop
from analytics_assets.project.yaml import M, read_yaml

PROJECT_FILE = "project.yaml"
SHOP_FILE = "shop.yaml"
SOURCES = "sources"
EXPERIMENTS = "experiments"
FOLDERS = (SOURCES, *KINDS, EXPERIMENTS)
_NAME = re.compile(r"^[a-z][a-z0-9_]{0,47}$")
_ORIGINS = ("path", "postgres", "shop")
_OF_FILES = ("path", "format", "encoding", "delimiter", "quote", "optional")
_VARIABLE = re.compile(r"\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}")


def load_project(folder: Path, environment: Mapping[str, str]) -> Project:
    """Read a project's folder.

    Args:
        folder: Holds `project.yaml`, `sources/*.yaml`, what the team asks and tries, `alerts.yaml`, and `shop.yaml` of
            a shop.
        environment: Stands in for `${NAME}` and `${NAME:-default}` in the paths of sources.

    Raises:
        ProjectError: With every problem of every file.
    """
    if not (folder / PROJECT_FILE).is_file():
        hint = "Name a folder with a project.yaml: --project DIR or ANALYTICS_PROJECT."
        raise ProjectError([Problem(folder / PROJECT_FILE, 1, "", "there is no such file", hint)])
    problems: list[Problem] = list(_strangers(folder))
    declared = _read(folder / PROJECT_FILE, ProjectFile, problems)
    has_shop = (folder / SHOP_FILE).exists()
    shop = _read(folder / SHOP_FILE, Shop, problems) if has_shop else None
    sources: dict[str, Source] = {}
    places: dict[str, Positions] = {}
    for path in sorted((folder / SOURCES).glob("*.yaml")):
        try:
            source, places[path.stem] = read_yaml(path, Source)
        except ProjectError as error:
            problems += error.problems
            continue
        problems += _origin_problems(source, places[path.stem], has_shop=has_shop)
        problems += _source_problems(source, places[path.stem])
        sources[path.stem] = source
        if source.path is None:
            continue
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
    asked: Asked = {}
    found = {kind: _named(folder, kind, model, asked, problems) for kind, model in KINDS.items()}
    plans = _named(folder, EXPERIMENTS, Plan, asked, problems)
    locks = _locks(folder, problems)
    alerts = _alerts(folder, problems)
    if has_shop and not problems and not any(source.shop for source in sources.values()):
        hint = f"Write `shop: TABLE` in a source, with a table of {', '.join(SHOP_TABLES)}; or remove this file."
        problems.append(Problem(folder / SHOP_FILE, 1, "", "no source reads the shop", hint))
    if declared is None or problems:
        raise ProjectError(problems)
    project = Project(
        **declared.model_dump(),
        folder=folder,
        sources=sources,
        shop=shop,
        questions=Questions.model_validate(found),
        experiments=plans,
        locks=locks,
        alerts=alerts,
    )
    mixed = [*_mixed_problems(project, places), *question_problems(project, asked)]
    if mixed := [*mixed, *experiment_problems(project, asked)]:
        raise ProjectError(mixed)
    return project


def unset_in_sources(project: Project, environment: Mapping[str, str]) -> tuple[Problem, ...]:
    """Find environment variables that the sources of a project name, and that are not set.

    It is no error: another machine may be the one that reads.
    """
    unset: list[Problem] = []
    for name, source in project.sources.items():
        if source.postgres is None or all(map(environment.get, source.postgres.variables.values())):
            continue
        _, positions = read_yaml(project.folder / SOURCES / f"{name}.yaml", Source)
        unset += [
            positions.problem(
                ("postgres", key),
                f"the environment variable {variable} is not set here",
                f"{name} cannot be read from a machine without it",
            )
            for key, variable in source.postgres.variables.items()
            if not environment.get(variable)
        ]
    return tuple(unset)


def _read(path: Path, model: type[M], problems: list[Problem]) -> M | None:
    """Read a file, or add what is wrong with it to the problems."""
    try:
        return read_yaml(path, model)[0]
    except ProjectError as error:
        problems += error.problems
        return None


def _named(folder: Path, kind: str, model: type[M], asked: Asked, problems: list[Problem]) -> dict[str, M]:
    """Read a folder of questions or plans, a file each, by name; `asked` is told where each stands."""
    found: dict[str, M] = {}
    for path in sorted((folder / kind).glob("*.yaml")):
        if not _NAME.match(path.stem):
            what = "an experiment" if kind == EXPERIMENTS else "a question"
            hint = "Tables are named after it: use lower case letters, digits and _, at most 48."
            problems.append(Problem(path, 1, "", f"'{path.stem}' is no name of {what}", hint))
            continue
        try:
            found[path.stem], asked[kind, path.stem] = read_yaml(path, model)
        except ProjectError as error:
            problems += error.problems
    return found


def _locks(folder: Path, problems: list[Problem]) -> dict[str, tuple[Locked, ...]]:
    """Read what was locked of the plans, or add what is wrong with it to the problems."""
    try:
        return read_locks(folder)
    except ProjectError as error:
        problems += error.problems
        return {}


def _alerts(folder: Path, problems: list[Problem]) -> Alerts:
    """Read who is told of problems, or add what is wrong with it to the problems."""
    path = folder / ALERTS_FILE
    if not path.exists():
        return Alerts()
    try:
        alerts, positions = read_yaml(path, Alerts)
    except ProjectError as error:
        problems += error.problems
        return Alerts()
    problems += alerts_problems(alerts, positions)
    return alerts


def _strangers(folder: Path) -> Iterator[Problem]:
    """Find YAML that nobody would read."""
    known = {PROJECT_FILE, SHOP_FILE, ALERTS_FILE, LOCK_FILE, *FOLDERS}
    hint = (
        f"A project has {PROJECT_FILE}, {ALERTS_FILE}, {SHOP_FILE} for the synthetic shop, */*.yaml in "
        f"{', '.join(FOLDERS)}, and {LOCK_FILE}."
    )
    for path in sorted(folder.iterdir()):
        stranger = path.suffix in {".yaml", ".yml"} and path.name not in known
        alike = FOLDERS if path.is_dir() else (LOCK_FILE,) if path.suffix == ".lock" else ()
        near = path.name not in known and difflib.get_close_matches(path.name, alike, cutoff=0.7)
        if stranger or near:
            yield Problem(path, 1, "", "nothing reads this", hint)
    for path in sorted(path for name in FOLDERS for path in (folder / name).glob("*.yml")):
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


def _origin_problems(source: Source, positions: Positions, *, has_shop: bool) -> Iterator[Problem]:
    """Hold a source to one origin: files, with `path` and `format`, Postgres, or a table of the shop."""
    others = f"`postgres:` with `url_env` and `table`, or `shop:` with a table of {', '.join(SHOP_TABLES)}"
    said = [key for key in _ORIGINS if getattr(source, key) is not None]
    if "postgres" in said and "shop" in said:
        yield positions.problem(("shop",), "rows come from Postgres or from the shop", "Keep one of them", key=True)
    elif not said or said == ["path"]:
        missing = [key for key in ("path", "format") if getattr(source, key) is None]
        if len(missing) == 1:
            about = Source.model_fields[missing[0]].description or ""
            yield positions.problem((), f"missing key '{missing[0]}'", about)
        elif missing:
            hint = f"Write `path` and `format` for files, or {others}"
            yield positions.problem((), "it does not say where its rows come from", hint)
        return
    for key in _OF_FILES:
        if key in source.model_fields_set:
            hint = f"Remove '{key}'; or remove '{said[-1]}', and write `path` and `format`"
            what = "the shop" if source.shop else "Postgres"
            yield positions.problem((key,), f"rows of {what} come in no file", hint, key=True)
    if source.shop is not None and not has_shop:
        hint = f"Put a {SHOP_FILE} beside {PROJECT_FILE}; `seed: 1` is all that it need hold"
        yield positions.problem(("shop",), f"the project has no {SHOP_FILE}", hint, key=True)


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
        if (
            mapping
            and mapping.decimals is not None
            and name in names
            and not delivered.column(name).type.startswith("decimal")
        ):
            yield positions.problem(
                (*at, "columns", name, "decimals"), f"{name} is no amount", "Remove 'decimals'", key=True
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
                    dated = "Say `day_by`" if source.postgres else "Put {day} in the path"
                    yield places[name].problem(
                        ("feeds", place),
                        f"{table} comes by day from another source, and here without a day",
                        f"{dated}{f', or map {feed.delivered.time}' if feed.delivered.time else ''}",
                    )
