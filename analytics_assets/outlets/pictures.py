"""Charts as PNG and SVG files.

Belongs here: that a reader sees a whole file, always. Does not belong here: what is drawn (`charts`).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from analytics_assets.lake.errors import LakeError

if TYPE_CHECKING:
    from analytics_assets.charts.rendering import Picture


def write_picture(picture: Picture, name: str, folder: Path) -> tuple[Path, Path]:
    """Write a chart into a folder as NAME.png and NAME.svg; each file is replaced as a whole.

    Raises:
        LakeError: Where the folder or a file cannot be written.
    """
    return _replaced(folder / f"{name}.png", picture.png), _replaced(folder / f"{name}.svg", picture.svg)


def _replaced(path: Path, content: bytes) -> Path:
    fresh = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_bytes(content)
        fresh.replace(path)
    except OSError as error:
        told = f"{path} cannot be written: {error.strerror}. Name another folder in ANALYTICS_CHARTS."
        raise LakeError(told) from error
    return path
