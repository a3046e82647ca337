"""Funnels: how far the units got who began, in which order, and how long it took them.

Belongs here: what a funnel is, its attempts, and the numbers over them. Does not belong here: how a team declares a
funnel (`project`), which tables are published (`assets`), and whether a difference is more than chance (`statistics`).

The road is events -> `attempts` (one row per event with which a unit began) -> `chosen` (one row per unit, and per
period where one is asked for) -> `reached`, `times`, `users`. Times inside are whole microseconds.

An attempt goes on from its first event to the first event of the next step that comes after it, and so on; what lies
outside of the window is then left out. "After" is by (time, first step that the event matches, event id), so that the
order of rows never matters. Going backwards, the rows of each step learn when an attempt that has come to them goes on:
that is the smallest such time among the rows that follow, because a later row never goes on earlier.
"""

from __future__ import annotations

import datetime as dt
import functools
import itertools
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import ibis

if TYPE_CHECKING:
    from ibis.expr.types import BooleanValue, IntegerValue, Table, TimestampValue, Value

UNKNOWN = "(unknown)"
"""The breakdown value of an event that has none."""
NOT_REACHED = "(not reached)"
"""The breakdown value of a unit that did not reach the step that gives the value."""
MAX_ALIKE = 6
"""How many different steps of an unordered funnel may match the same events."""
QUANTILES = (0.25, 0.5, 0.75, 0.9)
MAX_BINS = 60

Microseconds = Callable[["TimestampValue"], "IntegerValue"]
Predicate = Callable[["Table"], "BooleanValue"]
Follow = Callable[["Table", "Funnel"], "Table"]
Order = Literal["ordered", "strict", "unordered"]
Entry = Literal["any", "first"]
Attribution = Literal["first_touch", "last_touch", "step", "all_events"]

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)
_SECOND = 1_000_000
_NEVER = (1 << 62) - 1
_POSITIONS = 1 << 55  # more than there are rows, or microseconds until the year 3000
_DAY = "day"
_STEPS = 64


@dataclass(frozen=True)
class Step:
    """Something to do.

    Attributes:
        name: What people call it; unlike those of the other steps.
        event: The event type that satisfies it; None for any.
        where: What else must hold of the event: functions of the events' table. Null does not hold.
        optional: Whether the step may be left out.
        first: Whether only the user's first event of this type counts, of all events given.
    """

    name: str
    event: str | None = None
    where: tuple[Predicate, ...] = ()
    optional: bool = False
    first: bool = False


@dataclass(frozen=True)
class Exclusion:
    """Something that must not happen between two steps, both times left out: it voids the attempt.

    Attributes:
        event: The event type; None for any.
        after: The step after which it must not happen; None for the first.
        before: The step until which; None for the next. Where it is not reached, the window's end, included.
        where: What else must hold of the event.
    """

    event: str | None
    after: str | None = None
    before: str | None = None
    where: tuple[Predicate, ...] = ()


@dataclass(frozen=True)
class Breakdown:
    """Say by which columns the units are told apart, and which of a unit's events gives the value.

    Attributes:
        columns: Columns of the events; an event without a value in any of them gives none.
        attribution: `first_touch` and `last_touch`: the unit's first or last event of any step, among all events given,
            that has a value. `step`: the event with which the attempt reached `step`. `all_events`: each value has a
            funnel of its own, of the events with that value.
        step: The step's name, for `step`.
    """

    columns: tuple[str, ...]
    attribution: Attribution = "first_touch"
    step: str | None = None


@dataclass(frozen=True)
class Funnel:
    """Steps, and what counts as having taken them.

    Attributes:
        steps: What is to be done. One event satisfies at most one step.
        order: `ordered`: step after step, whatever else happens. `strict`: nothing else of the unit in between.
            `unordered`: in any order; step n is then the nth that was reached, and any of them begins an attempt.
        window: How long after the beginning of an attempt a step may be reached, inclusive; None for ever.
        entry: Which attempt stands for a unit: `any` is the deepest, and of several the earliest; `first` the first.
        unit: The column that says who, such as `user_id` or `session_id`; rows without it are of nobody.
        exclusions: What voids an attempt.
        breakdown: How units are told apart.

    >>> Funnel((Step("see", "view"), Step("buy", "purchase")), window=dt.timedelta(days=7)).required
    (0, 1)
    """

    steps: tuple[Step, ...]
    order: Order = "ordered"
    window: dt.timedelta | None = None
    entry: Entry = "any"
    unit: str = "user_id"
    exclusions: tuple[Exclusion, ...] = ()
    breakdown: Breakdown | None = None
    required: tuple[int, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        names = [step.name for step in self.steps]
        if not names:
            raise ValueError("a funnel needs at least one step")
        if len(names) >= _STEPS:
            raise ValueError(f"a funnel has fewer than {_STEPS} steps")
        if len(set(names)) < len(names):
            raise ValueError(f"the steps of a funnel need names of their own: {', '.join(names)}")
        if self.steps[0].optional:
            raise ValueError(f"the first step begins the funnel and cannot be optional: {names[0]}")
        if self.window is not None and self.window < dt.timedelta(0):
            raise ValueError(f"the window is negative: {self.window}")
        unordered = self.order == "unordered"
        if unordered and any(step.optional for step in self.steps):
            raise ValueError("an unordered funnel has no optional steps: each of its steps may be left out")
        object.__setattr__(self, "required", tuple(n for n, step in enumerate(self.steps) if not step.optional))
        for exclusion in self.exclusions:
            after, before = self.span(exclusion)
            if after >= before:
                raise ValueError(f"an exclusion ends at a step after the one where it begins: {exclusion}")
            if unordered and after:
                raise ValueError("an exclusion of an unordered funnel begins at the first step")
        attributed = self.attributed
        if attributed is not None and self.steps[attributed].optional:
            raise ValueError(f"a breakdown cannot be by the optional step {names[attributed]}")
        if unordered and attributed:
            raise ValueError("a breakdown of an unordered funnel can be by the step that begins it alone")

    def place(self, name: str) -> int:
        """Return the number of a step, from 0 on."""
        for number, step in enumerate(self.steps):
            if step.name == name:
                return number
        raise ValueError(f"no step is called {name}: there are {', '.join(step.name for step in self.steps)}")

    def span(self, exclusion: Exclusion) -> tuple[int, int]:
        """Return the numbers of the steps between which an exclusion acts."""
        after = 0 if exclusion.after is None else self.place(exclusion.after)
        later = [number for number in self.required if number > after]
        if exclusion.before is None and not later:
            raise ValueError(f"there is no step after {self.steps[after].name} for an exclusion to end at")
        before = later[0] if exclusion.before is None else self.place(exclusion.before)
        for number in (after, before):
            if self.steps[number].optional:
                raise ValueError(f"an exclusion is between steps that are required: {self.steps[number].name} is not")
        return after, before

    @property
    def attributed(self) -> int | None:
        """The number of the step whose event gives the breakdown's value; None where no step does."""
        if self.breakdown is None or self.breakdown.attribution != "step":
            return None
        return self.place(self.breakdown.step) if self.breakdown.step is not None else 0

    @property
    def split(self) -> tuple[str, ...]:
        """The columns of the breakdown."""
        return self.breakdown.columns if self.breakdown else ()

    @property
    def of_whom(self) -> tuple[str, ...]:
        """The columns that say whose an event is: the unit, and the value where each has a funnel of its own."""
        own = self.breakdown is not None and self.breakdown.attribution == "all_events"
        return (self.unit, *self.split) if own else (self.unit,)


def attempts(  # noqa: PLR0913
    events: Table,
    funnel: Funnel,
    *,
    as_of: dt.datetime | None = None,
    since: dt.datetime | None = None,
    until: dt.datetime | None = None,
    keep: Sequence[str] = (),
    microseconds: Microseconds | None = None,
    follow: Follow | None = None,
) -> Table:
    """Follow every beginning of a funnel as far as it goes: one row per unit and event that begins an attempt.

    Args:
        events: Columns user_id, occurred_at (an instant), event_id, event_type, the unit, and what the funnel names.
        funnel: The funnel.
        as_of: Every event before this instant is known, none from it on; None where all windows are closed.
        since: Events before this instant take no part; they still count for what a user did first.
        until: Events from this instant on take no part.
        keep: Columns of the event that begins the attempt to hand on, such as its day.
        microseconds: How the engine counts the microseconds of an instant since 1970, where it has a quick way.
        follow: How the engine follows plain ordered attempts, where it has a quick way: it is given the rows of the
            steps (the unit, `at_`, `first_`: the step, and more) and gives back those of the first step with the times
            `t_N_` of the steps that follow, inside of the window or not. Asked only where time is order enough, and
            nothing but steps matters.

    Returns:
        The unit, the breakdown's columns, those kept, and: `entered_at`; `position`, which grows with the order of
        the unit's attempts; `deepest`, the highest step reached, from 1 on; `elapsed_N` for N from 2 on: microseconds
        from the beginning until step N, null where it was not reached; `voided`, by an exclusion; `matured`, whether
        the window has closed.

    >>> noon = dt.datetime(2024, 1, 1, 12, tzinfo=dt.UTC)
    >>> events = ibis.memtable(
    ...     [
    ...         {"user_id": "a", "occurred_at": noon + dt.timedelta(hours=h), "event_id": str(h), "event_type": e}
    ...         for h, e in enumerate(["view", "view", "purchase"])
    ...     ]
    ... )
    >>> funnel = Funnel((Step("see", "view"), Step("buy", "purchase")), window=dt.timedelta(hours=1))
    >>> found = attempts(events, funnel).order_by("entered_at")
    >>> found.deepest.execute().tolist(), found.elapsed_2.execute().tolist()
    ([1, 2], [nan, 3600000000.0])
    """
    rows = _matched(events, funnel, (since, until), keep, microseconds or _since_epoch)
    match funnel.order:
        case "ordered":
            plain = _interchangeable(funnel, keep) and not funnel.split and not funnel.exclusions
            entries = _within_window(follow(rows, funnel) if follow and plain else _followed(rows, funnel), funnel)
        case "strict":
            entries = _followed_strictly(rows, funnel)
        case "unordered":
            entries = _gathered(rows, funnel)
    return _judged(_attributed(entries, rows, funnel), funnel, as_of, keep)


def nobody(events: Table, funnel: Funnel) -> Table:
    """Count the events that match a step and have no unit, in `events`: they are in no attempt."""
    steps = _any(_holds(events, step.event, step.where) for step in funnel.steps)
    return events.filter(events[funnel.unit].isnull() & steps).aggregate(events=ibis._.count())


def chosen(attempted: Table, funnel: Funnel, by: Sequence[str] = ()) -> Table:
    """Choose the attempt that stands for each unit, in each period for itself.

    A voided attempt never stands for a unit that has another one, unless the funnel takes the first alone.

    Args:
        attempted: From `attempts`, all or some of them.
        funnel: The funnel.
        by: Columns beside the unit to choose for each of their values, such as the day of the entry.

    Returns:
        The columns of `attempts` without `position`, one row per unit and value of `by`.

    >>> noon = dt.datetime(2024, 1, 1, 12, tzinfo=dt.UTC)
    >>> events = ibis.memtable(
    ...     [
    ...         {"user_id": "a", "occurred_at": noon + dt.timedelta(hours=h), "event_id": str(h), "event_type": e}
    ...         for h, e in enumerate(["view", "view", "purchase"])
    ...     ]
    ... )
    >>> funnel = Funnel((Step("see", "view"), Step("buy", "purchase")), window=dt.timedelta(hours=1))
    >>> chosen(attempts(events, funnel), funnel).deepest.execute().tolist()
    [2]
    """
    return _best(attempted, funnel, by).drop("position")


def contenders(attempted: Table, funnel: Funnel, by: Sequence[str] = ()) -> Table:
    """Leave out attempts that stand for their unit nowhere: of those alike in `by`, one is better than the others.

    The best of a month is the best of those of its days, so that periods are chosen for from less.

    Args:
        attempted: From `attempts`.
        funnel: The funnel.
        by: Columns of the attempts: every period and every value that is then chosen for is made up of theirs.

    Returns:
        The columns of `attempts`.
    """
    return _best(attempted, funnel, [*by, "matured"])


def _best(attempted: Table, funnel: Funnel, by: Sequence[str]) -> Table:
    groups = list(dict.fromkeys((*funnel.of_whom, *by)))
    rank = -attempted.position
    if funnel.entry == "any":
        rank += attempted.voided.ifelse(0, _STEPS * _POSITIONS) + attempted.deepest * _POSITIONS
    ranked = attempted.mutate(rank_=rank)
    rest = [name for name in attempted.columns if name not in groups]
    found = ranked.group_by(groups).aggregate(**{name: ranked[name].argmax(ranked.rank_) for name in rest})
    return found.select(*attempted.columns)


def reached(attempted: Table, funnel: Funnel, by: Sequence[str] = ()) -> Table:
    """Count the units that reached each step: one row per value of `by`, of the breakdown, and step.

    Units are counted twice: `observed`, by all of their attempts, and `matured`, by those whose window has closed,
    whether they got anywhere or not. Rates and times are of the matured.

    Args:
        attempted: From `attempts`.
        funnel: The funnel.
        by: Columns of the attempts, such as the day, week or month of the entry; each is computed for itself.

    Returns:
        `by`, the breakdown's columns, and: `step` (from 1 on) and `name`; `observed` and `matured`, the units that
        reached it; `immature`, observed and not matured; `voided` and `voided_matured`, units all of whose attempts
        were voided: they did not enter; `of_all` and `of_previous`, the matured as a share of those who entered and
        of those who reached the required step before, null where there are none; `drop_off`, how many of those
        before were lost; `seconds_mean` and `seconds_median` since the required step before, and
        `seconds_from_entry_qNN`.

    >>> noon = dt.datetime(2024, 1, 1, 12, tzinfo=dt.UTC)
    >>> events = ibis.memtable(
    ...     [
    ...         {"user_id": u, "occurred_at": noon, "event_id": u + e, "event_type": e}
    ...         for u, e in [("a", "view"), ("a", "purchase"), ("b", "view")]
    ...     ]
    ... )
    >>> funnel = Funnel((Step("see", "view"), Step("buy", "purchase")), window=dt.timedelta(hours=1))
    >>> reached(attempts(events, funnel), funnel).order_by("step").of_all.execute().tolist()
    [1.0, 0.5]
    """
    groups = list(dict.fromkeys((*by, *funnel.split)))
    units = _told_apart(attempted, funnel, by)
    here, closed = ~units.matured_only_ & ~units.voided, units.matured_only_ & ~units.voided
    measures: dict[str, Value] = {
        "voided_": _count(~units.matured_only_ & units.voided),
        "voided_matured_": _count(units.matured_only_ & units.voided),
    }
    for number in range(len(funnel.steps)):
        since_entry = _elapsed(units, number)
        measures |= {
            f"observed_{number}": _count(here & since_entry.notnull()),
            f"matured_{number}": _count(closed & since_entry.notnull()),
        }
        if number:
            taken = since_entry - _elapsed(units, _before(funnel, number))
            measures |= {
                f"mean_{number}": taken.mean(where=closed) / _SECOND,
                f"median_{number}": taken.quantile(0.5, where=closed) / _SECOND,
                # together, so that the values are held and sorted once
                f"quantiles_{number}": since_entry.quantile(QUANTILES, where=closed),
            }
    counted = units.group_by(groups).aggregate(**measures) if groups else units.aggregate(**measures)
    lines = [ibis.struct(_line(counted, funnel, number)) for number in range(len(funnel.steps))]
    return counted.select(*groups, line_=ibis.array(lines).unnest()).unpack("line_")


def times(units: Table, funnel: Funnel, start: int = 1, end: int | None = None, bins: int | None = None) -> Table:
    """Spread the units that reached a step over how long it took them from another, in bins of equal width.

    Args:
        units: From `chosen`; voided ones are left out. Filter for `matured` first where that matters.
        funnel: The funnel.
        start: The step from which time is measured, from 1 on.
        end: The step until which; None for the last.
        bins: How many; None for the cube root of the number of units, at most 60. Their width is whole seconds.

    Returns:
        `bin` from 0 on, `seconds` at which it begins, and `units`; the last bin begins at or after the longest time.

    >>> noon = dt.datetime(2024, 1, 1, 12, tzinfo=dt.UTC)
    >>> events = ibis.memtable(
    ...     [
    ...         {"user_id": "a", "occurred_at": noon + dt.timedelta(hours=h), "event_id": str(h), "event_type": e}
    ...         for h, e in enumerate(["view", "purchase"])
    ...     ]
    ... )
    >>> funnel = Funnel((Step("see", "view"), Step("buy", "purchase")), window=dt.timedelta(hours=1))
    >>> found = times(chosen(attempts(events, funnel), funnel), funnel).order_by("bin")
    >>> found.seconds.execute().tolist(), found.units.execute().tolist()
    ([3600.0, 3660.0], [1, 0])
    """
    last = len(funnel.steps) if end is None else end
    if not 1 <= start < last <= len(funnel.steps):
        raise ValueError(f"no times from step {start} to step {last} of {len(funnel.steps)}")
    lasted = (_elapsed(units, last - 1) - _elapsed(units, start - 1)) / _SECOND
    taken = units.filter(~units.voided).select(seconds_=lasted).filter(ibis._.seconds_.notnull())
    found = taken.aggregate(low_=taken.seconds_.min(), high_=taken.seconds_.max(), units_=taken.count())
    root = (found.units_.cast("float64") ** (1 / 3) - 1e-9).ceil().cast("int64")
    number = ibis.literal(bins, "int64") if bins is not None else ibis.least(ibis.greatest(root, 1), MAX_BINS)
    shape = found.filter(found.units_ > 0).mutate(bins_=number)
    wide = ((shape.high_ - shape.low_) / shape.bins_).ceil()
    shape = shape.mutate(width_=(wide > 0).ifelse(wide, float(MAX_BINS)))
    placed = taken.cross_join(shape)
    place = ((placed.seconds_ - placed.low_) / placed.width_).floor().cast("int64")
    counts = placed.mutate(place_=place).group_by("place_").aggregate(counted_=ibis._.count())
    edges = shape.select(
        bin=ibis.range(0, shape.bins_ + 1).unnest().cast("int64"), low_=shape.low_, width_=shape.width_
    )
    joined = edges.left_join(counts, edges.bin == counts.place_)
    return joined.select(
        bin=joined.bin, seconds=joined.low_ + joined.bin * joined.width_, units=joined.counted_.fill_null(0)
    )


def users(units: Table, funnel: Funnel) -> Table:
    """List who entered, how far they got, and when: one row per unit, voided ones too.

    Args:
        units: From `chosen`.
        funnel: The funnel.

    Returns:
        The columns of `chosen`, with `reached_at_N` in the place of `elapsed_N`, and `deepest_name` (of an unordered
        funnel null) and `completed`: whether all required steps were reached.
    """
    names = [(units.deepest == number, step.name) for number, step in enumerate(funnel.steps, 1)]
    instants = {
        f"reached_at_{number + 1}": units.entered_at + _elapsed(units, number).as_interval("us")
        for number in range(1, len(funnel.steps))
    }
    named = ibis.null("string") if funnel.order == "unordered" else ibis.cases(*names)
    return units.mutate(
        **instants, deepest_name=named, completed=_elapsed(units, funnel.required[-1]).notnull() & ~units.voided
    ).drop(*(f"elapsed_{number + 1}" for number in range(1, len(funnel.steps))))


def _told_apart(attempted: Table, funnel: Funnel, by: Sequence[str]) -> Table:
    """Choose twice, by all attempts and by the matured."""
    no, yes = ibis.literal(False), ibis.literal(True)  # noqa: FBT003
    if funnel.window is None:  # every attempt is matured
        closed = seen = chosen(attempted, funnel, by)
    else:
        best = contenders(attempted, funnel, by)
        closed, seen = best.filter(best.matured).drop("position"), chosen(best, funnel, by)
    return seen.mutate(matured_only_=no).union(closed.mutate(matured_only_=yes))


def _line(counted: Table, funnel: Funnel, number: int) -> dict[str, Value]:
    """Give the line of a step, of the numbers that were counted for all steps."""
    missing = ibis.null("float64")
    observed, matured = counted[f"observed_{number}"], counted[f"matured_{number}"]
    before = counted[f"matured_{_before(funnel, number)}"] if number else ibis.null("int64")
    return {
        "step": ibis.literal(number + 1, "int64"),
        "name": ibis.literal(funnel.steps[number].name),
        "observed": observed,
        "matured": matured,
        "immature": observed - matured,
        "voided": counted.voided_,
        "voided_matured": counted.voided_matured_,
        "of_all": matured / counted.matured_0.nullif(0),
        "of_previous": matured / before.nullif(0) if number else missing,
        "drop_off": before - matured,
        "seconds_mean": counted[f"mean_{number}"] if number else missing,
        "seconds_median": counted[f"median_{number}"] if number else missing,
        **{
            f"seconds_from_entry_q{round(q * 100)}": counted[f"quantiles_{number}"][n] / _SECOND if number else missing
            for n, q in enumerate(QUANTILES)
        },
    }


def _before(funnel: Funnel, number: int) -> int:
    """Return the required step before a step."""
    return max(place for place in funnel.required if place < number)


def _elapsed(units: Table, number: int) -> IntegerValue:
    return units[f"elapsed_{number + 1}"] if number else ibis.literal(0, "int64")


def _count(condition: BooleanValue) -> IntegerValue:
    return condition.sum().fill_null(0)  # of no rows at all, the sum is null


def _since_epoch(instant: TimestampValue) -> IntegerValue:
    return instant.delta(ibis.literal(_EPOCH), unit="microsecond")


def _microseconds(instant: dt.datetime) -> int:
    return (instant - _EPOCH) // _MICROSECOND


def _any(conditions: Iterable[BooleanValue]) -> BooleanValue:
    return functools.reduce(operator.or_, conditions)


def _all(conditions: Iterable[BooleanValue]) -> BooleanValue:
    return functools.reduce(operator.and_, conditions)


def _holds(events: Table, event: str | None, where: Sequence[Predicate]) -> BooleanValue:
    """Say of each event whether it is of a type and meets some conditions."""
    met = [] if event is None else [events.event_type == event]
    for predicate in where:
        met.extend(events.bind(predicate))
    if not met:
        return ibis.literal(True)  # noqa: FBT003
    return _all(met).fill_null(False)  # noqa: FBT003


def _is(number: int) -> str:
    return f"is_{number}_"


def _matched(
    events: Table,
    funnel: Funnel,
    between: tuple[dt.datetime | None, dt.datetime | None],
    keep: Sequence[str],
    microseconds: Microseconds,
) -> Table:
    """Keep the events that matter, and say which steps and exclusions each of them matches, and where it stands."""
    firsts = {step.event: f"first_{number}_" for number, step in enumerate(funnel.steps) if step.first}
    for event, name in firsts.items():
        alike = _holds(events, event, ())
        turn = ibis.row_number().over(
            ibis.window(group_by=[events.user_id, alike], order_by=[events.occurred_at, events.event_id])
        )
        events = events.mutate(**{name: (turn == 0) & alike & events.user_id.notnull()})
    since, until = between
    within = [events[funnel.unit].notnull()]
    told: tuple[Step | Exclusion, ...] = (*funnel.steps, *funnel.exclusions)
    types = {part.event for part in told if part.event is not None}
    by_type = funnel.order != "strict" and all(part.event is not None for part in told)
    # a plain list of values is what the engine can ask of the files
    within += [events.event_type.isin(sorted(types))] if by_type else []
    within += [events.occurred_at >= since] if since is not None else []
    within += [events.occurred_at < until] if until is not None else []
    events = events.filter(*within)
    is_step = {}
    for number, step in enumerate(funnel.steps):
        matches = _holds(events, step.event, step.where)
        is_step[_is(number)] = matches & events[firsts[step.event]] if step.first else matches
    values = {name: events[name].cast("string").fill_null(UNKNOWN) for name in funnel.split if name != funnel.unit}
    rows = events.select(
        *(name for name in dict.fromkeys((funnel.unit, *keep)) if name not in values),
        **values,
        entered_at=events.occurred_at,
        at_=microseconds(events.occurred_at),
        **({} if _interchangeable(funnel, keep) else {"event_id_": events.event_id}),
        valued_=_any(events[name].notnull() for name in funnel.split) if funnel.split else ibis.literal(False),  # noqa: FBT003
        **is_step,
        **{f"voids_{n}_": _holds(events, x.event, x.where) for n, x in enumerate(funnel.exclusions)},
    )
    steps = range(len(funnel.steps))
    mattering = [rows[_is(n)] for n in steps] + [rows[f"voids_{n}_"] for n in range(len(funnel.exclusions))]
    if funnel.order != "strict" and not (by_type and not firsts and not any(part.where for part in told)):
        rows = rows.filter(_any(mattering))
    # a step that may be left out takes no event from the one that may not
    rows = rows.mutate(
        **{
            _is(n): rows[_is(n)] & ~rows[_is(later[0])]
            for n in steps
            if funnel.steps[n].optional and (later := [r for r in funnel.required if r > n])
        }
    )
    first = ibis.cases(*((rows[_is(n)], n) for n in steps), else_=len(funnel.steps)).cast("int8")
    return _placed(rows.mutate(first_=first), funnel)


def _placed(rows: Table, funnel: Funnel) -> Table:
    """Number the events of each unit, and give each the time of the next event that would void an attempt."""
    if funnel.exclusions:
        # by time alone: what happens at the very instant of a step voids nothing
        later = ibis.range_window(group_by=funnel.of_whom, order_by="at_", following=(1, None))
        rows = rows.mutate(
            **{
                f"void_{n}_": rows["at_"].min(where=rows[f"voids_{n}_"]).over(later)
                for n in range(len(funnel.exclusions))
            }
        )
        if funnel.order != "strict":
            rows = rows.filter(_any(rows[_is(n)] for n in range(len(funnel.steps))))
    if "event_id_" not in rows.columns:
        return rows.mutate(position=rows["at_"])
    return rows.mutate(position=ibis.row_number().over(ibis.window(group_by=funnel.of_whom, order_by=_ORDER)))


_ORDER = ("at_", "first_", "event_id_")


def _interchangeable(funnel: Funnel, keep: Sequence[str]) -> bool:
    """Say whether events of one step and one instant lead to attempts that are alike, so that time is order enough.

    They do where no event can match two steps, and nothing is asked of the event but its day.
    """
    events = [step.event for step in funnel.steps]
    told_apart = len(set(events)) == len(events) and None not in events
    by_event = funnel.breakdown is not None and funnel.breakdown.attribution != "all_events"
    optional = any(step.optional for step in funnel.steps)
    return funnel.order == "ordered" and told_apart and not by_event and not optional and set(keep) <= {_DAY}


def _following(rows: Table, funnel: Funnel, first: int = 1) -> Any:  # noqa: ANN401 - Ibis gives windows no public type
    """Return the rows of the unit from so many rows later on."""
    # where events are told apart their position has their whole order, and one number is sorted faster than three
    order = ["position"] if "event_id_" in rows.columns else ["at_", "first_"]
    return ibis.window(group_by=funnel.of_whom, order_by=order, following=(first, None))


def _extras(funnel: Funnel, number: int) -> dict[str, str]:
    """Name what the rows of a step know beside their time, by the name under which an attempt knows it."""
    known = {f"x_{n}_": f"void_{n}_" for n, x in enumerate(funnel.exclusions) if funnel.span(x)[0] == number}
    return known | ({"p_": "position"} if funnel.attributed == number else {})


def _followed(rows: Table, funnel: Funnel) -> Table:
    """Follow ordered attempts: from the last step to the first, each row learns from those of the next step.

    What the rows of a step know of an attempt that has come to them: `t_N_`, the time of step N, `x_N_`, the next
    voiding event after the step where exclusion N begins, `p_`, the position of the event that gives the breakdown's
    value. Each grows with the row's position, so that the smallest value among the rows that follow is the next one's.

    With steps that may be left out, `q_N_` is twice the position of step N; where N was left out, it is that of the
    required step after it and one more, and `t_N_` is that step's time: so they grow too.
    """
    last = len(funnel.steps) - 1
    skips = len(funnel.required) <= last
    own = {"t": "at_", "q": "twice_"} if skips else {"t": "at_"}
    if skips:
        rows = rows.mutate(twice_=rows.position * 2)
    known = {last: _extras(funnel, last)}
    for number in range(last - 1, -1, -1):
        target = next((place for place in funnel.required if place > number), None)
        skippable = range(number + 1, last + 1 if target is None else target)
        sources = [*skippable, *([] if target is None else [target])]
        rows = rows.filter(_any(rows[_is(place)] for place in range(sources[-1] + 1)))
        heard: dict[int, dict[str, str]] = {}
        for place in sources:
            wanted = known[place]
            if place != target:  # what comes after the next required step is the same with this one and without
                between = [f"{kind}_{other}_" for other in skippable if other > place for kind in own]
                wanted = {name: wanted[name] for name in between}
            heard[place] = {f"{kind}_{place}_": column for kind, column in own.items()} | wanted
        follows = _following(rows, funnel)
        learned = {
            f"n_{place}_{name}": rows[column].min(where=rows[_is(place)]).over(follows)
            for place, columns in heard.items()
            for name, column in columns.items()
        }
        rows = rows.mutate(**learned)
        onward: dict[str, Value] = {}
        goal = ibis.literal(_NEVER)
        if target is not None:
            onward = {name: rows[f"n_{target}_{name}"] for name in heard[target]}
            goal = onward[f"q_{target}_"].fill_null(_NEVER) if skips else goal
        for place in reversed(skippable):
            onward = _perhaps(rows, place, goal, target, onward)
        known[number] = {name: f"k_{number}_{name}" for name in onward}
        rows = rows.mutate(**{known[number][name]: value for name, value in onward.items()}).drop(*learned)
        known[number] |= _extras(funnel, number)
    entries = rows.filter(rows[_is(0)])
    return entries.mutate(**{name: entries[column] for name, column in known[0].items()})


def _perhaps(
    rows: Table, place: int, goal: IntegerValue, target: int | None, without: Mapping[str, Value]
) -> dict[str, Value]:
    """Go over a step that may be left out, if it comes before the goal, and from there on as its row knows.

    `without` is how the attempt goes on without it.
    """
    taken = (rows[f"n_{place}_q_{place}_"] < goal).fill_null(False)  # noqa: FBT003
    left_out = {"t": ibis.null("int64"), "q": ibis.null("int64")}
    if target is not None:
        left_out = {"t": without[f"t_{target}_"], "q": without[f"q_{target}_"] + 1}
    onward = {
        f"{kind}_{place}_": taken.ifelse(rows[f"n_{place}_{kind}_{place}_"], value) for kind, value in left_out.items()
    }
    for name, value in without.items():
        column = f"n_{place}_{name}"
        onward[name] = taken.ifelse(rows[column], value) if column in rows.columns else value
    return onward


def _within_window(entries: Table, funnel: Funnel) -> Table:
    """Forget what lies after the window, and the steps that were left out."""
    times: dict[str, Value] = {}
    for number, step in enumerate(funnel.steps):
        if number:
            time = entries[f"t_{number}_"]
            if step.optional:
                time = ((entries[f"q_{number}_"] & 1) == 0).ifelse(time, ibis.null("int64"))
            times[f"t_{number}_"] = _in_window(entries, time, funnel)
    return entries.mutate(**times)


def _in_window(entries: Table, time: IntegerValue, funnel: Funnel) -> IntegerValue:
    if funnel.window is None:
        return time
    end = entries["at_"] + funnel.window // _MICROSECOND
    return (time <= end).ifelse(time, ibis.null("int64"))


def _followed_strictly(rows: Table, funnel: Funnel) -> Table:
    """Follow strict attempts: the unit's next events, one after the other, for as long as each is a next step.

    `r_N_` says whether the event so many rows later is step N.
    """
    last = len(funnel.steps) - 1
    order = ibis.window(group_by=funnel.of_whom, order_by=_ORDER)
    handed = ["at_", "position", *(f"void_{n}_" for n in range(len(funnel.exclusions)))]
    handed += [_is(number) for number in range(last + 1)]
    ahead = {(name, far): f"a_{far}_{name}" for name in handed for far in range(1, last + 1)}
    rows = rows.mutate(**{column: rows[name].lead(far).over(order) for (name, far), column in ahead.items()})
    entries = rows.filter(rows[_is(0)])
    is_at: dict[tuple[int, int], str] = {}  # (rows later, step) -> the column that says so
    for far in range(1, last + 1):
        steps: dict[str, Value] = {}
        for number in range(1, last + 1):
            ways = []
            for before in range(number):
                between = range(before + 1, number)
                if any(not funnel.steps[place].optional for place in between):
                    continue
                came = (far == 1 and before == 0) or entries.columns.count(f"r_{far - 1}_{before}_")
                if not came:
                    continue
                way = [entries[ahead[_is(number), far]]]
                way += [~entries[ahead[_is(place), far]] for place in between]
                way += [] if far == 1 else [entries[f"r_{far - 1}_{before}_"]]
                ways.append(_all(way))
            if ways:
                name = f"r_{far}_{number}_"
                soon = _in_window(entries, entries[ahead["at_", far]], funnel).notnull()
                steps[name] = (_any(ways) & soon).fill_null(False)  # noqa: FBT003
                is_at[far, number] = name
        entries = entries.mutate(**steps)

    def there(name: str, number: int) -> Value:
        """Give a column of the event that was the step."""
        if not number:
            return entries[name]
        found = [(entries[is_at[far, number]], entries[ahead[name, far]]) for far, n in is_at if n == number]
        return ibis.cases(*found)

    known = {f"t_{number}_": there("at_", number) for number in range(1, last + 1)}
    for number in range(last + 1):
        known |= {name: there(column, number) for name, column in _extras(funnel, number).items()}
    return entries.mutate(**known)


def _gathered(rows: Table, funnel: Funnel) -> Table:
    """Gather the steps of unordered attempts: each event of any step begins one.

    Steps that no event can share are reached by the next event of each. Of steps that may share events, so many are
    reached as can be given events of their own. By Hall's theorem these are d of g when, for every choice of s of the
    g steps, at least d - g + s events match one of the chosen: so the dth is reached when the last of these is.
    """
    flags: dict[str, BooleanValue] = {}
    needs: list[list[tuple[str, int]]] = []  # for each step in turn: which flags must have been on, how often
    for group in _alike(funnel):
        size = sum(map(len, group.values()))
        turns: list[list[tuple[str, int]]] = [[] for _ in range(size)]
        for count in range(1, len(group) + 1):
            for some in itertools.combinations(group, count):
                flag = f"any_{'_or_'.join(map(str, some))}_"
                flags[flag] = _any(rows[_is(kind)] for kind in some)
                spare = size - sum(len(group[kind]) for kind in some)
                for number in range(spare, size):
                    turns[number].append((flag, number - spare + 1))
        needs += turns
    often: dict[str, int] = {}
    for flag, count in itertools.chain.from_iterable(needs):
        often[flag] = max(often.get(flag, 0), count)
    rows = _counted(rows.mutate(**flags), funnel, often)
    reached_at = [
        ibis.greatest(0, *(rows[f"{flag}turn_{count}_"].fill_null(_NEVER) for flag, count in conditions))
        for conditions in needs
    ]
    gathered = rows.mutate(in_turn_=ibis.array(reached_at).sort())
    known: dict[str, Value] = {f"x_{n}_": gathered[f"void_{n}_"] for n in range(len(funnel.exclusions))}
    if funnel.attributed == 0:
        known["p_"] = gathered.position
    for number in range(1, len(funnel.steps)):
        time = gathered.in_turn_[number]
        known[f"t_{number}_"] = _in_window(gathered, (time < _NEVER).ifelse(time, ibis.null("int64")), funnel)
    return gathered.mutate(**known)


def _counted(rows: Table, funnel: Funnel, often: Mapping[str, int]) -> Table:
    """Give each row the times of the first, second, ... event with a flag, from this one on: `FLAGturn_N_`."""
    own = dict.fromkeys(often, "at_")
    for turn in range(1, max(often.values()) + 1):
        now = {flag: column for flag, column in own.items() if often[flag] >= turn}
        from_here, after = _following(rows, funnel, 0), _following(rows, funnel)
        found = {f"{flag}turn_{turn}_": rows[now[flag]].min(where=rows[flag]).over(from_here) for flag in now}
        # where the flag is on, the next time is the next one's
        onward = {f"own_{flag}{turn}_": rows[now[flag]].min(where=rows[flag]).over(after) for flag in now}
        own = {flag: f"own_{flag}{turn}_" for flag in now}
        rows = rows.mutate(**found, **onward)
    return rows


def _alike(funnel: Funnel) -> list[dict[int, list[int]]]:
    """Group steps that may share events; in a group, those that are the same but for their name are together."""
    events = {step.event for step in funnel.steps}
    one = None in events
    groups: dict[str | None, dict[int, list[int]]] = {}
    for number, step in enumerate(funnel.steps):
        group = groups.setdefault(None if one else step.event, {})
        same = [n for n in group if _same(funnel.steps[n], step)]
        group.setdefault(same[0] if same else number, []).append(number)
    for group in groups.values():
        if len(group) > MAX_ALIKE:
            names = ", ".join(funnel.steps[number].name for number in group)
            raise ValueError(f"more than {MAX_ALIKE} steps of an unordered funnel may match the same events: {names}")
    return list(groups.values())


def _same(one: Step, other: Step) -> bool:
    conditions = len(one.where) == len(other.where) and all(a is b for a, b in zip(one.where, other.where, strict=True))
    return one.event == other.event and one.first == other.first and conditions


def _attributed(entries: Table, rows: Table, funnel: Funnel) -> Table:
    """Give each attempt the value of its breakdown."""
    if funnel.breakdown is None or funnel.breakdown.attribution == "all_events":
        return entries
    columns = [name for name in funnel.split if name != funnel.unit]
    bare = entries.drop(*columns)
    if funnel.attributed is not None:
        if funnel.attributed:  # a step that lies after the window was not reached
            there = bare[f"t_{funnel.attributed}_"].notnull()
            bare = bare.mutate(p_=there.ifelse(bare["p_"], ibis.null("int64")))
        values = rows.select(funnel.unit, "position", *columns)
        joined = bare.left_join(
            values, [bare[funnel.unit] == values[funnel.unit], bare["p_"] == values.position], rname="{name}_there_"
        )
    else:
        valued = rows.filter(rows.valued_, rows.first_ < len(funnel.steps))
        turn = valued.position if funnel.breakdown.attribution == "first_touch" else -valued.position
        values = valued.group_by(funnel.unit).aggregate(**{name: valued[name].argmin(turn) for name in columns})
        joined = bare.left_join(values, bare[funnel.unit] == values[funnel.unit], rname="{name}_there_")
    missing = UNKNOWN if funnel.attributed is None else NOT_REACHED
    return joined.mutate(**{name: joined[name].fill_null(missing) for name in columns})


def _judged(entries: Table, funnel: Funnel, as_of: dt.datetime | None, keep: Sequence[str]) -> Table:
    """Say of each attempt how deep it went, whether it was voided, and whether its window has closed."""
    numbers = range(1, len(funnel.steps))
    times = {number: entries[f"t_{number}_"] for number in numbers}
    voided: BooleanValue = ibis.literal(False)  # noqa: FBT003
    for n, exclusion in enumerate(funnel.exclusions):
        after, before = funnel.span(exclusion)
        next_one = entries[f"x_{n}_"]
        at_end = _in_window(entries, next_one, funnel).notnull()
        inside = times[before].isnull().ifelse(at_end, next_one < times[before])
        begun = times[after].notnull() if after else True
        voided = voided | (inside & begun).fill_null(False)  # noqa: FBT003
    matured: BooleanValue = ibis.literal(True)  # noqa: FBT003
    if as_of is not None and funnel.window is not None:
        matured = entries["at_"] < _microseconds(as_of) - funnel.window // _MICROSECOND
    deep = [ibis.literal(1, "int64"), *(times[number].notnull().ifelse(number + 1, 0) for number in numbers)]
    return entries.select(
        *dict.fromkeys((funnel.unit, *funnel.split, *keep)),
        "entered_at",
        "position",
        deepest=ibis.greatest(*deep).cast("int64"),
        **{f"elapsed_{number + 1}": times[number] - entries["at_"] for number in numbers},
        voided=voided,
        matured=matured,
    )
