"""A funnel in plain loops, against which the real one is held: slow, and for people to read.

Belongs here: what a funnel means, said a second time. Does not belong here: anything that `analysis.funnel` does.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from analytics_assets.analysis.funnel import NOT_REACHED, UNKNOWN, Exclusion, Funnel, Predicate, Step

Event = Mapping[str, Any]
Attempt = dict[str, Any]
Meaning = Callable[[Event], bool]

MICROSECOND = dt.timedelta(microseconds=1)


class Naive:
    """Follow a funnel through events.

    Args:
        funnel: The funnel.
        meanings: What its predicates say, of a single event.
    """

    def __init__(self, funnel: Funnel, meanings: Mapping[Predicate, Meaning]) -> None:
        self.funnel = funnel
        self.meanings = meanings
        self.firsts: dict[tuple[Any, str | None], str] = {}

    def attempts(self, events: Sequence[Event], as_of: dt.datetime | None = None) -> list[Attempt]:
        """Give every attempt of every unit."""
        for event in sorted(events, key=lambda event: (event["occurred_at"], event["event_id"])):
            for kind in (event["event_type"], None):
                self.firsts.setdefault((event["user_id"], kind), event["event_id"])
        units: dict[tuple[Any, ...], list[Event]] = {}
        for event in events:
            if event[self.funnel.unit] is not None:
                whose = tuple(event[n] or UNKNOWN if n in self.funnel.split else event[n] for n in self.funnel.of_whom)
                units.setdefault(whose, []).append(event)
        found = []
        for whose, own in units.items():
            for attempt in self._of_unit(own):
                said = dict(zip(self.funnel.of_whom, whose, strict=True))
                end = self._end(attempt["entered_at"])
                matured = as_of is None or self.funnel.window is None or end < as_of
                found.append({**attempt, **said, "matured": matured})
        return found

    def chosen(self, attempts: Sequence[Attempt], by: Sequence[str] = ()) -> dict[tuple[Any, ...], Attempt]:
        """Choose one attempt for each unit and value of `by`."""
        groups: dict[tuple[Any, ...], list[Attempt]] = {}
        for attempt in attempts:
            groups.setdefault(tuple(attempt[name] for name in (*self.funnel.of_whom, *by)), []).append(attempt)
        best = {}
        for key, several in groups.items():
            in_turn = sorted(several, key=lambda attempt: attempt["place"])
            if self.funnel.entry == "any":
                in_turn.sort(key=lambda attempt: (attempt["voided"], -attempt["deepest"]))
            best[key] = in_turn[0]
        return best

    def matches(self, event: Event, number: int) -> bool:
        step = self.funnel.steps[number]
        if step.optional:
            later = [place for place in self.funnel.required if place > number]
            if later and self._is(event, self.funnel.steps[later[0]]):
                return False
        return self._is(event, step)

    def _is(self, event: Event, step: Step | Exclusion) -> bool:
        if isinstance(step, Step) and step.first:
            nobody = event["user_id"] is None
            if nobody or self.firsts.get((event["user_id"], step.event)) != event["event_id"]:
                return False
        return step.event in {None, event["event_type"]} and all(self.meanings[p](event) for p in step.where)

    def _first_match(self, event: Event) -> int:
        return next((n for n in range(len(self.funnel.steps)) if self.matches(event, n)), len(self.funnel.steps))

    def _end(self, entered: dt.datetime) -> dt.datetime:
        if self.funnel.window is None:
            return dt.datetime.max.replace(tzinfo=dt.UTC)
        return entered + self.funnel.window

    def _of_unit(self, events: Sequence[Event]) -> Iterator[Attempt]:
        in_order = sorted(events, key=lambda e: (e["occurred_at"], self._first_match(e), e["event_id"]))
        walk = {"ordered": self._ordered, "strict": self._strict, "unordered": self._unordered}[self.funnel.order]
        for place, event in enumerate(in_order):
            begins = (
                self._first_match(event) < len(self.funnel.steps)
                if self.funnel.order == "unordered"
                else self.matches(event, 0)
            )
            if begins:
                end = self._end(event["occurred_at"])
                steps = {n: e for n, e in walk(in_order, place).items() if e["occurred_at"] <= end}
                yield self._attempt(steps, in_order, place)

    def _attempt(self, steps: Mapping[int, Event], in_order: Sequence[Event], place: int) -> Attempt:
        event = steps[0]
        elapsed = {
            f"elapsed_{n + 1}": (steps[n]["occurred_at"] - event["occurred_at"]) // MICROSECOND if n in steps else None
            for n in range(1, len(self.funnel.steps))
        }
        return {
            "entered_at": event["occurred_at"],
            "day": event["day"],
            "place": place,
            "deepest": max(steps) + 1,
            "voided": any(self._voids(x, steps, in_order) for x in self.funnel.exclusions),
            **elapsed,
            **self._values(steps, in_order),
        }

    def _ordered(self, events: Sequence[Event], place: int) -> dict[int, Event]:
        """Go to the next required step, and from where one is on the way over the steps that may be left out."""
        steps = {0: events[place]}
        required = self.funnel.required
        for number, target in zip(required, [*required[1:], None], strict=True):
            after = range(place + 1, len(events))
            goal = next((i for i in after if target is not None and self.matches(events[i], target)), None)
            here = place
            for skippable in range(number + 1, len(self.funnel.steps) if target is None else target):
                until = len(events) if goal is None else goal
                found = next((i for i in range(here + 1, until) if self.matches(events[i], skippable)), None)
                if found is not None:
                    steps[skippable], here = events[found], found
            if goal is None or target is None:
                break
            steps[target], place = events[goal], goal
        return steps

    def _strict(self, events: Sequence[Event], place: int) -> dict[int, Event]:
        steps, now = {0: events[place]}, 0
        end = self._end(events[place]["occurred_at"])
        for event in events[place + 1 :]:
            ways = []
            for number in range(now + 1, len(self.funnel.steps)):
                ways.append(number)
                if not self.funnel.steps[number].optional:
                    break
            taken = next((n for n in ways if self.matches(event, n)), None)
            if taken is None or event["occurred_at"] > end:
                break
            steps[taken], now = event, taken
        return steps

    def _unordered(self, events: Sequence[Event], place: int) -> dict[int, Event]:
        """Give each event a step, moving those given before where that makes room for one more."""
        given: dict[int, int] = {}  # step -> event
        steps: dict[int, Event] = {}

        def give(event: int, seen: set[int]) -> bool:
            for number in range(len(self.funnel.steps)):
                if number not in seen and self.matches(events[event], number):
                    seen.add(number)
                    if number not in given or give(given[number], seen):
                        given[number] = event
                        return True
            return False

        for i in range(place, len(events)):
            if give(i, set()):
                steps[len(steps)] = events[i]
        return steps

    def _voids(self, exclusion: Exclusion, steps: Mapping[int, Event], events: Sequence[Event]) -> bool:
        after, before = self.funnel.span(exclusion)
        if after not in steps:
            return False
        start, end = steps[after]["occurred_at"], self._end(steps[0]["occurred_at"])
        for event in events:
            at = event["occurred_at"]
            inside = at < steps[before]["occurred_at"] if before in steps else at <= end
            if start < at and inside and self._is(event, exclusion):
                return True
        return False

    def _values(self, steps: Mapping[int, Event], events: Sequence[Event]) -> dict[str, Any]:
        breakdown = self.funnel.breakdown
        if breakdown is None or breakdown.attribution == "all_events":
            return {}
        if self.funnel.attributed is not None:
            if self.funnel.attributed not in steps:
                return dict.fromkeys(breakdown.columns, NOT_REACHED)
            event: Event = steps[self.funnel.attributed]
        else:
            touches = [e for e in events if self._first_match(e) < len(self.funnel.steps)]
            touches = [e for e in touches if any(e[name] is not None for name in breakdown.columns)]
            if not touches:
                return dict.fromkeys(breakdown.columns, UNKNOWN)
            event = touches[0 if breakdown.attribution == "first_touch" else -1]
        return {name: UNKNOWN if event[name] is None else event[name] for name in breakdown.columns}
