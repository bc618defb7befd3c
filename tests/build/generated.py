"""Modules in which every composition fits (all keep ``[batch, 8]``), for spaces drawn over every node kind."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from archsmith.space import Arch, Call, Choice, Pick, Program, Repeat, Space, Switch
from archsmith.space.nodes import children
from archsmith.testing.spaces import spaces_and_archs

FEATURES = 8


class Dense(nn.Module):
    """A leaf with parameters whose sizes depend on decisions."""

    def __init__(self, width: int, scale: float = 1.0) -> None:
        super().__init__()
        self.widen, self.narrow, self.scale = nn.Linear(FEATURES, width), nn.Linear(width, FEATURES), scale

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.narrow(functional.relu(self.widen(x))) * self.scale


class Mix(nn.Module):
    """A composite: a chain of parts, with the mean of the side parts added."""

    def __init__(self, *parts: nn.Module, side: nn.Module | Sequence[nn.Module] | None = None) -> None:
        super().__init__()
        self.chain = nn.Sequential(*parts)
        self.side = nn.ModuleList([] if side is None else [side] if isinstance(side, nn.Module) else side)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.chain(x) + sum(part(x) for part in self.side) / max(1, len(self.side))


class Residual(nn.Module):
    """Ordinary PyTorch; the part that varies is injected."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.body(x)


def by_run(pick: Any) -> nn.Module:
    """A define-by-run model: asks as it goes."""
    width = pick("width", 4, 8)
    layers: list[nn.Module] = [nn.Linear(FEATURES, FEATURES)]
    for i in range(pick.integer("depth", 1, 3)):
        if pick(f"layer{i}", "plain", "dense") == "dense":
            layers.append(Dense(width, pick.real(f"scale{i}", 0.5, 2.0)))
        layers.append(pick(f"act{i}", nn.ReLU, nn.Tanh)())
        layers.append(pick(f"named{i}", wide=Dense, same=nn.Linear)(FEATURES, FEATURES))
    return Mix(*layers, side=nn.Linear(FEATURES, pick("only one", FEATURES)))


def generated() -> Any:
    return spaces_and_archs(leaf=Dense, block=Mix, programs=(by_run,))


def resolve(space: Space, path: str) -> Any:
    """Follow a path of ``build_with_paths`` through the expression."""
    root, *steps = path.split("/")
    node = space.roots[root]
    for step in steps:
        match node:
            case Call(args=args, kwargs=kwargs):
                node = kwargs[step] if step in kwargs else args[int(step)]
            case Choice(labels=labels, options=options) | Pick(labels=labels, options=options):
                node = options[[str(label) for label in labels].index(step)]
            case Switch(labels=labels, options=options):
                node = options[[str(label) for label in labels].index(step)]
            case Repeat(blocks=blocks):
                node = blocks[int(step)]
            case _:
                node = children(node)[int(step)]
    return node


def target_of(node: Call | Program) -> Any:
    return node.target if isinstance(node, Call) else node.function


__all__ = ["FEATURES", "Arch", "Dense", "Mix", "Residual", "by_run", "generated", "resolve", "target_of"]
