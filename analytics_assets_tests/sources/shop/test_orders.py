"""Orders and what comes back of them."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings

from analytics_assets.sources.shop.orders import CANCELLED, COMPLETED, PENDING
from analytics_assets.sources.shop.vocabulary import COUNTRIES
from analytics_assets_tests.sources.shop.readings import (
    Reading,
    binomial,
    day_of,
    deviation,
    quantile,
    readings,
    tiny,
)
from analytics_assets_tests.sources.shop.years import customers


def check_orders_are_purchase_events_one_to_one_and_to_the_cent(reading):
    lines, events = reading.clean("order_lines"), reading.clean("events")
    purchases = events[events["event_type"] == "purchase"].set_index("order_id")
    assert purchases.index.is_unique
    assert (lines["day"] == lines["on"]).all()
    net = lines["quantity"] * lines["unit_price"] - lines["discount"]
    of_order = net.groupby(lines["order_id"]).sum()
    assert of_order.sort_index().equals(purchases["amount"].sort_index().rename_axis("order_id").rename(None))
    event = purchases.loc[lines["order_id"]]
    assert (lines["at"].to_numpy() == event["at"].to_numpy()).all()
    assert (lines["user_id"].to_numpy() == event["user_id"].to_numpy()).all()
    assert (lines["campaign_id"].fillna("").to_numpy() == event["campaign_id"].fillna("").to_numpy()).all()
    # everything that was ordered had been put into the cart of that visit
    carts = events[events["event_type"] == "add_to_cart"]
    put = set(zip(carts["session_id"], carts["product_id"], strict=True))
    assert set(zip(event["session_id"], lines["product_id"], strict=True)) <= put


def check_amounts_of_lines_add_up(reading):
    lines, users = reading.clean("order_lines"), reading.clean("users").set_index("user_id")
    net = lines["quantity"] * lines["unit_price"] - lines["discount"]
    assert (lines["quantity"] >= 1).all()
    assert (lines["discount"] >= 0).all()
    assert (net > 0).all()
    prices = reading.all("products").drop_duplicates("product_id").set_index("product_id")["list_price"]
    assert (lines["unit_price"].to_numpy() == prices.loc[lines["product_id"]].to_numpy()).all()
    assert lines["user_id"].isin(users.index).all()
    rate = users.loc[lines["user_id"], "country"].map({country.code: country.tax for country in COUNTRIES})
    assert ((lines["tax"].astype(float).to_numpy() - net.astype(float).to_numpy() * rate.to_numpy()) ** 2 < 0.26).all()
    assert (lines["shipping"][lines["line"] != "1"] == 0).all()
    value = net.groupby(lines["order_id"]).transform("sum")
    told = reading.shop.orders
    dear = value >= told.free_above * 100
    assert (lines["shipping"][dear] == 0).all()
    cheap = lines[~dear & (lines["line"] == "1")]
    assert set(cheap["shipping"]) <= {0, round(told.shipping * 100)}
    if not any(experiment.free_shipping for experiment in reading.shop.experiments.values()):
        assert (cheap["shipping"] == round(told.shipping * 100)).all()


def check_an_order_is_numbered_once_and_has_one_status(reading):
    lines = reading.clean("order_lines")
    assert not lines.duplicated(["order_id", "line"]).any()
    assert (day_of(lines["order_id"]) == lines["on"]).all()
    orders = lines.groupby("order_id")
    assert (orders[["user_id", "at", "status", "payment_method"]].nunique() == 1).all(axis=None)
    numbers = orders["line"].agg(lambda told: sorted(map(int, told)))
    assert all(told == list(range(1, len(told) + 1)) for told in numbers)
    assert set(lines["status"]) <= {"completed", "pending", "cancelled"}
    if not reading.shop.orders.cancelled:
        assert "cancelled" not in set(lines["status"])
    by_day = orders["on"].first().groupby(lambda name: int(name[1:]) // 10_000_000).size()
    for day, count in by_day.items():
        assert f"o{day * 10_000_000 + count}" in orders.groups


def check_only_what_was_sold_comes_back_a_day_later_at_the_earliest(reading):
    lines = reading.clean("order_lines").set_index(["order_id", "line"])
    returns = reading.clean("returns")
    keys = pd.MultiIndex.from_frame(returns[["order_id", "line"]])
    assert keys.is_unique
    assert keys.isin(lines.index).all()
    sold = lines.loc[keys]
    assert (sold["status"] == "completed").all()
    after = returns["on"].to_numpy() - sold["on"].to_numpy()
    assert ((after >= 1) & (after <= 30)).all()
    for name in ("user_id", "product_id", "quantity", "unit_price"):
        assert (returns[name].to_numpy() == sold[name].to_numpy()).all(), name
    net = (sold["quantity"] * sold["unit_price"] - sold["discount"]).to_numpy()
    refused = returns["status"] == "refused"
    assert (returns["refund"][refused] == 0).all()
    assert (returns["refund"][~refused].to_numpy() == net[~refused]).all()
    assert returns["return_id"].is_unique
    if reading.shop.orders.returned == 1:
        due = lines[(lines["status"] == "completed") & (lines["on"] < reading.days - 33)]
        assert due.index.isin(keys).all()


def check_nothing_is_sold_before_its_launch(reading):
    listed = reading.all("products").drop_duplicates("product_id").set_index("product_id")
    launched = (pd.to_datetime(listed["launched_on"]) - pd.Timestamp(reading.opened.first_day)).dt.days
    lines = reading.clean("order_lines")
    assert lines["product_id"].isin(listed.index).all()
    assert (launched.loc[lines["product_id"]].to_numpy() <= lines["on"].to_numpy()).all()


def check(reading: Reading) -> None:
    check_orders_are_purchase_events_one_to_one_and_to_the_cent(reading)
    check_amounts_of_lines_add_up(reading)
    check_an_order_is_numbered_once_and_has_one_status(reading)
    check_only_what_was_sold_comes_back_a_day_later_at_the_earliest(reading)
    check_nothing_is_sold_before_its_launch(reading)


@pytest.mark.slow
@settings(max_examples=8, deadline=None)
@given(readings())
def test_any_shop(reading):
    check(reading)


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(readings())
def test_many_shops(reading):
    check(reading)


def test_a_rich_customer_finds_enough_in_a_shop_of_trifles():
    spend = {"gamma": 500_000.0}
    lines = Reading(tiny(products=1, spend=spend, preset="plain", users=400), 20).clean("order_lines")
    net = lines["quantity"] * lines["unit_price"] - lines["discount"]
    assert net.max() > 10_000_000
    assert (lines["discount"] < lines["unit_price"]).all()


@pytest.mark.slow
def test_orders_have_the_planted_fates(demo):
    told, lines = demo.shop.orders, demo.lines
    _, firsts = np.unique(lines["day"].astype(np.int64) * 10**7 + lines["order"], return_index=True)
    status = lines["status"][firsts]
    for fate, share in ((CANCELLED, told.cancelled), (PENDING, told.pending)):
        assert binomial((status == fate).sum(), len(status), share) < quantile(5)
    sold = (lines["status"] == COMPLETED) & (lines["day"] < demo.days - 30)
    back = demo.returns[demo.returns["day"] < demo.days - 30]
    assert binomial(len(back), sold.sum(), told.returned) < quantile(5)
    after = back["back"] - back["day"]
    stay = (1 - 1 / told.return_days) ** np.arange(30)  # P(more than k days); 30 at most
    mean, square = stay.sum(), ((2 * np.arange(30) + 1) * stay).sum()
    assert deviation(after.sum(), mean * len(after), (square - mean**2) * len(after)) < quantile(5)
    # one line, and a Poisson number of more, 7 at most
    chances = [math.exp(-told.more_lines) * told.more_lines**k / math.factorial(k) for k in range(60)]
    more = np.minimum(np.arange(60), 7)
    mean, square = more @ chances, more**2 @ chances
    extra = len(lines) - len(status)
    assert deviation(extra, mean * len(status), (square - mean**2) * len(status)) < quantile(5)


def log_moment(power: int, shape: float) -> float:
    """Give psi's first or third derivative at a whole number."""
    below = np.arange(1, shape)
    return math.pi**2 / 6 - (1 / below**2).sum() if power == 1 else math.pi**4 / 15 - 6 * (1 / below**4).sum()


def digamma(shape: float) -> float:
    return -0.5772156649015329 + (1 / np.arange(1, shape)).sum()


@pytest.mark.slow
def test_what_orders_come_to_is_gamma_gamma(plain):
    """Hold first and second orders of customers to the theory.

    With q = 4 the fourth moment of an order's value is infinite, and the variance of values has no interval. Their
    logarithm has all moments: that of a gamma of shape p, less that of a gamma of shape q.
    """
    told, found = plain.shop.spend, customers(plain)
    p, q = told.p, told.q
    value = found.value / 100
    mean = p * told.gamma / (q - 1)
    variance = p * (p + 1) * told.gamma**2 / ((q - 1) * (q - 2)) - mean**2
    assert deviation(value.sum(), mean * len(value), variance * len(value)) < quantile(5)
    logs = np.log(value)
    spread = log_moment(1, p) + log_moment(1, q)
    expected = digamma(p) - digamma(q) + math.log(told.gamma)
    assert deviation(logs.sum(), expected * len(logs), spread * len(logs)) < quantile(5)
    fourth = log_moment(3, p) + log_moment(3, q)
    squares = ((logs - expected) ** 2).sum()
    assert deviation(squares, spread * len(logs), (fourth + 2 * spread**2) * len(logs)) < quantile(5)
    # two orders of one customer share the mean: their difference has the spread of p alone
    both = found.x > 0
    apart = logs[both] - np.log(found.again[both] / 100)
    narrow, fourth = 2 * log_moment(1, p), 2 * log_moment(3, p)
    assert deviation((apart**2).sum(), narrow * len(apart), (fourth + 2 * narrow**2) * len(apart)) < quantile(5)


def ranks(values: np.ndarray) -> np.ndarray:
    return pd.Series(values).rank().to_numpy()


@pytest.mark.slow
def test_spend_and_frequency_have_nothing_to_do_with_each_other(plain):
    found = customers(plain)
    for spend in (found.value, found.spend):
        together = np.corrcoef(ranks(spend), ranks(found.x))[0, 1]  # under independence: 0, with variance 1 / (n - 1)
        assert deviation(together, 0, 1 / (len(spend) - 1)) < quantile(2)


@pytest.mark.slow
def test_segments_and_spend_are_apart_too(demo):
    found = customers(demo)
    total = len(found.value)
    place = ranks(found.value)
    for segment in range(3):
        mine = found.segment == segment
        count = mine.sum()
        variance = count * (total - count) * (total + 1) / 12  # Wilcoxon's rank sum
        assert deviation(place[mine].sum(), count * (total + 1) / 2, variance) < quantile(3)
