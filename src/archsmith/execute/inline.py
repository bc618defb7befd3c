"""Trials run one after another in the calling thread: the simplest executor, and the one whose order is fixed."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from archsmith.errors import UsageError
from archsmith.execute.protocol import Evaluation
from archsmith.execute.reasons import Failure, Reason
from archsmith.execute.trials import Outcome, attempt, earliest, finished, make_run, positive
from archsmith.trial import Event, Trial

__all__ = ["Inline"]


class Inline:
    """Runs one trial in each ``poll``, in the order of submission.

    ``folder`` is the run folder (None keeps nothing); ``seed`` the study's seed; ``trial_seconds`` what one trial may
    take, which reaches it as its deadline; ``interrupted`` reaches it as it is. Nothing here can end an evaluation that
    does not look at its deadline, nor survive one that ends the process: ``Processes`` does both. Ctrl+C goes to the
    caller, and the trial that was under way is ``stopped``.
    """

    slots = 1
    ahead = 0

    def __init__(
        self,
        evaluate: Evaluation,
        folder: Path | str | None = None,
        *,
        seed: int = 0,
        deadline: float | None = None,
        trial_seconds: float | None = None,
        interrupted: Callable[[], bool] = bool,
    ) -> None:
        positive("trial_seconds", trial_seconds)
        self.evaluate = evaluate
        self.folder = None if folder is None else Path(folder)
        self.seed = seed
        self.deadline = deadline
        self.trial_seconds = trial_seconds
        self.interrupted = interrupted
        self._waiting: deque[Trial] = deque()
        self._done: list[Event] = []
        self._closed = False

    def now(self) -> float:
        """Return the time of ``time.monotonic``."""
        return time.monotonic()

    def submit(self, trial: Trial) -> None:
        """Queue the trial."""
        if self._closed:
            raise UsageError("This executor is closed; make another one.")
        self._waiting.append(trial)

    def poll(self, timeout: float) -> Sequence[Event]:
        """Run the next trial, whatever the ``timeout``, and return its event."""
        if not self._done and self._waiting:
            trial = self._waiting.popleft()
            outcome = Outcome(failure=Failure(Reason.stopped, "interrupted"))
            try:
                outcome = self._run(trial)
            finally:  # also when Ctrl+C goes through: a submitted trial has its event
                self._done.append(finished(trial, outcome, self.folder))
        events, self._done = self._done, []
        return events

    def stop(self, trial: int) -> None:
        """Take a trial that has not begun out of the queue."""
        self._drop([t for t in self._waiting if t.number == trial], Reason.stopped)

    def close(self) -> None:
        """Take everything out of the queue."""
        self._closed = True
        self._drop(list(self._waiting), Reason.closed)

    def _run(self, trial: Trial) -> Outcome:
        begin = self.now()
        if self.deadline is not None and begin >= self.deadline:
            return Outcome(failure=Failure(Reason.deadline))
        own = None if self.trial_seconds is None else begin + self.trial_seconds
        run = make_run(trial, self.folder, self.seed, earliest(self.deadline, own))
        run = replace(run, interrupted=self.interrupted)
        return attempt(self.evaluate, trial.proposal, run, passing=(KeyboardInterrupt,))

    def _drop(self, trials: Sequence[Trial], reason: Reason) -> None:
        for trial in trials:
            self._waiting.remove(trial)
            self._done.append(finished(trial, Outcome(failure=Failure(reason)), self.folder))
