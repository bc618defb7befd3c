"""Cells read from a space: which decision sits on which edge of which graph."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from archsmith.space.arch import Answer, Arch
from archsmith.space.nodes import Call, Choice, Node, Switch, children
from archsmith.space.space import Space

__all__ = ["Wiring", "graph", "wirings"]

_NOTHING: tuple[Answer, ...] = ("none", "zero", None)


@dataclass(frozen=True)
class Wiring:
    """A cell whose edges are chosen: ``edges`` are ``(from, to, key of the decision)``, node 0 being its input.

    The last node is the output. ``operations`` are the labels of the options; ``none``, where there is one, is the
    operation that lets nothing through (its label is ``none``, ``zero`` or None).
    """

    edges: tuple[tuple[int, int, str], ...]
    operations: tuple[str, ...]
    none: str | None

    def cell(self, arch: Arch) -> list[tuple[int, int, str]]:
        """Return the edges with their operations, as ``cell_graph`` and ``cell_paths`` take them; active ones only."""
        return [(source, target, str(arch[key])) for source, target, key in self.edges if key in arch]


def graph(wiring: Sequence[tuple[int, int]], *edges: Any) -> tuple[Any, ...]:
    """Stand for a cell where nothing is built, as in a table: ``call(graph, wiring, *edges)`` joins nodes by edges."""
    return tuple(wiring), edges


def wirings(space: Space) -> tuple[Wiring, ...]:
    """Return the cells of a space, each once.

    A cell is a call whose target declares ``wiring``, the pairs ``(from, to)`` of nodes that its arguments join, in
    the order of the arguments (or is ``graph``), and whose arguments are all choices between the same options, or
    switches on such.
    """
    found: dict[Wiring, None] = {}
    for node in _nodes(list(space.roots.values()), set()):
        pairs = getattr(node.target, "wiring", None)
        parts = [*node.args, *node.kwargs.values()]
        if node.target is graph:
            pairs, *parts = parts
        if pairs is None or len(parts) != len(pairs):
            continue
        asked = [part.on if isinstance(part, Switch) else part for part in parts]
        if all(isinstance(a, Choice) and space._table[id(a)].size > 1 and a.labels == asked[0].labels for a in asked):
            keys = [space._table[id(a)].key for a in asked]
            edges = tuple((int(s), int(t), key) for (s, t), key in zip(pairs, keys, strict=True))
            none = next((str(label) for label in asked[0].labels if label in _NOTHING), None)
            found[Wiring(edges, tuple(map(str, asked[0].labels)), none)] = None
    return tuple(found)


def _nodes(expressions: list[Any], seen: set[int]) -> Iterator[Call]:
    while expressions:
        expression = expressions.pop()
        if isinstance(expression, Node):
            if id(expression) in seen:
                continue
            seen.add(id(expression))
        if isinstance(expression, Call):
            yield expression
        expressions += children(expression)
