"""Pretended experiments on the last days: what plans are made of, and A/A tests of every metric that plans measure.

Belongs here: from plans to the users who would have been exposed, sums over buckets of them, and what statistics make
of the sums. Does not belong here: sums and outcomes themselves (`analysis`), and any formula (`statistics`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import ibis

from analytics_assets.analysis import baselines, experiments, moments, outcomes
from analytics_assets.analysis.tables import together
from analytics_assets.assets.asking import askable, matching
from analytics_assets.assets.catalog import Setting, TableAsset, family
from analytics_assets.assets.metrics import measures
from analytics_assets.assets.outcomes import definition
from analytics_assets.assets.records import made
from analytics_assets.assets.verdicts import Asked, asked
from analytics_assets.contracts import baselines as promised
from analytics_assets.contracts.model import Contract
from analytics_assets.project.experiments import Measured, Plan
from analytics_assets.project.model import Project
from analytics_assets.project.questions import Match, Metric
from analytics_assets.statistics.moments import Moments
from analytics_assets.statistics.planning import Planned, Prospect, Reach, baseline, prospect

if TYPE_CHECKING:
    import numpy as np
    from ibis.expr.types import Table
    from numpy.typing import NDArray

    from analytics_assets.statistics.rerandomisation import BucketSums, FalsePositives

Record = dict[str, Any]
Slot = tuple[str, int, int]
_OUTCOME = ("experiment", "metric", "window_days", "delay_days")
_PLAIN, _OF_RATIO = ("value", "pre_value"), ("value", "weight", "pre_value", "pre_weight")
_MOST_WEEKS = 12


@family
def baseline_tables(project: Project) -> Iterator[TableAsset]:
    """Make the tables of pretended experiments of a project's plans."""
    if not project.experiments:
        return
    yield TableAsset(promised.EXPERIMENT_REACH, experiment_reach, ("fact_events",), ())
    if metrics := _summed(project):
        facts = sorted({measure.fact for metric in metrics.values() for measure in measures(metric)} - {"fact_events"})
        yield TableAsset(promised.EXPERIMENT_BASELINES, experiment_baselines, ("fact_events", *facts), ())
        yield TableAsset(promised.EXPERIMENT_AA, experiment_aa, ("experiment_baselines",), ())


def _summed(project: Project) -> dict[str, Metric]:
    """Give the metrics of plans that are sums over users."""
    named = {measured.metric for plan in project.experiments.values() for _, measured in plan.measured()}
    known = project.questions.metrics
    return {name: known[name] for name in sorted(named) if name in known and known[name].kind != "quantile"}


# --- pretended experiments --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Pretended:
    """Hold experiments that never ran, and which plans ask for them.

    Attributes:
        plans: One of each exposure, days of a covariate and days until a window is over.
        exposures: What exposes, of each.
        asking: Which experiment asks for which metric of which of them.
    """

    plans: tuple[experiments.Plan, ...]
    exposures: Mapping[str, Match]
    asking: tuple[Record, ...]


def _over(measured: Measured, metric: Metric) -> int:
    """Give the days from exposure until everything that counts has happened."""
    last = metric.after_days[1] + 1 if metric.kind == "retention" else 0
    return measured.delay_days + max(measured.window_days, last)


def _days(setting: Setting, over_days: int) -> tuple[dt.date, dt.date] | None:
    return baselines.lately(setting.so_far.first, setting.so_far.last, over_days)


def _pretended(setting: Setting) -> _Pretended:
    """Pretend an experiment for all metrics that have exposure, covariate and days in common."""
    metrics = _summed(setting.project)
    wanted: dict[tuple[str, int, int], list[tuple[str, Measured]]] = {}
    exposures: dict[str, Match] = {}
    for name, plan in setting.project.experiments.items():
        told = plan.exposure.model_dump_json()
        exposures[told] = plan.exposure
        for _, measured in plan.measured():
            if measured.metric in metrics:
                key = (told, plan.covariate_days, _over(measured, metrics[measured.metric]))
                wanted.setdefault(key, []).append((name, measured))
    plans, exposing, asking = [], {}, []
    for place, ((told, covariate_days, over), members) in enumerate(sorted(wanted.items(), key=lambda item: item[0])):
        days = _days(setting, over)
        if days is None:
            continue
        slots = dict.fromkeys((one.metric, one.window_days, one.delay_days) for _, one in members)
        measured_once = tuple(experiments.Measured(*slot) for slot in slots)
        called = f"pretended {place}"
        plans.append(
            experiments.Plan(
                called, (baselines.EVERYBODY,), baselines.EVERYBODY, *days, measured_once, (), covariate_days
            )
        )
        exposing[called] = exposures[told]
        asking += [
            {
                "pretended": called,
                "metric": one.metric,
                "window_days": one.window_days,
                "delay_days": one.delay_days,
                "experiment": name,
            }
            for name, one in members
        ]
    return _Pretended(tuple(plans), exposing, tuple(asking))


def _met(plans: Sequence[experiments.Plan], exposures: Mapping[str, Match], events: Table, last: dt.date) -> Table:
    """Find who would have been exposed in pretended experiments."""
    parts = []
    for plan in plans:
        exposure = exposures[plan.name]
        counting = askable({"fact_events": events}, exposure.where)
        parts.append(experiments.exposing(plan, matching(counting, exposure), last))
    return baselines.met(together(parts))


def _empty(contract: Contract) -> Table:
    return made(contract, [])


def experiment_baselines(setting: Setting, fact_events: Table, **facts: Table) -> Table:
    """Measure the metrics of every plan of the users who met its event lately, summed up by bucket of users."""
    pretended = _pretended(setting)
    if not pretended.plans:
        return _empty(promised.EXPERIMENT_BASELINES)
    facts = {"fact_events": fact_events, **facts}
    last = setting.so_far.last
    people = _met(pretended.plans, pretended.exposures, fact_events, last)
    until = dt.datetime.combine(last + dt.timedelta(days=1), dt.time(), ZoneInfo(setting.project.time_zone))
    there = {measured.metric for plan in pretended.plans for measured in plan.measured}
    parts = [
        outcomes.outcomes(name, definition(metric, facts), pretended.plans, people, until)
        for name, metric in _summed(setting.project).items()
        if name in there
    ]
    told = together(parts).rename(pretended="experiment")
    asking = ibis.memtable(
        list(pretended.asking),
        schema={name: "int64" if name.endswith("_days") else "string" for name in pretended.asking[0]},
    )
    of_plans = told.inner_join(asking, ["pretended", "metric", "window_days", "delay_days"])
    return baselines.by_bucket(of_plans, _OUTCOME)


def experiment_reach(setting: Setting, fact_events: Table) -> Table:
    """Count by day the users who would have been exposed, had each experiment begun 28 days ago."""
    days = _days(setting, 0)
    plans = setting.project.experiments
    if days is None:
        return _empty(promised.EXPERIMENT_REACH)
    pretended = [experiments.Plan(name, (baselines.EVERYBODY,), baselines.EVERYBODY, *days) for name in plans]
    people = _met(pretended, {name: plan.exposure for name, plan in plans.items()}, fact_events, days[1])
    rows = setting.collect(baselines.reached(people))
    counts = {(row["experiment"], row["day"]): row["users"] for row in rows}
    every = [days[0] + dt.timedelta(days=place) for place in range((days[1] - days[0]).days + 1)]
    records = [
        {"experiment": name, "day": day, "users": counts.get((name, day), 0)} for name in sorted(plans) for day in every
    ]
    return made(promised.EXPERIMENT_REACH, records)


# --- A/A --------------------------------------------------------------------------------------------------------------


def experiment_aa(setting: Setting, experiment_baselines: Table) -> Table:
    """Divide the users who were there lately into arms again and again, and count the alarms of each metric."""
    sums = _by_slot(setting, experiment_baselines)
    questions = [
        (name, ask)
        for name, plan in sorted(setting.project.experiments.items())
        for ask in asked(plan, setting.project)
        if ask.ranked is None
    ]
    treated = _arms() if sums else None
    records = [
        record for name, ask in questions for record in _aa(name, ask, sums.get((name, ask.slot)), setting, treated)
    ]
    return made(promised.EXPERIMENT_AA, records)


def _by_slot(setting: Setting, table: Table) -> dict[tuple[str, Slot], Record]:
    """Read the sums of each outcome as lists over its buckets, in the order of the buckets."""
    numbers = ["n", *moments.names(baselines.VARIABLES)]
    shifts = {f"shift_{name}": table[f"shift_{name}"].max() for name in baselines.VARIABLES}
    listed = {name: table[name].fill_null(0).collect(order_by=table.bucket) for name in numbers}
    found = table.group_by(list(_OUTCOME)).aggregate(
        bucket=table.bucket.collect(order_by=table.bucket), **shifts, **listed
    )
    return {
        (row["experiment"], (row["metric"], row["window_days"], row["delay_days"])): row
        for row in setting.collect(found)
    }


def _variables(ask: Asked) -> tuple[str, ...]:
    return _OF_RATIO if ask.measure.ratio else _PLAIN


def _bucket_sums(row: Record, ask: Asked) -> BucketSums:
    """Put lists over the buckets that there are into their places among all buckets."""
    import numpy as np

    from analytics_assets.statistics.rerandomisation import BUCKETS, BucketSums

    places = np.array([int(name, 16) for name in row["bucket"]])

    def spread(values: Sequence[float]) -> Any:  # noqa: ANN401 - an array
        whole = np.zeros(BUCKETS)
        whole[places] = values
        return whole

    variables = _variables(ask)
    order = baselines.VARIABLES.index
    pairs = [[sorted((one, other), key=order) for other in variables] for one in variables]
    products = [[spread(row[f"product_{one}_{other}"]) for one, other in pair] for pair in pairs]
    return BucketSums(
        spread(row["n"]),
        np.stack([spread(row[f"sum_{name}"]) for name in variables], axis=1),
        np.moveaxis(np.array(products), 2, 0),
        tuple(float(row[f"shift_{name}"] or 0.0) for name in variables),
    )


def _arms() -> NDArray[np.bool_]:
    from analytics_assets.statistics.rerandomisation import arms

    return arms()


def _aa(
    name: str, ask: Asked, row: Record | None, setting: Setting, treated: NDArray[np.bool_] | None
) -> Iterator[Record]:
    metric = setting.project.questions.metrics[ask.measured.metric]
    days = _days(setting, _over(ask.measured, metric))
    first, last = days if days is not None else (None, None)
    base = {**ask.columns, "experiment": name, "first_day": first, "last_day": last}
    nothing = {"users": 0, "draws": 0, "alarms": 0, "state": "untested"}
    estimators = ("plain", "adjusted") if ask.measure.covariate else ("plain",)
    for estimator in estimators:
        if row is None or treated is None or not sum(row["n"]):
            missing = "nobody met the exposing event" if days is not None else "no window is over yet"
            yield {**base, **nothing, "estimator": estimator, "reason": missing}
            continue
        found = _false_positives(row, ask, treated, adjusted=estimator == "adjusted")
        yield {**base, "estimator": estimator, "users": sum(row["n"]), **_told(found)}


def _false_positives(row: Record, ask: Asked, treated: NDArray[np.bool_], *, adjusted: bool) -> FalsePositives:
    from analytics_assets.statistics.rerandomisation import false_positives

    return false_positives(_bucket_sums(row, ask), treated, ratio=ask.measure.ratio, covariate=adjusted)


def _told(found: FalsePositives) -> Record:
    numbers = {name: getattr(found, name) for name in ("draws", "alarms", "rate", "low", "high")}
    if found.rate is None:
        return {**numbers, "state": "untested", "reason": str(found.reason)}
    if found.flagged:
        often = "often" if found.high is not None and found.rate > found.high else "seldom"
        return {**numbers, "state": "flagged", "reason": f"too {often} a difference where there is none"}
    return {**numbers, "state": "fine", "reason": None}


# --- planning ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outlook:
    """Hold what a plan can see, by metric, in the plan's order.

    Attributes:
        planned: What the plan fixes.
        reach: Users by day of the last 28.
        last: The last of these days; None without any.
        prospects: Of each metric, with what names it; None of a quantile.
        weeks: How many weeks are told.
    """

    planned: Planned
    reach: Reach
    last: dt.date | None
    prospects: tuple[tuple[Asked, Prospect | None], ...]
    weeks: int


def known_of(name: str, baselines_table: Table, reach: Table) -> tuple[Table, Table]:
    """Pick what is known of one experiment, as few rows: sums of all buckets by metric, and users by day."""
    own = baselines_table.filter(baselines_table.experiment == name)
    days = reach.filter(reach.experiment == name).order_by("day")
    return moments.summed(own, list(_OUTCOME), baselines.VARIABLES), days


def outlook(
    name: str, project: Project, sums: Sequence[Record], days: Sequence[Record], weeks: int | None = None
) -> Outlook:
    """Say what a plan can see by week of exposure.

    Args:
        name: The experiment.
        project: Its project.
        sums: The rows of the first table of `known_of`.
        days: The rows of the second, in their order.
        weeks: How many weeks are told; those of the plan, but no more than 12, by default.
    """
    plan = project.experiments[name]
    planned = planned_of(plan)
    reach = Reach(tuple(row["users"] for row in days))
    by_slot = {(row["metric"], row["window_days"], row["delay_days"]): row for row in sums}
    told = weeks or min(planned.weeks, _MOST_WEEKS)
    prospects: list[tuple[Asked, Prospect | None]] = []
    for ask in asked(plan, project):
        found = None
        if ask.ranked is None:
            known = baseline(
                _whole(by_slot.get(ask.slot), ask), ratio=ask.measure.ratio, covariate=ask.measure.covariate
            )
            found = prospect(ask.measure, known, planned, reach, told)
        prospects.append((ask, found))
    return Outlook(planned, reach, days[-1]["day"] if days else None, tuple(prospects), told)


def planned_of(plan: Plan) -> Planned:
    """Return what planning needs to know of a plan."""
    return Planned(
        plan.method,
        plan.alpha,
        plan.power,
        plan.days,
        plan.variants[plan.control],
        min(plan.variants[name] for name in plan.treatments),
        len(plan.treatments),
        len(plan.guardrails),
        plan.looks,
    )


def _whole(row: Record | None, ask: Asked) -> Moments:
    variables = _variables(ask)
    if row is None or not row["n"]:
        return Moments.of(*([] for _ in variables))
    return Moments.from_sums(**moments.told(row, variables))
