"""The plan of an experiment, from `experiments/NAME.yaml`: what is tried on whom, and by what it will be judged.

Belongs here: the model of a plan, and what one file can say wrong. Does not belong here: what takes the metrics to be
judged (`asking`), when a plan was registered (`plans`), and any number (`statistics`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator

from analytics_assets.project.base import Model
from analytics_assets.project.questions import Match, Name

_ROUNDING = 1e-9
Share = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Probability = Annotated[float, Field(gt=0, lt=1)]
Text = Annotated[str, Field(min_length=1)]
Method = Literal["fixed", "always_valid", "group_sequential"]
Role = Literal["primary", "secondary", "guardrail"]


def _only_users(unit: str) -> str:
    if unit != "user":
        raise ValueError(
            f"the unit '{unit}' is not analysed: only users are; sessions and devices of one user are not independent "
            "of each other, and may get several variants"
        )
    return unit


def _one(given: Any) -> Any:  # noqa: ANN401 - whatever the file says
    if isinstance(given, list):
        raise ValueError(  # noqa: TRY004 - pydantic turns a ValueError into a problem, and a TypeError into a crash
            f"a plan has one primary metric, and this is a list of {len(given)}: write the one that decides as a "
            "mapping, and the others under `secondary`"
        )
    return given


def _salt(text: str) -> str:
    if ":" in text:
        raise ValueError(f"the salt '{text}' has a colon, which stands between the salt and the user")
    return text


class Measured(Model):
    """Say which metric is measured of each exposed user, and how long."""

    metric: Name = Field(description="the metric, of metrics/NAME.yaml")
    window_days: int = Field(
        ge=1, le=365, description="how long it is measured: 24 hours a day from a user's exposure on, after the delay"
    )
    delay_days: int = Field(0, ge=0, le=90, description="days after exposure that are left out before")
    minimum_effect: Positive | None = Field(
        None, description="the least absolute difference that would matter, in the metric's unit a user"
    )

    @property
    def called(self) -> str:
        """The metric with its window, as people say it.

        >>> Measured(metric="buyers", window_days=7, delay_days=1).called
        'buyers over 7 days after 1 day'
        """
        days, delay = self.window_days, self.delay_days
        later = f" after {delay} day{'s' * (delay > 1)}" if delay else ""
        return f"{self.metric} over {days} day{'s' * (days > 1)}{later}"


class Primary(Measured):
    """Name the metric that decides."""

    minimum_effect: Positive = Field(
        description="the least absolute difference that would matter, in the metric's unit a user"
    )


class Guardrail(Measured):
    """Name a metric that must not get worse by more than a margin."""

    margin: Positive = Field(
        description="by how much it may be worse, absolutely, in the metric's unit a user: non-inferiority"
    )


class Amendment(Model):
    """Say what was changed in a plan that had been locked, and why."""

    on: dt.date = Field(description="the day of the change")
    what: Text = Field(description="what was changed")
    why: Text = Field(description="why, and what was known of the results by then")


class Plan(Model):
    """Plan an experiment, in `experiments/NAME.yaml`; the name is what the assignments call it."""

    description: str = Field("", description="what it is about")
    hypothesis: Text = Field(description="what is believed, so that the primary metric can prove it wrong")
    owner: str = Field("", description="whom to ask")
    unit: Annotated[str, AfterValidator(_only_users)] = Field(
        "user", description="what is assigned and compared: user, and nothing else for now"
    )
    variants: dict[Text, Share] = Field(
        min_length=2,
        max_length=10,
        description="share of the users by variant, as the assignments call it; they sum to 1",
    )
    control: str = Field(
        "", validate_default=True, description="the variant that others are compared with; the first by default"
    )
    exposure: Match = Field(
        description="the event by which a user meets the variant, or would: the first at or after the assignment"
    )
    starts: dt.date = Field(description="the first day on which users are exposed, in the reporting time zone")
    ends: dt.date = Field(description="the last such day, planned beforehand")
    primary: Annotated[Primary, BeforeValidator(_one)] = Field(description="the metric that decides: one")
    secondary: list[Measured] = Field([], description="metrics that explain, and decide nothing")
    guardrails: list[Guardrail] = Field([], description="metrics that must not get worse by more than a margin")
    segments: list[Text] = Field(
        [],
        description="by what users are told apart, as it was before exposure: device, country or campaign_id of their "
        "last event until then, or `user.COLUMN`",
    )
    covariate_days: int = Field(
        28, ge=0, le=365, description="days before exposure whose value of a metric lessens its noise (CUPED); 0: none"
    )
    method: Method = Field(
        "fixed",
        description="fixed: judged once, at the end; always_valid: any day; group_sequential: at `looks` times",
    )
    looks: int = Field(5, ge=2, le=50, description="of group_sequential: how often it is judged, the end included")
    alpha: Probability = Field(0.05, description="how often an effect may be seen where there is none")
    power: Probability = Field(0.8, description="how often the minimum effect should be seen where it is there")
    salt: Annotated[str, Field(min_length=1), AfterValidator(_salt)] | None = Field(
        None,
        description="of `assign`, the experiment's name by default; where it is given, assignments are verified by it",
    )
    amendments: list[Amendment] = Field([], description="what was changed after the plan was locked, oldest first")

    @property
    def days(self) -> int:
        """The number of days on which users are exposed."""
        return (self.ends - self.starts).days + 1

    @property
    def treatments(self) -> tuple[str, ...]:
        """The variants that are compared with the control."""
        return tuple(name for name in self.variants if name != self.control)

    def measured(self) -> tuple[tuple[Role, Measured], ...]:
        """Return every metric that is measured, with the role that it plays; the primary is the first."""
        others: list[tuple[Role, Measured]] = [("secondary", told) for told in self.secondary]
        return (("primary", self.primary), *others, *(("guardrail", told) for told in self.guardrails))

    @field_validator("variants")
    @classmethod
    def _comes_to_one(cls, variants: dict[str, float]) -> dict[str, float]:
        if abs(sum(variants.values()) - 1) > _ROUNDING:
            raise ValueError(f"the shares of the variants come to {sum(variants.values()):.10g}, not to 1")
        return variants

    @field_validator("control")
    @classmethod
    def _is_a_variant(cls, control: str, info: ValidationInfo) -> str:
        variants = info.data.get("variants")
        if variants is None:
            return control
        if control and control not in variants:
            raise ValueError(f"there is no variant '{control}' to be the control; there are: {', '.join(variants)}")
        return control or next(iter(variants))

    @field_validator("exposure")
    @classmethod
    def _exposes_somebody(cls, exposure: Match) -> Match:
        if exposure.event is None and not exposure.where:
            raise ValueError("an exposure needs an `event` or a `where`; write {event: page_view} for any visit")
        return exposure

    @field_validator("ends")
    @classmethod
    def _ends_after_it_starts(cls, ends: dt.date, info: ValidationInfo) -> dt.date:
        starts = info.data.get("starts")
        if starts is not None and ends < starts:
            raise ValueError(f"it ends on {ends}, before it starts on {starts}")
        return ends

    @field_validator("secondary", "guardrails")
    @classmethod
    def _measures_nothing_twice(cls, measured: list[Measured], info: ValidationInfo) -> list[Measured]:
        above = [info.data.get("primary"), *info.data.get("secondary", [])]
        told = [known.called for known in above if known is not None]
        for one in measured:
            if one.called in told:
                raise ValueError(f"{one.called} is measured twice: keep it once, or give it another window")
            told.append(one.called)
        return measured

    @field_validator("segments")
    @classmethod
    def _segments_once(cls, segments: list[str]) -> list[str]:
        if len(set(segments)) < len(segments):
            again = next(name for place, name in enumerate(segments) if name in segments[:place])
            raise ValueError(f"users are told apart by '{again}' twice: keep one of them")
        return segments

    @field_validator("looks")
    @classmethod
    def _looks_are_of_groups(cls, looks: int, info: ValidationInfo) -> int:
        method = info.data.get("method", "group_sequential")
        if method != "group_sequential":
            raise ValueError(f"`looks` belong to `method: group_sequential`, not to {method}")
        return looks

    @field_validator("amendments")
    @classmethod
    def _amended_in_order(cls, amendments: list[Amendment]) -> list[Amendment]:
        days: Sequence[dt.date] = [amendment.on for amendment in amendments]
        if list(days) != sorted(days):
            raise ValueError("amendments stand in the order of their days, the oldest first")
        return amendments
