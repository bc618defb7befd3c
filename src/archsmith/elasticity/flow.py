"""Following channels through a traced network: which axis of which tensor must have which width."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, fx, nn

from archsmith.elasticity.widths import Axis, Width, pin, resolve, size_of, unify

__all__ = ["Flow", "Labels", "Stored"]

Labels = tuple[Axis | None, ...]
"""For each axis of a tensor the channels along it; None where they are none of our business: batch, height, time."""


@dataclass(frozen=True)
class Stored:
    """One axis of a parameter or buffer, by the first name it has in the network.

    ``reads`` tells that the layer reads these channels, rather than making or scaling them.
    """

    tensor: str
    dim: int
    axis: Axis
    reads: bool


@dataclass
class Flow:
    """What is found while the nodes are visited in order.

    ``sizes`` are the constructor arguments that depend on widths: by path of the module and name of the argument.
    ``stored`` are the axes of the network's tensors, by name and dimension. ``labels`` are the nodes' own.
    """

    model: nn.Module
    sizes: dict[tuple[str, str], Axis] = field(default_factory=dict)
    stored: dict[tuple[str, int], Stored] = field(default_factory=dict)
    labels: dict[fx.Node, Any] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)
    _count: int = 0
    _names: Mapping[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        tensors = [*self.model.named_parameters(), *self.model.named_buffers()]
        self._names = {id(tensor): name for name, tensor in tensors}

    def new(self, size: int, name: str, fixed: str = "") -> Axis:
        """Return an axis of one new width."""
        self._count += 1
        return ((Width(size, self._count, name, fixed=fixed), 1),)

    def own(self, path: str, argument: str, size: int, name: str = "") -> Axis:
        """Return the axis of a size that a module has for itself, the same at every call."""
        if (path, argument) not in self.sizes:
            self.sizes[path, argument] = self.new(size, name or path)
        return self.sizes[path, argument]

    def given(self, path: str, argument: str, label: Axis | None, size: int) -> Axis:
        """Note that an argument of a module is the size of what it is given; return that axis."""
        axis = self.solid(label, size)
        unify(self.sizes.setdefault((path, argument), axis), axis, path)
        return axis

    def solid(self, label: Axis | None, size: int) -> Axis:
        """Return the axis itself, or a fixed one where there is none."""
        return (
            self.new(size, "", "it comes from the input, or from a layer that cannot vary") if label is None else label
        )

    def keep(self, path: str, name: str, axes: Sequence[Axis | None], reads: int | None = None) -> None:
        """Note the axes of a tensor of a module, if it has that tensor; None for one that is not of channels."""
        tensor = _reach(self.model, path, name)
        if not isinstance(tensor, Tensor):
            return
        first = self._names[id(tensor)]
        for dim, axis in enumerate(axes):
            if axis is not None:
                kept = self.stored.setdefault((first, dim), Stored(first, dim, axis, dim == reads))
                unify(kept.axis, axis, path)

    # What operations have in common.

    def together(self, tensors: Sequence[tuple[Labels, Sequence[int]]], where: str) -> Labels:
        """Return the labels of what an elementwise operation makes of tensors, given as labels and shape."""
        rank = max(len(shape) for _, shape in tensors)
        result: list[Axis | None] = []
        for back in range(rank, 0, -1):
            here = [(labels[-back], shape[-back]) for labels, shape in tensors if len(shape) >= back]
            wide = [(label, size) for label, size in here if size > 1] or here
            axes = [label for label, _ in wide if label is not None]
            for axis in axes[1:]:
                unify(axes[0], axis, where)
            if axes and len(axes) < len(wide):
                pin(axes[0], f"it meets something of fixed size at {where}")
            result.append(axes[0] if axes else None)
        return tuple(result)

    def pin_all(self, labels: Any, reason: str) -> None:
        """Pin every axis in the labels of a tensor, or of a sequence of tensors."""
        if isinstance(labels, list):
            for one in labels:
                self.pin_all(one, reason)
        elif labels is not None:
            for axis in labels:
                if axis is not None:
                    pin(axis, reason)

    def reshaped(
        self, labels: Labels, before: Sequence[int], after: Sequence[int], written: Callable[[int], bool], where: str
    ) -> Labels:
        """Return the labels after a change of shape that keeps the order of numbers.

        Channels may be merged with what comes after them, and split off again. ``written(i)`` tells that the size of
        axis ``i`` stands as a number in the code.
        """
        result: list[Axis | None] = [None] * len(after)
        for ins, outs in _blocks(before, after):
            labelled = [i for i in ins if labels[i] is not None]
            if not labelled or not outs:
                continue
            axis = labels[labelled[0]]
            assert axis is not None
            inner = math.prod(after[j] for j in outs[1:])
            if len(labelled) > 1 or labelled[0] != ins[0] or (len(ins) > 1 and len(outs) > 1):
                for i in labelled:
                    pin(labels[i] or (), f"it is mixed with other axes at {where}")
            elif len(outs) == 1:
                rest = math.prod(before[i] for i in ins[1:])
                result[outs[0]] = tuple((width, each * rest) for width, each in resolve(axis))
            else:
                if len(parts := resolve(axis)) == 1 and parts[0][1] % inner:
                    unify(axis, tuple((w, inner) for w, _ in self.new(size_of(axis) // inner, "")), where)
                if all(each % inner == 0 for _, each in resolve(axis)):
                    result[outs[0]] = tuple((width, each // inner) for width, each in resolve(axis))
                else:
                    pin(axis, f"it is split at {where}")
        for j, label in enumerate(result):
            if label is not None and written(j):
                pin(label, f"its size is written as the number {after[j]} at {where}; write -1 or compute it")
        return tuple(result)


def _blocks(before: Sequence[int], after: Sequence[int]) -> list[tuple[list[int], list[int]]]:
    """Return the smallest runs of axes of equal size before and after, axes of size 1 left out."""
    ins = [i for i, size in enumerate(before) if size > 1]
    outs = [j for j, size in enumerate(after) if size > 1]
    found = []
    while ins or outs:
        taken, given = [ins.pop(0)], [outs.pop(0)]
        while (a := math.prod(before[i] for i in taken)) != (b := math.prod(after[j] for j in given)):
            if a < b:
                taken.append(ins.pop(0))
            else:
                given.append(outs.pop(0))
        found.append((taken, given))
    return found


def _reach(model: nn.Module, path: str, name: str) -> Any:
    found: Any = model.get_submodule(path)
    for step in name.split("."):
        found = getattr(found, step, None)
    return found
