"""Regularized evolution does what its paper says, and pays."""

from collections.abc import Sequence

import numpy as np
import pytest

from archsmith.errors import UsageError
from archsmith.space import Arch, Space, choice
from archsmith.strategy import RandomSearch, RegularizedEvolution, Strategy
from archsmith.testing.strategy import drive
from archsmith.trial import Evaluate, Proposal, State, Trial

SPACE = Space(**{f"x{i}": choice(*range(5), name=f"x{i}") for i in range(8)})


def total(arch: Arch) -> int:
    return sum(int(v) for v in arch.values())  # type: ignore[arg-type]


def separable(proposal: Proposal, rng: np.random.Generator) -> tuple[State, tuple[float, ...], float]:
    """Score a cell whose edges add up, with noise, as in NAS-Bench-201."""
    weights = (1.0, 0.8, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)
    loss = sum(w * (int(proposal.arch[f"x{i}"]) - 3) ** 2 for i, w in enumerate(weights))  # type: ignore[arg-type]
    return "complete", (loss + 0.05 * float(rng.normal()),), 0.0


def regret(strategy: Strategy, seed: int) -> float:
    told = drive(strategy, 150, separable, slots=4, seed=seed).told
    best = min(told, key=lambda t: t.losses)
    return separable(best.proposal, np.random.default_rng(0))[1][0]


def test_it_beats_random_search_at_equal_cost() -> None:
    seeds = range(10)
    evolved = [regret(RegularizedEvolution(SPACE, population=20, sample=5), s) for s in seeds]
    drawn = [regret(RandomSearch(SPACE), s) for s in seeds]
    assert np.mean(evolved) < 0.5 * np.mean(drawn)
    assert np.mean([e < d for e, d in zip(evolved, drawn, strict=True)]) >= 0.9


def trials(archs: Sequence[Arch], losses: Sequence[float], first: int = 0) -> list[Trial]:
    pairs = zip(archs, losses, strict=True)
    return [Trial(first + i, Evaluate(a), "complete", losses=(loss,)) for i, (a, loss) in enumerate(pairs)]


def some(count: int, seed: int = 0) -> list[Arch]:
    return [p.arch for p in RandomSearch(SPACE).ask(count, np.random.default_rng(seed), ())]


def differences(a: Arch, b: Arch) -> int:
    return sum(a[key] != b[key] for key in a)


def parents(strategy: Strategy, candidates: Sequence[Arch], asks: int = 200) -> list[int]:
    """Return which candidate each proposal is one change away from; -1 for none."""
    children = [strategy.ask(1, np.random.default_rng(i), ())[0].arch for i in range(asks)]
    return [next((i for i, c in enumerate(candidates) if differences(child, c) == 1), -1) for child in children]


def test_the_first_are_random_and_running_ones_count() -> None:
    strategy = RegularizedEvolution(SPACE, population=10, sample=10)
    known = some(6)
    for trial in trials(known, range(6)):
        strategy.tell(trial)
    running = [Trial(100 + i, Evaluate(a)) for i, a in enumerate(some(3, seed=9))]
    batch = strategy.ask(3, np.random.default_rng(77), running)
    close = [min(differences(p.arch, a) for a in known) for p in batch]
    assert close[0] > 1 and close[1:] == [1, 1], "one more was missing: the first is random, the others are children"


def test_the_best_of_a_whole_sample_is_the_parent() -> None:
    known = some(5)
    strategy = RegularizedEvolution(SPACE, population=5, sample=60)
    for trial in trials(known, [3, 1, 0, 2, 4]):
        strategy.tell(trial)
    assert set(parents(strategy, known)) == {2}


def test_a_sample_of_one_is_uniform_over_the_population() -> None:
    known = some(4)
    strategy = RegularizedEvolution(SPACE, population=4, sample=1)
    for trial in trials(known, [0, 1, 2, 3]):
        strategy.tell(trial)
    counts = np.bincount(parents(strategy, known, 400), minlength=4)
    assert counts.min() > 60


def test_a_sample_is_drawn_with_replacement() -> None:
    known = some(2)
    strategy = RegularizedEvolution(SPACE, population=2, sample=2)
    for trial in trials(known, [0, 1]):
        strategy.tell(trial)
    share = float(np.mean(np.array(parents(strategy, known, 600)) == 1))
    assert 0.18 < share < 0.32, "the worse of two wins when it is drawn twice, one time in four"


def test_the_oldest_leaves_even_when_it_is_the_best() -> None:
    known = some(6)
    strategy = RegularizedEvolution(SPACE, population=5, sample=60)
    for trial in trials(known, [0, 3, 2, 4, 5, 9]):
        strategy.tell(trial)
    assert set(parents(strategy, known)) == {2}


def test_equals_are_parents_equally() -> None:
    known = some(3)
    strategy = RegularizedEvolution(SPACE, population=3, sample=3)
    for trial in trials(known, [1, 1, 1]):
        strategy.tell(trial)
    assert np.bincount(parents(strategy, known, 300), minlength=3).min() > 50


def test_what_breaks_a_limit_is_a_parent_only_among_its_like() -> None:
    known = some(4)
    feasible = Trial(0, Evaluate(known[0]), "complete", losses=(9.0,))
    broken = [
        Trial(1, Evaluate(known[1]), "complete", losses=(0.0,), violation=0.5),
        Trial(2, Evaluate(known[2]), "infeasible", losses=(float("inf"),), violation=0.1),
        Trial(3, Evaluate(known[3]), "infeasible", losses=(float("inf"),), violation=0.9),
    ]
    strategy = RegularizedEvolution(SPACE, population=4, sample=80)
    for trial in broken:
        strategy.tell(trial)
    strategy.tell(feasible)
    assert set(parents(strategy, known)) == {0}
    among = RegularizedEvolution(SPACE, population=3, sample=80)
    for trial in broken:
        among.tell(trial)
    assert set(parents(among, known)) == {2}, "the least broken"


def test_what_has_no_result_never_joins() -> None:
    known = some(6)
    strategy = RegularizedEvolution(SPACE, population=2, sample=40)
    for trial in trials(known[:2], [5, 4]):
        strategy.tell(trial)
    inf = float("inf")
    for number, (arch, state) in enumerate(
        zip(known[2:], ("failed", "stopped", "complete", "failed"), strict=True), 10
    ):
        strategy.tell(Trial(number, Evaluate(arch), state, losses=(inf,)))  # type: ignore[arg-type]
    assert set(parents(strategy, known)) == {1}


def test_crossing_over_mixes_two_parents() -> None:
    zeros, fours = (Arch({f"x{i}": v for i in range(8)}) for v in (0, 4))
    strategy = RegularizedEvolution(SPACE, population=2, sample=1, crossover=1.0)
    for trial in trials([zeros, fours], [1, 1]):
        strategy.tell(trial)
    children = [strategy.ask(1, np.random.default_rng(i), ())[0].arch for i in range(50)]
    mixed = [c for c in children if 2 <= sum(v == 0 for v in c.values()) <= 6]
    assert len(mixed) > 10
    assert all(sum(v not in (0, 4) for v in c.values()) <= 1 for c in children), "and one decision is mutated"


def test_senseless_arguments_are_refused() -> None:
    for senseless in ({"population": 0}, {"sample": 0}, {"crossover": 1.5}):
        with pytest.raises(UsageError, match=next(iter(senseless))):
            RegularizedEvolution(SPACE, **senseless)  # type: ignore[arg-type]
