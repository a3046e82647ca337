"""The house: what every chart has in common.

Belongs here: the sheet (title, words, footer), colours, labels, how numbers, days and names are written, and the sheet
of a chart without data. Does not belong here: any one chart.

A drawing is a function under `@drawing("What it shows")`. It is given an `About` and pandas frames, and returns a
figure; where there is too little to draw it raises `NotEnoughError`, and a sheet that says so comes out instead.
"""

from __future__ import annotations

import datetime as dt
import functools
import math
import threading
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
AMBER, SKY, GREY, DARK, PALE = "#E69F00", "#56B4E9", "#666666", "#222222", "#E3E3E3"
MUTED = "#8C8C8C"
COLOURS = (BLUE, ORANGE, GREEN, PURPLE, AMBER, SKY, GREY)
"""Okabe and Ito's, in the order in which they are used; the last is for what is not in front."""

WIDTH, HEIGHT = 10.0, 5.625
"""The size of a sheet in inches: 1600 to 900 pixels."""

LEVEL = "95 % interval"
_MARGIN = 0.3
_TITLE, _WORDS, _FOOTER = 16.0, 11.5, 9.5
_LEADING = 1.28
_POINTS = 72.0
_WIDEST = 1.25
"""No letter is wider, in its own size."""
_STYLE = Path(__file__).with_name("style.mplstyle")
_DRAWS = "drawing_shows"
_END = "the end of a line"

_lock = threading.RLock()


@dataclass(frozen=True)
class About:
    """Say what a chart is of, for the words around the picture.

    Attributes:
        project: The project.
        currency: Of its amounts.
        tables: The tables whose rows are shown.
        rows: How many rows are shown.
        of: How many there are, where the rows are a sample of them.
        first: The first day of the data.
        last: The last day of it.
        asked: The name of the question that is answered, where a project asks more than one of its kind.
        words: What else the question says, by name: whose steps they are, how long a window is.
    """

    project: str
    currency: str = ""
    tables: tuple[str, ...] = ()
    rows: int = 0
    of: int | None = None
    first: dt.date | None = None
    last: dt.date | None = None
    asked: str = ""
    words: Mapping[str, str] = field(default_factory=dict)


class NotEnoughError(Exception):
    """Say why there is too little to draw."""


Drawing = Callable[..., "Figure"]


def drawing(shows: str) -> Callable[[Drawing], Drawing]:
    """Declare a drawing: it is drawn in the house style, and where it has too little to draw the sheet says so.

    It is given its frames with missing values in the place of infinite ones.
    """

    def declare(function: Drawing) -> Drawing:
        @functools.wraps(function)
        def drawn(about: About, *frames: pd.DataFrame) -> Figure:
            with styled():
                try:
                    return settled(function(about, *map(_finite, frames)))
                except NotEnoughError as error:
                    return settled(nothing(about, shows, str(error)))

        setattr(drawn, _DRAWS, shows)
        return drawn

    return declare


def _finite(frame: pd.DataFrame) -> pd.DataFrame:
    floats = [name for name in frame.columns if frame[name].dtype.kind == "f"]
    return frame.assign(**{name: frame[name].where(frame[name].abs() < math.inf) for name in floats})


def settled(figure: Figure) -> Figure:
    """Lay a figure out, once: what draws it afterwards draws it as it is."""
    if figure.axes and (engine := figure.get_layout_engine()) is not None:
        engine.execute(figure)
    figure.set_layout_engine("none")
    for axes in figure.axes:
        # the last digits of a layout are not always the same, and are in the names that an SVG gives its parts
        axes.set_position(tuple(round(end, 6) for end in axes.get_position().bounds))
        _part_labels(axes)
    return figure


def shows(draw: Drawing) -> str:
    """Say what a drawing shows."""
    told: str = getattr(draw, _DRAWS)
    return told


@functools.cache
def _style() -> dict[Any, Any]:
    import matplotlib as mpl

    read = mpl.rc_params_from_file(_STYLE, use_default_template=True)
    # what names a window system or a folder is no matter of style
    return {name: value for name, value in read.items() if not name.startswith(("backend", "interactive", "webagg"))}


@contextmanager
def styled() -> Iterator[None]:
    """Draw in the house style: one thread at a time, because Matplotlib's settings belong to the whole process."""
    import matplotlib as mpl

    with _lock, mpl.rc_context(_style()):
        yield


def sheet(about: About, title: str, says: str = "", *, height: float = HEIGHT) -> Figure:
    """Open a sheet: a figure with a title that says what is seen, a line of words, and the footer.

    Args:
        about: What it is of.
        title: What is seen, in at most two lines.
        says: What it means and how to read it, in at most three.
        height: Of the sheet, in inches.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure = Figure(figsize=(WIDTH, height))
    FigureCanvasAgg(figure)
    top = height - _MARGIN * 0.8
    for text, size, weight, colour, lines in (
        (title, _TITLE, "bold", DARK, 2),
        (says, _WORDS, "normal", GREY, 3),
    ):
        if not text:
            continue
        told = wrapped(figure, text, size, weight, WIDTH - 2 * _MARGIN, lines)
        figure.text(
            _MARGIN / WIDTH, top / height, told, size=size, weight=weight, color=colour, va="top", linespacing=_LEADING
        )
        top -= (told.count("\n") + 1) * size * _LEADING / _POINTS + 0.06
    foot = wrapped(figure, footer(about), _FOOTER, "normal", WIDTH - 2 * _MARGIN, 1)
    figure.text(_MARGIN / WIDTH, _MARGIN * 0.45 / height, foot, size=_FOOTER, color="#767676", va="bottom")
    bottom = _MARGIN + _FOOTER / _POINTS
    engine = ConstrainedLayoutEngine(
        rect=(_MARGIN / WIDTH, bottom / height, 1 - 2 * _MARGIN / WIDTH, (top - 0.1 - bottom) / height),
        w_pad=0.05,
        h_pad=0.05,
    )
    figure.set_layout_engine(engine)
    return figure


def nothing(about: About, shows: str, why: str) -> Figure:
    """Draw the sheet of a chart that has too little to draw."""
    with styled():
        figure = sheet(about, f"{shows}{_of(about)}")
        why = wrapped(figure, why, 13, "normal", WIDTH * 0.7, 3)
        figure.text(0.5, 0.54, "Not enough data", size=22, weight="bold", color="#999999", ha="center", va="bottom")
        figure.text(0.5, 0.49, why, size=13, color=GREY, ha="center", va="top", linespacing=_LEADING)
    return figure


def _of(about: About) -> str:
    return f": {short(about.asked)}" if about.asked else ""


def footer(about: About) -> str:
    """Say where a picture comes from.

    >>> footer(About("shop", tables=("churn",), rows=1200, first=dt.date(2025, 1, 1), last=dt.date(2025, 3, 31)))
    'shop · 2025-01-01 to 2025-03-31 · 1,200 rows of churn'
    """
    period = f"{about.first} to {about.last}" if about.first and about.last else ""
    rows = f"{about.rows:,} row{'' if about.rows == 1 else 's'}"
    if about.of is not None:
        rows = f"a sample of {about.rows:,} of {about.of:,} rows"
    tables = " and ".join(short(name, 60) for name in about.tables)
    of = f"{rows} of {tables}" if tables else ""
    return " · ".join(part for part in (short(about.project, 40), period, of) if part)


def wrapped(figure: Figure, text: str, size: float, weight: str, width: float, lines: int) -> str:
    """Break a text into lines of a width in inches; what does not fit into so many lines ends in an ellipsis."""
    from matplotlib.font_manager import FontProperties

    # an Agg canvas measures text without drawing it
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    font = FontProperties(family="DejaVu Sans", size=size, weight=weight)
    room = width * figure.dpi

    def fits(told: str) -> bool:
        if len(told) * size * _WIDEST <= width * _POINTS:
            return True  # without measuring
        return bool(renderer.get_text_width_height_descent(told, font, ismath=False)[0] <= room)

    done: list[str] = []
    line = ""
    # a number and its percent sign stay together
    words = " ".join(text.split()).replace(" %", "\N{NO-BREAK SPACE}%").split(" ")
    for place, word in enumerate(words):
        longer = f"{line} {word}".strip()
        if fits(longer):
            line = longer
            continue
        if len(done) == lines - 1:
            line = " ".join([line, *words[place:]]).strip()
            break
        if line:
            done.append(line)
        line = word
    while line and not fits(line):
        line = line[: -max(2, len(line) // 20)].rstrip() + "…"
    return "\n".join([*done, line])


def short(name: object, most: int = 26) -> str:
    r"""Write a name in one line of at most so many characters, its middle left out where it is longer.

    >>> short("a very long name of a campaign in spring"), short("tab\tand\nline"), short(None)
    ('a very long n…gn in spring', 'tab and line', '(unknown)')
    """
    if name is None or name != name:  # noqa: PLR0124 - a missing value is not itself
        return "(unknown)"
    kinds = [(letter, unicodedata.category(letter)) for letter in str(name)[:4000]]
    told = "".join(" " if kind in {"Cc", "Cs", "Zl", "Zp"} else letter for letter, kind in kinds if kind != "Cf")
    told = " ".join(told.split())
    if len(told) > most:
        head = most // 2
        told = f"{told[:head].rstrip()}…{told[len(told) - (most - head - 1) :].lstrip()}"
    # in a sentence, a name that is read from right to left must not turn what follows it
    turned = any(unicodedata.bidirectional(letter) in {"R", "AL"} for letter in told)
    return f"\N{FIRST STRONG ISOLATE}{told}\N{POP DIRECTIONAL ISOLATE}" if turned else told or "(empty)"


def many(value: float, unit: str) -> str:
    """Write how many of a unit there are.

    >>> many(1, "week"), many(12345, "users"), many(1, "users")
    ('1 week', '12,345 users', '1 user')
    """
    return f"{number(value)} {unit.removesuffix('s')}{'' if value == 1 else 's'}"


_SCALES = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))


def number(value: float, digits: int = 3) -> str:
    """Write a number for people, in about three digits.

    >>> [number(value) for value in (0, 7, 12.345, 1234, 45_678, 456_789, 1.5e6, 2.5e18, -0.00123, float("nan"))]
    ['0', '7', '12.3', '1,234', '45,678', '457k', '1.5M', '2.5e+18', '-0.00123', 'n/a']
    """
    if value is None or not math.isfinite(value):
        return "n/a"
    told = _number(abs(float(value)), digits)
    return f"-{told}" if value < 0 and told != "0" else told


def _number(value: float, digits: int) -> str:
    if value >= 1e15:
        return f"{value:.{digits - 1}g}"
    if value >= 100_000:
        for place, (scale, letter) in enumerate(_SCALES):
            if value >= scale * 0.99995:
                told = f"{value / scale:.{digits}g}"
                if "e" in told and place:  # rounded up to the next scale
                    return f"1{_SCALES[place - 1][1]}"
                return f"{float(told):g}{letter}"
    if value >= 1000 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def share(value: float, digits: int = 1) -> str:
    """Write a share in percent.

    >>> share(0.1234), share(0.00012), share(0.29), share(float("nan"))
    ('12.3 %', '0.012 %', '29 %', 'n/a')
    """
    if value is None or not math.isfinite(value):
        return "n/a"
    percent = round(value * 100, 9) + 0.0  # 0.29 x 100 is not quite 29
    if percent == round(percent) or abs(percent) >= 1000:
        return f"{percent:,.0f} %"
    return f"{percent:.{digits}f} %" if abs(percent) >= 0.1 else f"{percent:.2g} %"


def money(value: float, currency: str) -> str:
    """Write an amount.

    >>> money(1234567, "EUR")
    '1.23M EUR'
    """
    return f"{number(value)} {currency}".strip()


def duration(seconds: float) -> str:
    """Write a stretch of time.

    >>> [duration(seconds) for seconds in (0.5, 42, 150, 5400, 200_000, float("nan"))]
    ['0.5 s', '42 s', '2.5 min', '90 min', '2.3 d', 'n/a']
    """
    if seconds is None or not math.isfinite(seconds):
        return "n/a"
    for scale, unit, until in ((1, "s", 100), (60, "min", 6000), (3600, "h", 172_800)):
        if abs(seconds) < until:
            return f"{seconds / scale:.2g} {unit}" if abs(seconds) / scale < 10 else f"{seconds / scale:.0f} {unit}"
    days = seconds / 86_400
    return f"{days:.2g} d" if days < 10 else f"{number(round(days))} d"


def range_of(low: float, high: float, write: Callable[[float], str] = number) -> str:
    """Write an interval.

    >>> range_of(0.1, 0.2, share)
    '10 % to 20 %'
    """
    return f"{write(low)} to {write(high)}"


def as_percent(axes: Axes, which: str = "y") -> None:
    """Write the ticks of an axis as percent."""
    _ticks(axes, which, lambda value: share(value, 1 if abs(value) < 0.1 and round(value * 100) != value * 100 else 0))


def as_numbers(axes: Axes, which: str = "y", unit: str = "") -> None:
    """Write the ticks of an axis as short numbers, with a unit after each where one is given."""
    _ticks(axes, which, lambda value: f"{number(value)} {unit}".strip())


def _ticks(axes: Axes, which: str, write: Callable[[float], str]) -> None:
    from matplotlib.ticker import FuncFormatter

    axis = axes.yaxis if which == "y" else axes.xaxis
    axis.set_major_formatter(FuncFormatter(lambda value, _: write(value)))


def as_days(axes: Axes, days: Iterable[Any], *, most: int = 9) -> None:
    """Write the ticks of the x axis as days, as few as can be told apart; one day alone gets one tick."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, DateFormatter

    told = set(days)
    if len(told) == 1:
        axes.set_xticks(list(told))
        axes.xaxis.set_major_formatter(DateFormatter("%Y-%m-%d"))
        return
    locator = AutoDateLocator(minticks=3, maxticks=most)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, show_offset=False))


def wide_enough(axes: Axes, days: Any) -> None:  # noqa: ANN401 - an array of days
    """Give days on the x axis their room: little beside them, and around a single one enough to stand free."""
    import numpy as np

    told = np.asarray(days, dtype="datetime64[s]")
    first, last = told.min(), told.max()
    room = max((last - first) * 0.012, np.timedelta64(12, "h")) if first < last else np.timedelta64(3, "D")
    axes.set_xlim(first - room, last + room)


_TIMES = (
    1,
    5,
    15,
    60,
    300,
    900,
    3600,
    6 * 3600,
    86_400,
    3 * 86_400,
    7 * 86_400,
    30 * 86_400,
    90 * 86_400,
    365 * 86_400,
)


def time_ticks(axes: Axes, low: float, high: float, most: int = 6) -> None:
    """Write the ticks of a logarithmic x axis in seconds as stretches of time that people use."""
    from matplotlib.ticker import NullLocator

    told: list[float] = []
    apart = math.log(high / low) / most if high > low > 0 else 0.0
    for seconds in (seconds for seconds in _TIMES if low <= seconds <= high):
        if not told or math.log(seconds / told[-1]) >= apart:
            told.append(seconds)
    told = told or [low]
    axes.set_xticks(told, labels=[duration(seconds) for seconds in told])
    axes.xaxis.set_minor_locator(NullLocator())


@dataclass(frozen=True)
class End:
    """Name a line at its end.

    Attributes:
        at: Where the line ends on the x axis, in its units.
        value: Where it ends on the y axis.
        text: The label.
        colour: Of the line.
    """

    at: Any
    value: float
    text: str
    colour: str


def label_ends(axes: Axes, ends: Sequence[End], *, size: float = 11.0) -> None:
    """Name lines at their right ends instead of in a legend; labels that would overlap are moved apart.

    The limits of the axes are to be set before.

    Args:
        axes: Where the lines are.
        ends: The ends.
        size: Of the letters, in points.
    """
    low, high = axes.get_ylim()
    for end in ends:
        if not math.isfinite(end.value) or high <= low:
            continue
        place = min(max((end.value - low) / (high - low), 0.0), 1.0)
        axes.annotate(
            end.text,
            xy=(end.at, low + place * (high - low)),
            xycoords="data",
            xytext=(1.02, place),
            textcoords="axes fraction",
            color=end.colour,
            size=size,
            weight="bold",
            va="center",
            ha="left",
            label=_END,
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": end.colour,
                "lw": 0.7,
                "alpha": 0.6,
                "shrinkA": 1,
                "shrinkB": 1,
                "relpos": (0, 0.5),
            },
        )


def _part_labels(axes: Axes) -> None:
    """Move the labels of line ends apart, now that it is known how high the axes are."""
    from matplotlib.text import Annotation, Text

    labels = [told for told in axes.texts if isinstance(told, Annotation) and told.get_label() == _END]
    if len(labels) > 1:
        # the extent of an annotation holds its line too
        gap = max(Text.get_window_extent(label).height for label in labels) / axes.bbox.height
        own = [float(label.xyann[1]) for label in labels]
        for label, moved in zip(labels, spread(own, gap), strict=True):
            label.xyann = (label.xyann[0], moved)


def spread(places: Sequence[float], gap: float) -> list[float]:
    """Move places between 0 and 1 apart until any two have a gap, as little as it takes; their order stays.

    >>> [round(place, 3) for place in spread([0.5, 0.5, 0.9], 0.1)]
    [0.45, 0.55, 0.9]
    """
    if not places:
        return []
    gap = min(gap, 1.0 / max(len(places) - 1, 1))
    order = sorted(range(len(places)), key=lambda place: (places[place], place))
    # without its gaps, the order is one that never falls: neighbours that would fall share their mean
    means: list[tuple[float, int]] = []
    for rank, place in enumerate(order):
        mean, count = places[place] - rank * gap, 1
        while means and means[-1][0] >= mean:
            before, held = means.pop()
            mean, count = (before * held + mean * count) / (held + count), held + count
        means.append((mean, count))
    room = 1.0 - (len(places) - 1) * gap
    level = [min(max(mean, 0.0), room) for mean, count in means for _ in range(count)]
    found = [0.0] * len(places)
    for rank, place in enumerate(order):
        found[place] = level[rank] + rank * gap
    return found


def records(frame: pd.DataFrame) -> list[Any]:
    """Return the rows of a frame, each with its values under the names of the columns."""
    from types import SimpleNamespace

    names = [str(name) for name in frame.columns]
    columns = [frame[name].tolist() for name in frame.columns]
    return [SimpleNamespace(**dict(zip(names, values, strict=True))) for values in zip(*columns, strict=True)]


def beside(axes: Axes, text: str, at: tuple[Any, Any], points: tuple[float, float] = (5, 0), **style: Any) -> None:  # noqa: ANN401
    """Write a text so many points to the right of and above a place in the data."""
    told = {"va": "center", "size": 10, **style}
    axes.annotate(text, at, xytext=points, textcoords="offset points", **told)


def halo(width: float = 3.0) -> list[Any]:
    """Return the effect that keeps letters readable on lines: a white rim."""
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=width, foreground="white")]


def largest(frame: pd.DataFrame, name: str, value: str, most: int, others: str = "{} more") -> pd.DataFrame:
    """Keep the categories with the largest values and sum up the others as one row, which comes last.

    Args:
        frame: One row a category.
        name: The column of its names.
        value: The column of what is summed up.
        most: How many rows are kept, that of the others included.
        others: What that row is called; `{}` stands for how many they are.
    """
    import pandas as pd

    known = frame[[name, value]].dropna(subset=[value])
    ordered = known.sort_values([value, name], ascending=[False, True], kind="stable", key=_comparable)
    if len(ordered) <= most:
        return ordered.reset_index(drop=True)
    kept, rest = ordered.iloc[: most - 1], ordered.iloc[most - 1 :]
    summed = pd.DataFrame({name: [others.format(f"{len(rest):,}")], value: [rest[value].sum()]})
    return pd.concat([kept, summed], ignore_index=True)


def _comparable(column: pd.Series) -> pd.Series:
    return column if column.dtype.kind in "iufb" else column.astype(str)


def dark(colour: Any) -> bool:  # noqa: ANN401 - whatever Matplotlib takes for a colour
    """Say whether white letters are the readable ones on a colour."""
    from matplotlib.colors import to_rgb

    red, green, blue = to_rgb(tuple(colour) if not isinstance(colour, str) else colour)
    return bool(0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2 < 0.3)
