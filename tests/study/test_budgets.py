"""How much is searched, and how a search is stopped."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from archsmith.errors import BudgetError
from archsmith.execute import Inline, Processes, Simulated
from archsmith.run import Run
from archsmith.space import Space, choice, real
from archsmith.store import MemoryStore
from archsmith.strategy import RandomSearch, RegularizedEvolution, SuccessiveHalving
from archsmith.study import Study
from archsmith.trial import Event, Proposal, Trial

SPACE = Space(rate=real(0.0, 1.0, name="rate"), cost=choice(1, 2, 5, name="cost"))


def timed(proposal: Proposal, run: Run) -> dict[str, float]:
    return {"accuracy": float(proposal.arch["rate"]), "seconds": float(proposal.arch["cost"])}  # type: ignore[arg-type]


def quick(proposal: Proposal, run: Run) -> dict[str, float]:
    return {"accuracy": float(proposal.arch["rate"])}  # type: ignore[arg-type]


def sleeps_until_its_deadline(proposal: Proposal, run: Run) -> dict[str, float]:
    assert run.deadline is not None and run.remaining() < 60
    return {"accuracy": 0.5, "left": run.remaining()}


def test_trials_are_counted_over_the_whole_life_of_a_study() -> None:
    study = Study(SPACE, RandomSearch(SPACE), quick)
    assert len(study.run(trials=5).trials) == 5
    assert len(study.run(trials=5).trials) == 5
    assert len(study.run(trials=8).trials) == 8
    assert study.ended == "8 trials were run"


def test_without_a_budget_nothing_starts() -> None:
    with pytest.raises(BudgetError, match=r"run\(trials=100\)"):
        Study(SPACE, RandomSearch(SPACE), quick).run()


def test_many_slots_run_exactly_as_many_trials() -> None:
    for slots in (1, 3, 16):
        study = Study(SPACE, RandomSearch(SPACE), executor=Simulated(timed, slots=slots)).run(trials=10)
        assert Counter(t.state for t in study.trials) == {"complete": 10}


def test_slots_are_kept_busy_and_never_overfull() -> None:
    executor = Simulated(timed, slots=4)
    load: list[int] = []
    study = Study(SPACE, RandomSearch(SPACE), executor=executor)
    study.on_event = lambda event: load.append(sum(t.state == "running" for t in study.trials))
    study.run(trials=50)
    assert max(load) == 4
    busy = sum(t.seconds for t in study.trials)
    assert executor.now() * 4 < busy + 4 * 5, "slots were left idle although there was more to do"


def test_seconds_are_the_executors_and_nothing_hopeless_is_started() -> None:
    executor = Simulated(timed, slots=3)
    study = Study(SPACE, RandomSearch(SPACE), executor=executor).run(seconds=50)
    assert executor.now() <= 50
    assert executor.deadline is None, "the executor's own deadline is put back"
    states = Counter(t.state for t in study.trials)
    assert set(states) <= {"complete", "stopped"} and states["stopped"] <= 3
    assert all("deadline" in t.reason for t in study.trials if t.state == "stopped")
    constant = Simulated(lambda p, run: ({"accuracy": 0.5}, 7.0), slots=1)
    study = Study(SPACE, RandomSearch(SPACE), executor=constant).run(seconds=50)
    assert Counter(t.state for t in study.trials) == {"complete": 7}
    assert study.ended == "the time left was shorter than any trial so far"


def test_a_second_budget_of_seconds_goes_on() -> None:
    executor = Simulated(lambda p, run: ({"accuracy": 0.5}, 10.0), slots=2)
    study = Study(SPACE, RandomSearch(SPACE), executor=executor)
    assert len(study.run(seconds=30).trials) == 6
    assert len(study.run(seconds=30).trials) == 12


def test_the_earlier_of_two_deadlines_counts() -> None:
    executor = Simulated(lambda p, run: ({"accuracy": 0.5}, 10.0), slots=1, deadline=25.0)
    study = Study(SPACE, RandomSearch(SPACE), executor=executor).run(seconds=100)
    assert len([t for t in study.trials if t.state == "complete"]) == 2
    assert executor.deadline == 25.0


def test_trials_are_told_their_deadline() -> None:
    study = Study(SPACE, RandomSearch(SPACE), sleeps_until_its_deadline).run(trials=1, seconds=30)
    assert 0 < study.trials[0].metrics["left"] < 30


def test_stopping_from_an_event_leaves_the_rest_to_the_next_run() -> None:
    study = Study(SPACE, RandomSearch(SPACE), executor=Simulated(timed, slots=4))
    finished: list[Event] = []

    def count(event: Event) -> None:
        if event.kind == "finished":
            finished.append(event)
            if len(finished) == 5:
                study.stop()

    study.on_event = count
    study.run(trials=20)
    assert study.ended == "stopped"
    assert Counter(t.state for t in study.trials)["running"] >= 1
    assert not any(t.state == "stopped" for t in study.trials)
    study.run(trials=20)
    assert Counter(t.state for t in study.trials) == {"complete": 20}


def test_an_interrupt_goes_through_and_nothing_is_lost() -> None:
    def interrupted(proposal: Proposal, run: Run) -> dict[str, float]:
        if run.trial == 3 and not seen:
            seen.append(run.trial)
            raise KeyboardInterrupt
        return quick(proposal, run)

    seen: list[int] = []
    log = MemoryStore()
    study = Study(SPACE, RandomSearch(SPACE), interrupted, store=log)
    with pytest.raises(KeyboardInterrupt):
        study.run(trials=6)
    assert [t.state for t in study.trials] == ["complete"] * 3 + ["running"]
    asked = study.trials[3].arch
    study.run(trials=6)
    assert [t.state for t in study.trials] == ["complete"] * 6 and study.trials[3].arch == asked


def test_processes_run_a_study_side_by_side(tmp_path: Path) -> None:
    executor = Processes(quick, tmp_path, slots=2)
    try:
        strategy = SuccessiveHalving(RegularizedEvolution(SPACE, population=4, sample=2))
        study = Study(SPACE, strategy, executor=executor, folder=tmp_path)
        with study:
            study.run(trials=12)
        assert Counter(t.state for t in study.trials)["complete"] == 12
        assert math.isfinite(study.trials[0].seconds)
    finally:
        executor.close()


def test_a_study_closes_only_what_it_made(tmp_path: Path) -> None:
    executor = Inline(quick)
    with Study(SPACE, RandomSearch(SPACE), executor=executor, folder=tmp_path) as study:
        study.run(trials=2)
    Study(SPACE, RandomSearch(SPACE), executor=executor).run(trials=2)
    with Study(SPACE, RandomSearch(SPACE), quick, folder=tmp_path) as again:  # the log was let go
        assert len(again.trials) == 2


def test_no_more_is_asked_than_the_budget_and_the_executor_hold() -> None:
    asked: list[tuple[int, Sequence[Trial]]] = []

    @dataclass
    class Generous(RandomSearch):
        """Proposes more than it is asked for."""

        def ask(self, n: int, rng: np.random.Generator, running: Sequence[Trial]) -> Sequence[Proposal]:
            asked.append((n, running))
            return super().ask(n + 5, rng, running)

    assert len(Study(SPACE, Generous(SPACE), executor=Simulated(timed, slots=2)).run(trials=3).trials) == 3
    asked.clear()
    executor = Simulated(lambda proposal, run: ({"accuracy": 0.5}, 100.0 if run.trial == 0 else 1.0), slots=4)
    study = Study(SPACE, Generous(SPACE), executor=executor, key=lambda arch: str(arch["cost"]), patience=30)
    study.run(seconds=1000)
    for n, running in asked:  # what waits for the result of a long trial is not followed by as much again
        waiting = len(running) - len({trial.source_key for trial in running})
        assert 0 < n <= 4 - waiting
