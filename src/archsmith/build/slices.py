"""How a parameter of a smaller network lies inside the same parameter of a larger one.

A rule reads a leaf's parameter as a box whose every axis is cut from the front (channels) or from the middle (kernels).
A class says its own by a method ``__slices__(self, name, shape)`` that returns what a rule returns. It then holds
wherever weights are shared: in a bank, when one is read from its folder, carried over or inherited from.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from torch import Tensor, nn

from archsmith.errors import SpaceError

__all__ = ["RULES", "Layout", "Rule", "layout", "region", "union"]


@dataclass(frozen=True)
class Layout:
    """The box as which a parameter is kept: its sizes, and which of its axes are cut from the middle.

    ``sizes`` multiply to the parameter's count of numbers, in its order: a fused axis of three projections and so many
    heads is written as ``(3, heads, ...)``, so that each is cut in its own place. Parameters of different ``kind``
    share nothing.
    """

    sizes: tuple[int, ...]
    centred: frozenset[int] = frozenset()
    kind: str = ""


Rule = Callable[[nn.Module, str, tuple[int, ...]], Layout | None]
"""From a module, the name of a parameter in or below it and the parameter's shape to its layout.

None leaves the parameter to the rules of the modules below, and in the end to the plain one: every axis is cut from the
front.
"""


def layout(chain: list[tuple[nn.Module, str]], shape: tuple[int, ...], rules: Mapping[type, Rule]) -> Layout:
    """Return the layout of a parameter of this shape.

    ``chain`` holds the modules around the parameter from the outside in, each with the parameter's name in it. The
    outermost module that has a rule which does not pass decides. Of its classes the most derived one with a rule is
    asked first; what ``rules`` has for a class goes before what the class declares. Raises ``SpaceError`` for a box of
    another size than the parameter.
    """
    for module, name in chain:
        for kind in type(module).__mro__:
            rule = rules[kind] if kind in rules else vars(kind).get("__slices__")
            found = None if rule is None else rule(module, name, shape)
            if found is not None:
                if math.prod(found.sizes) != math.prod(shape):
                    raise SpaceError(
                        f"The rule of {kind.__name__} reads its {name} of shape {list(shape)} as a box of "
                        f"{list(found.sizes)}, which holds {math.prod(found.sizes)} numbers and not "
                        f"{math.prod(shape)}. The sizes of a Layout must multiply to the parameter's count of numbers."
                    )
                return found
    return Layout(shape)


def region(shared: Tensor, kept: Layout) -> Tensor:
    """Return the part of a shared tensor that a layout stands for, as a view. Raises ``SpaceError`` where none is."""
    for axis, (size, full) in enumerate(zip(kept.sizes, shared.shape, strict=True)):
        if size != full:
            centred = axis in kept.centred
            if centred and (full - size) % 2:
                raise SpaceError(
                    f"A kernel of {size} has no place in the middle of one of {full}: of the kernel sizes that share "
                    "weights all must be odd, or all even."
                )
            shared = shared.narrow(axis, (full - size) // 2 if centred else 0, size)
    return shared


def union(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    """Return the sizes of the smallest box that holds both."""
    return tuple(max(x, y) for x, y in zip(a, b, strict=True))


def _convolution(module: nn.Module, name: str, shape: tuple[int, ...]) -> Layout | None:
    """Kernels are cut from the middle; each group is cut on its own."""
    groups = int(module.groups)  # type: ignore[arg-type]
    if name != "weight":  # the bias, or what a parametrisation such as spectral norm makes the weight of
        grouped = groups > 1 and len(shape) == 1 and shape[0] % groups == 0
        return Layout((groups, shape[0] // groups), kind="grouped") if grouped else None
    kernel = shape[2:]
    sizes = (groups, shape[0] // groups, *shape[1:]) if groups > 1 else shape
    first = len(sizes) - len(kernel)
    return Layout(sizes, frozenset(range(first, len(sizes))), "grouped" if groups > 1 else "")


def _recurrent(module: nn.Module, name: str, shape: tuple[int, ...]) -> Layout | None:
    """Gates are stacked along the first axis, and two directions along the second of the layers above the first."""
    if "weight_hr" in name:
        return None
    cell = next(word for word in ("LSTM", "GRU", "RNN") if any(word in kind.__name__ for kind in type(module).__mro__))
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[cell]
    rows = (gates, shape[0] // gates)
    directions = 2 if getattr(module, "bidirectional", False) else 1
    inputs = shape[1:]
    if name.startswith("weight_ih_l") and not name.startswith("weight_ih_l0"):
        inputs = (directions, shape[1] // directions)
    return Layout((*rows, *inputs))


def _attention(module: nn.Module, name: str, shape: tuple[int, ...]) -> Layout | None:
    """Projections are stacked, and each of them is heads of so many features; a smaller one has the first heads."""
    heads, size = int(module.num_heads), int(module.head_dim)  # type: ignore[arg-type]
    if name in ("in_proj_weight", "in_proj_bias"):
        return Layout((3, heads, size, *shape[1:]))
    if name in ("q_proj_weight", "k_proj_weight", "v_proj_weight"):
        return Layout((heads, size, *shape[1:]))
    if name == "out_proj.weight":
        return Layout((shape[0], heads, size))
    if name in ("bias_k", "bias_v"):
        return Layout((1, 1, heads, size))
    return None


RULES: Mapping[type, Rule] = MappingProxyType(
    {
        **dict.fromkeys((nn.Conv1d, nn.Conv2d, nn.Conv3d), _convolution),
        **dict.fromkeys((nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d), _convolution),
        **dict.fromkeys((nn.LSTM, nn.GRU, nn.RNN, nn.LSTMCell, nn.GRUCell, nn.RNNCell), _recurrent),
        nn.MultiheadAttention: _attention,
    }
)
"""The rules for torch's own layers; those not listed (linear, norms, embeddings) are cut from the front."""
