"""Keep what the shop's charts are drawn of, and what they look like, for `test_pictures` to compare with.

Run it after a chart was made or changed on purpose, with a lake of the whole shop, and look at the pictures it writes:

    ANALYTICS_LAKE=... python -m analytics_assets_tests.charts.remember FOLDER [NAME ...]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from PIL.Image import Resampling
from PIL.Image import open as open_image

from analytics_assets.assets.drawing import ChartAsset

FRAMES = Path(__file__).with_name("frames")
LOOKS = Path(__file__).with_name("looks.json")
_ROWS = 600
_CELLS = (40, 24)
_DIGITS = "0123456789abcdef"


def look(png: Path) -> list[str]:
    """Return how much ink is in each of 40 to 24 cells of a picture, as a digit: few, to outlive a font's version.

    A cell that is a third full counts as full, so that a thin line is seen.
    """
    grey = open_image(png).convert("L").resize(_CELLS, Resampling.BOX)
    ink = np.clip((255 - np.asarray(grey, dtype=float)) * 3, 0, 255).astype(int)
    return ["".join(_DIGITS[value // 16] for value in row) for row in ink]


def apart(one: list[str], other: list[str]) -> float:
    """Return the share of cells whose ink differs by more than two sixteenths."""
    cells = [(int(a, 16), int(b, 16)) for a, b in zip("".join(one), "".join(other), strict=True)]
    return sum(abs(a - b) > 2 for a, b in cells) / len(cells)


def kept(chart: ChartAsset) -> list[pd.DataFrame]:
    """Return the frames that were kept of a chart."""
    paths = sorted(FRAMES.glob(f"{chart.called}.*.parquet"))
    return [pd.read_parquet(path) for path in paths]


def main(folder: Path, names: list[str]) -> None:
    from analytics_assets.assets.catalog import Setting, resolve
    from analytics_assets.automation.drawing import limited
    from analytics_assets.automation.runtime import open_lake
    from analytics_assets.lake.days import Days
    from analytics_assets.lake.releases import latest_release
    from analytics_assets.outlets.pictures import write_picture
    from analytics_assets.project.loading import load_project
    from analytics_assets.settings import Settings
    from analytics_assets_tests.charts.test_pictures import drawn
    from analytics_assets_tests.charts.worlds import FIRST, LAST, charts

    settings = Settings()
    project = load_project(settings.project, {})
    contracts = resolve(project).contracts()
    looks = json.loads(LOOKS.read_text()) if LOOKS.exists() else {}
    FRAMES.mkdir(exist_ok=True)
    with open_lake(settings, project.name) as lake:
        versions = latest_release(lake).versions
        for chart in charts():
            if (names and chart.called not in names) or not set(chart.requires.values()) <= set(versions):
                continue
            tables = {n: lake.read(contracts[n], version=versions[n]) for n in chart.inputs if n in versions}
            for place, table in enumerate(chart.select(tables, Setting(project, Days(FIRST, LAST)))):
                frame, _ = limited(lake.engine, table)
                some = frame.iloc[:: -(-len(frame) // _ROWS) or 1].reset_index(drop=True)
                some.to_parquet(FRAMES / f"{chart.called}.{place}.parquet", compression="zstd")
            png, _ = write_picture(drawn(chart), chart.called, folder)
            looks[chart.called] = look(png)
    LOOKS.write_text(json.dumps(looks, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
