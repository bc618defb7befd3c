"""The define-by-run adapter: ordinary code that asks as it goes, read like any other node."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from archsmith.errors import SpaceError
from archsmith.space.arch import Answer
from archsmith.space.decision import Decision
from archsmith.space.nodes import choice, integer, real

__all__ = ["EXPLORATION_RUNS", "FEW_ANSWERS", "Picker", "explore"]

EXPLORATION_RUNS = 2000
FEW_ANSWERS = 64


@dataclass(frozen=True)
class Picker:
    """What a define-by-run function is called with: ``pick("depth", 2, 3, 4)`` returns one of the options.

    Asking the same name twice with the same options is one decision. ``pick.integer`` and ``pick.real`` ask for
    numbers.
    """

    ask: Callable[[Decision], Answer]
    prefix: str

    def __call__(self, name: str, /, *options: Any, **named: Any) -> Any:
        """Ask which of the options to take, by position or by name."""
        node = choice(*options, **named)
        answer = self.ask(Decision(self._key(name), "choice", options=node.labels))
        return node.options[_place(node.labels, answer)]

    def integer(self, name: str, low: int, high: int, log: bool = False) -> int:
        """Ask for a whole number from ``low`` to ``high``."""
        node = integer(low, high, log)
        return int(self.ask(Decision(self._key(name), "integer", low=node.low, high=node.high, log=log)))  # type: ignore[arg-type]

    def real(self, name: str, low: float, high: float, log: bool = False) -> float:
        """Ask for a real number from ``low`` to ``high``."""
        node = real(low, high, log)
        return float(self.ask(Decision(self._key(name), "real", low=node.low, high=node.high, log=log)))  # type: ignore[arg-type]

    def _key(self, name: str) -> str:
        return f"{self.prefix}/{name}"


def _place(labels: tuple[Answer, ...], answer: Answer) -> int:
    return next(i for i, label in enumerate(labels) if type(label) is type(answer) and label == answer)


def explore(function: Callable[[Any], Any], prefix: str) -> dict[str, Decision]:
    """Return the decisions a define-by-run function can ask, found by running it.

    Every option of every decision found is tried at least once, in the context where it first appears; contexts seen
    before are tried as long as the number of runs is bounded. A decision that only a rare combination reveals may be
    missed: such a space should be written as an expression.
    """
    found: dict[str, Decision] = {}
    covered: set[tuple[str, str]] = set()
    queue: deque[dict[str, Answer]] = deque([{}])
    for _ in range(EXPLORATION_RUNS):
        if not queue:
            break
        forced = queue.popleft()
        trail: dict[str, Answer] = {}

        def decide(decision: Decision, forced: dict[str, Answer] = forced, trail: dict[str, Answer] = trail) -> Answer:
            if decision.size <= 1:
                return next(decision.answers())
            _same_question(found, decision)
            answer = forced.get(decision.key, _first(decision))
            trail.setdefault(decision.key, answer)
            return answer

        function(Picker(decide, prefix))
        for key, taken in trail.items():
            covered.add((key, repr(taken)))
        before: dict[str, Answer] = {}
        for key, taken in trail.items():
            for other in _branches(found[key]):
                if (key, repr(other)) not in covered:
                    covered.add((key, repr(other)))
                    queue.append({**before, key: other})
            before[key] = taken
    return found


def _branches(decision: Decision) -> Iterable[Answer]:
    """Return the answers that may lead to different questions: all of them where they are few, else the extremes."""
    if decision.size <= FEW_ANSWERS:
        return decision.answers()
    return (decision.at(0.0), decision.at(1.0))


def _first(decision: Decision) -> Answer:
    return decision.at(0.5) if decision.kind in ("integer", "real") else next(decision.answers())


def _same_question(found: dict[str, Decision], decision: Decision) -> None:
    if found.setdefault(decision.key, decision) != decision:
        raise SpaceError(
            f"pick asks {decision.key!r} in two ways: {found[decision.key].options or 'a range'} and "
            f"{decision.options or 'another range'}. Use one name for one question."
        )
