"""One try to deliver a message to a channel, of whatever kind.

Belongs here: which way a channel's kind goes, and an end to waiting. Does not belong here: the ways (`webhook`,
`mail`), and what happens after a failure (`automation.alerting`).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import replace

from analytics_assets.outlets.mail import send
from analytics_assets.outlets.messages import Failure, Message, Patience, without
from analytics_assets.outlets.webhook import post
from analytics_assets.project.alerts import Channel, EmailChannel, LogChannel

LOGGER = logging.getLogger("analytics_assets.alerts")
_LEVELS = {"error": logging.ERROR, "warning": logging.WARNING}


def deliver(
    message: Message,
    name: str,
    channel: Channel,
    environment: Mapping[str, str],
    patience: Patience | None = None,
    logger: logging.Logger = LOGGER,
) -> Failure | None:
    """Try once to deliver a message; never raise.

    Args:
        message: The message.
        name: The channel's name.
        channel: The channel.
        environment: Holds its secrets.
        patience: How long to wait.
        logger: Is the log, of a channel that is one.

    Returns:
        Why it did not arrive; None where it did.
    """
    patience = patience or Patience()
    message = _unspoilt(message, [environment.get(variable, "") for variable in channel.variables.values()])
    if isinstance(channel, LogChannel):
        log(message, logger, samples=channel.samples)
        return None
    return _within(message, name, channel, environment, patience)


def log(message: Message, logger: logging.Logger = LOGGER, *, samples: bool = True) -> None:
    """Write a message into a log."""
    level = logging.INFO if message.change == "recovered" else _LEVELS.get(message.severity, logging.INFO)
    logger.log(level, "%s", "\n  ".join([f"[{message.project}] {message.title}", *message.text(samples=samples)]))


def _unspoilt(message: Message, secrets: list[str]) -> Message:
    """Return the message without the channel's own secrets, should an error have brought one into its text."""
    return replace(
        message,
        title=without(message.title, secrets),
        lines=tuple(without(line, secrets) for line in message.lines),
        samples=tuple(without(sample, secrets) for sample in message.samples),
    )


def _within(
    message: Message, name: str, channel: Channel, environment: Mapping[str, str], patience: Patience
) -> Failure | None:
    """Try in a thread of its own, which is left behind where a receiver answers a byte at a time without end."""
    outcome: list[Failure | None] = []

    def work() -> None:
        try:
            if isinstance(channel, EmailChannel):
                outcome.append(send(message, name, channel, environment, patience))
            elif not isinstance(channel, LogChannel):
                outcome.append(post(message, name, channel, environment, patience))
        except Exception as error:  # noqa: BLE001 - its text may hold a secret, and nothing may stop the sensor
            outcome.append(Failure(f"channel {name}: unforeseen {type(error).__name__}", transient=True))

    thread = threading.Thread(target=work, name=f"deliver to {name}", daemon=True)
    thread.start()
    thread.join(patience.whole)
    if not outcome:
        return Failure(f"channel {name}: no end of the answer within {patience.whole:g} s", transient=True)
    return outcome[0]
