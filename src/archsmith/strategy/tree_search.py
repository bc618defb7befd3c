"""Monte-Carlo tree search over the decisions, in the order in which they are asked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar, Literal

import numpy as np

from archsmith.errors import UsageError, nearest
from archsmith.predictors import Ensemble, Fitted, Predictor, decisions
from archsmith.space import Answer, Arch, Decision, Space, walk
from archsmith.strategy.abilities import Abilities
from archsmith.strategy.categories import BINS, Categories
from archsmith.strategy.evidence import scheduled
from archsmith.strategy.policies import Path, path_of
from archsmith.strategy.registry import Named
from archsmith.strategy.untried import distinct
from archsmith.trial import Evaluate, Proposal, Trial

__all__ = ["NAMED", "Node", "TreeSearch"]

_LEAST = 10  # new results for which a network is trained again


@dataclass
class Node:
    """A prefix of answers: how often it was tried, the sum of the scores, and the prefixes one answer longer."""

    visits: int = 0
    score: float = 0.0
    closed: bool = False
    children: dict[int, Node] = field(default_factory=dict)


@dataclass
class TreeSearch:
    """Answers one decision after the other, each by what came of it before (UCT; Kocsis and Szepesvari, 2006).

    At a prefix of answers whose every continuation was tried, the one
    with the highest ``mean score + exploration * sqrt(2 ln N / n)`` is taken; at any other, one that was not tried, and
    from there on answers are random. Scores are in standard deviations of all results so far, so that ``exploration``
    means the same on every scale; 0 is greedy. Ranges are cut into ``bins`` parts. Use it where early decisions matter
    most, as in deeply conditional spaces: what is common to good architectures is found prefix by prefix.

    With a ``value`` it is AlphaX (Wang et al., 2020): a network, or any other ``Predictor``, learns the losses from all
    results, at first from ``initial`` of them, and again when a tenth more are there. The result that opens a new
    prefix then counts half; the other half is what the network expects, in the mean, of ``rollouts`` random
    completions of that prefix: a prefix is not judged by one completion alone. ``"ensemble"`` is five small networks
    over the decisions. The authors' one is a network of several stages, made for accuracies in their own space.

    Trials that run count as tried with the mean score. What failed or broke a limit counts as the worst so far. No
    architecture is proposed twice: a branch in which everything was tried is closed.
    """

    space: Space
    exploration: float = 0.5
    bins: int = BINS
    value: Literal["ensemble"] | Predictor | None = None
    initial: int = 20
    rollouts: int = 10
    abilities: ClassVar[Abilities] = Abilities(many_objectives=False)
    _root: Node = field(default_factory=Node, init=False, repr=False, compare=False)
    _categories: Categories = field(init=False, repr=False, compare=False)
    _tried: set[Arch] = field(default_factory=set, init=False, repr=False, compare=False)
    _results: list[tuple[Arch, float]] = field(default_factory=list, init=False, repr=False, compare=False)
    _predictor: Predictor | None = field(default=None, init=False, repr=False, compare=False)
    _fitted: tuple[int, Fitted] | None = field(default=None, init=False, repr=False, compare=False)
    _scores: list[float] = field(default_factory=lambda: [0.0, 0.0, -math.inf], init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.exploration < 0:
            raise UsageError(f"TreeSearch needs exploration >= 0, not {self.exploration}.")
        if min(self.bins, self.initial, self.rollouts) < 1:
            raise UsageError(
                f"TreeSearch needs bins, initial and rollouts >= 1, not bins={self.bins}, initial={self.initial}, "
                f"rollouts={self.rollouts}."
            )
        value = self.value
        if isinstance(value, str):
            if value != "ensemble":
                raise UsageError(
                    f"TreeSearch has no value network {value!r}. {nearest(value, ('ensemble',))} Or give a predictor."
                )
            value = Ensemble(decisions(self.space), depth=2, width=32, steps=300)
        self._predictor = value
        self._categories = Categories(self.bins)

    def ask(self, n: int, rng: np.random.Generator, running: Sequence[Trial]) -> Sequence[Proposal]:
        """Return up to ``n`` untried architectures, one descent of the tree each."""
        extra: dict[int, int] = {}
        for trial in running:
            self._visit(trial.arch, extra)
        found: list[Arch] = []
        taken = [self._tried, {t.arch for t in running}]
        for _ in range(n):
            new = distinct(1, self.space, rng, (*taken, set(found)), lambda: self._descend(rng, extra), tries=20)
            if not new:
                break
            found += new
            self._visit(new[0], extra)
        return [Evaluate(arch) for arch in found]

    def tell(self, trial: Trial) -> None:
        """Add the result to every prefix of the architecture."""
        if trial.usable:
            loss = trial.losses[0]
            self._scores[2] = max(self._scores[2], loss)
        else:
            loss = self._scores[2]
        repeated = trial.arch in self._tried
        self._tried.add(trial.arch)
        path = path_of(self.space, trial.arch, self._categories)
        nodes, known = [self._root], 0
        for place, (_, group) in enumerate(path):
            known = place + 1 if group in nodes[-1].children else known
            nodes.append(nodes[-1].children.setdefault(group, Node()))
        if not repeated and math.isfinite(loss):
            own = loss
            if self._predictor is not None:
                if known < len(path):
                    loss = self._averaged(loss, path[: known + 1], trial)
                self._results.append((trial.arch, own))
            self._scores[0] += loss
            self._scores[1] += loss**2
            for node in nodes:
                node.visits += 1
                node.score -= loss
        if all(split.single for split, _ in path):
            nodes[-1].closed = True
            for node, (split, _) in zip(nodes[-2::-1], reversed(path), strict=True):
                node.closed = len(node.children) == split.size and all(c.closed for c in node.children.values())
                if not node.closed:
                    break

    def _averaged(self, loss: float, prefix: Path, trial: Trial) -> float:
        """Return the mean of a loss and of what is expected of random completions of the prefix that it opens."""
        count = scheduled(len(self._results), 0.1, self.initial, _LEAST)
        if self._predictor is None or count < self.initial:
            return loss
        if self._fitted is None or self._fitted[0] != count:
            archs, losses = zip(*self._results[:count], strict=True)
            self._fitted = count, self._predictor.fit(archs, losses)
        # From the architecture, so that telling the same again completes the same.
        rng = np.random.default_rng(int(trial.arch.id[:15], 16))

        def completed() -> Arch:
            given = iter(prefix)

            def decide(decision: Decision) -> Answer:
                split, group = next(given, (None, 0))
                if split is None or split.decision.key != decision.key:
                    return decision.sample(rng)
                return split.answer(group, rng)

            return walk(self.space, decide)

        expected = self._fitted[1].predict([completed() for _ in range(self.rollouts)])[0]
        return 0.5 * (loss + float(np.mean(expected)))

    def _visit(self, arch: Arch, extra: dict[int, int]) -> None:
        """Count one more trial that has no result yet."""
        node: Node | None = self._root
        for _, group in path_of(self.space, arch, self._categories):
            if node is None:
                return
            extra[id(node)] = extra.get(id(node), 0) + 1
            node = node.children.get(group)
        if node is not None:
            extra[id(node)] = extra.get(id(node), 0) + 1

    def _descend(self, rng: np.random.Generator, extra: dict[int, int]) -> Arch:
        node: Node | None = self._root
        mean, deviation = self._scale()

        def decide(decision: Decision) -> Answer:
            nonlocal node
            split = self._categories(decision)
            if node is None:
                return split.answer(int(rng.random() * split.size), rng)
            here = node
            untried = [g for g in range(split.size) if g not in here.children]
            if untried:
                group = untried[int(rng.random() * len(untried))]
            else:
                total = math.log(max(here.visits + extra.get(id(here), 0), 1))
                open_ = [g for g, child in here.children.items() if not child.closed or here.closed]
                group = max(open_, key=lambda g: self._bound(here.children[g], total, extra, mean, deviation))
            node = here.children.get(group)
            return split.answer(group, rng)

        return walk(self.space, decide)

    def _bound(self, node: Node, total: float, extra: dict[int, int], mean: float, deviation: float) -> float:
        """Return the upper confidence bound of a child, in standard deviations above the mean of all."""
        if not node.visits:  # told of, with nothing to score: failures before the first result
            return 0.0
        visits = node.visits + extra.get(id(node), 0)
        value = (node.score / node.visits - mean) / deviation
        return value + self.exploration * math.sqrt(2 * total / visits)

    def _scale(self) -> tuple[float, float]:
        """Return the mean of all scores and their standard deviation, 1 where there is none."""
        n = self._root.visits
        if n < 2:
            return 0.0, 1.0
        mean = self._scores[0] / n
        variance = max(self._scores[1] / n - mean**2, 0.0)
        return -mean, math.sqrt(variance) or 1.0


NAMED = (
    Named("mcts", TreeSearch),
    Named("alphax", partial(TreeSearch, value="ensemble"), TreeSearch.abilities),
)
