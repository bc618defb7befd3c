"""Trials run side by side in local worker processes, each of which can die without harm."""

from __future__ import annotations

import atexit
import contextlib
import io
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from multiprocessing.connection import wait
from pathlib import Path

from archsmith.errors import UsageError
from archsmith.execute.child import Child
from archsmith.execute.protocol import Evaluation
from archsmith.execute.reasons import Failure, Reason, failure_of, failure_of_exit
from archsmith.execute.trials import (
    SMALLER,
    Outcome,
    finished,
    make_run,
    positive,
    smaller_after,
    trial_folder,
)
from archsmith.execute.worker import Job, cut
from archsmith.trial import Event, Trial

__all__ = ["Processes"]

_LOOK = 0.5  # seconds: a worker's death is seen at once, but by a look when a process it left behind hides it
_LONGEST_START = 300.0
_LONGEST_BEGIN = 60.0  # seconds in which a worker that is awake must begin what it was given
_LOOKED_BACK = 16  # trials
_SHORT = 0.5  # seconds: the longest of the last trials, where the next one waits at its worker already


class Processes:
    """Runs up to ``slots`` trials at a time, each in a worker process that is kept for the next one.

    ``evaluate`` (with the data it holds) is sent once to each worker, not with each trial, so it must be importable
    there: a function at the top level of a module, or an object of such a class. A worker starts when a trial needs
    it, or by ``prepare``, with ``threads`` threads for numerical libraries, and calls ``initialize(threads)`` once if
    that is given (such as ``torch.set_num_threads``).

    A trial learns its deadline, the earlier of ``deadline`` and its own ``trial_seconds``, from its ``Run``. If it is
    not back ``grace`` seconds later, its worker and everything the trial started are killed. What a trial prints goes
    to ``log.txt`` in its folder, of at most ``log_bytes`` bytes. A worker that dies takes its own trial with it and no
    other; a trial that had not begun there is begun again elsewhere.

    ``memory_bytes`` is what one trial may allocate beyond what its worker holds already (on Linux). One that runs out
    of memory, or is killed for want of it, is tried once more with half the batch (``Run.batch_scale``).
    ``stall_seconds`` is how long a trial may show no sign of life in its folder, neither in its log nor its curve nor
    its checkpoints; at half of that its log says so, and then it is killed.

    Where several run side by side and all of late took less than half a second, ``ahead`` asks for more trials than
    slots, and each worker is sent its next one while it has one: thinking of it and writing it down takes milliseconds.
    What waits behind one that turns out long is taken back, and goes to the worker that is free first.

    Workers ignore Ctrl+C, which is the controller's to decide on, and end when the controller is gone.

    Raises ``UsageError`` for slots, threads or times of 0 or less, and for an ``evaluate`` that cannot be sent.
    """

    def __init__(
        self,
        evaluate: Evaluation,
        folder: Path | str | None = None,
        slots: int = 1,
        threads: int = 1,
        *,
        seed: int = 0,
        deadline: float | None = None,
        trial_seconds: float | None = None,
        grace: float = 5.0,
        initialize: Callable[[int], object] | None = None,
        log_bytes: int = 1_000_000,
        memory_bytes: int | None = None,
        stall_seconds: float | None = None,
    ) -> None:
        times = {"trial_seconds": trial_seconds, "grace": grace, "stall_seconds": stall_seconds}
        for name, value in {"slots": slots, "threads": threads, "memory_bytes": memory_bytes, **times}.items():
            positive(name, value)
        self.evaluate = evaluate
        self.folder = None if folder is None else Path(folder).absolute()
        self.slots = slots
        self.threads = threads
        self.seed = seed
        self.deadline = deadline
        self.trial_seconds = trial_seconds
        self.grace = grace
        self.initialize = initialize
        self.log_bytes = log_bytes
        self.memory_bytes = memory_bytes
        self.stall_seconds = stall_seconds
        self._waiting: deque[Trial] = deque()
        self._children: list[Child] = []
        self._again: set[int] = set()
        self._smaller: dict[int, tuple[str, float]] = {}  # trials tried again: why, and the seconds spent before
        self._lately: deque[float] = deque(maxlen=_LOOKED_BACK)  # the seconds of the last trials
        self._done: list[Event] = []
        self._closed = False
        Child.pack(io.BytesIO(), evaluate, initialize)
        atexit.register(self.close)

    @property
    def ahead(self) -> int:
        """One trial for each slot where the last trials were so short that waiting for the next one would show."""
        return self.slots if self.slots > 1 and self._lately and max(self._lately) < _SHORT else 0

    def prepare(self) -> None:
        """Start the workers that are not there yet, so that they wake up while something else is done.

        Raises ``OSError`` when the system has no room for them.
        """
        if self._closed:
            raise UsageError("This executor is closed; make another one.")
        while len(self._children) < self.slots:
            self._children.append(self._start())

    def now(self) -> float:
        """Return the time of ``time.monotonic``."""
        return time.monotonic()

    def submit(self, trial: Trial) -> None:
        """Give the trial to a worker, or queue it until one is free."""
        if self._closed:
            raise UsageError("This executor is closed; make another one.")
        self._waiting.append(trial)
        self._give_out()

    def poll(self, timeout: float) -> Sequence[Event]:
        """Return what ended since the last call, waiting at most ``timeout`` seconds for something to end."""
        until = self.now() + timeout
        while True:
            for child in list(self._children):
                self._listen(child)
            self._take_back()
            self._give_out()
            left = until - self.now()
            if self._done or left <= 0 or not any(child.trial for child in self._children):
                break
            kills = min((self._kill_at(child) for child in self._children), default=math.inf)
            wait(
                [thing for child in self._children for thing in (child.connection, child.process.sentinel)],
                max(0.0, min(left, _LOOK, kills - self.now())),
            )
        events, self._done = self._done, []
        return events

    def stop(self, trial: int) -> None:
        """Ask the trial to end: its ``finally`` blocks run, and after ``grace`` seconds it is killed."""
        for waiting in [t for t in self._waiting if t.number == trial]:
            self._waiting.remove(waiting)
            self._finish(waiting, Outcome(failure=Failure(Reason.stopped)))
        for child in list(self._children):
            if child.following is not None and child.following.number == trial:
                child.skip()
            if child.trial is not None and child.trial.number == trial and child.stopped_at is None:
                child.stopped_at = self.now()
                if not child.ask_to_stop():
                    self._bury(child, Reason.stopped)

    def close(self) -> None:
        """End every trial and every worker, and what the trials started."""
        self._closed = True
        atexit.unregister(self.close)
        for trial in self._waiting:
            self._finish(trial, Outcome(failure=Failure(Reason.closed)))
        self._waiting.clear()
        for child in self._children:
            if child.trial is None:
                child.dismiss()
        for child in list(self._children):
            if child.trial is None:
                child.process.join(self.grace)
            self._bury(child, Reason.closed)

    def _give_out(self) -> None:
        while self._waiting:
            free = [c for c in self._children if c.trial is None]
            idle = next((c for c in free if c.ready), free[0] if free else None)
            if idle is None and len(self._children) >= self.slots:
                self._give_ahead()
                return
            trial = self._waiting.popleft()
            if self.deadline is not None and self.now() >= self.deadline:
                self._finish(trial, Outcome(failure=Failure(Reason.deadline)))
                continue
            if idle is None:
                try:
                    child = self._start()
                except OSError as error:  # such as too many processes or open files
                    self._finish(trial, Outcome(failure=Failure(Reason.not_started, str(error))))
                    continue
                child.trial = trial
                self._children.append(child)
            else:
                idle.trial = trial
                if idle.ready:
                    self._send(idle, trial)

    def _give_ahead(self) -> None:
        """Send each busy worker its next trial, where trials are short."""
        soon = self.now() - _SHORT  # one that runs for longer already may be one of the long ones
        busy = [
            c
            for c in self._children
            if (c.started_at or 0) > soon and c.following is None and not c.skipping and c.stopped_at is None
        ]
        for child in busy[: len(self._waiting) if self.ahead else 0]:
            child.following = self._waiting.popleft()
            self._send(child, child.following)

    def _take_back(self) -> None:
        """Put what waits behind a trial that turned out long first in the queue, where another worker is free soon."""
        soon = self.now() - _SHORT
        long = [c for c in self._children if c.started_at is not None and c.started_at < soon]
        if len(long) == self.slots:
            return
        for child in long:
            if child.following is not None and not child.skipping and not child.connection.poll():
                self._waiting.appendleft(child.following)
                child.following = None
                child.skip()

    def _start(self) -> Child:
        return Child.start(self.evaluate, self.initialize, self.threads, self.log_bytes)

    def _send(self, child: Child, trial: Trial) -> None:
        try:
            scale = SMALLER if trial.number in self._smaller else 1.0
            run = make_run(trial, self.folder, self.seed, None)
            kind, data = type(trial.proposal), trial.proposal.to_json()
            places = (run.folder, run.resume_folder)
            most, end, parent = self.memory_bytes, self.deadline, run.parent_folder
            job = Job(kind, data, trial.number, run.seed, *places, self.trial_seconds, scale, most, end, parent)
            child.given_at = self.now()
            child.send(job)
        except (BrokenPipeError, ConnectionResetError):
            return  # it is dead, which the next look finds
        except OSError as error:  # such as a folder that cannot be made
            if child.trial is trial:
                child.trial = None
            else:
                child.following = None
            self._finish(trial, Outcome(failure=failure_of(error)))

    def _listen(self, child: Child) -> None:
        dead = not child.process.is_alive()  # looked at first: what it said before it died is then all there
        for word, said in child.messages():
            if word == "ready":
                child.ready = True
                if child.trial is not None:
                    self._send(child, child.trial)
            elif word == "started":
                child.started_at = child.sign_at = self.now()
                child.signs = ()
            elif word == "broken":
                self._bury(child, said.reason, said)
                return
            elif child.trial is not None:
                trial, begin, asked = child.trial, child.started_at, child.stopped_at is not None
                child.trial, child.following = child.following, None
                child.started_at = child.stopped_at = None
                child.given_at = self.now()
                spent = said.seconds or self.now() - (begin or self.now())
                self._lately.append(spent)
                self._finish(trial, replace(said, seconds=spent))
                if child.skipping:
                    self._bury(child, Reason.stopped)
                    return
                if asked and child.trial is not None:  # what asked the one to end may have reached the other
                    self._waiting.appendleft(child.trial)
                    child.trial = None
                    self._bury(child)
                    return
        if dead or child.mute:
            self._bury(child)
        elif self.now() >= self._kill_at(child):
            if child.stopped_at is not None:
                self._bury(child, Reason.stopped)
            elif self.deadline is not None and self.now() >= self.deadline + self.grace:
                self._bury(child, Reason.deadline)
            elif child.ready and child.started_at is None:
                self._bury(child)  # frozen, or starved, before it began
            else:
                self._bury(child, Reason.timed_out if child.ready else Reason.not_started)
        elif self.stall_seconds is not None and self._silence(child) >= self.stall_seconds:
            self._bury(child, Reason.stalled, Failure(Reason.stalled, f"nothing for {self.stall_seconds:g} s"))

    def _silence(self, child: Child) -> float:
        """Return for how long a trial has shown no sign of progress; at half of what it may, its log says so."""
        folder = None if child.trial is None else trial_folder(self.folder, child.trial.number)
        if folder is None or child.started_at is None or self.stall_seconds is None:
            return 0.0
        signs = _signs(folder)
        if signs != child.signs:
            child.signs, child.sign_at = signs, self.now()
        silence = self.now() - child.sign_at
        if silence >= 0.5 * self.stall_seconds and child.warned_at != child.sign_at:
            left = self.stall_seconds - silence
            with contextlib.suppress(OSError), (folder / "log.txt").open("a", encoding="utf-8") as log:
                log.write(f"[no sign of progress for {silence:.3g} s; the trial is ended in {left:.3g} s]\n")
            child.warned_at, child.signs = child.sign_at, _signs(folder)
        return silence

    def _kill_at(self, child: Child) -> float:
        """The time at which the child is killed if it says nothing before."""
        if child.trial is None:
            return math.inf
        times = [] if self.deadline is None else [self.deadline + self.grace]
        if child.stopped_at is not None:
            times.append(child.stopped_at + self.grace)
        if not child.ready:
            times.append(child.born_at + _LONGEST_START)
        elif child.started_at is None:
            times.append(child.given_at + _LONGEST_BEGIN)
        elif self.trial_seconds is not None:
            times.append(child.started_at + self.trial_seconds + self.grace)
        return min(times, default=math.inf)

    def _bury(self, child: Child, reason: Reason | None = None, failure: Failure | None = None) -> None:
        """Make sure that a child and all it started are dead; tell what became of its trial."""
        self._children.remove(child)
        code, peak = child.kill()
        trial, following = child.trial, child.following
        if following is not None and (child.skipping or self._closed):
            self._finish(following, Outcome(failure=Failure(Reason.closed if self._closed else Reason.stopped)))
        elif following is not None:
            self._waiting.appendleft(following)
        if trial is None:
            return
        if reason is None and child.ready and child.started_at is None and trial.number not in self._again:
            self._again.add(trial.number)  # the worker died before it began this trial, which is not to blame
            self._waiting.appendleft(trial)
            return
        if failure is None and reason is not None:
            allowed = f"after {self.trial_seconds:g} s" if reason is Reason.timed_out and self.trial_seconds else ""
            failure = Failure(reason, allowed)
        spent = 0.0 if child.started_at is None else self.now() - child.started_at
        if failure is None:
            failure = failure_of_exit(code, peak)
            if not child.ready:
                failure = Failure(Reason.not_started, str(failure))
            elif failure.reason is Reason.killed and trial.number not in self._smaller and not self._closed:
                self._smaller[trial.number] = smaller_after(failure), spent
                self._waiting.appendleft(trial)
                return
        self._finish(trial, Outcome({}, spent, failure))

    def _finish(self, trial: Trial, outcome: Outcome) -> None:
        if trial.number in self._smaller:
            note, spent = self._smaller.pop(trial.number)
            outcome = replace(outcome, seconds=outcome.seconds + spent, note=note)
        folder = trial_folder(self.folder, trial.number)
        if folder is not None:
            cut(folder / "log.txt", self.log_bytes)
        self._done.append(finished(trial, outcome, self.folder))


def _signs(folder: Path) -> tuple[tuple[str, int, int], ...]:
    """Return the state of everything a trial writes while it makes progress."""
    found = []
    for pattern in ("log.txt", "metrics.csv", "**/*.safetensors*"):
        for path in sorted(folder.glob(pattern)):
            with contextlib.suppress(OSError):
                state = path.stat()
                found.append((path.name, state.st_size, state.st_mtime_ns))
    return tuple(found)
