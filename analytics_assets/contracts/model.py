"""The words in which a table's promise is written.

Belongs here: the records of a contract. Does not belong here: any particular table (see `delivered`, `star`) and the
judging of rows (see `audit`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    import datetime as dt

Severity: TypeAlias = Literal["error", "warning"]
Cadence: TypeAlias = Literal["daily", "weekly"]
CheckName: TypeAlias = Literal[
    "keys",
    "references",
    "values",
    "identities",
    "volume",
    "accounting",
    "metrics",
    "nulls",
    "rejections",
    "categories",
    "new_values",
]

UNKNOWN_MEMBER = "(unknown)"
"""The key of the row that every dimension keeps for references without a match."""


@dataclass(frozen=True)
class Column:
    """Describe one column, once, for the catalogue, the audit and every database it is served from.

    Attributes:
        name: The column's name.
        type: Its Ibis type, as text: `string`, `int64`, `decimal(18, 4)`, `timestamp('UTC')`, `date`.
        meaning: What a value says, in one line.
        unit: The unit of a number (`lines`, `project currency`, `s`), empty where there is none.
        nullable: Whether a value may be missing.
        personal: Whether a value can identify a person.
        categorical: Whether it has few values, which are counted from day to day.
    """

    name: str
    type: str
    meaning: str
    unit: str = ""
    nullable: bool = True
    personal: bool = False
    categorical: bool = False


@dataclass(frozen=True)
class Accepted:
    """Hold a column to a list of values."""

    column: str
    values: tuple[str, ...]
    severity: Severity = "error"

    @property
    def name(self) -> str:
        """Name the rule for people."""
        return f"{self.column} is one of {', '.join(self.values)}"


@dataclass(frozen=True)
class InRange:
    """Hold a number to a closed range; a bound of None is open."""

    column: str
    minimum: float | None = None
    maximum: float | None = None
    severity: Severity = "error"

    def __post_init__(self) -> None:
        if self.minimum is None and self.maximum is None:
            raise ValueError(f"a range of {self.column} needs a minimum or a maximum")

    @property
    def name(self) -> str:
        """Name the rule for people."""
        low = "" if self.minimum is None else f"{self.minimum:g} <= "
        high = "" if self.maximum is None else f" <= {self.maximum:g}"
        return f"{low}{self.column}{high}"


@dataclass(frozen=True)
class Identity:
    """Hold an amount to the exact sum of others: `total = plus... - minus...`; a missing part counts as 0."""

    total: str
    plus: tuple[str, ...]
    minus: tuple[str, ...] = ()
    severity: Severity = "error"

    @property
    def name(self) -> str:
        """Name the rule for people."""
        return f"{self.total} = " + " + ".join(self.plus) + "".join(f" - {part}" for part in self.minus)


@dataclass(frozen=True)
class NoLookalikes:
    """Warn of ids that differ only in case or surrounding spaces: they are kept apart, and are often one thing."""

    column: str
    severity: Severity = "warning"

    @property
    def name(self) -> str:
        """Name the rule for people."""
        return f"no two {self.column} differ only in case or spaces"


@dataclass(frozen=True)
class MinimumRows:
    """Expect at least so many rows in what one run writes."""

    rows: int = 1
    severity: Severity = "warning"

    @property
    def name(self) -> str:
        """Name the rule for people."""
        return f"at least {self.rows} row{'s' if self.rows > 1 else ''}"


@dataclass(frozen=True)
class Quiet:
    """Expect no row that tells of something odd on one of the days that the run writes.

    It is of tables without days that judge days: what they say of other days was told by the runs of those.

    Attributes:
        check: The check that such a row fails.
        where: Columns, and the values of each by which a row is told.
        unless: The column that says why a row is accepted.
        says: The column that says in words what is odd.
        day: The column of the day that is judged.
        days: The first and the last day of the run; None: any.
    """

    check: CheckName
    where: tuple[tuple[str, tuple[str, ...]], ...]
    unless: str
    says: str
    day: str = "day"
    days: tuple[dt.date, dt.date] | None = None
    severity: Severity = "warning"

    @property
    def name(self) -> str:
        """Name the rule for people."""
        told = ", ".join(f"{column} {' or '.join(values)}" for column, values in self.where)
        return f"nothing stands out: {told}"


@dataclass(frozen=True)
class Reference:
    """Say which row of another table a column names.

    A value without a match is counted by a check and served as the dimension's `(unknown)` row; it is never
    overwritten and never dropped. Rows where a column of `unless` is true, or says anything, are not held to it.
    """

    column: str
    table: str
    key: str
    unless: tuple[str, ...] = ()
    severity: Severity = "warning"

    @property
    def name(self) -> str:
        """Name the rule for people."""
        return f"{self.column} is in {self.table}"


Rule: TypeAlias = Accepted | InRange | Identity | NoLookalikes | MinimumRows | Quiet


@dataclass(frozen=True)
class Contract:
    """Promise what a table holds.

    Attributes:
        table: The table's name; its asset has the same.
        grain: What one row is.
        columns: Every column, in order.
        key: The columns that name a row: unique within a day, or within the table where it has no days.
        day: The column that the table is partitioned by: `day` (of the event), `delivery_day` (of its arrival), or
            None for a table that is replaced as a whole.
        references: Columns that name rows of other tables.
        rules: What must hold beyond types, keys and references.
        clustered_by: The order of rows inside a day's files.
        accounts_for: The staged table whose kept rows this one holds, each exactly once.
        cadence: How often it is computed anew: with every daily run, or, where that is costly and a week changes
            little (models, calibrations), once a week.
    """

    table: str
    grain: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    day: Literal["day", "delivery_day"] | None = None
    references: tuple[Reference, ...] = ()
    rules: tuple[Rule, ...] = ()
    clustered_by: tuple[str, ...] = ()
    accounts_for: str | None = None
    cadence: Cadence = "daily"

    def __post_init__(self) -> None:
        names = [column.name for column in self.columns]
        used = [*self.key, *self.clustered_by, *(reference.column for reference in self.references)]
        used += [name for reference in self.references for name in reference.unless]
        used += [self.day] if self.day else []
        for rule in self.rules:
            match rule:
                case Identity(total=total, plus=plus, minus=minus):
                    used += [total, *plus, *minus]
                case MinimumRows():
                    pass
                case Quiet(where=where, unless=unless, says=says, day=day):
                    used += [unless, says, day, *(column for column, _ in where)]
                case _:
                    used.append(rule.column)
        if unknown := sorted(set(used) - set(names)):
            raise ValueError(f"the contract of {self.table} speaks of columns that it does not have: {unknown}")
        if len(names) != len(set(names)):
            raise ValueError(f"the contract of {self.table} describes a column twice")

    def column(self, name: str) -> Column:
        """Return the column of that name."""
        return next(column for column in self.columns if column.name == name)

    def as_snapshot(self) -> Contract:
        """Return the same promise for a table without days, replaced as a whole.

        >>> from analytics_assets.contracts.delivered import DELIVERED
        >>> DELIVERED["experiment_assignments"].raw().as_snapshot().day is None
        True
        """
        columns = tuple(replace(c, nullable=True) if c.name == self.day else c for c in self.columns)
        return replace(self, day=None, columns=columns)

    def of_run(self, first: dt.date, last: dt.date) -> Contract:
        """Return the same promise for a run of some days, which answers for what is odd on these alone."""
        rules = tuple(replace(rule, days=(first, last)) if isinstance(rule, Quiet) else rule for rule in self.rules)
        return replace(self, rules=rules)

    def checks(self) -> tuple[CheckName, ...]:
        """Name the checks that this contract asks for, a handful a table."""
        families: list[CheckName] = []
        if self.key:
            families.append("keys")
        if self.references:
            families.append("references")
        families.append("values")
        if any(isinstance(rule, Identity) for rule in self.rules):
            families.append("identities")
        if any(isinstance(rule, MinimumRows) for rule in self.rules):
            families.append("volume")
        if self.accounts_for or self.table.startswith(("raw_", "staged_")):
            families.append("accounting")
        families += [rule.check for rule in self.rules if isinstance(rule, Quiet)]
        return tuple(dict.fromkeys(families))
