"""What happens to a trial that does its worst, and to those beside and after it."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch_bodies import torch_body
from trial_bodies import ended, make_trial, runs

from archsmith.execute import Inline, Processes, Reason, Simulated

Make = Callable[..., Processes]


def _reason(event: Any) -> Reason | None:
    return Reason.of(event.data["reason"])


TORCH = ("spoil everything", "fingerprint", "out of memory", "always out of memory", "allocate by numpy", "allocate",
         "lose a data worker", "score")  # fmt: skip


@pytest.fixture(scope="module")
def with_torch(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """How each of ``TORCH`` ended, one after another in one worker, and ``"alone"``: the fingerprint in another."""
    executors = [
        Processes(torch_body, tmp_path_factory.mktemp(name), memory_bytes=1_200_000_000) for name in ("many", "alone")
    ]
    try:
        for number, do in enumerate(TORCH):
            executors[0].submit(make_trial(number, do))
        executors[1].submit(make_trial(TORCH.index("fingerprint"), "fingerprint"))
        events = ended(executors[0], len(TORCH))
        alone = ended(executors[1], 1)[TORCH.index("fingerprint")]
        return {do: events[number] for number, do in enumerate(TORCH)} | {"alone": alone}
    finally:
        for executor in executors:
            executor.close()


def test_nothing_a_trial_does_to_its_process_reaches_the_next(with_torch: dict[str, Any]) -> None:
    after, clean = with_torch["fingerprint"], with_torch["alone"]
    assert after.data["state"] == "complete", after.data
    assert after.data["metrics"] == clean.data["metrics"]
    assert with_torch["score"].data["state"] == "complete"


def test_in_this_process_too_a_trial_draws_the_same_numbers_whatever_ran_before(tmp_path: Path) -> None:
    folder, mask = os.getcwd(), os.umask(0)
    os.umask(mask)
    one, other = Inline(torch_body), Inline(torch_body)
    for number, do in enumerate(("spoil everything", "fingerprint")):
        one.submit(make_trial(number, do))
    other.submit(make_trial(1, "fingerprint"))
    assert ended(one, 2)[1].data["metrics"] == ended(other, 1)[1].data["metrics"]
    assert (os.getcwd(), os.umask(mask)) == (folder, mask) and "LEAK" not in os.environ


def _once_more(first: Any, second: Any) -> None:
    assert first.data["state"] == "complete" and first.data["metrics"]["scale"] == 0.5
    assert "0.5 of the batch after out_of_memory: OutOfMemoryError: CUDA out of memory" in first.data["note"]
    assert second.data["state"] == "failed" and _reason(second) is Reason.out_of_memory
    assert "ran again" in second.data["note"]


@pytest.mark.parametrize("make", [Inline, Simulated])
def test_executors_without_processes_try_once_more_as_well(make: Any, tmp_path: Path) -> None:
    executor = make(torch_body, folder=tmp_path)
    for number, do in enumerate(["out of memory", "always out of memory"]):
        executor.submit(make_trial(number, do))
    events = ended(executor, 2)
    _once_more(events[0], events[1])


def test_a_trial_out_of_memory_is_run_once_more_at_half_the_batch(with_torch: dict[str, Any]) -> None:
    _once_more(with_torch["out of memory"], with_torch["always out of memory"])


def test_a_trial_that_the_system_killed_is_run_once_more_at_half_the_batch(processes: Make, tmp_path: Path) -> None:
    executor = processes(slots=1)
    for number, do in enumerate(["killed at full batch", "kill self", "score"]):
        executor.submit(make_trial(number, do))
    events = ended(executor, 3)
    assert events[0].data["state"] == "complete" and events[0].data["metrics"] == {"scale": 0.5}
    assert "after killed: SIGKILL" in events[0].data["note"] and "MB" in events[0].data["note"]
    assert not (tmp_path / "trials" / "0" / "error.json").exists()
    assert _reason(events[1]) is Reason.killed and events[2].data["state"] == "complete"


def test_a_trial_takes_no_more_memory_than_it_may(with_torch: dict[str, Any]) -> None:
    too_much, fits = with_torch["allocate by numpy"], with_torch["allocate"]
    assert _reason(too_much) is Reason.out_of_memory, too_much.data
    assert "1.86 GiB" in too_much.data["reason"] and "a trial may take 1,200 MB" in too_much.data["reason"]
    # With half the batch the same evaluation fits.
    assert fits.data["state"] == "complete" and "allocate memory" in fits.data["note"], fits.data


def test_a_hang_in_native_code_that_is_deaf_to_signals_is_killed(processes: Make) -> None:
    executor = processes(slots=1, trial_seconds=0.3, grace=2.0)
    for number, do in enumerate(["hang in C", "hang", "score"]):
        executor.submit(make_trial(number, do))
    events = ended(executor, 3)
    assert [_reason(events[n]) for n in (0, 1)] == [Reason.timed_out, Reason.timed_out]
    assert "after 0.3 s" in events[0].data["reason"] and events[2].data["state"] == "complete"


def test_a_trial_without_progress_is_warned_of_and_then_ended(processes: Make, tmp_path: Path) -> None:
    executor = processes(slots=2, stall_seconds=0.6)
    for number, do in enumerate(["live without progress", "progress slowly"]):
        executor.submit(make_trial(number, do))
    events = ended(executor, 2)
    assert _reason(events[0]) is Reason.stalled and "nothing for 0.6 s" in events[0].data["reason"]
    assert "no sign of progress" in (tmp_path / "trials" / "0" / "log.txt").read_text()
    assert events[1].data["state"] == "complete"  # though it took longer than that in all


def test_a_frozen_worker_is_ended_and_its_trial_counted_once(processes: Make) -> None:
    executor = processes(slots=1, trial_seconds=0.5)
    executor.submit(make_trial(0, "surroundings"))
    pid = int(ended(executor, 1)[0].data["metrics"]["pid"])
    executor.submit(make_trial(1, "hang"))
    while executor._children[0].started_at is None:
        assert list(executor.poll(0.01)) == []
    os.kill(pid, signal.SIGSTOP)
    event = ended(executor, 1)[1]
    assert _reason(event) is Reason.timed_out and not runs(pid)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)  # there is nobody left to wake up and answer late
    executor.submit(make_trial(2, "score"))
    assert list(ended(executor, 1)) == [2]


def test_a_worker_frozen_before_it_begins_is_replaced(processes: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("archsmith.execute.processes._LONGEST_BEGIN", 0.3)
    executor = processes(slots=1)
    executor.submit(make_trial(0, "surroundings"))
    pid = int(ended(executor, 1)[0].data["metrics"]["pid"])
    os.kill(pid, signal.SIGSTOP)
    executor.submit(make_trial(1, "surroundings"))
    event = ended(executor, 1)[1]
    assert event.data["state"] == "complete" and event.data["metrics"]["pid"] != pid and not runs(pid)


def test_a_worker_held_up_for_a_while_is_waited_for(processes: Make) -> None:
    executor = processes(slots=1, trial_seconds=30.0, stall_seconds=30.0)
    executor.submit(make_trial(0, "surroundings"))
    pid = int(ended(executor, 1)[0].data["metrics"]["pid"])
    os.kill(pid, signal.SIGSTOP)
    executor.submit(make_trial(1, "score"))
    assert list(executor.poll(0.7)) == []
    os.kill(pid, signal.SIGCONT)
    assert ended(executor, 1)[1].data["state"] == "complete"


def test_what_a_trial_daemonized_is_ended_with_it(processes: Make) -> None:
    executor = processes(slots=1)
    executor.submit(make_trial(0, "leave a daemon"))
    child = int(ended(executor, 1)[0].data["metrics"]["child"])
    assert child > 0 and not runs(child)


def test_a_killed_data_worker_is_told_with_what_to_do(with_torch: dict[str, Any]) -> None:
    event = with_torch["lose a data worker"]
    assert _reason(event) is Reason.data_worker, event.data
    assert "num_workers=0" in Reason.data_worker.value


def test_a_log_that_the_disk_does_not_take_costs_the_log_only(processes: Make, tmp_path: Path) -> None:
    for number in range(2):
        (tmp_path / "trials" / str(number)).mkdir(parents=True)
    (tmp_path / "trials" / "0" / "log.txt").symlink_to("/dev/full")
    (tmp_path / "trials" / "1" / "log.txt").mkdir()  # cannot even be opened
    executor = processes(slots=1)
    for number in range(2):
        executor.submit(make_trial(number, "print much"))
    assert {e.data["state"] for e in ended(executor, 2).values()} == {"complete"}


def test_waking_up_counts_as_time_of_the_run(processes: Make) -> None:
    executor = processes(SleepsOnArrival(), slots=1)
    executor.deadline = executor.now() + 0.5
    executor.submit(make_trial(0, "score"))
    begin = time.monotonic()
    event = ended(executor, 1)[0]
    assert event.data["state"] == "stopped" and _reason(event) is Reason.deadline
    assert time.monotonic() - begin < 30


class SleepsOnArrival:
    """Takes longer to be received than anybody has time."""

    def __reduce__(self) -> Any:
        return time.sleep, (60,)
