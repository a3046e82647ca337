"""Other people's test cases, run on `analysis`: any file of the form that `../shared/oracles/README.md` describes.

`PRODUCT_ORACLES` names the file; without it, the one in `ANALYTICS_SHARED`. Nothing here knows a case by its id.
"""

from __future__ import annotations

import importlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from analytics_assets_tests.oracles.reading import Case

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("ANALYTICS_SHARED", ROOT.parent / "shared"))
FILE = Path(os.environ.get("PRODUCT_ORACLES") or SHARED / "oracles" / "product_oracles.json")

CHECKS = {
    "funnel": "funnel_cases.check",
    "retention": "retention_cases.check",
    "stickiness": "activity_cases.check_stickiness",
    "lifecycle": "activity_cases.check_lifecycle",
    "active_users": "activity_cases.check_active_users",
    "sessionize": "session_cases.check_sessionize",
    "paths": "session_cases.check_paths",
}

pytestmark = pytest.mark.acceptance


def cases() -> list[Any]:
    """List the cases; one that says what is missing where there is no file."""
    if not FILE.is_file():
        missing = pytest.mark.skip(reason=f"no oracles in {FILE}: set PRODUCT_ORACLES or ANALYTICS_SHARED")
        return [pytest.param({}, id="absent", marks=missing)]
    return [
        pytest.param(
            case,
            id=case["id"],
            marks=[]
            if case.get("gate", True)
            else [pytest.mark.xfail(strict=False, reason=case.get("differs") or "the source's own peculiarity")],
        )
        for case in json.loads(FILE.read_text(encoding="utf-8"))["cases"]
    ]


@pytest.mark.parametrize("case", cases())
def test_the_case_comes_out_as_its_source_says(case: Case):
    module, check = CHECKS[case["kind"]].split(".")
    getattr(importlib.import_module(f"analytics_assets_tests.oracles.{module}"), check)(case)
