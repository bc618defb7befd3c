"""``archsmith salvage RUN``: a damaged log made anew from its plain-text mirror."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from archsmith.cli.output import emit, emit_json
from archsmith.cli.runs import complete_run, find_run, server_of
from archsmith.errors import StoreError
from archsmith.redact import redact
from archsmith.store import check_store, repair

__all__ = ["salvage"]


def salvage(
    run: Annotated[str, typer.Argument(help="A run's folder or name.", autocompletion=complete_run)],
    out: Annotated[Path, typer.Option(help="Where run folders are.")] = Path("runs"),
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")] = False,
) -> None:
    """Make a run's log anew from events.jsonl, when store.sqlite is lost or damaged; the old file is kept aside."""
    folder = find_run(run, out)
    if server_of(folder):
        raise StoreError(f"The log of this run is on {redact(server_of(folder))}, not in its folder.")
    store = folder / "store.sqlite"
    problems = check_store(store) if store.exists() else ["it was not there"]
    if not problems:
        raise StoreError(f"{store} is sound, so there is nothing to salvage.")
    saved, aside = repair(store)
    events = sum(saved.events.values())
    if as_json:
        emit_json({"run": str(folder), "events": events, "unreadable": saved.unreadable, "aside": str(aside)})
        return
    emit(f"{store} was made anew with {events:,} events ({problems[0]}).")
    if saved.unreadable:
        emit(f"{saved.unreadable:,} lines of events.jsonl could not be read and are left out.")
    if aside.exists():
        emit(f"The damaged file is kept as {aside.name}.")
