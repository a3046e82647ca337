"""The error that every module of this package raises for a delivery it cannot use."""

from __future__ import annotations


class SourceError(Exception):
    """A delivery cannot be used; the message names the file, what is wrong and what to do."""
