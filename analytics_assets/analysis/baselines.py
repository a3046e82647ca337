"""Pretended experiments: users who met an exposing event lately, as if an experiment had run, in buckets.

Belongs here: who would have been exposed, and sums over buckets of users. Does not belong here: what users did
(`outcomes`), and what is made of the sums (`statistics.rerandomisation`, `statistics.planning`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING

import ibis

from analytics_assets.analysis.moments import moments

if TYPE_CHECKING:
    from ibis.expr.types import Table

DAYS = 28
EVERYBODY = "everybody"
"""The variant of users whom nobody assigned."""
VARIABLES = ("value", "weight", "pre_value", "pre_weight")
_DIGITS = 3
_WHO = ["experiment", "user_id"]


def lately(first: dt.date, last: dt.date, over_days: int = 0) -> tuple[dt.date, dt.date] | None:
    """Give the last days on which exposed users' windows are over, 28 or as many as there are; None without any.

    Args:
        first: The first day of the data.
        last: The last.
        over_days: Days from exposure until a window is over.

    >>> lately(dt.date(2024, 1, 1), dt.date(2024, 3, 31), 7)
    (datetime.date(2024, 2, 26), datetime.date(2024, 3, 24))
    >>> lately(dt.date(2024, 3, 30), dt.date(2024, 3, 31), 7) is None
    True
    """
    end = last - dt.timedelta(days=over_days)
    return None if end < first else (max(first, end - dt.timedelta(days=DAYS - 1)), end)


def met(exposing: Table) -> Table:
    """Expose each user by the first event, whoever it is: what `outcomes` takes as exposed users.

    Args:
        exposing: What `experiments.exposing` gives of pretended experiments: experiment, user_id, day, occurred_at.

    Returns:
        Columns experiment, user_id, variant (everybody's), assigned_at and assigned_on (null), exposed_at, exposed_on,
        known_before (null).
    """
    known = exposing.filter(exposing.user_id.notnull())
    first = known.group_by(_WHO).aggregate(exposed_at=known.occurred_at.min(), exposed_on=known.day.min())
    return first.mutate(
        variant=ibis.literal(EVERYBODY),
        assigned_at=ibis.null(first.exposed_at.type()),
        assigned_on=ibis.null("date"),
        known_before=ibis.null("boolean"),
    )


def by_bucket(outcomes: Table, outcome: Sequence[str]) -> Table:
    """Sum up matured users by bucket: the first 3 hexadecimal digits of the MD5 of their id.

    Args:
        outcomes: What `outcomes` gives.
        outcome: The columns that name an outcome, whose buckets have shifts in common.

    Returns:
        As `moments`, of the columns of `outcome` and bucket.
    """
    matured = outcomes.filter(outcomes.matured)
    bucketed = matured.mutate(bucket=matured.user_id.hexdigest("md5").substr(0, _DIGITS))
    return moments(bucketed, (*outcome, "bucket"), outcome, VARIABLES)


def reached(people: Table) -> Table:
    """Count users by the day of their exposure: experiment, day, users.

    Args:
        people: What `met` gives.
    """
    days = people.select("experiment", day=people.exposed_on)
    return days.group_by(["experiment", "day"]).aggregate(users=days.count())
