"""Local search climbs to the top and starts again; exhaustive enumeration sees everything once."""

import numpy as np
import pytest

from archsmith.errors import SpaceError, UsageError
from archsmith.space import Arch, Space, choice, enumerate_archs, neighbours
from archsmith.strategy.exhaustive import Exhaustive
from archsmith.strategy.local_search import LocalSearch
from archsmith.testing.spaces import EXAMPLES
from archsmith.testing.strategy import drive
from archsmith.trial import Evaluate, Proposal, State, Trial

SPACE = Space(**{f"x{i}": choice(*range(5), name=f"x{i}") for i in range(5)})


def distance(arch: Arch) -> float:
    return float(sum(abs(int(v) - 3) * (i + 1) for i, v in enumerate(arch.values())))  # type: ignore[arg-type]


def hill(proposal: Proposal, rng: np.random.Generator) -> tuple[State, tuple[float, ...], float]:
    return "complete", (distance(proposal.arch),), 0.0


@pytest.mark.parametrize("eager", [True, False])
def test_one_hill_is_climbed_to_its_top(eager: bool) -> None:
    told = drive(LocalSearch(SPACE, initial=2, eager=eager), 150, hill).told
    assert min(t.losses[0] for t in told) == 0


def test_every_neighbour_of_the_top_is_tried_before_the_next_climb() -> None:
    log = drive(LocalSearch(SPACE, initial=3), 200, hill)
    top = next(i for i, t in enumerate(log.told) if t.losses[0] == 0)
    around = set(neighbours(SPACE, log.told[top].arch))
    after = [t.arch for t in log.told[top + 1 :]]
    untried = around - {t.arch for t in log.told[:top]}
    assert set(after[: len(untried)]) == untried
    assert not set(after[len(untried) : len(untried) + 3]) & around, "then random ones"


def test_a_step_goes_to_a_better_neighbour_only() -> None:
    strategy = LocalSearch(SPACE, initial=1)
    start = Arch({f"x{i}": 0 for i in range(5)})
    strategy.tell(Trial(0, Evaluate(start), "complete", losses=(10.0,)))
    worse, better = list(neighbours(SPACE, start))[:2]
    strategy.tell(Trial(1, Evaluate(worse), "complete", losses=(11.0,)))
    proposals = strategy.ask(50, np.random.default_rng(0), ())
    assert {p.arch for p in proposals[:19]} == set(neighbours(SPACE, start)) - {worse}
    strategy.tell(Trial(2, Evaluate(better), "complete", losses=(9.0,)))
    proposals = strategy.ask(10, np.random.default_rng(0), ())
    assert {p.arch for p in proposals} <= set(neighbours(SPACE, better))


def test_running_neighbours_are_not_proposed_again() -> None:
    log = drive(LocalSearch(SPACE, initial=2), 300, hill, slots=6, batch=3)
    assert len({p.arch for p in log.proposals}) == len(log.proposals)


def test_everything_is_listed_once_in_order() -> None:
    for name in ("flat", "tiny", "one", "branches", "constrained"):
        space = EXAMPLES[name]
        everything = list(enumerate_archs(space))[:500]
        log = drive(Exhaustive(space), 500, lambda p, r: ("complete", (0.0,), 0.0))
        assert [p.arch for p in log.proposals] == everything


def test_side_by_side_nothing_is_left_out() -> None:
    space = Space(x=choice(*range(60)), y=choice(1, 2))
    log = drive(Exhaustive(space), 1000, hill_of_none, slots=7, batch=3)
    assert sorted(p.arch.id for p in log.proposals) == sorted(a.id for a in enumerate_archs(space))


def hill_of_none(proposal: Proposal, rng: np.random.Generator) -> tuple[State, tuple[float, ...], float]:
    return "failed", (float("inf"),), 0.0


def test_what_cannot_be_listed_is_refused() -> None:
    with pytest.raises(SpaceError, match=r"'rate' is a real range. These can: .*random"):
        Exhaustive(EXAMPLES["ranges"])
    with pytest.raises(UsageError, match="initial"):
        LocalSearch(SPACE, initial=0)
