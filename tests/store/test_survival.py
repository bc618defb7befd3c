"""What was acknowledged survives the owner's death, a full disk, a lock, and a lost tail."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from archsmith import failpoint
from archsmith.errors import StoreError
from archsmith.store import SQLiteStore, read_mirror
from archsmith.trial import Event

WRITER = """
import sys
from archsmith.store import SQLiteStore
from archsmith.trial import Event
store = SQLiteStore(sys.argv[1])
for n in range(10**9):
    store.append("study", Event("note", n, {"x": "y" * 200}))
    print(n, flush=True)
"""


def _kill_a_writer(path: Path, after: int) -> int:
    """Let another process write, kill it at some moment, and return the last number it was told is safe."""
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    with writer, writer.stdout:
        for line in writer.stdout:
            if int(line) >= after:
                with pytest.raises(StoreError, match=f"being written by process {writer.pid} on .* since 20"):
                    SQLiteStore(path)
                reader = SQLiteStore(path, readonly=True)
                assert len(list(reader.events("study"))) > after
                reader.close()
                writer.send_signal(signal.SIGKILL)
                break
        rest = writer.stdout.read().split("\n")
    return int(rest[-2]) if len(rest) > 1 else after


def test_a_killed_owner_loses_nothing_and_leaves_no_lock(path: Path) -> None:
    acknowledged = _kill_a_writer(path, 40)
    reader = SQLiteStore(path, readonly=True)
    numbers = [e.trial for e in reader.events("study")]
    reader.close()
    assert numbers == list(range(len(numbers))) and len(numbers) > acknowledged
    store = SQLiteStore(path)
    store.append("study", Event("note", len(numbers)))
    store.close()
    assert [e.trial for e in read_mirror(path.with_name("events.jsonl"))] == [*numbers, len(numbers)]


def test_one_process_writes_and_others_follow(path: Path) -> None:
    store = SQLiteStore(path)
    with pytest.raises(StoreError, match=f"being written by process {os.getpid()}"):
        SQLiteStore(path)
    store.append("study", Event("note", 0))
    reader = SQLiteStore(path, readonly=True)
    for number in range(1, 4):
        assert [e.trial for e in reader.events("study", number - 1)] == [number - 1]
        store.append("study", Event("note", number))
    store.close()
    assert [e.trial for e in reader.events("study")] == [0, 1, 2, 3]
    again = SQLiteStore(path)
    again.append("study", Event("note", 4))
    assert [e.trial for e in reader.events("study", 3)] == [3, 4]
    reader.close()
    again.close()
    assert sorted(p.name for p in path.parent.iterdir()) == ["events.jsonl", "store.sqlite"]


def test_a_full_disk_keeps_what_is_there_and_takes_more_later(path: Path) -> None:
    store = SQLiteStore(path)
    store.append("study", Event("note", 0))
    assert store._engine is not None
    with store._engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1")
    with pytest.raises(StoreError, match=r"full.*Free some space"):
        store.append_many("study", [Event("note", n, {"x": "y" * 5000}) for n in range(9)])
    assert [e.trial for e in store.events("study")] == [0]
    with store._engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1000000")
    store.append("study", Event("note", 1))
    store.close()
    assert [e.trial for e in read_mirror(path.with_name("events.jsonl"))] == [0, 1]


def test_a_lock_that_stays_is_an_error_and_one_that_goes_is_not(path: Path) -> None:
    store = SQLiteStore(path, wait=0.1)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match=r"locked.*Another program"):
        store.append("study", Event("note", 0))
    other.execute("ROLLBACK")
    other.close()
    store.append("study", Event("note", 0))
    assert [e.trial for e in store.events("study")] == [0]
    store.close()


def test_a_lost_tail_costs_the_tail_only(path: Path, tmp_path: Path) -> None:
    store = SQLiteStore(path)
    for number in range(12):
        store.append("study", Event("note", number, {"x": "y" * 900}))
    changes = path.with_name("store.sqlite-wal").read_bytes()
    whole = len(list(store.events("study")))
    seen = []
    for size in [*range(0, len(changes), 4096), len(changes)]:
        copy = tmp_path / str(size) / "store.sqlite"
        copy.parent.mkdir()
        shutil.copyfile(path, copy)
        copy.with_name("store.sqlite-wal").write_bytes(changes[:size])
        try:
            reader = SQLiteStore(copy, readonly=True)
        except StoreError:
            continue
        numbers = [e.trial for e in reader.events("study")]
        reader.close()
        assert numbers == list(range(len(numbers)))
        seen.append(len(numbers))
    store.close()
    assert seen == sorted(seen) and seen[-1] == whole == 12 and len(set(seen)) > 3


def test_a_copied_folder_is_read_without_leaving_a_trace(path: Path, tmp_path: Path) -> None:
    store = SQLiteStore(path)
    store.append("study", Event("note", 0))
    store.close()
    copied = tmp_path / "copy"
    shutil.copytree(path.parent, copied)
    reader = SQLiteStore(copied / "store.sqlite", readonly=True)
    assert [e.trial for e in reader.events("study")] == [0]
    assert reader.studies() == ("study",)
    reader.close()
    assert sorted(p.name for p in copied.iterdir()) == ["events.jsonl", "store.sqlite"]


READER = """
import os, sys
from pathlib import Path
from archsmith.store import SQLiteStore
folder = Path(sys.argv[1])
try:
    (folder / "probe").touch()
    sys.exit(77)
except OSError:
    store = SQLiteStore(folder / "store.sqlite", readonly=True)
    print(*[e.trial for e in store.events("study")])
    store.close()
"""


@pytest.mark.parametrize("closed", [True, False], ids=["closed", "killed"])
def test_a_copy_on_read_only_media_is_read(closed: bool, path: Path, tmp_path: Path) -> None:
    store = SQLiteStore(path)
    store.append_many("study", [Event("note", n) for n in range(3)])
    if closed:
        store.close()
    copied = tmp_path / "copy"
    shutil.copytree(path.parent, copied)  # with what a killed owner would leave, but for its shared memory
    (copied / "store.sqlite-shm").unlink(missing_ok=True)
    store.close()
    mount = f'mount --bind "{copied}" "{copied}" && mount -o remount,bind,ro "{copied}" && "$@"'
    command = ["unshare", "-rm", "sh", "-c", mount, "sh", sys.executable, "-c", READER, str(copied)]
    if shutil.which("unshare") is None:
        pytest.skip("there is no unshare to mount a folder read-only")
    read = subprocess.run(command, capture_output=True, text=True)
    if read.returncode == 77 or "unshare" in read.stderr or "mount" in read.stderr:
        pytest.skip("this user may not mount a folder read-only")
    assert read.stdout.split() == ["0", "1", "2"], read.stderr


def _kept_aside(path: Path, *studies: str) -> Path:
    """Make a store of one event whose next events, of trials 1, 2, 3, a locked file did not take."""
    store = SQLiteStore(path, wait=0.0)
    store.append(studies[0], Event("note", 0))
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    for number, study in enumerate(studies, start=1):
        with pytest.raises(StoreError, match=r"kept in waiting\.jsonl"):
            store.append(study, Event("note", number))
    other.close()
    store.close()
    return path.with_name("waiting.jsonl")


@pytest.mark.parametrize("damage", ["torn", "spoiled", "lost"])
def test_of_what_waits_all_before_a_damaged_line_comes_back_and_nothing_after_it(damage: str, path: Path) -> None:
    waiting = _kept_aside(path, "s", "s", "s")
    lines = waiting.read_bytes().splitlines(keepends=True)
    if damage == "torn":
        lines[2] = lines[2][:-9]
    else:
        lines[1:2] = [b"\0" * 9 + b"\n"] if damage == "spoiled" else []
    waiting.write_bytes(b"".join(lines))
    for _ in range(2):
        store = SQLiteStore(path)
        assert [e.trial for e in store.events("s")] == ([0, 1, 2] if damage == "torn" else [0, 1])
        store.close()


def test_what_waits_of_several_studies_comes_back_as_a_whole_or_goes_on_waiting(path: Path) -> None:
    _kept_aside(path, "s", "t", "s")
    try:
        failpoint.arm("store.commit.after=raise@1")
        with pytest.raises(failpoint.FailpointReached):
            SQLiteStore(path)
    finally:
        failpoint.arm("")
    store = SQLiteStore(path)
    assert [[e.trial for e in store.events(study)] for study in ("s", "t")] == [[0, 1, 3], [2]]
    store.close()
