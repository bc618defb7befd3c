"""The person's problem: data, locked splits, preprocessing, loss and metrics."""

from archsmith.task.loading import load
from archsmith.task.prepare import prepare
from archsmith.task.reader import Reader
from archsmith.task.scoring import baseline, inputs, loss, main_objective, metrics
from archsmith.task.task import Task
from archsmith.task.values import Column, Split

__all__ = [
    "Column",
    "Reader",
    "Split",
    "Task",
    "baseline",
    "inputs",
    "load",
    "loss",
    "main_objective",
    "metrics",
    "prepare",
]
