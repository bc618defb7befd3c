"""LaNAS: learn where the good part of the space is, part by part, and search there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from archsmith.errors import UsageError
from archsmith.space import Arch, Space, mutate, one_hot, sample
from archsmith.strategy.abilities import Abilities
from archsmith.strategy.registry import Named
from archsmith.strategy.untried import distinct
from archsmith.trial import Evaluate, Proposal, Trial

__all__ = ["NAMED", "LaNAS", "Part"]

_Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Part:
    """A part of the space: the trials in it, and the line that divides it into a better and a worse half.

    ``line`` are weights over the one-hot code and at last a constant: the better half is where they add up to more
    than 0. Empty where the part is not divided.
    """

    rows: npt.NDArray[np.int64]
    value: float
    line: _Array = field(default_factory=lambda: np.zeros(0))
    better: Part | None = None
    worse: Part | None = None


@dataclass
class LaNAS:
    """Divides the space by lines that tell good architectures from bad ones, and searches the parts by UCT.

    LaNAS (Wang et al., 2021). After ``initial`` random trials a tree is grown: in each part a linear regression of the
    results on the one-hot code divides it where the prediction is the part's mean, down to ``depth``. Then each
    proposal goes down the tree by ``mean score + 2 * exploration * sqrt(2 ln N / n)`` and draws an architecture from
    the part where it arrives. The tree is grown again whenever the trials have become a tenth more. Use it for large
    spaces and hundreds of trials; the authors took 100 to 200 initial trials, and an exploration of 0.1 of the best
    score: here scores are ranks from 0 to 1, so that it means the same for every loss.

    A quarter of the draws are random, the others mutations of what is known in the part, until one lies in it; after
    ``tries`` the one on the right side of most lines is taken. Trials that failed or broke a limit rank last.
    """

    space: Space
    initial: int = 40
    depth: int = 5
    exploration: float = 0.1
    least: int = 10
    tries: int = 25
    abilities: ClassVar[Abilities] = Abilities(many_objectives=False)
    _told: list[Trial] = field(default_factory=list, init=False, repr=False, compare=False)
    _codes: list[_Array] = field(default_factory=list, init=False, repr=False, compare=False)
    _tried: set[Arch] = field(default_factory=set, init=False, repr=False, compare=False)
    _tree: Part | None = field(default=None, init=False, repr=False, compare=False)
    _grown: int = field(default=0, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not (
            self.initial >= 1 and self.depth >= 1 and self.least >= 2 and self.tries >= 1 and self.exploration >= 0
        ):
            raise UsageError(
                f"LaNAS needs initial, depth and tries >= 1, least >= 2 and exploration >= 0, not initial="
                f"{self.initial}, depth={self.depth}, tries={self.tries}, least={self.least}, exploration="
                f"{self.exploration}."
            )

    def ask(self, n: int, rng: np.random.Generator, running: Sequence[Trial]) -> Sequence[Proposal]:
        """Return random architectures at first, then draws from the part that promises most."""
        taken = (self._tried, {t.arch for t in running})
        if self._tree is None:
            return [Evaluate(arch) for arch in distinct(n, self.space, rng, taken)]
        lines, part = self._descend(self._tree)
        inside = [self._told[i] for i in part.rows.tolist() if self._told[i].usable]
        return [
            Evaluate(a) for a in distinct(n, self.space, rng, taken, lambda: self._draw(rng, lines, inside, taken), 3)
        ]

    def tell(self, trial: Trial) -> None:
        """Take note of the result; grow the tree again when there are enough new ones."""
        if trial.arch in self._tried:
            return
        self._tried.add(trial.arch)
        self._told.append(trial)
        self._codes.append(np.append(one_hot(self.space, trial.arch), 1.0))
        due = self.initial if self._tree is None else self._grown + max(10, self._grown // 10)
        if len(self._told) >= due:
            self._grown = len(self._told)
            self._tree = _grow(
                np.array(self._codes), _scores(self._told), np.arange(self._grown), self.depth, self.least
            )

    def _descend(self, part: Part) -> tuple[list[tuple[_Array, bool]], Part]:
        """Return the part with the highest bound, level by level, and the lines that enclose it."""
        lines: list[tuple[_Array, bool]] = []
        while part.better is not None and part.worse is not None:
            total = math.log(len(part.rows))
            bounds = [
                p.value + 2 * self.exploration * math.sqrt(2 * total / len(p.rows)) for p in (part.better, part.worse)
            ]
            lines.append((part.line, bounds[0] >= bounds[1]))
            part = part.better if bounds[0] >= bounds[1] else part.worse
        return lines, part

    def _draw(
        self,
        rng: np.random.Generator,
        lines: list[tuple[_Array, bool]],
        inside: list[Trial],
        taken: Sequence[set[Arch]],
    ) -> Arch:
        """Return an untried architecture in the part that the lines enclose, or the one that is nearest to it."""
        best, most = sample(self.space, rng), -1
        weights = np.array([line for line, _ in lines]).reshape(len(lines), len(self._codes[0]))
        sides = np.array([side for _, side in lines], dtype=bool)
        for _ in range(self.tries):
            known = inside[int(rng.random() * len(inside))].arch if inside and rng.random() < 0.75 else None
            arch = sample(self.space, rng) if known is None else mutate(self.space, known, rng)
            if any(arch in part for part in taken):
                continue
            code = np.append(one_hot(self.space, arch), 1.0)
            inside_of = int(((weights @ code > 0) == sides).sum()) if lines else 0
            if inside_of > most:
                best, most = arch, inside_of
            if inside_of == len(lines):
                break
        return best


def _scores(trials: Sequence[Trial]) -> _Array:
    """Return the ranks [n] of the trials, 1 the best and 0 the worst; equal where the losses are."""
    losses = np.array([t.losses[0] if t.usable else math.inf for t in trials])
    values, places = np.unique(losses, return_inverse=True)
    return np.asarray(1.0 - places / max(len(values) - 1, 1), dtype=np.float64)


def _grow(codes: _Array, scores: _Array, rows: npt.NDArray[np.int64], depth: int, least: int) -> Part:
    """Return the tree over the trials ``rows``: ``codes`` [n, features + 1], ``scores`` [n], larger is better."""
    value = float(scores[rows].mean())
    x, y = codes[rows], scores[rows]
    if depth == 0 or len(rows) < 2 * least or np.ptp(y) == 0:
        return Part(rows, value)
    ridge = 1e-3 * len(rows) * np.eye(x.shape[1])
    line = np.linalg.solve(x.T @ x + ridge, x.T @ (y - value)).astype(np.float64)
    good = x @ line > 0
    if min(int(good.sum()), int((~good).sum())) < least:
        return Part(rows, value)
    halves = [_grow(codes, scores, rows[mask], depth - 1, least) for mask in (good, ~good)]
    return Part(rows, value, line, *halves)


NAMED = (Named("lanas", LaNAS),)
