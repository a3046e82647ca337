"""Commands about alerts: what is wrong now, whether a channel works, and closing a problem by hand.

Belongs here: their options and exit codes. Does not belong here: the work (`automation`) and how it is shown
(`console`).
"""

from __future__ import annotations

import datetime as dt
import difflib
import logging
from pathlib import Path

import click

from analytics_assets.cli.common import load, project_option

_NOT_YET = (
    "the sensor alerts has not looked yet. It works in Dagster's daemon (make dev), once it is switched on in the UI "
    "or by ANALYTICS_AUTOMATION=true"
)


@click.group(invoke_without_command=True)
@project_option
@click.pass_context
def alerts(context: click.Context, folder: Path | None) -> None:
    """Show open problems, messages that did not arrive, and what was wrong lately."""
    context.obj = folder
    if context.invoked_subcommand is not None:
        return
    project, settings = load(folder)
    from analytics_assets import console
    from analytics_assets.automation.alert_state import peek
    from analytics_assets.automation.running import open_history

    with open_history(settings) as history:
        state = peek(history.daemon_cursor_storage, project.name)
    if state is None:
        raise click.ClickException(_NOT_YET)
    console.alerts(state)


@alerts.command(name="test")
@project_option
@click.argument("channel")
@click.pass_obj
def try_channel(outer: Path | None, folder: Path | None, channel: str) -> None:
    """Send a message to a channel, to see whether it arrives."""
    project, settings = load(folder or outer)
    from analytics_assets import console
    from analytics_assets.automation.alert_words import trial
    from analytics_assets.outlets.delivery import deliver
    from analytics_assets.project.alerts import LOG

    known = dict.fromkeys([*project.alerts.channels, LOG])
    if channel not in known:
        raise click.BadParameter(_unknown("channel", channel, list(known)), param_hint="CHANNEL")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    message = trial(project, channel, dt.datetime.now(dt.UTC), settings.ui_url)
    failure = deliver(message, channel, project.alerts.channel(channel), settings.environment)
    if failure is not None:
        raise click.ClickException(failure.reason)
    console.out.print(f"channel {channel} took the message", markup=False)


@alerts.command(name="close")
@project_option
@click.argument("key")
@click.pass_obj
def close_problem(outer: Path | None, folder: Path | None, key: str) -> None:
    """Close a problem by hand; it opens again when it is seen again."""
    project, settings = load(folder or outer)
    from analytics_assets import console
    from analytics_assets.automation.alert_state import ask_to_close, peek
    from analytics_assets.automation.running import open_history

    with open_history(settings) as history:
        store = history.daemon_cursor_storage
        state = peek(store, project.name)
        if state is None or state.lost:
            raise click.ClickException(_NOT_YET)
        if key not in state.book.open:
            raise click.BadParameter(_unknown("open problem", key, list(state.book.open)), param_hint="KEY")
        ask_to_close(store, project.name, key, state.handled)
    console.out.print(f"{key}: the sensor alerts closes it when it looks next", markup=False, soft_wrap=True)


def _unknown(what: str, given: str, known: list[str]) -> str:
    near = difflib.get_close_matches(given, known, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    return f"there is no {what} {given}.{hint} There {'are' if known else 'is'}: {', '.join(known) or 'none'}"
