"""The settings of a strategy that is made by name: which it has, and what each of them takes."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Container, Mapping
from contextlib import suppress
from functools import partial
from numbers import Integral, Real
from types import NoneType, SimpleNamespace, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from archsmith.errors import UsageError, nearest
from archsmith.space import Space
from archsmith.strategy.protocol import Strategy

__all__ = ["around", "check_settings"]

_WORDS: Mapping[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "True or False",
    str: "a text",
    NoneType: "None",
    tuple: "a tuple",
    Mapping: "a dictionary",
}


def around(kind: Callable[..., Strategy], inner: Callable[[Space], Strategy]) -> Callable[..., Strategy]:
    """Return what makes a strategy that wraps another, from a space: what ``inner`` makes unless one is given.

    Its signature and annotations are those of ``kind``, a dataclass with a field ``strategy``, so that a setting that
    there is not is told from one that there is.
    """

    def make(space: Space, strategy: Strategy | None = None, **settings: Any) -> Strategy:
        return kind(inner(space) if strategy is None else strategy, **settings)

    space = inspect.Parameter("space", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    own = [
        p.replace(kind=p.KEYWORD_ONLY, default=None if p.name == "strategy" else p.default)
        for p in inspect.signature(kind).parameters.values()
    ]
    make.__signature__ = inspect.Signature([space, *own])  # type: ignore[attr-defined]
    make.__annotations__ = {**_hints(kind), "space": Space, "return": kind}
    return make


def check_settings(
    owner: str, make: Callable[..., Any], settings: Mapping[str, Any], reserved: Container[str] = ("space",)
) -> None:
    """Raise ``UsageError`` for the first setting that ``make`` does not have, or whose type it is not annotated with.

    ``owner`` is what the message begins with; ``reserved`` are parameters that are no settings. What has no annotation,
    as in many a strategy of one's own, is not checked.
    """
    parameters = inspect.signature(make).parameters
    any_name = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    allowed = [p for p in parameters if p not in reserved]
    hints = _hints(make)
    for setting, value in settings.items():
        if setting not in allowed and not any_name:
            raise UsageError(f"{owner} has no setting {setting!r}. {nearest(setting, allowed)}")
        hint = hints.get(setting, Any)
        if not _fits(value, hint):
            raise UsageError(f"{owner} takes for {setting!r} {_words(hint)}, not {value!r}.")


def _hints(make: Any) -> dict[str, Any]:
    """Return the annotations of what ``make`` takes, empty where they cannot be read."""
    while isinstance(make, partial):
        make = make.func
    function = make.__init__ if inspect.isclass(make) else make
    found: dict[str, Any] = {}
    # One by one: some may be names that only a type checker sees.
    for name, annotation in getattr(function, "__annotations__", {}).items():
        known = getattr(inspect.unwrap(function), "__globals__", {})
        with suppress(NameError, TypeError, AttributeError, SyntaxError):
            found |= get_type_hints(SimpleNamespace(__annotations__={name: annotation}), known)
    return found


def _fits(value: Any, hint: Any) -> bool:
    """Return whether a value is of the annotated type; true where that cannot be told."""
    origin = get_origin(hint)
    if hint is Any:
        return True
    if origin in (Union, UnionType):
        return any(_fits(value, one) for one in get_args(hint))
    if origin is Literal:
        return value in get_args(hint)
    kind = origin or hint
    if kind is int:
        return isinstance(value, Integral) and not isinstance(value, bool)
    if kind is float:
        return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    if kind is tuple:  # a list is as good: it is what people write
        inner = get_args(hint)[:1]
        return isinstance(value, tuple | list) and all(_fits(one, inner[0]) for one in value if inner)
    if getattr(kind, "_is_protocol", False):
        methods = [n for n, member in vars(kind).items() if callable(member) and not n.startswith("_")]
        return not inspect.isclass(value) and all(callable(getattr(value, n, None)) for n in methods)
    return not inspect.isclass(kind) or isinstance(value, kind)


def _words(hint: Any) -> str:
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        return " or ".join(map(_words, get_args(hint)))
    if origin is Literal:
        return f"one of {', '.join(map(repr, get_args(hint)))}"
    kind = origin or hint
    called = str(getattr(kind, "__name__", kind)).lower()
    if getattr(kind, "_is_protocol", False):
        return f"a {called}, an object that was made"
    return _WORDS.get(kind, f"a {called}")
