from __future__ import annotations

import datetime as dt
import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics_assets.analysis.paths import Paths, path_edges, transition_matrix
from analytics_assets.analysis.sessions import sessionize
from analytics_assets_tests.making import at, day, table

TYPES = {
    "session_id": "string",
    "event_type": "string",
    "occurred_at": "timestamp('UTC', 6)",
    "event_id": "string",
    "user_id": "string",
    "day": "date",
}
Event = dict[str, Any]


def walks(*sessions: str | None, seconds: int = 1) -> list[Event]:
    """Make sessions of events called by single letters, one after the other."""
    return [
        {
            "session_id": f"s{number}",
            "event_type": letter,
            "occurred_at": at("01 12:00") + dt.timedelta(seconds=seconds * place),
            "event_id": f"{place:03}",
        }
        for number, letters in enumerate(sessions)
        for place, letter in enumerate(letters or "")
    ]


def edges(engine, events: Sequence[Event], **says: Any) -> dict[str, int]:
    found = engine.rows(path_edges(table(TYPES, *events), Paths(**says)))
    named = {f"{edge['step']}{edge['source']}>{edge['target']}": edge["sessions"] for edge in found}
    assert len(named) == len(found)
    return named


def test_edges_go_from_each_step_to_the_next_and_count_sessions(engine):
    assert edges(engine, walks("abc", "ab", "ba", "a")) == {"1a>b": 2, "2b>c": 1, "1b>a": 1}


def test_a_path_has_no_more_steps_than_asked_for(engine):
    assert edges(engine, walks("abcd"), steps=3) == {"1a>b": 1, "2b>c": 1}


def test_an_event_that_repeats_itself_is_one_step_unless_told_otherwise(engine):
    assert edges(engine, walks("aabba")) == {"1a>b": 1, "2b>a": 1}
    assert edges(engine, walks("aab"), collapse_repeats=False) == {"1a>a": 1, "2a>b": 1}


def test_a_path_starts_where_its_start_first_occurs(engine):
    assert edges(engine, walks("xabac", "xx", "ca"), start="a") == {"1a>b": 1, "2b>a": 1, "3a>c": 1}


def test_a_path_ends_where_its_end_first_occurs_and_is_counted_back_from_there(engine):
    assert edges(engine, walks("abzcz", "bz", "ab"), end="z") == {"-1b>z": 2, "-2a>b": 1}
    assert edges(engine, walks("abcz"), end="z", steps=3) == {"-1c>z": 1, "-2b>c": 1}


def test_with_both_a_path_goes_from_the_start_to_the_first_end_after_it(engine):
    assert edges(engine, walks("zabzc", "za"), start="a", end="z") == {"1a>b": 1, "2b>z": 1}


def test_the_rarer_events_of_a_step_are_one_and_no_session_is_lost(engine):
    events = walks("ab", "ab", "ac", "db", "eb")
    assert edges(engine, events, nodes=1) == {"1a>b": 2, "1a>(other)": 1, "1(other)>b": 2}
    pooled = engine.rows(path_edges(table(TYPES, *events), Paths(nodes=1)))
    assert {(e["source"], e["target"]): e["pooled"] for e in pooled} == {
        ("a", "b"): 1,
        ("a", "(other)"): 1,
        ("(other)", "b"): 2,
    }


def test_the_rarer_edges_are_one_a_step(engine):
    events = walks("abx", "abx", "aby", "ac", "dc")
    found = engine.rows(path_edges(table(TYPES, *events), Paths(edges=2)))
    assert {(e["step"], e["source"], e["target"]): (e["sessions"], e["pooled"]) for e in found} == {
        (1, "a", "b"): (3, 1),
        (2, "b", "x"): (2, 1),
        (1, "(other)", "(other)"): (2, 2),
        (2, "(other)", "(other)"): (1, 1),
    }


def test_what_ranks_equal_is_taken_in_the_order_of_step_and_names(engine):
    assert edges(engine, walks("cd", "ab", "ba"), edges=1) == {"1a>b": 1, "1(other)>(other)": 2}
    assert edges(engine, walks("cd", "ab", "ba"), nodes=1) == {"1a>(other)": 1, "1(other)>a": 1, "1(other)>(other)": 1}


def test_events_at_one_time_are_in_the_order_of_their_ids(engine):
    assert edges(engine, list(reversed(walks("bac", seconds=0)))) == {"1b>a": 1, "2a>c": 1}


def test_events_without_a_session_are_in_no_path(engine):
    events = [{**event, "session_id": None} for event in walks("ab")]
    assert edges(engine, events) == {}
    assert engine.rows(transition_matrix(table(TYPES, *events))) == []


def test_without_events_there_are_no_paths(engine):
    assert edges(engine, [], start="a", nodes=2, edges=2) == {}


def test_a_path_of_one_step_is_refused():
    with pytest.raises(ValueError, match="two steps or more, not 1"):
        Paths(steps=1)


def test_sessions_end_a_path(engine):
    moments = ("01 12:00", "01 12:30", "01 13:00:01", "01 23:59", "02 00:01")
    events = [
        {"user_id": user, "event_type": kind, "event_id": kind, "day": day(int(moment[:2])), "occurred_at": at(moment)}
        for kind, moment in zip("abcde", moments, strict=True)
        for user in ("ann", None)
    ]
    acted = sessionize(table(TYPES, *events))
    assert {(e["source"], e["target"]) for e in engine.rows(path_edges(acted, Paths()))} == {("a", "b")}


def test_transitions_are_counted_over_all_of_a_session_and_shared_out_by_source(engine):
    found = engine.rows(transition_matrix(table(TYPES, *walks("ababc", "ad"))))
    assert {(r["source"] + r["target"]): (r["transitions"], r["share"]) for r in found} == {
        "ab": (2, pytest.approx(2 / 3)),
        "ad": (1, pytest.approx(1 / 3)),
        "ba": (1, 0.5),
        "bc": (1, 0.5),
    }


def test_repeats_are_transitions_unless_told_otherwise(engine):
    for collapse, count in ((False, 2), (True, 1)):
        assert len(engine.rows(transition_matrix(table(TYPES, *walks("aab")), collapse_repeats=collapse))) == count


def naive(events: Sequence[Event], paths: Paths) -> dict[tuple[int, str, str], int]:
    sessions: dict[str, list[str]] = {}
    for event in sorted(events, key=lambda e: (e["occurred_at"], e["event_id"])):
        if event["session_id"]:
            sessions.setdefault(event["session_id"], []).append(event["event_type"])
    edges: Counter[tuple[int, str, str]] = Counter()
    for walked in sessions.values():
        path = [e for n, e in enumerate(walked) if not (paths.collapse_repeats and n and walked[n - 1] == e)]
        if paths.start is not None:
            path = path[path.index(paths.start) :] if paths.start in path else []
        if paths.end is not None:
            path = path[: path.index(paths.end) + 1] if paths.end in path else []
        back = paths.end is not None and paths.start is None
        path = path[-paths.steps :] if back else path[: paths.steps]
        first = 1 - len(path) if back else 1
        for number, pair in enumerate(itertools.pairwise(path)):
            edges[first + number, *pair] += 1
    return dict(edges)


events = st.lists(
    st.builds(
        lambda session, kind, second: {
            "session_id": session,
            "event_type": kind,
            "occurred_at": at("01 12:00") + dt.timedelta(seconds=second),
        },
        st.sampled_from(["s1", "s2", "s3", None]),
        st.sampled_from("abcd"),
        st.integers(0, 6),
    ),
    max_size=30,
).map(lambda happened: [{**event, "event_id": f"{number:03}"} for number, event in enumerate(happened)])
wanted = st.builds(
    Paths,
    steps=st.integers(2, 6),
    start=st.sampled_from([None, None, "a", "x"]),
    end=st.sampled_from([None, None, "b", "a"]),
    collapse_repeats=st.booleans(),
)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(events, wanted, st.randoms(use_true_random=False))
def test_edges_are_those_of_walking_through_each_session_in_any_order_of_rows(engine, happened, paths, random):
    expected = naive(happened, paths)
    random.shuffle(happened)
    found = engine.rows(path_edges(table(TYPES, *happened), paths))
    assert {(edge["step"], edge["source"], edge["target"]): edge["sessions"] for edge in found} == expected


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(events, st.integers(0, 3), st.integers(0, 4), st.randoms(use_true_random=False))
def test_pooling_keeps_every_transition_of_every_step(engine, happened, nodes, most, random):
    def totals(rows: Sequence[Mapping[str, Any]]) -> dict[int, tuple[int, int]]:
        steps = {row["step"] for row in rows}
        return {s: tuple(sum(r[n] for r in rows if r["step"] == s) for n in ("sessions", "pooled")) for s in steps}

    everything = engine.rows(path_edges(table(TYPES, *happened), Paths()))
    for says in ({"nodes": nodes}, {"edges": most}, {"nodes": nodes, "edges": most}):
        pooled = engine.rows(path_edges(table(TYPES, *happened), Paths(**says)))
        assert totals(pooled) == totals(everything)
        random.shuffle(happened)
        again = engine.rows(path_edges(table(TYPES, *happened), Paths(**says)))
        assert sorted(map(str, again)) == sorted(map(str, pooled))
