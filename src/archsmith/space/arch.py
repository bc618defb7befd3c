"""The answers to the active decisions of a space: flat, immutable, JSON-ready, with a stable id."""

from __future__ import annotations

import hashlib
import json
from collections.abc import ItemsView, Iterator, Mapping
from typing import Any

__all__ = ["Answer", "Arch"]

Answer = str | int | float | bool | None | tuple[Any, ...]


class Arch(Mapping[str, Answer]):
    """The answers of one architecture, in the order in which they were asked.

    Two Archs are equal when their answers are, whatever the order. ``id`` is twelve hexadecimal digits that depend on
    nothing but the answers, so it is the same in every process and version.
    """

    __slots__ = ("_answers", "_hash", "_id")

    def __init__(self, answers: Mapping[str, Answer]) -> None:
        self._answers = dict(answers)
        self._id = ""
        self._hash: int | None = None

    @property
    def id(self) -> str:
        """Twelve hexadecimal digits that identify the answers."""
        if not self._id:  # computed when first asked: most sampled and mutated architectures are only passed through
            text = json.dumps(self.to_json(), sort_keys=True, allow_nan=False)
            self._id = hashlib.sha256(text.encode()).hexdigest()[:12]
        return self._id

    def __getitem__(self, key: str) -> Answer:
        return self._answers[key]

    def __contains__(self, key: object) -> bool:
        return key in self._answers

    def __iter__(self) -> Iterator[str]:
        return iter(self._answers)

    def __len__(self) -> int:
        return len(self._answers)

    def items(self) -> ItemsView[str, Answer]:
        """Return the decisions with their answers, in order."""
        return self._answers.items()

    def __hash__(self) -> int:
        if self._hash is None:  # not by the id, which takes ten times as long: searches ask for it all the time
            self._hash = hash(frozenset(self._answers.items()))
        return self._hash

    def __eq__(self, other: object) -> bool:
        # By id too, not by dict alone: 1, 1.0 and True are equal to Python but are different answers.
        return isinstance(other, Arch) and self._answers == other._answers and self.id == other.id

    def __repr__(self) -> str:
        return f"Arch({self._answers!r})"

    def to_json(self) -> dict[str, Any]:
        """Return the answers as JSON-ready data; picks become lists."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in self._answers.items()}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Arch:
        """Return the Arch that ``to_json`` wrote."""
        return Arch({k: tuple(v) if isinstance(v, list) else v for k, v in data.items()})
