"""``archsmith spaces``: the ready-made search spaces."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from archsmith.cli.lazy import load
from archsmith.cli.output import emit, emit_json, table
from archsmith.errors import SpaceError
from archsmith.spec import Spec

__all__ = ["spaces"]

# Spaces are scaled to the task, so their sizes are shown on one of each kind.
_EXAMPLES = (
    Spec("image", "classification", (3, 32, 32), 10, 50_000),
    Spec("table", "classification", (14,), 2, 30_000, (9, 16, 7)),
)


def spaces(as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")] = False) -> None:
    """List the ready-made search spaces and how large they are; your own is --space mynet.py:space."""
    room = load("archsmith.spaces")
    rows = [_row(name, getattr(room, name)) for name in room.names()]
    if as_json:
        emit_json({"spaces": rows})
        return
    for row in rows:
        emit(f"{row['name']}: {row['about']}")
        emit(table([(f"{e['kind']} {e['input']}", f"{e['decisions']} decisions") for e in row["examples"]]) + "\n")
    emit("Your own: archsmith search DATA --space mynet.py:space")


def _row(name: str, make: Any) -> dict[str, Any]:
    examples = []
    for spec in _EXAMPLES:
        try:
            space = make(spec)
        except SpaceError:  # a space for images has nothing to say about a table
            continue
        shape = "x".join(map(str, spec.input_shape))
        examples.append({"kind": spec.kind, "input": shape, "decisions": len(space.decisions)})
    about = (make.__doc__ or "").strip().split("\n\n")[0]
    return {"name": name, "about": " ".join(about.split()), "examples": examples}
