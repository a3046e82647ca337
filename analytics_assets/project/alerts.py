"""The models of `alerts.yaml`: who is told of which problem, and how.

Belongs here: channels, routes, and which route takes a problem. Does not belong here: what a problem is
(`automation.alerting`) and how a message is delivered (`outlets`).

A secret never stands in the file: it names the environment variable that holds it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, get_args

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from analytics_assets.project.base import Model
from analytics_assets.project.problems import Positions, Problem
from analytics_assets.project.yaml import read_yaml

ALERTS_FILE = "alerts.yaml"
LOG = "log"
"""The channel that is always there."""

AlertKind: TypeAlias = Literal["check", "run", "deadline", "verdict", "delivery"]
AlertSeverity: TypeAlias = Literal["info", "warning", "error"]
SEVERITIES: tuple[AlertSeverity, ...] = get_args(AlertSeverity)
"""From the least to the most severe."""
_VARIABLE = re.compile(r"^[A-Z_][A-Z0-9_]*$")
_HOST = re.compile(r"^[A-Za-z0-9]([A-Za-z0-9.:-]*[A-Za-z0-9])?$")
_ADDRESS = re.compile(r"^[^@\s<>,;:\\\"()\[\]]+@[^@\s<>,;:\\\"()\[\]]+$")


def _variable(name: Any) -> Any:  # noqa: ANN401 - whatever stands in the file
    """Refuse what is no name, and never repeat it: it may be the secret itself."""
    if not isinstance(name, str) or not _VARIABLE.match(name):
        raise ValueError(
            "must be the name of an environment variable, such as ALERTS_SLACK_URL: capital letters, digits and _. "
            "The secret itself never stands in the file"
        )
    return name


def _host(name: Any) -> Any:  # noqa: ANN401 - whatever stands in the file
    if not isinstance(name, str) or not _HOST.match(name) or name.count(":") == 1:
        raise ValueError(
            "must be the name of a host alone, such as smtp.example.com; write `port` and `user_env` apart"
        )
    return name


def _address(text: str) -> str:
    if not _ADDRESS.match(text):
        raise ValueError(f"'{text}' is no e-mail address; write one such as data@example.com")
    return text


VariableName = Annotated[str, BeforeValidator(_variable)]
HostName = Annotated[str, BeforeValidator(_host)]
Address = Annotated[str, AfterValidator(_address)]


class _Channel(Model):
    samples: bool = Field(
        default=True, description="whether messages show the keys of sample rows, which may identify a person"
    )


class SlackChannel(_Channel):
    """An incoming webhook of Slack, or of what understands the same (Mattermost, Rocket.Chat, Discord's /slack)."""

    type: Literal["slack"] = Field(description="slack, webhook, email or log")
    url_env: VariableName = Field(
        description="the environment variable that holds the webhook's URL, which is a secret"
    )

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables that it needs, by key."""
        return {"url_env": self.url_env}


class WebhookChannel(_Channel):
    """Any address that takes a JSON document by POST."""

    type: Literal["webhook"] = Field(description="slack, webhook, email or log")
    url_env: VariableName = Field(description="the environment variable that holds the URL")
    token_env: VariableName | None = Field(
        None, description="the environment variable that holds a bearer token, sent in the header Authorization"
    )

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables that it needs, by key."""
        token = {} if self.token_env is None else {"token_env": self.token_env}
        return {"url_env": self.url_env, **token}


class EmailChannel(_Channel):
    """A mail server that takes mail by SMTP."""

    type: Literal["email"] = Field(description="slack, webhook, email or log")
    host: HostName = Field(description="the mail server")
    port: int | None = Field(None, ge=1, le=65535, description="its port; 587 with starttls, 465 with tls, else 25")
    security: Literal["starttls", "tls", "none"] = Field(
        "starttls", description="starttls, tls from the first byte, or none; a server without it is refused"
    )
    sender: Address = Field(alias="from", description="the sender's address")
    to: list[Address] = Field(min_length=1, description="the receivers' addresses")
    user_env: VariableName | None = Field(None, description="the environment variable that holds the user's name")
    password_env: VariableName | None = Field(None, description="the environment variable that holds the password")

    @model_validator(mode="after")
    def _logs_in_safely(self) -> EmailChannel:
        if (self.user_env is None) != (self.password_env is None):
            raise ValueError("`user_env` and `password_env` go together: write both, or none")
        if self.user_env is not None and self.security == "none":
            raise ValueError("a password would go over the wire for all to read; use `security: starttls` or `tls`")
        return self

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables that it needs, by key."""
        if self.user_env is None or self.password_env is None:
            return {}
        return {"user_env": self.user_env, "password_env": self.password_env}

    @property
    def address(self) -> tuple[str, int]:
        """The server's host and port."""
        return self.host, self.port or {"starttls": 587, "tls": 465, "none": 25}[self.security]


class LogChannel(_Channel):
    """The log of the process that runs the sensor."""

    type: Literal["log"] = Field(description="slack, webhook, email or log")

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables that it needs: none."""
        return {}


Channel: TypeAlias = SlackChannel | WebhookChannel | EmailChannel | LogChannel


class Route(Model):
    """Say which problems go where; a problem goes to the channels of every route that fits it."""

    to: list[str] = Field(min_length=1, description="the names of channels; `log` is always one")
    severity: AlertSeverity = Field("info", description="at least that severe: error, warning or info")
    kinds: list[AlertKind] | None = Field(
        None, min_length=1, description="only these: check, run, deadline, verdict, delivery"
    )
    assets: list[str] | None = Field(
        None, min_length=1, description="only these tables; * stands for any text: [fact_*, verdict_checkout]"
    )
    owners: list[str] | None = Field(None, min_length=1, description="only what one of them owns")

    def takes(self, kind: AlertKind, severity: AlertSeverity, asset: str, owners: Iterable[str]) -> bool:
        """Say whether a problem fits every condition.

        >>> Route(to=["team"], severity="warning", assets=["fact_*"]).takes("check", "error", "fact_sales", [])
        True
        """
        return (
            SEVERITIES.index(severity) >= SEVERITIES.index(self.severity)
            and (self.kinds is None or kind in self.kinds)
            and (self.assets is None or any(fnmatchcase(asset, pattern) for pattern in self.assets))
            and (self.owners is None or not set(self.owners).isdisjoint(owners))
        )


class Alerts(Model):
    """What `alerts.yaml` holds; without the file all problems go to the log."""

    channels: dict[str, Annotated[Channel, Field(discriminator="type")]] = Field(
        {}, description="where messages can go, by name"
    )
    routes: list[Route] = Field([], description="which problems go where; what no route takes goes to the log")

    def channel(self, name: str) -> Channel:
        """Return a channel by name; `log` is always one."""
        return self.channels.get(name) or LogChannel(type="log")

    def receivers(
        self, kind: AlertKind, severity: AlertSeverity, asset: str = "", owners: Iterable[str] = ()
    ) -> tuple[str, ...]:
        """Name the channels that a problem goes to, each once; the log, where no route takes it.

        >>> Alerts(routes=[Route(to=["log"], severity="error")]).receivers("run", "error")
        ('log',)
        """
        owners = tuple(owners)
        to = [name for route in self.routes if route.takes(kind, severity, asset, owners) for name in route.to]
        return tuple(dict.fromkeys(to)) or (LOG,)


def alerts_problems(alerts: Alerts, positions: Positions) -> Iterator[Problem]:
    """Find routes to channels that there are not, and names that mean something else."""
    known = list(dict.fromkeys([*alerts.channels, LOG]))
    if LOG in alerts.channels and alerts.channels[LOG].type != LOG:
        hint = "Give this channel another name"
        yield positions.problem(("channels", LOG), "`log` is the log, always", hint, key=True)
    for number, route in enumerate(alerts.routes):
        for place, name in enumerate(route.to):
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                hint = (f"Did you mean '{near[0]}'? " if near else "") + f"There are: {', '.join(known)}"
                yield positions.problem(("routes", number, "to", place), f"there is no channel '{name}'", hint)


def unset_variables(folder: Path, environment: Mapping[str, str]) -> tuple[Problem, ...]:
    """Find environment variables that the channels of a project name and that are not set.

    It is no error: another machine may be the one that sends.
    """
    path = folder / ALERTS_FILE
    if not path.is_file():
        return ()
    alerts, positions = read_yaml(path, Alerts)
    return tuple(
        positions.problem(
            ("channels", name, key),
            f"the environment variable {variable} is not set here",
            f"Messages to '{name}' cannot be delivered from a machine without it",
        )
        for name, channel in alerts.channels.items()
        for key, variable in channel.variables.items()
        if not environment.get(variable)
    )
