"""Problems: what opens them, what ends them, and that people are told of each once."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics_assets.automation.alerting import (
    Book,
    Channels,
    Close,
    Due,
    Evaluation,
    Lost,
    Notice,
    Observation,
    Run,
    Verdict,
    Verdicts,
    due_day,
    observe,
)
from analytics_assets.lake.days import Days, DaySet

NOW = dt.datetime(2025, 3, 10, 6, 0, tzinfo=dt.UTC)
KEYS = "check:fact_sales:keys"


def day(number: int) -> dt.date:
    return dt.date(2025, 3, number)


def days(first: int, last: int | None = None) -> Days:
    return Days(day(first), day(last or first))


def day_set(*numbers: int) -> DaySet:
    return DaySet.of(map(day, numbers))


def check(
    passed: bool, *failing: int, severity: Any = "error", by_day: bool = True, asset: str = "fact_sales"
) -> Evaluation:
    rules = () if passed else ("key names one row: 2 rows",)
    return Evaluation(asset, "keys", passed, severity, by_day, day_set(*failing), rules, step=asset)


def success(ran: Days | None, *evaluations: Evaluation, **keys: Any) -> Run:
    return Run("good", "daily", "success", ran, evaluations=evaluations, released=True, **keys)


def stopped(ran: Days | None, *evaluations: Evaluation) -> Run:
    """Give a run that an error check stopped."""
    failures = {e.step: "not published" for e in evaluations if not e.passed and e.severity == "error"}
    return Run("stopped", "daily", "failure", ran, evaluations=evaluations, failures=failures)


def crashed(ran: Days | None, job: str = "daily", **keys: Any) -> Run:
    return Run("crashed", job, "failure", ran, failures={"land_orders": "no such file"}, **keys)


@dataclass
class Diary:
    """Observe one thing after the other, and remember what was told."""

    book: Book = field(default_factory=Book)
    notices: list[Notice] = field(default_factory=list)

    def see(self, *observations: Observation) -> list[str]:
        """Observe, and return what is told: `change key`."""
        self.book, notices = observe(self.book, observations, NOW, "shop")
        self.notices += notices
        return [f"{notice.change} {notice.problem.key}" for notice in notices]

    @property
    def failing(self) -> dict[str, str]:
        return {key: str(problem.days) for key, problem in self.book.open.items()}


@pytest.fixture
def diary() -> Diary:
    return Diary()


# checks


def test_a_check_that_keeps_failing_is_told_once(diary: Diary) -> None:
    assert diary.see(stopped(days(1, 3), check(False, 2))) == [f"opened {KEYS}"]
    for _ in range(3):
        assert diary.see(stopped(days(1, 3), check(False, 2))) == []
    assert diary.failing == {KEYS: "2025-03-02"}


def test_a_run_that_an_error_check_stopped_is_no_problem_of_its_own(diary: Diary) -> None:
    assert diary.see(stopped(days(1), check(False, 1))) == [f"opened {KEYS}"]


def test_a_run_that_fails_for_another_reason_too_is_one(diary: Diary) -> None:
    run = stopped(days(1), check(False, 1))
    run = replace(run, failures={**run.failures, "land_events": "no such file"})
    assert diary.see(run) == [f"opened {KEYS}", "opened run:daily:2025-03-01..2025-03-01"]
    assert diary.book.open["run:daily:2025-03-01..2025-03-01"].rules == ("land_events: no such file",)


def test_an_error_ends_when_all_of_its_days_have_passed(diary: Diary) -> None:
    diary.see(stopped(days(1, 5), check(False, 2, 4)))
    assert diary.see(success(days(2), check(True))) == []
    assert diary.failing == {KEYS: "2025-03-04"}
    assert diary.see(success(days(9), check(True))) == []
    assert diary.see(success(days(3, 5), check(True))) == [f"recovered {KEYS}"]
    assert diary.failing == {}
    assert diary.see(success(days(3, 5), check(True))) == []


def test_days_that_fail_later_must_pass_as_well(diary: Diary) -> None:
    diary.see(stopped(days(1), check(False, 1)))
    assert diary.see(stopped(days(2), check(False, 2))) == []
    assert diary.see(success(days(1), check(True))) == []
    assert diary.see(success(days(2), check(True))) == [f"recovered {KEYS}"]


def test_a_run_that_succeeds_with_a_failing_check_takes_off_the_days_that_pass(diary: Diary) -> None:
    diary.see(success(days(1, 3), check(False, 1, 2, severity="warning")))
    diary.see(success(days(1, 3), check(False, 3, severity="warning")))
    assert diary.failing == {KEYS: "2025-03-03"}


def test_a_failure_without_its_days_counts_for_all_of_the_run(diary: Diary) -> None:
    diary.see(stopped(days(1, 3), check(False)))
    assert diary.failing == {KEYS: "2025-03-01 to 2025-03-03"}


@pytest.mark.parametrize("end", ["failure", "canceled"])
def test_readers_never_see_what_a_failed_run_published_so_nothing_ends(diary: Diary, end: Any) -> None:
    diary.see(stopped(days(1), check(False, 1)))
    told = diary.see(Run("r", "daily", end, days(1), evaluations=(check(True),), failures={"fact_events": "x"}))
    assert f"recovered {KEYS}" not in told
    assert KEYS in diary.book.open


def test_a_run_that_fails_after_its_release_ends_what_readers_see_mended(diary: Diary) -> None:
    diary.see(stopped(days(1), check(False, 1)))
    run = Run("r", "daily", "failure", days(1), evaluations=(check(True),), failures={"chart": "x"}, released=True)
    assert diary.see(run) == [f"recovered {KEYS}", "opened run:daily:2025-03-01..2025-03-01"]
    assert diary.book.open["run:daily:2025-03-01..2025-03-01"].released


def test_a_table_that_was_computed_and_not_released_ends_nothing(diary: Diary) -> None:
    diary.see(stopped(days(1), check(False, 1)))
    assert diary.see(Run("r", "__ASSET_JOB", "success", days(1), ("fact_sales",), (check(True),))) == []


def test_a_canceled_run_is_no_problem(diary: Diary) -> None:
    assert diary.see(Run("r", "daily", "canceled", days(1))) == []


def test_a_table_that_is_not_kept_by_day_ends_with_the_next_that_passes(diary: Diary) -> None:
    diary.see(stopped(days(1), check(False, by_day=False)))
    assert diary.failing == {KEYS: ""}
    assert diary.see(success(days(7), check(True, by_day=False))) == [f"recovered {KEYS}"]


def test_a_warning_ends_on_its_last_day_or_later_and_says_which_days_stay(diary: Diary) -> None:
    diary.see(success(days(3, 5), check(False, 3, 5, severity="warning")))
    assert diary.see(success(days(4), check(True))) == []
    assert diary.see(success(days(3), check(True))) == []
    assert diary.failing == {KEYS: "2025-03-05"}
    diary.see(success(days(4), check(False, 4, severity="warning")))
    assert diary.see(success(days(6), check(True))) == [f"recovered {KEYS}"]
    assert str(diary.notices[-1].staying) == "2025-03-04 to 2025-03-05"


def test_a_warning_that_becomes_an_error_is_told_once(diary: Diary) -> None:
    diary.see(success(days(1), check(False, 1, severity="warning")))
    assert diary.see(stopped(days(2), check(False, 2))) == [f"worse {KEYS}"]
    assert diary.see(stopped(days(2), check(False, 2))) == []
    assert diary.see(success(days(2), check(False, 2, severity="warning"))) == []
    assert diary.book.open[KEYS].severity == "warning"
    assert diary.see(stopped(days(3), check(False, 3))) == []
    assert diary.see(success(days(3), check(True))) == [f"recovered {KEYS}"]


def test_an_error_stays_one_while_other_days_only_warn(diary: Diary) -> None:
    diary.see(stopped(days(1), check(False, 1)))
    assert diary.see(success(days(2), check(False, 2, severity="warning"))) == []
    assert (diary.book.open[KEYS].severity, diary.failing) == ("error", {KEYS: "2025-03-01"})
    undone = Run("r", "daily", "canceled", days(1), evaluations=(check(False, 1, severity="warning"),))
    assert diary.see(undone) == []
    assert diary.book.open[KEYS].severity == "error"


def test_a_problem_that_comes_again_is_another(diary: Diary) -> None:
    for _ in range(2):
        assert diary.see(stopped(days(1), check(False, 1)), success(days(1), check(True))) == [
            f"opened {KEYS}", f"recovered {KEYS}",
        ]  # fmt: skip
    assert len({notice.id for notice in diary.notices}) == 4
    assert diary.notices[1].answers == diary.notices[0].id
    assert diary.notices[3].answers == diary.notices[2].id


def test_the_same_observations_give_the_same_ids() -> None:
    seen = [stopped(days(1), check(False, 1)), crashed(days(2)), success(days(1), check(True))]
    once, again = (observe(Book(), seen, NOW, "shop")[1] for _ in range(2))
    assert once == again
    assert not {n.id for n in once} & {n.id for n in observe(Book(), seen, NOW, "other")[1]}


def test_the_past_is_told_without_what_is_over() -> None:
    seen = [stopped(days(1), check(False, 1)), success(days(1), check(True)), crashed(days(2))]
    book, notices = observe(Book(), seen, NOW, quietly=True)
    assert [notice.problem.kind for notice in notices] == ["run"]
    assert len(book.ended) == 1


# runs


def test_a_failed_run_ends_when_its_days_are_computed(diary: Diary) -> None:
    key = "run:daily:2025-03-01..2025-03-03"
    assert diary.see(crashed(days(1, 3))) == [f"opened {key}"]
    assert diary.see(crashed(days(1, 3))) == []
    assert diary.see(success(days(2))) == []
    assert diary.failing == {key: "2025-03-01, 2025-03-03"}
    assert diary.see(success(days(3, 4))) == []
    assert diary.see(success(days(1))) == [f"recovered {key}"]


def test_a_run_that_was_killed_says_so(diary: Diary) -> None:
    assert diary.see(Run("r", "daily", "failure", days(1), failures={"run": "killed"})) != []
    assert diary.see(Run("r", "weekly", "failure")) == ["opened run:weekly"]


def test_other_days_are_another_problem_and_overlapping_ones_the_same(diary: Diary) -> None:
    assert len(diary.see(crashed(days(1, 2)), crashed(days(5)))) == 2
    assert diary.see(crashed(days(2, 5))) == []
    assert diary.failing == {
        "run:daily:2025-03-01..2025-03-02": "2025-03-01 to 2025-03-04",
        "run:daily:2025-03-05..2025-03-05": "2025-03-05",
    }


def test_days_that_fail_again_while_others_of_their_problem_are_open_join_it(diary: Diary) -> None:
    key = "run:daily:2025-03-02..2025-03-02"
    diary.see(crashed(days(2)), crashed(days(2, 3)), success(days(2)))
    assert diary.failing == {key: "2025-03-03"}
    assert diary.see(crashed(days(2))) == []
    assert diary.failing == {key: "2025-03-02 to 2025-03-03"}
    assert diary.see(success(days(2, 3))) == [f"recovered {key}"]


def test_a_job_without_days_ends_with_its_next_success(diary: Diary) -> None:
    diary.see(crashed(None, "weekly"))
    assert diary.see(success(days(1))) == []
    assert diary.see(Run("r", "weekly", "success")) == ["recovered run:weekly"]


@pytest.mark.parametrize(
    ("failed", "repeated", "ends"),
    [
        (("daily", ()), ("daily", ()), True),
        (("daily", ()), ("daily", ("fact_sales",)), False),
        (("daily", ("fact_sales",)), ("daily", ("dim_dates", "fact_sales")), True),
        (("daily", ("fact_sales",)), ("daily", ("dim_dates",)), False),
        (("__ASSET_JOB", ("fact_sales",)), ("daily", ()), True),
        (("weekly", ()), ("daily", ()), False),
        (("daily", ()), ("weekly", ()), False),
    ],
)
def test_a_run_ends_the_problem_of_one_that_it_does_all_over(
    diary: Diary, failed: Any, repeated: Any, ends: bool
) -> None:
    diary.see(crashed(days(1), failed[0], selected=failed[1]))
    told = diary.see(Run("r", repeated[0], "success", days(1), repeated[1]))
    assert bool(told) == ends


# verdicts, the deadline, channels, people


def verdicts(**told: str) -> Verdicts:
    return Verdicts(tuple(Verdict(name, "treatment", verdict, "by the numbers") for name, verdict in told.items()))


def test_a_changed_verdict_is_news_once(diary: Diary) -> None:
    assert diary.see(verdicts(a="ship", b="too early")) == []
    assert diary.see(verdicts(a="ship", b="too early")) == []
    assert diary.see(verdicts(a="rollback", b="too early", c="too early")) == ["told verdict:a/treatment"]
    (notice,) = diary.notices
    assert notice.problem.severity == "warning"
    assert notice.problem.rules == ("treatment: rollback, was ship", "by the numbers")
    assert diary.see(verdicts(a="rollback", b="too early", c="ship")) == ["told verdict:c/treatment"]
    assert diary.book.open == {}
    assert [ended.change for ended in diary.book.ended] == ["told", "told"]


def test_an_experiment_that_is_gone_is_no_news(diary: Diary) -> None:
    diary.see(verdicts(a="ship"))
    assert diary.see(verdicts()) == []


def test_a_missed_deadline_is_told_once_and_ends(diary: Diary) -> None:
    assert diary.see(Due(day(8))) == []
    assert diary.see(Due(day(9), ("fact_sales",))) == ["opened deadline"]
    assert diary.see(Due(day(10), ("fact_sales",))) == []
    assert diary.failing == {"deadline": "2025-03-09 to 2025-03-10"}
    assert diary.see(Due(day(10))) == ["recovered deadline"]


def test_a_channel_that_does_not_deliver_is_a_problem(diary: Diary) -> None:
    assert diary.see(Channels({"team": "refused"})) == ["opened delivery:team"]
    assert diary.see(Channels({"team": "status 500"})) == []
    assert diary.book.open["delivery:team"].rules == ("status 500",)
    assert diary.see(Channels({})) == ["recovered delivery:team"]


def test_a_problem_can_be_closed_by_hand(diary: Diary) -> None:
    diary.see(crashed(days(1)), Due(day(9), ("a",)))
    assert diary.see(Close("run:daily:2025-03-01..2025-03-01"), Close("deadline"), Close("nothing")) == [
        "closed run:daily:2025-03-01..2025-03-01", "closed deadline",
    ]  # fmt: skip
    assert diary.see(Due(day(9), ("a",))) == []
    assert diary.see(Due(day(10), ("a",))) == ["opened deadline"]


def test_a_record_that_was_lost_is_said_even_where_the_past_is_not(diary: Diary) -> None:
    _, notices = observe(Book(), [Lost("it is no JSON")], NOW, quietly=True)
    assert [(notice.change, notice.problem.key) for notice in notices] == [("told", "lost")]


def test_what_ended_is_remembered_for_a_while(diary: Diary) -> None:
    for number in range(60):
        diary.see(crashed(None, f"job{number}"), Run("r", f"job{number}", "success"))
    assert len(diary.book.ended) == 50
    assert diary.book.ended[0].problem.key == "run:job59"


# the deadline and the clock


@pytest.mark.parametrize(
    ("now", "due"),
    [
        ("2025-03-29T07:59:59", 27),
        ("2025-03-29T08:00:00", 28),  # 09:00 in winter
        ("2025-03-30T06:59:59", 28),
        ("2025-03-30T07:00:00", 29),  # 09:00 in summer, which began that night
        ("2025-03-31T07:00:00", 30),
    ],
)
def test_the_deadline_is_local_time_over_a_change_to_summer_time(now: str, due: int) -> None:
    at = dt.datetime.fromisoformat(now).replace(tzinfo=dt.UTC)
    assert due_day(at, dt.time(9), ZoneInfo("Europe/Berlin")) == day(due)


@pytest.mark.parametrize("deadline", [dt.time(0, 0), dt.time(2, 0), dt.time(2, 30), dt.time(3, 0), dt.time(23, 59)])
@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Africa/Cairo", "Pacific/Apia", "UTC"])
def test_every_day_becomes_due_once_and_in_order(deadline: dt.time, zone: str) -> None:
    begin = dt.datetime(2025, 3, 25, tzinfo=dt.UTC)
    seen = [due_day(begin + dt.timedelta(minutes=10 * n), deadline, ZoneInfo(zone)) for n in range(6 * 24 * 45)]
    steps = {(after - before).days for before, after in itertools.pairwise(seen)}
    assert steps == {0, 1}


def test_an_ambiguous_deadline_is_the_first_of_the_two() -> None:
    zone = ZoneInfo("Europe/Berlin")  # 02:30 comes twice on 2025-10-26, at 00:30 and 01:30 UTC
    assert due_day(dt.datetime(2025, 10, 26, 0, 29, tzinfo=dt.UTC), dt.time(2, 30), zone) == dt.date(2025, 10, 24)
    assert due_day(dt.datetime(2025, 10, 26, 0, 30, tzinfo=dt.UTC), dt.time(2, 30), zone) == dt.date(2025, 10, 25)
    assert due_day(dt.datetime(2025, 10, 26, 1, 10, tzinfo=dt.UTC), dt.time(2, 30), zone) == dt.date(2025, 10, 25)


def test_a_clock_that_jumps_ahead_and_back_opens_one_problem_and_ends_it(diary: Diary) -> None:
    covered = day(9)

    def seen(now: dt.datetime) -> list[str]:
        due = due_day(now, dt.time(9), dt.UTC)
        return diary.see(Due(due, () if due <= covered else ("fact_sales",)))

    told = [seen(NOW + dt.timedelta(hours=hours)) for hours in (0, 4, 52, 52, 5, -48, 6)]
    assert told == [[], [], ["opened deadline"], [], ["recovered deadline"], [], []]


# against a naive model, whatever happens

ASSETS = ("fact_a", "fact_b")
failing_days = st.lists(st.integers(1, 6), min_size=1, max_size=3, unique=True)


@st.composite
def runs(draw: st.DrawFn) -> Run:
    first = draw(st.integers(1, 6))
    ran = days(first, draw(st.integers(first, 6)))
    evaluations = []
    for asset in ASSETS:
        failing = [number for number in draw(failing_days) if day(number) in ran] if draw(st.booleans()) else []
        severity = draw(st.sampled_from(["error", "warning"]))
        evaluations.append(check(not failing, *failing, severity=severity, asset=asset))
    crash = draw(st.integers(0, 4)) == 0
    errors = any(not e.passed and e.severity == "error" for e in evaluations)
    run = stopped(ran, *evaluations) if errors or crash else success(ran, *evaluations)
    return replace(run, failures={**run.failures, "land": "x"}) if crash else run


@pytest.mark.slow
@dataclass
class Naive:
    """Say for each check which days fail, as sets, by the rules as the docs tell them."""

    errors: dict[str, set[dt.date]] = field(default_factory=dict)
    warnings: dict[str, set[dt.date]] = field(default_factory=dict)

    def see(self, run: Run) -> None:
        assert run.days is not None
        good = run.end == "success"
        for e in run.evaluations:
            errors, warnings = self.errors.get(e.asset, set()), self.warnings.get(e.asset, set())
            failing = set(e.days)
            if good:
                errors, warnings = errors - set(run.days), warnings - set(run.days)
            if not e.passed and e.severity == "error":
                errors, warnings = errors | failing, set()
            elif not e.passed and not errors:
                warnings = warnings | failing
            elif e.passed and good and warnings and run.days.last >= max(self.warnings[e.asset]):
                warnings = set()
            self.errors[e.asset], self.warnings[e.asset] = errors, warnings

    def failing(self) -> dict[str, set[dt.date]]:
        return {a: found for a in self.errors if (found := self.errors[a] | self.warnings[a])}


@settings(max_examples=150, deadline=None)
@given(st.lists(runs(), max_size=12), st.randoms())
def test_each_problem_is_told_once_and_ended_once_whatever_happens(history: Sequence[Run], chance: Any) -> None:
    naive, book, notices = Naive(), Book(), list[Notice]()
    at = 0
    while at < len(history):  # in ticks of any size
        step = chance.randint(1, 3)
        book, told = observe(book, history[at : at + step], NOW, "shop")
        notices += told
        for run in history[at : at + step]:
            naive.see(run)
        at += step
        found = {p.asset: set(p.days) for p in book.open.values() if p.kind == "check"}
        assert found == naive.failing()
    assert len({notice.id for notice in notices}) == len(notices)
    by_problem: dict[tuple[str, int], list[str]] = {}
    for notice in notices:
        by_problem.setdefault((notice.problem.key, notice.problem.number), []).append(notice.change)
    open_now = {(p.key, p.number) for p in book.open.values()}
    for problem, changes in by_problem.items():
        assert changes[0] == "opened"
        assert changes.count("opened") == 1
        assert changes.count("worse") <= 1
        assert changes.count("recovered") == (0 if problem in open_now else 1)
        assert changes[-1] == "recovered" or problem in open_now
    assert open_now <= set(by_problem)


@settings(max_examples=60, deadline=None)
@given(st.lists(runs(), max_size=10))
def test_when_everything_was_computed_well_nothing_is_open(history: Sequence[Run]) -> None:
    all_well = success(days(1, 6), *(check(True, asset=asset) for asset in ASSETS))
    book, notices = observe(Book(), [*history, all_well], NOW)
    assert book.open == {}
    changes = [notice.change for notice in notices]
    assert changes.count("opened") == changes.count("recovered")
