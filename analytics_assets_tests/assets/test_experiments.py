from __future__ import annotations

from analytics_assets.assets.experiments import fact_assignments
from analytics_assets.contracts.star import FACT_ASSIGNMENTS
from analytics_assets.lake.tables import conform
from analytics_assets_tests.making import at, day, staged


def test_every_kept_assignment_is_there_and_whoever_has_no_variant_stays_on_the_roster(engine):
    rows = staged(
        "experiment_assignments",
        {"experiment": "x", "user_id": "ann", "variant": "test", "assigned_at": at("01 10:00"), "day": day(1)},
        {"experiment": "x", "user_id": "bob", "variant": None},
        {"experiment": "x", "user_id": "cid", "variant": "test", "excluded_as": "staff"},
        {"experiment": "x", "user_id": None, "variant": "test", "rejected": ["missing_user_id"]},
    )
    found = engine.rows(conform(fact_assignments(rows), FACT_ASSIGNMENTS).order_by("user_id"))
    assert [(row["user_id"], row["variant"], row["day"], row["excluded_as"]) for row in found] == [
        ("ann", "test", day(1), None),
        ("bob", None, None, None),
        ("cid", "test", None, "staff"),
    ]
