"""Where each tensor of a built network is kept in the bank."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from torch import Tensor, nn

from archsmith.build.slices import Layout, Rule, layout, region
from archsmith.errors import SpaceError

__all__ = ["Place", "places"]


@dataclass(frozen=True)
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

        Contiguous, so that a network on borrowed slices runs the very kernels of one that has its own.
        """
        return self.region(shared).reshape(self.tensor.shape).contiguous()

    def lay(self, tensor: Tensor) -> None:
        """Put a tensor where the network has its parameter, whatever its kind: a slice is no leaf but has gradients."""
        for owner, name in self.owners:
            (owner._parameters if self.learned else owner._buffers)[name] = tensor  # type: ignore[assignment]
            if isinstance(owner, nn.RNNBase):  # which also keeps its parameters in a list
                owner._flat_weights[owner._flat_weights_names.index(name)] = tensor


def places(network: nn.Module, paths: Mapping[str, str], rules: Mapping[type, Rule]) -> list[Place]:
    """Return where the network's tensors are kept: its parameters, and the running statistics of normalisation.

    ``paths`` names the modules that calls made, as ``build_with_paths`` returns it. A key is the path of the nearest of
    them, the name below it, and the class of the owner, so that a block which holds a convolution in one architecture
    and a norm under the same name in another shares neither. A tensor that is used in several places has one.
    """
    modules = dict(network.named_modules())
    uses: dict[int, list[str]] = {}
    for full, tensor in _tensors(network):
        uses.setdefault(id(tensor), []).append(full)
    found = []
    for full, tensor in _tensors(network):
        if uses[id(tensor)][0] != full:
            continue
        steps = full.split(".")
        above = [".".join(steps[:i]) for i in range(len(steps))]
        root = max((name for name in above if name in paths), key=len, default="")
        chain = [(modules[name], ".".join(steps[i:])) for i, name in enumerate(above) if len(name) >= len(root)]
        kept = layout(chain, tuple(tensor.shape), rules)
        kind = " ".join([type(chain[-1][0]).__name__, *filter(None, [kept.kind])])
        path, relative = paths.get(root, "model"), full[len(root) :].lstrip(".")
        key = f"{path}:{relative}:{kind}".replace(".", "\u00b7")  # torch wants names without dots
        owners = tuple((modules[use.rpartition(".")[0]], use.rpartition(".")[2]) for use in uses[id(tensor)])
        found.append(Place(owners, tuple(uses[id(tensor)]), path, key, kept, tensor, isinstance(tensor, nn.Parameter)))
    return found


def _tensors(network: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield every parameter under each of its names, and the statistics that norms keep."""
    modules = dict(network.named_modules())
    for name, parameter in network.named_parameters(remove_duplicate=False):
        if name.rpartition(".")[0] in modules:  # a module used twice has its first name only
            yield name, parameter
    for prefix, module in modules.items():
        if isinstance(module, nn.modules.batchnorm._NormBase):
            yield from module.named_buffers(prefix, recurse=False)
