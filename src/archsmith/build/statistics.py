"""What networks keep beside their parameters: running statistics, measured anew, and buffers of one's own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from archsmith.build.places import Place
from archsmith.build.slices import Layout, Rule, layout
from archsmith.errors import SpaceError

__all__ = ["own_buffers", "recalibrate"]


@torch.no_grad()
def recalibrate(network: nn.Module, batches: Iterable[Tensor]) -> None:
    """Replace the running statistics of the network's norms by the mean over the batches ``[B, ...]``.

    The statistics that a network on shared weights finds are those of the networks trained before it; measured on its
    own activations, its accuracy means something (Guo et al., 2020). Everything but the norms runs in evaluation mode,
    so equal batches give equal statistics. The network is left in the mode it was in.
    """
    norms = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._NormBase) and m.track_running_stats]
    if not norms:
        return
    modes = {module: module.training for module in network.modules()}
    momenta = [norm.momentum for norm in norms]
    network.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean of all batches
        norm.training = True
    for batch in batches:
        network(batch)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    for module, mode in modes.items():
        module.training = mode


def own_buffers(network: nn.Module, paths: Mapping[str, str], rules: Mapping[type, Rule]) -> list[Place]:
    """Return where a network's buffers would be kept that are no statistics of torch's norms.

    Only those that stand in its ``state_dict``. ``paths`` and keys are as for ``places``; a buffer with other axes has
    another key, so that none is ever refused.
    """
    found: dict[int, Place] = {}
    for name, module in network.named_modules():
        if isinstance(module, nn.modules.batchnorm._NormBase):
            continue
        for inner, tensor in module._buffers.items():
            if tensor is None or inner in module._non_persistent_buffers_set:
                continue
            full = f"{name}.{inner}" if name else inner
            before = found.get(id(tensor))
            if before is not None:  # tied: the first use counts
                tied = replace(before, owners=(*before.owners, (module, inner)), names=(*before.names, full))
                found[id(tensor)] = tied
                continue
            steps = name.split(".") if name else []
            outer = [".".join(steps[:count]) for count in range(len(steps) + 1)]
            made = next((prefix for prefix in reversed(outer) if prefix in paths), "")
            chain = [
                (network.get_submodule(prefix), full[len(prefix) + 1 if prefix else 0 :])
                for prefix in outer[outer.index(made) :]
            ]
            kept, path = _layout(chain, tuple(tensor.shape), rules), paths.get(made, "model")
            kind = " ".join([type(module).__name__, *filter(None, [kept.kind]), f"buffer{len(kept.sizes)}"])
            key = f"{path}:{chain[0][1]}:{kind}".replace(".", "\u00b7")
            found[id(tensor)] = Place(((module, inner),), (full,), path, key, kept, tensor, False)
    return list(found.values())


def _layout(chain: list[tuple[nn.Module, str]], shape: tuple[int, ...], rules: Mapping[type, Rule]) -> Layout:
    """Return the layout that a rule gives a buffer, and the plain one where none fits: rules are for parameters."""
    try:
        return layout(chain, shape, rules) if shape else Layout(shape)
    except SpaceError:
        return Layout(shape)
