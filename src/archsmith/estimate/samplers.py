"""The path samplers by the names of the methods they come from."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from archsmith.errors import UsageError, nearest
from archsmith.estimate.driven import Asks, Driven
from archsmith.estimate.paths import Sampler, Score, attentive, fair, phases, sandwich, uniform
from archsmith.space import Space
from archsmith.space.cover import ends
from archsmith.space.nodes import Call, Repeat, children

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
    """Return progressive shrinking: the widest alone, then kernels vary, then depths, then widths (OFA, Cai, 2020).

    Kernels are the numbers that a call takes by a name with "kernel" in it (``kernel_size``), or whose own key has it;
    depths those that count the blocks of a ``repeat``; widths all others. What is not a number varies from the
    beginning. The widest comes first in every step, as the teacher. The authors take 1, 2 and 4 ``paths`` in the phases
    beside it.
    """
    numbers = {key for key, d in space.decisions.items() if d.kind != "pick" and len(set(map(repr, ends(d)))) > 1}
    parts = _parts(space)
    kernels = {key for key in numbers if "kernel" in key} | parts["kernel"]
    return phases(
        lambda key: key not in numbers,
        lambda key: key in kernels,
        lambda key: key in parts["depth"],
        paths=paths,
        teacher=True,
    )


def _parts(space: Space) -> dict[str, set[str]]:
    """Return the decisions that have a part in the size of a kernel, and in a number of blocks."""
    found: dict[str, set[str]] = {"kernel": set(), "depth": set()}
    seen: set[tuple[int, str]] = set()

    def visit(expression: Any, part: str) -> None:
        if (id(expression), part) in seen:
            return
        seen.add((id(expression), part))
        if part and id(expression) in space._table:
            found[part].add(space._table[id(expression)].key)
        if isinstance(expression, Call):
            for name, value in _arguments(expression):
                visit(value, "kernel" if "kernel" in name else "")
        elif isinstance(expression, Repeat):
            visit(expression.count, "depth")
            for block in expression.blocks:
                visit(block, "")
        else:
            for inner in children(expression):
                visit(inner, part)

    for root in space.roots.values():
        visit(root, "")
    return found


def _arguments(call: Call) -> Iterator[tuple[str, Any]]:
    """Yield what a call is given, each with the name of its parameter, empty where there is none."""
    try:
        names = list(inspect.signature(call.target).parameters)
    except (TypeError, ValueError):  # what is written in C may not tell
        names = []
    yield from itertools.zip_longest(names[: len(call.args)], call.args, fillvalue="")
    yield from call.kwargs.items()


_PLAIN: Mapping[str, NamedSampler] = {
    "spos": NamedSampler(lambda *_: uniform),
    "fairnas": NamedSampler(lambda *_: fair),
    "bignas": NamedSampler(lambda *_: sandwich, distil=True),
    "ofa": NamedSampler(lambda space, *_: shrinking_phases(space), distil=True),
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
