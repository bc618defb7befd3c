"""Random spaces over every node kind, for property-based tests, and a few fixed ones. Needs Hypothesis."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from types import MappingProxyType
from typing import Any

from hypothesis import strategies as st

from archsmith.space import (
    Arch,
    Choice,
    Decision,
    Space,
    call,
    choice,
    integer,
    pick,
    program,
    real,
    repeat,
    round_to,
    switch,
    walk,
)

__all__ = ["EXAMPLES", "answers", "archs", "block", "define_by_run", "keeps_most", "leaf", "spaces", "spaces_and_archs"]

_NODES = 40


def leaf(width: int, scale: float = 1.0) -> tuple[Any, ...]:
    """Stand for a layer: the torch-free target at the ends of a generated space."""
    return ("leaf", width, scale)


def block(*parts: Any, side: Any = None) -> tuple[Any, ...]:
    """Stand for a composite of any number of parts, with one more part, a list of parts or nothing as ``side``."""
    return ("block", parts, side)


def define_by_run(pick: Any) -> tuple[Any, ...]:
    """Ask as it goes: a width, a depth, and a scale for each layer but the first."""
    width = pick("width", 4, 8)
    layers = [leaf(width)]
    for i in range(1, pick.integer("depth", 1, 3)):
        layers.append(leaf(width, pick.real(f"scale{i}", 0.5, 2.0)))
    return block(*layers)


def keeps_most(arch: Arch) -> bool:
    """Accept fifteen of sixteen architectures: a constraint that no decision explains."""
    return arch.id[0] != "0"


@dataclass
class _Writer:
    """Writes one expression by drawing; what it made before may be used again, so that identity is tested."""

    draw: Any
    leaf: Callable[..., Any]
    block: Callable[..., Any]
    names: int = 0
    nodes: int = 0
    numbers: list[Any] = field(default_factory=list)
    choices: list[Choice] = field(default_factory=list)
    modules: list[Any] = field(default_factory=list)

    def pick_one(self, *options: str) -> str:
        return str(self.draw(st.sampled_from(options)))

    def name(self) -> str | None:
        self.names += 1
        return f"decision{self.names}" if self.draw(st.booleans()) else None

    def whole(self, low: int, high: int) -> int:
        return int(self.draw(st.integers(low, high)))

    def number(self, depth: int) -> Any:
        """Return an expression whose every value is a whole number of at least one."""
        self.nodes += 1
        kinds = ["literal", "choice", "range"]
        kinds += ["again"] * bool(self.numbers)
        if depth > 0 and self.nodes < _NODES:
            kinds += ["+", "*", "//", "round_to"] + ["switch"] * bool(self.choices)
        kind = self.pick_one(*kinds)
        if kind == "literal":
            return self.whole(1, 8)
        if kind == "again":
            return self.draw(st.sampled_from(self.numbers))
        made: Any
        if kind == "choice":
            values = self.draw(st.lists(st.integers(1, 16), min_size=1, max_size=4, unique=True))
            made = choice(*values, name=self.name())
            self.choices.append(made)
        elif kind == "range":
            low = self.whole(1, 8)
            made = integer(low, low + self.whole(0, 6), log=self.draw(st.booleans()), name=self.name())
        elif kind == "switch":
            on = self.draw(st.sampled_from(self.choices))
            made = switch(on, {label: self.number(depth - 1) for label in on.labels})
        elif kind == "//":
            made = (self.number(depth - 1) + 1) // 2
        elif kind == "round_to":
            made = round_to(self.number(depth - 1), self.whole(2, 8))
        else:
            left, right = self.number(depth - 1), self.whole(1, 3)
            made = left + right if kind == "+" else right * left
        self.numbers.append(made)
        return made

    def scale(self) -> Any:
        low = self.draw(st.sampled_from([0.25, 0.5, 1.0]))
        kind = self.pick_one("literal", "real", "choice")
        if kind == "literal":
            return low
        if kind == "choice":
            return choice(low, 2.0, name=self.name())
        return real(low, low * self.whole(1, 3), log=self.draw(st.booleans()), name=self.name())

    def module(self, depth: int) -> Any:
        """Return an expression whose every value is one made module."""
        self.nodes += 1
        kinds = ["leaf"] + ["again"] * bool(self.modules)
        if depth > 0 and self.nodes < _NODES:
            kinds += ["block", "block", "choice", "choice"] + ["switch"] * bool(self.choices)
        kind = self.pick_one(*kinds)
        made: Any
        if kind == "again":
            return self.draw(st.sampled_from(self.modules))
        if kind == "leaf":
            width = self.number(min(depth, 2))
            made = call(self.leaf, width, scale=self.scale()) if self.draw(st.booleans()) else call(self.leaf, width)
        elif kind == "block":
            made = self.composite(depth)
        elif kind == "switch":
            on = self.draw(st.sampled_from(self.choices))
            made = switch(on, {label: self.module(depth - 1) for label in on.labels})
        else:
            made = self.chosen([self.module(depth - 1) for _ in range(self.whole(1, 3))])
        self.modules.append(made)
        return made

    def chosen(self, options: Sequence[Any]) -> Choice:
        if self.draw(st.booleans()):
            made = choice(*options, name=self.name())
        else:
            made = choice(name=self.name(), **{f"option{i}": o for i, o in enumerate(options)})
        self.choices.append(made)
        return made

    def composite(self, depth: int) -> Any:
        parts = [self.part(depth - 1) for _ in range(self.whole(0, 3))]
        side = self.pick_one("none", "none", "one", "list", "maybe")
        if side == "none":
            return call(self.block, *parts)
        if side == "list":
            return call(self.block, *parts, side=[self.part(depth - 1) for _ in range(self.whole(1, 2))])
        if side == "maybe":
            return call(self.block, *parts, side=self.chosen([None, self.module(depth - 1)]))
        return call(self.block, *parts, side=self.module(depth - 1))

    def part(self, depth: int) -> Any:
        """Return a module, or several to be spliced in: a repeat or a pick."""
        kind = self.pick_one("module", "module", "repeat", "pick") if self.nodes < _NODES else "module"
        if kind == "module":
            return self.module(depth)
        blocks = [self.module(depth - 1) for _ in range(self.whole(1, 3))]
        if kind == "repeat":
            return repeat(blocks, self.count(len(blocks)))
        k = self.whole(1, len(blocks))
        if self.draw(st.booleans()):
            return pick(k, *blocks, name=self.name())
        return pick(k, name=self.name(), **{f"edge{i}": b for i, b in enumerate(blocks)})

    def count(self, most: int) -> Any:
        kind = self.pick_one("literal", "choice", "range")
        if kind == "literal":
            return self.whole(0, most)
        if kind == "range":
            return integer(self.whole(0, most), most, name=self.name())
        values = self.draw(st.lists(st.integers(0, most), min_size=1, max_size=3, unique=True))
        made = choice(*values, name=self.name())
        self.choices.append(made)
        return made

    def setting(self) -> Any:
        kind = self.pick_one("rate", "word", "count", "number")
        if kind == "rate":
            return real(1e-4, 1e-1, log=True, name=self.name())
        if kind == "word":
            return choice("sgd", "adam", None, True, name=self.name())
        return integer(1, 100, log=True, name=self.name()) if kind == "count" else self.number(2)


@st.composite
def spaces(
    draw: Any,
    leaf: Callable[..., Any] = leaf,
    block: Callable[..., Any] = block,
    depth: int = 4,
    programs: Sequence[Callable[[Any], Any]] = (),
    constraints: Sequence[Callable[[Arch], bool]] = (),
) -> Space:
    """Draw a space with a ``model`` and up to two settings, over every node kind, nested to ``depth``.

    ``leaf(width, scale=1.0)`` and ``block(*parts, side=None)`` are the targets of all calls; ``side`` is None, a part
    or a list of parts. Widths are whole numbers of at least 1. To test a reading that computes, pass module classes
    in which every composition fits. With ``programs`` the model may be one of these define-by-run functions; with
    ``constraints`` the space may carry some of them.
    """
    writer = _Writer(draw, leaf, block)
    if programs and draw(st.integers(0, 9)) == 0:
        model: Any = program(draw(st.sampled_from(list(programs))))
    elif draw(st.integers(0, 9)) == 0:
        model = writer.module(depth)  # a choice or switch at the top
    else:
        model = writer.composite(depth)
    roots = {f"setting{i}": writer.setting() for i in range(draw(st.integers(0, 2)))}
    kept = draw(st.lists(st.sampled_from(list(constraints)), unique=True)) if constraints else None
    return Space(kept or None, model=model, **roots)


def answers(decision: Decision) -> st.SearchStrategy[Any]:
    """Draw an answer that the decision allows."""
    if decision.kind == "choice":
        return st.sampled_from(decision.options)
    if decision.kind == "pick":
        return st.sampled_from(list(combinations(decision.options, decision.k)))
    if decision.kind == "integer":
        return st.integers(int(decision.low), int(decision.high))
    return st.floats(decision.low, decision.high)


@st.composite
def archs(draw: Any, space: Space) -> Arch:
    """Draw an architecture of the space, its constraints left aside."""
    return walk(space, lambda decision: draw(answers(decision)))


@st.composite
def spaces_and_archs(draw: Any, /, **options: Any) -> tuple[Space, Arch]:
    """Draw a space, with the options of ``spaces``, and an architecture of it."""
    space = draw(spaces(**options))
    return space, draw(archs(space))


def _layer(i: int) -> Any:
    return call(leaf, choice(4, 8, 16, name=f"width{i}"), scale=real(0.5, 2.0, name=f"scale{i}"))


def _nested() -> Any:
    inner = choice(plain=call(leaf, 4), wide=call(leaf, integer(8, 16, name="wide")), name="inner")
    outer = choice(skip=None, deep=call(block, inner, inner, side=call(leaf, choice(1, 2, name="side"))), name="outer")
    return call(block, call(leaf, 4), side=outer)


def _branches() -> Any:
    deep = call(block, call(leaf, choice(1, 2, 3, name="a")), side=call(leaf, choice(4, 8, name="b")))
    return call(block, choice(deep=deep, flat=call(leaf, choice(5, 6, 7, 9, name="c")), name="kind"))


def _everything() -> Any:
    width = choice(8, 16, name="width")
    return call(
        block,
        call(leaf, round_to(width * 3 // 2, 4)),
        repeat([call(leaf, width + i) for i in range(3)], integer(1, 3, name="depth")),
        pick(2, *[call(leaf, 4 + i) for i in range(4)], name="edges"),
        side=switch(width, {8: call(leaf, real(1.0, 2.0, name="small")), 16: call(leaf, 2)}),
    )


EXAMPLES: Mapping[str, Space] = MappingProxyType(
    {
        "flat": Space(**{f"x{i}": choice(0, 1, 2, 3, 4, name=f"x{i}") for i in range(6)}),
        "ranges": Space(
            rate=real(1e-4, 1.0, log=True), size=integer(1, 1000, log=True), share=real(0, 1), n=integer(-3, 3)
        ),
        "conditional": Space(model=_nested(), rate=real(1e-3, 1.0, log=True)),
        "branches": Space(model=_branches()),
        "repeated": Space(model=call(block, repeat(_layer, choice(1, 2, 4, name="depth")))),
        "everything": Space(model=_everything(), word=choice("sgd", None, True, 2, name="word")),
        "constrained": Space([keeps_most], **{f"x{i}": choice("a", "b", "c", name=f"x{i}") for i in range(5)}),
        "define_by_run": Space.from_function(define_by_run, rate=real(0, 1)),
        "tiny": Space(model=call(leaf, choice(1, 2, 3, name="width"))),
        "one": Space(model=call(leaf, choice(4)), rate=real(0.5, 0.5)),
    }
)
