"""Days: ranges of them, the unit in which tables are read and replaced, and sets of them, which say what is done.

Belongs here: arithmetic of days. Does not belong here: which days a run computes (`automation`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
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


@dataclass(frozen=True)
class DaySet:
    """Hold any days, as ranges that neither meet nor overlap, the oldest first.

    >>> done = DaySet.of([dt.date(2024, 3, 1), dt.date(2024, 3, 2), dt.date(2024, 3, 5)])
    >>> str(done), len(done), dt.date(2024, 3, 3) in done
    ('2024-03-01 to 2024-03-02, 2024-03-05', 3, False)
    """

    ranges: tuple[Days, ...] = ()

    @classmethod
    def of(cls, days: Iterable[dt.date]) -> DaySet:
        """Collect days, given in any order."""
        ranges: list[Days] = []
        for day in sorted(set(days)):
            if ranges and day == ranges[-1].last + dt.timedelta(days=1):
                ranges[-1] = Days(ranges[-1].first, day)
            else:
                ranges.append(Days(day, day))
        return cls(tuple(ranges))

    @classmethod
    def read(cls, text: str) -> DaySet:
        """Read what `str` wrote.

        >>> print(DaySet.read("2024-03-01 to 2024-03-02, 2024-03-05") | DaySet.read("2024-03-03") | DaySet.read(""))
        2024-03-01 to 2024-03-03, 2024-03-05
        """
        pairs = [part.partition(" to ") for part in text.split(", ") if part]
        day = dt.date.fromisoformat
        return cls(tuple(Days(day(first), day(last or first)) for first, _, last in pairs))

    def __iter__(self) -> Iterator[dt.date]:
        return (day for days in self.ranges for day in days)

    def __len__(self) -> int:
        return sum(map(len, self.ranges))

    def __contains__(self, day: object) -> bool:
        return any(day in days for days in self.ranges)

    def __str__(self) -> str:
        return ", ".join(map(str, self.ranges))

    def __or__(self, other: DaySet | Days) -> DaySet:
        return DaySet.of([*self, *other])

    def __and__(self, other: DaySet | Days) -> DaySet:
        return DaySet.of(day for day in self if day in other)

    def __sub__(self, other: DaySet | Days) -> DaySet:
        return DaySet.of(day for day in self if day not in other)
