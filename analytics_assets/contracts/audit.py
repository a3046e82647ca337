"""The judging of a table against its contract, all rules in one aggregate query.

Belongs here: contract -> one Ibis expression that counts violations a day, and the reading of its answer. Does not
belong here: running the expression (`lake`) and reporting the outcome (`automation`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from analytics_assets.contracts.model import (
    Accepted,
    CheckName,
    Contract,
    Identity,
    InRange,
    MinimumRows,
    NoLookalikes,
    Quiet,
    Reference,
    Rule,
    Severity,
)

if TYPE_CHECKING:
    import datetime as dt

    from ibis.expr.types import BooleanValue, IntegerScalar, Table

ROWS = "rows"
KEPT = "kept"
DAY = "audited_day"
MAX_SAMPLES = 5


@dataclass(frozen=True)
class _Key:
    """Hold the key to being unique."""

    columns: tuple[str, ...]
    severity: Severity = "error"

    @property
    def name(self) -> str:
        return f"{', '.join(self.columns)} names one row"


@dataclass(frozen=True)
class _Present:
    """Hold a required column to being there."""

    column: str
    severity: Severity = "error"

    @property
    def name(self) -> str:
        return f"{self.column} is present"


@dataclass(frozen=True)
class Finding:
    """Say how one rule came out.

    Attributes:
        check: The check that the rule belongs to.
        rule: The rule, in words.
        severity: What a violation does: an error blocks, a warning is recorded.
        violations: How many rows break it.
        distinct: Of a broken reference: how many different values have no match.
        days: The days on which it is broken, oldest first; empty where the table neither has days nor judges any.
        samples: Of a broken rule: up to five rows that break it, by key.
    """

    check: CheckName
    rule: str
    severity: Severity
    violations: int
    distinct: int | None = None
    days: tuple[dt.date, ...] = ()
    samples: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether no row breaks the rule."""
        return self.violations == 0

    def __str__(self) -> str:
        rows = f"{self.violations:,} row{'s' if self.violations != 1 else ''}"
        distinct = "" if self.distinct is None else f" ({self.distinct:,} different values)"
        days = f", on {', '.join(map(str, self.days[:5]))}{' ...' if len(self.days) > 5 else ''}" if self.days else ""
        samples = f"; such as {'; '.join(self.samples)}" if self.samples else ""
        return f"{self.rule}: broken by {rows}{distinct}{days}{samples}"


@dataclass(frozen=True)
class Audit:
    """Hold what one pass over a table found.

    Attributes:
        rows: Rows in all.
        rows_by_day: Rows a day; under None for a table without days.
        kept: Of a staged table, the rows that are not rejected; else the same as `rows`.
        findings: One a rule.
    """

    rows: int
    rows_by_day: Mapping[dt.date | None, int]
    kept: int
    findings: tuple[Finding, ...]

    def broken(self, severity: Severity) -> tuple[Finding, ...]:
        """Return the findings of that severity whose rule does not hold."""
        return tuple(finding for finding in self.findings if finding.severity == severity and not finding.holds)


_Audited = Rule | Reference | _Key | _Present


def _audited(contract: Contract, present: Iterable[str]) -> list[tuple[CheckName, _Audited]]:
    """List what the audit query counts; references only to tables that exist, volume from the row count."""
    tables = set(present)
    rules: list[tuple[CheckName, _Audited]] = [("keys", _Key(contract.key))] if contract.key else []
    rules += [("values", _Present(column.name)) for column in contract.columns if not column.nullable]
    for rule in contract.rules:
        match rule:
            case Identity():
                rules.append(("identities", rule))
            case NoLookalikes():
                rules.append(("keys", rule))
            case Accepted() | InRange():
                rules.append(("values", rule))
            case Quiet(check=check):
                rules.append((check, rule))
            case MinimumRows():
                pass
    rules += [("references", reference) for reference in contract.references if reference.table in tables]
    return rules


def breaks(table: Table, rule: _Audited) -> BooleanValue:
    """Say of each row whether it breaks the rule; a null breaks no rule but the one that asks for a value.

    >>> import ibis
    >>> from analytics_assets.contracts.model import InRange
    >>> prices = ibis.memtable({"price": [1.0, -2.0, None]})
    >>> prices.aggregate(n=breaks(prices, InRange("price", minimum=0)).sum()).execute().n[0].item()
    1
    """
    import ibis

    never: BooleanValue = ibis.literal(False)  # noqa: FBT003
    broken: BooleanValue
    match rule:
        case _Present(column=column):
            return table[column].isnull()
        case Accepted(column=column, values=values):
            broken = table[column].notin(values)
        case InRange(column=column, minimum=minimum, maximum=maximum):
            broken = never if minimum is None else table[column] < minimum
            broken = broken if maximum is None else broken | (table[column] > maximum)
        case Identity(total=total, plus=plus, minus=minus):
            amount = sum((table[part].fill_null(0) for part in plus[1:]), table[plus[0]].fill_null(0))
            for part in minus:
                amount = amount - table[part].fill_null(0)
            broken = table[total] != amount
        case Quiet():
            broken = _tells(table, rule)
        case Reference(column=column, unless=unless):
            broken = table[column].notnull() & table[_matched(rule)].isnull()
            for name in unless:
                excused = table[name] if table[name].type().is_boolean() else table[name].notnull()
                broken = broken & ~excused.fill_null(False)  # noqa: FBT003
        case _:
            return never
    return broken.fill_null(False)  # noqa: FBT003


def _tells(table: Table, rule: Quiet) -> BooleanValue:
    """Say of each row whether it tells of something odd on a day of the run, which nobody accepted."""
    told: BooleanValue = table[rule.unless].isnull()
    for column, values in rule.where:
        told = told & table[column].isin(values)
    return told if rule.days is None else told & table[rule.day].between(*rule.days)


def _matched(reference: Reference) -> str:
    return f"matched_{reference.table}_by_{reference.column}"


def with_matches(table: Table, contract: Contract, referenced: Mapping[str, Table]) -> Table:
    """Mark beside each row which of its references have a match; the number of rows stays."""
    for reference in contract.references:
        if reference.table in referenced:
            other = referenced[reference.table]
            keys = (
                other.filter(other[reference.key].notnull()).select(**{_matched(reference): reference.key}).distinct()
            )
            table = table.left_join(keys, table[reference.column] == keys[_matched(reference)])
    return table


def _count(table: Table, rule: _Audited) -> IntegerScalar:
    import ibis

    match rule:
        case _Key(columns=columns):
            key = table[columns[0]] if len(columns) == 1 else ibis.struct({name: table[name] for name in columns})
            # a null in a one-column key is counted by the rule that asks for a value
            counted: IntegerScalar = key.count() - key.nunique()
            return counted
        case NoLookalikes(column=column):
            looks: IntegerScalar = table[column].nunique() - table[column].strip().lower().nunique()
            return looks
        case _:
            return breaks(table, rule).sum()


def audit_expression(table: Table, contract: Contract, referenced: Mapping[str, Table]) -> Table:
    """Build the one query that audits a table: a row a day (one row where the table has no days), a column a rule.

    Args:
        table: The rows to be judged, with the columns of the contract.
        contract: What they promise.
        referenced: The tables that references name, as far as they exist.
    """
    import ibis

    matched = with_matches(table, contract, referenced)
    rules = _audited(contract, referenced)
    counts: dict[str, Any] = {ROWS: matched.count()}
    counts[KEPT] = (matched.rejected.length() == 0).sum() if "rejected" in matched.columns else matched.count()
    for i, (_, rule) in enumerate(rules):
        counts[f"rule_{i}"] = _count(matched, rule)
        if isinstance(rule, Quiet):
            counts[f"days_{i}"] = matched[rule.day].collect(where=breaks(matched, rule), distinct=True)
    if contract.day is None:
        return matched.aggregate(**counts).mutate(**{DAY: ibis.null("date")})
    return matched.group_by(**{DAY: matched[contract.day]}).aggregate(**counts)


def read_audit(rows: Iterable[Mapping[str, Any]], contract: Contract, present: Iterable[str]) -> Audit:
    """Read the answer of `audit_expression`.

    Args:
        rows: Its rows.
        contract: The contract that it was built from.
        present: The names of the referenced tables that it was built with.
    """
    by_day = sorted(rows, key=lambda row: str(row[DAY]))
    total = sum(row[ROWS] or 0 for row in by_day)
    findings: list[Finding] = []
    for i, (check, rule) in enumerate(_audited(contract, present)):
        violations = {row[DAY]: int(row[f"rule_{i}"] or 0) for row in by_day}
        days = tuple(day for day, count in violations.items() if count and day is not None)
        if isinstance(rule, Quiet):
            days = tuple(sorted({day for row in by_day for day in row[f"days_{i}"] or ()}))
        findings.append(Finding(check, rule.name, rule.severity, sum(violations.values()), days=days))
    findings += [
        Finding("volume", rule.name, rule.severity, max(rule.rows - total, 0))
        for rule in contract.rules
        if isinstance(rule, MinimumRows)
    ]
    return Audit(
        rows=total,
        rows_by_day={row[DAY]: row[ROWS] for row in by_day if row[ROWS]},
        kept=sum(row[KEPT] or 0 for row in by_day),
        findings=tuple(findings),
    )


def distinct_expressions(table: Table, contract: Contract, referenced: Mapping[str, Table]) -> dict[str, IntegerScalar]:
    """Build, for each reference by its words, the count of different values without a match."""
    matched = with_matches(table, contract, referenced)
    return {
        reference.name: matched[reference.column].nunique(where=breaks(matched, reference))
        for reference in contract.references
        if reference.table in referenced
    }


def sample_expressions(table: Table, contract: Contract, referenced: Mapping[str, Table]) -> dict[str, Table]:
    """Build, for each rule by its words, the query for up to five rows that break it, by key."""
    matched = with_matches(table, contract, referenced)
    key = list(contract.key)
    samples: dict[str, Table] = {}
    for _, rule in _audited(contract, referenced):
        match rule:
            case _Key(columns=columns):
                by = [*columns, *([contract.day] if contract.day and contract.day not in columns else [])]
                repeated = table.group_by(by).aggregate(times=table.count())
                samples[rule.name] = repeated.filter(repeated.times > 1).order_by(by).limit(MAX_SAMPLES)
            case NoLookalikes(column=column):
                spelt = table.filter(table[column].notnull()).select(column).distinct()
                alike = spelt.group_by(alike=spelt[column].strip().lower()).aggregate(spellings=spelt[column].collect())
                many = alike.filter(alike.spellings.length() > 1).order_by("alike").limit(MAX_SAMPLES)
                samples[rule.name] = many.select(spellings=many.spellings.sort().join(" | "))
            case _:
                shown = [*key, *(name for name in _columns_of(rule) if name not in key)]
                samples[rule.name] = (
                    matched.filter(breaks(matched, rule)).select(shown).order_by(shown).limit(MAX_SAMPLES)
                )
    return samples


def _columns_of(rule: _Audited) -> tuple[str, ...]:
    match rule:
        case Identity(total=total, plus=plus, minus=minus):
            return (total, *plus, *minus)
        case _Present(column=column) | Accepted(column=column) | InRange(column=column) | Reference(column=column):
            return (column,)
        case Quiet(says=says):
            return (says,)
        case _:
            return ()
