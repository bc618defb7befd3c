"""Plain functions that make a module of a person's own class from given parts, past its constructor.

They need nothing but torch: their text is printed into the file of a network that uses them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

__all__ = ["assembled", "numbers", "parameter", "tied"]


def assembled(kind: type[nn.Module], /, **parts: Any) -> nn.Module:
    """Return a module of class ``kind`` with these attributes: layers, parameters, buffers and plain values."""
    module: nn.Module = kind.__new__(kind)
    nn.Module.__init__(module)
    for name, part in parts.items():
        if isinstance(part, torch.Tensor) and not isinstance(part, nn.Parameter):
            module.register_buffer(name, part)
        else:
            setattr(module, name, part)
    return module


def parameter(*shape: int, mean: float = 0.0, std: float = 0.0) -> nn.Parameter:
    """Return a learnable tensor, drawn from a normal distribution."""
    return nn.Parameter(nn.init.normal_(torch.empty(shape), mean, std))


def numbers(values: Any, kind: str = "float32") -> torch.Tensor:
    """Return the tensor of nested lists of numbers, with elements of this kind, such as "int64"."""
    return torch.tensor(values, dtype=getattr(torch, kind))


def tied(network: nn.Module, names: list[tuple[str, str]]) -> nn.Module:
    """Return the network, in which each first name now stands for the module or parameter of the second."""
    for name, source in names:
        owner, _, last = name.rpartition(".")
        origin, _, first = source.rpartition(".")
        setattr(network.get_submodule(owner), last, getattr(network.get_submodule(origin), first))
    return network
