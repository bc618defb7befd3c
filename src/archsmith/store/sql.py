"""What the stores in SQL databases do alike: events into rows and back, and who owns a log."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from archsmith.errors import StoreError
from archsmith.store.codec import check_event, check_name, decode, encode
from archsmith.store.schema import Row
from archsmith.trial import Event

__all__ = ["number", "owner_line", "owner_words", "read", "to_rows"]


def to_rows(study: str, events: Sequence[Event]) -> list[Row]:
    """Return events as rows that have no numbers yet; raise as the protocol says for what no database takes."""
    check_name(study)
    rows: list[Row] = []
    for event in events:
        check_event(event)
        row = {"study": study, "kind": event.kind, "trial": event.trial, "time": event.time}
        rows.append({**row, "data": encode(event.data)})
    return rows


def number(rows: Sequence[Row], sequence: int) -> None:
    """Give rows the numbers that follow ``sequence``, the study's last one."""
    for step, row in enumerate(rows, start=1):
        row["sequence"] = sequence + step


def read(page: Callable[[int], Sequence[Sequence[Any]]], after: int, name: object) -> Iterator[Event]:
    """Yield events page by page, where ``page(k)`` returns the rows of ``schema.events_after`` the first ``k``."""
    after = max(0, after)
    while rows := page(after):
        for _, kind, trial, moment, data in rows:
            try:
                known = decode(data)
            except (ValueError, TypeError, KeyError) as error:
                raise StoreError(f"{name} is damaged: it holds an event that cannot be read ({error}).") from error
            yield Event(kind, trial, known, moment)
        after = rows[-1][0]


def owner_line() -> str:
    """Return what is written into a log about the process that owns it from now on."""
    return json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%F %T")})


def owner_words(line: str | None) -> str:
    """Return in words what ``owner_line`` wrote."""
    try:
        owner = json.loads(line or "")
        return f"process {owner['pid']} on {owner['host']} since {owner['since']}"
    except (ValueError, KeyError, TypeError, RecursionError):
        return "another process"
