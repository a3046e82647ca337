"""Paths: which event follows which within a session.

Belongs here: the steps of a session, the edges between them, and how often one event follows another at all. Does not
belong here: what a session is (`sessions`), and steps that a team expects (`funnel`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import ibis

from analytics_assets.analysis.periods import ratio

if TYPE_CHECKING:
    from ibis.expr.types import Table

OTHER = "(other)"


@dataclass(frozen=True)
class Paths:
    """Say which part of a session is a path, and how much of all paths to show.

    Attributes:
        steps: The most steps of a path.
        start: The event type with which a path starts: where it first occurs in a session, as step 1.
        end: The event type with which a path ends: where it first occurs (after the start, if there is one). Without a
            start, the end is step 0 and the steps before it are -1, -2, ...
        nodes: How many event types to show at each step; the others are one, `(other)`.
        edges: How many edges to show in all; the others are one a step, from `(other)` to `(other)`.
        collapse_repeats: Take an event that directly follows one of its own type as the same step.
    """

    steps: int = 5
    start: str | None = None
    end: str | None = None
    nodes: int | None = None
    edges: int | None = None
    collapse_repeats: bool = True

    def __post_init__(self) -> None:
        if self.steps < 2:
            raise ValueError(f"a path has two steps or more, not {self.steps}")


def path_steps(events: Table, paths: Paths) -> Table:
    """Number the steps of each session's path: columns session_id, step, event_type.

    Events are ordered by (occurred_at, event_id). Sessions without the start or the end have no path, nor have events
    without a session.

    Args:
        events: Columns session_id, event_type, occurred_at, event_id.
        paths: Which part of a session is a path.
    """
    acted = events.filter(events.session_id.notnull())
    in_order = ibis.window(group_by="session_id", order_by=["occurred_at", "event_id"])
    steps = acted.select("session_id", "event_type", "occurred_at", "event_id")
    if paths.collapse_repeats:
        before = steps.event_type.lag().over(in_order)
        steps = steps.mutate(repeats=(steps.event_type == before).fill_null(False))  # noqa: FBT003
        steps = steps.filter(~steps.repeats)
    steps = steps.mutate(step=ibis.row_number().over(in_order) + 1)
    of_session = ibis.window(group_by="session_id")
    if paths.start is not None:
        starts = steps.step.min(where=steps.event_type == paths.start).over(of_session)
        steps = steps.mutate(step=steps.step - starts + 1).filter(ibis._.step >= 1)
    if paths.end is not None:
        steps = steps.mutate(end=steps.step.min(where=steps.event_type == paths.end).over(of_session))
        steps = steps.filter(steps.step <= steps.end)
        if paths.start is None:
            steps = steps.mutate(step=steps.step - steps.end)
    from_end = paths.end is not None and paths.start is None
    wanted = steps.step > -paths.steps if from_end else steps.step <= paths.steps
    return steps.filter(wanted).select("session_id", "step", "event_type")


def path_edges(events: Table, paths: Paths) -> Table:
    """Count the sessions that go from one event at a step to another at the next: the links of a Sankey diagram.

    Args:
        events: Columns session_id, event_type, occurred_at, event_id.
        paths: Which part of a session is a path, and how many nodes and edges to show. What ranks equal is taken in the
            order of step and names.

    Returns:
        Columns step (that of the source), source, target, sessions, and pooled (how many edges the row stands for: 1,
        or more where it goes from or to `(other)`). No session is lost by pooling.

    >>> import datetime as dt
    >>> noon = dt.datetime(2024, 3, 1, 12)
    >>> events = ibis.memtable(
    ...     [
    ...         {"session_id": s, "event_type": e, "occurred_at": noon + dt.timedelta(seconds=n), "event_id": str(n)}
    ...         for s, types in {"s1": "view cart pay", "s2": "view cart"}.items()
    ...         for n, e in enumerate(types.split())
    ...     ]
    ... )
    >>> path_edges(events, Paths()).order_by("step").execute().values.tolist()
    [[1, 'view', 'cart', 2, 1], [2, 'cart', 'pay', 1, 1]]
    """
    steps = path_steps(events, paths)
    target = ibis._.event_type.lead().over(ibis.window(group_by="session_id", order_by="step"))
    links = steps.mutate(target=target).filter(ibis._.target.notnull()).rename(source="event_type")
    edges = links.group_by(["step", "source", "target"]).aggregate(
        sessions=links.count(), pooled=ibis.literal(1, "int64")
    )
    if paths.nodes is not None:
        edges = _pool_nodes(edges, steps, paths.nodes)
    if paths.edges is not None:
        edges = _pool_edges(edges, paths.edges)
    return edges


def transition_matrix(events: Table, *, collapse_repeats: bool = False) -> Table:
    """Count how often each event is directly followed by each other one in its session, over all of it.

    Args:
        events: Columns session_id, event_type, occurred_at, event_id.
        collapse_repeats: Leave out transitions from an event type to itself.

    Returns:
        Columns source, target, transitions, share (of all transitions from the source).
    """
    acted = events.filter(events.session_id.notnull())
    in_order = ibis.window(group_by="session_id", order_by=["occurred_at", "event_id"])
    pairs = acted.select(source="event_type", target=acted.event_type.lead().over(in_order))
    pairs = pairs.filter(pairs.target.notnull())
    if collapse_repeats:
        pairs = pairs.filter(pairs.source != pairs.target)
    counted = pairs.group_by(["source", "target"]).aggregate(transitions=pairs.count())
    of_source = ibis.window(group_by="source")
    return counted.mutate(share=ratio(counted.transitions, counted.transitions.sum().over(of_source)))


def _pool_nodes(edges: Table, steps: Table, most: int) -> Table:
    """Call all but the most frequent event types of each step `(other)`."""
    nodes = steps.group_by(["step", "event_type"]).aggregate(sessions=steps.count())
    place = ibis.row_number().over(
        ibis.window(group_by="step", order_by=[ibis.desc("sessions"), ibis.asc("event_type")])
    )
    kept = nodes.mutate(place=place).filter(ibis._.place < most)
    for end, later in (("source", 0), ("target", 1)):
        shown = kept.select(at=kept.step - later, name="event_type")
        found = edges.left_join(shown, [edges.step == shown.at, edges[end] == shown.name])
        edges = found.mutate(**{end: found.name.fill_null(OTHER)}).drop("at", "name")
    return _summed(edges)


def _pool_edges(edges: Table, most: int) -> Table:
    """Pool all but the most frequent edges into one a step."""
    order = [ibis.desc("sessions"), ibis.asc("step"), ibis.asc("source"), ibis.asc("target")]
    ranked = edges.mutate(kept=ibis.row_number().over(ibis.window(order_by=order)) < most)
    named = ranked.mutate(**{end: ranked.kept.ifelse(ranked[end], OTHER) for end in ("source", "target")})
    return _summed(named)


def _summed(edges: Table) -> Table:
    return edges.group_by(["step", "source", "target"]).aggregate(
        sessions=edges.sessions.sum().cast("int64"), pooled=edges.pooled.sum().cast("int64")
    )
