"""The first page: what matters most, key figures, and what follows from them.

Belongs here: tiles, their sentences, recommendations. Does not belong here: when a rule fires (`rules`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from analytics_assets.report.desk import Desk, capital, toned
from analytics_assets.report.findings import Kpi
from analytics_assets.report.rules import RULES, Fired
from analytics_assets.report.tree import Block, Bullets, Paragraph, Says, Section, Tile, Tiles
from analytics_assets.report.words import Way, changed, changed_between, counted, days_of, listed, named, valued, went

_GLANCE = 3
_UNTOLD = "may or may not have changed"


def glance(desk: Desk) -> Section:
    """Say what matters most, in a few lines."""
    said = [_kpi_says(desk, kpi) for kpi in desk.findings.kpis if went(kpi.change, kpi.unit) in {Way.ROSE, Way.FELL}]
    still, untold = (
        [kpi for kpi in desk.findings.kpis if kpi.change and went(kpi.change, kpi.unit) is verb]
        for verb in (Way.STEADY, Way.UNTOLD)
    )
    if still:
        said.append(
            Says(f"{capital(_with_intervals(still))} did not change noticeably.", desk.evidence(still[0].table))
        )
    if untold:
        text = f"Whether {_with_intervals(untold)} changed cannot be told."
        said.append(Says(text, desk.evidence(untold[0].table), "thin"))
    first = [_recommends(desk, one, short=True) for one in _recommended(desk)[:_GLANCE]]
    if not said:
        said = [Says(_no_comparison(desk))]
    blocks: list[Block] = [Bullets(tuple(said))]
    if first:
        blocks += [Paragraph((Says("What to do first:"),)), Bullets(tuple(first), numbered=True)]
    return Section("glance", "At a glance", tuple(blocks))


def _with_intervals(kpis: Sequence[Kpi]) -> str:
    """Name key figures with the intervals of their changes."""
    return listed([f"{kpi.name} ({changed_between(kpi.change, kpi.unit)})" for kpi in kpis if kpi.change], 8)


def kpis(desk: Desk) -> Section | None:
    """Show the numbers of the business as tiles, and say what their intervals speak of."""
    told = desk.findings
    if not told.kpis or told.period is None:
        return None
    against = f"{days_of(told.period)} against {days_of(told.before)}" if told.before else days_of(told.period)
    if told.year:
        against += f", and against the same weeks of the year before, {days_of(told.year)}"
    notes = []
    if told.before is None:
        notes.append(Says(_no_comparison(desk), tone="thin"))
    by_days = [kpi.name for kpi in told.kpis if kpi.chance == "days"]
    by_people = [kpi.name for kpi in told.kpis if kpi.chance == "people"]
    if told.before and by_days:
        notes.append(
            Says(
                f"{capital(listed(by_days))}: intervals of 95 % by what happens from day to day, each day "
                "against its like of the period before, neighbouring days allowed to hang together."
            )
        )
    if told.before and by_people:
        notes.append(
            Says(
                f"{capital(listed(by_people))}: intervals of 95 % by who comes, people taken as independent of "
                "each other, those of both periods counted once."
            )
        )
    blocks: list[Block] = [Tiles(tuple(_tile(desk, kpi) for kpi in told.kpis), against)]
    if told.before and (told.season.named_now or told.season.named_before):
        blocks.append(Paragraph(tuple(_named_days(desk))))
    if notes:
        blocks.append(Paragraph(tuple(notes), note=True))
    return Section("kpis", "Key figures", tuple(blocks))


def _tile(desk: Desk, kpi: Kpi) -> Tile:
    """Show one number."""
    unit, change = kpi.unit, kpi.change
    year = ""
    if kpi.year and kpi.year.change is not None:
        year = f"{changed(kpi.year, unit)} ({changed_between(kpi.year, unit)}) against the year before"
    word = went(change, unit)
    return Tile(
        name=capital(kpi.name),
        value=valued(kpi.value, unit, desk.findings.currency),
        change=changed(change, unit) if change else "",
        between=changed_between(change, unit) if change and change.change is not None else "",
        word={Way.UNTOLD: "change cannot be told", Way.STEADY: "no noticeable change"}.get(word, word.value),
        year=year,
        tone=toned(word, kpi.better),
        link=desk.table(kpi.table)[0],
    )


def _kpi_says(desk: Desk, kpi: Kpi) -> Says:
    """Say which way a number went, by its interval."""
    change, unit = kpi.change, kpi.unit
    assert change is not None
    verb = went(change, unit)
    value = valued(kpi.value, unit, desk.findings.currency)
    moved = changed(change, unit).lstrip("+-")
    text = f"{capital(kpi.name)} {verb.value} by {moved} to {value} ({changed_between(change, unit)})."
    return Says(text, desk.evidence(kpi.table), toned(verb, kpi.better))


def _no_comparison(desk: Desk) -> str:
    """Say why nothing is compared."""
    told = desk.findings
    if told.period is None or not told.kpis:
        return "There are no days of orders or events to report on."
    if told.before is None:
        days = told.period.days
        return f"With {counted(days, 'day')} of data there is no period before to compare with: no change can be told."
    return "No key figure changed so much that its interval tells which way."


def _named_days(desk: Desk) -> Iterator[Says]:
    """Warn of named days, which make periods unlike each other, and say what is left without them."""
    now, before = desk.findings.season.named_now, desk.findings.season.named_before
    held = [
        f"{which} held {listed([named(name) for name in names], 8)}"
        for which, names in (("the period", now), ("the one before", before))
        if names
    ]
    yield Says(f"{capital(' and '.join(held))}; the changes are not adjusted for these days.", tone="thin")
    told = [kpi for kpi in desk.findings.kpis if kpi.plain is not None and kpi.plain.change is not None]
    if not told:
        return
    written = [
        f"{kpi.name} {went(kpi.plain, kpi.unit).value if went(kpi.plain, kpi.unit) is not Way.UNTOLD else _UNTOLD} "
        f"({changed(kpi.plain, kpi.unit)}, {changed_between(kpi.plain, kpi.unit)})"
        for kpi in told
        if kpi.plain
    ]
    yield Says(f"On the {told[0].plain_days} pairs of days of which none has a name, {listed(written)}.")


def _recommended(desk: Desk) -> tuple[Fired, ...]:
    """Give the recommendations, in their order."""
    return tuple(one for one in desk.fired if one.rule.does == "recommend")


def _recommends(desk: Desk, one: Fired, *, short: bool = False) -> Says:
    """Say a recommendation, with or without its reason."""
    lead = "" if one.worth is None else f"{desk.money(one.worth)} of {one.of} {one.rule.per}"
    links = desk.evidence(one.table, one.figures)
    return Says("" if short else one.why, () if short else links, lead=lead, head=one.head)


def recommendations(desk: Desk) -> Section:
    """List what follows from the rules."""
    found = _recommended(desk)
    if not found:
        text = f"None of the {len(RULES)} written rules recommends anything of these numbers."
        return Section("recommendations", "Recommendations", (Paragraph((Says(text),)),))
    text = (
        "Computed by written rules: what concerns the data first, then by what each is worth a year where that is "
        "told, a "
        "campaign taken as run once."
    )
    return Section(
        "recommendations",
        "Recommendations",
        (Paragraph((Says(text),)), Bullets(tuple(_recommends(desk, one) for one in found), numbered=True)),
    )
