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

from analytics_assets.assets.catalog import Setting
from analytics_assets.assets.drawing import ChartAsset, chart, chart_family, picture
from analytics_assets.charts import experiment_days as daily
from analytics_assets.charts import experiments as drawn
from analytics_assets.charts.experiments import SHARE
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
    rows = asked_by(project)
    return ibis.memtable({name: [row[name] for row in rows] for name in _ASKED}, schema=_ASKED)


def _decided(results: Table) -> Table:
    return results.filter(results.maturity == "matured", results.dimension == "")


def _effects(name: str, project: Project, experiment_results: Table, experiment_verdicts: Table) -> tuple[Table, Table]:
    rows = _decided(experiment_results)
    told = rows.filter(rows.experiment == name).inner_join(_asked(project), _SLOT)
    effects = told.select(
        "place", "variant", "called", "role", "better", "unit", "minimum_effect", "margin", "non_inferior", "n_control",
        "n", "control", "treatment", "difference", "low", "high", "reason",
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
    everybody = {f"all_{name}": primary[name] for name in ("difference", "low", "high")}
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
        "experiment", "variant", "verdict", "because", "over", "ends", "n_control", "n", "difference", "low", "high",
        *control.columns[2:], **worth,
    )  # fmt: skip
