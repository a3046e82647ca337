"""Small worlds, of which reports are written: each says one thing, and another world says the opposite."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from analytics_assets.report import rendering
from analytics_assets.report.desk import Chart
from analytics_assets.report.findings import (
    Campaign,
    Churn,
    Delivered,
    Doubt,
    Experiment,
    Findings,
    Friction,
    Funnel,
    Kpi,
    Odd,
    Outlook,
    Quality,
    Range,
    Returned,
    Season,
    Segment,
    Step,
)
from analytics_assets.report.rules import fired
from analytics_assets.report.writing import document
from analytics_assets.statistics.changes import Change

LAST = dt.date(2024, 3, 31)
PERIOD = Range(dt.date(2024, 3, 4), LAST)
BEFORE = Range(dt.date(2024, 2, 5), dt.date(2024, 3, 3))
NOTHING = Findings("shop", "EUR", LAST)


def world(**says: Any) -> Findings:
    """Make a world of which nothing is known but what is said."""
    return replace(NOTHING, period=PERIOD, before=BEFORE, first_day=dt.date(2024, 1, 1), release=3, **says)


def moved(middle: float, low: float, high: float, before: float = 100.0) -> Change:
    """Make a change."""
    return Change(before, before * (1 + middle), middle, low, high)


def kpi(change: Change | None, **says: Any) -> Kpi:
    """Make net revenue, or another key figure."""
    told = {"name": "net revenue", "unit": "money", "better": "up", "chance": "days", "table": "revenue_daily"}
    return Kpi(**{**told, "value": 1000.0, "change": change, **says})


def experiment(verdict: str, **says: Any) -> Experiment:
    """Make an experiment."""
    told = {"experiment": "checkout", "variant": "short", "because": "buyers differs by +0.05", "metric": "buyers"}
    return Experiment(**{**told, "verdict": verdict, **says})


def shipped(low: float, high: float) -> Experiment:
    """Make an experiment that ships, and what it is worth."""
    worth = {"revenue": (low + high), "revenue_low": 2 * low, "revenue_high": 2 * high}
    margin = {"margin": (low + high) / 2, "margin_low": low, "margin_high": high}
    return experiment("ship", told=True, difference=0.05, low=0.02, high=0.08, **worth, **margin)


def campaign(low: float, high: float, **says: Any) -> Campaign:
    """Make a campaign whose increment is identified: the interval is of revenue, the spend 1,000, the margin a half."""
    told = {"state": "identified", "roi": 0.0, "roi_low": low / 1000 - 1, "roi_high": high / 1000 - 1}
    revenue = {"revenue": (low + high) / 2, "revenue_low": low, "revenue_high": high, "margin": 0.5}
    return Campaign("C1", "Spring", 1000.0, **{**told, **revenue, **says})


def dark(**says: Any) -> Campaign:
    """Make a campaign whose increment is not identified."""
    return Campaign("C2", "Summer", 500.0, **{"state": "not identified", "reason": "no control is declared", **says})


def friction(gap: float, **says: Any) -> Friction:
    """Make a gap between the users of phones and the others."""
    told = {
        "funnel": "buying", "dimension": "device", "value": "mobile", "name": "pay", "previous": "cart",
        "units": "users", "came": 2000, "rate": 0.5, "rate_of_others": 0.5 - gap, "gap": gap, "gap_low": gap - 0.02,
        "gap_high": gap + 0.02, "p_adjusted": 0.001, "lost": 200.0, "lost_a_month": 50.0, "worth": 900.0,
    }  # fmt: skip
    return Friction(**{**told, **says})


def funnel(*frictions: Friction, **says: Any) -> Funnel:
    """Make a funnel of two steps."""
    steps = (Step("cart", "look", 4000, 2000, 0.5, 0.48, 0.52), Step("pay", "cart", 2000, 1500, 0.75, 0.73, 0.77))
    return Funnel("buying", "users", steps, frictions, **says)


def segment(name: str, middle: float | None, width: float = 0.005) -> Segment:
    """Make a segment, and how its share moved."""
    change = None if middle is None else Change(0.2, 0.2 + middle, middle, middle - width, middle + width)
    months = {"month": dt.date(2024, 3, 1), "before": dt.date(2024, 2, 1)} if change else {}
    return Segment(name, 1, 500, 0.2, 5000.0, 0.4, change=change, **months)


def churn(**says: Any) -> Churn:
    """Make a model of churn that can be trusted."""
    told = {
        "state": "fitted", "customers": 900, "churned": 300, "rate_low": 0.3, "rate_high": 0.37, "auc": 0.8,
        "auc_low": 0.77, "auc_high": 0.83, "calibration": "calibrated", "at_risk": 50, "expected_loss": 6000.0,
    }  # fmt: skip
    return Churn(60, **{**told, **says})


def outlook(low: float, high: float) -> Outlook:
    """Make an outlook beside 1,000 of the last days."""
    return Outlook(14, LAST + dt.timedelta(days=14), (low + high) / 2, low, high, 1000.0, "harmonic", "", 12.0, 0.8)


def returned(**says: Any) -> Returned:
    """Make a product that comes back."""
    told = {"units": 200, "rate": 0.3, "rate_of_others": 0.05, "gap": 0.25, "gap_low": 0.2, "gap_high": 0.3}
    return Returned("Lamp", **{**told, "p_adjusted": 0.001, "worth": 80.0, "of_net": 0.01, **says})


def odd(**says: Any) -> Odd:
    """Make a day that stands out."""
    told = {"observed": 10.0, "expected": 100.0, "low": 50.0, "high": 150.0, "days_ago": 1}
    return Odd(dt.date(2024, 3, 30), "revenue", **{**told, **says})


def delivered(**says: Any) -> Delivered:
    """Make what a source delivered."""
    told = {"rows": 1000, "rejected": 5, "main_reason": "duplicate", "last": LAST, "silent_days": 0, "usual_gap": 1}
    return Delivered("events", **{**told, **says})


def quality(*given: Delivered | Doubt) -> Quality:
    """Make what can be trusted."""
    deliveries = tuple(one for one in given if isinstance(one, Delivered))
    return Quality(deliveries, tuple(one for one in given if isinstance(one, Doubt)))


def named(*, now: tuple[str, ...] = (), before: tuple[str, ...] = (), odd: tuple[Odd, ...] = ()) -> Season:
    """Make a season."""
    return Season(named_now=now, named_before=before, odd=odd, judged=28)


def report(findings: Findings, charts: Mapping[str, Chart] | None = None) -> str:
    """Write a report as plain text, in one line."""
    return " ".join(rendering.text(document(findings, charts or {}, {})).split())


def rules(findings: Findings) -> list[str]:
    """Name the rules that fire, in their order."""
    return [one.rule.name for one in fired(findings)]
