"""Writing a network as an expression: the same modules, with choices where something can vary."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from archsmith.build.assembled import assembled, numbers, parameter, tied
from archsmith.elasticity.analysis import Analysis
from archsmith.elasticity.widths import Axis, Width, resolve, widths_of
from archsmith.errors import SpaceError
from archsmith.space import Call, Choice, call, choice, repeat, switch

__all__ = ["Fixed", "Wishes", "Writer"]

_MOST_NUMBERS = 1 << 16
_OUTPUTS = ("out_channels", "out_features", "embedding_dim", "dim_feedforward")
_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


@dataclass(frozen=True)
class Fixed:
    """Something that does not vary: the path of the module, what of it, and the reason."""

    path: str
    what: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path or 'the network'}: {self.what} is fixed, because {self.reason}"


@dataclass(frozen=True)
class Wishes:
    """What a person wants to vary: shares of every width, and kernel sizes.

    ``leaves`` says how modules of some classes are made again: from the module to a call.
    """

    width: tuple[float, ...]
    kernel: tuple[int, ...]
    leaves: Mapping[type, Callable[[Any], Call]]


@dataclass
class Writer:
    """Writes the expression, and notes what could not vary in ``fixed``.

    ``unwritten`` are the paths of attributes that a space cannot hold. They are missed only where they are used.
    """

    model: nn.Module
    analysis: Analysis
    wishes: Wishes
    pinned: Mapping[str, str]
    fixed: dict[tuple[str, str], Fixed] = field(default_factory=dict)
    unwritten: list[str] = field(default_factory=list)
    _choices: dict[Width, Any] = field(default_factory=dict)
    _alone: dict[Width, str] = field(default_factory=dict)
    _seen: dict[int, str] = field(default_factory=dict)
    _ties: list[tuple[str, str]] = field(default_factory=list)
    _grouped: set[Width] = field(init=False)

    def __post_init__(self) -> None:
        sizes = self.analysis.flow.sizes.items()
        self._grouped = {*widths_of(*(axis for (_, argument), axis in sizes if argument == "groups"))}

    def write(self) -> Any:
        """Return the expression of the network."""
        expression = self._module("", self.model)
        self._note_widths()
        return call(tied, expression, self._ties) if self._ties else expression

    def _note_widths(self) -> None:
        flow = self.analysis.flow
        for path, reason in flow.left.items():
            self.note(path, "everything", reason)
        if not any(share < 1 for share in self.wishes.width):
            return
        for (path, argument), axis in flow.sizes.items():
            if argument in _OUTPUTS and (fixed := self._why_fixed(widths_of(axis))):
                self.note(path, argument, fixed)
        self._note_parameters()

    def _why_fixed(self, widths: Sequence[Width]) -> str:
        """Return why one of these widths cannot vary, or '' where all can."""
        return next((reason for width in widths if (reason := width.fixed or self._alone.get(width, ""))), "")

    def _note_parameters(self) -> None:
        """Note the fixed sizes of a module's own parameters, but for those that it shares with a layer's outputs."""
        sizes = self.analysis.flow.sizes
        listed = {*widths_of(*(axis for (_, argument), axis in sizes.items() if argument in _OUTPUTS))}
        for path, module in self.model.named_modules():
            for name, tensor in module._parameters.items():
                for dim in range(0 if tensor is None else tensor.ndim):
                    own = [width for width in widths_of(sizes.get((path, f"{name} {dim}"), ())) if width not in listed]
                    if fixed := self._why_fixed(own):
                        self.note(path, f"axis {dim} of {name}", fixed)

    def note(self, path: str, what: str, reason: str) -> None:
        """Note once that something is fixed."""
        self.fixed.setdefault((path, what), Fixed(path, what, reason))

    # Sizes.

    def size(self, axis: Axis) -> Any:
        """Return the expression of an axis: a number, a choice, or a sum of multiples of them."""
        total: Any = None
        for width, each in resolve(axis):
            part = self._width(width)
            part = part * each if each > 1 else part
            total = part if total is None else total + part
        return total

    def _width(self, width: Width) -> Any:
        if width not in self._choices:
            options = () if width.fixed else self._options(width.size)
            if len(options) == 1:
                unit = " groups" if width in self._grouped else ""
                self._alone[width] = f"no share that was asked for rounds to less than {width.size}{unit}"
            elif options and width in self._grouped:
                # One group is another layer: the bank keeps plain convolutions apart.
                options = tuple(n for n in options if n > 1)
                if len(options) == 1:
                    self._alone[width] = f"its {width.size} groups leave no smaller size than one group"
            self._choices[width] = choice(*options, name=f"{width.name}.width") if len(options) > 1 else width.size
        return self._choices[width]

    def _options(self, size: int) -> tuple[int, ...]:
        """Return the shares of a size, rounded to an eighth of it or to 8, whichever is less."""
        step = min(8, max(1, size // 8))
        shares = {max(step, round(size * share / step) * step) for share in self.wishes.width if share < 1}
        return tuple(sorted({*(s for s in shares if s < size), size}))

    def _argument(self, path: str, name: str, value: Any) -> Any:
        axis = self.analysis.flow.sizes.get((path, name))
        return value if axis is None else self.size(axis)

    # Modules.

    def _module(self, path: str, module: nn.Module) -> Any:
        if id(module) in self._seen:
            self._ties.append((path, self._seen[id(module)]))
            return call(nn.Identity)
        self._seen[id(module)] = path
        for kind, make in self.wishes.leaves.items():
            if isinstance(module, kind):
                self.note(path, "everything", "its class was named as one to be left as it is")
                return make(module)
        kind = type(module)
        expression: Any = None
        if kind.__module__.startswith("torch.nn.modules"):
            expression = self._container(path, module) or self._layer(path, module)
        if expression is None:
            expression = self._assembled(path, module)
        self._note_ties(path, module)
        return expression

    def _note_ties(self, path: str, module: nn.Module) -> None:
        for name, value in module.named_parameters(recurse=False):
            full = f"{path}.{name}".lstrip(".")
            if (first := self._seen.setdefault(id(value), full)) != full:
                self._ties.append((full, first))

    def _container(self, path: str, module: nn.Module) -> Any:
        names = list(module._modules)
        if any(child is None for child in module._modules.values()):
            return None
        numbered = names == [str(i) for i in range(len(names))]
        if type(module) is nn.Sequential and numbered:
            return call(nn.Sequential, *self._children(path, module, spliced=True))
        if type(module) is nn.ModuleList:
            return call(nn.ModuleList, self._children(path, module, spliced=True))
        if type(module) is nn.ModuleDict:
            return call(nn.ModuleDict, dict(zip(names, self._children(path, module), strict=True)))
        return None

    def _children(self, path: str, module: nn.Module, spliced: bool = False) -> list[Any]:
        """Return the expressions of the children; of a run of blocks that can be left out, the first few stay."""
        names = [name for name, child in module._modules.items() if child is not None]
        paths = [f"{path}.{name}".lstrip(".") for name in names]
        written: list[Any] = []
        at = 0
        while at < len(names):
            run = at
            while run < len(names) and paths[run] in self.analysis.skippable:
                run += 1
            if run == at:
                written.append(self._module(paths[at], module.get_submodule(names[at])))
                at += 1
                continue
            blocks = [self._module(paths[i], module.get_submodule(names[i])) for i in range(at, run)]
            key = f"{paths[at]}.depth" if run - at == 1 else f"{paths[at]}-{names[run - 1]}.depth"
            if key in self.pinned:
                self.note(paths[at], "its presence", self.pinned[key])
                written += blocks
            else:
                count = choice(*range(len(blocks) + 1), name=key)
                written += [repeat(blocks, count)] if spliced else self._switched(blocks, count)
            at = run
        return written

    def _switched(self, blocks: Sequence[Any], count: Choice) -> list[Any]:
        return [
            switch(count, {n: block if n > i else call(nn.Identity) for n in range(len(blocks) + 1)})
            for i, block in enumerate(blocks)
        ]

    def _layer(self, path: str, layer: nn.Module) -> Any:
        """Return the call of one of torch's layers, or None where its arguments cannot be read from it."""
        given = _arguments(layer)
        if given is None:
            return None
        given = {name: self._argument(path, name, value) for name, value in given.items()}
        if isinstance(layer, nn.LayerNorm | nn.RMSNorm):
            shape = layer.normalized_shape
            sizes = tuple(self._argument(path, f"normalized_shape {i}", n) for i, n in enumerate(shape))
            given["normalized_shape"] = sizes[0] if len(sizes) == 1 else sizes
        if isinstance(layer, _CONVOLUTIONS):
            given |= self._kernel(path, layer)
        named = [p for p in _signature(type(layer)) if p.kind is p.POSITIONAL_OR_KEYWORD]
        first = [given.pop(p.name) for p in named if p.default is p.empty]
        defaults = {p.name: p.default for p in named}
        return call(type(layer), *first, **{k: v for k, v in given.items() if not _same(v, defaults.get(k))})

    def _kernel(self, path: str, conv: Any) -> dict[str, Any]:
        """Return the kernel size and the padding that goes with it, where the kernel can shrink about its middle."""
        full, name = conv.kernel_size[0], f"{path}.kernel"
        if not any(k < max(conv.kernel_size) for k in self.wishes.kernel):
            return {}
        if len(set(conv.kernel_size)) > 1:
            self.note(path, "its kernel", f"it is not square: {conv.kernel_size}")
            return {}
        smaller = [k for k in self.wishes.kernel if k < full and (full - k) % 2 == 0]
        if not smaller:
            told = f"no kernel that was asked for is smaller than {full} by an even number, as one about the same"
            self.note(path, "its kernel", f"{told} middle is")
            return {}
        reason = self.pinned.get(name, "")
        dilation = conv.dilation[0]
        if not isinstance(conv.padding, str):
            if len({*conv.padding}) > 1 or len({*conv.dilation}) > 1:
                reason = "its padding or dilation is not the same along all axes"
            smaller = [k for k in smaller if 2 * conv.padding[0] >= dilation * (full - k)]
            if not smaller:
                reason = f"its padding of {conv.padding[0]} is too small to keep the size of the map"
        if reason:
            self.note(path, "its kernel", reason)
            return {}
        kernel = choice(*sorted(smaller), full, name=name)
        if isinstance(conv.padding, str):
            return {"kernel_size": kernel}
        return {"kernel_size": kernel, "padding": (kernel * dilation + (2 * conv.padding[0] - dilation * full)) // 2}

    def _assembled(self, path: str, module: nn.Module) -> Any:
        """Return the call that makes a module of a person's own class from its parts."""
        parts: dict[str, Any] = {}
        for name, value in vars(module).items():
            if name not in _MODULE and (written := _data(value)) is not _UNWRITTEN:
                parts[name] = written
            elif name not in _MODULE:
                self.unwritten.append(f"{path}.{name}".lstrip("."))
        for name, tensor in module._parameters.items():
            parts[name] = None if tensor is None else self._parameter(path, name, tensor)
        for name, buffer in module._buffers.items():
            parts[name] = None if buffer is None else _buffer(f"{path}.{name}".lstrip("."), buffer)
        present = [name for name, child in module._modules.items() if child is not None]
        parts |= dict.fromkeys(name for name in module._modules if name not in present)
        parts |= dict(zip(present, self._children(path, module), strict=True))
        return call(assembled, type(module), **parts)

    def _parameter(self, path: str, name: str, tensor: Tensor) -> Any:
        axes = [self.analysis.flow.sizes.get((path, f"{name} {i}")) for i in range(tensor.ndim)]
        shape = [n if axis is None else self.size(axis) for axis, n in zip(axes, tensor.shape, strict=True)]
        std, mean = torch.std_mean(tensor.detach(), correction=0)
        return call(parameter, *shape, mean=float(mean), std=float(std))


_MODULE = {*vars(nn.Module())}
_UNWRITTEN = object()


def _data(value: Any) -> Any:
    """Return a plain attribute as a space can hold it; what it cannot hold is left out, and missed if it is used."""
    if isinstance(value, str | bool | int | float | None) or (callable(value) and hasattr(value, "__qualname__")):
        return _UNWRITTEN if "<" in getattr(value, "__qualname__", "") else value
    if isinstance(value, list | tuple):
        inner = [_data(v) for v in value]
        return (
            _UNWRITTEN
            if any(v is _UNWRITTEN for v in inner)
            else list(inner)
            if isinstance(value, list)
            else tuple(inner)
        )
    if isinstance(value, dict) and all(isinstance(k, str) for k in value):
        inside = {k: _data(v) for k, v in value.items()}
        return _UNWRITTEN if any(v is _UNWRITTEN for v in inside.values()) else inside
    if isinstance(value, Tensor) and value.numel() <= _MOST_NUMBERS:
        return _buffer("", value)
    return _UNWRITTEN


def _buffer(path: str, value: Tensor) -> Any:
    if value.numel() > _MOST_NUMBERS:
        raise SpaceError(
            f"The buffer {path} holds {value.numel():,} numbers, and a space can hold {_MOST_NUMBERS:,} of one. "
            "Compute it in forward, or name the class of its module in leaves=...."
        )
    return call(numbers, value.tolist(), str(value.dtype).removeprefix("torch."))


_READ: Mapping[str, Callable[[Any], Any]] = {
    "bias": lambda layer: layer.bias if isinstance(layer.bias, bool) else layer.bias is not None,
    "max_norm": lambda layer: layer.max_norm,
}
_SQUARE = ("kernel_size", "stride", "padding", "dilation", "output_padding")
_TENSORS = ("_weight", "device", "dtype", "_freeze")


def _signature(kind: type) -> list[inspect.Parameter]:
    found = inspect.signature(kind).parameters.values()
    return [p for p in found if p.name not in _TENSORS]


def _arguments(layer: nn.Module) -> dict[str, Any] | None:
    """Return the arguments by which a layer of torch's is made again, or None where it does not keep them."""
    special = _SPECIAL.get(type(layer))
    if special is not None:
        return special(layer)
    given: dict[str, Any] = {}
    for p in _signature(type(layer)):
        if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) or not (p.name in _READ or hasattr(layer, p.name)):
            return None
        value = _READ[p.name](layer) if p.name in _READ else getattr(layer, p.name)
        if isinstance(value, tuple) and p.name in _SQUARE and len(set(value)) == 1:
            value = value[0]
        written = _data(value)
        if written is _UNWRITTEN or isinstance(value, Tensor | nn.Module):
            return None
        given[p.name] = written
    return given


def _attention(layer: Any) -> dict[str, Any]:
    names = ("embed_dim", "num_heads", "dropout", "add_zero_attn", "kdim", "vdim", "batch_first")
    return {n: getattr(layer, n) for n in names} | {
        "bias": layer.in_proj_bias is not None,
        "add_bias_kv": layer.bias_k is not None,
    }


def _encoder_layer(layer: Any) -> dict[str, Any] | None:
    activation = _data(layer.activation)
    if activation is _UNWRITTEN:
        return None
    return {
        "d_model": layer.linear1.in_features,
        "nhead": layer.self_attn.num_heads,
        "dim_feedforward": layer.linear1.out_features,
        "dropout": layer.dropout.p,
        "activation": activation,
        "layer_norm_eps": layer.norm1.eps,
        "batch_first": layer.self_attn.batch_first,
        "norm_first": layer.norm_first,
        "bias": layer.linear1.bias is not None,
    }


def _recurrent(layer: Any) -> dict[str, Any]:
    usual: dict[str, Any] = {
        "num_layers": 1,
        "bias": True,
        "batch_first": False,
        "dropout": 0.0,
        "bidirectional": False,
    }
    usual |= {"proj_size": 0, "nonlinearity": "tanh"}
    given = {n: getattr(layer, n, value) for n, value in usual.items()}
    return {"input_size": layer.input_size, "hidden_size": layer.hidden_size} | {
        n: value for n, value in given.items() if value != usual[n]
    }


_SPECIAL: Mapping[type, Callable[[Any], dict[str, Any] | None]] = {
    **dict.fromkeys((nn.LSTM, nn.GRU, nn.RNN), _recurrent),
    nn.MultiheadAttention: _attention,
    nn.TransformerEncoderLayer: _encoder_layer,
}


def _same(value: Any, default: Any) -> bool:
    """Return whether an argument need not be written."""
    if isinstance(value, tuple) and isinstance(default, int) and not isinstance(default, bool):
        return all(type(v) is int and v == default for v in value)
    return type(value) is type(default) and bool(value == default)
