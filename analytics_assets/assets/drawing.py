"""Which charts there are, what each reads, and which of them a project's tables can feed.

Belongs here: the declaration of a chart by the function that picks its rows, and their resolver. Does not belong here:
how a chart looks (`charts`), and how a declaration becomes a Dagster asset (`automation.drawing`).
"""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import analytics_assets.assets
from analytics_assets.assets.catalog import Graph, Setting
from analytics_assets.charts.house import Drawing, shows
from analytics_assets.project.model import Project

if TYPE_CHECKING:
    from ibis.expr.types import Table

Rows: TypeAlias = "Table | tuple[Table, ...]"
F = TypeVar("F", bound="Callable[..., Rows]")
G = TypeVar("G", bound="Callable[[Project], Iterable[ChartAsset]]")

CHART = "chart_"
_DECLARED = "declared_chart"
_FAMILY = "makes_charts"
_SETTING = "setting"


@dataclass(frozen=True)
class ChartAsset:
    """Declare one chart of the graph.

    Attributes:
        called: What its files are called.
        draw: The drawing, which is given an `About` and a frame for each table that `function` returns.
        function: Picks what is drawn: a table or more, small enough to be drawn, made by the engine.
        requires: The tables without which it is absent, by the parameter that they are given as.
        uses: The tables that it reads where the project has them.
        asked: The name of the question that it answers, where a project asks more than one of its kind.
        words: What else the question says that the picture is to say too.
    """

    called: str
    draw: Drawing
    function: Callable[..., Rows]
    requires: Mapping[str, str]
    uses: Mapping[str, str]
    asked: str = ""
    words: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name of its asset."""
        return CHART + self.called

    @property
    def shows(self) -> str:
        """What it shows."""
        return shows(self.draw)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Every table that it reads."""
        return tuple(dict.fromkeys((*self.requires.values(), *self.uses.values())))

    def select(self, tables: Mapping[str, Table], setting: Setting) -> tuple[Table, ...]:
        """Pick what is drawn."""
        reads = {**self.requires, **self.uses}
        arguments: dict[str, Any] = {name: tables[table] for name, table in reads.items() if table in tables}
        if _SETTING in inspect.signature(self.function).parameters:
            arguments[_SETTING] = setting
        rows = self.function(**arguments)
        return rows if isinstance(rows, tuple) else (rows,)


def picture(
    draw: Drawing,
    function: Callable[..., Rows],
    called: str,
    asked: str = "",
    words: Mapping[str, str] | None = None,
    **tables: str,
) -> ChartAsset:
    """Declare a chart of tables whose names only the project knows, by the parameters that they are given as.

    Args:
        draw: The drawing.
        function: Picks what is drawn.
        called: What the files are called.
        asked: The name of the question.
        words: What else the question says that the picture is to say too.
        tables: The table of each parameter of the function that is not called as its table is.
    """
    parameters = [p for name, p in inspect.signature(function).parameters.items() if name != _SETTING]
    return ChartAsset(
        called=called,
        draw=draw,
        function=function,
        requires={p.name: tables.get(p.name, p.name) for p in parameters if p.default is inspect.Parameter.empty},
        uses={p.name: tables.get(p.name, p.name) for p in parameters if p.default is None},
        asked=asked,
        words=words or {},
    )


def chart(draw: Drawing) -> Callable[[F], F]:
    """Declare a chart by the function that picks its rows: it is called as the function, and reads what that names."""

    def declare(function: F) -> F:
        setattr(function, _DECLARED, picture(draw, function, function.__name__))
        return function

    return declare


def chart_family(function: G) -> G:
    """Declare that a function makes charts of what a project asks: one or more a question."""
    setattr(function, _FAMILY, True)
    return function


@functools.cache
def _members() -> tuple[Callable[..., Any], ...]:
    names = [module.name for module in pkgutil.iter_modules(analytics_assets.assets.__path__)]
    modules = [importlib.import_module(f"{analytics_assets.assets.__name__}.{name}") for name in names]
    members = (member for module in modules for member in vars(module).values() if inspect.isfunction(member))
    return tuple(dict.fromkeys(members))


def declared(project: Project) -> tuple[ChartAsset, ...]:
    """Find every chart that is declared, and make those of what a project asks."""
    found = [getattr(member, _DECLARED) for member in _members() if hasattr(member, _DECLARED)]
    found += [asset for make in _members() if hasattr(make, _FAMILY) for asset in make(project)]
    return tuple(sorted(found, key=lambda asset: asset.called))


@dataclass(frozen=True)
class Gallery:
    """Hold the charts that a project's tables can feed.

    Attributes:
        charts: By name.
        absent: Every chart that they cannot feed, with the reason.
    """

    charts: tuple[ChartAsset, ...]
    absent: Mapping[str, str]


def drawable(project: Project, graph: Graph) -> Gallery:
    """Keep the charts whose tables there are, and say of the rest why they are absent."""
    there = graph.contracts()
    charts, absent = [], {}
    for asset in declared(project):
        missing = [table for table in asset.requires.values() if table not in there]
        if missing:
            absent[asset.name] = f"needs {' and '.join(dict.fromkeys(missing))}"
        elif asset.uses and not any(table in there for table in asset.inputs):
            absent[asset.name] = f"needs one of {', '.join(asset.uses.values())}"
        else:
            charts.append(asset)
    return Gallery(tuple(charts), absent)
