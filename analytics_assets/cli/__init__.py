"""The command line: run days, check a project, look at tables, see how things stand, look after the lake.

Belongs here: commands, their options and exit codes, a module a subject. Does not belong here: the work (`automation`,
`lake`) and how it is shown (`console`).
"""

from __future__ import annotations

import click

from analytics_assets.cli.alerts import alerts
from analytics_assets.cli.care import forget, releases, restore, vacuum
from analytics_assets.cli.deploying import migrate
from analytics_assets.cli.experiments import experiment, power_of
from analytics_assets.cli.running import backfill, check, run
from analytics_assets.cli.serving import publish
from analytics_assets.cli.state import doctor, status
from analytics_assets.cli.tables import findings, rejected, show, tables


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Product analytics and experimentation as one Dagster asset graph."""


_COMMANDS = (
    *(run, backfill, check, status, doctor, alerts, tables, show, rejected, findings, power_of, experiment),
    *(releases, restore, vacuum, forget, publish, migrate),
)
for command in _COMMANDS:
    main.add_command(command)
