"""One document, whatever it is rendered as: sections of sentences, tables, tiles and figures.

Belongs here: the neutral tree. Does not belong here: what it says (`writing`) and how it looks (`rendering`).

All text is plain: names may hold anything, and a renderer escapes what it writes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Tone = Literal["", "good", "bad", "thin"]


@dataclass(frozen=True)
class Link:
    """Point at what a sentence rests on: a table of the lake, a figure, or a section of the report."""

    kind: Literal["table", "figure", "section"]
    name: str

    @property
    def anchor(self) -> str:
        """Where it is in the document."""
        return f"{self.kind}-{self.name}"


@dataclass(frozen=True)
class Says:
    """Hold a sentence, and what it rests on.

    Attributes:
        text: The sentence, or what follows its head.
        links: What it rests on.
        tone: How it is meant.
        lead: What it is worth.
        head: How it begins, for who reads no further.
    """

    text: str
    links: tuple[Link, ...] = ()
    tone: Tone = ""
    lead: str = ""
    head: str = ""

    @property
    def whole(self) -> str:
        """Write all of it in one line."""
        head = self.head if not self.text else f"{self.head}: {self.text}" if self.head else self.text
        return f"{self.lead}: {head}" if self.lead else head


@dataclass(frozen=True)
class Paragraph:
    """Hold sentences that belong together; a note is for who wants to know how."""

    says: tuple[Says, ...]
    note: bool = False


@dataclass(frozen=True)
class Bullets:
    """Hold sentences one below the other, numbered if their order means something."""

    items: tuple[Says, ...]
    numbered: bool = False


@dataclass(frozen=True)
class Cell:
    """Hold a cell of a table."""

    text: str
    tone: Tone = ""


@dataclass(frozen=True)
class Grid:
    """Hold a table.

    Attributes:
        columns: The heads.
        rows: The cells; the first of a row names it.
        caption: What it shows.
        links: What it is read from.
        numbers: How many columns at the right end hold numbers.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str = ""
    links: tuple[Link, ...] = ()
    numbers: int = 0


@dataclass(frozen=True)
class Tile:
    """Hold one number that people look for first.

    Attributes:
        name: What it is.
        value: How much.
        change: Against the period before.
        between: The interval of that.
        word: Which way it went, in words.
        year: Against the year before, with its interval; empty where there is none.
        tone: Whether that is good.
        link: The table that it rests on.
    """

    name: str
    value: str
    change: str
    between: str
    word: str
    year: str
    tone: Tone
    link: Link


@dataclass(frozen=True)
class Tiles:
    """Hold the tiles, and against what they are compared."""

    tiles: tuple[Tile, ...]
    against: str


@dataclass(frozen=True)
class Figure:
    """Show a chart."""

    name: str
    title: str


Block: TypeAlias = Paragraph | Bullets | Grid | Tiles | Figure


@dataclass(frozen=True)
class Section:
    """Hold a section under its heading."""

    name: str
    title: str
    blocks: tuple[Block, ...]

    @property
    def anchor(self) -> str:
        """Where it is in the document."""
        return Link("section", self.name).anchor


@dataclass(frozen=True)
class Source:
    """Say what a table is that sentences rest on."""

    table: str
    grain: str


@dataclass(frozen=True)
class Document:
    """Hold a report.

    Attributes:
        title: What it is.
        as_of: The last day that it knows.
        lead: What it says in short, in a line or two.
        sections: Its sections.
        sources: The tables that it rests on.
        footer: Where it comes from.
    """

    title: str
    as_of: str
    lead: str
    sections: tuple[Section, ...]
    sources: tuple[Source, ...]
    footer: str

    @property
    def figures(self) -> tuple[str, ...]:
        """The charts that it shows."""
        shown = [block.name for section in self.sections for block in section.blocks if isinstance(block, Figure)]
        return tuple(dict.fromkeys(shown))
