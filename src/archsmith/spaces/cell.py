"""The cell space of NAS-Bench-201 (Dong & Yang 2020), with its skeleton and its exact costs."""

from __future__ import annotations

from typing import Any

from torch import nn

from archsmith.build.blocks import AveragePool3x3, Cell, CellDownsample, Classifier, ConvNormAct, ReluConvNorm, Zero
from archsmith.errors import SpaceError
from archsmith.space import Choice, Space, call, choice, switch
from archsmith.spaces.training import training
from archsmith.spec import Spec

__all__ = ["EDGES", "OPERATIONS", "cell", "cell_model"]

EDGES = ("edge01", "edge02", "edge12", "edge03", "edge13", "edge23")
OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")


def cell(spec: Spec) -> Space:
    """Return the space of NAS-Bench-201 with training settings; see ``cell_model``."""
    return Space(model=cell_model(spec), **training(spec))


def cell_model(spec: Spec, width: int = 16, cells: int = 5) -> Any:
    """Return the expression of the NAS-Bench-201 network: one cell, used in three stages.

    Each of the cell's six edges is one of ``OPERATIONS``: 15,625 architectures, and the same six decisions hold in all
    ``3 * cells`` uses. Stages are ``width``, twice and four times as wide, with a halving of the resolution between
    them. For inputs ``(3, 32, 32)`` and 10 classes parameters and multiply-adds are the published ones. Images from
    48 pixels on are first halved by strided convolutions to at most 47. Raises ``SpaceError`` for tables.
    """
    if spec.kind != "image":
        raise SpaceError("The space 'cell' is for images, and this task is a table. Use 'mlp'.")
    edges = [choice(*OPERATIONS, name=name) for name in EDGES]
    parts = [_stem(spec.input_shape, width)]
    for stage in range(3):
        if stage:
            parts.append(call(CellDownsample, width * 2 ** (stage - 1), width * 2**stage))
        one = call(Cell, *(_edge(edge, width * 2**stage) for edge in edges))
        parts += [one] * cells
    last = width * 4
    return call(nn.Sequential, *parts, call(nn.BatchNorm2d, last), call(nn.ReLU), call(Classifier, last, spec.outputs))


def _stem(shape: tuple[int, ...], width: int) -> Any:
    channels, size = shape[0], min(shape[1:])
    steps: list[Any] = []
    while size >= 48:
        steps.append(call(ConvNormAct, channels, width, 3, 2))
        channels, size = width, (size + 1) // 2
    return call(nn.Sequential, *steps, call(ConvNormAct, channels, width, 3, activation="none"))


def _edge(decision: Choice, width: int) -> Any:
    return switch(
        decision,
        none=call(Zero),
        skip_connect=call(nn.Identity),
        nor_conv_1x1=call(ReluConvNorm, width, width, 1),
        nor_conv_3x3=call(ReluConvNorm, width, width, 3),
        avg_pool_3x3=call(AveragePool3x3),
    )
