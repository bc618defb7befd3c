"""Why a trial did not finish, as values that carry advice."""

from __future__ import annotations

import errno
import re
import signal
import sys
import traceback
from dataclasses import dataclass
from enum import Enum
from typing import Any

from archsmith.errors import ArchsmithError
from archsmith.redact import redact
from archsmith.run import DeadlineReached, Diverged

if sys.platform != "win32":
    import resource

__all__ = ["Failure", "Reason", "failure_of", "failure_of_exit"]

_LONGEST = 500  # characters of a message
_LONGEST_TRACEBACK = 20_000


class Reason(Enum):
    """Why a trial has no result; the value is the advice."""

    raised = "The evaluation raised an exception. The traceback in error.json shows where."
    no_metrics = (
        "The evaluation did not return named numbers. Return a mapping such as {'accuracy': 0.9}, "
        "with at least one entry and values that float() takes."
    )
    diverged = "The loss left the finite numbers. Lower the learning rate, or clip the gradients."
    out_of_memory = (
        "There was not enough memory. Lower the batch size, limit parameters or activations, "
        "or run fewer trials side by side."
    )
    killed = (
        "The process was killed from outside, most likely by the system for want of memory. "
        "Run fewer trials side by side, lower the batch size, or limit parameters or activations."
    )
    shared_memory = (
        "There was not enough shared memory (/dev/shm), through which data loaders pass their batches. Start a "
        "container with more of it (docker run --shm-size=2g), or load data with num_workers=0."
    )
    data_worker = (
        "A worker process of a data loader died, most often for want of memory. Load data with num_workers=0, or with "
        "fewer workers."
    )
    open_files = (
        "Too many files were open at once. Raise the limit (ulimit -n 65536), close files in the evaluation, or run "
        "fewer trials side by side."
    )
    process_limit = (
        "The system allows no more processes or threads. Raise the limit (ulimit -u, or the container's pids limit), "
        "or run fewer trials side by side with fewer threads."
    )
    disk_full = (
        "The disk took no more. Free some space; checkpoints of trials that are over (trials/*/ckpt) are the largest "
        "files of a run, and may be deleted."
    )
    crashed = "The process crashed in native code. The stack, where there is one, is at the end of the trial's log.txt."
    exited = "The process ended without a result. An evaluation must return its metrics, and must not call exit."
    timed_out = "The trial took longer than a trial may. Allow it more seconds, or lower its fidelity."
    stalled = (
        "The trial showed no sign of progress for longer than allowed: no line of its log, no row of its curve, no "
        "checkpoint. Look where it waits, report progress with run.report, or allow it more seconds."
    )
    not_started = (
        "A worker process could not start. The evaluation must be importable: define it at the top level of a module, "
        "and keep what a script does under `if __name__ == '__main__':`."
    )
    deadline = "The time of the run was over before the trial was."
    stopped = "The trial was stopped on request."
    closed = "The executor was closed while the trial was under way."

    @property
    def state(self) -> str:
        """The state of a trial that ends for this reason: what was ended on purpose has not failed."""
        return "stopped" if self in (Reason.deadline, Reason.stopped, Reason.closed) else "failed"

    @staticmethod
    def of(text: str) -> Reason | None:
        """Return the reason that the text of an event begins with, or None."""
        return Reason.__members__.get(text.partition(":")[0])


@dataclass(frozen=True)
class Failure:
    """One end without a result: the reason, what exactly happened, and where."""

    reason: Reason
    detail: str = ""
    where: str = ""
    traceback: str = ""

    def __str__(self) -> str:
        text = f"{self.reason.name}: {self.detail}" if self.detail else self.reason.name
        return f"{text} ({self.where})" if self.where else text

    def to_json(self) -> dict[str, Any]:
        """Return what ``error.json`` holds about the failure."""
        return {
            "reason": self.reason.name,
            "detail": self.detail,
            "where": self.where,
            "advice": self.reason.value,
            "traceback": self.traceback,
        }


def failure_of(error: BaseException, reason: Reason | None = None) -> Failure:
    """Return the failure that an exception of an evaluation means."""
    if reason is None:
        if isinstance(error, DeadlineReached):
            reason = Reason.deadline
        elif isinstance(error, Diverged):
            reason = Reason.diverged
        elif isinstance(error, SystemExit):
            reason = Reason.exited
        else:
            reason = _shortage(error) or Reason.raised
    try:
        message = redact(" ".join(str(error).split()))[:_LONGEST]
    except Exception:
        message = "(its message cannot be printed)"
    detail = f"{type(error).__name__}: {message}" if message else type(error).__name__
    detail += _limit(reason)
    try:
        frames = traceback.extract_tb(error.__traceback__)[1:]  # the first is ours, which called the evaluation
        # A person's own line says more than the line of a library below it.
        own = [f for f in frames if not f.filename.startswith((sys.prefix, sys.base_prefix, "<"))] or frames
        where = f"{own[-1].filename}:{own[-1].lineno}" if own else ""
        text = redact("".join(traceback.format_exception(error)))
    except Exception:  # an exception whose own methods raise
        where, text = "", ""
    return Failure(reason, detail, where, text[-_LONGEST_TRACEBACK:])


def failure_of_exit(code: int | None, peak_megabytes: float | None = None) -> Failure:
    """Return the failure that the exit code of a process means; negative codes are signals."""
    if code is None or code >= 0:
        return Failure(Reason.exited, f"exit code {code}")
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    if name == "SIGXFSZ":
        return Failure(Reason.disk_full, f"{name}: a file grew beyond what the system allows")
    if name == "SIGBUS":
        name += ", which shared memory gives when /dev/shm is full"
    if name != "SIGKILL":
        return Failure(Reason.crashed if name != "SIGTERM" else Reason.killed, name)
    peak = "" if peak_megabytes is None else f"; the largest worker so far held {peak_megabytes:.0f} MB"
    return Failure(Reason.killed, name + peak)


_BY_NUMBER = {
    errno.ENOMEM: Reason.out_of_memory,
    errno.EMFILE: Reason.open_files,
    errno.ENFILE: Reason.open_files,
    errno.EAGAIN: Reason.process_limit,
    errno.ENOSPC: Reason.disk_full,
    errno.EDQUOT: Reason.disk_full,
    errno.EFBIG: Reason.disk_full,
}
# Libraries wrap what the system says in errors of their own, and leave only its words.
_BY_WORDS = (
    (Reason.shared_memory, "out of shared memory|insufficient shared memory|unable to .{0,30}shared memory|/dev/shm"),
    (Reason.data_worker, r"DataLoader worker.*(killed|exited|died)"),
    (Reason.open_files, "too many open files"),
    (Reason.process_limit, "can't start new thread|resource temporarily unavailable"),
    (Reason.disk_full, "no space left on device|disk quota exceeded|file too large|disk is full"),
    (
        Reason.out_of_memory,
        r"out of memory|_ALLOC_FAILED|bad_alloc|"
        r"(can't|cannot|not|unable to|failed to) allocate (memory|[\d.]+ *[kmgt]?i?b)",
    ),
)


def _shortage(error: BaseException) -> Reason | None:
    """Return what the system ran short of, if that is what the error says; the words are the libraries' own."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # torch's, without torch
        return Reason.out_of_memory
    if not isinstance(error, OSError | RuntimeError | ArchsmithError):
        return None  # any text may speak of memory
    try:
        text = str(error)
    except Exception:
        return None
    found = next((reason for reason, words in _BY_WORDS if re.search(words, text, re.IGNORECASE)), None)
    if isinstance(error, OSError) and error.errno in _BY_NUMBER and found is not Reason.shared_memory:
        return _BY_NUMBER[error.errno]
    return found


def _limit(reason: Reason) -> str:
    """Say which limit of the system a failure ran into, where it can be known."""
    names = {Reason.open_files: ("RLIMIT_NOFILE", "open files"), Reason.process_limit: ("RLIMIT_NPROC", "processes")}
    if sys.platform == "win32" or reason not in names:
        return ""
    name, words = names[reason]
    soft, _ = resource.getrlimit(getattr(resource, name))
    return "" if soft == resource.RLIM_INFINITY else f"; the limit is {soft} {words}"
