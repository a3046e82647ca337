"""What an experiment is worth: its lift as orders, revenue and margin a month, with all that the numbers rest on.

Belongs here: the product of what was measured, and the words for what must hold. Does not belong here: lifts and
verdicts (`verdicts`), and sums over orders (`analysis.impact`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from analytics_assets.analysis.impact import window_orders
from analytics_assets.assets.catalog import Setting, TableAsset, family
from analytics_assets.assets.records import made
from analytics_assets.contracts import impact as promised
from analytics_assets.project.experiments import Plan
from analytics_assets.project.model import Project
from analytics_assets.project.questions import Metric

if TYPE_CHECKING:
    from ibis.expr.types import Table

Record = dict[str, Any]
MONTH = 30.44
"""Days of a month: a year of 365.25 days has twelve."""
_NOT_OF_ORDERS = frozenset({"mean", "quantile"})
_THREE = ("", "_low", "_high")
_ZERO = Decimal(0)
_NONE = {
    **dict.fromkeys(("users", "orders", "open_returns"), 0), **dict.fromkeys(("net", "refund", "net_uncosted"), _ZERO),
    "profit": None,
}  # fmt: skip


@family
def impact_tables(project: Project) -> Iterator[TableAsset]:
    """Make the table of impact, where there are experiments and orders."""
    if project.experiments:
        needs = ("experiment_results", "experiment_verdicts", "user_exposure", "order_value")
        yield TableAsset(promised.EXPERIMENT_IMPACT, experiment_impact, needs, ())


def experiment_impact(
    setting: Setting,
    experiment_results: Table,
    experiment_verdicts: Table,
    user_exposure: Table,
    order_value: Table,
) -> Table:
    """Turn the lift of each primary into orders, revenue and margin a month, net of what came back."""
    project, last = setting.project, setting.so_far.last
    plans = project.experiments
    windows = [(name, plan.primary.window_days, plan.primary.delay_days) for name, plan in plans.items()]
    until = dt.datetime.combine(last + dt.timedelta(days=1), dt.time(), ZoneInfo(project.time_zone))
    open_from = last - dt.timedelta(days=project.customers.return_days - 1)
    bought = window_orders(user_exposure, order_value, windows, until, open_from)
    arms = {
        (row["experiment"], row["variant"]): row for row in setting.collect(bought.order_by(["experiment", "variant"]))
    }
    counted = user_exposure.group_by("experiment").aggregate(users=user_exposure.count()).order_by("experiment")
    exposed = {row["experiment"]: row["users"] for row in setting.collect(counted)}
    lifts = _lifts(setting, experiment_results)
    records = []
    for row in setting.collect(experiment_verdicts.order_by(["experiment", "variant"])):
        name, variant = row["experiment"], row["variant"]
        plan = plans[name]
        told = {
            **_measured(plan, last, exposed.get(name, 0), arms.get((name, plan.control), _NONE)),
            **_of_variant(arms.get((name, variant), _NONE)),
            **lifts.get((name, variant), {}),
            "experiment": name,
            "variant": variant,
            "metric": plan.primary.metric,
            "window_days": plan.primary.window_days,
            "delay_days": plan.primary.delay_days,
            "verdict": row["verdict"],
        }
        metric = project.questions.metrics[plan.primary.metric]
        records.append(told | _impact(told, row, metric) | {"assumptions": _assumptions(plan, metric, told, row)})
    return made(promised.EXPERIMENT_IMPACT, records)


def _lifts(setting: Setting, results: Table) -> dict[tuple[str, str], Record]:
    """Read the lifts of primaries, of all matured users."""
    whole = results.filter(results.role == "primary", results.maturity == "matured", results.dimension == "")
    names = ("experiment", "variant", "lift", "lift_low", "lift_high")
    rows = setting.collect(whole.select(*names).order_by(["experiment", "variant"]))
    return {(row["experiment"], row["variant"]): {name: row[name] for name in names[2:]} for row in rows}


def _measured(plan: Plan, last: dt.date, exposed: int, control: Mapping[str, Any]) -> Record:
    """Say what was measured of an experiment: its users, and the orders of its control."""
    days = max(0, (min(plan.ends, last) - plan.starts).days + 1)
    orders, users = control["orders"], control["users"]
    net, refund, profit = control["net"], control["refund"], control["profit"]
    costed = net - control["net_uncosted"]
    earned = None if profit is None or not costed else float(profit) / float(costed) * float(net)
    return {
        "exposed": exposed,
        "exposure_days": days,
        "exposed_a_month": exposed / days * MONTH if days else None,
        "control_users": users,
        "control_orders": orders,
        "control_net": net,
        "control_refund": refund,
        "control_profit": profit,
        "control_uncosted": control["net_uncosted"],
        "open_returns": control["open_returns"],
        "orders_a_user": orders / users if users else None,
        "net_an_order": float(net - refund) / orders if orders else None,
        "profit_an_order": (earned - float(refund)) / orders if orders and earned is not None else None,
    }


def _of_variant(arm: Mapping[str, Any]) -> Record:
    return {"orders_a_treated": arm["orders"] / arm["users"] if arm["users"] else None}


def _impact(told: Record, verdict: Mapping[str, Any], metric: Metric) -> Record:
    """Multiply what was measured, or say why not."""
    state, reason = _state(told, verdict, metric)
    if state != "told":
        return {"state": state, "reason": reason}
    found: Record = {"state": state, "reason": reason}
    for end in _THREE:
        more = told["exposed_a_month"] * told["orders_a_user"] * told[f"lift{end}"]
        found[f"orders{end}"] = more
    for name, worth in (("revenue", told["net_an_order"]), ("margin", told["profit_an_order"])):
        if worth is not None:
            # an order that costs more than it brings turns the interval around
            ends = sorted(found[f"orders{end}"] * worth for end in ("_low", "_high"))
            found |= {name: found["orders"] * worth, f"{name}_low": ends[0], f"{name}_high": ends[1]}
    return found


def _state(told: Record, verdict: Mapping[str, Any], metric: Metric) -> tuple[str, str | None]:
    """Find the first reason for which there is no impact to tell."""
    decided = verdict["verdict"]
    no_lift = any(told.get(f"lift{end}") is None for end in _THREE)
    because = {
        "invalid": (decided == "invalid", f"no impact is claimed: {verdict['because']}"),
        "not yet": (decided == "too early", f"no impact is claimed yet: {verdict['because']}"),
        "not of orders": (
            metric.kind in _NOT_OF_ORDERS or metric.direction != "up",
            f"a {metric.kind} counts nothing that orders could rise with"
            if metric.kind in _NOT_OF_ORDERS
            else "less of the primary is better: orders do not rise with it",
        ),
        "no lift": (no_lift, "the lift of the primary, or its interval, is not known"),
        "no orders": (not told["control_orders"], "the control ordered nothing in windows that are over"),
    }
    found = next(((state, reason) for state, (holds, reason) in because.items() if holds), None)
    return found or ("told", "no margin: no cost is known" if told["profit_an_order"] is None else None)


def _assumptions(plan: Plan, metric: Metric, told: Record, verdict: Mapping[str, Any]) -> str:
    return "; ".join(_assumed(plan, metric, told, verdict))


def _assumed(plan: Plan, metric: Metric, told: Record, verdict: Mapping[str, Any]) -> Iterator[str]:
    """Say what must hold, each in a few words."""
    called = plan.primary.called
    yield f"orders rise as the primary does ({called})"
    if metric.kind in {"ratio", "proportion"}:
        yield f"what {plan.primary.metric} is divided by stays as it is"
    yield f"as many users go on being exposed as on the {told['exposure_days']} days so far, all of them to the variant"
    yield f"an order is worth what the control's was, in the {_days(plan)} of the primary; later orders are not counted"
    yield "the interval is that of the lift: all else is taken as measured"
    yield "what comes back is refunded and worth nothing"
    if plan.method == "group_sequential":
        yield "the lift is that of all users so far, and not of the look that decided"
    if told["open_returns"]:
        yield f"{told['open_returns']:,} of the {told['control_orders']:,} orders may still come back"
    if told["control_profit"] is not None and told["control_uncosted"]:
        yield "lines of which no cost is known earn what the others do"
    if not verdict["over"]:
        yield "it is judged before its end: the interval is one for the end, and early effects tend to be too large"
    elif "fades" in (verdict["notes"] or ""):
        yield "the effect does not fade, though it does in the experiment"


def _days(plan: Plan) -> str:
    days = plan.primary.window_days
    return f"{days} day{'s' * (days > 1)}"
