"""One document as Markdown, plain text, and one HTML page.

Belongs here: how the tree is written in each form, and that no name can break out of it. Does not belong here: what it
says (`writing`).
"""

from __future__ import annotations

import base64
import functools
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from analytics_assets.report.tree import (
    Block,
    Bullets,
    Cell,
    Document,
    Figure,
    Grid,
    Link,
    Paragraph,
    Says,
    Tiles,
)

if TYPE_CHECKING:
    from jinja2 import Template

WIDTH = 100
"""Columns of the plain text."""
LARGEST_PICTURE = 260_000
"""Most bytes of an SVG in the page; of a larger one the PNG is shown."""
_HERE = Path(__file__).parent
_UNIT = re.compile(r"(?<=\d) (?=%|points\b|[A-Z]{3}\b)")
_MINUS = re.compile(r"(?<![\w-])-(?=\d)")
_DAY = re.compile(r"(?<=\d)-(?=\d\d\b)")
_SPECIAL = re.compile(r"([\\`*_\[\]<>|~&$])")
_LINE_START = re.compile(r"^(\d+)([.)])(?=\s|$)|^([-+](?=[\s-]|$)|[=:#])")


# Markdown


def markdown(document: Document, pictures: Mapping[str, str], *, figures: bool = True) -> str:
    """Write a document as Markdown (CommonMark with tables).

    Args:
        document: What is written.
        pictures: Where the picture of each chart is, seen from where the text will be.
        figures: Whether to show charts.
    """
    parts = [f"# {escaped(document.title)}", f"*As of {document.as_of}.* {escaped(document.lead)}".rstrip()]
    for section in document.sections:
        parts.append(f"## {escaped(section.title)}")
        for block in section.blocks:
            parts += list(_markdown_block(block, pictures, figures=figures))
    if document.sources:
        parts.append("## Tables that this rests on")
        parts.append("\n".join(f"- `{source.table}`: {escaped(source.grain)}" for source in document.sources))
    parts.append(f"*{escaped(document.footer)}*")
    return "\n\n".join(part for part in parts if part) + "\n"


def _markdown_block(block: Block, pictures: Mapping[str, str], *, figures: bool) -> Iterator[str]:
    def told(says: Says) -> str:
        lead = f"**{escaped(says.lead)}**: " if says.lead else ""
        head = f"**{escaped(says.head)}**{': ' if says.text else ''}" if says.head else ""
        return f"{lead}{head}{escaped(says.text)}{links(says.links)}"

    def links(given: Iterable[Link]) -> str:
        shown = []
        for link in given:
            if link.kind == "figure" and link.name in pictures:
                shown.append(f"[{escaped(link.name)}]({_address(pictures[link.name])})")
            else:
                shown.append(f"`{link.name}`")
        return f" ({', '.join(shown)})" if shown else ""

    if isinstance(block, Paragraph):
        yield " ".join(map(told, block.says))
    elif isinstance(block, Bullets):
        marks = (f"{place}." if block.numbered else "-" for place in range(1, len(block.items) + 1))
        yield "\n".join(f"{mark} {told(says)}" for mark, says in zip(marks, block.items, strict=True))
    elif isinstance(block, Grid):
        caption = f"*{escaped(block.caption)}*{links(block.links)}" if block.caption else ""
        if caption:
            yield caption
        yield _markdown_table(block.columns, [[cell.text for cell in row] for row in block.rows], block.numbers)
    elif isinstance(block, Tiles):
        yield f"*{escaped(block.against)}*"
        yield _markdown_table(*_tiles(block))
    elif figures and block.name in pictures:
        yield f"![{escaped(block.title)}]({_address(pictures[block.name])})"


def _markdown_table(heads: Iterable[str], rows: Iterable[Iterable[str]], numbers: int) -> str:
    heads = list(heads)
    lines = ["---"] * (len(heads) - numbers) + ["--:"] * numbers
    written = [map(escaped, heads), lines, *(map(escaped, row) for row in rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in written)


def escaped(text: str) -> str:
    r"""Write text so that Markdown shows it as it is, and neither marks nor tags come of it.

    >>> print(escaped("<script>alert(1)</script> [a](b) x_1 | *c*"))
    \<script\>alert(1)\</script\> \[a\](b) x\_1 \| \*c\*
    """
    told = _SPECIAL.sub(r"\\\1", " ".join(text.split()))
    return _LINE_START.sub(lambda found: f"{found[1] or ''}\\{found[2] or found[3]}", told)


def _address(path: str) -> str:
    return path.replace(" ", "%20").replace("(", "%28").replace(")", "%29").replace("<", "%3C").replace(">", "%3E")


# plain text


def text(document: Document) -> str:
    """Write a document as plain text."""
    title = f"{document.title}, as of {document.as_of}"
    parts = [f"{title}\n{'=' * len(title)}", *_filled(document.lead)]
    for section in document.sections:
        blocks = [told for block in section.blocks for told in _text_block(block)]
        if blocks:
            parts.append(f"{section.title}\n{'-' * len(section.title)}")
            parts += blocks
    if document.sources:
        parts.append("Tables that this rests on\n-------------------------")
        parts.append("\n".join(_item("-", f"{source.table}: {source.grain}") for source in document.sources))
    parts += _filled(document.footer)
    return "\n\n".join(parts) + "\n"


def _text_block(block: Block) -> Iterator[str]:
    def told(says: Says) -> str:
        rests = ", ".join(link.name for link in says.links)
        return f"{says.whole}{f' [{rests}]' if rests else ''}"

    if isinstance(block, Paragraph):
        yield from _filled(" ".join(map(told, block.says)))
    elif isinstance(block, Bullets):
        marks = (f"{place}." if block.numbered else "-" for place in range(1, len(block.items) + 1))
        yield "\n".join(_item(mark, told(says)) for mark, says in zip(marks, block.items, strict=True))
    elif isinstance(block, Grid):
        rests = ", ".join(link.name for link in block.links)
        heading = list(_filled(f"{block.caption}{f' [{rests}]' if rests else ''}"))
        yield "\n".join(
            [*heading, _columns(block.columns, [[c.text for c in row] for row in block.rows], block.numbers)]
        )
    elif isinstance(block, Tiles):
        yield f"{block.against}\n{_columns(*_tiles(block))}"


def _columns(heads: Iterable[str], rows: Iterable[Iterable[str]], numbers: int) -> str:
    cells = [list(heads), *(list(row) for row in rows)]
    widths = [max(len(row[place]) for row in cells) for place in range(len(cells[0]))]
    first = len(widths) - numbers
    lines = [
        "  ".join(
            value.rjust(width) if place >= first else value.ljust(width)
            for place, (value, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]
    return "\n".join(f"  {line}" for line in (lines[0], "  ".join("-" * width for width in widths), *lines[1:]))


def _item(mark: str, told: str) -> str:
    first = f"{mark} ".ljust(3)
    return textwrap.fill(told, WIDTH, initial_indent=first, subsequent_indent="   ", break_long_words=False)


def _filled(told: str) -> Iterator[str]:
    if told:
        yield textwrap.fill(told, WIDTH, break_long_words=False, break_on_hyphens=False)


def _tiles(block: Tiles) -> tuple[tuple[str, ...], list[list[str]], int]:
    """Give tiles as a table, for what has no tiles."""
    compared = any(tile.change or tile.between for tile in block.tiles)
    yearly = any(tile.year for tile in block.tiles)
    heads = (
        "figure",
        "value",
        *(("change", "interval", "in words") if compared else ()),
        *(("year",) if yearly else ()),
    )
    rows = [
        [
            tile.name,
            tile.value,
            *((tile.change, tile.between, tile.word) if compared else ()),
            *((tile.year,) if yearly else ()),
        ]
        for tile in block.tiles
    ]
    return heads, rows, len(heads) - 1


# HTML


def html(document: Document, pictures: Mapping[str, tuple[bytes, bytes]]) -> str:
    """Write a document as one page that needs no other file, no network and no script.

    Args:
        document: What is written.
        pictures: The PNG and the SVG of each chart.
    """
    shown = {name: _data(*both) for name, both in pictures.items()}
    return _page().render(
        document=document,
        pictures=shown,
        style=(_HERE / "page.css").read_text(encoding="utf-8"),
        tables={source.table for source in document.sources},
    )


def _data(png: bytes, svg: bytes) -> str:
    """Show the drawing where it is small enough: it is crisp on paper. An image runs no script."""
    kind, content = ("svg+xml", svg) if len(svg) <= LARGEST_PICTURE else ("png", png)
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _typeset(said: str) -> str:
    """Write a text as a printer does: numbers stay with their units, days in one line, and a minus is one.

    >>> _typeset("-4.4 % to 12 EUR on 2025-01-31").replace("\u00a0", "_").replace("\u2060", "|")
    '\u22124.4_% to 12_EUR on 2025-|01-|31'
    """
    return _DAY.sub("-\u2060", _MINUS.sub("\u2212", _UNIT.sub("\u00a0", said)))


@functools.cache
def _page() -> Template:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    kinds = {Paragraph: "paragraph", Bullets: "bullets", Grid: "grid", Tiles: "tiles", Figure: "figure"}
    environment.filters["set"] = _typeset
    environment.filters["kind"] = lambda block: kinds[type(block)]
    environment.filters["tone"] = lambda said: f" {said.tone}" if isinstance(said, Cell | Says) and said.tone else ""
    return environment.get_template("page.html.j2")
