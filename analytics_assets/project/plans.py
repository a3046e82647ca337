"""When a plan was registered, and whether it is still what was registered: `plans.lock` of a project.

Belongs here: what a decision rests on, its hash, the lock file, and the state that follows from it. Does not belong
here: the clock (`cli`), and what a verdict makes of a state.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field

from analytics_assets.project.base import Model
from analytics_assets.project.conditions import Condition, Question
from analytics_assets.project.experiments import Amendment, Measured, Plan
from analytics_assets.project.problems import ProjectError
from analytics_assets.project.questions import Measure, Metric, Name
from analytics_assets.project.yaml import read_yaml

LOCK_FILE = "plans.lock"
State = Literal["registered", "retrospective", "amended", "changed"]
Decision = dict[str, Any]
"""What a verdict rests on, as plain data: texts, numbers, lists and mappings."""
_HEADER = """\
# The plans of experiments as they were locked: what was planned, on which day, and what was amended later.
# `analytics-assets experiment lock NAME` writes this file. Commit it, and do not change it by hand.
"""
_LISTS_OF_METRICS = ("secondary", "guardrails")


class Locked(Model):
    """Keep one version of a plan: what was decided, and on which day."""

    locked_on: dt.date = Field(description="the day on which it was locked")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="of `decision`, as JSON")
    amendments: list[Amendment] = Field([], description="what was said of the change from the version before")
    decision: Decision = Field(description="what a verdict rests on, with the definitions of the metrics")


class LockFile(Model):
    """Hold every version of every plan that was ever locked, the oldest first."""

    plans: dict[Name, list[Locked]] = Field({}, description="the versions of each plan, by the experiment's name")


@dataclass(frozen=True)
class Registration:
    """How a plan stands to what was locked of it.

    Attributes:
        state: registered: locked on or before its first day, and as it was then; amended: changed since, and each
            change was written down and locked; retrospective: first locked after its first day, or never; changed: not
            what was locked, so that no verdict can be trusted.
        reason: The state in words.
        digest: SHA-256 of the plan as it stands.
        locked_on: The day of the first lock; None: never.
        changes: What differs from the last version that was locked, in words; of an amended plan, what was amended.
        versions: All that was locked, the oldest first.
    """

    state: State
    reason: str
    digest: str
    locked_on: dt.date | None = None
    changes: tuple[str, ...] = ()
    versions: tuple[Locked, ...] = ()

    @property
    def is_locked(self) -> bool:
        """Whether the plan as it stands is the last version that was locked."""
        return bool(self.versions) and self.versions[-1].sha256 == self.digest


class LockError(Exception):
    """A plan cannot be locked as it stands, with the reason."""


# --- what a decision rests on -----------------------------------------------------------------------------------------


def decision(name: str, plan: Plan, metrics: Mapping[str, Metric]) -> Decision:
    """Write down all that a verdict rests on, in one way only.

    Defaults are written out, and what has no order is sorted, so that two files that mean the same are the same here.
    Descriptions, owners and amendments are left out; the hypothesis is not. Of a metric stands what its number
    depends on, and which way is better.

    Args:
        name: The experiment's.
        plan: Its plan.
        metrics: The project's, with those that the plan names.
    """
    named = sorted({told.metric for _, told in plan.measured()})
    return {
        "hypothesis": plan.hypothesis,
        "unit": plan.unit,
        # the order of variants decides who gets which, by `assign`
        "variants": dict(plan.variants),
        "control": plan.control,
        "salt": plan.salt or name,
        "exposure": {"event": plan.exposure.event, "where": _condition(plan.exposure.where)},
        "starts": plan.starts.isoformat(),
        "ends": plan.ends.isoformat(),
        "primary": _measured(plan.primary),
        "secondary": [_measured(told) for told in sorted(plan.secondary, key=_window)],
        "guardrails": [_measured(told) for told in sorted(plan.guardrails, key=_window)],
        "segments": sorted(plan.segments),
        "covariate_days": plan.covariate_days,
        "method": plan.method,
        **({"looks": plan.looks} if plan.method == "group_sequential" else {}),
        "alpha": plan.alpha,
        "power": plan.power,
        "metrics": {metric: _definition(metrics[metric]) for metric in named},
    }


def digest(decided: Decision) -> str:
    """Return the SHA-256 of a decision: of its JSON, in UTF-8, without spaces, keys in the order of `decision`."""
    text = json.dumps(decided, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return sha256(text.encode()).hexdigest()


def _window(told: Measured) -> tuple[str, int, int]:
    return told.metric, told.window_days, told.delay_days


def _measured(told: Measured) -> Decision:
    return told.model_dump(exclude_none=True)


def _definition(metric: Metric) -> Decision:
    """Return what a metric's number depends on, and which way is better."""
    parts: Decision = {"kind": metric.kind}
    if metric.fact is not None:
        parts |= _measure(Measure(fact=metric.fact, where=metric.where, value=metric.value))
    for part in ("numerator", "denominator"):
        if (measure := getattr(metric, part)) is not None:
            parts[part] = _measure(measure)
    if metric.cap is not None:
        parts["cap"] = metric.cap
    if metric.kind == "quantile":
        parts["quantile"] = metric.quantile
    if metric.kind == "retention":
        parts["after_days"] = list(metric.after_days)
    return {**parts, "direction": metric.direction}


def _measure(measure: Measure) -> Decision:
    value = {} if measure.value is None else {"value": measure.value}
    return {"fact": measure.fact, "where": _condition(measure.where), **value}


def _condition(where: Condition) -> Decision:
    """Write a condition in one way: `equals` always as a list, in order."""
    tests: Decision = {}
    for column in sorted(where):
        test = where[column]
        asked = test if isinstance(test, Question) else Question(equals=test)
        told = asked.model_dump(exclude_none=True)
        for name in ("equals", "not_equals"):
            if name in told:
                told[name] = sorted({told[name]} if isinstance(told[name], str) else set(told[name]))
        tests[column] = told
    return tests


# --- what was locked --------------------------------------------------------------------------------------------------


def read_locks(folder: Path) -> dict[str, tuple[Locked, ...]]:
    """Read what was locked of each plan of a project; nothing where there is no such file.

    Raises:
        ProjectError: Where the file is not as it was written.
    """
    path = folder / LOCK_FILE
    if not path.exists():
        return {}
    held, positions = read_yaml(path, LockFile)
    problems = []
    for name, versions in held.plans.items():
        for place, locked in enumerate(versions):
            at = ("plans", name, place)
            if digest(locked.decision) != locked.sha256:
                hint = "It was changed by hand: restore the file from version control"
                problems.append(positions.problem((*at, "sha256"), "is not that of the decision below it", hint))
            if place and locked.locked_on < versions[place - 1].locked_on:
                hint = "Restore the file from version control"
                problems.append(positions.problem(at, "lies before the version above it", hint))
    if problems:
        raise ProjectError(problems)
    return {name: tuple(versions) for name, versions in held.plans.items() if versions}


def written(locks: Mapping[str, Sequence[Locked]]) -> str:
    """Return the text of a lock file; the same locks are the same text, in whatever order they are given."""
    plans = {}
    for name in sorted(locks):
        plans[name] = [
            {
                "locked_on": locked.locked_on.isoformat(),
                "sha256": locked.sha256,
                **({"amendments": [_amendment(told) for told in locked.amendments]} if locked.amendments else {}),
                "decision": locked.decision,
            }
            for locked in locks[name]
        ]
    body = yaml.dump({"plans": plans}, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
    return _HEADER + body


def write_locks(folder: Path, locks: Mapping[str, Sequence[Locked]]) -> Path:
    """Write the lock file of a project, as a whole or not at all."""
    path = folder / LOCK_FILE
    beside = path.with_suffix(".lock.new")
    beside.write_text(written(locks), encoding="utf-8", newline="\n")
    beside.replace(path)
    return path


class _Dumper(yaml.SafeDumper):
    """PyYAML's writer, which writes a thing out as often as it is there."""

    def ignore_aliases(self, _data: Any) -> bool:  # noqa: ANN401 - PyYAML's
        return True


def _amendment(told: Amendment) -> Decision:
    return {"on": told.on.isoformat(), "what": told.what, "why": told.why}


# --- how a plan stands to it ------------------------------------------------------------------------------------------


def registration(name: str, plan: Plan, metrics: Mapping[str, Metric], versions: Sequence[Locked]) -> Registration:
    """Say how a plan stands to what was locked of it.

    Args:
        name: The experiment's.
        plan: As it stands.
        metrics: The project's, with those that the plan names.
        versions: All that was locked of it, the oldest first.
    """
    decided = decision(name, plan, metrics)
    found = digest(decided)
    if not versions:
        return Registration("retrospective", "the plan was never locked", found)
    first, last = versions[0], versions[-1]
    known = Registration("registered", "", found, first.locked_on, (), tuple(versions))
    if last.sha256 != found:
        reason = f"the plan is not what was locked on {last.locked_on}"
        if _pending(plan, versions):
            reason += ", and what was amended since is not locked yet"
        return replace(known, state="changed", reason=reason, changes=differences(last.decision, decided))
    amended = tuple(change for one, other in pairwise(versions) for change in differences(one.decision, other.decision))
    starts = min(dt.date.fromisoformat(first.decision["starts"]), plan.starts)
    if first.locked_on > starts:
        reason = f"the plan was first locked on {first.locked_on}, after its first day, {starts}"
        return replace(known, state="retrospective", reason=reason, changes=amended)
    reason = f"the plan was locked on {first.locked_on}, "
    reason += "its first day" if first.locked_on == starts else f"before its first day, {starts}"
    if len(versions) > 1:
        days = ", ".join(str(locked.locked_on) for locked in versions[1:])
        reason += f", and locked again as amended on {days}"
        return replace(known, state="amended", reason=reason, changes=amended)
    return replace(known, reason=reason)


def lock(
    name: str, plan: Plan, metrics: Mapping[str, Metric], versions: Sequence[Locked], day: dt.date
) -> tuple[Locked, ...]:
    """Lock a plan as it stands; return all versions, the same ones where nothing changed.

    Args:
        name: The experiment's.
        plan: As it stands.
        metrics: The project's, with those that the plan names.
        versions: All that was locked of it before, the oldest first.
        day: The day on which it is locked.

    Raises:
        LockError: If it changed without an amendment that says so, or the day lies before the last lock.
    """
    known = tuple(versions)
    decided = decision(name, plan, metrics)
    found = digest(decided)
    if known and known[-1].sha256 == found:
        return known
    if not known:
        return (Locked(locked_on=day, sha256=found, decision=decided),)
    last = known[-1]
    if day < last.locked_on:
        raise LockError(f"{name} was locked on {last.locked_on} already, and {day} lies before it")
    new = [told for told in _pending(plan, known) if told.on <= day]
    if not new:
        changes = "".join(f"\n  {change}" for change in differences(last.decision, decided))
        raise LockError(
            f"{name} changed since it was locked on {last.locked_on}:{changes}\n"
            f"Undo it, or say so in experiments/{name}.yaml, with a day from {last.locked_on} to {day}, and lock it "
            f'again:\namendments:\n  - {{on: {day}, what: "...", why: "..."}}'
        )
    return (*known, Locked(locked_on=day, sha256=found, amendments=new, decision=decided))


def _pending(plan: Plan, versions: Sequence[Locked]) -> list[Amendment]:
    """Return the amendments since the last lock that no version was locked with."""
    told = [amendment for locked in versions for amendment in locked.amendments]
    last = versions[-1].locked_on
    return [amendment for amendment in plan.amendments if amendment not in told and amendment.on >= last]


def differences(was: Decision, now: Decision) -> tuple[str, ...]:
    """Say in words what differs between two decisions.

    >>> differences({"alpha": 0.05, "ends": "2025-06-13"}, {"alpha": 0.05, "ends": "2025-06-20"})
    ('ends: was 2025-06-13, is 2025-06-20',)
    """
    old, new = dict(_leaves(was)), dict(_leaves(now))
    told = []
    for path in dict.fromkeys((*old, *new)):
        if path not in new:
            told.append(f"{path}: was {old[path]}, is gone")
        elif path not in old:
            told.append(f"{path}: was not there, is {new[path]}")
        elif old[path] != new[path]:
            told.append(f"{path}: was {old[path]}, is {new[path]}")
    if not told and digest(was) != digest(now):
        told.append(f"variants: were in the order {', '.join(was['variants'])}, are {', '.join(now['variants'])}")
    return tuple(told)


def _leaves(decided: Any, path: str = "") -> Iterator[tuple[str, str]]:  # noqa: ANN401 - plain data
    """List the values of a decision, each with its path; metrics in lists go by name and window."""
    if isinstance(decided, dict) and decided:
        for key, value in decided.items():
            inner = f"{path}.{key}" if path else key
            if inner in _LISTS_OF_METRICS:
                for told in value:
                    window = {name: told.get(name, 0) for name in ("metric", "window_days", "delay_days")}
                    kept = {name: number for name, number in told.items() if name not in window}
                    yield from _leaves(kept or "measured", f"{inner}, {Measured.model_validate(window).called}")
            else:
                yield from _leaves(value, inner)
    elif isinstance(decided, list):
        yield path, ", ".join(map(str, decided)) or "nothing"
    elif isinstance(decided, dict) or decided is None:
        yield path, "anything"
    else:
        yield path, str(decided)
