"""What is wrong in a project's files, and where.

Belongs here: the records of a problem and of the places in a file. Does not belong here: finding problems (`yaml`,
`explain`, `loading`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

Loc = tuple[str | int, ...]


@dataclass(frozen=True)
class Problem:
    """One thing wrong in a project's files.

    >>> from pathlib import Path
    >>> print(Problem(Path("feeds.yaml"), 12, "feeds[1].colums", "unknown key 'colums'", "Did you mean 'columns'?"))
    feeds.yaml:12: feeds[1].colums: unknown key 'colums'. Did you mean 'columns'?
    """

    file: Path
    line: int  # 1-based; 1 where nothing better is known
    where: str  # dotted path such as "feeds[1].columns.unit_price", "" for the whole file
    message: str  # what is wrong
    hint: str = ""  # what to do: allowed keys, near matches

    def __str__(self) -> str:
        """Return the problem on one line, as editors and CI systems link it."""
        told = f"{self.message.rstrip('.')}. {self.hint}" if self.hint else self.message
        return f"{self.file}:{self.line}: " + (f"{self.where}: {told}" if self.where else told)


class ProjectError(Exception):
    """A project's files cannot be used; `problems` says why, all of them at once.

    >>> from pathlib import Path
    >>> print(ProjectError([Problem(Path("project.yaml"), 1, "", "the file is empty")]))
    project.yaml:1: the file is empty
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__(self.problems)

    def __str__(self) -> str:
        """Return the problems, one a line."""
        return "\n".join(map(str, self.problems))


@dataclass(frozen=True)
class Positions:
    """Where each value and each key of a file stands; a location is a tuple of keys and indices, as in pydantic.

    >>> from pathlib import Path
    >>> positions = Positions(Path("a.yaml"), values={(): 1, ("feeds", 0): 3}, keys={})
    >>> print(positions.problem(("feeds", 0, "table"), "no such table"))
    a.yaml:3: feeds[0].table: no such table
    """

    file: Path
    values: Mapping[Loc, int]
    keys: Mapping[Loc, int]

    def problem(self, loc: Sequence[str | int], message: str, hint: str = "", *, key: bool = False) -> Problem:
        """Build a problem at a value's line, at its key's with `key`, or at the nearest line above that is known."""
        known = tuple(loc)
        line = self.keys.get(known) if key else None
        while line is None and known not in self.values and known:
            known = known[:-1]
        return Problem(self.file, line or self.values.get(known, 1), dotted(loc), message, hint)


def dotted(loc: Sequence[str | int]) -> str:
    """Return a location as a path such as `feeds[1].columns`."""
    parts = (
        f"[{part}]" if isinstance(part, int) else f".{part}" if re.fullmatch(r"[\w-]+", part) else f"[{part!r}]"
        for part in loc
    )
    return "".join(parts).removeprefix(".")


def shown(value: object) -> str:
    """Return a value as a message names it."""
    if value is None or isinstance(value, bool):
        return "empty" if value is None else str(value).lower()
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:50]}...{text[-1]}"
