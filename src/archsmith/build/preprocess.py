"""The first and last modules of a shipped network: from what a person has to what the network takes, and back.

Each class is plain PyTorch, needs nothing but ``torch`` and ``nn``, exports with a dynamic batch, and its ``repr`` is
the Python expression that makes it again.
"""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["PixelNormalize", "TableNormalize", "Unstandardize"]


class PixelNormalize(nn.Module):
    """Turn pixels 0 to 255, uint8 or float ``[B, C, H, W]``, into float32 ``(x / 255 - mean) / std`` per channel."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, mean: list[float], std: list[float]) -> None:
        super().__init__()
        self.arguments = f"mean={list(mean)!r}, std={list(std)!r}"
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(1, -1, 1, 1))

    def extra_repr(self) -> str:
        """Return the constructor's arguments."""
        return self.arguments

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the normalised image, float32, same shape."""
        return (x.to(torch.float32) / 255.0 - self.mean) / self.std


class TableNormalize(nn.Module):
    """Turn raw rows, float32 ``[B, columns]`` with NaN for missing, into float32 ``[B, features]``.

    The features are, in this order: one per ``numeric`` column, scaled, 0 where missing; with ``pieces``, one per piece
    between two knots, from -1 below it to 1 above it, 0 where missing, for each column of more than one piece; one per
    column in ``indicators``, 1 where it is missing; one per ``categorical`` column, its code, 0 where missing or not in
    ``[0, cardinality)``. A numeric column is standardised with its ``mean`` and ``std`` and held within 10 deviations,
    or, where ``knots`` has positions for it, mapped piecewise linearly from knots to ``levels`` and held at the ends:
    with quantiles as knots, heavy tails cannot drown the rest. The pieces let a network see thresholds at once
    (piecewise linear encoding, Gorishniy et al., 2022).
    """

    left: torch.Tensor
    width: torch.Tensor
    unit: torch.Tensor
    rise: torch.Tensor
    start: torch.Tensor
    chosen: torch.Tensor
    limit: torch.Tensor
    numeric: torch.Tensor
    indicators: torch.Tensor
    categorical: torch.Tensor

    def __init__(
        self,
        numeric: list[int],
        categorical: list[int],
        mean: list[float],
        std: list[float],
        cardinalities: list[int],
        indicators: list[int] | None = None,
        knots: list[list[float]] | None = None,
        levels: list[list[float]] | None = None,
        pieces: bool = False,
    ) -> None:
        super().__init__()
        given = [list(k) for k in knots or []] or [[] for _ in numeric]
        reached = [list(v) for v in levels or []] or [[] for _ in numeric]
        self.arguments = (
            f"numeric={list(numeric)!r}, categorical={list(categorical)!r}, mean={list(mean)!r}, std={list(std)!r}, "
            f"cardinalities={list(cardinalities)!r}, indicators={list(indicators or [])!r}, "
            f"knots={given!r}, levels={reached!r}, pieces={pieces!r}"
        )
        self.has_numeric, self.has_indicators = bool(numeric), bool(indicators)
        self.has_categorical = bool(categorical)
        # Standardising is the same map with two knots, so one piecewise formula serves every column.
        ends = [k or [m - 10.0 * s, m + 10.0 * s] for k, m, s in zip(given, mean, std, strict=True)]
        values = [v or [-10.0, 10.0] for v in reached]
        most = max([len(k) - 1 for k in ends], default=1)
        left = torch.zeros(len(ends), most, dtype=torch.float64)
        width, rise = torch.zeros_like(left), torch.zeros_like(left)
        for row, (k, v) in enumerate(zip(ends, values, strict=True)):
            x, y = torch.tensor(k, dtype=torch.float64), torch.tensor(v, dtype=torch.float64)
            left[row, : len(k) - 1], width[row, : len(k) - 1] = x[:-1], x.diff()
            rise[row, : len(k) - 1] = y.diff() / 2.0
        self.register_buffer("left", left.to(torch.float32))
        self.register_buffer("width", width.to(torch.float32))
        # Half a piece, so that reach / unit runs from 0 to 2; 1 where a column has fewer pieces.
        self.register_buffer("unit", torch.where(width > 0, width / 2.0, torch.ones_like(width)).to(torch.float32))
        self.register_buffer("rise", rise.to(torch.float32))
        chosen = [row * most + i for row, k in enumerate(ends) if len(k) > 2 for i in range(len(k) - 1)]
        self.has_pieces = pieces and bool(chosen)
        self.register_buffer("chosen", torch.tensor(chosen if pieces else [], dtype=torch.int64))
        self.register_buffer("start", torch.tensor([v[0] for v in values], dtype=torch.float32))
        self.register_buffer("limit", torch.tensor(cardinalities, dtype=torch.float32))
        self.register_buffer("numeric", torch.tensor(numeric, dtype=torch.int64))
        self.register_buffer("indicators", torch.tensor(indicators or [], dtype=torch.int64))
        self.register_buffer("categorical", torch.tensor(categorical, dtype=torch.int64))

    def extra_repr(self) -> str:
        """Return the constructor's arguments."""
        return self.arguments

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the features of raw rows."""
        parts = []
        if self.has_numeric:
            raw = torch.index_select(x, 1, self.numeric)
            missing = torch.isnan(raw)
            filled = torch.where(missing, torch.zeros_like(raw), raw)
            # How far a value reaches into each piece tells its level: no search, so every exporter knows it.
            reach = torch.minimum(torch.relu(filled.unsqueeze(2) - self.left), self.width) / self.unit
            parts.append(torch.where(missing, torch.zeros_like(raw), self.start + (reach * self.rise).sum(2)))
            if self.has_pieces:
                share = torch.where(missing.unsqueeze(2), torch.zeros_like(reach), reach - 1.0)
                parts.append(torch.index_select(share.flatten(1), 1, self.chosen))
        if self.has_indicators:
            parts.append(torch.isnan(torch.index_select(x, 1, self.indicators)).to(torch.float32))
        if self.has_categorical:
            codes = torch.index_select(x, 1, self.categorical)
            known = (codes >= 0) & (codes < self.limit)  # NaN fails both comparisons
            parts.append(torch.where(known, codes, torch.zeros_like(codes)))
        return torch.cat(parts, 1)


class Unstandardize(nn.Module):
    """Turn a standardised regression output ``[B, 1]`` into the target's own unit: ``x * std + mean``."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, mean: float, std: float) -> None:
        super().__init__()
        self.arguments = f"mean={float(mean)!r}, std={float(std)!r}"
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32))

    def extra_repr(self) -> str:
        """Return the constructor's arguments."""
        return self.arguments

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the output in the target's unit, same shape."""
        return x * self.std + self.mean
