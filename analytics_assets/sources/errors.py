"""The error that every module of this package raises for a delivered file it cannot use."""

from __future__ import annotations


class SourceError(Exception):
    """A delivered file cannot be used; the message names the file, what is wrong and what to do."""
