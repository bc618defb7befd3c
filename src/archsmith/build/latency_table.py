"""What each layer of a network takes on this machine: measured once for each kind of layer and input, then added up."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from archsmith.build.latency import latency
from archsmith.errors import SpaceError

__all__ = ["LatencyTable"]

_Leaf = tuple[nn.Module, tuple[int, ...]]


class LatencyTable:
    """Milliseconds of single layers, by what they are and the shape of their input, measured when first asked for.

    Give it to ``expected_cost`` as the metric. A layer is a module without modules in it, or one of torch's with
    parameters of its own; what a block computes between its layers, such as a sum, is not seen, and neither is what
    layers save when they run one after the other. So a total ranks networks, and the latency of the one that is chosen
    is to be measured; see ``latency``. ``measure`` takes a layer and the shape of its input, and returns milliseconds,
    on another machine perhaps. ``entries`` are JSON-ready; a table can be made of them again.
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        *,
        batch: int = 1,
        threads: int = 1,
        device: str = "cpu",
        seconds: float = 0.02,
        entries: Mapping[str, float] | None = None,
        measure: Callable[[nn.Module, Sequence[int]], float] | None = None,
    ) -> None:
        self.input_shape, self.batch = tuple(input_shape), batch
        self.entries: dict[str, float] = dict(entries or {})

        def timed(layer: nn.Module, shape: Sequence[int]) -> float:
            return latency(layer, shape[1:], batch=shape[0], threads=threads, device=device, seconds=seconds).median_ms

        self._measure = measure or timed

    def __call__(self, network: nn.Module) -> dict[nn.Module, float]:
        """Return the milliseconds of every module of a network without data, everything in it included.

        Raises ``SpaceError`` where the network cannot take the input.
        """
        spent = dict.fromkeys(network.modules(), 0.0)
        # A layer of torch with weights of its own, such as attention, is timed whole, and nothing in it again; of other
        # modules only those without parts.
        whole = [
            m for m in spent if type(m).__module__.startswith("torch.nn.") and any(True for _ in m.parameters(False))
        ]
        inside = {part for m in whole for part in m.modules() if part is not m}
        leaves = [m for m in spent if m not in inside and (m in whole or not any(True for _ in m.children()))]
        for layer, shape in self._uses(network, leaves):
            spent[layer] += self._entry(layer, shape)
        return {module: sum(spent[inner] for inner in module.modules()) for module in spent}

    def total(self, network: nn.Module) -> float:
        """Return the milliseconds of a network; a copy of it is run without data."""
        copied = copy.deepcopy(network).to("meta").eval()
        return self(copied)[copied]

    def _uses(self, network: nn.Module, leaves: Sequence[nn.Module]) -> list[_Leaf]:
        """Return every use of a layer with the shape of its first input, by running the network on the meta device."""
        uses: list[_Leaf] = []

        def note(module: nn.Module, args: Any) -> None:
            first = args[0] if args else None
            if isinstance(first, Tensor) and first.is_floating_point():  # looking up an embedding is next to free
                uses.append((module, tuple(first.shape)))

        handles = [layer.register_forward_pre_hook(note) for layer in leaves]
        try:
            with torch.no_grad():
                network.eval()(torch.empty((self.batch, *self.input_shape), device="meta"))
        except Exception as error:
            if isinstance(error, SpaceError):
                raise
            raise SpaceError(
                f"The network cannot take an input of shape {list(self.input_shape)}: {type(error).__name__}: {error}"
            ) from error
        finally:
            for handle in handles:
                handle.remove()
        return uses

    def _entry(self, layer: nn.Module, shape: tuple[int, ...]) -> float:
        sizes = [list(p.shape) for p in layer.parameters()]  # a layer of one's own may say no more than its name
        name = f"{layer} {sizes} {list(shape)}"
        if name not in self.entries:
            real = copy.deepcopy(layer).to_empty(device="cpu").eval()
            with torch.no_grad():
                for tensor in [*real.parameters(), *real.buffers()]:
                    tensor.fill_(1) if tensor.is_floating_point() else tensor.zero_()
            self.entries[name] = self._measure(real, shape)
        return self.entries[name]
