"""The algebra of widths: numbers of channels that must be equal, multiples of one another, or one after the other."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Axis", "Part", "Width", "pin", "resolve", "size_of", "unify", "widths_of"]


@dataclass(eq=False)
class Width:
    """A number of channels: ``size`` in the network that was given.

    ``rank`` orders widths by where the network meets them first, and ``name`` is that place. A width that was found to
    be another one, or to consist of others, is ``bound`` to them. ``fixed`` is the reason why it cannot vary.
    """

    size: int
    rank: int
    name: str
    bound: Axis | None = None
    fixed: str = ""


Part = tuple[Width, int]
"""A width, and how many places in a row each of its units takes."""

Axis = tuple[Part, ...]
"""One axis of a tensor: parts one after the other."""


def resolve(axis: Axis) -> Axis:
    """Return the axis written in widths that are not bound to others."""
    found: list[Part] = []
    for width, each in axis:
        if width.bound is None:
            found.append((width, each))
        else:
            found += [(inner, each * times) for inner, times in resolve(width.bound)]
    return tuple(found)


def size_of(axis: Axis) -> int:
    """Return how many places the axis has in the network that was given."""
    return sum(width.size * each for width, each in axis)


def widths_of(*axes: Axis) -> list[Width]:
    """Return the unbound widths in the axes."""
    return list(dict.fromkeys(width for axis in axes for width, _ in resolve(axis)))


def pin(axis: Axis, reason: str) -> None:
    """Let nothing on the axis vary; the first reason given is kept."""
    for width in widths_of(axis):
        width.fixed = width.fixed or reason


def unify(a: Axis, b: Axis, where: str) -> None:
    """Make two axes of one size the same, binding widths to one another, or pin both where they do not fit."""
    a, b = resolve(a), resolve(b)
    if a == b:
        return
    if size_of(a) != size_of(b):
        _apart(a, b, where)
    elif not (_bind(a, b) or _bind(b, a)):
        places = [width.size * each for width, each in a], [width.size * each for width, each in b]
        if places[0] == places[1]:
            for left, right in zip(a, b, strict=True):
                if not (_bind((left,), (right,)) or _bind((right,), (left,))):
                    _apart((left,), (right,), where)
        else:
            _apart(a, b, where)


def _bind(a: Axis, b: Axis) -> bool:
    """Bind the only width of ``a`` to ``b``, and return whether that is possible."""
    ((width, each),) = a if len(a) == 1 else ((None, 0),)
    if width is None or any(other is width or times % each for other, times in b):
        return False
    width.bound = tuple((other, times // each) for other, times in b)
    for other, _ in b:
        if width.rank < other.rank:
            other.rank, other.name = width.rank, width.name
    if width.fixed:
        pin(b, width.fixed)
    return True


def _apart(a: Axis, b: Axis, where: str) -> None:
    for axis in (a, b):
        pin(axis, f"its channels meet others in another grouping at {where}")
