"""What the executive report tells of the data's quality: what was delivered and rejected, what does not agree.

Belongs here: findings of deliveries, watched days and sums. Does not belong here: any check of its own.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from analytics_assets.assets.catalog import Setting
from analytics_assets.report.findings import Delivered, Doubt, Quality, Range

if TYPE_CHECKING:
    from ibis.expr.types import Table

READS = ("quality_findings", "reconciliation")
_BEFORE = 56
_STAGED = "staged_"
_BY_PLAN = frozenset({"campaign_spend", "experiment_assignments"})
"""What begins and ends with campaigns and experiments: its silence means nothing."""


def quality(tables: Mapping[str, Table], setting: Setting, period: Range) -> Quality:
    """Say what can be trusted of a period."""
    doubts: list[Doubt] = []
    watched = "quality_findings" in tables
    if watched:
        rows = tables["quality_findings"]
        open_ = rows.filter(rows.accepted.isnull(), rows.day >= period.first, rows.day <= period.last)
        doubts += [
            Doubt(row["table"], row["severity"], row["reason"], row["day"])
            for row in setting.collect(open_.order_by([open_.severity, open_.day.desc(), open_.table, open_.reason]))
        ]
    sums: list[dict[str, Any]] = setting.collect(tables["reconciliation"]) if "reconciliation" in tables else []
    differ = sorted(row["name"] for row in sums if row["expected"] != row["found"])
    doubts += [Doubt("reconciliation", "error", f"two tables differ in {name}") for name in differ]
    delivered = [
        _delivered(name.removeprefix(_STAGED), tables[name], setting, period)
        for name in sorted(tables)
        if name.startswith(_STAGED)
    ]
    return Quality(tuple(delivered), tuple(doubts), len(sums), tuple(differ), watched)


def _delivered(name: str, staged: Table, setting: Setting, period: Range) -> Delivered:
    """Count what was delivered in the period, and when nothing was; a snapshot is whole on every day."""
    by_day = setting.project.by_day(name)
    recent = (
        staged.filter(staged.delivery_day >= period.last - dt.timedelta(days=_BEFORE + period.days))
        if by_day
        else staged
    )
    reasons = recent.mutate(main=(recent.rejected.length() > 0).ifelse(recent.rejected[0], ""))
    counts = setting.collect(reasons.group_by("delivery_day", "main").aggregate(rows=reasons.count()))
    days = sorted({row["delivery_day"] for row in counts if row["delivery_day"] and row["delivery_day"] <= period.last})
    wanted = [row for row in counts if not by_day or (row["delivery_day"] or period.last) >= period.first]
    why: dict[str, int] = {}
    for row in wanted:
        why[row["main"]] = why.get(row["main"], 0) + row["rows"]
    rejected = {reason: count for reason, count in why.items() if reason}
    gaps = [(later - earlier).days for earlier, later in pairwise(days)]
    daily = by_day and name not in _BY_PLAN and len(days) > 1
    return Delivered(
        table=name,
        rows=sum(why.values()),
        rejected=sum(rejected.values()),
        main_reason=max(rejected, key=lambda reason: (rejected[reason], reason), default=""),
        last=days[-1] if days else None,
        silent_days=(period.last - days[-1]).days if daily else 0,
        usual_gap=max(gaps) if daily else None,
        snapshot=not by_day,
    )
