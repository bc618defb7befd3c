"""What is known of a candidate before it is trained: its costs, and whether it can be trained in the time there is."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from scipy.optimize import nnls
from torch import nn

from archsmith.build.cost import Cost, meta_cost
from archsmith.build.latency import latency
from archsmith.build.module import build
from archsmith.errors import LimitError
from archsmith.estimate import Machine, Settings, step_seconds
from archsmith.space import Arch, Space, mutate, sample, settings, smallest, valid
from archsmith.task import Task
from archsmith.trial import Trial, known_violation, score

__all__ = [
    "PROBED",
    "PROBE_SECONDS",
    "Pace",
    "Probe",
    "Screen",
    "Tempo",
    "approach",
    "corrected",
    "listens",
    "measure_tempo",
    "nothing_fits",
    "probe",
    "shipped",
]

PROBE_SECONDS = 6.0
PROBED = 64
_HEARD = 16  # samples
_LATEST = 9  # trainings by which the tempo is corrected
_PATIENCE = 24  # mutations in a row that came no closer to the limits
_ENOUGH = 16  # feasible architectures found at random, after which it is known that they are not rare


def shipped(task: Task, network: nn.Module) -> nn.Module:
    """Return the network as it is shipped: from raw inputs to outputs, in evaluation mode."""
    parts = [task.preprocess, network]
    if not isinstance(task.postprocess, nn.Identity):
        parts.append(task.postprocess)
    return nn.Sequential(*parts).cpu().float().eval()


def listens(task: Task, space: Space, arch: Arch) -> bool:
    """Return whether what a network answers depends on its input at all: one whose edges are cut can learn nothing."""
    network = shipped(task, build(space, arch, seed=0))
    for layer in network.modules():  # untrained statistics would let the signal fade below the last digit
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            layer.train()
    with torch.no_grad():
        answers = network(task.train.x[:_HEARD])
    return bool((answers != answers[0]).any())


@dataclass(frozen=True)
class Tempo:
    """How long a training step takes on this machine, from a network's costs: non-negative least squares.

    ``coefficients`` belong to (1, multiply-adds, activation bytes) of one sample; ``steps`` is the number of steps in
    an epoch. Activation memory is a term of its own because depthwise convolutions do little arithmetic slowly.
    """

    coefficients: tuple[float, float, float]
    steps: int

    def epoch_seconds(self, cost: Cost) -> float:
        """Return the predicted seconds of one epoch."""
        constant, macs, memory = self.coefficients
        return self.steps * (constant + macs * cost.macs + memory * cost.activation_bytes)


@dataclass(frozen=True)
class Pace:
    """The predicted seconds of an epoch by architecture, on one machine; can be sent to worker processes."""

    space: Space
    input_shape: tuple[int, ...]
    tempo: Tempo

    def __call__(self, arch: Arch) -> float:
        """Return the seconds; raises ``SpaceError`` where the network cannot even be made."""
        return self.tempo.epoch_seconds(meta_cost(self.space, arch, self.input_shape))


def corrected(pace: Pace, trials: Sequence[Trial]) -> Tempo:
    """Return the tempo that trainings really had, by the median of the latest, where it is faster than predicted.

    What was measured while other programs had the processors is too slow. Trials run side by side are slower than one
    alone, so they never correct it the other way.
    """
    pairs = [(t.metrics["seconds_per_epoch"], pace(t.arch)) for t in trials if "seconds_per_epoch" in t.metrics]
    ratios = [seen / predicted for seen, predicted in pairs[-_LATEST:] if predicted > 0]
    factor = min(1.0, float(np.median(ratios))) if ratios else 1.0
    constant, macs, memory = pace.tempo.coefficients
    return replace(pace.tempo, coefficients=(factor * constant, factor * macs, factor * memory))


def measure_tempo(
    space: Space, task: Task, machine: Machine, rng: np.random.Generator, seconds: float, most: int = 6
) -> Tempo:
    """Time the training steps of a few random architectures and fit ``Tempo``; takes about ``seconds``."""
    until = time.monotonic() + seconds
    rows, times, batch = [], [], 1
    for _ in range(most):
        arch = sample(space, rng)
        recipe = Settings.from_values(settings(space, arch))
        cost = meta_cost(space, arch, task.spec.input_shape)
        rows.append((1.0, cost.macs, cost.activation_bytes))
        left = max(0.0, until - time.monotonic())
        times.append(step_seconds(build(space, arch, seed=0), task, recipe, machine, seconds=left))
        batch = recipe.batch_size
        if time.monotonic() > until:
            break
    matrix = np.array(rows)
    scale = matrix.max(axis=0)
    weights, _ = nnls(matrix / scale, np.array(times))
    constant, macs, memory = (float(v) for v in weights / scale)
    return Tempo((constant, macs, memory), max(1, task.spec.samples // batch))


@dataclass(frozen=True)
class Screen:
    """The metrics of a candidate that cost no training, by architecture; what the study asks before it submits.

    Costs come from the meta device. ``latency_ms`` is measured only where ``timed``, because it takes a fifth of a
    second, and only for what breaks no limit yet. ``epoch_seconds`` is ``Tempo``'s prediction.
    """

    space: Space
    task: Task
    limits: Mapping[str, float]
    tempo: Tempo | None = None
    timed: bool = False
    _latencies: dict[str, float] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __call__(self, arch: Arch) -> dict[str, float]:
        """Return the metrics; raises ``SpaceError`` where the network cannot even be made."""
        cost = meta_cost(self.space, arch, self.task.spec.input_shape)
        metrics = cost.as_metrics()
        if self.tempo is not None:
            metrics["epoch_seconds"] = self.tempo.epoch_seconds(cost)
        if self.timed and score(metrics, (), {k: v for k, v in self.limits.items() if k in metrics})[1] == 0:
            metrics["latency_ms"] = self._latency(arch)
        return metrics

    def _latency(self, arch: Arch) -> float:
        if arch.id not in self._latencies:
            network = shipped(self.task, build(self.space, arch, seed=0))
            self._latencies[arch.id] = latency(network, tuple(self.task.train.x.shape[1:])).median_ms
        return self._latencies[arch.id]


@dataclass(frozen=True)
class Probe:
    """How much of a space satisfies the limits: ``accepted`` of ``drawn`` random architectures.

    ``starts`` holds at least one that does, to begin the search with where they are rare.
    """

    drawn: int
    accepted: int
    starts: tuple[Arch, ...] = ()

    @property
    def rare(self) -> bool:
        """Whether a search that begins at random would look long for something feasible."""
        return self.accepted * 4 < self.drawn


def probe(space: Space, screen: Screen, limits: Mapping[str, float], rng: np.random.Generator, least: int = 4) -> Probe:
    """Look for architectures that satisfy the limits, before anything is trained.

    At least ``least`` random ones first; where none does, the least broken one, or the smallest of the space, is
    improved by mutation: for some seconds, and on a slow machine for as long as that still leads anywhere. Raises
    ``LimitError`` with the closest the space can get when nothing is found.
    """
    until = time.monotonic() + PROBE_SECONDS / 2
    seen: list[tuple[float, Arch, dict[str, float]]] = []
    accepted: list[Arch] = []
    while len(seen) < PROBED and len(accepted) < _ENOUGH and (time.monotonic() < until or len(seen) < least):
        seen.append(_judge(sample(space, rng), screen, limits))
        if seen[-1][0] == 0:
            accepted.append(seen[-1][1])
    if accepted:
        return Probe(len(seen), len(accepted), tuple(accepted[:4]))
    if valid(space, least_of_all := smallest(space)):
        seen.append(_judge(least_of_all, screen, limits))
    found, metrics = approach(space, screen, limits, [min(seen, key=lambda row: row[0])[1]], rng)
    if known_violation(metrics, limits) > 0:
        raise nothing_fits(metrics, limits)
    return Probe(len(seen), 0, (found,))


def approach(
    space: Space,
    screen: Screen,
    limits: Mapping[str, float],
    starts: Sequence[Arch],
    rng: np.random.Generator,
    wanted: Callable[[Arch], bool] = lambda arch: True,
) -> tuple[Arch, dict[str, float]]:
    """Return an architecture that satisfies the limits, or is as close as could be found, and its metrics.

    It is the best of ``starts``, or what mutation makes of it; nothing that is not ``wanted`` is taken on the way.
    """
    best = min((_judge(start, screen, limits) for start in starts), key=lambda row: row[0])
    until, idle = time.monotonic() + PROBE_SECONDS, 0
    while best[0] > 0 and (time.monotonic() < until or idle < _PATIENCE):
        candidate = _judge(mutate(space, best[1], rng, changes=int(rng.integers(1, 4))), screen, limits)
        closer = candidate[0] < best[0] and wanted(candidate[1])
        best, idle = (candidate, 0) if closer else (best, idle + 1)
    return best[1], best[2]


def _judge(arch: Arch, screen: Screen, limits: Mapping[str, float]) -> tuple[float, Arch, dict[str, float]]:
    metrics = screen(arch)
    # A latency that was not measured because another limit is broken already must not hide how far that one is.
    known = {k: v for k, v in limits.items() if k in metrics}
    return score(metrics, (), known)[1], arch, metrics


def nothing_fits(metrics: Mapping[str, float], limits: Mapping[str, float]) -> LimitError:
    """Return the error that says how close to the limits the closest came."""
    broken = {k: v for k, v in limits.items() if k in metrics and not metrics[k] <= v}
    parts = [f"{k} = {_number(metrics[k])} (limit {_number(v)})" for k, v in broken.items()]
    return LimitError(
        f"No architecture of this space satisfies the limits. The closest found has {', '.join(parts)}. "
        "Loosen the limit, or choose a smaller space with --space."
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 or value == int(value) else f"{value:.4g}"
