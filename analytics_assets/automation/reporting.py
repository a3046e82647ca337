"""Findings and numbers as Dagster shows them: checks, metadata, descriptions.

Belongs here: the translation of contracts, audits and reports into Dagster's records. Does not belong here: deciding
what is checked (`contracts`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import dagster as dg

from analytics_assets.contracts.audit import Finding
from analytics_assets.contracts.model import CheckName, Contract

_DESCRIPTIONS: dict[CheckName, str] = {
    "keys": "The key names one row.",
    "references": "Every reference names a row of its table.",
    "values": "Required values are there, and values are in their range or list.",
    "identities": "Amounts add up, to the last digit.",
    "volume": "There are as many rows as one expects.",
    "accounting": "Every row that went in is accounted for.",
    "metrics": "Metrics are as the weeks before let one expect.",
    "nulls": "No more values are missing than in the weeks before.",
    "rejections": "No larger share of rows is rejected than in the weeks before.",
    "categories": "Values have the shares that the weeks before let one expect.",
    "new_values": "No value has many rows that was not there in the weeks before.",
}
_MAX_DAYS = 40


def column_schema(contract: Contract) -> dg.TableSchema:
    """Show a contract's columns in Dagster's catalogue."""
    columns = []
    for column in contract.columns:
        unit = f" ({column.unit})" if column.unit else ""
        tags = {"personal_data": ""} if column.personal else {}
        constraints = dg.TableColumnConstraints(nullable=column.nullable, unique=contract.key == (column.name,))
        columns.append(
            dg.TableColumn(column.name, column.type, f"{column.meaning}{unit}", constraints=constraints, tags=tags)
        )
    return dg.TableSchema(columns)


def description(contract: Contract, says: str) -> str:
    """Describe a table: what it does, its grain, its key, and where its rows refer to."""
    lines = [
        says.strip(),
        "",
        f"**Grain**: {contract.grain}. **Key**: {', '.join(f'`{name}`' for name in contract.key)}.",
    ]
    if contract.day:
        lines.append(f"Kept by `{contract.day}`.")
    lines += [f"- `{reference.column}` → `{reference.table}`" for reference in contract.references]
    return "\n".join(lines)


def check_specs(contract: Contract) -> list[dg.AssetCheckSpec]:
    """Declare a table's checks."""
    return [
        dg.AssetCheckSpec(name, asset=contract.table, description=_DESCRIPTIONS[name]) for name in contract.checks()
    ]


def check_results(contract: Contract, findings: Sequence[Finding], asset_key: dg.AssetKey) -> list[dg.AssetCheckResult]:
    """Roll the findings of a run up into one result a check."""
    return [_check_result(name, [f for f in findings if f.check == name], asset_key) for name in contract.checks()]


def _check_result(name: CheckName, findings: Sequence[Finding], asset_key: dg.AssetKey) -> dg.AssetCheckResult:
    broken = [finding for finding in findings if not finding.holds]
    error = any(finding.severity == "error" for finding in broken)
    metadata: dict[str, dg.MetadataValue] = {
        "rules": rules_table(findings),
        "violations": dg.MetadataValue.int(sum(finding.violations for finding in broken)),
    }
    days = sorted({day for finding in broken for day in finding.days})
    if days:
        more = f" and {len(days) - _MAX_DAYS} more" if len(days) > _MAX_DAYS else ""
        metadata["days"] = dg.MetadataValue.text(", ".join(map(str, days[:_MAX_DAYS])) + more)
    return dg.AssetCheckResult(
        passed=not broken,
        check_name=name,
        asset_key=asset_key,
        severity=dg.AssetCheckSeverity.ERROR if error or not broken else dg.AssetCheckSeverity.WARN,
        metadata=metadata,
        description="; ".join(map(str, broken)) if broken else None,
    )


def rules_table(findings: Iterable[Finding]) -> dg.TableMetadataValue:
    """Show every rule of a check and how it came out."""
    records = [
        dg.TableRecord(
            {
                "rule": finding.rule,
                "severity": finding.severity,
                "violations": finding.violations,
                "samples": "; ".join(finding.samples),
            }
        )
        for finding in findings
    ]
    schema = dg.TableSchema(
        [
            dg.TableColumn("rule", "string"),
            dg.TableColumn("severity", "string"),
            dg.TableColumn("violations", "int"),
            dg.TableColumn("samples", "string"),
        ]
    )
    return dg.MetadataValue.table(records, schema)


def counts_table(counts: Mapping[str, int], name: str) -> dg.TableMetadataValue:
    """Show counts by name, the largest first."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    schema = dg.TableSchema([dg.TableColumn(name, "string"), dg.TableColumn("rows", "int")])
    return dg.MetadataValue.table([dg.TableRecord({name: key, "rows": count}) for key, count in ordered], schema)
