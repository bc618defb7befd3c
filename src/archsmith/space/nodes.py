"""The node kinds of the language, and the functions that write them.

A node is frozen data with the identity of its object: used in five places, it is one node. What a node *means* is in
the readings (``walk``, ``evaluate``, ``count``, ``to_json``), never here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from archsmith.errors import SpaceError, nearest
from archsmith.space.arch import Answer

__all__ = [
    "Arithmetic",
    "Call",
    "Choice",
    "Node",
    "Pick",
    "Program",
    "Range",
    "Repeat",
    "Switch",
    "arithmetic",
    "bounds",
    "call",
    "callable_by_name",
    "children",
    "choice",
    "integer",
    "pick",
    "program",
    "real",
    "repeat",
    "round_to",
    "switch",
]


class Node:
    """Anything deferred; ``+``, ``*`` and ``//`` make arithmetic of nodes that stand for numbers."""

    __slots__ = ()

    def __add__(self, other: Any) -> Arithmetic:
        return Arithmetic("+", (self, other))

    def __radd__(self, other: Any) -> Arithmetic:
        return Arithmetic("+", (other, self))

    def __mul__(self, other: Any) -> Arithmetic:
        return Arithmetic("*", (self, other))

    def __rmul__(self, other: Any) -> Arithmetic:
        return Arithmetic("*", (other, self))

    def __floordiv__(self, other: Any) -> Arithmetic:
        return Arithmetic("//", (self, other))

    def __rfloordiv__(self, other: Any) -> Arithmetic:
        return Arithmetic("//", (other, self))


@dataclass(frozen=True, eq=False)
class Call(Node):
    """A deferred call of ``target``; every use of it makes a new object."""

    target: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Choice(Node):
    """One of several options, answered by a label."""

    labels: tuple[Answer, ...]
    options: tuple[Any, ...]
    name: str | None = None


@dataclass(frozen=True, eq=False)
class Pick(Node):
    """``k`` of several options, answered by a tuple of labels; stands for the sequence of what was picked."""

    k: int
    labels: tuple[Answer, ...]
    options: tuple[Any, ...]
    name: str | None = None


@dataclass(frozen=True, eq=False)
class Switch(Node):
    """The option that the answer to another choice selects: one decision with several effects."""

    on: Choice
    labels: tuple[Answer, ...]
    options: tuple[Any, ...]


@dataclass(frozen=True, eq=False)
class Repeat(Node):
    """The first ``count`` of a list of blocks."""

    blocks: tuple[Any, ...]
    count: Any


@dataclass(frozen=True, eq=False)
class Range(Node):
    """An integer or real number between two bounds, both included."""

    kind: Literal["integer", "real"]
    low: float
    high: float
    log: bool = False
    name: str | None = None


@dataclass(frozen=True, eq=False)
class Arithmetic(Node):
    """A small sum over values: ``+``, ``*``, ``//`` or ``round_to``."""

    operation: Literal["+", "*", "//", "round_to"]
    operands: tuple[Any, Any]


@dataclass(frozen=True, eq=False)
class Program(Node):
    """A define-by-run function: ordinary code that calls ``pick(name, *options)`` as it goes."""

    function: Callable[[Any], Any]


_SCALARS = (str, int, float, bool, type(None))
_HELD = (Node, type, *_SCALARS)


def _checked(value: Any, where: str) -> Any:
    """Return ``value`` if the language can hold it."""
    if isinstance(value, float) and not math.isfinite(value):
        raise SpaceError(f"{where} is {value}, which has no place in a space. Use a finite number.")
    if isinstance(value, _HELD) or callable_by_name(value):
        return value
    if isinstance(value, list | tuple):
        return type(value)(_checked(v, f"{where}[{i}]") for i, v in enumerate(value))
    if isinstance(value, Mapping):
        return {str(k): _checked(v, f"{where}[{k!r}]") for k, v in value.items()}
    raise SpaceError(
        f"{where} is an object of type {type(value).__name__}, already made. A space holds deferred calls, so that "
        f"every architecture gets its own: write call({type(value).__name__}, ...), not {type(value).__name__}(...)."
    )


def callable_by_name(value: Any) -> bool:
    """Return whether ``value`` is a function or class (not an instance that happens to be callable)."""
    return callable(value) and hasattr(value, "__qualname__")


def call(target: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Call:
    """Defer ``target(*args, **kwargs)``; arguments may hold any nodes. Raises ``SpaceError`` for made objects."""
    if not callable(target) or isinstance(target, Node):
        raise SpaceError(f"call needs a class or function as its first argument, not {target!r}.")
    name = getattr(target, "__name__", repr(target))
    return Call(
        target,
        tuple(_checked(a, f"Argument {i} of call({name})") for i, a in enumerate(args)),
        {k: _checked(v, f"Argument {k!r} of call({name})") for k, v in kwargs.items()},
    )


def _labelled(
    kind: str, options: Sequence[Any], named: Mapping[str, Any]
) -> tuple[tuple[Answer, ...], tuple[Any, ...]]:
    if options and named:
        raise SpaceError(f"{kind} takes its options either by position or by name, not both.")
    if not options and not named:
        raise SpaceError(f"{kind} needs at least one option.")
    if named:
        return tuple(named), tuple(_checked(v, f"Option {k!r} of {kind}") for k, v in named.items())
    checked = tuple(_checked(v, f"Option {i} of {kind}") for i, v in enumerate(options))
    if all(isinstance(v, _SCALARS) for v in checked):
        if len({str(v) for v in checked}) < len(checked) or len(set(checked)) < len(checked):
            raise SpaceError(f"{kind} has the same option twice: {', '.join(map(repr, checked))}. Name each once.")
        return checked, checked
    return tuple(range(len(checked))), checked


def choice(*options: Any, name: str | None = None, **named: Any) -> Choice:
    """Leave open which of the options to take: values, calls, or anything nested.

    The answer is the option's keyword, or the value itself where all options are plain values, else its position.
    """
    return Choice(*_labelled("choice", options, named), name)


def pick(k: int, /, *options: Any, name: str | None = None, **named: Any) -> Pick:
    """Leave open which ``k`` of the options to take, as for the edges of a cell; their order is kept."""
    labels, values = _labelled("pick", options, named)
    if not 0 < k <= len(values):
        raise SpaceError(f"pick takes 1 to {len(values)} of its {len(values)} options, not {k}.")
    return Pick(k, labels, values, name)


def switch(on: Choice, options: Mapping[Any, Any] | None = None, /, **named: Any) -> Switch:
    """Select by the answer to another choice: the same decision asked once, with an effect in several places."""
    if not isinstance(on, Choice):
        raise SpaceError(f"switch needs a choice to depend on, not {type(on).__name__}.")
    given: dict[Any, Any] = {**(options or {}), **named}
    for label in given:
        if label not in on.labels:
            raise SpaceError(f"switch has an option {label!r} its choice lacks. {nearest(label, map(str, on.labels))}")
    missing = [label for label in on.labels if label not in given]
    if missing:
        raise SpaceError(f"switch says nothing for {', '.join(map(repr, missing))}; every option needs a value.")
    values = tuple(_checked(given[label], f"Option {label!r} of switch") for label in on.labels)
    return Switch(on, on.labels, values)


def repeat(block: Callable[[int], Any] | Sequence[Any], count: Any) -> Repeat:
    """Take the first ``count`` blocks of a list, or of ``block(0), block(1), ...``.

    The result is spliced into positional arguments and lists. ``count`` may be any whole-number expression; a block
    beyond the count is not asked about.
    """
    low, high = bounds(count)
    if low < 0 or low != int(low) or high != int(high):
        raise SpaceError(f"repeat counts from {low} to {high}; it needs whole numbers from 0 up.")
    if isinstance(block, Sequence):
        blocks = list(block)
    elif isinstance(block, Node):
        raise SpaceError("repeat needs a list of blocks, or a function from the block's index to a block.")
    else:
        blocks = [block(i) for i in range(int(high))]
    if len(blocks) < high:
        raise SpaceError(f"repeat may count to {int(high)}, but there are only {len(blocks)} blocks.")
    return Repeat(tuple(_checked(b, f"Block {i} of repeat") for i, b in enumerate(blocks)), count)


def _range(kind: Literal["integer", "real"], low: float, high: float, log: bool, name: str | None) -> Range:
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise SpaceError(f"{kind}({low}, {high}) is not a range: give a finite low that is at most a finite high.")
    if log and low <= 0:
        raise SpaceError(f"{kind}({low}, {high}, log=True) starts at {low}; a logarithmic range starts above 0.")
    return Range(kind, low, high, log, name)


def integer(low: int, high: int, log: bool = False, name: str | None = None) -> Range:
    """Leave open a whole number from ``low`` to ``high``, both included."""
    if low != int(low) or high != int(high):
        raise SpaceError(f"integer({low}, {high}) needs whole bounds; use real for others.")
    return _range("integer", int(low), int(high), log, name)


def real(low: float, high: float, log: bool = False, name: str | None = None) -> Range:
    """Leave open a real number from ``low`` to ``high``, both included."""
    return _range("real", float(low), float(high), log, name)


def round_to(value: Any, multiple: int) -> Arithmetic:
    """Round to the nearest multiple, never below one multiple: channel counts that hardware likes."""
    return Arithmetic("round_to", (value, multiple))


def program(function: Callable[[Any], Any]) -> Program:
    """Wrap a define-by-run function: it is called with ``pick`` and asks ``pick(name, *options)`` as it goes."""
    return Program(function)


def children(expression: Any) -> tuple[Any, ...]:
    """Return the direct parts of an expression, in the order in which they are visited."""
    match expression:
        case Call(args=args, kwargs=kwargs):
            return (*args, *kwargs.values())
        case Choice(options=options) | Pick(options=options):
            return options
        case Switch(on=on, options=options):
            return (on, *options)
        case Repeat(count=count, blocks=blocks):
            return (count, *blocks)
        case Arithmetic(operands=operands):
            return operands
        case list() | tuple():
            return tuple(expression)
        case dict():
            return tuple(expression.values())
    return ()


def arithmetic(operation: str, a: Any, b: Any) -> Any:
    """Compute one arithmetic node on plain numbers."""
    if operation == "+":
        return a + b
    if operation == "*":
        return a * b
    if operation == "//":
        return a // b
    return max(b, int((a + b / 2) // b) * b)


def bounds(expression: Any) -> tuple[float, float]:
    """Return the smallest and the largest value a number expression can take.

    Raises ``SpaceError`` where it is not a number.
    """
    match expression:
        case bool() | str() | None:
            pass
        case int() | float():
            return expression, expression
        case Range(low=low, high=high):
            return low, high
        case Choice(options=options) | Switch(options=options):
            pairs = [bounds(o) for o in options]
            return min(p[0] for p in pairs), max(p[1] for p in pairs)
        case Arithmetic(operation=operation, operands=(left, right)):
            corners = [arithmetic(operation, a, b) for a in bounds(left) for b in bounds(right)]
            return min(corners), max(corners)
    raise SpaceError(f"A number is needed here (literal, range, choice of numbers or arithmetic), not {expression!r}.")
