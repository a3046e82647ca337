"""Assignment of units to variants by a salted hash that anybody can compute.

The hash of a unit is the first 13 hexadecimal digits of SHA-256 of `salt:unit` (UTF-8), over 16^13: a number from 0
up to 1. Variants take the interval [0, 1) in the order of the plan, each as much as its share. In DuckDB, for one:
`('0x' || sha256('salt:' || unit)[1:13])::BIGINT / 16^13`.

The rule is for good: a change of it would move users between variants of running experiments. A plan's salt is its
name; two experiments with different salts are independent of each other.

Belongs here: the rule. Does not belong here: who is eligible, and the log of assignments.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from hashlib import sha256
from itertools import accumulate

from analytics_assets.statistics.srm import checked_shares

DIGITS = 13
_SCALE = 16.0**-DIGITS


def uniform(unit: str, salt: str) -> float:
    """Give the hash of a unit as a number from 0 up to 1, the same for ever.

    >>> uniform("user-1", "checkout")
    0.1657048639662897
    """
    _checked(salt)
    return int(sha256(f"{salt}:{unit}".encode()).hexdigest()[:DIGITS], 16) * _SCALE


def assign(unit: str, salt: str, shares: Mapping[str, float]) -> str:
    """Give the variant of a unit.

    Args:
        unit: Its id, as text; never folded or trimmed.
        salt: Of the experiment; without a colon.
        shares: Of the variants, in the order of the plan; they sum to 1.

    >>> assign("user-1", "checkout", {"control": 0.5, "treatment": 0.5})
    'control'
    """
    return assign_many([unit], salt, shares)[0]


def assign_many(units: Iterable[str], salt: str, shares: Mapping[str, float]) -> list[str]:
    """Give the variants of many units, in their order.

    >>> assign_many(["user-1", "user-2", "user-3"], "checkout", {"control": 0.5, "treatment": 0.5})
    ['control', 'control', 'treatment']
    """
    _checked(salt)
    names, ends = list(shares), boundaries(shares)
    # the digest of the salt is the same for all: it is computed once and carried on
    begun = sha256(f"{salt}:".encode())
    variants = []
    for unit in units:
        digest = begun.copy()
        digest.update(unit.encode())
        value = int.from_bytes(digest.digest()[:7], "big") >> 4
        variants.append(names[bisect_right(ends, value * _SCALE)])
    return variants


def boundaries(shares: Mapping[str, float]) -> list[float]:
    """Give where one variant ends and the next begins, without the last end, which is 1.

    >>> boundaries({"control": 0.5, "a": 0.25, "b": 0.25})
    [0.5, 0.75]
    """
    return list(accumulate(checked_shares(list(shares.values()))))[:-1]


def _checked(salt: str) -> None:
    if not salt or ":" in salt:
        msg = f"a salt is a text without a colon, not {salt!r}"
        raise ValueError(msg)
