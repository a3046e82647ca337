"""From findings to the one document that every renderer renders.

Belongs here: which sections there are, in which order. Does not belong here: their sentences (`headlines`, `people`,
`market`, `trust`).

Every sentence with a number that could be chance carries its interval, and its verb follows from that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from analytics_assets.report.desk import Chart, Desk
from analytics_assets.report.findings import Findings
from analytics_assets.report.headlines import glance, kpis, recommendations
from analytics_assets.report.market import marketing, outlook, places, products
from analytics_assets.report.people import activity, customers, experiments, funnels
from analytics_assets.report.tree import Document, Section, Source
from analytics_assets.report.trust import absent, quality, thin
from analytics_assets.report.words import named

SECTIONS: tuple[Callable[[Desk], Section | None], ...] = (
    glance,
    kpis,
    recommendations,
    funnels,
    activity,
    experiments,
    customers,
    products,
    places,
    outlook,
    marketing,
    quality,
    thin,
    absent,
)
"""The sections, in their order."""


def document(findings: Findings, charts: Mapping[str, Chart], grains: Mapping[str, str]) -> Document:
    """Write the report of findings.

    Args:
        findings: What is told.
        charts: Every chart that can be shown, by name.
        grains: What one row of each table is.
    """
    desk = Desk(findings, charts, grains)
    told = desk.findings
    sections = tuple(section for write in SECTIONS if (section := write(desk)) is not None)
    return Document(
        title=f"{named(told.project)}: executive report",
        as_of=str(told.as_of),
        lead=told.description,
        sections=sections,
        sources=tuple(Source(name, grain) for name, grain in sorted(desk.rests_on.items())),
        footer=(
            f"Made of release {told.release}, which knows {told.first_day or told.as_of} to {told.as_of}. Every "
            "sentence names the table it rests on; read it with: analytics-assets show TABLE"
        ),
    )
