"""Which rows are a person's: by the ids that contracts call personal, and by the orders that hang on them.

Belongs here: recognising rows, of tables that are there and of rows that come again. Does not belong here: deleting
them (`automation.forgetting`) and remembering whose they were (`lake.suppression`).

A row that names another user is that user's, whatever else it says. A row without a user is the person's if its
visitor is known to be the person, or if it is about an order of the person's. A row that is malformed is the person's
if one of the person's ids stands in its text.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import ibis

from analytics_assets.assets.staging import text_as_meant
from analytics_assets.contracts.delivered import DELIVERED
from analytics_assets.contracts.model import Contract
from analytics_assets.contracts.star import MAP_IDENTITY
from analytics_assets.project.model import Project

if TYPE_CHECKING:
    from ibis.expr.types import BooleanValue, StringValue, Table

USER, VISITOR, ORDER, SESSION = "user", "visitor", "order", "session"
PERSONAL_IDS = ("user_id", "unit", "anonymous_id", "session_id")
"""The columns that name a person, of those that contracts call personal."""
_BETWEEN_IDS = r"[^\w@.+:-]+"
_ID_COLUMNS = ("user_id", "anonymous_id", "order_id")


class Known(Protocol):
    """Say of ids whether they are the person's."""

    def has(self, kind: str, value: StringValue) -> BooleanValue:
        """Say of each value whether it is an id of that kind of the person's; false where it is missing."""


@dataclass(frozen=True)
class Person:
    """Hold the ids of one person.

    Attributes:
        user: The user's id.
        visitors: The anonymous ids that are known to be the user.
        orders: The user's orders.
        sessions: The user's sessions.
    """

    user: str
    visitors: frozenset[str] = frozenset()
    orders: frozenset[str] = frozenset()
    sessions: frozenset[str] = frozenset()

    @property
    def ids(self) -> Mapping[str, frozenset[str]]:
        """Return the ids by kind."""
        return {USER: frozenset({self.user}), VISITOR: self.visitors, ORDER: self.orders, SESSION: self.sessions}

    def has(self, kind: str, value: StringValue) -> BooleanValue:
        """Say of each value whether it is one of the person's ids; see `Known.has`."""
        ids = sorted(self.ids[kind])
        return _certain(value.isin(ids)) if ids else ibis.literal(False)  # noqa: FBT003


@dataclass(frozen=True)
class Hashed:
    """Know people by the hashes of their ids alone.

    Attributes:
        hashes: Columns kind, hash and salt; it must not be empty.
    """

    hashes: Table
    _none: tuple[str, ...] = field(default=(SESSION,), repr=False)

    def has(self, kind: str, value: StringValue) -> BooleanValue:
        """Say of each value whether its hash is known; see `Known.has`."""
        if kind in self._none:
            return ibis.literal(False)  # noqa: FBT003
        of_kind = self.hashes.filter(self.hashes.kind == kind)
        salted: StringValue = self.hashes.salt.max().as_scalar() + value
        return _certain(salted.hexdigest("sha256").isin(of_kind.hash))


def _certain(says: BooleanValue) -> BooleanValue:
    sure: BooleanValue = says.fill_null(False)  # noqa: FBT003
    return sure


def _belongs(user: StringValue, visitor: StringValue, order: StringValue, known: Known) -> BooleanValue:
    hangs_on = known.has(VISITOR, visitor) | known.has(ORDER, order)
    return known.has(USER, user) | (user.isnull() & hangs_on)


def of_person(rows: Table, contract: Contract, known: Known, project: Project) -> BooleanValue | None:
    """Say of each row of a table whether it is the person's; None for a table that knows no persons.

    Args:
        rows: The rows, with the columns of the contract.
        contract: What they promise.
        known: Whose rows are looked for.
        project: Says how the text of raw rows is meant.
    """
    layer, _, name = contract.table.partition("_")
    if layer == "raw" and name in DELIVERED:
        texts = {column: _raw_text(rows, name, column, project) for column in _ID_COLUMNS}
        return _delivered(rows, name, texts, known)
    none = ibis.null("string")
    columns = {column.name: rows[column.name] for column in contract.columns if column.type == "string"}
    ids = {column: columns.get(column, none) for column in _ID_COLUMNS}
    if layer == "staged" and name in DELIVERED:
        return _delivered(rows, name, ids, known) if set(_ID_COLUMNS) & columns.keys() else None
    personal = {column.name for column in contract.columns if column.personal} & set(PERSONAL_IDS)
    if contract.table == MAP_IDENTITY.table:
        return known.has(USER, rows.user_id) | known.has(VISITOR, rows.anonymous_id)
    says = [known.has(kind, rows.user_id) for kind in (USER, VISITOR) if "user_id" in personal]
    says += [known.has(kind, rows.unit) for kind in (USER, VISITOR, SESSION) if "unit" in personal]
    if "user_id" not in personal and "unit" not in personal:
        says += [known.has(VISITOR, rows.anonymous_id)] if "anonymous_id" in personal else []
        says += [known.has(SESSION, rows.session_id)] if "session_id" in personal else []
    if personal and "order_id" in columns:
        says.append(ids["user_id"].isnull() & known.has(ORDER, ids["order_id"]))
    return functools.reduce(operator.or_, says) if says else None


def _delivered(rows: Table, name: str, ids: Mapping[str, StringValue], known: Known) -> BooleanValue | None:
    """Say of delivered rows whether they are the person's; each of a raw and its staged row says the same."""
    there = {column.name for column in DELIVERED[name].columns}
    if not there & {"user_id", "anonymous_id", "order_id"}:
        return None
    if name == "identities":  # a word on a visitor who is the person would make a visitor of another user of it
        says = known.has(USER, ids["user_id"]) | known.has(VISITOR, ids["anonymous_id"])
    else:
        says = _belongs(ids["user_id"], ids["anonymous_id"], ids["order_id"], known)
    if "malformed" not in rows.columns:
        return says
    place = rows.select("source", "feed", "file", "row_number", "malformed")
    place = place.filter(place.malformed.notnull())
    words = place.mutate(word=place.malformed.re_split(_BETWEEN_IDS)).unnest("word")
    named = words.filter(known.has(USER, words.word) | known.has(VISITOR, words.word))
    return says | _certain(rows.malformed.isin(named.malformed))


def _raw_text(rows: Table, table: str, column: str, project: Project) -> StringValue:
    """Give the text of a raw column as each row's feed means it."""
    if column not in {known.name for known in DELIVERED[table].columns}:
        return ibis.null("string")
    branches = [
        ((rows.source == name) & (rows.feed == place), text_as_meant(rows, column, feed, source))
        for name, place, source, feed in project.feeds(table)
    ]
    return ibis.cases(*branches, else_=rows[column]) if branches else rows[column]


def forgotten(rows: Table, contract: Contract, hashes: Table, project: Project) -> BooleanValue | None:
    """Say of each raw row whether it is of somebody whose rows were deleted; None where the table knows no persons."""
    return of_person(rows, contract, Hashed(hashes), project)


def values(rows: Iterable[Mapping[str, object]], column: str) -> frozenset[str]:
    """Collect the ids in a column of records."""
    return frozenset(str(row[column]) for row in rows if row[column] is not None)
