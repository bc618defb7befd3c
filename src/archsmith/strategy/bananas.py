"""BANANAS: an ensemble of networks predicts, independent Thompson sampling chooses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import numpy as np

from archsmith.errors import UsageError, nearest
from archsmith.predictors import Ensemble, Fitted, cell_path_bits, decisions
from archsmith.space import Arch, Space
from archsmith.strategy.abilities import Abilities
from archsmith.strategy.candidates import Candidates
from archsmith.strategy.evidence import Evidence
from archsmith.strategy.registry import Named, require
from archsmith.trial import Proposal, Trial

__all__ = ["BANANAS", "NAMED"]


@dataclass
class BANANAS:
    """Bayesian optimisation with an ensemble of neural predictors (White, Neiswanger and Savani, 2021).

    After ``initial`` random architectures, five networks of ten layers of twenty units predict the losses, from the
    ``paths`` of cells or from the ``one_hot`` decisions. The ``candidates`` are mutations of the ten best, a tenth of
    which are crossed with one another first. Each draws one value from a normal distribution with the mean and
    deviation that the ensemble predicts for it, and the lowest values win: independent Thompson sampling. The ensemble
    is trained again when ``k`` more results, and a tenth more, are there; in between it proposes from the same
    predictions.

    Several objectives: an ensemble each, and one random weighting of the draws. Losses enter by rank, with trials that
    break a limit behind those that do not. ``recommend`` names the trial with the least expected loss.
    """

    space: Space
    encoding: Literal["paths", "one_hot"] = "one_hot"
    initial: int = 10
    k: int = 10
    candidates: int = 100
    members: int = 5
    steps: int = 750
    _predictor: Ensemble = field(init=False, repr=False, compare=False)
    _evidence: Evidence = field(default_factory=Evidence, init=False, repr=False, compare=False)
    _candidates: Candidates = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.encoding not in ("paths", "one_hot"):
            raise UsageError(
                f"BANANAS has no encoding {self.encoding!r}. {nearest(self.encoding, ('paths', 'one_hot'))}"
            )
        if min(self.initial, self.k, self.candidates, self.members, self.steps) < 1:
            raise UsageError(f"BANANAS needs counts of at least 1, not {self!r}.")
        require(self, self.space)
        encoding = cell_path_bits(self.space) if self.encoding == "paths" else decisions(self.space)
        self._predictor = Ensemble(encoding, members=self.members, steps=self.steps)
        self._candidates = Candidates(self.space)

    @property
    def abilities(self) -> Abilities:
        """Everything, except that there are paths in spaces with cells only."""
        return Abilities(cells=self.encoding == "paths")

    @property
    def called(self) -> str:
        """What a refusal calls it."""
        return f"BANANAS over {self.encoding!r}"

    def ask(self, n: int, rng: np.random.Generator, running: Sequence[Trial]) -> Sequence[Proposal]:
        """Return up to ``n`` architectures that were never tried: random ones at first, then Thompson samples."""

        def chosen(archs: list[Arch]) -> list[int]:
            expected = [f.predict(archs) for f in self._fitted()]
            draws = np.array([mean + std * rng.standard_normal(len(archs)) for mean, std in expected])
            # One objective has the weight 1; several are weighted anew for each proposal.
            found: dict[int, None] = {}
            while len(found) < min(n, len(archs)):
                weights = rng.dirichlet(np.ones(len(draws))) if len(draws) > 1 else np.ones(1)
                ranked = np.argsort(weights @ draws, kind="stable").tolist()
                found[next(i for i in ranked if i not in found)] = None
            return list(found)

        pool = (self.candidates, 0.0)
        return self._candidates.proposed(n, self._evidence, self.initial, running, rng, pool, chosen)

    def tell(self, trial: Trial) -> None:
        """Take note of the trial."""
        self._evidence.tell(trial)

    def recommend(self, trials: Sequence[Trial]) -> Trial | None:
        """Return the trial with the least expected loss; of several objectives, the best of the front as measured."""
        return self._evidence.recommended(trials, self._fitted)

    def _fitted(self) -> list[Fitted]:
        return self._evidence.fitted(self._predictor, 0.1, self.initial, self.k)


NAMED = (Named("bananas", BANANAS), Named("bananas_paths", partial(BANANAS, encoding="paths"), Abilities(cells=True)))
