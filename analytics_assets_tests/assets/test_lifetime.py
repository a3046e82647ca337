from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import ibis
import numpy as np
import pytest

from analytics_assets.assets.catalog import Setting, declaration
from analytics_assets.assets.lifetime import (
    _exact_sum,
    clv_calibration,
    clv_customers,
    clv_fit,
    clv_model,
    clv_tracking,
    holdout,
)
from analytics_assets.contracts.audit import audit_expression, read_audit
from analytics_assets.contracts.lifetime import CLV_CALIBRATION, CLV_MODEL
from analytics_assets.contracts.sales import ORDER_VALUE
from analytics_assets.lake.days import Days
from analytics_assets.lake.tables import conform
from analytics_assets.statistics.lifetime import (
    BetaGeometric,
    GammaGamma,
    alive_probability,
    count_probability,
    expected_count,
    expected_orders,
    expected_value,
    fit_bg_nbd,
    fit_gamma_gamma,
)
from analytics_assets_tests.answers import Row
from analytics_assets_tests.making import project, table

TABLES = [declaration(one) for one in (clv_model, clv_customers, clv_calibration, clv_tracking, clv_fit)]
FIRST = dt.date(2024, 1, 1)
YEAR = Days(FIRST, FIRST + dt.timedelta(days=279))
Order = tuple[str, int, float]


@dataclass
class Told:
    """The tables of lifetime value, and the warnings of their contracts."""

    tables: dict[str, list[Row]]
    warnings: dict[str, set[str]]

    def __getitem__(self, name: str) -> list[Row]:
        return self.tables[name]

    def fit(self, fitted_on: str, model: str) -> Row:
        (row,) = (r for r in self["clv_fit"] if (r["fitted_on"], r["model"]) == (fitted_on, model))
        return row

    def parameters(self, fitted_on: str, model: str) -> dict[str, float]:
        rows = (r for r in self["clv_model"] if (r["fitted_on"], r["model"]) == (fitted_on, model))
        return {row["parameter"]: row["estimate"] for row in rows}

    @property
    def states(self) -> list[str]:
        return [self.fit(on, model)["state"] for on in ("all", "calibration") for model in ("bg_nbd", "gamma_gamma")]


def told(engine: Any, orders: Iterable[Order], days: Days = YEAR, horizon: int = 90) -> Told:
    """Compute the tables; what a contract calls an error must not be there."""
    within = project(first_day=days.first, customers={"horizon_days": horizon})
    setting = Setting(within, days, days, engine.rows)
    rows = [
        {"order_id": f"o{number}", "user_id": user, "day": days.first + dt.timedelta(days=when), "net": net}
        for number, (user, when, net) in enumerate(orders)
    ]
    tables = {"order_value": table({c.name: c.type for c in ORDER_VALUE.columns}, *rows)}
    found, warnings = {}, {}
    for asset in TABLES:
        contract = asset.contract
        found[asset.name] = engine.rows(conform(asset.compute(tables, setting), contract).order_by(contract.key))
        tables[asset.name] = table(contract, *found[asset.name])
        audit = read_audit(engine.rows(audit_expression(tables[asset.name], contract, {})), contract, {})
        broken = [finding for finding in audit.findings if not finding.holds]
        assert not [str(finding) for finding in broken if finding.severity == "error"]
        warnings[asset.name] = {finding.rule for finding in broken}
    return Told(found, warnings)


def process(customers: int = 600, seed: int = 3, days: Days = YEAR) -> list[Order]:
    """Draw orders of customers who come in the first two thirds of the days, order by order."""
    rng = np.random.default_rng(seed)
    orders = []
    for number in range(customers):
        rate, drop, scale = rng.gamma(0.8, 1 / 30), rng.beta(1, 4), 30 / rng.gamma(4)
        now = rng.uniform(0, len(days) * 2 / 3)
        while now < len(days):
            orders.append((f"u{number}", int(now), round(float(scale * rng.gamma(6)) + 0.01, 2)))
            if orders[-1][0] == (orders[-2][0] if len(orders) > 1 else None) and rng.random() < drop:
                break
            now += rng.exponential(1 / max(rate, 1e-9))
    return orders


@pytest.fixture(scope="module")
def lived(engine) -> Told:
    return told(engine, process())


def lives_of(orders: list[Order], last: int) -> dict[str, tuple[int, int, int, float]]:
    """Read off (x, t_x, T, mean) by hand."""
    days: dict[str, dict[int, Decimal]] = {}
    for user, when, net in orders:
        if when <= last:
            spent = days.setdefault(user, {})
            spent[when] = spent.get(when, Decimal(0)) + Decimal(str(net))
    found = {}
    for user, spent in days.items():
        first, *again = sorted(spent)
        mean = float(sum(spent[one] for one in again)) / len(again) if again else 0.0
        found[user] = (len(again), max(spent) - first, last - first, mean)
    return found


def test_the_models_are_those_of_the_customers_lives(lived):
    for fitted_on, last in (("all", 279), ("calibration", 189)):
        x, t_x, age, mean = (np.array(each) for each in zip(*lives_of(process(), last).values(), strict=True))
        orders, value = fit_bg_nbd(x, t_x, age), fit_gamma_gamma(x[x > 0], mean[x > 0])
        assert lived.parameters(fitted_on, "bg_nbd") == pytest.approx(vars(orders.model), rel=1e-6)
        assert lived.parameters(fitted_on, "gamma_gamma") == pytest.approx(vars(value.model), rel=1e-6)
        fit = lived.fit(fitted_on, "bg_nbd")
        assert fit["log_likelihood"] == pytest.approx(orders.log_likelihood)
        assert (fit["customers"], fit["repeat_customers"]) == (len(x), (x > 0).sum())
        assert fit["until"] == FIRST + dt.timedelta(days=last)
        assert lived.fit(fitted_on, "gamma_gamma")["log_likelihood"] == pytest.approx(value.log_likelihood)


def test_intervals_lie_around_estimates_and_wider_ones_around_those(lived):
    assert lived.states == ["fitted"] * 4
    assert len(lived["clv_model"]) == 2 * 7
    for row in lived["clv_model"]:
        ends = [row[name] for name in ("low_99", "low_95", "estimate", "high_95", "high_99")]
        assert ends == sorted(ends)
        assert ends[0] > 0
        assert row["standard_error"] > 0


def test_every_customer_has_what_the_models_expect(lived):
    orders = BetaGeometric(**lived.parameters("all", "bg_nbd"))
    value = GammaGamma(**lived.parameters("all", "gamma_gamma"))
    lives = lives_of(process(), 279)
    assert [row["user_id"] for row in lived["clv_customers"]] == sorted(lives)
    for row in lived["clv_customers"]:
        x, t_x, age, mean = lives[row["user_id"]]
        assert (row["x"], row["t_x"], row["age"], row["horizon_days"]) == (x, t_x, age, 90)
        assert row["mean_value"] == (pytest.approx(mean) if x else None)
        assert row["p_alive"] == pytest.approx(float(alive_probability(orders, x, t_x, age)))
        assert row["expected_orders"] == pytest.approx(float(expected_orders(orders, x, t_x, age, 90)))
        assert row["expected_order_value"] == pytest.approx(float(expected_value(value, x, mean)))
        assert row["expected_value"] == pytest.approx(row["expected_orders"] * row["expected_order_value"])
        assert (row["orders_state"], row["value_state"]) == ("fitted", "fitted")
        assert row["spend_independence"] == "not refuted"


def test_the_holdout_is_compared_by_repeat_orders(lived):
    model = BetaGeometric(**lived.parameters("calibration", "bg_nbd"))
    before, bought = lives_of(process(), 189), process()
    came: dict[str, set[int]] = {}
    for user, when, _ in bought:
        if when > 189:
            came.setdefault(user, set()).add(when)
    for row in lived["clv_calibration"]:
        group = {u: life for u, life in before.items() if min(life[0], 7) == row["repeat_orders"]}
        assert row["customers"] == row["customers_valued"] == len(group)
        assert row["orders"] == sum(len(came.get(user, ())) for user in group)
        value = sum(Decimal(str(net)) for user, when, net in bought if user in group and when > 189)
        assert row["value"] == value
        expected = sum(float(expected_orders(model, *life[:3], 90)) for life in group.values())
        assert row["expected_orders"] == pytest.approx(expected, abs=1e-5)
        assert row["expected_value"] > 0
        assert (row["calibrated_until"], row["holdout_days"]) == (FIRST + dt.timedelta(days=189), 90)
    assert [row["repeat_orders"] for row in lived["clv_calibration"]] == list(range(8))
    assert sum(row["customers"] for row in lived["clv_calibration"]) == len(before)


def test_the_fit_says_by_how_much_the_holdout_was_missed(lived):
    fit = lived.fit("calibration", "bg_nbd")
    rows = lived["clv_calibration"]
    assert fit["holdout_orders"] == sum(row["orders"] for row in rows)
    assert fit["holdout_expected"] == pytest.approx(sum(row["expected_orders"] for row in rows))
    assert fit["holdout_error"] == pytest.approx(fit["holdout_expected"] / fit["holdout_orders"] - 1)
    assert abs(fit["holdout_error"]) < 0.2
    assert fit["holdout_days"] == 90
    assert lived.fit("all", "bg_nbd")["holdout_error"] is None
    assert lived.warnings["clv_fit"] == set()


@pytest.mark.slow
def test_tracking_counts_the_calibrations_customers_week_by_week(lived):
    model = BetaGeometric(**lived.parameters("calibration", "bg_nbd"))
    first: dict[str, int] = {}
    days: set[tuple[str, int]] = set()
    for user, when, _ in sorted(process(), key=lambda order: order[1]):
        first.setdefault(user, when)
        days.add((user, when))
    acquired = {user: when for user, when in first.items() if when <= 189}
    rows = lived["clv_tracking"]
    assert [row["week"] for row in rows] == list(range(1, 41))
    for row in rows:
        last = 7 * row["week"] - 1
        assert row["until"] == FIRST + dt.timedelta(days=last)
        assert row["in_calibration"] == (last <= 189)
        assert row["customers"] == sum(when <= last for when in acquired.values())
        assert row["orders"] == sum(u in acquired and first[u] < when <= last for u, when in days)
        expected = sum(float(expected_count(model, last - when)) for when in acquired.values() if when <= last)
        assert row["expected_orders"] == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_the_order_of_rows_changes_no_digit(engine, lived):
    orders = process()
    mixed = [orders[place] for place in np.random.default_rng(2).permutation(len(orders))]
    assert told(engine, mixed).tables == lived.tables


@pytest.mark.parametrize(("length", "horizon", "held"), [(365, 90, 90), (120, 90, 60), (1, 90, 0), (3, 1, 1)])
def test_the_holdout_is_the_horizon_and_half_of_the_days_at_most(length, horizon, held):
    days = Days(FIRST, FIRST + dt.timedelta(days=length - 1))
    assert holdout(days, horizon) == (days.last - dt.timedelta(days=held), held)


# --- poor fits, and models that do not apply --------------------------------------------------------------------------


def test_a_holdout_that_was_missed_is_a_warning(engine):
    stopped = [order for order in process() if order[1] <= 189 or order[1] % 5 == 0]
    found = told(engine, stopped)
    assert found.fit("calibration", "bg_nbd")["holdout_error"] > 0.25
    assert found.warnings["clv_fit"] == {"-0.25 <= holdout_error <= 0.25"}


def test_spend_that_goes_with_frequency_is_a_warning(engine):
    orders = process()
    x = {user: life[0] for user, life in lives_of(orders, 279).items()}
    found = told(engine, [(user, when, round(net * (1 + x[user]), 2)) for user, when, net in orders])
    fit = found.fit("all", "gamma_gamma")
    assert fit["correlation"] > 0.2
    assert fit["spend_independence"] == "refuted"
    assert {row["spend_independence"] for row in found["clv_customers"]} == {"refuted"}
    assert any("spend_independence" in rule for rule in found.warnings["clv_fit"])


@pytest.mark.parametrize(
    ("correlation", "low", "high", "verdict"),
    [
        (0.15, 0.1, 0.2, "not refuted"),  # is there, and small
        (0.3, -0.1, 0.6, "not refuted"),  # may be nothing
        (0.3, 0.1, 0.5, "refuted"),
        (-0.3, -0.5, -0.1, "refuted"),
        (None, None, None, "unknown"),
    ],
)
def test_independence_is_refuted_by_a_correlation_that_is_large_and_sure(engine, correlation, low, high, verdict):
    told_of = {"state": "fitted", "until": FIRST, "customers": 9, "repeat_customers": 5, "left_out": 0}
    found = {"correlation": correlation, "correlation_low": low, "correlation_high": high}
    row = {"fitted_on": "all", "model": "gamma_gamma", "parameter": "p", **told_of, **found}
    setting = Setting(project(), YEAR, YEAR, engine.rows)
    (fit,) = engine.rows(clv_fit(setting, table(CLV_MODEL, row), table(CLV_CALIBRATION)))
    assert fit["spend_independence"] == verdict


def test_a_sum_does_not_depend_on_the_order_of_rows(engine):
    numbers = [1e9 / 7, 0.1, 1e-3 / 3, 3e5 / 11, 0.2, 1e8 / 13, 1e-6 / 3]
    sums = {
        engine.rows(each.aggregate(total=_exact_sum(each.n)))[0]["total"]
        for each in (
            ibis.memtable({"n": list(order)})
            for order in itertools.islice(itertools.permutations(numbers), 0, 5040, 97)
        )
    }
    assert len(sums) == 1
    assert sums.pop() == pytest.approx(sum(numbers))


def without_a_model(found: Told, state: str, customers: int) -> None:
    """Hold tables to say why there is no number, and to have none."""
    assert found.states[:2] == [state] * 2
    assert all(row["estimate"] is None for row in found["clv_model"] if row["fitted_on"] == "all")
    assert len(found["clv_model"]) == 14
    assert len(found["clv_customers"]) == customers
    for row in found["clv_customers"]:
        assert {row[name] for name in ("p_alive", "expected_orders", "expected_order_value", "expected_value")} == {
            None
        }
        assert (row["orders_state"], row["value_state"], row["spend_independence"]) == (state, state, "unknown")
    assert all(row["expected_orders"] is None for row in found["clv_calibration"])
    assert all(row["expected_orders"] is None for row in found["clv_tracking"])
    assert any("state" in rule for rule in found.warnings["clv_fit"]) == (state != "no customers")


def test_of_no_orders_there_is_nothing_to_say_and_no_warning(engine):
    found = told(engine, [])
    without_a_model(found, "no customers", 0)
    assert found["clv_calibration"] == found["clv_tracking"] == []
    assert found.warnings == {name: set() for name in found.tables}


def test_of_one_customer_there_is_no_model(engine):
    found = told(engine, [("ann", 3, 20), ("ann", 50, 20), ("ann", 200, 20)])
    without_a_model(found, "too few customers", 1)
    (row,) = found["clv_calibration"]
    assert (row["repeat_orders"], row["customers"], row["orders"], row["value"]) == (1, 1, 1, 20)


def test_without_repeat_buyers_there_is_no_model(engine):
    without_a_model(told(engine, [(f"u{n}", n % 100, 9) for n in range(300)]), "no repeat buyers", 300)


def test_where_few_came_back_there_is_no_model(engine):
    orders = [(f"u{n}", n % 100, 9) for n in range(300)] + [(f"u{n}", 120, 9) for n in range(19)]
    without_a_model(told(engine, orders), "too few repeat buyers", 300)


@pytest.mark.parametrize("when", [0, 100, 279])
def test_of_orders_on_one_day_there_is_no_model(engine, when):
    orders = [(f"u{n % 150}", when, 9) for n in range(300)]
    state = "too short a history" if when == 279 else "no repeat buyers"
    without_a_model(told(engine, orders), state, 150)


def test_of_a_few_days_there_is_no_model(engine):
    week = Days(FIRST, FIRST + dt.timedelta(days=6))
    found = told(engine, [(f"u{n % 200}", n % 7, 9) for n in range(900)], days=week)
    without_a_model(found, "too short a history", 200)
    day_one = told(engine, [("ann", 0, 9)], days=Days(FIRST, FIRST))
    assert day_one["clv_calibration"] == day_one["clv_tracking"] == []


@pytest.mark.slow
def test_negative_and_zero_net_is_left_out_of_values_and_counted(engine, lived):
    orders = process()
    again = sorted({user for user, life in lives_of(orders, 279).items() if life[0] > 1})
    zero, negative = again[0], again[1]
    bad = {zero: 0.0, negative: -5.0}
    found = told(engine, [(user, when, bad.get(user, net)) for user, when, net in orders])
    assert found.fit("all", "gamma_gamma")["left_out"] == 2
    assert found.fit("all", "gamma_gamma")["state"] == "fitted"
    assert found.parameters("all", "bg_nbd") == lived.parameters("all", "bg_nbd")
    rows = {row["user_id"]: row for row in found["clv_customers"]}
    for user in bad:
        assert rows[user]["value_state"] == "no positive mean"
        assert (rows[user]["expected_value"], rows[user]["expected_orders"] > 0) == (None, True)
    everything = told(engine, [(user, when, -net) for user, when, net in orders])
    assert everything.states == ["fitted", "no positive values"] * 2
    assert {row["value_state"] for row in everything["clv_customers"]} == {"no positive values"}
    assert {row["p_alive"] is None for row in everything["clv_customers"]} == {False}


def test_values_that_are_all_equal_have_no_model_and_orders_still_do(engine):
    found = told(engine, [(user, when, 20) for user, when, _ in dict.fromkeys((o[0], o[1], 0) for o in process())])
    assert found.states == ["fitted", "no variation"] * 2
    assert found.fit("all", "gamma_gamma")["spend_independence"] == "unknown"
    assert any("state" in rule for rule in found.warnings["clv_fit"])
    assert all(row["expected_value"] is None for row in found["clv_customers"])


@pytest.mark.slow
def test_orders_of_nobody_are_in_no_table(engine, lived):
    orders: list[Any] = [*process(), *((None, n % 200, 9) for n in range(50))]
    assert told(engine, orders).tables == lived.tables


def test_the_process_of_these_tests_is_bg_nbd():
    """The share who never ordered again, as the model that was drawn from has it."""
    x, _, age, _ = (np.array(each) for each in zip(*lives_of(process(4_000, seed=1), 279).values(), strict=True))
    never = [float(count_probability(BetaGeometric(0.8, 30, 1, 4), float(one), 0)) for one in age]
    assert (x == 0).mean() == pytest.approx(np.mean(never), abs=0.03)
