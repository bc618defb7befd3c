"""A search space: named roots, a table of the decisions in them, and constraints over whole architectures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from archsmith.errors import SpaceError
from archsmith.space.arch import Arch
from archsmith.space.decision import Decision
from archsmith.space.nodes import Call, Choice, Node, Pick, Program, Range, Repeat, Switch, children, program
from archsmith.space.program import explore

__all__ = ["Constraint", "Space"]

Constraint = Callable[[Arch], bool]


class Space:
    """An expression of deferred calls with choices in it: what may vary.

    ``roots`` are named expressions: ``model`` is the network, others are training settings. ``valid`` is one
    function, or several, from an Arch to whether it is allowed. Building a Space visits every node once, names every
    decision (by its ``name``, else by the path where it is first met) and raises ``SpaceError`` when two different
    decisions have one name. The space never changes afterwards.
    """

    def __init__(self, valid: Constraint | Sequence[Constraint] | None = None, /, **roots: Any) -> None:
        constraints = roots.pop("valid", valid)
        if not roots:
            raise SpaceError("A Space needs at least one root, such as Space(model=...).")
        self.roots: Mapping[str, Any] = MappingProxyType(dict(roots))
        self.valid: tuple[Constraint, ...] = (
            () if constraints is None else tuple(constraints) if isinstance(constraints, Sequence) else (constraints,)
        )
        self._table: dict[int, Decision] = {}
        self._varies: dict[int, tuple[Any, ...]] = {}
        self._prefix: dict[int, str] = {}
        self._owner: dict[str, Node] = {}
        for name, expression in roots.items():
            if isinstance(expression, Repeat | Pick) and name == "model":
                raise SpaceError("The model is one module: wrap a repeat or pick in call(nn.Sequential, ...).")
            self._survey(expression, name)
        self._decisions: Mapping[str, Decision] | None = None

    @staticmethod
    def from_function(function: Callable[[Any], Any], **roots: Any) -> Space:
        """Return the space of a define-by-run function, which builds the model and asks ``pick`` as it goes."""
        return Space(model=program(function), **roots)

    @property
    def decisions(self) -> Mapping[str, Decision]:
        """Every decision of the space by key, active or not, in the order of the expression.

        Decisions of a define-by-run function are found by running it, with every option of every decision once.
        """
        if self._decisions is None:
            found: dict[str, Decision] = {}
            for key, node in self._owner.items():
                if isinstance(node, Program):
                    found.update(explore(node.function, key))
                elif self._table[id(node)].size > 1:
                    found[key] = self._table[id(node)]
            self._decisions = MappingProxyType(found)
        return self._decisions

    @property
    def defined_by_run(self) -> bool:
        """Whether any part of the space is a define-by-run function."""
        return any(isinstance(node, Program) for node in self._owner.values())

    def __reduce__(self) -> tuple[Any, ...]:
        # The tables are keyed by the identity of nodes, so another process surveys its own copy.
        return _revive, (self.valid, dict(self.roots))

    def __repr__(self) -> str:
        return f"Space({', '.join(self.roots)}; {len(self.decisions)} decisions)"

    def _survey(self, expression: Any, path: str) -> bool:
        """Visit a part of the expression once; return whether anything in it is asked."""
        if not isinstance(expression, Node):
            steps = expression.items() if isinstance(expression, dict) else enumerate(children(expression))
            return any([self._survey(part, f"{path}/{step}") for step, part in steps])
        if id(expression) in self._varies:
            return bool(self._varies[id(expression)]) or id(expression) in self._table
        self._varies[id(expression)] = ()  # the language has no cycles: a node's parts exist before it does
        self._register(expression, path)
        varying = tuple(part for step, part in _steps(expression) if self._survey(part, f"{path}/{step}"))
        self._varies[id(expression)] = varying
        return bool(varying) or id(expression) in self._table

    def _register(self, node: Node, path: str) -> None:
        if isinstance(node, Choice | Pick | Range):
            key = node.name or path
            decision = _decision(node, key)
        elif isinstance(node, Program):
            key = path
        else:
            return
        if self._owner.setdefault(key, node) is not node:
            raise SpaceError(
                f"Two different decisions are named {key!r}. One object is one decision: use the same object in both "
                "places if they are one, or give them different names."
            )
        self._prefix[id(node)] = key
        if not isinstance(node, Program):
            self._table[id(node)] = decision
        else:
            self._table[id(node)] = Decision(key, "choice", ())


def _revive(valid: Sequence[Constraint], roots: Mapping[str, Any]) -> Space:
    return Space(valid or None, **roots)


def _decision(node: Choice | Pick | Range, key: str) -> Decision:
    if isinstance(node, Range):
        return Decision(key, node.kind, low=node.low, high=node.high, log=node.log)
    if isinstance(node, Pick):
        return Decision(key, "pick", options=node.labels, k=node.k)
    return Decision(key, "choice", options=node.labels)


def _steps(node: Node) -> list[tuple[str, Any]]:
    """Return the parts of a node with the step that leads to each: the grammar of paths."""
    match node:
        case Call(args=args, kwargs=kwargs):
            return [*((str(i), a) for i, a in enumerate(args)), *kwargs.items()]
        case Choice(labels=labels, options=options) | Pick(labels=labels, options=options):
            return [(str(label), option) for label, option in zip(labels, options, strict=True)]
        case Switch(on=on, labels=labels, options=options):
            return [("on", on), *((str(label), option) for label, option in zip(labels, options, strict=True))]
        case Repeat(count=count, blocks=blocks):
            return [("count", count), *((str(i), b) for i, b in enumerate(blocks))]
    return [(str(i), part) for i, part in enumerate(children(node))]
