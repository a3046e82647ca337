"""Experiments made by hand or drawn, and all of their tables."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from analytics_assets.assets.calibration import calibration_tables
from analytics_assets.assets.catalog import Setting, TableAsset
from analytics_assets.assets.impact import impact_tables
from analytics_assets.assets.outcomes import experiment_tables
from analytics_assets.assets.regression import regression_tables
from analytics_assets.assets.verdicts import verdict_tables
from analytics_assets.contracts.audit import audit_expression, read_audit
from analytics_assets.contracts.sales import ORDER_VALUE
from analytics_assets.contracts.star import FACT_ASSIGNMENTS
from analytics_assets.lake.days import Days
from analytics_assets.lake.engine import Engine
from analytics_assets.lake.tables import conform
from analytics_assets.project.experiments import Plan
from analytics_assets.project.plans import Locked
from analytics_assets_tests.answers import Row, event, happened, inquiring, people
from analytics_assets_tests.making import day, table

METRICS: dict[str, Any] = {
    "buyers": {"kind": "unique_users", "fact": "fact_events", "where": {"event_type": "buy"}},
    "spent": {"kind": "sum", "fact": "fact_events", "where": {"event_type": "buy"}, "value": "amount"},
    "a_view": {
        "kind": "ratio",
        "numerator": {"fact": "fact_events", "where": {"event_type": "buy"}},
        "denominator": {"fact": "fact_events", "where": {"event_type": "view"}},
    },
    "middle": {"kind": "quantile", "fact": "fact_events", "where": {"event_type": "buy"}, "value": "amount"},
    "errors": {"kind": "count", "fact": "fact_events", "where": {"event_type": "error"}, "direction": "down"},
}
PLAN: dict[str, Any] = {
    "hypothesis": "more buy",
    "variants": {"control": 0.5, "new": 0.5},
    "exposure": {"event": "open"},
    "starts": day(5),
    "ends": day(14),
    "primary": {"metric": "buyers", "window_days": 7, "minimum_effect": 0.02},
    "covariate_days": 4,
}


@dataclass
class World:
    """Hold what happened: users with variants, and events."""

    assigned: list[Row] = field(default_factory=list)
    events: list[Row] = field(default_factory=list)
    orders: list[Row] = field(default_factory=list)
    users: list[Row] = field(default_factory=list)

    def tables(self) -> dict[str, Any]:
        return {
            "fact_assignments": table(FACT_ASSIGNMENTS, *self.assigned),
            "fact_events": happened(*self.events),
            "order_value": table(ORDER_VALUE, *self.orders),
            **people(*(self.users or [{"user_id": "(unknown)", "country": None}])),
        }


def moment(days: float) -> dt.datetime:
    """Give the instant so many days after the beginning of March, to the second."""
    return dt.datetime(2024, 3, 1, tzinfo=dt.UTC) + dt.timedelta(seconds=round(days * 86_400))


def did(user: str, kind: str, when: float, **says: Any) -> Row:
    told = moment(when)
    return event(user, kind, "01 00:00", **says) | {"occurred_at": told, "day": told.date()}


def assigned(user: str, variant: str | None, when: float, experiment: str = "e", **says: Any) -> Row:
    told = moment(when)
    named = {"experiment": experiment, "user_id": user, "variant": variant}
    return {**named, "assigned_at": told, "day": told.date(), **says}


def ordered(user: str, when: float, net: float, **says: Any) -> Row:
    told = moment(when)
    zeros = dict.fromkeys(("discount", "tax", "shipping", "refund", "net_uncosted"), 0)
    named = {"order_id": f"o{next(_IDS):06}", "user_id": user, "ordered_at": told, "day": told.date(), "status": "done"}
    return {
        **named,
        "lines": 1,
        "units": 1,
        "gross": net,
        "net": net,
        "cost": net / 2,
        "profit": net / 2,
        **zeros,
        **says,
    }


_IDS = itertools.count(1)


def setting(
    engine: Engine,
    plans: Mapping[str, Mapping[str, Any]],
    last: dt.date,
    locks: Mapping[str, Sequence[Locked]] | None = None,
    **says: Any,
) -> Setting:
    days = Days(day(1), last)
    within = inquiring({"metrics": METRICS}, first_day=days.first, **says)
    told = {name: Plan.model_validate({**PLAN, **plan}) for name, plan in plans.items()}
    held = {name: tuple(versions) for name, versions in (locks or {}).items()}
    return Setting(within.model_copy(update={"experiments": told, "locks": held}), days, days, engine.rows)


def assets(within: Setting) -> list[TableAsset]:
    families = (experiment_tables, verdict_tables, regression_tables, impact_tables, calibration_tables)
    return [asset for make in families for asset in make(within.project) if asset.name != "experiment_calibration"]


def experimented(engine: Engine, world: World, within: Setting) -> dict[str, list[Row]]:
    """Compute every table of the experiments of a project, each held to its contract but for what only warns."""
    known: dict[str, Any] = world.tables()
    found: dict[str, list[Row]] = {}
    for asset in assets(within):
        rows = engine.rows(conform(asset.compute(known, within), asset.contract))
        known[asset.name] = table(asset.contract, *rows)
        audit = read_audit(engine.rows(audit_expression(known[asset.name], asset.contract, {})), asset.contract, {})
        broken = [str(finding) for finding in audit.findings if not finding.holds and finding.severity == "error"]
        assert not broken, asset.name
        key = asset.contract.key or tuple(column.name for column in asset.contract.columns)
        found[asset.name] = sorted(rows, key=lambda row, key=key: [str(row[name]).rjust(30) for name in key])
    return found


def drawn(users: int = 400, seed: int = 1, lift: float = 0.15, experiment: str = "e") -> World:
    """Draw a world: users assigned on the 5th to the 14th, exposed some hours later, who buy before and after."""
    rng = np.random.default_rng(seed)
    world = World()
    for number in range(users):
        user, variant = f"u{number:05}", ("control", "new")[int(rng.integers(2))]
        at = 4 + rng.uniform(0, 9.9)
        seen = at + rng.uniform(0, 0.09)
        world.assigned.append(assigned(user, variant, at, experiment))
        world.users.append({"user_id": user, "country": ("DE", "FR", "IT")[number % 3]})
        device = ("mobile", "desktop")[int(rng.integers(2))]
        if rng.random() < 0.7:
            world.events.append(did(user, "view", rng.uniform(0, 4), device=device))
        if rng.random() < 0.95:
            world.events.append(did(user, "open", seen, device=device))
        taste = rng.gamma(2, 0.5)
        for when in rng.uniform(0, 31, rng.poisson(6 * taste)):
            world.events.append(did(user, "view", when, device="mobile"))
        for when in rng.uniform(0, 31, rng.poisson(2 * taste)):
            if when > seen or rng.random() < 1 - lift:
                amount = round(float(rng.exponential(20)) + 1, 2)
                if variant == "new" or when < seen or rng.random() > lift:
                    world.events.append(did(user, "buy", when, amount=amount))
    return world
