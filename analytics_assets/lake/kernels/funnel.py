"""Ordered funnels in one sorted pass of DuckDB; see `analysis.funnel` for what they are."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING

import ibis

from analytics_assets.analysis import funnel as asked_of
from analytics_assets.analysis.funnel import Funnel
from analytics_assets.lake.clocks import microseconds
from analytics_assets.lake.kernels.sql import on_duckdb, quoted, select

if TYPE_CHECKING:
    from ibis.expr.types import IntegerValue, Table, TimestampValue

MAX_STEPS = 32
"""So many steps are packed into one number with an instant of any year to 9999."""

_BITS = 5
_SO_FAR = "(ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)"
_DERIVED = ("position", "entered_at")
_NONE = -(1 << 63) + 1
"""What is left behind for the rows of the next unit: no instant is that early."""


def attempts(
    events: Table,
    funnel: Funnel,
    *,
    as_of: dt.datetime | None = None,
    since: dt.datetime | None = None,
    until: dt.datetime | None = None,
    keep: Sequence[str] = (),
) -> Table:
    """Follow every beginning of a funnel as far as it goes; see `analysis.funnel.attempts`."""
    ours = on_duckdb(events)
    return asked_of.attempts(
        events,
        funnel,
        as_of=as_of,
        since=since,
        until=until,
        keep=keep,
        microseconds=_counted if ours else None,
        follow=followed if ours and len(funnel.steps) <= MAX_STEPS else None,
    )


def _counted(instant: TimestampValue) -> IntegerValue:
    count: IntegerValue = microseconds(instant.cast("timestamp('UTC')"))
    return count


def followed(rows: Table, funnel: Funnel) -> Table:
    """Give each event that begins an attempt the times `t_N_` of the steps that follow.

    From the last event of a unit to its first, each row meets the next event of the step after its own, and what that
    one has met before: the next value that is not null. The first row met of a unit leaves `_NONE` behind, so that
    nothing is handed on to the unit before.

    Args:
        rows: The unit, `at_`, `first_` (the step that the event is, the only one), and what is handed on.
        funnel: Ordered, with steps that no event shares, none of which may be left out.
    """
    last = len(funnel.steps) - 1
    handed = [name for name in rows.columns if name not in _DERIVED and not name.endswith("_")]
    kinds = rows.schema()
    times = {f"t_{number}_": "int64" for number in range(1, last + 1)}
    own = ", ".join(map(quoted, handed))
    schema = ibis.schema(
        {name: kinds[name] for name in (*handed, *_DERIVED)} | dict.fromkeys(("at_", *times), ibis.dtype("int64"))
    )

    def query(name: str) -> str:
        unit = quoted(funnel.unit)
        found = f"SELECT {own}, at_ * {MAX_STEPS} + first_ AS key_ FROM {name}"  # noqa: S608
        found = f"SELECT *, {unit} IS DISTINCT FROM lag({unit}) OVER () AS turns_ FROM ({_sorted(found, unit)})"  # noqa: S608
        found = f"SELECT * EXCLUDE (key_), key_ >> {_BITS} AS at_, key_ & {MAX_STEPS - 1} AS step_ FROM ({found})"  # noqa: S608
        for number in range(last - 1, -1, -1):
            found = _met(found, own, number, last)
        answer = f"at_ AS position, make_timestamptz(at_) AS entered_at, at_, {', '.join(times)}".rstrip(", ")
        return f"SELECT {own}, {answer} FROM ({found}) WHERE step_ = 0"  # noqa: S608

    return select(rows, query, schema)


def _sorted(found: str, unit: str) -> str:
    return f"SELECT * FROM ({found}) ORDER BY {unit} DESC, key_ DESC"  # noqa: S608


def _met(found: str, own: str, number: int, last: int) -> str:
    """Let the rows of a step meet those of the next; later steps are gone through, but for the first row of a unit."""
    left = {f"t_{number + 1}_": "at_"}
    left |= {f"t_{later}_": f"coalesce(t_{later}_, {_NONE})" for later in range(number + 2, last + 1)}
    met = ", ".join(
        f"last_value(CASE WHEN step_ = {number + 1} THEN {value} WHEN turns_ THEN {_NONE} END IGNORE NULLS) "
        f"OVER {_SO_FAR} AS met_{time}"
        for time, value in left.items()
    )
    known = ", ".join(f"nullif(met_{time}, {_NONE}) AS {time}" for time in left)
    rows = f"{own}, at_, step_, turns_"
    return f"SELECT {rows}, {known} FROM (SELECT {rows}, {met} FROM ({found})) WHERE step_ <= {number} OR turns_"  # noqa: S608
