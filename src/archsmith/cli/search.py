"""``archsmith search DATA``: from data and limits to a shipped network."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from archsmith.cli.lazy import load
from archsmith.cli.limits import Latency, Macs, Memory, Params, limits_of
from archsmith.cli.progress import showing
from archsmith.cli.read import tell
from archsmith.cli.runs import find_weights
from archsmith.cli.stopping import stoppable
from archsmith.errors import UsageError
from archsmith.quantities import parse_duration
from archsmith.request import Request, resolve_objectives

__all__ = ["search"]

# The budget counts from here: importing torch, which comes next, is part of the time a person waits.
_STARTED = time.monotonic()
_HOW = "How to search"
_OUT = "Output"


def search(
    data: Annotated[
        str, typer.Argument(help="digits, a folder of images by class, a folder of idx files, .npz, .csv or .parquet.")
    ],
    target: Annotated[str | None, typer.Option(help="The column of a table to predict.")] = None,
    budget: Annotated[
        str, typer.Option(help="Wall time for everything together: 90s, 30m, 1h30m.", metavar="TIME")
    ] = "10m",
    max_latency: Latency = None,
    max_params: Params = None,
    max_macs: Macs = None,
    max_memory: Memory = None,
    objective: Annotated[
        list[str] | None,
        typer.Option(help="What to optimise; repeat it for several: accuracy, latency, params.", metavar="METRIC"),
    ] = None,
    space: Annotated[
        str | None,
        typer.Option(
            help="A ready-made space (see: archsmith spaces), or your own: mynet.py:space.", rich_help_panel=_HOW
        ),
    ] = None,
    strategy: Annotated[
        str | None, typer.Option(help="halving, evolution, random or another by its name.", rich_help_panel=_HOW)
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(
            help="Search on shared weights: spos, bignas, ofa, darts, gdas, enas or another by its name.",
            rich_help_panel=_HOW,
        ),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            help="Begin the shared weights with those of an earlier run, or of a folder.",
            metavar="RUN",
            rich_help_panel=_HOW,
        ),
    ] = None,
    trials: Annotated[
        int | None, typer.Option(min=1, help="At most so many trials, beside the budget.", rich_help_panel=_HOW)
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seeds everything that is random.", rich_help_panel=_HOW)] = 0,
    finalists: Annotated[
        int | None, typer.Option(min=1, help="How many get a final training.", rich_help_panel=_HOW)
    ] = None,
    folds: Annotated[
        int, typer.Option(min=0, help="Cross-validation with so many folds, for small data.", rich_help_panel=_HOW)
    ] = 0,
    executor: Annotated[
        str | None,
        typer.Option(
            help="inline: one trial at a time; processes: several side by side; ray: on a cluster.",
            rich_help_panel=_HOW,
        ),
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(
            help="Keep the log in a team's database: postgresql://me@host/database.",
            metavar="ADDRESS",
            rich_help_panel=_HOW,
        ),
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, mps.", rich_help_panel=_HOW)] = None,
    out: Annotated[Path, typer.Option(help="Where run folders are made.", rich_help_panel=_OUT)] = Path("runs"),
    name: Annotated[
        str | None, typer.Option(help="The run's name; the data's by default.", rich_help_panel=_OUT)
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="The result as one JSON object.", rich_help_panel=_OUT)
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.", rich_help_panel=_OUT)] = False,
    no_color: Annotated[bool, typer.Option("--no-color", help="No colours.", rich_help_panel=_OUT)] = False,
) -> None:
    """Search for a network, train it, compare it, test it once, export and explain it, all within the budget."""
    limits = limits_of(max_latency, max_params, max_macs, max_memory)
    seconds = parse_duration(budget, "--budget")
    resolve_objectives(objective or ())
    Request(data, seconds, strategy=strategy or "halving", executor=executor or "auto", space=space or "")
    if folds == 1:
        raise UsageError("--folds 1 leaves nothing to validate on; give 0 for one split, or 2 and more.")
    with showing(name or data, quiet, no_color) as listen:
        pipeline = load("archsmith.pipeline")
        pause = pipeline.Pause()
        with stoppable(pause, quiet):
            result = pipeline.search(
                data,
                budget=seconds,
                target=target,
                limits=limits,
                objectives=tuple(objective or ()),
                space=space,
                strategy=strategy,
                method=method,
                weights=None if weights is None else str(find_weights(weights, out)),
                seed=seed,
                trials=trials,
                out=str(out),
                name=name,
                executor=executor,
                device=device,
                store=store,
                folds=folds,
                finalists=finalists,
                progress=listen,
                started=_STARTED,
                pause=pause,
            )
    tell(Path(result.folder), as_json)
