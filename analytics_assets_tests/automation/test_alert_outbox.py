"""Messages on their way: nothing is lost, nothing is sent twice, and no channel holds up another."""

from __future__ import annotations

import datetime as dt
import itertools
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics_assets.automation.alert_outbox import (
    BROKEN_AFTER,
    GIVES_UP_AFTER,
    LONGEST_WAIT,
    Outbox,
    added,
    broken,
    delivered,
    failed,
    next_due,
    wait_after,
)
from analytics_assets.automation.alert_state import AlertState, dumped, read_state
from analytics_assets.outlets.messages import Failure, Message

NOW = dt.datetime(2025, 3, 10, 6, 0, tzinfo=dt.UTC)
PASSING, LASTING = Failure("no answer", transient=True), Failure("status 404", transient=False)


def message(name: str, answers: str = "") -> Message:
    return Message(name, NOW, "shop", "opened", "run", "error", name, answers=answers)


def later(seconds: float) -> dt.datetime:
    return NOW + dt.timedelta(seconds=seconds)


def ids(outbox: Outbox) -> list[tuple[str, str]]:
    return [(waiting.message.id, waiting.channel) for waiting in outbox.waiting]


def test_a_message_waits_for_every_channel_once() -> None:
    outbox = added(added(Outbox(), message("1"), ["a", "b"]), message("1"), ["b", "c"])
    assert ids(outbox) == [("1", "a"), ("1", "b"), ("1", "c")]


def test_what_was_delivered_waits_no_more() -> None:
    outbox = added(Outbox(), message("1"), ["a", "b"])
    first = next_due(outbox, NOW)
    assert first is not None
    assert ids(delivered(outbox, first)) == [("1", "b")]


def test_tries_are_made_at_longer_and_longer_intervals_for_a_day() -> None:
    outbox, at, moments = added(Outbox(), message("1"), ["a"]), NOW, []
    while (waiting := next_due(outbox, at)) is not None or outbox.waiting:
        if waiting is None:
            at += dt.timedelta(seconds=10)
            continue
        moments.append((at - NOW).total_seconds())
        outbox, lost = failed(outbox, waiting, PASSING, at)
    waits = [after - before for before, after in itertools.pairwise(moments)]
    assert waits[:8] == [30, 60, 120, 240, 480, 960, 1920, 3600]
    assert set(waits[8:]) == {3600}
    assert GIVES_UP_AFTER - LONGEST_WAIT < moments[-1] <= GIVES_UP_AFTER
    assert lost is not None
    assert (lost.reason, lost.tries, outbox.undelivered) == ("no answer", len(moments), (lost,))


def test_what_cannot_get_better_is_given_up_at_once() -> None:
    outbox = added(Outbox(), message("1"), ["a"])
    outbox, lost = failed(outbox, outbox.waiting[0], LASTING, NOW)
    assert lost is not None
    assert (outbox.waiting, outbox.undelivered) == ((), (lost,))
    assert broken(outbox, ["a"]) == {"a": "status 404"}


def test_a_channel_that_rests_holds_up_no_other() -> None:
    outbox = added(Outbox(), message("1"), ["a", "b"])
    found = next_due(outbox, NOW, resting=["a"])
    assert found is not None
    assert found.channel == "b"


def test_a_message_that_a_channel_never_takes_holds_up_no_other() -> None:
    outbox = added(Outbox(), message("poison"), ["a"])
    outbox, _ = failed(outbox, outbox.waiting[0], PASSING, NOW)
    outbox = added(outbox, message("2"), ["a"])
    found = next_due(outbox, later(60))
    assert found is not None
    assert found.message.id == "2"


def test_the_news_of_one_problem_keep_their_order() -> None:
    outbox = added(Outbox(), message("1"), ["a"])
    outbox, _ = failed(outbox, outbox.waiting[0], PASSING, NOW)
    outbox = added(outbox, message("2", answers="1"), ["a", "b"])
    assert [w.channel for w in [next_due(outbox, later(1))] if w] == ["b"]
    first = next_due(outbox, later(31), resting=["b"])
    assert first is not None
    assert first.message.id == "1"


def test_a_channel_is_broken_after_some_failures_in_a_row_and_mended_by_a_success() -> None:
    outbox = added(Outbox(), message("1"), ["a"])
    for _ in range(BROKEN_AFTER):
        assert broken(outbox, ["a"]) == {}
        outbox, _ = failed(outbox, outbox.waiting[0], PASSING, NOW)
    assert broken(outbox, ["a"]) == {"a": "no answer"}
    assert broken(outbox, ["b"]) == {}
    assert broken(delivered(outbox, outbox.waiting[0]), ["a"]) == {}


@pytest.mark.parametrize("seconds", [-7200, -86400, -31536000])
def test_a_clock_that_is_set_back_puts_no_try_off(seconds: int) -> None:
    outbox = added(Outbox(), message("1"), ["a"])
    outbox, _ = failed(outbox, outbox.waiting[0], PASSING, NOW)
    assert next_due(outbox, later(5)) is None
    assert next_due(outbox, later(seconds)) is not None


def test_a_clock_that_jumps_ahead_makes_nobody_give_up() -> None:
    outbox = added(Outbox(), message("1"), ["a"])
    outbox, _ = failed(outbox, outbox.waiting[0], PASSING, NOW)
    outbox, lost = failed(outbox, outbox.waiting[0], PASSING, later(100 * 86400))
    assert lost is None
    assert len(outbox.waiting) == 1


def test_what_was_given_up_is_remembered_for_a_while() -> None:
    outbox = Outbox()
    for number in range(120):
        outbox = added(outbox, message(str(number)), ["a"])
        outbox, _ = failed(outbox, outbox.waiting[0], LASTING, NOW)
    assert len(outbox.undelivered) == 100
    assert outbox.undelivered[0].message.id == "119"


# whatever happens: messages, failures, restarts


@pytest.mark.slow
@dataclass
class World:
    """Hold what a tick works with: what is recorded, and what the channels really got."""

    recorded: str = field(default_factory=lambda: dumped(AlertState()))
    got: list[tuple[str, str]] = field(default_factory=list)
    given_up: list[tuple[str, str]] = field(default_factory=list)
    killed_between: int = 0
    at: dt.datetime = NOW

    def tick(self, outcomes: list[Any]) -> None:
        """Deliver what is due as the outcomes say; `killed` ends the tick after a delivery, before its record."""
        state = read_state(self.recorded)
        resting: set[str] = set()
        for outcome in outcomes:
            waiting = next_due(state.outbox, self.at, resting=resting)
            if waiting is None:
                break
            told = waiting.message.id, waiting.channel
            if outcome in {"delivered", "killed"}:
                self.got.append(told)
                if outcome == "killed":
                    self.killed_between += 1
                    return
                state = replace(state, outbox=delivered(state.outbox, waiting))
            else:
                failure = PASSING if outcome == "passing" else LASTING
                outbox, lost = failed(state.outbox, waiting, failure, self.at)
                state = replace(state, outbox=outbox)
                resting.add(waiting.channel)
                if lost is not None:
                    self.given_up.append(told)
            self.recorded = dumped(state)


OUTCOMES = st.lists(st.sampled_from(["delivered", "passing", "lasting", "killed"]), max_size=6)
JUMPS = st.integers(-100_000, 100_000)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), OUTCOMES, JUMPS), max_size=12))
def test_nothing_is_lost_and_nothing_recorded_is_sent_again(steps: list[tuple[int, list[str], int]]) -> None:
    world, wanted = World(), list[tuple[str, str]]()
    for number, (messages, outcomes, jump) in enumerate(steps):
        state = read_state(world.recorded)
        for place in range(messages):
            told = message(f"{number}.{place}")
            state = replace(state, outbox=added(state.outbox, told, ["a", "b"]))
            wanted += [(told.id, "a"), (told.id, "b")]
        world.recorded = dumped(state)
        world.at += dt.timedelta(seconds=jump)
        world.tick(outcomes)
    waiting = ids(read_state(world.recorded).outbox)
    assert sorted({*world.got, *world.given_up, *waiting}) == sorted(wanted)
    assert len(set(waiting)) == len(waiting)
    assert not set(waiting) & set(world.given_up)
    # only a kill between a delivery and its record sends a message again, and then under the same id
    assert len(world.got) - len(set(world.got)) <= world.killed_between
    for _ in range(200):  # and when channels work again, all that waits arrives
        world.at += dt.timedelta(seconds=LONGEST_WAIT)
        world.tick(["delivered"] * 10)
    assert sorted({*world.got, *world.given_up}) == sorted(wanted)


def test_waits_have_a_bound() -> None:
    assert max(wait_after(tries) for tries in range(1, 1000)) == LONGEST_WAIT
