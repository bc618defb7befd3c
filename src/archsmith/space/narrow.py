"""A space with some of its decisions answered beforehand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from archsmith.errors import SpaceError, nearest
from archsmith.space.arch import Answer, Arch
from archsmith.space.decision import Decision
from archsmith.space.space import Constraint, Space
from archsmith.space.walk import walk

__all__ = ["completed", "narrow"]


def narrow(space: Space, answers: Mapping[str, Answer]) -> Space:
    """Return the space in which these decisions have their answer already, and are not asked.

    Law: its architectures, with ``completed``, are the architectures of ``space`` that answer so. Only the decisions
    that are left are in them. Raises ``SpaceError`` for a decision that there is not or that a define-by-run function
    asks, and for an answer that is not allowed.
    """
    named = {decision.key: decision for decision in space._table.values()}
    for key, answer in answers.items():
        if key not in named or not named[key].size:
            raise SpaceError(f"The decision {key!r} cannot be answered beforehand. {nearest(key, space.decisions)}")
        if not named[key].contains(answer):
            raise SpaceError(f"The decision {key!r} cannot be answered {answer!r} beforehand: that is not allowed.")
    constraints = tuple(_Completing(constraint, space, dict(answers)) for constraint in space.valid)
    narrowed = Space(constraints or None, **space.roots)
    for node, decision in narrowed._table.items():
        if decision.key in answers:
            narrowed._table[node] = _only(decision, answers[decision.key])
    return narrowed


def completed(space: Space, arch: Mapping[str, Answer], answers: Mapping[str, Answer]) -> Arch:
    """Return the architecture of ``space`` that answers as ``answers`` say, and for the rest as ``arch`` does.

    Raises ``SpaceError`` where neither answers a decision that is asked.
    """

    def decide(decision: Decision) -> Answer:
        if decision.key in answers:
            return answers[decision.key]
        if decision.key not in arch:
            raise SpaceError(f"Nothing answers {decision.key!r}. {nearest(decision.key, [*arch, *answers])}")
        return arch[decision.key]

    return walk(space, decide)


@dataclass(frozen=True)
class _Completing:
    """A constraint on whole architectures, for those of a narrowed space."""

    constraint: Constraint
    space: Space
    answers: Mapping[str, Answer]

    def __call__(self, arch: Arch) -> bool:
        return self.constraint(completed(self.space, arch, self.answers))


def _only(decision: Decision, answer: Answer) -> Decision:
    if decision.kind == "pick":
        assert isinstance(answer, tuple)
        return replace(decision, options=answer)
    if decision.kind == "choice":
        return replace(decision, options=(answer,))
    assert isinstance(answer, int | float)
    return replace(decision, low=answer, high=answer)
