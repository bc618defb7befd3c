"""Random search tries everything once."""

import numpy as np

from archsmith.space import Arch, Space, choice, enumerate_archs, real
from archsmith.strategy import RandomSearch
from archsmith.testing.spaces import EXAMPLES
from archsmith.testing.strategy import drive
from archsmith.trial import Proposal, State


def outcome(proposal: Proposal, rng: np.random.Generator) -> tuple[State, tuple[float, ...], float]:
    return "complete", (0.0,), 0.0


def test_nothing_is_proposed_twice() -> None:
    log = drive(RandomSearch(EXAMPLES["flat"]), 400, outcome, slots=5, batch=3)
    assert len({p.arch for p in log.proposals}) == len(log.proposals) == 400


def test_a_small_space_is_tried_to_the_last_architecture() -> None:
    for space in (EXAMPLES["tiny"], EXAMPLES["constrained"], EXAMPLES["one"], Space(x=choice(*range(200)))):
        everything = set(enumerate_archs(space))
        log = drive(RandomSearch(space, tries=3), 10_000, outcome, slots=3, batch=2)
        assert {p.arch for p in log.proposals} == everything
        assert len(log.proposals) == len(everything)


def test_a_large_space_ends_after_bounded_tries() -> None:
    def almost_always_zero(arch: Arch) -> bool:
        return float(arch["rate"]) >= 0.0  # type: ignore[arg-type]

    space = Space(almost_always_zero, x=choice(*range(5000)), rate=real(0.0, 1.0))
    strategy = RandomSearch(space, tries=1)
    assert len(strategy.ask(3, np.random.default_rng(0), ())) == 3

    single = Space(x=choice(*range(5000)))
    strategy = RandomSearch(single, tries=1)
    log = drive(strategy, 5000, outcome)
    assert 1 < len(log.proposals) < 5000, "a repeated draw ends it: no listing of a large space"


def test_draws_are_uniform_over_each_decision() -> None:
    proposals = RandomSearch(EXAMPLES["ranges"]).ask(400, np.random.default_rng(0), ())
    sizes = [float(p.arch["size"]) for p in proposals]  # type: ignore[arg-type]
    assert 0.4 < np.mean(np.array(sizes) < np.sqrt(1000)) < 0.6, "log ranges are uniform over the logarithm"
