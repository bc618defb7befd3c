"""Where words go: results to stdout, progress and errors to stderr, colours only where they can be seen."""

from __future__ import annotations

import json
import math
import os
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

import typer
from rich.console import Console

from archsmith.report.show import SCHEMA_VERSION
from archsmith.report.text import clean

__all__ = ["console", "emit", "emit_json", "is_live", "table"]

# What JSON need not escape and terminals obey all the same.
_COMMANDS = re.compile("[\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def emit(text: str = "") -> None:
    """Write one result, as lines of text, to stdout."""
    text = clean(text, limit=len(text) + 1)  # names come from files, and a terminal obeys what is in them
    typer.echo(_encodable(text.replace("\u00a0", " "), sys.stdout))


def emit_json(data: Mapping[str, Any]) -> None:
    """Write one JSON object to stdout, its ``schema_version`` first; what JSON cannot say becomes null."""
    whole = {"schema_version": SCHEMA_VERSION, **data}
    text = json.dumps(_finite(whole), indent=2, ensure_ascii=False, default=str)
    typer.echo(_COMMANDS.sub(lambda m: f"\\u{ord(m[0]):04x}", text).encode("utf-8", "replace").decode())


def console(no_color: bool = False) -> Console:
    """Return the console of stderr; NO_COLOR and TERM=dumb are honoured."""
    made = Console(stderr=True, no_color=True if no_color else None, highlight=False, soft_wrap=True)
    made.on_broken_pipe = _carry_on  # type: ignore[method-assign]
    return made


def _carry_on() -> None:
    """Let a search go on when who read its progress is gone; rich would end the process."""


def is_live(stream: TextIO) -> bool:
    """Return whether a table that redraws itself can be shown on ``stream``."""
    dumb = os.environ.get("TERM", "") == "dumb" or bool(os.environ.get("CI"))
    return stream.isatty() and not dumb


def table(rows: Sequence[Sequence[str]], indent: int = 2) -> str:
    """Return rows as aligned columns of plain text, which survive pipes and e-mails."""
    columns = max((len(row) for row in rows), default=0)
    widths = [max((len(row[i]) for row in rows if i < len(row)), default=0) for i in range(columns)]
    lines = ["  ".join(cell.ljust(widths[i]) for i, cell in enumerate(row)).rstrip() for row in rows]
    return "\n".join(" " * indent + line for line in lines)


def _finite(data: Any) -> Any:
    if isinstance(data, Mapping):
        return {str(k): _finite(v) for k, v in data.items()}
    if isinstance(data, list | tuple):
        return [_finite(v) for v in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data


def _encodable(text: str, stream: TextIO) -> str:
    """A terminal that cannot write a character gets a question mark instead of a crash."""
    encoding = stream.encoding or "utf-8"
    return text.encode(encoding, "replace").decode(encoding)
