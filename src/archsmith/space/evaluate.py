"""The reading that computes: evaluate an expression for one architecture, with the calls left to the reader.

``build`` makes modules, ``source`` makes text, a bank would make borrowed slices: each is one ``make`` function.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Protocol

from archsmith.errors import SpaceError, nearest
from archsmith.space.arch import Answer, Arch
from archsmith.space.decision import Decision
from archsmith.space.nodes import Arithmetic, Call, Choice, Pick, Program, Range, Repeat, Switch, arithmetic
from archsmith.space.program import Picker
from archsmith.space.space import Space
from archsmith.space.walk import answered, option, picked

__all__ = ["Make", "Mix", "evaluate", "settings"]


class Make(Protocol):
    """What is done with a call whose arguments are computed.

    ``path`` leads from the root to this use of the call, through argument positions and names, option labels and
    block indices: ``model/2/body/mbconv/0``. It is the same for every architecture in which this use is active, which
    is what lets parameters be kept by path.
    """

    def __call__(self, call: Call, path: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """Return what stands for the call's result."""
        ...


Mix = Callable[[str, Mapping[Answer, Any]], Any]
"""What stands for a choice of which every option is wanted: from its path and its computed options by label.

Where the options are lists, what is in several of them is computed once.
"""


class _Many(list[Any]):
    """The blocks of a repeat or pick, to be spliced into the arguments or list around them."""


def evaluate(
    space: Space,
    arch: Arch,
    make: Make,
    roots: Iterable[str] | None = None,
    run: Callable[[Program, str, Picker], Any] | None = None,
    mixed: Mapping[str, Mix] = MappingProxyType({}),
) -> dict[str, Any]:
    """Return the value of each root (all of them unless named), in order, calling ``make`` for every use of a call.

    A call used in several places is made once for each use; the decisions in it are the same. ``run`` says what a
    define-by-run function stands for; by default it is run. A choice whose decision is a key of ``mixed`` is not
    answered: all its options are computed and handed over. Raises ``SpaceError`` where the architecture lacks an
    answer or gives one that is not allowed.
    """
    answers: dict[str, Answer] = {}

    def decide(decision: Decision) -> Answer:
        if decision.key not in arch:
            raise SpaceError(f"The architecture does not answer {decision.key!r}. {nearest(decision.key, arch)}")
        return arch[decision.key]

    def ask(decision: Decision) -> Answer:
        return answered(decision, answers, decide)

    def sequence(parts: Iterable[tuple[str, Any]], path: str) -> list[Any]:
        values: list[Any] = []
        for step, part in parts:
            value = compute(part, f"{path}/{step}")
            if isinstance(value, _Many):
                values.extend(value)
            else:
                values.append(value)
        return values

    def alternatives(node: Choice | Switch, path: str) -> dict[Answer, Any]:
        return {label: compute(o, f"{path}/{label}") for label, o in zip(node.labels, node.options, strict=True)}

    def members(node: Choice | Switch, path: str) -> dict[Answer, Any]:
        uses, places = _uses(node)
        made = {use: compute(e, f"{path}/{places[use]}") for pairs in uses.values() for use, e in pairs}
        return {label: [made[use] for use, _ in pairs] for label, pairs in uses.items()}

    def compute(expression: Any, path: str) -> Any:
        match expression:
            case Call(args=args, kwargs=kwargs):
                positional = sequence(((str(i), a) for i, a in enumerate(args)), path)
                named = {k: _plain(compute(v, f"{path}/{k}")) for k, v in kwargs.items()}
                return make(expression, path, positional, named)
            case Choice() | Switch():
                decision = space._table[id(expression.on if isinstance(expression, Switch) else expression)]
                lists = all(isinstance(o, list | tuple) for o in expression.options)
                if decision.key in mixed:
                    open_ = members(expression, path) if lists else alternatives(expression, path)
                    return mixed[decision.key](path, open_)
                label = ask(decision)
                if lists:  # what is in several of them is one thing, with one path
                    uses, places = _uses(expression)
                    return type(option(expression, label))(
                        sequence(((str(places[use]), e) for use, e in uses[label]), path)
                    )
                return compute(option(expression, label), f"{path}/{label}")
            case Range():
                return ask(space._table[id(expression)])
            case Pick():
                labels = picked(expression, space._table[id(expression)], ask)
                return _Many(sequence(((str(label), option(expression, label)) for label in labels), path))
            case Repeat(blocks=blocks, count=count):
                first = compute(count, f"{path}/count")
                return _Many(sequence(((str(i), b) for i, b in enumerate(blocks[:first])), path))
            case Arithmetic(operation=operation, operands=(left, right)):
                return arithmetic(operation, compute(left, f"{path}/0"), compute(right, f"{path}/1"))
            case Program(function=function):
                picker = Picker(ask, space._prefix[id(expression)])
                return function(picker) if run is None else run(expression, path, picker)
            case list() | tuple():
                return type(expression)(sequence(((str(i), e) for i, e in enumerate(expression)), path))
            case dict():
                return {k: _plain(compute(v, f"{path}/{k}")) for k, v in expression.items()}
        return expression

    wanted = list(space.roots) if roots is None else list(roots)
    for name in wanted:
        if name not in space.roots:
            raise SpaceError(f"The space has no root {name!r}. {nearest(name, space.roots)}")
    return {name: _plain(compute(space.roots[name], name)) for name in wanted}


_Use = tuple[int, int]  # an expression, and how many times it was there before in the same list


def _uses(node: Choice | Switch) -> tuple[dict[Answer, list[tuple[_Use, Any]]], dict[_Use, int]]:
    """Return, for options that are lists, what is in each of them, and its place among all that is in any of them."""
    uses: dict[Answer, list[tuple[_Use, Any]]] = {}
    for label, option_ in zip(node.labels, node.options, strict=True):
        times: Counter[int] = Counter()
        uses[label] = []
        for e in option_:
            uses[label].append(((id(e), times[id(e)]), e))
            times[id(e)] += 1
    return uses, {use: place for place, use in enumerate(dict.fromkeys(u for own in uses.values() for u, _ in own))}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, _Many) else value


def settings(space: Space, arch: Arch, exclude: Iterable[str] = ("model",)) -> dict[str, Any]:
    """Return the plain values of the roots that are not the model: learning rate, optimiser and the like.

    Raises ``SpaceError`` for a root that holds a call, since a setting is data.
    """
    skipped = set(exclude)

    def refuse(call: Call, path: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        raise SpaceError(f"The setting {path!r} holds a call of {call.target!r}; a setting must be a plain value.")

    return evaluate(space, arch, refuse, [name for name in space.roots if name not in skipped])
