"""Files that are whole or not there: written beside their name, flushed to the disk, renamed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from archsmith.failpoint import hit

__all__ = ["replacing", "write_bytes", "write_text"]


@contextlib.contextmanager
def replacing(path: Path, place: str) -> Iterator[Path]:
    """Yield a path beside ``path`` to write to, which then takes its place; a crash leaves the old file or the new.

    What was written has reached the disk before it takes the place, and the new name has when the context ends. Where
    the writing fails the old file is untouched and nothing is left beside it. ``place`` names the failpoints
    ``<place>.before``, ``.written``, ``.synced`` and ``.after``. Raises ``OSError``.
    """
    # One name for all attempts: what a killed process left is overwritten by the next one.
    temporary = path.with_name(f".tmp-{path.name}")  # writers go by the ending
    hit(f"{place}.before")
    try:
        yield temporary
        hit(f"{place}.written", temporary)
        _flush(temporary, os.O_RDWR)
        hit(f"{place}.synced", temporary)
        os.replace(temporary, path)
        with contextlib.suppress(OSError):  # some systems cannot open a folder, and then there is nothing to do
            _flush(path.parent, os.O_RDONLY)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    hit(f"{place}.after", path)


def write_bytes(path: Path, data: bytes, place: str) -> None:
    """Write a file that is whole or not there, in a folder that is made; see ``replacing``. Raises ``OSError``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, place) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str, place: str) -> None:
    """Write a text file that is whole or not there; see ``replacing``. Raises ``OSError``."""
    write_bytes(path, text.encode("utf-8", errors="replace"), place)


def _flush(path: Path, flags: int) -> None:
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
