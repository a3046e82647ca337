"""Which tables there are, what each needs, and what a project can feed.

Belongs here: the declaration of a table by its function, and the resolver. Does not belong here: how a declaration
becomes a Dagster asset (`automation`).
"""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING, Any, TypeVar

import analytics_assets.assets
from analytics_assets.assets.staging import stage
from analytics_assets.contracts.delivered import DELIVERED, Delivered
from analytics_assets.contracts.model import Contract
from analytics_assets.lake.days import Days
from analytics_assets.project.model import Project

if TYPE_CHECKING:
    from ibis.expr.types import Table

F = TypeVar("F", bound="Callable[..., Table]")
G = TypeVar("G", bound="Callable[[Project], Iterable[TableAsset]]")
_DECLARED = "declared_contract"
_SETTING = "setting"
_SHOP = "shop"
_FAMILY = "makes_tables"


_GROUPS = {
    "dim": "dimensions",
    "map": "dimensions",
    "fact": "facts",
    "metric": "metrics",
    "declared": "metrics",
    "active": "activity",
    "lifecycle": "activity",
    "churn": "activity",
    "retention": "activity",
    "feature": "activity",
    "paths": "paths",
    "transitions": "paths",
    "device": "sums",
    "user": "sums",
    "sales": "sales",
    "order": "sales",
    "product": "sales",
    "revenue": "sales",
    "reconciliation": "sales",
    "customer": "customers",
    "rfm": "customers",
    "clv": "customers",
    "series": "forecasts",
    "forecast": "forecasts",
    "anomalies": "forecasts",
    "experiment": "experiments",
    "verdict": "experiments",
    "campaign": "marketing",
    "attribution": "marketing",
    "user_exposure": "experiments",
    "user_outcomes": "experiments",
}
"""The group of a table by its name, or the first word of it; that word itself where neither is here."""


def _no_engine(_: Table) -> list[dict[str, Any]]:
    raise LookupError("this setting has no engine: give it one, such as Setting(project, days, collect=engine.rows)")


@dataclass(frozen=True)
class Setting:
    """Hold what a table's function may ask for beside tables, under a parameter called `setting`.

    Attributes:
        project: The project.
        days: The days that the run writes; for a table without days, all days of the project: to its own last day, or
            so far.
        collect: Computes a small table into records, for statistics that need numbers and not expressions.
        landed: For a table without days, the project's days to the last that anything was delivered for.
    """

    project: Project
    days: Days
    landed: Days | None = None
    collect: Callable[[Table], list[dict[str, Any]]] = _no_engine

    @property
    def so_far(self) -> Days:
        """The project's days to the last that anything was delivered for."""
        return self.landed or self.days


@dataclass(frozen=True)
class TableAsset:
    """Declare one table of the graph.

    Attributes:
        contract: What it promises.
        function: What computes it.
        requires: The tables without which it is absent.
        uses: The tables that it reads where the project has them.
        needs_shop: Whether its function asks for the shop's parameters, under a parameter called `shop`.
    """

    contract: Contract
    function: Callable[..., Table]
    requires: tuple[str, ...]
    uses: tuple[str, ...]
    needs_shop: bool = False

    @property
    def name(self) -> str:
        """The table's name."""
        return self.contract.table

    @property
    def inputs(self) -> tuple[str, ...]:
        """Every table that is read for this one: for its rows, or to judge its references."""
        referenced = (reference.table for reference in self.contract.references)
        return tuple(dict.fromkeys((*self.requires, *self.uses, *referenced)))

    @property
    def group(self) -> str:
        """The group in which the table is shown."""
        prefix = self.name.split("_")[0]
        return _GROUPS.get(self.name) or _GROUPS.get(prefix, prefix)

    def compute(self, tables: Mapping[str, Table], setting: Setting) -> Table:
        """Call the function with the tables that it names."""
        wanted = inspect.signature(self.function).parameters
        arguments: dict[str, object] = {name: tables[name] for name in (*self.requires, *self.uses) if name in tables}
        if _SETTING in wanted:
            arguments[_SETTING] = setting
        if self.needs_shop:
            arguments[_SHOP] = setting.project.shop
        return self.function(**arguments)


def table(contract: Contract) -> Callable[[F], F]:
    """Declare that a function computes a table; the function stays as it is, for tests to call."""

    def declare(function: F) -> F:
        setattr(function, _DECLARED, contract)
        return function

    return declare


def family(function: G) -> G:
    """Declare that a function makes tables of what a project asks: one or more a question."""
    setattr(function, _FAMILY, True)
    return function


def declaration(function: Callable[..., Table]) -> TableAsset:
    """Read a declared function's contract and inputs."""
    named = inspect.signature(function).parameters
    parameters = [p for name, p in named.items() if name not in {_SETTING, _SHOP}]
    return TableAsset(
        contract=getattr(function, _DECLARED),
        function=function,
        requires=tuple(p.name for p in parameters if p.default is inspect.Parameter.empty),
        uses=tuple(p.name for p in parameters if p.default is None),
        needs_shop=_SHOP in named,
    )


@functools.cache
def _members() -> tuple[Callable[..., Any], ...]:
    """Find the functions of the modules of this room."""
    names = [module.name for module in pkgutil.iter_modules(analytics_assets.assets.__path__)]
    modules = [importlib.import_module(f"{analytics_assets.assets.__name__}.{name}") for name in names]
    return tuple(member for module in modules for member in vars(module).values() if inspect.isfunction(member))


@functools.cache
def catalogue() -> tuple[TableAsset, ...]:
    """Find every declared table that is the same in every project."""
    assets = [declaration(member) for member in _members() if hasattr(member, _DECLARED)]
    return tuple({asset.name: asset for asset in assets}.values())


def asked(project: Project) -> tuple[TableAsset, ...]:
    """Make the tables of what a project asks."""
    families = dict.fromkeys(member for member in _members() if hasattr(member, _FAMILY))
    return tuple(asset for make in families for asset in make(project))


def staged_asset(delivered: Delivered, project: Project) -> TableAsset:
    """Declare the staged table of a raw table."""
    contract = delivered.staged()
    return TableAsset(
        contract=contract if project.by_day(delivered.name) else contract.as_snapshot(),
        function=lambda **tables: stage(tables[f"raw_{delivered.name}"], delivered, project),
        requires=(f"raw_{delivered.name}",),
        uses=(),
    )


@dataclass(frozen=True)
class Graph:
    """Hold what a project can feed.

    Attributes:
        raw: The contract of each raw table that its sources feed.
        tables: Every other table that can be computed, inputs before what reads them.
        absent: Every table that cannot, with the reason.
    """

    raw: tuple[Contract, ...]
    tables: tuple[TableAsset, ...]
    absent: Mapping[str, str]

    def contracts(self) -> dict[str, Contract]:
        """Return the contract of every table by name."""
        return {contract.table: contract for contract in self.raw} | {
            asset.name: asset.contract for asset in self.tables
        }


def resolve(project: Project) -> Graph:
    """Keep what a project can feed, and say of the rest why it is absent."""
    fed = project.raw_tables()
    raw = tuple(DELIVERED[name].raw() if project.by_day(name) else DELIVERED[name].raw().as_snapshot() for name in fed)
    candidates = {asset.name: asset for name in fed if (asset := staged_asset(DELIVERED[name], project))}
    candidates |= {asset.name: _as_kept(asset, project) for asset in (*catalogue(), *asked(project))}
    possible = {contract.table for contract in raw}
    able = {name: asset for name, asset in candidates.items() if project.shop is not None or not asset.needs_shop}
    while more := {name for name, asset in able.items() if name not in possible and _feedable(asset, possible)}:
        possible |= more
    inputs = {
        name: {needed for needed in candidates[name].inputs if needed in possible and needed in candidates}
        for name in candidates
        if name in possible
    }
    ordered = tuple(candidates[name] for name in TopologicalSorter(inputs).static_order())
    absent = {f"raw_{name}": f"no source feeds {name}" for name in DELIVERED if name not in fed}
    absent |= {f"staged_{name}": f"needs raw_{name}" for name in DELIVERED if name not in fed}
    for name, asset in candidates.items():
        if name not in possible:
            missing = [needed for needed in asset.requires if needed not in possible]
            missing += ["a shop.yaml"] * (name not in able)
            absent[name] = "needs " + (" and ".join(missing) if missing else f"one of {', '.join(asset.uses)}")
    return Graph(raw, ordered, absent)


def _feedable(asset: TableAsset, possible: set[str]) -> bool:
    """Say whether a table has all that it requires; one that requires nothing needs one of what it uses."""
    if asset.requires or not asset.uses:
        return all(name in possible for name in asset.requires)
    return any(name in possible for name in asset.uses)


def _as_kept(asset: TableAsset, project: Project) -> TableAsset:
    """Give a fact of rows that come as a snapshot the snapshot's contract."""
    origin = (asset.contract.accounts_for or "").removeprefix("staged_")
    if origin and project.feeds(origin) and not project.by_day(origin):
        return replace(asset, contract=asset.contract.as_snapshot())
    return asset
