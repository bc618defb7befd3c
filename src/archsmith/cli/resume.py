"""``archsmith resume RUN``: go on with what was stopped or killed, or give a finished run more time."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from archsmith.cli.lazy import load
from archsmith.cli.limits import Latency, Macs, Memory, Params, limits_of
from archsmith.cli.progress import showing
from archsmith.cli.read import tell
from archsmith.cli.runs import complete_run, find_run
from archsmith.cli.stopping import stoppable
from archsmith.quantities import parse_duration
from archsmith.request import resolve_objectives

__all__ = ["resume"]

_STARTED = time.monotonic()
_OUT = "Output"


def resume(
    run: Annotated[str, typer.Argument(help="A run's folder or name.", autocompletion=complete_run)],
    budget: Annotated[
        str | None, typer.Option(help="More time: +30m; or a new total: 2h.", metavar="TIME", show_default=False)
    ] = None,
    max_latency: Latency = None,
    max_params: Params = None,
    max_macs: Macs = None,
    max_memory: Memory = None,
    objective: Annotated[
        list[str] | None, typer.Option(help="What to optimise from now on; repeat it for several.", metavar="METRIC")
    ] = None,
    finalists: Annotated[int | None, typer.Option(min=1, help="How many get a final training.")] = None,
    trials: Annotated[int | None, typer.Option(min=1, help="At most so many trials in all.")] = None,
    trust: Annotated[
        list[str] | None,
        typer.Option(help="A package of yours that the run's space is made of, to load code from.", metavar="PACKAGE"),
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(help="The database that keeps the log, with its password if it needs one.", metavar="ADDRESS"),
    ] = None,
    out: Annotated[Path, typer.Option(help="Where run folders are.", rich_help_panel=_OUT)] = Path("runs"),
    as_json: Annotated[
        bool, typer.Option("--json", help="The result as one JSON object.", rich_help_panel=_OUT)
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.", rich_help_panel=_OUT)] = False,
    no_color: Annotated[bool, typer.Option("--no-color", help="No colours.", rich_help_panel=_OUT)] = False,
) -> None:
    """Go on with a run from where it stopped; or extend a finished one, with more time or other wishes."""
    limits = limits_of(max_latency, max_params, max_macs, max_memory)
    resolve_objectives(objective or ())
    if budget is not None:
        parse_duration(budget.strip().removeprefix("+"), "--budget")
    folder = find_run(run, out)
    with showing(folder.name, quiet, no_color) as listen:
        pipeline = load("archsmith.pipeline")
        pause = pipeline.Pause()
        with stoppable(pause, quiet):
            pipeline.resume(
                str(folder),
                budget=budget,
                limits=limits,
                objectives=tuple(objective or ()),
                finalists=finalists,
                trials=trials,
                trust=tuple(trust or ()),
                store=store,
                progress=listen,
                started=_STARTED,
                pause=pause,
            )
    tell(folder, as_json)
