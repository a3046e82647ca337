"""What exposed users of experiments did, and its sums: what every verdict rests on.

Belongs here: from plans to exposures, outcomes and moments, all experiments at once. Does not belong here: what these
are (`analysis`), and any test of them.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import ibis

from analytics_assets.analysis import experiments, moments, outcomes
from analytics_assets.analysis.experiments import OF_EVENTS
from analytics_assets.analysis.outcomes import OF_TWO, Definition
from analytics_assets.analysis.periods import ratio
from analytics_assets.analysis.tables import together
from analytics_assets.assets.asking import askable, matches, with_users
from analytics_assets.assets.catalog import Setting, TableAsset, family
from analytics_assets.assets.metrics import measured_rows, measures
from analytics_assets.contracts import experiments as promised
from analytics_assets.contracts.model import UNKNOWN_MEMBER
from analytics_assets.project.asking import USER
from analytics_assets.project.experiments import Plan
from analytics_assets.project.model import Project
from analytics_assets.project.questions import Metric

if TYPE_CHECKING:
    from ibis.expr.types import Table

INSTANTS: Mapping[str, str] = {
    "fact_events": "occurred_at",
    "fact_sessions": "started_at",
    "fact_sales": "ordered_at",
    "fact_returns": "returned_at",
    "sales_overview": "ordered_at",
    "order_value": "ordered_at",
}
"""The column of each fact that says when; the others know days only."""
_CELL = ("variant", "dimension", "segment", "exposed_on", "matured")


@family
def experiment_tables(project: Project) -> Iterator[TableAsset]:
    """Make the tables that all experiments of a project share."""
    if not project.experiments:
        return
    listed = ("fact_assignments", "fact_events")
    yield TableAsset(promised.EXPERIMENT_EXPOSURES, experiment_exposures, listed, ())
    yield TableAsset(promised.EXPERIMENT_TRAFFIC, experiment_traffic, ("experiment_exposures", *listed), ())
    yield TableAsset(promised.USER_EXPOSURE, user_exposure, ("experiment_exposures",), ())
    if summed := _measured(project, ranked=False):
        facts = _facts(summed)
        yield TableAsset(promised.EXPERIMENT_OUTCOMES, experiment_outcomes, ("experiment_exposures", *facts), ())
        yield TableAsset(promised.USER_OUTCOMES, user_outcomes, ("experiment_outcomes",), ())
        users = ("dim_users", "dim_geography") if _of_users(project) else ()
        cells = ("experiment_exposures", "experiment_outcomes", *users)
        yield TableAsset(promised.EXPERIMENT_MOMENTS, experiment_moments, cells, ())
    if ranked := _measured(project, ranked=True):
        facts = _facts(ranked)
        yield TableAsset(promised.EXPERIMENT_AMOUNTS, experiment_amounts, ("experiment_exposures", *facts), ())


def analysed(name: str, plan: Plan) -> experiments.Plan:
    """Return what the analysis needs to know of a plan."""
    told = [
        experiments.Measured(measured.metric, measured.window_days, measured.delay_days)
        for _, measured in plan.measured()
    ]
    return experiments.Plan(
        name,
        tuple(plan.variants),
        plan.control,
        plan.starts,
        plan.ends,
        tuple(told),
        tuple(plan.segments),
        plan.covariate_days,
    )


def _plans(project: Project) -> list[experiments.Plan]:
    return [analysed(name, plan) for name, plan in project.experiments.items()]


def _measured(project: Project, *, ranked: bool) -> dict[str, Metric]:
    """Give the metrics that experiments measure: those that are ranked, or the others."""
    named = {measured.metric for plan in project.experiments.values() for _, measured in plan.measured()}
    known = project.questions.metrics
    return {name: known[name] for name in sorted(named) if name in known and (known[name].kind == "quantile") == ranked}


def _facts(metrics: Mapping[str, Metric]) -> tuple[str, ...]:
    return tuple(sorted({measure.fact for metric in metrics.values() for measure in measures(metric)}))


def _of_users(project: Project) -> list[str]:
    named = {name for plan in project.experiments.values() for name in plan.segments}
    return sorted(name for name in named if name.startswith(USER))


def _exposing(setting: Setting, fact_events: Table) -> Table:
    """Keep the events that may expose users, of all experiments, which go through the events together."""
    plans = setting.project.experiments
    events = askable({"fact_events": fact_events}, [name for plan in plans.values() for name in plan.exposure.where])
    flags = {f"of_{number}_": matches(events, plan.exposure) for number, plan in enumerate(plans.values())}
    first, last = min(plan.starts for plan in plans.values()), max(plan.ends for plan in plans.values())
    told = events.select("user_id", "day", "occurred_at", **flags)
    told = told.filter(told.day.between(ibis.literal(first), ibis.literal(last)), ibis.or_(*(told[f] for f in flags)))
    return together(
        [
            experiments.exposing(analysed(name, plan), told.filter(told[flag]), setting.so_far.last)
            for flag, (name, plan) in zip(flags, plans.items(), strict=True)
        ]
    )


def experiment_exposures(setting: Setting, fact_assignments: Table, fact_events: Table) -> Table:
    """Find out who was exposed to which variant and when, and say why users are left out of the comparison."""
    plans = _plans(setting.project)
    found = experiments.exposures(plans, fact_assignments, _exposing(setting, fact_events))
    asked = {name for plan in plans for name in plan.segments}
    columns = [name for name in OF_EVENTS if name in asked]
    acted = askable({"fact_events": fact_events}, ())
    told = experiments.with_past(found, acted, columns)
    return told.mutate(**{name: ibis.null("string") for name in OF_EVENTS if name not in columns})


def experiment_traffic(
    setting: Setting, experiment_exposures: Table, fact_assignments: Table, fact_events: Table
) -> Table:
    """Count users by day and variant before anybody is left out: what the sample ratio is judged by."""
    return experiments.traffic(experiment_exposures, fact_assignments, _exposing(setting, fact_events))


def user_exposure(experiment_exposures: Table) -> Table:
    """List the users who are compared, with their variant and when they were exposed."""
    return experiments.counting(experiment_exposures).select(
        "experiment", "user_id", "variant", "exposed_at", "exposed_on"
    )


def experiment_outcomes(setting: Setting, experiment_exposures: Table, **facts: Table) -> Table:
    """Measure the metrics of each exposed user in the window after exposure, and in the days before."""
    plans, exposed = _plans(setting.project), experiments.counting(experiment_exposures)
    return together(
        [
            outcomes.outcomes(name, definition(metric, facts), plans, exposed, _until(setting))
            for name, metric in _measured(setting.project, ranked=False).items()
        ]
    )


def experiment_amounts(setting: Setting, experiment_exposures: Table, **facts: Table) -> Table:
    """List what quantiles rank: the amounts of the rows of each exposed user in the window after exposure."""
    plans, exposed = _plans(setting.project), experiments.counting(experiment_exposures)
    return together(
        [
            outcomes.amounts(name, definition(metric, facts), plans, exposed, _until(setting))
            for name, metric in _measured(setting.project, ranked=True).items()
        ]
    )


def definition(metric: Metric, facts: Mapping[str, Table]) -> Definition:
    """Return what a metric means to the analysis, of the rows that its trends mean too."""
    parts = [measured_rows(measure, metric, facts, at=INSTANTS.get(measure.fact)) for measure in measures(metric)]
    return Definition(metric.kind, tuple(parts), metric.after_days)


def _until(setting: Setting) -> dt.datetime:
    """Return the end of the last day delivered."""
    after = setting.so_far.last + dt.timedelta(days=1)
    return dt.datetime.combine(after, dt.time(), ZoneInfo(setting.project.time_zone))


def user_outcomes(setting: Setting, experiment_outcomes: Table) -> Table:
    """Give each metric of each user who is compared as one number."""
    kinds = setting.project.questions.metrics
    of_two = [name for name, metric in kinds.items() if metric.kind in OF_TWO]
    told = experiment_outcomes
    outcome = told.metric.isin(of_two).ifelse(ratio(told.value, told.weight), told.value)
    return told.select(
        "experiment", "user_id", "variant", "metric", "window_days", "delay_days", "matured", outcome=outcome
    )


def experiment_moments(
    setting: Setting,
    experiment_exposures: Table,
    experiment_outcomes: Table,
    dim_users: Table | None = None,
    dim_geography: Table | None = None,
) -> Table:
    """Sum up outcomes by variant, segment, day of exposure and maturity: what statistics read instead of users."""
    told = experiment_outcomes.inner_join(
        _segments(setting, experiment_exposures, dim_users, dim_geography), ["experiment", "user_id"]
    )
    outcome = ("experiment", "metric", "window_days", "delay_days")
    return moments.moments(told, (*outcome, *_CELL), outcome)


def _segments(setting: Setting, exposures: Table, users: Table | None, places: Table | None) -> Table:
    """List the segments that each exposed user is in: all, and one of each dimension of the plan."""
    counting = experiments.counting(exposures)
    if users is not None:
        counting = with_users(counting, _of_users(setting.project), users, places)
    parts = [counting.select("experiment", "user_id", dimension=ibis.literal(""), segment=ibis.literal(""))]
    dimensions = {name for plan in setting.project.experiments.values() for name in plan.segments}
    for name in sorted(dimensions):
        asking = [plan for plan, told in setting.project.experiments.items() if name in told.segments]
        members = counting.filter(counting.experiment.isin(asking))
        segment = members[name].cast("string").fill_null(UNKNOWN_MEMBER)
        parts.append(members.select("experiment", "user_id", dimension=ibis.literal(name), segment=segment))
    return together(parts)
