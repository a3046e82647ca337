"""What a team declares about quality in `project.yaml`: what blocks the release, and which days it accepts.

Belongs here: the models of that section. Does not belong here: how a day is judged (`statistics.monitoring`).
"""

from __future__ import annotations

import datetime as dt
from typing import Literal

from pydantic import Field, model_validator

from analytics_assets.project.base import Model

Watched = Literal["volume", "metrics", "nulls", "rejections", "categories", "new_values"]


class AcceptedDays(Model):
    """Accept what stands out on some days: it is told, and fails no check."""

    day: dt.date = Field(description="the day")
    last: dt.date | None = Field(None, description="the last of several days")
    table: str | None = Field(None, description="only what is found in this table; all by default")
    reason: str = Field(min_length=1, description="why, for those who ask later")

    @model_validator(mode="after")
    def _ends_after_it_begins(self) -> AcceptedDays:
        if self.last is not None and self.last < self.day:
            raise ValueError(f"last {self.last} lies before day {self.day}")
        return self

    def covers(self, day: dt.date, table: str) -> bool:
        """Say whether a finding of some day and table is accepted."""
        return self.day <= day <= (self.last or self.day) and self.table in {None, table}


class Quality(Model):
    """Say what stands out, and what follows from it."""

    errors: list[Watched] = Field(
        [],
        description="checks that block the release: volume, metrics, nulls, rejections, categories, new_values; "
        "the others warn",
    )
    accepted: list[AcceptedDays] = Field([], description="days on which what stands out is accepted")
    false_alarm_rate: float = Field(
        0.01, gt=0, le=0.2, description="share of days without a fault that may have a finding, in all series together"
    )
    least_change: float = Field(
        0.5,
        ge=0.05,
        le=10,
        description="the least change that is a finding: 0.5 is half as much again, or a third less",
    )
    weeks: int = Field(8, ge=5, le=52, description="weeks before a day by which it is judged")
    wait_days: int = Field(
        0, ge=0, le=60, description="days after its own until a day is judged, where many rows come late"
    )

    def accepts(self, day: dt.date, table: str) -> str | None:
        """Return why a finding is accepted, None where it is not."""
        return next((told.reason for told in self.accepted if told.covers(day, table)), None)
