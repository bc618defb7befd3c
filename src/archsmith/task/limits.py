"""Refusals by size, before anything large is read or decoded."""

from __future__ import annotations

import psutil

from archsmith.errors import DataError

__all__ = ["MAX_PIXELS", "check_memory"]

# A photo of 64 megapixels is larger than any common camera's; a file that declares more is refused unread.
MAX_PIXELS = 64_000_000


def check_memory(needed: int, what: str, remedy: str) -> None:
    """Raise ``DataError`` where ``needed`` bytes would take more than 60 % of the memory that is free now."""
    free = psutil.virtual_memory().available
    if needed > 0.6 * free:
        raise DataError(
            f"{what} needs {needed / 2**30:,.1f} GiB in memory, more than 60 % of the {free / 2**30:,.1f} GiB that are "
            f"free; refused unread. {remedy}"
        )
