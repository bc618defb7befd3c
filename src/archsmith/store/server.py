"""The PostgreSQL server under a store: reaching it, what its errors mean, and one writer to a study."""

from __future__ import annotations

import hashlib
import uuid
from typing import Any

from sqlalchemy import Connection, Engine, NullPool, create_engine, func, inspect, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateSchema

from archsmith.errors import MissingExtra, StoreError
from archsmith.store import schema
from archsmith.store.address import server_url
from archsmith.store.sql import owner_line, owner_words

__all__ = ["Server"]

# Seconds after which a server that does not answer, or a table that another program has locked, is an error.
_CONNECTING, _SILENT, _LOCKED = 10, 30, 10
# Errors that pass by themselves: lost connections, a server that starts or fails over, deadlocks, serialisation, locks.
_PASSING = {"57P01", "57P02", "57P03", "57P05", "57014", "40001", "40P01", "53300", "55P03", "25006"}
_FULL = ("too many clients", "connection slots are reserved")
_COMING = ("starting up", "shutting down", "recovery mode", *_FULL)
_ADVICE = {
    "53300": "The server takes no more connections. Close some, or raise its max_connections, then resume.",
    "53100": "The disk of the server is full. Free some space there, then resume; everything recorded so far is kept.",
    "42501": "The user lacks a right. Ask for: GRANT CREATE ON DATABASE ... (to write) or GRANT SELECT (to read).",
    "55P03": "Another program has locked a table for long. Close that program, then resume.",
    "25006": "The server takes no writes: is this a standby?",
    "22P05": "The database does not keep every letter. Make one with ENCODING 'UTF8'.",
}


class Server:
    """One database on a server, of which a schema is ours; makes connections that carry this object's mark."""

    def __init__(self, address: str, space: str, readonly: bool) -> None:
        url = server_url(address)
        self.name = url.set(drivername="postgresql").render_as_string(hide_password=True)
        self.space = space
        self.readonly = readonly
        self.reached = False
        self._secret = url.password
        self._mark = f"archsmith-{uuid.uuid4().hex[:12]}"
        given: dict[str, Any] = {
            "connect_timeout": _CONNECTING,
            "tcp_user_timeout": 1000 * _SILENT,
            "keepalives_idle": _SILENT,
        }
        known = {name: value for name, value in given.items() if name not in url.query}
        try:
            self._engine: Engine = create_engine(
                url,
                connect_args={**known, "application_name": self._mark},
                poolclass=NullPool,
                execution_options={"schema_translate_map": {None: space}},
            )
        except ImportError as error:
            raise MissingExtra(
                f"The store {self.name} needs psycopg ({error}). Install it with: pip install 'archsmith[postgresql]'"
            ) from error

    def connect(self) -> Connection:
        """Return a new connection; raise what the database raises."""
        connection = self._engine.connect()
        try:
            with connection.begin():
                connection.exec_driver_sql(f"SET lock_timeout = '{_LOCKED}s'")
                connection.exec_driver_sql("SET synchronous_commit = on")
                if self.readonly:
                    connection.exec_driver_sql("SET default_transaction_read_only = on")
            with connection.begin():
                self._prepare(connection)
        except BaseException:
            connection.invalidate()
            connection.close()
            raise
        self.reached = True
        return connection

    def claim(self, connection: Connection, study: str) -> int:
        """Become the one writer of a study until the connection ends; return the study's last number.

        Raises ``StoreError`` that names the owner when there is one.
        """
        key = self._key(f"study {study}")
        if not connection.execute(select(func.pg_try_advisory_lock(key))).scalar():
            if not self._end_own(connection, key):
                owner = owner_words(schema.fact(connection, f"owner {study}"))
                raise StoreError(
                    f"The study {study!r} in {self.name} is being written by {owner}. Stop that, or open it for "
                    "reading, or give the search another name."
                )
            connection.execute(select(func.pg_advisory_lock(key)))
        schema.set_fact(connection, f"owner {study}", owner_line())
        return schema.last(connection, study)

    def passes(self, error: DBAPIError) -> bool:
        """Return whether trying again can help."""
        state = _state(error)
        if state is not None:
            return state in _PASSING or state.startswith("08")
        if self.broke(error) and self.reached:
            return True
        return any(words in str(error.orig) for words in _COMING)

    def broke(self, error: DBAPIError) -> bool:
        """Return whether the connection is gone, and with it the locks it held."""
        state = _state(error)
        return error.connection_invalidated or state is None or state[:2] == "08" or state[:3] == "57P"

    def told(self, error: DBAPIError) -> StoreError:
        """Return the error for people: what the database said, and what to do."""
        primary = getattr(getattr(error.orig, "diag", None), "message_primary", None)
        message = " ".join(str(primary or error.orig).split())
        if self._secret:
            message = message.replace(self._secret, "***")
        advice = _ADVICE.get(_state(error) or "")
        if advice is None and any(words in message for words in _FULL):
            advice = _ADVICE["53300"]
        if advice is None and ("password" in message or "authentication" in message):
            advice = "Give the password in the environment variable PGPASSWORD or in ~/.pgpass."
        if advice is None and not self.reached:
            advice = "Is the server running, and the address right? Try: psql with the same address."
        if advice is None:
            advice = "Check the server, then resume; everything recorded so far is kept."
        return StoreError(f"{self.name}: {message.rstrip('.')}{'' if message.endswith('?') else '.'} {advice}")

    def _prepare(self, connection: Connection) -> None:
        """Make the tables where there are none; refuse, and leave as it is, what is not ours or newer."""
        if not self.readonly:  # two that open a new database at once would both make the tables
            connection.execute(select(func.pg_advisory_xact_lock(self._key("tables"))))
        tables = inspect(connection).get_table_names(schema=self.space)
        name = f"The schema {self.space!r} in {self.name}"
        if not tables and self.readonly:
            raise StoreError(f"{name} holds no store of Archsmith yet. A search with this store makes it.")
        if not tables:
            connection.execute(CreateSchema(self.space, if_not_exists=True))
            schema.create(connection)
        elif not {"archsmith", "events"} <= set(tables):
            raise StoreError(f"{name} holds tables of another program, no store of Archsmith. Nothing was changed.")
        else:
            schema.check_version(connection, name)

    def _key(self, what: str) -> int:
        """Return the number of an advisory lock, which 64 bits of a hash keep apart from any other."""
        digest = hashlib.sha256(f"archsmith\0{self.space}\0{what}".encode()).digest()
        return int.from_bytes(digest[:8], signed=True)

    def _end_own(self, connection: Connection, key: int) -> bool:
        """End an earlier session of this very store that holds a lock, as when the network broke and the server has
        not noticed; return whether there was one."""
        ended = connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_stat_activity USING (pid) "
                "WHERE locktype = 'advisory' AND objsubid = 1 AND granted AND application_name = :mark "
                "AND classid::bigint = :high AND objid::bigint = :low AND pid <> pg_backend_pid()"
            ),
            {"mark": self._mark, "high": (key >> 32) & 0xFFFFFFFF, "low": key & 0xFFFFFFFF},
        )
        return bool(ended.scalars().all())


def _state(error: DBAPIError) -> str | None:
    state = getattr(error.orig, "sqlstate", None)
    return state if isinstance(state, str) else None
