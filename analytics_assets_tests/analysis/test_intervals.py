from __future__ import annotations

import pytest

from analytics_assets.analysis.intervals import wilson
from analytics_assets.statistics import proportions
from analytics_assets_tests.making import table

COUNTS = [(hits, total) for total in (1, 2, 3, 7, 10, 1_000, 123_457) for hits in {0, 1, total // 3, total - 1, total}]


@pytest.mark.parametrize("z", [proportions.Z95, 3.290527])
def test_an_expressions_interval_is_that_of_two_numbers(engine, z):
    rows = table({"hits": "int64", "total": "int64"}, *({"hits": h, "total": n} for h, n in COUNTS))
    low, high = wilson(rows.hits, rows.total, z)
    for row in engine.rows(rows.mutate(low=low, high=high)):
        assert (row["low"], row["high"]) == pytest.approx(proportions.wilson(row["hits"], row["total"], z))
        assert 0 <= row["low"] <= row["hits"] / row["total"] <= row["high"] <= 1


def test_of_nothing_there_is_no_interval(engine):
    rows = table({"hits": "int64", "total": "int64"}, {"hits": 0, "total": 0}, {"hits": 1}, {"total": 5})
    low, high = wilson(rows.hits, rows.total)
    assert {(row["low"], row["high"]) for row in engine.rows(rows.select(low=low, high=high))} == {(None, None)}
