"""What was planted in the shop beside what was found: sentences follow the tables, and say less where there is less."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from analytics_assets.report.shop import answers

Tables = dict[str, list[dict[str, Any]]]
LIFT = "experiment.new_cart.treatment.purchase.lift"


@pytest.fixture
def tables() -> Tables:
    """Give a world in which everything agrees."""
    return {
        "shop_truth": [
            {"name": LIFT, "value": 0.12, "reappears": "purchase in visits with begin_checkout; verdict: ship"},
            {"name": "experiment.later.treatment.purchase.lift", "value": 0.5, "reappears": "verdict: ship"},
            {"name": "campaign.C1.visits", "value": 100.0, "reappears": ""},
            {"name": "campaign.C2.visits", "value": 900.0, "reappears": ""},
            {"name": "churn.auc", "value": 0.9047, "reappears": ""},
            {"name": "funnel.search", "value": None, "reappears": ""},
        ],
        "shop_findings": [
            _finding("funnel.purchase.desktop", 0.78, 0.7676, 0.7372, 0.7955),
            _finding("funnel.purchase.mobile", 0.56, 0.5699, 0.5409, 0.5983),
            _finding("happened.net", 2102645.17, 2102645.17, 2102645.17, 2102645.17),
        ],
        "shop_dirt": [
            {"found_as": "duplicate", "planted": 6700, "found": 6700},
            {"found_as": "too_late", "planted": 242, "found": 242},
        ],
        "experiment_verdicts": [_verdict("later", dt.date(2025, 5, 1)), _verdict("new_cart", dt.date(2025, 4, 2))],
        "funnel_purchase_friction": [
            {"dimension": "", "value": "", "name": "purchase", "rank": 1},
            {"dimension": "device", "value": "mobile", "name": "purchase", "rank": 1},
        ],
        "campaign_incrementality": [_increment("C1", 80.0, 30.0, 140.0), _increment("C2", None, None, None)],
        "dim_campaigns": [{"campaign_id": "C1", "name": "Summer sale"}],
        "customer_churn_performance": [
            {"model": "boosting", "metric": "auc", "value": 0.9, "low": 0.893, "high": 0.906, "customers": 8910}
            | {"test_cut": dt.date(2025, 11, 1)}
        ],
    }


def _finding(name: str, planted: float, found: float, low: float, high: float) -> dict[str, Any]:
    return {"name": name, "planted": planted, "found": found, "low": low, "high": high, "verdict": "agrees"}


def _verdict(experiment: str, starts: dt.date) -> dict[str, Any]:
    told = {"experiment": experiment, "variant": "treatment", "verdict": "ship", "over": True, "starts": starts}
    return told | {"metric": "buyers over 7 days", "difference": 0.0837, "low": 0.0554, "high": 0.112}


def _increment(campaign: str, estimate: float | None, low: float | None, high: float | None) -> dict[str, Any]:
    told = {"campaign_id": campaign, "outcome": "visits", "complete": True}
    return told | {"estimate": estimate, "low": low, "high": high}


def _said(tables: Tables, about: str) -> str:
    return next(answer.says for answer in answers(tables) if answer.about.startswith(about))


def test_a_full_year_is_told_in_five_sentences(tables: Tables) -> None:
    assert [answer.about for answer in answers(tables)] == [
        "experiment new_cart",
        "checkout on mobile",
        "campaign Summer sale",
        "churn",
        "dirt",
    ]
    assert _said(tables, "experiment") == (
        "the step purchase was made 12 % likelier; found +8.4 points [+5.5 to +11.2] in buyers over 7 days. "
        "Verdict: ship, as planted."
    )
    assert _said(tables, "checkout") == (
        "56 % were to end in a purchase (desktop: 78 %); found 57.0 % [54.1 to 59.8] (desktop: 76.8 % [73.7 to 79.5])."
        " The funnel's largest loss is mobile at purchase, as planted."
    )
    assert _said(tables, "campaign") == (
        "100 more visits were planted; found 80 [30 to 140] against regions without it. "
        "The interval holds the truth for 1 of 1 campaign, and 1 more cannot be told."
    )
    assert "0.905; the model's is 0.900 [0.893 to 0.906], on 8,910 customers of 2025-11-01" in _said(tables, "churn")
    assert _said(tables, "dirt") == (
        "6,942 rows of 2 kinds planted; each was found as what it is. Net sales of 2,102,645.17 are found to the cent."
    )


def test_what_differs_is_said_to_differ(tables: Tables) -> None:
    for row in tables["experiment_verdicts"]:
        row["verdict"] = "inconclusive"
    tables["funnel_purchase_friction"][1]["value"] = "tablet"
    tables["campaign_incrementality"][0] |= {"low": 110.0}
    tables["shop_dirt"][0]["found"] = 6699
    tables["shop_findings"][2] |= {"found": 2102645.18, "verdict": "differs"}
    assert "Verdict: inconclusive, where ship was planted." in _said(tables, "experiment")
    assert "largest loss is tablet at purchase, not as planted." in _said(tables, "checkout")
    assert "holds the truth for 0 of 1 campaign" in _said(tables, "campaign")
    assert "1 kind not so: 6,699 of 6,700 duplicate." in _said(tables, "dirt")
    assert "are found as 2,102,645.18." in _said(tables, "dirt")


def test_a_step_made_harder_is_said_to_be(tables: Tables) -> None:
    tables["shop_truth"][0]["value"] = -0.12
    assert "was made 12 % less likely" in _said(tables, "experiment")


@pytest.mark.parametrize(
    ("lacks", "about"),
    [
        ("shop_truth", "experiment"),
        ("experiment_verdicts", "experiment"),
        ("shop_findings", "checkout"),
        ("campaign_incrementality", "campaign"),
        ("customer_churn_performance", "churn"),
        ("shop_dirt", "dirt"),
    ],
)
def test_what_no_table_tells_is_not_told(tables: Tables, lacks: str, about: str) -> None:
    del tables[lacks]
    assert not [answer for answer in answers(tables) if answer.about.startswith(about)]


def test_what_is_not_known_yet_is_not_told(tables: Tables) -> None:
    for row in tables["experiment_verdicts"]:
        row["over"] = False
    tables["campaign_incrementality"][0] |= {"complete": False}
    tables["customer_churn_performance"][0] |= {"value": None, "low": None, "high": None}
    tables["shop_findings"][1] |= {"found": None, "low": None, "high": None}
    tables["shop_dirt"] = []
    assert [answer.says for answer in answers(tables)] == ["Net sales of 2,102,645.17 are found to the cent."]


def test_an_empty_release_tells_nothing() -> None:
    assert answers({}) == []
