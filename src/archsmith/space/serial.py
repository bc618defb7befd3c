"""Spaces as JSON, with references, so that one object in five places is one object again after the round trip."""

from __future__ import annotations

import importlib
from collections.abc import Collection, Mapping
from dataclasses import fields
from typing import Any

from archsmith.errors import SpaceError
from archsmith.space import nodes as kinds
from archsmith.space.nodes import Node, callable_by_name
from archsmith.space.space import Space

__all__ = ["DEPTH", "SCHEMA", "from_json", "resolve_target", "target_name", "to_json"]

SCHEMA = 1
DEPTH = 200
_KINDS: Mapping[str, type[Node]] = {
    k.__name__: k
    for k in (
        kinds.Call, kinds.Choice, kinds.Pick, kinds.Switch, kinds.Repeat, kinds.Range, kinds.Arithmetic, kinds.Program
    )
}  # fmt: skip


def target_name(target: Any) -> str:
    """Return ``module:qualname``; raises ``SpaceError`` for lambdas and functions inside functions."""
    name = getattr(target, "__qualname__", "")
    if not name or "<" in name:
        raise SpaceError(
            f"{target!r} cannot be written to JSON: a lambda or a function inside a function has no name by which it "
            "could be found again. Define it at the top level of a module."
        )
    return f"{target.__module__}:{name}"


def resolve_target(name: str, allow: Collection[str]) -> Any:
    """Return what ``module:qualname`` names, if its top-level package is among ``allow``."""
    module, _, path = name.partition(":")
    if module.partition(".")[0] not in allow:
        raise SpaceError(
            f"The space names {name!r}, and code is only loaded from {', '.join(sorted(allow))}. If you trust the "
            f"file, pass allow=({module.partition('.')[0]!r}, ...)."
        )
    try:
        found = importlib.import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise SpaceError(f"The space names {name!r}, which cannot be found: {error}.") from error
    return found


def to_json(space: Space) -> dict[str, Any]:
    """Return the space as JSON-ready data: a list of nodes that refer to each other by index, and the roots.

    Raises ``SpaceError`` for lambdas, by name.
    """
    written: list[dict[str, Any]] = []
    index: dict[int, int] = {}

    def value(expression: Any) -> Any:
        if isinstance(expression, Node):
            if id(expression) not in index:
                data = {f.name: value(getattr(expression, f.name)) for f in fields(expression)}  # type: ignore[arg-type]
                index[id(expression)] = len(written)
                written.append({"node": type(expression).__name__, "fields": data})
            return {"$ref": index[id(expression)]}
        if isinstance(expression, tuple):
            return {"$tuple": [value(e) for e in expression]}
        if isinstance(expression, list):
            return [value(e) for e in expression]
        if isinstance(expression, Mapping):
            return {"$dict": [[k, value(v)] for k, v in expression.items()]}
        return {"$target": target_name(expression)} if callable_by_name(expression) else expression

    roots = {name: value(root) for name, root in space.roots.items()}
    return {"schema": SCHEMA, "nodes": written, "roots": roots, "valid": [target_name(v) for v in space.valid]}


def from_json(data: Mapping[str, Any], allow: Collection[str] = ("torch", "archsmith")) -> Space:
    """Return the space that ``to_json`` wrote; code is loaded only from the packages in ``allow``.

    Raises ``SpaceError`` for data that is not a space, is newer than this version, or names other code.
    """
    if data.get("schema") != SCHEMA:
        raise SpaceError(f"This space has schema {data.get('schema')!r}; this version reads {SCHEMA}.")
    made: list[Node] = []

    def value(item: Any, depth: int = 0) -> Any:
        if depth > DEPTH:
            raise SpaceError(f"The space is nested deeper than {DEPTH} levels.")
        if isinstance(item, list):
            return [value(i, depth + 1) for i in item]
        if not isinstance(item, dict):
            return item
        ((tag, content),) = item.items()
        if tag == "$ref":
            return made[content]
        if tag == "$target":
            return resolve_target(content, allow)
        if tag == "$tuple":
            return tuple(value(i, depth + 1) for i in content)
        if tag == "$dict":
            return {k: value(v, depth + 1) for k, v in content}
        raise SpaceError(f"Unknown mark {tag!r} in a space.")

    try:
        for node in data["nodes"]:
            kind = _KINDS[node["node"]]
            made.append(kind(**{k: value(v) for k, v in node["fields"].items()}))
        roots = {name: value(root) for name, root in data["roots"].items()}
        valid = [resolve_target(v, allow) for v in data["valid"]]
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise SpaceError(f"This is not a space: {type(error).__name__}: {error}.") from error
    return Space(valid or None, **roots)
