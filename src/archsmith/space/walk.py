"""The readings that visit decisions: walk, and the deciders of a few lines that are built on it.

Mutation and crossover are re-walks with remembered answers, so that conditionals repair themselves: an answer that
no longer has a question is dropped, and a question that is new is answered by sampling.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Any

import numpy as np

from archsmith.errors import SpaceError, nearest
from archsmith.space.arch import Answer, Arch
from archsmith.space.decision import Decision
from archsmith.space.nodes import Arithmetic, Choice, Node, Pick, Program, Range, Repeat, Switch, arithmetic, children
from archsmith.space.program import Picker
from archsmith.space.space import Space

__all__ = [
    "TRIES",
    "Decide",
    "answered",
    "check",
    "crossover",
    "enumerate_archs",
    "mutate",
    "neighbours",
    "option",
    "picked",
    "remembered",
    "sample",
    "valid",
    "walk",
]

TRIES = 1000
Decide = Callable[[Decision], Answer]
_END = object()


def walk(space: Space, decide: Decide) -> Arch:
    """Visit the active decisions in order and ask ``decide`` for each; return the answers.

    A decision is asked once however often it is used, and never when it has one option. Raises ``SpaceError`` when
    an answer is not allowed. Constraints of the space are not looked at here: ``valid`` does that.
    """
    answers: dict[str, Answer] = {}
    seen: set[int] = set()
    table, varies = space._table, space._varies

    def ask(decision: Decision) -> Answer:
        return answered(decision, answers, decide)

    def value(expression: Any) -> Any:
        """Return a number expression's value, asking what it needs."""
        match expression:
            case Arithmetic(operation=operation, operands=(left, right)):
                return arithmetic(operation, value(left), value(right))
            case Choice() | Switch():
                on = expression.on if isinstance(expression, Switch) else expression
                return value(option(expression, ask(table[id(on)])))
            case Range():
                return ask(table[id(expression)])
        return expression

    def visit(expression: Any) -> None:
        if id(expression) in seen or not isinstance(expression, Node):
            if isinstance(expression, list | tuple | dict):
                for part in children(expression):
                    visit(part)
            return
        seen.add(id(expression))
        if isinstance(expression, Choice):
            answer = ask(table[id(expression)])
            if varies[id(expression)]:
                visit(option(expression, answer))
        elif isinstance(expression, Switch):
            visit(option(expression, ask(table[id(expression.on)])))
        elif isinstance(expression, Range):
            ask(table[id(expression)])
        elif isinstance(expression, Pick):
            for label in picked(expression, table[id(expression)], ask):
                visit(option(expression, label))
        elif isinstance(expression, Repeat):
            for block in expression.blocks[: value(expression.count)]:
                visit(block)
        elif isinstance(expression, Program):
            expression.function(Picker(ask, space._prefix[id(expression)]))
        else:
            for part in varies[id(expression)]:
                visit(part)

    for root in space.roots.values():
        visit(root)
    return Arch(answers)


def answered(decision: Decision, answers: dict[str, Answer], decide: Decide) -> Answer:
    """Return the one answer to a decision: the only one there is, the one given before, or a new one."""
    if decision.key in answers:
        return answers[decision.key]
    if decision.size <= 1:
        return next(decision.answers())
    answer = decide(decision)
    if not decision.contains(answer):
        raise SpaceError(_not_allowed(decision, answer))
    answers[decision.key] = answer
    return answer


def option(node: Choice | Switch | Pick, label: Answer) -> Any:
    """Return the option of a node with this label."""
    for candidate, value in zip(node.labels, node.options, strict=True):
        if candidate == label and type(candidate) is type(label):
            return value
    raise AssertionError(f"{label!r} was checked to be among {node.labels!r}")


def picked(node: Pick, decision: Decision, ask: Decide) -> tuple[Answer, ...]:
    """Return the labels a pick was answered with."""
    answer = ask(decision)
    assert isinstance(answer, tuple)
    return answer


def _not_allowed(decision: Decision, answer: Answer) -> str:
    if decision.kind in ("integer", "real"):
        numbers = "whole" if decision.kind == "integer" else "real"
        allowed = f"Allowed: {numbers} numbers from {decision.low} to {decision.high}."
    elif decision.kind == "pick":
        allowed = f"Allowed: a tuple of {decision.k} of {', '.join(map(repr, decision.options))}, in this order."
    else:
        allowed = nearest(str(answer), map(str, decision.options))
    return f"Decision {decision.key!r} was answered {answer!r}. {allowed}"


def valid(space: Space, arch: Arch) -> bool:
    """Return whether every constraint of the space accepts the architecture."""
    return all(constraint(arch) for constraint in space.valid)


def _until_valid(space: Space, propose: Callable[[], Arch], tries: int = TRIES) -> Arch:
    """Return the first proposal every constraint accepts; raises ``SpaceError`` after a bounded number of tries."""
    refusals: dict[str, int] = {}
    for _ in range(tries):
        arch = propose()
        refused_by = next((c for c in space.valid if not c(arch)), None)
        if refused_by is None:
            return arch
        name = getattr(refused_by, "__name__", repr(refused_by))
        refusals[name] = refusals.get(name, 0) + 1
    name, refused = max(refusals.items(), key=lambda item: item[1])
    raise SpaceError(
        f"Constraint {name!r} refused {refused} of {tries} architectures (acceptance rate 0 of {tries}, below "
        f"{1 / tries:.1%}). Loosen it, or write the space so that most of what it can express is allowed."
    )


def sample(space: Space, rng: np.random.Generator) -> Arch:
    """Return an architecture with every active decision drawn independently; bounded tries under constraints."""
    return _until_valid(space, lambda: walk(space, lambda decision: decision.sample(rng)))


def mutate(
    space: Space, arch: Arch, rng: np.random.Generator, changes: int = 1, decisions: Collection[str] | None = None
) -> Arch:
    """Return an architecture that differs in exactly the named decisions, or in ``changes`` drawn ones.

    Decisions that the change makes active are sampled; those it makes inactive vanish; all others keep their answer.
    An architecture with nothing to decide is returned as it is. Raises ``SpaceError`` for a decision it lacks.
    """
    for key in decisions or ():
        if key not in arch:
            raise SpaceError(f"The architecture has no active decision {key!r}. {nearest(key, arch)}")
    if not arch:
        return arch
    keys = list(arch)

    def propose() -> Arch:
        drawn = rng.choice(len(keys), size=min(changes, len(keys)), replace=False) if decisions is None else ()
        changed = set(decisions) if decisions is not None else {keys[int(i)] for i in drawn}

        def decide(decision: Decision) -> Answer:
            if decision.key in changed:
                return decision.sample_other(rng, arch[decision.key])
            return remembered(decision, arch, rng)

        return walk(space, decide)

    return _until_valid(space, propose)


def remembered(decision: Decision, arch: Arch, rng: np.random.Generator) -> Answer:
    """Return the architecture's answer to a decision where it still fits, else a sampled one."""
    if decision.key in arch and decision.contains(arch[decision.key]):
        return arch[decision.key]
    return decision.sample(rng)


def crossover(space: Space, mother: Arch, father: Arch, rng: np.random.Generator) -> Arch:
    """Return an architecture whose every answer comes from one parent, drawn evenly where both have one.

    A decision that neither parent has is sampled.
    """

    def propose() -> Arch:
        def decide(decision: Decision) -> Answer:
            first, second = (mother, father) if rng.random() < 0.5 else (father, mother)
            return remembered(decision, first if decision.key in first else second, rng)

        return walk(space, decide)

    return _until_valid(space, propose)


def check(space: Space, arch: Arch) -> None:
    """Raise ``SpaceError`` unless the architecture answers exactly the active decisions, each as allowed."""

    def decide(decision: Decision) -> Answer:
        if decision.key not in arch:
            raise SpaceError(f"The architecture does not answer {decision.key!r}. {nearest(decision.key, arch)}")
        return arch[decision.key]

    complete = walk(space, decide)
    extra = [key for key in arch if key not in complete]
    if extra:
        raise SpaceError(f"The architecture answers {extra[0]!r}, which is not asked. {nearest(extra[0], complete)}")
    for constraint in space.valid:
        if not constraint(arch):
            raise SpaceError(f"The architecture breaks the constraint {getattr(constraint, '__name__', constraint)!r}.")


def neighbours(space: Space, arch: Arch) -> Iterator[Arch]:
    """Yield the valid architectures one decision away, each once.

    Choices and picks go to every other option, integers one step up and down, reals a tenth of their range. Decisions
    that a change makes active take their first answer (the middle of a range).
    """
    seen = {arch.id}
    asked: dict[str, Decision] = {}

    def note(decision: Decision) -> Answer:
        asked[decision.key] = decision
        return arch[decision.key]

    walk(space, note)
    for decision in asked.values():
        for other in _around(decision, arch[decision.key]):

            def decide(d: Decision, changed: str = decision.key, other: Answer = other) -> Answer:
                if d.key == changed:
                    return other
                if d.key in arch and d.contains(arch[d.key]):
                    return arch[d.key]
                return d.at(0.5) if d.kind in ("integer", "real") else next(d.answers())

            candidate = walk(space, decide)
            if candidate.id not in seen and valid(space, candidate):
                seen.add(candidate.id)
                yield candidate


def _around(decision: Decision, answer: Answer) -> Iterator[Answer]:
    if decision.kind == "integer" and isinstance(answer, int):
        yield from (n for n in (answer - 1, answer + 1) if decision.contains(n))
    elif decision.kind == "real":
        unit = decision.unit(answer)
        yield from (decision.at(u) for u in (unit - 0.1, unit + 0.1) if 0 <= u <= 1)
    else:
        yield from (o for o in decision.answers() if o != answer or type(o) is not type(answer))


def enumerate_archs(space: Space) -> Iterator[Arch]:
    """Yield every valid architecture once, in a fixed order; raises ``SpaceError`` where a real range is active."""
    path: list[tuple[str, Iterator[Answer], Answer]] = []
    while True:
        depth = 0

        def decide(decision: Decision) -> Answer:
            nonlocal depth
            if depth == len(path):
                rest = decision.answers()
                path.append((decision.key, rest, next(rest)))
            depth += 1
            return path[depth - 1][2]

        arch = walk(space, decide)
        if valid(space, arch):
            yield arch
        while path:  # step the last decision that has another answer; forget those after it
            key, rest, _ = path.pop()
            following = next(rest, _END)
            if following is not _END:
                path.append((key, rest, following))  # type: ignore[arg-type]
                break
        else:
            return
