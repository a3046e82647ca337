"""Figures as bytes: PNG, SVG, and a preview small enough to be kept beside a run.

Belongs here: the same data make the same bytes. Does not belong here: where the bytes go (`outlets.pictures`).
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from analytics_assets.charts.house import styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PREVIEW_BYTES = 70_000
"""Most bytes of a preview: as base64, with its words, it stays below 100 KB."""

_PREVIEW_WIDTHS = (800, 640, 480, 320)
_COLOURS = 128


@dataclass(frozen=True)
class Picture:
    """Hold a drawn chart.

    Attributes:
        png: For slides and documents, 1600 pixels wide.
        svg: For print and the web; it names no font and needs no other file.
        preview: A PNG below 70 kB.
    """

    png: bytes
    svg: bytes
    preview: bytes


def render(figure: Figure) -> Picture:
    """Turn a figure into bytes."""
    with styled():
        png, svg = io.BytesIO(), io.BytesIO()
        figure.savefig(png, format="png", metadata={"Software": None})
        figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    return Picture(png.getvalue(), svg.getvalue(), preview(png.getvalue()))


def preview(png: bytes, most: int = PREVIEW_BYTES) -> bytes:
    """Make a PNG smaller until it has few enough bytes."""
    from PIL import Image

    full = Image.open(io.BytesIO(png)).convert("RGB")
    made = png
    for width in _PREVIEW_WIDTHS:
        small = full.resize((width, max(1, round(full.height * width / full.width))), Image.Resampling.LANCZOS)
        # few colours take a third of the room; this way of choosing them keeps those of small things
        for shown in (small, small.quantize(_COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)):
            written = io.BytesIO()
            shown.save(written, format="png", optimize=True)
            made = written.getvalue()
            if len(made) <= most:
                return made
    return made
