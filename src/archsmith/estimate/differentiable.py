"""The one loop of all differentiable methods: weights and gates in turn, each on its half of the training split."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from archsmith.build.bank import Bank
from archsmith.build.relax import Gates, relax
from archsmith.estimate.bilevel import hypergradient
from archsmith.estimate.feed import make_feed
from archsmith.estimate.machine import Machine, place_network, using_threads
from archsmith.estimate.optimizer import follow, make_optimizer, set_rate
from archsmith.estimate.rng import borrowed_generators
from archsmith.estimate.schedule import cosine
from archsmith.estimate.settings import Settings
from archsmith.estimate.step import apply_gradients, make_loss
from archsmith.space import Answer
from archsmith.task import Task

__all__ = ["Derived", "search_gates"]

_Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Derived:
    """What a differentiable search ended with: the answers of the largest logits, and how it came to them.

    ``curve`` has a row for each epoch: ``epoch``, the mean ``train_loss``, and the ``entropy`` of the gates.
    """

    answers: Mapping[str, Answer]
    curve: tuple[Mapping[str, float], ...]


def search_gates(
    bank: Bank,
    gates: Gates,
    task: Task,
    settings: Settings,
    *,
    machine: Machine,
    seed: int,
    epochs: int,
    base: Mapping[str, Answer] | None = None,
    penalty: Callable[[Mapping[str, Tensor]], Tensor] | None = None,
    second_order: bool = False,
    gate_rate: float = 3e-4,
    gate_decay: float = 1e-3,
) -> Derived:
    """Train the bank's relaxed network and its gates in turn, and return what the gates prefer (Liu et al., 2019).

    One half of the training split is for the weights, by ``settings``; the other for the gates, by Adam at
    ``gate_rate``, with the gradient after one more step of the weights where ``second_order``. ``penalty`` is added to
    the gates' loss; it is given their weights, so an expected cost can be limited. ``base`` answers what is not
    relaxed. Raises ``SpaceError`` where the space cannot be relaxed; see ``relax``.
    """
    with using_threads(machine.threads), borrowed_generators(machine.device, seed):
        place_network(bank, machine).train()
        relaxed = relax(bank, gates, base)
        feed = make_feed(task, settings, machine, 1.0, None)
        generator = torch.Generator(machine.device).manual_seed(seed)
        optimizer = make_optimizer(bank, settings)
        follow(optimizer, bank.parameters())
        gate_optimizer = torch.optim.Adam(gates.parameters(), gate_rate, betas=(0.5, 0.999), weight_decay=gate_decay)
        compute = make_loss(relaxed, task, settings, machine, generator)
        weights = [p for p in bank.parameters() if p.requires_grad]
        halves = feed.order(0, seed).tensor_split(2)
        batch = min(feed.batch, len(halves[1]))
        steps = len(halves[1]) // batch

        def gate_step(own: _Batch, other: _Batch, rate: float) -> None:
            def goal() -> Tensor:
                return compute(*other) + (0.0 if penalty is None else penalty(gates.weights))

            if second_order:
                slopes = hypergradient(lambda: compute(*own), goal, weights, gates.parameters(), rate)
                for logits, slope in zip(gates.parameters(), slopes, strict=True):
                    logits.grad = slope
            else:
                goal().backward()  # type: ignore[no-untyped-call]
            gate_optimizer.step()
            optimizer.zero_grad()

        def weight_step(own: _Batch) -> Tensor:
            value = compute(*own)
            value.backward()  # type: ignore[no-untyped-call]
            apply_gradients(weights, settings, optimizer)
            gate_optimizer.zero_grad()
            return value.detach()

        curve = []
        for epoch in range(epochs):
            orders = [half[_shuffled(len(half), seed, epoch, half.device)] for half in halves]
            total = torch.zeros((), device=machine.device)
            for step in range(steps):
                progress = (epoch * steps + step) / (epochs * steps)
                own, other = (feed.take(o[step * batch : (step + 1) * batch], generator) for o in orders)
                rate = settings.peak_lr * cosine(progress, 1.0)
                set_rate(optimizer, rate)
                gates.draw(progress)
                gate_step(own, other, rate)
                gates.draw(progress)
                total += weight_step(own)
            curve.append({"epoch": epoch + 1.0, "train_loss": float(total) / steps, "entropy": gates.entropy()})
        return Derived(gates.derive(), tuple(curve))


def _shuffled(count: int, seed: int, epoch: int, device: torch.device) -> Tensor:
    generator = torch.Generator().manual_seed((seed * 1_000_003 + epoch) % (1 << 63))
    return torch.randperm(count, generator=generator).to(device)
