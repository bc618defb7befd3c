"""The mirror follows the log, never stands in its way, and is enough to make it again."""

import json
import math
import os
from pathlib import Path
from typing import Any

import pytest

from archsmith.errors import StoreError
from archsmith.store import SQLiteStore, read_mirror, salvage
from archsmith.trial import Event

EVENTS = [Event("note", n, {"x": [n, math.inf], "text": "\U0001f600"}, n / 7) for n in range(8)]


@pytest.fixture
def mirror(path: Path) -> Path:
    store = SQLiteStore(path)
    store.append_many("study", EVENTS[:6])
    store.append("other", EVENTS[6])
    store.close()
    return path.with_name("events.jsonl")


def _events(path: Path, study: str = "study") -> list[Event]:
    store = SQLiteStore(path, readonly=True)
    events = list(store.events(study))
    store.close()
    return events


def test_it_holds_every_event_as_a_line_of_json(mirror: Path) -> None:
    lines = [json.loads(line) for line in mirror.read_text("ascii").splitlines()]
    assert [(line["id"], line["study"], line["sequence"]) for line in lines[4:]] == [
        (5, "study", 5),
        (6, "study", 6),
        (7, "other", 1),
    ]
    assert list(read_mirror(mirror)) == EVENTS[:7]
    assert list(read_mirror(mirror, "study")) == EVENTS[:6]


@pytest.mark.parametrize("cut", [1, 20, 150, 10**9])
def test_a_torn_last_line_is_ignored_and_written_again(mirror: Path, path: Path, cut: int) -> None:
    whole = mirror.read_bytes()
    mirror.write_bytes(whole[: max(0, len(whole) - cut)])
    assert list(read_mirror(mirror)) == EVENTS[:7][: len(list(read_mirror(mirror)))]
    for _ in range(2):
        SQLiteStore(path).close()
        assert mirror.read_bytes() == whole
    store = SQLiteStore(path)
    store.append("study", EVENTS[7])
    store.close()
    assert list(read_mirror(mirror)) == EVENTS[:8]


def test_a_line_longer_than_one_look_is_found_from_the_end(path: Path) -> None:
    store = SQLiteStore(path)
    long = Event("note", 0, {"x": "y" * 300_000})
    store.append("study", long)
    store.close()
    mirror = path.with_name("events.jsonl")
    with mirror.open("ab") as file:
        file.write(b'{"torn": ' + b"z" * 100_000)
    SQLiteStore(path).close()
    assert list(read_mirror(mirror)) == [long]


def test_a_disk_that_takes_no_mirror_does_not_stop_the_log(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = SQLiteStore(path)
    store.append("study", EVENTS[0])
    real = os.write

    def full(file: int, data: Any) -> int:
        if len(data) > 20:
            return real(file, data[:20])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    store.append("study", EVENTS[1])
    monkeypatch.undo()
    store.append("study", EVENTS[2])
    assert "No space left" in store.note
    assert list(store.events("study")) == EVENTS[:3]
    mirror = path.with_name("events.jsonl")
    assert list(read_mirror(mirror)) == EVENTS[:1] and mirror.read_bytes().endswith(b"\n")
    store.close()
    SQLiteStore(path).close()
    assert list(read_mirror(mirror)) == EVENTS[:3]


def test_salvage_makes_the_same_log_again(mirror: Path, path: Path) -> None:
    path.rename(path.with_name("broken"))
    saved = salvage(mirror, path)
    assert saved.events == {"study": 6, "other": 1} and saved.unreadable == 0
    assert _events(path) == EVENTS[:6] and _events(path, "other") == EVENTS[6:7]
    store = SQLiteStore(path)  # and it is continued, with the same mirror
    store.append("study", EVENTS[7])
    store.close()
    assert _events(path) == [*EVENTS[:6], EVENTS[7]]
    assert len(list(read_mirror(mirror))) == 8


def test_salvage_leaves_out_what_cannot_be_read_and_says_how_much(mirror: Path, tmp_path: Path) -> None:
    lines = mirror.read_bytes().splitlines(keepends=True)
    spoilt = [lines[0], b"\xff\xfe\n", lines[1][:50] + b"\n", *lines[2:], b'{"id": 9']
    mirror.write_bytes(b"".join(spoilt))
    saved = salvage(mirror, tmp_path / "saved.sqlite")
    assert saved.events == {"study": 5, "other": 1} and saved.unreadable == 3
    assert _events(tmp_path / "saved.sqlite") == [EVENTS[0], *EVENTS[2:6]]
    store = SQLiteStore(tmp_path / "saved.sqlite")
    assert list(store.events("study", 4)) == [EVENTS[5]]
    store.close()


def test_salvage_overwrites_nothing_and_needs_something(mirror: Path, path: Path, tmp_path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(StoreError, match="not overwritten"):
        salvage(mirror, path)
    assert path.read_bytes() == before
    (tmp_path / "empty.jsonl").write_text("no event\n")
    with pytest.raises(StoreError, match="no event that can be read"):
        salvage(tmp_path / "empty.jsonl", tmp_path / "new.sqlite")
    with pytest.raises(StoreError, match="cannot be read"):
        salvage(tmp_path / "nothing.jsonl", tmp_path / "new.sqlite")
    assert not (tmp_path / "new.sqlite").exists()
