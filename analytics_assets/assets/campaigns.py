"""What campaigns cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analytics_assets.assets.catalog import table
from analytics_assets.assets.staging import kept
from analytics_assets.contracts import star
from analytics_assets.contracts.model import UNKNOWN_MEMBER

if TYPE_CHECKING:
    from ibis.expr.types import Table


@table(star.FACT_CAMPAIGN_SPEND)
def fact_campaign_spend(staged_campaign_spend: Table) -> Table:
    """Keep the spend of every campaign, day and channel."""
    spend = kept(staged_campaign_spend)
    return spend.mutate(channel=spend.channel.fill_null(UNKNOWN_MEMBER))
