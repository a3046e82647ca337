"""Metrics: the numbers that a team defined, and whether the events that its questions name ever occur.

Belongs here: from a definition to the rows that it means. Does not belong here: what a kind of metric is (`analysis`).
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import ibis

from analytics_assets.analysis import metrics
from analytics_assets.assets.asking import with_users
from analytics_assets.assets.catalog import Setting, TableAsset, family
from analytics_assets.assets.records import made
from analytics_assets.contracts import star
from analytics_assets.contracts.metrics import DECLARED_EVENTS, METRIC_DAILY
from analytics_assets.lake.days import Days
from analytics_assets.lake.functions import json_text
from analytics_assets.project.asking import USER
from analytics_assets.project.conditions import Condition, Question, holds
from analytics_assets.project.experiments import Plan
from analytics_assets.project.model import Project
from analytics_assets.project.questions import Measure, Metric, Questions

if TYPE_CHECKING:
    from ibis.expr.types import StringValue, Table

_OF_PLACES = {f"{USER}{column.name}" for column in star.DIM_GEOGRAPHY.columns}


@family
def metric_tables(project: Project) -> Iterator[TableAsset]:
    """Make the table of all metrics, and that of all events that questions name."""
    questions = project.questions
    if questions.metrics:
        yield TableAsset(METRIC_DAILY, metric_daily, _read_for(questions.metrics.values()), ())
    if any(named_events(questions, project.experiments)):
        yield TableAsset(DECLARED_EVENTS, declared_events, ("fact_user_day_events",), ())


def metric_daily(setting: Setting, **tables: Table) -> Table:
    """Compute every metric by day, week and month, as a whole and by each of its dimensions.

    Rows that are excluded are in no metric. Whatever else is left out (cancelled sales, say) is what the metric's
    `where` leaves out; `fact_user_days` has none of either.
    """
    parts = [
        _values(metric, tables, setting.so_far).mutate(
            metric=ibis.literal(name),
            unit=ibis.literal(metric.unit),
            direction=ibis.literal(metric.direction),
        )
        for name, metric in setting.project.questions.metrics.items()
    ]
    return functools.reduce(lambda one, other: one.union(other), parts)


def declared_events(setting: Setting, fact_user_day_events: Table) -> Table:
    """Count the events that questions and plans name; beside one that never occurs stands what may have been meant."""
    counts = fact_user_day_events.group_by("event_type").aggregate(n=fact_user_day_events.events.sum())
    seen = {row["event_type"]: row["n"] for row in setting.collect(counts)}
    records = []
    project = setting.project
    for question, event in sorted(set(named_events(project.questions, project.experiments))):
        near = [] if event in seen else difflib.get_close_matches(event, sorted(seen), n=1)
        records.append({"question": question, "event": event, "near": (near or [None])[0], "seen": seen.get(event, 0)})
    return made(DECLARED_EVENTS, records)


def named_events(questions: Questions, experiments: Mapping[str, Plan]) -> Iterator[tuple[str, str]]:
    """List the event types that questions and experiments name, beside what names them: `funnels.checkout`."""
    for name, plan in experiments.items():
        yield from ((f"experiments.{name}", event) for event in _events(plan.exposure.event, plan.exposure.where))
    for name, funnel in questions.funnels.items():
        for match in (*funnel.steps, *funnel.exclusions):
            yield from ((f"funnels.{name}", event) for event in _events(match.event, match.where))
    for name, retention in questions.retention.items():
        for match in (retention.cohort, retention.returned):
            yield from ((f"retention.{name}", event) for event in _events(match.event, match.where))
    for name, paths in questions.paths.items():
        yield from ((f"paths.{name}", event) for event in (paths.start, paths.end) if event is not None)
    for name, metric in questions.metrics.items():
        for measure in measures(metric):
            yield from ((f"metrics.{name}", event) for event in _events(None, measure.where))


def _events(event: str | None, where: Condition) -> list[str]:
    """List the event types that a condition asks for by their full name."""
    test = where.get("event_type")
    texts = test.equals if isinstance(test, Question) else test
    named = [texts] if isinstance(texts, str) else texts or []
    return named if event is None else [event, *named]


def measures(metric: Metric) -> tuple[Measure, ...]:
    """Return what a metric measures: one thing, or its numerator and denominator."""
    if metric.fact is not None:
        return (Measure(fact=metric.fact, where=metric.where, value=metric.value),)
    return tuple(measure for measure in (metric.numerator, metric.denominator) if measure is not None)


def _read_for(asked: Iterable[Metric]) -> tuple[str, ...]:
    """Name the tables that metrics are computed from."""
    asked = list(asked)
    dimensions = {dimension for metric in asked for dimension in metric.dimensions}
    facts = sorted({measure.fact for metric in asked for measure in measures(metric)})
    users = ["dim_users"] if any(name.startswith(USER) for name in dimensions) else []
    places = ["dim_geography"] if dimensions & _OF_PLACES else []
    return (*facts, *users, *places)


def _values(metric: Metric, tables: Mapping[str, Table], days: Days) -> Table:
    """Compute one metric, by what it is."""
    kinds: dict[str, Callable[..., Table]] = {
        "count": metrics.totals,
        "sum": metrics.totals,
        "unique_users": metrics.unique_users,
        "mean": metrics.means,
        "ratio": metrics.ratios,
        "proportion": metrics.proportions,
        "retention": functools.partial(metrics.returns, after_days=metric.after_days),
        "quantile": functools.partial(metrics.quantiles, quantile=metric.quantile),
    }
    rows = [measured_rows(measure, metric, tables, by=metric.dimensions) for measure in measures(metric)]
    own = [name for name in metric.dimensions if name.startswith(USER)]
    return kinds[metric.kind](*rows, days.first, days.last, by=metric.dimensions, own=own)


def measured_rows(
    measure: Measure, metric: Metric, tables: Mapping[str, Table], *, by: Sequence[str] = (), at: str | None = None
) -> Table:
    """Pick the rows that a measure of a metric means: the one definition, of trends and of experiments.

    Args:
        measure: What is measured.
        metric: The metric whose measure it is.
        tables: The facts, and users where dimensions are of them.
        by: Dimensions to keep.
        at: The fact's column that says when, to be kept as `at`.
    """
    rows = tables[measure.fact]
    if "excluded_as" in rows.columns:
        rows = rows.filter(rows.excluded_as.isnull())
    rows = rows.filter(holds(functools.partial(_text, rows), measure.where))
    of_users = [name for name in by if name.startswith(USER)]
    if of_users and "user_id" in rows.columns:
        rows = with_users(rows, of_users, tables["dim_users"], tables.get("dim_geography"))
    elif of_users:
        rows = rows.mutate(**{name: ibis.null("string") for name in of_users})
    return metrics.measured(rows, measure.value, metric.cap, by, at)


def _text(rows: Table, name: str) -> StringValue:
    """Give the text of a column, or of a property that the sources keep."""
    if name in rows.columns:
        text: StringValue = rows[name].cast("string")
        return text
    return json_text(rows.properties, name)
