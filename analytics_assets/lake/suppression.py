"""People whose rows were deleted: salted hashes by which their rows are known if they come again, and receipts.

Belongs here: these two tables; neither holds an id. Does not belong here: which rows are a person's (`assets.people`)
and deleting them (`automation.forgetting`).
"""

from __future__ import annotations

import datetime as dt
import hashlib
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from analytics_assets.contracts.model import Column, Contract

if TYPE_CHECKING:
    from ibis.expr.types import Table

    from analytics_assets.lake.tables import Lake

SUPPRESSED = Contract(
    table="suppressed",
    grain="one row an id of a person whose rows were deleted",
    columns=(
        Column("kind", "string", "what the id names: user, visitor or order", nullable=False),
        Column("hash", "string", "SHA-256 of the salt followed by the id", nullable=False),
        Column("salt", "string", "the salt: one for all rows of a lake", nullable=False),
        Column("since", "timestamp('UTC')", "when the deletion began", nullable=False),
    ),
    key=("kind", "hash"),
)
RECEIPTS = Contract(
    table="receipts",
    grain="one row a deletion and table",
    columns=(
        Column("deleted_at", "timestamp('UTC')", "when", nullable=False),
        Column("person", "string", "SHA-256 of the lake's salt followed by the user's id", nullable=False),
        Column("table", "string", "the table", nullable=False),
        Column("rows", "int64", "rows that were deleted from it", "rows", nullable=False),
        Column("release", "int64", "the first release without them", nullable=False),
    ),
    key=("person", "deleted_at", "table"),
)


@dataclass(frozen=True)
class Suppressed:
    """Know the ids whose rows are left out.

    Attributes:
        salt: Put before an id that is hashed; empty where nobody was deleted yet.
        since: When each was deleted, by kind and hash.
    """

    salt: str
    since: Mapping[tuple[str, str], dt.datetime]

    def hash(self, value: str) -> str:
        """Return the hash of an id."""
        return hashlib.sha256(f"{self.salt}{value}".encode()).hexdigest()

    def known(self, kind: str, value: str) -> dt.datetime | None:
        """Say when an id was deleted; None where it was not."""
        return self.since.get((kind, self.hash(value))) if self.salt else None


def suppressed(lake: Lake) -> Suppressed:
    """Read which ids are left out."""
    rows = lake.engine.rows(lake.read(SUPPRESSED))
    salt = rows[0]["salt"] if rows else ""
    return Suppressed(salt, {(row["kind"], row["hash"]): row["since"] for row in rows})


def suppress(lake: Lake, ids: Mapping[str, Iterable[str]], run_id: str, now: dt.datetime) -> Suppressed:
    """Remember ids whose rows are to be left out from now on, by kind; those that are remembered stay as they are."""
    before = suppressed(lake)
    after = before if before.salt else Suppressed(secrets.token_hex(32), {})
    added = {(kind, after.hash(value)): now for kind, values in ids.items() for value in values}
    whole = Suppressed(after.salt, {**added, **before.since})
    if whole.since != before.since:
        rows = [{"kind": kind, "hash": h, "salt": whole.salt, "since": at} for (kind, h), at in whole.since.items()]
        lake.publish(lake.stage(SUPPRESSED, _table(SUPPRESSED, rows)), run_id)
    return whole


def receipts(lake: Lake, person: str | None = None) -> list[dict[str, Any]]:
    """Read the receipts, of one person or of all, the oldest first."""
    table = lake.read(RECEIPTS)
    if person is not None:
        table = table.filter(table.person == person)
    return lake.engine.rows(table.order_by(["deleted_at", "table"]))


def write_receipt(
    lake: Lake, person: str, removed: Mapping[str, int], release: int, run_id: str, now: dt.datetime
) -> None:
    """Write down what is deleted, just before it is released.

    A receipt whose release never came, because the process was killed in between, is replaced by this one.
    """
    kept = [row for row in receipts(lake) if row["release"] < release]
    added = [
        {"deleted_at": now, "person": person, "table": name, "rows": rows, "release": release}
        for name, rows in removed.items()
    ]
    lake.publish(lake.stage(RECEIPTS, _table(RECEIPTS, [*kept, *added])), run_id)


def _table(contract: Contract, rows: list[dict[str, Any]]) -> Table:
    import ibis

    return ibis.memtable(rows, schema=ibis.schema({column.name: column.type for column in contract.columns}))
