"""The inside of a worker process: it evaluates one trial after another, and lets none of them spoil the next."""

from __future__ import annotations

import contextlib
import faulthandler
import io
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from types import FrameType
from typing import Any

from archsmith.execute.reasons import Failure, Reason, failure_of
from archsmith.execute.trials import Outcome, attempt, earliest
from archsmith.run import Run
from archsmith.trial import Proposal

if sys.platform != "win32":
    import resource

__all__ = ["MARK", "Job", "cut", "serve", "sweep", "work_here"]

MARK = "ARCHSMITH_WORKER"
"""The environment variable by which what a worker started is known, whatever session it moved to."""

_NOTE = "\n[the log was cut here, at its limit]\n"
_LAST_BREATH = 1.0  # seconds that processes which were killed have to be gone
_LOOK = 0.1  # seconds between two looks at the length of a log: a fast disk takes some 100 MB meanwhile


@dataclass(frozen=True)
class Job:
    """One trial on its way to a worker: plain data, the seconds and the bytes it may take.

    ``deadline`` is a time of ``time.monotonic``, for a worker on the same machine.
    """

    kind: type[Proposal]
    proposal: dict[str, Any]
    trial: int
    seed: int
    folder: Path | None
    resume_folder: Path | None
    seconds: float | None
    batch_scale: float = 1.0
    memory_bytes: int | None = None
    deadline: float | None = None
    parent_folder: Path | None = None


@dataclass
class _Interruption:
    """What a running evaluation can ask: whether it should end. One that asks is trusted to do so by itself."""

    asked: bool = False
    watched: bool = False

    def __call__(self) -> bool:
        self.watched = True
        return self.asked


class _Stop(BaseException):
    """Raised inside an evaluation that is asked to stop, so that its ``finally`` blocks run."""


_stoppable = False
_interruption = _Interruption()
_strangers: set[int] = set()


def serve(connection: Connection[Any, Any], threads: int, log_bytes: int) -> None:
    """Evaluate jobs from ``connection`` until it is closed. Runs in the worker process, and owns it."""
    # Ctrl+C reaches every process of a terminal; what to do about it is the controller's decision alone.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        os.setsid()  # whatever a trial starts belongs to this session, and ends with it
    signal.signal(signal.SIGTERM, _on_stop)
    threading.Thread(target=_follow_parent, daemon=True).start()
    faulthandler.enable()
    sys.stdout, sys.stderr = _stream(1), _stream(2)
    try:
        evaluate, initialize = ForkingPickler.loads(connection.recv_bytes())
        if initialize is not None:
            initialize(threads)
    except EOFError:
        return
    except BaseException as error:
        connection.send(("broken", failure_of(error, Reason.not_started)))
        return
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        connection.send(("ready", None))
        while True:
            job: Job | None = connection.recv()
            if job is None or connection.poll():  # behind a job there is only the word, None, not to begin it
                return
            connection.send(("started", None))
            connection.send(("finished", _work(evaluate, job, log_bytes)))


def sweep(leader: int, mark: str = "", strangers: set[int] | None = None) -> None:
    """Kill what a worker's trials started and left behind: its session but for itself, and whatever bears its mark.

    ``strangers`` are processes that were seen not to belong to it, and need no second look; it is kept up to date.
    On Linux what was killed is waited for, a second at most: a signal on its way is no end yet.
    """
    if sys.platform == "linux":  # elsewhere there is no list to look through without help
        there = {int(name) for name in os.listdir("/proc") if name.isdecimal()} - {leader, os.getpid()}
        known = set() if strangers is None else strangers & there
        killed: list[int] = []
        for pid in there - known:
            with contextlib.suppress(OSError):
                if _belongs(pid, leader, mark):
                    os.kill(pid, signal.SIGKILL)
                    killed.append(pid)
                    continue
            known.add(pid)
        until = time.monotonic() + _LAST_BREATH
        while any(map(_lives, killed)) and time.monotonic() < until:
            time.sleep(0.002)
        if strangers is not None:
            strangers.clear()
            strangers.update(known)
    elif sys.platform != "win32" and leader != os.getpid():
        with contextlib.suppress(OSError):
            os.killpg(leader, signal.SIGKILL)


def _lives(pid: int) -> bool:
    """Whether a process is there and has not ended, reaped or not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        return stat.rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def _belongs(pid: int, session: int, mark: str) -> bool:
    if os.getsid(pid) == session:
        return True
    return bool(mark) and f"{MARK}={mark}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")


def cut(path: Path, limit: int) -> bool:
    """Cut a log that is longer than ``limit`` bytes, with a note at its end; return whether it was."""
    try:
        if path.stat().st_size <= limit + len(_NOTE):
            return False
        os.truncate(path, limit)
        with path.open("a", encoding="utf-8") as file:
            file.write(_NOTE)
    except OSError:
        return False
    return True


def work_here(evaluate: Callable[..., Any], job: Job, log_bytes: int) -> Outcome:
    """Evaluate one job in a process that another program owns; SIGTERM asks the job, and it alone, to stop."""
    before = signal.signal(signal.SIGTERM, _on_stop)
    try:
        return _work(evaluate, job, log_bytes)
    finally:
        signal.signal(signal.SIGTERM, before)


def _work(evaluate: Callable[..., Any], job: Job, log_bytes: int) -> Outcome:
    global _stoppable, _interruption
    _interruption = _Interruption()
    mark = os.environ.get(MARK, "")
    if job.deadline is not None and time.monotonic() >= job.deadline:
        return Outcome(failure=Failure(Reason.deadline))
    deadline = earliest(job.deadline, None if job.seconds is None else time.monotonic() + job.seconds)
    places = (job.folder, job.resume_folder)
    more: dict[str, Any] = {"batch_scale": job.batch_scale, "parent_folder": job.parent_folder}
    run = Run(job.trial, job.seed, *places, deadline, interrupted=_interruption, **more)
    try:
        with _logged(job.folder, log_bytes), _memory(job.memory_bytes):
            try:
                proposal = job.kind.from_json(job.proposal)
                _stoppable = True
                try:
                    return _with_limit(attempt(evaluate, proposal, run, passing=(_Stop,)), job.memory_bytes)
                finally:
                    _stoppable = False
            except _Stop:
                return Outcome(failure=Failure(Reason.stopped))
    except BaseException as error:
        return Outcome(failure=failure_of(error))
    finally:
        sweep(os.getpid(), mark, _strangers)


@contextlib.contextmanager
def _memory(limit: int | None) -> Iterator[None]:
    """Let the process take ``limit`` bytes more than it has now; then allocating fails, as a full machine's would.

    Linux counts what is private and writable, so that neither libraries nor shared memory are held against a trial.
    """
    if limit is None or sys.platform != "linux":
        yield
        return
    before = resource.getrlimit(resource.RLIMIT_DATA)
    for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("VmData:"):
            most = 1024 * int(line.split()[1]) + limit
            if before[1] == resource.RLIM_INFINITY or most < before[1]:
                resource.setrlimit(resource.RLIMIT_DATA, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def _with_limit(outcome: Outcome, limit: int | None) -> Outcome:
    failure = outcome.failure
    if limit is None or failure is None or failure.reason is not Reason.out_of_memory:
        return outcome
    return replace(
        outcome, failure=replace(failure, detail=f"{failure.detail}; a trial may take {limit / 1e6:,.0f} MB")
    )


def _on_stop(number: int, frame: FrameType | None) -> None:
    global _stoppable
    if _stoppable:  # once: what the evaluation does while it unwinds is left alone
        _stoppable = False
        _interruption.asked = True
        if not _interruption.watched:
            raise _Stop


def _follow_parent() -> None:
    """End this process and what it started as soon as the controller is gone, however it went."""
    parent = parent_process()
    mark = os.environ.get(MARK, "")
    if parent is not None:
        wait([parent.sentinel])
        sweep(os.getpid(), mark)
        os._exit(1)


@contextlib.contextmanager
def _logged(folder: Path | None, limit: int) -> Iterator[None]:
    """Send what is printed, by Python or below it, to the trial's ``log.txt``, of at most ``limit`` bytes.

    The file is written directly, so that nothing is lost when the process dies, and is cut while it is written. A disk
    that does not take the log costs the log and nothing else.
    """
    if folder is None:
        yield
        return
    path, over = folder / "log.txt", threading.Event()
    try:
        log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    except OSError:
        log = os.open(os.devnull, os.O_WRONLY)
    saved = {number: os.dup(number) for number in (1, 2)}

    def watch() -> None:
        while not over.wait(_LOOK):
            if cut(path, limit):
                _point((1, 2), os.devnull)

    try:
        for number in saved:
            os.dup2(log, number)
        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        for number, old in saved.items():
            os.dup2(old, number)
            os.close(old)
        os.close(log)
        cut(path, limit)


class _Forgiving:
    """A file descriptor to write to, as a text stream wants it, that drops what the disk does not take."""

    closed = False

    def __init__(self, number: int) -> None:
        self.number = number

    def write(self, data: bytes) -> int:
        left = memoryview(data)
        with contextlib.suppress(OSError):
            while left:
                left = left[os.write(self.number, left) :]
        return len(data)

    def fileno(self) -> int:
        return self.number

    def isatty(self) -> bool:
        return False

    def flush(self) -> None:
        pass

    def readable(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def close(self) -> None:
        pass


def _stream(number: int) -> io.TextIOWrapper:
    raw: Any = _Forgiving(number)
    return io.TextIOWrapper(raw, "utf-8", "backslashreplace", line_buffering=True, write_through=True)


def _point(numbers: tuple[int, ...], target: str) -> None:
    sink = os.open(target, os.O_WRONLY)
    for number in numbers:
        os.dup2(sink, number)
    os.close(sink)
