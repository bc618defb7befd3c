"""Errors for people: what happened, which value, what is allowed, what to do.

ArchsmithError            exit code 1
├── UsageError            2    an argument or option that cannot be
│   ├── DataError         2    the person's data, found in the data check
│   ├── SpaceError        2    a search space that cannot be
│   └── BudgetError       2    a budget too small for even one training
├── LimitError            3    nothing can satisfy the limits
├── TooManyFailures       4    the search stopped because trials kept failing
├── StoreError            5    the log is missing, locked, corrupt, full or newer
├── ExportError           6    a file was written but does not do what the network does
├── MissingExtra          7    an optional dependency is needed
├── ClusterLost          75    the cluster that ran the trials is gone; what was saved can go on
└── Paused              130    stopped on request (143 on SIGTERM); it can go on
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "ArchsmithError",
    "BudgetError",
    "ClusterLost",
    "DataError",
    "ExportError",
    "LimitError",
    "MissingExtra",
    "Paused",
    "SpaceError",
    "StoreError",
    "TooManyFailures",
    "UsageError",
    "nearest",
]


class ArchsmithError(Exception):
    """Any error this project raises on purpose; ``exit_code`` is what the command line ends with."""

    exit_code = 1


class UsageError(ArchsmithError):
    """An argument or option that cannot be."""

    exit_code = 2


class DataError(UsageError):
    """Something in the person's data, named by file or column, that must be mended before a search."""


class SpaceError(UsageError):
    """A search space, or an architecture for it, that cannot be."""


class BudgetError(UsageError):
    """A budget too small for even one training."""


class LimitError(ArchsmithError):
    """No architecture of the space can satisfy the limits."""

    exit_code = 3


class TooManyFailures(ArchsmithError):
    """The search stopped because its trials kept failing."""

    exit_code = 4


class StoreError(ArchsmithError):
    """The log of a study is missing, locked, corrupt, full, or newer than this version."""

    exit_code = 5


class ExportError(ArchsmithError):
    """An exported file could not be written, or does not compute what the network computes."""

    exit_code = 6


class MissingExtra(ArchsmithError):
    """An optional dependency is needed, or does not let us in; the message names what to do."""

    exit_code = 7


class ClusterLost(ArchsmithError):
    """The cluster that ran the trials is gone; what was saved can go on later, which is what exit code 75 means."""

    exit_code = 75


class Paused(ArchsmithError):
    """A search was stopped on request, with everything kept; it can go on."""

    exit_code = 130


def nearest(name: str, allowed: Iterable[str]) -> str:
    """Return a sentence that names the nearest allowed name, or lists what is allowed."""
    names = [str(a) for a in allowed]
    close = difflib.get_close_matches(str(name), names, n=1, cutoff=0.5)
    if close:
        return f"Did you mean {close[0]!r}?"
    return f"Allowed: {', '.join(names)}." if names else "Nothing is allowed here."
