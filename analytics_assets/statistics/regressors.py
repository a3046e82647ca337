"""Regressors of a model of an experiment: what was known of users before exposure, as columns of numbers.

A regressor that the variant may have changed takes away part of the effect, or makes one up: users alike in it are no
longer alike in what they were (Rosenbaum 1984). It is refused, with the reason.

Belongs here: which regressors a model may have, and the columns of it. Does not belong here: the fit (`logistic`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Known = Literal["before exposure", "after exposure"]
TREATMENT = "treatment"
OTHER = "(other)"
FEW = 30
"""Users below whom a value of a category is put together with others that are as rare."""
_SAME = 1e-9


@dataclass(frozen=True, slots=True)
class Regressor:
    """Describe what a model may know of users.

    Attributes:
        name: As it is told.
        known: When it was measured.
        category: Whether its values are names, not numbers.
        origin: Where it comes from, in words; the name where nothing is said.
    """

    name: str
    known: Known
    category: bool = False
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Term:
    """Hold one column of a design, or why it is none.

    Attributes:
        name: The regressor, with its value where it is a category: "device: mobile".
        regressor: The regressor.
        column: A number a row; empty where it is left out.
        reference: The value that a category is compared with, or "0".
        left_out: Why it is in no model; "" where it is.
        refused: Whether it is left out because the variant may have changed it.
    """

    name: str
    regressor: str
    column: tuple[float, ...] = ()
    reference: str = "0"
    left_out: str = ""
    refused: bool = False


def refusal(regressor: Regressor) -> str | None:
    """Say why a regressor cannot be in a model of an experiment; None: it can.

    >>> refusal(Regressor("known_before", "before exposure"))
    >>> print(refusal(Regressor("carts", "after exposure")))
    carts is measured after exposure: the variant may have changed it, and its effect would be mistaken for no effect
    """
    if regressor.known == "before exposure":
        return None
    return (
        f"{regressor.origin or regressor.name} is measured after exposure: the variant may have changed it, "
        "and its effect would be mistaken for no effect"
    )


def design(
    treated: Sequence[bool],
    values: Mapping[str, Sequence[float] | Sequence[str]],
    regressors: Sequence[Regressor],
    users: Sequence[int],
) -> list[Term]:
    """Make the columns of a model: the treatment, then the regressors in their order.

    Values of a category of fewer than 30 users are put together as "(other)"; each but the most frequent is a column of
    0 and 1. Columns that are the same for all, or that those before determine, are left out, and say so.

    Args:
        treated: Whether the users of a row have the treatment.
        values: Of each regressor, a value a row.
        regressors: What the model may know.
        users: Users in each row.

    >>> told = [Regressor("device", "before exposure", category=True), Regressor("carts", "after exposure")]
    >>> found = design([True, False, True], {"device": ["m", "m", "d"]}, told, [50, 60, 40])
    >>> [(term.name, term.column, term.reference) for term in found[:2]]
    [('treatment', (1.0, 0.0, 1.0), 'control'), ('device: d', (0.0, 0.0, 1.0), 'm')]
    >>> found[2].refused
    True
    """
    terms = [Term(TREATMENT, TREATMENT, tuple(float(did) for did in treated), "control")]
    for regressor in regressors:
        reason = refusal(regressor)
        if reason is not None:
            terms.append(Term(regressor.name, regressor.name, left_out=reason, refused=True))
        elif regressor.category:
            terms += _levels(regressor.name, [str(value) for value in values[regressor.name]], users)
        else:
            numbers = tuple(float(value) for value in values[regressor.name])
            terms.append(Term(regressor.name, regressor.name, numbers))
    return _told_apart(terms, len(users))


def _levels(name: str, values: Sequence[str], users: Sequence[int]) -> list[Term]:
    counted = _counted(values, users)
    pooled = [value if counted[value] >= FEW else OTHER for value in values]
    counted = _counted(pooled, users)
    levels = sorted(counted, key=lambda value: (-counted[value], value))
    if len(levels) < 2:
        return [Term(name, name, left_out="it is the same for all users")]
    first, *others = levels
    return [
        Term(f"{name}: {level}", name, tuple(float(value == level) for value in pooled), first)
        for level in sorted(others)
    ]


def _counted(values: Sequence[str], users: Sequence[int]) -> Counter[str]:
    counted: Counter[str] = Counter()
    for value, n in zip(values, users, strict=True):
        counted[value] += n
    return counted


def _told_apart(terms: Sequence[Term], rows: int) -> list[Term]:
    """Leave out what is constant or determined by what stands before it, by Gram-Schmidt on columns of length 1."""
    import numpy as np

    if not rows:
        return list(terms)
    basis = [np.full(rows, 1 / np.sqrt(rows))]
    found = []
    for term in terms:
        if not term.column:
            found.append(term)
            continue
        column = np.asarray(term.column, dtype=np.float64)
        length = float(np.linalg.norm(column))
        rest = column / length if length else column
        for _ in range(2):  # once is not enough where columns are nearly alike
            for known in basis:
                rest = rest - (rest @ known) * known
        left = float(np.linalg.norm(rest))
        if left < _SAME:
            constant = bool((column == column[0]).all())
            why = "it is the same for all users" if constant else "the terms before it determine it"
            found.append(Term(term.name, term.regressor, (), term.reference, why))
            continue
        basis.append(rest / left)
        found.append(term)
    return found
