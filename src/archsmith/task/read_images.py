"""Read a folder of PNG or JPEG images, one subfolder per class, with or without train, valid and test folders."""

from __future__ import annotations

import statistics
from pathlib import Path

import numpy as np
import torch

from archsmith.errors import DataError, nearest
from archsmith.task.decode import IMAGE_SUFFIXES, Header, decode_images, read_headers
from archsmith.task.limits import check_memory
from archsmith.task.values import ROLES, TEST, TRAIN, Raw

__all__ = ["read_images"]

# Equal images up to this side are kept as they are; others are brought to this side, which a CPU can train in minutes.
_KEEP, _SIDE = 128, 96


def read_images(root: Path, image_size: int | tuple[int, int] | None = None) -> Raw:
    """Read every image below ``root``; mixed sizes are brought to one size, the common aspect kept, and noted."""
    paths, labels, y, part, notes = _find(root)
    headers = read_headers(paths)
    sizes = {(h.height, h.width) for h in headers}
    size = _common_size(headers, image_size)
    channels = 1 if all(h.grey for h in headers) else 3
    if sizes != {size}:
        seen = f"{len(sizes)} different sizes" if len(sizes) > 1 else f"{headers[0].height} x {headers[0].width} pixels"
        notes.append(f"images of {seen} were resized to {size[0]} x {size[1]} (choose with image_size)")
    if any(h.alpha for h in headers):
        notes.append("transparent pixels were put on white")
    check_memory(len(paths) * channels * size[0] * size[1], str(root), "Choose a smaller image_size.")
    x = decode_images(paths, channels, size)
    if channels == 3 and all(bool((p[:, :1] == p).all()) for p in torch.split(x, 1024)):
        x = x[:, :1].contiguous()
        notes.append("every image is grey, so one channel is used")
    return Raw(np.array(y), np.array(part, dtype=np.int8), x=x, labels=labels, notes=tuple(notes))


def _find(root: Path) -> tuple[list[Path], tuple[str, ...], list[int], list[int], list[str]]:
    """Return files, class names, class numbers, splits and notes."""
    folders = _subfolders(root)
    roles = {f: ROLES[f.name.lower()] for f in folders if f.name.lower() in ROLES}
    fixed = any(role == TRAIN and _subfolders(f) for f, role in roles.items())
    if fixed and len(set(roles.values())) < len(roles):
        raise DataError(f"{root}: two folders are the same split ({', '.join(f.name for f in roles)}); keep one.")
    tops = roles if fixed else {root: TRAIN}
    labels = tuple(sorted({f.name for top, role in tops.items() if role == TRAIN for f in _subfolders(top)}))
    if not labels:
        raise DataError(f"{root}: there are no class folders; put the images of each class into a folder of its name.")
    notes = [f"the folder {f.name!r} is not a split and was ignored" for f in folders if fixed and f not in roles]
    paths: list[Path] = []
    y: list[int] = []
    part: list[int] = []
    skipped: dict[str, int] = {}
    for top, role in tops.items():
        for folder in _subfolders(top):
            if folder.name not in labels:
                raise DataError(f"{folder}: class {folder.name!r} is not among the training classes. "
                                f"{nearest(folder.name, labels)}")  # fmt: skip
            files = sorted(f for f in folder.rglob("*") if f.is_file() and not f.name.startswith("."))
            images = [f for f in files if f.suffix.lower() in IMAGE_SUFFIXES]
            for f in files:
                if f.suffix.lower() not in IMAGE_SUFFIXES:
                    skipped[f.suffix] = skipped.get(f.suffix, 0) + 1
            if not images and role == TRAIN:
                other = f" (it has {len(files)} other files)" if files else ""
                raise DataError(f"{folder}: no PNG or JPEG images in this class folder{other}; add some or remove it.")
            paths += images
            y += [labels.index(folder.name)] * len(images)
            part += [role] * len(images)
    if skipped:
        listing = ", ".join(f"{n} {suffix or 'without suffix'}" for suffix, n in sorted(skipped.items()))
        notes.append(f"files that are not PNG or JPEG were ignored: {listing}")
    if TEST in tops.values():
        notes.append("the given test folder is the locked test split")
    return paths, labels, y, part, notes


def _subfolders(folder: Path) -> list[Path]:
    return sorted(f for f in folder.iterdir() if f.is_dir() and not f.name.startswith((".", "__")))


def _common_size(headers: list[Header], wanted: int | tuple[int, int] | None) -> tuple[int, int]:
    """Return (height, width): what was asked, else the size all share, else the usual aspect at a modest size."""
    if isinstance(wanted, int):
        return wanted, wanted
    if wanted is not None:
        return wanted
    sizes = {(h.height, h.width) for h in headers}
    if len(sizes) == 1 and max(next(iter(sizes))) <= _KEEP:
        return next(iter(sizes))
    side = min(_SIDE, statistics.median((h.height * h.width) ** 0.5 for h in headers))
    aspect = statistics.median(h.height / h.width for h in headers)
    stretch = 1.0 if 0.8 <= aspect <= 1.25 else min(max(aspect, 0.25), 4.0) ** 0.5
    return max(8, 8 * round(side * stretch / 8)), max(8, 8 * round(side / stretch / 8))
