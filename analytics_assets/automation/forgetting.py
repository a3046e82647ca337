"""A person's rows are deleted: found in every table, taken out of every version, and left out if they come again.

Belongs here: the order in which that is done, so that being killed between any two steps leaves a readable lake and a
command that can be run again. Does not belong here: which rows are a person's (`assets.people`), the hashes and
receipts (`lake.suppression`), and asking before it is done (`cli`).

The order: hashes of the person's ids are remembered (from then on, rows that come are left out); tables are written
anew without the rows, the receipt is written, and one commit makes the new release the only one. Then the files go that
it does not show; exports, copies of dead runs and the history follow; last, marts are computed anew by a run.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from analytics_assets.assets.catalog import resolve
from analytics_assets.assets.people import ORDER, USER, VISITOR, Person, of_person, values
from analytics_assets.automation.history import Scrubbed, history_database, scrub
from analytics_assets.contracts.model import UNKNOWN_MEMBER
from analytics_assets.contracts.star import MAP_IDENTITY
from analytics_assets.lake.days import Days, DaySet
from analytics_assets.lake.errors import LakeError
from analytics_assets.lake.files import Files
from analytics_assets.lake.lock import clear_dead_runs
from analytics_assets.lake.releases import Release, keep_releases, latest_release
from analytics_assets.lake.suppression import RECEIPTS, SUPPRESSED, receipts, suppress, suppressed, write_receipt
from analytics_assets.lake.vacuum import Removed, clear
from analytics_assets.outlets.files import write_csv

if TYPE_CHECKING:
    import dagster as dg
    from ibis.expr.types import BooleanValue, Table

    from analytics_assets.automation.runtime import Runtime
    from analytics_assets.contracts.model import Contract
    from analytics_assets.lake.tables import Lake
    from analytics_assets.project.model import Project
    from analytics_assets.settings import Settings

_NAMES_PERSONS = {"user_id", "anonymous_id", "unit", "session_id", "email"}
_PLACE = ("source", "feed", "file", "row_number")
_AT_ONCE = dt.timedelta(days=36_500)


@dataclass(frozen=True)
class Sighting:
    """Say where a person's rows are.

    Attributes:
        person: The person's ids, as far as tables tell.
        release: The release that was looked at.
        rows: Rows by table; tables without any are not named.
        days: Of tables that are kept by day, the days of these rows.
        since: When the person was deleted before; None where that never was.
        strangers: Tables of the release that know persons and that nothing in the project makes any more.
    """

    person: Person
    release: Release
    rows: Mapping[str, int]
    days: Mapping[str, DaySet] = field(default_factory=dict)
    since: dt.datetime | None = None
    strangers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Receipt:
    """Say what was done about a person, without saying who it was.

    Attributes:
        person: The salted hash of the user's id.
        deleted_at: When the rows were deleted.
        rows: Deleted rows by table.
        release: The only release that is left; older ones are forgotten.
        removed: What went of the tables' files.
        exports: Files that were written anew or removed.
        history: What was taken out of Dagster's history.
        computed: Tables that a run computed anew afterwards.
        failed: Why that run failed; empty where it did not.
    """

    person: str
    deleted_at: dt.datetime
    rows: Mapping[str, int]
    release: int
    removed: Mapping[str, Removed]
    exports: tuple[str, ...] = ()
    history: Scrubbed = field(default_factory=lambda: Scrubbed(0))
    computed: tuple[str, ...] = ()
    failed: str = ""


def find(lake: Lake, project: Project, user: str) -> Sighting:
    """Look for a person's rows in every table of the newest release.

    Raises:
        LakeError: Where the id stands for nobody.
    """
    if not user or user == UNKNOWN_MEMBER:
        raise LakeError(f"{user or 'an empty id'} is nobody: it stands for users that are not known")
    release = latest_release(lake)
    if not release.number:
        raise LakeError(f"there is no release in {lake.root} yet, and so nobody's rows")
    contracts = resolve(project).contracts()
    person = identify(lake, release, contracts, user)
    rows: dict[str, int] = {}
    days: dict[str, DaySet] = {}
    for name, version in release.versions.items():
        says = None
        if name in contracts:
            table = lake.read(contracts[name], version=version)
            says = _whose(lake, table, contracts[name], contracts, release, person, project)
        if says is None:
            continue
        day = contracts[name].day
        own = table.filter(says)
        counting = own.group_by(day=own[day]) if day else own
        counted = lake.engine.rows(counting.aggregate(n=own.count()))
        if count := sum(row["n"] for row in counted):
            rows[name] = count
            if day:
                days[name] = DaySet.of(row["day"] for row in counted)
    strangers = [name for name in release.versions if name not in contracts and _knows_persons(lake, name)]
    return Sighting(person, release, rows, days, suppressed(lake).known(USER, user), tuple(strangers))


def identify(lake: Lake, release: Release, contracts: Mapping[str, Contract], user: str) -> Person:
    """Find what else names a user: visitors who are known to be the user, orders, sessions."""

    def table(name: str) -> Table | None:
        there = name in release.versions and name in contracts
        return lake.read(contracts[name], version=release.versions[name]) if there else None

    visitors: frozenset[str] = frozenset()
    known = table(MAP_IDENTITY.table)
    if known is not None:
        visitors = values(lake.engine.rows(known.filter(known.user_id == user).select("anonymous_id")), "anonymous_id")
    orders: frozenset[str] = frozenset()
    lines = table("staged_order_lines")
    if lines is not None:
        ordered = lines.filter(lines.order_id.notnull(), lines.user_id.notnull())
        by_order = ordered.group_by("order_id").aggregate(least=ordered.user_id.min(), most=ordered.user_id.max())
        own = by_order.filter(
            by_order.least == user, by_order.most == user
        )  # an order that two users share is nobody's
        orders = values(lake.engine.rows(own.select("order_id")), "order_id")
    sessions: frozenset[str] = frozenset()
    events = table("fact_events")
    if events is not None:
        own = events.filter(events.user_id.isin([user, *sorted(visitors)])).select("session_id").distinct()
        sessions = values(lake.engine.rows(own), "session_id")
    return Person(user, visitors, orders, sessions)


def _whose(
    lake: Lake,
    table: Table,
    contract: Contract,
    contracts: Mapping[str, Contract],
    release: Release,
    person: Person,
    project: Project,
) -> BooleanValue | None:
    """Say of each row whether it is the person's; a staged row is what its raw row is, even if it could not be read."""
    layer, _, name = contract.table.partition("_")
    origin = f"raw_{name}"
    if layer != "staged" or origin not in contracts or origin not in release.versions:
        return of_person(table, contract, person, project)
    raw = lake.read(contracts[origin], version=release.versions[origin])
    says = of_person(raw, contracts[origin], person, project)
    if says is None:
        return None
    own = raw.filter(says)
    return _place(table).isin(own.select(place=_place(own)).place)


def _place(rows: Table) -> Any:  # noqa: ANN401 - a text, as Ibis has it
    """Name the place of a delivered row by a text."""
    day = rows.delivery_day.cast("string").fill_null("")
    return day.concat("\x1f", *(part for name in _PLACE for part in (rows[name].cast("string"), "\x1f")))


def _knows_persons(lake: Lake, name: str) -> bool:
    table = lake.open(name)
    return table is not None and bool({column.name for column in table.schema().fields} & _NAMES_PERSONS)


def forget(runtime: Runtime, project: Project, settings: Settings, sighting: Sighting, now: dt.datetime) -> Receipt:
    """Delete the rows that were found; where there are none, see that nothing is left of an earlier deletion.

    Args:
        runtime: Holds the lake.
        project: The project.
        settings: Say where exports and the history are.
        sighting: What was found.
        now: The time.
    """
    lake = runtime.lake
    contracts = resolve(project).contracts()
    person, release = sighting.person, sighting.release
    if sighting.rows:
        known = {kind: person.ids[kind] for kind in (USER, VISITOR, ORDER)}
        hashes = suppress(lake, known, runtime.run_id, now)
        versions = dict(release.versions)
        for name in sighting.rows:
            versions[name] = _without(runtime, contracts, sighting, name, project)
        for name in sighting.strangers:
            del versions[name]
            lake.undo(name, None)
        release = replace(
            release,
            number=release.number + 1,
            run_id=runtime.run_id,
            versions=versions,
            released_at=now,
            computed_at={name: at for name, at in release.computed_at.items() if name in versions},
            covered={name: days for name, days in release.covered.items() if name in versions},
        )
        write_receipt(lake, hashes.hash(person.user), sighting.rows, release.number, runtime.run_id, now)
        keep_releases(lake, [release], runtime.run_id)
    hashed = suppressed(lake).hash(person.user)
    told = [row for row in receipts(lake, hashed) if row["release"] <= release.number]
    return Receipt(
        person=hashed,
        deleted_at=max((row["deleted_at"] for row in told), default=sighting.since or now),
        rows=sighting.rows,
        release=release.number,
        removed=_purge(lake, release, now),
        exports=_exports(lake, release, contracts, project, settings),
        history=scrub(settings.history, [person.user, *sorted(person.visitors)], history_database(settings)),
    )


def _without(
    runtime: Runtime, contracts: Mapping[str, Contract], sighting: Sighting, name: str, project: Project
) -> int:
    """Write a table anew without the person's rows, of the days that have some; return the version."""
    lake, contract = runtime.lake, contracts[name]
    table = lake.read(contract, version=sighting.release.versions[name])
    if contract.day is not None:
        table = table.filter(table[contract.day].isin(list(sighting.days[name])))
    says = _whose(lake, table, contract, contracts, sighting.release, sighting.person, project)
    if says is None:
        raise LakeError(f"{name} knows no persons")
    staged = lake.stage(contract, table.filter(~says), sighting.days.get(name), together=True)
    (left,) = lake.engine.rows(table.aggregate(n=table.count()))
    if staged.rows != left["n"] - sighting.rows[name]:
        lake.discard(staged)
        raise LakeError(
            f"of {name}, {left['n'] - staged.rows} rows would have been deleted instead of {sighting.rows[name]}, so "
            "nothing was changed. Run the command again; if this stays so, please report it."
        )
    return lake.publish(staged, runtime.run_id).version


def _purge(lake: Lake, release: Release, now: dt.datetime) -> dict[str, Removed]:
    """Remove every file of a table that knows persons and that the release does not show, at once."""
    files = Files(lake.root)
    clear_dead_runs(lake.root)
    own = {RECEIPTS.table, SUPPRESSED.table}
    tables = [name for name in files.tables() if name not in own and _knows_persons(lake, name)]
    removed = {name: clear(lake, files, name, [release], now + _AT_ONCE) for name in tables}
    lake.look_again()
    return {name: gone for name, gone in removed.items() if gone.files}


def _exports(
    lake: Lake, release: Release, contracts: Mapping[str, Contract], project: Project, settings: Settings
) -> tuple[str, ...]:
    """Write the exports anew, and remove files of other tables that an earlier `exports` named."""
    folder = settings.exports_folder(project.name)
    if not folder.is_dir():
        return ()
    written = write_csv(lake, release, contracts, project.exports, folder)
    names = set(contracts) - set(written)
    stale = [path for path in folder.glob("*.csv") if path.stem in names] + list(folder.glob(".*.csv.new"))
    for path in stale:
        path.unlink(missing_ok=True)
    return tuple(sorted(map(str, (*written.values(), *stale))))


def stale_marts(project: Project, release: Release, deleted_at: dt.datetime) -> tuple[str, ...]:
    """Name the tables that still count what was deleted: those without days, computed daily, from before."""
    return tuple(
        asset.name
        for asset in resolve(project).tables
        if asset.group != "staged"
        and asset.contract.day is None
        and asset.contract.cadence == "daily"
        and asset.name in release.versions
        and not (asset.name in release.computed_at and release.computed_at[asset.name] > deleted_at)
    )


def compute_marts(
    project: Project,
    settings: Settings,
    release: Release,
    names: tuple[str, ...],
    instance: dg.DagsterInstance | None = None,
) -> tuple[tuple[str, ...], str]:
    """Compute tables anew by a run of the last day; return those that were, and why the run failed, if it did."""
    from analytics_assets.automation.running import run

    if not names:
        return (), ""
    last = max((day for days in release.covered.values() for day in days), default=project.first_day)
    outcomes = run(project, settings, Days(last, last), select=" or ".join(names), instance=instance)
    failed = "; ".join(f"{step}: {why}" for outcome in outcomes for step, why in outcome.failures.items())
    computed = [report.table for outcome in outcomes for report in outcome.reports if report.version is not None]
    return tuple(dict.fromkeys(computed)), failed
