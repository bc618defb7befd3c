"""The estimator that trains: a proposal in, the metrics of its network on the validation split out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from torch import nn

from archsmith.build.module import build
from archsmith.build.morphisms import inherit
from archsmith.build.slices import Rule
from archsmith.build.transfer import load_whole
from archsmith.documents import read_json
from archsmith.errors import StoreError, UsageError, nearest
from archsmith.estimate.machine import Machine
from archsmith.estimate.settings import Settings
from archsmith.estimate.shared import SharedEstimator
from archsmith.estimate.state import load_weights
from archsmith.estimate.training import Trained, train
from archsmith.run import DeadlineReached, Diverged, Run
from archsmith.space import Arch, Space, settings
from archsmith.task import Task
from archsmith.trial import Proposal

__all__ = ["CHECKPOINT", "TrainEstimator"]

CHECKPOINT = "ckpt"
_FIDELITIES = ("epochs", "cost", "data_fraction", "resolution")


@dataclass(frozen=True)
class TrainEstimator:
    """Train the network of a proposal from scratch, or on from the checkpoint of the trial it resumes.

    A proposal's fidelity may name ``epochs`` (``full_epochs`` unless named), ``data_fraction`` and ``resolution``.
    A trial that was interrupted goes on from the state in its own folder.
    Instead of epochs it may name ``cost``, which is divided by ``pace(arch)``, the predicted cost of an epoch, so that
    a small network gets more epochs than a large one for the same price. Where time is what is short, that is the fair
    comparison. ``full_cost`` is the cost of a full training then.
    The last ``cooldown`` share of the epochs anneals the learning rate; a resumed trial goes on from before that, so a
    trial promoted to more epochs is the very training that had those epochs from the start (see ``schedule``).
    ``defaults`` are training settings for what the space leaves open. ``rules`` are slice rules, as those of a bank.

    A proposal that inherits begins with all weights that it shares with its parent (Real et al., 2017), anew where the
    parent left none; where the study keeps no folder nothing can be inherited, and that is refused. One with
    ``weights`` is measured on that bank, which must hold all that the space needs; see ``SharedEstimator``.

    Calling it returns the validation metrics with ``train_loss``, ``epochs``, ``seconds`` and ``seconds_per_epoch``;
    Raises ``DeadlineReached`` where the deadline came first, since a shorter training must not stand for the one that
    was asked; ``Diverged`` when the loss leaves the finite numbers, with the step and learning rate; and ``UsageError``
    for a fidelity or setting that is none, and for weights that there cannot be.
    """

    task: Task
    space: Space
    machine: Machine
    full_epochs: float
    cooldown: float = 0.5
    defaults: Settings = field(default_factory=Settings)
    pace: Callable[[Arch], float] | None = None
    full_cost: float = 0.0
    rules: Mapping[type, Rule] | None = None

    def __call__(self, proposal: Proposal, run: Run) -> Mapping[str, float]:
        """Return the metrics of the proposal's network; see the class."""
        if proposal.weights:
            return self._shared(proposal.weights)(proposal, run)
        result = self.train(proposal, run)
        for note in result.notes:
            run.note(note)
        if result.diverged is not None:
            raise Diverged(f"The training of trial {run.trial} diverged: {result.diverged}.")
        if result.stopped:
            done = f"{result.epochs:.3g} of {self.epochs(proposal):.3g} epochs"
            raise DeadlineReached(f"{done}; what there is of the training is in its folder")
        reduced = {} if run.batch_scale == 1.0 else {"batch_scale": run.batch_scale}
        return {**result.metrics, **reduced}

    def check(self, space: Space, weights: str) -> None:
        """Raise ``SpaceError`` or ``StoreError`` where the bank in the folder ``weights`` cannot serve the space."""
        if weights:
            load_whole(weights, space, self.rules)

    def train(self, proposal: Proposal, run: Run) -> Trained:
        """Return the whole outcome of the training, with the network."""
        for name in proposal.fidelity:
            if name not in _FIDELITIES:
                raise UsageError(f"There is no fidelity called {name!r}. {nearest(name, _FIDELITIES)}")
        resolution = proposal.fidelity.get("resolution")
        return train(
            self._begun(proposal, run),
            self.task,
            self.settings(proposal, run.batch_scale),
            machine=self.machine,
            seed=run.seed,
            epochs=self.epochs(proposal),
            cooldown=self.cooldown,
            data_fraction=proposal.fidelity.get("data_fraction", 1.0),
            resolution=None if resolution is None else round(resolution),
            checkpoint=None if run.folder is None else run.folder / CHECKPOINT,
            resume=[folder / CHECKPOINT for folder in (run.folder, run.resume_folder) if folder is not None],
            report=run.report,
            deadline=run.deadline,
            interrupted=run.interrupted,
        )

    def _begun(self, proposal: Proposal, run: Run) -> nn.Module:
        """Return the network before its training, with what it inherits."""
        if proposal.inherit and proposal.parent is not None:
            if run.parent_folder is None:  # then there is no log for a note either, and a score would not tell
                raise UsageError(
                    f"Trial {run.trial} was to begin with the weights of trial {proposal.parent}, and nothing was kept "
                    "of those: the study has no folder. Give the study a folder, or propose without inherit."
                )
            try:
                weights = load_weights(run.parent_folder / CHECKPOINT)
                parent = Arch.from_json(read_json(run.parent_folder / "arch.json"))
                return inherit(self.space, parent, weights, proposal.arch, run.seed, run.note, self.rules)
            except (StoreError, OSError) as error:
                run.note(f"nothing could be inherited from trial {proposal.parent}, so it began anew: {error}")
        return build(self.space, proposal.arch, seed=run.seed)

    def _shared(self, folder: str) -> SharedEstimator:
        """Return what measures on the bank in the folder, which is read once."""
        if folder not in self._banks:
            self._banks[folder] = SharedEstimator(self.task, load_whole(folder, self.space, self.rules), self.machine)
        return self._banks[folder]

    @cached_property
    def _banks(self) -> dict[str, SharedEstimator]:
        return {}

    def epochs(self, proposal: Proposal) -> float:
        """Return how many epochs the proposal's fidelity stands for."""
        asked = proposal.fidelity
        if "cost" in asked and (self.pace is None or "epochs" in asked):
            raise UsageError("The fidelity 'cost' needs an estimator with a pace, and stands in place of 'epochs'.")
        if self.pace is None or "epochs" in asked:
            return asked.get("epochs", self.full_epochs)
        return asked.get("cost", self.full_cost) / self.pace(proposal.arch)

    def settings(self, proposal: Proposal, batch_scale: float = 1.0) -> Settings:
        """Return the training settings of the proposal's architecture, with its batches scaled.

        The warm-up is cut to a twentieth of a full training: it must be the same at every fidelity.
        """
        values = {**self.defaults.to_json(), **settings(self.space, proposal.arch)}
        recipe = Settings.from_values(values).scaled(batch_scale)
        epochs = self.full_epochs if self.pace is None else self.full_cost / self.pace(proposal.arch)
        full = epochs * max(1, len(self.task.train.y) // recipe.batch_size)
        return replace(recipe, warmup=min(recipe.warmup, round(0.05 * full)))
