"""Whether a log is sound: the file, its plain-text mirror, and what every log must obey."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from archsmith.errors import StoreError
from archsmith.store import schema
from archsmith.store.mirror import mirror_path, mirror_rows
from archsmith.store.sqlite import SQLiteStore
from archsmith.store.sqlite_file import check_file, open_for_reading, told
from archsmith.trial import Event

__all__ = ["check_log", "check_store"]

_MOST = 20  # problems that are listed


def check_store(path: Path | str) -> list[str]:
    """Return what is wrong with a store, in words; nothing for a sound one. Nothing is changed.

    The database is checked page by page, and against ``events.jsonl`` line by line, since a changed byte inside a value
    is invisible to the database itself.
    """
    file = Path(path)
    try:
        check_file(file)
        with told(file):
            engine, copy = open_for_reading(file, 1.0)
            try:
                with engine.connect() as connection:
                    said = [str(row[0]) for row in connection.exec_driver_sql("PRAGMA integrity_check(20)")]
            finally:
                engine.dispose()
                if copy is not None:
                    copy.cleanup()
        problems = [f"{file.name}: {line}" for line in said if line != "ok"]
        store = SQLiteStore(file, readonly=True)
        try:
            for study in store.studies():
                found = islice(check_log(store.events(study)), _MOST)
                problems += [f"{file.name}, {study}: {words}" for words in found]
        finally:
            store.close()
        return [*problems, *islice(_compared(file), _MOST)][:_MOST]
    except StoreError as error:
        return [str(error)]


def check_log(events: Iterable[Event]) -> Iterator[str]:
    """Yield what is wrong with the events of a study, in order: every log must obey this.

    Trials are asked in the order of their numbers, from 0 and without a gap, and each ends at most once, after that.
    """
    asked = 0
    ended: set[int] = set()
    for event in events:
        number = event.trial
        if event.kind == "asked":
            if number != asked:
                yield f"trial {number} was asked where trial {asked} should have been"
            asked = max(asked, -1 if number is None else number) + 1
        elif event.kind == "finished" and number is not None:
            if not 0 <= number < asked:
                yield f"trial {number} ended and was never asked"
            if number in ended:
                yield f"trial {number} ended twice"
            ended.add(number)


def _compared(path: Path) -> Iterator[str]:
    """Yield where a store and its mirror differ; a mirror may lack its end, and nothing else."""
    mirror = mirror_path(path)
    if not mirror.exists():
        yield f"{mirror.name}, from which a lost log could be made again, is not there"
        return
    rows = _rows(path)
    row = next(rows, None)
    unreadable = 0
    for line in mirror_rows(mirror):
        if line is None:
            unreadable += 1
            continue
        while row is not None and row["id"] < line["id"]:
            row = next(rows, None)
        if row is None or row["id"] > line["id"]:
            yield f"{mirror.name} holds event {line['id']}, and {path.name} does not"
        elif line != row:
            changed = ", ".join(name for name in row if row[name] != line.get(name))
            yield f"{path.name} and {mirror.name} differ in event {row['id']} ({changed})"
    if unreadable:
        yield f"{unreadable} lines of {mirror.name} cannot be read"


def _rows(path: Path) -> Iterator[schema.Row]:
    with told(path):
        engine, copy = open_for_reading(path, 1.0)
        try:
            last = 0
            with engine.connect() as connection:
                while rows := schema.rows_after(connection, last):
                    yield from rows
                    last = rows[-1]["id"]
        finally:
            engine.dispose()
            if copy is not None:
                copy.cleanup()
