"""The errors that every module of this package raises for a delivery it cannot use."""

from __future__ import annotations


class SourceError(Exception):
    """A delivery cannot be used; the message names the file, what is wrong and what to do."""


class UnreachableError(SourceError):
    """A delivery could not be fetched, and may be fetched a little later: the network or the bucket failed."""


PERMANENT = (FileNotFoundError, PermissionError, ImportError, ValueError, NotImplementedError)
"""What reading a folder or bucket raises that a second try would raise again."""


def unread(message: str, error: BaseException) -> SourceError:
    """Return the error for what could not be read, by whether a second try may help.

    >>> type(unread("s3://b/x: cannot be read", ConnectionError())).__name__
    'UnreachableError'
    """
    return SourceError(message) if isinstance(error, PERMANENT) else UnreachableError(message)
