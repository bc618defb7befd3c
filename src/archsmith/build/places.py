"""Where each tensor of a built network is kept in the bank."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from archsmith.build.slices import Layout, Rule, layout, region
from archsmith.errors import SpaceError

__all__ = ["Known", "Place", "places"]


@dataclass(frozen=True, eq=False)
class Place:
    """One tensor of a network: each of ``owners`` holds it under a name, and the bank keeps it under ``key``.

    ``names`` are its names in the network, more than one where it is tied, and ``path`` is that of the call that made
    the module it belongs to. ``learned`` tells parameters from running statistics.
    """

    owners: tuple[tuple[nn.Module, str], ...]
    names: tuple[str, ...]
    path: str
    key: str
    layout: Layout
    tensor: Tensor
    learned: bool

    def region(self, shared: Tensor, sizes: tuple[int, ...] | None = None) -> Tensor:
        """Return the place's part of the bank's tensor as a view, or what would be its part if it had ``sizes``."""
        try:
            return region(shared, self.layout if sizes is None else replace(self.layout, sizes=sizes))
        except SpaceError as error:
            raise SpaceError(f"{self.names[0]} (made at {self.path}) cannot be shared. {error}") from error

    def cut(self, shared: Tensor) -> Tensor:
        """Return the place's part of the bank's tensor in the network's shape, contiguous, with gradients.

        Contiguous, so that a network on borrowed slices runs the very kernels of one that has its own. All axes are cut
        by one operation, whose gradient is one more: views of views would each write a gradient of the full size.
        """
        sizes = self.layout.sizes
        if shared.shape != sizes:
            margins: list[int] = []
            for axis in reversed(range(len(sizes))):
                spare = shared.shape[axis] - sizes[axis]
                before = spare // 2 if axis in self.layout.centred else 0
                margins += (-before, before - spare)
            shared = torch.constant_pad_nd(shared, margins)
        return shared.reshape(self.tensor.shape) if self.tensor.shape != sizes else shared

    def lay(self, tensor: Tensor) -> None:
        """Put a tensor where the network has its parameter, whatever its kind: a slice is no leaf but has gradients."""
        for owner, name in self.owners:
            (owner._parameters if self.learned else owner._buffers)[name] = tensor  # type: ignore[assignment]
            if isinstance(owner, nn.RNNBase):  # which also keeps its parameters in a list
                owner._flat_weights[owner._flat_weights_names.index(name)] = tensor


Known = Mapping[int, tuple[Sequence[nn.Module], Sequence[Place]]]
"""By the identity of a module: the modules in it, itself first, and its places with names as seen from it."""


def places(
    network: nn.Module, paths: Mapping[str, str], rules: Mapping[type, Rule], known: Known = MappingProxyType({})
) -> list[Place]:
    """Return where the network's tensors are kept: its parameters, and the running statistics of normalisation.

    ``paths`` names the modules that calls made, as ``build_with_paths`` returns it. A key is the path of the nearest of
    them, the name below it, and the class of the owner, so that a block which holds a convolution in one architecture
    and a norm under the same name in another shares neither. A tensor that is used in several places has one.
    ``known`` is what needs no looking up, as long as nothing was put into it or taken from it since.
    """
    found: dict[int, Place] = {}
    seen: set[int] = set()

    def add(place: Place) -> None:
        before = found.get(id(place.tensor))
        if before is not None:  # tied: the first use counts
            place = replace(before, owners=before.owners + place.owners, names=before.names + place.names)
        found[id(place.tensor)] = place

    def visit(module: nn.Module, name: str, path: str, above: tuple[tuple[nn.Module, int], ...]) -> None:
        if id(module) in seen:  # a module used twice has its first name only
            return
        prefix = f"{name}." if name else ""
        if name in paths:
            path, above = paths[name], ()
        modules, own = known.get(id(module), ((), ()))
        if modules and _untouched(modules, own) and seen.isdisjoint(map(id, modules)):
            seen.update(map(id, modules))
            for place in own:
                names = tuple([prefix + inner for inner in place.names])
                add(Place(place.owners, names, place.path, place.key, place.layout, place.tensor, place.learned))
            return
        seen.add(id(module))
        above = (*above, (module, len(prefix)))
        for inner, tensor in _tensors(module):
            full = prefix + inner
            if is_lazy(tensor):
                raise SpaceError(
                    f"{full} (made at {path}) has no size before the first batch, so it cannot be shared. Write the "
                    "layer with its sizes: nn.Linear(8, 4) in place of nn.LazyLinear(4)."
                )
            kept = layout([(outer, full[skip:]) for outer, skip in above], tuple(tensor.shape), rules)
            vector = "vector" if tensor.ndim <= 1 < len(kept.sizes) else ""  # kept as a box, and no matrix for that
            kind = " ".join([type(module).__name__, *filter(None, [kept.kind, vector])])
            key = f"{path}:{full[above[0][1] :]}:{kind}".replace(".", "\u00b7")  # torch wants names without dots
            add(Place(((module, inner),), (full,), path, key, kept, tensor, isinstance(tensor, nn.Parameter)))
        for inner, child in module._modules.items():
            if child is not None:
                visit(child, prefix + inner, path, above)

    visit(network, "", "model", ())
    return list(found.values())


def _untouched(modules: Sequence[nn.Module], own: Sequence[Place]) -> bool:
    """Return whether these are still all the modules in the first of them, with these tensors and no others."""
    inside: dict[int, nn.Module] = {}

    def walk(module: nn.Module) -> None:
        if id(module) not in inside:
            inside[id(module)] = module
            for child in module._modules.values():
                if child is not None:
                    walk(child)

    walk(modules[0])
    if list(inside) != [id(module) for module in modules]:
        return False
    held = sum(t is not None for m in modules for tensors in (m._parameters, m._buffers) for t in tensors.values())
    return held == sum(len(place.owners) for place in own) and all(
        (owner._parameters if place.learned else owner._buffers).get(name) is place.tensor
        for place in own
        for owner, name in place.owners
    )


def _tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield every parameter that the module itself holds, and the statistics that norms keep."""
    for name, parameter in module._parameters.items():
        if parameter is not None:
            yield name, parameter
    if isinstance(module, nn.modules.batchnorm._NormBase):
        for name, value in module._buffers.items():
            if value is not None:
                yield name, value
