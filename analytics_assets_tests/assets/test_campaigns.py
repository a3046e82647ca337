from __future__ import annotations

from decimal import Decimal

from analytics_assets.assets.campaigns import fact_campaign_spend
from analytics_assets.contracts.model import UNKNOWN_MEMBER
from analytics_assets.contracts.star import FACT_CAMPAIGN_SPEND
from analytics_assets.lake.tables import conform
from analytics_assets_tests.making import at, day, staged


def test_spend_is_kept_by_campaign_day_and_channel_and_a_missing_channel_is_the_unknown_one(engine):
    rows = staged(
        "campaign_spend",
        {"campaign_id": "c", "day": day(1), "spent_on": at("01 00:00"), "channel": "mail", "spend": "1.5", "clicks": 3},
        {"campaign_id": "c", "day": day(1), "spent_on": at("01 00:00"), "spend": "2"},
        {"campaign_id": "d", "day": day(1), "spent_on": at("01 00:00"), "spend": "-2", "rejected": ["negative_spend"]},
    )
    found = engine.rows(conform(fact_campaign_spend(rows), FACT_CAMPAIGN_SPEND).order_by("spend"))
    assert [(row["campaign_id"], row["channel"], row["spend"], row["clicks"]) for row in found] == [
        ("c", "mail", Decimal("1.5"), 3),
        ("c", UNKNOWN_MEMBER, Decimal(2), None),
    ]
