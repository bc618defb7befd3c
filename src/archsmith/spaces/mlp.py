"""Residual networks for tables, with embeddings of numbers and categories (Gorishniy et al. 2021 and 2022)."""

from __future__ import annotations

from typing import Any

from torch import nn

from archsmith.build.blocks import ResidualLinearBlock, TableHead, TableStem
from archsmith.errors import SpaceError
from archsmith.space import Space, call, choice, repeat
from archsmith.spaces.training import training
from archsmith.spec import Spec

__all__ = ["mlp"]

# Waves cost a small layer for each number: they suit a few, not the hundreds that a piecewise encoding makes.
_MOST_WAVES = 64


def mlp(spec: Spec) -> Space:
    """Return the space of residual networks for tables, with its training settings.

    Open are whether numbers, where they are few, are embedded as waves, the size of the categories' embeddings, the
    width, the number of residual blocks and how far they widen inside, the normalisation, the activation and the
    dropout rate, each shared by the whole network.
    Raises ``SpaceError`` for a spec that is not of a table.
    """
    if spec.kind != "table":
        raise SpaceError("The space 'mlp' is for tables, and this task is of images. Use 'mobile' or 'cell'.")
    numeric = spec.input_shape[0] - len(spec.cardinalities)
    width = choice(64, 128, 192, 256, name="width")
    norm = choice(batch=call(nn.BatchNorm1d, width), layer=call(nn.LayerNorm, width), name="norm")
    activation = choice(relu=call(nn.ReLU), silu=call(nn.SiLU), name="activation")
    dropout = choice(0.0, 0.1, 0.2, 0.3, name="dropout")
    embeddings: dict[str, Any] = {}
    if spec.cardinalities:
        embeddings["largest"] = choice(4, 8, 16, name="category_size")
    if 0 < numeric <= _MOST_WAVES:
        embeddings["frequencies"] = choice(0, 16, 32, name="frequencies")
    block = call(ResidualLinearBlock, width, width * choice(1, 2, name="expansion"), norm, activation, dropout)
    return Space(
        model=call(
            nn.Sequential,
            call(TableStem, numeric, list(spec.cardinalities), width, **embeddings),
            repeat([block] * 4, choice(1, 2, 3, 4, name="depth")),
            call(TableHead, width, spec.outputs, norm, activation, dropout),
        ),
        **training(spec),
    )
