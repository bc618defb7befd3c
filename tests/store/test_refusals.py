"""A file that cannot be trusted is refused with advice, and left exactly as it is."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from archsmith.errors import StoreError
from archsmith.store import SQLiteStore
from archsmith.store.schema import SCHEMA_VERSION
from archsmith.trial import Event


def _ours(path: Path, events: int = 3) -> None:
    store = SQLiteStore(path)
    store.append_many("study", [Event("note", n, {"text": "x" * 500}) for n in range(events)])
    store.close()


def _empty(path: Path) -> None:
    path.touch()


def _text(path: Path) -> None:
    path.write_text("this is my diary\n" * 20)


def _short_text(path: Path) -> None:
    path.write_text("hi")


def _header_only(path: Path) -> None:
    _ours(path)
    path.write_bytes(path.read_bytes()[:66])


def _cut_short(path: Path) -> None:
    _ours(path, 100)
    path.write_bytes(path.read_bytes()[:-5000])


def _foreign(path: Path) -> None:
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE photos (id INTEGER PRIMARY KEY)")
    database.commit()
    database.close()


def _newer_header(path: Path) -> None:
    _change(path, f"PRAGMA user_version = {SCHEMA_VERSION + 1}")


def _newer_row(path: Path) -> None:
    _change(path, f"UPDATE archsmith SET value = '{SCHEMA_VERSION + 1}' WHERE name = 'schema_version'")


def _no_row(path: Path) -> None:
    _change(path, "DELETE FROM archsmith WHERE name = 'schema_version'")


def _no_tables(path: Path) -> None:
    _change(path, "DROP TABLE archsmith")


def _scrambled(path: Path) -> None:
    _ours(path, 100)
    whole = path.read_bytes()
    path.write_bytes(whole[:100] + b"\xa5" * (len(whole) - 100))


def _change(path: Path, statement: str) -> None:
    _ours(path)
    database = sqlite3.connect(path)
    database.execute(statement)
    database.commit()
    database.close()


BROKEN: dict[Callable[[Path], None], str] = {
    _empty: "is empty",
    _text: "not a store",
    _short_text: "not a store",
    _header_only: "cut short",
    _cut_short: "cut short",
    _foreign: "another program",
    _newer_header: "newer version",
    _newer_row: "newer version",
    _no_row: "not a complete store",
    _no_tables: "no such table",
    _scrambled: "malformed|not a database",
}


@pytest.mark.parametrize("readonly", [True, False], ids=["reading", "writing"])
@pytest.mark.parametrize("broken", BROKEN, ids=lambda f: f.__name__.strip("_"))
def test_a_file_that_cannot_be_trusted_is_left_alone(
    broken: Callable[[Path], None], readonly: bool, path: Path
) -> None:
    path.parent.mkdir()
    broken(path)
    before = path.read_bytes()
    with pytest.raises(StoreError, match=BROKEN[broken]) as caught:
        SQLiteStore(path, readonly=readonly)
    assert caught.value.exit_code == 5
    assert str(path) in str(caught.value)
    assert path.read_bytes() == before


def test_reading_makes_no_file(path: Path) -> None:
    with pytest.raises(StoreError, match="No such file"):
        SQLiteStore(path, readonly=True)
    assert not path.parent.exists()


def test_what_was_opened_for_reading_is_not_written(path: Path) -> None:
    path.parent.mkdir()
    _ours(path)
    store = SQLiteStore(path, readonly=True)
    with pytest.raises(StoreError, match="for reading only"):
        store.append("study", Event("note"))
    store.close()


def test_a_closed_store_says_so(path: Path) -> None:
    store = SQLiteStore(path)
    store.close()
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.append("study", Event("note"))
    with pytest.raises(StoreError, match="closed"):
        list(store.events("study"))


def test_changes_left_by_a_file_that_is_gone_are_not_mixed_into_a_new_one(path: Path) -> None:
    path.parent.mkdir()
    path.with_name("store.sqlite-wal").write_bytes(b"left over")
    with pytest.raises(StoreError, match="is missing, but"):
        SQLiteStore(path)
    assert not path.exists()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be written"):
        SQLiteStore(tmp_path / "file" / "store.sqlite")


def test_an_older_copy_beside_a_longer_mirror_is_not_continued(path: Path) -> None:
    path.parent.mkdir()
    _ours(path)
    copy = path.read_bytes()
    store = SQLiteStore(path)
    store.append("study", Event("note", 3))
    store.close()
    path.write_bytes(copy)
    with pytest.raises(StoreError, match=r"knows 4 events, but store\.sqlite only 3"):
        SQLiteStore(path)
    assert path.read_bytes() == copy
