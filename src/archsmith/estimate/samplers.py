"""The path samplers by the names of the methods they come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from archsmith.errors import UsageError, nearest
from archsmith.estimate.driven import Asks, Driven
from archsmith.estimate.paths import Sampler, Score, attentive, fair, phases, sandwich, uniform
from archsmith.space import Space
from archsmith.space.cover import ends
from archsmith.space.nodes import Repeat, children

__all__ = ["SAMPLERS", "NamedSampler", "make_sampler", "shrinking_phases"]


@dataclass(frozen=True)
class NamedSampler:
    """How a sampler is made for a space, from a score of architectures on the bank and a strategy where it needs them.

    ``distil`` tells whether a step's first architecture teaches the others, ``scores`` and ``asks`` what is needed.
    """

    make: Callable[[Space, Score, Asks], Sampler]
    distil: bool = False
    scores: bool = False
    asks: bool = False


def make_sampler(name: str, space: Space, score: Score | None = None, strategy: Asks | None = None) -> Sampler:
    """Return a new sampler by its name in ``SAMPLERS``.

    Raises ``UsageError`` for a name that there is not, and where a score or strategy is needed and not given.
    """
    if name not in SAMPLERS:
        raise UsageError(f"There is no path sampler called {name!r}. {nearest(name, SAMPLERS)}")
    named = SAMPLERS[name]
    for needed, given, what in (
        (named.scores, score, "a score of architectures on the bank, such as validation_score(bank, task, machine)"),
        (named.asks, strategy, "a strategy that proposes architectures, such as Reinforce(space)"),
    ):
        if needed and given is None:
            raise UsageError(f"The path sampler {name!r} needs {what}.")
    made: Callable[[Space, Any, Any], Sampler] = named.make
    return made(space, score, strategy)


def shrinking_phases(space: Space, paths: int = 1) -> Sampler:
    """Return progressive shrinking of a space's kernels, then also depths, then also widths (Once-for-All, Cai, 2020).

    Kernels are the numbers with "kernel" in their key, depths those that count the blocks of a ``repeat``, widths all
    others. What is not a number is open from the beginning.
    """
    depths: set[str] = set()
    seen: set[int] = set()

    def visit(expression: Any, counts: bool) -> None:
        if id(expression) in space._table and counts:
            depths.add(space._table[id(expression)].key)
        if id(expression) not in seen or counts:
            seen.add(id(expression))
            for part in children(expression):
                visit(part, counts or (isinstance(expression, Repeat) and part is expression.count))

    for root in space.roots.values():
        visit(root, False)
    numbers = {key for key, d in space.decisions.items() if d.kind != "pick" and len(set(map(repr, ends(d)))) > 1}
    return phases(
        lambda key: key not in numbers or "kernel" in key,
        lambda key: key in depths,
        paths=paths,
    )


_PLAIN: Mapping[str, NamedSampler] = {
    "spos": NamedSampler(lambda *_: uniform),
    "fairnas": NamedSampler(lambda *_: fair),
    "bignas": NamedSampler(lambda *_: sandwich, distil=True),
    "ofa": NamedSampler(lambda space, *_: shrinking_phases(space)),
    "attentive": NamedSampler(lambda _, score, __: attentive(score), distil=True, scores=True),
    "enas": NamedSampler(lambda _, score, strategy: Driven(strategy, score), scores=True, asks=True),
}
SAMPLERS: Mapping[str, NamedSampler] = MappingProxyType(
    {
        **_PLAIN,
        "uniform": _PLAIN["spos"],
        "fair": _PLAIN["fairnas"],
        "sandwich": _PLAIN["bignas"],
        "shrinking": _PLAIN["ofa"],
    }
)
"""The samplers by name: of the methods, and of what they do."""
