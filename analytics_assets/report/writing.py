"""From findings to the one document that every renderer renders.

Belongs here: which sections there are, and their sentences. Does not belong here: any number (`findings`), when
something is recommended (`rules`), how a document looks (`rendering`).

Every sentence with a number that could be chance carries its interval, and its verb follows from that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from analytics_assets.charts.house import money, number, share
from analytics_assets.report.findings import (
    Experiment,
    Findings,
    Funnel,
    Kpi,
    Part,
    Special,
)
from analytics_assets.report.rules import RULES, Fired, fired
from analytics_assets.report.tree import (
    Block,
    Bullets,
    Cell,
    Document,
    Figure,
    Grid,
    Link,
    Paragraph,
    Says,
    Section,
    Source,
    Tile,
    Tiles,
    Tone,
)
from analytics_assets.report.words import (
    Way,
    changed,
    changed_between,
    counted,
    days_of,
    listed,
    named,
    points,
    valued,
    way,
    weekday,
    went,
)

_GLANCE = 3
_LOSSES = 3
_CONTENTS: Mapping[str, tuple[str, ...]] = {
    "funnels": ("funnel_*_conversion", "funnel_*device*", "funnel_*_steps*", "funnel_*"),
    "experiments": ("experiment*effect*", "experiment*forest*", "experiment*impact*"),
    "customers": (
        "rfm*segment*",
        "rfm*migration*",
        "rfm_*",
        "clv*calibration*",
        "customer_churn*calibration*",
        "churn*",
    ),
    "activity": ("active_users", "retention_*curve*", "lifecycle"),
    "products": ("revenue_lorenz*", "revenue*concentration*", "product*"),
    "outlook": ("forecast", "forecast_revenue*", "forecast*", "series_decomposition*", "anomalies*"),
    "marketing": ("campaign_roi*", "campaign*roi*", "campaign*spend*", "spend*"),
    "quality": ("quality*",),
}
"""The charts that a section shows, by name or pattern; the first that there are, as many as `_FIGURES` says."""
_FIGURES: Mapping[str, int] = {"customers": 4, "funnels": 3, "outlook": 3, "activity": 3}
_FIGURES_OF_OTHERS = 2


@dataclass(frozen=True)
class Chart:
    """Say what a chart that a report may show is of."""

    title: str
    tables: tuple[str, ...] = ()


class Writer:
    """Write sections of findings, and remember which tables and charts they rest on."""

    def __init__(self, findings: Findings, charts: Mapping[str, Chart], grains: Mapping[str, str]) -> None:
        self.findings = findings
        self.charts = charts
        self.grains = grains
        self.rests_on: dict[str, str] = {}
        self.fired = fired(findings)
        self.shown = {name: _picked(charts, patterns, name) for name, patterns in _CONTENTS.items()}

    # what sentences rest on

    def table(self, name: str) -> tuple[Link, ...]:
        """Point at a table."""
        self.rests_on[name] = self.grains.get(name, "")
        return (Link("table", name),)

    def evidence(self, table: str, patterns: Sequence[str] = ()) -> tuple[Link, ...]:
        """Point at a table, and at a figure of the report that shows it, if there is one."""
        shown = [name for names in self.shown.values() for name in names]
        wanted = [name for pattern in patterns for name in shown if fnmatchcase(name, pattern)]
        wanted += [name for name in shown if table in self.charts[name].tables]
        return (*self.table(table), *(Link("figure", name) for name in wanted[:1]))

    def money(self, value: float | None) -> str:
        """Write an amount."""
        return valued(value, "money", self.findings.currency)

    def figures(self, section: str) -> tuple[Figure, ...]:
        """Show the charts of a section."""
        return tuple(Figure(name, self.charts[name].title) for name in self.shown.get(section, ()))

    # sections

    def glance(self) -> Section:
        """Say what matters most, in a few lines."""
        said = [self.kpi_says(kpi) for kpi in self.findings.kpis if went(kpi.change, kpi.unit) in {Way.ROSE, Way.FELL}]
        still = [kpi.name for kpi in self.findings.kpis if went(kpi.change, kpi.unit) is Way.STEADY]
        untold = [kpi.name for kpi in self.findings.kpis if kpi.change and went(kpi.change, kpi.unit) is Way.UNTOLD]
        if still:
            said.append(Says(f"{_capital(listed(still))} did not change noticeably."))
        if untold:
            said.append(Says(f"Whether {listed(untold)} changed cannot be told.", tone="thin"))
        first = [self.recommends(one) for one in self.recommended()[:_GLANCE]]
        if not said:
            said = [Says(self.no_comparison())]
        blocks: list[Block] = [Bullets(tuple(said))]
        if first:
            blocks += [Paragraph((Says("What to do first:"),)), Bullets(tuple(first), numbered=True)]
        return Section("glance", "At a glance", tuple(blocks))

    def kpis(self) -> Section | None:
        """Show the numbers of the business as tiles, and say what their intervals speak of."""
        told = self.findings
        if not told.kpis or told.period is None:
            return None
        against = f"{days_of(told.period)} against {days_of(told.before)}" if told.before else days_of(told.period)
        if told.year:
            against += f", and against the same weeks of the year before, {days_of(told.year)}"
        notes = []
        if told.before is None:
            notes.append(Says(self.no_comparison(), tone="thin"))
        by_days = [kpi.name for kpi in told.kpis if kpi.chance == "days"]
        by_people = [kpi.name for kpi in told.kpis if kpi.chance == "people"]
        if told.before and by_days:
            notes.append(
                Says(
                    f"{_capital(listed(by_days))}: intervals of 95 % by what happens from day to day, each day "
                    f"against its "
                    "like of the period before, neighbouring days allowed to hang together."
                )
            )
        if told.before and by_people:
            notes.append(
                Says(
                    f"{_capital(listed(by_people))}: intervals of 95 % by who comes, people taken as independent of "
                    f"each "
                    "other, those of both periods counted once."
                )
            )
        if told.season.named_now or told.season.named_before:
            notes.append(self.named_days())
        return Section(
            "kpis",
            "Key figures",
            (Tiles(tuple(self.tile(kpi) for kpi in told.kpis), against), *([Paragraph(tuple(notes))] if notes else [])),
        )

    def tile(self, kpi: Kpi) -> Tile:
        """Show one number."""
        unit, change = kpi.unit, kpi.change
        year = ""
        if kpi.year and kpi.year.change is not None:
            year = f"{changed(kpi.year, unit)} ({changed_between(kpi.year, unit)}) against the year before"
        word = went(change, unit)
        return Tile(
            name=_capital(kpi.name),
            value=valued(kpi.value, unit, self.findings.currency),
            change=changed(change, unit) if change else "",
            between=changed_between(change, unit) if change and change.change is not None else "",
            word={Way.UNTOLD: "change cannot be told", Way.STEADY: "no noticeable change"}.get(word, word.value),
            year=year,
            tone=_tone(word, kpi.better),
            link=self.table(kpi.table)[0],
        )

    def kpi_says(self, kpi: Kpi) -> Says:
        """Say which way a number went, by its interval."""
        change, unit = kpi.change, kpi.unit
        assert change is not None
        verb = went(change, unit)
        value = valued(kpi.value, unit, self.findings.currency)
        moved = changed(change, unit).lstrip("+-")
        text = f"{_capital(kpi.name)} {verb.value} by {moved} to {value} ({changed_between(change, unit)})."
        return Says(text, self.evidence(kpi.table), _tone(verb, kpi.better))

    def no_comparison(self) -> str:
        """Say why nothing is compared."""
        told = self.findings
        if told.period is None or not told.kpis:
            return "There are no days of orders or events to report on."
        if told.before is None:
            days = told.period.days
            return (
                f"With {counted(days, 'day')} of data there is no period before to compare with: no change can be told."
            )
        return "No key figure changed so much that its interval tells which way."

    def named_days(self) -> Says:
        """Warn of named days, which make periods unlike each other."""
        now, before = self.findings.season.named_now, self.findings.season.named_before
        held = [
            f"{which} held {listed([named(name) for name in names], 8)}"
            for which, names in (("the period", now), ("the one before", before))
            if names
        ]
        return Says(f"{_capital(' and '.join(held))}; the changes are not adjusted for these days.", tone="thin")

    def recommended(self) -> tuple[Fired, ...]:
        """Give the recommendations, in their order."""
        return tuple(one for one in self.fired if one.rule.does == "recommend")

    def recommends(self, one: Fired) -> Says:
        """Say a recommendation."""
        lead = "" if one.worth is None else f"{self.money(one.worth)} {one.rule.per}"
        return Says(one.text, self.evidence(one.table, one.figures), lead=lead)

    def recommendations(self) -> Section:
        """List what follows from the rules."""
        found = self.recommended()
        if not found:
            text = f"None of the {len(RULES)} written rules recommends anything of these numbers."
            return Section("recommendations", "Recommendations", (Paragraph((Says(text),)),))
        text = "Computed by written rules, what concerns the data first, then by what each is worth where that is told."
        return Section(
            "recommendations",
            "Recommendations",
            (Paragraph((Says(text),)), Bullets(tuple(self.recommends(one) for one in found), numbered=True)),
        )

    def thin(self) -> Section | None:
        """List what cannot be told, and why."""
        found = [one for one in self.fired if one.rule.does == "doubt"]
        items = [Says(one.text, self.evidence(one.table, one.figures), "thin") for one in found]
        items += [
            Says(
                f"Whether {kpi.name} changed cannot be told: {changed_between(kpi.change, kpi.unit)}.",
                self.evidence(kpi.table),
                "thin",
            )
            for kpi in self.findings.kpis
            if kpi.change is not None and went(kpi.change, kpi.unit) is Way.UNTOLD
        ]
        if not items:
            return None
        return Section("thin", "What cannot be told yet", (Bullets(tuple(items)),))

    def funnels(self) -> Section | None:
        """Say where funnels lose people."""
        blocks: list[Block] = [block for funnel in self.findings.funnels for block in self.funnel(funnel)]
        return Section("funnels", "Where people are lost", (*blocks, *self.figures("funnels"))) if blocks else None

    def funnel(self, funnel: Funnel) -> Iterator[Block]:
        """Say where one loses them."""
        name = named(funnel.name)
        table = f"funnel_{funnel.name}"
        if not funnel.steps or not funnel.steps[0].came:
            yield Paragraph((Says(f"Nobody entered the funnel {name} early enough to tell.", self.table(table)),))
            return
        first, worst = funnel.steps[0], max(funnel.steps, key=lambda step: step.lost)
        ended = funnel.steps[-1].went_on
        says = [
            Says(
                f"Of {first.came:,} {funnel.units} who entered the funnel {name} and have had the time, {ended:,} "
                f"({share(ended / first.came)}) went all the way.",
                self.table(table),
            ),
            Says(
                f"Most are lost between {named(worst.previous)} and {named(worst.name)}: {worst.lost:,}, of whom "
                f"{worst.came:,} came; {share(worst.rate)} go on ({share(worst.low)} to {share(worst.high)}).",
                self.evidence(f"{table}_friction", (f"{table}_steps*", f"{table}*")),
            ),
        ]
        if funnel.change is not None and funnel.compared is not None:
            says.append(self.funnel_change(funnel, table))
        yield Paragraph(tuple(says))
        if funnel.frictions:
            yield Bullets(
                tuple(
                    Says(
                        f"{named(one.value)} ({named(one.dimension)}): {share(one.rate)} of {one.came:,} go on from "
                        f"{named(one.previous)} to {named(one.name)}, of the others {share(one.rate_of_others)} "
                        f"({points(one.gap)}, {points(one.gap_low)} to {points(one.gap_high)}): {one.lost:,.0f} fewer "
                        "than at the others' rate.",
                        self.evidence(f"{table}_friction", (f"{table}*{one.dimension}*",)),
                    )
                    for one in funnel.frictions[:_LOSSES]
                )
            )
        else:
            text = "No value of a breakdown goes on significantly less often than the others, at any step."
            yield Paragraph((Says(text, self.evidence(f"{table}_friction")),))

    def funnel_change(self, funnel: Funnel, table: str) -> Says:
        """Say which way the share that ends a funnel went."""
        assert funnel.change is not None
        assert funnel.compared is not None
        verb = went(funnel.change, "share")
        now, before = (days_of(period) for period in funnel.compared)
        what = f"the share of entries of {now} that went all the way"
        against = f"against those of {before} ({changed_between(funnel.change, 'share')})"
        to = share(funnel.change.now)
        if verb is Way.UNTOLD:
            return Says(f"Whether {what}, {to}, changed {against} cannot be told.", self.table(table), "thin")
        if verb is Way.STEADY:
            return Says(f"{_capital(what)}, {to}, did not change noticeably {against}.", self.table(table))
        moved = changed(funnel.change, "share").lstrip("+-")
        return Says(
            f"{_capital(what)} {verb.value} by {moved} to {to} {against}.", self.table(table), _tone(verb, "up")
        )

    def experiments(self) -> Section | None:
        """Say what was decided, and what it is worth."""
        found = self.findings.experiments
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
                Cell(self.worth(one)),
            )
            for one in sorted(found, key=lambda one: (_ORDER.get(one.verdict, 9), -(one.value or 0.0), one.experiment))
        )
        heads = ("variant", "verdict", "primary metric", "difference", "interval", "worth a month")
        grid = Grid(heads, rows, "What experiments decided", self.evidence("experiment_verdicts"), numbers=3)
        notes = [Says(one.text, self.evidence(one.table, one.figures)) for one in self._fired_of("experiments")]
        worth = Says(
            "Worth is told of what was decided to ship: profit where costs are known, else revenue, at the traffic of "
            "the "
            "experiment, with the interval of the lift alone.",
            self.evidence("experiment_impact"),
        )
        return Section(
            "experiments",
            "What experiments decided",
            (
                Paragraph((Says(text), worth)),
                grid,
                *([Bullets(tuple(notes))] if notes else []),
                *self.figures("experiments"),
            ),
        )

    def worth(self, one: Experiment) -> str:
        """Write what an experiment is worth: told of what ships alone."""
        if one.verdict != "ship" or one.value is None:
            return ""
        return f"{self.money(one.value)} ({self.money(one.value_low)} to {self.money(one.value_high)})"

    def _fired_of(self, over: str) -> tuple[Fired, ...]:
        return tuple(one for one in self.fired if one.rule.over == over and one.rule.name in _REPEATED)

    def activity(self) -> Section | None:
        """Show who comes and comes back."""
        figures = self.figures("activity")
        return Section("activity", "Who comes, and comes back", figures) if figures else None

    def customers(self) -> Section | None:
        """Say who customers are, who is about to leave, and what is expected of them."""
        blocks: list[Block] = []
        if self.findings.segments:
            blocks += list(self.segments())
        says = [says for says in (self.lifetime(), self.churn()) if says]
        if says:
            blocks.append(Paragraph(tuple(says)))
        return Section("customers", "Customers", (*blocks, *self.figures("customers"))) if blocks else None

    def segments(self) -> Iterator[Block]:
        """Say how large segments are, and how they moved."""
        found = self.findings.segments
        top = max(found, key=lambda one: one.revenue)
        total = sum(one.customers for one in found)
        said = [
            Says(
                f"{named(top.segment)} are {share(top.share)} of {total:,} customers and brought "
                f"{share(top.revenue_share or 0.0)} of their revenue, the most of any segment.",
                self.evidence("rfm_segments"),
            )
        ]
        month = next((one.month for one in found if one.month and one.before), None)
        for verb in (Way.ROSE, Way.FELL):
            names = [named(one.segment) for one in found if went(one.change, "share") is verb]
            if names and month:
                said.append(
                    Says(
                        f"Between the last two whole months the share of {listed(names)} {verb.value}.",
                        self.evidence("rfm_history"),
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
                    Cell(self.money(one.revenue)),
                    Cell("n/a" if one.revenue_share is None else share(one.revenue_share)),
                    Cell(
                        f"{changed(one.change, 'share')} ({changed_between(one.change, 'share')})" if one.change else ""
                    ),
                )
                for one in found
            ),
            "Segments of customers by recency, frequency and money",
            self.evidence("rfm_segments"),
            numbers=5,
        )

    def lifetime(self) -> Says | None:
        """Say what is expected of customers."""
        told = self.findings.lifetime
        if told is None:
            return None
        links = self.evidence("clv_customers")
        if told.expected_value is None:
            return Says(f"What customers will bring cannot be told: {told.state}.", links, "thin")
        text = (
            f"Within {told.horizon_days} days {told.customers:,} customers are expected to bring "
            f"{self.money(told.expected_value)}"
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

    def churn(self) -> Says | None:
        """Say how well churn is told."""
        told = self.findings.churn
        if told is None:
            return None
        links = self.evidence("customer_churn_performance")
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

    def products(self) -> Section | None:
        """Say what is sold, and how categories moved."""
        told = self.findings.products
        if told is None or not told.sold:
            return None
        said = [
            Says(
                f"{counted(told.first_class, 'product')} of {told.sold:,} sold so far bring 80 % of net revenue "
                f"(class A).",
                self.evidence("product_performance"),
            )
        ]
        if told.top_decile_share is not None and told.customers:
            said.append(
                Says(
                    f"The tenth of {told.customers:,} customers who spend most bring {share(told.top_decile_share)}.",
                    self.evidence("revenue_concentration"),
                )
            )
        if told.best:
            names = [f"{named(part.name)} ({share(part.share)})" for part in told.best]
            said.append(Says(f"So far the most came from {listed(names)}.", self.table("product_performance")))
        blocks: list[Block] = [Paragraph(tuple(said))]
        if told.categories:
            blocks.append(self.parts("category", told.categories, "revenue_daily"))
        notes = [one for one in self.fired if one.rule.over == "returned"]
        if notes:
            blocks.append(Bullets(tuple(Says(one.text, self.evidence(one.table, one.figures)) for one in notes)))
        return Section("products", "Products", (*blocks, *self.figures("products")))

    def parts(self, what: str, parts: Sequence[Part], table: str) -> Grid:
        """Show what each part brings, and how that changed."""
        compared = any(part.change and part.change.change is not None for part in parts)
        heads = (what, "net revenue", "share", *(("change", "interval") if compared else ()))
        rows = tuple(
            (
                Cell(named(part.name)),
                Cell(self.money(part.net)),
                Cell(share(part.share)),
                *(
                    (
                        Cell(changed(part.change) if part.change else "n/a", _tone(went(part.change), "up")),
                        Cell(changed_between(part.change) if part.change else "n/a"),
                    )
                    if compared
                    else ()
                ),
            )
            for part in parts
        )
        period = self.findings.period
        caption = f"Net revenue by {what}, {days_of(period)}" if period else f"Net revenue by {what}"
        if compared and self.findings.before:
            caption += f", against {days_of(self.findings.before)}; each interval of 95 % for itself"
        return Grid(heads, rows, caption, self.evidence(table), numbers=len(heads) - 1)

    def places(self) -> Section | None:
        """Say where customers are."""
        found = self.findings.places
        if not found:
            return None
        top = found[0]
        text = f"{named(top.name)} brings the most, {share(top.share)} of net revenue of the period."
        return Section(
            "places",
            "Geography",
            (Paragraph((Says(text, self.table("sales_overview")),)), self.parts("country", found, "sales_overview")),
        )

    def outlook(self) -> Section | None:
        """Say what repeats, and what is expected."""
        told, season = self.findings.outlook, self.findings.season
        said: list[Says] = []
        if told is not None:
            said += list(self.forecast())
        strong = [day for day in season.weekdays if way(day.low, day.high, 0.0) in {Way.ROSE, Way.FELL}]
        if strong:
            best, worst = max(strong, key=lambda day: day.effect), min(strong, key=lambda day: day.effect)
            for day, side in ((best, "above"), (worst, "below")):
                if (day.effect > 0) == (side == "above"):
                    said.append(
                        Says(
                            f"{weekday(day.weekday)} lie {self.effect(day.effect, day.method)} {side} the mean of the "
                            f"week "
                            f"({self.effect_range(day.low, day.high, day.method)}).",
                            self.evidence("series_weekdays"),
                        )
                    )
        if season.judged:
            odd = [day for day in season.odd if not day.named]
            text = f"Of the last {counted(season.judged, 'day')}, {counted(len(odd), 'day')} stood out without a name"
            said.append(
                Says(
                    f"{text}: {listed([str(day.day) for day in odd])}." if odd else f"{text}.",
                    self.evidence("anomalies"),
                )
            )
        if not said and not season.specials:
            return None
        blocks: list[Block] = [Paragraph(tuple(said))] if said else []
        if season.specials:
            blocks.append(self.specials(season.specials))
        return Section("outlook", "Seasonality and outlook", (*blocks, *self.figures("outlook")))

    def forecast(self) -> Iterator[Says]:
        """Say what is expected, and whether that is more than there was."""
        told = self.findings.outlook
        assert told is not None
        verb = "more than" if told.low > told.last else "less than" if told.high < told.last else ""
        compared = (
            f"{verb} the {self.money(told.last)} of the last {told.days} days"
            if verb
            else f"which cannot be told apart from the {self.money(told.last)} of the last {told.days} days"
        )
        yield Says(
            f"Until {told.until}, {self.money(told.forecast)} of net revenue is expected ({self.money(told.low)} to "
            f"{self.money(told.high)}), {compared}; the ends are the sums of those of days at 80 %, which is wider "
            f"than "
            "80 % of their sum.",
            self.evidence("forecast"),
        )
        if told.mape is not None and told.coverage is not None:
            yield Says(
                f"In the backtest the model ({told.model}) was off by {told.mape:.0f} % of a day on average, and "
                f"{share(told.coverage)} of days fell inside the intervals of 80 %.",
                self.evidence("forecast_accuracy"),
            )
        elif told.state:
            yield Says(f"The model ({told.model}) is {told.state}.", self.evidence("forecast"), "thin")

    def effect(self, value: float | None, method: str) -> str:
        """Write what a day does, without its sign: a share where effects are factors, else an amount."""
        if value is None:
            return "n/a"
        return share(abs(value)) if method == "multiplicative" else self.money(abs(value))

    def effect_range(self, low: float | None, high: float | None, method: str) -> str:
        """Write the interval of what a day does."""
        if low is None or high is None:
            return "no interval"
        write: Callable[[float], str] = share if method == "multiplicative" else self.money
        signs = ["+" if value > 0 else "" for value in (low, high)]
        return f"{signs[0]}{write(low)} to {signs[1]}{write(high)}"

    def specials(self, specials: Sequence[Special]) -> Grid:
        """Show what named days did, and which of them come."""
        rows = tuple(
            (
                Cell(named(one.name)),
                Cell("" if one.comes is None else str(one.comes)),
                Cell(f"{one.occurrences:,}"),
                Cell(
                    "n/a"
                    if one.effect is None
                    else f"{'+' if one.effect > 0 else '-'}{self.effect(one.effect, one.method)}"
                ),
                Cell(self.effect_range(one.low, one.high, one.method) if one.effect is not None else "never observed"),
                Cell(one.state, "thin" if one.occurrences < 2 else ""),
            )
            for one in specials
        )
        heads = ("named day", "comes on", "seen", "effect on revenue", "interval", "evidence")
        return Grid(heads, rows, "Named days", self.evidence("series_holidays"))

    def marketing(self) -> Section | None:
        """Say what campaigns cost, and what they brought in three ways of telling."""
        found = self.findings.campaigns
        if not found:
            return None
        spend = sum(one.spend for one in found)
        known = [one for one in found if one.state == "identified"]
        dark = [one for one in found if one.state != "identified"]
        said = [
            Says(
                f"{counted(len(found), 'campaign')} cost {self.money(spend)}. Of {len(known)} the increment is "
                f"identified; "
                f"of {len(dark)}, with {self.money(sum(one.spend for one in dark))}, it is not.",
                self.evidence("campaign_roi_analysis"),
            ),
            Says(
                "The naive ROI counts all revenue on a campaign's days, the attributed one what is credited to it; "
                "neither "
                "says what would not have come anyway. The incremental one does, where it is identified."
            ),
        ]
        paid = [named(one.called) for one in known if one.gain_low is not None and one.gain_low > 0]
        lost = [named(one.called) for one in known if one.gain_high is not None and one.gain_high < 0]
        if paid:
            said.append(Says(f"Paid for itself: {listed(paid)}.", self.evidence("campaign_roi_analysis"), "good"))
        if lost:
            said.append(Says(f"Did not pay for itself: {listed(lost)}.", self.evidence("campaign_roi_analysis"), "bad"))
        if known and not paid and not lost:
            said.append(Says("Of none can it be told whether it paid for itself.", tone="thin"))
        attributed = next((one.attributed_by for one in found if one.attributed_by), "")
        heads = ("campaign", "spend", "naive ROI", f"attributed ROI{attributed}", "incremental ROI", "interval", "left")
        rows = tuple(
            (
                Cell(named(one.called)),
                Cell(self.money(one.spend)),
                Cell(_roi(one.naive)),
                Cell(_roi(one.attributed)),
                *(
                    (
                        Cell(_roi(one.roi)),
                        Cell(f"{_roi(one.roi_low)} to {_roi(one.roi_high)}"),
                        Cell(
                            f"{self.money(one.gain_low)} to {self.money(one.gain_high)}",
                            _tone(way(one.gain_low, one.gain_high, 0.0), "up"),
                        ),
                    )
                    if one.state == "identified"
                    else (Cell("not identified", "thin"), Cell(""), Cell(""))
                ),
            )
            for one in sorted(found, key=lambda one: -one.spend)
        )
        of = next((one.gain_of for one in known), "profit")
        grid = Grid(
            heads,
            rows,
            f"Three returns on spend, (revenue - spend) / spend; left: {of} of the increment less the spend",
            self.evidence("campaign_roi_analysis"),
            numbers=6,
        )
        return Section("marketing", "Marketing", (Paragraph(tuple(said)), grid, *self.figures("marketing")))

    def quality(self) -> Section | None:
        """Say what can be trusted."""
        told = self.findings.quality
        if not (told.delivered or told.doubts or told.sums):
            return None
        blocks: list[Block] = []
        said: list[Says] = []
        if told.sums:
            good = told.sums - len(told.sums_differ)
            said.append(
                Says(
                    f"{good:,} of {told.sums:,} sums agree between the tables that make them and those that are made.",
                    self.table("reconciliation"),
                    "bad" if told.sums_differ else "good",
                )
            )
        if told.watched:
            text = f"{counted(len(told.doubts), 'day and series', 'days and series')} stood out in the period."
            said.append(Says(text, self.evidence("quality_findings"), "thin" if told.doubts else "good"))
        if said:
            blocks.append(Paragraph(tuple(said)))
        if told.doubts:
            blocks.append(
                Bullets(
                    tuple(
                        Says(
                            f"{one.day or ''} {named(one.table)}: {one.reason}.".strip(),
                            self.table("quality_findings" if told.watched else one.table),
                            "bad" if one.severity == "error" else "thin",
                        )
                        for one in told.doubts[:8]
                    )
                )
            )
        if told.delivered:
            rows = tuple(
                (
                    Cell(named(one.table)),
                    Cell("before the period" if one.last is None else str(one.last)),
                    Cell(f"{one.rows:,}"),
                    Cell(f"{one.rejected:,}"),
                    Cell("" if one.rejected_share is None else share(one.rejected_share)),
                    Cell(named(one.main_reason) if one.rejected else ""),
                )
                for one in told.delivered
            )
            heads = ("table", "last delivery", "rows of the period", "rejected", "share", "main reason")
            blocks.append(Grid(heads, rows, "What was delivered in the period, and rejected of it"))
            for one in told.delivered:
                self.table(f"staged_{one.table}")
        return Section("quality", "Data quality", (*blocks, *self.figures("quality")))

    def absent(self) -> Section | None:
        """Say what is left out, and why."""
        if not self.findings.absent:
            return None
        items = tuple(Says(f"{what}: {why}.") for what, why in self.findings.absent.items())
        return Section("absent", "Not in this report", (Bullets(items),))

    def document(self) -> Document:
        """Write the whole report."""
        told = self.findings
        parts = (
            self.glance,
            self.kpis,
            self.recommendations,
            self.funnels,
            self.activity,
            self.experiments,
            self.customers,
            self.products,
            self.places,
            self.outlook,
            self.marketing,
            self.quality,
            self.thin,
            self.absent,
        )
        sections = tuple(section for write in parts if (section := write()) is not None)
        return Document(
            title=f"{named(told.project)}: executive report",
            as_of=str(told.as_of),
            lead=told.description,
            sections=sections,
            sources=tuple(Source(name, grain) for name, grain in sorted(self.rests_on.items())),
            footer=(
                f"Made of release {told.release}, which knows {told.first_day or told.as_of} to {told.as_of}. Every "
                f"sentence "
                "names the table it rests on; read it with: analytics-assets show TABLE"
            ),
        )


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


def document(findings: Findings, charts: Mapping[str, Chart], grains: Mapping[str, str]) -> Document:
    """Write the report of findings.

    Args:
        findings: What is told.
        charts: Every chart that can be shown, by name.
        grains: What one row of each table is.
    """
    return Writer(findings, charts, grains).document()


def _picked(charts: Mapping[str, Chart], patterns: Sequence[str], section: str) -> tuple[str, ...]:
    """Pick the charts of a section: the first of each pattern, then more, until there are enough."""
    most = _FIGURES.get(section, _FIGURES_OF_OTHERS)
    matching = [[name for name in sorted(charts) if fnmatchcase(name, pattern)] for pattern in patterns]
    firsts = [names[0] for names in matching if names]
    others = [name for names in matching for name in names[1:]]
    return tuple(dict.fromkeys((*firsts, *others)))[:most]


def _verdicts(found: Sequence[Experiment]) -> list[str]:
    return sorted({one.verdict for one in found}, key=lambda verdict: _ORDER.get(verdict, 9))


def _tone(verb: Way, better: str) -> Tone:
    if verb is Way.UNTOLD:
        return "thin"
    if verb is Way.STEADY or not better:
        return ""
    return "good" if (verb is Way.ROSE) == (better == "up") else "bad"


def _roi(value: float | None) -> str:
    return "n/a" if value is None else f"{'+' if value > 0 else ''}{money(value, '')}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
