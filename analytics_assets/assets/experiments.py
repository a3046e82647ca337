"""Who was assigned to what."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analytics_assets.assets.catalog import table
from analytics_assets.assets.staging import kept
from analytics_assets.contracts import star

if TYPE_CHECKING:
    from ibis.expr.types import Table


@table(star.FACT_ASSIGNMENTS)
def fact_assignments(staged_experiment_assignments: Table) -> Table:
    """Keep every assignment; whoever is on a roster without a variant has none."""
    return kept(staged_experiment_assignments)
