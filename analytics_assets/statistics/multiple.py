"""Many comparisons: p-values adjusted for the family that they belong to.

Belongs here: what needs p-values alone. Does not belong here: which comparisons are a family (plans say so).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

Method = Literal[
    "bonferroni", "sidak", "holm", "holm-sidak", "hochberg", "hochberg-sidak", "hommel",
    "benjamini-hochberg", "benjamini-yekutieli",
]  # fmt: skip


def bonferroni(p_values: Sequence[float]) -> list[float]:
    """Multiply by the number of comparisons: the chance of any false alarm stays below alpha, whatever hangs together.

    >>> bonferroni([0.01, 0.2, 0.5])
    [0.03, 0.6000000000000001, 1.0]
    """
    return [min(1.0, len(p_values) * p) for p in p_values]


def sidak(p_values: Sequence[float]) -> list[float]:
    """Adjust as independent comparisons ask for (Sidak 1967).

    >>> [round(p, 4) for p in sidak([0.01, 0.2, 0.5])]
    [0.0297, 0.488, 0.875]
    """
    return [_sidak(p, len(p_values)) for p in p_values]


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust so that the chance of any false alarm stays below alpha (Holm 1979), in the order given.

    Never larger than Bonferroni's, and as general.

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    return _step_down(p_values, _bonferroni)


def hochberg(p_values: Sequence[float]) -> list[float]:
    """Adjust by Hochberg's step-up (1988): sharper than Holm's, for comparisons that are not negatively dependent.

    >>> [round(p, 3) for p in hochberg([0.01, 0.04, 0.03])]
    [0.03, 0.04, 0.04]
    """
    return _step_up(p_values, _bonferroni)


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Adjust so that the expected share of false alarms among the alarms stays below alpha (1995).

    >>> [round(p, 3) for p in benjamini_hochberg([0.01, 0.04, 0.03])]
    [0.03, 0.04, 0.04]
    """
    return _false_discovery(p_values, 1.0)


def benjamini_yekutieli(p_values: Sequence[float]) -> list[float]:
    """Adjust for the share of false alarms under any dependence (2001).

    >>> [round(p, 3) for p in benjamini_yekutieli([0.01, 0.04, 0.03])]
    [0.055, 0.073, 0.073]
    """
    return _false_discovery(p_values, sum(1 / rank for rank in range(1, len(p_values) + 1)))


def hommel(p_values: Sequence[float]) -> list[float]:
    """Adjust by closing Simes' test (Hommel 1988): the sharpest of the step methods here.

    >>> [round(p, 3) for p in hommel([0.01, 0.04, 0.03])]
    [0.03, 0.04, 0.04]
    """
    count = len(p_values)
    order = sorted(range(count), key=lambda place: p_values[place])
    told = [p_values[place] for place in order]
    adjusted = list(told)
    for size in range(count, 1, -1):
        upper = range(count - size + 1, count)
        smallest = min(size * told[place] / (place - count + size + 1) for place in upper)
        for place in upper:
            adjusted[place] = max(adjusted[place], smallest)
        for place in range(count - size + 1):
            adjusted[place] = max(adjusted[place], min(smallest, size * told[place]))
    return _in_place(order, [min(1.0, p) for p in adjusted])


def adjust(p_values: Sequence[float | None], method: Method = "holm") -> list[float | None]:
    """Adjust a family by a method; a comparison without a p-value was not made, and counts for nothing.

    >>> adjust([0.01, None, 0.04], "bonferroni")
    [0.02, None, 0.08]
    """
    if method not in _METHODS:
        msg = f"no method is called {method!r}: there are {', '.join(_METHODS)}"
        raise ValueError(msg)
    made = [p for p in p_values if p is not None]
    if any(not 0 <= p <= 1 for p in made):
        msg = "a p-value lies between 0 and 1"
        raise ValueError(msg)
    adjusted = iter(_METHODS[method](made))
    return [None if p is None else next(adjusted) for p in p_values]


def _bonferroni(p: float, times: int) -> float:
    return min(1.0, times * p)


def _sidak(p: float, times: int) -> float:
    import math

    return -math.expm1(times * math.log1p(-p)) if p < 1 else 1.0


def _step_down(p_values: Sequence[float], of: Callable[[float, int], float]) -> list[float]:
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    adjusted, most = [], 0.0
    for rank, place in enumerate(order):
        most = max(most, of(p_values[place], len(p_values) - rank))
        adjusted.append(most)
    return _in_place(order, adjusted)


def _step_up(p_values: Sequence[float], of: Callable[[float, int], float]) -> list[float]:
    order = sorted(range(len(p_values)), key=lambda place: -p_values[place])
    adjusted, least = [], 1.0
    for rank, place in enumerate(order):
        least = min(least, of(p_values[place], rank + 1))
        adjusted.append(least)
    return _in_place(order, adjusted)


def _false_discovery(p_values: Sequence[float], factor: float) -> list[float]:
    count = len(p_values)
    order = sorted(range(count), key=lambda place: -p_values[place])
    adjusted, least = [], 1.0
    for rank, place in enumerate(order):
        least = min(least, factor * p_values[place] * count / (count - rank))
        adjusted.append(least)
    return _in_place(order, adjusted)


def _in_place(order: Sequence[int], values: Sequence[float]) -> list[float]:
    placed = [0.0] * len(order)
    for place, value in zip(order, values, strict=True):
        placed[place] = value
    return placed


_METHODS: dict[str, Callable[[Sequence[float]], list[float]]] = {
    "bonferroni": bonferroni,
    "sidak": sidak,
    "holm": holm,
    "holm-sidak": lambda p_values: _step_down(p_values, _sidak),
    "hochberg": hochberg,
    "hochberg-sidak": lambda p_values: _step_up(p_values, _sidak),
    "hommel": hommel,
    "benjamini-hochberg": benjamini_hochberg,
    "benjamini-yekutieli": benjamini_yekutieli,
}
