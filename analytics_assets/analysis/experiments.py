"""Experiments: who was assigned and exposed to what, and what is left out of the comparison, with the reason.

Belongs here: what the analysis needs to know of a plan, exposures, and the traffic of each day. Does not belong here:
what users did after their exposure (`outcomes`), sums of it (`moments`), and any verdict (`statistics`).

A user is *exposed* by the first event of the plan's kind at or after the assignment, on the days of the plan. Where
nobody knows when users were assigned (rosters), it is the first such event from the first day on.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import ibis

from analytics_assets.analysis.tables import together
from analytics_assets.statistics.assignment import DIGITS, boundaries

if TYPE_CHECKING:
    from ibis.expr.types import BooleanValue, StringValue, Table, Value

SEVERAL = "several variants"
NO_VARIANT = "no variant"
NOT_PLANNED = "not in the plan"
AFTER_END = "assigned after the end"
NOT_EXPOSED = "not exposed"
LEFT_OUT = (SEVERAL, NO_VARIANT, NOT_PLANNED, AFTER_END, NOT_EXPOSED)
"""Why a user is in no outcome, the first that holds."""
OF_EVENTS = ("device", "country", "campaign_id")
"""What is known of users by the last event before their exposure."""
_WHO = ["experiment", "user_id"]


@dataclass(frozen=True)
class Measured:
    """Name a metric that is measured of exposed users.

    Attributes:
        metric: Its name.
        window_days: How long, in days of 24 hours.
        delay_days: How many such days after exposure it begins.
    """

    metric: str
    window_days: int
    delay_days: int = 0


@dataclass(frozen=True)
class Plan:
    """Hold what the analysis needs to know of an experiment.

    Attributes:
        name: What assignments call it.
        variants: Its variants, the control first or wherever it stands.
        control: The variant that others are compared with.
        starts: The first day on which users are exposed.
        ends: The last.
        measured: What is measured.
        segments: By what users are told apart: `OF_EVENTS`, or `user.COLUMN`.
        covariate_days: Days before exposure in which the same metrics are measured; 0: none.
    """

    name: str
    variants: tuple[str, ...]
    control: str
    starts: dt.date
    ends: dt.date
    measured: tuple[Measured, ...] = ()
    segments: tuple[str, ...] = ()
    covariate_days: int = 28

    def __post_init__(self) -> None:
        if self.control not in self.variants:
            raise ValueError(f"the control '{self.control}' is no variant: {', '.join(self.variants)}")


def exposing(plan: Plan, events: Table, last: dt.date) -> Table:
    """Keep the events that may expose users to an experiment: those on its days, so far.

    Args:
        plan: The experiment.
        events: The events of the kind that exposes: user_id (null: nobody), day, occurred_at.
        last: The last day delivered.

    >>> plan = Plan("e", ("a", "b"), "a", dt.date(2024, 3, 1), dt.date(2024, 3, 9))
    >>> at = dt.datetime(2024, 3, 10, tzinfo=dt.timezone.utc)
    >>> events = ibis.memtable([{"user_id": "ann", "day": at.date(), "occurred_at": at}])
    >>> exposing(plan, events, last=at.date()).count().execute()
    0
    """
    until = min(plan.ends, last)
    on_time = events.filter(events.day >= ibis.literal(plan.starts), events.day <= ibis.literal(until))
    return on_time.select("user_id", "day", "occurred_at", experiment=ibis.literal(plan.name))


def exposures(plans: Sequence[Plan], assignments: Table, exposing: Table) -> Table:
    """Give each user who was assigned in an experiment one row: variant, exposure, and why the user is left out.

    Args:
        plans: The experiments; assignments of others are not looked at.
        assignments: Columns experiment, user_id, variant (null: none), assigned_at and day (null: not known),
            excluded_as; users who are excluded are left out.
        exposing: Columns experiment, user_id, day, occurred_at: what `exposing` keeps for each experiment.

    Returns:
        Columns experiment, user_id, variant (null where there is none, or are several), variants_seen, first_variant
        (null where nobody knows which came first), assigned_at, assigned_on, exposed_at, exposed_on,
        exposed_before_assignment, left_out (of `LEFT_OUT`; null: the user counts).
    """
    users = _assigned(plans, assignments.filter(assignments.experiment.isin([plan.name for plan in plans])))
    times = users.select(*_WHO, "assigned_at")
    met = exposing.inner_join(times, _WHO)
    in_time = met.assigned_at.isnull() | (met.occurred_at >= met.assigned_at)
    first = met.group_by(_WHO).aggregate(
        exposed_at=met.occurred_at.min(where=in_time),
        exposed_on=met.day.min(where=in_time),
        too_early=(~in_time).any(),
    )
    both = users.left_join(first, _WHO)
    both = both.select(*users.columns, "exposed_at", "exposed_on", exposed_before_assignment=_sure(both.too_early))
    return both.mutate(left_out=_left_out(plans, both))


def _in_time(plans: Sequence[Plan], assignments: Table) -> Table:
    """Leave out what was assigned after an experiment's end to users who were in it before: the winner goes to all."""
    ends = ibis.cases(
        *((assignments.experiment == plan.name, ibis.literal(plan.ends)) for plan in plans), else_=ibis.null("date")
    )
    first = assignments.mutate(ends=ends, first_on=assignments.day.min().over(ibis.window(group_by=_WHO)))
    late = _sure(first.day > first.ends) & _sure(first.first_on <= first.ends)
    return first.filter(~late).drop("ends", "first_on")


def _assigned(plans: Sequence[Plan], assignments: Table) -> Table:
    """Sum up the assignments of each user of an experiment."""
    counting = assignments.filter(assignments.excluded_as.isnull(), assignments.user_id.notnull())
    counting = _in_time(plans, counting)
    own = ibis.window(group_by=_WHO)
    # an assignment without a time may have been the first
    dated = counting.mutate(
        earliest=counting.assigned_at.min().over(own),
        undated=(counting.assigned_at.isnull() & counting.variant.notnull()).any().over(own),
    )
    at_first = dated.variant.notnull() & (dated.assigned_at == dated.earliest)
    users = dated.group_by(_WHO).aggregate(
        variants_seen=dated.variant.nunique(),
        any_variant=dated.variant.max(),
        one=dated.variant.min(where=at_first),
        other=dated.variant.max(where=at_first),
        undated=dated.undated.any(),
        assigned_at=dated.assigned_at.min(),
        assigned_on=dated.day.min(),
    )
    single = users.variants_seen == 1
    known = ~users.undated & (users.one == users.other)
    none = ibis.null("string")
    return users.select(
        *_WHO,
        "variants_seen",
        "assigned_at",
        "assigned_on",
        variant=single.ifelse(users.any_variant, none),
        first_variant=ibis.cases((single, users.any_variant), (known, users.one), else_=none),
    )


def _left_out(plans: Sequence[Plan], users: Table) -> Value:
    planned = [(users.experiment == plan.name) & users.variant.isin(plan.variants) for plan in plans]
    too_late = [(users.experiment == plan.name) & (users.assigned_on > ibis.literal(plan.ends)) for plan in plans]
    return ibis.cases(
        (users.variants_seen > 1, SEVERAL),
        (users.variants_seen == 0, NO_VARIANT),
        (~_any(planned), NOT_PLANNED),
        (_any(too_late), AFTER_END),
        (users.exposed_at.isnull(), NOT_EXPOSED),
        else_=ibis.null("string"),
    )


def _any(conditions: Iterable[BooleanValue]) -> BooleanValue:
    return ibis.or_(*(_sure(condition) for condition in conditions))


def _sure(condition: BooleanValue) -> BooleanValue:
    return condition.fill_null(False)  # noqa: FBT003


def hashed_variant(user_id: StringValue, salt: str, shares: Mapping[str, float]) -> StringValue:
    """Give the variant that the documented hash assigns: `statistics.assignment.assign`, as an expression.

    Hexadecimal digits of the same number compare as the numbers do.

    >>> users = ibis.memtable({"user_id": ["user-1", "user-3"]})
    >>> shares = {"control": 0.5, "treatment": 0.5}
    >>> users.select(v=hashed_variant(users.user_id, "checkout", shares)).v.execute().to_list()
    ['control', 'treatment']
    """
    digits = (ibis.literal(f"{salt}:") + user_id).hexdigest("sha256")[0:DIGITS]
    ends = [format(math.ceil(end * 16**DIGITS), f"0{DIGITS}x") for end in boundaries(shares)]
    names = list(shares)
    told = [(digits < end, name) for end, name in zip(ends, names, strict=False)]
    variant: StringValue = ibis.cases(*told, else_=names[-1])
    return variant


def counting(exposures: Table) -> Table:
    """Keep the users who are compared: exposed, and in one variant of the plan."""
    return exposures.filter(exposures.left_out.isnull())


def with_past(exposures: Table, events: Table, columns: Sequence[str] = ()) -> Table:
    """Add what was known of exposed users before: known_before, and columns of their last event until then.

    Before is before the earlier of assignment and exposure. `known_before` says whether the user did anything earlier
    than that; the last event is one until then, that instant included: it happens before anything that the variant
    changes. All of it is null for users who were not exposed.

    Args:
        exposures: What `exposures` gives.
        events: What users did: user_id, occurred_at, event_id, and the columns.
        columns: Of `OF_EVENTS`; what is missing in an event is taken from the one before.
    """
    people = exposures.filter(exposures.exposed_at.notnull())
    people = people.select(*_WHO, before_at=before(people))
    seen = events.filter(events.user_id.notnull())
    # the first event of all is enough to know whether there was an earlier one
    first = seen.group_by("user_id").aggregate(first_at=seen.occurred_at.min())
    known = people.left_join(first, "user_id")
    past = known.select(*_WHO, known_before=_sure(known.first_at < known.before_at))
    told = exposures.left_join(past, _WHO).select(*exposures.columns, "known_before")
    if not columns:
        return told
    met = seen.inner_join(people, "user_id")
    met = met.filter(met.occurred_at <= met.before_at)
    place = ibis.struct({"at": met.occurred_at, "id": met.event_id})
    last = met.group_by(_WHO).aggregate(
        **{name: met[name].argmax(place, where=met[name].notnull()) for name in columns}
    )
    return told.left_join(last, _WHO).select(*told.columns, *columns)


def before(exposures: Table) -> Value:
    """Give the instant until which nothing of a user can be an effect: the earlier of assignment and exposure."""
    return ibis.least(exposures.exposed_at, ibis.coalesce(exposures.assigned_at, exposures.exposed_at))


def traffic(exposures: Table, assignments: Table, exposing: Table) -> Table:
    """Count users by experiment, day and variant before anybody is left out: what sample-ratio tests read.

    Args:
        exposures: What `exposures` gives.
        assignments: What it was given.
        exposing: What it was given.

    Returns:
        Columns experiment, day (null: nobody knows when it was), variant (of the first assignment; '' where there is
        none, or nobody knows which came first), and numbers of users by the day of

        - assigned: their assignment;
        - exposed: their exposure;
        - several: their assignment, of those seen in several variants;
        - early: their assignment, of those exposed before it;
        - excluded: their assignment, of bots, staff and test accounts, who are in no other number;
        - unassigned: their first event that would have exposed them; nobody assigned them;

        and nobody: exposing events of the day without a user.
    """
    none, one = ibis.literal(0, "int64"), ibis.literal(1, "int64")
    names = ("assigned", "exposed", "several", "early", "excluded", "unassigned", "nobody")

    def counted(rows: Table, day: str, variant: Value, **numbers: Value) -> Table:
        numbers = {name: numbers.get(name, none) for name in names}
        return rows.select("experiment", day=rows[day], variant=variant.fill_null(""), **numbers)

    several, early = exposures.variants_seen > 1, exposures.exposed_before_assignment
    exposed = exposures.filter(exposures.exposed_at.notnull())
    listed = assignments.semi_join(exposures.select("experiment").distinct(), "experiment")
    left = listed.filter(listed.excluded_as.notnull(), listed.user_id.notnull())
    left = left.group_by(_WHO).aggregate(day=left.day.min(), one=left.variant.min(), other=left.variant.max())
    strangers = exposing.filter(exposing.user_id.notnull()).anti_join(assignments, _WHO)
    strangers = strangers.group_by(_WHO).aggregate(day=strangers.day.min())
    ghosts = exposing.filter(exposing.user_id.isnull())
    without = ibis.literal("")
    parts = [
        counted(
            exposures,
            "assigned_on",
            exposures.first_variant,
            assigned=one,
            several=several.cast("int64"),
            early=early.cast("int64"),
        ),
        counted(exposed, "exposed_on", exposed.first_variant, exposed=one),
        counted(left, "day", (left.one == left.other).ifelse(left.one, without), excluded=one),
        counted(strangers, "day", without, unassigned=one),
        counted(ghosts, "day", without, nobody=one),
    ]
    rows = together(parts)
    return rows.group_by(["experiment", "day", "variant"]).aggregate(
        **{name: rows[name].sum().cast("int64") for name in names}
    )
