"""One process at a time works on a run; the next is told who, and what a dead one left is taken over."""

import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from archsmith import lease
from archsmith.errors import StoreError
from archsmith.lease import is_held, take


def test_the_second_is_told_who_has_it(tmp_path: Path):
    first = take(tmp_path)
    assert is_held(tmp_path)
    with pytest.raises(StoreError, match=f"process {os.getpid()} on {socket.gethostname()} since") as caught:
        take(tmp_path)
    assert caught.value.exit_code == 5
    first.release()
    first.release()
    assert not is_held(tmp_path)
    second = take(tmp_path)
    assert second.taken_from == ""
    second.release()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such locks")
def test_what_a_killed_process_held_is_free_at_once(tmp_path: Path):
    program = (
        "import sys, os, pathlib, archsmith.lease as l; l.take(pathlib.Path(sys.argv[1])); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", program, str(tmp_path)]).returncode == -9
    assert not is_held(tmp_path)
    taken = take(tmp_path)
    assert "process" in taken.taken_from
    taken.release()


def test_a_number_given_to_another_process_holds_nothing(tmp_path: Path):
    other = {"pid": os.getpid(), "host": socket.gethostname(), "born": -1.0, "since": "yesterday", "beat": 3}
    (tmp_path / "run.lock").write_text(json.dumps(other))
    assert not is_held(tmp_path)
    taken = take(tmp_path)
    assert taken.taken_from == f"process {os.getpid()} on {socket.gethostname()} since yesterday"
    taken.release()


@pytest.mark.parametrize("beats", [True, False])
def test_another_machine_is_believed_as_long_as_its_beat_goes_on(beats, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(lease, "LEASE_S", 0.4)
    monkeypatch.setattr(lease, "BEAT_S", 0.1)
    other = {"pid": 1, "host": "elsewhere", "born": 1.0, "since": "noon", "beat": 1}
    (tmp_path / "run.lock").write_text(json.dumps(other))
    late = threading.Timer(0.1, lambda: (tmp_path / "run.lock").write_text(json.dumps({**other, "beat": 2})))
    if beats:
        late.start()
        with pytest.raises(StoreError, match="process 1 on elsewhere since noon"):
            take(tmp_path)
        late.join()
    else:
        taken = take(tmp_path)
        assert "elsewhere" in taken.taken_from
        taken.release()


def test_without_locks_the_living_holder_is_found_by_its_number_and_its_birth(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(lease, "_lock", lambda handle: None)
    first = take(tmp_path)
    with pytest.raises(StoreError, match="is being worked on"):
        take(tmp_path)
    first.release()
    take(tmp_path).release()


@pytest.mark.parametrize("left", ["", "{", "[]", "no json at all"])
def test_a_damaged_lock_is_no_lock(left, tmp_path: Path):
    (tmp_path / "run.lock").write_text(left)
    take(tmp_path).release()
