"""Plain PyTorch blocks that the ready-made spaces are made of.

Every class here needs nothing but torch and, at most, its neighbours in this file: the text of the classes a found
network uses is printed into the file that is shipped, so that it runs where this project is not installed.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

__all__ = [
    "AveragePool3x3",
    "Cell",
    "CellDownsample",
    "Classifier",
    "ConvNormAct",
    "FeatureLinear",
    "InvertedBottleneck",
    "Motif",
    "PeriodicEncoding",
    "PlainBlock",
    "ReluConvNorm",
    "ResidualLinearBlock",
    "Shortcut",
    "SqueezeExcite",
    "TableHead",
    "TableStem",
    "Zero",
    "activation_layer",
    "embedding_size",
]


# Images --------------------------------------------------------------------------------------------------------------


def activation_layer(name: str) -> nn.Module:
    """Return a fresh activation: "relu", "hardswish", "silu" or "gelu". Raises KeyError for any other name."""
    kinds = {"relu": nn.ReLU, "hardswish": nn.Hardswish, "silu": nn.SiLU, "gelu": nn.GELU}
    layer: nn.Module = kinds[name]()
    return layer


class ConvNormAct(nn.Module):
    """A convolution, batch normalisation and an activation ("none" leaves it out); same padding.

    ``[batch, inputs, height, width]`` to ``[batch, outputs, ceil(height / stride), ceil(width / stride)]``.
    With ``residual`` the input is added to the result where the shapes allow it.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 3,
        stride: int = 1,
        groups: int = 1,
        activation: str = "relu",
        residual: bool = False,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.act = nn.Identity() if activation == "none" else activation_layer(activation)
        self.residual = residual and inputs == outputs and stride == 1
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the feature map."""
        out: torch.Tensor = self.act(self.norm(self.conv(x)))
        return x + out if self.residual else out


class SqueezeExcite(nn.Module):
    """Weigh each channel by a gate computed from the mean of all channels (Hu et al. 2018); the shape stays."""

    def __init__(self, channels: int, ratio: int = 4) -> None:
        super().__init__()
        hidden = max(8, channels // ratio)
        self.reduce = nn.Conv2d(channels, hidden, 1)
        self.expand = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``x`` times its gates."""
        gate = torch.relu(self.reduce(x.mean((2, 3), keepdim=True)))
        return x * torch.sigmoid(self.expand(gate))


class Shortcut(nn.Module):
    """The cheapest change of resolution and width: average pooling by ``stride``, then a 1x1 convolution and a norm.

    Identity where neither changes. Pooling first keeps what a strided 1x1 convolution would drop (He et al. 2019).
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        steps: list[nn.Module] = []
        if stride > 1:
            steps.append(nn.AvgPool2d(stride, stride, ceil_mode=True, count_include_pad=False))
        if stride > 1 or inputs != outputs:
            conv = nn.Conv2d(inputs, outputs, 1, bias=False)
            nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="linear")
            steps += [conv, nn.BatchNorm2d(outputs)]
        self.steps = nn.Sequential(*steps)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the feature map, ``[batch, outputs, ceil(height / stride), ceil(width / stride)]``."""
        out: torch.Tensor = self.steps(x)
        return out


class PlainBlock(nn.Module):
    """Two plain convolutions with a shortcut around them, the residual block of He et al. 2016.

    The last normalisation starts at zero where the shortcut is the identity, so that a deep network starts as a
    shallow one (Goyal et al. 2017).
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 3,
        stride: int = 1,
        activation: str = "relu",
        squeeze_excite: bool = False,
        zero_init: bool = True,
    ) -> None:
        super().__init__()
        self.first = ConvNormAct(inputs, outputs, kernel, stride, activation=activation)
        self.second = ConvNormAct(outputs, outputs, kernel, activation="none")
        self.gate = SqueezeExcite(outputs) if squeeze_excite else nn.Identity()
        self.shortcut = Shortcut(inputs, outputs, stride)
        self.act = activation_layer(activation)
        if zero_init and inputs == outputs and stride == 1:
            nn.init.zeros_(self.second.norm.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the feature map, ``[batch, outputs, ceil(height / stride), ceil(width / stride)]``."""
        out: torch.Tensor = self.act(self.shortcut(x) + self.gate(self.second(self.first(x))))
        return out


class InvertedBottleneck(nn.Module):
    """Widen by a 1x1 convolution, filter each channel alone, narrow again (MobileNetV2, Sandler et al. 2018).

    ``inputs * expansion`` channels inside; with ``expansion`` 1 the first convolution is left out. The input is added
    to the result where the shapes allow it.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        expansion: int = 4,
        kernel: int = 3,
        stride: int = 1,
        activation: str = "relu",
        squeeze_excite: bool = False,
        zero_init: bool = True,
    ) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.widen = nn.Identity() if expansion == 1 else ConvNormAct(inputs, hidden, 1, activation=activation)
        self.filter = ConvNormAct(hidden, hidden, kernel, stride, groups=hidden, activation=activation)
        self.gate = SqueezeExcite(hidden) if squeeze_excite else nn.Identity()
        self.narrow = ConvNormAct(hidden, outputs, 1, activation="none")
        self.residual = inputs == outputs and stride == 1
        if zero_init and self.residual:
            nn.init.zeros_(self.narrow.norm.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the feature map, ``[batch, outputs, ceil(height / stride), ceil(width / stride)]``."""
        out: torch.Tensor = self.narrow(self.gate(self.filter(self.widen(x))))
        return x + out if self.residual else out


class Classifier(nn.Module):
    """The mean over all positions, dropout and a linear layer: ``[batch, inputs, height, width]`` to logits."""

    def __init__(self, inputs: int, outputs: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(inputs, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits, ``[batch, outputs]``."""
        out: torch.Tensor = self.linear(self.dropout(x.mean((2, 3))))
        return out


# The cell of NAS-Bench-201 (Dong & Yang 2020) ------------------------------------------------------------------------


class Zero(nn.Module):
    """The edge that is not there: zeros of the input's shape."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return zeros."""
        return torch.zeros_like(x)


class AveragePool3x3(nn.Module):
    """The mean of each position's 3x3 neighbours, those outside the map left out; the shape stays."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(3, 1, 1, count_include_pad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the smoothed map."""
        out: torch.Tensor = self.pool(x)
        return out


class ReluConvNorm(nn.Module):
    """ReLU, then a convolution, then batch normalisation, in the order of NAS-Bench-201; same padding."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the feature map."""
        out: torch.Tensor = self.norm(self.conv(torch.relu(x)))
        return out


class Cell(nn.Module):
    """Four nodes joined by six edge modules, each node the sum of its incoming edges; the shape stays.

    The edges come in the order 0-1, 0-2, 1-2, 0-3, 1-3, 2-3. Node 0 is the input, node 3 the output.
    """

    wiring = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))  # predictors read paths from it

    def __init__(
        self,
        edge01: nn.Module,
        edge02: nn.Module,
        edge12: nn.Module,
        edge03: nn.Module,
        edge13: nn.Module,
        edge23: nn.Module,
    ) -> None:
        super().__init__()
        self.edge01, self.edge02, self.edge12 = edge01, edge02, edge12
        self.edge03, self.edge13, self.edge23 = edge03, edge13, edge23

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the output node's feature map."""
        one = self.edge01(x)
        two = self.edge02(x) + self.edge12(one)
        out: torch.Tensor = self.edge03(x) + self.edge13(one) + self.edge23(two)
        return out


class Motif(nn.Module):
    """A graph whose edges are modules, each node the sum of its incoming edges; the shape stays.

    The edges come in the order 0-1, 0-2, 1-2, 0-3, ...: by the node where they end. Node 0 is the input, the last node
    the output. There are 3, 6 or 10 of them for 3, 4 or 5 nodes.
    """

    def __init__(self, *edges: nn.Module) -> None:
        super().__init__()
        self.edges = nn.ModuleList(edges)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the output node's feature map."""
        nodes, place = [x], 0
        while place < len(self.edges):
            total = self.edges[place](nodes[0])
            for source in range(1, len(nodes)):
                total = total + self.edges[place + source](nodes[source])
            place += len(nodes)
            nodes.append(total)
        return nodes[-1]


class CellDownsample(nn.Module):
    """The residual block between NAS-Bench-201's stages: half the resolution, another width."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = ReluConvNorm(inputs, outputs, 3, 2)
        self.second = ReluConvNorm(outputs, outputs, 3)
        # ceil_mode changes nothing for even sizes and keeps odd ones in step with the strided convolution.
        self.pool = nn.AvgPool2d(2, 2, ceil_mode=True, count_include_pad=False)
        self.project = nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the feature map, ``[batch, outputs, ceil(height / 2), ceil(width / 2)]``."""
        out: torch.Tensor = self.project(self.pool(x)) + self.second(self.first(x))
        return out


# Tables --------------------------------------------------------------------------------------------------------------


def embedding_size(cardinality: int, largest: int) -> int:
    """Return how many numbers stand for a category: half its count of codes, at least 1, at most ``largest``."""
    return max(1, min(largest, (cardinality + 1) // 2))


class PeriodicEncoding(nn.Module):
    """Write each number as cosines and sines of learned frequencies (Gorishniy et al. 2022).

    ``[batch, features]`` to ``[batch, features, 2 * frequencies]``; the frequencies start normal with deviation
    ``scale``.
    """

    def __init__(self, features: int, frequencies: int, scale: float) -> None:
        super().__init__()
        self.frequency = nn.Parameter(torch.randn(features, frequencies) * scale)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the waves."""
        angle = 6.2831853 * self.frequency * x.unsqueeze(-1)
        return torch.cat([torch.cos(angle), torch.sin(angle)], -1)


class FeatureLinear(nn.Module):
    """A linear layer of its own for every feature: ``[batch, features, inputs]`` to ``[batch, features, outputs]``."""

    def __init__(self, features: int, inputs: int, outputs: int) -> None:
        super().__init__()
        bound = inputs**-0.5
        self.weight = nn.Parameter(torch.empty(features, inputs, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(features, outputs).uniform_(-bound, bound))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return each feature's own projection."""
        return torch.matmul(x.transpose(0, 1), self.weight).transpose(0, 1) + self.bias


class TableStem(nn.Module):
    """Numbers and category codes to one vector: ``[batch, numeric + len(cardinalities)]`` to ``[batch, outputs]``.

    The first ``numeric`` features are numbers, taken as they are or, with ``frequencies``, as that many waves each
    (``PeriodicEncoding``) that a linear layer of the number's own turns into ``numeric_size`` values. The others are
    codes, embedded in ``embedding_size(cardinality, largest)`` values each; a code that cannot be counts as 0. A
    linear layer joins all.
    """

    def __init__(
        self,
        numeric: int,
        cardinalities: Sequence[int],
        outputs: int,
        largest: int = 16,
        frequencies: int = 0,
        numeric_size: int = 8,
        scale: float = 0.1,
    ) -> None:
        super().__init__()
        self.numeric = numeric
        self.encode: nn.Module = nn.Identity()
        joined = numeric
        if numeric and frequencies:
            waves = PeriodicEncoding(numeric, frequencies, scale)
            project = FeatureLinear(numeric, 2 * frequencies, numeric_size)
            self.encode = nn.Sequential(waves, project, nn.ReLU(), nn.Flatten())
            joined = numeric * numeric_size
        self.limits = [int(c) for c in cardinalities]
        self.embed = nn.ModuleList(nn.Embedding(c, embedding_size(c, largest)) for c in self.limits)
        self.join = nn.Linear(joined + sum(embedding_size(c, largest) for c in self.limits), outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return one vector for each row."""
        parts: list[torch.Tensor] = []
        if self.numeric:
            parts.append(self.encode(x[:, : self.numeric]))
        for i, embed in enumerate(self.embed):
            code = x[:, self.numeric + i]
            known = (code >= 0) & (code < self.limits[i])
            parts.append(embed(torch.where(known, code, torch.zeros_like(code)).long()))
        out: torch.Tensor = self.join(torch.cat([p.to(x.dtype) for p in parts], 1))
        return out


class ResidualLinearBlock(nn.Module):
    """Norm, linear, activation, dropout, linear, dropout, added to the input (the ResNet of Gorishniy et al. 2021).

    ``[batch, width]`` to the same shape; ``norm`` is one of vectors of ``width`` values.
    """

    def __init__(self, width: int, hidden: int, norm: nn.Module, activation: nn.Module, dropout: float = 0.0) -> None:
        super().__init__()
        self.norm = norm
        self.widen = nn.Linear(width, hidden)
        self.act = activation
        self.dropout = nn.Dropout(dropout)
        self.narrow = nn.Linear(hidden, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the input plus what the block has to add."""
        out: torch.Tensor = self.dropout(self.narrow(self.dropout(self.act(self.widen(self.norm(x))))))
        return x + out


class TableHead(nn.Module):
    """Norm, activation, dropout and a linear layer: ``[batch, width]`` to ``[batch, outputs]``."""

    def __init__(self, width: int, outputs: int, norm: nn.Module, activation: nn.Module, dropout: float = 0.0) -> None:
        super().__init__()
        self.norm = norm
        self.act = activation
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(width, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits, or the prediction for regression."""
        out: torch.Tensor = self.linear(self.dropout(self.act(self.norm(x))))
        return out
