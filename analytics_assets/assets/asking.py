"""Events as questions need them: without what counts in no metric, with properties and what is known of users beside.

Belongs here: columns and predicates of questions. Does not belong here: any answer.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

import ibis

from analytics_assets.lake.functions import json_text
from analytics_assets.project.asking import USER
from analytics_assets.project.conditions import Condition, holds
from analytics_assets.project.questions import Match

if TYPE_CHECKING:
    from ibis.expr.types import BooleanValue, Table

Predicate = Callable[["Table"], "BooleanValue"]


def predicate(where: Condition) -> tuple[Predicate, ...]:
    """Turn a condition into a function of the events."""
    return (lambda events: holds(lambda column: events[column].cast("string"), where),) if where else ()


def read_for(names: Iterable[str]) -> tuple[str, ...]:
    """Name the tables that `askable` reads for columns that questions name."""
    of_users = any(name.startswith(USER) for name in names)
    return ("fact_events", *(("dim_users", "dim_geography") if of_users else ()))


def askable(tables: Mapping[str, Table], names: Iterable[str]) -> Table:
    """Give the events that count, with the columns that questions name: properties, and `user.COLUMN` of users."""
    events = tables["fact_events"]
    counting = events.filter(events.excluded_as.isnull())
    wanted = list(dict.fromkeys(names))
    missing = [name for name in wanted if name not in events.columns and not name.startswith(USER)]
    counting = counting.mutate(**{name: json_text(counting.properties, name) for name in missing})
    of_users = [name for name in wanted if name.startswith(USER)]
    return with_users(counting, of_users, tables["dim_users"], tables["dim_geography"]) if of_users else counting


def with_users(rows: Table, names: Iterable[str], users: Table, places: Table | None = None) -> Table:
    """Add columns of users, and of their places, as `user.COLUMN`; null where the user is not known."""
    wanted = [name.removeprefix(USER) for name in names]
    known = users if places is None else users.left_join(places, "geography_id")
    told = known.select(whom_="user_id", **{USER + name: known[name] for name in wanted})
    return rows.left_join(told, rows.user_id == told.whom_).drop("whom_")


def matches(events: Table, match: Match) -> BooleanValue:
    """Say which of the events that `askable` gives a match picks."""
    conditions = [told(events) for told in predicate(match.where)]
    if match.event is not None:
        conditions.append(events.event_type == match.event)
    picked: BooleanValue = functools.reduce(operator.and_, conditions, ibis.literal(True))  # noqa: FBT003
    return picked


def matching(events: Table, match: Match) -> Table:
    """Keep the events that a match picks, of those that `askable` gives."""
    return events.filter(matches(events, match))
