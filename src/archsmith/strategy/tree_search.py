"""Monte-Carlo tree search over the decisions, in the order in which they are asked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from archsmith.errors import UsageError
from archsmith.space import Answer, Arch, Decision, Space, walk
from archsmith.strategy.abilities import Abilities
from archsmith.strategy.categories import BINS, Categories
from archsmith.strategy.policies import path_of
from archsmith.strategy.registry import Named
from archsmith.strategy.untried import distinct
from archsmith.trial import Evaluate, Proposal, Trial

__all__ = ["NAMED", "Node", "TreeSearch"]


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

    AlphaX (Wang et al., 2020) searched networks so. At a prefix of answers whose every continuation was tried, the one
    with the highest ``mean score + exploration * sqrt(2 ln N / n)`` is taken; at any other, one that was not tried, and
    from there on answers are random. Scores are in standard deviations of all results so far, so that ``exploration``
    means the same on every scale; 0 is greedy. Ranges are cut into ``bins`` parts. Use it where early decisions matter
    most, as in deeply conditional spaces: what is common to good architectures is found prefix by prefix.

    Trials that run count as tried with the mean score. What failed or broke a limit counts as the worst so far. No
    architecture is proposed twice: a branch in which everything was tried is closed.
    """

    space: Space
    exploration: float = 0.5
    bins: int = BINS
    abilities: ClassVar[Abilities] = Abilities(many_objectives=False)
    _root: Node = field(default_factory=Node, init=False, repr=False, compare=False)
    _categories: Categories = field(init=False, repr=False, compare=False)
    _tried: set[Arch] = field(default_factory=set, init=False, repr=False, compare=False)
    _scores: list[float] = field(default_factory=lambda: [0.0, 0.0, -math.inf], init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.exploration < 0:
            raise UsageError(f"TreeSearch needs exploration >= 0, not {self.exploration}.")
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
        nodes = [self._root]
        for _, group in path:
            nodes.append(nodes[-1].children.setdefault(group, Node()))
        if not repeated and math.isfinite(loss):
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


NAMED = (Named("mcts", TreeSearch),)
