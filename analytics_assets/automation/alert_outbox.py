"""Messages on their way: to which channels, when to try again, and when to give up. Without clock and I/O.

Belongs here: what waits, and what comes of a try. Does not belong here: the try itself (`outlets`) and what is worth a
message (`alerting`).

A message waits under its id until a channel took it, or was tried for a day. It is recorded before the first try and
after every one, so it arrives at least once, whenever the process is killed; its id lets a receiver see that it has it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from analytics_assets.outlets.messages import Failure, Message

FIRST_WAIT = 30
LONGEST_WAIT = 3600
GIVES_UP_AFTER = 24 * 3600
BROKEN_AFTER = 3
"""So many failures of a channel in a row are a problem that other channels are told of."""
_REMEMBERED = 100


@dataclass(frozen=True)
class Waiting:
    """Hold a message on its way to one channel.

    Attributes:
        message: The message.
        channel: The channel's name.
        tries: How often it was tried.
        waited: The seconds between these tries. No clock is asked: one that jumps does not make anybody give up.
        next_try: When it is tried again.
        reason: Why it did not arrive.
    """

    message: Message
    channel: str
    tries: int = 0
    waited: int = 0
    next_try: dt.datetime | None = None
    reason: str = ""

    @property
    def thread(self) -> str:
        """The id of the message that opened the problem."""
        return self.message.answers or self.message.id


@dataclass(frozen=True)
class Undelivered:
    """Hold a message that a channel never took, and why."""

    message: Message
    channel: str
    at: dt.datetime
    tries: int
    reason: str


@dataclass(frozen=True)
class Outbox:
    """Hold what is on its way.

    Attributes:
        waiting: Messages in the order in which they were written.
        undelivered: Messages that were given up, the newest first.
        failing: How often each channel failed in a row, and how it failed last.
    """

    waiting: tuple[Waiting, ...] = ()
    undelivered: tuple[Undelivered, ...] = ()
    failing: Mapping[str, tuple[int, str]] = field(default_factory=dict)


def added(outbox: Outbox, message: Message, channels: Iterable[str]) -> Outbox:
    """Put a message on its way; one that is on it already is not put twice."""
    there = {(waiting.message.id, waiting.channel) for waiting in outbox.waiting}
    more = [Waiting(message, name) for name in channels if (message.id, name) not in there]
    return replace(outbox, waiting=(*outbox.waiting, *more))


def next_due(outbox: Outbox, now: dt.datetime, *, resting: Iterable[str] = ()) -> Waiting | None:
    """Return what to try next, None where nothing is due.

    What was never tried goes first, so that one message that a channel does not take holds up no other; but the news
    of one problem keep their order.

    Args:
        outbox: What is on its way.
        now: When this is.
        resting: Channels that just failed, and are left alone for now.
    """
    resting = set(resting)
    first: set[tuple[str, str]] = set()
    due = []
    for waiting in outbox.waiting:
        thread = waiting.channel, waiting.thread
        if thread not in first and waiting.channel not in resting and _is_due(waiting, now):
            due.append(waiting)
        first.add(thread)
    return min(due, key=lambda waiting: waiting.tries, default=None)


def _is_due(waiting: Waiting, now: dt.datetime) -> bool:
    if waiting.next_try is None:
        return True
    # a clock that was set back must not put a try off for as long
    return now >= waiting.next_try or waiting.next_try - now > dt.timedelta(seconds=LONGEST_WAIT)


def delivered(outbox: Outbox, waiting: Waiting) -> Outbox:
    """Learn that a channel took a message."""
    failing = {name: told for name, told in outbox.failing.items() if name != waiting.channel}
    return replace(outbox, waiting=_others(outbox, waiting), failing=failing)


def failed(outbox: Outbox, waiting: Waiting, failure: Failure, now: dt.datetime) -> tuple[Outbox, Undelivered | None]:
    """Learn that a channel did not take a message: it is tried later, or given up.

    Returns:
        What is on its way, and the message if it was given up.
    """
    times, _ = outbox.failing.get(waiting.channel, (0, ""))
    times = times + 1 if failure.transient else max(times + 1, BROKEN_AFTER)
    failing = {**outbox.failing, waiting.channel: (times, failure.reason)}
    wait = wait_after(waiting.tries + 1)
    if failure.transient and waiting.waited + wait <= GIVES_UP_AFTER:
        later = replace(
            waiting,
            tries=waiting.tries + 1,
            waited=waiting.waited + wait,
            next_try=now + dt.timedelta(seconds=wait),
            reason=failure.reason,
        )
        kept = tuple(later if other == waiting else other for other in outbox.waiting)
        return replace(outbox, waiting=kept, failing=failing), None
    lost = Undelivered(waiting.message, waiting.channel, now, waiting.tries + 1, failure.reason)
    undelivered = (lost, *outbox.undelivered)[:_REMEMBERED]
    return Outbox(_others(outbox, waiting), undelivered, failing), lost


def wait_after(tries: int) -> int:
    """Return the seconds to wait after so many tries.

    >>> [wait_after(tries) for tries in (1, 2, 3, 7, 8, 30)]
    [30, 60, 120, 1920, 3600, 3600]
    """
    return LONGEST_WAIT if tries > 7 else FIRST_WAIT * 2 ** (tries - 1)


def broken(outbox: Outbox, channels: Iterable[str]) -> dict[str, str]:
    """Return the channels that do not deliver, and why; not those that are gone from the project."""
    known = set(channels)
    return {name: why for name, (times, why) in outbox.failing.items() if times >= BROKEN_AFTER and name in known}


def _others(outbox: Outbox, waiting: Waiting) -> tuple[Waiting, ...]:
    return tuple(other for other in outbox.waiting if other != waiting)
