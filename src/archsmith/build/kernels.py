"""Learned kernel transforms: a small kernel is the centre of a large one, times a matrix (OFA, Cai et al., 2020).

A 7x7 kernel becomes a 5x5 one by its centre and a matrix of 25x25, and that a 3x3 one by its centre and one of 9x9: the
same matrices for all channels of a layer, at first the identity, so that nothing changes until they learn.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from archsmith.build.places import Place

__all__ = ["Matrix", "cut_kernel", "kernel_steps", "write_kernel"]

Matrix = Callable[[int], Tensor]
"""From a kernel's size to the matrix that makes it from the centre of the next larger one."""


def kernel_steps(place: Place, shared: Tensor) -> list[int]:
    """Return the sizes on the way from the shared tensor's kernel down to the place's, without the first.

    Empty where the kernel is whole, is none, or is not as wide as it is high.
    """
    small, large = ({sizes[axis] for axis in place.layout.centred} for sizes in (place.layout.sizes, shared.shape))
    if not place.learned or len(small) != 1 or len(large) != 1:
        return []
    return list(range(large.pop() - 2, small.pop() - 1, -2))


def cut_kernel(place: Place, shared: Tensor, matrix: Matrix) -> Tensor:
    """Return the place's part of the bank's tensor as ``Place.cut`` does, with every step down multiplied."""
    steps = kernel_steps(place, shared)
    if not steps:
        return place.cut(shared)
    value = _with_kernel(place, shared.shape).region(shared)
    for size in steps:
        value = _multiplied(_centre(place, value, size), matrix(size), len(place.layout.centred))
    return value.reshape(place.tensor.shape).contiguous()


@torch.no_grad()
def write_kernel(place: Place, shared: Tensor, value: Tensor, matrix: Matrix) -> None:
    """Change the bank's tensor so that ``cut_kernel`` returns ``value``; the rest of the larger kernels stays."""
    steps, wanted = kernel_steps(place, shared), value.detach().reshape(place.layout.sizes).to(shared)
    if not steps:
        place.region(shared).copy_(wanted)
        return
    levels, axes = [_with_kernel(place, shared.shape).region(shared)], len(place.layout.centred)
    for size in steps:
        levels.append(_multiplied(_centre(place, levels[-1], size), matrix(size), axes))
    for level, size in zip(reversed(levels[:-1]), reversed(steps), strict=True):
        flat = wanted.flatten(-axes)
        solved = torch.linalg.solve(matrix(size), flat.reshape(-1, flat.shape[-1]), left=False)
        _centre(place, level, size).copy_(solved.view_as(wanted))
        wanted = level


def _with_kernel(place: Place, full: torch.Size) -> Place:
    """Return the place as if its kernel were that of the whole tensor."""
    sizes = tuple(full[a] if a in place.layout.centred else s for a, s in enumerate(place.layout.sizes))
    return replace(place, layout=replace(place.layout, sizes=sizes))


def _centre(place: Place, value: Tensor, size: int) -> Tensor:
    for axis in place.layout.centred:
        value = value.narrow(axis, (value.shape[axis] - size) // 2, size)
    return value


def _multiplied(value: Tensor, matrix: Tensor, axes: int) -> Tensor:
    assert len(matrix) == math.prod(value.shape[-axes:])
    return (value.flatten(-axes) @ matrix).view(value.shape)
