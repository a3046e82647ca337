"""The model of `postgres` in a source: which rows of whose database, and what dates them.

Belongs here: the keys and what is wrong with them by themselves. Does not belong here: the other keys of a source
(`model`), connections (`analytics_assets.postgres`), and reading (`sources.postgres`).

A secret never stands in the file: it names the environment variable that holds it.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from analytics_assets.project.alerts import VariableName
from analytics_assets.project.base import Model

_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_READS = re.compile(r"[\s(]*(select|with|values|table)\b", re.IGNORECASE)
_NAME = r'"(?:[^"\0]|"")+"|[^\W\d][\w$]*'
_TABLE = re.compile(rf"(?:({_NAME})\.)?({_NAME})")


def _names(text: str) -> tuple[str, ...]:
    """Read names as SQL does.

    >>> _names('raw."Events 2024"')
    ('raw', 'Events 2024')
    """
    found = _TABLE.fullmatch(text)
    if found is None:
        raise ValueError(
            f"'{text}' is no table; write it as in SQL: public.events_raw, with double quotes around a name that has "
            "spaces, capitals or signs"
        )
    names = [name for name in found.groups() if name]
    for name in names:
        if not name.startswith('"') and name != name.lower():
            raise ValueError(f"'{name}' has capital letters, and then Postgres wants double quotes around it")
    return tuple(name[1:-1].replace('""', '"') if name.startswith('"') else name for name in names)


def _table(text: str) -> str:
    _names(text)
    return text


def _query(text: str) -> str:
    """Refuse what surely reads nothing; the server, which lets a source only read, judges the rest."""
    text = text.strip().rstrip(";").rstrip()
    if not _READS.match(_COMMENT.sub(" ", text)):
        raise ValueError("must be one SELECT, which may begin with WITH: a source only reads")
    return text


class PostgresRows(Model):
    """Say which rows of a database are read, and which day each was delivered on."""

    url_env: VariableName = Field(
        description="the environment variable that holds postgresql://USER:PASSWORD@HOST:5432/DATABASE, which is a "
        "secret"
    )
    password_env: VariableName | None = Field(
        None, description="the environment variable that holds the password as it is, if not in the URL"
    )
    table: Annotated[str, AfterValidator(_table)] | None = Field(
        None, description='a table or view, as SQL calls it: public.events_raw, raw."Events 2024"'
    )
    query: Annotated[str, AfterValidator(_query)] | None = Field(
        None, description="instead of a table, a SELECT whose rows are read"
    )
    day_by: str | None = Field(
        None, description="the column of a time or date by which a row belongs to a delivery day; when it was ingested"
    )
    order_by: list[str] = Field(
        [], description="columns that say which of several rows came first, after day_by and before all others"
    )
    timeout_s: int = Field(300, ge=1, description="seconds after which a statement is given up")

    @model_validator(mode="after")
    def _reads_one_thing(self) -> PostgresRows:
        if (self.table is None) == (self.query is None):
            raise ValueError("needs either `table` or `query`")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """The table's name, after its schema's where that is said; () of a query."""
        return () if self.table is None else _names(self.table)

    @property
    def what(self) -> str:
        """What is read, in a word."""
        return self.table or "query"

    @property
    def origin(self) -> str:
        """Where the rows come from, without anything secret."""
        return f"postgres {f'table {self.table}' if self.table else 'query'} of {self.url_env}"

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables that it needs, by key."""
        password = {} if self.password_env is None else {"password_env": self.password_env}
        return {"url_env": self.url_env, **password}
