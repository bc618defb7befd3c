"""How good outputs are: the loss to train on, the metrics to report, the metric to choose by."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from archsmith.task.task import Task
from archsmith.trial import Objective, maximize, minimize

__all__ = ["baseline", "inputs", "loss", "main_objective", "metrics"]


def inputs(task: Task, x: Tensor, chunk: int = 8192) -> Tensor:
    """Return what the network receives for raw samples, computed in chunks so that memory stays small."""
    with torch.no_grad():
        return torch.cat([task.preprocess(piece) for piece in torch.split(x, chunk)])


def loss(task: Task, outputs: Tensor, y: Tensor, label_smoothing: float = 0.0, weights: Tensor | None = None) -> Tensor:
    """Return the mean loss of ``outputs`` ``[N, spec.outputs]``.

    Cross-entropy for classes, with ``weights`` ``[classes]`` such as ``task.class_weights``; for numbers the mean
    squared error in deviations of the target.
    """
    if task.spec.goal == "classification":
        return functional.cross_entropy(outputs, y, weight=weights, label_smoothing=label_smoothing)
    return functional.mse_loss(outputs.reshape(-1), (y - task.center) / task.scale)


def metrics(task: Task, outputs: Tensor, y: Tensor) -> dict[str, float]:
    """Return the metrics of a network's ``outputs`` ``[N, spec.outputs]`` against ``y`` ``[N]``.

    Classes: accuracy, balanced_accuracy (mean recall of the classes present), macro_f1, log_loss, all NaN where an
    output is not finite. Numbers, in the target's unit: rmse, mae, r2.
    """
    outputs, y = outputs.detach().double().cpu(), y.cpu()
    if task.spec.goal == "regression":
        truth = y.double()
        error = outputs.reshape(-1) * task.scale + task.center - truth
        mse = float((error**2).mean())
        spread = float(((truth - truth.mean()) ** 2).mean())
        r2 = 1.0 - mse / spread if spread > 0 else math.nan
        return {"rmse": mse**0.5, "mae": float(error.abs().mean()), "r2": r2}
    if not bool(torch.isfinite(outputs).all()):
        return dict.fromkeys(("accuracy", "balanced_accuracy", "macro_f1", "log_loss"), math.nan)
    classes = task.spec.outputs
    guess = outputs.argmax(1)
    hits = torch.bincount(y[guess == y], minlength=classes).double()
    there, guessed = (torch.bincount(v, minlength=classes).double() for v in (y, guess))
    present, seen = there > 0, (there + guessed) > 0
    return {
        "accuracy": float((guess == y).double().mean()),
        "balanced_accuracy": float((hits[present] / there[present]).mean()),
        "macro_f1": float((2 * hits[seen] / (there + guessed)[seen]).mean()),
        "log_loss": float(functional.cross_entropy(outputs, y)),
    }


def main_objective(task: Task) -> Objective:
    """Return the metric to choose by: accuracy, balanced accuracy where classes are very unequal, or rmse."""
    if task.spec.goal == "regression":
        return minimize("rmse")
    return maximize("balanced_accuracy" if task.unbalanced else "accuracy")


def baseline(task: Task) -> dict[str, float]:
    """Return the valid metrics of the best constant answer: the class shares, or the mean, of the training split."""
    rows = len(task.valid)
    if task.spec.goal == "regression":
        return metrics(task, torch.zeros(rows, 1), task.valid.y)
    counts = torch.bincount(task.train.y, minlength=task.spec.outputs).double()
    return metrics(task, (counts / counts.sum()).clamp(min=1e-12).log().expand(rows, -1), task.valid.y)
