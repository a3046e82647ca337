"""A logistic model of each experiment's primary on the treatment and on what was known of users before exposure.

Belongs here: which columns of tables were known before exposure, and from counts to rows. Does not belong here: the
fit and the design (`statistics`), and sums over users (`analysis`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import ibis

from analytics_assets.analysis.experiments import OF_EVENTS, counting
from analytics_assets.analysis.impact import alike
from analytics_assets.assets.asking import with_users
from analytics_assets.assets.catalog import Setting, TableAsset, family
from analytics_assets.assets.records import made
from analytics_assets.contracts import impact as promised
from analytics_assets.contracts.model import UNKNOWN_MEMBER
from analytics_assets.project.asking import USER
from analytics_assets.project.experiments import Plan
from analytics_assets.project.model import Project
from analytics_assets.statistics.effects import Reason
from analytics_assets.statistics.logistic import INTERCEPT, Logistic, logistic
from analytics_assets.statistics.regressors import Known, Regressor, design
from analytics_assets.statistics.regressors import Term as Column

if TYPE_CHECKING:
    from ibis.expr.types import Table

Record = dict[str, Any]
_KNOWN_BEFORE = frozenset({"known_before", "pre_value", "pre_weight", *OF_EVENTS})
_STATES = {Reason.SEPARATED: "separated", Reason.NOT_CONVERGED: "not converged"}
_QUANTILE = "a quantile of rows is no outcome of a user"


@family
def regression_tables(project: Project) -> Iterator[TableAsset]:
    """Make the table of models, where any primary is a number of each user."""
    if any(_of_users(plan, project) for plan in project.experiments.values()):
        named = [name for plan in project.experiments.values() for name in plan.segments]
        users = ("dim_users", "dim_geography") if any(name.startswith(USER) for name in named) else ()
        needs = ("experiment_exposures", "experiment_outcomes", *users)
        yield TableAsset(promised.EXPERIMENT_REGRESSION, experiment_regression, needs, ())


def _of_users(plan: Plan, project: Project) -> bool:
    return project.questions.metrics[plan.primary.metric].kind != "quantile"


def known(column: str) -> Known:
    """Say when a column of exposures, outcomes or users was measured; of what is not listed as before, after.

    >>> known("known_before"), known("user.country"), known("device")
    ('before exposure', 'before exposure', 'before exposure')
    >>> known("experiment_outcomes.value"), known("sessions")
    ('after exposure', 'after exposure')
    """
    own = column.rsplit(".", maxsplit=1)[-1] if column.startswith("experiment_") else column
    return "before exposure" if own in _KNOWN_BEFORE or column.startswith(USER) else "after exposure"


def regressors(plan: Plan, more: Sequence[str] = ()) -> list[Regressor]:
    """List what a model of an experiment may know of users, and, of further columns, when they were measured.

    Args:
        plan: The experiment.
        more: Columns that somebody wishes to add, such as `experiment_outcomes.value`.
    """
    return [
        Regressor("known_before", known("known_before")),
        Regressor("active_before", known("pre_value")),
        *(Regressor(name, known(name), category=True) for name in plan.segments),
        *(Regressor(name, known(name)) for name in more),
    ]


def experiment_regression(
    setting: Setting,
    experiment_exposures: Table,
    experiment_outcomes: Table,
    dim_users: Table | None = None,
    dim_geography: Table | None = None,
) -> Table:
    """Fit the odds that a matured user's primary is above 0, by treatment and what was known before exposure."""
    project = setting.project
    dimensions = sorted({name for plan in project.experiments.values() for name in plan.segments})
    users = counting(experiment_exposures)
    if dim_users is not None:
        users = with_users(users, [name for name in dimensions if name.startswith(USER)], dim_users, dim_geography)
    told = {name: _told(users, name, project) for name in dimensions}
    segments = users.select("experiment", "user_id", **told)
    of_primary = [_is_primary(experiment_outcomes, name, plan) for name, plan in project.experiments.items()]
    outcomes = experiment_outcomes.filter(ibis.or_(*of_primary), experiment_outcomes.matured)
    by = ["experiment", "variant", "known_before", "active_before", *dimensions]
    cells = setting.collect(alike(outcomes, segments, dimensions).order_by(by))
    records: list[Record] = []
    for name, plan in project.experiments.items():
        own = [cell for cell in cells if cell["experiment"] == name]
        for variant in plan.treatments:
            arms = [cell for cell in own if cell["variant"] in {plan.control, variant}]
            base = {
                "experiment": name,
                "metric": plan.primary.metric,
                "window_days": plan.primary.window_days,
                "delay_days": plan.primary.delay_days,
                "variant": variant,
                "n": sum(cell["users"] for cell in arms),
                "successes": sum(cell["successes"] for cell in arms),
            }
            rows = _modelled(plan, variant, arms) if _of_users(plan, project) else [_none("no fit", _QUANTILE)]
            records += [base | row for row in rows]
    return made(promised.EXPERIMENT_REGRESSION, records)


def _told(users: Table, name: str, project: Project) -> Any:  # noqa: ANN401 - a column
    """Give the segment of users whose experiment asks for it; nothing to tell them apart by for the others."""
    asking = [plan for plan, told in project.experiments.items() if name in told.segments]
    there = users[name].cast("string").fill_null(UNKNOWN_MEMBER)
    return users.experiment.isin(asking).ifelse(there, "")


def _is_primary(outcomes: Table, name: str, plan: Plan) -> Any:  # noqa: ANN401 - a predicate
    told = plan.primary
    return ibis.and_(
        outcomes.experiment == name,
        outcomes.metric == told.metric,
        outcomes.window_days == told.window_days,
        outcomes.delay_days == told.delay_days,
        outcomes.variant.isin(list(plan.variants)),
    )


def _none(state: str, reason: str) -> Record:
    return {"term": "treatment", "state": state, "reason": reason}


def _modelled(plan: Plan, variant: str, cells: Sequence[Mapping[str, Any]]) -> list[Record]:
    """Fit the model of one variant, from cells of users who are alike."""
    treated = [cell["variant"] == variant for cell in cells]
    if len(set(treated)) < 2:
        return [_none("no users yet", "an arm has no user whose window is over")]
    counts = [cell["users"] for cell in cells]
    asked = regressors(plan)
    values = {one.name: [cell[one.name] for cell in cells] for one in asked}
    columns = design(treated, values, asked, counts)
    fit = logistic(
        [cell["successes"] for cell in cells],
        {column.name: column.column for column in columns if not column.left_out},
        trials=counts,
        alpha=plan.alpha,
    )
    return [_row(INTERCEPT, None, fit), *(_of(column, plan, fit) for column in columns)]


def _of(column: Column, plan: Plan, fit: Logistic) -> Record:
    reference = plan.control if column.name == "treatment" else column.reference
    if column.left_out:
        state = "refused" if column.refused else "left out"
        return {"term": column.name, "reference": reference, "state": state, "reason": column.left_out}
    return _row(column.name, reference, fit)


def _row(name: str, reference: str | None, fit: Logistic) -> Record:
    told: Record = {"term": name, "reference": reference}
    if fit.reason is not None:
        what = f": {', '.join(fit.separated)}" if fit.separated else ""
        return told | {"state": _STATES.get(fit.reason, "no fit"), "reason": f"{fit.reason}{what}"}
    term = fit[name]
    return told | {
        "odds_ratio": term.odds_ratio, "low": term.low, "high": term.high, "p_value": term.p_value, "state": "fitted"
    }  # fmt: skip
