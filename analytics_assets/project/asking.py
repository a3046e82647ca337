"""Whether the questions of a project can be asked of its tables, as far as the contracts can tell.

Belongs here: names of columns, properties and facts in questions. Does not belong here: what only the data can tell,
such as whether an event ever happens.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping

from analytics_assets.contracts import sales, star
from analytics_assets.contracts.model import Contract
from analytics_assets.project.conditions import Condition
from analytics_assets.project.experiments import Measured, Plan, Role
from analytics_assets.project.model import Project
from analytics_assets.project.problems import Loc, Positions, Problem
from analytics_assets.project.questions import Measure, Metric

Asked = dict[tuple[str, str], Positions]
"""Where each question stands, by kind and name."""

_STAR = [contract for contract in vars(star).values() if isinstance(contract, Contract)]
FACTS: Mapping[str, Contract] = {
    contract.table: contract for contract in (*_STAR, sales.SALES_OVERVIEW, sales.ORDER_VALUE)
}
USER = "user."
_NO_DIMENSION = frozenset({"properties", "excluded_as", "event_id", "order_id", "line", "return_id"})
_NUMBERS = ("int", "decimal", "float")
_MORE_TABLES = {"funnels": ("attempts", "times", "users", "friction"), "retention": ("curve",)}
_OF_EXPERIMENTS = (
    "exposures", "traffic", "outcomes", "amounts", "moments", "results", "timeline", "segments", "regression", "impact",
    "verdicts", "trust",
    "calibration", "power", "checks", "aa",
)  # fmt: skip
_TAKEN = {("funnels", "daily_metrics"), *(("experiments", name) for name in _OF_EXPERIMENTS)}
BEFORE_EXPOSURE = ("device", "country", "campaign_id")
"""Columns of events that tell users apart as they were before an experiment could change them."""


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
    measures = _measures(metric)
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


def _measures(metric: Metric) -> dict[Loc, Measure]:
    """Give what a metric measures, by where it stands in its file."""
    measures: dict[Loc, Measure] = {}
    if metric.fact is not None:
        measures[()] = Measure(fact=metric.fact, where=metric.where, value=metric.value)
    for part in ("numerator", "denominator"):
        if (measure := getattr(metric, part)) is not None:
            measures[(part,)] = measure
    return measures


def experiment_problems(project: Project, asked: Asked) -> Iterator[Problem]:
    """Find what the plans of a project name that is not there, or cannot be measured of a user."""
    events = event_columns(project)
    for name, plan in project.experiments.items():
        at = asked["experiments", name]
        yield from _unknown(at, ("exposure", "where"), plan.exposure.where, events, "events")
        for loc, role, measured in _measured(plan):
            yield from _measured_problems(at, loc, role, measured, project.questions.metrics)
        primary = project.questions.metrics.get(plan.primary.metric)
        if primary is not None and primary.kind == "quantile" and plan.method != "fixed":
            told = f"{plan.primary.metric} is a quantile, whose error is not known day by day: it is judged once"
            yield at.problem(("method",), told, "Write `method: fixed`, or choose a mean or a share as the primary")
        for place, by in enumerate(plan.segments):
            if by in events and by not in BEFORE_EXPOSURE:
                hint = f"Known before are: {', '.join((*BEFORE_EXPOSURE, *user_columns()))}"
                told = f"'{by}' is not known before exposure: it is what an event says, and the variant may change it"
                yield at.problem(("segments", place), told, hint)
            else:
                known = (*BEFORE_EXPOSURE, *user_columns())
                yield from _unknown(at, ("segments", place), [by], known, "users, as before exposure,")


def _measured(plan: Plan) -> Iterator[tuple[Loc, Role, Measured]]:
    """Give the metrics of a plan, with where they stand in its file."""
    yield ("primary",), "primary", plan.primary
    for place, told in enumerate(plan.secondary):
        yield ("secondary", place), "secondary", told
    for place, guardrail in enumerate(plan.guardrails):
        yield ("guardrails", place), "guardrail", guardrail


def _measured_problems(
    at: Positions, loc: Loc, role: Role, measured: Measured, metrics: Mapping[str, Metric]
) -> Iterator[Problem]:
    metric, name = metrics.get(measured.metric), measured.metric
    if metric is None:
        near = difflib.get_close_matches(name, metrics, n=1)
        there = f"There are: {', '.join(metrics)}" if metrics else f"Define it in metrics/{name}.yaml"
        hint = (f"Did you mean '{near[0]}'? " if near else "") + there
        yield at.problem((*loc, "metric"), f"there is no metric '{name}'", hint)
        return
    for measure in _measures(metric).values():
        if all(column.name != "user_id" for column in FACTS[measure.fact].columns):
            told = f"{name} is of {measure.fact}, which knows no users: it cannot be measured of each"
            yield at.problem((*loc, "metric"), told, "Use a metric of events, sessions, sales or returns")
    if metric.direction == "neither" and role != "secondary":
        hint = f"Write `direction: up` or `down` in metrics/{name}.yaml, or measure it as a secondary metric"
        yield at.problem(
            (*loc, "metric"), f"{name} has no direction that is better, and a {role} metric needs one", hint
        )
    last = metric.after_days[1]
    if metric.kind == "retention" and measured.window_days <= last:
        told = f"{name} looks at the days to the {last}. after, and the window closes before that one is over"
        yield at.problem((*loc, "window_days"), told, f"Write {last + 1} or more")


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
