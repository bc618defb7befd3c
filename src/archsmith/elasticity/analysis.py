"""What can vary in a network: its widths, the blocks that can be left out, and the rest with the reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, fx, nn

from archsmith.elasticity.flow import Flow
from archsmith.elasticity.functions import FUNCTIONS, Operation, name_of
from archsmith.elasticity.layers import PASSING, RULES
from archsmith.elasticity.tracing import Called, Traced
from archsmith.elasticity.widths import pin, resolve, unify

__all__ = ["Analysis", "analyse"]

_ROOT = "model"


@dataclass(frozen=True)
class Analysis:
    """``flow`` holds the widths; ``skippable`` are paths of modules that can be left out."""

    flow: Flow
    skippable: frozenset[str]


def analyse(model: nn.Module, traced: Traced, pinned: Mapping[str, str], depth: bool) -> Analysis:
    """Follow the channels through the nodes.

    ``pinned`` are widths by name that are known not to vary, with the reason.
    """
    flow = Flow(model)
    for node in traced.nodes:
        if node.op == "placeholder":
            flow.labels[node] = (None,) * node.meta["value"].ndim
        elif node.op == "output":
            for source in node.all_input_nodes:
                flow.pin_all(flow.labels.get(source), "it is the network's output")
        elif node.op == "get_attr":
            _attribute(flow, node)
        elif node.op == "call_module":
            _layer(flow, node)
        elif node.op in ("call_function", "call_method"):
            operation = Operation(flow, node, name_of(node))
            flow.labels[node] = _call(operation)
    skippable = _skippable(model, flow, traced) if depth else frozenset()
    for stored in flow.stored.values():
        parts = resolve(stored.axis)
        for width, each in parts[:-1]:
            pin(((width, each),), f"it lies before others in {stored.tensor}, where only the last part can vary")
    for axis in [*flow.sizes.values(), *(s.axis for s in flow.stored.values())]:
        for width, _ in resolve(axis):
            if width.name in pinned:
                pin(((width, 1),), pinned[width.name])
    return Analysis(flow, skippable)


def _path_of(node: fx.Node) -> str:
    """Return the path, in the network that was given, of what a node names."""
    return str(node.target).removeprefix(_ROOT).removeprefix(".")


def _call(operation: Operation) -> object:
    value = operation.node.meta["value"]
    if not isinstance(value, Tensor) and not (isinstance(value, tuple | list) and any(_tensors(value))):
        return None  # sizes and the like
    return FUNCTIONS.get(operation.name, FUNCTIONS[""])(operation)


def _tensors(values: object) -> list[bool]:
    return [isinstance(value, Tensor) for value in values]  # type: ignore[attr-defined]


def _attribute(flow: Flow, node: fx.Node) -> None:
    value = node.meta["value"] if "value" in node.meta else None
    if not isinstance(value, Tensor):
        return
    path, _, name = _path_of(node).rpartition(".")
    if not isinstance(value, nn.Parameter):
        flow.labels[node] = (None,) * value.ndim
        return
    axes = [
        flow.own(path, f"{name} {i}", size, f"{path}.{name}".lstrip(".")) if size > 1 else None
        for i, size in enumerate(value.shape)
    ]
    flow.keep(path, name, axes)
    flow.labels[node] = tuple(axes)


def _layer(flow: Flow, node: fx.Node) -> None:
    path, source = _path_of(node), node.args[0] if node.args else None
    layer, value = flow.model.get_submodule(path), node.meta["value"]
    rule = RULES.get(type(layer))
    labels: Any = flow.labels.get(source) if isinstance(source, fx.Node) else None
    one = isinstance(source, fx.Node) and isinstance(labels, tuple) and isinstance(value, Tensor)
    if rule is not None and one and len(node.all_input_nodes) == 1:
        assert isinstance(source, fx.Node)
        flow.labels[node] = rule(flow, path, layer, labels, tuple(source.meta["value"].shape), tuple(value.shape))
        return
    if any(True for _ in layer.parameters()):
        flow.left[path] = f"there is no rule for how a {type(layer).__name__} treats channels"
    for inside in node.all_input_nodes:
        flow.pin_all(flow.labels.get(inside), f"it goes into {path}, a {type(layer).__name__}, whose sizes are its own")
    flow.labels[node] = (
        (None,) * value.ndim if isinstance(value, Tensor) else [(None,) * getattr(v, "ndim", 0) for v in value]
    )


# Depth.

_KEEPS_IDENTITY = {"add", "iadd", "radd", "relu", "relu6", "gelu", "silu", "hardswish", "leaky_relu", "dropout"}
_KEEPS_IDENTITY |= {"contiguous", "clone", "layer_norm"}
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)


def _skippable(model: nn.Module, flow: Flow, traced: Traced) -> frozenset[str]:
    """Return the smallest modules that keep the shape and can be left out: residual ones, and items of sequences."""
    found: dict[str, Called] = {}
    for called in traced.simple:  # inner ones come first
        path = called.path.removeprefix(_ROOT).removeprefix(".")
        shapes = [getattr(n.meta["value"], "shape", None) for n in (called.argument, called.result)]
        if not path or traced.calls[called.path] > 1 or shapes[0] != shapes[1] or not _has_weights(model, called):
            continue
        if any(inner.startswith(f"{path}.") for inner in found):
            continue
        ours: list[Any] = [flow.labels.get(n) for n in (called.argument, called.result)]
        if not all(isinstance(labels, tuple) for labels in ours):
            continue
        parent = model.get_submodule(path.rpartition(".")[0])
        if not (isinstance(parent, nn.Sequential) or _residual(model, called, traced.nodes)):
            continue
        found[path] = called
        for a, b in zip(*ours, strict=True):
            if (a is None) != (b is None):
                flow.pin_all([(a, b)], f"it is the size of what {path} keeps or replaces")
            elif a is not None and b is not None:
                unify(a, b, path)
    return frozenset(found)


def _has_weights(model: nn.Module, called: Called) -> bool:
    layers = [model.get_submodule(_path_of(n)) for n in called.inside if n.op == "call_module"]
    return any(p.ndim > 1 for layer in layers for p in layer.parameters())


def _residual(model: nn.Module, called: Called, nodes: tuple[fx.Node, ...]) -> bool:
    """Return whether the argument reaches the result past every layer with weights, by sums alone."""
    reached = {called.argument}
    for node in nodes:
        if node not in called.inside or not reached.intersection(node.all_input_nodes):
            continue
        if node.op == "call_module":
            keeps = isinstance(model.get_submodule(_path_of(node)), (*PASSING, *_NORMS))
        else:
            keeps = node.op in ("call_function", "call_method") and name_of(node) in _KEEPS_IDENTITY
        if keeps:
            reached.add(node)
    return called.result in reached and called.result is not called.argument
