"""The truth: the process of purchases against its theory, and what the shop says of itself."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics_assets.lake.days import Days
from analytics_assets.project.shop import DEVICES, Shop
from analytics_assets.sources.shop.truth import area_under_curve, churn_ceiling, churn_probabilities, truths
from analytics_assets_tests.making import project
from analytics_assets_tests.sources.shop.readings import Reading, binomial, deviation, quantile, tiny
from analytics_assets_tests.sources.shop.years import Customers, Year, customers, expected_orders, simulated

REPEATS = 20
"""Simulations of every customer: their own chance adds a twentieth to the variance."""


@pytest.fixture(scope="module")
def found(plain: Year) -> Customers:
    return customers(plain)


@pytest.fixture(scope="module")
def drawn(plain: Year, found: Customers) -> np.ndarray:
    """Give what the definition of BG/NBD makes of the same customers, again and again: orders, and the last's time."""
    told = plain.shop.purchases
    rng = np.random.default_rng(3)
    x, last = simulated(plain.shop, np.tile(found.until, REPEATS), told.a, rng)
    return np.array([x, last]).reshape(2, REPEATS, -1)


@pytest.mark.slow
def test_the_first_further_order_comes_when_it_should(plain, found):
    """Nobody drops out at the first order, so P(gap > t) = (alpha / (alpha + t))^r of those seen for t days."""
    told = plain.shop.purchases
    assert len(found.x) > 10_000
    times = (1, 5, 20, 60, 120, 250)
    for time in times:
        seen = found.until >= time
        share = (told.alpha / (told.alpha + time)) ** told.r
        assert binomial((found.gap[seen] > time).sum(), seen.sum(), share) < quantile(len(times)), time
    # whatever a device makes of the checkout, its owners order at the same rate: they visit more often
    for device in range(len(DEVICES)):
        mine = (found.until >= 60) & (found.device == device)
        share = (told.alpha / (told.alpha + 60)) ** told.r
        assert binomial((found.gap[mine] > 60).sum(), mine.sum(), share) < quantile(len(DEVICES)), device


@pytest.mark.slow
def test_as_many_as_should_never_order_again(plain, found):
    told = plain.shop.purchases
    chance = (told.alpha / (told.alpha + found.until)) ** told.r
    assert deviation((found.x == 0).sum(), chance.sum(), (chance * (1 - chance)).sum()) < quantile()


@pytest.mark.slow
def test_customers_order_as_often_as_they_should(plain, found, drawn):
    told = plain.shop.purchases
    expected = expected_orders(plain.shop, found.until, told.a)
    # the integral and the simulation of the definition are of one mind
    simulated_mean = drawn[0].mean(axis=0)
    spread = drawn[0].var(axis=0, ddof=1)
    assert deviation(simulated_mean.sum(), expected.sum(), spread.sum() / REPEATS) < quantile()
    assert deviation(found.x.sum(), expected.sum(), spread.sum()) < quantile()
    long, short = found.until > 180, found.until <= 180
    for part in (long, short):
        assert deviation(found.x[part].sum(), expected[part].sum(), spread[part].sum()) < quantile(2)


@pytest.mark.slow
def test_orders_are_spread_over_customers_as_they_should(found, drawn):
    for least in (1, 2, 3, 5, 8):
        chance = (drawn[0] >= least).mean(axis=0)
        variance = (chance * (1 - chance)).sum() * (1 + 1 / REPEATS) * REPEATS / (REPEATS - 1)
        assert deviation((found.x >= least).sum(), chance.sum(), variance) < quantile(5), least


@pytest.mark.slow
def test_the_last_order_comes_when_it_should(found, drawn):
    """Who drops out has the last order earlier: recency tells of dropping out, which nobody sees."""
    for value, theory in ((found.recency, drawn[1]), (found.recency**2, drawn[1] ** 2)):
        variance = theory.var(axis=0, ddof=1).sum() * (1 + 1 / REPEATS)
        assert deviation(value.sum(), theory.mean(axis=0).sum(), variance) < quantile(2)


@pytest.mark.slow
def test_the_theory_is_sharp_enough_to_refuse_another_dropout(plain, found, drawn):
    """Were the parameter of dropping out a quarter larger or smaller, these tests would say so."""
    spread = drawn[0].var(axis=0, ddof=1).sum()
    for a in (plain.shop.purchases.a * 1.25, plain.shop.purchases.a / 1.25):
        expected = expected_orders(plain.shop, found.until, a)
        assert deviation(found.x.sum(), expected.sum(), spread) > quantile()


@pytest.mark.slow
def test_the_best_tenth_of_customers_brings_what_it_should(plain, found):
    """Simulate orders and what they come to by definition; the share of revenue has a heavy tail, hence Student's t."""
    told, spend = plain.shop.purchases, plain.shop.spend
    rng = np.random.default_rng(4)
    shares = []
    for _ in range(25):
        x, _ = simulated(plain.shop, found.until, told.a, rng)
        mean = spend.gamma / rng.standard_gamma(spend.q, len(x))
        shares.append(top_share(rng.standard_gamma(spend.p * (x + 1)) * mean))
    student = 3.75  # 99.9 %, 24 degrees of freedom
    width = student * np.std(shares, ddof=1) * np.sqrt(1 + 1 / len(shares))
    assert abs(top_share(found.revenue) - np.mean(shares)) < width
    assert top_share(found.revenue) > 0.3


def top_share(revenue: np.ndarray) -> float:
    ordered = np.sort(revenue)
    return float(ordered[-len(ordered) // 10 :].sum() / ordered.sum())


@pytest.mark.slow
def test_segments_drop_out_as_planted(demo):
    """With everything, orders of a segment are as many as its dropout says, but for what experiments add.

    Experiments multiply the rate of orders; those of loyal users most. Until the first with an effect begins, theory
    is exact: campaigns and season only move the clock.
    """
    begins = min(demo.span(told).start for told in demo.shop.experiments.values() if told.effects)
    early = Year.__new__(Year)
    early.__dict__ |= demo.__dict__
    early.visits, early.day = demo.visits[demo.day < begins], demo.day[demo.day < begins]
    early.lines, early.pace = demo.lines[demo.lines["day"] < begins], demo.pace[:begins]
    seen = customers(early)
    told = demo.shop.purchases
    rng = np.random.default_rng(5)
    for segment, dropout in enumerate(told.dropout.numbers()):
        mine = seen.segment == segment
        until = seen.until[mine]
        x, _ = simulated(demo.shop, np.tile(until, REPEATS), told.a * dropout, rng)
        spread = x.reshape(REPEATS, -1).var(axis=0, ddof=1).sum()
        expected = expected_orders(demo.shop, until, told.a * dropout).sum()
        assert deviation(seen.x[mine].sum(), expected, spread) < quantile(3), segment


@pytest.mark.slow
def test_probabilities_of_churn_are_what_happens(plain):
    """Hold customers by P(no order) to what they did: a sum of coins of known probability each.

    Horizons do not overlap, so a customer's coins at several cuts, given what is known at each, are uncorrelated.
    """
    told = [churn_probabilities(plain.world, cut, 60) for cut in (60, 120, 180, 240, 300)]
    chance, churned = (np.concatenate(parts) for parts in zip(*told, strict=True))
    assert len(chance) > 20_000
    order = np.argsort(chance, kind="stable")
    for tenth in np.array_split(order, 10):
        variance = (chance[tenth] * (1 - chance[tenth])).sum()
        assert deviation(churned[tenth].sum(), chance[tenth].sum(), variance) < quantile(12)
    # and neither all of them nor the slope is off
    for weight in (np.ones(len(chance)), np.clip(np.log(chance / (1 - chance + 1e-12)), -5, 5)):
        variance = (weight**2 * chance * (1 - chance)).sum()
        assert deviation(weight @ churned, weight @ chance, variance) < quantile(12)
    chance, churned = told[3]
    ceiling = churn_ceiling(plain.world, 240, 60)
    assert (ceiling.customers, ceiling.churned) == (len(churned), churned.sum())
    # the curve's area itself, were it that these probabilities are true
    rng = np.random.default_rng(6)
    areas = [area_under_curve(chance, rng.random(len(chance)) < chance) for _ in range(25)]
    assert abs(ceiling.auc - np.mean(areas)) < 3.75 * np.std(areas, ddof=1) * np.sqrt(1 + 1 / 25)


@pytest.mark.slow
def test_who_has_churned_is_who_did_not_order(plain):
    cut, horizon = 200, 30
    _, churned = churn_probabilities(plain.world, cut, horizon)
    bought = plain.visits["deep"] == 4
    known = np.unique(plain.visits["user"][bought & (plain.day <= cut)])
    later = np.unique(plain.visits["user"][bought & (plain.day > cut) & (plain.day <= cut + horizon)])
    assert len(churned) == len(known)
    assert churned.sum() == len(np.setdiff1d(known, later))


def test_probabilities_hold_with_season_and_campaigns_too():
    """The clock of the process carries season and campaigns: probabilities are as true with them."""
    opened = tiny(users=20_000, products=50, days=160, experiments={})
    world = opened.deliveries().world
    chance, churned = churn_probabilities(world, 100, 50)
    order = np.argsort(chance, kind="stable")
    for fifth in np.array_split(order, 5):
        variance = (chance[fifth] * (1 - chance[fifth])).sum()
        assert deviation(churned[fifth].sum(), chance[fifth].sum(), variance) < quantile(5)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([0.0, 0.2, 0.5, 0.5000001, 1.0]), st.booleans()), max_size=30))
def test_the_area_is_that_of_all_pairs(drawn):
    score = np.array([value for value, _ in drawn])
    positive = np.array([is_one for _, is_one in drawn], dtype=bool)
    pairs = [(one > other) + (one == other) / 2 for one in score[positive] for other in score[~positive]]
    found = area_under_curve(score, positive)
    assert found == pytest.approx(np.mean(pairs)) if pairs else np.isnan(found)


def test_the_truth_names_what_was_planted_and_counts_what_happened():
    opened = tiny(users=800, products=30, days=80, preset="everything")
    told = opened.project()
    found = {truth.name: truth for truth in truths(told, opened.days(0, 79))}
    assert len(found) == len(truths(told, opened.days(0, 79)))
    values = {name: truth.value for name, truth in found.items()}
    shop = opened.shop
    assert values["funnel.purchase.mobile"] == shop.funnel.purchase.mobile
    assert values["purchases.a.bargain"] == shop.purchases.a * shop.purchases.dropout.bargain
    assert values["spend.mean"] == pytest.approx(60)
    for name, campaign in shop.campaigns.items():
        assert values[f"campaign.{name}.uplift"] == campaign.uplift
    for name, experiment in shop.experiments.items():
        for variant, effects in experiment.effects.items():
            for effect in effects:
                assert values[f"experiment.{name}.{variant}.{effect.step}.lift"] == effect.lift
        for variant, share in experiment.lost.items():
            assert values[f"experiment.{name}.{variant}.lost"] == share
    assert values["experiment.aa_test.lift"] == 0
    mix = np.array(opened.shop.visits.devices.numbers())
    steps = opened.shop.funnel.view_product * opened.shop.funnel.add_to_cart * opened.shop.funnel.begin_checkout
    rate = steps * (mix / mix.sum()) @ np.array(opened.shop.funnel.purchase.numbers())
    assert values["funnel.orders_a_visit"] == pytest.approx(rate)
    reading = Reading(opened, 80 + 3)
    events, lines = reading.clean("events"), reading.clean("order_lines")
    ours = events[events["user_id"].notna() & (events["on"] < 80)]
    lines = lines[lines["on"] < 80]
    assert values["happened.users"] == 800
    assert values["happened.visits"] == ours["session_id"].nunique()
    assert values["happened.orders"] == lines["order_id"].nunique()
    assert values["happened.customers"] == lines["user_id"].nunique()
    net = (lines["quantity"] * lines["unit_price"] - lines["discount"]).sum()
    assert values["happened.net"] == pytest.approx(net / 100)
    early = set(lines.loc[lines["on"] <= 79 - 60, "user_id"])
    gone = early - set(lines.loc[lines["on"] > 79 - 60, "user_id"])
    assert values["churn.rate"] == pytest.approx(len(gone) / len(early))
    assert 0 <= values["churn.auc"] <= 1
    assert all(truth.reappears for truth in found.values())


def test_a_few_days_tell_nothing_of_churn():
    opened = tiny()
    names = [truth.name for truth in truths(opened.project(), opened.days(0, 9))]
    assert "happened.visits" in names
    assert not any(name.startswith("churn") for name in names)


def test_a_project_without_a_shop_has_no_truth():
    day = dt.date(2025, 1, 1)
    with pytest.raises(ValueError, match=r"project shop has no shop\.yaml"):
        truths(project(), Days(day, day))
    assert Shop().seed == 1
