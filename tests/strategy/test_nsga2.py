"""NSGA-II sorts exactly, never loses ground, and keeps within limits."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archsmith.errors import UsageError
from archsmith.space import Arch, Space, check, choice, integer, real
from archsmith.strategy import RandomSearch, Strategy
from archsmith.strategy.nsga2 import NSGA2, nondominated_ranks, rank_trials, vary
from archsmith.testing.spaces import EXAMPLES
from archsmith.testing.strategy import drive
from archsmith.trial import Evaluate, Proposal, State, Trial, crowding, dominates, front

ZDT = Space(**{f"x{i}": real(0.0, 1.0, name=f"x{i}") for i in range(8)})


def zdt1(proposal: Proposal, rng: np.random.Generator) -> tuple[State, tuple[float, ...], float]:
    """ZDT1: the front is f2 = 1 - sqrt(f1), where all but the first decision are 0."""
    x = [float(v) for v in proposal.arch.values()]  # type: ignore[arg-type]
    g = 1 + 9 * sum(x[1:]) / (len(x) - 1)
    return "complete", (x[0], g * (1 - np.sqrt(x[0] / g))), 0.0


def hypervolume(points: list[tuple[float, ...]], reference: tuple[float, float] = (1.1, 7.0)) -> float:
    area, height = 0.0, reference[1]
    for a, b in sorted(p for p in points if p[0] < reference[0] and p[1] < reference[1]):
        if b < height:
            area += (reference[0] - a) * (height - b)
            height = b
    return area


losses_of_many = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 3)), min_size=1, max_size=25)


@settings(max_examples=80, deadline=None)
@given(losses_of_many)
def test_fronts_are_those_of_the_definition(rows: list[tuple[int, ...]]) -> None:
    ranks = nondominated_ranks(np.array(rows, dtype=float)).tolist()
    left, rank = set(range(len(rows))), 0
    while left:
        first = {i for i in left if not any(dominates(rows[j], rows[i]) for j in left)}
        assert first == {i for i, r in enumerate(ranks) if r == rank}
        left, rank = left - first, rank + 1


def test_crowding_is_that_of_the_paper() -> None:
    """By hand: five points of one front; the ends are infinite, the rest the normalised sides of their boxes."""
    rows = np.array([(0.0, 10.0), (1.0, 6.0), (2.0, 5.0), (5.0, 2.0), (10.0, 0.0)])
    found = crowding(rows, np.zeros(5, dtype=int))
    assert found[[0, 4]].tolist() == [np.inf, np.inf]
    assert found[1:4] == pytest.approx([2 / 10 + 5 / 10, 4 / 10 + 4 / 10, 8 / 10 + 5 / 10])


def test_limits_rank_by_how_far_they_are_broken() -> None:
    def trial(number: int, losses: tuple[float, float], violation: float = 0.0) -> Trial:
        return Trial(number, Evaluate(Arch({})), "complete", losses=losses, violation=violation)

    trials = [trial(0, (0, 0), 0.5), trial(1, (9, 9)), trial(2, (0, 0), 0.1), trial(3, (5, 9)), trial(4, (1, 1), 0.5)]
    ranked = [rank for rank, _ in rank_trials(trials)]
    assert ranked[3] < ranked[1] < ranked[2] < ranked[0] == ranked[4]


def test_the_front_of_the_parents_never_loses_ground() -> None:
    strategy = NSGA2(ZDT, population=20)
    found = []
    for _ in range(8):
        number = sum(map(len, found)) + len(found) * 1000
        for i in range(20):
            proposal = strategy.ask(1, np.random.default_rng([number, i]), ())[0]
            state, losses, _ = zdt1(proposal, np.random.default_rng(0))
            strategy.tell(Trial(number + i, proposal, state, losses=losses))
        found.append([t.losses for t in strategy._parents])
    volumes = [hypervolume(points) for points in found]
    assert all(a <= b for a, b in pairwise(volumes))
    assert volumes[-1] > volumes[0]


def volume(strategy: Strategy, seed: int) -> float:
    return hypervolume([t.losses for t in drive(strategy, 400, zdt1, slots=2, seed=seed).told])


def test_it_covers_more_of_zdt1_than_random_search() -> None:
    for seed in range(3):
        bred, drawn = volume(NSGA2(ZDT, population=20), seed), volume(RandomSearch(ZDT), seed)
        assert bred > drawn + 0.5


def test_the_exact_front_of_a_discrete_problem_is_found() -> None:
    space = Space(**{f"x{i}": choice(*range(4), name=f"x{i}") for i in range(6)})

    def cells(proposal: Proposal, rng: np.random.Generator) -> tuple[State, tuple[float, ...], float]:
        """Cost adds up, and quality has diminishing returns: the front has one point for each cost."""
        x = [int(v) for v in proposal.arch.values()]  # type: ignore[arg-type]
        return "complete", (float(sum(x)), -sum(np.sqrt(v) for v in x)), 0.0

    told = drive(NSGA2(space, population=30), 900, cells).told
    exact = {cost: -((6 - cost % 6) * np.sqrt(cost // 6) + cost % 6 * np.sqrt(cost // 6 + 1)) for cost in range(19)}
    found = {int(t.losses[0]): t.losses[1] for t in front(told)}
    assert len(found) >= 17
    assert sum(abs(found[cost] - exact[cost]) < 1e-9 for cost in found) >= 15


def test_hard_limits_are_met_in_the_end() -> None:
    def limited(proposal: Proposal, rng: np.random.Generator) -> tuple[State, tuple[float, ...], float]:
        state, losses, _ = zdt1(proposal, rng)
        return state, losses, max(0.0, 0.6 - losses[0])

    told = drive(NSGA2(ZDT, population=20), 300, limited).told
    assert np.mean([t.violation == 0 for t in told[-60:]]) > 0.8 > np.mean([t.violation == 0 for t in told[:20]])


@pytest.mark.parametrize("name", ["ranges", "conditional", "everything", "define_by_run"])
def test_children_are_of_the_space_and_stay_between_their_parents(name: str) -> None:
    space, rng = EXAMPLES[name], np.random.default_rng(0)
    archs = [p.arch for p in RandomSearch(space).ask(20, rng, ())]
    for _ in range(200):
        mother, father = (archs[int(i)] for i in rng.integers(len(archs), size=2))
        check(space, vary(space, mother, father, rng))
    assert all(vary(space, a, a, rng, mutation=1e-12) == a for a in archs), "unmutated twins are their parents"


def test_ranges_are_varied_near_their_parents() -> None:
    space, rng = Space(x=real(0.0, 1.0, name="x"), n=integer(0, 100, name="n")), np.random.default_rng(0)
    mother = Arch({"x": 0.5, "n": 50})
    children = [vary(space, mother, mother, rng, mutation=1.0) for _ in range(300)]
    assert np.mean([abs(float(c["x"]) - 0.5) < 0.1 for c in children]) > 0.8  # type: ignore[arg-type]
    assert all(c["n"] != 50 for c in children)


def test_nothing_is_proposed_twice() -> None:
    log = drive(
        NSGA2(EXAMPLES["flat"], population=10), 400, lambda p, r: ("complete", (0.0, 0.0), 0.0), slots=4, batch=3
    )
    assert len({p.arch for p in log.proposals}) == len(log.proposals) == 400


def test_senseless_arguments_are_refused() -> None:
    for senseless in ({"population": 1}, {"crossover": 1.5}, {"mutation": 2.0}, {"eta": -1.0}):
        with pytest.raises(UsageError, match=next(iter(senseless))):
            NSGA2(ZDT, **senseless)  # type: ignore[arg-type]
