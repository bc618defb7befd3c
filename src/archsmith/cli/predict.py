"""``archsmith predict RUN FILE``: the trained network, applied to something new."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from archsmith.cli.lazy import load
from archsmith.cli.output import emit, emit_json, table
from archsmith.cli.runs import complete_run, find_run
from archsmith.report.text import csv_cell

__all__ = ["predict"]


def predict(
    run: Annotated[str, typer.Argument(help="A run's folder or name.", autocompletion=complete_run)],
    file: Annotated[Path, typer.Argument(help="A photo, a folder of photos, a CSV or Parquet file.")],
    out: Annotated[Path, typer.Option(help="Where run folders are.")] = Path("runs"),
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Comma-separated values instead of aligned columns.")] = False,
) -> None:
    """Predict with a run's best network: one line per photo or row."""
    folder = find_run(run, out)
    rows = load("archsmith.pipeline").predict(str(folder), str(file))
    if as_json:
        emit_json({"run": str(folder), "file": str(file), "predictions": [dict(row) for row in rows]})
    elif as_csv:
        emit(_csv(rows))
    else:
        names = _names(rows)
        emit(table([names, *([_cell(row.get(n)) for n in names] for row in rows)], indent=0))


def _names(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(str(name) for row in rows for name in row))


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else "" if value is None else str(value)


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = _names(rows)
    writer.writerow([csv_cell(name) for name in names])
    writer.writerows([[csv_cell(row.get(name)) for name in names] for row in rows])
    return text.getvalue().rstrip("\n")
