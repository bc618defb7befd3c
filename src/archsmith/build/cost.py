"""What a network costs, counted by running it on torch's meta device, where nothing is computed or stored."""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from archsmith.build.module import build
from archsmith.errors import SpaceError
from archsmith.space import Arch, Space

__all__ = ["Cost", "cost", "meta_cost", "module_macs"]


@dataclass(frozen=True)
class Cost:
    """The cost of one network on one input shape.

    ``params`` counts every learnable number once, however often it is used. ``macs`` are multiply-adds of one forward
    pass of the whole batch (one multiply-add is two FLOPs) in matrix products, convolutions and attention; sums,
    activations and normalisations are not counted, as is usual. ``activation_bytes`` is the working memory a device
    needs to run the network: the most that the input (kept until the end), the results between layers and the output
    take at any moment of a forward pass without gradients, in float32 and without the parameters. ``output_shape``
    leaves out the batch.
    """

    params: int
    macs: int
    activation_bytes: int
    output_shape: tuple[int, ...]

    def as_metrics(self) -> dict[str, float]:
        """Return what limits and objectives can name."""
        return {"params": self.params, "macs": self.macs, "activation_bytes": self.activation_bytes}


def cost(network: nn.Module | Callable[[], nn.Module], input_shape: Sequence[int], batch: int = 1) -> Cost:
    """Return the cost of a network, or of what a function makes, on float32 input ``[batch, *input_shape]``.

    The network itself is left as it is: what runs is a copy without data, in evaluation mode. Raises ``SpaceError``
    when the network cannot take the input.
    """
    return _measure(_on_meta(network), (batch, *input_shape))


def meta_cost(space: Space, arch: Arch, input_shape: Sequence[int], batch: int = 1) -> Cost:
    """Return the cost of an architecture's network, without ever giving it memory where its blocks allow that.

    Raises ``SpaceError`` when it cannot be built or cannot take the input.
    """
    try:
        with torch.device("meta"):
            network = build(space, arch)
    except SpaceError:  # a block that looks at numbers while it is made needs real ones
        network = build(space, arch, seed=0)
    return cost(network, input_shape, batch)


def module_macs(network: nn.Module, input_shape: Sequence[int], batch: int = 1) -> dict[nn.Module, int]:
    """Return the multiply-adds of every module of a network without data, everything in it included.

    Raises ``SpaceError`` when the network cannot take the input.
    """
    spent = dict.fromkeys(network.modules(), 0)
    meter, handles = _Meter(network), []
    for module in spent:
        handles.append(module.register_forward_pre_hook(lambda m, _: spent.update({m: spent[m] - meter.flops})))
        handles.append(module.register_forward_hook(lambda m, _, __: spent.update({m: spent[m] + meter.flops})))
    try:
        _measure(network, (batch, *input_shape), meter)
    finally:
        for handle in handles:
            handle.remove()
    return {module: flops // 2 for module, flops in spent.items()}


def _on_meta(network: nn.Module | Callable[[], nn.Module]) -> nn.Module:
    if not isinstance(network, nn.Module):
        with torch.device("meta"):
            made = network()
        return made.eval()
    # Parameters and buffers are put into deepcopy's memo, so that a copy of a large network costs no memory.
    memo: dict[int, Any] = {}
    for parameter in network.parameters():
        memo[id(parameter)] = nn.Parameter(parameter.detach().to("meta"), parameter.requires_grad)
    for buffer in network.buffers():
        memo[id(buffer)] = buffer.to("meta")
    return copy.deepcopy(network, memo).to("meta").eval()


def _measure(network: nn.Module, shape: tuple[int, ...], meter: _Meter | None = None) -> Cost:
    fast = torch.backends.mha.get_fastpath_enabled()
    meter = meter or _Meter(network)
    # The fused kernels of attention are not seen by the counter, so the plain ones are asked for.
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), meter:
            output = network(meter.see(torch.empty(shape, device="meta")))
    except SpaceError:
        raise
    except Exception as error:
        raise SpaceError(
            f"The network cannot take an input of shape {list(shape)}: {type(error).__name__}: {error}"
        ) from error
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    if not isinstance(output, torch.Tensor):
        raise SpaceError(f"The network must return one tensor; it returns a {type(output).__name__}.")
    return Cost(
        params=sum(p.numel() for p in network.parameters()),
        macs=meter.flops // 2,
        activation_bytes=meter.peak,
        output_shape=tuple(output.shape[1:]),
    )


class _Meter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees every operation of a forward pass: adds up its FLOPs, and follows how many bytes of results are alive."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flops = self.live = self.peak = 0
        self._formulas = FlopCounterMode(display=False).flop_registry
        kept = [*network.parameters(), *network.buffers()]
        self._known = {t.untyped_storage()._cdata for t in kept}  # what is not working memory

    def see(self, tensor: torch.Tensor) -> torch.Tensor:
        """Count a tensor's memory from now until nothing refers to it any more."""
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key not in self._known:
            self._known.add(key)
            self.live += size
            self.peak = max(self.peak, self.live)
            weakref.finalize(storage, self._gone, key, size)
        return tensor

    def _gone(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.live -= size

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        formula = self._formulas.get(func._overloadpacket)
        result = _same_shape(func, args)
        if result is None and formula is None:
            with self:  # an operation that is made of others is counted by its parts
                result = func.decompose(*args, **kwargs)
            if result is not NotImplemented:
                return result
            result = None
        if result is None:
            result = func(*args, **kwargs)
        if formula is not None:
            self.flops += int(formula(*args, **kwargs, out_val=result))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                self.see(leaf)
        return result


def _same_shape(func: Any, args: Any) -> Any:
    """Return the result of an operation that keeps its input's shape, past torch's slow general rules; else None."""
    if func in _ELEMENTWISE and args[0].is_floating_point():
        other = args[1] if len(args) > 1 else args[0]
        if isinstance(other, torch.Tensor) and _layout(other) == _layout(args[0]):
            return torch.empty_like(args[0])
    running = func is _ATEN.native_batch_norm.default and args[5] is False  # with its running statistics
    if running or func is _ATEN._native_batch_norm_legit_no_training.default:
        return torch.empty_like(args[0]), args[0].new_empty(0), args[0].new_empty(0)
    return None


def _layout(tensor: torch.Tensor) -> Any:
    return tensor.shape, tensor.stride(), tensor.dtype


_ATEN = torch.ops.aten
_ELEMENTWISE = frozenset(
    {
        _ATEN.add.Tensor,
        _ATEN.gelu.default,
        _ATEN.hardsigmoid.default,
        _ATEN.hardswish.default,
        _ATEN.mul.Tensor,
        _ATEN.relu.default,
        _ATEN.sigmoid.default,
        _ATEN.silu.default,
        _ATEN.tanh.default,
    }
)
