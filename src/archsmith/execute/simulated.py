"""Trials that take no time: a simulated clock for studies on tables of known results."""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from archsmith.errors import UsageError
from archsmith.execute.reasons import Failure, Reason
from archsmith.execute.trials import Outcome, attempt, finished, make_run, positive
from archsmith.run import Run
from archsmith.trial import Event, Proposal, Trial

__all__ = ["Simulated", "TimedEvaluation"]

TimedEvaluation = Callable[[Proposal, Run], Mapping[str, float] | tuple[Mapping[str, float], float]]


@dataclass(frozen=True)
class _Under:
    trial: Trial
    begin: float
    start: int
    outcome: Outcome


class Simulated:
    """Runs trials on a clock of its own, so a month of search over a thousand workers replays in seconds.

    ``evaluate(proposal, run)`` returns ``(metrics, seconds)``, or metrics with an entry ``"seconds"``: what the trial
    would take. It is called when the trial begins on the simulated clock, at once and in this thread; its result
    comes out of ``poll`` when the clock gets there. ``poll`` moves the clock to the next end of a trial and returns
    all that end there, in the order of submission; it never waits, so its ``timeout`` means nothing. ``deadline`` and
    ``trial_seconds`` are simulated seconds; ``Event.time`` is the simulated clock. ``Run.deadline`` is left empty, for
    it would be compared with the real one.

    The simulator backend of Syne Tune (Salinas et al., 2022) is the model.
    """

    ahead = 0

    def __init__(
        self,
        evaluate: TimedEvaluation,
        slots: int = 1,
        *,
        folder: Path | str | None = None,
        seed: int = 0,
        deadline: float | None = None,
        trial_seconds: float | None = None,
    ) -> None:
        positive("slots", slots)
        positive("trial_seconds", trial_seconds)
        self.evaluate = evaluate
        self.slots = slots
        self.folder = None if folder is None else Path(folder)
        self.seed = seed
        self.deadline = deadline
        self.trial_seconds = trial_seconds
        self._clock = 0.0
        self._waiting: deque[Trial] = deque()
        self._under: dict[int, _Under] = {}
        self._ends: list[tuple[float, int, int]] = []  # (time, order of start, trial): a heap
        self._starts = 0
        self._done: list[Event] = []
        self._closed = False

    def now(self) -> float:
        """Return the simulated seconds since the executor was made."""
        return self._clock

    def submit(self, trial: Trial) -> None:
        """Start the trial now on the simulated clock, or queue it until a slot is free."""
        if self._closed:
            raise UsageError("This executor is closed; make another one.")
        self._waiting.append(trial)
        self._fill()

    def poll(self, timeout: float) -> Sequence[Event]:
        """Return the trials that end next, after moving the clock there."""
        self._forget_stopped()
        if not self._done and self._ends:
            until = self._ends[0][0]
            if self.deadline is not None and until > self.deadline:
                self._clock = max(self._clock, self.deadline)
                for under in list(self._under.values()):
                    self._end(under.trial, replace(under.outcome, metrics={}, failure=Failure(Reason.deadline)))
            else:
                self._clock = until
                while self._ends and self._ends[0][0] == until:
                    under = self._under[heapq.heappop(self._ends)[2]]
                    self._end(under.trial, under.outcome)
                    self._forget_stopped()
            self._fill()
        events, self._done = self._done, []
        return events

    def stop(self, trial: int) -> None:
        """End a trial now, on the simulated clock."""
        for waiting in [t for t in self._waiting if t.number == trial]:
            self._waiting.remove(waiting)
            self._end(waiting, Outcome(failure=Failure(Reason.stopped)))
        if trial in self._under:
            self._end(self._under[trial].trial, Outcome(failure=Failure(Reason.stopped)))
            self._fill()

    def close(self) -> None:
        """End everything now, on the simulated clock."""
        self._closed = True
        for trial in [*(under.trial for under in self._under.values()), *self._waiting]:
            self._end(trial, Outcome(failure=Failure(Reason.closed)))
        self._waiting.clear()

    def _fill(self) -> None:
        while self._waiting and len(self._under) < self.slots:
            trial = self._waiting.popleft()
            if self.deadline is not None and self._clock >= self.deadline:
                self._end(trial, Outcome(failure=Failure(Reason.deadline)))
                continue
            try:
                outcome = self._evaluate(trial)
            except KeyboardInterrupt:
                self._end(trial, Outcome(failure=Failure(Reason.stopped, "interrupted")))
                raise
            self._starts += 1
            self._under[trial.number] = _Under(trial, self._clock, self._starts, outcome)
            heapq.heappush(self._ends, (self._clock + outcome.seconds, self._starts, trial.number))

    def _evaluate(self, trial: Trial) -> Outcome:
        taken = [math.nan]

        def timed(proposal: Proposal, run: Run) -> Mapping[str, float]:
            result = self.evaluate(proposal, run)
            metrics, seconds = result if isinstance(result, tuple) else (result, None)
            if seconds is None and isinstance(metrics, Mapping):
                seconds = metrics.get("seconds", math.nan)
            taken[0] = math.nan if seconds is None else float(seconds)
            return metrics

        outcome = attempt(timed, trial.proposal, make_run(trial, self.folder, self.seed, None), (KeyboardInterrupt,))
        if outcome.failure is not None:  # failing takes no simulated time, unless the evaluation said so
            return replace(outcome, seconds=taken[0] if 0 <= taken[0] < math.inf else 0.0)
        if not 0 <= taken[0] < math.inf:
            detail = f"the seconds of a simulated trial must be a number of at least 0, and are {taken[0]!r}"
            return Outcome(failure=Failure(Reason.no_metrics, detail))
        if self.trial_seconds is not None and taken[0] > self.trial_seconds:
            return Outcome({}, self.trial_seconds, Failure(Reason.timed_out, f"more than {self.trial_seconds:g} s"))
        return replace(outcome, seconds=taken[0])

    def _end(self, trial: Trial, outcome: Outcome) -> None:
        under = self._under.pop(trial.number, None)
        spent = self._clock - under.begin if under is not None else 0.0
        self._done.append(finished(trial, replace(outcome, seconds=spent), self.folder, at=self._clock))

    def _forget_stopped(self) -> None:
        """Take ends that will not come, of trials that were ended before, from the top of the heap."""
        while self._ends:
            _, start, number = self._ends[0]
            if number in self._under and self._under[number].start == start:
                return
            heapq.heappop(self._ends)
