"""All that is remembered of alerts, and what becomes of it in one tick.

Belongs here: problems and messages on their way as one state, its JSON, and the store it is kept in between two ticks.
Does not belong here: the rules (`alerting`, `alert_outbox`) and where observations come from (`alert_sensor`).

The state is one value of the key-value store that every Dagster instance has, under a key a project: on SQLite and on
Postgres alike, written in one transaction. The sensor alone writes it. What a person asks for on the command line is
written under a key of its own, and the sensor does it in its next tick.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Protocol

from pydantic import TypeAdapter, ValidationError

from analytics_assets.automation.alert_outbox import Outbox, added
from analytics_assets.automation.alert_words import owners_of, written
from analytics_assets.automation.alerting import Book, Close, Notice, Observation, observe
from analytics_assets.project.alerts import LOG

if TYPE_CHECKING:
    from analytics_assets.project.model import Project

VERSION = 1
_KEY = "analytics_assets/alerts/"
_UNREADABLE = "/unreadable"
_REQUESTS = "/requests"


@dataclass(frozen=True)
class AlertState:
    """Hold all that is remembered of alerts between two ticks.

    Attributes:
        book: Problems.
        outbox: Messages on their way.
        seen: The runs that were looked at, in the order in which they were created; the last of them.
        running: Those of them that had not ended.
        handled: The number of the last request of a person that was done.
        unread: Whether there is a release that was not looked at yet.
        due: The day for which the deadline was last looked at.
        lost: Why an earlier state could not be read; empty where none was lost.
        version: Of this form.
    """

    book: Book = field(default_factory=Book)
    outbox: Outbox = field(default_factory=Outbox)
    seen: tuple[str, ...] = ()
    running: tuple[str, ...] = ()
    handled: int = 0
    unread: bool = True
    due: dt.date | None = None
    lost: str = ""
    version: int = VERSION


@dataclass(frozen=True)
class Request:
    """Hold what a person asked for: a problem to be closed."""

    number: int
    close: str


class Store(Protocol):
    """Keep texts by key: Dagster's `daemon_cursor_storage`."""

    def get_cursor_values(self, keys: set[str]) -> Mapping[str, str]:
        """Return the values of the keys that there are."""

    def set_cursor_values(self, pairs: Mapping[str, str]) -> None:
        """Write values, all or none."""


def learned(
    state: AlertState,
    observations: Sequence[Observation],
    now: dt.datetime,
    project: Project,
    ui_url: str,
    *,
    quietly: bool = False,
) -> AlertState:
    """Learn from observations, and put the messages that follow on their way.

    Args:
        state: What is known.
        observations: What was seen since.
        now: When this is.
        project: Says who is told, and how.
        ui_url: Where Dagster's UI is.
        quietly: Say nothing of what ended among these observations.
    """
    book, notices = observe(state.book, observations, now, project.name, quietly=quietly)
    outbox = state.outbox
    for asked in observations:
        if isinstance(asked, Close) and asked.key.startswith("delivery:"):
            name = asked.key.removeprefix("delivery:")
            outbox = replace(outbox, failing={k: v for k, v in outbox.failing.items() if k != name})
    for notice in notices:
        outbox = added(outbox, written(notice, project, ui_url), receivers(notice, project))
    return replace(state, book=book, outbox=outbox)


def receivers(notice: Notice, project: Project) -> tuple[str, ...]:
    """Name the channels that a notice goes to; never a channel that it says does not deliver.

    Who was told of an error is told of its end, too: routes are asked by the worst that was told.
    """
    problem = notice.problem
    names = project.alerts.receivers(problem.kind, problem.told, problem.asset, owners_of(problem, project))
    if problem.kind == "delivery":
        names = tuple(name for name in names if name != problem.check)
    return names or (LOG,)


# --- JSON, and the store ----------------------------------------------------------------------------------------------


@cache
def _adapter() -> TypeAdapter[AlertState]:
    return TypeAdapter(AlertState)


def dumped(state: AlertState) -> str:
    """Write the state as JSON."""
    return _adapter().dump_json(state).decode()


def read_state(text: str) -> AlertState:
    """Read what `dumped` wrote.

    Raises:
        ValueError: Where it is of another version, or no state.
    """
    told = json.loads(text)
    version = told.get("version") if isinstance(told, dict) else None
    if version != VERSION:
        raise ValueError(f"it is of version {version!r}, and this package reads version {VERSION}")
    try:
        return _adapter().validate_python(told)
    except ValidationError as error:
        places = ", ".join(dict.fromkeys(".".join(map(str, e["loc"][:3])) for e in error.errors()[:3]))
        raise ValueError(f"it has a form that this package does not know, at {places}") from error


def peek(store: Store, project: str) -> AlertState | None:
    """Return what is remembered, None where there is nothing yet; of what cannot be read, `lost` says why."""
    text = store.get_cursor_values({_KEY + project}).get(_KEY + project)
    if text is None:
        return None
    try:
        return read_state(text)
    except ValueError as error:
        return AlertState(lost=str(error))


def load_state(store: Store, project: str) -> AlertState | None:
    """Return what is remembered, as `peek` does, and keep what cannot be read beside it."""
    state = peek(store, project)
    if state is not None and state.lost:
        key = _KEY + project
        store.set_cursor_values({key + _UNREADABLE: store.get_cursor_values({key})[key]})
    return state


def save_state(store: Store, project: str, state: AlertState) -> None:
    """Remember a state."""
    store.set_cursor_values({_KEY + project: dumped(state)})


def ask_to_close(store: Store, project: str, key: str, handled: int) -> None:
    """Ask the sensor to close a problem; requests that it has done are forgotten."""
    waiting = [request for request in requests(store, project) if request.number > handled]
    number = max([handled, *(request.number for request in waiting)]) + 1
    told = [{"number": r.number, "close": r.close} for r in (*waiting, Request(number, key))]
    store.set_cursor_values({_KEY + project + _REQUESTS: json.dumps(told)})


def requests(store: Store, project: str) -> tuple[Request, ...]:
    """Return what people asked for; nothing where it cannot be read."""
    key = _KEY + project + _REQUESTS
    try:
        told = json.loads(store.get_cursor_values({key}).get(key) or "[]")
        return tuple(Request(int(request["number"]), str(request["close"])) for request in told)
    except (ValueError, TypeError, KeyError):
        return ()
