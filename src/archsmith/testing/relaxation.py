"""The laws of relaxations, as functions of one: from logits to the weights of options."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from archsmith.build.relax import Relaxation

__all__ = [
    "RELAXATION_LAWS",
    "RelaxationLaw",
    "equal_generators_draw_equal_weights",
    "logits_learn_what_costs_least",
    "weights_are_shares",
    "what_is_not_run_weighs_nothing",
]

RelaxationLaw = Callable[[Relaxation], None]

_LOGITS = torch.tensor([0.5, -1.0, 0.0, 1.5])


def weights_are_shares(relaxation: Relaxation) -> None:
    """Weights are not negative and add up to one, whenever they are drawn, for any number of decisions at once."""
    for progress in (0.0, 0.5, 1.0):
        weights = _drawn(relaxation, _LOGITS.expand(50, -1), 0, progress)[0]
        assert weights.shape == (50, 4)
        assert (weights >= 0).all()
        torch.testing.assert_close(weights.sum(-1), torch.ones(50))


def equal_generators_draw_equal_weights(relaxation: Relaxation) -> None:
    """All randomness is the generator's."""
    before = torch.get_rng_state()
    first, second = (_drawn(relaxation, _LOGITS, 3, 0.3)[0] for _ in range(2))
    assert torch.equal(first, second) and torch.equal(torch.get_rng_state(), before)


def what_is_not_run_weighs_nothing(relaxation: Relaxation) -> None:
    """An option that is not run has the weight zero, and one at least is run."""
    for seed in range(20):
        weights, running = _drawn(relaxation, _LOGITS, seed, 0.5)
        assert running.any() and not weights[~running].any()


def logits_learn_what_costs_least(relaxation: Relaxation) -> None:
    """Descending the weighted cost of the options ends with the cheapest one in front (constant accuracy)."""
    logits = torch.zeros(4, requires_grad=True)
    costs, generator = torch.tensor([3.0, 1.0, 4.0, 2.0]), torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam([logits], 0.1)
    for step in range(200):
        drawn = relaxation(logits, generator, step / 200)
        weights = drawn[0] if isinstance(drawn, tuple) else drawn
        optimizer.zero_grad()
        (weights @ costs).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert int(logits.argmax()) == 1


def _drawn(relaxation: Relaxation, logits: Tensor, seed: int, progress: float) -> tuple[Tensor, Tensor]:
    drawn = relaxation(logits, torch.Generator().manual_seed(seed), progress)
    weights, running = drawn if isinstance(drawn, tuple) else (drawn, drawn != 0)
    return weights.detach(), running


RELAXATION_LAWS: Sequence[RelaxationLaw] = (
    weights_are_shares,
    equal_generators_draw_equal_weights,
    what_is_not_run_weighs_nothing,
    logits_learn_what_costs_least,
)
