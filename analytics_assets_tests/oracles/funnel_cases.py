"""Funnels of other people's systems: a case as a funnel of ours, and our answer in the case's own form."""

from __future__ import annotations

import datetime as dt
import json
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ibis.expr.types import BooleanValue, Table

from analytics_assets.analysis.funnel import (
    NOT_REACHED,
    UNKNOWN,
    Breakdown,
    Exclusion,
    Funnel,
    Predicate,
    Step,
    attempts,
    chosen,
    reached,
    times,
)
from analytics_assets_tests.making import table
from analytics_assets_tests.oracles import reading

Case = Mapping[str, Any]
_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "=": operator.eq,
    "!=": operator.ne,
}


def answer(case: Case) -> dict[str, Any]:
    """Compute what a case expects, under the same keys."""
    return {key: _ANSWERS[key](_Asked(case)) for key in case["expected"]}


def check(case: Case) -> None:
    """Hold our answer against a case; where it lists periods or users, those it leaves out have nothing."""
    found, expected = answer(case), dict(case["expected"])
    for key, nothing, named_as in (("trend", [0, 0], _key), ("levels", 0, str)):
        if key in expected:
            named = {named_as(name): value for name, value in expected[key].items()}
            both = named.keys() | found[key].keys()
            expected[key] = {name: named.get(name, nothing) for name in both}
            found[key] = {name: found[key].get(name, nothing) for name in both}
    reading.assert_same(found, expected)


class _Asked:
    """Hold a case's events and funnel, and what was found."""

    def __init__(self, case: Case) -> None:
        self.says: Mapping[str, Any] = case["definition"]
        self.expected: Mapping[str, Any] = case["expected"]
        self.happened = reading.events(case)
        self.funnel = _funnel(self.says)
        zone = self.says.get("timezone") or "UTC"
        since, until = self.says.get("date_from"), self.says.get("date_to")
        self.attempts = attempts(
            _events(self.happened, self.says),
            self.funnel,
            since=reading.instant(since, zone) if since is not None else None,
            until=_end(until, zone) if until is not None else None,
            keep=("day",),
        )

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The lines of `reached`, step by step."""
        return reading.rows(reached(self.attempts, self.funnel).order_by(*self.funnel.split, "step"))

    @property
    def units(self) -> list[dict[str, Any]]:
        """The units that entered."""
        units = chosen(self.attempts, self.funnel)
        return reading.rows(units.filter(~units.voided))

    def counts(self) -> list[int]:
        units = self.units
        return [sum(unit["deepest"] > number for unit in units) for number in range(len(self.funnel.steps))]

    def levels(self) -> dict[str, int]:
        return {unit[self.funnel.unit]: unit["deepest"] for unit in self.units}

    def users_at_step(self) -> dict[str, list[str]]:
        """List who came to a step, or, for a negative step, who came to the one before it and no further."""
        found = {}
        for key in self.expected["users_at_step"]:
            step = int(key)
            there = [u for u in self.units if (u["deepest"] >= step if step > 0 else u["deepest"] == -step - 1)]
            found[key] = sorted(unit[self.funnel.unit] for unit in there)
        return found

    def by_breakdown(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for line in self.lines:
            values = [line[name] for name in self.funnel.split]
            if NOT_REACHED not in values:
                key = json.dumps(["" if value == UNKNOWN else value for value in values], ensure_ascii=False)
                found.setdefault(key, []).append(line["observed"])
        return {key: counts for key, counts in found.items() if counts[0]}

    def breakdown_values(self) -> list[str]:
        return sorted(self.by_breakdown())

    def trend(self) -> dict[str, list[int]]:
        says = self.says["trend"]
        start, end = says.get("from_step") or 0, says.get("to_step")
        period = reading.period(says.get("interval") or "day", says.get("week_start", self.says.get("week_start")))
        when = self.attempts["entered_at" if period.unit == "hour" else "day"]
        counted = reached(self.attempts.mutate(number=period.number(when)), self.funnel, ["number"])
        lines = reading.rows(counted.mutate(start=period.start(counted.number)).order_by("number", "step"))
        found: dict[str, list[int]] = {}
        for line in lines:
            found.setdefault(_key(line["start"].isoformat()), []).append(line["observed"])
        return {key: [counts[start], counts[-1 if end is None else end]] for key, counts in found.items()}

    def time_to_convert(self) -> list[dict[str, Any]]:
        says = self.says["time_to_convert"]
        wanted = says.get("bins")
        spread = times(
            chosen(self.attempts, self.funnel),
            self.funnel,
            (says.get("from_step") or 0) + 1,
            None if says.get("to_step") is None else says["to_step"] + 1,
            wanted if isinstance(wanted, int) else None,
        )
        return reading.rows(spread.order_by("bin"))

    def average(self) -> float | None:
        says = self.says["time_to_convert"]
        start, end = (says.get("from_step") or 0) + 1, says.get("to_step")
        last = len(self.funnel.steps) if end is None else end + 1
        taken = [
            unit[f"elapsed_{last}"] - (unit[f"elapsed_{start}"] if start > 1 else 0)
            for unit in self.units
            if unit[f"elapsed_{last}"] is not None
        ]
        return sum(taken) / len(taken) / 1e6 if taken else None

    def rates(self, name: str) -> list[float | None]:
        """Give the conversion to each step, from the second on where no more are expected."""
        lines = self.lines
        rates = [1.0 if line["matured"] else None, *(line[name] for line in lines[1:])] if (line := lines[0]) else []
        return rates[len(rates) - len(self.expected.get(_RATES[name]) or rates) :]


_RATES = {"of_previous": "rates_prev", "of_all": "rates_all_users"}
_ANSWERS: dict[str, Callable[[_Asked], Any]] = {
    "counts": _Asked.counts,
    "levels": _Asked.levels,
    "users_at_step": _Asked.users_at_step,
    "by_breakdown": _Asked.by_breakdown,
    "breakdown_values": _Asked.breakdown_values,
    "trend": _Asked.trend,
    "avg_time": lambda asked: [line["seconds_mean"] for line in asked.lines],
    "median_time": lambda asked: [line["seconds_median"] for line in asked.lines],
    "bins": lambda asked: [[line["seconds"], line["units"]] for line in asked.time_to_convert()],
    "average": _Asked.average,
    "rates_prev": lambda asked: asked.rates("of_previous"),
    "rates_all_users": lambda asked: asked.rates("of_all"),
}


def _key(name: str) -> str:
    """Write a period as a date, or as a time where it is an hour; anything else stays."""
    return dt.datetime.fromisoformat(name).replace(tzinfo=None).isoformat().removesuffix("T00:00:00")


def _end(written: float | str, zone: str) -> dt.datetime:
    """Read an end that is included: the whole day where it is a date."""
    read = reading.instant(written, zone)
    if isinstance(written, str) and len(written) == len("2024-01-01"):
        following = dt.date.fromisoformat(written) + dt.timedelta(days=1)
        return reading.instant(following.isoformat(), zone)
    whole = read.microsecond == 0
    return read + (dt.timedelta(seconds=1) if whole else dt.timedelta(microseconds=1))


def _funnel(says: Mapping[str, Any]) -> Funnel:
    steps = tuple(
        Step(
            name=f"s{number}",
            event=None if step.get("event") is None else str(step["event"]),
            where=_where(step),
            optional=bool(step.get("optional")),
            first=bool(step.get("first_time_for_user")),
        )
        for number, step in enumerate(says["steps"])
    )
    exclusions = tuple(
        Exclusion(str(made["event"]), f"s{made['from_step']}", f"s{made['to_step']}", _where(made))
        for made in says.get("exclusions") or []
    )
    window = None
    if says.get("window_seconds") is not None:
        window = dt.timedelta(seconds=says["window_seconds"])
        if says.get("window_inclusive") is False:
            window -= dt.timedelta(microseconds=1)
    breakdown = None
    if made := says.get("breakdown"):
        attribution = made.get("attribution") or "first_touch"
        columns = tuple(_column(name) for name in made["props"])
        breakdown = Breakdown(columns, attribution, f"s{made['step']}" if attribution == "step" else None)
    return Funnel(
        steps,
        order=says.get("order") or "ordered",
        window=window,
        entry=says.get("entry") or "any",
        unit="actor" if says.get("actor_prop") else "user_id",
        exclusions=exclusions,
        breakdown=breakdown,
    )


def _where(says: Mapping[str, Any]) -> tuple[Predicate, ...]:
    conditions: list[Predicate] = []
    if says.get("op"):
        compare, value = _OPERATORS[says["op"]], float(says["value"])
        conditions.append(lambda events: compare(events.event_type.try_cast("float64"), value))
    conditions += [_having(name, wanted) for name, wanted in (says.get("props") or {}).items()]
    return tuple(conditions)


def _having(name: str, wanted: Any) -> Predicate:
    texts = [_text(value) for value in (wanted if isinstance(wanted, list) else [wanted])]

    def holds(events: Table) -> BooleanValue:
        return events[_column(name)].isin(texts)

    return holds


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) or value is None else json.dumps(value)


def _column(name: str) -> str:
    return f"prop {name}"


def _events(happened: Sequence[reading.Event], says: Mapping[str, Any]) -> Table:
    """Make the table of events, with a column for each property that is asked about."""
    asked = [*says["steps"], *(says.get("exclusions") or [])]
    names = {name for part in asked for name in part.get("props") or {}}
    breakdown = (says.get("breakdown") or {}).get("props") or []
    actor = says.get("actor_prop")
    types = {name: kind for name, kind in reading.COLUMNS.items() if name not in {"value", "session_id"}}
    types |= {"actor": "string"} | {_column(name): "string" for name in (*names, *breakdown)}
    records = []
    for event in happened:
        props = {name: _text(value) for name, value in event["props"].items()}
        record = {name: value for name, value in event.items() if name != "props"}
        record |= {"event_type": str(event["event_type"]), "actor": props.get(actor) if actor else None}
        record |= {_column(name): props.get(name) for name in names}
        # an empty text is no value to tell units apart by
        record |= {_column(name): props.get(name) or None for name in breakdown}
        records.append(record)
    return table(types, *records)
