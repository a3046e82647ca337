"""What is worth a message, in words: what is wrong, where, since when, and what to do.

Belongs here: the text of messages. Does not belong here: what is worth one (`alerting`) and how a channel writes it
(`outlets`).
"""

from __future__ import annotations

import datetime as dt

from analytics_assets.automation.alerting import LOST, Notice, Problem
from analytics_assets.contracts.quality import QUALITY_FINDINGS
from analytics_assets.lake.days import DaySet
from analytics_assets.outlets.messages import Message, clean, clean_title
from analytics_assets.project.model import Project

_MAX_RULES = 5
_MAX_SAMPLES = 5
_MAX_RANGES = 5
_AGAIN = "Deliver what is right, and compute the days again: {backfill}"
_ADVICE: dict[str, tuple[str, ...]] = {
    "keys": ("Look at the rows that share a key: {show}", _AGAIN),
    "references": ("See which names the other table lacks: {show}", "Deliver what is missing there, then: {backfill}"),
    "values": ("Look at the values: {show}", _AGAIN),
    "identities": ("Look at the amounts that do not add up: {show}", _AGAIN),
    "volume": ("See what was delivered, and what was refused: {refused}", _AGAIN),
    "reconciliation": (
        "See whether somebody changed what Postgres serves: analytics-assets publish --compare-all",
        "If so, make every table there again: analytics-assets publish --anew",
    ),
    "served": ("Mend what the message says, then: analytics-assets publish",),
    "accounting": ("See which rows are missing, and why: {refused}", "Compute the days again: {backfill}"),
}
_ODD = (
    "See what stands out, and from what: {show}",
    "If a delivery is wrong or short, deliver it anew, and compute the days again: {backfill}",
    "If it is right, accept the day in `quality` of project.yaml",
)
_OTHER = ("Look at the table: {show}", _AGAIN)
_RUN = (
    "See what the lake lacks and which command mends it: analytics-assets doctor",
    "When the cause is gone, compute the days again: {backfill}",
)
_DUE = ("See what the last run did: analytics-assets doctor", "Compute the missing days: {backfill}")
_LOST = ("See which problems are open now: analytics-assets alerts",)
_DELIVERY = (
    "Mend it, and try it: analytics-assets alerts test {channel}",
    "See what could not be delivered: analytics-assets alerts",
)


def trial(project: Project, name: str, at: dt.datetime, ui_url: str) -> Message:
    """Write a message that tries a channel, another each time."""
    return Message(
        id=f"test-{at:%Y%m%dT%H%M%S%f}",
        at=at,
        project=project.name,
        change="test",
        kind="delivery",
        severity="info",
        title=f"a test of channel {name}",
        lines=("Somebody asked for it on the command line. There is nothing to do.",),
        links=(("Dagster", ui_url),),
    )


def owners_of(problem: Problem, project: Project) -> tuple[str, ...]:
    """Name who owns what a problem is about: the project's owners, and of a verdict that of the plan."""
    owners = list(project.owners)
    plan = project.experiments.get(problem.asset.removeprefix("verdict_")) if problem.kind == "verdict" else None
    if plan is not None and plan.owner:
        owners.append(plan.owner)
    return tuple(dict.fromkeys(owners))


def written(notice: Notice, project: Project, ui_url: str) -> Message:
    """Write the message of a notice.

    Args:
        notice: What is worth a message.
        project: The project that it is about.
        ui_url: Where Dagster's UI is.
    """
    problem = notice.problem
    ongoing = notice.change in {"opened", "worse", "told"}
    owners = owners_of(problem, project)
    lines = [*_happened(notice), *(_details(problem) if ongoing else ())]
    if owners and ongoing:
        lines.append(f"Owner: {', '.join(owners)}")
    run_id = notice.by or problem.run_id
    return Message(
        id=notice.id,
        at=notice.at,
        project=project.name,
        change=notice.change,
        kind=problem.kind,
        severity=problem.severity,
        title=clean_title(title(notice)),
        lines=tuple(map(clean, lines)),
        samples=tuple(map(clean, problem.samples[:_MAX_SAMPLES])) if ongoing else (),
        advice=advice(problem) if ongoing else (),
        links=(("Run", f"{ui_url.rstrip('/')}/runs/{run_id}"),) if run_id else (),
        fields={
            "problem": problem.key,
            "asset": problem.asset,
            "check": problem.check if problem.kind == "check" else "",
            "days": str(problem.days),
            "run_id": run_id,
            "owners": ", ".join(owners),
            "opened": problem.opened.isoformat(),
        },
        answers=notice.answers,
    )


def subject(problem: Problem) -> str:
    """Say in a few words what a problem is about.

    >>> import datetime as dt
    >>> at = dt.datetime(2025, 3, 2, tzinfo=dt.UTC)
    >>> subject(Problem("check:fact_sales:keys", "check", "error", at, asset="fact_sales", check="keys"))
    'fact_sales: check keys'
    """
    match problem.kind:
        case "check":
            return f"{problem.asset}: check {problem.check}"
        case "run":
            return f"run of {problem.job}"
        case "deadline":
            return "the day before"
        case "verdict":
            return f"experiment {problem.asset.removeprefix('verdict_')}"
        case "delivery":
            return "the record of alerts" if problem.key == LOST else f"channel {problem.check}"


def title(notice: Notice) -> str:
    """Say in one line what happened."""
    problem = notice.problem
    about, days = subject(problem), some_days(problem.days)
    on, of = (f" on {days}", f" of {days}") if days else ("", "")
    if notice.change == "closed":
        return f"{about} was closed by hand"
    if notice.change == "recovered":
        ended = {
            "check": f"{about} passes again",
            "run": f"{about} succeeded again",
            "deadline": "the day that was due is there",
            "delivery": f"{about} delivers again",
        }
        return ended.get(problem.kind, about)
    fails = "fails" if problem.severity == "error" else "warns"
    began = {
        "check": f"{about} {'is an error now' if notice.change == 'worse' else fails}{on}",
        "run": f"{about}{of} failed",
        "deadline": f"{days} is not there, though its deadline has passed",
        "verdict": ": ".join([about, *problem.rules[:1]]),
        "delivery": f"{about} {'was lost, and is begun anew' if problem.key == LOST else 'does not deliver'}",
    }
    return began[problem.kind]


def some_days(days: DaySet) -> str:
    """Write days, the first few ranges of them.

    >>> some_days(DaySet.read("2025-03-01, 2025-03-03, 2025-03-05, 2025-03-07, 2025-03-09, 2025-03-11 to 2025-03-13"))
    '2025-03-01, 2025-03-03, 2025-03-05, 2025-03-07, 2025-03-09 and 3 more days'
    """
    shown = DaySet(days.ranges[:_MAX_RANGES])
    more = len(days) - len(shown)
    return str(shown) + (f" and {more} more day{'s' if more > 1 else ''}" if more else "")


def _happened(notice: Notice) -> list[str]:
    """Say what happened, and what it means for readers."""
    problem = notice.problem
    if notice.change in {"recovered", "closed"}:
        lines = [f"It was open since {problem.opened:%Y-%m-%d %H:%M} UTC."]
        if notice.staying:
            days = some_days(notice.staying)
            lines.append(f"These days stay as they are, until they are computed again: {days}.")
        return lines
    means = {
        "check": "Readers keep the last good version of this table, and of what follows from it."
        if problem.severity == "error"
        else "The rows are published; be careful with what is computed from them.",
        "run": "Its tables are released; what failed comes after them."
        if problem.released
        else "Nothing of this run is released: readers keep the last release.",
        "deadline": "Readers see the days before.",
        "delivery": "Its messages are kept and tried again for a day; what it never takes goes to the log.",
    }
    if problem.key == LOST:
        return ["Problems of recent runs that are still open are told again; messages on their way are not."]
    return [means[problem.kind]] if problem.kind in means else []


def _details(problem: Problem) -> list[str]:
    rules = list(problem.rules[1:] if problem.kind == "verdict" else problem.rules)
    more = len(rules) - _MAX_RULES
    shown = [*rules[:_MAX_RULES], f"and {more} more"] if more > 0 else rules
    if problem.kind == "deadline":
        return [f"Tables that lack it: {', '.join(shown)}"] if shown else []
    return shown


def advice(problem: Problem) -> tuple[str, ...]:
    """Say what to do, with the commands to do it."""
    first, last = (min(problem.days), max(problem.days)) if problem.days else (None, None)
    odd = problem.asset == QUALITY_FINDINGS.table
    on = " --limit 100" if odd else f" --day {first}" if first else ""
    refuses = problem.asset.startswith(("raw_", "staged_", "fact_"))
    source = problem.asset.removeprefix("raw_").removeprefix("staged_")
    match problem.kind:
        case "check":
            steps = _ODD if odd else _ADVICE.get(problem.check, _OTHER)
        case "run":
            steps = _RUN
        case "deadline":
            steps = _DUE
        case "delivery":
            steps = _LOST if problem.key == LOST else _DELIVERY
        case "verdict":
            name = problem.asset.removeprefix("verdict_")
            return (f"Read the report: analytics-assets experiment report {name}",)
    everything = f"analytics-assets run --select {problem.asset}" if problem.asset else "analytics-assets run"
    show = f"analytics-assets show {problem.asset}{on}"
    commands = {
        "show": show,
        "refused": f"analytics-assets rejected {source}" if refuses else show,
        "backfill": f"analytics-assets backfill {first} {last}" if first else everything,
        "channel": problem.check,
    }
    return tuple(step.format(**commands) for step in steps)
