"""Paths as pictures: which event follows which, step by step.

Belongs here: the flow of sessions from step to step. Does not belong here: what a path is (`analysis.paths`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from analytics_assets.charts.house import (
    COLOURS,
    DARK,
    GREY,
    HEIGHT,
    About,
    NotEnoughError,
    drawing,
    halo,
    records,
    share,
    sheet,
    short,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_COLUMNS = 8
_MOST_NODES = 7
_LETTERS = 92
"""How many letters of a name fit beside each other over all columns."""
_GAP = 0.035
_BAR = 0.045
"""Half the width of a node, where columns are 1 apart."""
_LABELLED = 0.022
"""The least height of a node, of the whole column, that has room for its name."""


@dataclass
class _Node:
    """Hold an event at a step: how many come and go, and where it is drawn."""

    step: int
    name: str
    comes: float = 0.0
    goes: float = 0.0
    top: float = 0.0
    came: float = 0.0
    gone: float = 0.0

    @property
    def size(self) -> float:
        return max(self.comes, self.goes)


@drawing("Which way sessions take")
def flows(about: About, edges: pd.DataFrame) -> Figure:
    """Draw the sessions that go from one event to the next as bands between columns, a column a step.

    Args:
        about: What it is of; `words` say the `end`, where paths end at an event.
        edges: step, source, target, sessions.
    """
    told = edges.dropna(subset=["step", "sessions"])
    told = told[told.sessions > 0]
    if told.empty:
        raise NotEnoughError("no session has two steps")
    ends = bool(about.words.get("end"))
    steps = sorted({int(step) for step in told.step})
    steps = steps[-(_MOST_COLUMNS - 1) :] if ends else steps[: _MOST_COLUMNS - 1]
    told = _few_nodes(told[told.step.isin(steps)], letters=int(_LETTERS / (len(steps) + 1)))
    says = "A bar is an event with the sessions that are there at a step, a band those that go on from it to the next. "
    says += (
        "Where no band leaves a bar, sessions end, or go on beyond what is shown. All are counted, so without interval."
    )
    figure = sheet(about, _largest_way(told, ends), says, height=HEIGHT + 0.55)
    axes = figure.subplots()
    nodes = _nodes(told)
    columns: dict[int, list[_Node]] = {}
    for node in sorted(nodes.values(), key=lambda node: node.step):
        columns.setdefault(node.step, []).append(node)
    whole = max(sum(node.size for node in column) for column in columns.values())
    _place(columns, told, whole)
    names = [node.name for node in sorted(nodes.values(), key=lambda node: (-node.size, node.name))]
    named = [name for name in dict.fromkeys(names) if not _pooled(name)]
    colours = dict(zip(named, COLOURS[:-1], strict=False))
    first = min(columns)
    for band in _bands(told, nodes, whole):
        _draw_band(axes, band, band.source.step - first, colours.get(band.source.name, GREY))
    for node in nodes.values():
        _draw_bar(axes, node, node.step - first, whole, colours.get(node.name, GREY))
    axes.set_xlim(-0.1, len(columns) - 0.35)
    axes.set_ylim(1.0 + _GAP * _MOST_NODES * 0.5, -0.02)
    axes.set_xticks(range(len(columns)), [_step_name(step, ends) for step in columns])
    axes.xaxis.tick_top()
    axes.tick_params(length=0, labelcolor=DARK)
    axes.set_yticks([])
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    return figure


def _step_name(step: int, ends: bool) -> str:  # noqa: FBT001 - private
    if not ends:
        return f"step {step}"
    return "the end" if step == 0 else f"{-step} before"


def _pooled(name: str) -> bool:
    return name.endswith(" more") or name.startswith("(other")


def _few_nodes(told: pd.DataFrame, letters: int) -> pd.DataFrame:
    """Keep the events with most sessions at each step; the others become one."""
    import pandas as pd

    def named(name: object) -> str:
        return short(name, min(letters, 20))

    told = told.assign(step=told.step.astype(int), source=told.source.map(named), target=told.target.map(named))
    at = pd.concat(
        [
            told.rename(columns={"source": "name"})[["step", "name", "sessions"]],
            told.assign(step=told.step + 1).rename(columns={"target": "name"})[["step", "name", "sessions"]],
        ]
    )
    sizes = at.groupby(["step", "name"]).sessions.sum().reset_index()
    sizes = sizes.sort_values(["step", "sessions", "name"], ascending=[True, False, True])
    sizes["place"] = sizes.groupby("step").cumcount()
    many = sizes.groupby("step").name.transform("size")
    kept = sizes[(many <= _MOST_NODES) | (sizes.place < _MOST_NODES - 1)]
    names = set(zip(kept.step, kept.name, strict=True))
    others = {step: f"{count} more" for step, count in (many - _MOST_NODES + 1).groupby(sizes.step).max().items()}

    def shown(step: int, name: str) -> str:
        return name if (step, name) in names else others[step]

    told["source"] = [shown(step, name) for step, name in zip(told.step, told.source, strict=True)]
    told["target"] = [shown(step + 1, name) for step, name in zip(told.step, told.target, strict=True)]
    return told.groupby(["step", "source", "target"], as_index=False)[["sessions"]].sum()


def _nodes(told: pd.DataFrame) -> dict[tuple[int, str], _Node]:
    nodes: dict[tuple[int, str], _Node] = {}
    for row in records(told):
        step = int(row.step)
        source = nodes.setdefault((step, row.source), _Node(step, row.source))
        target = nodes.setdefault((step + 1, row.target), _Node(step + 1, row.target))
        source.goes += float(row.sessions)
        target.comes += float(row.sessions)
    return nodes


def _place(columns: dict[int, list[_Node]], told: pd.DataFrame, whole: float) -> None:
    """Order each column so that few bands cross: by where its sessions come from; what is pooled is last."""
    came_from: dict[tuple[int, str], list[tuple[float, str]]] = {}
    for row in records(told):
        came_from.setdefault((int(row.step) + 1, row.target), []).append((float(row.sessions), row.source))
    before: dict[str, float] = {}
    for step, column in columns.items():

        def middle(node: _Node, step: int = step, before: dict[str, float] = before) -> float:
            ways = [(n, before[name]) for n, name in came_from.get((step, node.name), []) if name in before]
            return sum(n * at for n, at in ways) / sum(n for n, _ in ways) if ways else -1.0

        column.sort(key=lambda node: (_pooled(node.name), middle(node), -node.size, node.name))
        top = 0.0
        for node in column:
            node.top = node.came = node.gone = top
            top += node.size / whole + _GAP
        before = {node.name: node.top + node.size / whole / 2 for node in column}


@dataclass(frozen=True)
class _Band:
    """Hold where a band leaves a bar, where it comes to the next one, and how high it is."""

    source: _Node
    target: _Node
    leaves: float
    comes: float
    high: float


def _bands(told: pd.DataFrame, nodes: dict[tuple[int, str], _Node], whole: float) -> list[_Band]:
    """Lay the bands beside each other; at a bar they are in the order of the bars at their other end."""
    ways = [
        (nodes[int(row.step), row.source], nodes[int(row.step) + 1, row.target], float(row.sessions) / whole)
        for row in records(told)
    ]
    comes = {}
    for source, target, high in sorted(ways, key=lambda way: (way[0].step, way[0].top)):
        comes[source.step, source.name, target.name] = target.came
        target.came += high
    bands = []
    for source, target, high in sorted(ways, key=lambda way: (way[0].step, way[1].top)):
        bands.append(_Band(source, target, source.gone, comes[source.step, source.name, target.name], high))
        source.gone += high
    return bands


def _draw_band(axes: Axes, band: _Band, x: int, colour: str) -> None:
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    left, right = x + _BAR, x + 1 - _BAR
    bend, a, b, high = (left + right) / 2, band.leaves, band.comes, band.high
    points = [
        (left, a), (bend, a), (bend, b), (right, b),
        (right, b + high), (bend, b + high), (bend, a + high), (left, a + high), (left, a),
    ]  # fmt: skip
    codes = [Path.MOVETO, *[Path.CURVE4] * 3, Path.LINETO, *[Path.CURVE4] * 3, Path.CLOSEPOLY]
    axes.add_patch(PathPatch(Path(points, codes), facecolor=colour, alpha=0.32, lw=0))


def _draw_bar(axes: Axes, node: _Node, x: int, whole: float, colour: str) -> None:
    from matplotlib.patches import Rectangle

    high = node.size / whole
    axes.add_patch(Rectangle((x - _BAR, node.top), 2 * _BAR, high, facecolor=colour, lw=0))
    if high < _LABELLED:
        return
    told = f"{node.name}\n{share(high)}" if high > 2.2 * _LABELLED else node.name
    axes.text(
        x + _BAR + 0.025,
        node.top + high / 2,
        told,
        va="center",
        size=9.5,
        weight="bold",
        linespacing=1.15,
        path_effects=halo(2.6),
    )


def _largest_way(told: pd.DataFrame, ends: bool) -> str:  # noqa: FBT001 - private
    """Say which way most take: at the first step, or at the last at which there is more than one."""
    steps = sorted(told.step.unique(), reverse=ends)
    chosen = next((step for step in steps if (told.step == step).sum() > 1), steps[0])
    rows = told[told.step == chosen].sort_values(["sessions", "source", "target"], ascending=[False, True, True])
    (most,) = records(rows.head(1))
    if ends:
        came = float(rows[rows.target == most.target].sessions.sum())
        return f"{share(most.sessions / came)} of the sessions at {most.target} came from {most.source}"
    went = float(rows[rows.source == most.source].sessions.sum())
    return f"{share(most.sessions / went)} of sessions that go on from {most.source} go to {most.target}"
