"""``archsmith bench``: strategies compared at equal cost, on a table of known results."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from archsmith.cli.lazy import load
from archsmith.cli.output import console, emit, emit_json, is_live, table
from archsmith.errors import UsageError
from archsmith.quantities import parse_duration

__all__ = ["bench"]

_TABLE = "What a table of your own says"
_OUT = "Output"
_WITHOUT = (
    "Not every seed has an answer within the limits. Means are over those that have, which are different seeds, so",
    "judge by rank and p: for them no answer is worse than every answer. The rows are sorted by rank.",
)


def _listed(wanted: bool) -> None:
    if wanted:
        emit(table(load("archsmith.bench").listing(), indent=0))
        raise typer.Exit


def bench(
    name: Annotated[
        str, typer.Argument(help="nasbench201, or a table of your own: .csv or .parquet.", metavar="TABLE")
    ],
    strategies: Annotated[
        str, typer.Option(help="all, or some: archsmith,evolution(population=10, sample=3),mine:MyStrategy.")
    ] = "all",
    seeds: Annotated[int, typer.Option(min=1, help="Searches of each strategy.")] = 20,
    cost: Annotated[
        str | None, typer.Option(help="End each search after so many seconds of the table: 12000s.", metavar="TIME")
    ] = None,
    trials: Annotated[int | None, typer.Option(min=1, help="End each search after so many evaluations.")] = None,
    dataset: Annotated[
        str | None, typer.Option(help="Of nasbench201: cifar10, the default, cifar100 or imagenet16.")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(help="Of nasbench201: what an evaluation is, 12 or 200; 12 with --cost.")
    ] = None,
    objective: Annotated[
        list[str] | None,
        typer.Option(help="A metric to optimise; repeat it for several. max:score, min:watts.", metavar="METRIC"),
    ] = None,
    limit: Annotated[
        list[str] | None, typer.Option(help="An upper bound: pixel3_latency=8.", metavar="METRIC=NUMBER")
    ] = None,
    answer: Annotated[
        str | None, typer.Option(help="best: the best measurement; recommended: what the strategy names.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Simulated workers that run trials side by side.")] = 1,
    decision: Annotated[
        list[str] | None,
        typer.Option(help="A column that is a decision; repeat it.", metavar="COLUMN", rich_help_panel=_TABLE),
    ] = None,
    cost_column: Annotated[
        str | None,
        typer.Option(help="The column of seconds.", metavar="COLUMN", rich_help_panel=_TABLE),
    ] = None,
    fidelity: Annotated[
        str | None,
        typer.Option(help="The column of what was spent, such as epochs.", metavar="COLUMN", rich_help_panel=_TABLE),
    ] = None,
    repeat: Annotated[
        str | None,
        typer.Option(help="The column that tells repeats apart: seed.", metavar="COLUMN", rich_help_panel=_TABLE),
    ] = None,
    judge: Annotated[
        list[str] | None,
        typer.Option(
            help="The column by which the answer counts, one for each objective.",
            metavar="COLUMN",
            rich_help_panel=_TABLE,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The first seed.")] = 0,
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes; one for each core by default.")] = None,
    out: Annotated[Path, typer.Option(help="Where the folder is made.", rich_help_panel=_OUT)] = Path("bench"),
    as_json: Annotated[
        bool, typer.Option("--json", help="The result as one JSON object.", rich_help_panel=_OUT)
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.", rich_help_panel=_OUT)] = False,
    no_color: Annotated[bool, typer.Option("--no-color", help="No colours.", rich_help_panel=_OUT)] = False,
    names: Annotated[
        bool,
        typer.Option(
            "--list", help="Name every strategy, and end.", callback=_listed, is_eager=True, rich_help_panel=_OUT
        ),
    ] = False,
) -> None:
    """Compare strategies at equal cost on a table of known results; random search always takes part."""
    room = load("archsmith.bench")
    if ":" in strategies:  # a strategy in a file of this folder; at the end, so that it stands in for nothing
        sys.path.append(os.getcwd())
    if answer not in (None, "best", "recommended"):
        raise UsageError(f"--answer {answer}: write best or recommended.")
    _refuse_place(out)
    budget: dict[str, Any] = {
        "seconds": None if cost is None else parse_duration(cost, "--cost"),
        "trials": trials,
        "limits": _limits(limit or ()),
        "workers": workers,
        "answer": answer,
    }
    if name == "nasbench201":
        if decision or cost_column or fidelity or repeat or judge:
            raise UsageError("nasbench201 knows its own columns; these options are for a table of your own.")
        goals = tuple(room.objective(text) for text in objective or ("accuracy",))
        problem = room.nasbench201_problem(dataset or "cifar10", objectives=goals, epochs=epochs, **budget)
    else:
        if dataset is not None or epochs is not None:
            given = "--dataset" if dataset is not None else "--epochs"
            raise UsageError(f"{given} is for nasbench201. What {name} holds is all in its columns; see --fidelity.")
        read = {"decisions": decision, "fidelity": (fidelity,) if fidelity else (), "repeat": repeat}
        goals = tuple(room.objective(text) for text in objective or ())
        problem = room.table_problem(name, goals, cost=cost_column, judges=tuple(judge or ()), **read, **budget)
    taking_part, notes = room.entries(strategies, problem)
    err = console(no_color)
    if not quiet:
        for note in notes:
            err.print(note, style="dim")
    command = shlex.join(["archsmith", *sys.argv[1:]])
    progress = None if quiet else _progress(err, seeds)
    done: list[Any] = []
    try:
        comparison = room.compare(
            problem, taking_part, range(seed, seed + seeds), jobs or _cores(), progress, done.append
        )
    except BaseException:  # Ctrl+C, SIGTERM, or a strategy with a fault
        if done:
            folder = _folder(out, problem)
            room.save(done[-1], folder, command)
            err.print(f"{len(done)} of {len(taking_part)} strategies had ended; what they did is kept: {folder}")
        raise
    folder = _folder(out, problem)
    room.save(comparison, folder, command)
    data = room.summary(comparison)
    if as_json:
        emit_json({"folder": str(folder), **data})
        return
    for text in _lines(data):
        emit(text)
    emit(f"\nEvery trajectory and the drawings: {folder}")


def _limits(texts: Sequence[str]) -> dict[str, float]:
    limits: dict[str, float] = {}
    for text in texts:
        name, _, number = text.partition("=")
        try:
            metric, bound = name.strip(), float(number)
        except ValueError:
            metric, bound = "", 0.0
        if not metric:
            raise UsageError(f"--limit {text}: write a metric and its upper bound, such as pixel3_latency=8.")
        if metric in limits:
            raise UsageError(f"--limit {text}: {metric} has the limit {limits[metric]:g} already. Give one for each.")
        limits[metric] = bound
    return limits


def _refuse_place(out: Path) -> None:
    """Refuse a folder that cannot be made, before hours are spent on what would be lost."""
    there = next(place for place in (out, *out.absolute().parents) if os.path.lexists(place))
    if not there.is_dir():
        raise UsageError(f"--out {out}: {there} is a file. Name a folder; it is made if it is not there.")
    if not os.access(there, os.W_OK | os.X_OK):
        raise UsageError(f"--out {out}: nothing can be written in {there}. Name another folder.")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _progress(err: Any, seeds: int) -> Any:
    live = is_live(sys.stderr)

    def show(label: str, done: int) -> None:
        if done == seeds:
            err.print(f"{label}: {done} searches", style="dim")
        elif live:
            err.print(f"{label}: {done} of {seeds}", end="\r", style="dim")

    return show


def _folder(out: Path, problem: Any) -> Path:
    """Return a folder that is not there yet, called after what was compared."""
    cost = f"{problem.seconds:g}s" if problem.seconds is not None else f"{problem.trials}-trials"
    stem = "-".join([*Path(problem.name).stem.split(), cost])
    number = 1
    while (out / (stem if number == 1 else f"{stem}-{number}")).exists():
        number += 1
    return out / (stem if number == 1 else f"{stem}-{number}")


def _lines(data: Mapping[str, Any]) -> list[str]:
    """Return the comparison as text: what was done, a line for each strategy, and how to read it."""
    rows = data["strategies"]
    share = abs(data["optimum"]) <= 1  # such as an accuracy that is not in percent
    digits = 3 if data["judge"] == "hypervolume" else 4 if share else 2
    beside = list(rows[0]["other"])
    printed = any(row["published"] for row in rows)
    seeds = len(data["seeds"])
    without = any(row["answered"] < seeds for row in rows)
    head = ["strategy", data["judge"], *(["answers"] if without else []), *beside]
    head += ["rank", "p", "evaluated", "twice", "repeated", "ms"]
    lines = [[*head, "published"] if printed else head]
    for row in rows:
        p = row["p_random"]
        cells = [
            row["label"],
            _pair((row["mean"], row["deviation"]), digits),
            *([f"{row['answered']} of {seeds}"] if without else []),
            *(_pair(row["other"][name], digits) for name in beside),
            f"{row['rank']:.2f}",
            "" if p is None else "<0.0001" if p < 0.0001 else f"{p:.4f}",
            f"{row['evaluations']:.1f}",
            str(row["duplicates"]),
            f"{row['repeated']:.1f}",
            f"{1000 * row['own_seconds'] / max(row['evaluations'], 1):.2f}",
        ]
        if row["published"]:
            names = [data["judge"], *beside]
            cells.append("  ".join(_pair(row["published"][n], digits) for n in names if n in row["published"]))
        lines.append(cells)
    cost = f"{data['seconds']:,g} simulated seconds" if data["seconds"] else f"{data['trials']:,} evaluations"
    level = "".join(f", {value:g} {name} each unless said otherwise" for name, value in data["level"].items())
    return [
        f"{data['problem']}: {cost}{level}, {len(data['seeds'])} seeds, optimum {data['optimum']:.{digits}f}",
        "",
        table(lines),
        "",
        f"Mean ± deviation of what the answer ({data['answer']}) is worth; mean rank over the seeds; p that there is",
        "no difference to random search (Wilcoxon's signed-rank test, corrected by Holm); evaluations of each",
        "search, how many in all were of what had been evaluated before, and repeated proposals, which cost",
        "nothing; milliseconds of our own for each evaluation.",
        *(_WITHOUT if without else ()),
    ]


def _pair(values: Sequence[float | None], digits: int) -> str:
    mean, deviation = values
    return "none" if mean is None or deviation is None else f"{mean:.{digits}f}±{deviation:.{digits}f}"
