"""Questions asked of events made by hand, answered and held to the contracts of the answers."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import Any

from ibis.expr.types import Table

from analytics_assets.assets.catalog import Setting, TableAsset, declaration
from analytics_assets.contracts.audit import audit_expression, read_audit
from analytics_assets.contracts.model import Contract
from analytics_assets.contracts.star import DIM_GEOGRAPHY, DIM_USERS, FACT_EVENTS
from analytics_assets.lake.days import Days
from analytics_assets.lake.engine import Engine
from analytics_assets.lake.tables import conform
from analytics_assets.project.model import Project, Source
from analytics_assets.project.questions import Questions
from analytics_assets_tests.making import at, day, feed, project, source, table

Row = dict[str, Any]
MARCH = Days(day(1), day(31))
_ids = itertools.count(1)


def event(user: str | None, kind: str, when: str, **says: Any) -> Row:
    """Make an event: `event("ann", "view", "05 10:30")`; its day is that of UTC."""
    instant = at(when)
    told = {"event_id": f"e{next(_ids):06}", "day": instant.date(), "is_anonymous": False, "is_mapped": False}
    session = None if user is None else f"{user}/{instant.date()}/1"
    return {**told, "user_id": user, "event_type": kind, "occurred_at": instant, "session_id": session, **says}


def inquiring(questions: Mapping[str, Any], *sources: Source, **says: Any) -> Project:
    """Declare a project that asks something; of events, where no source is given."""
    asked = Questions.model_validate(questions)
    within = project(*(sources or (source(feed("events", "user_id")),)), **says)
    return within.model_copy(update={"questions": asked})


def asking(engine: Engine, days: Days = MARCH, questions: Mapping[str, Any] | None = None, **says: Any) -> Setting:
    """Make the setting of a project that asks something of the days of March."""
    return Setting(inquiring(questions or {}, **{"first_day": days.first, **says}), days, days, engine.rows)


def people(*users: Row) -> dict[str, Table]:
    """Make the dimensions of users: a user has a country of its own place."""
    told = [{"geography_id": f"in {user.get('country')}", **user} for user in users]
    places = {row["geography_id"]: {"geography_id": row["geography_id"], "country": row.get("country")} for row in told}
    return {
        "dim_users": table(DIM_USERS, *({k: v for k, v in row.items() if k != "country"} for row in told)),
        "dim_geography": table(DIM_GEOGRAPHY, *places.values()),
    }


def happened(*events: Row) -> Table:
    """Make the fact of events."""
    return table(FACT_EVENTS, *events)


def conforming(engine: Engine, found: Table, contract: Contract) -> list[Row]:
    """Compute a table, and hold it to its contract."""
    rows = engine.rows(conform(found, contract))
    audit = read_audit(engine.rows(audit_expression(table(contract, *rows), contract, {})), contract, {})
    assert not [str(finding) for finding in audit.findings if not finding.holds]
    return sorted(rows, key=lambda row: [str(row[name]).rjust(30) for name in contract.key])


def answers(
    engine: Engine, assets: Iterable[TableAsset], tables: Mapping[str, Table], setting: Setting
) -> dict[str, list[Row]]:
    """Compute tables one after the other, each from what it reads."""
    known, found = dict(tables), {}
    for asset in assets:
        rows = found[asset.name] = conforming(engine, asset.compute(known, setting), asset.contract)
        known[asset.name] = table(asset.contract, *rows)
    return found


def answer(engine: Engine, function: Any, tables: Mapping[str, Table], setting: Setting) -> list[Row]:
    """Compute the table of a declared function."""
    asset = declaration(function)
    return answers(engine, [asset], tables, setting)[asset.name]
