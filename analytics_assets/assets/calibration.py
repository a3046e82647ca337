"""How often the methods are wrong, by simulation, beside the experiments that rest on them.

Belongs here: the run of all scenarios, and rows of it. Does not belong here: scenarios and how they are judged
(`statistics.calibration`).
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING

from analytics_assets.assets.catalog import TableAsset, family
from analytics_assets.assets.records import made
from analytics_assets.contracts import impact as promised
from analytics_assets.project.model import Project
from analytics_assets.statistics.calibration import LEVEL, Calibration, calibrated, scenarios
from analytics_assets.statistics.proportions import wilson

if TYPE_CHECKING:
    from ibis.expr.types import Table

EXPERIMENTS = 1000
"""Experiments of a scenario: all of them take about five seconds."""


@family
def calibration_tables(project: Project) -> Iterator[TableAsset]:
    """Make the table of how often methods are wrong, for projects that have experiments."""
    if project.experiments:
        yield TableAsset(promised.EXPERIMENT_CALIBRATION, experiment_calibration, (), ())


@functools.cache
def figures() -> tuple[Calibration, ...]:
    """Run every scenario; seeds are fixed, so that once is enough."""
    return tuple(calibrated(scenario, EXPERIMENTS) for scenario in scenarios())


def experiment_calibration() -> Table:
    """Simulate each method: false alarms, intervals that cover, power, and false alarms of who looks every day."""
    from statistics import NormalDist

    z = NormalDist().inv_cdf((1 + LEVEL) / 2)
    rows = []
    for found in figures():
        low, high = wilson(found.counted, found.experiments, z) or (0.0, 1.0)
        told = {
            "method": found.method, "figure": found.figure, "setting": found.setting, "kind": found.kind,
            "experiments": found.experiments, "counted": found.counted, "rate": found.rate, "rate_low": low,
            "rate_high": high, "nominal": found.nominal, "low": found.low, "high": found.high,
            "state": "calibrated" if found.calibrated else "off",
        }  # fmt: skip
        rows.append(told)
    return made(promised.EXPERIMENT_CALIBRATION, rows)
