"""``archsmith compare RUN``: the comparisons that did not fit into the search's own budget."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from archsmith.cli.lazy import load
from archsmith.cli.progress import showing
from archsmith.cli.read import tell
from archsmith.cli.runs import complete_run, find_run
from archsmith.quantities import parse_duration

__all__ = ["compare"]


def compare(
    run: Annotated[str, typer.Argument(help="A run's folder or name.", autocompletion=complete_run)],
    budget: Annotated[str, typer.Option(help="Wall time: 10m, 1h.", metavar="TIME")] = "10m",
    trust: Annotated[
        list[str] | None,
        typer.Option(help="A package of yours that the run's space is made of, to load code from.", metavar="PACKAGE"),
    ] = None,
    out: Annotated[Path, typer.Option(help="Where run folders are.")] = Path("runs"),
    as_json: Annotated[bool, typer.Option("--json", help="The result as one JSON object.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
    no_color: Annotated[bool, typer.Option("--no-color", help="No colours.")] = False,
) -> None:
    """Train what a run was not compared with yet, under the same recipe, and write its report anew."""
    seconds = parse_duration(budget, "--budget")
    folder = find_run(run, out)
    with showing(folder.name, quiet, no_color) as listen:
        load("archsmith.pipeline").compare(str(folder), budget=seconds, progress=listen, trust=tuple(trust or ()))
    tell(folder, as_json)
