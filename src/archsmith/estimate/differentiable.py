"""The one loop of all differentiable methods: weights and gates in turn, each on its half of the training split."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from archsmith.build.bank import Bank
from archsmith.build.relax import Gates, Gating, relax, require_mixable
from archsmith.errors import StoreError, UsageError
from archsmith.estimate.bilevel import hypergradient
from archsmith.estimate.feed import make_feed
from archsmith.estimate.gate_state import GateState
from archsmith.estimate.goals import Goal
from archsmith.estimate.guards import Guard, Watched
from archsmith.estimate.machine import Machine, place_network, using_threads
from archsmith.estimate.optimizer import follow, make_optimizer, push_of, set_rate
from archsmith.estimate.rng import borrowed_generators
from archsmith.estimate.schedule import cosine
from archsmith.estimate.settings import Settings
from archsmith.estimate.step import apply_gradients, make_loss
from archsmith.space import Answer
from archsmith.task import Task

__all__ = ["Derived", "search_gates"]

_Batch = tuple[Tensor, Tensor]
_SAVING_SHARE = 0.05  # of the time, what saving may take
_UNSAVED_SECONDS = 30.0  # an epoch may be long: what is lost when the process is killed must not be


@dataclass(frozen=True)
class Derived:
    """What a differentiable search ended with: the answers of the largest logits, and how it came to them.

    ``shares`` are how much each option of a decision weighs, see ``Gates.shares``. ``curve`` has a row for each epoch:
    ``epoch``, the mean ``train_loss``, the ``entropy`` of the gates, and what a guard measured. ``stopped`` says why a
    guard, or a loss that is not finite, ended it, else it is empty; ``seconds`` is the time of all calls.
    """

    answers: Mapping[str, Answer]
    shares: Mapping[str, tuple[float, ...]]
    curve: tuple[Mapping[str, float], ...]
    stopped: str = ""
    seconds: float = 0.0


def search_gates(
    bank: Bank,
    gates: Gating,
    task: Task,
    settings: Settings,
    *,
    machine: Machine,
    seed: int,
    epochs: int | None = None,
    seconds: float | None = None,
    base: Mapping[str, Answer] | None = None,
    goal: Goal | None = None,
    guard: Guard | None = None,
    second_order: bool = False,
    joint: bool = False,
    weights_first: float = 0.0,
    gate_rate: float = 3e-4,
    gate_decay: float = 1e-3,
    reading: Callable[[Bank, Any, Mapping[str, Answer] | None], nn.Module] = relax,
    checkpoint: Path | None = None,
    deadline: float | None = None,
    interrupted: Callable[[], bool] = bool,
) -> Derived:
    """Train the bank's relaxed network and its gates in turn, and return what the gates prefer (Liu et al., 2019).

    One half of the training split is for the weights, by ``settings``; the other for the gates, by Adam at
    ``gate_rate``, with the gradient after one more step of the weights where ``second_order``. Where ``joint`` both
    learn from the whole of it, by one gradient (SNAS, Xie et al., 2019). ``goal`` is what the gates minimise, the loss
    by default: it is given their weights, so that an expected cost can be weighed in or limited. ``guard`` ends the
    search before it collapses. The gates wait for the first ``weights_first`` of the epochs. ``base`` answers what is
    not relaxed. ``reading`` makes the network. Raises ``SpaceError`` where the space cannot be relaxed; see ``relax``.

    The budget is ``epochs``, or ``seconds`` of this call; what is annealed follows the clock then. ``deadline``, of
    ``time.monotonic``, ends it early. ``checkpoint`` is a folder for the state after each epoch, and now and then
    within a long one: a search that finds one there goes on from it, exactly so where its budget is in epochs. Once
    ``interrupted()`` is true it ends after the step under way, with its state saved. Raises ``UsageError`` unless
    exactly one budget is given.
    """
    if (epochs is None) == (seconds is None):
        raise UsageError(f"A search of gates needs either epochs or seconds; got epochs={epochs}, seconds={seconds}.")
    began = time.monotonic()
    with using_threads(machine.threads), borrowed_generators(machine.device, seed):
        place_network(bank, machine).train()
        network = reading(bank, gates, base)
        if isinstance(gates, Gates):
            require_mixable(bank.space, gates, task.spec.input_shape, base)
        feed = make_feed(task, settings, machine, 1.0, None)
        generator = torch.Generator(machine.device).manual_seed(seed)
        watching = torch.Generator(machine.device).manual_seed(seed)
        optimizer = make_optimizer(bank, settings)
        gate_optimizer = torch.optim.Adam(gates.parameters(), gate_rate, betas=(0.5, 0.999), weight_decay=gate_decay)
        state = GateState(bank, gates, (optimizer, gate_optimizer), (generator, watching), machine.device)
        state.loss = torch.zeros((), device=machine.device)
        if checkpoint is not None:
            state.restore(checkpoint)
        follow(optimizer, bank.named_parameters())
        compute = make_loss(network, task, settings, machine, generator)
        weights = [p for p in bank.parameters() if p.requires_grad]
        whole = feed.order(0, seed)
        halves = (whole, whole) if joint else whole.tensor_split(2)
        batch = min(feed.batch, len(halves[1]))
        steps = len(halves[1]) // batch

        def aim(value: Tensor) -> Tensor:
            return value if goal is None else goal(value, gates.weights)

        def gate_step(own: _Batch, other: _Batch, rate: float) -> None:
            if second_order:
                push = push_of(optimizer, weights)
                slopes = hypergradient(
                    lambda: compute(*own), lambda: aim(compute(*other)), weights, gates.parameters(), rate, push
                )
                for logits, slope in zip(gates.parameters(), slopes, strict=True):
                    logits.grad = slope
            else:
                aim(compute(*other)).backward()  # type: ignore[no-untyped-call]
            gate_optimizer.step()
            optimizer.zero_grad()

        def weight_step(own: _Batch, also_gates: bool) -> Tensor:
            value = compute(*own)
            (aim(value) if also_gates else value).backward()  # type: ignore[no-untyped-call]
            if also_gates:
                gate_optimizer.step()
            apply_gradients(weights, settings, optimizer)
            gate_optimizer.zero_grad()
            return value.detach()

        def watched_loss() -> Tensor:
            gates.draw(1.0)
            return compute(*feed.take(halves[1][:batch], watching))

        before, spent, saving, saved = state.progress, state.seconds, 0.0, 0.0
        curve, kept, stopped = state.curve, state.kept, ""

        def passed(epoch: int, step: int) -> float:
            if deadline is not None and time.monotonic() >= deadline:
                return 1.0
            if seconds is None:
                return (epoch * steps + step) / (max(1, epochs or 1) * steps)
            return min(1.0, before + (1.0 - before) * (time.monotonic() - began) / seconds)

        def keep(always: bool = False) -> None:
            nonlocal saving, saved
            elapsed = time.monotonic() - began
            if checkpoint is None or (saving > _SAVING_SHARE * elapsed and not always):
                return
            state.progress, state.seconds = passed(state.epoch, state.step), spent + elapsed
            with contextlib.suppress(StoreError):  # a full disk costs the state and not the search
                state.save(checkpoint)
            saved = time.monotonic() - began
            saving += saved - elapsed

        while (passed(state.epoch, state.step) < 1.0 or state.step == steps) and not interrupted():
            epoch = state.epoch
            orders = [half[_shuffled(len(half), seed, epoch, half.device)] for half in halves]
            for step in range(state.step, steps):
                progress = passed(epoch, step)
                if progress >= 1.0 or interrupted():
                    break
                places = [order[step * batch : (step + 1) * batch] for order in orders]
                own = feed.take(places[0], generator)
                rate = settings.peak_lr * cosine(progress, 1.0)
                set_rate(optimizer, rate)
                together = joint and progress >= weights_first
                if progress >= weights_first and not joint:
                    gates.draw(progress)
                    gate_step(own, feed.take(places[1], generator), rate)
                ready = _can_draw(gates)
                if ready:
                    gates.draw(progress)
                    if isinstance(gates, Gates) and not together:
                        gates.run_drawn()
                    state.loss += weight_step(own, together)
                state.step += 1
                if not ready or (together and not _can_draw(gates)):
                    state.loss += math.nan
                    break
                if time.monotonic() - began - saved > _UNSAVED_SECONDS:
                    keep()
            if state.step == 0 or (interrupted() and bool(state.loss.isfinite())):
                break
            done, mean = epoch + state.step / steps, float(state.loss) / state.step
            curve.append({"epoch": done, "train_loss": mean, "entropy": gates.entropy()})
            kept.append([p.detach().clone() for p in gates.parameters()])
            if not math.isfinite(mean):
                stopped = f"the loss stopped being finite in epoch {epoch + 1}"
                break
            if guard is not None:
                curve[-1][guard.name] = guard.measure(Watched(gates, network, watched_loss, watching))
                late = guard.back([row[guard.name] for row in curve])
                if late is not None:
                    back = max(0, epoch - late)
                    stopped = f"{guard.name} reached {curve[-1][guard.name]:.3g} in epoch {epoch + 1}"
                    for parameter, value in zip(gates.parameters(), kept[back], strict=True):
                        parameter.data.copy_(value)
                    stopped += f"; the gates are those of epoch {back + 1}"
                    break
            state.epoch, state.step, state.loss = epoch + 1, 0, torch.zeros((), device=machine.device)
            keep()
        if interrupted() and not stopped:
            keep(always=True)
        return Derived(gates.derive(), gates.shares(), tuple(curve), stopped, spent + time.monotonic() - began)


def _can_draw(gates: Gating) -> bool:
    return all(bool(p.isfinite().all()) for p in gates.parameters())


def _shuffled(count: int, seed: int, epoch: int, device: torch.device) -> Tensor:
    generator = torch.Generator().manual_seed((seed * 1_000_003 + epoch) % (1 << 63))
    return torch.randperm(count, generator=generator).to(device)
