"""Other people's numbers, held against `statistics`: any file of the form that `../shared/oracles/README.md` describes.

`EXPERIMENT_ORACLES` names the file; without it, the one in `ANALYTICS_SHARED`. Nothing here knows a case by its id.
What the project leaves out on purpose is skipped as *unsupported*, with the reason.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from analytics_assets_tests.oracles.experiment_cases import Case, UnsupportedError, answer

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("ANALYTICS_SHARED", ROOT.parent / "shared"))
FILE = Path(os.environ.get("EXPERIMENT_ORACLES") or SHARED / "oracles" / "experiment_oracles.json")

pytestmark = pytest.mark.acceptance


def cases() -> list[Any]:
    """List the cases; one that says what is missing where there is no file."""
    if not FILE.is_file():
        missing = pytest.mark.skip(reason=f"no oracles in {FILE}: set EXPERIMENT_ORACLES or ANALYTICS_SHARED")
        return [pytest.param({}, id="absent", marks=missing)]
    return [pytest.param(case, id=case["id"]) for case in json.loads(FILE.read_text(encoding="utf-8"))["cases"]]


def same(found: Any, expected: Any, tolerance: Mapping[str, Any]) -> bool:
    """Compare as the file's `comparison_rule` says."""
    if isinstance(expected, list):
        return len(found) == len(expected) and all(same(f, e, tolerance) for f, e in zip(found, expected, strict=True))
    if expected is None or found is None or isinstance(expected, bool):
        return found is expected
    if isinstance(expected, str):
        expected = float(expected)
    found = float(found)
    if math.isnan(expected) or math.isinf(expected):
        return found == expected or (math.isnan(found) and math.isnan(expected))
    allowed = max(tolerance.get("abs", 0.0), tolerance.get("rel", 0.0) * max(abs(found), abs(expected)))
    return abs(found - expected) <= allowed


@pytest.mark.parametrize("case", cases())
def test_the_case_comes_out_as_its_source_says(case: Case):
    try:
        found = answer(case)
    except UnsupportedError as reason:
        pytest.skip(f"unsupported: {case['method']}: {reason}")
    tolerance = case["tolerance"]
    wrong = {
        key: (found.get(key, "absent"), expected)
        for key, expected in case["expected"].items()
        if key not in found
        or not same(found[key], expected, {**tolerance, **tolerance.get("per_key", {}).get(key, {})})
    }
    assert not wrong, f"{case['method']} ({case['convention']}): (found, expected) of {wrong}"
