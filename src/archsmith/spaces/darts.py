"""The cell space of DARTS (Liu, Simonyan & Yang 2019), with its networks for CIFAR-10 and ImageNet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from torch import nn

from archsmith.build.blocks import Classifier, ReluConvNorm, Zero
from archsmith.build.darts_blocks import (
    DartsCell,
    DartsEdge,
    DartsNetwork,
    DilatedConv,
    FactorizedReduce,
    Pool,
    SeparableConv,
)
from archsmith.errors import SpaceError
from archsmith.space import Answer, Arch, Choice, Space, call, choice, switch
from archsmith.spaces.training import training
from archsmith.spec import Spec

__all__ = ["DARTS_OPERATIONS", "darts", "darts_arch", "darts_model", "strongest_edges"]

DARTS_OPERATIONS = (
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)
_NODES, _KINDS = 4, ("normal", "reduce")


def darts(spec: Spec) -> Space:
    """Return the space of DARTS with training settings, in the size in which it was searched; see ``darts_model``."""
    return Space(model=darts_model(spec, width=16, layers=8), **training(spec))


def darts_model(spec: Spec, width: int = 36, layers: int = 20, every_edge: bool = False) -> Any:
    """Return the expression of the DARTS network: a normal and a reduction cell, used over ``layers`` cells.

    Each of a cell's four nodes adds up two of the states before it, each through one of seven operations: 1,037,664,180
    cells of each kind. The cells a third and two thirds of the way down halve the resolution and double the width.
    Images from 96 pixels on begin with the strided stems of ImageNet. Parameters are the published ones, without the
    auxiliary head of the published trainings: 3,349,342 for the second-order cell with 36 channels and 20 layers.

    With ``every_edge`` a node has all its edges, and each may also be nothing: the network that the paper relaxes; see
    ``strongest_edges``. Without, the inputs of nodes are relaxed as well. Raises ``SpaceError`` for tables.
    """
    if spec.kind != "image":
        raise SpaceError("The space 'darts' is for images, and this task is a table. Use 'mlp'.")
    operations = (("none",) if every_edge else ()) + DARTS_OPERATIONS
    labels = {
        (kind, node, source): choice(*operations, name=f"{kind}_{node}_{source}")
        for kind in _KINDS
        for node in range(_NODES)
        for source in range(node + 2)
    }
    inputs = {(kind, node): _pairs(kind, node) for kind in _KINDS for node in range(_NODES)}
    stems, before, last, halved = _stems(spec, width)
    cells = []
    for layer in range(layers):
        reduces = layer in (layers // 3, 2 * layers // 3)
        kind = "reduce" if reduces else "normal"
        width *= 2 if reduces else 1
        first = call(FactorizedReduce, before, width) if halved else call(ReluConvNorm, before, width, 1)
        nodes = []
        for node in range(_NODES):
            edges = [
                call(
                    DartsEdge, source, _operation(labels[kind, node, source], width, 2 if reduces and source < 2 else 1)
                )
                for source in range(node + 2)
            ]
            picked = inputs[kind, node]
            nodes.append(
                edges if every_edge else switch(picked, {f"{a}_{b}": [edges[a], edges[b]] for a, b in _two(node)})
            )
        cells.append(call(DartsCell, first, call(ReluConvNorm, last, width, 1), *nodes))
        before, last, halved = last, _NODES * width, reduces
    return call(DartsNetwork, stems, cells, call(Classifier, last, spec.outputs))


def darts_arch(normal: Sequence[tuple[str, int]], reduce: Sequence[tuple[str, int]]) -> Arch:
    """Return the architecture of a genotype: for each cell eight pairs of operation and source, two for each node."""
    answers: dict[str, Answer] = {}
    for kind, pairs in zip(_KINDS, (normal, reduce), strict=True):
        for node in range(_NODES):
            two = sorted(pairs[2 * node : 2 * node + 2], key=lambda pair: pair[1])
            if node:  # the first has but two inputs
                answers[f"{kind}_inputs{node}"] = f"{two[0][1]}_{two[1][1]}"
            answers |= {f"{kind}_{node}_{source}": operation for operation, source in two}
    return Arch(answers)


def strongest_edges(shares: Mapping[str, Sequence[float]]) -> Arch:
    """Return the architecture that DARTS derives from the shares of the network with every edge.

    ``shares`` are each edge's weights of "none" and ``DARTS_OPERATIONS``, by decision. A node keeps the two edges whose
    best operation weighs most; nothing is never chosen.
    """
    cells = []
    for kind in _KINDS:
        pairs: list[tuple[str, int]] = []
        for node in range(_NODES):
            best = [max(zip(shares[f"{kind}_{node}_{s}"][1:], DARTS_OPERATIONS, strict=True)) for s in range(node + 2)]
            kept = sorted(range(node + 2), key=lambda source: -best[source][0])[:2]
            pairs += [(best[source][1], source) for source in kept]
        cells.append(pairs)
    return darts_arch(*cells)


def _two(node: int) -> list[tuple[int, int]]:
    return list(combinations(range(node + 2), 2))


def _pairs(kind: str, node: int) -> Choice:
    return choice(*(f"{a}_{b}" for a, b in _two(node)), name=f"{kind}_inputs{node}")


def _stems(spec: Spec, width: int) -> tuple[list[Any], int, int, bool]:
    """Return the stems, the channels of the last two results, and whether the last one is of half the resolution."""
    channels = spec.input_shape[0]
    if min(spec.input_shape[1:]) < 96:
        stem = call(nn.Sequential, _conv(channels, 3 * width, 1), call(nn.BatchNorm2d, 3 * width))
        return [stem], 3 * width, 3 * width, False
    half = width // 2
    first = [_conv(channels, half, 2), call(nn.BatchNorm2d, half), call(nn.ReLU), _conv(half, width, 2)]
    second = [call(nn.ReLU), _conv(width, width, 2), call(nn.BatchNorm2d, width)]
    stems = [call(nn.Sequential, *first, call(nn.BatchNorm2d, width)), call(nn.Sequential, *second)]
    return stems, width, width, True


def _conv(inputs: int, outputs: int, stride: int) -> Any:
    return call(nn.Conv2d, inputs, outputs, 3, stride, 1, bias=False)


def _operation(label: Choice, width: int, stride: int) -> Any:
    skip = call(nn.Identity) if stride == 1 else call(FactorizedReduce, width, width)
    options = {
        "max_pool_3x3": call(Pool, "max", stride),
        "avg_pool_3x3": call(Pool, "mean", stride),
        "skip_connect": skip,
        "sep_conv_3x3": call(SeparableConv, width, 3, stride),
        "sep_conv_5x5": call(SeparableConv, width, 5, stride),
        "dil_conv_3x3": call(DilatedConv, width, 3, stride),
        "dil_conv_5x5": call(DilatedConv, width, 5, stride),
    }
    nothing = call(nn.Sequential, call(Pool, "mean", stride), call(Zero))
    return switch(label, {name: options.get(str(name), nothing) for name in label.labels})
