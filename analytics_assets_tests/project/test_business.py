from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from analytics_assets.project.model import ProjectFile

LEAST = {"name": "shop", "first_day": "2025-01-01", "currency": "EUR"}


def declared(**says: Any) -> ProjectFile:
    return ProjectFile.model_validate({**LEAST, **says})


def test_a_project_need_not_say_anything_of_its_business():
    told = declared()
    assert (told.customers.churn_days, told.forecasts.days, told.marketing.control, told.rates) == (60, 14, None, {})


@pytest.mark.parametrize(
    ("says", "message"),
    [
        ({"forecasts": {"holidays": "Germany"}}, "'Germany' is no place"),
        ({"forecasts": {"holidays": "XX"}}, "no holidays are known of 'XX'"),
        ({"forecasts": {"holidays": "DE-XX"}}, "DE has no subdivision 'XX'; it has BB"),
        ({"marketing": {"control": {"by": "region"}}}, "a control needs either `values` or `property`"),
        ({"marketing": {"control": {"values": {"c": ["x"]}, "property": "p"}}}, "either `values` or `property`"),
        ({"marketing": {"control": {"by": "regoin", "property": "p"}}}, "did you mean 'region'"),
        ({"rates": {"EUR": {"2025-01-01": 1}}}, "rates are of other currencies, and EUR is the project's own"),
        ({"rates": {"usd": {"2025-01-01": 1}}}, "'usd' is no currency"),
        ({"rates": {"USD": {}}}, "USD has no rate; write USD: {2025-01-01: RATE}"),
        ({"rates": {"USD": {"2025-01-01": 0}}}, "greater than 0"),
        ({"customers": {"churn_days": 0}}, "greater than or equal to 1"),
        ({"customers": {"churn": 30}}, "Extra inputs"),
    ],
)
def test_what_makes_no_sense_is_told(says: dict[str, Any], message: str):
    with pytest.raises(ValidationError, match=message.replace("{", r"\{").replace("}", r"\}")):
        declared(**says)


def test_holidays_may_be_those_of_a_subdivision():
    assert declared(forecasts={"holidays": "DE-BY"}).forecasts.holidays == "DE-BY"
