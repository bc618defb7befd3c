"""The inside of a worker process: it evaluates one trial after another, and lets none of them spoil the next."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from types import FrameType
from typing import Any

from archsmith.execute.reasons import Failure, Reason, failure_of
from archsmith.execute.trials import Outcome, attempt
from archsmith.run import Run
from archsmith.trial import Proposal

__all__ = ["Job", "cut", "serve", "sweep", "work_here"]

_NOTE = "\n[the log was cut here, at its limit]\n"
_LOOK = 0.5  # seconds between two looks at the length of a log


@dataclass(frozen=True)
class Job:
    """One trial on its way to a worker: plain data, and the seconds that are left for it."""

    kind: type[Proposal]
    proposal: dict[str, Any]
    trial: int
    seed: int
    folder: Path | None
    resume_folder: Path | None
    seconds: float | None


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


def serve(connection: Connection[Any, Any], threads: int, log_bytes: int) -> None:
    """Evaluate jobs from ``connection`` until it is closed. Runs in the worker process, and owns it."""
    # Ctrl+C reaches every process of a terminal; what to do about it is the controller's decision alone.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        os.setsid()  # whatever a trial starts belongs to this session, and ends with it
    signal.signal(signal.SIGTERM, _on_stop)
    threading.Thread(target=_follow_parent, daemon=True).start()
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    faulthandler.enable()
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
            job: Job = connection.recv()
            connection.send(("started", None))
            connection.send(("finished", _work(evaluate, job, log_bytes)))


def sweep(session: int) -> None:
    """Kill every process of a session but its leader: what a trial started and left behind."""
    if sys.platform == "linux":  # elsewhere there is no list to look through without help
        for name in os.listdir("/proc"):
            with contextlib.suppress(OSError):
                if name.isdecimal() and int(name) != session and os.getsid(int(name)) == session:
                    os.kill(int(name), signal.SIGKILL)
    elif sys.platform != "win32" and session != os.getpid():
        with contextlib.suppress(OSError):
            os.killpg(session, signal.SIGKILL)


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
    folder, environment = os.getcwd(), dict(os.environ)
    deadline = None if job.seconds is None else time.monotonic() + job.seconds
    run = Run(job.trial, job.seed, job.folder, job.resume_folder, deadline, interrupted=_interruption)
    try:
        with _logged(job.folder, log_bytes):
            try:
                proposal = job.kind.from_json(job.proposal)
                _stoppable = True
                try:
                    return attempt(evaluate, proposal, run, passing=(_Stop,))
                finally:
                    _stoppable = False
            except _Stop:
                return Outcome(failure=Failure(Reason.stopped))
    except BaseException as error:  # such as a disk that does not take the log
        return Outcome(failure=failure_of(error))
    finally:
        os.environ.clear()
        os.environ.update(environment)
        with contextlib.suppress(OSError):
            os.chdir(folder)
        sweep(os.getpid())


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
    if parent is not None:
        wait([parent.sentinel])
        sweep(os.getpid())
        os._exit(1)


@contextlib.contextmanager
def _logged(folder: Path | None, limit: int) -> Iterator[None]:
    """Send what is printed, by Python or below it, to the trial's ``log.txt``, of at most ``limit`` bytes.

    The file is written directly, so that nothing is lost when the process dies, and is cut while it is written.
    """
    if folder is None:
        yield
        return
    path, over = folder / "log.txt", threading.Event()
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
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


def _point(numbers: tuple[int, ...], target: str) -> None:
    sink = os.open(target, os.O_WRONLY)
    for number in numbers:
        os.dup2(sink, number)
    os.close(sink)
