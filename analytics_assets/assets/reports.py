"""The report and decision record of an experiment, in Markdown.

Belongs here: how the rows of an experiment are told to people. Does not belong here: any number or rule of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from analytics_assets.project.experiments import Guardrail, Plan
from analytics_assets.project.plans import Registration

Record = Mapping[str, Any]


def report(
    name: str,
    plan: Plan,
    registered: Registration,
    *,
    verdicts: Sequence[Record],
    results: Sequence[Record],
    trust: Sequence[Record],
) -> str:
    """Write the report: the verdict first, then what it rests on, then what can be doubted, then the plan.

    Args:
        name: The experiment.
        plan: Its plan.
        registered: How the plan stands to what was locked.
        verdicts: Its rows of `experiment_verdicts`.
        results: Its rows of `experiment_results`.
        trust: Its rows of `experiment_trust`.
    """
    parts = [
        [f"# {name}", "", *([plan.description, ""] if plan.description else []), f"*{plan.hypothesis}*"],
        list(_verdicts(verdicts, plan)),
        ["## Results", "", *_results(results, plan)],
        *([["## Segments", "", *_segments(results)]] if plan.segments else []),
        ["## What can be doubted", "", *_doubts(trust)],
        ["## The plan", "", *_plan(plan, registered)],
    ]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def _verdicts(verdicts: Sequence[Record], plan: Plan) -> Iterator[str]:
    for row in verdicts:
        whose = f" ({row['variant']})" if len(plan.treatments) > 1 else ""
        yield f"**{row['verdict'].capitalize()}**{whose}: {row['because']}."
        yield ""
        counted = f"{row['n_control']:,} users of {plan.control}, {row['n']:,} of {row['variant']}"
        yield f"As of {row['as_of']}: {counted}, whose {row['metric']} can be known."
        if row["notes"]:
            yield ""
            yield f"Note: {row['notes']}."
        yield ""


def _results(results: Sequence[Record], plan: Plan) -> Iterator[str]:
    yield "| metric | role | variant | control | treatment | difference | interval | lift | p | chance to win |"
    yield "|---|---|---|---|---|---|---|---|---|---|"
    roles = ("primary", "guardrail", "secondary")
    rows = [row for row in results if row["maturity"] == "matured" and not row["dimension"]]
    for row in sorted(
        rows, key=lambda row: (roles.index(row["role"]), row["metric"], row["window_days"], row["variant"])
    ):
        margin = ""
        if row["margin"] is not None:
            kept = {True: "kept", False: "not kept", None: "not tested"}[row["non_inferior"]]
            margin = f" (margin {number(row['margin'])}: {kept})"
        cells = [
            f"{row['metric']}, {row['window_days']} d",
            f"{row['role']}{margin}",
            row["variant"],
            number(row["control"]),
            number(row["treatment"]),
            number(row["difference"], signed=True),
            interval(row["low"], row["high"]),
            share(row["lift"]),
            number(row["p_adjusted"] if row["role"] == "primary" else row["p_value"]),
            share(row["chance_to_win"], signed=False),
        ]
        yield f"| {' | '.join(cells)} |"
        if row["reason"]:
            yield f"| | {row['reason']} | | | | | | | | |"
    yield ""
    level = f"{1 - plan.alpha:.0%}"
    adjusted = "" if not plan.covariate_days else f", adjusted for the {plan.covariate_days} days before exposure"
    yield (
        f"Differences a user of matured windows{adjusted}; {level} intervals at a fixed horizon. "
        "The p of the primary is that of the plan's method, adjusted over variants."
    )


def _segments(results: Sequence[Record]) -> Iterator[str]:
    rows = [row for row in results if row["role"] == "primary" and row["maturity"] == "matured" and row["dimension"]]
    yield "| segment | variant | users | difference | interval | adjusted p |"
    yield "|---|---|---|---|---|---|"
    for row in rows:
        yield (
            f"| {row['dimension']}: {row['segment']} | {row['variant']} | {row['n_control'] + row['n']:,} "
            f"| {number(row['difference'], signed=True)} | {interval(row['low'], row['high'])} "
            f"| {number(row['p_adjusted'])} |"
        )
    yield ""
    yield "Segments explain, and decide nothing; p-values are adjusted over all of them (Benjamini-Hochberg)."


def _doubts(trust: Sequence[Record]) -> Iterator[str]:
    for row in sorted(trust, key=lambda row: ("invalid", "warning", "fine").index(row["state"])):
        found = "" if row["value"] is None else f" ({number(row['value'])})"
        yield f"- {row['state']}: {row['question']}{found}: {row['detail']}"


def _plan(plan: Plan, registered: Registration) -> Iterator[str]:
    shares = ", ".join(f"{name} {value:.4g}" for name, value in plan.variants.items())
    yield f"- {registered.state}: {registered.reason}"
    yield f"- variants: {shares}; control: {plan.control}"
    yield f"- exposed from {plan.starts} to {plan.ends}, by {plan.exposure.event or 'any event'}"
    for role, measured in plan.measured():
        least = "" if measured.minimum_effect is None else f", minimum effect {number(measured.minimum_effect)}"
        margin = f", margin {number(measured.margin)}" if isinstance(measured, Guardrail) else ""
        yield f"- {role}: {measured.called}{least}{margin}"
    yield f"- method {plan.method}, alpha {plan.alpha:g}, power {plan.power:g}"
    yield f"- SHA-256 of what decides: {registered.digest}"
    for amendment in plan.amendments:
        yield f"- amended on {amendment.on}: {amendment.what}; because {amendment.why}"
    for change in registered.changes:
        yield f"- changed: {change}"
    if plan.owner:
        yield f"- owner: {plan.owner}"


def number(value: float | None, *, signed: bool = False) -> str:
    """Write a number in four digits, or nothing.

    >>> number(0.123456), number(12.0, signed=True), number(None)
    ('0.1235', '+12', '')
    """
    if value is None:
        return ""
    return f"{value:+.4g}" if signed else f"{value:.4g}"


def share(value: float | None, *, signed: bool = True) -> str:
    """Write a share in percent, or nothing.

    >>> share(0.1234), share(0.5, signed=False)
    ('+12.3 %', '50.0 %')
    """
    if value is None:
        return ""
    return f"{value * 100:+.1f} %" if signed else f"{value * 100:.1f} %"


def interval(low: float | None, high: float | None) -> str:
    """Write an interval, or nothing.

    >>> interval(-0.5, 1.25)
    '-0.5 to +1.25'
    """
    return "" if low is None or high is None else f"{low:+.4g} to {high:+.4g}"
