"""Read ``.npz`` archives of arrays; objects, and sizes that do not fit, are refused before anything is loaded."""

from __future__ import annotations

import re
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from archsmith.errors import DataError, nearest
from archsmith.task.limits import check_memory
from archsmith.task.read_arrays import raw_from_parts
from archsmith.task.values import ROLES, TRAIN, Raw

__all__ = ["read_npz"]

_INPUTS = frozenset({"x", "image", "images", "data", "features"})
_TARGETS = frozenset({"y", "label", "labels", "target", "targets"})
_MOST_ARRAYS = 1000
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def read_npz(path: Path) -> Raw:
    """Read ``x`` and ``y``, or ``x_train``, ``y_train``, ``x_test``, ``y_test`` (and ``x_valid``, ``y_valid``)."""
    try:
        _check_count(path)
        with zipfile.ZipFile(path) as archive:
            keys = _check(archive, path)
        parts = _parts(keys, path)
        with np.load(path, allow_pickle=False) as data:
            arrays = {role: (data[x], data[y]) for role, (x, y) in parts.items()}
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise DataError(f"{path}: cannot be read ({error}); write it again with numpy.savez.") from error
    return raw_from_parts(arrays, path.name)


def _check_count(path: Path) -> None:
    """Refuse an archive whose list of files alone is large, before it is read: a zip may name millions."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - 2**16 - 22))
        tail = file.read()
    end = tail.rfind(b"PK\x05\x06")
    if end < 0 or len(tail) < end + 22:
        return  # no archive, which is found out and told next
    count, listed = struct.unpack("<HI", tail[end + 10 : end + 16])
    if count > _MOST_ARRAYS or listed > 1000 * _MOST_ARRAYS:
        raise DataError(f"{path}: the archive lists more than the {_MOST_ARRAYS:,} files allowed; refused unread.")


def _check(archive: zipfile.ZipFile, path: Path) -> list[str]:
    """Return the keys; refuse archives that are too large by what they declare, and arrays of objects."""
    entries = [e for e in archive.infolist() if e.filename.endswith(".npy")]
    check_memory(sum(e.file_size for e in entries), str(path), "Use fewer samples.")
    for entry in entries:
        key = entry.filename[: -len(".npy")]
        with archive.open(entry) as file:
            read_header = _HEADERS.get(np.lib.format.read_magic(file))
            if read_header is None:
                raise DataError(f"{path}: {key!r} has an unknown array format; write it again with numpy.savez.")
            shape, _, dtype = read_header(file)
            if dtype.hasobject:
                raise DataError(
                    f"{path}: {key!r} is an array of Python objects, which could run code when read; refused. "
                    "Save plain numbers or strings (array.astype(float) or array.astype(str))."
                )
            if np.prod(shape, dtype=float) * dtype.itemsize > entry.file_size:
                raise DataError(f"{path}: {key!r} declares the shape {shape}, more than the file holds; refused.")
    return [e.filename[: -len(".npy")] for e in entries]


def _parts(keys: list[str], path: Path) -> dict[int, tuple[str, str]]:
    """Return the keys of inputs and targets by split."""
    found: dict[tuple[int, str], str] = {}
    for key in keys:
        tokens = [t for t in re.split(r"[_\-. ]", key.lower()) if t]
        role = next((ROLES[t] for t in tokens if t in ROLES), TRAIN)
        rest = "_".join(t for t in tokens if t not in ROLES)
        what = "x" if rest in _INPUTS else "y" if rest in _TARGETS else ""
        if what and (role, what) in found:
            raise DataError(f"{path}: {found[role, what]!r} and {key!r} could both be the {what}; keep one.")
        if what:
            found[role, what] = key
    roles = {role for role, _ in found} or {TRAIN}
    parts: dict[int, tuple[Any, Any]] = {}
    for role in sorted(roles | {TRAIN}):
        for what in "xy":
            if (role, what) not in found:
                suffix = {0: "", 1: "_valid", 2: "_test"}[role]
                raise DataError(
                    f"{path}: there is no array {what + suffix!r}; the arrays are {', '.join(keys) or 'none'}. "
                    f"{nearest(what + suffix, keys)} Allowed: x and y, or x_train, y_train, x_test, y_test."
                )
        parts[role] = (found[role, "x"], found[role, "y"])
    return parts
