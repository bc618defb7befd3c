"""The tables of the log, and the few statements on them: SQLAlchemy Core, the same for every database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Float,
    Identity,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    delete,
    func,
    insert,
    select,
)

from archsmith.errors import StoreError

__all__ = [
    "SCHEMA_VERSION",
    "Row",
    "check_version",
    "create",
    "events_after",
    "fact",
    "last",
    "newer",
    "rows_after",
    "set_fact",
    "study_names",
    "study_rows_after",
    "write",
]

SCHEMA_VERSION = 1
_PAGE = 5000  # rows read at a time, so that no reader keeps a transaction open for long

_METADATA = MetaData()
_FACTS = Table("archsmith", _METADATA, Column("name", Text, primary_key=True), Column("value", Text, nullable=False))
# ``id`` orders all events, ``sequence`` those of one study. The one writer of a file gives both; a server, where
# several studies are written at once, gives the ``id`` itself, and it may leave numbers out.
_EVENTS = Table(
    "events",
    _METADATA,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), Identity(), primary_key=True),
    Column("study", Text, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("trial", BigInteger),
    Column("time", Float(53), nullable=False),
    Column("data", Text, nullable=False),
    UniqueConstraint("study", "sequence"),
)

Row = dict[str, Any]


def create(connection: Connection) -> None:
    """Create the tables and the row that says their version."""
    _METADATA.create_all(connection)
    set_fact(connection, "schema_version", str(SCHEMA_VERSION))


def check_version(connection: Connection, name: object) -> None:
    """Raise ``StoreError`` unless the tables are of a version that can be read."""
    version = fact(connection, "schema_version")
    if version is None or not version.isdecimal():
        raise StoreError(f"{name} says no schema version, so it is not a complete store. Nothing was changed.")
    if int(version) > SCHEMA_VERSION:
        raise newer(name, int(version))


def newer(name: object, version: int) -> StoreError:
    """Return the error about a store that a later version of this package wrote."""
    return StoreError(
        f"{name} was written by a newer version of Archsmith (its schema is {version}; up to {SCHEMA_VERSION} can be "
        "read here). Update Archsmith. Nothing was changed."
    )


def fact(connection: Connection, name: str) -> str | None:
    """Return one fact about the store itself, or None."""
    return connection.execute(select(_FACTS.c.value).where(_FACTS.c.name == name)).scalar()


def set_fact(connection: Connection, name: str, value: str) -> None:
    """Set one fact about the store itself."""
    connection.execute(delete(_FACTS).where(_FACTS.c.name == name))
    connection.execute(insert(_FACTS).values(name=name, value=value))


def last(connection: Connection, study: str | None = None) -> int:
    """Return the last ``id`` of all, or the last ``sequence`` of a study; 0 when there is none."""
    statement = select(func.max(_EVENTS.c.id))
    if study is not None:
        statement = select(func.max(_EVENTS.c.sequence)).where(_EVENTS.c.study == study)
    return int(connection.execute(statement).scalar() or 0)


def study_names(connection: Connection) -> tuple[str, ...]:
    """Return the names of the studies, in the order of their first events."""
    statement = select(_EVENTS.c.study).where(_EVENTS.c.sequence == 1).order_by(_EVENTS.c.id)
    return tuple(connection.execute(statement).scalars())


def write(connection: Connection, rows: Sequence[Row]) -> None:
    """Insert rows."""
    connection.execute(insert(_EVENTS), list(rows))


def rows_after(connection: Connection, number: int) -> list[Row]:
    """Return the next rows of all studies whose ``id`` is above ``number``, in order: a page, empty at the end."""
    statement = select(_EVENTS).where(_EVENTS.c.id > number).order_by(_EVENTS.c.id).limit(_PAGE)
    return [dict(row) for row in connection.execute(statement).mappings()]


def study_rows_after(connection: Connection, study: str, sequence: int) -> list[Row]:
    """Return the next rows of a study after the number ``sequence``, in order: a page, empty at the end."""
    mine = (_EVENTS.c.study == study) & (_EVENTS.c.sequence > sequence)
    statement = select(_EVENTS).where(mine).order_by(_EVENTS.c.sequence).limit(_PAGE)
    return [dict(row) for row in connection.execute(statement).mappings()]


def events_after(connection: Connection, study: str, after: int) -> Sequence[Sequence[Any]]:
    """Return ``(sequence, kind, trial, time, data)`` of a study's events after the first ``after``: a page of them."""
    columns = (_EVENTS.c.sequence, _EVENTS.c.kind, _EVENTS.c.trial, _EVENTS.c.time, _EVENTS.c.data)
    mine = (_EVENTS.c.study == study) & (_EVENTS.c.sequence > after)
    statement = select(*columns).where(mine).order_by(_EVENTS.c.sequence).limit(_PAGE)
    return connection.execute(statement).all()
