"""A new store from the plain-text mirror, when the old one is lost."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from archsmith.errors import StoreError
from archsmith.store import schema
from archsmith.store.mirror import mirror_rows
from archsmith.store.sqlite_file import close_for_writing, create_file, make_durable, open_for_writing, told

__all__ = ["Salvaged", "salvage"]

_BATCH = 5000


@dataclass(frozen=True)
class Salvaged:
    """What was saved: events by study, and how many lines could not be read."""

    events: dict[str, int]
    unreadable: int


def salvage(mirror: Path | str, path: Path | str) -> Salvaged:
    """Make the store ``path`` from the mirror ``events.jsonl`` of another; an existing file is never overwritten.

    Lines that cannot be read are left out and counted. Raises ``StoreError`` if ``path`` is there, or if there is
    nothing to save.
    """
    target = Path(path)
    if target.exists():
        raise StoreError(f"{target} is there already. Move it away first; it is not overwritten.")
    rows, unreadable, last = [], 0, 0
    counts: dict[str, int] = {}
    for row in mirror_rows(mirror):
        if row is None or row["id"] <= last:
            unreadable += 1
            continue
        last = row["id"]
        counts[row["study"]] = row["sequence"] = counts.get(row["study"], 0) + 1
        rows.append(row)
    if not rows:
        raise StoreError(f"{mirror} holds no event that can be read, so there is nothing to save.")
    create_file(target)
    engine = open_for_writing(target, 10.0)
    try:
        with told(target), engine.connect() as connection:
            make_durable(connection)
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            for begin in range(0, len(rows), _BATCH):
                schema.write(connection, rows[begin : begin + _BATCH])
            connection.commit()
    finally:
        close_for_writing(engine)
    return Salvaged(counts, unreadable)
