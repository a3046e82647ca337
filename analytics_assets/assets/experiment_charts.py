"""Charts of experiments: what of their results, course, outcomes, traffic and plans is drawn.

Belongs here: the rows of each chart, with what the plans say of them. Does not belong here: how they look
(`charts.experiments`, `charts.experiment_days`,
`charts.experiment_plans`).
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import ibis

from analytics_assets.analysis import baselines, moments
from analytics_assets.assets.baselines import planned_of
from analytics_assets.assets.catalog import Setting
from analytics_assets.assets.drawing import ChartAsset, chart, chart_family, picture
from analytics_assets.charts import experiment_days as daily
from analytics_assets.charts import experiment_outcomes as outcomes
from analytics_assets.charts import experiment_plans as planning
from analytics_assets.charts import experiments as drawn
from analytics_assets.charts.experiments import MOST_PANELS, SHARE
from analytics_assets.project.experiments import Guardrail, Plan
from analytics_assets.project.model import Project

if TYPE_CHECKING:
    from ibis.expr.types import Table

_SLOT = ["experiment", "metric", "window_days", "delay_days"]
_SHARES = frozenset({"unique_users", "retention", "proportion"})
_ASKED = {
    "experiment": "string",
    "metric": "string",
    "window_days": "int64",
    "delay_days": "int64",
    "place": "int64",
    "called": "string",
    "better": "string",
    "unit": "string",
    "minimum_effect": "float64",
}


@chart_family
def experiment_charts(project: Project) -> Iterator[ChartAsset]:
    """Make the charts of each experiment."""
    for name, plan in project.experiments.items():
        own, words = f"experiment_{name}", _words(name, plan, project)
        yield picture(drawn.effects, functools.partial(_effects, name, project), f"{own}_effects", name, words)
        yield picture(daily.timeline, functools.partial(_timeline, name), f"{own}_timeline", name, words)
    if project.experiments:
        words = {"of": str(len(project.experiments)), "shown": str(len(_latest(project)))}
        yield picture(outcomes.distributions, experiments_outcomes, "experiments_outcomes", words=words)
        yield picture(outcomes.adjustment, experiments_adjustment, "experiments_adjustment")
        yield picture(planning.power, experiments_power, "experiments_power", words=words)
        yield picture(daily.traffic, experiments_traffic, "experiments_traffic", words=words)


def _latest(project: Project) -> dict[str, Plan]:
    """Return the plans that begin last, as many as one sheet has room for, in the order of their names."""
    plans = project.experiments
    latest = sorted(plans, key=lambda name: (plans[name].starts, name))[-MOST_PANELS:]
    return {name: plans[name] for name in sorted(latest)}


def _words(name: str, plan: Plan, project: Project) -> dict[str, str]:
    """Write down what the pictures of a plan are to say of it."""
    (primary,) = (row for row in asked_by(project) if row["experiment"] == name and row["place"] == 0)
    return {
        "method": plan.method,
        "alpha": f"{plan.alpha:g}",
        "power": f"{plan.power:g}",
        "starts": plan.starts.isoformat(),
        "ends": plan.ends.isoformat(),
        "called": primary["called"],
        "better": primary["better"],
        "unit": primary["unit"],
        "minimum_effect": f"{plan.primary.minimum_effect:g}",
    }


def asked_by(project: Project) -> list[dict[str, Any]]:
    """List every metric of every plan, in the plan's order: which way is better, and in what it is counted."""
    metrics = project.questions.metrics
    return [
        {
            "experiment": name,
            "metric": measured.metric,
            "window_days": measured.window_days,
            "delay_days": measured.delay_days,
            "place": place,
            "called": measured.called,
            "better": metrics[measured.metric].direction,
            "unit": SHARE if metrics[measured.metric].kind in _SHARES else metrics[measured.metric].unit,
            "minimum_effect": None if isinstance(measured, Guardrail) else measured.minimum_effect,
        }
        for name, plan in project.experiments.items()
        for place, (_, measured) in enumerate(plan.measured())
    ]


def _asked(project: Project) -> Table:
    return _table(asked_by(project), _ASKED)


def _table(rows: list[dict[str, Any]], schema: dict[str, str]) -> Table:
    return ibis.memtable({name: [row[name] for row in rows] for name in schema}, schema=schema)


def _decided(results: Table) -> Table:
    return results.filter(results.maturity == "matured", results.dimension == "")


def _effects(name: str, project: Project, experiment_results: Table, experiment_verdicts: Table) -> tuple[Table, Table]:
    rows = _decided(experiment_results)
    told = rows.filter(rows.experiment == name).inner_join(_asked(project), _SLOT)
    effects = told.select(
        "place", "variant", "called", "role", "better", "unit", "minimum_effect", "margin", "non_inferior", "n_control",
        "n", "control", "treatment", "difference", "low", "high", "anytime_low", "anytime_high", "reason",
    )  # fmt: skip
    return effects, _verdicts(name, experiment_verdicts)


def _verdicts(name: str, verdicts: Table) -> Table:
    own = verdicts.filter(verdicts.experiment == name)
    return own.select(
        "variant", "verdict", "because", "over", "as_of", "n_control", "n", "difference", "low", "high", "detectable"
    )


def _timeline(name: str, experiment_timeline: Table, experiment_verdicts: Table) -> tuple[Table, Table]:
    rows = experiment_timeline.filter(experiment_timeline.experiment == name, experiment_timeline.role == "primary")
    days = rows.select("variant", "day", "n", "difference", "low", "high", "anytime_low", "anytime_high")
    return days, _verdicts(name, experiment_verdicts)


@chart(drawn.overview)
def experiments_overview(
    setting: Setting, experiment_results: Table, experiment_verdicts: Table, experiment_impact: Table | None = None
) -> Table:
    """Pick the primary effect of every experiment and variant, its verdict, and what it is worth a month."""
    rows = _decided(experiment_results)
    asked = _asked(setting.project)
    primary = rows.filter(rows.role == "primary").inner_join(asked, _SLOT)
    everybody = {f"all_{name}": primary[name] for name in ("difference", "low", "high", "anytime_low", "anytime_high")}
    control = primary.select(
        "experiment", "variant", "called", "better", "unit", "minimum_effect", "control", **everybody,
        all_n=primary.n + primary.n_control,
    )  # fmt: skip
    told = experiment_verdicts.left_join(control, ["experiment", "variant"])
    kept = [*experiment_verdicts.columns, *control.columns[2:]]
    worth = {"revenue_low": ibis.null("float64"), "revenue_high": ibis.null("float64")}
    if experiment_impact is not None:
        of = experiment_impact.select("experiment", "variant", *worth)
        told = told.select(*kept).left_join(of, ["experiment", "variant"])
        worth = {name: told[name] for name in worth}
    return told.select(
        "experiment", "variant", "verdict", "because", "over", "method", "ends", "n_control", "n", "difference", "low",
        "high", *control.columns[2:], **worth,
    )  # fmt: skip


# --- what went in -----------------------------------------------------------------------------------------------------

_BINS = 30
_FIRST, _LAST = 0.005, 0.98
_AMOUNTS = frozenset({"sum", "count"})


def experiments_outcomes(setting: Setting, experiment_outcomes: Table) -> tuple[Table, Table]:
    """Count the users of every arm by what they have of the first amount that their plan measures."""
    project = setting.project
    latest = _latest(project)
    chosen: dict[str, dict[str, Any]] = {}
    for row in asked_by(project):
        if row["experiment"] in latest and project.questions.metrics[row["metric"]].kind in _AMOUNTS:
            chosen.setdefault(row["experiment"], {**row, "control": latest[row["experiment"]].control})
    of = _table(list(chosen.values()), {**_ASKED, "control": "string"}).select(*_SLOT, "called", "unit", "control")
    finite = ~(experiment_outcomes.value.isnan() | experiment_outcomes.value.isinf())
    matured = experiment_outcomes.filter(experiment_outcomes.matured, finite.fill_null(False))  # noqa: FBT003
    rows = matured.select(*_SLOT, "variant", "value").inner_join(of, _SLOT)
    some = rows.filter(rows.value != 0)
    ends = some.group_by("experiment").aggregate(first=some.value.quantile(_FIRST), last=some.value.quantile(_LAST))
    apart = some.inner_join(ends, "experiment").filter(lambda told: told["last"] > told["first"])
    width = (apart["last"] - apart["first"]) / _BINS
    place = ((apart.value - apart["first"]) / width).floor().clip(0, _BINS - 1).cast("int64")
    binned = apart.mutate(bin=place, begins=apart["first"] + place * width, width=width)
    bins = binned.group_by(["experiment", "variant", "bin"]).aggregate(
        begins=binned.begins.max(), width=binned.width.max(), users=binned.count()
    )
    by = ["experiment", "called", "unit", "control", "variant"]
    none = rows.value == 0
    arms = rows.group_by(by).aggregate(
        users=rows.count(),
        nothing=none.sum().cast("int64"),
        q50=rows.value.quantile(0.5, where=~none),
        q90=rows.value.quantile(0.9, where=~none),
    )
    return arms, bins


def experiments_adjustment(setting: Setting, experiment_results: Table) -> Table:
    """Pick what adjusting for the days before has left of every interval."""
    adjusted = {name for name, plan in setting.project.experiments.items() if plan.covariate_days}
    asked = _table([row for row in asked_by(setting.project) if row["experiment"] in adjusted], _ASKED)
    told = _decided(experiment_results).inner_join(asked, _SLOT)
    columns = ("experiment", "variant", "called", "role", "control", "n_control", "n", "low", "high", "variance_left")
    return told.filter(told.variance_left.notnull(), told.low.notnull()).select(*columns)


_PLANNED = {
    "experiment": "string",
    "metric": "string",
    "window_days": "int64",
    "delay_days": "int64",
    "called": "string",
    "better": "string",
    "unit": "string",
    "minimum_effect": "float64",
    "ratio": "boolean",
    "covariate": "boolean",
    "method": "string",
    "alpha": "float64",
    "power": "float64",
    "days": "int64",
    "control": "float64",
    "treatment": "float64",
    "treatments": "int64",
    "guardrails": "int64",
    "looks": "int64",
}


def experiments_power(setting: Setting, experiment_baselines: Table, experiment_reach: Table) -> tuple[Table, Table]:
    """Sum up what is known of the primary metric of every plan without it, and count who would meet it by day."""
    project = setting.project
    metrics = project.questions.metrics
    first = {row["experiment"]: row for row in asked_by(project) if row["place"] == 0}
    plans = []
    for name, plan in _latest(project).items():
        of = planned_of(plan)
        fixed = {field: getattr(of, field) for field in _PLANNED if hasattr(of, field)}
        kind = metrics[plan.primary.metric].kind
        told = {"ratio": kind in {"mean", "ratio", "proportion"}, "covariate": plan.covariate_days > 0}
        plans.append({**first[name], **fixed, **told})
    known = _table(plans, _PLANNED)
    sums = moments.summed(experiment_baselines, _SLOT, baselines.VARIABLES).inner_join(known, _SLOT)
    days = experiment_reach.semi_join(known, "experiment").select("experiment", "day", "users")
    return sums.drop("metric", "window_days", "delay_days", "not_finite"), days


def experiments_traffic(setting: Setting, experiment_traffic: Table, experiment_trust: Table) -> tuple[Table, Table]:
    """Add up who was assigned to which variant so far, on every day of the plans."""
    shares = [
        {
            "experiment": name,
            "variant": variant,
            "planned": share,
            "is_control": variant == plan.control,
            "ends": plan.ends,
        }
        for name, plan in _latest(setting.project).items()
        for variant, share in plan.variants.items()
    ]
    schema = {
        "experiment": "string",
        "variant": "string",
        "planned": "float64",
        "is_control": "boolean",
        "ends": "date",
    }
    known = _table(shares, schema)
    rows = experiment_traffic.filter(experiment_traffic.day.notnull()).inner_join(known, ["experiment", "variant"])
    within = rows.filter(rows.day <= rows.ends)
    # added up here, so that a row says all of its day: of too many rows a sample is drawn
    so_far = within.mutate(
        so_far=within.assigned.sum().over(ibis.cumulative_window(group_by=["experiment", "variant"], order_by="day")),
        whole=within.assigned.sum().over(ibis.range_window(following=0, group_by="experiment", order_by="day")),
    )
    treated = so_far.filter(~so_far.is_control)
    told = treated.select("experiment", "variant", "planned", "day", "whole", assigned=treated.so_far)
    asked = experiment_trust.filter(experiment_trust.question == "sample ratio of assigned users")
    return told, asked.semi_join(known, "experiment").select("experiment", "state", p_value=asked["value"])
