from __future__ import annotations

import datetime as dt
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from analytics_assets.contracts.quality import CHECKS
from analytics_assets.project.model import ProjectFile
from analytics_assets.project.quality import Watched

DAY = dt.date(2025, 6, 22)


def declared(**says: Any) -> ProjectFile:
    return ProjectFile.model_validate({"name": "shop", "first_day": "2025-01-01", "quality": says})


def test_a_project_need_not_say_anything_of_quality():
    told = ProjectFile.model_validate({"name": "shop", "first_day": "2025-01-01"}).quality
    assert (told.errors, told.accepted, told.false_alarm_rate, told.weeks, told.wait_days) == ([], [], 0.01, 8, 0)


def test_errors_are_the_checks_that_there_are():
    assert set(get_args(Watched)) == set(CHECKS)


def test_days_are_accepted_one_by_one_in_a_row_and_by_table():
    told = declared(
        accepted=[
            {"day": DAY, "table": "fact_sales", "reason": "a large order"},
            {"day": "2025-07-01", "last": "2025-07-03", "reason": "maintenance"},
        ]
    ).quality
    assert told.accepts(DAY, "fact_sales") == "a large order"
    assert told.accepts(DAY, "fact_events") is None
    assert [told.accepts(dt.date(2025, 7, n), "fact_events") for n in (1, 3, 4)] == ["maintenance", "maintenance", None]


@pytest.mark.parametrize(
    ("says", "message"),
    [
        ({"errors": ["volumes"]}, "'volume', 'metrics'"),
        ({"accepted": [{"day": "2025-07-01"}]}, "reason"),
        ({"accepted": [{"day": "2025-07-01", "reason": ""}]}, "at least 1 character"),
        ({"accepted": [{"day": "2025-07-02", "last": "2025-07-01", "reason": "x"}]}, "last 2025-07-01 lies before day"),
        ({"false_alarm_rate": 0}, "greater than 0"),
        ({"weeks": 4}, "greater than or equal to 5"),
        ({"alarms": 1}, "Extra inputs"),
    ],
)
def test_what_makes_no_sense_is_told(says: dict[str, Any], message: str):
    with pytest.raises(ValidationError, match=message):
        declared(**says)
