from __future__ import annotations

import datetime as dt

from analytics_assets.assets.marketing_charts import campaign_roi, campaign_spend
from analytics_assets.contracts.marketing import CAMPAIGN_CORRELATION, CAMPAIGN_DAILY, CAMPAIGN_ROI_ANALYSIS
from analytics_assets_tests.making import table

DAY = dt.date(2025, 6, 1)


def test_the_methods_of_a_campaign_stand_side_by_side_as_revenue_of_a_unit_of_spend() -> None:
    one = {"campaign_id": "C1", "name": "One", "spend": 10, "first_day": DAY, "last_day": DAY}
    methods = {"naive": 9.0, "attributed_first": 4.0, "attributed_last": 3.0, "attributed_linear": 3.5}
    told = [one | {"method": method, "roas": roas, "state": "counted"} for method, roas in methods.items()]
    interval = {"roas": 1.5, "roi_low": -0.5, "roi_high": 1.5, "state": "identified"}
    told += [one | {"method": "incremental"} | interval]
    told += [
        {"campaign_id": "C2", "method": "incremental", "spend": 5, "state": "not identified", "reason": "no control"}
    ]
    first, second = campaign_roi(table(CAMPAIGN_ROI_ANALYSIS, *told)).order_by("campaign_id").to_pyarrow().to_pylist()
    assert {name: first[name] for name in methods} == methods
    assert (first["low"], first["incremental"], first["high"], first["state"]) == (0.5, 1.5, 2.5, "identified")
    assert (second["low"], second["state"], second["reason"]) == (None, "not identified", "no control")


def test_spend_and_all_revenue_of_a_day_are_summed_over_campaigns_and_orders_without_one() -> None:
    told = [("C1", 10, 50), ("C2", 5, 20), ("(none)", 0, 100)]
    days, _ = campaign_spend(
        table(CAMPAIGN_DAILY, *[{"campaign_id": c, "day": DAY, "spend": s, "net": n} for c, s, n in told]),
        table(CAMPAIGN_CORRELATION),
    )
    assert days.to_pyarrow().to_pylist() == [{"day": DAY, "spend": 15.0, "net": 170.0}]
