"""From an elastic network and a limit to a smaller network: train the bank, search on it, fine-tune."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from archsmith.build import build, latency, meta_cost
from archsmith.elasticity.derive import Elastic
from archsmith.errors import BudgetError, LimitError, UsageError, nearest
from archsmith.estimate import Machine, Settings, SharedEstimator, evaluate, sandwich, train, train_bank
from archsmith.space import Arch, smallest
from archsmith.strategy import RegularizedEvolution
from archsmith.study import Study
from archsmith.task import Task, main_objective
from archsmith.trial import score

__all__ = ["Shrunk", "shrink"]

_COSTS = ("params", "macs", "activation_bytes", "latency_ms")
# Of the time: for the bank, and for the search. The rest is for fine-tuning, which gains the most by it.
_BANK, _SEARCH = 0.15, 0.1
_GENTLE = Settings(lr=0.05)


@dataclass(frozen=True)
class Shrunk:
    """A smaller network: a plain module with weights, in evaluation mode, on the CPU.

    ``before`` and ``after`` are the costs and the validation metrics of the network as it was given and of this one.
    """

    network: nn.Module
    arch: Arch
    before: Mapping[str, float]
    after: Mapping[str, float]

    def __str__(self) -> str:
        rows = [f"{'':20} {'before':>14} {'after':>14}"]
        return "\n".join([*rows, *(f"{k:20} {self.before[k]:>14,.6g} {v:>14,.6g}" for k, v in self.after.items())])


def shrink(
    given: Elastic,
    task: Task,
    limits: Mapping[str, float],
    *,
    seconds: float | None = None,
    epochs: float | None = None,
    trials: int | None = None,
    settings: Settings = _GENTLE,
    machine: Machine | None = None,
    seed: int = 0,
) -> Shrunk:
    """Return the best smaller network within the limits: upper bounds on params, macs, activation_bytes, latency_ms.

    Three steps share the ``seconds``. The bank is trained by the sandwich rule: the full network learns the targets,
    smaller ones learn what it answers. Evolution looks for the architecture that does best on the bank's weights within
    the limits. Its network is taken out and fine-tuned. With ``epochs`` in place of seconds the bank and the network
    are trained so long each, and ``trials`` architectures are looked at (50 unless given), and the result is a function
    of the arguments, if no limit is measured. The bank of ``given`` is trained in place.

    ``settings`` are for both trainings; their learning rate should be that of a fine-tuning where the network came with
    weights. Latency is of one sample on one thread of this machine. Raises ``LimitError`` where even the smallest
    network is beyond a limit.
    """
    if (seconds is None) == (epochs is None):
        raise BudgetError("Say how long to train: either seconds=600 for all of it, or epochs=3.")
    for name in limits:
        if name not in _COSTS:
            raise UsageError(f"There is no limit on {name!r}. {nearest(name, _COSTS)}")
    machine = machine or Machine()
    costs = _Costs(given, task, limits)
    least = costs(smallest(given.space))
    if score(least, (), dict(limits))[1] > 0:
        found = ", ".join(f"{name} = {least[name]:,.4g} (limit {bound:,.4g})" for name, bound in limits.items())
        raise LimitError(f"Even the smallest network of this space is beyond the limits: {found}. Allow more to vary.")
    original = given.bank.extract(given.arch)
    before = {**costs.all(given.arch), **evaluate(original, task, task.valid, machine)}
    train_bank(
        given.bank,
        task,
        settings,
        machine=machine,
        seed=seed,
        sampler=sandwich,
        distil=settings.mixup == 0,
        epochs=epochs,
        seconds=None if seconds is None else _BANK * seconds,
    )
    arch = _found(given, task, limits, costs, machine, seed, trials, None if seconds is None else _SEARCH * seconds)
    network = given.bank.extract(arch)
    left = None if seconds is None else (1 - _BANK - _SEARCH) * seconds
    trained = train(network, task, settings, machine=machine, seed=seed, epochs=epochs, seconds=left)
    after = {**costs.all(arch), **evaluate(trained.network, task, task.valid, machine)}
    return Shrunk(trained.network, arch, before, after)


@dataclass
class _Costs:
    """What an architecture costs: the latency only where it is limited and nothing else is broken."""

    given: Elastic
    task: Task
    limits: Mapping[str, float]

    def __call__(self, arch: Arch) -> dict[str, float]:
        found = meta_cost(self.given.space, arch, self.task.spec.input_shape).as_metrics()
        known = {name: bound for name, bound in self.limits.items() if name in found}
        if "latency_ms" in self.limits and score(found, (), known)[1] == 0:
            found["latency_ms"] = self._latency(arch)
        return found

    def all(self, arch: Arch) -> dict[str, float]:
        """Return the costs, latency included."""
        return {**meta_cost(self.given.space, arch, self.task.spec.input_shape).as_metrics()} | {
            "latency_ms": self._latency(arch)
        }

    def _latency(self, arch: Arch) -> float:
        return latency(build(self.given.space, arch, seed=0), self.task.spec.input_shape).median_ms


def _found(
    given: Elastic,
    task: Task,
    limits: Mapping[str, float],
    costs: _Costs,
    machine: Machine,
    seed: int,
    trials: int | None,
    seconds: float | None,
) -> Arch:
    """Return the architecture that does best on the bank's weights within the limits."""
    study = Study(
        given.space,
        RegularizedEvolution(given.space, population=24, sample=8),
        SharedEstimator(task, given.bank, machine),
        objectives=[main_objective(task)],
        limits=limits,
        screen=costs,
        seed=seed,
    )
    try:
        best = study.run(trials=trials or (50 if seconds is None else None), seconds=seconds).best
    except LimitError:  # what fits is too rare to be found in the time, and the smallest is known to fit
        best = None
    return smallest(given.space) if best is None else best.arch
