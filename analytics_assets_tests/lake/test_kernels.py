from __future__ import annotations

import datetime as dt
import random
from collections.abc import Mapping
from typing import Any

import ibis
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics_assets.analysis import funnel as asked_of
from analytics_assets.analysis import sessions as told_by
from analytics_assets.analysis.funnel import Breakdown, Exclusion, Funnel, Step, chosen
from analytics_assets.lake.duckdb import DuckDBEngine
from analytics_assets.lake.kernels import funnel as funnels
from analytics_assets.lake.kernels import sessions
from analytics_assets_tests.making import at, table

TYPES = {
    "event_id": "string",
    "user_id": "string",
    "day": "date",
    "occurred_at": "timestamp('UTC', 6)",
    "event_type": "string",
    "device": "string",
}
TINY = dt.timedelta(microseconds=1)
GAPS = [dt.timedelta(0), TINY, dt.timedelta(seconds=900), dt.timedelta(seconds=1800) - TINY]
GAPS += [dt.timedelta(seconds=1800), dt.timedelta(seconds=1800) + TINY, dt.timedelta(hours=7)]
STARTS = [at("01 12:00"), at("30 23:00"), dt.datetime(1969, 12, 31, 23, 30, tzinfo=dt.UTC)]
WINDOWS = [None, dt.timedelta(0), *GAPS[2:], dt.timedelta(days=1)]


def event(number: int, moment: dt.datetime, user: str | None, kind: str | None, device: str | None = None):
    return {
        "event_id": f"e{number}",
        "user_id": user,
        "day": moment.date(),
        "occurred_at": moment,
        "event_type": kind,
        "device": device,
    }


@st.composite
def streams(draw: st.DrawFn) -> list[Mapping[str, Any]]:
    moment, events = draw(st.sampled_from(STARTS)), []
    for number in range(draw(st.integers(0, 30))):
        moment += draw(st.sampled_from(GAPS))
        user = draw(st.sampled_from(["ann", "ann", "bob", "", None]))
        kind = draw(st.sampled_from(["A", "A", "B", "C", "D", "X", None]))
        events.append(event(number, moment, user, kind, draw(st.sampled_from(["phone", None]))))
    return draw(st.permutations(events))


def same(engine, found: ibis.Table, wanted: ibis.Table) -> int:
    """Hold two tables to have the same rows, and columns of the same types."""
    assert found.schema() == wanted.schema()
    rows = [sorted(engine.rows(rows), key=repr) for rows in (found, wanted.select(*found.columns))]
    assert rows[0] == rows[1]
    return len(rows[0])


def on_phone(events: ibis.Table) -> ibis.Value:
    return events.device == "phone"


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    events=streams(),
    count=st.integers(1, 4),
    window=st.sampled_from(WINDOWS),
    where=st.sampled_from([(), (), (on_phone,)]),
    first=st.sampled_from([False, False, True]),
)
def test_attempts_are_those_of_the_ibis_form(engine, events, count, window, where, first):
    steps = (Step("A", "A", where, first=first), *(Step(name, name, where) for name in "BCD"))
    funnel = Funnel(steps[:count], window=window)
    rows, as_of = table(TYPES, *events), at("31 12:00")
    found = funnels.attempts(rows, funnel, as_of=as_of, keep=("day",))
    wanted = asked_of.attempts(rows, funnel, as_of=as_of, keep=("day",))
    same(engine, found.select(*wanted.columns), wanted)
    same(engine, chosen(found, funnel), chosen(wanted, funnel))


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(events=streams(), gap=st.sampled_from([0, 1, 900, 1800, 25_200]))
def test_spans_are_those_of_the_ibis_form(engine, events, gap):
    rows = table(TYPES, *events)
    same(engine, sessions.session_spans(rows, gap), told_by.session_spans(rows, gap) if gap else _by_name(rows))


def _by_name(rows: ibis.Table) -> ibis.Table:
    """Sum up sessions that no pause at all is inside of."""
    named = told_by.sessionize(rows.mutate(session_id=ibis.null("string")), gap=0)
    sums = named.filter(named.session_id.notnull()).group_by(["user_id", "day", "session_id"])
    spans = sums.aggregate(
        started_at=ibis._.occurred_at.min(), ended_at=ibis._.occurred_at.max(), events=ibis._.count()
    )
    return spans.drop("session_id")


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Make many events on an engine with several threads and little memory, in files of no order."""
    chance = random.Random(7)
    opened = DuckDBEngine(memory="200MB", threads=4)
    rows = []
    for number in range(60_000):
        user = None if number % 97 == 0 else f"u{int(3000 * chance.random() ** 2)}"
        moment = at("01 00:00") + dt.timedelta(seconds=chance.randrange(20 * 86_400) // 60 * 60)
        rows.append(event(number, moment, user, chance.choice("AAABBCDX")))
    folder = tmp_path_factory.mktemp("many")
    for part in range(4):
        opened.write(table(TYPES, *rows[part::4]), str(folder), None, f"part{part}")
    yield opened.table("many", sorted(map(str, folder.glob("*.parquet"))), TYPES, None), opened
    opened.close()


@pytest.mark.slow
def test_over_many_rows_threads_and_files_the_answers_are_the_same(many):
    rows, engine = many
    funnel = Funnel(tuple(Step(name, name) for name in "ABCD"), window=dt.timedelta(days=2))
    wanted = asked_of.attempts(rows, funnel, keep=("day",))
    assert same(engine, funnels.attempts(rows, funnel, keep=("day",)).select(*wanted.columns), wanted) > 20_000
    assert same(engine, sessions.session_spans(rows), told_by.session_spans(rows)) > 20_000


def test_the_rows_are_sorted_once_and_streamed(many):
    rows, engine = many
    funnel = Funnel(tuple(Step(name, name) for name in "ABCD"), window=dt.timedelta(days=2))
    for found in (funnels.attempts(rows, funnel), sessions.session_spans(rows)):
        query = engine.backend.compile(found)
        ((_, plan),) = engine.backend.con.execute(f"EXPLAIN {query}").fetchall()
        assert plan.count("ORDER_BY") == 1
        assert "STREAMING_WINDOW" in plan
        assert plan.count("WINDOW") == plan.count("STREAMING_WINDOW")
    assert engine.backend.con.execute("SELECT current_setting('preserve_insertion_order')").fetchone() == (True,)


@pytest.mark.parametrize(
    "funnel",
    [
        Funnel((Step("a", "A"), Step("again", "A"))),
        Funnel((Step("any"), Step("b", "B"))),
        Funnel((Step("a", "A"), Step("b", "B", optional=True), Step("c", "C"))),
        Funnel((Step("a", "A"), Step("b", "B")), exclusions=(Exclusion("X"),)),
        Funnel((Step("a", "A"), Step("b", "B")), order="strict"),
        Funnel((Step("a", "A"), Step("b", "B")), order="unordered"),
        Funnel((Step("a", "A"), Step("b", "B")), breakdown=Breakdown(("device",))),
        Funnel((Step("a", "A"), Step("b", "B")), breakdown=Breakdown(("device",), "all_events")),
    ],
)
def test_what_the_kernel_cannot_do_is_left_to_the_ibis_form(engine, funnel):
    chance = random.Random(3)
    moments = [at("01 12:00") + dt.timedelta(seconds=chance.randrange(60)) for _ in range(200)]
    rows = table(
        TYPES,
        *(
            event(n, moment, chance.choice("uvw"), chance.choice("ABCX"), chance.choice(["phone", None]))
            for n, moment in enumerate(moments)
        ),
    )
    found = funnels.attempts(rows, funnel)
    assert "STREAMING" not in engine.backend.compile(found)
    same(engine, found, asked_of.attempts(rows, funnel))


@pytest.mark.slow
def test_one_user_may_have_a_hundred_thousand_events(engine):
    moments = [at("01 00:00") + dt.timedelta(seconds=n) for n in range(100_000)]
    kinds = ["A"] * 99_998 + ["B", "C"]
    rows = table(TYPES, *(event(n, m, "ann", k) for n, (m, k) in enumerate(zip(moments, kinds, strict=True))))
    funnel = Funnel((Step("a", "A"), Step("b", "B"), Step("c", "C")), window=dt.timedelta(seconds=10))
    found = funnels.attempts(rows, funnel)
    assert engine.rows(found.group_by("deepest").aggregate(n=ibis._.count()).order_by("deepest")) == [
        {"deepest": 1, "n": 99_988},
        {"deepest": 2, "n": 1},
        {"deepest": 3, "n": 9},
    ]
    (span,) = engine.rows(sessions.session_spans(rows.mutate(day=ibis.date("2024-03-01"))))
    assert (span["events"], span["ended_at"]) == (100_000, moments[-1])
