"""The reading that prints: the network of an architecture as standalone Python that needs torch and nothing of ours."""

from __future__ import annotations

import ast
import hashlib
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from keyword import iskeyword
from typing import Any

from torch import nn

from archsmith.build.answers import Answers
from archsmith.build.inline import Inlined, inline
from archsmith.errors import SpaceError
from archsmith.space import Arch, Call, Picker, Program, Space, evaluate

__all__ = ["shipped_source", "source", "source_key"]

_WIDTH = 100
_TITLE = '"""A neural network in plain PyTorch: build() makes it, freshly initialised."""'


@dataclass(frozen=True)
class _Made:
    """A call that stands to be printed."""

    target: Any
    args: Sequence[Any]
    kwargs: Mapping[str, Any]


def source(space: Space, arch: Arch) -> str:
    """Return Python text that defines ``build() -> nn.Module``, the network of ``arch``.

    The text imports torch (and other installed packages the person's own blocks import), holds the classes and
    functions the network uses, and is the same in every process. What ``build()`` makes has the parameter names of
    ``archsmith.build.build``, and computes the same with the same weights. Raises ``SpaceError`` for targets without
    a module-level name and for code that needs this project.
    """
    return _printed(_expressions(space, arch, ["model"])["model"])


def shipped_source(space: Space, arch: Arch, before: nn.Module | None = None, after: nn.Module | None = None) -> str:
    """Return the text of ``nn.Sequential(before, network, after)``, leaving out what is None.

    ``before`` and ``after`` are modules whose ``repr`` is the expression that makes them, as for the preprocessing
    modules and most of ``torch.nn``. Raises ``SpaceError`` where it is not.
    """
    network = _expressions(space, arch, ["model"])["model"]
    parts = [*([_remade(before)] if before else []), network, *([_remade(after)] if after else [])]
    return _printed(_Made(nn.Sequential, parts, {}))


def source_key(space: Space, arch: Arch) -> str:
    """Return 64 hexadecimal digits that are equal for equal networks with equal training settings.

    It is the SHA-256 of the canonical text of every root, so two architectures that build the same network by
    different answers have one key, and need only one training.
    """
    values = _expressions(space, arch, list(space.roots))
    targets = tuple(dict.fromkeys(t for value in values.values() for t in _targets(value)))
    inlined, names = _inlined(targets)
    lines = [f"{root} = {_line(value, names)}" for root, value in values.items()]
    return hashlib.sha256("\n".join([inlined.definitions, *lines]).encode()).hexdigest()


def _expressions(space: Space, arch: Arch, roots: list[str]) -> dict[str, Any]:
    def make(call: Call, path: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        return _Made(call.target, args, kwargs)

    def run(node: Program, path: str, picker: Picker) -> Any:
        prefix = f"{picker.prefix}/"
        given = {key.removeprefix(prefix): answer for key, answer in arch.items() if key.startswith(prefix)}
        return _Made(node.function, [_Made(Answers, [given], {})], {})

    return evaluate(space, arch, make, roots, run)


def _remade(module: nn.Module) -> _Made:
    """Return the call that makes a module again, read from its ``repr``."""
    if type(module) is nn.Sequential:
        return _Made(nn.Sequential, [_remade(child) for child in module], {})
    try:
        call = ast.parse(repr(module), mode="eval").body
        if not isinstance(call, ast.Call) or ast.unparse(call.func) != type(module).__name__:
            raise ValueError("it is not a call of its class")
        args = [ast.literal_eval(a) for a in call.args]
        kwargs = {str(k.arg): ast.literal_eval(k.value) for k in call.keywords}
    except (SyntaxError, ValueError) as error:
        raise SpaceError(
            f"The preprocessing module {type(module).__name__} cannot be written into a file: its repr is not the "
            f"expression that makes it ({error}). Return its constructor's arguments from extra_repr."
        ) from error
    return _Made(type(module), args, kwargs)


def _printed(value: Any) -> str:
    targets = tuple(dict.fromkeys([nn.Module, *_targets(value)]))
    inlined, names = _inlined(targets)
    build = f'def build() -> {names[nn.Module]}:\n    """Return the network, freshly initialised."""\n'
    build += textwrap.indent(f"return {_pretty(value, names, 4, len('return '))}", "    ")
    parts = [_TITLE]
    if inlined.future:
        parts.append("from __future__ import annotations")
    parts.append("\n".join(inlined.imports))
    head = "\n\n".join(parts)
    return "\n\n\n".join(filter(None, [head, inlined.definitions, build])) + "\n"


@lru_cache(maxsize=512)
def _inlined(targets: tuple[Any, ...]) -> tuple[Inlined, dict[Any, str]]:
    inlined = inline(targets)
    return inlined, dict(zip(targets, inlined.names, strict=True))


def _is_target(value: Any) -> bool:
    return callable(value) and hasattr(value, "__qualname__")


def _targets(value: Any) -> Iterator[Any]:
    """Yield every class and function an expression names, outside in, left to right."""
    if isinstance(value, _Made):
        yield value.target
        for part in [*value.args, *value.kwargs.values()]:
            yield from _targets(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _targets(part)
    elif isinstance(value, dict):
        for part in value.values():
            yield from _targets(part)
    elif _is_target(value):
        yield value


def _parts(value: Any, names: Mapping[Any, str]) -> tuple[str, list[tuple[str, Any]], str] | None:
    """Return how a compound value opens, its parts with what stands before each, and how it closes."""
    if isinstance(value, _Made):
        named = {k: v for k, v in value.kwargs.items() if k.isidentifier() and not iskeyword(k)}
        other = {k: v for k, v in value.kwargs.items() if k not in named}
        inner = [*(("", a) for a in value.args), *((f"{k}=", v) for k, v in named.items())]
        return f"{names[value.target]}(", [*inner, *([("**", other)] if other else [])], ")"
    if isinstance(value, list):
        return "[", [("", v) for v in value], "]"
    if isinstance(value, tuple):
        return "(", [("", v) for v in value], ",)" if len(value) == 1 else ")"
    if isinstance(value, dict):
        return "{", [(f"{_quoted(repr(k))}: ", v) for k, v in value.items()], "}"
    return None


def _literal(value: Any, names: Mapping[Any, str]) -> str:
    if value is None or isinstance(value, bool):
        return repr(value)
    for kind in (int, float, str):
        if isinstance(value, kind):
            return _quoted(repr(kind(value)))  # numpy's numbers print as themselves otherwise
    return names[value]


def _quoted(text: str) -> str:
    return f'"{text[1:-1]}"' if text[0] == "'" and '"' not in text else text


def _line(value: Any, names: Mapping[Any, str]) -> str:
    parts = _parts(value, names)
    if parts is None:
        return _literal(value, names)
    opening, inner, closing = parts
    return opening + ", ".join(before + _line(part, names) for before, part in inner) + closing


def _pretty(value: Any, names: Mapping[Any, str], indent: int, before: int = 0) -> str:
    """Return the text of a value that starts ``indent + before`` columns in, broken where it would be too long."""
    line = _line(value, names)
    parts = _parts(value, names)
    if indent + before + len(line) < _WIDTH or parts is None or not parts[1]:
        return line
    opening, inner, closing = parts
    if all(_parts(part, names) is None for _, part in inner) and isinstance(value, list | tuple | dict):
        rows = textwrap.wrap(", ".join(b + _literal(p, names) for b, p in inner) + ",", max(20, _WIDTH - indent - 4))
        return "\n".join([opening, *(f"    {row}" for row in rows), closing.lstrip(",")])
    rows = [textwrap.indent(b + _pretty(part, names, indent + 4, len(b)), "    ") + "," for b, part in inner]
    return "\n".join([opening, *rows, closing.lstrip(",")])
