"""Following a network on an example: a graph of its layers and functions, with the value of every node.

There are two tracers in torch, and ``torch.fx`` is the right one here. ``torch.export`` captures more networks, but
what it returns is a flat list of operations on numbers: the modules are gone, sizes that the code computes stand as
constants beside sizes that it was written with, and Python that chose between them has been run. What is needed here is
the contrary: the person's own modules stay, are made again with other sizes, and run their own ``forward``; the graph
only tells which sizes belong together. ``torch.fx`` keeps modules as they are and knows a computed size from a written
one. Its weakness, code that looks at shapes, is mended by running it on an example: every proxy knows its value, so
loops over sizes and branches on shapes are followed. Code that looks at *numbers* is followed by neither.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn

from archsmith.errors import SpaceError

__all__ = ["Called", "Traced", "trace"]


@dataclass(frozen=True)
class Called:
    """One call of a module by its one tensor: the nodes of its argument and result, and all nodes in between."""

    path: str
    argument: fx.Node
    result: fx.Node
    inside: frozenset[fx.Node]


@dataclass(frozen=True)
class Traced:
    """What a network did with an example.

    ``nodes`` are in the order of computation; each has ``meta["value"]``, what it was, and ``meta["place"]``, the line
    it comes from. ``calls`` tells how often each module was called, and ``simple`` lists the calls of composite modules
    by one tensor.
    """

    nodes: tuple[fx.Node, ...]
    calls: dict[str, int]
    simple: tuple[Called, ...]


def trace(model: nn.Module, example: Tensor, leaves: tuple[type, ...]) -> Traced:
    """Run the model, in evaluation mode, on an example and return what it did; ``leaves`` are not looked into.

    Raises ``SpaceError`` where the code branches on numbers, with the line and the remedy.
    """
    tracer = _Tracer(example, leaves)
    wrapped = _Wrapped(copy.deepcopy(model).eval())
    with torch.no_grad():
        try:
            graph = tracer.trace(wrapped)
        except SpaceError:
            raise
        except Exception as error:
            raise SpaceError(
                f"The network cannot be followed: {type(error).__name__}: {error}. It happened at "
                f"{_place(error.__traceback__)}. {_REMEDY}"
            ) from error
    return Traced(tuple(graph.nodes), tracer.calls, tuple(tracer.simple))


_REMEDY = (
    "Name the class of that module in leaves=..., which leaves it as it is, or write the space by hand with call and "
    "choice."
)


class _Wrapped(nn.Module):
    """Gives every network one input, whatever its other arguments, and every module a name that is not empty."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Any) -> Any:
        """Return what the model does."""
        return self.model(x)


class _Valued(fx.Proxy):
    """A proxy that knows what it stands for, so that code may look at shapes; it may not look at numbers."""

    def _known(self, wish: str) -> Any:
        value = self.node.meta["value"]
        if isinstance(value, Tensor):
            raise SpaceError(
                f"The network branches on the numbers in a tensor ({wish} at {_place()}), so what it does differs from "
                f"input to input and no one space describes it. {_REMEDY}"
            )
        return value

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.node.meta["value"], name)
        if name in ("ndim", "dtype", "device", "is_cuda", "requires_grad", "layout"):
            return value
        if callable(value) and not isinstance(value, Tensor):
            return lambda *args, **kwargs: self.tracer.create_proxy("call_method", name, (self, *args), kwargs)
        return self.tracer.create_proxy("call_function", getattr, (self, name), {})

    def __bool__(self) -> bool:
        return bool(self._known("if, while or and"))

    def __int__(self) -> int:
        return int(self._known("int()"))

    def __index__(self) -> int:
        return int(self._known("use as an index"))

    def __float__(self) -> float:
        return float(self._known("float()"))

    def __len__(self) -> int:
        return len(self.node.meta["value"])

    def __iter__(self) -> Iterator[Any]:
        return iter([self[i] for i in range(len(self))])  # type: ignore[index]


class _Tracer(fx.Tracer):
    def __init__(self, example: Tensor, leaves: tuple[type, ...]) -> None:
        super().__init__()
        self.example, self.leaves = example, leaves
        self.proxy_buffer_attributes = True
        self.calls: dict[str, int] = {}
        self._opened: set[str] = set()
        self.simple: list[Called] = []
        self._computing = False  # while values are computed, nothing is followed

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Look into containers and a person's own modules, and not into torch's layers."""
        if module_qualified_name in self._opened and not isinstance(m, self.leaves):
            return False
        return isinstance(m, self.leaves) or super().is_leaf_module(m, module_qualified_name)

    def proxy(self, node: fx.Node) -> fx.Proxy:
        """Return a proxy that knows its value."""
        return _Valued(node, self)

    def create_proxy(self, kind: str, target: Any, args: Any, kwargs: Any, *rest: Any, **named: Any) -> fx.Proxy:
        """Make a node, and compute what it stands for."""
        made: fx.Proxy = super().create_proxy(kind, target, args, kwargs, *rest, **named)
        made.node.meta["value"] = self._value(made.node)
        made.node.meta["place"] = _place()
        return made

    def call_module(
        self, m: nn.Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Count the call, and keep it where it is of one tensor."""
        if self._computing:
            return forward(*args, **kwargs)
        path = self.path_of_module(m)
        self.calls[path] = self.calls.get(path, 0) + 1
        # A stack of encoder layers is a loop over them. With a mask it may look at the numbers in it, and stays whole.
        self._opened.discard(path)
        if type(m) is nn.TransformerEncoder and len([a for a in (*args, *kwargs.values()) if a is not None]) == 1:
            self._opened.add(path)
        before = set(self.graph.nodes)
        result = super().call_module(m, forward, args, kwargs)
        leaf = self.is_leaf_module(m, path)
        if (
            not leaf
            and isinstance(result, fx.Proxy)
            and len(args) == 1
            and not kwargs
            and isinstance(args[0], fx.Proxy)
        ):
            inside = frozenset(set(self.graph.nodes) - before)
            self.simple.append(Called(path, args[0].node, result.node, inside))
        return result

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        """Return what stands for a module's attribute."""
        return attr_val if self._computing else super().getattr(attr, attr_val, parameter_proxy_cache)

    def _value(self, node: fx.Node) -> Any:
        self._computing = True
        try:
            return self._computed(node)
        finally:
            self._computing = False

    def _computed(self, node: fx.Node) -> Any:
        if node.op == "placeholder":
            return self.example
        if node.op == "output":
            return None
        if node.op == "get_attr":
            return _attribute(self.root, str(node.target))
        if node.op == "call_method" and node.target in ("item", "tolist", "numpy"):
            raise SpaceError(f"The network reads the numbers in a tensor (.{node.target}() at {_place()}). {_REMEDY}")
        args, kwargs = fx.node.map_arg((node.args, dict(node.kwargs)), self._of)
        if node.op == "call_module":
            return self.root.get_submodule(str(node.target))(*args, **kwargs)
        if node.op == "call_method":
            return getattr(args[0], str(node.target))(*args[1:], **kwargs)
        return node.target(*args, **kwargs)  # type: ignore[operator]

    def _of(self, node: fx.Node) -> Any:
        if "value" not in node.meta:  # a tensor that the code made from nothing, kept by fx as an attribute
            node.meta |= {"value": _attribute(self.root, str(node.target)), "place": ""}
        return node.meta["value"]


def _attribute(root: Any, path: str) -> Any:
    for name in path.split("."):
        root = getattr(root, name)
    return root


_TORCH, _HERE = str(Path(torch.__file__).parent), str(Path(__file__).parent)


def _place(trace: Any = None) -> str:
    """Return the innermost line outside torch and this project: of a traceback, or of what runs now."""
    found = ""
    frames: list[tuple[str, int]] = []
    if trace is not None:
        while trace is not None:
            frames.insert(0, (trace.tb_frame.f_code.co_filename, trace.tb_lineno))
            trace = trace.tb_next
    else:
        frame: Any = sys._getframe(1)
        while frame is not None:
            frames.append((frame.f_code.co_filename, frame.f_lineno))
            frame = frame.f_back
    for file, line in frames:
        if not file.startswith((_TORCH, _HERE, "<")):
            found = f"{Path(file).name}:{line}"
            break
    return found or "a layer of torch"
