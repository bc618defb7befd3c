"""Why a trial did not finish, as values that carry advice."""

from __future__ import annotations

import signal
import sys
import traceback
from dataclasses import dataclass
from enum import Enum
from typing import Any

from archsmith.run import DeadlineReached

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
    out_of_memory = (
        "There was not enough memory. Lower the batch size, limit parameters or activations, "
        "or run fewer trials side by side."
    )
    killed = (
        "The process was killed from outside, most likely by the system for want of memory. "
        "Run fewer trials side by side, lower the batch size, or limit parameters or activations."
    )
    crashed = "The process crashed in native code. The stack, where there is one, is at the end of the trial's log.txt."
    exited = "The process ended without a result. An evaluation must return its metrics, and must not call exit."
    timed_out = "The trial took longer than a trial may. Allow it more seconds, or lower its fidelity."
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
        elif isinstance(error, SystemExit):
            reason = Reason.exited
        elif isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # torch's, without torch
            reason = Reason.out_of_memory
        else:
            reason = Reason.raised
    try:
        message = " ".join(str(error).split())[:_LONGEST]
    except Exception:
        message = "(its message cannot be printed)"
    detail = f"{type(error).__name__}: {message}" if message else type(error).__name__
    try:
        frames = traceback.extract_tb(error.__traceback__)[1:]  # the first is ours, which called the evaluation
        # A person's own line says more than the line of a library below it.
        own = [f for f in frames if not f.filename.startswith((sys.prefix, sys.base_prefix, "<"))] or frames
        where = f"{own[-1].filename}:{own[-1].lineno}" if own else ""
        text = "".join(traceback.format_exception(error))
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
    if name != "SIGKILL":
        return Failure(Reason.crashed if name != "SIGTERM" else Reason.killed, name)
    peak = "" if peak_megabytes is None else f"; the largest worker so far held {peak_megabytes:.0f} MB"
    return Failure(Reason.killed, name + peak)
