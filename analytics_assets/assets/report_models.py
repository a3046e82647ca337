"""What the executive report tells of models and verdicts: experiments, customers, outlook, marketing.

Belongs here: findings of tables that already judge. Does not belong here: any judgement of its own.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from analytics_assets.assets.catalog import Setting
from analytics_assets.assets.series import named_days
from analytics_assets.lake.days import Days
from analytics_assets.report.findings import (
    Campaign,
    Churn,
    Experiment,
    Lifetime,
    Odd,
    Outlook,
    Range,
    Season,
    Segment,
    Special,
    Weekday,
)
from analytics_assets.statistics.changes import of_shares
from analytics_assets.statistics.proportions import wilson

if TYPE_CHECKING:
    from ibis.expr.types import Table

READS = (
    "experiment_verdicts",
    "experiment_impact",
    "rfm_segments",
    "rfm_history",
    "customer_churn_performance",
    "customer_churn_risk",
    "clv_customers",
    "clv_fit",
    "forecast",
    "forecast_accuracy",
    "revenue_daily",
    "series_weekdays",
    "series_holidays",
    "anomalies",
    "campaign_roi_analysis",
)
Record = Mapping[str, Any]
Tables = Mapping[str, "Table"]
_COMING = 60
_LATELY = 28
_MOST_SPECIALS = 8
_ATTRIBUTED = ("attributed_linear", "attributed_last", "attributed_first")


def experiments(tables: Tables, setting: Setting) -> tuple[Experiment, ...]:
    """Say what was decided, and what it is worth."""
    if "experiment_verdicts" not in tables:
        return ()
    worth: dict[tuple[str, str], Record] = {}
    if "experiment_impact" in tables:
        rows = setting.collect(tables["experiment_impact"])
        worth = {(row["experiment"], row["variant"]): row for row in rows}
    verdicts = tables["experiment_verdicts"].order_by(["experiment", "variant"])
    return tuple(_experiment(row, worth.get((row["experiment"], row["variant"]))) for row in setting.collect(verdicts))


def _experiment(row: Record, impact: Record | None) -> Experiment:
    told = impact is not None and impact["state"] == "told" and impact["revenue"] is not None
    why = "no orders are delivered" if impact is None else impact["reason"] or impact["state"]
    numbers = ("revenue", "margin") if told and impact is not None else ()
    return Experiment(
        **{name: row[name] for name in ("experiment", "variant", "verdict", "because", "metric", "over", "ends")},
        **{name: row[name] for name in ("difference", "low", "high", "detectable")},
        **{f"{of}{end}": (impact or {})[f"{of}{end}"] for of in numbers for end in ("", "_low", "_high")},
        notes=row["notes"] or "",
        told=told,
        why_no_worth="" if told else why,
    )


def segments(tables: Tables, setting: Setting) -> tuple[Segment, ...]:
    """Say how large segments are, and how they moved between the last two whole months."""
    if "rfm_segments" not in tables:
        return ()
    months: dict[dt.date, dict[str, int]] = {}
    if "rfm_history" in tables:
        history = tables["rfm_history"]
        for row in setting.collect(history.filter(history.complete).select("month", "segment", "customers")):
            months.setdefault(row["month"], {})[row["segment"]] = row["customers"]
    last = sorted(months)[-2:]
    totals = {month: sum(months[month].values()) for month in last}
    found = []
    for row in setting.collect(tables["rfm_segments"].order_by("place")):
        name, change = row["segment"], None
        if len(last) == 2 and (last[0].replace(day=28) + dt.timedelta(days=4)).replace(day=1) == last[1]:
            counts = [(months[month].get(name, 0), totals[month]) for month in last]
            change = of_shares(*counts[1], *counts[0])
        found.append(
            Segment(
                segment=name,
                place=row["place"],
                customers=row["customers"],
                share=row["share"] or 0.0,
                revenue=float(row["revenue"] or 0),
                revenue_share=row["revenue_share"],
                month=last[-1] if change else None,
                before=last[0] if change else None,
                change=change if change and change.change is not None else None,
            )
        )
    return tuple(found)


def churn(tables: Tables, setting: Setting) -> Churn | None:
    """Say how well churn can be told, and what those at risk would take along."""
    if "customer_churn_performance" not in tables:
        return None
    judged = tables["customer_churn_performance"]
    rows = {row["metric"]: row for row in setting.collect(judged.filter(judged.model == "boosting"))}
    auc = rows.get("auc")
    if auc is None:
        return None
    told = {"churn_days": auc["churn_days"], "state": auc["state"], "customers": auc["customers"] or 0}
    if auc["value"] is None:
        return Churn(**told)
    interval = wilson(auc["churned"], auc["customers"])
    risk: Record = {"customers": 0, "loss": None}
    if "customer_churn_risk" in tables:
        listed = tables["customer_churn_risk"]
        (risk,) = setting.collect(listed.aggregate(customers=listed.count(), loss=listed.expected_loss.sum()))
    return Churn(
        **told,
        churned=auc["churned"],
        rate_low=interval[0] if interval else None,
        rate_high=interval[1] if interval else None,
        auc=auc["value"],
        auc_low=auc["low"],
        auc_high=auc["high"],
        calibration=rows.get("calibration_error", {}).get("verdict") or "",
        at_risk=risk["customers"],
        expected_loss=risk["loss"],
    )


def lifetime(tables: Tables, setting: Setting) -> Lifetime | None:
    """Say what customers are expected to bring."""
    if "clv_customers" not in tables:
        return None
    expected = tables["clv_customers"]
    (row,) = setting.collect(
        expected.aggregate(
            customers=expected.count(),
            horizon=expected.horizon_days.max(),
            orders=expected.expected_orders.sum(),
            value=expected.expected_value.sum(),
            orders_state=expected.orders_state.max(),
            value_state=expected.value_state.max(),
        )
    )
    if not row["customers"]:
        return None
    held: Record = {}
    if "clv_fit" in tables:
        fit = tables["clv_fit"]
        asked = fit.filter(fit.fitted_on == "calibration", fit.model == "bg_nbd")
        held = next(iter(setting.collect(asked)), {})
        spent = fit.filter(fit.fitted_on == "all", fit.model == "gamma_gamma").select("spend_independence")
        held = {**held, **next(iter(setting.collect(spent)), {})}
    state = row["orders_state"] if row["orders"] is None else row["value_state"]
    return Lifetime(
        horizon_days=row["horizon"],
        customers=row["customers"],
        expected_orders=row["orders"],
        expected_value=row["value"],
        state=state or "",
        independence=held.get("spend_independence") or "",
        **{name: held.get(name) for name in ("holdout_days", "holdout_orders", "holdout_expected", "holdout_error")},
    )


def outlook(tables: Tables, setting: Setting) -> Outlook | None:
    """Say what is expected, beside as many last days."""
    if "forecast" not in tables or "revenue_daily" not in tables:
        return None
    ahead, past = tables["forecast"], tables["revenue_daily"]
    rows = setting.collect(ahead.filter(ahead.measure == "revenue", ahead.dimension == "").order_by("day"))
    if not rows:
        return None
    sums = {name: math.fsum(row[name] or 0.0 for row in rows) for name in ("forecast", "low_80", "high_80")}
    first = setting.so_far.last - dt.timedelta(days=len(rows) - 1)
    if first < setting.so_far.first:
        return None
    lately = past.filter(past.dimension == "", past.day >= first, past.day <= setting.so_far.last)
    (was,) = setting.collect(lately.aggregate(net=lately.net.sum().cast("float64")))
    judged: Record = {}
    if "forecast_accuracy" in tables:
        tried = tables["forecast_accuracy"]
        chosen = tried.filter(tried.measure == "revenue", tried.dimension == "", tried.chosen)
        judged = next(iter(setting.collect(chosen)), {})
    return Outlook(
        days=len(rows),
        until=rows[-1]["day"],
        forecast=sums["forecast"],
        low=sums["low_80"],
        high=sums["high_80"],
        last=was["net"] or 0.0,
        model=rows[0]["model"].replace("_", " "),
        state=rows[0]["state"],
        mape=judged.get("mape"),
        coverage=judged.get("coverage_80"),
    )


def season(tables: Tables, setting: Setting, period: Range, before: Range | None) -> Season:
    """Say what repeats, which days have names, and which stand out."""
    asked, last = setting.project.forecasts, setting.so_far.last
    weekdays, specials, odd, judged = [], [], [], 0
    if "series_weekdays" in tables:
        rows = tables["series_weekdays"]
        weekdays = [
            Weekday(row["weekday"], row["effect"], row["low"], row["high"], row["method"])
            for row in setting.collect(rows.filter(rows.measure == "revenue", rows.dimension == "").order_by("weekday"))
            if row["effect"] is not None
        ]
    coming = named_days(asked, Days(last + dt.timedelta(days=1), last + dt.timedelta(days=_COMING)))
    if "series_holidays" in tables:
        rows = tables["series_holidays"]
        found = setting.collect(rows.filter(rows.measure == "revenue", rows.dimension == ""))
        specials = [_special(row, coming) for row in found if row["holiday"] in coming or row["occurrences"]]
        specials.sort(key=lambda one: (one.comes is None, one.comes or dt.date.max, -abs(one.effect or 0.0), one.name))
    if "anomalies" in tables:
        rows = tables["anomalies"]
        lately = rows.filter(rows.dimension == "", rows.day > last - dt.timedelta(days=_LATELY))
        (counted,) = setting.collect(lately.aggregate(days=lately.day.nunique()))
        judged = counted["days"]
        names = {day: name for name, days in named_days(asked, setting.so_far).items() for day in days}
        odd = [
            Odd(
                **{name: row[name] for name in ("day", "measure", "observed", "expected", "low", "high")},
                days_ago=(last - row["day"]).days,
                named=names.get(row["day"], ""),
            )
            for row in setting.collect(lately.filter(lately.is_anomaly, lately.measure == "revenue").order_by("day"))
        ]
    return Season(
        weekdays=tuple(weekdays),
        specials=tuple(specials[:_MOST_SPECIALS]),
        named_now=_names(setting, period),
        named_before=_names(setting, before) if before else (),
        judged=judged,
        odd=tuple(odd),
    )


def _special(row: Record, coming: Mapping[str, list[dt.date]]) -> Special:
    comes = coming.get(row["holiday"], [None])[0]
    numbers = (row["effect"], row["low"], row["high"], row["occurrences"])
    return Special(row["holiday"], *numbers, row["method"] or "", row["state"] or "", comes)


def _names(setting: Setting, period: Range) -> tuple[str, ...]:
    found = named_days(setting.project.forecasts, Days(period.first, period.last))
    return tuple(sorted(found, key=lambda name: (found[name][0], name)))


def campaigns(tables: Tables, setting: Setting) -> tuple[Campaign, ...]:
    """Say what campaigns cost and brought, in three ways of telling."""
    if "campaign_roi_analysis" not in tables:
        return ()
    by: dict[str, dict[str, Record]] = {}
    for row in setting.collect(tables["campaign_roi_analysis"]):
        by.setdefault(row["campaign_id"], {})[row["method"]] = row
    return tuple(_campaign(name, methods) for name, methods in sorted(by.items()) if _spent(methods))


def _spent(methods: Mapping[str, Record]) -> bool:
    return any(row["spend"] for row in methods.values())


def _campaign(campaign: str, methods: Mapping[str, Record]) -> Campaign:
    said = next(iter(methods.values()))
    real: Record = methods.get("incremental", {})
    by = next((name for name in _ATTRIBUTED if methods.get(name, {}).get("roi") is not None), "")
    revenue, profit = real.get("revenue"), real.get("profit")
    return Campaign(
        campaign=campaign,
        name=said["name"] or "",
        spend=float(said["spend"] or 0),
        over=said["complete"],
        naive=methods.get("naive", {}).get("roi"),
        attributed=methods.get(by, {}).get("roi"),
        attributed_by=f" ({by.removeprefix('attributed_')})" if by else "",
        state=real.get("state") or "not identified",
        reason=real.get("reason") or "no increment is computed",
        **{name: real.get(name) for name in ("roi", "roi_low", "roi_high", "revenue_low", "revenue_high")},
        revenue=None if revenue is None else float(revenue),
        margin=_margin(methods) if profit is not None else None,
    )


def _margin(methods: Mapping[str, Record]) -> float | None:
    """Tell what profit is of revenue, by the way of telling that has the most of it."""
    known = [row for row in methods.values() if row["profit"] is not None and (row["revenue"] or 0) > 0]
    best = max(known, key=lambda row: row["revenue"], default=None)
    return None if best is None else float(best["profit"]) / float(best["revenue"])
