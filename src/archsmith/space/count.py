"""How many architectures a space holds, without listing them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from archsmith.errors import SpaceError
from archsmith.space.arch import Answer
from archsmith.space.decision import Decision
from archsmith.space.nodes import Arithmetic, Choice, Node, Pick, Program, Range, Repeat, Switch, arithmetic, children
from archsmith.space.space import Space
from archsmith.space.walk import enumerate_archs, option

__all__ = ["COUNT_LIMIT", "count"]

COUNT_LIMIT = 1_000_000
_Answers = dict[str, Answer]


def count(space: Space) -> float:
    """Return the exact number of architectures; infinite where a real range can be active.

    Parts that share no open decision multiply; parts that do are counted per answer of a shared one. Under
    constraints, and for define-by-run functions, architectures are listed: raises ``SpaceError`` when there would be
    more than a million to list.
    """
    if space.valid or space.defined_by_run:
        return _listed(space)
    reach: dict[int, frozenset[str]] = {}
    structural = _structural(space)
    memo: dict[tuple[frozenset[int], frozenset[tuple[str, str]]], float] = {}

    def reachable(expression: Any) -> frozenset[str]:
        if id(expression) not in reach or not isinstance(expression, Node):
            own = {space._table[id(expression)].key} if id(expression) in space._table else set()
            found = frozenset(own).union(*(reachable(part) for part in children(expression)))
            if not isinstance(expression, Node):
                return found
            reach[id(expression)] = found
        return reach[id(expression)]

    def total(pending: Iterable[Any], answers: _Answers) -> float:
        open_nodes = _open(space, pending, answers)
        keys = frozenset[str]().union(*(reachable(n) for n in open_nodes))
        relevant = frozenset((k, repr(v)) for k, v in answers.items() if k in keys)
        signature = (frozenset(map(id, open_nodes)), relevant)
        if signature not in memo:
            memo[signature] = _count_open(open_nodes, answers)
        return memo[signature]

    def _count_open(open_nodes: list[Node], answers: _Answers) -> float:
        factor: float = 1
        plain = {space._table[id(n)].key: space._table[id(n)] for n in open_nodes if id(n) in space._table}
        plain = {key: d for key, d in plain.items() if key not in structural}
        if plain:
            factor = math.prod(d.size for d in plain.values())
            return factor * total(open_nodes, {**answers, **dict.fromkeys(plain, "counted")})
        groups = _components(open_nodes, lambda n: reachable(n) - answers.keys())
        if len(groups) > 1:
            return math.prod(total(group, answers) for group in groups)
        if not open_nodes:
            return 1
        decision = _first_question(space, open_nodes[0], answers)
        if decision.size == math.inf:
            return math.inf
        return sum(total(open_nodes, {**answers, decision.key: a}) for a in decision.answers())

    return total(list(space.roots.values()), {})


def _listed(space: Space) -> int:
    for number, _ in enumerate(enumerate_archs(space), 1):
        if number > COUNT_LIMIT:
            raise SpaceError(
                f"More than {COUNT_LIMIT:,} architectures: a space with constraints or a define-by-run function can "
                "only be counted by listing it. Count it without valid=, or draw a sample."
            )
    return number


def _structural(space: Space) -> set[str]:
    """Return the decisions whose answer changes what else is asked; all others are plain factors."""
    keys: set[str] = set()
    seen: set[int] = set()

    def visit(expression: Any, counts: bool) -> None:
        if isinstance(expression, Node):
            if id(expression) in seen and not counts:
                return
            seen.add(id(expression))
        match expression:
            case Repeat(count=number, blocks=blocks):
                visit(number, True)
                for block in blocks:
                    visit(block, False)
                return
            case Switch(on=on):
                keys.add(space._table[id(on)].key)
            case Choice(options=options) | Pick(options=options):
                if counts or any(isinstance(o, Node | list | tuple | dict) for o in options):
                    keys.add(space._table[id(expression)].key)
            case Range():
                if counts:
                    keys.add(space._table[id(expression)].key)
        for part in children(expression):
            visit(part, counts)

    for root in space.roots.values():
        visit(root, False)
    return keys


def _open(space: Space, pending: Iterable[Any], answers: _Answers) -> list[Node]:
    """Return the nodes that wait for an answer, once everything answered is opened up."""
    found: dict[int, Node] = {}
    seen: set[int] = set()

    def visit(expression: Any) -> None:
        if isinstance(expression, Node):
            if id(expression) in seen:
                return
            seen.add(id(expression))
        match expression:
            case Choice() | Pick() | Range():
                decision = space._table[id(expression)]
                answer = _known(decision, answers)
                if answer is _OPEN:
                    found[id(expression)] = expression
                elif answer != "counted" and not isinstance(expression, Range):
                    labels = answer if isinstance(expression, Pick) else (answer,)
                    for label in labels:
                        visit(option(expression, label))
            case Switch(on=on):
                answer = _known(space._table[id(on)], answers)
                if answer is _OPEN:
                    found[id(expression)] = expression
                else:
                    visit(option(expression, answer))
            case Repeat(blocks=blocks, count=number):
                first = _number(space, number, answers)
                if first is None:
                    found[id(expression)] = expression
                else:
                    for block in blocks[:first]:
                        visit(block)
            case _:
                for part in children(expression):
                    visit(part)

    for expression in pending:
        visit(expression)
    return list(found.values())


_OPEN = object()


def _known(decision: Decision, answers: _Answers) -> Any:
    return next(decision.answers()) if decision.size <= 1 else answers.get(decision.key, _OPEN)


def _number(space: Space, expression: Any, answers: _Answers) -> Any:
    """Return a number expression's value, or None while an answer it needs is open."""
    match expression:
        case Arithmetic(operation=operation, operands=(left, right)):
            a, b = _number(space, left, answers), _number(space, right, answers)
            return None if a is None or b is None else arithmetic(operation, a, b)
        case Choice() | Switch() | Range():
            on = expression.on if isinstance(expression, Switch) else expression
            answer = _known(space._table[id(on)], answers)
            if answer is _OPEN:
                return None
            return answer if isinstance(expression, Range) else _number(space, option(expression, answer), answers)
    return expression


def _first_question(space: Space, node: Any, answers: _Answers) -> Decision:
    """Return the open decision that an open node waits for."""
    match node:
        case Switch(on=on):
            return _first_question(space, on, answers)
        case Repeat(count=number):
            return _first_question(space, number, answers)
        case Arithmetic(operands=(left, right)):
            return _first_question(space, left if _number(space, left, answers) is None else right, answers)
        case Choice() if _known(space._table[id(node)], answers) is not _OPEN:
            return _first_question(space, option(node, answers[space._table[id(node)].key]), answers)
    assert not isinstance(node, Program)
    return space._table[id(node)]


def _components(nodes: list[Node], keys: Any) -> list[list[Node]]:
    """Group the nodes that are linked by a shared key."""
    groups: list[tuple[set[str], list[Node]]] = []
    for node in nodes:
        merged_keys, merged = set(keys(node)), [node]
        apart = []
        for group_keys, group in groups:
            if group_keys & merged_keys:
                merged_keys |= group_keys
                merged = group + merged
            else:
                apart.append((group_keys, group))
        groups = [*apart, (merged_keys, merged)]
    return [group for _, group in groups]
