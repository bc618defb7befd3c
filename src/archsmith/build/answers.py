"""What a define-by-run function is called with in a standalone file: the answers, by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["Answers"]


class Answers:
    """Stands for the ``pick`` of a define-by-run function: every question is answered as it was for this network."""

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self.answers = answers

    def __call__(self, name: str, /, *options: Any, **named: Any) -> Any:
        """Return the option that was chosen for ``name``."""
        values = [*options, *named.values()]
        if len(values) == 1:
            return values[0]
        plain = all(isinstance(value, str | int | float | bool | None) for value in options)
        labels = list(named or (options if plain else range(len(options))))
        return values[labels.index(self.answers[name])]

    def integer(self, name: str, low: int, high: int, log: bool = False) -> int:
        """Return the whole number that was chosen for ``name``."""
        return low if low == high else int(self.answers[name])

    def real(self, name: str, low: float, high: float, log: bool = False) -> float:
        """Return the number that was chosen for ``name``."""
        return low if low == high else float(self.answers[name])
