"""What makes two spaces different, in words."""

from __future__ import annotations

from collections.abc import Mapping

from archsmith.space.space import Space

__all__ = ["described", "differences"]


def described(space: Space) -> dict[str, str]:
    """Return a line for every decision, by which a log knows the space it was written for."""
    return {
        key: f"{d.kind} {list(d.options)!r} k={d.k}" if d.options else f"{d.kind} {d.low} to {d.high}{' log' * d.log}"
        for key, d in space.decisions.items()
    }


def differences(old: Mapping[str, str], new: Mapping[str, str], most: int = 5) -> str:
    """Return what changed from one ``described`` space to another, the first ``most`` changes; empty if nothing did."""
    changes = [
        *(f"{key} is new" for key in new if key not in old),
        *(f"{key} is gone" for key in old if key not in new),
        *(f"{key} was {old[key]}, is {new[key]}" for key in new if key in old and old[key] != new[key]),
    ]
    more = f", and {len(changes) - most} more" if len(changes) > most else ""
    return f"{'; '.join(changes[:most])}{more}"
