"""NSGA-II: many objectives by non-dominated sorting and crowding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import numpy.typing as npt

from archsmith.errors import UsageError
from archsmith.space import Answer, Arch, Decision, Space, sample, walk
from archsmith.strategy.registry import Named
from archsmith.strategy.untried import distinct
from archsmith.trial import Evaluate, Proposal, Trial, crowding

__all__ = ["NAMED", "NSGA2", "nondominated_ranks", "rank_trials", "vary"]


@dataclass
class NSGA2:
    """Breeds the whole front at once: generations selected by front, then by crowding (Deb et al., 2002).

    The first ``population`` architectures are random. Then parents are drawn by binary tournaments, crossed over with
    probability ``crossover`` and mutated, each active decision with probability ``mutation`` (one over their number
    by default). When ``population`` children have results, the best half of parents and children together are the next
    parents: front by front, the less crowded first. What breaks a limit ranks behind what does not, the less broken
    first. Ranges are varied by simulated binary crossover and polynomial mutation with distribution index ``eta``; all
    other decisions uniformly, as NSGA-Net (Lu et al., 2019) does for networks.

    The authors' values: population 100, crossover 0.9, mutation 1/n, eta 20. Use it for two or three objectives; take
    a population of a tenth of the trials or less. No architecture is proposed twice.
    """

    space: Space
    population: int = 50
    crossover: float = 0.9
    mutation: float | None = None
    eta: float = 20.0
    _parents: list[Trial] = field(default_factory=list, init=False, repr=False, compare=False)
    _ranked: list[tuple[int, float]] = field(default_factory=list, init=False, repr=False, compare=False)
    _children: list[Trial] = field(default_factory=list, init=False, repr=False, compare=False)
    _tried: set[Arch] = field(default_factory=set, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.population < 2 or not 0 <= self.crossover <= 1 or not _chance(self.mutation) or self.eta < 0:
            raise UsageError(
                "NSGA2 needs population >= 2, crossover in 0..1, mutation above 0 and up to 1, and eta >= 0, not "
                f"population={self.population}, crossover={self.crossover}, mutation={self.mutation}, eta={self.eta}."
            )

    def ask(self, n: int, rng: np.random.Generator, running: Sequence[Trial]) -> Sequence[Proposal]:
        """Return random architectures until the first generation is full, then children; none that was tried."""
        missing = 0 if self._parents else self.population - len(self._children) - len(running)
        taken = (self._tried, {t.arch for t in running})
        fresh = distinct(min(n, max(missing, 0)), self.space, rng, taken)
        bred = distinct(n - len(fresh), self.space, rng, (*taken, set(fresh)), partial(self._child, rng))
        return [Evaluate(arch) for arch in (*fresh, *bred)]

    def tell(self, trial: Trial) -> None:
        """Let a trial that has a result, or a measured violation, into the generation; select when it is full."""
        self._tried.add(trial.arch)
        if trial.usable or trial.broken:
            self._children.append(trial)
        if len(self._children) < self.population:
            return
        everyone = [*self._parents, *self._children]
        ranked = rank_trials(everyone)
        chosen = sorted(range(len(everyone)), key=lambda i: (*ranked[i], everyone[i].number))[: self.population]
        self._parents = [everyone[i] for i in chosen]
        self._ranked = [ranked[i] for i in chosen]
        self._children.clear()

    def _child(self, rng: np.random.Generator) -> Arch:
        if not self._parents:  # the first generation is still running, or failed
            return sample(self.space, rng)
        mother, father = self._tournament(rng), self._tournament(rng)
        if rng.random() >= self.crossover:
            father = mother
        return vary(self.space, mother, father, rng, self.mutation, self.eta)

    def _tournament(self, rng: np.random.Generator) -> Arch:
        a, b = rng.integers(len(self._parents), size=2).tolist()
        winner: Trial = self._parents[a if self._ranked[a] <= self._ranked[b] else b]
        return winner.arch


def _chance(mutation: float | None) -> bool:
    return mutation is None or 0 < mutation <= 1


def nondominated_ranks(losses: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return the front [n] that each row of ``losses`` [n, objectives] belongs to, 0 the best: exact, by peeling."""
    below = np.asarray((losses[:, None] <= losses[None]).all(-1) & (losses[:, None] < losses[None]).any(-1))
    ranks, left, rank = np.full(len(losses), -1), below.sum(0), 0
    while (ranks < 0).any():
        front = (left == 0) & (ranks < 0)
        ranks[front] = rank
        left = left - below[front].sum(0)
        rank += 1
    return ranks


def rank_trials(trials: Sequence[Trial]) -> list[tuple[int, float]]:
    """Return what sorts trials by constrained domination, smallest first: the front, and minus the crowding.

    Trials that break a limit form fronts of their own behind all others, one for each violation; what has no result
    comes last.
    """
    usable = [i for i, t in enumerate(trials) if t.usable]
    found: list[tuple[int, float]] = [(len(trials) + 1, 0.0)] * len(trials)
    if usable:
        losses = np.array([trials[i].losses for i in usable])
        ranks = nondominated_ranks(losses)
        for i, rank, distance in zip(usable, ranks.tolist(), crowding(losses, ranks).tolist(), strict=True):
            found[i] = rank, -distance
    broken = {v: i for i, v in enumerate(sorted({t.violation for t in trials if t.broken}))}
    for i, t in enumerate(trials):
        if t.broken:
            found[i] = len(usable) + broken[t.violation], 0.0
    return found


def vary(
    space: Space, mother: Arch, father: Arch, rng: np.random.Generator, mutation: float | None = None, eta: float = 20.0
) -> Arch:
    """Return a child: crossed over uniformly, ranges by simulated binary crossover, then mutated decision by decision.

    Each decision that can vary mutates with probability ``mutation``, one over the mother's number of decisions by
    default; a range by polynomial mutation of its scale. The space's constraints are not looked at.
    """
    chance = 1 / max(len(mother), 1) if mutation is None else mutation

    def decide(decision: Decision) -> Answer:
        known = [p[decision.key] for p in (mother, father) if decision.key in p and decision.contains(p[decision.key])]
        if not known:
            return decision.sample(rng)
        mutates = rng.random() < chance
        if decision.options:
            answer = known[int(rng.random() * len(known))]
            return decision.sample_other(rng, answer) if mutates else answer
        first, second = decision.unit(known[0]), decision.unit(known[-1])
        unit = _binary_crossover(first, second, rng, eta)
        if not mutates and unit in (first, second):
            return known[0] if unit == first else known[-1]  # as it is: no rounding makes another one of it
        if mutates:
            unit = _polynomial(min(max(unit, 0.0), 1.0), rng, eta)
        answer = decision.at(min(max(unit, 0.0), 1.0))
        return decision.sample_other(rng, answer) if mutates and answer in known else answer

    return walk(space, decide)


def _binary_crossover(a: float, b: float, rng: np.random.Generator, eta: float) -> float:
    """Return one child of two numbers, spread as bit strings are by crossover (Deb and Agrawal, 1995)."""
    u, first = float(rng.random()), bool(rng.random() < 0.5)
    if a == b or rng.random() < 0.5:
        return a if first else b
    spread: float = (2 * u if u <= 0.5 else 1 / (2 * (1 - u))) ** (1 / (eta + 1))
    return 0.5 * ((1 + spread) * a + (1 - spread) * b) if first else 0.5 * ((1 - spread) * a + (1 + spread) * b)


def _polynomial(unit: float, rng: np.random.Generator, eta: float) -> float:
    """Return a number near ``unit`` in 0..1, never beyond (Deb and Goyal, 1996)."""
    u = float(rng.random())
    up = u >= 0.5
    share = (1 - u if up else u) * 2
    step: float = (share + (1 - share) * (unit if up else 1 - unit) ** (eta + 1)) ** (1 / (eta + 1))
    return unit + 1 - step if up else unit - 1 + step


NAMED = (Named("nsga2", NSGA2),)
