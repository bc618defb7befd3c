"""The default store: one SQLite file, with its plain-text mirror beside it."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import Connection, Engine

from archsmith.errors import StoreError
from archsmith.failpoint import hit
from archsmith.store import schema
from archsmith.store.codec import check_name
from archsmith.store.mirror import Mirror, mirror_path
from archsmith.store.schema import Row
from archsmith.store.spool import Spool
from archsmith.store.sql import number, owner_line, owner_words, read, to_rows
from archsmith.store.sqlite_file import (
    changes_size,
    check_file,
    close_for_writing,
    create_file,
    make_durable,
    open_for_reading,
    open_for_writing,
    told,
)
from archsmith.trial import Event

__all__ = ["SQLiteStore"]

_LONG_WAL = 64_000_000  # bytes


class SQLiteStore:
    """A log in the file ``path``, made if it is not there, with its mirror beside it (``events.jsonl`` for
    ``store.sqlite``).

    The file is read while it is written, by any number of others that open it with ``readonly=True``; one process at a
    time writes it. A file that is cut short, of another program, or of a newer version is refused and left as it is.
    Opened ``readonly``, nothing needs to be writable, so a run folder can be read from wherever it was copied to.
    ``wait`` is how many seconds to wait for another program that has locked the file.

    Every append is on the disk when it returns (WAL with ``synchronous=FULL``). What the file did not take, because
    another program had it locked for long, is kept in ``waiting.jsonl`` and added when the store is next opened to be
    written. Closing leaves one plain file without companions.

    Raises ``StoreError``.
    """

    def __init__(self, path: Path | str, *, readonly: bool = False, wait: float = 10.0) -> None:
        self.path = Path(path)
        self.readonly = readonly
        self.wait = wait
        self._lock = threading.RLock()
        self._engine: Engine | None = None
        self._mirror: Mirror | None = None
        self._spool = Spool(mirror_path(self.path))
        self._copy: TemporaryDirectory[str] | None = None
        self._sequences: dict[str, int] = {}
        self._last = 0
        self._warning = ""
        if readonly:
            check_file(self.path)
            with told(self.path):
                self._engine, self._copy = open_for_reading(self.path, wait)
        else:
            self._own()

    @property
    def note(self) -> str:
        """What a person should know about the store, such as a mirror that can no longer be written; else empty."""
        if self._mirror is None:
            return ""
        waiting = changes_size(self.path)
        held = (
            f"{self.path.name}-wal has grown to {waiting / 1e6:.0f} MB, since another program has been reading the log "
            "all the time; it shrinks when that ends"
            if waiting > _LONG_WAL
            else ""
        )
        return "; ".join(filter(None, (self._mirror.failed, self._warning, held)))

    def append(self, study: str, event: Event) -> None:
        """Add one event to the log of a study; when it returns, the event is on the disk."""
        self.append_many(study, (event,))

    def append_many(self, study: str, events: Sequence[Event]) -> None:
        """Add events to the log of a study, all or none; when it returns, they are on the disk."""
        rows = to_rows(study, events)
        if not rows:
            return
        if self._engine is not None and self._mirror is None:
            raise StoreError(f"{self.path} was opened for reading only, and cannot be written.")
        with self._lock:
            try:
                self._append((study, rows))
            except StoreError as error:
                if self._engine is None or not self._spool.keep(rows, self._last):
                    raise
                raise StoreError(f"{error} What it did not take is kept in {self._spool.path.name}.") from error

    def _append(self, *parts: tuple[str, list[Row]]) -> None:
        """Write rows of one study after another, all or none."""
        assert self._mirror is not None or self._engine is None
        rows = [row for _, part in parts for row in part]
        ends = dict(self._sequences)
        with self._connected() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            for study, part in parts:
                number(part, ends[study] if study in ends else schema.last(connection, study))
                ends[study] = part[-1]["sequence"]
            for step, row in enumerate(rows, start=1):
                row["id"] = self._last + step
            hit("store.commit.before")
            schema.write(connection, rows)
            hit("store.commit.written")
            connection.commit()
            hit("store.commit.after")
        self._last, self._sequences = rows[-1]["id"], ends
        if self._mirror is not None:
            self._mirror.write(rows)
            hit("store.mirror.after", self._mirror.path)
        if self._spool.used:
            self._spool.clear()

    def events(self, study: str, after: int = 0) -> Iterator[Event]:
        """Yield the events of a study in order, without the first ``after``."""
        check_name(study)

        def page(after: int) -> Sequence[Sequence[object]]:
            with self._lock, self._connected() as connection:
                return schema.events_after(connection, study, after)

        return read(page, after, self.path)

    def studies(self) -> tuple[str, ...]:
        """Return the names of the studies, in the order of their first events."""
        with self._lock, self._connected() as connection:
            return schema.study_names(connection)

    def close(self) -> None:
        """Let go of the file; a writer leaves one plain file behind."""
        with self._lock:
            if self._engine is not None and self._mirror is not None:
                close_for_writing(self._engine)
            elif self._engine is not None:
                self._engine.dispose()
            if self._mirror is not None:
                self._mirror.close()
            if self._copy is not None:
                self._copy.cleanup()
            self._engine = self._mirror = self._copy = None

    def _own(self) -> None:
        """Become the one writer of the file."""
        there = self.path.exists()
        if there:
            check_file(self.path)
        elif self.path.is_symlink():
            raise StoreError(f"{self.path} is a link to a file that is not there.")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._mirror = Mirror(mirror_path(self.path))
        except BlockingIOError:
            raise StoreError(
                f"{self.path} is being written by {self._owner()}. Stop that, or open it for reading."
            ) from None
        except OSError as error:
            raise StoreError(f"{self.path.parent} cannot be written (by user {_user()}): {error.strerror}.") from error
        try:
            if not self.path.exists():
                create_file(self.path)
            self._engine = open_for_writing(self.path, self.wait)
            with self._connected() as connection:
                self._last = schema.last(connection)
                known = self._known()
                self._warning = make_durable(connection, self.path)
                while rows := schema.rows_after(connection, known):  # what a killed owner did not come to
                    self._mirror.write(rows)
                    known = rows[-1]["id"]
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                schema.set_fact(connection, "owner", owner_line())
                connection.commit()
            waiting = self._spool.read(self._last)
            if waiting:
                self._append(*waiting)
            self._spool.clear()
            hit("store.opened")
        except BaseException:
            self.close()
            raise

    def _known(self) -> int:
        """Return the last event that the mirror knows; it cannot be one that the file does not."""
        assert self._mirror is not None
        number = self._mirror.last()
        if number > self._last:
            raise StoreError(
                f"{self._mirror.path} knows {number} events, but {self.path.name} only {self._last}: it is an older "
                "copy, or another store. Put the right file there, or move it away and make a new one with "
                "archsmith salvage RUN."
            )
        return number

    def _owner(self) -> str:
        """Say who writes the file now, as far as it can be known."""
        line = None
        with contextlib.suppress(StoreError):
            with told(self.path):
                engine, copy = open_for_reading(self.path, self.wait)
                with engine.connect() as connection:
                    line = schema.fact(connection, "owner")
                engine.dispose()
            if copy is not None:
                copy.cleanup()
        return owner_words(line)

    @contextlib.contextmanager
    def _connected(self) -> Iterator[Connection]:
        if self._engine is None:
            raise StoreError(f"{self.path} is closed.")
        with told(self.path), self._engine.connect() as connection:
            yield connection


def _user() -> str:
    return str(os.getuid()) if hasattr(os, "getuid") else os.environ.get("USERNAME", "?")
