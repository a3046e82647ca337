"""Opposite worlds give opposite sentences; what a world does not show, no sentence states."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from analytics_assets.report.desk import CONTENTS, Chart
from analytics_assets.report.findings import Findings, Part, Products, Range, Special, Weekday
from analytics_assets.report.tree import Bullets, Document, Figure, Grid, Link, Paragraph, Says, Tiles
from analytics_assets.report.writing import document
from analytics_assets.statistics.changes import Change, of_days
from analytics_assets_tests.report.worlds import (
    NOTHING,
    PERIOD,
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
    outlook,
    quality,
    report,
    segment,
    shipped,
    world,
)

CONVERSION = {"name": "conversion", "unit": "share", "chance": "people", "table": "fact_user_days", "value": 0.12}


def opposite(change: Callable[[float], Findings], said: str, unsaid: str) -> tuple[Findings, Findings, str, str]:
    return change(1.0), change(-1.0), said, unsaid


def points(middle: float) -> Change:
    return Change(0.1, 0.12, middle, middle - 0.01, middle + 0.01)


def weekday(middle: float) -> Weekday:
    return Weekday(7, middle, middle - 0.125, middle + 0.125, "multiplicative")


OPPOSITES = {
    "conversion": opposite(
        lambda way: world(kpis=(kpi(points(0.02 * way), **CONVERSION),)),
        "Conversion rose by 2 points to 12 %",
        "Conversion fell by 2 points to 12 %",
    ),
    "an experiment": opposite(
        lambda way: world(experiments=(shipped(100, 300) if way > 0 else experiment("rollback"),)),
        "Give short of checkout to everybody",
        "Take short of checkout back",
    ),
    "a campaign": opposite(
        lambda way: world(campaigns=(campaign(2100, 4000) if way > 0 else campaign(-500, 1000),)),
        "Paid for itself, by profit: Spring (C1).",
        "Did not pay for itself, by profit: Spring (C1).",
    ),
    "a segment": opposite(
        lambda way: world(segments=(segment("Champions", 0.02 * way),)),
        "the share of Champions (+1.5 to +2.5 points) rose",
        "the share of Champions (-2.5 to -1.5 points) fell",
    ),
    "the outlook": opposite(
        lambda way: world(outlook=outlook(1100, 1300) if way > 0 else outlook(700, 900)),
        "more than the 1,000 EUR of the last 14 days",
        "less than the 1,000 EUR of the last 14 days",
    ),
    "a funnel": opposite(
        lambda way: world(funnels=(funnel(change=points(0.03 * way), compared=(PERIOD, PERIOD)),)),
        "went all the way rose by 3 points",
        "went all the way fell by 3 points",
    ),
    "a weekday": opposite(
        lambda way: world(season=replace(named(), weekdays=(weekday(0.25 * way),))),
        "Sundays lie 25 % above the mean of the week (+12.5 % to +37.5 %)",
        "Sundays lie 25 % below the mean of the week (-37.5 % to -12.5 %)",
    ),
}


@pytest.mark.parametrize(("one", "other", "said", "unsaid"), OPPOSITES.values(), ids=list(OPPOSITES))
def test_opposite_worlds_give_opposite_sentences(one: Findings, other: Findings, said: str, unsaid: str) -> None:
    up, down = report(one), report(other)
    assert said in up
    assert unsaid not in up
    assert unsaid in down
    assert said not in down


def test_thin_data_let_nothing_be_told() -> None:
    thin = report(
        world(
            kpis=(kpi(moved(0.1, -0.3, 0.5)),),
            campaigns=(campaign(-500, 4000), dark()),
            outlook=outlook(700, 1300),
            segments=(segment("Champions", 0.001),),
            experiments=(experiment("inconclusive"),),
        )
    )
    assert "Whether net revenue (-30 % to +50 %) changed cannot be told" in thin
    assert "Whether Spring (C1) pays cannot be told: after its spend of 1,000 EUR" in thin
    assert "What Summer (C2) brought that would not have come anyway is not identified" in thin
    assert "Of none can it be told whether it paid for itself" in thin
    assert "which cannot be told apart from the 1,000 EUR of the last 14 days" in thin
    assert "Whether short of checkout helps cannot be told" in thin
    assert "None of the" in thin
    for word in (
        "rose",
        "fell",
        "Paid for",
        "Did not pay",
        "more than the",
        "less than the",
        "Give",
        "Take",
        "Prepare",
    ):
        assert not re.search(rf"\b{word}\b", thin), word


def test_a_steady_number_neither_rose_nor_fell() -> None:
    told = report(world(kpis=(kpi(moved(0.01, -0.02, 0.04)),)))
    assert "Net revenue (-2 % to +4 %) did not change noticeably" in told
    assert "cannot be told" not in told
    assert "rose" not in told


def test_one_week_of_data_is_compared_with_nothing() -> None:
    week = Range(dt.date(2024, 3, 25), dt.date(2024, 3, 31))
    told = report(replace(world(kpis=(kpi(None),)), period=week, before=None))
    assert "With 7 days of data there is no period before to compare with: no change can be told." in told
    assert "intervals of 95 %" not in told
    assert "against" not in told.split("Recommendations")[0].split("Key figures")[1].split("With 7")[0]


def test_too_few_days_show_a_change_and_no_interval() -> None:
    told = report(world(kpis=(kpi(of_days([10.0] * 7, [5.0] * 7)),)))
    assert "7 days are too few to tell chance from change" in told
    assert "Net revenue rose" not in told


def test_an_empty_project_says_so() -> None:
    told = report(
        replace(NOTHING, absent={"Experiments": "needs fact_assignments", "Funnels": "the project asks for none"})
    )
    assert "There are no days of orders or events to report on." in told
    assert "Experiments: needs fact_assignments." in told
    assert "Funnels: the project asks for none." in told
    for heading in ("Key figures", "Marketing", "Customers", "Products", "Geography", "Data quality"):
        assert heading not in told


def test_what_only_ships_is_worth_something() -> None:
    rolled = replace(experiment("rollback"), told=True, revenue=5000.0, revenue_low=4000.0, revenue_high=6000.0)
    told = report(world(experiments=(rolled,)))
    assert "5,000" not in told
    assert "4,000 to 6,000 EUR" not in told


def test_profit_is_told_where_costs_are_known_and_revenue_elsewhere() -> None:
    costed, plain = shipped(100, 300), replace(shipped(100, 300), margin=None, margin_low=None, margin_high=None)
    assert "is worth 200 EUR of profit a month (100 to 300 EUR)" in report(world(experiments=(costed,)))
    assert "is worth 400 EUR of revenue a month (200 to 600 EUR)" in report(world(experiments=(plain,)))


def test_a_gap_that_several_funnels_show_is_recommended_once() -> None:
    told = world(funnels=(funnel(friction(-0.1)), replace(funnel(friction(-0.2, funnel="visit")), name="visit")))
    assert len(told.frictions) == 1
    assert report(told).count("Look for what stops mobile") == 2  # in short at a glance, and in full


def test_named_days_are_told_and_what_is_left_without_them() -> None:
    calm = kpi(moved(-0.1, -0.15, -0.05), plain=moved(0.1, 0.05, 0.15), plain_days=20)
    told = report(world(kpis=(calm,), season=named(before=("Black Friday",))))
    assert "The one before held Black Friday; the changes are not adjusted for these days." in told
    assert "On the 20 pairs of days of which none has a name, net revenue rose (+10 %, +5 % to +15 %)." in told


def test_parts_are_told_with_their_intervals() -> None:
    parts = (Part("DE", 800.0, 0.8, moved(0.2, 0.1, 0.3)), Part("FR", 200.0, 0.2, moved(0.2, -0.1, 0.5)))
    told = report(world(places=parts))
    assert "DE brings the most, 80 % of net revenue of the period." in told
    assert "DE 800 EUR 80 % +20 % +10 % to +30 %" in told


def test_lost_and_won_products_and_customers_are_counted() -> None:
    sold = Products(10, 3, 50, 0.4, (Part("Lamp", 100.0, 0.25),), ())
    told = report(world(products=sold, churn=churn()))
    assert "3 products of 10 sold so far bring 80 % of net revenue (class A)." in told
    assert "told with an AUC of 0.80 (0.77 to 0.83), and its chances are calibrated" in told


def test_a_named_day_that_never_was_has_no_effect() -> None:
    never = Special("Founders day", None, None, None, 0, "", "never observed", dt.date(2024, 4, 2))
    told = report(world(season=replace(named(), specials=(never,))))
    assert "Founders day 2024-04-02 0 n/a never observed" in told


def everything() -> Findings:
    return world(
        kpis=(kpi(moved(-0.1, -0.15, -0.05)), kpi(moved(0.0, -0.3, 0.3), name="orders", unit="count")),
        funnels=(funnel(friction(-0.1)),),
        experiments=(shipped(100, 300), experiment("rollback"), experiment("inconclusive")),
        segments=(segment("Champions", -0.02),),
        churn=churn(),
        products=Products(10, 3, 50, 0.4),
        places=(Part("DE", 1.0, 1.0),),
        outlook=outlook(1100, 1300),
        campaigns=(campaign(2100, 4000), dark()),
        quality=quality(delivered()),
    )


CHARTS = {
    "revenue_forecast": Chart("Revenue, and what is expected", ("forecast", "revenue_daily")),
    "campaign_roi": Chart("Returns on spend", ("campaign_roi_analysis",)),
    "funnel_buying_by_device": Chart("By device", ("funnel_buying_friction",)),
    "experiments_overview": Chart("Experiments", ("experiment_verdicts",)),
    "rfm": Chart("Segments", ("rfm_segments",)),
    "a_chart_of_nobody": Chart("Nothing", ("nothing",)),
}


def said(told: Document) -> list[Says]:
    blocks = [block for section in told.sections for block in section.blocks]
    inside = [block.says for block in blocks if isinstance(block, Paragraph) and not block.note]
    inside += [block.items for block in blocks if isinstance(block, Bullets)]
    return [one for says in inside for one in says]


def test_every_link_leads_somewhere() -> None:
    told = document(everything(), CHARTS, {"revenue_daily": "one row a day"})
    blocks = [block for section in told.sections for block in section.blocks]
    links = [link for one in said(told) for link in one.links]
    links += [link for block in blocks if isinstance(block, Grid) for link in block.links]
    links += [tile.link for block in blocks if isinstance(block, Tiles) for tile in block.tiles]
    tables = {source.table for source in told.sources}
    assert {link.name for link in links if link.kind == "table"} == tables
    assert {link.name for link in links if link.kind == "figure"} <= set(told.figures)
    assert "a_chart_of_nobody" not in told.figures
    assert Link("figure", "campaign_roi") in links


def test_each_recommendation_rests_on_a_table_and_on_a_figure_where_there_is_one() -> None:
    told = document(everything(), CHARTS, {})
    (section,) = [section for section in told.sections if section.name == "recommendations"]
    (bullets,) = [block for block in section.blocks if isinstance(block, Bullets)]
    assert len(bullets.items) >= 6
    for one in bullets.items:
        assert [link.kind for link in one.links][:1] == ["table"], one.head
    with_figures = {one.head for one in bullets.items if any(link.kind == "figure" for link in one.links)}
    assert {"Run Spring (C1) again", "Prepare for more", "Give short of checkout to everybody"} <= with_figures


def test_every_sentence_with_a_number_of_chance_names_its_table() -> None:
    told = document(everything(), CHARTS, {})
    glance = next(section for section in told.sections if section.name == "glance")
    shortened = {
        id(one) for block in glance.blocks if isinstance(block, Bullets) and block.numbered for one in block.items
    }
    bare = [
        one.whole for one in said(told) if not one.links and id(one) not in shortened and re.search(r"\d", one.text)
    ]
    assert bare == []


def test_no_chart_is_shown_twice() -> None:
    told = document(everything(), CHARTS, {})
    blocks = [block.name for section in told.sections for block in section.blocks if isinstance(block, Figure)]
    assert len(blocks) == len(set(blocks))
    assert len({pattern for patterns in CONTENTS.values() for pattern in patterns}) == sum(map(len, CONTENTS.values()))
