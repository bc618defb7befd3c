"""Cross-validation: train on every fold and average, for data too small for one validation split to be believed."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from archsmith.estimate.train_estimator import TrainEstimator
from archsmith.run import Run
from archsmith.space import Space
from archsmith.trial import Proposal

__all__ = ["CrossValidated"]


@dataclass(frozen=True)
class CrossValidated:
    """Evaluate a proposal once for each fold of ``estimator.task`` and return the mean of every metric.

    Each fold has a folder of its own inside the trial's, laid out as a trial's is: so a promoted trial continues every
    fold's checkpoint, and a child inherits from its parent fold by fold.
    ``seconds`` is the sum over the folds, ``<metric>_deviation`` the deviation of each measured metric. Raises whatever
    the estimator raises for any fold (Kohavi, 1995, on why stratified folds).
    """

    estimator: TrainEstimator

    def __call__(self, proposal: Proposal, run: Run) -> Mapping[str, float]:
        """Return the mean metrics of the proposal over the folds."""
        found = []
        for fold in range(self.estimator.task.folds):
            one = replace(self.estimator, task=self.estimator.task.fold(fold))
            inside = replace(
                run,
                folder=_inside(run.folder, fold),
                resume_folder=_inside(run.resume_folder, fold),
                parent_folder=_inside(run.parent_folder, fold),
            )
            if inside.folder is not None:
                inside.folder.mkdir(parents=True, exist_ok=True)
                (inside.folder / "arch.json").write_text(json.dumps(proposal.arch.to_json()) + "\n", encoding="utf-8")
            found.append(one(proposal, inside))
        means = {name: statistics.fmean(m[name] for m in found) for name in found[0]}
        spread = {
            f"{name}_deviation": statistics.stdev(m[name] for m in found)
            for name in found[0]
            if name not in ("epochs", "seconds", "seconds_per_epoch", "train_loss")
        }
        return {**means, **spread, "seconds": sum(m["seconds"] for m in found)}

    def check(self, space: Space, weights: str) -> None:
        """Raise what the estimator raises for a bank that cannot serve the space."""
        self.estimator.check(space, weights)


def _inside(folder: Path | None, fold: int) -> Path | None:
    return None if folder is None else folder / f"fold{fold}"
