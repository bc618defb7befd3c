"""``archsmith export RUN --format onnx``: the trained network as one more file, verified."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from archsmith.cli.lazy import load
from archsmith.cli.output import emit, emit_json
from archsmith.cli.runs import complete_run, find_run
from archsmith.report.record import number_in
from archsmith.report.text import metric, number, size

__all__ = ["Format", "export"]


class Format(StrEnum):
    """The kinds of file a network can be written as."""

    onnx = "onnx"
    pt2 = "pt2"
    safetensors = "safetensors"


def export(
    run: Annotated[str, typer.Argument(help="A run's folder or name.", autocompletion=complete_run)],
    format: Annotated[Format, typer.Option(help="What to write.")] = Format.onnx,
    out: Annotated[Path, typer.Option(help="Where run folders are.")] = Path("runs"),
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")] = False,
) -> None:
    """Write a run's best network in a format, load it in a fresh process and compare it with the original."""
    folder = find_run(run, out)
    row = load("archsmith.pipeline").export(str(folder), format.value)
    if as_json:
        emit_json(dict(row))
    else:
        emit(_words(row))


def _words(row: Mapping[str, Any]) -> str:
    said = [str(row["path"])]
    if number_in(row, "bytes") is not None:
        said.append(size(number_in(row, "bytes")))
    if number_in(row, "latency_ms") is not None:
        said.append(f"{metric('latency_ms', number_in(row, 'latency_ms'))} for one sample")
    if number_in(row, "max_difference") is not None:
        batches = ", ".join(str(b) for b in row.get("batches", ()))
        said.append(
            f"differs from the original by at most {number(number_in(row, 'max_difference'), 2)}, batch {batches}"
        )
    return "\n  ".join(said)
