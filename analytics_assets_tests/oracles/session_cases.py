"""What cases about sessions and paths ask of `analysis.sessions` and `analysis.paths`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from zoneinfo import ZoneInfo

from analytics_assets.analysis.paths import Paths, path_edges
from analytics_assets.analysis.sessions import separate_sessions, sessionize
from analytics_assets_tests.oracles.reading import Case, Event, as_table, assert_same, events, instant, rows

ALL_STEPS = 1_000


def check_sessionize(case: Case) -> None:
    says, expected = case["definition"], case["expected"]
    midnight = says.get("reset_at_midnight")
    happened = events(case)
    if isinstance(midnight, str):
        zone = ZoneInfo(midnight)
        happened = [{**event, "day": event["occurred_at"].astimezone(zone).date()} for event in happened]
    sessions = sessions_of(happened, case)
    assert_same(
        {user: [[event["event_type"] for event in session] for session in of] for user, of in sessions.items()},
        {user: of for user, of in expected["sessions"].items() if of},
    )
    if "durations_seconds" in expected:
        durations = {
            user: [(session[-1]["occurred_at"] - session[0]["occurred_at"]).total_seconds() for session in of]
            for user, of in sessions.items()
        }
        assert_same(durations, {user: of for user, of in expected["durations_seconds"].items() if of})


def sessions_of(happened: Sequence[Event], case: Case) -> dict[str, list[list[Event]]]:
    """Give each user's sessions, each with its events, in the order of time."""
    says = case["definition"]
    midnight = bool(says.get("reset_at_midnight"))
    mode = says.get("mode") or "timeout"
    if mode == "property":
        named = [{**e, "session_id": str(e["props"][says["property"]])} for e in happened if _has(e, says["property"])]
        found = sessionize(as_table(named), gap=None, midnight=midnight)
    elif mode == "separator":
        separators = says["separator"]
        found = separate_sessions(
            as_table(happened), [separators] if isinstance(separators, str) else separators, midnight=midnight
        )
    else:
        found = sessionize(as_table(happened), gap=says.get("timeout_seconds", 1800), midnight=midnight)
    sessions: dict[str, dict[str, list[Event]]] = defaultdict(dict)
    for event in sorted(rows(found), key=lambda event: (event["occurred_at"], event["event_id"])):
        if event["session_id"] is not None:
            sessions[event["user_id"]].setdefault(event["session_id"], []).append(event)
    return {user: list(of.values()) for user, of in sessions.items()}


def _has(event: Event, name: str) -> bool:
    return event["props"].get(name) is not None


def check_paths(case: Case) -> None:
    says = case["definition"]
    happened = events(case)
    if says.get("date_from"):
        begin = instant(says["date_from"], says.get("timezone") or "UTC")
        happened = [event for event in happened if event["occurred_at"] >= begin]
    acted = sessionize(as_table(happened), gap=says.get("session_timeout_seconds", 1800), midnight=False)
    found = {
        f"{edge['step']}_{edge['source']} -> {edge['step'] + 1}_{edge['target']}": edge["sessions"]
        for edge in rows(path_edges(acted, Paths(steps=ALL_STEPS)))
    }
    assert_same(found, case["expected"]["edges"])
