"""Time series: what daily orders, units and revenue are made of, what comes next, and which days stand out.

Belongs here: which series there are, which days have a name, and the tables. Does not belong here: any statistics
(`statistics.series`, `.forecasts`, `.anomalies`).
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from analytics_assets.assets.catalog import Setting, table
from analytics_assets.assets.records import made
from analytics_assets.contracts import series as promised
from analytics_assets.lake.days import Days
from analytics_assets.project.business import Forecasts

if TYPE_CHECKING:
    from ibis.expr.types import Table

    from analytics_assets.statistics.series import Decomposition, Flags, Prepared

CATEGORIES = 20
"""How many categories are looked at: those with the most revenue."""
_FEWEST = 14
_MEASURES = {"orders": "orders", "units": "units", "revenue": "net"}
_COUNTS = ("orders", "units")
_OF_CATEGORIES = ("units", "revenue")
_DIGITS = 10


@dataclass(frozen=True)
class Daily:
    """Hold one daily series.

    Attributes:
        measure: What is counted.
        dimension: By what; empty for all.
        value: Its value.
        first: The first day.
        numbers: A number a day; None where there is none.
    """

    measure: str
    dimension: str
    value: str
    first: dt.date
    numbers: tuple[float | None, ...]

    @property
    def named(self) -> dict[str, Any]:
        """The columns that name the series."""
        return {"measure": self.measure, "dimension": self.dimension, "value": self.value}

    @property
    def key(self) -> tuple[str, str, str]:
        """The same, to look it up."""
        return self.measure, self.dimension, self.value

    def day(self, place: int) -> dt.date:
        """Give the day at a place, counted from the first."""
        return self.first + dt.timedelta(days=place)

    def constant(self) -> bool:
        """Say whether it is always the same, or nothing at all."""
        return len({number for number in self.numbers if number is not None}) <= 1

    def sparse(self) -> bool:
        """Say whether nothing happens on most days: there is no pattern to be told."""
        return sum(not number for number in self.numbers) > len(self.numbers) / 2

    def prepared(self) -> Prepared:
        """Make gaps and closures explicit."""
        from analytics_assets.statistics.series import prepare

        return prepare(self.numbers)


def daily(setting: Setting, revenue_daily: Table) -> list[Daily]:
    """Read the series: all, and the categories with the most revenue, in the order of their names."""
    days = setting.so_far
    measured = {name: revenue_daily[column].cast("float64") for name, column in _MEASURES.items()}
    wanted = revenue_daily.select("day", "dimension", "value", **measured)
    rows = setting.collect(wanted.order_by(["dimension", "value", "day"]))
    told = {
        key: {row["day"]: row for row in of_one}
        for key, of_one in groupby(rows, key=lambda row: (row["dimension"], row["value"]))
    }
    most = sorted((key for key in told if key[0]), key=lambda key: (-_revenue(told[key]), key))[:CATEGORIES]
    return [
        Daily(measure, *key, days.first, tuple(told[key].get(day, {}).get(measure) for day in days))
        for key in sorted(key for key in told if not key[0] or key in most)
        for measure in _MEASURES
    ]


def _revenue(rows: Mapping[dt.date, Mapping[str, Any]]) -> float:
    return math.fsum(row["revenue"] or 0.0 for row in rows.values())


def named_days(asked: Forecasts, days: Days) -> dict[str, list[dt.date]]:
    """List the holidays and special days within some days, by name."""
    found: dict[str, list[dt.date]] = {}
    if asked.holidays:
        import holidays

        country, _, subdivision = asked.holidays.partition("-")
        years = range(days.first.year, days.last.year + 1)
        for day, names in sorted(holidays.country_holidays(country, subdiv=subdivision or None, years=years).items()):
            for name in names.split("; "):
                found.setdefault(name, []).append(day)
    for name, own in asked.special_days.items():
        found[name] = sorted({*found.get(name, ()), *own})
    within = {name: [day for day in dates if day in days] for name, dates in found.items()}
    return {name: dates for name, dates in within.items() if dates}


def _with_horizon(setting: Setting) -> Days:
    return setting.so_far.widened(after=setting.project.forecasts.days)


def _labels(named: Mapping[str, Iterable[dt.date]]) -> dict[dt.date, str]:
    """Give each day all its names."""
    told: dict[dt.date, list[str]] = {}
    for name, dates in sorted(named.items()):
        for day in dates:
            told.setdefault(day, []).append(name)
    return {day: ", ".join(names) for day, names in told.items()}


def _places(named: Mapping[str, Iterable[dt.date]], first: dt.date) -> dict[str, list[int]]:
    return {name: [(day - first).days for day in dates] for name, dates in sorted(named.items())}


def _flags(named: Mapping[str, Iterable[dt.date]], first: dt.date, length: int) -> Flags:
    import numpy as np

    flags = np.zeros(length, dtype=bool)
    flags[[place for places in _places(named, first).values() for place in places if 0 <= place < length]] = True
    return flags


def _number(value: float | None) -> float | None:
    """Give a number, or None where there is none; the last digits, which no computation is sure of, are left off."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.{_DIGITS}g}")


# --- what series are made of ------------------------------------------------------------------------------------------


@table(promised.SERIES_DECOMPOSITION)
def series_decomposition(setting: Setting, revenue_daily: Table) -> Table:
    """Take daily orders, units and revenue apart: trend, week, year and remainder (STL, MSTL)."""
    if len(setting.so_far) < _FEWEST:
        return made(promised.SERIES_DECOMPOSITION, [])
    from analytics_assets.statistics.series import decompose, power_of

    named = named_days(setting.project.forecasts, setting.so_far)
    labels = _labels(named)
    records: list[dict[str, Any]] = []
    for one in daily(setting, revenue_daily):
        ready = one.prepared()
        first, length = one.day(ready.start), len(ready.values)
        if one.constant() or one.sparse() or length < _FEWEST:
            continue
        multiplicative = power_of(ready.values, powers=("1", "0")) == "0"
        parts = decompose(ready.values, multiplicative=multiplicative, named=_flags(named, first, length))
        if parts is None:
            continue
        columns = zip(ready.values, parts.trend, parts.weekly, parts.yearly, parts.remainder, strict=True)
        for place, (observed, trend, weekly, yearly, remainder) in enumerate(columns):
            day = one.day(ready.start + place)
            records.append(
                one.named
                | {
                    "day": day,
                    "observed": _number(observed),
                    "method": "multiplicative" if multiplicative else "additive",
                    "trend": _number(trend),
                    "weekly": _number(weekly),
                    "yearly": _number(yearly),
                    "remainder": _number(remainder),
                    "named": labels.get(day, ""),
                }
            )
    return made(promised.SERIES_DECOMPOSITION, records)


def _decomposed(
    setting: Setting, series_decomposition: Table
) -> dict[tuple[str, str, str], tuple[dt.date, Decomposition]]:
    """Read the parts of each series again, with its first day."""
    import numpy as np

    from analytics_assets.statistics.series import YEAR, Decomposition

    rows = setting.collect(series_decomposition.order_by(["measure", "dimension", "value", "day"]))
    found = {}
    for key, of_one in groupby(rows, key=lambda row: (row["measure"], row["dimension"], row["value"])):
        told = list(of_one)
        trend, weekly, yearly, remainder = (
            np.array([math.nan if row[part] is None else row[part] for row in told])
            for part in ("trend", "weekly", "yearly", "remainder")
        )
        marked = np.array([row["named"] != "" for row in told])
        multiplicative = told[0]["method"] == "multiplicative"
        has_year = len(told) >= 2 * YEAR
        parts = Decomposition(multiplicative, trend, weekly, yearly, remainder, has_year, marked)
        found[key] = told[0]["day"], parts
    return found


def _method(parts: Decomposition) -> str:
    return "multiplicative" if parts.multiplicative else "additive"


@table(promised.SERIES_STRENGTH)
def series_strength(setting: Setting, revenue_daily: Table, series_decomposition: Table) -> Table:
    """Measure how much of each series is trend, week, year and remainder; say why where there is no number."""
    from analytics_assets.statistics.series import strengths

    parts = _decomposed(setting, series_decomposition)
    records: list[dict[str, Any]] = []
    for one in daily(setting, revenue_daily):
        ready = one.prepared()
        record = one.named | {"days": len(ready.values), "closures": int(ready.closed.sum())}
        if one.key not in parts:
            records.append(record | {"state": _why_not(one, len(ready.values))})
            continue
        found = parts[one.key][1]
        told = strengths(found)
        names = ("trend_share", "weekly_share", "yearly_share", "remainder_share")
        records.append(
            record
            | {
                "method": _method(found),
                "trend_strength": _number(told.trend),
                "weekly_strength": _number(told.weekly),
                "yearly_strength": _number(told.yearly),
                **{name: _number(share) for name, share in zip(names, told.shares, strict=True)},
                "state": promised.DECOMPOSED,
            }
        )
    return made(promised.SERIES_STRENGTH, records)


def _why_not(one: Daily, length: int) -> str:
    """Say why a series is not taken apart."""
    if one.constant():
        return promised.CONSTANT
    return promised.TOO_SHORT if length < _FEWEST or not one.sparse() else promised.SPARSE


@table(promised.SERIES_WEEKDAYS)
def series_weekdays(setting: Setting, series_decomposition: Table) -> Table:
    """Compare the days of the week with their mean, with intervals."""
    from analytics_assets.statistics.series import weekday_effects

    records: list[dict[str, Any]] = []
    for key, (first, parts) in _decomposed(setting, series_decomposition).items():
        for weekday, told in enumerate(weekday_effects(parts, first), start=1):
            records.append(
                dict(zip(("measure", "dimension", "value"), key, strict=True))
                | {
                    "weekday": weekday,
                    "days": told.occurrences,
                    "method": _method(parts),
                    "effect": _number(told.effect),
                    "low": _number(told.low),
                    "high": _number(told.high),
                }
            )
    return made(promised.SERIES_WEEKDAYS, records)


@table(promised.SERIES_HOLIDAYS)
def series_holidays(setting: Setting, series_decomposition: Table) -> Table:
    """Tell what holidays and special days do to orders, units and revenue of all, with intervals."""
    from analytics_assets.statistics.series import named_effects

    named = named_days(setting.project.forecasts, setting.so_far)
    if not named:
        return made(promised.SERIES_HOLIDAYS, [])
    whole = series_decomposition.filter(series_decomposition.dimension == "")
    records: list[dict[str, Any]] = []
    for key, (first, parts) in _decomposed(setting, whole).items():
        for name, told in named_effects(parts, _places(named, first)).items():
            records.append(
                dict(zip(("measure", "dimension", "value"), key, strict=True))
                | {
                    "holiday": name,
                    "occurrences": told.occurrences,
                    "method": _method(parts),
                    "effect": _number(told.effect),
                    "low": _number(told.low),
                    "high": _number(told.high),
                    "state": told.state,
                }
            )
    return made(promised.SERIES_HOLIDAYS, records)


# --- what comes next --------------------------------------------------------------------------------------------------


def _to_forecast(setting: Setting, revenue_daily: Table) -> list[Daily]:
    """Give what is forecast: orders, units and revenue of all; units and revenue of categories."""
    if len(setting.so_far) < _FEWEST:
        return []
    found = daily(setting, revenue_daily)
    return [one for one in found if not one.dimension or one.measure in _OF_CATEGORIES]


@table(promised.FORECAST_BACKTEST)
def forecast_backtest(setting: Setting, revenue_daily: Table) -> Table:
    """Forecast again from earlier days, with what was known then, by each model."""
    asked = setting.project.forecasts
    named = named_days(asked, _with_horizon(setting))
    labels = _labels(named)
    records: list[dict[str, Any]] = []
    for one in _to_forecast(setting, revenue_daily):
        if one.constant():
            continue
        from analytics_assets.statistics.forecasts import backtest

        ready = one.prepared()
        places = _places(named, one.day(ready.start))
        for tried in backtest(ready.values, asked.days, named=places):
            origin = one.day(ready.start + tried.origin - 1)
            shared = one.named | {"model": tried.model, "origin": origin, "scale": _number(tried.scale)}
            columns = zip(tried.actual, tried.ahead.middle, tried.ahead.score(tried.actual), strict=True)
            for step, (actual, middle, score) in enumerate(columns, start=1):
                day = origin + dt.timedelta(days=step)
                records.append(
                    shared
                    | {
                        "day": day,
                        "horizon": step,
                        "actual": _number(actual),
                        "forecast": _number(middle),
                        "score": _number(score),
                        "named": labels.get(day, ""),
                    }
                )
    return made(promised.FORECAST_BACKTEST, records)


@table(promised.FORECAST_ACCURACY)
def forecast_accuracy(setting: Setting, forecast_backtest: Table) -> Table:
    """Measure how good the forecasts of each model were, and choose the one with the least MASE."""
    from analytics_assets.statistics.forecasts import choose

    rows = setting.collect(forecast_backtest.order_by(["measure", "dimension", "value", "model", "origin", "day"]))
    records: list[dict[str, Any]] = []
    for _, of_one in groupby(rows, key=_keyed("measure", "dimension", "value")):
        told = [_judged(list(rows)) for _, rows in groupby(of_one, key=_keyed("model"))]
        best = choose({record["model"]: record["mase"] for record in told if record["mase"] is not None})
        records += [record | {"chosen": record["model"] == best} for record in told]
    return made(promised.FORECAST_ACCURACY, records)


def _keyed(*names: str) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
    return lambda row: tuple(row[name] for name in names)


def _judged(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Judge one model on one series."""
    from analytics_assets.statistics.forecasts import accuracy, coverage, widths

    by_origin = [list(of_one) for _, of_one in groupby(rows, key=_keyed("origin"))]
    scores = [[math.nan if row["score"] is None else row["score"] for row in of_one] for of_one in by_origin]
    whole = accuracy(_floats(rows, "actual"), _floats(rows, "forecast"), (), 1)
    scaled = []
    for of_one in by_origin:
        mae = accuracy(_floats(of_one, "actual"), _floats(of_one, "forecast"), (), 1).mae
        if of_one[0]["scale"] and math.isfinite(mae):
            scaled.append(mae / of_one[0]["scale"])
    inside, width = coverage(scores), widths([score for own in scores for score in own])
    return {
        **{name: rows[0][name] for name in ("measure", "dimension", "value", "model")},
        "origins": len(by_origin),
        "days": sum(row["actual"] is not None for row in rows),
        "mase": _number(math.fsum(scaled) / len(scaled)) if scaled else None,
        **{name: _number(getattr(whole, name)) for name in ("mape", "smape", "mae", "rmse")},
        "coverage_80": _number(inside[0]),
        "coverage_95": _number(inside[1]),
        "width_80": width[0],
        "width_95": width[1],
    }


def _floats(rows: Iterable[Mapping[str, Any]], name: str) -> list[float]:
    return [math.nan if row[name] is None else row[name] for row in rows]


@table(promised.FORECAST)
def forecast(setting: Setting, revenue_daily: Table, forecast_accuracy: Table) -> Table:
    """Forecast each series by the model that was best, with intervals as wide as it was off before."""
    wanted = _to_forecast(setting, revenue_daily)
    if not wanted:
        return made(promised.FORECAST, [])
    from analytics_assets.statistics.forecasts import look_ahead, widths

    asked = setting.project.forecasts
    chosen = setting.collect(forecast_accuracy.filter(forecast_accuracy.chosen))
    best = {(row["measure"], row["dimension"], row["value"]): row for row in chosen}
    named = named_days(asked, _with_horizon(setting))
    labels = _labels(named)
    normal = dict(zip(("width_80", "width_95"), widths([]), strict=True))
    records: list[dict[str, Any]] = []
    for one in wanted:
        ready = one.prepared()
        told: Mapping[str, Any] = best.get(one.key, {"model": "seasonal_naive", **normal})
        found = look_ahead(ready.values, asked.days, [told["model"]], _places(named, one.day(ready.start)))
        state = "chosen by backtest" if one.key in best else "too short to compare"
        for model, ahead in found.items():
            ends = [*ahead.interval(told["width_80"]), *ahead.interval(told["width_95"])]
            for step in range(asked.days):
                day = setting.so_far.last + dt.timedelta(days=step + 1)
                low, high, lower, higher = (_number(end[step]) for end in ends)
                records.append(
                    one.named
                    | {
                        "day": day,
                        "as_of": setting.so_far.last,
                        "horizon": step + 1,
                        "forecast": _number(ahead.middle[step]),
                        "low_80": low,
                        "high_80": high,
                        "low_95": lower,
                        "high_95": higher,
                        "model": model,
                        "state": promised.CONSTANT if one.constant() else state,
                        "named": labels.get(day, ""),
                    }
                )
    return made(promised.FORECAST, records)


# --- what stands out --------------------------------------------------------------------------------------------------


@table(promised.ANOMALIES)
def anomalies(setting: Setting, revenue_daily: Table) -> Table:
    """Judge each day of each series by the eight weeks before it; named days are not judged."""
    if len(setting.so_far) <= 2 * _FEWEST:
        return made(promised.ANOMALIES, [])
    import numpy as np

    from analytics_assets.statistics.anomalies import RATE, judge

    days = len(setting.so_far)
    found = [one for one in daily(setting, revenue_daily) if not one.constant()]
    if not found:
        return made(promised.ANOMALIES, [])
    panel = np.full((len(found), days), math.nan)
    for row, one in enumerate(found):
        start = one.prepared().start  # from there on zeros are judged: a shop that sells nothing may be broken
        panel[row, start:] = [math.nan if number is None else number for number in one.numbers[start:]]
    named = _flags(named_days(setting.project.forecasts, setting.so_far), setting.so_far.first, days)
    verdict = judge(panel, counts=[one.measure in _COUNTS for one in found], named=named)
    records = [
        found[row].named
        | {
            "day": found[row].day(int(place)),
            "observed": _number(panel[row, place]),
            "expected": _number(verdict.expected[row, place]),
            "low": _number(verdict.low[row, place]),
            "high": _number(verdict.high[row, place]),
            "score": _number(verdict.score[row, place]),
            "is_anomaly": bool(verdict.anomaly[row, place]),
            "false_alarm_rate": RATE,
        }
        for row, place in zip(*np.nonzero(np.isfinite(verdict.score)), strict=True)
    ]
    return made(promised.ANOMALIES, records)
