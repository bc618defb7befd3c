"""How the architectures of a space become rows of numbers, in named blocks of columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import product

import numpy as np

from archsmith.errors import SpaceError
from archsmith.space import Answer, Arch, Decision, Space, Wiring, wirings
from archsmith.space.encode import Vector

__all__ = ["Encoding", "cell_path_bits", "counted_options", "decisions", "joined"]

_Write = Callable[[Sequence[Arch], Vector], None]
_Part = tuple[list[int], list[float]]
_SQRT_HALF = 0.5**0.5


@dataclass(frozen=True, eq=False)
class Encoding:
    """Turns architectures into rows. ``blocks`` are ``(name, columns)``: what belongs together, in its order.

    Columns are scaled so that two architectures that differ in a block are about 1 apart in it. ``terms`` numbers the
    view of the architecture that each block belongs to: a kernel multiplies over the blocks of a view and adds views.
    ``write`` fills rows of zeros.
    """

    blocks: tuple[tuple[str, int], ...]
    terms: tuple[int, ...]
    write: _Write = field(repr=False)
    _known: dict[Arch, Vector] = field(default_factory=dict, init=False, repr=False)

    @property
    def width(self) -> int:
        """The number of columns."""
        return sum(columns for _, columns in self.blocks)

    @property
    def groups(self) -> np.ndarray:
        """The number of the block of each column, ``[width]``."""
        return np.repeat(np.arange(len(self.blocks)), [columns for _, columns in self.blocks])

    def rows(self, archs: Sequence[Arch]) -> Vector:
        """Return one row per architecture, ``[len(archs), width]``."""
        found = np.zeros((len(archs), self.width))
        self.write(archs, found)
        return found

    def remembered(self, archs: Sequence[Arch]) -> Vector:
        """Return the same as ``rows``, and keep them: for architectures that will be asked for again."""
        new = [arch for arch in dict.fromkeys(archs) if arch not in self._known]
        self._known.update(zip(new, self.rows(new), strict=True))
        return np.array([self._known[arch] for arch in archs]).reshape(len(archs), self.width)


def joined(*encodings: Encoding) -> Encoding:
    """Return the columns of several encodings side by side, each a view of its own."""
    encodings = tuple(e for e in encodings if e.blocks) or encodings[:1]
    starts = np.cumsum([0, *(e.width for e in encodings)]).tolist()

    def write(archs: Sequence[Arch], rows: Vector) -> None:
        for encoding, start in zip(encodings, starts, strict=False):
            encoding.write(archs, rows[:, start : start + encoding.width])

    views = np.cumsum([0, *(max(e.terms, default=0) + 1 for e in encodings)]).tolist()
    terms = tuple(view + term for e, view in zip(encodings, views, strict=False) for term in e.terms)
    return Encoding(tuple(block for e in encodings for block in e.blocks), terms, write)


def decisions(space: Space) -> Encoding:
    """Return the one-hot encoding, a block per decision, zero where it is inactive.

    A range, and a choice between at least three numbers, also says where its answer lies, from 0 to 1.
    """
    blocks: list[tuple[str, int]] = []
    parts: dict[str, Callable[[Answer], _Part]] = {}
    start = 0
    for key, decision in space.decisions.items():
        columns, parts[key] = _part(decision, start)
        blocks.append((key, columns))
        start += columns
    return Encoding(tuple(blocks), (0,) * len(blocks), _added(parts))


def _part(decision: Decision, start: int) -> tuple[int, Callable[[Answer], _Part]]:
    """Return how many columns a decision takes, and what an answer to it adds to which of them."""
    if decision.kind in ("integer", "real"):
        return 2, lambda answer: ([start, start + 1], [_SQRT_HALF, decision.unit(answer)])
    places = {_token(option): start + i for i, option in enumerate(decision.options)}
    if decision.kind == "pick":
        return len(places), lambda answer: ([places[_token(one)] for one in answer], [_SQRT_HALF] * decision.k)
    units = _units(decision)
    if not units:
        return len(places), lambda answer: ([places[_token(answer)]], [_SQRT_HALF])
    last = start + len(places)
    return len(places) + 1, lambda answer: ([places[_token(answer)], last], [_SQRT_HALF, units[_token(answer)]])


def _added(parts: Mapping[str, Callable[[Answer], _Part]]) -> _Write:
    """Return what adds up the parts of all answers of an architecture; decisions that are not named add nothing."""
    kept: dict[tuple[str, type, object], _Part] = {}

    def write(archs: Sequence[Arch], rows: Vector) -> None:
        places: list[int] = []
        columns: list[int] = []
        values: list[float] = []
        for place, arch in enumerate(archs):
            for key, answer in arch.items():
                token = (key, type(answer), answer)
                part = kept.get(token)
                if part is None:
                    part = parts[key](answer) if key in parts else ([], [])
                    if not isinstance(answer, float | tuple):  # too many, or equal to Python where they are not
                        kept[token] = part
                columns += part[0]
                values += part[1]
            places += [place] * (len(columns) - len(places))
        np.add.at(rows, (places, columns), values)

    return write


def _token(answer: object) -> tuple[type, object]:
    """Return what tells 1, 1.0 and True apart."""
    return type(answer), answer


def _units(decision: Decision) -> dict[tuple[type, object], float]:
    """Return where each of at least three numbers ranks, from 0 to 1; empty where the options are not numbers."""
    numbers = [o for o in decision.options if isinstance(o, int | float) and not isinstance(o, bool)]
    if len(numbers) < max(3, len(decision.options)):
        return {}
    return {_token(o): rank / (len(numbers) - 1) for rank, o in enumerate(sorted(numbers))}


def counted_options(space: Space) -> Encoding:
    """Return the share of the choices between the same options that take each option: a block per option.

    Where several choices have equal options their places often matter less than their number, such as how many
    of a cell's edges are convolutions. Empty where no two choices have the same options.
    """
    alike: dict[tuple[tuple[type, object], ...], list[str]] = {}
    for key, decision in space.decisions.items():
        if decision.kind == "choice":
            alike.setdefault(tuple(map(_token, decision.options)), []).append(key)
    blocks: list[tuple[str, int]] = []
    parts: dict[str, Callable[[Answer], _Part]] = {}
    for options, keys in alike.items():
        if len(keys) > 1:
            where = {token: len(blocks) + i for i, token in enumerate(options)}
            share = 1.0 / len(keys)
            parts |= dict.fromkeys(keys, partial(_counted, where, share))
            blocks += [(f"{value!r} in {keys[0]}, ...", 1) for _, value in options]
    return Encoding(tuple(blocks), (0,) * len(blocks), _added(parts))


def _counted(places: Mapping[tuple[type, object], int], share: float, answer: Answer) -> _Part:
    return [places[_token(answer)]], [share]


def cell_path_bits(space: Space) -> Encoding:
    """Return which sequences of operations lead through each cell, a block per length (White et al., BANANAS, 2021).

    Raises ``SpaceError`` where the space has no cell: a call whose target declares its ``wiring``.
    """
    cells = wirings(space)
    if not cells:
        raise SpaceError(
            "Paths are features of cells, and this space has none. A cell is a call whose target has an attribute "
            "`wiring`: the pairs (from, to) of nodes that its arguments join. Use the encoding 'decisions'."
        )
    return joined(*(_paths(cell) for cell in cells))


def _paths(cell: Wiring) -> Encoding:
    last = max(target for _, target, _ in cell.edges)
    routes: list[tuple[str, ...]] = []

    def extend(node: int, route: tuple[str, ...]) -> None:
        if node == last:
            routes.append(route)
            return
        for source, target, key in cell.edges:
            if source == node:
                extend(target, (*route, key))

    extend(0, ())
    lengths = sorted({len(route) for route in routes})
    alphabet = [operation for operation in cell.operations if operation != cell.none]
    words = [word for length in lengths for word in product(alphabet, repeat=length)]
    places = {word: i for i, word in enumerate(words)}
    scale = (2.0 * len(routes)) ** -0.5

    def write(archs: Sequence[Arch], rows: Vector) -> None:
        for arch, row in zip(archs, rows, strict=True):
            for route in routes:
                if all(key in arch for key in route):
                    place = places.get(tuple(str(arch[key]) for key in route))
                    if place is not None:
                        row[place] = scale

    return Encoding(tuple((f"paths of length {n}", len(alphabet) ** n) for n in lengths), (0,) * len(lengths), write)
