"""The store of a team: studies in one PostgreSQL database, each with one writer and any number of readers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, IntegrityError

from archsmith.errors import StoreError
from archsmith.store import schema
from archsmith.store.codec import check_name
from archsmith.store.mirror import Mirror
from archsmith.store.schema import Row
from archsmith.store.server import Server
from archsmith.store.spool import Spool
from archsmith.store.sql import number, read, to_rows
from archsmith.trial import Event

__all__ = ["PostgreSQLStore"]

_T = TypeVar("_T")
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 5.0


class PostgreSQLStore:
    """A log in the database at ``address`` (``postgresql://me@host/database``), in tables of its own ``schema``, which
    are made if they are not there.

    Opened for writing, it becomes the one writer of each study that it reads or writes, until it is closed or its
    process ends; a second writer is told who the first is. Opened ``readonly``, it is one of many readers, and needs
    no right but to select.

    A connection that breaks, a server that restarts, a deadlock, a serialisation failure or a server with too many
    clients is waited out for up to ``wait`` seconds. What was being written then is found out from the log itself, so
    every event is there exactly once. A store that was away for so long that another became the writer is refused.

    ``mirror`` is the path of a plain-text copy, ``events.jsonl``, of the one study that is then written, from which
    the run can be shown and salvaged without the server. What the server did not take is kept beside it, in
    ``waiting.jsonl``, and added when the study is next opened to be written.

    Raises ``StoreError``, ``MissingExtra`` without psycopg, and ``UsageError`` for what is no address. No message
    holds the password.
    """

    def __init__(
        self,
        address: str,
        *,
        readonly: bool = False,
        mirror: Path | str | None = None,
        schema: str = "archsmith",
        wait: float = 60.0,
    ) -> None:
        self.readonly = readonly
        self.wait = wait
        self._server = Server(address, schema, readonly)
        self._lock = threading.RLock()
        self._connection: Connection | None = None
        self._closed = False
        self._owned: dict[str, int] = {}
        self._mirror: Mirror | None = None
        self._spool: Spool | None = None
        if mirror is not None:
            self._mirror = _open_mirror(Path(mirror))
            self._spool = Spool(Path(mirror))
        try:
            self._patiently(lambda connection: None)
        except BaseException:
            self.close()
            raise

    @property
    def address(self) -> str:
        """The address, with ``***`` for the password."""
        return self._server.name

    @property
    def note(self) -> str:
        """What a person should know about the store, such as a mirror that can no longer be written; else empty."""
        return self._mirror.failed if self._mirror is not None else ""

    def append(self, study: str, event: Event) -> None:
        """Add one event to the log of a study; when it returns, the event is on the server's disk."""
        self.append_many(study, (event,))

    def append_many(self, study: str, events: Sequence[Event]) -> None:
        """Add events to the log of a study, all or none; when it returns, they are on the server's disk."""
        rows = to_rows(study, events)
        if not rows:
            return
        if self.readonly:
            raise StoreError(f"{self.address} was opened for reading only, and cannot be written.")
        with self._lock:
            self._begin(study)
            try:
                self._append(study, rows)
            except StoreError as error:
                if self._spool is None or self._closed or not self._spool.keep(rows, self._owned[study]):
                    raise
                raise StoreError(f"{error} What it did not take is kept in {self._spool.path}.") from error

    def _begin(self, study: str) -> None:
        """Become the one writer of a study, and add what its last owner could not write."""
        if study in self._owned or self.readonly:
            return
        self._patiently(lambda connection: self._claim(connection, study))
        if self._spool is None:
            return
        kept = [row for waiting, rows in self._spool.read(self._owned[study]) if waiting == study for row in rows]
        try:
            if kept:  # the server gives its own ids
                self._append(study, [{name: row[name] for name in row if name != "id"} for row in kept])
        except StoreError:
            del self._owned[study]  # nothing is written before what is kept is
            raise
        self._spool.clear()

    def _append(self, study: str, rows: list[Row]) -> None:
        def write(connection: Connection) -> None:
            self._claim(connection, study)
            number(rows, self._owned[study])
            try:
                with connection.begin_nested():
                    schema.write(connection, rows)
            except IntegrityError:  # these numbers are taken: by ourselves, just before the connection broke?
                there = schema.events_after(connection, study, self._owned[study])
                wrote = [(r["sequence"], r["kind"], r["trial"], r["time"], r["data"]) for r in rows]
                if [tuple(row) for row in there] != wrote:
                    raise StoreError(
                        f"The study {study!r} in {self.address} was written by another process while the connection "
                        "was broken. This one stops; what the other recorded is kept."
                    ) from None

        self._patiently(write)
        self._owned[study] = rows[-1]["sequence"]
        if self._mirror is not None:
            self._mirror.write([{**row, "id": row["sequence"]} for row in rows])
        if self._spool is not None and self._spool.used:
            self._spool.clear()

    def events(self, study: str, after: int = 0) -> Iterator[Event]:
        """Yield the events of a study in order, without the first ``after``."""
        check_name(study)

        def page(after: int) -> Sequence[Sequence[object]]:
            def look(connection: Connection) -> Sequence[Sequence[object]]:
                return schema.events_after(connection, study, after)

            with self._lock:
                self._begin(study)
                return self._patiently(look)

        return read(page, after, self.address)

    def studies(self) -> tuple[str, ...]:
        """Return the names of the studies, in the order of their first events."""
        return self._patiently(schema.study_names)

    def close(self) -> None:
        """Let go of the studies and of the server."""
        with self._lock:
            self._closed = True
            self._drop()
            if self._mirror is not None:
                self._mirror.close()
                self._mirror = None

    def _claim(self, connection: Connection, study: str) -> None:
        """Become the one writer of a study, unless this is it; the mirror gets what a killed owner did not write."""
        if study in self._owned:
            return
        if self._mirror is not None and self._owned:
            (other,) = self._owned
            raise StoreError(f"{self._mirror.path} is the mirror of {other!r}. Open another store for {study!r}.")
        last = self._server.claim(connection, study)
        if self._mirror is not None:
            known = self._mirror.last()
            if known > last:
                raise StoreError(
                    f"{self._mirror.path} knows {known} events of {study!r}, but {self.address} only {last}: it is "
                    "another database, or an older copy. Give the right one, or move the mirror away."
                )
            while rows := schema.study_rows_after(connection, study, known):
                self._mirror.write([{**row, "id": row["sequence"]} for row in rows])
                known = rows[-1]["sequence"]
        self._owned[study] = last

    def _patiently(self, work: Callable[[Connection], _T]) -> _T:
        """Do ``work`` in one transaction, and again when something that passes was in its way."""
        begin, pause = time.monotonic(), _FIRST_PAUSE
        with self._lock:
            while True:
                if self._closed:
                    raise StoreError(f"{self.address} is closed.")
                try:
                    connection = self._connected()
                    with connection.begin():
                        return work(connection)
                except DBAPIError as error:
                    if self._server.broke(error):
                        self._drop()
                    late = time.monotonic() - begin + pause > self.wait
                    if late or not self._server.passes(error):
                        raise self._server.told(error) from error
                time.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)

    def _connected(self) -> Connection:
        """Return the connection; a new one becomes again the writer of what this store wrote before."""
        if self._connection is None:
            connection = self._server.connect()
            try:
                with connection.begin():
                    for study in self._owned:
                        self._server.claim(connection, study)
            except BaseException:
                connection.invalidate()
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.invalidate()  # ends the session, whatever state it is in
            self._connection.close()
            self._connection = None


def _open_mirror(path: Path) -> Mirror:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return Mirror(path)
    except BlockingIOError:
        raise StoreError(f"{path} is being written by another process. Stop that, or open it for reading.") from None
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}.") from error
