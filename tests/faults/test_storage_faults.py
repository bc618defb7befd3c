"""Full disks, locks, rotten files and odd clocks: what was acknowledged survives, and what is wrong is said."""

import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from archsmith.errors import StoreError
from archsmith.execute import Inline
from archsmith.report import load_record
from archsmith.report.tables import leaderboard_csv
from archsmith.run import Run
from archsmith.space import Space, choice, real
from archsmith.store import SQLiteStore, check_log, check_store, file_system, read_mirror, repair
from archsmith.store import disk as disk_room
from archsmith.strategy import RandomSearch
from archsmith.study import Study
from archsmith.trial import Event, Proposal

SPACE = Space(model=choice("a", "b", "c", "d", name="block"), lr=real(1e-4, 1e-1, log=True, name="lr"))


def evaluate(proposal: Any, run: Any) -> dict[str, float]:
    return {"accuracy": 1.0 - abs(proposal.arch["lr"] - 0.01)}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "store.sqlite"


@pytest.fixture
def searched(tmp_path: Path) -> Path:
    """The folder of a small search that is over."""
    with Study(SPACE, RandomSearch(SPACE), evaluate, folder=tmp_path / "run", name="run") as study:
        study.run(trials=12)
    return tmp_path / "run"


def test_a_sound_log_has_no_problems(searched: Path) -> None:
    assert check_store(searched / "store.sqlite") == []


def _flip_in_a_value(path: Path) -> None:
    """Change one digit of a result: the database itself cannot notice that."""
    data = path.read_bytes()
    at = data.index(b'"accuracy":0.') + len(b'"accuracy":0.')
    path.write_bytes(data[:at] + bytes([ord("0") + (data[at] - ord("0") + 1) % 10]) + data[at + 1 :])


def _spoil_a_page(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[2 * 4096 : 3 * 4096] = os.urandom(4096)
    path.write_bytes(bytes(data))


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5000])


def _lose(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("spoil", [_flip_in_a_value, _spoil_a_page, _cut], ids=lambda f: f.__name__.strip("_"))
def test_a_rotten_log_is_found_and_left_alone(spoil: Any, searched: Path) -> None:
    store = searched / "store.sqlite"
    spoil(store)
    before = hashlib.sha256(store.read_bytes()).hexdigest()
    assert check_store(store)
    assert hashlib.sha256(store.read_bytes()).hexdigest() == before


@pytest.mark.parametrize("spoil", [_flip_in_a_value, _spoil_a_page, _cut, _lose], ids=lambda f: f.__name__.strip("_"))
def test_a_salvaged_log_has_the_same_leaderboard_and_goes_on(spoil: Any, searched: Path) -> None:
    store = searched / "store.sqlite"
    leaderboard = leaderboard_csv(load_record(searched))
    spoil(store)
    rotten = store.read_bytes() if store.exists() else None
    saved, aside = repair(store)
    assert saved.unreadable == 0 and check_store(store) == []
    assert leaderboard_csv(load_record(searched)) == leaderboard
    assert (aside.read_bytes() if aside.exists() else None) == rotten
    with Study(SPACE, RandomSearch(SPACE), evaluate, folder=searched, name="run") as study:
        study.run(trials=15)
    assert [t.number for t in study.trials] == list(range(15)) and check_store(store) == []


def test_a_log_that_is_being_written_or_has_no_mirror_is_not_repaired(path: Path) -> None:
    store = SQLiteStore(path)
    store.append("study", Event("note"))
    with pytest.raises(StoreError, match="being written by another process"):
        repair(path)
    store.close()
    (path.parent / "events.jsonl").unlink()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="There is no"):
        repair(path)
    assert path.read_bytes() == before


def test_a_log_that_breaks_the_rules_is_told(path: Path) -> None:
    asked = [Event("asked", n) for n in (0, 1, 3, 1)]
    ended = [Event("finished", n) for n in (0, 0, 7)]
    said = " ".join(check_log([*asked, *ended]))
    for words in ("trial 3 was asked where trial 2", "trial 1 was asked where trial 4", "trial 0 ended twice",
                  "trial 7 ended and was never asked"):  # fmt: skip
        assert words in said
    assert list(check_log([Event("asked", 0), Event("note"), Event("asked", 1), Event("finished", 1)])) == []


def test_whoever_holds_the_log_is_named(path: Path) -> None:
    store = SQLiteStore(path, wait=0.1)
    held = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None); c.execute('BEGIN IMMEDIATE');"
    command = [sys.executable, "-c", held + "print(1, flush=True); input()", str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(StoreError, match=rf"locked.*process {other.pid} \(python") as caught:
            store.append("study", Event("note", 0))
        assert caught.value.exit_code == 5
        other.communicate(b"\n")
    store.append("study", Event("note", 1))
    assert [e.trial for e in store.events("study")] == [1]
    store.close()


def test_a_result_that_a_locked_log_did_not_take_is_in_it_when_it_is_opened_again(path: Path, tmp_path: Path) -> None:
    store, ran, waiting = SQLiteStore(path, wait=0.0), [], path.with_name("waiting.jsonl")
    other = sqlite3.connect(path, isolation_level=None)

    def measure(proposal: Proposal, run: Run) -> dict[str, float]:
        ran.append(run.trial)
        if ran == [0, 1]:
            other.execute("BEGIN IMMEDIATE")
        return evaluate(proposal, run)

    with pytest.raises(StoreError, match=r"locked.*kept in waiting\.jsonl"):
        Study(SPACE, RandomSearch(SPACE), measure, store=store).run(trials=3)
    store.close()
    other.close()
    kept = waiting.read_bytes()
    for _ in range(2):
        store = SQLiteStore(path)
        with Study(SPACE, RandomSearch(SPACE), measure, store=store) as study:
            study.run(trials=3)
        store.close()
        assert ran == [0, 1, 2] and [t.state for t in study.trials] == 3 * ["complete"]
        assert not waiting.exists() and check_store(path) == []
        waiting.write_bytes(kept)  # what is kept is of use only while nothing else was written


def test_a_short_lock_is_waited_for(path: Path) -> None:
    store = SQLiteStore(path, wait=10.0)
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    release = threading.Timer(0.3, lambda: other.execute("ROLLBACK"))
    release.start()
    store.append("study", Event("note", 0))
    release.join()
    other.close()
    store.close()


def test_every_write_begins_by_taking_the_lock(path: Path) -> None:
    store = SQLiteStore(path)
    assert store._engine is not None
    raw: Any = store._engine.raw_connection().driver_connection
    said: list[str] = []
    raw.set_trace_callback(said.append)
    for number in range(3):
        store.append("study" if number else "other", Event("note", number))
    raw.set_trace_callback(None)
    store.close()
    writes = [i for i, words in enumerate(said) if words.lstrip().upper().startswith(("INSERT", "DELETE", "UPDATE"))]
    assert len(writes) == 3
    for at in writes:
        begun = max(i for i, words in enumerate(said[:at]) if words.upper().startswith(("BEGIN", "COMMIT")))
        assert said[begun] == "BEGIN IMMEDIATE"


def test_a_reader_that_never_rests_blocks_no_write(path: Path) -> None:
    store = SQLiteStore(path, wait=0.0)  # a writer that waited at all would fail
    store.append("study", Event("note", 0))
    over, read = threading.Event(), []

    def follow() -> None:
        reader = SQLiteStore(path, readonly=True)
        while not over.is_set():
            read.append(len(list(reader.events("study"))))
        reader.close()

    follower = threading.Thread(target=follow)
    follower.start()
    for number in range(1, 150):
        store.append("study", Event("note", number))
    over.set()
    follower.join()
    assert len(list(store.events("study"))) == 150 and read == sorted(read)
    store.close()


def test_a_reader_that_holds_up_the_log_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("archsmith.store.sqlite._LONG_WAL", 100_000)
    store = SQLiteStore(path)
    store.append("study", Event("note", 0))
    assert store.note == ""
    reader = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM events").fetchone()
    for number in range(20):
        store.append("study", Event("note", number, {"x": "y" * 10_000}))
    assert "another program has been reading" in store.note
    reader.close()
    store.close()


def test_a_full_disk_says_how_much_is_free_and_what_may_go(path: Path) -> None:
    store = SQLiteStore(path)
    store.append("study", Event("note", 0))
    checkpoint = path.parent / "trials" / "3" / "ckpt" / "last.safetensors"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_bytes(b"x" * 7_000_000)
    assert store._engine is not None
    with store._engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1")
    with pytest.raises(StoreError, match=r"disk is full.*MB are free.*checkpoints in .* hold 7 MB") as caught:
        store.append_many("study", [Event("note", n, {"x": "y" * 5000}) for n in range(9)])
    assert caught.value.exit_code == 5
    assert [e.trial for e in store.events("study")] == [0]
    store.close()


LIMITED = """
import resource, signal, sys
from archsmith.errors import StoreError
from archsmith.store import SQLiteStore
from archsmith.trial import Event
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = SQLiteStore(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
done = 0
try:
    for number in range(10_000):
        store.append("study", Event("note", number, {"x": "y" * 1000}))
        done += 1
except StoreError as error:
    print(done, error.exit_code, flush=True)
"""


def test_a_disk_that_fills_up_keeps_everything_acknowledged(path: Path) -> None:
    run = subprocess.run([sys.executable, "-c", LIMITED, str(path)], capture_output=True, text=True, timeout=120)
    done, code = map(int, run.stdout.split())
    assert done > 20 and code == 5, run.stderr
    store = SQLiteStore(path)
    assert [e.trial for e in store.events("study")][:done] == list(range(done))
    store.append("study", Event("note", done))
    store.close()
    assert check_store(path) == []


def test_a_log_on_a_disk_that_machines_share_is_written_the_older_way(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("archsmith.store.sqlite_file.file_system", lambda path: "nfs4")
    store = SQLiteStore(path)
    store.append("study", Event("note", 0))
    assert "kind nfs4" in store.note and "postgresql" in store.note
    assert store._engine is not None
    with store._engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "delete"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
    store.close()


def test_the_kind_of_a_disk_is_that_of_the_innermost_mount(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert file_system(tmp_path)
    places = [("/", "ext4"), ("/data", "nfs4"), ("/data/local", "xfs"), ("/data/local", "tmpfs")]
    found = [type("P", (), {"mountpoint": place, "fstype": kind}) for place, kind in places]
    monkeypatch.setattr(disk_room.psutil, "disk_partitions", lambda all: found)
    monkeypatch.setattr(disk_room.os.path, "realpath", str)
    kinds = {where: file_system(Path(where)) for where in ("/x", "/data/x", "/data/local/x", "/database")}
    assert kinds == {"/x": "ext4", "/data/x": "nfs4", "/data/local/x": "tmpfs", "/database": "ext4"}


SCHEMA_ONE = Path(__file__).parent / "schema-1"


def test_a_log_of_the_first_schema_is_read_and_continued(tmp_path: Path) -> None:
    """One store of every schema is kept for ever; this one was written by version 0.1.0."""
    folder = shutil.copytree(SCHEMA_ONE, tmp_path / "run")
    assert check_store(folder / "store.sqlite") == []
    known = json.loads((folder / "trials.json").read_text())
    with Study(SPACE, RandomSearch(SPACE), evaluate, folder=folder, name="run") as study:
        assert [[t.number, t.state, t.metrics] for t in study.trials] == known
        study.run(trials=len(known) + 2)
    assert check_store(folder / "store.sqlite") == []


@pytest.fixture
def odd_clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A wall clock that jumps back an hour, then on a day, and so forth."""
    real_time, jumps = time.time, iter([0, -3600, 86_400, -7200] * 1000)
    monkeypatch.setattr(time, "time", lambda: real_time() + next(jumps))
    yield


def test_a_wall_clock_that_jumps_changes_neither_order_nor_durations(odd_clock: None, tmp_path: Path) -> None:
    executor = Inline(evaluate, tmp_path / "run", trial_seconds=30.0)
    with Study(SPACE, RandomSearch(SPACE), executor=executor, folder=tmp_path / "run") as study:
        study.run(trials=6, seconds=60.0)
        assert [t.number for t in study.trials] == list(range(6))
        assert all(t.state == "complete" and 0 <= t.seconds < 30 for t in study.trials)
    with Study(SPACE, RandomSearch(SPACE), evaluate, folder=tmp_path / "run") as again:
        assert [t.number for t in again.trials] == list(range(6))
    times = [event.time for event in read_mirror(tmp_path / "run" / "events.jsonl")]
    assert times != sorted(times)  # they are for display: the order is that of the log
    assert load_record(tmp_path / "run").trials
