"""The plain-text mirror of a store, ``events.jsonl``: one event a line, for people, for grep, and for salvage."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from archsmith.errors import StoreError
from archsmith.store.codec import decode
from archsmith.store.schema import Row
from archsmith.trial import Event

if sys.platform != "win32":
    import fcntl

__all__ = ["Mirror", "mirror_path", "mirror_rows", "read_mirror", "row_line"]

_TAIL = 2**16
_LONGEST = 2**26  # bytes of a line that is still read


class Mirror:
    """The end of ``events.jsonl`` at which the owner of a store writes.

    It holds the lock that makes its owner the one writer of the store beside it; the system lets go of the lock when
    the process ends, however it ends. (Windows has no such lock; there, nothing keeps a second writer out.)
    The mirror follows the store and is never ahead of it. When its disk fails, ``failed`` says how, the search goes
    on, and the next owner writes what is missing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.failed = ""
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        if sys.platform != "win32":
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(self._file)
                raise
            except OSError as error:
                if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.EINVAL):  # a file system without locks
                    os.close(self._file)
                    raise

    def last(self) -> int:
        """Return the ``id`` of the last line that can be read, 0 if there is none; a torn last line is cut off."""
        size = os.fstat(self._file).st_size
        reach = _TAIL
        while size:
            begin = max(0, size - reach)
            tail = os.pread(self._file, size - begin, begin)
            end = tail.rfind(b"\n") + 1
            if end or begin == 0:
                if end < len(tail):
                    os.ftruncate(self._file, begin + end)
                lines = tail[:end].split(b"\n")
                for line in reversed(lines if begin == 0 else lines[1:]):
                    row = _parse(line)
                    if row is not None:
                        return int(row["id"])
            if begin == 0:
                return 0
            reach *= 8
        return 0

    def write(self, rows: Sequence[Row]) -> None:
        """Append rows; after a failure, do nothing."""
        if self.failed:
            return
        size = 0
        try:
            size = os.fstat(self._file).st_size
            left = memoryview(b"".join(map(row_line, rows)))
            while left:
                left = left[os.write(self._file, left) :]
        except OSError as error:
            self.failed = f"{self.path.name} is no longer written: {error}"
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, size)

    def close(self) -> None:
        """Write through to the disk, and let go of the lock."""
        with contextlib.suppress(OSError):
            os.fsync(self._file)
        os.close(self._file)


def mirror_path(store: Path) -> Path:
    """Return where the mirror of a store is: ``events.jsonl`` beside ``store.sqlite``, else named after the store."""
    return store.with_name("events.jsonl" if store.stem == "store" else f"{store.stem}.events.jsonl")


def mirror_rows(path: Path | str) -> Iterator[Row | None]:
    """Yield the rows of a mirror in order, None for each line that cannot be read."""
    try:
        file = Path(path).open("rb")
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}.") from error
    with file:
        while line := file.readline(_LONGEST):
            if len(line) == _LONGEST and not line.endswith(b"\n"):  # no event of ours
                while (more := file.readline(_LONGEST)) and not more.endswith(b"\n"):
                    pass
                yield None
            elif line.strip():
                yield _parse(line) if line.endswith(b"\n") else None


def read_mirror(path: Path | str, study: str | None = None) -> Iterator[Event]:
    """Yield the events of a mirror in order, of one study or of all; lines that cannot be read are left out."""
    for row in mirror_rows(path):
        if row is not None and study in (None, row["study"]):
            yield Event(row["kind"], row["trial"], decode(row["data"]), row["time"])


def row_line(row: Row) -> bytes:
    """Return a row as the line of a mirror."""
    head = json.dumps({name: row[name] for name in ("id", "study", "sequence", "kind", "trial", "time")})
    return f'{head[:-1]}, "data": {row["data"]}}}\n'.encode("ascii")


def _parse(line: bytes) -> Row | None:
    try:
        row = json.loads(line)
        row["data"] = json.dumps(row["data"], ensure_ascii=True, allow_nan=False, separators=(",", ":"))
        trial = row["trial"] if row["trial"] is None else int(row["trial"])
        number, sequence, time = int(row["id"]), int(row["sequence"]), float(row["time"])
        study, kind = str(row["study"]), str(row["kind"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return dict(id=number, study=study, sequence=sequence, kind=kind, trial=trial, time=time, data=row["data"])
