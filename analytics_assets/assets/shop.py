"""The answers of the synthetic shop, and whether they are found in the tables that are made of its deliveries.

Belongs here: the truth and the ledger as tables, and the first things that are looked for. Does not belong here: how
the truth is known (`sources.shop`).
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING

import ibis

from analytics_assets.analysis.intervals import wilson
from analytics_assets.analysis.periods import ratio
from analytics_assets.analysis.tables import together
from analytics_assets.assets.catalog import Setting, table
from analytics_assets.assets.records import made
from analytics_assets.assets.staging import kept
from analytics_assets.contracts import shop as promised
from analytics_assets.contracts.model import UNKNOWN_MEMBER
from analytics_assets.project.shop import DEVICES, LONGEST_RETURN, Shop

if TYPE_CHECKING:
    from ibis.expr.types import BooleanValue, Table

_Z = 3.290527
"""The normal deviate of 99.9 %."""
_DIGITS = 9
"""Floating-point sums depend on their order beyond these."""


@table(promised.SHOP_TRUTH)
def shop_truth(setting: Setting, shop: Shop) -> Table:  # noqa: ARG001 - says that the table needs a shop
    """Tell what was planted, and what follows from it exactly over the days delivered so far."""
    from analytics_assets.sources.shop.truth import truths

    told = truths(setting.project, setting.so_far)
    return made(promised.SHOP_TRUTH, [asdict(truth) for truth in told])


@table(promised.SHOP_LEDGER)
def shop_ledger(setting: Setting, shop: Shop) -> Table:  # noqa: ARG001 - says that the table needs a shop
    """List the dirt in every delivery, and where the platform should find it."""
    from analytics_assets.sources.shop.truth import ledger

    counted: Counter[tuple[object, ...]] = Counter()
    for day, planted in ledger(setting.project, setting.days):
        counted[(day, planted.table, planted.dirt, planted.found_in, planted.found_as)] += planted.rows
    names = [column.name for column in promised.SHOP_LEDGER.columns]
    records = [dict(zip(names, (*key, rows), strict=True)) for key, rows in counted.items()]
    return made(promised.SHOP_LEDGER, records)


@table(promised.SHOP_FINDINGS)
def shop_findings(
    shop: Shop,
    setting: Setting,
    shop_truth: Table,
    fact_events: Table,
    fact_sales: Table,
    fact_returns: Table,
    dim_users: Table,
) -> Table:
    """Look for what was planted: step rates before any experiment changes them, orders, spending."""
    undisturbed = setting.project.first_day + dt.timedelta(days=_undisturbed(shop))
    matured = setting.so_far.last - dt.timedelta(days=LONGEST_RETURN)
    shares = [
        *_step_shares(fact_events.filter(fact_events.day < undisturbed)),
        *_order_shares(fact_sales, fact_returns, matured),
    ]
    users = dim_users.filter(dim_users.user_id != UNKNOWN_MEMBER)
    counts = {
        "happened.users": users.aggregate(found=users.count()),
        "happened.orders": fact_sales.aggregate(found=fact_sales.order_id.nunique()),
        "happened.customers": fact_sales.aggregate(found=fact_sales.user_id.nunique()),
        "happened.net": fact_sales.aggregate(found=fact_sales.net.sum()),
    }
    counted = [_counted(rows.mutate(name=ibis.literal(name))) for name, rows in counts.items()]
    found = _union([*map(_with_interval, shares), _first_orders(fact_sales), *counted])
    truth = shop_truth.select("name", planted="value").filter(ibis._.planted.notnull())
    return _judged(found.inner_join(truth, "name"))


@table(promised.SHOP_DIRT)
def shop_dirt(  # noqa: PLR0913, PLR0917 - what is looked at
    shop_ledger: Table,
    staged_events: Table,
    staged_users: Table,
    staged_order_lines: Table,
    staged_returns: Table,
    staged_experiment_assignments: Table,
    fact_events: Table,
    fact_sales: Table,
    dim_products: Table,
) -> Table:
    """Count what was refused, flagged or warned of, beside what the ledger says was planted."""
    staged = {
        "staged_events": staged_events,
        "staged_users": staged_users,
        "staged_order_lines": staged_order_lines,
        "staged_returns": staged_returns,
        "staged_experiment_assignments": staged_experiment_assignments,
    }
    parts = [_refused(name, rows) for name, rows in staged.items()]
    events, profiles = kept(staged_events), kept(staged_users)
    late = "kept, and delivered after its day"
    parts.append(_n("staged_events", late, events.filter(events.delivery_day > events.day)))
    parts += [
        _n("staged_users", f"kept, without {name}", profiles.filter(profiles[name].isnull()))
        for name in ("age", "gender", "city")
    ]
    parts.append(_n("fact_events", "excluded_as bot", fact_events.filter(fact_events.excluded_as == "bot")))
    for name, rows in {"fact_events": fact_events, "fact_sales": fact_sales}.items():
        strange = rows.filter(rows.product_id.notnull()).anti_join(dim_products, "product_id")
        parts.append(_n(name, "product_id is in dim_products", strange))
    alike = dim_products.product_id.nunique() - dim_products.product_id.strip().lower().nunique()
    told = {"found_in": "dim_products", "found_as": "no two product_id differ only in case or spaces"}
    parts.append(dim_products.aggregate(n=alike).select(**{k: ibis.literal(v) for k, v in told.items()}, n="n"))
    found = together(parts).filter(ibis._.n > 0)
    by = ["found_in", "found_as"]
    both = shop_ledger.group_by(by).aggregate(planted=shop_ledger.rows.sum()).outer_join(found, by)
    both = both.select(
        **{name: ibis.coalesce(both[name], both[f"{name}_right"]) for name in by},
        planted=both.planted.fill_null(0),
        found=both.n.fill_null(0),
    )
    return both.mutate(verdict=(both.planted == both.found).ifelse("agrees", "differs"))


def _union(parts: list[Table]) -> Table:
    columns = ("name", "found", "low", "high", "seen")
    return together(part.select(*columns) for part in parts)


def _counted(count: Table) -> Table:
    """Give a count, or a sum of cents, as it is: it has no interval."""
    found = count.found.cast("float64")
    return count.mutate(found=found, low=found, high=found, seen=found.cast("int64"))


def _undisturbed(shop: Shop) -> int:
    """Return the number of the first day on which an experiment changes anything."""
    begins = [shop.span(told).start for told in shop.experiments.values() if told.effects]
    return min(begins, default=shop.days)


def _share(rows: Table, name: str, hit: BooleanValue, among: BooleanValue) -> Table:
    hits = (hit & among).sum().cast("int64").fill_null(0)
    return rows.aggregate(name=ibis.literal(name), hits=hits, seen=among.sum().cast("int64").fill_null(0))


def _step_shares(events: Table) -> list[Table]:
    """Count sessions of signed-up users by the steps that they reach."""
    ours = events.filter(events.excluded_as.isnull(), ~events.is_anonymous, ~events.is_mapped)
    did = {step: (ours.event_type == step).any() for step in ("view_product", "add_to_cart", "begin_checkout")}
    sessions = ours.group_by(["day", "session_id"]).aggregate(
        device=ours.device.max(), purchase=(ours.event_type == "purchase").any(), **did
    )
    every = sessions.session_id.notnull()
    return [
        _share(sessions, "funnel.view_product", sessions.view_product, every),
        _share(sessions, "funnel.add_to_cart", sessions.add_to_cart, sessions.view_product),
        _share(sessions, "funnel.begin_checkout", sessions.begin_checkout, sessions.add_to_cart),
        *(
            _share(
                sessions,
                f"funnel.purchase.{device}",
                sessions.purchase,
                sessions.begin_checkout & (sessions.device == device),
            )
            for device in DEVICES
        ),
    ]


def _order_shares(sales: Table, returns: Table, matured: dt.date) -> list[Table]:
    """Count orders by status, and lines that come back; lines of the last days may still do."""
    orders = sales.group_by("order_id").aggregate(status=sales.status.max())
    back = returns.select("order_id", "line", back=ibis.literal(True)).distinct()  # noqa: FBT003
    lines = sales.filter(sales.status == "completed", sales.day <= matured).left_join(back, ["order_id", "line"])
    every = orders.order_id.notnull()
    return [
        _share(orders, "orders.cancelled", orders.status == "cancelled", every),
        _share(orders, "orders.pending", orders.status == "pending", every),
        _share(lines, "orders.returned", lines.back.notnull(), lines.net.notnull()),
    ]


def _with_interval(share: Table) -> Table:
    """Add Wilson's interval (1927) to a share."""
    low, high = wilson(share.hits, share.seen, _Z)
    return share.mutate(found=ratio(share.hits, share.seen), low=low, high=high)


def _first_orders(sales: Table) -> Table:
    """Average what customers' first orders come to: each customer counts once."""
    orders = sales.group_by(["user_id", "order_id", "ordered_at"]).aggregate(net=sales.net.sum())
    place = ibis.row_number().over(ibis.window(group_by="user_id", order_by=["ordered_at", "order_id"]))
    first = orders.mutate(place=place).filter(ibis._.place == 0).mutate(net=ibis._.net.cast("float64"))
    told = first.aggregate(
        name=ibis.literal("spend.mean"), found=first.net.mean(), seen=first.count(), spread=first.net.std()
    )
    width = _Z * told.spread / told.seen.cast("float64").sqrt()
    return told.mutate(low=told.found - width, high=told.found + width)


def _refused(name: str, rows: Table) -> Table:
    """Count rejected rows by main reason."""
    bad = rows.filter(rows.rejected.length() > 0)
    return bad.group_by(found_in=ibis.literal(name), found_as=bad.rejected[0]).aggregate(n=bad.count())


def _n(found_in: str, found_as: str, rows: Table) -> Table:
    told = rows.aggregate(n=rows.count())
    return told.select(found_in=ibis.literal(found_in), found_as=ibis.literal(found_as), n="n")


def _judged(found: Table) -> Table:
    """Say whether what is true lies inside the interval around what was found."""
    rounded = found.mutate(**{name: found[name].round(_DIGITS) for name in ("found", "low", "high")})
    inside = rounded.planted.round(_DIGITS).between(rounded.low, rounded.high)
    verdict = ibis.cases(
        (rounded.found.isnull() | rounded.low.isnull(), "nothing seen"), (inside, "agrees"), else_="differs"
    )
    return rounded.mutate(verdict=verdict)
