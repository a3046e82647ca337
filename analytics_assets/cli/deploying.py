"""The command that a deployment begins with: roles, databases, and the tables of Dagster's history.

Belongs here: its options and exit codes. Does not belong here: making roles (`automation.roles`) and Dagster's tables
(Dagster).
"""

from __future__ import annotations

import click

from analytics_assets.cli.common import read_settings, reading


@click.command()
def migrate() -> None:
    """Make what Dagster's history and the warehouse need in Postgres, and bring Dagster's tables up to date.

    Do it before the first start and after every upgrade: what is there stays. Where ANALYTICS_ADMIN_URL names an
    administrator, the roles and databases of the other URLs are made, and the passwords are set that the settings say.
    """
    from analytics_assets.automation.roles import make_roles
    from analytics_assets.automation.running import open_history

    settings = read_settings()
    with reading():
        for done in make_roles(settings):
            click.echo(done)
        with open_history(settings) as history:
            history.upgrade(click.echo)
    click.echo("Dagster's history is up to date")
