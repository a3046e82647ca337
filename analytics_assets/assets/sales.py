"""What customers bought and brought back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ibis

from analytics_assets.assets.catalog import table
from analytics_assets.assets.staging import kept
from analytics_assets.contracts import star
from analytics_assets.contracts.delivered import AMOUNT

if TYPE_CHECKING:
    from ibis.expr.types import Table


@table(star.FACT_SALES)
def fact_sales(staged_order_lines: Table) -> Table:
    """Give every kept order line its amounts: net = gross - discount; tax and shipping apart."""
    lines = kept(staged_order_lines)
    gross = lines.mutate(gross=(lines.quantity * lines.unit_price).cast(AMOUNT))
    return gross.mutate(net=(gross.gross - gross.discount).cast(AMOUNT))


@table(star.FACT_RETURNS)
def fact_returns(staged_returns: Table) -> Table:
    """Give every kept return its refund: the delivered one, or else quantity x unit price."""
    returns = kept(staged_returns)
    return returns.mutate(refund=ibis.coalesce(returns.refund, (returns.quantity * returns.unit_price).cast(AMOUNT)))
