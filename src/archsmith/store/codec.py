"""Events as text and back: strict JSON in plain ASCII that any program reads, and nothing is lost in it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from archsmith.errors import StoreError
from archsmith.trial import Event

__all__ = ["check_event", "check_name", "decode", "encode"]

# JSON has no word for these, and programs that read it disagree on what to do: they are written as marked text.
_MARK = "$number"
_WORDS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def encode(data: Mapping[str, Any]) -> str:
    """Return the data as one line of JSON; raise ``TypeError`` for what JSON cannot hold."""
    return json.dumps(_marked(data, "data"), ensure_ascii=True, allow_nan=False, separators=(",", ":"))


def decode(text: str) -> dict[str, Any]:
    """Return the data that ``encode`` wrote."""
    data = json.loads(text, object_hook=_unmarked if _MARK in text else None)
    if not isinstance(data, dict):
        raise ValueError("an event's data must be a mapping")
    return data


def check_event(event: Event) -> None:
    """Raise ``ValueError`` for a time that is not finite, or a trial or kind that no database takes."""
    if not math.isfinite(event.time):
        raise ValueError(f"The time of an event must be finite. Got {event.time!r} instead.")
    if event.trial is not None and not -(2**63) <= event.trial < 2**63:
        raise ValueError(f"The trial of an event must be None or an integer of 64 bits. Got {event.trial!r} instead.")
    if not _plain(event.kind):
        raise ValueError(f"The kind of an event must be plain text. Got {event.kind!r} instead.")


def check_name(study: str) -> None:
    """Raise ``StoreError`` for a name that not every database can keep."""
    if not _plain(study):
        raise StoreError(f"The name of a study must be text of at least one character, without NUL. Got {study!r}.")


def _plain(text: str) -> bool:
    return bool(text) and "\0" not in text and not any("\ud800" <= letter <= "\udfff" for letter in text)


def _marked(value: Any, path: str) -> Any:
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {_MARK: str(float(value))}
    if isinstance(value, list | tuple):
        return [_marked(item, path) for item in value]
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise TypeError(f"An event's data has text keys only; {path} has the key {key!r}.")
        marked = {key: _marked(item, f"{path}.{key}") for key, item in value.items()}
        # Data that looks like a mark is told from one by a list around its value.
        return {_MARK: [marked[_MARK]]} if marked.keys() == {_MARK} else marked
    raise TypeError(f"An event's data must be plain JSON data; {path} is of type {type(value).__name__}.")


def _unmarked(read: dict[str, Any]) -> Any:
    if read.keys() != {_MARK}:
        return read
    inner = read[_MARK]
    return _WORDS[inner] if isinstance(inner, str) else {_MARK: inner[0]}
