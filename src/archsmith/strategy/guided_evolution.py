"""The default: evolution proposes, a Gaussian process ranks, and the posterior names the answer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from archsmith.errors import UsageError
from archsmith.predictors import Encoding, counted_options, decisions, joined
from archsmith.predictors.gaussian import Kernel, Posterior, Together, learned
from archsmith.space import Arch, Space
from archsmith.space.encode import Vector
from archsmith.strategy.candidates import Candidates
from archsmith.strategy.evidence import Evidence, expected_improvement, scheduled
from archsmith.strategy.registry import Named
from archsmith.strategy.untried import distinct
from archsmith.trial import Evaluate, Proposal, Trial, order

__all__ = ["NAMED", "GuidedEvolution"]

_LEARN = 250
_FULL = 20.0
_CLIMBERS = 5
_COMPARED = 60  # with what was chosen before and what is running taken into account


@dataclass
class GuidedEvolution:
    """Varies the best architectures and tries the variation from which a model expects most.

    The model is a Gaussian process with two views of an architecture, added: which answer each decision has, and how
    often each option is taken by choices that are alike (how many edges are convolutions). It learns from the results
    how much each decision matters and how noisy a measurement is. Losses enter by rank. ``candidates``, random ones and
    variations of the ``parents`` that the model thinks best, and then variations of the most promising of these, are
    compared by expected improvement over the best *expected* loss; several proposals at once take account of each other
    and of what is running.

    ``recommend`` names the trial with the best posterior mean: neighbours vouch for each other, and a lucky
    measurement does not win by itself. Several objectives are modelled one by one, and what is expected is a gain of
    hypervolume among the better half by the first of them. A trial that breaks a limit ranks behind every one that does
    not. Trials at several fidelities are modelled together, and predicted at the highest. No architecture is proposed
    twice. The kernel is learned anew when a share ``relearn`` more results are there; beyond 500 results the better and
    the later half of them are looked at.
    """

    space: Space
    initial: int = 10
    candidates: int = 300
    parents: int = 10
    relearn: float = 0.15
    _evidence: Evidence = field(default_factory=Evidence, init=False, repr=False, compare=False)
    _candidates: Candidates = field(init=False, repr=False, compare=False)
    _encoding: Encoding = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.initial < 1 or self.candidates < 1 or self.parents < 1 or self.relearn <= 0:
            raise UsageError(
                f"GuidedEvolution needs initial, candidates and parents of at least 1 and relearn > 0, not initial="
                f"{self.initial}, candidates={self.candidates}, parents={self.parents}, relearn={self.relearn}."
            )
        self._candidates = Candidates(self.space)
        self._encoding = joined(decisions(self.space), counted_options(self.space))

    def ask(self, n: int, rng: np.random.Generator, running: Sequence[Trial]) -> Sequence[Proposal]:
        """Return up to ``n`` architectures that were never tried: random ones at first, then the most promising."""
        told = self._evidence.measured
        first = min(n, max(0, self.initial - told - len(running))) if told else n
        taken = (self._evidence.tried, {t.arch for t in running})
        chosen = distinct(first, self.space, rng, taken)
        if len(chosen) == first < n:
            chosen += self._promising(n - first, rng, [*(t.arch for t in running), *chosen])
        if not chosen:
            chosen = distinct(n, self.space, rng, taken)  # what is left of a space that is nearly used up
        return [Evaluate(arch) for arch in chosen]

    def tell(self, trial: Trial) -> None:
        """Take note of the trial."""
        self._evidence.tell(trial)

    def recommend(self, trials: Sequence[Trial]) -> Trial | None:
        """Return the trial with the best posterior mean; of several objectives, the best of the front as measured."""
        usable = [t for t in order(trials) if t.usable]
        if not usable or len(usable[0].losses) > 1 or not self._evidence.measured:
            return usable[0] if usable else None
        (posterior,) = self._posteriors(len(self._evidence.trials))
        mean = posterior.mean(self._rows([t.arch for t in usable], max(map(_level, usable))))
        return usable[int(np.argmin(mean))]

    def _promising(self, n: int, rng: np.random.Generator, pending: list[Arch]) -> list[Arch]:
        """Return the candidates that are expected to gain most, each given that those before it will be known."""
        count = scheduled(len(self._evidence.trials), 0.01)
        posteriors = self._posteriors(count)
        key = (count, self._evidence.objectives)
        known = self._evidence.made("known", key, lambda: np.array([p.mean(p.rows) for p in posteriors]))
        best = [self._evidence.looked_at(count)[i] for i in _ranked(known)[: self.parents]]
        parents = [self._evidence.trials[i].arch for i in best]
        level = max(map(_level, self._evidence.trials))
        archs = self._climbed(parents, set(pending), posteriors, known, level, rng)
        rows = self._rows([*pending, *archs], level)
        together = [Together(p, rows) for p in posteriors]
        open_ = np.arange(len(rows)) >= len(pending)
        for place in range(len(pending)):
            for one in together:
                one.observe(place)
        chosen: list[Arch] = []
        while len(chosen) < min(n, len(archs)):
            mean, std = np.array([t.mean for t in together]), np.array([t.std for t in together])
            gains = expected_improvement(mean, std, known, rng)
            place = int(np.argmax(np.where(open_, gains, -1.0)))
            open_[place] = False
            chosen.append(archs[place - len(pending)])
            for one in together:
                one.observe(place)
        return chosen

    def _climbed(
        self,
        parents: list[Arch],
        pending: set[Arch],
        posteriors: list[Posterior],
        known: Vector,
        level: float,
        rng: np.random.Generator,
    ) -> list[Arch]:
        """Return candidates: half of them first, then in two rounds variations of those that would gain most."""
        taken, found = (self._evidence.tried, pending), dict[Arch, float]()
        for share, fresh in ((2, 0.5), (4, 0.0), (4, 0.0)):
            number = max(1, self.candidates // share)
            new = self._candidates.pool(parents, (*taken, found), rng, number, fresh)
            if not new:
                break
            expected = [p.mean_and_std(self._rows(new, level)) for p in posteriors]
            mean, std = (np.array([e[k] for e in expected]) for k in (0, 1))
            found |= dict(zip(new, expected_improvement(mean, std, known, rng).tolist(), strict=True))
            parents = sorted(found, key=lambda arch: -found[arch])[:_CLIMBERS]
        return sorted(found, key=lambda arch: -found[arch])[:_COMPARED]

    def _posteriors(self, count: int) -> list[Posterior]:
        """Return the model of each objective after the first ``count`` trials."""
        key = (count, self._evidence.objectives)
        return list(self._evidence.made("posteriors", key, lambda: self._conditioned(count)))

    def _conditioned(self, count: int) -> list[Posterior]:
        places = self._evidence.looked_at(count)
        rows = self._rows_of(places)
        scores = self._evidence.scores(count)[:, places]
        return [Posterior(k, rows, s) for k, s in zip(self._kernels(count), scores, strict=True)]

    def _kernels(self, count: int) -> list[Kernel]:
        """Return the kernel of each objective, learned from the first results up to the last time it was due."""
        due = scheduled(count, self.relearn)
        return list(self._evidence.made("kernels", (due, self._evidence.objectives), lambda: self._learned(due)))

    def _learned(self, count: int) -> list[Kernel]:
        groups, terms = self._encoding.groups, np.array(self._encoding.terms, dtype=np.int64)
        # What is spent on a trial is one more block, of the view that knows the decisions.
        groups, terms = np.append(groups, len(terms)), np.append(terms, 0)
        places = self._evidence.looked_at(count)[-_LEARN:]
        rows, scores = self._rows_of(places), self._evidence.scores(count)[:, places]
        return [learned(rows, s, groups, terms) for s in scores]

    def _rows_of(self, places: Sequence[int]) -> Vector:
        trials = [self._evidence.trials[i] for i in places]
        self._encoding.remembered([t.arch for t in trials])
        return self._rows([t.arch for t in trials], [_level(t) for t in trials])

    def _rows(self, archs: Sequence[Arch], levels: float | list[float]) -> Vector:
        """Return what the model sees: the encoding of each architecture, and the level that is spent on it."""
        return np.column_stack([self._encoding.rows(archs), np.broadcast_to(levels, len(archs))])


def _level(trial: Trial) -> float:
    """Return the logarithm of what is spent on a trial; full cost is far above anything that is named."""
    spent = math.prod(trial.proposal.fidelity.values())
    return math.log(spent) if trial.proposal.fidelity and spent > 0 else _FULL


def _ranked(values: Vector) -> list[int]:
    """Return the places of ``values``, ``[objectives, places]``, from best to worst; several are summed."""
    return [int(i) for i in np.argsort(values.sum(0), kind="stable")]


NAMED = (Named("archsmith", GuidedEvolution),)
