"""The controller's end of one worker process."""

from __future__ import annotations

import contextlib
import copyreg
import io
import os
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from multiprocessing.reduction import ForkingPickler
from typing import Any

from archsmith.errors import UsageError
from archsmith.execute.worker import MARK, serve, sweep
from archsmith.trial import Trial

if sys.platform != "win32":
    import resource

__all__ = ["Child", "born"]

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
_AT_ONCE = 4000  # bytes, of which every system holds two for a pipe that nobody reads
_LONGEST_DEATH = 10.0  # seconds a killed process may take to be gone


@dataclass(eq=False)
class Child:
    """A worker process, the connection to it, the trial it has, and the ``following`` one that it was sent already.

    ``sender`` is the thread that sends what is too long to be sent at once; there is one at a time.
    ``skipping`` tells that the following one was stopped, or taken back, before its turn came.
    """

    process: SpawnProcess
    connection: Connection[Any, Any]
    sender: threading.Thread
    mark: str
    trial: Trial | None = None
    following: Trial | None = None
    skipping: bool = False
    ready: bool = False
    mute: bool = False
    born_at: float = field(default_factory=time.monotonic)
    given_at: float = 0.0
    started_at: float | None = None
    stopped_at: float | None = None
    signs: tuple[Any, ...] = ()
    sign_at: float = 0.0
    warned_at: float | None = None

    @staticmethod
    def pack(into: io.BytesIO, *things: object) -> None:
        """Write what a worker is sent once; raise ``UsageError`` if it cannot be sent."""
        pickler = ForkingPickler(into, 5)
        # Torch, once imported, would move its tensors to shared memory, which is 64 MB in a container and ends the
        # process, this one, with a bus error when it is full. Each worker has its own copy of the data instead.
        pickler.dispatch_table = copyreg.dispatch_table.copy()
        try:
            pickler.dump(things)
        except Exception as error:
            raise UsageError(
                f"The evaluation cannot be sent to a worker process ({type(error).__name__}: {error}). Use a function "
                "at the top level of a module, or an object of a class there, that holds plain data and tensors; "
                "or run the trials in this process with Inline."
            ) from error

    @staticmethod
    def start(
        evaluate: Callable[..., Any], initialize: Callable[[int], object] | None, threads: int, log_bytes: int
    ) -> Child:
        """Start a worker; what it is to evaluate is sent while it wakes up."""
        context = get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=serve, args=(theirs, threads, log_bytes), name="archsmith-worker")
        resource_tracker.ensure_running()  # if this came later, it would undo the blocked signal
        mark = secrets.token_hex(8)
        with born(threads, {MARK: mark}):
            process.start()
        theirs.close()

        def send() -> None:
            data = io.BytesIO()
            Child.pack(data, evaluate, initialize)
            with contextlib.suppress(OSError):  # it died meanwhile, which is seen elsewhere
                ours.send_bytes(data.getbuffer())

        sender = threading.Thread(target=send, daemon=True)
        sender.start()
        return Child(process, ours, sender, mark)

    def send(self, job: object) -> None:
        """Send one job to a worker, without waiting for it to read; raise ``OSError`` if it is gone.

        A worker reads nothing while it is busy, or frozen, and a pipe holds little: more than that goes by a thread.
        """
        data, before = ForkingPickler.dumps(job), self.sender
        if len(data) <= _AT_ONCE and not before.is_alive():
            self.connection.send_bytes(data)
            return

        def deliver() -> None:
            before.join()
            with contextlib.suppress(OSError):  # it died meanwhile, which is seen elsewhere
                self.connection.send_bytes(data)

        self.sender = threading.Thread(target=deliver, daemon=True)
        self.sender.start()

    def skip(self) -> None:
        """Ask the worker not to begin what it was sent to do next, but to end; if it began already, it is ended."""
        self.skipping = True
        with contextlib.suppress(OSError):  # it died meanwhile, which is seen elsewhere
            self.send(None)

    def messages(self) -> Iterator[tuple[str, Any]]:
        """Yield what the worker has said and nobody has read; ``mute`` is set when it can say no more."""
        try:
            while self.connection.poll():
                yield self.connection.recv()
        except (EOFError, OSError):
            self.mute = True

    def ask_to_stop(self) -> bool:
        """Ask the running evaluation to unwind; return False if there is none that could be asked."""
        if self.started_at is None or self.process.pid is None:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid, signal.SIGTERM)
        return True

    def dismiss(self) -> None:
        """Let an idle worker end by itself."""
        self.connection.close()

    def kill(self) -> tuple[int | None, float | None]:
        """Kill the worker and what it started; return its exit code, and the largest worker's peak so far in MB."""
        pid = self.process.pid
        if self.process.is_alive():
            if self.mute:  # it is ending by itself, and how it ends says why
                self.process.join(1.0)
            self.process.kill()
        self.process.join(_LONGEST_DEATH)
        if pid is not None:
            sweep(pid, self.mark)
        self.sender.join(_LONGEST_DEATH)
        self.connection.close()
        code, peak = self.process.exitcode, None
        if sys.platform != "win32":
            used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
            peak = used / (2**20 if sys.platform == "darwin" else 2**10)
        if code is not None:
            self.process.close()
        return code, peak


@contextlib.contextmanager
def born(threads: int, variables: Mapping[str, str] | None = None) -> Iterator[None]:
    """Let a process that starts in here use so many threads, see these variables, and not die of Ctrl+C as it wakes.

    Numerical libraries read how many threads to use when they are loaded, so it has to stand in the environment.
    """
    with _environment({**dict.fromkeys(_THREADS, str(threads)), **(variables or {})}), _sigint_blocked():
        yield


@contextlib.contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Set variables that numerical libraries read when they are loaded, for a process that is being started."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _sigint_blocked() -> Iterator[None]:
    """Hold Ctrl+C back while a process starts: it inherits that, and cannot die of it before it ignores it."""
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
