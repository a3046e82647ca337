"""What docs/statistics.md says of the statistics is there, and what is there is in it."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path

import pytest

from analytics_assets.statistics.assignment import assign, uniform
from analytics_assets.statistics.effects import Reason

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/statistics.md").read_text()
ROOMS = {
    path.stem: importlib.import_module(f"analytics_assets.statistics.{path.stem}")
    for path in sorted((ROOT / "analytics_assets/statistics").glob("[a-z]*.py"))
}
NAMES = {name: value for room in ROOMS.values() for name, value in vars(room).items()}
METHODS = {
    "means": ["means", "ratios", "clustered_means"],
    "effects": ["difference", "lift"],
    "proportions": [
        "shares", "pooled_z", "chi_square", "fisher_exact", "barnard_exact", "boschloo_exact", "difference_interval",
        "ratio_interval", "share_interval",
    ],
    "adjustment": ["cuped", "cuped_ratios", "lin", "regression_adjusted", "post_stratified"],
    "quantiles": ["quantile", "quantile_of_bounds", "cluster_variance", "quantiles"],
    "ranks": ["mann_whitney", "hodges_lehmann"],
    "sequential": ["always_valid", "mixture_sequential", "boundaries", "at_look"],
    "srm": ["sample_ratio", "daily_sample_ratio"],
    "bayes": ["posterior", "best_share"],
    "multiple": ["adjust", "holm"],
    "power": ["power", "units_needed", "detectable_effect", "days_needed", "power_of_shares", "units_for_shares"],
    "noninferiority": ["non_inferiority"],
    "logistic": ["logistic"],
}  # fmt: skip


@pytest.mark.parametrize("room", METHODS)
def test_every_method_is_on_the_page(room):
    for name in METHODS[room]:
        assert callable(getattr(ROOMS[room], name))
        assert re.search(rf"`{name}[`(]", PAGE), name


def test_every_name_on_the_page_exists():
    for name in re.findall(r"`([a-z][a-z_]+)(?:\(.*?\))?`", PAGE):
        known = name in NAMES or name in ROOMS or any(hasattr(value, name) for value in NAMES.values())
        assert known or name in {"salt", "salt_unit", "reason", "robust", "superiority", "checkout"}, name


def test_every_reason_is_on_the_page():
    for reason in Reason:
        assert f"| {reason} |" in PAGE, reason


def test_the_vector_on_the_page_is_right():
    (found,) = re.findall(r"\| `(user-1)` \| `(checkout)` \| ([\d.]+) \| (\w+) \|", PAGE)
    unit, salt, value, variant = found
    assert uniform(unit, salt) == float(value)
    assert assign(unit, salt, {"control": 0.5, "treatment": 0.5}) == variant


def test_every_public_function_says_its_source_or_shows_itself():
    """An example, or a paper: a reader sees what a method is without its code."""
    for name, value in NAMES.items():
        if inspect.isfunction(value) and not name.startswith("_") and value.__module__.endswith(tuple(METHODS)):
            told = value.__doc__ or ""
            assert ">>>" in told or len(told.splitlines()) == 1 or re.search(r"\b(19|20)\d\d\b", told), name
