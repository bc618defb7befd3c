"""The options that bound a network, as the commands share them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from archsmith.quantities import parse_bytes, parse_count, parse_latency_ms

__all__ = ["PANEL", "Latency", "Macs", "Memory", "Params", "limits_of"]

PANEL = "Limits: what breaks one is never returned; several values of one: a network for each"
Latency = Annotated[
    list[str] | None,
    typer.Option(help="Time of one sample on this machine: 5ms, 200us.", metavar="TIME", rich_help_panel=PANEL),
]
Params = Annotated[
    list[str] | None, typer.Option(help="Parameters: 500k, 1.5M.", metavar="COUNT", rich_help_panel=PANEL)
]
Macs = Annotated[
    list[str] | None, typer.Option(help="Multiply-adds of one sample: 20M.", metavar="COUNT", rich_help_panel=PANEL)
]
Memory = Annotated[
    list[str] | None,
    typer.Option(help="Activation memory of one sample: 256kB, 2MiB.", metavar="SIZE", rich_help_panel=PANEL),
]


def limits_of(
    latency: Sequence[str] | None,
    params: Sequence[str] | None,
    macs: Sequence[str] | None,
    memory: Sequence[str] | None,
) -> dict[str, Any]:
    """Return the limits that were given, as numbers by metric; several values of one as a list."""
    limits: dict[str, Any] = {}
    given: tuple[tuple[str, Sequence[str] | None, Callable[[str, str], float], str], ...] = (
        ("latency_ms", latency, parse_latency_ms, "--max-latency"),
        ("params", params, parse_count, "--max-params"),
        ("macs", macs, parse_count, "--max-macs"),
        ("activation_bytes", memory, parse_bytes, "--max-memory"),
    )
    for name, texts, parse, option in given:
        values = [parse(text, option) for text in texts or ()]
        if values:
            limits[name] = values[0] if len(values) == 1 else values
    return limits
