"""Ranges of days, the unit in which tables are read and replaced."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Days:
    """Hold the days from `first` to `last`, both included.

    >>> days = Days(dt.date(2024, 2, 28), dt.date(2024, 3, 1))
    >>> len(days), dt.date(2024, 2, 29) in days, str(days)
    (3, True, '2024-02-28 to 2024-03-01')
    """

    first: dt.date
    last: dt.date

    def __post_init__(self) -> None:
        if self.last < self.first:
            raise ValueError(f"a range of days must not end before it begins: {self.first} to {self.last}")

    def __iter__(self) -> Iterator[dt.date]:
        return (self.first + dt.timedelta(days=n) for n in range(len(self)))

    def __len__(self) -> int:
        return (self.last - self.first).days + 1

    def __contains__(self, day: object) -> bool:
        return isinstance(day, dt.date) and self.first <= day <= self.last

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first} to {self.last}"

    def widened(self, *, before: int = 0, after: int = 0) -> Days:
        """Return the range with so many more days at its ends."""
        return Days(self.first - dt.timedelta(days=before), self.last + dt.timedelta(days=after))
