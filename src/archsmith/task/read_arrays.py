"""Read what is already in memory: arrays, tensors, any torch ``Dataset`` or ``DataLoader``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from archsmith.errors import DataError
from archsmith.task.limits import check_memory
from archsmith.task.values import TEST, Raw

__all__ = ["pixel_range", "raw_from_parts", "read_dataset", "to_pixels"]


def _array(values: Any, what: str) -> NDArray[Any]:
    """Return plain numbers or strings; objects of unknown kind are refused."""
    if isinstance(values, Tensor):
        values = values.detach().cpu()
        array = np.asarray(values.float() if values.dtype == torch.bfloat16 else values)
    else:
        try:
            array = np.asarray(values)
        except ValueError as error:
            raise DataError(f"{what}: samples of different shapes ({error}); give all of them one shape.") from error
    if array.dtype == object and what.startswith("y") and all(isinstance(v, str) for v in array.ravel()):
        return array
    if array.dtype.kind not in "biufU" or (array.dtype.kind == "U" and what.startswith("x")):
        raise DataError(f"{what} holds values of type {array.dtype}; give plain numbers.")
    return array


def pixel_range(x: NDArray[Any], what: str) -> tuple[float, float]:
    """Return the two values that become pixels 0 and 255: by the kind of the numbers, else their least and largest."""
    if x.dtype == np.uint8:
        return 0.0, 255.0
    low, high = float(x.min()), float(x.max())
    if not np.isfinite(low) or not np.isfinite(high):
        bad = np.argwhere(~np.isfinite(x))[0]
        raise DataError(f"{what}: sample {bad[0]} holds NaN or infinity; remove it or fill it in.")
    if low >= 0 and ((high <= 1 and x.dtype.kind == "f") or x.dtype.kind == "b"):
        return 0.0, 1.0
    if low >= 0 and high <= 255:
        return 0.0, 255.0
    if x.dtype == np.uint16:
        return 0.0, 65535.0
    return low, high if high > low else low + 1.0


def to_pixels(x: NDArray[Any], pixels: tuple[float, float], what: str = "x") -> Tensor:
    """Return images ``[N, H, W]``, ``[N, H, W, C]`` or ``[N, C, H, W]`` as uint8 ``[N, C, H, W]``."""
    if x.ndim == 3:
        x = x[:, None]
    elif x.ndim == 4 and x.shape[1] > 4 and x.shape[3] <= 4:
        x = x.transpose(0, 3, 1, 2)
    if x.ndim != 4 or x.shape[1] > 4 or 0 in x.shape:
        raise DataError(
            f"{what} has the shape {x.shape}; allowed are [N, columns] for tables and [N, H, W], [N, H, W, C] or "
            "[N, C, H, W] with at most 4 channels for images."
        )
    if x.dtype == np.uint8 and pixels == (0.0, 255.0):
        return torch.from_numpy(np.ascontiguousarray(x))
    out = np.empty(x.shape, dtype=np.uint8)
    low, high = pixels
    for start in range(0, len(x), 4096):  # in pieces: float copies of everything at once would not fit
        piece = (x[start : start + 4096].astype(np.float64) - low) * (255.0 / (high - low))
        out[start : start + 4096] = np.clip(np.rint(piece), 0, 255)
    return torch.from_numpy(out)


def raw_from_parts(parts: dict[int, tuple[Any, Any]], source: str) -> Raw:
    """Return the raw task of arrays given by split; ``parts`` maps ``TRAIN``, ``VALID``, ``TEST`` to ``(x, y)``."""
    xs: list[NDArray[Any]] = []
    ys: list[NDArray[Any]] = []
    notes: list[str] = []
    for _, (x, y) in sorted(parts.items()):
        features, targets = _array(x, f"x of {source}"), _array(y, f"y of {source}")
        if targets.ndim == 2 and targets.shape[1] == 1:
            targets = targets[:, 0]
        if targets.ndim != 1 or features.ndim < 2 or len(features) != len(targets):
            raise DataError(
                f"{source}: x has the shape {features.shape} and y {targets.shape}; y must hold one number or name for "
                "each sample of x."
            )
        if len(features) == 0:
            raise DataError(f"{source}: there are no samples.")
        if xs and features.shape[1:] != xs[0].shape[1:]:
            raise DataError(f"{source}: samples of {features.shape[1:]} beside samples of {xs[0].shape[1:]}.")
        xs.append(features)
        ys.append(targets)
    part = np.repeat(np.array(sorted(parts), dtype=np.int8), [len(y) for y in ys])
    y = np.concatenate(ys)
    if TEST in parts:
        notes.append("the given test samples are the locked test split")
    if xs[0].ndim == 2:
        table = np.concatenate(xs).astype(np.float64)
        names = tuple(f"col{i}" for i in range(table.shape[1]))
        columns = {name: table[:, i] for i, name in enumerate(names)}
        return Raw(y, part, columns=columns, names=names, fixed=True, notes=tuple(notes))
    pixels = pixel_range(xs[0], source)  # by the training samples alone
    if pixels not in ((0.0, 1.0), (0.0, 255.0)):
        notes.append(f"image values {pixels[0]:g} to {pixels[1]:g} were mapped to pixels 0 to 255")
    for features in xs[1:]:
        pixel_range(features, source)
    x = torch.cat([to_pixels(features, pixels, source) for features in xs])
    return Raw(y, part, x=x, pixels=pixels, notes=tuple(notes))


def read_dataset(data: Dataset[Any] | DataLoader[Any] | Iterable[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return ``(x, y)`` of every sample of a dataset of ``(input, target)`` pairs, or of every batch of a loader."""
    batched = isinstance(data, DataLoader) and data.batch_size is not None
    xs: list[NDArray[Any]] = []
    ys: list[NDArray[Any]] = []
    name, size = type(data).__name__, 0
    # A map-style dataset promises __len__ and __getitem__ only; iterating it would rely on IndexError.
    items = (data[i] for i in range(len(data))) if _is_map(data) else iter(data)  # type: ignore[arg-type, index]
    for number, item in enumerate(items):
        if not isinstance(item, (tuple, list)) or len(item) != 2:
            raise DataError(f"{name}: item {number} is not a pair (input, target); give a dataset of such pairs.")
        x, y = (_array(v, f"{w} of {name} item {number}") for v, w in zip(item, "xy", strict=True))
        if xs and x.shape[batched:] != xs[0].shape[batched:]:
            raise DataError(f"{name}: item {number} has the shape {x.shape}, the first {xs[0].shape}; make them equal.")
        xs.append(x)
        ys.append(y.reshape(-1) if batched else y.reshape(()))
        size += x.nbytes
        if number % 1000 == 0:
            check_memory(2 * size, name, "Give fewer or smaller samples.")
    if not xs:
        raise DataError(f"{name}: there are no samples.")
    return (np.concatenate(xs), np.concatenate(ys)) if batched else (np.stack(xs), np.stack(ys))


def _is_map(data: object) -> bool:
    return isinstance(data, Dataset) and hasattr(data, "__getitem__") and hasattr(data, "__len__")
