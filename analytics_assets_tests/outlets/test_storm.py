"""Readers see whole releases and nothing else, whoever is killed while they read."""

from __future__ import annotations

import pytest

from analytics_assets_tests.conftest import Workshop
from analytics_assets_tests.outlets.storm import KILLED, READERS, prepared
from analytics_assets_tests.postgres import FreshDatabase, server


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_readers_see_one_release_at_a_time_whoever_is_killed(workshop: Workshop):
    # a server of its own: it is killed
    with server() as running, prepared(workshop, FreshDatabase(running), seed=8) as storm:
        storm.rage(publications=20)
        assert storm.wrong == []
        assert dict(storm.kills) == dict.fromkeys(KILLED, 2)
        assert len(storm.seen) >= 10
        assert sum(storm.seen.values()) > READERS * 20
        assert storm.served.differences() == []
        assert storm.served.ask("select count(*) from pg_namespace where nspname = 'analytics_loading'") == [(0,)]
