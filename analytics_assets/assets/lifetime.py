"""Lifetime value: what customers are expected to order and to bring, and how well that was expected before.

Belongs here: which days are fitted and which are held out, when a model is not even tried, and the tables. Does not
belong here: the models (`statistics.lifetime`), and how orders become (x, t_x, T) (`analysis.lifetime`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ibis
import numpy as np

from analytics_assets.analysis import lifetime as lives
from analytics_assets.assets.catalog import Setting, table
from analytics_assets.assets.records import made
from analytics_assets.contracts import lifetime as promised
from analytics_assets.lake.days import Days
from analytics_assets.statistics import lifetime as models
from analytics_assets.statistics.proportions import Z95

if TYPE_CHECKING:
    from ibis.expr.types import FloatingColumn, FloatingScalar, Table

FEWEST_CUSTOMERS = 100
"""Fewer customers are not fitted: their parameters would be noise."""
FEWEST_REPEATING = 20
"""The same of customers who ordered again."""
SHORTEST = 28
"""Days from the first order of all to the last day, with fewer of which nothing is fitted."""

_ALL, _CALIBRATION = "all", "calibration"
_BG_NBD, _GAMMA_GAMMA = "bg_nbd", "gamma_gamma"
_PARAMETERS = {_BG_NBD: ("r", "alpha", "a", "b"), _GAMMA_GAMMA: ("p", "q", "gamma")}
_MOST_REPEATS = 7
_WEEK = 7
_NO_NUMBER = ibis.null("float64")


def holdout(days: Days, horizon: int) -> tuple[dt.date, int]:
    """Return the last day before the holdout, and how many days are held out: the horizon, or half of all days.

    >>> holdout(Days(dt.date(2024, 1, 1), dt.date(2024, 1, 31)), 90)
    (datetime.date(2024, 1, 16), 15)
    """
    held = min(horizon, len(days) // 2)
    return days.last - dt.timedelta(days=held), held


def _column(rows: Sequence[dict[str, Any]], name: str) -> np.ndarray:
    return np.array([row[name] for row in rows], dtype=np.float64)


# --- the models -------------------------------------------------------------------------------------------------------


@table(promised.CLV_MODEL)
def clv_model(setting: Setting, order_value: Table) -> Table:
    """Fit BG/NBD and Gamma-Gamma to all days, and to those before the holdout."""
    cut, _ = holdout(setting.so_far, setting.project.customers.horizon_days)
    records = []
    for name, until in ((_ALL, setting.so_far.last), (_CALIBRATION, cut)):
        people = lives.customer_lives(order_value, until)
        told = {"fitted_on": name, "until": until}
        records += [record | told for record in _fitted(setting, people)]
    return made(promised.CLV_MODEL, records)


def _fitted(setting: Setting, people: Table) -> list[dict[str, Any]]:
    """Tell of both models, a record a parameter."""
    alike = setting.collect(lives.alike_lives(people))
    counted = {
        "customers": sum(row["customers"] for row in alike),
        "repeat_customers": sum(row["customers"] for row in alike if row["x"]),
        "left_out": 0,
    }
    longest = max((row["age"] for row in alike), default=0)
    if why := _why_not(counted["customers"], counted["repeat_customers"], longest):
        return [told for name in _PARAMETERS for told in _parameters(name, why, counted)]
    x, t_x, age, number = (_column(alike, name) for name in ("x", "t_x", "age", "customers"))
    orders = models.fit_bg_nbd(x, t_x, age, number)
    values = setting.collect(lives.alike_values(people))
    x, mean, number = (_column(values, name) for name in ("x", "mean_value", "customers"))
    value = models.fit_gamma_gamma(x, mean, number)
    related = models.spend_and_frequency(x, mean, number)
    of_values = counted | {"left_out": value.left_out}
    if related is not None:
        ends = {"correlation_low": related.low, "correlation_high": related.high}
        of_values |= {"correlation": related.correlation} | ends
    state, estimates = value.state, value.estimates
    if value.model and value.repeat_customers - value.left_out < FEWEST_REPEATING:
        return [
            *_parameters(_BG_NBD, orders.state, counted, orders.estimates, orders.log_likelihood),
            *_parameters(_GAMMA_GAMMA, "too few repeat buyers", of_values),
        ]
    return [
        *_parameters(_BG_NBD, orders.state, counted, orders.estimates, orders.log_likelihood),
        *_parameters(_GAMMA_GAMMA, state, of_values, estimates, value.log_likelihood),
    ]


def _why_not(customers: int, repeating: int, longest: int) -> str:
    """Say why a model is not even tried, or nothing."""
    if not customers:
        return "no customers"
    if longest < SHORTEST:
        return "too short a history"
    if customers < FEWEST_CUSTOMERS:
        return "too few customers"
    if not repeating:
        return "no repeat buyers"
    return "too few repeat buyers" if repeating < FEWEST_REPEATING else ""


def _parameters(
    model: str,
    state: str,
    counted: dict[str, Any],
    estimates: Sequence[models.Estimate] = (),
    log_likelihood: float | None = None,
) -> list[dict[str, Any]]:
    known = {estimate.name: estimate for estimate in estimates}
    records = []
    for name in _PARAMETERS[model]:
        blank = dict.fromkeys(column.name for column in promised.CLV_MODEL.columns)
        told = {"model": model, "parameter": name, "state": state, "log_likelihood": log_likelihood}
        records.append(blank | counted | told | (_estimate(known[name]) if name in known else {}))
    return records


def _estimate(estimate: models.Estimate) -> dict[str, Any]:
    told: dict[str, Any] = {"estimate": estimate.value, "standard_error": estimate.standard_error}
    for level, z in ((95, Z95), (99, models.Z99)):
        if (ends := estimate.interval(z)) is not None:
            told |= {f"low_{level}": ends[0], f"high_{level}": ends[1]}
    return told


@dataclass(frozen=True)
class _Fitted:
    """Hold the two models that were fitted on some days, as `clv_model` tells of them."""

    orders: models.BetaGeometric | None
    value: models.GammaGamma | None
    orders_state: str
    value_state: str
    independence: str


def _models(setting: Setting, clv_model: Table, fitted_on: str) -> _Fitted:
    rows = setting.collect(clv_model.filter(clv_model.fitted_on == fitted_on))
    of = {name: {row["parameter"]: row for row in rows if row["model"] == name} for name in _PARAMETERS}
    known = {name: {p: row["estimate"] for p, row in told.items()} for name, told in of.items()}
    there = {name: bool(told) and None not in told.values() for name, told in known.items()}
    states = {name: next((row["state"] for row in told.values()), "no customers") for name, told in of.items()}
    return _Fitted(
        models.BetaGeometric(**known[_BG_NBD]) if there[_BG_NBD] else None,
        models.GammaGamma(**known[_GAMMA_GAMMA]) if there[_GAMMA_GAMMA] else None,
        states[_BG_NBD],
        states[_GAMMA_GAMMA],
        _independence(next(iter(of[_GAMMA_GAMMA].values()), {})),
    )


def _independence(row: dict[str, Any]) -> str:
    """Judge the correlation of spend and frequency."""
    found = row.get("correlation")
    if found is None:
        return "unknown"
    beyond = abs(found) > promised.SPEND_CORRELATION
    return "refuted" if beyond and row["correlation_low"] * row["correlation_high"] > 0 else "not refuted"


@table(promised.CLV_FIT)
def clv_fit(setting: Setting, clv_model: Table, clv_calibration: Table) -> Table:
    """Say of each fit whether to trust it: its state, its likelihood, and how far it missed the holdout."""
    rows = setting.collect(clv_model.order_by("fitted_on", "model", "parameter"))
    fits = {(row["fitted_on"], row["model"]): row for row in rows}
    sums = clv_calibration.aggregate(
        holdout_days=clv_calibration.holdout_days.max(),
        holdout_orders=clv_calibration.orders.sum().cast("int64"),
        holdout_expected=_exact_sum(clv_calibration.expected_orders),
    )
    (held,) = setting.collect(sums)
    actual, expected = held["holdout_orders"], held["holdout_expected"]
    missed = {**held, "holdout_error": expected / actual - 1 if actual and expected is not None else None}
    records = []
    for (fitted_on, model), row in fits.items():
        record = {column.name: row.get(column.name) for column in promised.CLV_FIT.columns}
        if model == _GAMMA_GAMMA:
            record["spend_independence"] = _independence(row)
        elif fitted_on == _CALIBRATION:
            record |= missed
        records.append(record)
    return made(promised.CLV_FIT, records)


# --- what is expected -------------------------------------------------------------------------------------------------


def _exact_sum(numbers: FloatingColumn) -> FloatingScalar:
    """Sum up in decimals, so that the order of rows does not change the last digits."""
    return numbers.cast("decimal(38, 9)").sum().cast("float64")


def _with_expectations(setting: Setting, people: Table, fitted: _Fitted, horizon: int) -> Table:
    """Add p_alive, expected_orders, expected_order_value, expected_value, and value_state.

    Customers with the same (x, t_x, T) are computed once.
    """
    if fitted.orders is None:
        told = people.mutate(p_alive=_NO_NUMBER, expected_orders=_NO_NUMBER)
    else:
        alike = setting.collect(lives.alike_lives(people))
        x, t_x, age = (_column(alike, name) for name in ("x", "t_x", "age"))
        known = ibis.memtable(
            {
                **{name: values.astype(np.int64) for name, values in (("x", x), ("t_x", t_x), ("age", age))},
                "p_alive": models.alive_probability(fitted.orders, x, t_x, age),
                "expected_orders": models.expected_orders(fitted.orders, x, t_x, age, horizon),
            }
        )
        told = people.inner_join(known, ["x", "t_x", "age"])
    if fitted.value is None:
        told = told.mutate(expected_order_value=_NO_NUMBER, value_state=ibis.literal(fitted.value_state))
    else:
        told = lives.with_expected_value(told, **vars(fitted.value))
    return told.mutate(expected_value=told.expected_orders * told.expected_order_value)


@table(promised.CLV_CUSTOMERS)
def clv_customers(setting: Setting, order_value: Table, clv_model: Table) -> Table:
    """Say of each customer how probably they are still there, and what to expect of them within the horizon."""
    horizon = setting.project.customers.horizon_days
    fitted = _models(setting, clv_model, _ALL)
    people = lives.customer_lives(order_value, setting.so_far.last)
    return _with_expectations(setting, people, fitted, horizon).mutate(
        horizon_days=ibis.literal(horizon, "int64"),
        orders_state=ibis.literal(fitted.orders_state),
        spend_independence=ibis.literal(fitted.independence),
    )


@table(promised.CLV_CALIBRATION)
def clv_calibration(setting: Setting, order_value: Table, clv_model: Table) -> Table:
    """Compare what was expected of the holdout with what came, by the orders that customers had before it."""
    cut, held = holdout(setting.so_far, setting.project.customers.horizon_days)
    if not held:
        return made(promised.CLV_CALIBRATION, [])
    people = lives.later_orders(lives.customer_lives(order_value, cut), order_value, cut, setting.so_far.last)
    told = _with_expectations(setting, people, _models(setting, clv_model, _CALIBRATION), held)
    told = told.mutate(repeat_orders=ibis.least(told.x, _MOST_REPEATS))
    return told.group_by("repeat_orders").aggregate(
        customers=told.count(),
        calibrated_until=ibis.literal(cut),
        holdout_days=ibis.literal(held, "int64"),
        orders=told.later_orders.sum().cast("int64"),
        expected_orders=_exact_sum(told.expected_orders),
        value=told.later_value.sum(),
        expected_value=_exact_sum(told.expected_value),
        customers_valued=told.expected_value.count(),
    )


@table(promised.CLV_TRACKING)
def clv_tracking(setting: Setting, order_value: Table, clv_model: Table) -> Table:
    """Follow the repeat orders of the calibration's customers by week, beside what the model expects of as many."""
    days = setting.so_far
    cut, _ = holdout(days, setting.project.customers.horizon_days)
    rows = setting.collect(lives.arrivals_and_repeats(order_value, cut, days.last))
    rows = [row for row in rows if row["day"] in days]
    if not rows:
        return made(promised.CLV_TRACKING, [])
    came, again = np.zeros(len(days), dtype=np.int64), np.zeros(len(days), dtype=np.int64)
    for row in rows:
        number = (row["day"] - days.first).days
        came[number], again[number] = row["arrivals"], row["repeats"]
    model = _models(setting, clv_model, _CALIBRATION).orders
    expected = None if model is None else np.convolve(came, models.expected_count(model, np.arange(len(days))))
    customers, repeats = came.cumsum().tolist(), again.cumsum().tolist()
    records = []
    for last in range(_WEEK - 1, len(days), _WEEK):
        until = days.first + dt.timedelta(days=last)
        records.append(
            {
                "week": last // _WEEK + 1,
                "until": until,
                "in_calibration": until <= cut,
                "customers": customers[last],
                "orders": repeats[last],
                "expected_orders": None if expected is None else float(expected[last]),
            }
        )
    return made(promised.CLV_TRACKING, records)
