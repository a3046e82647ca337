"""What is told of what is sold: products, places, seasons, campaigns.

Belongs here: sections on the market. Does not belong here: any number (`findings`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from analytics_assets.charts.house import number, share
from analytics_assets.report.desk import Desk, toned
from analytics_assets.report.findings import Part, Special
from analytics_assets.report.tree import Block, Bullets, Cell, Grid, Paragraph, Says, Section
from analytics_assets.report.words import (
    Way,
    changed,
    changed_between,
    counted,
    days_of,
    listed,
    named,
    way,
    weekday,
    went,
)


def products(desk: Desk) -> Section | None:
    """Say what is sold, and how categories moved."""
    told = desk.findings.products
    if told is None or not told.sold:
        return None
    said = [
        Says(
            f"{counted(told.first_class, 'product')} of {told.sold:,} sold so far bring 80 % of net revenue (class A).",
            desk.evidence("product_performance"),
        )
    ]
    if told.top_decile_share is not None and told.customers:
        said.append(
            Says(
                f"The tenth of {told.customers:,} customers who spend most bring {share(told.top_decile_share)}.",
                desk.evidence("revenue_concentration"),
            )
        )
    if told.best:
        names = [f"{named(part.name)} ({share(part.share)})" for part in told.best]
        said.append(Says(f"So far the most came from {listed(names)}.", desk.table("product_performance")))
    blocks: list[Block] = [Paragraph(tuple(said))]
    if told.categories:
        blocks.append(_parts(desk, "category", told.categories, "revenue_daily"))
    notes = [one for one in desk.fired if one.rule.over == "returned"]
    if notes:
        blocks.append(
            Bullets(tuple(Says(one.why, desk.evidence(one.table, one.figures), head=one.head) for one in notes))
        )
    return Section("products", "Products", (*blocks, *desk.figures("products")))


def _parts(desk: Desk, what: str, parts: Sequence[Part], table: str) -> Grid:
    """Show what each part brings, and how that changed."""
    compared = any(part.change and part.change.change is not None for part in parts)
    heads = (what, "net revenue", "share", *(("change", "interval") if compared else ()))
    rows = tuple(
        (
            Cell(named(part.name)),
            Cell(desk.money(part.net)),
            Cell(share(part.share)),
            *(
                (
                    Cell(changed(part.change) if part.change else "n/a", toned(went(part.change), "up")),
                    Cell(changed_between(part.change) if part.change else "n/a"),
                )
                if compared
                else ()
            ),
        )
        for part in parts
    )
    period = desk.findings.period
    caption = f"Net revenue by {what}, {days_of(period)}" if period else f"Net revenue by {what}"
    if compared and desk.findings.before:
        caption += f", against {days_of(desk.findings.before)}; each interval of 95 % for itself"
    return Grid(heads, rows, caption, desk.evidence(table), numbers=len(heads) - 1)


def places(desk: Desk) -> Section | None:
    """Say where customers are."""
    found = desk.findings.places
    if not found:
        return None
    top = found[0]
    text = f"{named(top.name)} brings the most, {share(top.share)} of net revenue of the period."
    return Section(
        "places",
        "Geography",
        (Paragraph((Says(text, desk.table("sales_overview")),)), _parts(desk, "country", found, "sales_overview")),
    )


def outlook(desk: Desk) -> Section | None:
    """Say what repeats, and what is expected."""
    told, season = desk.findings.outlook, desk.findings.season
    said: list[Says] = []
    if told is not None:
        said += list(_forecast(desk))
    strong = [day for day in season.weekdays if way(day.low, day.high, 0.0) in {Way.ROSE, Way.FELL}]
    if strong:
        best, worst = max(strong, key=lambda day: day.effect), min(strong, key=lambda day: day.effect)
        for day, side in ((best, "above"), (worst, "below")):
            if (day.effect > 0) == (side == "above"):
                said.append(
                    Says(
                        f"{weekday(day.weekday)} lie {_effect(desk, day.effect, day.method)} {side} the mean of the "
                        f"week "
                        f"({_effect_range(desk, day.low, day.high, day.method)}).",
                        desk.evidence("series_weekdays"),
                    )
                )
    if season.judged:
        odd = [day for day in season.odd if not day.named]
        found = counted(len(odd), "day") if odd else "none"
        text = f"Of the last {counted(season.judged, 'day')}, {found} stood out without having a name"
        said.append(
            Says(
                f"{text}: {listed([str(day.day) for day in odd])}." if odd else f"{text}.",
                desk.evidence("anomalies"),
            )
        )
    if not said and not season.specials:
        return None
    blocks: list[Block] = [Paragraph(tuple(said))] if said else []
    if season.specials:
        blocks.append(_specials(desk, season.specials))
    return Section("outlook", "Seasonality and outlook", (*blocks, *desk.figures("outlook")))


def _forecast(desk: Desk) -> Iterator[Says]:
    """Say what is expected, and whether that is more than there was."""
    told = desk.findings.outlook
    assert told is not None
    verb = "more than" if told.low > told.last else "less than" if told.high < told.last else ""
    compared = (
        f"{verb} the {desk.money(told.last)} of the last {told.days} days"
        if verb
        else f"which cannot be told apart from the {desk.money(told.last)} of the last {told.days} days"
    )
    yield Says(
        f"Until {told.until}, {desk.money(told.forecast)} of net revenue is expected ({desk.money(told.low)} to "
        f"{desk.money(told.high)}), {compared}; the ends are the sums of those of days at 80 %, which is wider "
        f"than "
        "80 % of their sum.",
        desk.evidence("forecast"),
    )
    if told.mape is not None and told.coverage is not None:
        yield Says(
            f"In the backtest the model ({told.model}) was off by {told.mape:.0f} % of a day on average, and "
            f"{share(told.coverage)} of days lay inside the intervals of 80 %.",
            desk.evidence("forecast_accuracy"),
        )
    elif told.state:
        yield Says(f"The model ({told.model}) is {told.state}.", desk.evidence("forecast"), "thin")


def _effect(desk: Desk, value: float | None, method: str) -> str:
    """Write what a day does, without its sign: a share where effects are factors, else an amount."""
    if value is None:
        return "n/a"
    return share(abs(value)) if method == "multiplicative" else desk.money(abs(value))


def _effect_range(desk: Desk, low: float | None, high: float | None, method: str) -> str:
    """Write the interval of what a day does."""
    if low is None or high is None:
        return "no interval"
    write: Callable[[float], str] = share if method == "multiplicative" else desk.money
    signs = ["+" if value > 0 else "" for value in (low, high)]
    return f"{signs[0]}{write(low)} to {signs[1]}{write(high)}"


def _specials(desk: Desk, specials: Sequence[Special]) -> Grid:
    """Show what named days did, and which of them come."""
    rows = tuple(
        (
            Cell(named(one.name)),
            Cell("" if one.comes is None else str(one.comes)),
            Cell(f"{one.occurrences:,}"),
            Cell(
                "n/a"
                if one.effect is None
                else f"{'+' if one.effect > 0 else '-'}{_effect(desk, one.effect, one.method)}"
            ),
            Cell(_effect_range(desk, one.low, one.high, one.method) if one.effect is not None else "never observed"),
            Cell(one.state, "thin" if one.occurrences < 2 else ""),
        )
        for one in specials
    )
    heads = ("named day", "comes on", "seen", "effect on revenue", "interval", "evidence")
    return Grid(heads, rows, "Named days", desk.evidence("series_holidays"))


def marketing(desk: Desk) -> Section | None:
    """Say what campaigns cost, and what they brought in three ways of telling."""
    found = desk.findings.campaigns
    if not found:
        return None
    spend = sum(one.spend for one in found)
    known = [one for one in found if one.state == "identified"]
    dark = [one for one in found if one.state != "identified"]
    said = [
        Says(
            f"{counted(len(found), 'campaign')} cost {desk.money(spend)}. Of {len(known)} the increment is "
            f"identified; "
            f"of {len(dark)}, with {desk.money(sum(one.spend for one in dark))}, it is not.",
            desk.evidence("campaign_roi_analysis"),
        ),
        Says(
            "The naive ROI counts all revenue on a campaign's days, the attributed one what is credited to it; "
            "neither "
            "says what would not have come anyway. The incremental one does, where it is identified."
        ),
    ]
    of = next((one.gain_of for one in known), "profit")
    paid = [named(one.called) for one in known if one.gain_low is not None and one.gain_low > 0]
    lost = [named(one.called) for one in known if one.gain_high is not None and one.gain_high < 0]
    if paid:
        said.append(Says(f"Paid for itself, by {of}: {listed(paid)}.", desk.evidence("campaign_roi_analysis"), "good"))
    if lost:
        said.append(
            Says(f"Did not pay for itself, by {of}: {listed(lost)}.", desk.evidence("campaign_roi_analysis"), "bad")
        )
    if known and not paid and not lost:
        said.append(Says("Of none can it be told whether it paid for itself.", tone="thin"))
    attributed = next((one.attributed_by for one in found if one.attributed_by), "")
    heads = ("campaign", "spend", "naive ROI", f"attributed ROI{attributed}", "incremental ROI", "interval", "left")
    rows = tuple(
        (
            Cell(named(one.called)),
            Cell(desk.money(one.spend)),
            Cell(_roi(one.naive)),
            Cell(_roi(one.attributed)),
            *(
                (
                    Cell(_roi(one.roi)),
                    Cell(f"{_roi(one.roi_low)} to {_roi(one.roi_high)}"),
                    Cell(
                        f"{desk.money(one.gain_low)} to {desk.money(one.gain_high)}",
                        toned(way(one.gain_low, one.gain_high, 0.0), "up"),
                    ),
                )
                if one.state == "identified"
                else (Cell("not identified", "thin"), Cell(""), Cell(""))
            ),
        )
        for one in sorted(found, key=lambda one: -one.spend)
    )
    grid = Grid(
        heads,
        rows,
        f"Three returns on spend, (revenue - spend) / spend; left: {of} of the increment less the spend",
        desk.evidence("campaign_roi_analysis"),
        numbers=6,
    )
    return Section("marketing", "Marketing", (Paragraph(tuple(said)), grid, *desk.figures("marketing")))


def _roi(value: float | None) -> str:
    return "n/a" if value is None else f"{'+' if value > 0 else ''}{number(value)}"
