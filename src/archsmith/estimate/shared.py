"""Shared weights as an estimator: training a bank, and measuring any architecture on it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from archsmith.build.bank import Bank
from archsmith.build.statistics import recalibrate
from archsmith.errors import UsageError
from archsmith.estimate.distributed import add_up, own_part, processes, rank
from archsmith.estimate.driven import Driven
from archsmith.estimate.evaluation import evaluate
from archsmith.estimate.feed import make_feed, network_input, on_device
from archsmith.estimate.machine import Machine, autocast
from archsmith.estimate.optimizer import follow
from archsmith.estimate.paths import Sampler, Score, uniform
from archsmith.estimate.settings import Settings
from archsmith.estimate.state import State, make_average
from archsmith.estimate.step import Step, apply_gradients, make_loss
from archsmith.estimate.training import Trained, train
from archsmith.run import Run
from archsmith.space import Arch, Space, sample
from archsmith.task import Task, inputs, main_objective, metrics
from archsmith.trial import Proposal

__all__ = ["SharedEstimator", "train_bank", "validation_score"]


@dataclass(frozen=True)
class SharedEstimator:
    """Measure the network of a proposal on borrowed weights, without training it: any strategy on shared weights.

    The running statistics are recalibrated for every network on the same ``samples`` training samples, so the metrics
    are a function of bank and architecture alone. They are there to compare architectures with, and say little about
    what a network of one's own would reach: train the best ones on their own. The fidelity of a proposal has no say.
    """

    task: Task
    bank: Bank
    machine: Machine
    samples: int = 1024

    def __call__(self, proposal: Proposal, run: Run) -> Mapping[str, float]:
        """Return the metrics on the validation split."""
        return self.score(proposal.arch)

    def check(self, space: Space, weights: str = "") -> None:
        """Raise ``SpaceError`` for a space whose networks the bank cannot lend, with the path in the expression."""
        self.bank.survey()

    def score(self, arch: Arch) -> dict[str, float]:
        """Return the metrics of one architecture's network on the validation split."""
        network = self.bank.eval().lend(arch)
        with autocast(self.machine):
            recalibrate(network, self._calibration)
        return evaluate(network, self.task, self.task.valid, self.machine)

    @cached_property
    def _calibration(self) -> list[Tensor]:
        """The batches that statistics are measured on: training samples without augmentation, always the same."""
        feed = make_feed(self.task, Settings(augment="none"), self.machine, 1.0, None)
        generator = torch.Generator(self.machine.device).manual_seed(0)
        # Whole batches only: a last one of a few samples would count as much as the others, and one has no variance.
        whole = max(1, min(self.samples, feed.steps * feed.batch) // feed.batch) * feed.batch
        return [feed.take(part, generator)[0] for part in torch.split(feed.order(0, 0)[:whole], feed.batch)]


def validation_score(bank: Bank, task: Task, machine: Machine, samples: int = 256) -> Score:
    """Return a score for samplers: an architecture's main metric on the bank, on so many drawn validation samples.

    Larger is better. Norms take the statistics of the samples, so that a score costs one forward pass and no more.
    """
    objective = main_objective(task)
    table = task.spec.kind == "table"
    preprocess = nn.Identity() if table else on_device(task.preprocess, machine)

    def score(arch: Arch, rng: np.random.Generator) -> float:
        drawn = torch.from_numpy(rng.permutation(len(task.valid))[:samples])
        x = task.valid.x[drawn]
        raw = (inputs(task, x) if table else x).to(machine.device)
        with torch.no_grad(), autocast(machine):
            outputs = _on_batch_statistics(bank.lend(arch).eval())(network_input(raw, preprocess, None, machine))
        return -objective.loss(metrics(task, outputs.float(), task.valid.y[drawn]))

    return score


def train_bank(
    bank: Bank,
    task: Task,
    settings: Settings,
    *,
    machine: Machine,
    seed: int,
    sampler: Sampler = uniform,
    distil: bool = False,
    epochs: float | None = None,
    seconds: float | None = None,
    checkpoint: Path | None = None,
    resume: Path | None = None,
    report: Callable[[Mapping[str, float]], None] | None = None,
    deadline: float | None = None,
    interrupted: Callable[[], bool] = bool,
) -> Trained:
    """Train the bank in place, each step on the architectures that ``sampler`` draws; see ``train`` for the rest.

    The gradients of a step's networks add up, as in FairNAS (Chu et al., 2021) and BigNAS (Yu et al., 2020): an option
    that one of them takes gets the gradient it would have alone, and what all share the sum. ``settings.clip`` bounds
    how far that goes. With ``distil`` the first network learns the targets and the others learn what it answers. The
    validation metrics are those of the architecture drawn last, with the statistics of each batch: they tell that
    something is learned, and no more. Training settings that are decisions of the space have no say: ``settings`` holds
    for all networks.

    In a group of ``torch.distributed`` every process takes its part of each batch, and all take the same paths and
    steps; such a training is one of ``epochs``, and the first process writes the checkpoint. Raises ``UsageError``.
    """
    if processes() > 1 and (epochs is None or deadline is not None):
        raise UsageError("Several processes can only train a bank together for so many epochs: clocks differ.")
    if settings.mixup > 0 and distil:
        raise UsageError("A bank learns from its largest network or from mixed samples, not both: set mixup to 0.")
    trainee = _Trainee(bank, sample(bank.space, np.random.default_rng(seed % (1 << 63))), sampler)
    return train(
        trainee,
        task,
        settings,
        machine=machine,
        seed=seed,
        epochs=epochs,
        seconds=seconds,
        checkpoint=checkpoint if rank() == 0 else None,
        resume=resume,
        report=report,
        deadline=deadline,
        interrupted=interrupted,
        make_step=partial(_shared_step, trainee, distil),
    )


class _Trainee(nn.Module):
    """A bank in the clothes of one network: that of the architecture set last."""

    def __init__(self, bank: Bank, arch: Arch, sampler: Sampler) -> None:
        super().__init__()
        self.bank, self.arch, self.sampler = bank, arch, sampler
        self.outputs = torch.zeros(0)
        bank.reserve(arch)  # an optimiser wants something to begin with

    def forward(self, x: Tensor) -> Tensor:
        """Return what the network computes, in evaluation mode with the statistics of the batch."""
        lent = self.bank.lend(self.arch)
        outputs: Tensor = _on_batch_statistics(lent)(x)
        self.outputs = outputs.detach()
        return outputs

    def get_extra_state(self) -> Tensor:
        """Return what the sampler has learned, so that a checkpoint holds it."""
        data = self.sampler.to_json() if isinstance(self.sampler, Driven) else None
        return torch.frombuffer(bytearray(json.dumps(data).encode()), dtype=torch.uint8)

    def set_extra_state(self, state: Tensor) -> None:
        """Teach the sampler what it had learned."""
        data = json.loads(state.cpu().numpy().tobytes())
        if isinstance(self.sampler, Driven) and data is not None:
            self.sampler.replay(data)


def _shared_step(
    trainee: _Trainee, distil: bool, state: State, task: Task, settings: Settings, machine: Machine
) -> Step:
    """Return the step on the sampler's architectures, one after the other, so that memory is one's.

    It returns their mean loss. What the sampler draws is a function of the training's seed and the step, so an
    interrupted training draws on where it stopped, and every process of a distributed one draws the same.
    """
    bank, compute = trainee.bank, make_loss(trainee, task, settings, machine, state.generator)
    growth = bank.growth
    follow(state.optimizer, bank.named_parameters())

    def step(x: Tensor, y: Tensor) -> Tensor:
        nonlocal growth
        rng = np.random.default_rng((state.seed % (1 << 63), state.step))
        archs = trainee.sampler(bank.space, rng, state.progress)
        x, y = own_part(x, y)
        total = torch.zeros((), device=x.device)
        teacher: Tensor | None = None
        for arch in archs:
            trainee.arch = arch
            if teacher is None:
                value = compute(x, y)
            else:
                with autocast(machine):
                    outputs = trainee(x)
                value = _agreement(task, outputs.float(), teacher)
            if distil and teacher is None:
                teacher = trainee.outputs.float()
            value.backward()  # type: ignore[no-untyped-call]
            total += value.detach() / len(archs)
        if bank.growth != growth:
            growth = bank.growth
            follow(state.optimizer, bank.named_parameters())
            state.average = make_average(trainee, settings, state.average)
        parameters = list(bank.parameters())
        total = add_up(total, parameters)
        apply_gradients(parameters, settings, state.optimizer)
        return total

    return step


def _on_batch_statistics(network: nn.Module) -> nn.Module:
    """Return the network with its norms in training mode: what they kept are other networks' statistics."""
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._NormBase):
            module.train()
    return network


def _agreement(task: Task, outputs: Tensor, teacher: Tensor) -> Tensor:
    """Return how far outputs ``[N, outputs]`` are from the teacher's, which gets no gradient."""
    if task.spec.goal == "classification":
        return functional.cross_entropy(outputs, teacher.softmax(-1))
    return functional.mse_loss(outputs, teacher)
