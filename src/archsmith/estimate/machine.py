"""Where a training runs and how: device, precision, memory format, threads; and the few device-dependent calls."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

__all__ = ["Machine", "autocast", "place_batch", "place_network", "synchronize", "using_threads"]


@dataclass(frozen=True)
class Machine:
    """How trainings use the hardware: ``slots`` trials side by side with ``threads`` threads each.

    ``single`` is with how many threads one training alone is fastest; 0 stands for all that the slots have together.
    ``notes`` are sentences for people: what was measured and why this was chosen.
    """

    device: str = "cpu"
    precision: Literal["float32", "bfloat16"] = "float32"
    channels_last: bool = False
    threads: int = 1
    slots: int = 1
    single: int = 0
    notes: tuple[str, ...] = ()

    def alone(self) -> Machine:
        """Return the machine as one training that has all of it, such as the final one, should use it."""
        return replace(self, threads=self.single or self.threads * self.slots, slots=1)

    def to_json(self) -> dict[str, Any]:
        """Return the machine as JSON-ready data."""
        return {**asdict(self), "notes": list(self.notes)}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Machine:
        """Return the machine that ``to_json`` wrote; other keys are ignored."""
        values = {f.name: data[f.name] for f in fields(Machine) if f.name in data}
        return Machine(**{**values, "notes": tuple(data.get("notes", ()))})


def autocast(machine: Machine) -> torch.autocast:
    """Return the context in which the network's forward pass runs."""
    return torch.autocast(
        torch.device(machine.device).type, dtype=torch.bfloat16, enabled=machine.precision == "bfloat16"
    )


def place_network(network: nn.Module, machine: Machine) -> nn.Module:
    """Move the network, in place, to the machine's device and memory format, and return it."""
    network = network.to(machine.device)
    if machine.channels_last:  # tensor by tensor: a bank keeps kernels of grouped convolutions in five axes
        for tensor in (*network.parameters(), *network.buffers()):
            if tensor.ndim == 4:
                tensor.data = tensor.data.contiguous(memory_format=torch.channels_last)
    return network


def place_batch(x: Tensor, machine: Machine) -> Tensor:
    """Return the batch ``x`` in the machine's memory format."""
    return x.contiguous(memory_format=torch.channels_last) if machine.channels_last and x.ndim == 4 else x


def synchronize(device: str) -> None:
    """Wait until the device has done what it was asked, so that a clock can be read."""
    kind = torch.device(device).type
    if kind == "cuda":
        torch.cuda.synchronize(device)
    elif kind == "mps":
        torch.mps.synchronize()


@contextlib.contextmanager
def using_threads(threads: int) -> Iterator[None]:
    """Compute on the CPU with ``threads`` threads inside the context, and with as many as before after it."""
    before = torch.get_num_threads()
    if threads != before:
        torch.set_num_threads(threads)
    try:
        yield
    finally:
        if torch.get_num_threads() != before:
            torch.set_num_threads(before)
