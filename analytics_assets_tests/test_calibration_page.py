"""The page of calibration is what the simulation says; run this module to write its table anew."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from analytics_assets.assets.calibration import EXPERIMENTS, figures

PAGE = Path(__file__).resolve().parents[1] / "docs/calibration.md"
TABLE = re.compile(r"^\| method \|.*?(?=\n\n|\Z)", re.MULTILINE | re.DOTALL)


def written() -> str:
    """Write the table: one row a method, figure and setting."""
    lines = [
        "| method | figure | drawn | experiments | rate | promised | by chance | |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for found in figures():
        ends = f"{found.low:.3f} to {found.high:.3f}"
        state = "calibrated" if found.calibrated else "**off**"
        cells = (found.method, found.figure, found.setting, f"{found.experiments:,}", f"{found.rate:.3f}")
        lines.append(f"| {' | '.join((*cells, f'{found.nominal:.3f}', ends, state))} |")
    return "\n".join(lines)


@pytest.mark.slow
def test_the_page_is_what_the_simulation_says() -> None:
    page = PAGE.read_text()
    assert TABLE.findall(page) == [written()], "run python -m analytics_assets_tests.test_calibration_page"
    assert f"{EXPERIMENTS:,} experiments" in page
    assert "**off**" not in page


if __name__ == "__main__":
    PAGE.write_text(TABLE.sub(lambda _: written(), PAGE.read_text()))
