"""The hierarchical space of Liu et al. (2018): motifs of motifs, with its skeleton."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from torch import nn

from archsmith.build.blocks import AveragePool3x3, CellDownsample, Classifier, ConvNormAct, Motif, ReluConvNorm, Zero
from archsmith.errors import SpaceError
from archsmith.space import Arch, Choice, Space, call, choice, switch
from archsmith.spaces.training import training
from archsmith.spec import Spec

__all__ = ["PRIMITIVES", "Genotype", "decode", "encode", "hierarchical"]

PRIMITIVES = ("none", "identity", "conv1x1", "depthwise3x3", "separable3x3", "max_pool3x3", "avg_pool3x3")
_MOTIFS, _MOTIF_NODES, _CELL_NODES = 6, 4, 5
_Edges = Mapping[tuple[int, int], str]


def hierarchical(spec: Spec) -> Space:
    """Return the space of motifs of motifs with training settings; for images.

    Each of six motifs is a graph of four nodes, whose edges are one of seven primitives or nothing. The cell is a graph
    of five nodes, whose edges are one of the motifs, or nothing; a motif is decided once, wherever it is used, and not
    at all where it is not. A node is the sum of what comes in (the paper: concatenated, then a 1x1 convolution). The
    cell is used in three stages, each twice as wide and half as high. Raises ``SpaceError`` for tables.
    """
    if spec.kind != "image":
        raise SpaceError("The space 'hierarchical' is for images, and this task is a table. Use 'mlp'.")
    motifs = [[choice(*PRIMITIVES, name=f"motif{m}/{i}{j}") for i, j in _pairs(_MOTIF_NODES)] for m in range(_MOTIFS)]
    edges = [
        choice("none", *(f"motif{m}" for m in range(_MOTIFS)), name=f"cell/{i}{j}") for i, j in _pairs(_CELL_NODES)
    ]
    return Space(model=_network(spec, motifs, edges), **training(spec))


@dataclass(frozen=True)
class Genotype:
    """An architecture level by level: the motifs that are used, and the cell, as labelled edges ``(from, to)``."""

    motifs: Mapping[str, _Edges]
    cell: _Edges


def decode(arch: Arch) -> Genotype:
    """Return an architecture's graphs, level by level."""
    found: dict[str, dict[tuple[int, int], str]] = {}
    for key, answer in arch.items():
        level, slash, edge = key.partition("/")
        if slash and len(edge) == 2 and edge.isdigit():
            found.setdefault(level, {})[int(edge[0]), int(edge[1])] = str(answer)
    cell = found.pop("cell")
    return Genotype(found, cell)


def encode(genotype: Genotype, settings: Mapping[str, Any]) -> Arch:
    """Return the architecture of the graphs, with training settings: the inverse of ``decode``."""
    edges = {f"cell/{i}{j}": answer for (i, j), answer in genotype.cell.items()}
    for name, motif in genotype.motifs.items():
        edges |= {f"{name}/{i}{j}": answer for (i, j), answer in motif.items()}
    return Arch({**edges, **settings})


def _pairs(nodes: int) -> list[tuple[int, int]]:
    """Return the edges of a graph in the order in which ``Motif`` takes them: by where they end."""
    return sorted(combinations(range(nodes), 2), key=lambda edge: (edge[1], edge[0]))


def _network(spec: Spec, motifs: list[list[Choice]], edges: list[Choice], width: int = 16) -> Any:
    channels, size = spec.input_shape[0], min(spec.input_shape[1:])
    parts: list[Any] = []
    while size >= 48:
        parts.append(call(ConvNormAct, channels, width, 3, 2))
        channels, size = width, (size + 1) // 2
    parts.append(call(ConvNormAct, channels, width, 3, activation="none"))
    for stage in range(3):
        if stage:
            parts.append(call(CellDownsample, width, 2 * width))
            width *= 2
        made = {
            f"motif{m}": call(Motif, *(switch(edge, _primitives(width)) for edge in motif))
            for m, motif in enumerate(motifs)
        }
        parts.append(call(Motif, *(switch(edge, {"none": call(Zero), **made}) for edge in edges)))
    return call(
        nn.Sequential, *parts, call(nn.BatchNorm2d, width), call(nn.ReLU), call(Classifier, width, spec.outputs)
    )


def _primitives(width: int) -> dict[str, Any]:
    def depthwise(*more: Any) -> Any:
        conv = call(nn.Conv2d, width, width, 3, padding=1, groups=width, bias=False)
        return call(nn.Sequential, call(nn.ReLU), conv, *more, call(nn.BatchNorm2d, width))

    return {
        "none": call(Zero),
        "identity": call(nn.Identity),
        "conv1x1": call(ReluConvNorm, width, width, 1),
        "depthwise3x3": depthwise(),
        "separable3x3": depthwise(call(nn.Conv2d, width, width, 1, bias=False)),
        "max_pool3x3": call(nn.MaxPool2d, 3, stride=1, padding=1),
        "avg_pool3x3": call(AveragePool3x3),
    }
