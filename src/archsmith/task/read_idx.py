"""Read a folder of MNIST-style idx files: ``train-images-idx3-ubyte`` and so on, gzipped or not."""

from __future__ import annotations

import gzip
import math
import re
import struct
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from archsmith.errors import DataError
from archsmith.task.limits import check_memory
from archsmith.task.values import ROLES, TEST, TRAIN, Raw

__all__ = ["find_idx", "read_idx", "read_idx_file"]

_NAME = re.compile(r"^(?P<prefix>.*?)[-_.]?(?P<what>images|labels)[-_.]idx[13][-_.]ubyte(\.gz)?$", re.IGNORECASE)


def find_idx(folder: Path) -> dict[tuple[str, str], Path]:
    """Return the idx files of a folder by (prefix, "images" or "labels"); empty where there are none."""
    found: dict[tuple[str, str], Path] = {}
    for path in sorted(folder.iterdir()):
        match = _NAME.match(path.name)
        if not match or not path.is_file():
            continue
        key = (match["prefix"], match["what"].lower())
        if key in found:
            raise DataError(f"{folder}: {found[key].name} and {path.name} are the same data twice; remove one.")
        found[key] = path
    return found


def read_idx_file(path: Path) -> NDArray[np.uint8]:
    """Read one idx file of unsigned bytes (format: LeCun, the MNIST database); the declared size is checked first."""
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rb") as file:
            magic = file.read(4)
            if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] != 0x08 or magic[3] not in (1, 3):
                raise DataError(f"{path}: not an idx file of unsigned bytes with 1 or 3 axes; download it again.")
            shape = struct.unpack(f">{magic[3]}I", file.read(4 * magic[3]))
            size = math.prod(shape)
            check_memory(size, str(path), "Use fewer samples.")
            data = file.read(size + 1)
    except (OSError, EOFError, struct.error) as error:
        raise DataError(f"{path}: cannot be read ({error}); download it again.") from error
    if len(data) != size:
        has = "more" if len(data) > size else f"only {len(data):,}"
        raise DataError(f"{path}: declares {size:,} bytes of data but has {has}; it is damaged, download it again.")
    return np.frombuffer(data, dtype=np.uint8).reshape(shape)


def read_idx(folder: Path) -> Raw:
    """Read the idx files of a folder; official test files become the locked test split."""
    found = find_idx(folder)
    prefixes = sorted({prefix for prefix, _ in found})
    roles: dict[int, str] = {}
    for prefix in prefixes:
        for what in ("images", "labels"):
            if (prefix, what) not in found:
                raise DataError(f"{folder}: there is no {what} file for {prefix!r}; images and labels come in pairs.")
        tokens = re.split(r"[-_.]", prefix.lower())
        role = next((ROLES[t] for t in tokens if t in ROLES), TRAIN)
        if role in roles:
            raise DataError(f"{folder}: {roles[role]!r} and {prefix!r} are both the same split; keep one data set.")
        roles[role] = prefix
    if TRAIN not in roles:
        raise DataError(f"{folder}: there are no training files (train-images-idx3-ubyte, train-labels-idx1-ubyte).")
    xs: list[NDArray[np.uint8]] = []
    ys: list[NDArray[np.uint8]] = []
    parts: list[NDArray[np.int8]] = []
    for role, prefix in sorted(roles.items()):
        x, y = read_idx_file(found[prefix, "images"]), read_idx_file(found[prefix, "labels"])
        if x.ndim != 3 or y.ndim != 1 or len(x) != len(y):
            raise DataError(f"{folder}: {prefix!r} has images {x.shape} and labels {y.shape}; they must match.")
        if xs and x.shape[1:] != xs[0].shape[1:]:
            raise DataError(f"{folder}: {prefix!r} has images of {x.shape[1:]}, the others of {xs[0].shape[1:]}.")
        xs.append(x)
        ys.append(y)
        parts.append(np.full(len(y), role, dtype=np.int8))
    notes = ("the official test files are the locked test split",) if TEST in roles else ()
    images = torch.from_numpy(np.concatenate(xs)).unsqueeze(1)
    return Raw(np.concatenate(ys).astype(np.int64), np.concatenate(parts), x=images, notes=notes)
