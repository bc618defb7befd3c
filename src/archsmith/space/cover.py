"""The extremes of a space, and a few architectures that together take every option of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping

from archsmith.space.arch import Answer, Arch
from archsmith.space.decision import Decision
from archsmith.space.space import Space
from archsmith.space.walk import walk

__all__ = ["cover", "largest", "smallest"]


def largest(space: Space) -> Arch:
    """Return the architecture of the largest numbers; a choice that is not of numbers takes its first option.

    Constraints of the space are not looked at, here and in ``smallest`` and ``cover``.
    """
    return walk(space, lambda decision: _ends(decision)[1])


def smallest(space: Space) -> Arch:
    """Return the architecture of the smallest numbers; a choice that is not of numbers takes its first option."""
    return walk(space, lambda decision: _ends(decision)[0])


def cover(space: Space) -> Iterator[Arch]:
    """Yield architectures that together take every option of every decision, and both ends of every range.

    The first is the largest; each other one takes something that none before it took, and is the largest in what that
    leaves open. A decision that only a rare combination of answers reveals may be missed.
    """
    taken: set[tuple[str, str]] = set()
    queue: deque[dict[str, Answer]] = deque([{}])
    while queue:
        forced, asked = queue.popleft(), dict[str, Decision]()

        def decide(
            decision: Decision, forced: dict[str, Answer] = forced, asked: dict[str, Decision] = asked
        ) -> Answer:
            asked[decision.key] = decision
            return forced.get(decision.key, _ends(decision)[1])

        arch = walk(space, decide)
        yield arch
        taken |= {(key, repr(answer)) for key, answer in arch.items()}
        before: dict[str, Answer] = {}
        for key, decision in asked.items():
            for other in _branches(decision):
                if (key, repr(other)) not in taken:
                    taken.add((key, repr(other)))
                    queue.append({**before, key: other})
            before[key] = arch[key]


def _noted(forced: Mapping[str, Answer], asked: dict[str, Decision], decision: Decision) -> Answer:
    asked[decision.key] = decision
    return forced.get(decision.key, _ends(decision)[1])


def _ends(decision: Decision) -> tuple[Answer, Answer]:
    """Return the smallest and the largest answer of a decision that is of numbers, else its first one twice."""
    if decision.kind in ("integer", "real"):
        return decision.at(0.0), decision.at(1.0)
    if decision.kind == "choice" and all(isinstance(option, int | float) for option in decision.options):
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
    return _ends(decision)
