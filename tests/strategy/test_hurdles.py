"""Hurdles are the means of those before, and only what takes one goes on."""

import numpy as np
import pytest

from archsmith.errors import UsageError
from archsmith.space import Space, real
from archsmith.strategy import RandomSearch
from archsmith.strategy.hurdles import Hurdles
from archsmith.testing.strategy import drive
from archsmith.trial import Proposal, State

SPACE = Space(quality=real(0.0, 1.0, name="quality"))


def learning(proposal: Proposal, rng: np.random.Generator) -> tuple[State, tuple[float, ...], float]:
    """The loss falls with what is spent; which is better shows from the beginning, with noise."""
    epochs = proposal.fidelity["epochs"]
    return "complete", (1 - float(proposal.arch["quality"]) + 1 / epochs + 0.05 * float(rng.normal()),), 0.0  # type: ignore[arg-type]


def hurdles(**settings: float) -> Hurdles:
    return Hurdles(RandomSearch(SPACE), **settings)  # type: ignore[arg-type]


def test_nothing_goes_on_before_there_is_a_hurdle() -> None:
    log = drive(hurdles(models=10), 10, learning)
    assert all(p.fidelity == {"epochs": 1} and p.resume is None for p in log.proposals)


def test_hurdles_are_means_of_those_that_reached_the_level() -> None:
    strategy = hurdles(models=10)
    told = drive(strategy, 10, learning).told
    assert strategy.hurdles == (pytest.approx(np.mean([t.losses[0] for t in told])),)


@pytest.mark.parametrize("slots", [1, 5])
def test_only_what_takes_its_hurdle_goes_on_and_at_once(slots: int) -> None:
    strategy = hurdles(models=10, maximum=27)
    log = drive(strategy, 300, learning, slots=slots)
    ended = {t.number: t for t in log.told}
    resumed = [p for p in log.proposals if p.resume is not None]
    assert len({p.resume for p in resumed}) == len(resumed) > 20
    assert len(strategy.hurdles) == 3
    for p in resumed:
        level = strategy.levels.index(ended[p.resume].proposal.fidelity["epochs"])  # type: ignore[index]
        assert ended[p.resume].losses[0] < strategy.hurdles[level], "beat the hurdle"  # type: ignore[index]
        assert p.fidelity["epochs"] == strategy.levels[level + 1]
    assert {3, 9} <= {p.fidelity["epochs"] for p in resumed} <= {3, 9, 27}


def test_it_spends_less_than_full_trainings_and_most_on_the_good() -> None:
    log = drive(hurdles(models=20), 200, learning)
    new = [p for p in log.proposals if p.resume is None]
    spent = sum(p.fidelity["epochs"] * (1 if p.resume is None else 2 / 3) for p in log.proposals)
    assert spent < 9 * len(new)
    top = [float(t.arch["quality"]) for t in log.told if t.proposal.fidelity["epochs"] == 9]  # type: ignore[arg-type]
    assert np.mean(top) > 0.65


def test_senseless_arguments_are_refused() -> None:
    for senseless in ({"minimum": 0}, {"eta": 1}, {"models": 0}):
        with pytest.raises(UsageError, match=next(iter(senseless))):
            hurdles(**senseless)
