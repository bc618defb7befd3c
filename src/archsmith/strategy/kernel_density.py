"""The model of BOHB: kernel densities of what is good and of what is bad."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.special import ndtr, ndtri

from archsmith.errors import UsageError
from archsmith.space import Answer, Arch, Decision, Space, valid, walk
from archsmith.space.encode import Vector
from archsmith.space.walk import remembered
from archsmith.strategy.registry import Named
from archsmith.strategy.untried import untried
from archsmith.trial import Evaluate, Proposal, Trial, order

__all__ = ["NAMED", "KernelDensity"]

_ABSENT = -1.0


@dataclass
class KernelDensity:
    """Draws near good architectures and takes the draw with the best odds of good against bad (Falkner et al., 2018).

    The results at one fidelity are split: the best ``share`` are good, the rest bad, and each side is at least one more
    than there are decisions; the highest fidelity that has enough for both is taken. Two multivariate kernel densities
    describe them: Gaussian for ranges, Aitchison and Aitken's for choices, bandwidths by the normal reference rule and
    at least ``min_bandwidth``. Of ``samples`` draws around good architectures the one with the greatest ratio of
    densities is proposed; with probability ``random_fraction`` a random one is. A draw takes a range's answer from a
    truncated normal distribution ``bandwidth_factor`` times as wide as the kernel, and keeps a choice's answer but for
    the probability of its bandwidth, as the authors' program does. An inactive decision is a category of its own.
    Several objectives, limits and failures: good is what ``archsmith.trial.order`` puts first.
    """

    space: Space
    share: float = 0.15
    samples: int = 64
    random_fraction: float = 1 / 3
    bandwidth_factor: float = 3.0
    min_bandwidth: float = 1e-3
    _levels: dict[float, list[Trial]] = field(default_factory=dict, init=False, repr=False, compare=False)
    _codes: dict[Arch, Vector] = field(default_factory=dict, init=False, repr=False, compare=False)
    _tried: set[Arch] = field(default_factory=set, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        shares = 0 < self.share < 1 and 0 <= self.random_fraction <= 1
        if not (shares and self.samples >= 1 and self.bandwidth_factor > 0 and self.min_bandwidth > 0):
            raise UsageError(
                "KernelDensity needs shares between 0 and 1, at least one sample and bandwidths above 0, not "
                f"share={self.share}, random_fraction={self.random_fraction}, samples={self.samples}, "
                f"bandwidth_factor={self.bandwidth_factor}, min_bandwidth={self.min_bandwidth}."
            )

    def ask(self, n: int, rng: np.random.Generator, running: Sequence[Trial]) -> Sequence[Proposal]:
        """Return up to ``n`` architectures that were never tried."""
        model = self._split()
        taken = self._tried | {t.arch for t in running}
        chosen: list[Arch] = []
        for _ in range(n):
            arch = None
            if model is not None and rng.random() >= self.random_fraction:
                arch = self._drawn(*model, rng, taken)
            if arch is None:
                arch = untried(self.space, rng, (taken,))
                if arch is None:
                    break
            chosen.append(arch)
            taken.add(arch)
        return [Evaluate(arch) for arch in chosen]

    def tell(self, trial: Trial) -> None:
        """Enter the trial among those of its fidelity; one that was stopped says nothing."""
        self._tried.add(trial.arch)
        if trial.state != "stopped":
            self._codes[trial.arch] = self._coded(trial.arch)
            spent = math.prod(trial.proposal.fidelity.values()) if trial.proposal.fidelity else math.inf
            self._levels.setdefault(spent, []).append(trial)

    def _split(self) -> tuple[list[Arch], list[Arch]] | None:
        """Return the good and the bad architectures of the highest fidelity with enough results, or None."""
        least = len(self.space.decisions) + 1
        for level in sorted(self._levels, reverse=True):
            trials = self._levels[level]
            good = max(least, int(self.share * len(trials) + 1e-9))
            bad = max(least, int((1 - self.share) * len(trials) + 1e-9))
            if len(trials) >= good + least and any(t.usable for t in trials):
                ranked = [t.arch for t in order(trials)]
                return ranked[:good], ranked[good : good + bad]
        return None

    def _drawn(self, good: list[Arch], bad: list[Arch], rng: np.random.Generator, taken: set[Arch]) -> Arch | None:
        decisions = list(self.space.decisions.values())
        codes = [np.stack([self._codes[arch] for arch in side]) for side in (good, bad)]
        widths = [self._bandwidths(decisions, side) for side in codes]
        steps = dict(zip(self.space.decisions, widths[0].tolist(), strict=True))
        drawn: dict[Arch, None] = {}
        for _ in range(self.samples):
            arch = self._near(good[int(rng.integers(len(good)))], steps, rng)
            if arch not in taken and valid(self.space, arch):
                drawn[arch] = None
        if not drawn:
            return None
        archs = list(drawn)
        rows = np.stack([self._coded(arch) for arch in archs])
        odds = [_log_density(decisions, rows, side, w) for side, w in zip(codes, widths, strict=True)]
        return archs[int(np.argmax(odds[0] - odds[1]))]

    def _coded(self, arch: Arch) -> Vector:
        return np.array([_code(decision, arch) for decision in self.space.decisions.values()])

    def _near(self, arch: Arch, steps: dict[str, float], rng: np.random.Generator) -> Arch:
        def decide(decision: Decision) -> Answer:
            width = steps[decision.key]
            if decision.key not in arch:
                return decision.sample(rng)
            if decision.kind in ("integer", "real"):
                return decision.at(_truncated(decision.unit(arch[decision.key]), width * self.bandwidth_factor, rng))
            return decision.sample(rng) if rng.random() < width else remembered(decision, arch, rng)

        return walk(self.space, decide)

    def _bandwidths(self, decisions: list[Decision], codes: Vector) -> Vector:
        widths = 1.06 * codes.std(0) * len(codes) ** (-1.0 / (4 + len(decisions)))
        most = [1.0 if d.kind in ("integer", "real") else (d.size - 1) / d.size for d in decisions]
        return np.asarray(np.clip(widths, self.min_bandwidth, np.array(most)))


def _truncated(mean: float, deviation: float, rng: np.random.Generator) -> float:
    """Return a number from a normal distribution between 0 and 1, where its mean is, without those beyond."""
    below, above = float(ndtr(-mean / deviation)), float(ndtr((1.0 - mean) / deviation))
    drawn = mean + deviation * float(ndtri(below + (above - below) * float(rng.random())))
    return min(max(drawn, 0.0), 1.0)  # only what is lost by rounding


def _code(decision: Decision, arch: Arch) -> float:
    """Return an answer as a number: where it lies in a range, else its place among the answers; -1 where inactive."""
    if decision.key not in arch:
        return _ABSENT
    answer = arch[decision.key]
    if decision.kind in ("integer", "real"):
        return decision.unit(answer)
    if decision.kind == "choice":
        return float(next(i for i, o in enumerate(decision.options) if type(o) is type(answer) and o == answer))
    assert isinstance(answer, tuple)
    return float(sum(2**i for i, o in enumerate(decision.options) if o in answer))


def _log_density(decisions: list[Decision], rows: Vector, known: Vector, widths: Vector) -> Vector:
    """Return the logarithm of the density of each row under kernels around the known ones, ``[len(rows)]``."""
    total = np.zeros((len(rows), len(known)))
    for column, decision in enumerate(decisions):
        a, b, width = rows[:, column, None], known[None, :, column], widths[column]
        if decision.kind in ("integer", "real"):
            both = (a != _ABSENT) & (b != _ABSENT)
            near = np.where(both, np.exp(-0.5 * ((a - b) / width) ** 2) / width, (a == b) * 1.0)
        else:
            near = np.where(a == b, 1 - width, width / max(decision.size - 1, 1))
        total += np.log(np.maximum(near, 1e-32))
    most = total.max(1, keepdims=True)
    return np.asarray(most[:, 0] + np.log(np.exp(total - most).mean(1)))


NAMED = (Named("kernel_density", KernelDensity),)
