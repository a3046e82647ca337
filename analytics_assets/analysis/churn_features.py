"""Churn: what is known of a customer at the end of a day, and whether an order came after it.

Belongs here: features, labels, and the days on which they are taken. A feature is computed from a `Known` alone, and a
`Known` is made by `known_at` alone, which drops every row of a later day: this is the one place where the future is
kept out. Does not belong here: models, which take numbers (`statistics.churn`), and the words for features
(`contracts.churn_model`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import ibis

from analytics_assets.contracts.churn_model import FEATURES

if TYPE_CHECKING:
    from ibis.expr.types import IntegerValue, Table, Value

_WINDOWS = (7, 30, 90)
_STEPS = {"view_product": "product_views_30", "add_to_cart": "carts_30", "begin_checkout": "checkouts_30"}


@dataclass(frozen=True)
class Cuts:
    """Hold the days on which customers are looked at; what is known of them ends with each.

    Attributes:
        today: The last day.
        test: The last day after which it can be seen who churned: the days until today are over.
        training: Earlier days whose labels are over by the day of the test, the latest first.
        final: Those whose labels are over by today, the latest first: a model of today is trained on them.
    """

    today: dt.date
    test: dt.date
    training: tuple[dt.date, ...]
    final: tuple[dt.date, ...]

    @property
    def all(self) -> tuple[dt.date, ...]:
        """Every day, in order."""
        return tuple(sorted({self.today, self.test, *self.training, *self.final}))


def cuts(first: dt.date, last: dt.date, days: int, most: int = 3) -> Cuts | None:
    """Choose the days on which customers are looked at; None where there is no time for two windows of churn.

    Cuts for training are half a window apart: their labels overlap each other, but not what the test's features are
    made of, nor the test's own labels.

    Args:
        first: The first day of the data.
        last: The last.
        days: How many days without an order are churn.
        most: How many cuts to train on.

    >>> found = cuts(dt.date(2025, 1, 1), dt.date(2025, 12, 31), 60)
    >>> str(found.test), [str(day) for day in found.training]
    ('2025-11-01', ['2025-09-02', '2025-08-03', '2025-07-04'])
    """
    window, step = dt.timedelta(days=days), dt.timedelta(days=max(1, days // 2))

    def before(day: dt.date) -> tuple[dt.date, ...]:
        return tuple(cut for place in range(most) if (cut := day - window - place * step) >= first)

    test = last - window
    training = before(test)
    return Cuts(last, test, training, before(last)) if training else None


@dataclass(frozen=True)
class Sources:
    """Hold the tables that features are made of; only orders must be there.

    Attributes:
        orders: Orders that count: columns order_id, user_id, day, ordered_at, gross, discount, net.
        returns: Returned lines: order_id, user_id, day, refund, status, excluded_as.
        sessions: Sessions: user_id, day, started_at, excluded_as.
        events: Events by day: user_id, day, event_type, events.
        users: What is known of a user whatever the day: user_id, signed_up_on, geography_id, segment, device, channel.
        places: geography_id, country.
    """

    orders: Table
    returns: Table | None = None
    sessions: Table | None = None
    events: Table | None = None
    users: Table | None = None
    places: Table | None = None


@dataclass(frozen=True)
class Known(Sources):
    """Hold what had happened by the end of each of some days: `known_at` makes it.

    Every table with days has a column `cut` more, and a row once for each cut at which it was known.
    """


def known_at(sources: Sources, *cuts: dt.date) -> Known:
    """Drop, for each cut, every row of a later day, and what counts in no metric.

    Users and places have no days: of them only what does not change with time may be used, and the day of the
    sign-up, which is compared with the cut.
    """
    days = ibis.memtable([{"cut": cut} for cut in sorted(set(cuts))], schema={"cut": "date"})
    orders = _until(sources.orders, days)
    return Known(
        orders=orders.filter(orders.user_id.notnull()),
        returns=_counting(_until(sources.returns, days)) if sources.returns is not None else None,
        sessions=_counting(_until(sources.sessions, days)) if sources.sessions is not None else None,
        events=_until(sources.events, days) if sources.events is not None else None,
        users=sources.users,
        places=sources.places,
    )


def _until(rows: Table, cuts: Table) -> Table:
    """Keep what is known at each cut: this one condition is what a feature cannot get round."""
    each = rows.cross_join(cuts)
    return each.filter(each.day <= each.cut)


def _counting(rows: Table) -> Table:
    return rows.filter(rows.excluded_as.isnull())


def features(known: Known) -> Table:
    """Tell what is known of every customer: cut, user_id and a column a feature, null where no table tells it.

    One row a cut and user with an order on or before it. Amounts are floating-point here: a model keeps no accounts.

    >>> day, noon = dt.date(2024, 3, 1), dt.datetime(2024, 3, 1, 12)
    >>> order = {"order_id": "o", "user_id": "ann", "day": day, "ordered_at": noon, "gross": 9, "discount": 1, "net": 8}
    >>> told = features(known_at(Sources(ibis.memtable([order])), dt.date(2024, 3, 11)))
    >>> told.select("user_id", "days_since_order", "orders", "net").execute().values.tolist()
    [['ann', 10, 1, 8.0]]
    """
    told = _orders(known)
    for part in (_returns(known), _visits(known, told), _steps(known)):
        if part is not None:
            told = told.left_join(part, ["cut", "user_id"]).drop("cut_right", "user_id_right")
    told = _related(_placed(told, known), known)
    told = told.mutate(**{f.name: ibis.null(f.type) for f in FEATURES if f.name not in told.columns})
    return told.select("cut", "user_id", **{f.name: told[f.name].cast(f.type) for f in FEATURES})


def labels(orders: Table, cuts: Sequence[dt.date], days: int, last: dt.date) -> Table:
    """Say of every customer at each cut whether no order came in the next days: cut, user_id, churned.

    This looks ahead, as a label must, but not beyond the last day: a cut whose days are not over by then has no
    labels.

    >>> orders = ibis.memtable([{"user_id": "ann", "day": dt.date(2024, 3, day)} for day in (1, 11)])
    >>> first = [dt.date(2024, 3, 1)]
    >>> [labels(orders, first, n, dt.date(2024, 3, 11)).churned.execute().to_list() for n in (9, 10, 11)]
    [[True], [False], []]
    """
    over = [{"cut": cut} for cut in sorted(set(cuts)) if cut + dt.timedelta(days=days) <= last]
    each = orders.cross_join(ibis.memtable(over, schema={"cut": "date"}))
    ahead = each.day.delta(each.cut, unit="day")
    ours = each.filter(each.user_id.notnull(), ahead <= days).mutate(after_=ahead > 0)
    by_user = ours.group_by(["cut", "user_id"]).aggregate(customer_=(~ours.after_).any(), came_=ours.after_.any())
    return by_user.filter(by_user.customer_).select("cut", "user_id", churned=~by_user.came_)


def feature_rows(sources: Sources, cuts: Sequence[dt.date], days: int, last: dt.date) -> Table:
    """Put features and labels together: cut, user_id, churned (null: not known by the last day), the features.

    Args:
        sources: The tables, of all days.
        cuts: The cuts.
        days: How many days without an order are churn.
        last: The last day whose orders are known.
    """
    told = features(known_at(sources, *cuts))
    later = labels(sources.orders, cuts, days, last)
    joined = told.left_join(later, ["cut", "user_id"])
    return joined.select("cut", "user_id", "churned", *(f.name for f in FEATURES))


def _age(rows: Table, day: Value) -> IntegerValue:
    """Count the days from a day to the cut."""
    return rows.cut.delta(day, unit="day").cast("int64")


def _orders(known: Known) -> Table:
    orders = known.orders
    recent = {f"orders_{days}": (_age(orders, orders.day) < days).sum().cast("int64") for days in (30, 90)}
    by_user = orders.group_by(["cut", "user_id"]).aggregate(
        orders=orders.count(),
        order_days=orders.day.nunique(),
        first_on_=orders.day.min(),
        last_on_=orders.day.max(),
        first_at_=orders.ordered_at.min(),
        last_at_=orders.ordered_at.max(),
        gross_=orders.gross.sum().cast("float64"),
        discount_=orders.discount.sum().cast("float64"),
        net=orders.net.sum().cast("float64"),
        **recent,
    )
    gap = by_user.last_on_.delta(by_user.first_on_, unit="day").cast("float64") / (by_user.order_days - 1).nullif(0)
    aged = by_user.mutate(
        days_since_order=_age(by_user, by_user.last_on_),
        days_since_first=_age(by_user, by_user.first_on_),
        mean_gap=gap,
    )
    return aged.mutate(
        silence=aged.days_since_order / aged.mean_gap,
        average_net=aged.net / aged.orders,
        discount_share=aged.discount_ / aged.gross_.nullif(0),
    )


def _returns(known: Known) -> Table | None:
    """Sum up returned lines; one that names no user is of who placed the order."""
    if known.returns is None:
        return None
    returns = known.returns.filter(known.returns.status != "refused")
    paid = returns.status.isin(["approved", "refunded"])
    returns = returns.mutate(paid_=paid.ifelse(returns.refund, ibis.literal(0).cast(returns.refund.type())))
    whose = known.orders.select("cut", "order_id", buyer_="user_id")
    joined = returns.left_join(whose, ["cut", "order_id"])
    told = joined.mutate(user_id=ibis.coalesce(joined.user_id, joined.buyer_)).filter(ibis._.user_id.notnull())
    return told.group_by(["cut", "user_id"]).aggregate(
        returned_lines=told.count(), refund_=told.paid_.sum().cast("float64")
    )


def _visits(known: Known, customers: Table) -> Table | None:
    if known.sessions is None:
        return None
    ours = known.sessions.select("cut", "user_id", "day", "started_at")
    sessions = ours.inner_join(customers.select("cut", "user_id", "first_at_", "last_at_"), ["cut", "user_id"])
    further = sessions.started_at > sessions.first_at_
    age = _age(sessions, sessions.day)
    by_user = sessions.group_by(["cut", "user_id"]).aggregate(
        visits=further.sum().cast("int64"),
        active_days=sessions.day.nunique(where=further),
        days_since_visit=age.min(),
        visits_since_order=(sessions.started_at > sessions.last_at_).sum().cast("int64"),
        **{f"visits_{days}": (age < days).sum().cast("int64") for days in _WINDOWS},
    )
    return by_user.mutate(last_visit_ordered=(by_user.visits_since_order == 0).cast("int64"))


def _steps(known: Known) -> Table | None:
    if known.events is None:
        return None
    recent = known.events.filter(_age(known.events, known.events.day) < 30, known.events.user_id.notnull())
    steps = {name: recent.events.sum(where=recent.event_type == event) for event, name in _STEPS.items()}
    return recent.group_by(["cut", "user_id"]).aggregate(events_30=recent.events.sum(), **steps)


def _placed(told: Table, known: Known) -> Table:
    """Add what is known of users whatever the day."""
    if known.users is None:
        return told
    users = known.users.select("user_id", "geography_id", "signed_up_on", "segment", "device", "channel")
    told = told.left_join(users, "user_id").drop("user_id_right")
    age = _age(told, told.signed_up_on)
    told = told.mutate(days_since_sign_up=(age >= 0).ifelse(age, ibis.null("int64")))
    if known.places is None:
        return told
    return told.left_join(known.places.select("geography_id", "country"), "geography_id")


def _related(told: Table, known: Known) -> Table:
    """Say 0 of what a customer without a row did not do, and relate visits to orders."""
    if known.returns is not None:
        lines, refund = told.returned_lines.fill_null(0), told.refund_.fill_null(0.0)
        told = told.mutate(returned_lines=lines, refund_share=refund / told.net.nullif(0))
    if known.sessions is not None:
        counts = ("visits", "active_days", "visits_since_order", *(f"visits_{days}" for days in _WINDOWS))
        told = told.mutate(**{name: told[name].fill_null(0) for name in counts})
        rate = told.visits.cast("float64") / (told.days_since_first + 1)
        told = told.mutate(
            visits_a_day=rate,
            visits_missed=rate * told.days_since_visit,
            orders_a_visit=(told.order_days - 1).cast("float64") / told.visits.nullif(0),
        )
    if known.events is not None:
        told = told.mutate(**{name: told[name].fill_null(0) for name in ("events_30", *_STEPS.values())})
    return told
