"""A run that is killed, at any moment, leaves readers with a whole release, and the next run with nothing to repair."""

from __future__ import annotations

import random
import subprocess
import time

import pytest

from analytics_assets_tests.conftest import ORDERS, Workshop, csv, day, orders
from analytics_assets_tests.test_bad_input import EVENT_COLUMNS, EVENTS

KILLS = 20
DAYS = ("2024-03-01", "2024-03-02")
WORDS = ("x", "y")
ROAD = "+fact_sales or +fact_events"
"""From two sources to two facts: enough tables for a kill to fall between any two of them."""


def deliver(workshop: Workshop, word: str) -> None:
    """Deliver files of which every row says the word, so that a mixture of two deliveries would show."""
    sold = [f"{word}{at[-1]}{n},1,u{n},{word},{at} 10:00:00,1,9.99" for at in DAYS for n in range(3)]
    seen = [f"{word}{at[-1]}{n},u{n},{word},{at} 10:0{n}:00" for at in DAYS for n in range(3)]
    workshop.deliver("orders.csv", orders(*sold))
    workshop.deliver("events.csv", csv(EVENT_COLUMNS, *seen))


def started(workshop: Workshop) -> subprocess.Popen[str]:
    """Start a run, and return when it has read the project and begins."""
    process = workshop.command("run", "--select", ROAD)
    assert process.stdout is not None
    assert "tables" in process.stdout.readline()
    return process


@pytest.mark.slow
def test_a_killed_run_leaves_a_whole_release_and_the_next_run_the_same_tables(workshop: Workshop) -> None:
    workshop.selects = ROAD
    workshop.declare(last_day=day(DAYS[-1]))
    workshop.source("orders", ORDERS)
    workshop.source("events", EVENTS)
    whole = {}
    for word in WORDS:
        deliver(workshop, word)
        assert workshop.run().succeeded
        whole[word] = workshop.fingerprints()
    workshop.start_over()
    process, begun = started(workshop), time.perf_counter()
    assert process.wait(timeout=120) == 0
    duration = time.perf_counter() - begun
    assert workshop.fingerprints() == whole[WORDS[-1]]
    workshop.start_over()

    seed = random.randrange(1_000)
    moments = random.Random(seed)
    killed = 0
    readers_see = {}  # as in a lake without a release
    for number in range(KILLS):
        word = WORDS[number % 2]
        deliver(workshop, word)
        moment = duration * (number * 7 % KILLS + moments.random()) / KILLS
        process = started(workshop)
        try:
            process.wait(timeout=moment)
        except subprocess.TimeoutExpired:
            process.kill()
            killed += process.wait() != 0
        where = f"kill {number} after {moment:.2f} of {duration:.2f} s, seed {seed}"
        assert workshop.fingerprints() in (readers_see, whole[word]), where
        ran = workshop.run()
        assert ran.succeeded, f"{where}: {ran.message}"
        readers_see = workshop.fingerprints()
        assert readers_see == whole[word], where
    assert killed >= KILLS // 2
