"""Reading JSON and TOML that somebody else may have written: bounded in size and depth, and refused in one sentence."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from archsmith.errors import StoreError

__all__ = ["LARGEST", "read_json", "read_toml"]

LARGEST = 64_000_000
"""Bytes; a result of a run of 100,000 trials has far fewer, since trials are in the log."""

_DEEPEST = 100


def read_json(path: Path, largest: int = LARGEST) -> dict[str, Any]:
    """Return the mapping that a JSON file holds.

    Raises ``FileNotFoundError`` when there is none, and ``StoreError`` for a file that is larger than ``largest``
    bytes, nested deeper than 100 levels, no JSON, or no mapping.
    """
    return _mapping(path, largest, json.loads, "JSON")


def read_toml(path: Path, largest: int = LARGEST) -> dict[str, Any]:
    """Return what a TOML file holds; raises as ``read_json`` does."""
    return _mapping(path, largest, tomllib.loads, "TOML")


def _mapping(path: Path, largest: int, parse: Any, kind: str) -> dict[str, Any]:
    try:
        with path.open("rb") as file:  # not by the size it declares: it may be a pipe, or grow
            data = file.read(largest + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}.") from error
    if len(data) > largest:
        raise StoreError(f"{path} has more than {largest:,} bytes, so it is not read. It was not written by Archsmith.")
    try:
        found = parse(data.decode("utf-8", "replace"))
        _check_depth(found, path)
    except RecursionError:
        raise StoreError(f"{path} is nested too deeply, so it is not read.") from None
    except ValueError as error:  # also a number of thousands of digits
        raise StoreError(f"{path} cannot be read: it is no {kind} ({str(error)[:200]}).") from error
    if not isinstance(found, dict):
        raise StoreError(f"{path} cannot be read: it holds {type(found).__name__}, not a mapping.")
    return found


def _check_depth(data: Any, path: Path) -> None:
    """Walk without recursion, since what comes after this walks with it."""
    level = [data]
    for _ in range(_DEEPEST):
        level = [
            inner
            for outer in level
            if isinstance(outer, Mapping | list)
            for inner in (outer.values() if isinstance(outer, Mapping) else outer)
            if isinstance(inner, Mapping | list)
        ]
        if not level:
            return
    raise StoreError(f"{path} is nested deeper than {_DEEPEST} levels, so it is not read.")
