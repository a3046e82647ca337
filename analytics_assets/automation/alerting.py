"""What is wrong, what is not any more, and what of it is worth a message: a state machine without clock and I/O.

Belongs here: problems, what is observed, and the rules by which observations open and end problems. Does not belong
here: the words of a message (`alert_words`), its way to a person (`alert_outbox`), and where observations come from
(`alert_sensor`).

The rules:

- A problem is told once when it opens, once when a warning becomes an error, and once when it ends.
- Readers see what a run released. So checks open problems from any run that ended, and end them by released runs only.
- An error check ends when every day that failed has passed; a warning ends with the next evaluation that passes on its
  last day or later, and says which days stay as they are. Of a table that is not kept by day, the next that passes ends
  both.
- A failed run ends when successful runs of the same tables have covered its days. Where an error check stopped the run,
  the check is the problem, and the run is none.
- A missed deadline ends when the day that is due is there. A changed verdict is news, and nothing that ends.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from analytics_assets.automation.jobs import DAILY
from analytics_assets.lake.days import Days, DaySet
from analytics_assets.outlets.messages import Change
from analytics_assets.project.alerts import SEVERITIES, AlertKind, AlertSeverity

DEADLINE = "deadline"
LOST = "lost"
_REMEMBERED = 50
_BAD_NEWS = ("rollback", "invalid")
_UNDECIDED = "too early"

RunEnd: TypeAlias = Literal["success", "failure", "canceled"]


@dataclass(frozen=True)
class Problem:
    """Hold one thing that is wrong.

    Attributes:
        key: What makes it the same problem as another.
        kind: What it is about.
        severity: How bad it is now.
        opened: When it was seen first.
        number: Counted over all problems, so that one that comes again is another.
        told: The worst severity that people were told.
        asset: The table; empty where it is about none.
        check: The check.
        days: The days that fail; empty where it is about no days.
        rules: What is wrong, a line each.
        samples: Keys of rows.
        run_id: The newest run that showed it.
        job: Of a failed run, its job.
        selected: Of a failed run of some tables, these.
        released: Of a failed run, whether its tables are released all the same.
    """

    key: str
    kind: AlertKind
    severity: AlertSeverity
    opened: dt.datetime
    number: int = 0
    told: AlertSeverity = "info"
    asset: str = ""
    check: str = ""
    days: DaySet = field(default_factory=DaySet)
    rules: tuple[str, ...] = ()
    samples: tuple[str, ...] = ()
    run_id: str = ""
    job: str = ""
    selected: tuple[str, ...] = ()
    released: bool = False


@dataclass(frozen=True)
class Notice:
    """Hold what is worth a message.

    Attributes:
        change: What happened to the problem.
        problem: As it is now; of one that ended, as it was.
        at: When.
        id: The message's id, which depends on the problem and the change alone.
        answers: The id of the message that opened the problem; empty where this is it.
        staying: Of a warning that ended: days that failed and were not computed again.
        by: The run that ended it; empty where it was none.
    """

    change: Change
    problem: Problem
    at: dt.datetime
    id: str
    answers: str = ""
    staying: DaySet = field(default_factory=DaySet)
    by: str = ""


@dataclass(frozen=True)
class Ended:
    """Hold a problem that ended, or news: how, and when."""

    problem: Problem
    change: Change
    at: dt.datetime


@dataclass(frozen=True)
class Evaluation:
    """Say how a check came out in a run.

    Attributes:
        asset: The table.
        check: The check.
        passed: Whether it holds.
        severity: What a check that does not hold does.
        by_day: Whether the table is kept by day.
        days: The days that fail; empty where that is not known.
        rules: The rules that are broken, in words.
        samples: Keys of rows that break them.
        step: The step that evaluated it.
    """

    asset: str
    check: str
    passed: bool
    severity: AlertSeverity = "error"
    by_day: bool = True
    days: DaySet = field(default_factory=DaySet)
    rules: tuple[str, ...] = ()
    samples: tuple[str, ...] = ()
    step: str = ""


@dataclass(frozen=True)
class Run:
    """Say how a run ended.

    Attributes:
        run_id: Dagster's id of it.
        job: Its job.
        end: How it ended.
        days: Its days; None for a run without.
        selected: The tables that it was about; empty for all of the job.
        evaluations: Its checks.
        failures: What failed, in words, by step.
        released: Whether readers see its tables: what comes after the release may still fail.
    """

    run_id: str
    job: str
    end: RunEnd
    days: Days | None = None
    selected: tuple[str, ...] = ()
    evaluations: tuple[Evaluation, ...] = ()
    failures: Mapping[str, str] = field(default_factory=dict)
    released: bool = False


@dataclass(frozen=True)
class Verdict:
    """Hold what is decided of one variant of an experiment, and why."""

    experiment: str
    variant: str
    verdict: str
    because: str = ""
    owner: str = ""


@dataclass(frozen=True)
class Verdicts:
    """Hold the verdicts of the newest release."""

    verdicts: tuple[Verdict, ...]


@dataclass(frozen=True)
class Due:
    """Say whether the day that is due is there.

    Attributes:
        day: The last day whose deadline has passed.
        behind: The tables that lack it.
    """

    day: dt.date
    behind: tuple[str, ...] = ()


@dataclass(frozen=True)
class Channels:
    """Say which channels do not deliver, and why."""

    broken: Mapping[str, str]


@dataclass(frozen=True)
class Close:
    """Ask for a problem to be closed by hand."""

    key: str


@dataclass(frozen=True)
class Lost:
    """Say that what was known could not be read, and why."""

    reason: str


Observation: TypeAlias = Run | Verdicts | Due | Channels | Close | Lost


@dataclass(frozen=True)
class Book:
    """Hold what is known of problems between two looks.

    Attributes:
        open: Open problems, by key.
        ended: The last problems that ended, and news, the newest first.
        verdicts: The last verdict of each variant; None before the first look.
        excused: The day whose deadline somebody closed by hand.
        count: How many problems there have been.
    """

    open: Mapping[str, Problem] = field(default_factory=dict)
    ended: tuple[Ended, ...] = ()
    verdicts: Mapping[str, str] | None = None
    excused: dt.date | None = None
    count: int = 0


def observe(
    book: Book, observations: Sequence[Observation], now: dt.datetime, name: str = "", *, quietly: bool = False
) -> tuple[Book, tuple[Notice, ...]]:
    """Learn from observations, in their order.

    Args:
        book: What is known.
        observations: What was seen since.
        now: When this is.
        name: Stands in the ids of messages, so that two projects never share one.
        quietly: Say nothing of problems that ended among these observations: somebody looks at the past.

    Returns:
        What is known now, and what is worth a message.
    """
    writer = _Writer(book, now, name)
    for observation in observations:
        writer.learn(observation)
    notices = writer.notices
    if quietly:
        still = {problem.number for problem in writer.open.values()}
        notices = [notice for notice in notices if notice.problem.number in still or notice.problem.key == LOST]
    ended = (*reversed(writer.ended), *book.ended)[:_REMEMBERED]
    return Book(writer.open, ended, writer.verdicts, writer.excused, writer.count), tuple(notices)


def due_day(now: dt.datetime, deadline: dt.time, zone: dt.tzinfo) -> dt.date:
    """Return the last day whose deadline, a time on the morning after it, has passed.

    A deadline in an hour that a change to summer time leaves out is when that hour would have been; one in an hour
    that comes twice is the first.

    >>> from zoneinfo import ZoneInfo
    >>> due_day(dt.datetime(2025, 3, 2, 7, 59, tzinfo=dt.UTC), dt.time(9), ZoneInfo("Europe/Berlin"))
    datetime.date(2025, 2, 28)
    >>> due_day(dt.datetime(2025, 3, 2, 8, 0, tzinfo=dt.UTC), dt.time(9), ZoneInfo("Europe/Berlin"))
    datetime.date(2025, 3, 1)
    """
    today = now.astimezone(zone).date()
    passed = dt.datetime.combine(today, deadline, zone).astimezone(dt.UTC) <= now
    return today - dt.timedelta(days=1 if passed else 2)


class _Writer:
    """Write a book on: what one look at the world changes."""

    def __init__(self, book: Book, now: dt.datetime, name: str) -> None:
        self.open = dict(book.open)
        self.ended: list[Ended] = []
        self.verdicts = None if book.verdicts is None else dict(book.verdicts)
        self.excused, self.count = book.excused, book.count
        self.notices: list[Notice] = []
        self._now, self._name = now, name
        self._run_id = ""

    def learn(self, observation: Observation) -> None:
        self._run_id = observation.run_id if isinstance(observation, Run) else ""
        match observation:
            case Run():
                self._learn_run(observation)
            case Verdicts():
                self._learn_verdicts(observation)
            case Due():
                self._learn_due(observation)
            case Channels():
                self._learn_channels(observation)
            case Close():
                self._close(observation.key)
            case Lost():
                rules = (observation.reason,)
                self._news(Problem(LOST, "delivery", "warning", self._now, rules=rules))

    # --- problems open, grow and end ----------------------------------------------------------------------------------

    def _opened(self, problem: Problem) -> None:
        self.count += 1
        problem = replace(problem, number=self.count, told=problem.severity)
        self.open[problem.key] = problem
        self._notice("opened", problem)

    def _changed(self, problem: Problem) -> None:
        """Keep what became of an open problem; people are told when it became worse than they know."""
        worse = SEVERITIES.index(problem.severity) > SEVERITIES.index(problem.told)
        if worse:
            problem = replace(problem, told=problem.severity)
        self.open[problem.key] = problem
        if worse:
            self._notice("worse", problem)

    def _over(self, problem: Problem, change: Change = "recovered", staying: DaySet | None = None) -> None:
        del self.open[problem.key]
        self.ended.append(Ended(problem, change, self._now))
        self._notice(change, problem, staying, self._run_id if change == "recovered" else "")

    def _news(self, problem: Problem) -> None:
        self.count += 1
        problem = replace(problem, number=self.count, told=problem.severity)
        self.ended.append(Ended(problem, "told", self._now))
        self._notice("told", problem)

    def _notice(self, change: Change, problem: Problem, staying: DaySet | None = None, by: str = "") -> None:
        first = "" if change in {"opened", "told"} else self._id("opened", problem)
        told = self._id(change, problem)
        self.notices.append(Notice(change, problem, self._now, told, first, staying or DaySet(), by))

    def _id(self, change: Change, problem: Problem) -> str:
        told = "|".join([self._name, problem.key, str(problem.number), problem.opened.isoformat(), change])
        return hashlib.sha256(told.encode()).hexdigest()[:24]

    # --- runs and their checks ----------------------------------------------------------------------------------------

    def _learn_run(self, run: Run) -> None:
        for evaluation in run.evaluations:
            self._learn_evaluation(evaluation, run)
        if run.end == "failure":
            stopped = {e.step for e in run.evaluations if not e.passed and e.severity == "error"}
            unexplained = {step: told for step, told in run.failures.items() if step not in stopped}
            if unexplained or not run.failures:
                self._run_failed(run, unexplained)
        elif run.end == "success":
            for problem in [p for p in self.open.values() if p.kind == "run" and _repeats(run, p)]:
                left = problem.days - run.days if run.days else DaySet()
                if left:
                    self._changed(replace(problem, days=left))
                else:
                    self._over(problem)

    def _learn_evaluation(self, seen: Evaluation, run: Run) -> None:
        key = f"check:{seen.asset}:{seen.check}"
        known = self.open.get(key)
        ran = run.days if seen.by_day else None
        if seen.passed:
            if known is not None and run.released:
                self._passed(known, ran)
            return
        failing = DaySet() if ran is None else seen.days or DaySet((ran,))
        about = {"rules": seen.rules, "samples": seen.samples, "run_id": run.run_id}
        if known is None:
            problem = Problem(key, "check", seen.severity, self._now, asset=seen.asset, check=seen.check, days=failing)
            self._opened(replace(problem, **about))  # type: ignore[arg-type]
            return
        left = known.days
        if run.released:
            left = DaySet() if ran is None else left - ran
        if known.severity == "error" and seen.severity != "error" and (left or not run.released):
            self._changed(replace(known, days=left))  # errors are left of other days: warnings come second
            return
        days = left | failing if seen.severity == known.severity else failing
        self._changed(replace(known, severity=seen.severity, days=days, **about))  # type: ignore[arg-type]

    def _passed(self, problem: Problem, ran: Days | None) -> None:
        """End a check's problem, or take the days off it that pass now."""
        left = problem.days - ran if ran else DaySet()
        if not left:
            self._over(problem)
        elif problem.severity != "error" and ran is not None and ran.last >= max(problem.days):
            self._over(problem, staying=left)
        else:
            self._changed(replace(problem, days=left))

    def _run_failed(self, run: Run, failures: Mapping[str, str]) -> None:
        rules = tuple(f"{step}: {told}" if told else step for step, told in failures.items())
        about = {"rules": rules, "run_id": run.run_id, "released": run.released}
        days = DaySet((run.days,)) if run.days else DaySet()
        alike = [p for p in self.open.values() if p.kind == "run" and p.job == run.job]
        key = f"run:{run.job}" + (f":{run.days.first}..{run.days.last}" if run.days else "")
        alike = [p for p in alike if p.key == key or p.days & days]
        if not alike:
            problem = Problem(key, "run", "error", self._now, days=days, job=run.job, selected=run.selected)
            self._opened(replace(problem, **about))  # type: ignore[arg-type]
            return
        # the days that are open already stay where they are, new ones join the first of their problems
        for problem in alike:
            days = days - problem.days
        for place, problem in enumerate(alike):
            selected = tuple(sorted({*problem.selected, *run.selected})) if problem.selected and run.selected else ()
            more = problem.days | days if place == 0 else problem.days
            self._changed(replace(problem, days=more, selected=selected, **about))  # type: ignore[arg-type]

    # --- verdicts, the deadline, channels, and people -----------------------------------------------------------------

    def _learn_verdicts(self, seen: Verdicts) -> None:
        before, self.verdicts = self.verdicts, {f"{v.experiment}/{v.variant}": v.verdict for v in seen.verdicts}
        if before is None:
            return
        for verdict in seen.verdicts:
            name = f"{verdict.experiment}/{verdict.variant}"
            was = before.get(name, _UNDECIDED)
            if verdict.verdict != was:
                severity: AlertSeverity = "warning" if verdict.verdict in _BAD_NEWS else "info"
                told = f"{verdict.variant}: {verdict.verdict}, was {was}"
                rules = (told, verdict.because) if verdict.because else (told,)
                asset = f"verdict_{verdict.experiment}"
                self._news(Problem(f"verdict:{name}", "verdict", severity, self._now, asset=asset, rules=rules))

    def _learn_due(self, seen: Due) -> None:
        known = self.open.get(DEADLINE)
        if not seen.behind:
            if known is not None:
                self._over(known)
            return
        if known is not None:
            self._changed(replace(known, days=known.days | Days(seen.day, seen.day), rules=seen.behind))
        elif self.excused is None or seen.day > self.excused:
            days = DaySet((Days(seen.day, seen.day),))
            self._opened(Problem(DEADLINE, "deadline", "error", self._now, days=days, rules=seen.behind))

    def _learn_channels(self, seen: Channels) -> None:
        for name, reason in seen.broken.items():
            key = f"delivery:{name}"
            if key in self.open:
                self.open[key] = replace(self.open[key], rules=(reason,))
            else:
                self._opened(Problem(key, "delivery", "error", self._now, check=name, rules=(reason,)))
        for problem in [p for p in self.open.values() if p.kind == "delivery" and p.check not in seen.broken]:
            self._over(problem)

    def _close(self, key: str) -> None:
        problem = self.open.get(key)
        if problem is None:
            return
        if key == DEADLINE:
            self.excused = max(problem.days)
        self._over(problem, "closed")


def _repeats(run: Run, problem: Problem) -> bool:
    """Say whether a run does all over again what a failed run did: its job and tables, or the whole daily job."""
    if not run.selected:
        return run.job == problem.job or (run.job == DAILY and bool(problem.selected))
    return bool(problem.selected) and run.job == problem.job and set(problem.selected) <= set(run.selected)
