"""Opening a study again is as if it had not stopped, wherever it stopped."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from archsmith.errors import SpaceError, StoreError
from archsmith.execute import Inline, Simulated
from archsmith.run import Run
from archsmith.space import Arch, Space, choice, real
from archsmith.store import MemoryStore, SQLiteStore
from archsmith.strategy import RandomSearch, RegularizedEvolution, Strategy, SuccessiveHalving
from archsmith.study import Study
from archsmith.testing.strategy import MakeStrategy
from archsmith.trial import Event, Proposal, Trial, read_trials

SPACE = Space(**{f"x{i}": choice(0, 1, 2, name=f"x{i}") for i in range(4)}, rate=real(0.0, 1.0, name="rate"))
STRATEGIES: dict[str, MakeStrategy] = {
    "random": RandomSearch,
    "evolution": lambda space: RegularizedEvolution(space, population=5, sample=3),
    "halving": lambda space: SuccessiveHalving(RegularizedEvolution(space, population=5, sample=3), eta=2),
}


def evaluate(proposal: Proposal, run: Run) -> dict[str, float]:
    """Fail now and then, by the trial's seed, so that a wrong seed or number shows."""
    if run.seed % 7 == 0:
        raise RuntimeError("unlucky")
    spent = proposal.fidelity.get("epochs", 1)
    return {"accuracy": float(proposal.arch["rate"]) - 0.1 / spent + (run.seed % 100) * 1e-6, "seconds": spent}


def screen(arch: Arch) -> dict[str, float]:
    return {"params": sum(int(arch[f"x{i}"]) for i in range(4))}


def key(arch: Arch) -> str:
    return f"{screen(arch)} {round(float(arch['rate']), 1)}"


class Crash(Exception):
    pass


class Failing:
    """A log that breaks at its k-th event, before or after it is written."""

    def __init__(self, inner: MemoryStore, events: int, written: bool) -> None:
        self.inner, self.left, self.written = inner, events, written

    def append(self, study: str, event: Event) -> None:
        self.append_many(study, [event])

    def append_many(self, study: str, events: Sequence[Event]) -> None:
        self.left -= len(events)
        if self.left < 0 and not self.written:
            raise Crash
        self.inner.append_many(study, events)
        if self.left < 0:
            raise Crash

    def events(self, study: str, after: int = 0) -> Iterator[Event]:
        return self.inner.events(study, after)

    def studies(self) -> tuple[str, ...]:
        return self.inner.studies()

    def close(self) -> None:
        self.inner.close()


def open_study(make: MakeStrategy, store: MemoryStore | Failing) -> Study:
    return Study(SPACE, make(SPACE), evaluate, limits={"params": 4}, screen=screen, key=key, store=store, seed=3)


def outcome(trials: list[Trial]) -> list[tuple[object, ...]]:
    return [(t.number, t.proposal, t.state, dict(t.metrics), t.losses, t.source_key, t.same_as) for t in trials]


@pytest.mark.parametrize("make", STRATEGIES.values(), ids=STRATEGIES.keys())
def test_a_crash_at_any_event_changes_nothing(make: MakeStrategy) -> None:
    whole = MemoryStore()
    undisturbed = open_study(make, whole).run(trials=12)
    events = len(list(whole.events("study")))
    states = {t.state for t in undisturbed.trials}
    assert {"complete", "infeasible", "cached", "failed"} <= states, "the search is too tame to show anything"
    for k in range(events):
        for written in (False, True):
            log = MemoryStore()
            with pytest.raises(Crash):
                open_study(make, Failing(log, k, written)).run(trials=12)
            resumed = open_study(make, log).run(trials=12)
            assert outcome(resumed.trials) == outcome(undisturbed.trials), (k, written)
            assert [(e.kind, e.trial) for e in log.events("study")] == [
                (e.kind, e.trial) for e in whole.events("study")
            ]


@pytest.mark.parametrize("make", STRATEGIES.values(), ids=STRATEGIES.keys())
def test_a_study_run_in_pieces_equals_one_run(make: MakeStrategy) -> None:
    whole = open_study(make, MemoryStore()).run(trials=20)
    log = MemoryStore()
    for trials in (1, 2, 7, 13, 20):
        pieces = open_study(make, log).run(trials=trials)
    assert outcome(pieces.trials) == outcome(whole.trials)
    assert pieces.best is not None and whole.best is not None and pieces.best.number == whole.best.number
    again = open_study(make, log)
    assert outcome(again.run(trials=20).trials) == outcome(whole.trials), "a finished run adds nothing"


def test_the_same_seed_gives_the_same_sequence_and_another_does_not() -> None:
    def archs(seed: int) -> list[Arch]:
        study = Study(SPACE, RandomSearch(SPACE), lambda p, run: {"accuracy": 0.5}, seed=seed).run(trials=8)
        return [t.arch for t in study.trials]

    assert archs(1) == archs(1) != archs(2)


def test_the_log_on_disk_is_continued(tmp_path: Path) -> None:
    def study() -> Study:
        return Study(SPACE, STRATEGIES["evolution"](SPACE), evaluate, folder=tmp_path, seed=3)

    with study() as first:
        first.run(trials=6)
    with study() as second:
        assert outcome(second.trials) == outcome(first.trials)
        second.run(trials=9)
    whole = Study(SPACE, STRATEGIES["evolution"](SPACE), evaluate, seed=3).run(trials=9)
    assert outcome(second.trials) == outcome(whole.trials)
    store = SQLiteStore(tmp_path / "store.sqlite")
    read = read_trials(store.events("study"), second.objectives)
    store.close()
    assert outcome(read) == outcome(second.trials), "a reader of the log sees other trials than the study"


def test_many_slots_resume_with_the_same_numbers() -> None:
    def study(log: MemoryStore) -> Study:
        strategy: Strategy = STRATEGIES["halving"](SPACE)
        return Study(SPACE, strategy, executor=Simulated(evaluate, slots=4, seed=3), store=log, seed=3)

    log = MemoryStore()
    first = study(log)
    finished = []

    def interrupt(event: Event) -> None:
        finished.append(event) if event.kind == "finished" else None
        if len(finished) == 9:
            first.stop()

    first.on_event = interrupt
    first.run(trials=30)
    running = [t for t in first.trials if t.state == "running"]
    assert running, "nothing was under way"
    second = study(log).run(trials=30)
    assert all(second.trials[t.number].proposal == t.proposal for t in running)
    assert all(t.state != "running" for t in second.trials)
    assert [t.number for t in second.trials] == list(range(len(second.trials)))
    assert sum(t.state in ("complete", "failed", "stopped") for t in second.trials) == 30


def test_a_search_that_has_no_time_left_ends_what_was_under_way() -> None:
    log = MemoryStore()

    def study() -> Study:
        executor = Simulated(evaluate, slots=4, seed=3)
        return Study(SPACE, STRATEGIES["evolution"](SPACE), executor=executor, store=log, seed=3)

    first = study()
    first.on_event = lambda event: first.stop() if event.trial == 7 else None
    under_way = [t.number for t in first.run(trials=30).trials if t.state == "running"]
    assert under_way
    second = study().run(seconds=0.0)
    assert [t.number for t in second.trials if t.reason.startswith("deadline")] == under_way
    assert all(t.state != "running" for t in second.trials)
    assert outcome(study().trials) == outcome(second.trials)


def test_another_space_or_seed_is_refused() -> None:
    log = MemoryStore()
    open_study(RandomSearch, log).run(trials=2)
    other = Space(**{f"x{i}": choice(0, 1, 2, name=f"x{i}") for i in range(3)}, rate=real(0.0, 2.0, name="rate"))
    with pytest.raises(SpaceError, match=r"x3 is gone; rate was real 0.0 to 1.0, is real 0.0 to 2.0"):
        Study(other, RandomSearch(other), evaluate, store=log, seed=3)
    with pytest.raises(StoreError, match="seed 3, not 4"):
        Study(SPACE, RandomSearch(SPACE), evaluate, store=log, seed=4)
    Study(other, RandomSearch(other), evaluate, store=log, seed=4, name="another")


def test_limits_may_change_between_runs() -> None:
    log = MemoryStore()
    open_study(RandomSearch, log).run(trials=30)
    tighter = Study(SPACE, RandomSearch(SPACE), evaluate, limits={"params": 2}, screen=screen, store=log, seed=3)
    assert tighter.best is not None and tighter.best.metrics["params"] <= 2
    assert all(t.metrics["params"] <= 2 for t in tighter.front)


def test_a_limit_that_nobody_asked_for_before_counts_as_far_as_it_was_measured() -> None:
    def timed(arch: Arch) -> dict[str, float]:
        return {**screen(arch), "latency": float(arch["x0"])}

    log = MemoryStore()
    first = open_study(STRATEGIES["halving"], log).run(trials=12)
    for trial in first.trials[::2]:
        log.append("study", Event("measured", trial.number, {"metrics": {"latency": float(trial.arch["x0"])}}))
    told: list[Trial] = []
    strategy: Any = STRATEGIES["halving"](SPACE)
    tell, strategy.tell = strategy.tell, lambda trial: (told.append(trial), tell(trial))
    second = Study(SPACE, strategy, evaluate, limits={"latency": 1}, screen=timed, key=key, store=log, seed=3)
    known = [t for t in told if t.number % 2 == 0 and t.state == "complete"]
    assert known and all((t.violation > 0) == (t.arch["x0"] == 2) for t in known)
    assert {t.number: t.violation for t in known}.items() <= {t.number: t.violation for t in second.trials}.items()
    assert all(t.number % 2 == 0 and t.arch["x0"] < 2 for t in second.front)
    second.run(trials=24)
    assert not any("no_metrics" in t.reason for t in second.trials)
    assert all("latency" in t.metrics for t in second.trials[len(first.trials) :])


def test_inline_folder_holds_every_trial(tmp_path: Path) -> None:
    study = Study(SPACE, RandomSearch(SPACE), evaluate, executor=Inline(evaluate, tmp_path, seed=3), seed=3)
    study.run(trials=3)
    assert sorted(p.name for p in (tmp_path / "trials").iterdir()) == ["0", "1", "2"]
