"""Progress on stderr: one quiet live table on a terminal, plain lines elsewhere, nothing when asked for nothing."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from archsmith.cli.output import console, is_live
from archsmith.cli.tally import Tally
from archsmith.report.text import duration

__all__ = ["Listener", "showing"]

Listener = Callable[[Mapping[str, Any]], None]
_REFRESH_PER_SECOND = 4.0
_LINE_EVERY_S = 10.0


@contextlib.contextmanager
def showing(title: str, quiet: bool = False, no_color: bool = False) -> Iterator[Listener]:
    """Yield the listener that a search tells its events to, and show them while the context lasts."""
    tally = Tally(title)
    if quiet:
        yield lambda event: None
    elif is_live(sys.stderr):
        with _live(tally, console(no_color)) as listener:
            yield listener
    else:
        yield _plain(tally, console(no_color))


@contextlib.contextmanager
def _live(tally: Tally, target: Console) -> Iterator[Listener]:
    # The table is made anew at each refresh, so that the clock goes on while no event comes.
    with Live(
        get_renderable=lambda: _table(tally),
        console=target,
        refresh_per_second=_REFRESH_PER_SECOND,
        transient=False,
        redirect_stdout=False,
    ) as live:

        def listen(event: Mapping[str, Any]) -> None:
            if tally.take(event) and event.get("type") == "note":
                live.console.print(Text(tally.note, style="dim"))

        yield listen


def _table(tally: Tally) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", justify="right")
    grid.add_column(overflow="fold")
    phase = Text(tally.phase, style="bold")
    if tally.share:
        phase.append(f"  planned {duration(tally.share)}", style="dim")
    grid.add_row("phase", phase)
    line = Table.grid(padding=(0, 2))
    line.add_row(Text(tally.clock), ProgressBar(total=1.0, completed=tally.share_done, width=24))
    grid.add_row("time", line)
    grid.add_row("trials", Text(tally.counts))
    grid.add_row("best", Text(tally.standing))
    return grid


def _plain(tally: Tally, target: Console) -> Listener:
    last = -_LINE_EVERY_S

    def listen(event: Mapping[str, Any]) -> None:
        nonlocal last
        before = tally.phase
        worth, kind = tally.take(event), event.get("type")
        if kind == "phase":
            planned = f", planned {duration(tally.share)}" if tally.share else ""
            line = f"{tally.phase}{planned}"
        elif kind == "note":
            line = tally.note
        elif kind == "trial" and (worth or time.monotonic() - last >= _LINE_EVERY_S):
            line = f"trials: {tally.counts}; best: {tally.standing}"
        elif kind == "done" and before != "done":
            line = "done"
        else:
            return
        last = time.monotonic()
        target.print(Text(f"[{tally.clock}] {line}".replace("\u00a0", " ")))

    return listen
