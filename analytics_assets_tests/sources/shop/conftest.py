"""Whole years of the shop, lived through once."""

from __future__ import annotations

import pytest

from analytics_assets.project.shop import Shop
from analytics_assets_tests.sources.shop.readings import Opened
from analytics_assets_tests.sources.shop.years import Year


@pytest.fixture(scope="session")
def demo() -> Year:
    """Give the year of the demo."""
    return Year(Opened(Shop()), 365)


@pytest.fixture(scope="session")
def plain() -> Year:
    """Give a year as large, in which nothing but the process of purchases goes on."""
    return Year(Opened(Shop(preset="plain")), 365)
