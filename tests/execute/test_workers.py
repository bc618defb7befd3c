"""How workers are made, fed, listened to, and ended."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing import active_children
from pathlib import Path
from typing import Any

import pytest
import trial_bodies
from trial_bodies import body, ended, make_trial, runs

from archsmith.errors import UsageError
from archsmith.execute import Processes, Reason
from archsmith.execute import processes as workers


def test_a_worker_is_kept_and_knows_its_surroundings(processes: Callable[..., Processes]) -> None:
    executor = processes(slots=2, threads=3, trial_seconds=50, initialize=trial_bodies.mark_initialized)
    for number in range(6):
        executor.submit(make_trial(number, "surroundings"))
    seen = [event.data["metrics"] for event in ended(executor, 6).values()]
    assert len({m["pid"] for m in seen}) <= 2
    assert len({m["seed"] for m in seen}) == 6
    assert {(m["threads"], m["initialized"]) for m in seen} == {(3.0, 3.0)}
    assert all(40 < m["remaining"] <= 50 for m in seen)


def test_prepared_workers_are_those_that_work(processes: Callable[..., Processes]) -> None:
    executor = processes(slots=2)
    executor.prepare()
    executor.prepare()
    workers = {child.pid for child in active_children()}
    assert len(workers) == 2 and list(executor.poll(60.0)) == []
    for number in range(3):
        executor.submit(make_trial(number, "surroundings"))
    assert {e.data["metrics"]["pid"] for e in ended(executor, 3).values()} <= workers


def test_what_is_printed_goes_to_a_log_of_limited_length(processes: Callable[..., Processes], tmp_path: Path) -> None:
    executor = processes(slots=1, log_bytes=2000)
    for number, do in enumerate(["print much", "print little"]):
        executor.submit(make_trial(number, do))
    events = ended(executor, 2)
    assert {e.data["state"] for e in events.values()} == {"complete"}
    much, little = ((tmp_path / "trials" / n / "log.txt").read_text() for n in "01")
    assert len(much) < 2100 and much.endswith("[the log was cut here, at its limit]\n")
    assert sorted(little.splitlines()) == ["a warning", "a word", "from below Python"]


def test_the_trial_folder_holds_its_architecture_and_resuming_finds_it(
    processes: Callable[..., Processes], tmp_path: Path
) -> None:
    executor = processes(slots=1)
    executor.submit(make_trial(3, "score"))
    executor.submit(make_trial(4, "resume", resume=3))
    events = ended(executor, 2)
    assert events[4].data["metrics"] == {"there": 1.0}
    assert json.loads((tmp_path / "trials" / "3" / "arch.json").read_text()) == {"do": "score", "x": 3}


def test_where_trials_are_short_each_worker_has_its_next_one_and_none_is_lost(
    processes: Callable[..., Processes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "_SHORT", 1000.0)  # however slow the machine is
    executor = processes(slots=2, grace=20.0)
    assert executor.ahead == 0
    for numbers, do in (((0, 1), "score"), ((2, 3), "hang"), ((4, 5), "surroundings")):
        if numbers[0]:
            assert executor.ahead == 2
        for number in numbers:  # a worker that is busy reads nothing, and one long job is more than a pipe holds
            executor.submit(make_trial(number, do, ballast=1_000_000 if do == "surroundings" else 0))
        if do == "score":
            ended(executor, 2)
        while do == "hang" and not all(child.started_at for child in executor._children):
            assert list(executor.poll(0.05)) == []
    first, second = executor._children
    assert [first.following.number, second.following.number] == [4, 5]
    executor.stop(5)
    executor.stop(second.trial.number)
    os.kill(first.process.pid, signal.SIGABRT)
    events = ended(executor, 4)
    assert [events[n].data["reason"].split(":")[0] for n in (2, 3, 4, 5)] == ["crashed", "stopped", "", "stopped"]


@pytest.mark.parametrize("later", [(), (5, 6)])
def test_what_was_sent_ahead_of_a_long_trial_goes_to_the_first_worker_that_is_free(
    later: tuple[int, ...], processes: Callable[..., Processes], monkeypatch: pytest.MonkeyPatch
) -> None:
    executor = processes(slots=2, grace=20.0)
    for numbers, do in (((0, 1), "score"), ((2, 3), "hang")):
        for number in numbers:
            executor.submit(make_trial(number, do))
        if do == "score":
            ended(executor, 2)
        while do == "hang" and not all(child.started_at for child in executor._children):
            assert list(executor.poll(0.05)) == []
    first, second = executor._children
    stopped = second.trial.number
    monkeypatch.setattr(workers, "_SHORT", 1000.0)  # however slow the machine is, these count as short
    for number in (4, *later):
        executor.submit(make_trial(number, "score"))
    assert first.following.number == 4
    assert not later or second.following.number == later[0]
    monkeypatch.setattr(workers, "_SHORT", 0.0)
    executor.stop(stopped)
    events = ended(executor, 2 + len(later))
    assert [events[n].data["state"] for n in (stopped, 4)] == ["stopped", "complete"]
    assert {events[n].data["state"] for n in later} <= {"complete"}
    executor.stop(first.trial.number)
    assert [e.data["state"] for e in ended(executor, 1).values()] == ["stopped"]
    executor.submit(make_trial(7, "score"))
    assert ended(executor, 1)[7].data["state"] == "complete"


def test_stopping_lets_an_evaluation_unwind(processes: Callable[..., Processes], tmp_path: Path) -> None:
    executor = processes(slots=2, grace=20.0)
    executor.submit(make_trial(0, "unwind"))
    executor.submit(make_trial(1, "surroundings"))
    pid = ended(executor, 1)[1].data["metrics"]["pid"]
    while not (tmp_path / "trials" / "0" / "begun").exists():
        assert list(executor.poll(0.05)) == []
    for number in (0, 0, 99):
        executor.stop(number)
    event = ended(executor, 1)[0]
    assert event.data["state"] == "stopped" and Reason.of(event.data["reason"]) is Reason.stopped
    assert event.data["seconds"] > 0
    assert (tmp_path / "trials" / "0" / "unwound").exists()
    assert not (tmp_path / "trials" / "0" / "error.json").exists()
    for number in (2, 3):  # both workers live on
        executor.submit(make_trial(number, "surroundings"))
    assert pid in {e.data["metrics"]["pid"] for e in ended(executor, 2).values()}


def test_stopping_the_deaf_takes_the_grace_and_no_longer(processes: Callable[..., Processes]) -> None:
    executor = processes(slots=1)
    for number, do in enumerate(["hang deaf", "hang deaf", "score"]):
        executor.submit(make_trial(number, do))
    executor.stop(0)  # before its worker is there
    executor.stop(1)  # before it has a worker
    events = ended(executor, 3)
    assert [events[n].data["state"] for n in range(3)] == ["stopped", "stopped", "complete"]
    executor.submit(make_trial(3, "hang deaf"))
    assert list(executor.poll(0.3)) == []
    executor.stop(3)
    assert ended(executor, 1)[3].data["state"] == "stopped"


def test_the_deadline_ends_what_looks_at_it_softly_and_the_rest_hard(processes: Callable[..., Processes]) -> None:
    executor = processes(slots=2)
    for number, do in enumerate(["surroundings", "surroundings"]):
        executor.submit(make_trial(number, do))
    ended(executor, 2)
    executor.deadline = executor.now() + 0.4
    for number, do in enumerate(["until deadline", "hang", "score"], start=2):
        executor.submit(make_trial(number, do))
    events = ended(executor, 3)
    assert executor.now() < executor.deadline + 5.0
    assert events[2].data["state"] == "complete"
    for number in (3, 4):
        assert events[number].data["state"] == "stopped"
        assert Reason.of(events[number].data["reason"]) is Reason.deadline


def test_closing_ends_everything(processes: Callable[..., Processes]) -> None:
    executor = processes(slots=2)
    executor.submit(make_trial(0, "surroundings"))
    idle = int(ended(executor, 1)[0].data["metrics"]["pid"])
    for number in (1, 2, 3):
        executor.submit(make_trial(number, "hang deaf"))
    workers = [child.pid for child in active_children()]
    assert idle in workers
    executor.close()
    executor.close()
    assert active_children() == []
    events = executor.poll(0)
    assert sorted(e.trial for e in events) == [1, 2, 3]
    assert {Reason.of(e.data["reason"]) for e in events} == {Reason.closed}
    with pytest.raises(UsageError, match="closed"):
        executor.submit(make_trial(4, "score"))


@pytest.mark.parametrize(
    ("evaluate", "settings", "word"),
    [
        (trial_bodies.DiesOnArrival(), {}, "exit code 9"),
        (body, {"initialize": trial_bodies.fail_to_initialize}, "RuntimeError: no such device"),
    ],
    ids=["dies on arrival", "fails to initialize"],
)
def test_a_worker_that_cannot_start_says_why(
    processes: Callable[..., Processes], evaluate: Any, settings: dict[str, Any], word: str
) -> None:
    executor = processes(evaluate, slots=1, **settings)
    for number in range(2):
        executor.submit(make_trial(number, "score"))
    for event in ended(executor, 2).values():
        assert event.data["state"] == "failed" and word in event.data["reason"]
        assert Reason.of(event.data["reason"]) is Reason.not_started


@pytest.mark.parametrize("settings", [{"slots": 0}, {"threads": 0}, {"trial_seconds": -1.0}, {"grace": 0}])
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"{next(iter(settings))!r} .* must be above 0"):
        Processes(body, **settings)


def test_an_evaluation_that_cannot_be_sent_is_refused_at_once() -> None:
    with pytest.raises(UsageError, match="top level of a module"):
        Processes(lambda proposal, run: {"score": 1.0})


CONTROLLER = """
import signal
import sys
sys.path.insert(0, sys.argv[1])
from trial_bodies import body
from archsmith.execute import Processes
from archsmith.space import Arch
from archsmith.trial import Evaluate, Trial

if __name__ == "__main__":
    # A shell starts what runs in its background deaf to Ctrl+C, and children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    executor = Processes(body, slots=2)
    for number, do in enumerate(["surroundings", "hang"]):
        executor.submit(Trial(number, Evaluate(Arch({"do": do}))))
    try:
        while not (events := executor.poll(10.0)):
            pass
        executor.submit(Trial(2, Evaluate(Arch({"do": "hang"}))))
        print(int(events[0].data["metrics"]["pid"]), flush=True)
        while True:
            assert not executor.poll(10.0)
    except KeyboardInterrupt:
        executor.submit(Trial(3, Evaluate(Arch({"do": "score"}))))
        executor.stop(1)
        states = {}
        while 3 not in states:
            states.update((e.trial, e.data["state"]) for e in executor.poll(10.0))
        executor.close()
        states.update((e.trial, e.data["state"]) for e in executor.poll(0))
        print(sorted(states.items()), flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_what_becomes_of_workers_is_up_to_the_controller(number: signal.Signals, tmp_path: Path) -> None:
    script = tmp_path / "controller.py"
    script.write_text(CONTROLLER)
    command = [sys.executable, str(script), str(Path(__file__).parent)]
    controller = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    with controller:
        assert controller.stdout is not None
        worker = int(controller.stdout.readline())
        if number is signal.SIGINT:
            os.killpg(controller.pid, number)  # as a terminal sends it: to everybody
            assert controller.stdout.read() == "[(1, 'stopped'), (2, 'stopped'), (3, 'complete')]\n"
            assert controller.wait() == 0
        else:
            controller.kill()
            controller.wait()
            controller.stdout.read()  # until the last worker, which inherited it, is gone
    until = time.monotonic() + 20
    while runs(worker) and time.monotonic() < until:
        time.sleep(0.02)
    assert not runs(worker)
