"""The blocks of the DARTS space (Liu et al. 2019) in plain PyTorch, to be copied out like those of ``blocks``."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

__all__ = ["DartsCell", "DartsEdge", "DartsNetwork", "DilatedConv", "FactorizedReduce", "Pool", "SeparableConv"]


class SeparableConv(nn.Module):
    """Twice ReLU, a depthwise and a pointwise convolution and a norm; the first time with the stride."""

    def __init__(self, channels: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        steps: list[nn.Module] = []
        for step in (stride, 1):
            steps += [
                nn.ReLU(),
                nn.Conv2d(channels, channels, kernel, step, kernel // 2, groups=channels, bias=False),
                nn.Conv2d(channels, channels, 1, bias=False),
                nn.BatchNorm2d(channels),
            ]
        self.steps = nn.Sequential(*steps)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the feature map."""
        out: torch.Tensor = self.steps(x)
        return out


class DilatedConv(nn.Module):
    """ReLU, a depthwise convolution that leaves out every other position, a pointwise one and a norm."""

    def __init__(self, channels: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.steps = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(channels, channels, kernel, stride, kernel - 1, dilation=2, groups=channels, bias=False),
            nn.Conv2d(channels, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the feature map."""
        out: torch.Tensor = self.steps(x)
        return out


class FactorizedReduce(nn.Module):
    """Half the resolution without loss of positions: two strided 1x1 convolutions, the second one pixel further on."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.even = nn.Conv2d(inputs, outputs // 2, 1, 2, bias=False)
        self.odd = nn.Conv2d(inputs, outputs - outputs // 2, 1, 2, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the feature map, ``[batch, outputs, ceil(height / 2), ceil(width / 2)]``."""
        x = torch.relu(x)
        shifted = functional.pad(x, (0, 1, 0, 1))[:, :, 1:, 1:]  # padded, so that odd sizes fit as well
        out: torch.Tensor = self.norm(torch.cat([self.even(x), self.odd(shifted)], 1))
        return out


class Pool(nn.Module):
    """The "max" or "mean" of each position's 3x3 neighbours, those outside the map left out."""

    def __init__(self, kind: str, stride: int = 1) -> None:
        super().__init__()
        mean = nn.AvgPool2d(3, stride, 1, count_include_pad=False)
        self.pool: nn.Module = nn.MaxPool2d(3, stride, 1) if kind == "max" else mean

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the pooled map."""
        out: torch.Tensor = self.pool(x)
        return out


class DartsEdge(nn.Module):
    """An operation, and from which of the states before it takes its input."""

    def __init__(self, source: int, operation: nn.Module) -> None:
        super().__init__()
        self.source, self.operation = source, operation

    def forward(self, states: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return the operation's result."""
        out: torch.Tensor = self.operation(states[self.source])
        return out


class DartsCell(nn.Module):
    """Nodes that each add up their edges, after the two inputs have been brought to one shape; all nodes are joined."""

    added = True  # what is in one list is added up, so a search may weigh lists against each other

    def __init__(self, first: nn.Module, second: nn.Module, *nodes: Sequence[nn.Module]) -> None:
        super().__init__()
        self.first, self.second = first, second
        self.nodes = nn.ModuleList(nn.ModuleList(edges) for edges in nodes)

    def forward(self, before: torch.Tensor, last: torch.Tensor) -> torch.Tensor:
        """Return the nodes' states, one after the other along the channels."""
        states = [self.first(before), self.second(last)]
        for edges in self.nodes:
            total = edges[0](states)  # type: ignore[index]
            for edge in list(edges)[1:]:  # type: ignore[call-overload]
                total = total + edge(states)
            states.append(total)
        return torch.cat(states[2:], 1)


class DartsNetwork(nn.Module):
    """One or two stems, cells that each see the results of the two before, and a head."""

    def __init__(self, stems: Sequence[nn.Module], cells: Sequence[nn.Module], head: nn.Module) -> None:
        super().__init__()
        self.stems, self.cells, self.head = nn.ModuleList(stems), nn.ModuleList(cells), head

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits, ``[batch, outputs]``."""
        before = self.stems[0](x)
        last = before
        for stem in list(self.stems)[1:]:
            last = stem(last)
        for cell in self.cells:
            before, last = last, cell(before, last)
        out: torch.Tensor = self.head(last)
        return out
