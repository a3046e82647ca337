"""Who visits, what campaigns add, and what experiments change: the planted truth in what users did."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings

from analytics_assets.project.shop import DEVICES, SEGMENTS, STEPS, Shop
from analytics_assets.sources.shop.rows import assignment_rows
from analytics_assets.sources.shop.visits import faded
from analytics_assets_tests.sources.shop.readings import (
    Reading,
    binomial,
    chi_square,
    chi_square_limit,
    deviation,
    quantile,
    readings,
    tiny,
)
from analytics_assets_tests.sources.shop.years import Year

EXPERIMENTS = Shop().experiments
CAMPAIGNS = Shop().campaigns
MET = {"page_view": 0, "view_product": 1, "add_to_cart": 2, "begin_checkout": 3}


@pytest.mark.slow
@settings(max_examples=8, deadline=None)
@given(readings())
def test_users_are_assigned_once_at_their_first_visit_while_it_runs(reading):
    assigned = reading.clean("experiment_assignments")
    assert not assigned.duplicated(["experiment", "user_id"]).any()
    assert (assigned["day"] == assigned["on"]).all()
    events = reading.whole("events")
    ours = events[events["user_id"].notna()]
    calendar = reading.deliveries.world.calendar
    for name, experiment in reading.shop.experiments.items():
        mine = assigned[assigned["experiment"] == name]
        span = calendar.shop.span(experiment)
        assert set(mine["on"]) <= set(span)
        assert set(mine["variant"]) <= set(experiment.variants)
        came = ours[ours["on"].isin(span)].groupby("user_id")["at"].min()
        known = mine[mine["on"] < reading.days - 3].set_index("user_id")["at"]
        if experiment.lost:
            assert set(known.index) <= set(came.index)
            came = came.loc[known.index]
        assert known.sort_index().equals(came.sort_index().rename_axis("user_id")), name


def test_nothing_is_lost_and_everything_is():
    told = {"starts": 0, "lasts": 1, "exposure": "page_view"}
    experiments = {"kept": told, "gone": {**told, "lost": {"treatment": 1}}}
    opened = tiny(users=400, experiments=experiments)
    rows = Reading(opened, 15).clean("experiment_assignments")
    variants = rows.groupby("experiment")["variant"].unique().map(set).to_dict()
    assert variants == {"kept": {"control", "treatment"}, "gone": {"control"}}
    year = Year(opened, 15)
    assert len(rows[rows["experiment"] == "kept"]) == len(np.unique(year.visits["user"])) == 400


def test_a_campaign_and_an_experiment_act_only_while_they_run():
    sure = {"step": "view_product", "lift": 99}
    experiment = {"starts": 0.4, "lasts": 0.2, "exposure": "page_view", "effects": {"treatment": [sure]}}
    campaign = {"name": "c", "channel": "email", "starts": 0.4, "lasts": 0.2, "uplift": 3, "spend": 1, "withheld": 0.5}
    told = {"preset": "plain", "experiments": {"x": experiment}, "campaigns": {"c": campaign}}
    year = Year(tiny(users=4000, days=20, **told), 20)
    inside = (year.day >= 8) & (year.day < 12)
    treatment = year.variant(0)[year.visits["user"]] == 1
    looked = year.visits["deep"] >= 1
    assert looked[inside & treatment].all()
    assert 0.6 < looked[~inside & treatment].mean() < 0.8
    assert 0.6 < looked[inside & ~treatment].mean() < 0.8
    assert (year.visits["campaign"][~inside] == -1).all()
    here = year.treated("c")[year.visits["region"]]
    assert (year.visits["campaign"][~here] == -1).all()
    assert year.visits["caused"][inside & here].mean() > 0.4
    assert not year.visits["caused"][year.first].any()


@pytest.mark.slow
def test_steps_are_taken_with_the_planted_probability(demo):
    """Hold every step to its rate until the first experiment with an effect begins.

    A step is taken by a coin of its own, whoever comes, however often: hits are binomial given the visits before it.
    """
    rates, rows = demo.shop.funnel, demo.visits
    begins = min(demo.span(told).start for told in EXPERIMENTS.values() if told.effects)
    assert begins > 60
    early = rows[demo.day < begins]
    checks = len(DEVICES) * (len(STEPS) + 2)
    for device, name in enumerate(DEVICES):
        mine = early[early["device"] == device]
        steps = (rates.view_product, rates.add_to_cart, rates.begin_checkout, getattr(rates.purchase, name))
        for step, rate in enumerate(steps, start=1):
            among = mine[mine["deep"] >= step - 1]
            assert binomial((among["deep"] >= step).sum(), len(among), rate) < quantile(checks), (name, step)
        for told in ("searched", "priced"):
            rate = rates.search if told == "searched" else rates.pricing_page
            assert binomial(mine[told].sum(), len(mine), rate) < quantile(checks), (name, told)


@pytest.mark.slow
def test_visits_come_from_other_devices_as_often_as_planted(demo):
    told = demo.shop.visits
    mix = np.array(told.devices.numbers()) / sum(told.devices.numbers())
    own = demo.device[demo.visits["user"]]
    for device in range(len(DEVICES)):
        mine = demo.visits[own == device]
        other = (mine["device"] != device).sum()
        assert binomial(other, len(mine), told.other_device * (1 - mix[device])) < quantile(len(DEVICES))


@pytest.mark.slow
def test_users_come_at_first_as_often_as_planted(plain):
    """Hold the wait for a second visit to Lomax: rates are gamma, and who left after the first never comes again."""
    told, funnel = plain.shop.visits, plain.shop.funnel
    rows = plain.visits[np.lexsort((plain.visits["clock"], plain.visits["user"]))]
    begin = np.flatnonzero(np.diff(rows["user"], prepend=-1))
    until = plain.pace.sum(axis=0)[rows["region"][begin]] - rows["clock"][begin]
    second = np.minimum(begin + 1, len(rows) - 1)
    came = np.append(np.diff(begin), len(rows) - begin[-1]) > 1
    gap = np.where(came, rows["clock"][second] - rows["clock"][begin], np.inf)
    none = rows["deep"][begin] < len(STEPS)  # no order at the first visit
    assert funnel.view_product < 1
    scale = told.lead_shape / told.lead_rate
    for days in (1, 5, 20, 60):
        seen = none & (until >= days)
        share = (1 - told.lead_leaves) * (1 - (scale / (scale + days)) ** told.lead_shape)
        assert binomial((gap[seen] <= days).sum(), seen.sum(), share) < quantile(4), days


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, told in CAMPAIGNS.items() if told.uplift])
def test_a_campaign_causes_the_planted_share_of_visits(demo, name):
    """Hold caused visits to the uplift: given the visits that it caused or that came anyway, they are binomial."""
    told = CAMPAIGNS[name]
    rows, here = demo.visits, demo.treated(name)
    assert (~here).sum() == round(len(here) * told.withheld)
    counted = demo.during(told) & ~demo.first
    treated = here[rows["region"]]
    mine = rows["caused"] & (rows["campaign"] == list(CAMPAIGNS).index(name))
    anyway = (counted & treated & ~rows["caused"]).sum()
    caused = (counted & treated & mine).sum()
    assert binomial(caused, caused + anyway, told.uplift / (1 + told.uplift)) < quantile(12)
    assert caused == mine.sum()  # and nowhere else, at no other time, and no sign-up


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, told in CAMPAIGNS.items() if told.withheld and told.starts >= 0.05])
def test_visits_in_treated_regions_grow_by_the_uplift(demo, name):
    """Compare visits while a campaign runs with those before, in treated and withheld regions: the ratio of ratios.

    Users differ, and come and go: counts of visits are no Poisson counts. But users are independent, so the variance
    of the logarithm of a ratio is, by the delta method, the sum over users of (theirs during / all - theirs before /
    all) squared.
    """
    told = CAMPAIGNS[name]
    rows, span, here = demo.visits, demo.span(told), demo.treated(name)
    before = range(span.start - len(span), span.start)
    logs, variance = [], 0.0
    for treated in (True, False):
        of = (here[rows["region"]] == treated) & ~demo.first
        # other campaigns' visits in either time are left out: they are known not to have come anyway
        other = rows["caused"] & (rows["campaign"] != list(CAMPAIGNS).index(name))
        weight = (of & ~other).astype(float)
        counts = []
        for days in (span, before):
            inside = (demo.day >= days.start) & (demo.day < days.stop)
            counts.append(np.bincount(rows["user"], weight * inside, minlength=len(demo.device)))
        during, earlier = counts
        logs.append(math.log(during.sum() / earlier.sum()))
        variance += ((during / during.sum() - earlier / earlier.sum()) ** 2).sum()
    assert deviation(logs[0] - logs[1], math.log1p(told.uplift), variance) < quantile(12)


EFFECTS = [
    (name, variant, effect.step, segment)
    for name, told in EXPERIMENTS.items()
    for variant, effects in told.effects.items()
    for effect in effects
    for segment in (SEGMENTS if effect.segment else (None,))
]


def rates_of(demo: Year, name: str, variant: str, step: str, segment: str | None) -> tuple[int, int, np.ndarray]:
    """Count visits of a variant that meet the experiment and the step before, and those that take it; and their day."""
    told = EXPERIMENTS[name]
    rows = demo.visits
    place = list(EXPERIMENTS).index(name)
    mine = demo.during(told) & (demo.variant(place)[rows["user"]] == list(told.variants).index(variant))
    met = {"search": rows["searched"], "pricing_page": rows["priced"]}
    mine &= met[told.exposure] if told.exposure in met else rows["deep"] >= MET[told.exposure]
    if segment:
        mine &= rows["segment"] == SEGMENTS.index(segment)
    at = STEPS.index(step) + 1
    mine &= rows["deep"] >= at - 1
    return int((rows["deep"][mine] >= at).sum()), int(mine.sum()), demo.day[mine] - demo.span(told).start


@pytest.mark.slow
@pytest.mark.parametrize(("name", "variant", "step", "segment"), EFFECTS)
def test_an_experiment_lifts_its_step_as_planted(demo, name, variant, step, segment):
    """Hold the lift in exposed visits to the planted one, by the interval of a ratio of two proportions.

    Steps are coins of their own, so visits of one user count as many. Other experiments cross this one independently
    and multiply the rate of both variants alike. A lift that fades is the mean of its days.
    """
    effect = next(told for told in EXPERIMENTS[name].effects[variant] if told.step == step)
    taken, among, days = rates_of(demo, name, variant, step, segment)
    without, of, _ = rates_of(demo, name, "control", step, segment)
    lift = float(np.mean([faded(effect, int(day)) for day in days]))
    if effect.segment not in (None, segment):
        lift = 0.0
    found = math.log((taken / among) / (without / of))
    variance = (1 / taken - 1 / among) + (1 / without - 1 / of)
    assert deviation(found, math.log1p(lift), variance) < quantile(len(EFFECTS))


@pytest.mark.slow
def test_who_does_not_meet_an_experiment_is_not_changed_by_it(demo):
    """Visits of the same users at the same time, without a search or the pricing page, are as those of the control."""
    rows = demo.visits
    cases = [(name, variant, effects[0].step) for name in ("search_ranking", "pricing_page")
             for variant, effects in EXPERIMENTS[name].effects.items()]  # fmt: skip
    for name, variant, step in cases:
        told, at = EXPERIMENTS[name], STEPS.index(step) + 1
        met = rows["searched"] if told.exposure == "search" else rows["priced"]
        among = demo.during(told) & ~met & (rows["deep"] >= at - 1)
        mine = demo.variant(list(EXPERIMENTS).index(name))[rows["user"]]
        taken, seen = (
            [int((chosen & (mine == place)).sum()) for place in (list(told.variants).index(variant), 0)]
            for chosen in (among & (rows["deep"] >= at), among)
        )
        variance = sum(1 / hits - 1 / count for hits, count in zip(taken, seen, strict=True))
        found = math.log((taken[0] / seen[0]) / (taken[1] / seen[1]))
        assert deviation(found, 0, variance) < quantile(len(cases)), (name, variant)


@pytest.mark.slow
def test_what_should_be_seen_of_experiments_is_large_enough(demo):
    """The verdicts need effects that stand out: those that call for one are beyond their interval around nothing."""
    for name, variant, step in (("checkout_redesign", "treatment", "purchase"),
                                ("free_shipping_banner", "treatment", "begin_checkout"),
                                ("search_ranking", "treatment", "add_to_cart"),
                                ("pricing_page", "yearly_first", "begin_checkout")):  # fmt: skip
        taken, among, _ = rates_of(demo, name, variant, step, None)
        without, of, _ = rates_of(demo, name, "control", step, None)
        variance = (1 / taken - 1 / among) + (1 / without - 1 / of)
        assert math.log((taken / among) / (without / of)) / math.sqrt(variance) > 1.96, name


@pytest.mark.slow
def test_an_aa_test_changes_no_step(demo):
    for step in STEPS:
        taken, among, _ = rates_of(demo, "aa_test", "treatment", step, None)
        without, of, _ = rates_of(demo, "aa_test", "control", step, None)
        variance = (1 / taken - 1 / among) + (1 / without - 1 / of)
        assert deviation(math.log((taken / among) / (without / of)), 0, variance) < quantile(len(STEPS))


def arrived(demo: Year, name: str) -> np.ndarray:
    """Count the assignments of an experiment that arrive, by variant."""
    place = list(EXPERIMENTS).index(name)
    counts = np.zeros(len(EXPERIMENTS[name].variants))
    for day in demo.span(EXPERIMENTS[name]):
        rows = assignment_rows(demo.world, demo.world.day(day))
        counts += np.bincount(rows["variant"][rows["experiment"] == place], minlength=len(counts))
    return counts


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_sample_ratio_holds_but_where_assignments_are_lost(demo, name):
    told = EXPERIMENTS[name]
    counts = arrived(demo, name)
    shares = np.array(list(told.variants.values()))
    found = chi_square(counts, counts.sum() * shares)
    if told.lost:
        assert found > chi_square_limit(len(shares) - 1), counts
        place = list(EXPERIMENTS).index(name)
        made = demo.assigned[demo.assigned["experiment"] == place]["variant"]
        sent = np.bincount(made)
        for variant, share in told.lost.items():
            at = list(told.variants).index(variant)
            assert binomial(sent[at] - counts[at], sent[at], share) < quantile()
        found = chi_square(sent, sent.sum() * shares)
    assert found < chi_square_limit(len(shares) - 1, len(EXPERIMENTS)), counts


@pytest.mark.slow
def test_experiments_are_assigned_independently_of_each_other(demo):
    pairs = [(one, two) for two in range(len(EXPERIMENTS)) for one in range(two)]
    assigned = [np.zeros(len(demo.device), dtype=bool) for _ in EXPERIMENTS]
    for place, users in enumerate(assigned):
        users[demo.assigned["user"][demo.assigned["experiment"] == place]] = True
    for one, two in pairs:
        both = assigned[one] & assigned[two]
        table = np.zeros((4, 4))
        np.add.at(table, (demo.variant(one)[both], demo.variant(two)[both]), 1)
        table = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0]
        if table.size:
            expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
            freedom = (table.shape[0] - 1) * (table.shape[1] - 1)
            assert chi_square(table, expected) < chi_square_limit(freedom, len(pairs)), (one, two)
    # nor is it a matter of the segment or the device
    for place in range(len(EXPERIMENTS)):
        for trait in (demo.segment, demo.device):
            table = np.zeros((4, 3))
            np.add.at(table, (demo.variant(place), trait), 1)
            table = table[table.sum(axis=1) > 0]
            expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
            freedom = 2 * (len(table) - 1)
            assert chi_square(table, expected) < chi_square_limit(freedom, 2 * len(EXPERIMENTS))
