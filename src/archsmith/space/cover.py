"""The extremes of a space, and a few architectures that together take every option of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from functools import partial

from archsmith.space.arch import Answer, Arch
from archsmith.space.decision import Decision
from archsmith.space.space import Space
from archsmith.space.walk import walk

__all__ = ["cover", "ends", "largest", "smallest"]


def largest(space: Space) -> Arch:
    """Return the architecture of the largest numbers; a choice that is not of numbers takes its first option.

    Constraints of the space are not looked at, here and in ``smallest`` and ``cover``.
    """
    return walk(space, lambda decision: ends(decision)[1])


def smallest(space: Space) -> Arch:
    """Return the architecture of the smallest numbers; a choice that is not of numbers takes its first option."""
    return walk(space, lambda decision: ends(decision)[0])


def cover(space: Space) -> Iterator[Arch]:
    """Yield architectures that together take every option of every decision, and both ends of every range.

    They are few: each takes as many new options as it can, with all numbers at their largest, beginning with the
    largest architecture; then each smaller number has one in which it alone is small. A decision that only a rare
    combination of answers reveals may be missed.
    """
    taken: set[tuple[str, str]] = set()
    wanted: tuple[deque[_Wish], deque[_Wish]] = (deque([({}, None)]), deque())  # options, then numbers
    while any(wanted):
        forced, wish = (wanted[0] or wanted[1]).popleft()
        if wish is None or wish not in taken:
            asked: dict[str, Decision] = {}
            arch = walk(space, partial(_eager, forced, taken, asked))
            yield arch
            before: dict[str, Answer] = {}
            for key, decision in asked.items():
                for other in _branches(decision):
                    if (key, repr(other)) not in taken:
                        wanted[_of_numbers(decision)].append(({**before, key: other}, (key, repr(other))))
                before[key] = arch[key]


_Wish = tuple[Mapping[str, Answer], tuple[str, str] | None]
"""Answers to give, and the one for whose sake they are given."""


def _eager(
    forced: Mapping[str, Answer], taken: set[tuple[str, str]], asked: dict[str, Decision], decision: Decision
) -> Answer:
    """Answer as forced, else by an option that was not taken yet, else by the largest."""
    asked[decision.key] = decision
    answer = ends(decision)[1]
    if not _of_numbers(decision):
        answer = next((o for o in _branches(decision) if (decision.key, repr(o)) not in taken), answer)
    answer = forced.get(decision.key, answer)
    taken.add((decision.key, repr(answer)))
    return answer


def _of_numbers(decision: Decision) -> bool:
    return decision.kind != "pick" and all(isinstance(option, int | float) for option in decision.options)


def ends(decision: Decision) -> tuple[Answer, Answer]:
    """Return the smallest and the largest answer of a decision that is of numbers, else its first one twice."""
    if decision.kind in ("integer", "real"):
        return decision.at(0.0), decision.at(1.0)
    if _of_numbers(decision):
        return min(decision.options), max(decision.options)  # type: ignore[type-var]
    first = next(decision.answers())
    return first, first


def _branches(decision: Decision) -> tuple[Answer, ...]:
    """Return answers that together contain every option, or both ends of a range."""
    if decision.kind == "choice":
        return decision.options
    if decision.kind == "pick":
        starts = {min(i, len(decision.options) - decision.k) for i in range(0, len(decision.options), decision.k)}
        return tuple(decision.options[i : i + decision.k] for i in sorted(starts))
    return ends(decision)
