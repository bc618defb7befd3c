"""One search on a problem, as a study on a simulated clock, and what is kept of it."""

from __future__ import annotations

import contextlib
import math
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.synchronize import Event as Flag

import numpy as np
from numpy.typing import NDArray

from archsmith.bench.entry import Entry
from archsmith.bench.problem import Problem
from archsmith.execute import Simulated
from archsmith.execute.child import born
from archsmith.strategy import Strategy, recommended
from archsmith.study import Study
from archsmith.trial import Event, Trial, leaders, order

__all__ = ["Trajectory", "play", "players"]

_CHUNK = 5


@dataclass(frozen=True)
class Trajectory:
    """What one search did, trial by trial in the order in which they ended: those that were run to their end.

    ``row`` is the architecture's row in the table, ``level`` the place of its fidelity among the table's, ``ended`` the
    simulated seconds (of a table without costs, trials), ``losses`` [trials, objectives] what the strategy was told,
    and ``violation`` how far a limit was broken. ``answer`` is the row of the final answer, -1 without any.
    ``repeated`` counts the proposals of what had been measured, which cost nothing; ``own_seconds`` is the processor
    time of the whole search.
    """

    seed: int
    row: NDArray[np.int32]
    level: NDArray[np.int8]
    ended: NDArray[np.float64]
    losses: NDArray[np.float64]
    violation: NDArray[np.float64]
    answer: int
    repeated: int
    own_seconds: float

    def best(self) -> NDArray[np.int64]:
        """Return after each trial the place of the best so far, [trials], -1 before the first; one objective only."""
        best, found = -1, np.full(len(self.row), -1, dtype=np.int64)
        for i in range(len(self.row)):
            if self.violation[i] == 0 and (best < 0 or self._key(i) < self._key(best)):
                best = i
            found[i] = best
        return found

    def _key(self, i: int) -> tuple[int, float]:
        return -int(self.level[i]), float(self.losses[i, 0])


def play(problem: Problem, entry: Entry, seed: int, interrupted: Callable[[], bool] = bool) -> Trajectory:
    """Search once, until the cost is spent or ``interrupted()`` is true, and return what happened."""
    begin = time.process_time()
    strategy = entry.make(problem)
    ended: dict[int, float] = {}

    def note(event: Event) -> None:
        if event.kind == "finished" and event.trial is not None and event.data["state"] == "complete":
            ended[event.trial] = event.time

    executor = Simulated(problem.estimator().timed, problem.workers, seed=seed)
    with Study(
        problem.table.space,
        strategy,
        objectives=problem.objectives,
        limits=problem.limits,
        executor=executor,
        seed=seed,
        on_event=note,
        interrupted=interrupted,
    ) as study:
        study.run(trials=problem.trials, seconds=problem.seconds)
    trials = study.trials
    by_number = {t.number: t for t in trials}
    run = [by_number[number] for number in ended]
    answer = _answer(problem, strategy, trials)
    return Trajectory(
        seed=seed,
        row=np.array([problem.table.row(t.arch) for t in run], dtype=np.int32),
        level=np.array([problem.table.level(t.proposal.fidelity or problem.level) for t in run], dtype=np.int8),
        ended=np.array(list(ended.values()), dtype=np.float64),
        losses=np.array([t.losses for t in run], dtype=np.float64).reshape(len(run), len(problem.objectives)),
        violation=np.array([t.violation for t in run], dtype=np.float64),
        answer=-1 if answer is None else problem.table.row(answer.arch),
        repeated=sum(t.state == "cached" for t in trials),
        own_seconds=time.process_time() - begin,
    )


@contextlib.contextmanager
def players(problem: Problem, jobs: int = 1) -> Iterator[Callable[[Entry, Sequence[int]], Iterator[Trajectory]]]:
    """Give a function that searches with an entry once for each seed: an iterator of what happened, in their order.

    ``jobs`` processes do it, each of some seeds at a time, and begin when the function is called, so that who asks for
    several entries before the first result keeps all of them busy. They end with this context, or where it is
    interrupted after the trials that are under way. With one job each search happens here, when its turn comes.
    """
    if jobs <= 1:
        yield lambda entry, seeds: (play(problem, entry, seed) for seed in seeds)
        return
    context = get_context("spawn")
    over = context.Event()
    pool = ProcessPoolExecutor(jobs, context, _hold, (problem, over))

    def play_many(entry: Entry, seeds: Sequence[int]) -> Iterator[Trajectory]:
        size = min(_CHUNK, math.ceil(len(seeds) / jobs))
        chunks = [list(seeds[i : i + size]) for i in range(0, len(seeds), size)]
        with born(threads=1):  # here the processes are started
            parts = [pool.submit(_play_held, entry, chunk) for chunk in chunks]
        return (trajectory for part in parts for trajectory in part.result())

    try:
        yield play_many
    finally:
        over.set()  # what is under way where this is interrupted may take minutes, and nobody waits for it any more
        pool.shutdown(cancel_futures=True)


_HELD: list[tuple[Problem, Callable[[], bool]]] = []


def _hold(problem: Problem, over: Flag) -> None:
    _HELD[:] = [(problem, over.is_set)]
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # what Ctrl+C does is decided where it all began


def _play_held(entry: Entry, seeds: Iterable[int]) -> list[Trajectory]:
    problem, over = _HELD[0]
    return [play(problem, entry, seed, over) for seed in seeds]


def _answer(problem: Problem, strategy: Strategy, trials: Sequence[Trial]) -> Trial | None:
    if problem.answer == "recommended":
        return recommended(strategy, trials)
    ranked = order(leaders(trials))
    return ranked[0] if ranked else None
