"""The sensor that tells people: it looks at runs that ended, at the newest release and at the clock, and delivers.

Belongs here: reading Dagster's history and the lake into observations, and the order in which a tick observes, records
and delivers. Does not belong here: what is a problem (`alerting`), what waits (`alert_outbox`), how it is kept
(`alert_state`) and how it is sent (`outlets`).

A tick records the messages before it delivers them, and each delivery before the next. Killed at any moment, the next
tick goes on from there: what was recorded as delivered is not delivered again, and nothing that was seen is forgotten.
"""

from __future__ import annotations

import datetime as dt
import logging
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import dagster as dg

from analytics_assets.automation.alert_outbox import Waiting, broken, delivered, failed, next_due
from analytics_assets.automation.alert_state import AlertState, learned, load_state, requests, save_state
from analytics_assets.automation.alerting import (
    DEADLINE,
    Channels,
    Close,
    Due,
    Evaluation,
    Lost,
    Observation,
    Run,
    RunEnd,
    Verdict,
    Verdicts,
    due_day,
)
from analytics_assets.automation.building import RELEASE
from analytics_assets.automation.jobs import DAILY, days_of
from analytics_assets.automation.runtime import open_lake
from analytics_assets.automation.sensors import sensor_status
from analytics_assets.contracts.model import Contract, Quiet
from analytics_assets.contracts.verdicts import EXPERIMENT_VERDICTS
from analytics_assets.lake.days import Days, DaySet
from analytics_assets.lake.errors import LakeError
from analytics_assets.lake.releases import latest_release
from analytics_assets.outlets.delivery import deliver, log
from analytics_assets.outlets.messages import Failure, clean
from analytics_assets.project.alerts import LOG

if TYPE_CHECKING:
    from dagster._core.storage.dagster_run import RunRecord

    from analytics_assets.assets.catalog import Graph
    from analytics_assets.project.model import Project
    from analytics_assets.settings import Settings

ALERTS = "alerts"
SECONDS = 15
_BUDGET = 15.0
"""Seconds of a tick after which no delivery is begun: Dagster waits a minute for a tick."""
_PAGE = 100
_AT_ONCE = 30
"""The runs that one tick reads; the first tick looks back at so many."""
_OVERLAP = 20
"""Runs that are looked for again, for a number that was given first may be written last."""
_REMEMBERED = 500
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_ENDS: dict[dg.DagsterRunStatus, RunEnd] = {
    dg.DagsterRunStatus.SUCCESS: "success",
    dg.DagsterRunStatus.FAILURE: "failure",
    dg.DagsterRunStatus.CANCELED: "canceled",
}

_TOLD = {
    dg.DagsterEventType.ASSET_CHECK_EVALUATION,
    dg.DagsterEventType.STEP_SUCCESS,
    dg.DagsterEventType.STEP_FAILURE,
    dg.DagsterEventType.RUN_FAILURE,
}

Deliver = Callable[..., Failure | None]


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


@dataclass
class Tick:
    """Hold what one tick works with.

    Attributes:
        instance: Dagster's history.
        graph: The tables of the project.
        project: The project.
        settings: Where the lake and the UI are, and the environment with the channels' secrets.
        location: The code location whose runs count; empty for those of every one.
        logger: Is the log.
        clock: Tells the time.
        deliver: Tries to deliver a message.
    """

    instance: dg.DagsterInstance
    graph: Graph
    project: Project
    settings: Settings
    location: str = ""
    logger: logging.Logger = logging.getLogger("analytics_assets.alerts")  # noqa: RUF009 - the same object each time
    clock: Callable[[], dt.datetime] = _now
    deliver: Deliver = deliver

    def run(self) -> AlertState:
        """Observe, record, deliver; return what is remembered."""
        began = time.monotonic()
        known = load_state(self.instance.daemon_cursor_storage, self.project.name)
        state = known or AlertState()
        observations: list[Observation] = []
        if state.lost:
            self.logger.error("the record of alerts could not be read and is begun anew: %s", state.lost)
            observations.append(Lost(state.lost))
        first = known is None or bool(state.lost)
        ended, state = self._ended(replace(state, lost=""))
        observations += ended
        state = replace(state, unread=state.unread or any(run.released for run in ended))
        released, state = self._released(state)
        asked = requests(self.instance.daemon_cursor_storage, self.project.name)
        closing = [Close(request.close) for request in asked if request.number > state.handled]
        state = replace(state, handled=max([state.handled, *(request.number for request in asked)]))
        state = self._learn(state, [*observations, *released, *closing], quietly=first)
        state = self._learn(state, [self._channels(state)])
        if state != known:
            self._save(state)
        return self._delivered(state, began)

    def _learn(self, state: AlertState, seen: Sequence[Observation], *, quietly: bool = False) -> AlertState:
        return learned(state, seen, self.clock(), self.project, self.settings.ui_url, quietly=quietly)

    def _save(self, state: AlertState) -> None:
        save_state(self.instance.daemon_cursor_storage, self.project.name, state)

    def _channels(self, state: AlertState) -> Channels:
        return Channels(broken(state.outbox, self.project.alerts.channels))

    # --- runs ---------------------------------------------------------------------------------------------------------

    def _ended(self, state: AlertState) -> tuple[list[Run], AlertState]:
        """Read the runs that ended since the last tick, in the order in which they did.

        Runs are followed by the order in which they were created, never by a clock: those that had not ended are asked
        for again by their ids.
        """
        new = self._created(state.seen)
        waiting = self.instance.get_run_records(dg.RunsFilter(run_ids=list(state.running))) if state.running else ()
        ours = {record.dagster_run.run_id: record for record in (*waiting, *filter(self._is_ours, new))}
        over = [record for record in ours.values() if record.dagster_run.status in _ENDS]
        over.sort(key=lambda record: (record.end_time or 0, record.storage_id))
        runs = [self.observed(record) for record in over[:_AT_ONCE]]
        judged = {run.run_id for run in runs}
        seen = (*state.seen, *(record.dagster_run.run_id for record in new))[-_REMEMBERED:]
        running = tuple(run_id for run_id in ours if run_id not in judged)
        return runs, replace(state, seen=seen, running=running)

    def _created(self, seen: tuple[str, ...]) -> list[RunRecord]:
        """Read the runs that were created after those that were seen, the oldest first."""
        anchor = next((run_id for run_id in seen[-_OVERLAP:] if self.instance.get_run_by_id(run_id)), None)
        if anchor is None:  # the first look, or somebody deleted the runs
            found = self.instance.get_run_records(limit=_AT_ONCE)[::-1]
        else:
            found = self.instance.get_run_records(cursor=anchor, limit=_PAGE, ascending=True)
        there = set(seen)
        return [record for record in found if record.dagster_run.run_id not in there]

    def _is_ours(self, record: RunRecord) -> bool:
        origin = record.dagster_run.remote_job_origin
        return not self.location or origin is None or origin.location_name == self.location

    def observed(self, record: RunRecord) -> Run:
        """Read how a run ended, and how its checks came out."""
        run = record.dagster_run
        selected = {key.to_user_string() for key in run.asset_selection or ()}
        every_day = {name for name, contract in self.graph.contracts().items() if contract.cadence == "daily"}
        whole = not selected or selected >= {*every_day, RELEASE}
        told = [(event.dagster_event, event) for event in self.instance.all_logs(run.run_id, of_type=_TOLD)]
        events = [(event, entry.user_message) for event, entry in told if event is not None]
        return Run(
            run_id=run.run_id,
            job=DAILY if selected and whole else run.job_name,
            end=_ENDS[run.status],
            days=_days(run.tags),
            selected=() if whole else tuple(sorted(selected)),
            evaluations=tuple(
                self._evaluation(event)
                for event, _ in events
                if event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION
            ),
            failures=_failures(events) if run.status == dg.DagsterRunStatus.FAILURE else {},
            released=any(event.is_step_success and event.step_key == RELEASE for event, _ in events),
        )

    def _evaluation(self, event: dg.DagsterEvent) -> Evaluation:
        told = event.asset_check_evaluation_data
        asset = told.asset_key.to_user_string()
        contracts = self.graph.contracts()
        rules, samples = _rules(told.metadata, told.description or "") if not told.passed else ((), ())
        return Evaluation(
            asset=asset,
            check=told.check_name,
            passed=told.passed,
            severity="error" if told.severity == dg.AssetCheckSeverity.ERROR else "warning",
            by_day=asset in contracts and _is_by_day(contracts[asset], told.check_name),
            days=_failing_days(told.metadata),
            rules=rules,
            samples=samples,
            step=event.step_key or "",
        )

    # --- the newest release -------------------------------------------------------------------------------------------

    def _released(self, state: AlertState) -> tuple[list[Observation], AlertState]:
        """Look at the newest release, where a run may have changed it or another day has become due."""
        due = self._due(state)
        if not state.unread and due == state.due:
            return [], state
        try:
            seen = self._read_release(due)
        except LakeError as error:
            self.logger.warning("the newest release cannot be read; the next tick tries again: %s", clean(str(error)))
            return [], state
        return seen, replace(state, unread=False, due=due)

    def _due(self, state: AlertState) -> dt.date | None:
        """Return the day that is due; None where there is none."""
        due = due_day(self.clock(), self.project.daily.fresh_by, ZoneInfo(self.project.time_zone))
        if self.project.last_day is not None and due > self.project.last_day:
            # of data that has ended, nothing new is due; what was missed stays so until it is there
            return self.project.last_day if DEADLINE in state.book.open else None
        return due if due >= self.project.first_day else None

    def _read_release(self, due: dt.date | None) -> list[Observation]:
        seen: list[Observation] = []
        with open_lake(self.settings, self.project.name) as lake:
            release = latest_release(lake)
            if due is not None:
                by_day = [name for name, contract in self.graph.contracts().items() if contract.day]
                behind = [name for name in by_day if due not in release.covered.get(name, DaySet())]
                seen.append(Due(due, tuple(behind) if release.number else ("all of them: there is no release yet",)))
            version = release.versions.get(EXPERIMENT_VERDICTS.table)
            if version is not None:
                rows = lake.read(EXPERIMENT_VERDICTS, version=version).order_by("experiment", "variant")
                names = ("experiment", "variant", "verdict", "because", "owner")
                found = lake.engine.rows(rows.select(*names))
                seen.append(Verdicts(tuple(Verdict(*(clean(row[name] or "") for name in names)) for row in found)))
        return seen

    # --- delivery -----------------------------------------------------------------------------------------------------

    def _delivered(self, state: AlertState, began: float) -> AlertState:
        """Deliver what is due, as long as there is time; what becomes of each message is recorded at once."""
        resting: set[str] = set()
        while time.monotonic() - began < _BUDGET:
            waiting = next_due(state.outbox, self.clock(), resting=resting)
            if waiting is None:
                break
            failure = self._try(waiting)
            if failure is None:
                state = replace(state, outbox=delivered(state.outbox, waiting))
            else:
                resting.add(waiting.channel)
                self.logger.warning("a message was not delivered: %s", failure.reason)
                outbox, lost = failed(state.outbox, waiting, failure, self.clock())
                state = replace(state, outbox=outbox)
                if lost is not None:
                    self.logger.error("given up after %s tries: %s. It said:", lost.tries, lost.reason)
                    log(lost.message, self.logger, samples=self.project.alerts.channel(lost.channel).samples)
            state = self._learn(state, [self._channels(state)])
            self._save(state)
        return state

    def _try(self, waiting: Waiting) -> Failure | None:
        alerts = self.project.alerts
        if waiting.channel not in alerts.channels and waiting.channel != LOG:
            return Failure(f"the project has no channel {waiting.channel} any more", transient=False)
        channel = alerts.channel(waiting.channel)
        return self.deliver(waiting.message, waiting.channel, channel, self.settings.environment, logger=self.logger)


def alert_sensor(graph: Graph, project: Project, settings: Settings) -> dg.SensorDefinition:
    """Make the sensor that tells people of problems.

    Args:
        graph: The tables of the project.
        project: Says who is told, and how.
        settings: Say whether it runs by itself, and where the UI is.
    """
    at_work = threading.Lock()

    @dg.sensor(
        name=ALERTS,
        minimum_interval_seconds=SECONDS,
        default_status=sensor_status(settings),
        description="Tell people of failing checks, failed runs, missed deadlines and changed verdicts, once each.",
    )
    def alerts(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        if not at_work.acquire(blocking=False):
            return dg.SkipReason("The tick before is still at work")
        try:
            origin = context.code_location_origin
            location = origin.location_name if origin else ""
            state = Tick(context.instance, graph, project, settings, location, context.log).run()
        finally:
            at_work.release()
        return dg.SkipReason(
            f"open problems: {len(state.book.open)}, messages on their way: {len(state.outbox.waiting)}, "
            f"given up: {len(state.outbox.undelivered)}"
        )

    return alerts


def _days(tags: Mapping[str, str]) -> Days | None:
    """Read the days of a run from its tags; None for a run without, or of other partitions."""
    try:
        return days_of(tags)
    except ValueError:
        return None


def _is_by_day(contract: Contract, check: str) -> bool:
    """Say whether a check judges the days of its run alone, so that another day's run says nothing of them."""
    return contract.day is not None or any(isinstance(rule, Quiet) and rule.check == check for rule in contract.rules)


def _failures(events: Iterable[tuple[dg.DagsterEvent, str]]) -> dict[str, str]:
    """Return what failed, in words, by step; of a run that was killed, what Dagster says of it."""
    steps: dict[str, str] = {}
    run: dict[str, str] = {}
    for event, message in events:
        if event.is_step_failure:
            failure = event.step_failure_data
            foreseen = failure.user_failure_data
            steps[event.step_key or ""] = clean((foreseen and foreseen.description) or _innermost(failure.error))
        elif event.is_run_failure:
            run["run"] = clean(event.message or message)
    return steps or run


def _failing_days(metadata: Mapping[str, Any]) -> DaySet:
    """Read the days that fail; none where the check does not name them all."""
    text = str(getattr(metadata.get("days"), "value", "") or "")
    return DaySet() if "more" in text else DaySet.of(dt.date.fromisoformat(day) for day in _DATE.findall(text))


def _rules(metadata: Mapping[str, Any], description: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Read the rules that are broken, in words, and keys of rows that break them."""
    table = metadata.get("rules")
    records = [record.data for record in getattr(table, "records", ())]
    broken_rules = [record for record in records if record.get("violations")]
    if not broken_rules:
        return ((clean(description),) if description else ()), ()
    rules = []
    samples: list[str] = []
    for record in broken_rules:
        count = int(record["violations"])
        rules.append(clean(f"{record['rule']} ({record['severity']}): {count:,} row{'s' if count != 1 else ''}"))
        samples += [clean(sample) for sample in str(record.get("samples") or "").split("; ") if sample]
    return tuple(rules), tuple(samples)


def _innermost(error: Any) -> str:  # noqa: ANN401 - Dagster's serialized error, or nothing
    """Return the message at the root of a chain of errors."""
    while (cause := getattr(error, "cause", None)) is not None:
        error = cause
    return str(getattr(error, "message", error) or "it failed").strip()
