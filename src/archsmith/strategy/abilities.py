"""What a way of searching can handle, said by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Abilities", "abilities_of"]


@dataclass(frozen=True)
class Abilities:
    """What a strategy claims to handle; the contract holds it to what it claims, and to refusing the rest.

    ``many_objectives``: losses of any length, else of length one. ``ranges``: real ranges, whose answers cannot be
    listed. ``conditionals``: decisions that are active in some architectures only. ``limits``: hard limits, with
    trials that break one. Batches and results out of order are for every strategy. ``cells`` says that it takes none
    but spaces with a cell, a call whose target declares its ``wiring``.

    Two words on how it works: ``fidelities``, it spends less than the full cost on most, and its constructor takes
    ``fidelity``, ``minimum``, ``maximum`` and ``eta``; ``deterministic``, it draws nothing, whatever the seed.
    """

    many_objectives: bool = True
    ranges: bool = True
    conditionals: bool = True
    limits: bool = True
    fidelities: bool = False
    deterministic: bool = False
    cells: bool = False


def abilities_of(strategy: Any) -> Abilities:
    """Return what a strategy, or its class, declares as ``abilities``; without a word it is taken to handle all."""
    declared = getattr(strategy, "abilities", None)
    return declared if isinstance(declared, Abilities) else Abilities()
