"""What can go wrong in the lake, said so that a person can mend it."""

from __future__ import annotations


class LakeError(Exception):
    """Say what the lake could not do, where, and what to do about it."""
