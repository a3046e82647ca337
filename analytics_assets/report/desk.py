"""The desk of the writers: which charts a report shows, and which tables and charts a sentence rests on.

Belongs here: links, and how amounts are written. Does not belong here: any sentence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from analytics_assets.report.findings import Findings
from analytics_assets.report.rules import fired
from analytics_assets.report.tree import Figure, Link, Says, Tone
from analytics_assets.report.words import Way, valued

CONTENTS: Mapping[str, tuple[str, ...]] = {
    "funnels": ("funnel_*_steps", "funnel_*_by_*", "funnel_*_conversion"),
    "activity": ("active_users", "retention_*_curve", "lifecycle"),
    "experiments": ("experiments_overview",),
    "customers": ("rfm", "rfm_migration", "clv_calibration"),
    "products": ("revenue_lorenz",),
    "outlook": ("revenue_forecast", "revenue_decomposition", "revenue_anomalies"),
    "marketing": ("campaign_roi", "campaign_spend"),
    "quality": ("quality_series", "quality_shares"),
}
"""The charts that a section shows, by name or pattern: the first that there is of each."""
_MOST = 4
_EFFECTS = "experiment_*_effects"
_DECIDED = 3


@dataclass(frozen=True)
class Chart:
    """Say what a chart that a report may show is of."""

    title: str
    tables: tuple[str, ...] = ()


class Desk:
    """Hold what is written of, and remember which tables sentences rest on."""

    def __init__(self, findings: Findings, charts: Mapping[str, Chart], grains: Mapping[str, str]) -> None:
        self.findings = findings
        self.charts = charts
        self.grains = grains
        self.rests_on: dict[str, str] = {}
        self.fired = fired(findings)
        self.shown = picked(charts, decided(findings))

    def table(self, name: str) -> tuple[Link, ...]:
        """Point at a table."""
        self.rests_on[name] = self.grains.get(name, "")
        return (Link("table", name),)

    def evidence(self, table: str, patterns: Sequence[str] = ()) -> tuple[Link, ...]:
        """Point at a table, and at a figure of the report that shows it, if there is one."""
        shown = [name for names in self.shown.values() for name in names]
        wanted = [name for pattern in patterns for name in shown if fnmatchcase(name, pattern)]
        wanted += [name for name in shown if table in self.charts[name].tables]
        return (*self.table(table), *(Link("figure", name) for name in wanted[:1]))

    def money(self, value: float | None) -> str:
        """Write an amount."""
        return valued(value, "money", self.findings.currency)

    def figures(self, section: str) -> tuple[Figure, ...]:
        """Show the charts of a section."""
        return tuple(Figure(name, self.charts[name].title) for name in self.shown.get(section, ()))


def candidates(charts: Iterable[str]) -> tuple[str, ...]:
    """Name the charts that a report may show, whatever it finds."""
    patterns = [pattern for told in CONTENTS.values() for pattern in told]
    return tuple(name for name in sorted(charts) if any(fnmatchcase(name, one) for one in (*patterns, _EFFECTS)))


def decided(findings: Findings) -> dict[str, tuple[str, ...]]:
    """Name the charts of the experiments that were decided: those that are worth most."""
    acted = [one for one in findings.experiments if one.verdict in {"ship", "rollback"}]
    ordered = sorted(acted, key=lambda one: (one.verdict != "ship", -(one.value or 0.0), one.experiment))
    names = tuple(dict.fromkeys(_EFFECTS.replace("*", one.experiment) for one in ordered))
    return {"experiments": names[:_DECIDED]}


def picked(
    charts: Mapping[str, Chart], more: Mapping[str, tuple[str, ...]] | None = None
) -> dict[str, tuple[str, ...]]:
    """Pick the charts of each section: of each pattern the first, and none twice in a report."""
    taken: set[str] = set()
    found = {}
    for section, standing in CONTENTS.items():
        patterns = (*standing, *(more or {}).get(section, ()))
        firsts: list[str] = []
        for pattern in patterns:
            name = next((name for name in sorted(charts) if name not in taken and fnmatchcase(name, pattern)), None)
            if name is not None and len(firsts) < _MOST:
                firsts.append(name)
                taken.add(name)
        found[section] = tuple(firsts)
    return found


def toned(verb: Way, better: str) -> Tone:
    """Say whether a move is good."""
    if verb is Way.UNTOLD:
        return "thin"
    if verb is Way.STEADY or not better:
        return ""
    return "good" if (verb is Way.ROSE) == (better == "up") else "bad"


def capital(text: str) -> str:
    """Begin a sentence.

    >>> capital("net revenue")
    'Net revenue'
    """
    return text[:1].upper() + text[1:]


def thinly(text: str) -> tuple[Says, ...]:
    """Say that something cannot be told."""
    return (Says(text, tone="thin"),)
