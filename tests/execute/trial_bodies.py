"""Evaluations of every temper, importable by worker processes."""

import contextlib
import ctypes
import errno
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archsmith.run import Diverged, Run
from archsmith.space import Arch
from archsmith.trial import Evaluate, Event, Proposal, Trial


def make_trial(number: int, do: str, resume: int | None = None, ballast: int = 0) -> Trial:
    """Return a trial that does what ``do`` says, with an architecture of about ``ballast`` bytes or more."""
    arch = Arch({"do": do, "x": number, **({"ballast": "x" * ballast} if ballast else {})})
    return Trial(number, Evaluate(arch, {"epochs": 3.0}, resume))


def ended(executor: Any, count: int) -> dict[int, Event]:
    """Poll until ``count`` trials have ended; each may end once."""
    events: dict[int, Event] = {}
    for _ in range(100):
        for event in executor.poll(5.0):
            assert event.kind == "finished" and event.trial not in events
            events[event.trial] = event
        if len(events) >= count:
            break
    assert len(events) == count
    return events


def runs(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


def body(proposal: Proposal, run: Run) -> Mapping[str, float]:
    """Does what its one decision, ``do``, says."""
    return _BODIES[str(proposal.arch["do"])](proposal, run)


def _surroundings(proposal: Proposal, run: Run) -> Mapping[str, float]:
    return {
        "pid": os.getpid(),
        "seed": run.seed,
        "remaining": min(run.remaining(), 1e9),
        "threads": float(os.environ["OMP_NUM_THREADS"]),
        "cwd": hash(os.getcwd()),
        "leak": float("LEAK" in os.environ),
        "initialized": float(os.environ.get("INITIALIZED", "0")),
    }


def _print_much(proposal: Proposal, run: Run) -> Mapping[str, float]:
    for _ in range(400):
        print("x" * 999)
    os.system("echo from below Python")
    return {"score": 1.0}


def _print_little(proposal: Proposal, run: Run) -> Mapping[str, float]:
    print("a word")
    print("a warning", file=sys.stderr)
    os.write(1, b"from below Python\n")
    return {"score": 1.0}


def _leave_child(proposal: Proposal, run: Run) -> Mapping[str, float]:
    return {"child": subprocess.Popen(["sleep", "1000"]).pid}


def _leave_child_and_die(proposal: Proposal, run: Run) -> Mapping[str, float]:
    assert run.folder is not None
    if os.fork() == 0:  # a forked child holds every pipe of its parent open
        os.write(os.open(run.folder / "child", os.O_CREAT | os.O_WRONLY), str(os.getpid()).encode())
        time.sleep(1000)
    while not (run.folder / "child").exists() or not (run.folder / "child").read_text():
        time.sleep(0.01)
    os._exit(3)


def _spoil(proposal: Proposal, run: Run) -> Mapping[str, float]:
    os.environ["LEAK"] = "1"
    os.environ["OMP_NUM_THREADS"] = "64"
    os.chdir("/")
    return {"score": 1.0}


def _killed_at_full_batch(proposal: Proposal, run: Run) -> Mapping[str, float]:
    if run.batch_scale == 1.0:
        os.kill(os.getpid(), signal.SIGKILL)
    return {"scale": run.batch_scale}


def _hang_in_c(proposal: Proposal, run: Run) -> Mapping[str, float]:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    re.match("(a+)+$", "a" * 64 + "b")  # holds the interpreter for longer than anybody waits
    return {"score": 1.0}


def _leave_a_daemon(proposal: Proposal, run: Run) -> Mapping[str, float]:
    """A child in a session of its own whose parent is gone: nothing of the trial's that the system still knows."""
    assert run.folder is not None
    path = run.folder / "daemon"
    if os.fork() == 0:
        os.setsid()
        child = subprocess.Popen(["sleep", "1000"])
        path.write_text(str(child.pid))
        os._exit(0)
    os.wait()
    return {"child": float(path.read_text())}


def _open_many_files(proposal: Proposal, run: Run) -> Mapping[str, float]:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
    files: list[int] = []
    try:
        while len(files) < 100:
            files.append(os.open(os.devnull, os.O_RDONLY))
    finally:
        for file in files:
            os.close(file)
    return {"score": 1.0}


def _write_too_much(proposal: Proposal, run: Run) -> Mapping[str, float]:
    assert run.folder is not None
    with open("/dev/full", "w") as file:
        file.write("x" * 100_000)
    return {"score": 1.0}


def _live_without_progress(proposal: Proposal, run: Run) -> Mapping[str, float]:
    until = time.monotonic() + 1000
    while time.monotonic() < until:
        pass
    return {"score": 1.0}


def _progress_slowly(proposal: Proposal, run: Run) -> Mapping[str, float]:
    for step in range(8):
        time.sleep(0.15)
        run.report({"step": float(step)})
    return {"score": 1.0}


def _raise_what(number: int) -> Any:
    def raising(proposal: Proposal, run: Run) -> Mapping[str, float]:
        raise OSError(number, os.strerror(number))

    return raising


def _diverge(proposal: Proposal, run: Run) -> Mapping[str, float]:
    raise Diverged("the loss stopped being finite at step 7 with learning rate 1e+12; the last finite loss was 2.3")


def _no_thread(proposal: Proposal, run: Run) -> Mapping[str, float]:
    raise RuntimeError("can't start new thread")


def _no_shared_memory(proposal: Proposal, run: Run) -> Mapping[str, float]:
    raise RuntimeError("unable to allocate shared memory(shm) for file </torch_1_2_0>: No space left on device (28)")


def _tell_a_secret(proposal: Proposal, run: Run) -> Mapping[str, float]:
    raise ValueError("no answer from postgresql://me:hunter2@host/db with token=hunter2")


def _hang(proposal: Proposal, run: Run) -> Mapping[str, float]:
    time.sleep(1000)
    return {"score": 1.0}


def _hang_deaf(proposal: Proposal, run: Run) -> Mapping[str, float]:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return _hang(proposal, run)


def _unwind(proposal: Proposal, run: Run) -> Mapping[str, float]:
    assert run.folder is not None
    (run.folder / "begun").touch()
    try:
        time.sleep(1000)
    finally:
        (run.folder / "unwound").touch()
    return {"score": 1.0}


def _until_deadline(proposal: Proposal, run: Run) -> Mapping[str, float]:
    time.sleep(max(0.0, run.remaining()))
    return {"score": 1.0}


def _raise(proposal: Proposal, run: Run) -> Mapping[str, float]:
    raise ValueError("the width is odd")


def _nasty(proposal: Proposal, run: Run) -> Mapping[str, float]:
    class Nasty(Exception):
        def __str__(self) -> str:
            raise RuntimeError

        def __reduce__(self) -> Any:
            raise RuntimeError

    raise Nasty


def _interrupt(proposal: Proposal, run: Run) -> Mapping[str, float]:
    raise KeyboardInterrupt


def _out_of_memory(proposal: Proposal, run: Run) -> Mapping[str, float]:
    raise MemoryError


def _kill_self(proposal: Proposal, run: Run) -> Mapping[str, float]:
    os.kill(os.getpid(), signal.SIGKILL)
    return {"score": 1.0}


def _segfault(proposal: Proposal, run: Run) -> Mapping[str, float]:
    ctypes.string_at(0)
    return {"score": 1.0}


_BODIES: dict[str, Any] = {
    "score": lambda proposal, run: {"score": float(proposal.arch.get("x", 0)), "loss": float("nan")},
    "surroundings": _surroundings,
    "print much": _print_much,
    "print little": _print_little,
    "leave a child": _leave_child,
    "leave a child and die": _leave_child_and_die,
    "spoil": _spoil,
    "hang": _hang,
    "hang deaf": _hang_deaf,
    "unwind": _unwind,
    "until deadline": _until_deadline,
    "raise": _raise,
    "nasty": _nasty,
    "interrupt": _interrupt,
    "out of memory": _out_of_memory,
    "kill self": _kill_self,
    "segfault": _segfault,
    "killed at full batch": _killed_at_full_batch,
    "hang in C": _hang_in_c,
    "leave a daemon": _leave_a_daemon,
    "open many files": _open_many_files,
    "write too much": _write_too_much,
    "live without progress": _live_without_progress,
    "progress slowly": _progress_slowly,
    "no memory": _raise_what(errno.ENOMEM),
    "no process": _raise_what(errno.EAGAIN),
    "no thread": _no_thread,
    "no shared memory": _no_shared_memory,
    "diverge": _diverge,
    "tell a secret": _tell_a_secret,
    "abort": lambda proposal, run: os.abort(),
    "exit 0": lambda proposal, run: os._exit(0),
    "exit 7": lambda proposal, run: os._exit(7),
    "sys.exit": lambda proposal, run: sys.exit(1),
    "close every file": lambda proposal, run: os.closerange(3, 200) or {"score": 1.0},
    "return none": lambda proposal, run: None,
    "return nothing": lambda proposal, run: {},
    "return words": lambda proposal, run: {"score": "high"},
    "return no mapping": lambda proposal, run: 0.5,
    "resume": lambda proposal, run: {"there": float((Path(run.resume_folder) / "arch.json").exists())},
}


def mark_initialized(threads: int) -> None:
    os.environ["INITIALIZED"] = str(threads)


def fail_to_initialize(threads: int) -> None:
    raise RuntimeError("no such device")


@dataclass
class DiesOnArrival:
    """Can be sent, and ends the process that receives it."""

    def __reduce__(self) -> Any:
        return os._exit, (9,)
