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
    from PIL.Image import Image

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
    """Turn a figure into bytes. Matplotlib's `savefig` would draw it twice for each kind of file."""
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from PIL.Image import fromarray

    with styled():
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        drawn = fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
        svg, dpi = io.BytesIO(), figure.dpi
        FigureCanvasSVG(figure).print_svg(svg, metadata={"Date": None, "Creator": None})
        figure.dpi = dpi  # which an SVG sets to points
        FigureCanvasAgg(figure)
    return Picture(_png(drawn), svg.getvalue(), preview(drawn))


def _png(image: Image) -> bytes:
    written = io.BytesIO()
    image.save(written, format="png", compress_level=4)
    return written.getvalue()


def preview(image: Image, most: int = PREVIEW_BYTES) -> bytes:
    """Make a picture smaller until its PNG has few enough bytes."""
    from PIL.Image import Dither, Quantize, Resampling

    made = b""
    for width in _PREVIEW_WIDTHS:
        # the mean of each square of pixels first: as good for letters, and much faster than a wide filter
        size = (width, max(1, round(image.height * width / image.width)))
        small = image.resize(size, Resampling.LANCZOS, reducing_gap=1.0)
        made = _png(small)
        if len(made) > most:
            # few colours take a third of the room; this way of choosing them keeps those of small things
            made = _png(small.quantize(_COLOURS, Quantize.MAXCOVERAGE, dither=Dither.NONE))
        if len(made) <= most:
            break
    return made
