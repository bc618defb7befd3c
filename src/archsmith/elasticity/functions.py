"""How functions and tensor methods treat channels: one rule for each kind of operation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from torch import Tensor, fx

from archsmith.elasticity.flow import Flow, Labels
from archsmith.elasticity.widths import pin, unify

__all__ = ["FUNCTIONS", "Operation", "name_of"]


@dataclass(frozen=True)
class Operation:
    """One node that calls a function or a method: the same thing here."""

    flow: Flow
    node: fx.Node
    name: str

    @property
    def where(self) -> str:
        """Where it stands, for people."""
        return f"{self.name} ({self.node.meta['place']})"

    def argument(self, position: int, name: str, default: Any = None) -> Any:
        """Return an argument as it stands: a node, a number, or a sequence of both."""
        found = self.node.args[position] if len(self.node.args) > position else self.node.kwargs.get(name, default)
        return found

    def known(self, argument: Any) -> Any:
        """Return an argument with the values of its nodes."""
        return fx.node.map_arg(argument, lambda node: node.meta["value"])

    def labels(self, argument: Any) -> Labels:
        """Return the labels of a tensor argument."""
        if not isinstance(argument, fx.Node):
            return (None,) * self.shape(argument).__len__()
        found = self.flow.labels.get(argument)
        return found if isinstance(found, tuple) else (None,) * len(self.shape(argument))

    def shape(self, argument: Any) -> tuple[int, ...]:
        """Return the shape of a tensor argument; () for a number."""
        value = argument.meta["value"] if isinstance(argument, fx.Node) else argument
        return tuple(value.shape) if isinstance(value, Tensor) else ()

    @property
    def x(self) -> Any:
        """The first argument."""
        return self.argument(0, "input")

    @property
    def after(self) -> tuple[int, ...]:
        """The shape of the result."""
        return self.shape(self.node)

    def axes(self, dims: Any) -> list[int]:
        """Return dimensions, however they were given, as indices of the first argument's axes; all where None."""
        rank = len(self.shape(self.x))
        dims = self.known(dims)
        if dims is None:
            return list(range(rank))
        return [d % rank for d in (dims if isinstance(dims, Sequence) else [dims])]


def name_of(node: fx.Node) -> str:
    """Return the name by which an operation is known, whether a function, a method, or one that works in place."""
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", repr(node.target))
    return name.strip("_")


def _elementwise(op: Operation) -> Any:
    arguments = [a for a in op.node.all_input_nodes if isinstance(a.meta["value"], Tensor)]
    return op.flow.together([(op.labels(a), op.shape(a)) for a in arguments], op.where)


def _passing(op: Operation) -> Any:
    return op.labels(op.x)


def _reduction(op: Operation) -> Any:
    at = 2 if op.name == "norm" else 1  # after its power
    first = op.argument(at, "dim", op.argument(at, "axis"))
    if isinstance(first, fx.Node) and isinstance(first.meta["value"], Tensor):
        return _elementwise(op)  # max(a, b)
    gone, labels = op.axes(first), op.labels(op.x)
    value = op.node.meta["value"]
    kept = len((value if isinstance(value, Tensor) else value[0]).shape) == len(labels)
    left = tuple(None if i in gone else label for i, label in enumerate(labels) if kept or i not in gone)
    return left if isinstance(value, Tensor) else [left for _ in value]


def _spatial(op: Operation) -> Any:
    """Work on the axes behind the channels, each channel for itself."""
    labels = op.labels(op.x)
    count = next((int(c) for c in op.name if c.isdigit()), len(labels) - 2)
    op.flow.pin_all([labels[len(labels) - count :]], f"it is an axis that {op.where} works along")
    return labels


def _pad(op: Operation) -> Any:
    labels, padding = op.labels(op.x), op.known(op.argument(1, "pad"))
    for i in range(len(padding) // 2):
        if any(padding[2 * i : 2 * i + 2]) and labels[-1 - i] is not None:
            pin(labels[-1 - i] or (), f"it is padded at {op.where}")
    return tuple(None if a != b else label for label, a, b in zip(labels, op.shape(op.x), op.after, strict=True))


def _reshape(op: Operation) -> Any:
    sizes = op.node.args[1:] or (op.argument(1, "shape", op.argument(1, "size")),)
    if len(sizes) == 1 and isinstance(sizes[0], Sequence):
        sizes = tuple(sizes[0])
    if op.name in ("flatten", "unflatten", "squeeze", "unsqueeze") or len(sizes) != len(op.after):
        sizes = (-1,) * len(op.after)
    if op.name == "unflatten":
        at, inner = op.axes(op.argument(1, "dim"))[0], op.argument(2, "sizes")
        sizes = (*sizes[:at], *inner, *sizes[at + len(inner) :])
    return op.flow.reshaped(
        op.labels(op.x),
        op.shape(op.x),
        op.after,
        lambda i: isinstance(sizes[i], int) and bool(sizes[i] != -1),
        op.where,
    )


def _concatenation(op: Operation) -> Any:
    tensors = op.argument(0, "tensors")
    dim = op.known(op.argument(1, "dim", op.argument(1, "axis", 0))) % len(op.after)
    labels, shapes = [op.labels(t) for t in tensors], [op.shape(t) for t in tensors]
    others = [
        (
            tuple(None if i == dim else a for i, a in enumerate(one)),
            tuple(1 if i == dim else n for i, n in enumerate(s)),
        )
        for one, s in zip(labels, shapes, strict=True)
    ]
    result = list(op.flow.together(others, op.where))
    if any(one[dim] is not None for one in labels):
        parts = [op.flow.solid(one[dim], s[dim]) for one, s in zip(labels, shapes, strict=True)]
        result[dim] = tuple(part for axis in parts for part in axis)
    return tuple(result)


def _chunk(op: Operation) -> Any:
    dim = op.axes(op.argument(2, "dim", 0))[0]
    labels, values = op.labels(op.x), op.node.meta["value"]
    if (axis := labels[dim]) is None:
        return [labels for _ in values]
    sizes = {value.shape[dim] for value in values}
    if op.name != "chunk" or len(sizes) > 1:
        pin(axis, f"it is split at {op.where}")
        return [(*labels[:dim], None, *labels[dim + 1 :]) for _ in values]
    part = op.flow.new(sizes.pop(), op.where)
    unify(axis, part * len(values), op.where)
    return [(*labels[:dim], part, *labels[dim + 1 :]) for _ in values]


def _unbound(op: Operation) -> Any:
    dim = op.axes(op.argument(1, "dim", 0))[0]
    labels = op.labels(op.x)
    if (axis := labels[dim]) is not None:
        pin(axis, f"it is split at {op.where}")
    return [(*labels[:dim], *labels[dim + 1 :]) for _ in op.node.meta["value"]]


def _permutation(op: Operation) -> Any:
    labels = op.labels(op.x)
    if op.name == "t":
        return tuple(reversed(labels))
    if op.name in ("transpose", "swapaxes", "swapdims"):
        order = list(range(len(labels)))
        a, b = op.axes(
            [op.argument(1, "dim0", op.argument(1, "axis0")), op.argument(2, "dim1", op.argument(2, "axis1"))]
        )
        order[a], order[b] = b, a
    elif op.name == "movedim":
        sources, targets = op.axes(op.argument(1, "source")), op.axes(op.argument(2, "destination"))
        order = [i for i in range(len(labels)) if i not in sources]
        for target, source in sorted(zip(targets, sources, strict=True)):
            order.insert(target, source)
    else:
        dims = op.argument(1, "dims")
        order = op.axes(list(op.node.args[1:]) if isinstance(dims, int | fx.Node) else dims)
    return tuple(labels[i] for i in order)


def _index(op: Operation) -> Any:
    taken = op.argument(1, "index")
    if not isinstance(op.x.meta["value"], Tensor):
        labels = op.flow.labels.get(op.x)
        return labels[op.known(taken)] if isinstance(labels, list) else None
    labels = list(op.labels(op.x))
    steps = list(taken) if isinstance(taken, tuple) else [taken]
    if any(isinstance(s, list | Tensor | fx.Node) and not isinstance(op.known(s), int | slice) for s in steps):
        op.flow.pin_all([tuple(labels)], f"it is looked up by index at {op.where}")
        return (None,) * len(op.after)
    spread = len(labels) - sum(s is not None and s is not Ellipsis for s in steps)
    at = next((i for i, s in enumerate(steps) if s is Ellipsis), len(steps))
    steps[at : at + 1] = [slice(None)] * spread
    result: list[Any] = []
    for step in steps:
        if step is None:
            result.append(None)
            continue
        label, whole = labels.pop(0), op.known(step) == slice(None)
        if label is not None and not whole:
            pin(label, f"a part of it is taken at {op.where}")
        if isinstance(step, slice):
            result.append(label if whole else None)
    return tuple(result)


def _matmul(op: Operation) -> Any:
    a, b = op.x, op.argument(1, "other", op.argument(1, "mat2"))
    left, right, one, two = op.labels(a), op.labels(b), op.shape(a), op.shape(b)
    if min(len(one), len(two)) < 2:
        return _unknown(op)
    op.flow.together([((left[-1],), one[-1:]), ((right[-2],), two[-2:-1])], op.where)
    return (*op.flow.together([(left[:-2], one[:-2]), (right[:-2], two[:-2])], op.where), left[-2], right[-1])


def _attention(op: Operation) -> Any:
    query, key, value = (op.argument(i, name) for i, name in enumerate(("query", "key", "value")))
    pairs = [(op.labels(q)[-1:], op.shape(q)[-1:]) for q in (query, key)]
    op.flow.together(pairs, op.where)
    heads = op.flow.together([(op.labels(t)[:-2], op.shape(t)[:-2]) for t in (query, key, value)], op.where)
    return (*heads, op.labels(query)[-2], op.labels(value)[-1])


def _expand(op: Operation) -> Any:
    labels, before = op.labels(op.x), op.shape(op.x)
    labels = (None,) * (len(op.after) - len(labels)) + labels
    before = (1,) * (len(op.after) - len(before)) + before
    return tuple(label if a == b else None for label, a, b in zip(labels, before, op.after, strict=True))


def _unknown(op: Operation) -> Any:
    for node in op.node.all_input_nodes:
        op.flow.pin_all(
            op.flow.labels.get(node), f"it goes through {op.where}, which is not known to treat all channels alike"
        )
    value = op.node.meta["value"]
    if isinstance(value, Tensor):
        return (None,) * value.ndim
    return [(None,) * part.ndim if isinstance(part, Tensor) else None for part in value]


_PASSING = """abs alpha_dropout bernoulli bfloat16 celu clamp clamp_max clamp_min clone contiguous cos cpu detach double
    dropout dropout1d dropout2d dropout3d elu erf exp expm1 feature_alpha_dropout feature_dropout float gelu half
    hardshrink hardsigmoid hardswish hardtanh invert leaky_relu log log10 log1p log2 log_softmax logical_not
    logsigmoid mish neg nan_to_num normalize not ones_like pos positive rand_like randn_like reciprocal relu relu6
    round rrelu rsqrt selu sigmoid sign silu sin softmax softmin softplus softshrink softsign sqrt square tan tanh
    tanhshrink threshold to type type_as zeros_like"""
_ELEMENTWISE = """add addcdiv addcmul and atan2 clip div divide eq floor_divide floordiv fmod ge gt hypot iadd imul
    isub itruediv le lerp lt masked_fill maximum minimum mod mul multiply ne or pow radd remainder rmul rsub
    rtruediv sub subtract true_divide truediv where xor"""
_REDUCTIONS = "amax amin logsumexp max mean median min norm prod std std_mean sum var var_mean"
_SPATIAL = """adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d
    adaptive_max_pool3d avg_pool1d avg_pool2d avg_pool3d interpolate max_pool1d max_pool2d max_pool3d lp_pool1d
    lp_pool2d upsample"""

FUNCTIONS: Mapping[str, Callable[[Operation], Any]] = MappingProxyType(
    {
        **dict.fromkeys(_PASSING.split(), _passing),
        **dict.fromkeys(_ELEMENTWISE.split(), _elementwise),
        **dict.fromkeys(_REDUCTIONS.split(), _reduction),
        **dict.fromkeys(_SPATIAL.split(), _spatial),
        **dict.fromkeys(("view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze"), _reshape),
        **dict.fromkeys(("cat", "concat", "concatenate"), _concatenation),
        **dict.fromkeys(("chunk", "split", "tensor_split"), _chunk),
        **dict.fromkeys(("permute", "transpose", "swapaxes", "swapdims", "movedim", "t"), _permutation),
        **dict.fromkeys(("matmul", "bmm"), _matmul),
        **dict.fromkeys(("expand", "expand_as", "broadcast_to"), _expand),
        "getitem": _index,
        "unbind": _unbound,
        "pad": _pad,
        "scaled_dot_product_attention": _attention,
        "": _unknown,
    }
)
"""The rule of each operation by name; ``""`` is that of all others, which pin what goes in."""
