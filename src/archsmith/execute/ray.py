"""Trials run on the nodes of a Ray cluster, any of which can go away."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

from archsmith.errors import ClusterLost, UsageError
from archsmith.execute.attempts import clear_attempts, open_attempt, publish
from archsmith.execute.protocol import Evaluation
from archsmith.execute.ray_cluster import STOP, Cluster, Hello, Lost, Ticket, versions
from archsmith.execute.reasons import Failure, Reason
from archsmith.execute.trials import Outcome, earliest, finished, make_run, positive
from archsmith.execute.worker import Job
from archsmith.trial import Event, Trial

__all__ = ["Ray"]

_LOOK = 0.5


@dataclass(eq=False)
class _Attempt:
    """An attempt under way: which one it is of its trial in this executor, and what it may still say."""

    trial: Trial
    turn: int
    folder: Path | None
    stream: object
    node: str | None = None
    started_at: float | None = None
    ended_for: Reason | None = None
    kill_at: float = math.inf


class Ray:
    """Runs trials as tasks of Ray, each with ``threads`` CPUs, ``gpus`` and ``memory`` bytes of one node to itself.

    The cluster is the one at ``address`` (``host:port``), else the one that ``RAY_ADDRESS`` names or that this machine
    is a node of; where there is none, this machine becomes one. Every node must have the same versions installed, and
    see the run folder under the same path. ``slots`` is how many trials run side by side: all there is room for on the
    nodes that live, unless it is given.

    ``evaluate`` (with the data it holds) is put into the cluster's object store once, and fetched once by each worker
    process. A worker or node that dies takes its trials with it: each is begun again elsewhere, from its checkpoint,
    up to ``attempts`` times in all, and ``log.txt`` says so. An attempt writes into a folder of its own, which becomes
    that of the trial when the attempt ends and counts; what a lost one still writes or says is refused.

    A trial learns its deadline from its ``Run``, and may save its state when it is asked to stop; ``grace`` seconds
    after that its process is killed.

    Raises ``MissingExtra`` without Ray or its token, ``UsageError`` where no cluster answers, where none of its nodes
    has had what a trial asks for within ``patience`` seconds, or where a node is of another version; and from ``poll``
    ``ClusterLost`` when the cluster is gone.
    """

    def __init__(
        self,
        evaluate: Evaluation,
        folder: Path | str | None = None,
        slots: int | None = None,
        threads: int = 1,
        *,
        gpus: float = 0.0,
        memory: int | None = None,
        address: str | None = None,
        seed: int = 0,
        deadline: float | None = None,
        trial_seconds: float | None = None,
        grace: float = 5.0,
        attempts: int = 3,
        patience: float = 20.0,
        initialize: Callable[[int], object] | None = None,
        log_bytes: int = 1_000_000,
    ) -> None:
        given = {"slots": slots, "threads": threads, "memory": memory, "trial_seconds": trial_seconds}
        for name, value in {**given, "grace": grace, "attempts": attempts}.items():
            positive(name, value)
        self.evaluate = evaluate
        self.folder = None if folder is None else Path(folder).absolute()
        self.threads = threads
        self.seed = seed
        self.deadline = deadline
        self.trial_seconds = trial_seconds
        self.grace = grace
        self.attempts = attempts
        self.patience = patience
        self.log_bytes = log_bytes
        self._slots = slots
        self._versions = versions()
        self._waiting: deque[tuple[Trial, int, str]] = deque()
        self._running: list[_Attempt] = []
        self._done: list[Event] = []
        self._closed = self._lost = False
        self._roomless_since: float | None = None
        self._cluster = Cluster(address, {"CPU": threads, "GPU": gpus, "memory": memory or 0})
        try:
            self._find_room()
            self._cluster.hold(evaluate, initialize, threads)
        except BaseException:
            self.close()
            raise

    ahead = 0

    @property
    def slots(self) -> int:
        """How many trials run side by side; with the nodes, this changes while a search runs."""
        return self._slots or max(1, self._cluster.capacity())

    def now(self) -> float:
        """Return the time of ``time.monotonic``."""
        return time.monotonic()

    def submit(self, trial: Trial) -> None:
        """Start the trial, or queue it until a slot is free."""
        if self._closed:
            raise UsageError("This executor is closed; make another one.")
        self._waiting.append((trial, 1, ""))
        self._give_out()

    def poll(self, timeout: float) -> Sequence[Event]:
        """Return what ended since the last call, waiting at most ``timeout`` seconds for something to end."""
        until = self.now() + timeout
        while not (self._lost or self._closed):
            self._give_out()
            if not self._done and (self._running or self._waiting):
                soonest = min(map(self._kill_at, self._running), default=math.inf)
                self._listen(max(0.0, min(_LOOK, until - self.now(), soonest - self.now())))
                self._look()
            if self._done or not (self._running or self._waiting) or self.now() >= until:
                break
        events, self._done = self._done, []
        return events

    def stop(self, trial: int) -> None:
        """Ask the trial to end and save its state; after ``grace`` seconds its process is killed."""
        for entry in [entry for entry in self._waiting if entry[0].number == trial]:
            self._waiting.remove(entry)
            self._finish(entry[0], None, Outcome(failure=Failure(Reason.stopped)))
        for attempt in [a for a in self._running if a.trial.number == trial and a.ended_for is None]:
            self._end(attempt, Reason.stopped)

    def close(self) -> None:
        """End every trial, and leave the cluster; one that was made by this executor ends too."""
        if self._closed:
            return
        self._closed = True
        for trial, _, _ in self._waiting:
            self._finish(trial, None, Outcome(failure=Failure(Reason.closed)))
        self._waiting.clear()
        for attempt in list(self._running):
            self._kill(attempt, Reason.closed)
        self._cluster.close()

    # Starting.

    def _give_out(self) -> None:
        while self._waiting and len(self._running) < self.slots and not self._lost:
            trial, turn, before = self._waiting.popleft()
            if self.deadline is not None and self.now() >= self.deadline:
                self._finish(trial, None, Outcome(failure=Failure(Reason.deadline)))
                continue
            try:
                self._begin(trial, turn, before)
            except OSError as error:  # such as a folder that cannot be made
                failure = Failure(Reason.raised, f"{type(error).__name__}: {error}")
                self._finish(trial, None, Outcome(failure=failure))

    def _begin(self, trial: Trial, turn: int, before: str) -> None:
        own = None
        if self.folder is not None:
            own = open_attempt(self.folder, trial.number)
            (own / STOP).unlink(missing_ok=True)
            if turn > 1:
                with (own / "log.txt").open("a", encoding="utf-8") as log:
                    log.write(f"[attempt {turn} of {self.attempts}: {before}]\n")
        seconds = earliest(None if self.deadline is None else self.deadline - self.now(), self.trial_seconds)
        run = make_run(trial, self.folder, self.seed, None, own)
        kind, data = type(trial.proposal), trial.proposal.to_json()
        places = (own, run.resume_folder)
        job = Job(kind, data, trial.number, run.seed, *places, seconds, parent_folder=run.parent_folder)
        stream = self._cluster.launch(Ticket(job, self._versions, self.log_bytes))
        self._running.append(_Attempt(trial, turn, own, stream))

    def _find_room(self) -> None:
        """Wait for a node that has what a trial asks for; raise ``UsageError`` that says what there is instead."""
        until = self.now() + self.patience
        while not self._cluster.capacity():
            if self.now() >= until:
                raise UsageError(f"{self._cluster.described()}. Ask for less, or add a node.")
            time.sleep(min(_LOOK, self.patience))
            self._look()

    # Listening.

    def _listen(self, timeout: float) -> None:
        """Hear out the attempts that have something to say; only those under way are asked."""
        if not self._running:
            time.sleep(timeout)
        ready = self._cluster.ready([attempt.stream for attempt in self._running], timeout)
        for attempt in [a for a in self._running if any(a.stream is stream for stream in ready)]:
            try:
                said = self._cluster.hear(attempt.stream)
            except ClusterLost as error:
                self._give_up(error)
            if isinstance(said, Hello):
                attempt.started_at, attempt.node = self.now(), said.node
                if said.problem:
                    self._refuse(attempt, said)
            elif isinstance(said, Outcome):
                self._running.remove(attempt)
                if said.failure is not None and attempt.ended_for is not None:
                    said = replace(said, failure=Failure(attempt.ended_for))
                self._finish(attempt.trial, attempt.folder, said)
            else:
                self._mourn(attempt, said)

    def _mourn(self, attempt: _Attempt, lost: Lost) -> None:
        """Begin a lost attempt's trial again, unless it was to end or has been lost too often."""
        self._running.remove(attempt)
        seconds = 0.0 if attempt.started_at is None else self.now() - attempt.started_at
        failure = lost.failure
        if attempt.ended_for is not None:
            failure = Failure(attempt.ended_for)
        elif failure is None and attempt.turn < self.attempts:
            self._waiting.appendleft((attempt.trial, attempt.turn + 1, lost.why))
            return
        elif failure is None:
            failure = Failure(Reason.killed, f"{lost.why}, in the last of {self.attempts} attempts")
        self._finish(attempt.trial, attempt.folder, Outcome({}, seconds, failure))

    def _refuse(self, attempt: _Attempt, said: Hello) -> NoReturn:
        """Stop because a node is not fit for this search; the trial, which has not begun, waits."""
        self._running.remove(attempt)
        self._waiting.appendleft((attempt.trial, attempt.turn, ""))
        raise UsageError(f"The node {said.host} of the Ray cluster cannot take part: {said.problem}")

    # Ending.

    def _look(self) -> None:
        """Kill what is over its time, and find out whether the cluster is there and has room."""
        for attempt in [a for a in self._running if self._kill_at(a) <= self.now()]:
            late = self.deadline is not None and self.now() >= self.deadline + self.grace
            self._kill(attempt, attempt.ended_for or (Reason.deadline if late else Reason.timed_out))
        try:
            self._cluster.look()
        except ClusterLost as error:
            self._give_up(error)
        for attempt in [a for a in self._running if a.node is not None and not self._cluster.lives(a.node)]:
            self._cluster.cancel(attempt.stream)  # its process may be frozen, and then nobody else says that it is lost
            self._mourn(attempt, Lost("its node died"))
        if self._cluster.capacity() or self._closed:
            self._roomless_since = None
            return
        self._roomless_since = self._roomless_since or self.now()
        if self.now() - self._roomless_since > self.patience and (self._running or self._waiting):
            self._give_up(ClusterLost(f"no node is left that fits a trial. {self._cluster.described()}"))

    def _kill_at(self, attempt: _Attempt) -> float:
        times = [attempt.kill_at]
        if self.deadline is not None:
            times.append(self.deadline + self.grace)
        if attempt.started_at is not None and self.trial_seconds is not None:
            times.append(attempt.started_at + self.trial_seconds + self.grace)
        return min(times)

    def _end(self, attempt: _Attempt, reason: Reason) -> None:
        """Ask an attempt to end; one that cannot be asked is killed."""
        attempt.ended_for, attempt.kill_at = reason, self.now() + self.grace
        try:
            if attempt.folder is None or self._lost:
                raise OSError
            (attempt.folder / STOP).touch()
        except OSError:
            self._kill(attempt, reason)

    def _kill(self, attempt: _Attempt, reason: Reason) -> None:
        if not self._lost:
            self._cluster.cancel(attempt.stream)
        self._running.remove(attempt)
        seconds = 0.0 if attempt.started_at is None else self.now() - attempt.started_at
        self._finish(attempt.trial, attempt.folder, Outcome({}, seconds, Failure(reason)))

    def _give_up(self, error: ClusterLost) -> NoReturn:
        self._lost = True
        go_on = f" Go on with: archsmith resume {self.folder}" if self.folder is not None else ""
        raise ClusterLost(
            f"The Ray cluster at {self._cluster.address} is lost: {error}. What has finished is saved, and what was "
            f"half-trained goes on from its checkpoints.{go_on}"
        ) from error

    def _finish(self, trial: Trial, own: Path | None, outcome: Outcome) -> None:
        if self.folder is not None:
            try:
                if own is not None:
                    (own / STOP).unlink(missing_ok=True)
                    publish(own, self.folder, trial.number)
                    clear_attempts(self.folder, trial.number)
            except OSError as error:
                failure = outcome.failure or Failure(Reason.raised, f"its folder cannot be moved: {error}")
                outcome = replace(outcome, failure=failure)
        self._done.append(finished(trial, outcome, self.folder))
