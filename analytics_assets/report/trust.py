"""What is told of trust: the data's quality, what cannot be told yet, and what is left out.

Belongs here: sections on doubt. Does not belong here: any check.
"""

from __future__ import annotations

from analytics_assets.charts.house import share
from analytics_assets.report.desk import Desk
from analytics_assets.report.tree import Block, Bullets, Cell, Grid, Paragraph, Says, Section
from analytics_assets.report.words import Way, changed_between, counted, named, went


def quality(desk: Desk) -> Section | None:
    """Say what can be trusted."""
    told = desk.findings.quality
    if not (told.delivered or told.doubts or told.sums):
        return None
    blocks: list[Block] = []
    said: list[Says] = []
    if told.sums:
        good = told.sums - len(told.sums_differ)
        said.append(
            Says(
                f"{good:,} of {told.sums:,} sums agree between the tables that make them and those that are made.",
                desk.table("reconciliation"),
                "bad" if told.sums_differ else "good",
            )
        )
    if told.watched:
        text = f"{counted(len(told.doubts), 'day and series', 'days and series')} stood out in the period."
        said.append(Says(text, desk.evidence("quality_findings"), "thin" if told.doubts else "good"))
    if said:
        blocks.append(Paragraph(tuple(said)))
    if told.doubts:
        blocks.append(
            Bullets(
                tuple(
                    Says(
                        f"{one.day or ''} {named(one.table)}: {one.reason}.".strip(),
                        desk.table(one.table if one.day is None else "quality_findings"),
                        "bad" if one.severity == "error" else "thin",
                    )
                    for one in told.doubts[:8]
                )
            )
        )
    if told.delivered:
        rows = tuple(
            (
                Cell(named(one.table)),
                Cell("as a whole" if one.snapshot else "longer ago" if one.last is None else str(one.last)),
                Cell(f"{one.rows:,}"),
                Cell(f"{one.rejected:,}"),
                Cell("" if one.rejected_share is None else share(one.rejected_share)),
                Cell(named(one.main_reason) if one.rejected else ""),
            )
            for one in told.delivered
        )
        heads = ("table", "last delivery", "rows of the period", "rejected", "share", "main reason")
        blocks.append(Grid(heads, rows, "What was delivered in the period, and rejected of it"))
    return Section("quality", "Data quality", (*blocks, *desk.figures("quality")))


def thin(desk: Desk) -> Section | None:
    """List what cannot be told, and why."""
    found = [one for one in desk.fired if one.rule.does == "doubt"]
    items = [Says(one.why, desk.evidence(one.table, one.figures), "thin", head=one.head) for one in found]
    items += [
        Says(
            f"{changed_between(kpi.change, kpi.unit)} against the period before.",
            desk.evidence(kpi.table),
            "thin",
            head=f"Whether {kpi.name} changed cannot be told",
        )
        for kpi in desk.findings.kpis
        if kpi.change is not None and went(kpi.change, kpi.unit) is Way.UNTOLD
    ]
    if not items:
        return None
    return Section("thin", "What cannot be told yet", (Bullets(tuple(items)),))


def absent(desk: Desk) -> Section | None:
    """Say what is left out, and why."""
    if not desk.findings.absent:
        return None
    items = tuple(Says(f"{what}: {why}.") for what, why in desk.findings.absent.items())
    return Section("absent", "Not in this report", (Bullets(items),))
