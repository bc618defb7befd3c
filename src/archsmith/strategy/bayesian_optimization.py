"""Bayesian optimisation: a model of the losses, and the candidate that is expected to improve most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from archsmith.errors import UsageError, nearest
from archsmith.predictors import Fitted, GaussianProcess, Predictor, WeisfeilerLehman, cell_path_bits, decisions
from archsmith.space import Arch, Space
from archsmith.strategy.abilities import Abilities
from archsmith.strategy.candidates import Candidates
from archsmith.strategy.evidence import Evidence, expected_improvement, scheduled
from archsmith.strategy.registry import Named, require
from archsmith.trial import Proposal, Trial

__all__ = ["NAMED", "BayesianOptimization", "predictor_named"]


def predictor_named(name: str, space: Space) -> Predictor:
    """Return a Gaussian process over ``decisions``, over the ``paths`` of cells, or over their ``subtrees``.

    Raises ``UsageError`` for another name, and ``SpaceError`` where the space has no cell that it needs.
    """
    if name == "decisions":
        return GaussianProcess(decisions(space))
    if name == "paths":
        return GaussianProcess(cell_path_bits(space))
    if name == "subtrees":
        return WeisfeilerLehman(space)
    allowed = ("decisions", "paths", "subtrees")
    raise UsageError(f"There is no model called {name!r}. {nearest(name, allowed)} Or give a predictor of your own.")


@dataclass
class BayesianOptimization:
    """Tries the candidate with the greatest expected improvement under a model (Snoek et al., 2012).

    ``model`` is any ``Predictor``, or the name of a Gaussian process: over the ``decisions`` one-hot, over the
    ``paths`` of cells, or over their ``subtrees`` with the Weisfeiler-Lehman kernel (NAS-BOWL; Ru et al., 2021). After
    ``initial`` random architectures the ``candidates`` are, half and half, variations of the ten best and random ones;
    several proposals at once are the best few of them. The model sees the losses by rank and is fitted again when a
    share ``refit`` more results are there. Several objectives: a model of each, and the expected gain of hypervolume
    among the better half by the first of them. A trial that breaks a limit ranks behind every one that does not.

    ``recommend`` names the trial with the best expected loss.
    """

    space: Space
    model: str | Predictor = "decisions"
    initial: int = 10
    candidates: int = 200
    refit: float = 0.03
    _predictor: Predictor = field(init=False, repr=False, compare=False)
    _evidence: Evidence = field(default_factory=Evidence, init=False, repr=False, compare=False)
    _candidates: Candidates = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.initial < 1 or self.candidates < 1 or self.refit <= 0:
            raise UsageError(
                f"BayesianOptimization needs initial >= 1, candidates >= 1 and refit > 0, not initial={self.initial}, "
                f"candidates={self.candidates}, refit={self.refit}."
            )
        require(self, self.space)
        model = self.model
        self._predictor = predictor_named(model, self.space) if isinstance(model, str) else model
        self._candidates = Candidates(self.space)

    @property
    def abilities(self) -> Abilities:
        """Everything, except that there are paths and subtrees in spaces with cells only."""
        return Abilities(cells=isinstance(self.model, str) and self.model in ("paths", "subtrees"))

    @property
    def called(self) -> str:
        """What a refusal calls it."""
        return f"BayesianOptimization over {self.model!r}"

    def ask(self, n: int, rng: np.random.Generator, running: Sequence[Trial]) -> Sequence[Proposal]:
        """Return up to ``n`` architectures that were never tried: random ones at first, then the most promising."""
        seen = self._evidence

        def chosen(archs: list[Arch]) -> list[int]:
            fitted = self._fitted()
            expected = [f.predict(archs) for f in fitted]
            count = scheduled(len(seen.trials), self.refit, self.initial)
            tried = [seen.trials[i].arch for i in seen.looked_at(count)]
            known = seen.made(
                "known", (count, seen.objectives), lambda: np.array([f.predict(tried)[0] for f in fitted])
            )
            mean, std = np.array([e[0] for e in expected]), np.array([e[1] for e in expected])
            gains = expected_improvement(mean, std, known, rng)
            return [int(i) for i in np.argsort(-gains, kind="stable")[:n]]

        return self._candidates.proposed(n, seen, self.initial, running, rng, (self.candidates, 0.5), chosen)

    def tell(self, trial: Trial) -> None:
        """Take note of the trial."""
        self._evidence.tell(trial)

    def recommend(self, trials: Sequence[Trial]) -> Trial | None:
        """Return the trial with the best expected loss; of several objectives, the best of the front as measured."""
        return self._evidence.recommended(trials, self._fitted)

    def _fitted(self) -> list[Fitted]:
        return self._evidence.fitted(self._predictor, self.refit, self.initial)


NAMED = (
    Named("gp", BayesianOptimization),
    Named("gp_paths", partial(BayesianOptimization, model="paths"), Abilities(cells=True)),
    Named("gp_subtrees", partial(BayesianOptimization, model="subtrees"), Abilities(cells=True)),
)
