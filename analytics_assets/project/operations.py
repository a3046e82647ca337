"""What a team declares about the daily run in `project.yaml`: when it begins, and by when its day has to be there.

Belongs here: the model of that section. Does not belong here: what runs, and how (`automation`).
"""

from __future__ import annotations

import datetime as dt
import re
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from analytics_assets.project.base import Model

Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
WEEKDAYS: tuple[Weekday, ...] = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_TIME = re.compile(r"^([01]\d|2[0-3]):[0-5]\d$")


def _time_of_day(given: object) -> object:
    if isinstance(given, dt.time):
        return given
    if isinstance(given, int):  # YAML reads 09:00 without quotes as a number of minutes or seconds
        raise ValueError(  # noqa: TRY004 - pydantic makes a message of it
            f'write the time in quotes, such as "{given // 60 % 24:02}:{given % 60:02}"'
        )
    if not isinstance(given, str) or not _TIME.match(given):
        raise ValueError(f"'{given}' is no time of day; write hours and minutes, such as \"06:00\"")
    return dt.time.fromisoformat(given)


TimeOfDay = Annotated[dt.time, BeforeValidator(_time_of_day)]


class Daily(Model):
    """Say when the daily run begins, by when yesterday has to be there, and how missed days are caught up."""

    at: TimeOfDay = Field(dt.time(6), description="when the run of yesterday begins, in the reporting time zone")
    fresh_by: TimeOfDay = Field(dt.time(9), description="when yesterday has to be there; else an alert is sent")
    catch_up_days: int = Field(31, ge=0, le=366, description="how many missed days a run catches up, the oldest first")
    weekly_on: Weekday = Field("monday", description="the day on which models and calibrations are computed as well")

    @model_validator(mode="after")
    def _is_due_after_it_begins(self) -> Daily:
        if self.fresh_by <= self.at:
            raise ValueError(f"fresh_by {self.fresh_by:%H:%M} does not lie after at {self.at:%H:%M}")
        return self
