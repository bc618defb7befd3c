"""What the loop and the store cost per trial as a study grows, and how busy a real one keeps its workers.

    python benchmarks/scale.py [TRIALS] [WORKERS]

First a simulated study (1,000 workers and 100,000 trials unless told otherwise): the milliseconds a trial costs, of the
loop with the strategy (processor time) and of the store (time, with what the disk takes), up to 1,000 trials, then up
to 10,000, then up to 100,000. Neither may grow. Then a real one: two worker processes and trials that take 50 ms, and
the share of the time that both are busy. With TRIALS 0 only that.
"""

from __future__ import annotations

import dataclasses
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from archsmith.execute import Processes, Simulated
from archsmith.space import Space, choice, integer, real
from archsmith.store import SQLiteStore, Store
from archsmith.strategy import RandomSearch, RegularizedEvolution, Strategy
from archsmith.study import Study
from archsmith.trial import Event

SPACE = Space(
    model=choice(*"abcdefgh", name="block"),
    depth=integer(1, 40, name="depth"),
    width=choice(*range(8, 264, 8), name="width"),
    lr=real(1e-5, 1e-1, log=True, name="lr"),
)
NAP_S = 0.05


@dataclass
class Timed:
    """A store that adds up the seconds spent in it, and those of the processor."""

    store: Store
    seconds: float = 0.0
    work: float = 0.0

    def append(self, study: str, event: Event) -> None:
        self.append_many(study, (event,))

    def append_many(self, study: str, events: Sequence[Event]) -> None:
        begin, work = time.perf_counter(), time.process_time()
        self.store.append_many(study, events)
        self.seconds += time.perf_counter() - begin
        self.work += time.process_time() - work

    def events(self, study: str, after: int = 0) -> Iterator[Event]:
        return self.store.events(study, after)

    def studies(self) -> tuple[str, ...]:
        return self.store.studies()

    def close(self) -> None:
        self.store.close()


def simulated(proposal, run):
    """A result at once, for trials of about an hour that end on whole seconds."""
    arch = proposal.arch
    rng = np.random.default_rng(run.seed)
    quality = 1 - abs(np.log10(arch["lr"]) + 2) / 5 - abs(arch["depth"] - 20) / 100 + 0.01 * rng.normal()
    return {"accuracy": float(quality)}, float(round(1800 + 3600 * rng.random()))


def nap(proposal, run):
    time.sleep(NAP_S)
    return {"accuracy": run.seed / 2**32}


@dataclass
class Watch:
    """Says at each mark what a trial has cost since the one before, by what has ended.

    It starts with the first result: the workers are given their first trials together, which costs less.
    """

    store: Timed
    marks: tuple[int, ...]
    ended: int = 0
    last: tuple[int, float, float, float] | None = None

    def __call__(self, event: Event) -> None:
        if event.kind != "finished":
            return
        if self.last is None:
            self.last = self.ended, time.process_time(), self.store.seconds, self.store.work
        self.ended += 1
        if self.ended in self.marks:
            before, cpu, seconds, work = self.last
            now, ran = time.process_time(), self.ended - before
            stored, worked = self.store.seconds - seconds, self.store.work - work
            print(
                f"  up to {self.ended:>9,} trials: loop and strategy {1000 * (now - cpu - worked) / ran:.3f}, store "
                f"{1000 * stored / ran:.3f} ({1000 * worked / ran:.3f} of the processor's)",
                flush=True,
            )
            self.last = self.ended, time.process_time(), self.store.seconds, self.store.work


def scale(name: str, strategy: Strategy, trials: int, workers: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        store = Timed(SQLiteStore(Path(folder) / "store.sqlite"))
        watch = Watch(store, tuple(n for n in (1_000, 10_000, 100_000, 1_000_000) if n <= trials))
        print(f"{name}, {workers:,} simulated workers: milliseconds per trial", flush=True)
        executor = Simulated(simulated, workers)
        study = Study(SPACE, strategy, executor=executor, store=store, seed=0, on_event=watch)
        study.run(trials=trials)
        store.close()
        days, states = executor.now() / 86400, Counter(t.state for t in study.trials)
        said = ", ".join(f"{n:,} {state}" for state, n in states.items())
        print(f"  {days:.1f} simulated days in {time.perf_counter() - begin:.0f} s: {said}")
        begin = time.perf_counter()
        store = Timed(SQLiteStore(Path(folder) / "store.sqlite"))
        Study(SPACE, dataclasses.replace(strategy), executor=Simulated(simulated, workers), store=store, seed=0)
        print(f"  opening it again: {time.perf_counter() - begin:.1f} s", flush=True)
        store.close()


def busy(trials: int = 400, slots: int = 2) -> None:
    with tempfile.TemporaryDirectory() as folder:
        executor = Processes(nap, folder, slots)
        executor.prepare()
        with Study(SPACE, RandomSearch(SPACE), executor=executor, folder=folder) as study:
            study.run(trials=2 * slots)  # until the workers are awake
            begin = time.perf_counter()
            study.run(trials=2 * slots + trials)
            spent = time.perf_counter() - begin
            worked = sum(t.seconds for t in study.trials[2 * slots :])
        executor.close()
    print(
        f"{slots} processes, {trials} trials of {1000 * NAP_S:.0f} ms: busy {worked / (slots * spent):.1%} of the time"
    )


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    workers = int(sys.argv[2]) if len(sys.argv) > 2 else 1_000
    if count:
        scale("regularized evolution", RegularizedEvolution(SPACE, population=100, sample=25), count, workers)
        scale("random search", RandomSearch(SPACE), count, workers)
    busy()
