"""What the command line shows: progress, summaries, tables.

Belongs here: turning outcomes into text for a terminal. Does not belong here: any decision, and any reading of data.
"""

from __future__ import annotations

import datetime as dt
import json
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

if TYPE_CHECKING:
    from pathlib import Path

    from analytics_assets.assets.baselines import Outlook
    from analytics_assets.assets.verdicts import Asked
    from analytics_assets.automation.alert_state import AlertState
    from analytics_assets.automation.forgetting import Receipt, Sighting
    from analytics_assets.automation.running import RunOutcome
    from analytics_assets.automation.runtime import StepReport
    from analytics_assets.automation.state import State, Trouble
    from analytics_assets.lake.releases import Release
    from analytics_assets.lake.vacuum import Vacuumed
    from analytics_assets.project.experiments import Plan
    from analytics_assets.project.model import Project
    from analytics_assets.report.shop import Answer
    from analytics_assets.statistics.planning import Prospect, Week

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)
_MAX_CELL = 60
_FIXED_SPACE = "\N{NO-BREAK SPACE}"
_FEW_COLUMNS = 5
_FEW_TABLES = 30
"""So many tables are shown one by one, more by group."""
_MAX_LINE = 160
_MAX_DETAILS = 8
_UNITS = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))
_FEW = 3
_SMALL = 0.001
"""Below it, four decimals would hide a number."""


@contextmanager
def progress(tables: int) -> Iterator[Callable[[StepReport], None]]:
    """Show how many tables are done; give the function that is told of each."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description:<32}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task("starting", total=tables)

        def hear(report: StepReport) -> None:
            bar.update(task, advance=1, description=report.table)

        yield hear


def _grid(*headers: str, numbers: int = 0) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for place, header in enumerate(headers):
        table.add_column(header, justify="right" if place >= len(headers) - numbers else "left", overflow="fold")
    return table


def summary(outcome: RunOutcome, lake: str, groups: Mapping[str, str] | None = None) -> None:
    """Show what a run did: tables, rejected rows, checks that failed, time.

    Args:
        outcome: How the run went.
        lake: Where its tables are.
        groups: The group of each table, raw ones aside; where it is given, many tables are shown by group.
    """
    reports = outcome.reports
    if groups and len(reports) > _FEW_TABLES:
        _by_group([report for report in reports if report.version is not None], groups)
        reports = tuple(report for report in reports if report.version is None)
    if reports:
        _each(reports)
    _counts(
        "rejected rows", "reason", {r.table.removeprefix("staged_"): r.rejected for r in outcome.reports if r.rejected}
    )
    _counts("filtered rows", "condition", {r.table: r.filtered for r in outcome.reports if r.filtered})
    for report in outcome.reports:
        for finding in report.findings:
            if not finding.holds:
                colour = "red" if finding.severity == "error" else "yellow"
                told = str(finding) if finding.severity == "error" else _cut(str(finding))
                out.print(f"[{colour}]{finding.severity}[/] {report.table}, {finding.check}: {escape(told)}")
        if report.message and report.version is not None:
            out.print(f"[cyan]note[/] {escape(report.message)}")
    if any(not finding.holds and finding.severity == "warning" for r in outcome.reports for finding in r.findings):
        out.print(
            "Warnings stop no release. The checks of each table in the UI (make dev) show them with rows and days."
        )
    for step, message in outcome.failures.items():
        err.print(f"[red]failed[/] {escape(step)}: {escape(message)}")
    if outcome.unexpected:
        err.print(f"This failure was not foreseen. The whole story is in the UI (make dev), run {outcome.run_id}.")
    tables = sum(report.version is not None for report in outcome.reports)
    rows = sum(report.rows for report in outcome.reports)
    engine = sum(report.engine_seconds for report in outcome.reports)
    state = "[green]done[/]" if outcome.success else "[red]failed[/]"
    out.print(
        f"{state}: {tables} tables, {rows:,} rows, {outcome.days} in {outcome.seconds:.1f} s "
        f"({engine:.1f} s in the engine); "
        f"readers see release {outcome.release.number}, in {escape(lake)}"
    )


def _each(reports: Sequence[StepReport]) -> None:
    table = _grid("table", "rows", "rejected", "seconds", "in engine", numbers=4)
    for report in reports:
        failed = report.version is None
        name = f"[red]{report.table} (not published)[/]" if failed else report.table
        table.add_row(name, *_sums([report]))
    out.print(table)


def _by_group(reports: Sequence[StepReport], groups: Mapping[str, str]) -> None:
    """Show tables by group, in the order in which groups were begun."""
    found: dict[str, list[StepReport]] = {}
    for report in reports:
        found.setdefault(groups.get(report.table, "raw"), []).append(report)
    table = _grid("group", "tables", "rows", "rejected", "seconds", "in engine", numbers=5)
    for group, members in found.items():
        table.add_row(group, str(len(members)), *_sums(members))
    out.print(table)


def _sums(reports: Sequence[StepReport]) -> tuple[str, str, str, str]:
    """Sum what was done: rows, rejected rows, seconds, seconds in the engine."""
    rejected = sum(sum(report.rejected.values()) for report in reports)
    return (
        f"{sum(report.rows for report in reports):,}",
        f"{rejected:,}" if any(report.rejected for report in reports) else "",
        f"{sum(report.seconds for report in reports):.2f}",
        f"{sum(report.engine_seconds for report in reports):.2f}",
    )


def results(outcomes: Sequence[RunOutcome], charts: Path) -> None:
    """Name what a run made for people to look at; where it made nothing of the kind, nothing is said."""
    drawn = sum(outcome.charts for outcome in outcomes)
    reports = [outcome.report for outcome in outcomes if outcome.report is not None]
    if drawn:
        out.print(f"charts: {drawn}, in {escape(str(charts))}", soft_wrap=True)
    if reports:
        out.print(f"report: {escape(str(reports[-1]))}", soft_wrap=True)


def _counts(title: str, header: str, counts: Mapping[str, Mapping[str, int]]) -> None:
    if not counts:
        return
    table = _grid("table", header, title, numbers=1)
    for name, parts in counts.items():
        for key, count in sorted(parts.items(), key=lambda item: -item[1]):
            table.add_row(name, escape(key), f"{count:,}")
    out.print(table)


def graph(groups: Mapping[str, Sequence[str]], absent: Mapping[str, str]) -> None:
    """Show which tables a project can feed, and why the others are absent."""
    table = _grid("group", "tables")
    for group, names in groups.items():
        table.add_row(group, ", ".join(names))
    out.print(table)
    if absent:
        missing = _grid("absent", "because")
        for name, reason in absent.items():
            missing.add_row(name, reason)
        out.print(missing)


def rows(records: Sequence[Mapping[str, Any]], *, total: int | None = None) -> None:
    """Show rows; a wide table is shown a row a block."""
    if not records:
        out.print("no rows")
        return
    names = list(records[0])
    cells = [[_cell(record[name]) for name in names] for record in records]
    width = sum(max(len(name), *(len(row[place]) for row in cells)) + 2 for place, name in enumerate(names))
    if width <= out.width or len(names) <= _FEW_COLUMNS:
        table = _grid(*names)
        for place, name in enumerate(names):
            if any(isinstance(record[name], int | float | Decimal) for record in records):
                table.columns[place].justify = "right"
        for row in cells:
            table.add_row(*map(escape, row))
        out.print(table)
    else:
        longest = max(map(len, names))
        for number, row in enumerate(cells, 1):
            out.print(f"[dim]row {number}[/]")
            for name, cell in zip(names, row, strict=True):
                if cell:
                    out.print(f"  [cyan]{name:<{longest}}[/]  {escape(cell)}", overflow="fold")
    if total is not None and total > len(records):
        out.print(f"[dim]{len(records)} of {total:,} rows[/]")


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, float) and (abs(value) >= _SMALL or not value):
        return f"{value:.4f}".rstrip("0").rstrip(".")
    text = str(value).replace("\n", "\\n")
    return text if len(text) <= _MAX_CELL * 4 else f"{text[: _MAX_CELL * 4]} ... ({len(text):,} characters)"


def answers(told: Sequence[Answer], tables: Sequence[str]) -> None:
    """Show what was planted and what was found, a sentence a thing, and which tables hold all of it."""
    if not told:
        out.print("the newest release has too few days to find anything that was planted")
        return
    out.print("What was planted in the shop, and what its tables say (intervals in brackets):")
    for answer in told:
        line = f"- {answer.about}: {answer.says}".replace(" %", f"{_FIXED_SPACE}%")
        shown = textwrap.fill(line, out.width, subsequent_indent="  ", break_on_hyphens=False)
        out.print(escape(shown.replace(_FIXED_SPACE, " ")), soft_wrap=True)
    if tables:
        shown = ", ".join(f"analytics-assets show {name} --limit 50" for name in tables)
        out.print(f"All that was planted: {shown}", soft_wrap=True)


def markdown(text: str) -> None:
    """Show Markdown: rendered on a terminal, as it is anywhere else."""
    if out.is_terminal:
        from rich.markdown import Markdown

        out.print(Markdown(text))
    else:
        out.file.write(text)


def outlook(name: str, plan: Plan, told: Outlook) -> None:
    """Show what a plan can see: its metrics, then its weeks."""
    planned = told.planned
    out.print(
        f"{name}: {plan.method}, alpha {plan.alpha:g}, power {plan.power:g}, {len(plan.variants)} variants, "
        f"{planned.weeks} week{'s' * (planned.weeks > 1)} from {plan.starts}"
    )
    metrics = _grid(
        "metric", "role", "users", "baseline", "deviation", "correlation", "to see", "power", "users needed", "weeks",
        "known after", numbers=9,
    )  # fmt: skip
    for ask, found in told.prospects:
        metrics.add_row(ask.measured.called, ask.measure.role, *_prospect(ask, found))
    out.print(metrics)
    shown = [(ask, found) for ask, found in told.prospects if found is not None and found.weeks]
    headers = [f"{ask.measured.called}{' non-inferior' * (ask.measure.role == 'guardrail')}" for ask, _ in shown]
    weeks = _grid("week", "users", *headers, numbers=len(headers) + 2)
    for place in range(told.weeks if shown else 0):
        users = told.reach.after((place + 1) * 7)
        weeks.add_row(str(place + 1), f"{users:,.0f}", *(_week(found.weeks[place]) for _, found in shown))
    if shown:
        out.print(weeks)
        _explain(told)


def _explain(told: Outlook) -> None:
    """Say what the numbers of an outlook rest on."""
    days = len(told.reach.daily)
    out.print(
        f"Users who first met the exposing event in the {days} days to {told.last}; after these, as many a day as in "
        f"the last week of them ({told.reach.later:,.0f})."
    )
    out.print(
        "By week: the difference that would be found with the power, if exposure lasted so long and every window were "
        "over; of a guardrail, the chance to keep its margin where nothing differs."
    )
    planned = told.planned
    if planned.guardrails:
        out.print(
            f"Power {planned.raised_power:.3g} for the primary and each guardrail, so that all go well with "
            f"{planned.power:g}."
        )
    if planned.treatments > 1:
        out.print(f"Alpha of the primary is divided by {planned.treatments} variants; the smallest one is told.")


def _prospect(ask: Asked, found: Prospect | None) -> list[str]:
    """Write what a plan can see of one metric as cells."""
    if found is None:
        return ["", "a quantile has no sums to plan with", *[""] * 7]
    known = found.baseline
    if known.reason is not None:
        return [f"{known.units:,}", "" if known.mean is None else f"{known.mean:.4g}", str(known.reason), *[""] * 6]
    measure = ask.measure
    aim = "" if measure.minimum_effect is None else f"{measure.minimum_effect:.4g}"
    aim = aim if measure.margin is None else f"margin {measure.margin:.4g}"
    weeks = "" if not aim else "never" if found.weeks_needed is None else f"{found.weeks_needed:,}"
    after = "" if found.days_needed is None else f"{found.days_needed + ask.days:,} days"
    return [
        f"{known.units:,}",
        f"{known.mean:.4g}",
        f"{(known.variance or 0.0) ** 0.5:.4g}",
        f"{known.correlation:.2f}" if measure.covariate else "",
        aim,
        f"{found.power:.3g}",
        "" if found.users_needed is None else f"{found.users_needed:,.0f}",
        weeks,
        after,
    ]


def _week(week: Week) -> str:
    """Write what a metric can see in a week."""
    if week.detectable is None:
        return "" if week.chance is None else f"{week.chance:.0%}"
    return f"{week.detectable:.4g}" + ("" if week.relative is None else f" ({week.relative:.1%})")


def state(project: Project, told: State, now: dt.datetime) -> None:
    """Show how things stand: the newest runs, how fresh each group of tables is, and the checks that fail."""
    release = told.release
    if not release.number:
        out.print(f"{project.name}: there is no release yet. analytics-assets run makes one.")
    else:
        made = "" if release.released_at is None else f", made {_ago(release.released_at, now)}"
        out.print(f"[bold]{project.name}[/]: readers see release {release.number}{made}")
    for run in told.runs:
        colour = {"SUCCESS": "green", "FAILURE": "red"}.get(run.status, "yellow")
        days = f" of {run.days}" if run.days else ""
        began = f", began {_ago(run.began, now)}" if run.began else ""
        took = f", took {run.seconds:.0f} s" if run.seconds is not None else ""
        out.print(f"last {run.job} run{days}: [{colour}]{run.status.lower()}[/]{began}{took} ({run.run_id[:8]})")
    if release.number:
        table = _grid("group", "days to", "oldest computed", "tables", numbers=1)
        for group in told.freshness:
            oldest = _ago(group.oldest, now) if group.oldest else "[red]never[/]"
            lacking = f" ([red]{len(group.never)} never computed[/])" if group.never and group.oldest else ""
            table.add_row(group.group, str(group.last_day or ""), f"{oldest}{lacking}", str(group.tables))
        out.print(table)
    if told.missing:
        shown = ", ".join(map(str, told.missing.ranges[:3])) + (" ..." if len(told.missing.ranges) > 3 else "")
        out.print(f"[red]missing[/] {len(told.missing)} day{'s' * (len(told.missing) > 1)}: {shown}")
    for check in told.failing:
        colour = "red" if check.severity == "error" else "yellow"
        says = f": {escape(_cut(check.says))}" if check.says else ""
        out.print(f"[{colour}]{check.severity}[/] {check.table}, {check.check}{says}")
    if told.alerts is None:
        out.print("alerts: the sensor has not looked yet (make dev starts the daemon; ANALYTICS_AUTOMATION=true)")
    else:
        book, outbox = told.alerts.book, told.alerts.outbox
        lost = f", [red]{len(outbox.undelivered)} messages not delivered[/]" if outbox.undelivered else ""
        more = " (analytics-assets alerts)" if book.open or outbox.undelivered else ""
        out.print(f"alerts: {len(book.open)} open{lost}{more}")
    if release.number and not told.failing and not told.missing:
        out.print("[green]every check holds, and every day is there[/]")


def _ago(then: dt.datetime, now: dt.datetime) -> str:
    """Say how long ago something was, and when."""
    seconds = (now - then).total_seconds()
    size, unit = next((s, u) for s, u in _UNITS if seconds >= s or s == 1)
    count = int(seconds // size)
    return f"{count} {unit}{'s' * (count != 1)} ago ({then.astimezone(now.tzinfo):%Y-%m-%d %H:%M})"


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_LINE else f"{text[: _MAX_LINE - 3]}..."


def troubles(project: Project, found: Sequence[Trouble]) -> None:
    """Show what does not fit together, each with what mends it."""
    for trouble in found:
        out.print(f"[red]-[/] {escape(trouble.what)}", soft_wrap=True)
        for detail in trouble.details[:_MAX_DETAILS]:
            out.print(f"    {escape(_cut(detail))}", soft_wrap=True)
        if len(trouble.details) > _MAX_DETAILS:
            out.print(f"    and {len(trouble.details) - _MAX_DETAILS} more")
        out.print(f"  [bold]{escape(trouble.mend)}[/]", soft_wrap=True)
    if not found:
        out.print(f"[green]{project.name}: everything fits together[/]")


def note(message: str) -> None:
    """Tell what happens meanwhile, beside the output."""
    err.print(f"[cyan]note[/] {escape(message)}", soft_wrap=True)


def few(names: Sequence[str]) -> str:
    """Name some things, and count the others.

    >>> few(["a", "b", "c", "d", "e"])
    '5: a, b, c and 2 more'
    """
    more = f" and {len(names) - _FEW} more" if len(names) > _FEW else ""
    return f"{len(names)}: {', '.join(names[:_FEW])}{more}" if names else ""


def restored(old: Release, new: Release) -> None:
    """Show what readers see after going back."""
    made = f", made {old.released_at:%Y-%m-%d %H:%M:%S} UTC" if old.released_at else ""
    days = [day for covered in new.covered.values() for day in covered]
    out.print(
        f"[green]done[/]: readers see release {new.number}, which shows what release {old.number}{made} showed: "
        f"{len(new.versions)} tables{f', days to {max(days)}' if days else ''}. Nothing was deleted; the next daily "
        "run computes the days that are missing since.",
        soft_wrap=True,
    )


def vacuumed(done: Vacuumed, retention: int, *, dry_run: bool) -> None:
    """Show what a vacuum did, or would do."""
    from analytics_assets.lake.restoring import told_numbers

    would = "would be " if dry_run else ""
    if done.compacted:
        table = _grid("table", "days put together", "files before", "files after", numbers=3)
        for name, put in done.compacted.items():
            table.add_row(name, f"{len(put.days):,}", f"{put.before:,}", f"{put.after:,}")
        out.print(table)
    if done.removed:
        table = _grid("table", "files removed", "bytes", "log entries", "empty folders", numbers=4)
        for name, gone in done.removed.items():
            table.add_row(name, f"{gone.files:,}", f"{gone.bytes:,}", f"{gone.entries:,}", f"{gone.folders:,}")
        out.print(table)
    forgotten = (
        f"releases {told_numbers(done.forgotten)} {would}forgotten" if done.forgotten else "no release forgotten"
    )
    kept = f"kept {told_numbers(done.kept)}" if done.kept else "there is none"
    files, size = sum(gone.files for gone in done.removed.values()), sum(gone.bytes for gone in done.removed.values())
    out.print(
        f"{forgotten} (older than {retention} days), {kept}; {files:,} files with {size:,} bytes {would}removed",
        soft_wrap=True,
    )


def sighting(found: Sighting) -> None:
    """Show what would be deleted, before it is."""
    table = _grid("table", "rows", "days", numbers=2)
    for name, count in found.rows.items():
        table.add_row(name, f"{count:,}", f"{len(found.days[name]):,}" if name in found.days else "")
    err.print(table)
    person = found.person
    err.print(
        f"These rows are of the user, of {len(person.visitors)} visitors who are known to be the user, and about "
        f"{len(person.orders)} orders. They are deleted from every version: all releases before the new one are "
        "forgotten and cannot be restored, and whoever reads one this moment loses its files. Rows of the user that "
        "come again are left out. This cannot be taken back.",
        soft_wrap=True,
    )
    if found.strangers:
        err.print(f"Tables that nothing makes any more leave the release: {', '.join(found.strangers)}")


def receipt(told: Receipt, since: dt.datetime | None, *, as_json: bool) -> None:
    """Show what was deleted, without saying whose it was."""
    files = sum(gone.files for gone in told.removed.values())
    if as_json:
        record = {
            "person": told.person,
            "deleted_at": told.deleted_at.isoformat(),
            "already_deleted": since is not None,
            "rows": dict(told.rows),
            "release": told.release,
            "files_removed": files,
            "exports": list(told.exports),
            "history_texts_rewritten": told.history.places,
            "history_left": list(told.history.left),
            "computed": list(told.computed),
            "failed": told.failed,
        }
        out.file.write(json.dumps(record, indent=2) + "\n")
        return
    if since is not None:
        out.print(f"nothing to delete: these rows were deleted on {since:%Y-%m-%d %H:%M:%S} UTC", soft_wrap=True)
    else:
        table = _grid("table", "rows deleted", numbers=1)
        for name, count in told.rows.items():
            table.add_row(name, f"{count:,}")
        out.print(table)
        out.print(
            f"[green]done[/]: {sum(told.rows.values()):,} rows deleted on {told.deleted_at:%Y-%m-%d %H:%M:%S} UTC; "
            f"readers see release {told.release}, the only one left then",
            soft_wrap=True,
        )
    out.print(
        f"person {told.person}; {files:,} files removed, {len(told.exports)} exports written anew or removed, "
        f"{told.history.places:,} texts of the history rewritten, {len(told.computed)} tables computed anew",
        soft_wrap=True,
    )
    for left in told.history.left:
        err.print(f"[red]left[/] {escape(left)}", soft_wrap=True)
    if told.failed:
        err.print(
            f"[red]failed[/] to compute marts anew: {escape(told.failed)}. The rows are deleted; sums and averages "
            "count them until the next run.",
            soft_wrap=True,
        )


def problems(messages: Sequence[str]) -> None:
    """Show what is wrong with a project."""
    for message in messages:
        err.print(f"[red]wrong[/] {escape(message)}")


def warnings(messages: Sequence[str]) -> None:
    """Show what is no error, and what a person should know."""
    for message in messages:
        err.print(f"[yellow]warning[/] {escape(message)}", soft_wrap=True)


def alerts(state: AlertState) -> None:
    """Show what is wrong now, which messages did not arrive, and what was wrong lately."""
    if state.lost:
        warnings([f"the record of alerts cannot be read, and is begun anew: {state.lost}"])
    open_now = [
        {
            "key": problem.key,
            "severity": problem.severity,
            "since": _minute(problem.opened),
            "days": str(problem.days),
            "what": "; ".join(problem.rules),
        }
        for problem in sorted(state.book.open.values(), key=lambda problem: problem.number)
    ]
    out.print("[bold]open problems[/]" if open_now else "no problem is open")
    _listed(open_now)
    _listed(
        [
            {
                "message": waiting.message.title,
                "to": waiting.channel,
                "tries": waiting.tries,
                "next": _minute(waiting.next_try) if waiting.next_try else "now",
                "why": waiting.reason,
            }
            for waiting in state.outbox.waiting
        ],
        "messages on their way",
    )
    _listed(
        [
            {
                "message": lost.message.title,
                "to": lost.channel,
                "given up": _minute(lost.at),
                "tries": lost.tries,
                "why": lost.reason,
            }
            for lost in state.outbox.undelivered
        ],
        "messages that were not delivered",
    )
    _listed(
        [
            {
                "key": ended.problem.key,
                "severity": ended.problem.told,
                "since": _minute(ended.problem.opened),
                "ended": _minute(ended.at),
                "how": ended.change,
            }
            for ended in state.book.ended
        ],
        "lately",
    )


def _listed(records: Sequence[Mapping[str, Any]], title: str = "") -> None:
    if records:
        if title:
            out.print(f"[bold]{title}[/]")
        rows(records)


def _minute(at: dt.datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M}"
