"""The quality of the numbers from day to day: what is counted, which days stand out, and sums that must agree.

Belongs here: which tables are counted, and from counts to findings in words. Does not belong here: how a day is judged
(`statistics.monitoring`) and what fails a run (`contracts.quality`).
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from analytics_assets.analysis import quality as counts
from analytics_assets.analysis.tables import together
from analytics_assets.assets.catalog import Setting, TableAsset, family
from analytics_assets.assets.layers import watched
from analytics_assets.assets.records import made
from analytics_assets.assets.series import named_days
from analytics_assets.contracts import quality as promised
from analytics_assets.contracts import star
from analytics_assets.contracts.model import Contract
from analytics_assets.lake.days import Days
from analytics_assets.project.model import Project

if TYPE_CHECKING:
    from ibis.expr.types import Table

    from analytics_assets.statistics.monitoring import Flags, Judged, Numbers

_MOST = 100
"""How many values of a column are told apart on a day."""
BUDGET = {"volume": 0.25, "metric": 0.25, "nulls": 0.1, "rejected": 0.1, "values": 0.2, "mixes": 0.1}
"""Which part of the rate of false alarms each kind of judgement may use up."""
NULLS_RISE = 0.1
"""The least rise of a share of nulls that is a finding."""
REJECTIONS_RISE = 0.02
"""The least rise of the share of rejected rows that is a finding."""
_STRICT = {(star.FACT_EVENTS.table, "event_type")}
_LEAST_SHARE = 0.01
_ROWS_OF_ANY = 50
_FIRST_DAYS = 28
_DIGITS = 10


@family
def quality_tables(project: Project) -> Iterator[TableAsset]:
    """Make the tables of what is counted every day, and of what stands out."""
    facts = watched(project)
    if not facts:
        return
    staged = [fact.accounts_for for fact in facts if fact.accounts_for]
    uses = (*(fact.table for fact in facts), *staged, star.FACT_USER_DAYS.table)
    yield TableAsset(promised.QUALITY_MEASURES, quality_measures, (), uses)
    measures = (promised.QUALITY_MEASURES.table,)
    yield TableAsset(promised.QUALITY_FINDINGS, quality_findings, measures, ())
    yield TableAsset(promised.QUALITY_SERIES, quality_series, measures, ())


def quality_measures(setting: Setting, **tables: Table) -> Table:
    """Count what is watched from day to day: rows, nulls, values, rejections, and a few metrics.

    Rows that are excluded are left out. A day of the run on which a table has no row counts as 0.
    """
    facts = {fact: _counting(tables[fact.table]) for fact in promised.WATCHED if fact.table in tables}
    staged = {fact.accounts_for: tables[fact.accounts_for] for fact in facts if fact.accounts_for in tables}
    parts = [counts.rows_and_nulls(fact.table, rows, _nullable(fact)) for fact, rows in facts.items()]
    expected = [(fact.table, promised.ROWS, "") for fact in facts]
    if told := {fact.table: (rows, _categorical(fact)) for fact, rows in facts.items() if _categorical(fact)}:
        parts.append(counts.values(told, _MOST, promised.OTHER))
    if staged:
        parts.append(counts.rejections(staged))
    users, sales = star.FACT_USER_DAYS.table, star.FACT_SALES.table
    if users in tables and star.FACT_SESSIONS.table in tables:
        parts.append(counts.activity(users, tables[users]))
        expected += [(users, promised.METRIC, name) for name in ("active_users", "conversion")]
    if sales in tables:
        parts.append(counts.sold(sales, tables[sales]))
        expected += [(sales, promised.METRIC, name) for name in ("orders", "net_revenue")]
    return counts.with_zeros(together(parts), setting.days.first, setting.days.last, expected)


def _counting(rows: Table) -> Table:
    return rows.filter(rows.excluded_as.isnull()) if "excluded_as" in rows.columns else rows


def _nullable(fact: Contract) -> list[str]:
    return [c.name for c in fact.columns if c.nullable and c.name not in {"day", *promised.COME_AND_GO}]


def _categorical(fact: Contract) -> list[str]:
    return [column.name for column in fact.columns if column.categorical]


# --- what stands out --------------------------------------------------------------------------------------------------

Key = tuple[str, str, str, str]
"""Table, measure, column, value."""


@dataclass(frozen=True)
class Panel:
    """Hold what was counted: a row a series, a column a day from the first to the last that was counted.

    Attributes:
        days: The days.
        keys: The series.
        counts: Of each series and day; NaN where it was not counted.
        totals: Of how many.
        amounts: Of metrics that are amounts.
    """

    days: Days
    keys: tuple[Key, ...]
    counts: Numbers
    totals: Numbers
    amounts: Numbers

    def of(self, wanted: Callable[[Key], bool]) -> Panel:
        """Keep some series."""
        places = [place for place, key in enumerate(self.keys) if wanted(key)]
        kept = tuple(self.keys[place] for place in places)
        return Panel(self.days, kept, self.counts[places], self.totals[places], self.amounts[places])


def read_panel(rows: Sequence[Mapping[str, Any]], first: dt.date) -> Panel | None:
    """Read what was counted into arrays; None where nothing was."""
    if not rows:
        return None
    import numpy as np

    told: list[Key] = [(row["table"], row["measure"], row["column"], row["value"]) for row in rows]
    keys = {key: place for place, key in enumerate(sorted(set(told)))}
    start = first.toordinal()
    places = np.array([keys[key] for key in told])
    days = np.array([row["day"].toordinal() - start for row in rows])
    last = dt.date.fromordinal(start + int(days.max()))
    found = []
    for name in ("count", "total", "amount"):
        numbers = np.full((len(keys), int(days.max()) + 1), math.nan)
        numbers[places, days] = [math.nan if row[name] is None else float(row[name]) for row in rows]
        found.append(numbers)
    return Panel(Days(first, last), tuple(keys), *found)


@dataclass(frozen=True)
class Found:
    """Hold the verdicts on some series of one kind.

    Attributes:
        kind: The kind of finding; of values that are gone it is another.
        keys: The series.
        observed: What was observed, in the unit of the verdict.
        judged: The verdict.
        totals: Of shares: of how many.
    """

    kind: str
    keys: tuple[Key, ...]
    observed: Numbers
    judged: Judged
    totals: Numbers | None = None


def _named(setting: Setting, days: Days) -> tuple[Flags, dict[dt.date, str]]:
    import numpy as np

    flags, labels = np.zeros(len(days), dtype=bool), dict[dt.date, str]()
    for name, dates in sorted(named_days(setting.project.forecasts, days).items()):
        for day in dates:
            flags[(day - days.first).days] = True
            labels[day] = f"{labels[day]}, {name}" if day in labels else name
    return flags, labels


def _begun(numbers: Numbers) -> Numbers:
    """Leave out what was before a series had anything."""
    import numpy as np

    begun = np.maximum.accumulate(np.nan_to_num(numbers), axis=1) > 0
    return np.where(begun, numbers, math.nan)


def _judge_numbers(panel: Panel, setting: Setting, named: Flags) -> Iterator[Found]:
    """Judge volumes and metrics."""
    import numpy as np

    from analytics_assets.statistics.monitoring import judge_counts, judge_shares

    asked = setting.project.quality
    told: Any = {"named": named, "change": asked.least_change, "weeks": asked.weeks}
    rows = panel.of(lambda key: key[1] == promised.ROWS and key[0] not in promised.BY_PLAN)
    volume = _begun(rows.counts)
    yield Found("volume", rows.keys, volume, judge_counts(volume, rate=_rate(setting, "volume"), **told))
    metrics = panel.of(lambda key: key[1] == promised.METRIC)
    is_share = {key: bool(np.isfinite(told).any()) for key, told in zip(metrics.keys, metrics.totals, strict=True)}
    numbers = metrics.of(lambda key: not is_share[key])
    shares = metrics.of(lambda key: is_share[key])
    # the rate of all metrics is shared as the series are: those that are shares, and the others
    rate = _rate(setting, "metric") / max(len(metrics.keys), 1)
    unit = _typical(numbers)
    counted = _begun(np.where(np.isfinite(numbers.amounts), numbers.amounts, numbers.counts) / unit)
    verdict = judge_counts(counted, rate=rate * len(numbers.keys), **told)
    yield Found("metric", numbers.keys, counted * unit, verdict.times(unit))
    verdict = judge_shares(shares.counts, shares.totals, rate=rate * len(shares.keys), **told)
    yield Found("metric", shares.keys, _share(shares), verdict, shares.totals)


def _typical(numbers: Panel) -> Numbers:
    """Give the amount of a typical unit, an order's, by the first days on which there was one; 1 for counts."""
    import numpy as np

    unit = np.ones((len(numbers.keys), 1))
    for place, (amounts, units) in enumerate(zip(numbers.amounts, numbers.counts, strict=True)):
        there = np.flatnonzero((amounts > 0) & (units > 0))
        if len(there):
            first = slice(int(there[0]), int(there[0]) + _FIRST_DAYS)
            known = (amounts[first] > 0) & (units[first] > 0)
            unit[place] = np.median(amounts[first][known] / units[first][known])
    return unit


def _judge_rises(panel: Panel, setting: Setting) -> Iterator[Found]:
    """Judge nulls, and rejected rows of all reasons together."""
    from analytics_assets.statistics.monitoring import judge_rises

    for kind, rise in (("nulls", NULLS_RISE), ("rejected", REJECTIONS_RISE)):
        some = panel.of(lambda key, kind=kind: key[1] == kind and not key[3])  # type: ignore[misc]
        told = judge_rises(
            some.counts, some.totals, rate=_rate(setting, kind), rise=rise, weeks=setting.project.quality.weeks
        )
        yield Found(kind, some.keys, _share(some), told, some.totals)


def _judge_values(panel: Panel, setting: Setting, named: Flags) -> Iterator[Found]:
    """Judge the values of columns: each share, the mix of all, and values that were not there before."""
    import numpy as np

    from analytics_assets.statistics.monitoring import NEW_ROWS, find_new, judge_mixes, judge_shares

    asked = setting.project.quality
    some = panel.of(lambda key: key[1] == promised.VALUES and key[0] not in promised.BY_PLAN)
    if not some.keys:
        return
    columns = list(dict.fromkeys(key[:3] for key in some.keys))
    places = np.array([columns.index(key[:3]) for key in some.keys])
    totals = np.zeros((len(columns), len(panel.days)))
    np.maximum.at(totals, places, np.nan_to_num(some.totals))
    # on a day on which a column has values, those that it has not are 0
    whole = totals[places]
    counts = np.where(whole > 0, np.nan_to_num(some.counts), math.nan)
    some = Panel(some.days, some.keys, counts, whole, some.amounts)
    told: Any = {"named": named, "change": asked.least_change, "weeks": asked.weeks}
    verdict = judge_shares(counts, whole, rate=_rate(setting, "values"), **told)
    yield Found("categories", some.keys, _share(some), verdict, whole)
    zeros = np.nan_to_num(counts)
    mixes = judge_mixes(zeros, whole, places, rate=_rate(setting, "mixes"), named=named, weeks=asked.weeks)
    yield Found("categories", tuple((*column, "") for column in columns), mixes.observed, mixes, totals)
    strict = np.array([(key[0], key[2]) in _STRICT for key in some.keys])
    pooled = {key[:3] for key in some.keys if key[3] == promised.OTHER}
    able = np.array([key[:3] not in pooled for key in some.keys])
    least = np.where(strict, 0.0, _LEAST_SHARE)[:, None]
    rows = np.where(strict, NEW_ROWS, _ROWS_OF_ANY)[:, None]
    new = find_new(zeros, np.where(able[:, None], whole, 0.0), rows=rows, share=least, weeks=asked.weeks)
    yield Found("new_value", some.keys, zeros, new)


def _rate(setting: Setting, kind: str) -> float:
    return setting.project.quality.false_alarm_rate * BUDGET[kind]


def _share(panel: Panel) -> Numbers:
    import numpy as np

    known = panel.totals > 0
    return np.where(known, panel.counts / np.where(known, panel.totals, 1.0), math.nan)


def quality_findings(setting: Setting, quality_measures: Table) -> Table:
    """Find the days that stand out from the weeks before them.

    Every day is judged by the days before it alone: rows, metrics, nulls, rejections, values, and the mix of values.
    """
    panel = read_panel(setting.collect(quality_measures), setting.project.first_day)
    if panel is None:
        return made(promised.QUALITY_FINDINGS, [])
    named, labels = _named(setting, panel.days)
    records: list[dict[str, Any]] = []
    for found in (
        *_judge_numbers(panel, setting, named),
        *_judge_rises(panel, setting),
        *_judge_values(panel, setting, named),
    ):
        records += _findings(found, panel.days, setting, labels)
    return made(promised.QUALITY_FINDINGS, records)


def quality_series(setting: Setting, quality_measures: Table) -> Table:
    """Show volumes and metrics day by day, with what the days before said."""
    wanted = quality_measures.measure.isin([promised.ROWS, promised.METRIC])
    rows = setting.collect(quality_measures.filter(wanted))
    panel = read_panel(rows, setting.project.first_day)
    if panel is None:
        return made(promised.QUALITY_SERIES, [])
    named, labels = _named(setting, panel.days)
    records = []
    for found in _judge_numbers(panel, setting, named):
        for place, key in enumerate(found.keys):
            for number, day in enumerate(panel.days):
                if math.isfinite(found.observed[place, number]):
                    odd = bool(found.judged.odd[place, number]) and _is_due(setting, panel.days, day)
                    told = {"day": day, "kind": found.kind, "odd": odd, "named": labels.get(day, "")}
                    records.append(_numbers(found, place, number) | _series(key) | told)
    return made(promised.QUALITY_SERIES, records)


def _is_due(setting: Setting, days: Days, day: dt.date) -> bool:
    """Say whether the rows of a day have had the time to come."""
    return (days.last - day).days >= setting.project.quality.wait_days


def _findings(found: Found, days: Days, setting: Setting, labels: Mapping[dt.date, str]) -> Iterator[dict[str, Any]]:
    import numpy as np

    asked = setting.project.quality
    checks = {kind: check for check, kinds in promised.CHECKS.items() for kind in kinds}
    for place, number in zip(*np.nonzero(found.judged.odd), strict=True):
        day, key = days.first + dt.timedelta(days=int(number)), found.keys[place]
        if not _is_due(setting, days, day):
            continue
        is_gone = found.kind == "categories" and bool(key[3]) and found.observed[place, number] == 0
        kind = "gone_value" if is_gone else found.kind
        told = _numbers(found, int(place), int(number))
        total = None if found.totals is None else found.totals[place, number]
        yield (
            told
            | _series(key)
            | {
                "day": day,
                "kind": kind,
                "rows": None if total is None or not math.isfinite(total) else int(total),
                "severity": "error" if checks[kind] in asked.errors else "warning",
                "accepted": asked.accepts(day, key[0]),
                "reason": _reason(kind, key, told, labels.get(day, "")),
            }
        )


def _series(key: Key) -> dict[str, str]:
    return dict(zip(("table", "measure", "column", "value"), key, strict=True))


def _numbers(found: Found, place: int, number: int) -> dict[str, float | None]:
    judged = found.judged
    told = {"observed": found.observed, "expected": judged.expected, "low": judged.low, "high": judged.high}
    return {name: _number(numbers[place, number]) for name, numbers in told.items()}


def _number(value: float) -> float | None:
    """Give a number, or None where there is none; the last digits, which no computation is sure of, are left off."""
    return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None


def _reason(kind: str, key: Key, told: Mapping[str, float | None], named: str) -> str:
    """Say in words what stands out."""
    table, _, column, value = key
    shown = {name: _shown(number, is_share=kind not in {"volume", "new_value"}) for name, number in told.items()}
    if kind == "metric":
        shown = {name: _shown(number, is_share=column == "conversion") for name, number in told.items()}
    usual = f"{shown['low']} to {shown['high']}" if told["low"] is not None else f"{shown['high']} at most"
    whom = {
        "volume": f"{shown['observed']} rows in {table}",
        "metric": f"{column} is {shown['observed']}",
        "nulls": f"{column} of {table} is missing in {shown['observed']} of rows",
        "rejected": f"{shown['observed']} of {table} is rejected",
        "categories": f"{column} {value} is {shown['observed']} of {table}",
        "gone_value": f"{column} {value} is gone from {table}",
        "new_value": f"{column} {value} is new in {table}, with {shown['observed']} rows",
    }[kind]
    if kind == "categories" and not value:
        whom = f"{shown['observed']} of {table} has another {column} than expected"
    if kind == "new_value":
        return whom
    on = f", on {named}" if named else ""
    return f"{whom}: {shown['expected']} expected, {usual} is usual{on}"


def _shown(number: float | None, *, is_share: bool) -> str:
    if number is None:
        return "any"
    return f"{number:.1%}".replace("%", " %") if is_share else f"{number:,.0f}"
