"""Whether the questions of a project can be asked of its tables, as far as the contracts can tell.

Belongs here: names of columns, properties and facts in questions. Does not belong here: what only the data can tell,
such as whether an event ever happens.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping

from analytics_assets.contracts import star
from analytics_assets.contracts.model import Contract
from analytics_assets.project.conditions import Condition
from analytics_assets.project.model import Project
from analytics_assets.project.problems import Loc, Positions, Problem
from analytics_assets.project.questions import Measure, Metric

Asked = dict[tuple[str, str], Positions]
"""Where each question stands, by kind and name."""

FACTS: Mapping[str, Contract] = {
    contract.table: contract for contract in vars(star).values() if isinstance(contract, Contract)
}
USER = "user."
_NO_DIMENSION = frozenset({"properties", "excluded_as", "event_id", "order_id", "line", "return_id"})
_NUMBERS = ("int", "decimal", "float")
_MORE_TABLES = {"funnels": ("attempts", "times", "users", "friction"), "retention": ("curve",)}
_TAKEN = {("funnels", "daily_metrics")}


def user_columns() -> tuple[str, ...]:
    """Name the columns of users, and of their places, by which people can be told apart."""
    place = [column.name for column in star.DIM_GEOGRAPHY.columns if column.name != "geography_id"]
    own = [column.name for column in star.DIM_USERS.columns if column.type == "string" and not column.personal]
    kept_out = {"geography_id", "properties", "excluded_as"}
    return tuple(f"{USER}{name}" for name in (*own, *place) if name not in kept_out)


def event_columns(project: Project) -> tuple[str, ...]:
    """Name what a question may ask of events: columns, and the properties that the sources keep."""
    columns = [column.name for column in star.FACT_EVENTS.columns if column.name != "properties"]
    kept = [name for *_, feed in project.feeds("events") for name in feed.properties]
    return tuple(dict.fromkeys([*columns, *kept]))


def question_problems(project: Project, asked: Asked) -> Iterator[Problem]:
    """Find every name in the questions of a project that no table has."""
    yield from _name_problems(asked)
    events = event_columns(project)
    either = (*events, *user_columns())
    for name, funnel in project.questions.funnels.items():
        at = asked["funnels", name]
        for place, step in enumerate(funnel.steps):
            yield from _unknown(at, ("steps", place, "where"), step.where, events, "events")
        for place, exclusion in enumerate(funnel.exclusions):
            yield from _unknown(at, ("exclusions", place, "where"), exclusion.where, events, "events")
        for place, breakdown in enumerate(funnel.broken_down()):
            yield from _unknown(at, ("breakdowns", place), [breakdown.by], either, "events, with users,")
        if funnel.unit not in {"user", "session"}:
            yield from _unknown(at, ("unit",), [funnel.unit], events, "events")
    for name, retention in project.questions.retention.items():
        at = asked["retention", name]
        yield from _unknown(at, ("cohort", "where"), retention.cohort.where, events, "events")
        yield from _unknown(at, ("returned", "where"), retention.returned.where, events, "events")
        for place, by in enumerate(retention.breakdowns):
            yield from _unknown(at, ("breakdowns", place), [by], either, "events, with users,")
    for name, metric in project.questions.metrics.items():
        yield from _metric_problems(metric, asked["metrics", name], project)


def _name_problems(asked: Asked) -> Iterator[Problem]:
    """Find names of questions whose tables would have the names of other tables."""
    for (kind, name), at in asked.items():
        other, _, rest = name.rpartition("_")
        if (kind, name) in _TAKEN or ((kind, other) in asked and rest in _MORE_TABLES.get(kind, ())):
            table = f"{kind.removesuffix('s')}_{name}"
            yield at.problem((), f"there is another table called {table}", "Give the file another name")


def _metric_problems(metric: Metric, at: Positions, project: Project) -> Iterator[Problem]:
    measures: dict[Loc, Measure] = {}
    if metric.fact is not None:
        measures[()] = Measure(fact=metric.fact, where=metric.where, value=metric.value)
    for part in ("numerator", "denominator"):
        if (measure := getattr(metric, part)) is not None:
            measures[(part,)] = measure
    shared: set[str] = set(user_columns())
    for loc, measure in measures.items():
        contract = FACTS[measure.fact]
        own = [column.name for column in contract.columns]
        known = event_columns(project) if measure.fact == "fact_events" else own
        yield from _unknown(at, (*loc, "where"), measure.where, known, measure.fact)
        if measure.value is not None:
            numbers = [column.name for column in contract.columns if column.type.startswith(_NUMBERS)]
            yield from _unknown(at, (*loc, "value"), [measure.value], numbers, f"{measure.fact}, with numbers,")
        if metric.kind in {"unique_users", "proportion", "retention"} and "user_id" not in own:
            hint = "Use a kind that counts rows, such as count, sum or ratio"
            yield at.problem((*loc, "fact"), f"{measure.fact} knows no users, and a {metric.kind} counts them", hint)
    facts = [
        {
            c.name
            for c in FACTS[measure.fact].columns
            if c.type == "string" and not c.personal and c.name not in _NO_DIMENSION
        }
        for measure in measures.values()
    ]
    shared |= set.intersection(*facts) if facts else set()
    for place, dimension in enumerate(metric.dimensions):
        yield from _unknown(at, ("dimensions", place), [dimension], sorted(shared), "all facts of the metric")


def _unknown(
    at: Positions, loc: Loc, names: Iterable[str] | Condition, known: Iterable[str], where: str
) -> Iterator[Problem]:
    known = list(known)
    for name in names:
        if name in known:
            continue
        near = difflib.get_close_matches(name, known, n=1)
        hint = (f"Did you mean '{near[0]}'? " if near else "") + f"There are: {', '.join(known)}"
        key = isinstance(names, dict)
        yield at.problem((*loc, name) if key else loc, f"no column of {where} is called '{name}'", hint, key=key)
