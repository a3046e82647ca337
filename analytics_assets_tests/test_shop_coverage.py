"""Two hundred shops that differ in their seed alone: how many intervals hold the effect that was planted."""

from __future__ import annotations

import numpy as np
import pytest

from analytics_assets.statistics.effects import lift
from analytics_assets.statistics.means import ratios
from analytics_assets.statistics.moments import Moments
from analytics_assets_tests.sources.shop.readings import tiny
from analytics_assets_tests.sources.shop.years import Year

LIFT, DAYS, SHOPS = 0.12, 25, 200
EXPERIMENT = {
    "starts": 0.1, "lasts": 0.9, "exposure": "begin_checkout",
    "effects": {"treatment": [{"step": "purchase", "lift": LIFT}]}, "verdict": "ship",
}  # fmt: skip
CHECKOUT, PURCHASE = 3, 4


def arms(seed: int) -> tuple[Moments, Moments]:
    """Sum up purchases and checkouts of each user who was exposed, by variant."""
    year = Year(tiny(users=1500, days=DAYS, seed=seed, campaigns={}, experiments={"redesign": EXPERIMENT}), DAYS)
    exposed = year.during(year.shop.experiments["redesign"]) & (year.visits["deep"] >= CHECKOUT)
    users, where = np.unique(year.visits["user"][exposed], return_inverse=True)
    checkouts = np.bincount(where).astype(float)
    purchases = np.bincount(where, weights=year.visits["deep"][exposed] == PURCHASE)
    variant = year.variant(0)[users]
    control, treatment = (Moments.of(purchases[variant == place], checkouts[variant == place]) for place in (0, 1))
    return control, treatment


@pytest.mark.slow
def test_of_200_intervals_179_to_198_hold_the_planted_lift() -> None:
    found = [lift(ratios(*arms(seed))) for seed in range(1, SHOPS + 1)]
    assert all(effect.n > 100 for effect in found)
    covered = sum(effect.low <= LIFT <= effect.high for effect in found)
    assert 179 <= covered <= 198, covered
    assert np.mean([effect.estimate for effect in found]) == pytest.approx(LIFT, abs=0.02)
