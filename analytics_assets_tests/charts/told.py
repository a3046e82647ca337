"""What a figure says, in words."""

from __future__ import annotations

import datetime as dt

from matplotlib.figure import Figure

from analytics_assets.charts.house import About

ABOUT = About("shop", currency="EUR", tables=("t",), first=dt.date(2025, 1, 1), last=dt.date(2025, 3, 31))


def title(figure: Figure) -> str:
    """Return what is said to be seen, in one line."""
    return _line(figure.texts[0].get_text())


def words(figure: Figure) -> str:
    """Return the words under the title, in one line."""
    return _line(figure.texts[1].get_text())


def labels(figure: Figure) -> list[str]:
    """Return the texts inside the axes."""
    return [_line(text.get_text()) for axes in figure.axes for text in axes.texts]


def _line(text: str) -> str:
    return " ".join(text.replace("\N{NO-BREAK SPACE}", " ").split())
