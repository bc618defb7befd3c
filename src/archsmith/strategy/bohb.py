"""BOHB: HyperBand whose new architectures come from kernel densities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from archsmith.space import Space
from archsmith.strategy.abilities import Abilities
from archsmith.strategy.hyper_band import Brackets, hyper_band_brackets
from archsmith.strategy.kernel_density import KernelDensity
from archsmith.strategy.registry import Named
from archsmith.trial import Proposal, Trial

__all__ = ["BOHB", "NAMED"]


@dataclass
class BOHB:
    """Robust and efficient search at scale (Falkner, Klein and Hutter, 2018): see ``HyperBand`` and ``KernelDensity``.

    Unlike a strategy inside ``HyperBand``, the model is told the results of every rung, not only of the highest that an
    architecture reached.
    """

    abilities = Abilities(fidelities=True)

    space: Space
    fidelity: str = "epochs"
    minimum: float = 1
    maximum: float = 9
    eta: float = 3
    share: float = 0.15
    samples: int = 64
    random_fraction: float = 1 / 3
    bandwidth_factor: float = 3.0
    min_bandwidth: float = 1e-3
    rungs: tuple[float, ...] = ()
    _model: KernelDensity = field(init=False, repr=False, compare=False)
    _brackets: Brackets = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        settings = (self.share, self.samples, self.random_fraction, self.bandwidth_factor, self.min_bandwidth)
        self._model = KernelDensity(self.space, *settings)
        self._brackets = hyper_band_brackets(self.fidelity, self.minimum, self.maximum, self.eta, self.rungs)

    def ask(self, n: int, rng: np.random.Generator, running: Sequence[Trial]) -> Sequence[Proposal]:
        """Return what the open rung still needs; nothing while its last trials run."""
        return self._brackets.ask(n, rng, running, self._model)

    def tell(self, trial: Trial) -> None:
        """Enter the trial in the open rung, and in the model."""
        self._brackets.tell(trial)
        self._model.tell(trial)


NAMED = (Named("bohb", BOHB),)
