"""Every rule fires in one world and is silent in another; no two that contradict each other ever fire together."""

from __future__ import annotations

import datetime as dt
import itertools
from fnmatch import fnmatchcase

import pytest

from analytics_assets.report import findings as records
from analytics_assets.report.findings import Doubt, Findings
from analytics_assets.report.rules import RULES, Rule, fired, holds, numbers
from analytics_assets.report.words import Template
from analytics_assets_tests.report.worlds import (
    campaign,
    churn,
    dark,
    delivered,
    experiment,
    friction,
    funnel,
    kpi,
    moved,
    named,
    odd,
    outlook,
    quality,
    returned,
    rules,
    segment,
    shipped,
    world,
)

UP, DOWN, NOISE = moved(0.1, 0.05, 0.15), moved(-0.1, -0.15, -0.05), moved(0.0, -0.2, 0.2)
REFUNDS = {"name": "refunds", "better": "down"}

WORLDS: dict[str, tuple[Findings, Findings]] = {
    "mend_broken_data": (
        world(quality=quality(Doubt("fact_events", "error", "10 rows, 500 to 900 are usual"))),
        world(quality=quality(Doubt("fact_events", "warning", "10 rows, 500 to 900 are usual"))),
    ),
    "ask_a_silent_source": (
        world(quality=quality(delivered(silent_days=4, usual_gap=1, last=dt.date(2024, 3, 27)))),
        world(quality=quality(delivered(silent_days=4, usual_gap=7), delivered(silent_days=4, usual_gap=None))),
    ),
    "look_at_rejected_rows": (
        world(quality=quality(delivered(rejected=100))),
        world(quality=quality(delivered(rejected=50), delivered(rows=10, rejected=9), delivered(rows=0, rejected=0))),
    ),
    "ship": (world(experiments=(shipped(100, 300),)), world(experiments=(shipped(-100, 300),))),
    "ship_of_unknown_worth": (
        world(experiments=(experiment("ship", why_no_worth="no orders are delivered"),)),
        world(experiments=(shipped(100, 300), experiment("rollback"))),
    ),
    "ship_of_doubtful_worth": (world(experiments=(shipped(-100, 300),)), world(experiments=(shipped(100, 300),))),
    "roll_back": (world(experiments=(experiment("rollback"),)), world(experiments=(shipped(100, 300),))),
    "repeat_invalid_experiment": (
        world(experiments=(experiment("invalid"),)),
        world(experiments=(experiment("inconclusive"),)),
    ),
    "mend_a_step": (
        world(funnels=(funnel(friction(-0.1)),)),
        world(funnels=(funnel(friction(-0.01), friction(-0.1, p_adjusted=0.2), friction(-0.1, came=99)),)),
    ),
    "run_a_campaign_again": (world(campaigns=(campaign(2100, 4000),)), world(campaigns=(campaign(1900, 4000),))),
    "stop_a_campaign": (world(campaigns=(campaign(-500, 1900),)), world(campaigns=(campaign(-500, 2100), dark()))),
    "whether_a_campaign_pays": (
        world(campaigns=(campaign(1900, 4000),)),
        world(campaigns=(campaign(2100, 4000), campaign(-500, 1900), dark())),
    ),
    "what_a_campaign_brought": (world(campaigns=(dark(),)), world(campaigns=(campaign(2100, 4000),))),
    "win_customers_back": (
        world(churn=churn()),
        world(churn=churn(calibration="off by more than 0.05")),
    ),
    "whether_churn_is_calibrated": (world(churn=churn(calibration="off by more than 0.05")), world(churn=churn())),
    "explain_a_fall": (world(kpis=(kpi(DOWN),)), world(kpis=(kpi(UP), kpi(NOISE), kpi(None), kpi(DOWN, **REFUNDS)))),
    "explain_a_rise": (world(kpis=(kpi(UP, **REFUNDS),)), world(kpis=(kpi(UP), kpi(DOWN, **REFUNDS)))),
    "keep_the_best_customers": (
        world(segments=(segment("Champions", -0.02),)),
        world(segments=(segment("Champions", 0.02), segment("Champions", -0.001), segment("New", -0.02))),
    ),
    "turn_to_those_at_risk": (
        world(segments=(segment("At Risk", 0.02),)),
        world(segments=(segment("At Risk", -0.02), segment("At Risk", None), segment("Champions", 0.02))),
    ),
    "prepare_for_more": (world(outlook=outlook(1100, 1300)), world(outlook=outlook(900, 1300))),
    "plan_for_less": (world(outlook=outlook(700, 900)), world(outlook=outlook(700, 1100))),
    "look_at_returns": (
        world(returned=(returned(),)),
        world(returned=(returned(units=49), returned(of_net=0.0001), returned(gap_low=-0.01), returned(of_net=None))),
    ),
    "look_at_an_odd_day": (
        world(season=named(odd=(odd(),))),
        world(season=named(odd=(odd(days_ago=9), odd(named="Black Friday")))),
    ),
    "whether_a_variant_helps": (
        world(experiments=(experiment("inconclusive"),)),
        world(experiments=(experiment("no meaningful difference"),)),
    ),
    "too_early_to_decide": (
        world(experiments=(experiment("too early", over=False),)),
        world(experiments=(experiment("inconclusive"),)),
    ),
}
"""Of each rule a world in which it fires, and one in which it is silent."""

CONTRARY = (
    {"ship", "ship_of_unknown_worth", "ship_of_doubtful_worth", "roll_back", "repeat_invalid_experiment"}
    | {"whether_a_variant_helps", "too_early_to_decide"},
    {"run_a_campaign_again", "stop_a_campaign", "whether_a_campaign_pays", "what_a_campaign_brought"},
    {"win_customers_back", "whether_churn_is_calibrated"},
    {"prepare_for_more", "plan_for_less"},
)
"""Of one finding, at most one of these may be said."""


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_each_rule_fires_in_one_world_and_is_silent_in_another(rule: Rule) -> None:
    loud, silent = WORLDS[rule.name]
    assert rule.name in rules(loud)
    assert rule.name not in rules(silent)
    assert rule.name not in rules(world())


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_each_condition_of_a_rule_can_keep_it_silent(rule: Rule) -> None:
    """A condition that always held would be none; where a number is not there, none holds."""
    finding = getattr(WORLDS[rule.name][0], rule.over)[0]
    known = numbers(finding)
    for condition in rule.when:
        assert holds(condition, known)
        assert not holds(condition, {**known, condition.split()[0]: None})


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_each_rule_names_numbers_that_its_findings_have(rule: Rule) -> None:
    finding = getattr(WORLDS[rule.name][0], rule.over)[0]
    known = numbers(finding)
    template = Template("EUR")
    named_ = {name.split(".")[0] for text in (rule.says, rule.of) for _, name, _, _ in template.parse(text) if name}
    assert named_ | set(rule.worth) <= known.keys()
    assert ": " in rule.says, "what to do, a colon, and why"
    one = next(one for one in fired(WORLDS[rule.name][0]) if one.rule is rule)
    assert one.head
    assert one.why
    assert "n/a" not in one.head + one.why
    assert "{" not in one.table + one.head + one.why


@pytest.mark.parametrize("group", CONTRARY, ids=min)
def test_of_one_finding_no_two_contrary_rules_fire(group: set[str]) -> None:
    ends = (-2000.0, -1.0, 0.0, 1.0, 1999.0, 2000.0, 2001.0, 5000.0)
    intervals = [pair for pair in itertools.product(ends, ends) if pair[0] <= pair[1]]
    verdicts = ("ship", "rollback", "invalid", "inconclusive", "too early", "no meaningful difference")
    worlds = [world(campaigns=(campaign(*pair),)) for pair in intervals]
    worlds += [world(outlook=outlook(*pair)) for pair in intervals]
    worlds += [world(experiments=(shipped(*pair),)) for pair in intervals]
    worlds += [world(experiments=(experiment(verdict),)) for verdict in verdicts]
    worlds += [world(churn=churn(calibration=told)) for told in ("calibrated", "off by more than 0.05", "")]
    worlds += [world(campaigns=(dark(),))]
    said = [[name for name in rules(one) if name in group] for one in worlds]
    assert all(len(names) <= 1 for names in said)
    assert any(names for names in said)


def test_what_concerns_the_data_comes_first_then_what_is_worth_most_a_year() -> None:
    told = world(
        experiments=(experiment("rollback"), shipped(100, 300)),
        campaigns=(campaign(2100, 6000),),
        funnels=(funnel(friction(-0.1)),),
        quality=quality(Doubt("fact_events", "error", "broken")),
    )
    # 900 and 200 a month are 10,800 and 2,400 a year, a campaign that leaves 1,025 runs once
    assert rules(told) == ["mend_broken_data", "mend_a_step", "ship", "run_a_campaign_again", "roll_back"]


def test_every_rule_goes_over_findings_that_there_are() -> None:
    for rule in RULES:
        assert getattr(world(), rule.over) == ()
    assert len({rule.name for rule in RULES}) == len(RULES)
    assert WORLDS.keys() == {rule.name for rule in RULES}


def test_a_condition_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="is no condition: write"):
        holds("low is above 0", {"low": 1})


def test_a_finding_gives_its_fields_and_what_follows_from_them() -> None:
    told = numbers(campaign(2000, 4000))
    assert (told["spend"], told["gain"], told["gain_of"], told["called"]) == (1000.0, 500.0, "profit", "Spring (C1)")
    assert numbers(campaign(2000, 4000, margin=None))["gain"] == 2000.0
    assert fnmatchcase("funnel_buying_by_user_country", f"*_{friction(-0.1, dimension='user.country').by}")
    assert isinstance(records.Findings, type)
