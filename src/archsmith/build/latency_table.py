"""What each layer of a network takes on this machine: measured once for each kind of layer and input, then added up."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from archsmith.build.latency import latency
from archsmith.errors import SpaceError

__all__ = ["LatencyTable"]


@dataclass(frozen=True)
class _Use:
    """One call of a layer: what it was given, with tensors that have no data."""

    layer: nn.Module
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class LatencyTable:
    """Milliseconds of single layers, by what they are and the shape of their input, measured when first asked for.

    Give it to ``expected_cost`` as the metric. A layer is a module without modules in it, or one of torch's with
    parameters of its own; what a block computes between its layers, such as a sum, is not seen, and neither is what
    layers save when they run one after the other. So a total ranks networks, and the latency of the one that is chosen
    is to be measured; see ``latency``.

    ``measure`` takes a layer and the shape of its first input, and returns milliseconds, on another machine perhaps. A
    layer that is not simply called with one float32 tensor comes in a module that holds all it is called with, and
    takes any input. ``entries`` are JSON-ready; a table can be made of them again.
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

        self._measure, self._here = measure or timed, measure is None

    def __call__(self, network: nn.Module) -> dict[nn.Module, float]:
        """Return the milliseconds of every module of a network without data, everything in it included.

        Raises ``SpaceError`` where the network cannot take the input, or a layer cannot be run by itself.
        """
        spent = dict.fromkeys(network.modules(), 0.0)
        # A layer of torch with weights of its own, such as attention, is timed whole, and nothing in it again; so is
        # one whose weights are made by a parametrisation. Of other modules only those without parts.
        whole = [
            m
            for m in spent
            if is_parametrized(m)
            or (type(m).__module__.startswith("torch.nn.") and any(True for _ in m.parameters(False)))
        ]
        inside = {part for m in whole for part in m.modules() if part is not m}
        leaves = [m for m in spent if m not in inside and (m in whole or not any(True for _ in m.children()))]
        for use in self._uses(network, leaves):
            spent[use.layer] += self._entry(use)
        return {module: sum(spent[inner] for inner in module.modules()) for module in spent}

    def total(self, network: nn.Module) -> float:
        """Return the milliseconds of a network; a copy of it is run without data."""
        copied = copy.deepcopy(network).to("meta").eval()
        return self(copied)[copied]

    def _uses(self, network: nn.Module, leaves: Sequence[nn.Module]) -> list[_Use]:
        """Return every use of a layer with all that it is given, by running the network on the meta device."""
        uses: list[_Use] = []

        def note(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            uses.append(_Use(module, args, kwargs))

        handles = [layer.register_forward_pre_hook(note, with_kwargs=True) for layer in leaves]
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

    def _entry(self, use: _Use) -> float:
        sizes = [list(p.shape) for p in use.layer.parameters()]  # a layer of one's own may say no more than its name
        name = f"{use.layer} {sizes} {_described(use)}"
        if name not in self.entries:
            tensors = _tensors(use)
            try:
                real = copy.deepcopy(use.layer).to_empty(device="cpu").eval()
                with torch.no_grad():
                    for tensor in [*real.parameters(), *real.buffers()]:
                        tensor.fill_(1) if tensor.is_floating_point() else tensor.zero_()
                layer = real if _is_plain(use) else _Called(real, use, tensors).eval()
                self.entries[name] = self._measure(layer, (tuple(tensors[0].shape) if tensors else ()) or (1,))
            except Exception as error:
                if not self._here:
                    raise
                raise SpaceError(
                    f"The layer {use.layer} cannot be timed by itself, called with {_described(use) or 'nothing'}: "
                    f"{type(error).__name__}: {error}. Say how many milliseconds it takes: "
                    f"LatencyTable(..., entries={{{name!r}: 0.1}})."
                ) from error
        return self.entries[name]


@dataclass(frozen=True)
class _Slot:
    """What stands for a tensor: its place among the inputs, and how it is written."""

    place: int
    text: str

    def __repr__(self) -> str:
        return self.text


class _Called(nn.Module):
    """A layer with all that it is called with: tensors of the same shapes and types, other values as they are."""

    def __init__(self, layer: nn.Module, use: _Use, tensors: Sequence[Tensor]) -> None:
        super().__init__()
        self.layer = layer
        self.args, self.kwargs = _slots(use)
        generator = torch.Generator().manual_seed(0)
        for place, tensor in enumerate(tensors):
            value = torch.zeros(tensor.shape, dtype=tensor.dtype)  # an index or mask that fits anywhere
            if tensor.is_floating_point():
                value.uniform_(generator=generator)
            self.register_buffer(f"input{place}", value)  # goes where the layer goes

    def forward(self, _: Tensor) -> Any:
        """Run the layer on the inputs that are held."""
        args, kwargs = _exchanged((self.args, self.kwargs), _Slot, lambda slot: getattr(self, f"input{slot.place}"))
        return self.layer(*args, **kwargs)


def _is_plain(use: _Use) -> bool:
    """Return whether a layer is called with one tensor of ordinary numbers and nothing else."""
    first = use.args[0] if len(use.args) == 1 and not use.kwargs else None
    return isinstance(first, Tensor) and first.dtype == torch.float32 and first.ndim > 0


def _tensors(use: _Use) -> list[Tensor]:
    """Return the tensors that a layer is called with, each once."""
    found: dict[int, Tensor] = {}
    _exchanged((use.args, use.kwargs), Tensor, lambda tensor: found.setdefault(id(tensor), tensor))
    return list(found.values())


def _slots(use: _Use) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return what a layer is called with, and slots in the place of tensors.

    A tensor that is given again is told as such: attention to itself takes less than to another tensor of that shape.
    """
    places: dict[int, int] = {}

    def slot(tensor: Tensor) -> _Slot:
        if id(tensor) in places:
            return _Slot(places[id(tensor)], f"input {places[id(tensor)]}")
        place = places[id(tensor)] = len(places)
        kind = "" if tensor.dtype == torch.float32 else str(tensor.dtype).removeprefix("torch.")
        return _Slot(place, f"{kind}{list(tensor.shape)}")

    slots: tuple[tuple[Any, ...], dict[str, Any]] = _exchanged((use.args, use.kwargs), Tensor, slot)
    return slots


def _described(use: _Use) -> str:
    args, kwargs = _slots(use)
    return ", ".join([*map(repr, args), *(f"{name}={value!r}" for name, value in kwargs.items())])


def _exchanged(value: Any, kind: type, make: Callable[[Any], Any]) -> Any:
    """Return a copy of nested tuples, lists and mappings in which everything of a kind is exchanged."""
    if isinstance(value, kind):
        return make(value)
    if isinstance(value, tuple):
        parts = [_exchanged(part, kind, make) for part in value]
        return type(value)._make(parts) if hasattr(value, "_make") else tuple(parts)
    if isinstance(value, list):
        return [_exchanged(part, kind, make) for part in value]
    if isinstance(value, dict):
        return {key: _exchanged(part, kind, make) for key, part in value.items()}
    return value
