"""Training one network: the loop, its budget, its checkpoints and its result."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from archsmith.errors import StoreError, UsageError
from archsmith.estimate.clock import Clock
from archsmith.estimate.evaluation import evaluate, evaluation_seconds
from archsmith.estimate.feed import Feed, make_feed
from archsmith.estimate.machine import Machine, place_network, using_threads
from archsmith.estimate.optimizer import make_optimizer, set_rate
from archsmith.estimate.pacing import Pacing
from archsmith.estimate.rng import borrowed_generators
from archsmith.estimate.schedule import cosine, warm
from archsmith.estimate.settings import Settings
from archsmith.estimate.state import (
    LAST,
    TRUNK,
    State,
    make_average,
    newest,
    restore,
    restore_network,
    save_state,
    save_weights,
)
from archsmith.estimate.step import Step, make_step
from archsmith.task import Task

__all__ = ["Divergence", "MakeStep", "Trained", "train"]

# Of the time of a training, the shares that measuring and saving between epochs may take.
_EVALUATING_SHARE, _SAVING_SHARE = 0.1, 0.02
_UNSAVED_SECONDS = 30.0  # an epoch may be long: what is lost when the process is killed must not be

MakeStep = Callable[[State, Task, Settings, Machine], Step]
"""How a training makes its step, if not by ``step.make_step``: another way of going from a batch to new weights.

It may look at the state later on: how far the training is, and what the running average holds.
"""

_Report = Callable[[Mapping[str, float]], None]


@dataclass(frozen=True)
class Divergence:
    """Where a training left the finite numbers."""

    step: int
    lr: float
    last_finite_loss: float

    def __str__(self) -> str:
        return (
            f"the loss stopped being finite at step {self.step} with learning rate {self.lr:.3g}; "
            f"the last finite loss was {self.last_finite_loss:.4g}"
        )


@dataclass(frozen=True)
class Trained:
    """The outcome of a training.

    ``network`` is the one that was passed in, trained, on the CPU and in evaluation mode. ``metrics`` holds the metrics
    on the validation split with ``train_loss``, ``epochs``, ``seconds`` and ``seconds_per_epoch``; ``curve`` one such
    row per evaluation. ``epochs`` counts from the very beginning, ``seconds`` only this call. ``stopped`` tells that
    the deadline or an interruption came before the planned end, ``diverged`` that the loss left the finite numbers
    (there are no validation metrics then), and ``resumed`` that a checkpoint was continued. ``notes`` are sentences for
    people, such as about a damaged checkpoint that was passed over.
    """

    network: nn.Module
    metrics: Mapping[str, float]
    curve: tuple[Mapping[str, float], ...]
    epochs: float
    seconds: float
    diverged: Divergence | None = None
    stopped: bool = False
    resumed: bool = False
    notes: tuple[str, ...] = ()


def train(
    network: nn.Module,
    task: Task,
    settings: Settings,
    *,
    machine: Machine,
    seed: int,
    epochs: float | None = None,
    seconds: float | None = None,
    cooldown: float = 1.0,
    data_fraction: float = 1.0,
    resolution: int | None = None,
    checkpoint: Path | None = None,
    resume: Path | Sequence[Path] | None = None,
    start: Mapping[str, Tensor] | None = None,
    report: _Report | None = None,
    deadline: float | None = None,
    interrupted: Callable[[], bool] = bool,
    make_step: MakeStep | None = None,
) -> Trained:
    """Train ``network`` in place on the training split and measure it on the validation split.

    The budget is ``epochs`` (which may be fractional, and then the result is a function of the arguments) or
    ``seconds`` of this call, evaluation included (the schedule then follows the clock, and the last step ends inside).
    The last ``cooldown`` share of the budget anneals the learning rate; see ``schedule``. ``data_fraction`` trains on a
    fixed part of the data; ``resolution`` resizes images to that side, for training and evaluation.

    ``checkpoint`` is a folder for states: the last one, the one before the cool-down, and the final weights. ``resume``
    is such a folder, perhaps the same one: an interrupted training goes on exactly as if it had not been, and a
    finished one is continued from before its cool-down to more ``epochs`` in all, or for ``seconds`` more. A resumed
    training keeps the seed it began with; where nothing usable is found it begins anew. Of several folders the first
    with something usable counts. ``start`` gives weights to begin with. ``report`` is handed each row of the curve.
    ``deadline``, of ``time.monotonic``, ends the training early, with a last evaluation before it; once
    ``interrupted()`` is true it ends after the step under way, with its state saved and nothing evaluated.

    ``make_step`` is another way of taking a step, such as one on several networks that share weights.

    Raises ``UsageError`` unless exactly one of ``epochs`` and ``seconds`` is given and positive.
    """
    began = time.monotonic()
    budget = epochs if seconds is None else seconds
    if (epochs is None) == (seconds is None) or budget is None or not budget > 0:
        raise UsageError(f"Training needs either epochs or seconds, above 0; got epochs={epochs}, seconds={seconds}.")
    with using_threads(machine.threads), borrowed_generators(machine.device, seed):
        place_network(network, machine)
        if start is not None:
            network.load_state_dict(start)
        _set_dropout(network, settings.dropout)
        feed = make_feed(task, settings, machine, data_fraction, resolution)
        generator = torch.Generator(machine.device).manual_seed(seed)
        plan = {"epochs": epochs, "cooldown": cooldown, "data_fraction": data_fraction, "resolution": resolution}
        notes: list[str] = []
        folders = [resume] if isinstance(resume, Path) else resume or ()
        found = next((f for folder in folders if (f := newest(folder, plan, notes)) is not None), None)
        if found is not None:
            restore_network(network, found[0])
        state = State(network, make_optimizer(network, settings), generator, seed, make_average(network, settings))
        if found is not None:
            restore(state, feed, *found)
        clock = Clock(epochs, seconds, feed.steps, began, deadline, state.progress, interrupted=interrupted)
        loop = _Loop(state, feed, task, settings, clock, plan, checkpoint, report, state.seconds, notes, make_step)
        diverged = loop.run()
        return replace(loop.result(diverged), resumed=found is not None, notes=tuple(notes))


@dataclass
class _Loop:
    """The steps of one call of ``train`` and what happens between epochs."""

    state: State
    feed: Feed
    task: Task
    settings: Settings
    clock: Clock
    plan: dict[str, Any]
    checkpoint: Path | None
    report: _Report | None
    seconds_before: float
    notes: list[str]
    make_step: MakeStep | None
    pending: list[tuple[Tensor, float]] = field(default_factory=list)
    last_loss: float = math.nan
    train_loss: float = math.nan
    first_step: int = 0
    stepping: float = 0.0
    evaluating: float = 0.0
    saving: float = 0.0
    saved: float = 0.0

    def run(self) -> Divergence | None:
        """Step until the end of the budget, the deadline or a loss that is not finite."""
        state, feed, clock = self.state, self.feed, self.clock
        make = self.make_step or _single_step
        step = make(state, self.task, self.settings, feed.machine)
        # Reading a loss waits for an accelerator; so there it is read for several steps at once.
        wait = 1 if feed.machine.device == "cpu" else 10
        pacing = self._begin()
        order, mark = None, time.monotonic()
        while (progress := clock.progress(state.step)) < 1.0:
            self._enter_cooldown(progress)
            epoch, position = divmod(state.step, feed.steps)
            if order is None or position == 0:
                order = feed.order(epoch, state.seed)
            rate = self._rate(progress)
            set_rate(state.optimizer, rate)
            x, y = feed.take(order[position * feed.batch : (position + 1) * feed.batch], state.generator)
            self.pending.append((step(x, y), rate))
            state.step += 1
            if state.average is not None:
                state.average.update(state.step)
            ends = position + 1 == feed.steps
            if ends or len(self.pending) >= wait:
                taken, diverged = len(self.pending), self._read_losses()
                now = time.monotonic()
                clock.count_steps(now - mark, taken)
                pacing.step((now - mark) / taken)
                self.stepping += now - mark
                if diverged:
                    return diverged
                if ends:
                    self._end_epoch()
                elif clock.elapsed() - self.saved > _UNSAVED_SECONDS:
                    self._save_now_and_then()
                mark = time.monotonic()
        return self._read_losses()

    def _begin(self) -> Pacing:
        """Get ready for the first step: how many threads, and how much time the last evaluation will need."""
        state, feed, clock = self.state, self.feed, self.clock
        if state.curve:
            self.train_loss = state.curve[-1]["train_loss"]
        self.first_step = state.step
        # With another number of threads sums are rounded otherwise; only a training by the clock may change it.
        changing = feed.machine.device == "cpu" and clock.seconds is not None
        pacing = Pacing(feed.machine.threads if changing else 1)
        if clock.timed:
            reserve = pacing.choose(lambda: evaluation_seconds(state.network, self.task, feed.machine, feed.resolution))
            # On a machine too busy to tell, training gets at least half of the time.
            clock.reserve = min(reserve, 0.5 * (clock.seconds or math.inf))
        state.network.train()
        return pacing

    def result(self, diverged: Divergence | None) -> Trained:
        """Evaluate the trained network, keep what was asked for, and describe what came out."""
        state, elapsed = self.state, self.clock.elapsed
        done = (state.step - self.first_step) / self.feed.steps
        if diverged is None:
            if state.loss_count:
                self.train_loss = state.loss_sum / state.loss_count
            row = self._last_row()
            if self.checkpoint is not None and self.clock.stopped:
                self._save(LAST)
            if state.average is not None:
                state.network.load_state_dict(state.average.network.state_dict())
            if self.checkpoint is not None and not self.clock.stopped:
                self._keep(lambda folder: save_weights(folder, state.network, state.curve))
        else:
            row = {}
        metrics = {name: value for name, value in row.items() if name != "epoch"}
        metrics |= {"train_loss": self.train_loss, "epochs": state.step / self.feed.steps, "seconds": elapsed()}
        if done:
            metrics["seconds_per_epoch"] = self.stepping / done
        network = state.network.to("cpu", memory_format=torch.contiguous_format).eval()  # type: ignore[call-overload]
        curve = tuple(state.curve)
        return Trained(network, metrics, curve, metrics["epochs"], metrics["seconds"], diverged, self.clock.stopped)

    def _rate(self, progress: float) -> float:
        """Return the learning rate of the next step.

        A training that is one long cool-down knows its end, so its warm-up may be cut to a tenth of it. One with a
        plateau must not look at its end before the plateau does.
        """
        rise = warm(self.state.step, self.settings.warmup)
        if self.plan["cooldown"] >= 1.0:
            rise = min(1.0, max(rise, 10.0 * progress))
        return self.settings.peak_lr * rise * cosine(progress, self.plan["cooldown"])

    def _enter_cooldown(self, progress: float) -> None:
        """Keep the state of the last moment before the learning rate falls."""
        state, cooldown = self.state, self.plan["cooldown"]
        state.progress = progress
        if not state.cooling and progress > 1.0 - cooldown:
            if self.checkpoint is not None and cooldown < 1.0:
                self._read_losses()
                self._save(TRUNK)
            state.cooling = True

    def _read_losses(self) -> Divergence | None:
        """Add the pending losses to the epoch's; return where they stopped being finite, if they did."""
        if not self.pending:
            return None
        values = torch.stack([value for value, _ in self.pending]).tolist()
        first = self.state.step - len(values)
        rates = [rate for _, rate in self.pending]
        self.pending.clear()
        for index, value in enumerate(values):
            if not math.isfinite(value):
                return Divergence(first + index, rates[index], self.last_loss)
            self.last_loss = value
            self.state.loss_sum += value
            self.state.loss_count += 1
        return None

    def _end_epoch(self) -> None:
        """Measure and save where an epoch ends, as often as a tenth and a fiftieth of the time allow."""
        state = self.state
        self.train_loss = state.loss_sum / max(1, state.loss_count)
        state.loss_sum, state.loss_count = 0.0, 0
        elapsed = self.clock.elapsed()
        more = self.clock.progress(state.step) < 1.0
        expected = self.clock.reserve if self.clock.reserve else self.evaluating / max(1, len(state.curve))
        if more and self.evaluating + expected <= _EVALUATING_SHARE * elapsed:
            self._evaluate()
        if more:
            self._save_now_and_then()

    def _evaluate(self) -> dict[str, float]:
        """Evaluate now and add a row to the curve."""
        state, began = self.state, time.monotonic()
        found = evaluate(state.best_network, self.task, self.task.valid, self.feed.machine, self.feed.resolution)
        spent = time.monotonic() - began
        self.evaluating += spent
        self.clock.reserve = max(self.clock.reserve, 1.1 * spent) if self.clock.timed else spent
        row = {
            "epoch": state.step / self.feed.steps,
            "seconds": self.seconds_before + self.clock.elapsed(),
            "train_loss": self.train_loss,
            **found,
        }
        state.curve.append(row)
        if self.report is not None:
            self.report(row)
        return row

    def _last_row(self) -> dict[str, float]:
        """Return what the network as it is now was measured at; an interrupted training has no time to measure."""
        curve = self.state.curve
        if curve and (self.clock.cut or curve[-1]["epoch"] == self.state.step / self.feed.steps):
            return curve[-1]
        return {} if self.clock.cut else self._evaluate()

    def _save_now_and_then(self) -> None:
        elapsed = self.clock.elapsed()
        if self.checkpoint is not None and self.saving <= _SAVING_SHARE * elapsed:
            self._save(LAST)

    def _save(self, name: str) -> None:
        assert self.checkpoint is not None
        began = time.monotonic()
        self.state.seconds = self.seconds_before + self.clock.elapsed()
        self._keep(lambda folder: save_state(folder / name, self.state, self.feed, self.plan))
        self.saved = self.clock.elapsed()
        self.saving += time.monotonic() - began

    def _keep(self, save: Callable[[Path], None]) -> None:
        """Write a checkpoint; a disk that does not take it costs the checkpoint, and not the training."""
        assert self.checkpoint is not None
        try:
            save(self.checkpoint)
        except StoreError as error:
            words = f"{error} The training went on without it; free some space."
            if words not in self.notes:
                self.notes.append(words)


def _single_step(state: State, task: Task, settings: Settings, machine: Machine) -> Step:
    return make_step(state.network, task, settings, machine, state.optimizer, state.generator)


def _set_dropout(network: nn.Module, rate: float | None) -> None:
    if rate is not None:
        for module in network.modules():
            if isinstance(module, nn.Dropout | nn.Dropout1d | nn.Dropout2d | nn.AlphaDropout):
                module.p = rate
