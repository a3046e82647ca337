"""What is told of people: where they are lost, what experiments changed, who customers are.

Belongs here: sections on funnels, activity, experiments and customers. Does not belong here: any number (`findings`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from analytics_assets.charts.house import number, share
from analytics_assets.report.desk import Desk, capital, toned
from analytics_assets.report.findings import Experiment, Funnel
from analytics_assets.report.rules import Fired
from analytics_assets.report.tree import Block, Bullets, Cell, Grid, Paragraph, Says, Section, Tone
from analytics_assets.report.words import (
    Way,
    changed,
    changed_between,
    counted,
    days_of,
    listed,
    named,
    points,
    points_between,
    went,
)

_LOSSES = 3
_VERDICTS: Mapping[str, Tone] = {
    "ship": "good",
    "rollback": "bad",
    "invalid": "bad",
    "inconclusive": "thin",
    "too early": "thin",
}
_ORDER = {
    name: place
    for place, name in enumerate(
        ("ship", "rollback", "invalid", "no meaningful difference", "inconclusive", "too early")
    )
}
_REPEATED = frozenset({"roll_back", "repeat_invalid_experiment"})
"""What the section on experiments says once more."""


def funnels(desk: Desk) -> Section | None:
    """Say where funnels lose people."""
    blocks: list[Block] = [block for funnel in desk.findings.funnels for block in _funnel(desk, funnel)]
    return Section("funnels", "Where people are lost", (*blocks, *desk.figures("funnels"))) if blocks else None


def _funnel(desk: Desk, funnel: Funnel) -> Iterator[Block]:
    """Say where one loses them."""
    name = named(funnel.name)
    table = f"funnel_{funnel.name}"
    if not funnel.steps or not funnel.steps[0].came:
        yield Paragraph((Says(f"Nobody entered the funnel {name} early enough to tell.", desk.table(table)),))
        return
    first, worst = funnel.steps[0], max(funnel.steps, key=lambda step: step.lost)
    ended = funnel.steps[-1].went_on
    says = [
        Says(
            f"Of {first.came:,} {funnel.units} that entered the funnel {name} and have had the time, {ended:,} "
            f"({share(ended / first.came)}) went all the way.",
            desk.table(table),
        ),
        Says(
            f"Most are lost between {named(worst.previous)} and {named(worst.name)}: {worst.lost:,} of "
            f"{worst.came:,}; {share(worst.rate)} go on ({share(worst.low)} to {share(worst.high)}).",
            desk.evidence(f"{table}_friction", (f"{table}_steps*", f"{table}*")),
        ),
    ]
    if funnel.change is not None and funnel.compared is not None:
        says.append(_funnel_change(desk, funnel, table))
    yield Paragraph(tuple(says))
    if funnel.frictions:
        yield Bullets(
            tuple(
                Says(
                    f"{named(one.value)} ({named(one.dimension)}): {share(one.rate)} of {one.came:,} go on from "
                    f"{named(one.previous)} to {named(one.name)}, of the others {share(one.rate_of_others)} "
                    f"({points(one.gap)}, {points_between(one.gap_low, one.gap_high)}): {one.lost:,.0f} fewer "
                    "than at the others' rate.",
                    desk.evidence(f"{table}_friction", (f"{table}*{one.dimension}*",)),
                )
                for one in funnel.frictions[:_LOSSES]
            )
        )
    else:
        text = "No value of a breakdown goes on significantly less often than the others, at any step."
        yield Paragraph((Says(text, desk.evidence(f"{table}_friction")),))


def _funnel_change(desk: Desk, funnel: Funnel, table: str) -> Says:
    """Say which way the share that ends a funnel went."""
    assert funnel.change is not None
    assert funnel.compared is not None
    verb = went(funnel.change, "share")
    now, before = (days_of(period) for period in funnel.compared)
    what = f"the share of entries of {now} that went all the way"
    against = f"against those of {before} ({changed_between(funnel.change, 'share')})"
    to = share(funnel.change.now)
    if verb is Way.UNTOLD:
        return Says(f"Whether {what}, {to}, changed {against} cannot be told.", desk.table(table), "thin")
    if verb is Way.STEADY:
        return Says(f"{capital(what)}, {to}, did not change noticeably {against}.", desk.table(table))
    moved = changed(funnel.change, "share").lstrip("+-")
    return Says(f"{capital(what)} {verb.value} by {moved} to {to} {against}.", desk.table(table), toned(verb, "up"))


def activity(desk: Desk) -> Section | None:
    """Show who comes and comes back."""
    figures = desk.figures("activity")
    return Section("activity", "Who comes, and comes back", figures) if figures else None


def experiments(desk: Desk) -> Section | None:
    """Say what was decided, and what it is worth."""
    found = desk.findings.experiments
    if not found:
        return None
    counts = {verdict: sum(one.verdict == verdict for one in found) for verdict in dict.fromkeys(_verdicts(found))}
    text = f"{counted(len(found), 'comparison')}: {listed([f'{n} {verdict}' for verdict, n in counts.items()])}."
    rows = tuple(
        (
            Cell(f"{named(one.experiment)}: {named(one.variant)}"),
            Cell(one.verdict, _VERDICTS.get(one.verdict, "")),
            Cell(named(one.metric)),
            Cell("n/a" if one.difference is None else f"{one.difference:+.3g}"),
            Cell("n/a" if one.low is None or one.high is None else f"{one.low:+.3g} to {one.high:+.3g}"),
            *map(Cell, _worth(desk, one)),
        )
        for one in sorted(found, key=lambda one: (_ORDER.get(one.verdict, 9), -(one.value or 0.0), one.experiment))
    )
    heads = ("variant", "verdict", "primary metric", "difference", "interval", "worth a month", "interval")
    grid = Grid(heads, rows, "Verdicts, by the primary metric", desk.evidence("experiment_verdicts"), numbers=4)
    notes = [
        Says(one.why, desk.evidence(one.table, one.figures), head=one.head) for one in _fired_of(desk, "experiments")
    ]
    worth = Says(
        "Worth is told of what was decided to ship: profit where costs are known, else revenue, at the traffic of "
        "the "
        "experiment, with the interval of the lift alone.",
        desk.evidence("experiment_impact"),
    )
    return Section(
        "experiments",
        "What experiments decided",
        (
            Paragraph((Says(text, desk.evidence("experiment_verdicts")), worth)),
            grid,
            *([Bullets(tuple(notes))] if notes else []),
            *desk.figures("experiments"),
        ),
    )


def _worth(desk: Desk, one: Experiment) -> tuple[str, str]:
    """Write what an experiment is worth: told of what ships alone."""
    if one.verdict != "ship" or one.value is None:
        return "", ""
    return desk.money(one.value), f"{number(one.value_low or 0.0)} to {desk.money(one.value_high)}"


def _fired_of(desk: Desk, over: str) -> tuple[Fired, ...]:
    return tuple(one for one in desk.fired if one.rule.over == over and one.rule.name in _REPEATED)


def customers(desk: Desk) -> Section | None:
    """Say who customers are, who is about to leave, and what is expected of them."""
    blocks: list[Block] = []
    if desk.findings.segments:
        blocks += list(_segments(desk))
    says = [says for says in (_lifetime(desk), _churn(desk)) if says]
    if says:
        blocks.append(Paragraph(tuple(says)))
    return Section("customers", "Customers", (*blocks, *desk.figures("customers"))) if blocks else None


def _segments(desk: Desk) -> Iterator[Block]:
    """Say how large segments are, and how they moved."""
    found = desk.findings.segments
    top = max(found, key=lambda one: one.revenue)
    total = sum(one.customers for one in found)
    said = [
        Says(
            f"{named(top.segment)} are {share(top.share)} of {total:,} customers and brought "
            f"{share(top.revenue_share or 0.0)} of their revenue, the most of any segment.",
            desk.evidence("rfm_segments"),
        )
    ]
    month = next((one.month for one in found if one.month and one.before), None)
    for verb in (Way.ROSE, Way.FELL):
        names = [
            f"{named(one.segment)} ({changed_between(one.change, 'share')})"
            for one in found
            if one.change and went(one.change, "share") is verb
        ]
        if names and month:
            said.append(
                Says(
                    f"Between the last two whole months the share of {listed(names)} {verb.value}; each "
                    "interval of 95 % is for itself.",
                    desk.evidence("rfm_history"),
                )
            )
    yield Paragraph(tuple(said))
    yield Grid(
        ("segment", "customers", "share", "revenue so far", "of revenue", "share against the month before"),
        tuple(
            (
                Cell(named(one.segment)),
                Cell(f"{one.customers:,}"),
                Cell(share(one.share)),
                Cell(desk.money(one.revenue)),
                Cell("n/a" if one.revenue_share is None else share(one.revenue_share)),
                Cell(f"{changed(one.change, 'share')} ({changed_between(one.change, 'share')})" if one.change else ""),
            )
            for one in found
        ),
        "Segments of customers by recency, frequency and money",
        desk.evidence("rfm_segments"),
        numbers=5,
    )


def _lifetime(desk: Desk) -> Says | None:
    """Say what is expected of customers."""
    told = desk.findings.lifetime
    if told is None:
        return None
    links = desk.evidence("clv_customers")
    if told.expected_value is None:
        return Says(f"What customers will bring cannot be told: {told.state}.", links, "thin")
    text = (
        f"Within {told.horizon_days} days {told.customers:,} customers are expected to bring "
        f"{desk.money(told.expected_value)}"
    )
    if told.expected_orders is not None:
        text += f" with {number(told.expected_orders)} orders"
    if told.holdout_error is not None and told.holdout_orders is not None:
        side = "fewer" if told.holdout_error < 0 else "more"
        text += (
            f"; of the last {told.holdout_days} days the model had expected {share(abs(told.holdout_error))} "
            f"{side} "
            f"orders than came ({number(told.holdout_expected or 0.0)} of {told.holdout_orders:,}), which is how "
            f"far "
            "it may be off"
        )
    if told.independence == "refuted":
        text += "; its assumption that spending does not depend on how often one orders is refuted"
    return Says(f"{text}.", links)


def _churn(desk: Desk) -> Says | None:
    """Say how well churn is told."""
    told = desk.findings.churn
    if told is None:
        return None
    links = desk.evidence("customer_churn_performance")
    if told.auc is None or told.auc_low is None:
        return Says(f"Which customers are about to leave cannot be told: {told.state}.", links, "thin")
    text = (
        f"Of {told.customers:,} customers of the test, {share(told.churned / max(told.customers, 1))} "
        f"({share(told.rate_low or 0.0)} to {share(told.rate_high or 0.0)}) did not order for {told.churn_days} "
        f"days; "
        f"who they would be was told with an AUC of {told.auc:.2f} ({told.auc_low:.2f} to {told.auc_high:.2f}), "
        f"and "
        f"its chances are {told.calibration or 'not judged'}."
    )
    return Says(text, links)


def _verdicts(found: Sequence[Experiment]) -> list[str]:
    return sorted({one.verdict for one in found}, key=lambda verdict: _ORDER.get(verdict, 9))
