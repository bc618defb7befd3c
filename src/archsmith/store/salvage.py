"""A new store from the plain-text mirror, when the old one is lost."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from archsmith.errors import StoreError
from archsmith.store import schema
from archsmith.store.mirror import Mirror, mirror_path, mirror_rows
from archsmith.store.sqlite_file import close_for_writing, create_file, make_durable, open_for_writing, told

__all__ = ["Salvaged", "repair", "salvage"]

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
            make_durable(connection, target)
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            for begin in range(0, len(rows), _BATCH):
                schema.write(connection, rows[begin : begin + _BATCH])
            connection.commit()
    finally:
        close_for_writing(engine)
    return Salvaged(counts, unreadable)


def repair(store: Path | str) -> tuple[Salvaged, Path]:
    """Put a store made from its mirror in the place of a damaged or lost one; return what was saved, and where the
    damaged file is kept.

    Raises ``StoreError`` when nothing can be saved or somebody writes the store now; then nothing was changed.
    """
    path = Path(store)
    made, aside = path.with_name(f".salvaged-{path.name}"), _free(path)
    if not mirror_path(path).exists():
        raise StoreError(f"There is no {mirror_path(path)}, from which a log could be made again.")
    try:
        lock = Mirror(mirror_path(path))
    except BlockingIOError:
        raise StoreError(f"{path} is being written by another process. Stop that first.") from None
    except OSError as error:
        raise StoreError(f"{mirror_path(path)} cannot be opened: {error.strerror}.") from error
    try:
        made.unlink(missing_ok=True)
        saved = salvage(mirror_path(path), made)  # before the damaged file is touched
        for suffix in ("", "-wal", "-shm"):  # what belongs to the old file must not be mixed into the new one
            old = path.with_name(path.name + suffix)
            if old.exists():
                old.rename(aside.with_name(aside.name + suffix))
        made.rename(path)
    finally:
        made.unlink(missing_ok=True)
        lock.close()
    return saved, aside


def _free(path: Path) -> Path:
    """Return a name for the damaged file that is not taken."""
    number = 1
    while (aside := path.with_name(f"{path.stem}.damaged-{number}{path.suffix}")).exists():
        number += 1
    return aside
