"""The models of what a team asks: metrics, funnels, retention, paths; a file each.

Belongs here: one model a kind of question, and the analysis that it stands for. Does not belong here: how an answer is
computed (`analysis`) and which tables hold it (`assets`).
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, model_validator

from analytics_assets.analysis import funnel, retention
from analytics_assets.analysis.periods import Period
from analytics_assets.project.base import Model
from analytics_assets.project.conditions import Condition

_DURATION = re.compile(r"^\s*(?P<count>\d+(?:\.\d+)?)\s*(?P<unit>second|minute|hour|day|week)s?\s*$")

_LONGEST = dt.timedelta(days=36_500)


def _twice(names: Iterable[str]) -> str | None:
    """Return the first name that was there before."""
    told = list(names)
    return next((name for place, name in enumerate(told) if name in told[:place]), None)


def _duration(given: Any) -> dt.timedelta:  # noqa: ANN401
    if isinstance(given, dt.timedelta):
        return given
    found = _DURATION.match(str(given))
    if found is None:
        raise ValueError(f"'{given}' is no duration: write a number and seconds, minutes, hours, days or weeks: 7 days")
    try:
        duration = dt.timedelta(**{f"{found['unit']}s": float(found["count"])})
    except OverflowError:
        duration = dt.timedelta.max
    if duration > _LONGEST:
        raise ValueError(f"'{given}' is longer than {_LONGEST.days} days")
    return duration


def _shown(duration: dt.timedelta) -> str:
    for unit in ("week", "day", "hour", "minute"):
        count = duration / dt.timedelta(**{f"{unit}s": 1})
        if count >= 1 and count == int(count):
            return f"{int(count)} {unit}{'s' if count > 1 else ''}"
    return f"{duration.total_seconds():g} seconds"


Duration = Annotated[dt.timedelta, BeforeValidator(_duration), PlainSerializer(_shown)]
"""A length of time, such as `7 days`."""
Interval = Literal["day", "week", "month"]
Fact = Literal[
    "fact_events",
    "fact_sessions",
    "fact_sales",
    "fact_returns",
    "fact_user_days",
    "fact_user_day_events",
    "fact_campaign_spend",
    "sales_overview",
    "order_value",
]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=48)]


class Match(Model):
    """Pick events: by type, and by what else must hold of them."""

    event: str | None = Field(None, description="the event type; without one, any")
    where: Condition = Field({}, description="what else must hold: tests by column of the events, or by property")


class FunnelStep(Match):
    """Describe a step of a funnel."""

    name: str = Field("", description="what people call it; the event type by default")
    optional: bool = Field(default=False, description="whether the step may be left out")
    first_time: bool = Field(default=False, description="whether only the user's first event of this kind counts")

    @property
    def called(self) -> str:
        """The step's name."""
        return self.name or self.event or "anything"


class FunnelExclusion(Match):
    """Describe what must not happen between two steps; it voids the attempt."""

    after: str | None = Field(None, description="the step after which it must not happen; the first by default")
    before: str | None = Field(None, description="the step until which; the next by default")


class FunnelBreakdown(Model):
    """Say by what units are told apart, and which of their events decides."""

    by: str = Field(description="a column of the events, a property, or `user.COLUMN`: a column of `dim_users`")
    attribution: Literal["first_touch", "last_touch", "step", "all_events"] = Field(
        "step", description="whose value counts: the unit's first or last event, the one that reached `step`, or each"
    )
    step: str | None = Field(None, description="the step, for `step`; the first by default")

    @property
    def column(self) -> str:
        """The column that keeps the value at the beginning of an attempt."""
        return "by_" + re.sub(r"\W+", "_", self.by).lower()

    @model_validator(mode="after")
    def _step_belongs_to_step(self) -> FunnelBreakdown:
        if self.step is not None and self.attribution != "step":
            raise ValueError(f"`step` belongs to `attribution: step`, not to {self.attribution}")
        return self


class Funnel(Model):
    """Ask how far people get, from `funnels/NAME.yaml`."""

    description: str = Field("", description="what it is about")
    steps: list[FunnelStep] = Field(min_length=2, max_length=30, description="what is to be done, in order")
    order: Literal["ordered", "strict", "unordered"] = Field(
        "ordered", description="ordered; strict: nothing else in between; unordered: in any order"
    )
    window: Duration | None = Field(None, description="how long after the first step, inclusive; without one, for ever")
    entry: Literal["any", "first"] = Field(
        "any", description="which attempt stands for a unit: any (the deepest, then the earliest) or the first"
    )
    unit: str = Field("user", description="whose steps they are: user, session, or a column or property of the events")
    exclusions: list[FunnelExclusion] = Field([], description="what voids an attempt")
    breakdowns: list[str | FunnelBreakdown] = Field([], description="by what to break it down, each for itself")
    intervals: list[Interval] = Field(["day", "week", "month"], description="by which periods of entry, beside all")

    @model_validator(mode="after")
    def _makes_sense(self) -> Funnel:
        names = [step.called for step in self.steps]
        if again := _twice(names):
            raise ValueError(f"two steps are called '{again}': give one of them a `name` of its own")
        if again := _twice(self.intervals):
            raise ValueError(f"the interval '{again}' stands there twice: keep one of them")
        if _twice(breakdown.column for breakdown in self.broken_down()):
            raise ValueError("two breakdowns are by the same column: keep one of them, or ask in another funnel")
        if self.window is not None and not self.window:
            raise ValueError("a window of zero closes as it opens: make it longer, or leave it out")
        for step in self.steps:
            if step.event is None and not step.where:
                raise ValueError(f"the step '{step.called}' needs an `event` or a `where`")
        named = [exclusion.after for exclusion in self.exclusions] + [e.before for e in self.exclusions]
        named += [b.step for b in self.broken_down()]
        for name in named:
            if name is not None and name not in names:
                raise ValueError(f"there is no step '{name}': the steps are {', '.join(names)}")
        self._can_be_analysed()
        return self

    def _can_be_analysed(self) -> None:
        """Ask the analysis whether it knows an answer to such a question; conditions do not matter to that."""
        steps = tuple(funnel.Step(step.called, step.event, (), step.optional, step.first_time) for step in self.steps)
        exclusions = tuple(funnel.Exclusion(told.event, told.after, told.before) for told in self.exclusions)
        for told in (None, *self.broken_down()):
            breakdown = funnel.Breakdown((told.by,), told.attribution, told.step) if told else None
            funnel.Funnel(steps, order=self.order, exclusions=exclusions, breakdown=breakdown)

    def broken_down(self) -> tuple[FunnelBreakdown, ...]:
        """Return the breakdowns; a bare name stands for the value at the first step."""
        return tuple(FunnelBreakdown(by=b) if isinstance(b, str) else b for b in self.breakdowns)


class Retention(Model):
    """Ask who comes back, from `retention/NAME.yaml`."""

    description: str = Field("", description="what it is about")
    cohort: Match = Field(Match(), description="the event that begins a cohort; any by default")
    returned: Match = Field(Match(), description="the event that counts as a return; any by default")
    period: Interval = Field("week", description="what cohorts are made by, and returns counted in")
    periods: int = Field(12, ge=2, le=120, description="how many periods to follow, the cohort's own included")
    entry: Literal["first_time", "recurring"] = Field(
        "first_time", description="first_time: each user is in one cohort; recurring: in that of every period"
    )
    measure: Literal["n_day", "unbounded", "bracket"] = Field(
        "n_day", description="returned in exactly that period, in it or any later one, or in a bracket of periods"
    )
    brackets: list[tuple[int, int]] = Field([], description="first and last period of each bracket")
    elapsed: bool = Field(default=False, description="count 24 hours a day from the user's own event, not by calendar")
    at_least: int = Field(1, ge=1, description="how often a user must return in a period")
    breakdowns: list[str] = Field([], description="columns of the cohort's event, properties, or `user.COLUMN`")
    censored_days: int = Field(
        0,
        ge=0,
        description="of first_time: users first seen in so many days from the project's first on may have been there "
        "before; they are cohorts of their own, left_censored, and in no average",
    )
    revenue: bool = Field(default=False, description="count net revenue in the same grid")

    @model_validator(mode="after")
    def _makes_sense(self) -> Retention:
        if (self.measure == "bracket") != bool(self.brackets):
            raise ValueError("`brackets` and `measure: bracket` belong together")
        if self.censored_days and self.entry == "recurring":
            raise ValueError("`censored_days` belong to `entry: first_time`")
        if again := _twice(self.breakdowns):
            raise ValueError(f"it is broken down by '{again}' twice: keep one of them")
        self.analysed()
        return self

    def analysed(self) -> retention.Retention:
        """Return the retention of the analysis that this one stands for."""
        return retention.Retention(
            Period(self.period),
            self.periods,
            self.entry,
            self.measure,
            tuple(self.brackets),
            self.elapsed,
            self.at_least,
        )


class Paths(Model):
    """Ask which way sessions take, from `paths/NAME.yaml`."""

    description: str = Field("", description="what it is about")
    start: str | None = Field(None, description="the event type with which a path starts")
    end: str | None = Field(None, description="the event type with which a path ends")
    steps: int = Field(5, ge=2, le=20, description="the most steps of a path")
    nodes: int = Field(8, ge=1, le=50, description="event types to show at each step; the others are one, (other)")
    collapse_repeats: bool = Field(default=True, description="take repetitions of an event as one step")


class Measure(Model):
    """Say what is counted or summed, of which rows."""

    fact: Fact = Field(description="the table whose rows are measured")
    where: Condition = Field({}, description="which of its rows: tests by column, or by property")
    value: str | None = Field(None, description="the column that is summed; without one, rows are counted")


class Metric(Model):
    """Define a number, from `metrics/NAME.yaml`; trends, experiments and the dashboard read the same definition."""

    description: str = Field("", description="what it says")
    kind: Literal["count", "unique_users", "sum", "mean", "proportion", "ratio", "quantile", "retention"] = Field(
        description="count: rows; unique_users; sum and quantile: of `value`; mean: `value` a row; proportion: users "
        "of the denominator who are in the numerator; ratio: numerator to denominator; retention: users who return"
    )
    fact: Fact | None = Field(None, description="the table whose rows are measured")
    where: Condition = Field({}, description="which of its rows: tests by column, or by property")
    value: str | None = Field(None, description="the column that is summed, averaged or ranked")
    numerator: Measure | None = Field(None, description="of a proportion or a ratio")
    denominator: Measure | None = Field(None, description="of a proportion or a ratio")
    cap: float | None = Field(None, gt=0, description="the most that one row's `value` counts for")
    quantile: float = Field(0.5, gt=0, lt=1, description="which quantile")
    after_days: tuple[int, int] = Field((1, 7), description="of retention: first and last day after, both counted in")
    dimensions: list[str] = Field([], description="columns that the fact and `dim_users` have, each for itself")
    direction: Literal["up", "down", "neither"] = Field("up", description="which way is better")
    unit: str = Field("", description="of what it is")
    owner: str = Field("", description="whom to ask")

    @model_validator(mode="after")
    def _has_its_parts(self) -> Metric:
        of_two = self.kind in {"proportion", "ratio"}
        if of_two and (self.numerator is None or self.denominator is None):
            raise ValueError(f"a {self.kind} needs a `numerator` and a `denominator`")
        if of_two and (self.fact is not None or self.where or self.value is not None):
            raise ValueError(f"a {self.kind} has its fact in `numerator` and `denominator`")
        if not of_two and (self.numerator is not None or self.denominator is not None):
            raise ValueError(f"a {self.kind} has a `fact`, and no numerator or denominator")
        if not of_two and self.fact is None:
            raise ValueError(f"a {self.kind} needs a `fact`")
        if (self.kind in {"sum", "mean", "quantile"}) != (self.value is not None) and not of_two:
            raise ValueError(f"a {self.kind} {'has no' if self.value else 'needs a'} `value`")
        if self.cap is not None and self.kind not in {"sum", "mean"}:
            raise ValueError(f"a {self.kind} has no `cap`")
        if not 0 < self.after_days[0] <= self.after_days[1]:
            raise ValueError("after_days are two days after, the first not after the last: [1, 7]")
        return self


class Questions(Model):
    """Hold all that a project asks, by name."""

    metrics: dict[Name, Metric] = Field({}, description="numbers, by name")
    funnels: dict[Name, Funnel] = Field({}, description="how far people get, by name")
    retention: dict[Name, Retention] = Field({}, description="who comes back, by name")
    paths: dict[Name, Paths] = Field({}, description="which way sessions take, by name")


KINDS: dict[str, type[Model]] = {"metrics": Metric, "funnels": Funnel, "retention": Retention, "paths": Paths}
"""The model of each folder of questions."""
