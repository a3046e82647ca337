"""What a person is told, and what comes of trying.

Belongs here: the records of a message and of a delivery that failed, and text that no receiver takes for a command.
Does not belong here: what is told of a problem (`automation.alerting`) and the way to a receiver (`webhook`, `mail`).
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Change: TypeAlias = Literal["opened", "worse", "recovered", "closed", "told", "test"]
"""What happened to a problem; `told` is news that needs no recovery."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_LOGIN = re.compile(r"(?<=://)[^/\s@]+@")
_LONGEST = 600
_LONGEST_TITLE = 160


@dataclass(frozen=True)
class Message:
    """Say what happened, once.

    Attributes:
        id: The same at every try and after a restart, by which a receiver knows a message that it has already.
        at: When it was written.
        project: The project that it is about.
        change: What happened to the problem.
        kind: What the problem is about: check, run, deadline, verdict, delivery.
        severity: How bad it is: error, warning, info.
        title: One line.
        lines: What happened, in words.
        samples: Keys of rows, which may identify a person.
        advice: What to do.
        links: Words and address of the pages that show more.
        fields: What a program wants to know, by name.
        answers: The id of the message that opened the problem; empty where this is it.
    """

    id: str
    at: dt.datetime
    project: str
    change: Change
    kind: str
    severity: str
    title: str
    lines: tuple[str, ...] = ()
    samples: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    fields: dict[str, str] = field(default_factory=dict)
    answers: str = ""

    def text(self, *, samples: bool = True) -> tuple[str, ...]:
        """Return the message without its title, a line each, as a person reads it."""
        lines = list(self.lines)
        if samples and self.samples:
            lines += ["Such as:", *(f"- {sample}" for sample in self.samples)]
        if self.advice:
            lines += ["What to do:", *(f"- {step}" for step in self.advice)]
        lines += [f"{words}: {address}" for words, address in self.links]
        return tuple(lines)


@dataclass(frozen=True)
class Failure:
    """Say why a message did not arrive, in words that hold no secret.

    Attributes:
        reason: What went wrong: the channel and its host, never the rest of an address, a token, a user or a password.
        transient: Whether trying again may help.
    """

    reason: str
    transient: bool


@dataclass(frozen=True)
class Patience:
    """Say how long a receiver is waited for, in seconds.

    Attributes:
        connect: For a connection.
        read: For the next byte of an answer.
        whole: For all of it: a receiver that sends a byte now and then is given up, too.
    """

    connect: float = 5.0
    read: float = 10.0
    whole: float = 30.0


def clean(text: str, longest: int = _LONGEST) -> str:
    r"""Return text on one line, without control characters, logins of addresses, and what is too much.

    >>> clean("no answer\nfrom postgres://me:secret@db/shop")
    'no answer from postgres://***@db/shop'
    """
    text = text.encode("utf-8", "replace").decode()  # half a character, which no receiver takes
    text = _LOGIN.sub("***@", " ".join(_CONTROL.sub(" ", text).split()))
    return text if len(text) <= longest else f"{text[: longest - 4]} ..."


def clean_title(text: str) -> str:
    """Return text as a title."""
    return clean(text, _LONGEST_TITLE)


def without(text: str, secrets: Iterable[str]) -> str:
    """Return text in which no secret stands.

    >>> without("error from s3cret", ["s3cret", ""])
    'error from ***'
    """
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, "***")
    return text
