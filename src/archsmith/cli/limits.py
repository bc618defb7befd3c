"""The options that bound a network, as the commands share them."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from archsmith.quantities import parse_bytes, parse_count, parse_latency_ms

__all__ = ["PANEL", "Latency", "Macs", "Memory", "Params", "limits_of"]

PANEL = "Limits: what breaks one is never returned"
Latency = Annotated[
    str | None,
    typer.Option(help="Time of one sample on this machine: 5ms, 200us.", metavar="TIME", rich_help_panel=PANEL),
]
Params = Annotated[str | None, typer.Option(help="Parameters: 500k, 1.5M.", metavar="COUNT", rich_help_panel=PANEL)]
Macs = Annotated[
    str | None, typer.Option(help="Multiply-adds of one sample: 20M.", metavar="COUNT", rich_help_panel=PANEL)
]
Memory = Annotated[
    str | None,
    typer.Option(help="Activation memory of one sample: 256kB, 2MiB.", metavar="SIZE", rich_help_panel=PANEL),
]


def limits_of(latency: str | None, params: str | None, macs: str | None, memory: str | None) -> dict[str, Any]:
    """Return the limits that were given, as numbers by metric."""
    limits: dict[str, Any] = {}
    if latency is not None:
        limits["latency_ms"] = parse_latency_ms(latency, "--max-latency")
    if params is not None:
        limits["params"] = parse_count(params, "--max-params")
    if macs is not None:
        limits["macs"] = parse_count(macs, "--max-macs")
    if memory is not None:
        limits["activation_bytes"] = parse_bytes(memory, "--max-memory")
    return limits
