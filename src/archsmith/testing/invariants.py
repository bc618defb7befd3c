"""What holds of a run or study whatever happened to it: killed, resumed, with a full disk, by whom and when.

``check_folder(folder)`` asks for all of it; the parts can be asked for alone.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

import psutil

from archsmith.store import SQLiteStore, read_mirror
from archsmith.trial import TERMINAL, Event, Objective, maximize, order, read_trials

__all__ = [
    "acknowledged_is_present",
    "check_folder",
    "database_is_sound",
    "nothing_is_left_behind",
    "table_follows_from_the_mirror",
    "trials_are_whole",
]


def check_folder(
    folder: Path,
    objectives: Sequence[Objective] = (maximize("accuracy"),),
    limits: Mapping[str, float] | None = None,
    *,
    acknowledged: Iterable[tuple[str, int]] = (),
    ended: bool = True,
) -> None:
    """Assert every invariant of a folder with ``store.sqlite`` on which nobody works just now.

    ``acknowledged`` are the kinds and trials of the events that somebody was told of. ``ended`` asks for a terminal
    state of every trial, as after a run that came to its end.
    """
    path = folder / "store.sqlite"
    database_is_sound(path)
    store = SQLiteStore(path, readonly=True)
    try:
        for study in store.studies():
            events = list(store.events(study))
            trials_are_whole(events, ended)
            acknowledged_is_present(events, acknowledged)
            table_follows_from_the_mirror(events, folder / "events.jsonl", study, objectives, limits or {})
    finally:
        store.close()
    nothing_is_left_behind(folder)


def trials_are_whole(events: Sequence[Event], ended: bool = True) -> None:
    """Trial numbers are dense and unique, and each trial has one terminal state, after it was asked."""
    asked = [e.trial for e in events if e.kind == "asked"]
    assert asked == list(range(len(asked))), f"trial numbers are not dense, unique and in order: {asked}"
    seen: set[int | None] = set()
    over: list[int] = []
    for event in events:
        if event.kind == "asked":
            seen.add(event.trial)
        elif event.kind == "finished" and event.trial is not None:
            assert event.trial in seen, f"trial {event.trial} ended before it was asked"
            assert event.data["state"] in TERMINAL, f"trial {event.trial} ended as {event.data['state']!r}"
            over.append(event.trial)
    assert len(over) == len(set(over)), f"trials that ended twice: {sorted(n for n in over if over.count(n) > 1)}"
    if ended:
        assert set(over) == seen, f"trials without an end: {sorted(n for n in seen - set(over) if n is not None)}"


def acknowledged_is_present(events: Sequence[Event], acknowledged: Iterable[tuple[str, int]]) -> None:
    """Every event that somebody was told of is in the log."""
    there = {(e.kind, e.trial) for e in events}
    missing = [a for a in acknowledged if a not in there]
    assert not missing, f"acknowledged and lost: {missing}"


def database_is_sound(path: Path) -> None:
    """The database says of itself that it is whole."""
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    try:
        found = connection.execute("PRAGMA integrity_check").fetchall()
    finally:
        connection.close()
    assert found == [("ok",)], f"{path}: {found}"


def table_follows_from_the_mirror(
    events: Sequence[Event], mirror: Path, study: str, objectives: Sequence[Objective], limits: Mapping[str, float]
) -> None:
    """The plain-text mirror holds the same log, so that the same trials come first in the same order."""
    told = list(read_mirror(mirror, study))
    assert told == list(events), f"{mirror} holds {len(told)} events, the store {len(events)}, or others"
    one, other = (
        [(t.number, t.losses, t.state) for t in order(read_trials(log, objectives, limits))] for log in (events, told)
    )
    assert repr(one) == repr(other), "the table is another one when it is made from the mirror"


def nothing_is_left_behind(folder: Path, children: Collection[int] = ()) -> None:
    """No temporary file is left in the folder, and this process has no child (but ``children``) and no open port."""
    patterns = ("*.tmp", ".tmp-*", "*.new", "*waiting.jsonl", "*-wal", "*-shm", "*-journal")
    left = sorted(str(p.relative_to(folder)) for pattern in patterns for p in folder.rglob(pattern))
    assert not left, f"left behind: {', '.join(left)}"
    me = psutil.Process()
    alive = [c.pid for c in me.children(recursive=True) if c.pid not in children and c.status() != psutil.STATUS_ZOMBIE]
    helpers = [pid for pid in alive if "resource_tracker" in " ".join(_command(pid))]
    assert set(alive) == set(helpers), f"processes left behind: {sorted(set(alive) - set(helpers))}"
    ports = [c.laddr for c in me.net_connections(kind="inet") if c.status == psutil.CONN_LISTEN]
    assert not ports, f"ports left open: {ports}"


def _command(pid: int) -> list[str]:
    try:
        return list(psutil.Process(pid).cmdline())
    except psutil.Error:
        return []
