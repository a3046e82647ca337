"""What a team declares about its business in `project.yaml`: customers, forecasts, marketing, rates of exchange.

Belongs here: the models of those sections. Does not belong here: what the analyses make of them (`analysis`).
"""

from __future__ import annotations

import datetime as dt
import difflib
import re
from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from analytics_assets.contracts import star
from analytics_assets.project.base import Model

_COUNTRY = re.compile(r"^[A-Z]{2}(-[A-Z0-9]{1,3})?$")
_CURRENCY = re.compile(r"^[A-Z]{3}$")


def _place(code: str) -> str:
    import holidays

    if not _COUNTRY.match(code):
        raise ValueError(f"'{code}' is no place; write an ISO 3166 country, or with a subdivision: DE or DE-BY")
    country, _, subdivision = code.partition("-")
    known = holidays.list_supported_countries()
    if country not in known:
        raise ValueError(f"no holidays are known of '{country}'; write an ISO 3166 country such as DE, GB or US")
    if subdivision and subdivision not in known[country]:
        raise ValueError(f"{country} has no subdivision '{subdivision}'; it has {', '.join(known[country]) or 'none'}")
    return code


def _currency(code: str) -> str:
    if not _CURRENCY.match(code):
        raise ValueError(f"'{code}' is no currency; write its ISO 4217 code, such as EUR")
    return code


def _of_users(name: str) -> str:
    told = (*star.DIM_USERS.columns, *star.DIM_GEOGRAPHY.columns)
    known = sorted({c.name for c in told if c.type == "string" and not c.personal} - {"properties", "excluded_as"})
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise ValueError(f"users have no column '{name}'; {hint}There are: {', '.join(known)}")
    return name


Place = Annotated[str, AfterValidator(_place)]
CurrencyCode = Annotated[str, AfterValidator(_currency)]
Rate = Annotated[Decimal, Field(gt=0, max_digits=18, decimal_places=8)]
Rates = dict[CurrencyCode, dict[dt.date, Rate]]
"""What one unit of another currency is worth in the project's, from a day on."""


class Customers(Model):
    """Say when a customer is lost, how far ahead one is valued, and how long an order may come back."""

    churn_days: int = Field(60, ge=1, le=730, description="days without an order after which a customer has churned")
    horizon_days: int = Field(90, ge=1, le=1825, description="days ahead for which orders and value are expected")
    return_days: int = Field(30, ge=0, le=730, description="days in which an order may come back")


class Forecasts(Model):
    """Say how far ahead is forecast, and which days are not like others."""

    days: int = Field(14, ge=1, le=365, description="days ahead that are forecast")
    holidays: Place | None = Field(
        None, description="whose public holidays count: an ISO 3166 country, or a subdivision such as DE-BY"
    )
    special_days: dict[str, list[dt.date]] = Field(
        {}, description="the team's own days that are not like others, by name: sales, closures"
    )


class Control(Model):
    """Say where a campaign does not run: the users there show what would have come without it."""

    by: Annotated[str, AfterValidator(_of_users)] = Field(
        "region",
        description="the column of users, or of their places, that tells users apart",
    )
    values: dict[str, list[str]] = Field({}, description="its values where a campaign does not run, by campaign")
    property: str | None = Field(
        None, description='instead, the property of campaigns that lists these values, with ";" between them'
    )

    @model_validator(mode="after")
    def _says_where(self) -> Control:
        if bool(self.values) == (self.property is not None):
            raise ValueError("a control needs either `values` or `property`")
        return self


class Marketing(Model):
    """Say which touches an order may be credited to, and what campaigns are compared with."""

    lookback_days: int = Field(30, ge=1, le=365, description="days before an order whose touches are credited for it")
    control: Control | None = Field(
        None, description="where campaigns do not run; without it, what they added is not identified"
    )
