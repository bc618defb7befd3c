"""Batched augmentation of images on the device they lie on, without a loop over samples."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor

__all__ = ["augment", "cutout", "mix", "shift_flip"]


def augment(x: Tensor, names: Collection[str], generator: torch.Generator, fill: float = 0.0) -> Tensor:
    """Return the images ``x`` ``[B, C, H, W]`` (any dtype, usually uint8) augmented by what ``names`` lists.

    ``"shift"`` moves by up to a twelfth of the side (2 pixels of 28), ``"flip"`` mirrors left and right half of
    the time, ``"cutout"`` covers a square of a third of the side with ``fill``. ``generator`` lives on the device of
    ``x``.
    """
    side = min(x.shape[-2:])
    shift = max(1, round(side / 12)) if "shift" in names else 0
    if shift or "flip" in names:
        x = shift_flip(x, shift, "flip" in names, generator)
    if "cutout" in names:
        x = cutout(x, max(1, side // 3), fill, generator)
    return x


def shift_flip(x: Tensor, shift: int, flip: bool, generator: torch.Generator) -> Tensor:
    """Return each image moved by up to ``shift`` pixels per axis and, if ``flip``, mirrored half of the time.

    Pixels from beyond the border are reflected. Shift and flip only say which source pixel each target pixel shows,
    so both together are one gather.
    """
    batch, channels, height, width = x.shape
    device = x.device
    moves = torch.randint(-shift, shift + 1, (2, batch, 1), generator=generator, device=device)
    rows = _reflect(torch.arange(height, device=device) + moves[0], height)
    columns = _reflect(torch.arange(width, device=device) + moves[1], width)
    if flip:
        mirrored = torch.randint(0, 2, (batch, 1), generator=generator, device=device, dtype=torch.bool)
        columns = torch.where(mirrored, width - 1 - columns, columns)
    source = (rows[:, :, None] * width + columns[:, None, :]).view(batch, 1, -1)
    return x.flatten(2).gather(2, source.expand(-1, channels, -1)).view(x.shape)


def cutout(x: Tensor, size: int, fill: float, generator: torch.Generator) -> Tensor:
    """Return each image with one square of ``size`` pixels covered by ``fill`` (DeVries and Taylor, 2017).

    The square's centre is uniform over the image, so that squares may reach over the border.
    """
    batch, _, height, width = x.shape
    spots = torch.rand((2, batch, 1), generator=generator, device=x.device)
    rows = torch.arange(height, device=x.device) - (spots[0] * height).floor() + size // 2
    columns = torch.arange(width, device=x.device) - (spots[1] * width).floor() + size // 2
    covered = ((rows >= 0) & (rows < size))[:, :, None] & ((columns >= 0) & (columns < size))[:, None, :]
    return x.masked_fill(covered[:, None], int(fill) if not x.is_floating_point() else fill)


def mix(x: Tensor, most: float, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Return ``x`` (floating point, ``[B, ...]``) blended with another order of itself, that order, and the share.

    Mixup (Zhang et al., 2018), one share per batch, uniform in ``0 .. most`` instead of Beta-distributed. The loss is
    to be blended by the same share with the loss under the partners' targets.
    """
    order = torch.randperm(len(x), generator=generator, device=x.device)
    share = torch.rand((), generator=generator, device=x.device) * most
    return torch.lerp(x, x[order], share.to(x.dtype)), order, share


def _reflect(index: Tensor, size: int) -> Tensor:
    """Fold indices from beyond ``0 .. size - 1`` back inside; a shift is always smaller than the side."""
    index = index.abs()
    return torch.where(index >= size, 2 * (size - 1) - index, index).clamp_(0, size - 1)
