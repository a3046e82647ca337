"""What the executive report tells of the business: key figures, funnels, products, places.

Belongs here: findings of facts and sums. Does not belong here: findings of models (`report_models`).
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from analytics_assets.analysis import comparison
from analytics_assets.assets.catalog import Setting
from analytics_assets.project.questions import Funnel as AskedFunnel
from analytics_assets.report.findings import MONTH, Friction, Funnel, Kpi, Part, Products, Range, Returned, Step, Unit
from analytics_assets.statistics.changes import Change, Shared, of_daily_shares, of_days, of_people, of_shares
from analytics_assets.statistics.multiple import adjust
from analytics_assets.statistics.proportions import difference_interval, two_proportions, wilson

if TYPE_CHECKING:
    from ibis.expr.types import Table

Way: TypeAlias = Literal["up", "down", ""]
READS = (
    "revenue_daily",
    "fact_events",
    "fact_user_days",
    "fact_user_day_events",
    "fact_returns",
    "product_performance",
    "revenue_concentration",
    "sales_overview",
    "dim_geography",
)
Record = Mapping[str, Any]
_MOST = 8
_UNKNOWN = "(unknown)"
_BEST = 3
_MANY_PIECES = 50
_FEWEST_PAIRS = 14
_AN_ORDER = 0.9
"""An event is an order where on nine of ten user-days with it there is one."""


@dataclass(frozen=True)
class Look:
    """Hold what is looked at: the period, the one before, and the same weeks of the year before."""

    setting: Setting
    period: Range
    before: Range | None
    year: Range | None
    named: frozenset[dt.date] = frozenset()

    def collect(self, table: Table) -> list[dict[str, Any]]:
        """Compute a small table."""
        return self.setting.collect(table)

    def ordinary(self) -> tuple[bool, ...]:
        """Say of each pair of days whether neither has a name; nothing where none has, or too few pairs are left."""
        if self.before is None:
            return ()
        firsts = (self.period.first, self.before.first)
        pairs = [not {day + dt.timedelta(days=n) for day in firsts} & self.named for n in range(self.period.days)]
        return tuple(pairs) if _FEWEST_PAIRS <= sum(pairs) < len(pairs) else ()


def kpis(tables: Mapping[str, Table], look: Look) -> tuple[Kpi, ...]:
    """Compute the key figures that a project's tables can tell."""
    return (*_people(tables, look), *_sums(tables, look))


def _people(tables: Mapping[str, Table], look: Look) -> tuple[Kpi, ...]:
    if "fact_user_days" not in tables:
        return ()
    user_days = tables["fact_user_days"]
    acted, bought = "fact_events" in tables, "revenue_daily" in tables

    def counts(other: Range | None) -> Record | None:
        if other is None:
            return None
        (row,) = look.collect(comparison.people(user_days, _ends(look.period), _ends(other)))
        return row

    told, year = counts(look.before), counts(look.year)
    alone = told or counts(look.period) or {}
    found = []
    if acted:
        found.append(
            Kpi(
                "active users",
                "count",
                "up",
                "people",
                "fact_user_days",
                alone["users"],
                change=_users(told, "users"),
                year=_users(year, "users"),
            )
        )
    if bought:
        found.append(
            Kpi(
                "customers who bought",
                "count",
                "up",
                "people",
                "fact_user_days",
                alone["buyers"],
                change=_users(told, "buyers"),
                year=_users(year, "buyers"),
            )
        )
    if acted and bought and alone["users"]:
        interval = wilson(alone["buyers"], alone["users"])
        found.append(
            Kpi(
                "conversion of active users",
                "share",
                "up",
                "people",
                "fact_user_days",
                alone["buyers"] / alone["users"],
                low=interval[0] if interval else None,
                high=interval[1] if interval else None,
                change=_share(told),
                year=_share(year),
            )
        )
    return tuple(found)


def _users(row: Record | None, of: str) -> Change | None:
    return None if row is None else of_people(row[of], row[f"{of}_before"], row[f"{of}_both"])


def _share(row: Record | None) -> Change | None:
    if row is None:
        return None
    shared = Shared(row["users_both"], row["buyers_of_both"], row["buyers_before_of_both"], row["buyers_both"])
    return of_shares(row["buyers"], row["users"], row["buyers_before"], row["users_before"], shared)


def _sums(tables: Mapping[str, Table], look: Look) -> tuple[Kpi, ...]:
    if "revenue_daily" not in tables:
        return ()
    days = tables["revenue_daily"]
    whole = days.filter(days.dimension == "")
    series = _by_day(look, whole, ("orders", "net", "refunds"))
    found = [
        _sum(look, series, "orders", "orders", "count", "up"),
        _sum(look, series, "net revenue", "net", "money", "up"),
        _sum(look, series, "average order value", "net", "money", "up", over="orders"),
    ]
    if "fact_returns" in tables:
        found.append(_sum(look, series, "refunds", "refunds", "money", ""))
        found.append(_refunded(look, series))
    return tuple(kpi for kpi in found if kpi is not None)


Series = Mapping[dt.date, Record]


def _by_day(look: Look, rows: Table, columns: Sequence[str]) -> Series:
    wanted = rows.select("day", **{name: rows[name].cast("float64") for name in columns})
    first = min(told.first for told in (look.period, look.before, look.year) if told)
    return {row["day"]: row for row in look.collect(wanted.filter(wanted.day >= first))}


def _values(series: Series, days: Range, name: str) -> list[float]:
    found = (series.get(days.first + dt.timedelta(days=n), {}) for n in range(days.days))
    return [float(row.get(name) or 0.0) for row in found]


def _sum(look: Look, series: Series, called: str, name: str, unit: Unit, better: Way, over: str = "") -> Kpi | None:
    def change(other: Range | None, pairs: Sequence[bool] | None = None) -> Change | None:
        if other is None:
            return None
        wanted = (name, over) if over else (name,)
        values = [_values(series, days, column) for column in wanted for days in (look.period, other)]
        if pairs is not None:
            values = [list(compress(told, pairs)) for told in values]
        return of_days(*values)

    ordinary = look.ordinary()

    value = math.fsum(_values(series, look.period, name))
    if over:
        below = math.fsum(_values(series, look.period, over))
        if not below:
            return None
        value /= below
    return Kpi(
        called,
        unit,
        better,
        "days",
        "revenue_daily",
        value,
        change=change(look.before),
        year=change(look.year),
        plain=change(look.before, ordinary) if ordinary else None,
        plain_days=sum(ordinary),
    )


def _refunded(look: Look, series: Series) -> Kpi | None:
    def change(other: Range | None) -> Change | None:
        if other is None:
            return None
        return of_daily_shares(
            *(_values(series, days, name) for days in (look.period, other) for name in ("refunds", "net"))
        )

    net = math.fsum(_values(series, look.period, "net"))
    if net <= 0:
        return None
    value = math.fsum(_values(series, look.period, "refunds")) / net
    called = "refunds as a share of net revenue"
    return Kpi(
        called, "share", "down", "days", "revenue_daily", value, change=change(look.before), year=change(look.year)
    )


def average_order(tables: Mapping[str, Table], look: Look) -> tuple[float, str] | None:
    """Compute what an order of the period brought, and of what that is: profit where costs are known, else revenue."""
    if "revenue_daily" not in tables:
        return None
    days = tables["revenue_daily"]
    series = _by_day(look, days.filter(days.dimension == ""), ("orders", "net", "profit", "net_uncosted"))
    sums = {name: math.fsum(_values(series, look.period, name)) for name in ("orders", "net", "profit", "net_uncosted")}
    if not sums["orders"]:
        return None
    each, costed = sums["net"] / sums["orders"], sums["net"] - sums["net_uncosted"]
    known = costed > 0 and any(row["profit"] is not None for row in series.values())
    return (each * sums["profit"] / costed, "profit") if known else (each, "revenue")


def funnels(tables: Mapping[str, Table], look: Look, order: tuple[float, str] | None) -> tuple[Funnel, ...]:
    """Say how the project's funnels go: those of users first."""
    asked = look.setting.project.questions.funnels
    ordered = sorted(asked, key=lambda name: (asked[name].unit != "user", name))
    return tuple(
        _funnel(tables, look, name, asked[name], order)
        for name in ordered
        if f"funnel_{name}" in tables and f"funnel_{name}_friction" in tables
    )


def _funnel(
    tables: Mapping[str, Table], look: Look, name: str, asked: AskedFunnel, order: tuple[float, str] | None
) -> Funnel:
    friction = tables[f"funnel_{name}_friction"]
    rows = look.collect(friction.order_by(["dimension", "value", "step"]))
    called = {place: step.called for place, step in enumerate(asked.steps, 1)}
    required = [place for place, step in enumerate(asked.steps, 1) if not step.optional]

    def previous(step: int) -> str:
        return called[max((place for place in required if place < step), default=1)]

    steps = []
    for row in rows:
        interval = None if row["dimension"] else wilson(row["went_on"], row["came"])
        if interval and row["step"] in required:
            steps.append(Step(row["name"], previous(row["step"]), row["came"], row["went_on"], row["rate"], *interval))
    orders = order if order and _ends_in_an_order(tables, look, asked.steps[-1].event) else None
    end = steps[-1].went_on if steps else 0
    seen = (look.period.last - look.setting.so_far.first).days + 1
    change, compared = _trend(tables[f"funnel_{name}"], look, len(asked.steps))
    frictions = [
        _friction(name, row, rows, f"{asked.unit}s", previous(row["step"]), end, seen, orders)
        for row in rows
        if row["dimension"] and row["significant"] and row["difference"] < 0 and row["step"] in required
    ]
    return Funnel(
        name,
        f"{asked.unit}s",
        tuple(steps),
        tuple(sorted(frictions, key=lambda one: -one.lost)),
        change,
        compared,
    )


def _friction(  # noqa: PLR0913, PLR0917 - all of them are of one row
    funnel: str,
    row: Record,
    rows: Sequence[Record],
    units: str,
    previous: str,
    end: int,
    days: int,
    order: tuple[float, str] | None,
) -> Friction:
    others = [
        other
        for other in rows
        if other["dimension"] == row["dimension"] and other["step"] == row["step"] and other["value"] != row["value"]
    ]
    interval = difference_interval(
        sum(other["went_on"] for other in others), sum(other["came"] for other in others), row["went_on"], row["came"]
    )
    low = row["difference"] if interval.low is None else interval.low
    high = row["difference"] if interval.high is None else interval.high
    here = next(told["went_on"] for told in rows if not told["dimension"] and told["step"] == row["step"])
    a_month = row["came"] * (end / here if here else 0.0) / days * MONTH
    worth = [None if order is None else -gap * a_month * order[0] for gap in (row["difference"], high, low)]
    return Friction(
        funnel=funnel,
        dimension=row["dimension"],
        value=row["value"],
        name=row["name"],
        previous=previous,
        units=units,
        came=row["came"],
        rate=row["rate"],
        rate_of_others=row["rate_of_others"],
        gap=row["difference"],
        gap_low=low,
        gap_high=high,
        p_adjusted=row["p_adjusted"],
        lost=row["lost"],
        lost_a_month=-row["difference"] * a_month,
        worth=worth[0],
        worth_low=worth[1],
        worth_high=worth[2],
        worth_of="revenue" if order is None else order[1],
    )


def _ends_in_an_order(tables: Mapping[str, Table], look: Look, event: str | None) -> bool:
    if event is None or not {"fact_user_day_events", "fact_user_days"} <= tables.keys():
        return False
    ends = comparison.ordering(tables["fact_user_day_events"], tables["fact_user_days"], event, _ends(look.period))
    (row,) = look.collect(ends)
    return bool(row["did"]) and row["ordered"] / row["did"] >= _AN_ORDER


def _trend(funnel: Table, look: Look, last: int) -> tuple[Change | None, tuple[Range, Range] | None]:
    """Compare the shares that end a funnel, of entries whose windows have closed."""
    if look.before is None:
        return None, None
    rows = funnel.filter(funnel.interval == "day", funnel.dimension == "", funnel.step.isin([1, last]))
    days: dict[dt.date, dict[int, Record]] = {}
    for row in look.collect(rows.select("period", "step", "matured", "immature")):
        days.setdefault(row["period"], {})[row["step"]] = row
    if not days:
        return None, None
    open_days = [day for day, steps in days.items() if any(row["immature"] for row in steps.values())]
    until = min(open_days, default=look.period.last + dt.timedelta(days=1)) - dt.timedelta(days=1)
    width = dt.timedelta(days=look.period.days)
    now, before = (
        Range(until - width + dt.timedelta(days=1), until),
        Range(until - 2 * width + dt.timedelta(days=1), until - width),
    )
    if before.first < look.setting.so_far.first:
        return None, None

    def matured(period: Range, step: int) -> list[float]:
        found = (days.get(period.first + dt.timedelta(days=n), {}).get(step, {}) for n in range(period.days))
        return [float(row.get("matured") or 0) for row in found]

    change = of_daily_shares(matured(now, last), matured(now, 1), matured(before, last), matured(before, 1))
    return (change, (now, before)) if change.change is not None else (None, None)


def products(tables: Mapping[str, Table], look: Look) -> Products | None:
    """Say what is sold, and by whom it is bought."""
    if "product_performance" not in tables:
        return None
    sold = tables["product_performance"]
    sold = sold.filter(sold.units > 0)
    (counts,) = look.collect(sold.aggregate(sold=sold.count(), first=(sold["class"] == "A").sum().fill_null(0)))
    best = look.collect(sold.order_by("rank").limit(_BEST).select("product_id", "product", "net", "net_share"))
    spread: Record = {}
    if "revenue_concentration" in tables:
        spread = next(iter(look.collect(tables["revenue_concentration"])), {})
    return Products(
        sold=counts["sold"],
        first_class=counts["first"],
        customers=spread.get("customers"),
        top_decile_share=spread.get("top_decile_share"),
        best=tuple(
            Part(row["product"] or row["product_id"], float(row["net"] or 0), row["net_share"] or 0.0) for row in best
        ),
        categories=_categories(tables, look),
    )


def _categories(tables: Mapping[str, Table], look: Look) -> tuple[Part, ...]:
    if "revenue_daily" not in tables:
        return ()
    days = tables["revenue_daily"]
    rows = days.filter(days.dimension == "category")
    return _parts(look, rows.select("value", "day", "net"))


def places(tables: Mapping[str, Table], look: Look) -> tuple[Part, ...]:
    """Say what countries bring, where they are known."""
    if "sales_overview" not in tables or "dim_geography" not in tables:
        return ()
    lines = tables["sales_overview"]
    by = lines.group_by(value=lines.country.fill_null(_UNKNOWN), day=lines.order_day).aggregate(net=lines.net.sum())
    return _parts(look, by)


def _parts(look: Look, rows: Table) -> tuple[Part, ...]:
    """Sum what each value brings in the period, and compare it with the one before; of nothing known, nothing."""
    first = (look.before or look.period).first
    wanted = rows.filter(rows.day >= first, rows.day <= look.period.last)
    series: dict[str, dict[dt.date, Record]] = {}
    for row in look.collect(wanted.mutate(net=wanted.net.cast("float64"))):
        series.setdefault(row["value"], {})[row["day"]] = row
    sums = {name: math.fsum(_values(told, look.period, "net")) for name, told in series.items()}
    total = math.fsum(sums.values())
    if total <= 0 or sums.keys() <= {_UNKNOWN}:
        return ()
    largest = sorted(sums, key=lambda name: (-sums[name], name))[:_MOST]
    return tuple(
        Part(
            name,
            sums[name],
            sums[name] / total,
            None
            if look.before is None
            else of_days(_values(series[name], look.period, "net"), _values(series[name], look.before, "net")),
        )
        for name in largest
    )


def returned(tables: Mapping[str, Table], look: Look) -> tuple[Returned, ...]:
    """Find products that come back more often than the others, piece by piece, adjusted over all (Holm)."""
    if not {"product_performance", "fact_returns"} <= tables.keys():
        return ()
    sold = tables["product_performance"]
    wanted = sold.filter(sold.units > 0).select("product_id", "product", "units", "returned", "refund", "net")
    rows = look.collect(wanted.order_by("product_id"))
    net = float(sum(row["net"] or 0 for row in rows))
    units, back = sum(row["units"] for row in rows), sum(_back(row) for row in rows)
    judged = [row for row in rows if row["units"] >= _MANY_PIECES and row["units"] < units]
    compared = [two_proportions(_back(row), row["units"], back - _back(row), units - row["units"]) for row in judged]
    adjusted = adjust([None if test is None else test.p_value for test in compared])
    months = ((look.period.last - look.setting.so_far.first).days + 1) / MONTH
    found = []
    for row, test, p_value in zip(judged, compared, adjusted, strict=True):
        if test is None or p_value is None or p_value >= 0.05 or test.difference <= 0:
            continue
        interval = difference_interval(back - _back(row), units - row["units"], _back(row), row["units"])
        each = float(row["refund"] or 0) / _back(row)
        found.append(
            Returned(
                product=row["product"] or row["product_id"],
                units=row["units"],
                rate=_back(row) / row["units"],
                rate_of_others=(back - _back(row)) / (units - row["units"]),
                gap=test.difference,
                gap_low=interval.low if interval.low is not None else test.difference,
                gap_high=interval.high if interval.high is not None else test.difference,
                p_adjusted=p_value,
                worth=test.difference * row["units"] * each / months,
                of_net=test.difference * row["units"] * each / net if net > 0 else None,
            )
        )
    return tuple(sorted(found, key=lambda one: -(one.worth or 0.0)))


def _back(row: Record) -> int:
    return min(int(row["returned"] or 0), int(row["units"]))


def _ends(period: Range) -> tuple[dt.date, dt.date]:
    return period.first, period.last
