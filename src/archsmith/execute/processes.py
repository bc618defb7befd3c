"""Trials run side by side in local worker processes, each of which can die without harm."""

from __future__ import annotations

import atexit
import io
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from multiprocessing.connection import wait
from pathlib import Path

from archsmith.errors import UsageError
from archsmith.execute.child import Child
from archsmith.execute.protocol import Evaluation
from archsmith.execute.reasons import Failure, Reason, failure_of_exit
from archsmith.execute.trials import Outcome, earliest, finished, make_run, positive, trial_folder
from archsmith.execute.worker import Job, cut
from archsmith.trial import Event, Trial

__all__ = ["Processes"]

_LOOK = 0.5  # seconds: a worker's death is seen at once, but by a look when a process it left behind hides it
_LONGEST_START = 300.0


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
    ) -> None:
        for name, value in {"slots": slots, "threads": threads, "trial_seconds": trial_seconds, "grace": grace}.items():
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
        self._waiting: deque[Trial] = deque()
        self._children: list[Child] = []
        self._again: set[int] = set()
        self._done: list[Event] = []
        self._closed = False
        Child.pack(io.BytesIO(), evaluate, initialize)
        atexit.register(self.close)

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
                    self._send(idle)

    def _start(self) -> Child:
        return Child.start(self.evaluate, self.initialize, self.threads, self.log_bytes)

    def _send(self, child: Child) -> None:
        trial = child.trial
        assert trial is not None
        seconds = earliest(None if self.deadline is None else self.deadline - self.now(), self.trial_seconds)
        try:
            run = make_run(trial, self.folder, self.seed, None)
            kind, data = type(trial.proposal), trial.proposal.to_json()
            job = Job(kind, data, trial.number, run.seed, run.folder, run.resume_folder, seconds)
            child.send(job)
        except (BrokenPipeError, ConnectionResetError):
            return  # it is dead, which the next look finds
        except OSError as error:  # such as a folder that cannot be made
            child.trial = None
            self._finish(trial, Outcome(failure=Failure(Reason.raised, f"{type(error).__name__}: {error}")))

    def _listen(self, child: Child) -> None:
        dead = not child.process.is_alive()  # looked at first: what it said before it died is then all there
        for word, said in child.messages():
            if word == "ready":
                child.ready = True
                if child.trial is not None:
                    self._send(child)
            elif word == "started":
                child.started_at = self.now()
            elif word == "broken":
                self._bury(child, said.reason, said)
                return
            elif child.trial is not None:
                trial, begin = child.trial, child.started_at
                child.trial = child.started_at = child.stopped_at = None
                spent = said.seconds or self.now() - (begin or self.now())
                self._finish(trial, Outcome(said.metrics, spent, said.failure))
        if dead or child.mute:
            self._bury(child)
        elif self.now() >= self._kill_at(child):
            if child.stopped_at is not None:
                self._bury(child, Reason.stopped)
            elif self.deadline is not None and self.now() >= self.deadline + self.grace:
                self._bury(child, Reason.deadline)
            else:
                self._bury(child, Reason.timed_out if child.ready else Reason.not_started)

    def _kill_at(self, child: Child) -> float:
        """The time at which the child is killed if it says nothing before."""
        if child.trial is None:
            return math.inf
        times = [] if self.deadline is None else [self.deadline + self.grace]
        if child.stopped_at is not None:
            times.append(child.stopped_at + self.grace)
        if not child.ready:
            times.append(child.born_at + _LONGEST_START)
        if child.started_at is not None and self.trial_seconds is not None:
            times.append(child.started_at + self.trial_seconds + self.grace)
        return min(times, default=math.inf)

    def _bury(self, child: Child, reason: Reason | None = None, failure: Failure | None = None) -> None:
        """Make sure that a child and all it started are dead; tell what became of its trial."""
        self._children.remove(child)
        code, peak = child.kill()
        trial = child.trial
        if trial is None:
            return
        if reason is None and child.ready and child.started_at is None and trial.number not in self._again:
            self._again.add(trial.number)  # the worker died before it began this trial, which is not to blame
            self._waiting.appendleft(trial)
            return
        if failure is None and reason is not None:
            allowed = f"after {self.trial_seconds:g} s" if reason is Reason.timed_out and self.trial_seconds else ""
            failure = Failure(reason, allowed)
        if failure is None:
            failure = failure_of_exit(code, peak)
            if not child.ready:
                failure = Failure(Reason.not_started, str(failure))
        spent = 0.0 if child.started_at is None else self.now() - child.started_at
        self._finish(trial, Outcome({}, spent, failure))

    def _finish(self, trial: Trial, outcome: Outcome) -> None:
        folder = trial_folder(self.folder, trial.number)
        if folder is not None:
            cut(folder / "log.txt", self.log_bytes)
        self._done.append(finished(trial, outcome, self.folder))
