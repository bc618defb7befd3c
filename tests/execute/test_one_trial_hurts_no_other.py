"""Whatever an evaluation does to its process, its trial fails with a named reason, and the next one is as new."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from trial_bodies import body, ended, make_trial, runs

from archsmith.execute import Inline, Processes, Reason, Simulated

TEMPERS = {
    "raise": (Reason.raised, "ValueError: the width is odd (", "trial_bodies.py:"),
    "nasty": (Reason.raised, "Nasty", "cannot be printed"),
    "interrupt": (Reason.raised, "KeyboardInterrupt", ""),
    "out of memory": (Reason.out_of_memory, "MemoryError", ""),
    "kill self": (Reason.killed, "SIGKILL", "MB"),
    "abort": (Reason.crashed, "SIGABRT", ""),
    "segfault": (Reason.crashed, "SIGSEGV", ""),
    "exit 0": (Reason.exited, "exit code 0", ""),
    "exit 7": (Reason.exited, "exit code 7", ""),
    "sys.exit": (Reason.exited, "SystemExit", ""),
    "close every file": (Reason.exited, "", ""),
    "diverge": (Reason.diverged, "step 7 with learning rate", ""),
    "no memory": (Reason.out_of_memory, "Cannot allocate memory", ""),
    "no process": (Reason.process_limit, "Resource temporarily unavailable", ""),
    "no thread": (Reason.process_limit, "can't start new thread", ""),
    "no shared memory": (Reason.shared_memory, "shm", ""),
    "open many files": (Reason.open_files, "the limit is 64 open files", ""),
    "write too much": (Reason.disk_full, "No space left on device", ""),
    "tell a secret": (Reason.raised, "postgresql://me:***@host/db with token=***", ""),
    "return none": (Reason.no_metrics, "it returned None", ""),
    "return nothing": (Reason.no_metrics, "empty mapping", ""),
    "return words": (Reason.no_metrics, "'score' is 'high'", ""),
    "return no mapping": (Reason.no_metrics, "0.5", ""),
}
DEADLY = ("interrupt", "kill self", "abort", "segfault", "exit 0", "exit 7", "close every file")
MILD = [do for do in TEMPERS if do not in DEADLY]


def _check(number: int, do: str, data: dict[str, object], folder: Path) -> None:
    reason, *words = TEMPERS[do]
    text = str(data["reason"])
    assert data["state"] == "failed" and Reason.of(text) is reason, (do, text)
    assert all(word in text for word in words), (do, text)
    error = json.loads((folder / "trials" / str(number) / "error.json").read_text())
    assert error["reason"] == reason.name and error["advice"] == reason.value and error["trial"] == number


def test_processes_survive_every_temper(processes: Callable[..., Processes], tmp_path: Path) -> None:
    executor = processes(slots=2)
    todo = [do for temper in TEMPERS for do in (temper, "score")]
    for number, do in enumerate(todo):
        executor.submit(make_trial(number, do))
    events = ended(executor, len(todo))
    for number, do in enumerate(todo):
        if do == "score":
            assert events[number].data["state"] == "complete"
            assert events[number].data["metrics"]["score"] == number
            assert not (tmp_path / "trials" / str(number) / "error.json").exists()
        else:
            _check(number, do, events[number].data, tmp_path)
    crashed = tmp_path / "trials" / str(todo.index("segfault")) / "log.txt"
    assert "Segmentation fault" in crashed.read_text() and "trial_bodies.py" in crashed.read_text()


@pytest.mark.parametrize("kind", [Inline, Simulated])
def test_executors_without_processes_survive_what_can_be_survived(kind: type, tmp_path: Path) -> None:
    executor = kind(body, folder=tmp_path)
    for number, do in enumerate(MILD):
        executor.submit(make_trial(number, do))
    events = ended(executor, len(MILD))
    for number, do in enumerate(MILD):
        _check(number, do, events[number].data, tmp_path)


def test_what_hangs_is_killed_and_what_it_holds_up_goes_on(processes: Callable[..., Processes]) -> None:
    executor = processes(slots=1, trial_seconds=0.2)
    for number, do in enumerate(["hang deaf", "score"]):
        executor.submit(make_trial(number, do))
    begin = time.monotonic()
    assert list(executor.poll(0.01)) == []
    assert time.monotonic() - begin < 5.0
    events = ended(executor, 2)
    assert events[0].data["state"] == "failed" and Reason.of(events[0].data["reason"]) is Reason.timed_out
    assert events[0].data["seconds"] >= 0.5
    assert events[1].data["state"] == "complete"


def test_a_trial_leaves_nothing_behind(processes: Callable[..., Processes], tmp_path: Path) -> None:
    executor = processes(slots=1)
    for number, do in enumerate(["leave a child", "leave a child and die", "spoil", "surroundings"]):
        executor.submit(make_trial(number, do))
    events = ended(executor, 4)
    assert Reason.of(events[1].data["reason"]) is Reason.exited  # though its child held every pipe open
    left = [int(events[0].data["metrics"]["child"]), int((tmp_path / "trials" / "1" / "child").read_text())]
    assert not any(runs(pid) for pid in left)
    assert events[3].data["metrics"]["leak"] == 0
    assert events[3].data["metrics"]["threads"] == 1


def test_a_worker_killed_while_idle_costs_nothing(processes: Callable[..., Processes]) -> None:
    executor = processes(slots=1)
    executor.submit(make_trial(0, "surroundings"))
    pid = int(ended(executor, 1)[0].data["metrics"]["pid"])
    os.kill(pid, 9)
    executor.submit(make_trial(1, "surroundings"))
    after = ended(executor, 1)[1]
    assert after.data["state"] == "complete" and after.data["metrics"]["pid"] != pid
