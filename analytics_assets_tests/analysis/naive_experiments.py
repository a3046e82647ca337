"""Experiments in plain Python, user by user: what the expressions are held to."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Any

from analytics_assets.analysis.experiments import Measured, Plan

Row = dict[str, Any]
DAY = dt.timedelta(days=1)


def exposures(plans: Sequence[Plan], assignments: Iterable[Row], exposing: Iterable[Row]) -> list[Row]:
    """Go through users one by one."""
    found = []
    exposing = list(exposing)
    for plan in plans:
        listed = [row for row in assignments if row["experiment"] == plan.name]
        listed = [row for row in listed if row["excluded_as"] is None and row["user_id"] is not None]
        for user in sorted({row["user_id"] for row in listed}):
            own = [row for row in listed if row["user_id"] == user]
            dated = [row["day"] for row in own if row["day"] is not None]
            if (
                dated and min(dated) <= plan.ends
            ):  # what is assigned after the end to users who were in before is not it
                own = [row for row in own if row["day"] is None or row["day"] <= plan.ends]
            variants = {row["variant"] for row in own if row["variant"] is not None}
            times = [row["assigned_at"] for row in own if row["assigned_at"] is not None]
            assigned_at = min(times, default=None)
            days = [row["day"] for row in own if row["day"] is not None]
            events = [
                row["occurred_at"] for row in exposing if (row["experiment"], row["user_id"]) == (plan.name, user)
            ]
            after = [at for at in events if assigned_at is None or at >= assigned_at]
            exposed_at = min(after, default=None)
            record = {
                "experiment": plan.name,
                "user_id": user,
                "variant": next(iter(variants)) if len(variants) == 1 else None,
                "variants_seen": len(variants),
                "first_variant": _first(own, variants, assigned_at),
                "assigned_at": assigned_at,
                "assigned_on": min(days, default=None),
                "exposed_at": exposed_at,
                "exposed_on": exposed_at.date() if exposed_at else None,
                "exposed_before_assignment": len(after) < len(events),
            }
            found.append(record | {"left_out": _left_out(plan, record)})
    return found


def _first(own: list[Row], variants: set[str], assigned_at: dt.datetime | None) -> str | None:
    if len(variants) == 1:
        return next(iter(variants))
    if any(row["assigned_at"] is None and row["variant"] is not None for row in own):
        return None
    earliest = {row["variant"] for row in own if row["assigned_at"] == assigned_at and row["variant"] is not None}
    return next(iter(earliest)) if len(earliest) == 1 else None


def _left_out(plan: Plan, user: Row) -> str | None:
    if user["variants_seen"] > 1:
        return "several variants"
    if user["variants_seen"] == 0:
        return "no variant"
    if user["variant"] not in plan.variants:
        return "not in the plan"
    if user["assigned_on"] is not None and user["assigned_on"] > plan.ends:
        return "assigned after the end"
    return None if user["exposed_at"] else "not exposed"


def numbers(
    kind: str, parts: Sequence[list[Row]], user: Row, plan: Plan, told: Measured, after_days: tuple[int, int]
) -> dict[str, float | None]:
    """Measure a metric of one exposed user."""
    start, assigned = user["exposed_at"], user["assigned_at"]
    begins = start + told.delay_days * DAY
    ends = begins + told.window_days * DAY
    day = user["exposed_on"] + told.delay_days * DAY

    def now(row: Row) -> bool:
        if kind == "retention":
            return day + after_days[0] * DAY <= row["day"] <= day + after_days[1] * DAY
        if "at" in row:
            return begins <= row["at"] < ends
        return day <= row["day"] < day + told.window_days * DAY

    def pre(row: Row) -> bool:
        if "at" in row:
            return start - plan.covariate_days * DAY <= row["at"] < min(start, assigned or start)
        until = min(user["exposed_on"], user["assigned_on"] or user["exposed_on"])
        return user["exposed_on"] - plan.covariate_days * DAY <= row["day"] < until

    own = [[row for row in rows if row["user_id"] == user["user_id"]] for rows in parts]
    value, weight = _number(kind, [[row["amount"] for row in rows if now(row)] for rows in own])
    pre_value, pre_weight = _number(kind, [[row["amount"] for row in rows if pre(row)] for rows in own])
    return {"value": value, "weight": weight, "pre_value": pre_value, "pre_weight": pre_weight}


def _number(kind: str, amounts: list[list[float]]) -> tuple[float, float | None]:
    first, last = amounts[0], amounts[-1]
    match kind:
        case "count":
            return len(first), None
        case "unique_users" | "retention":
            return float(bool(first)), None
        case "sum":
            return sum(first), None
        case "mean":
            return sum(first), len(first)
        case "ratio":
            return sum(first), sum(last)
        case _:
            return float(bool(first and last)), float(bool(last))
