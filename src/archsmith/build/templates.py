"""Networks without data, made quickly again and again: what a call made once is copied from then on."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from archsmith.build.module import build_with_paths, called
from archsmith.build.places import Place, places
from archsmith.build.slices import Rule
from archsmith.space import Arch, Mix, Space

__all__ = ["Templates"]

_LIMIT = 20_000  # modules that are kept, a few kilobytes each


@dataclass(frozen=True, eq=False)
class _Template:
    """A module that a call of plain arguments made, never handed out itself.

    ``mutable`` lists the attributes that a copy must not share, for each module in it. ``found`` are its places.
    """

    module: nn.Module
    mutable: Mapping[int, tuple[str, ...]]
    found: tuple[Place, ...]


class Templates:
    """Makes the networks of a space on the meta device; the same call with the same plain arguments is run once.

    Constructors take most of the time that lending a network takes. So each module that a call made from plain values
    is kept, and the next network with it is given a copy: module objects of its own without the constructors' work.
    What cannot be copied faithfully, such as a module that holds a closure, is made anew every time, and what a block
    does to the modules it is given is done to its own copies. Copying or pickling this leaves what is kept behind.
    """

    def __init__(self, space: Space, rules: Mapping[type, Rule]) -> None:
        self.space, self.rules = space, rules
        self._kept: OrderedDict[Any, _Template | None] = OrderedDict()
        self._size = 0

    def __reduce__(self) -> tuple[Any, ...]:
        return Templates, (self.space, self.rules)

    def build(self, arch: Arch, mixed: Mapping[str, Mix]) -> tuple[nn.Module, list[Place]]:
        """Return the network of ``arch`` without data, and where its tensors are kept.

        Raises ``SpaceError`` where it cannot be built, also where only numbers were missing.
        """
        known: dict[int, tuple[tuple[nn.Module, ...], tuple[Place, ...]]] = {}

        def construct(target: Callable[..., Any], path: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
            key = _key((path, target, args, kwargs))
            if key is None:
                return called(target, path, args, kwargs)
            template = self._kept.get(key)
            if template is None:
                made = called(target, path, args, kwargs)
                if key in self._kept or not isinstance(made, nn.Module):
                    return made
                template = self._keep(key, made, path)
                if template is None:
                    return made
            self._kept.move_to_end(key)
            twins: dict[int, nn.Module] = {}
            twin = _twin(template.module, template.mutable, twins)
            found = tuple(
                replace(place, owners=tuple((twins[id(owner)], name) for owner, name in place.owners))
                for place in template.found
            )
            known[id(twin)] = tuple(twins.values()), found
            return twin

        with torch.device("meta"):
            network, paths = build_with_paths(self.space, arch, None, mixed, construct)
        return network, places(network, paths, self.rules, known)

    def _keep(self, key: Any, module: nn.Module, path: str) -> _Template | None:
        """Keep a module that was just made, if copies of it are as good; forget what was not used for long."""
        modules = list(module.modules())
        mutable = {id(each): _mutable(each) for each in modules}
        checked = {each: names for each, names in mutable.items() if names is not None}
        template = None
        if len(checked) == len(mutable):
            template = _Template(module, checked, tuple(places(module, {"": path}, self.rules)))
        self._kept[key] = template
        self._size += len(modules) if template is not None else 1
        while self._size > _LIMIT and len(self._kept) > 1:
            _, oldest = self._kept.popitem(last=False)
            self._size -= 1 if oldest is None else len(oldest.mutable)
        return template


def _twin(module: nn.Module, mutable: Mapping[int, tuple[str, ...]], twins: dict[int, nn.Module]) -> nn.Module:
    """Return a copy of the module with the same tensors; ``twins`` has the copy of each module in it, by identity."""
    known = twins.get(id(module))
    if known is not None:
        return known
    twin: nn.Module = object.__new__(type(module))
    twins[id(module)] = twin
    state = twin.__dict__
    state.update(module.__dict__)
    for name in mutable[id(module)]:
        state[name] = state[name].copy()
    children = state["_modules"]
    for name, child in children.items():
        if child is not None:
            children[name] = _twin(child, mutable, twins)
    return twin


def _mutable(module: nn.Module) -> tuple[str, ...] | None:
    """Return the names of the attributes that a copy of the module needs copies of; None if they cannot be copied."""
    names = []
    for name, value in vars(module).items():
        if type(value) in (dict, OrderedDict, list, set):
            members = value.values() if isinstance(value, dict) else value
            if name not in ("_parameters", "_buffers", "_modules") and not all(map(_plain, members)):
                return None
            names.append(name)
        elif not _plain(value):
            return None
    if any(isinstance(value, Tensor) and not _is_statistic(module) for value in module._buffers.values()):
        return None  # a table or mask: its numbers are lost here, and a copy must not share them
    return tuple(names)


def _is_statistic(module: nn.Module) -> bool:
    return isinstance(module, nn.modules.batchnorm._NormBase)


_PLAIN = (type(None), bool, int, float, complex, str, bytes, torch.dtype, torch.device, torch.memory_format)


def _plain(value: Any) -> bool:
    """Return whether a value may be shared by copies: nothing can change it, and it refers to no module."""
    kind = type(value)
    if kind in (tuple, frozenset, torch.Size):
        return all(map(_plain, value))
    if kind is FunctionType:
        return value.__closure__ is None
    if kind is BuiltinFunctionType:
        return value.__self__ is None or isinstance(value.__self__, ModuleType)
    return kind in _PLAIN or isinstance(value, type)


def _key(value: Any) -> Any:
    """Return what tells one argument from another, with its type since 1 equals True; None if it is no plain value."""
    kind = type(value)
    if kind in (list, tuple):
        parts = tuple(map(_key, value))
        return None if None in parts else (kind, parts)
    if kind is dict:
        inner = _key(list(value.values()))
        return None if inner is None else (tuple(value), inner)
    return (kind, value) if kind is FunctionType or _plain(value) else None
