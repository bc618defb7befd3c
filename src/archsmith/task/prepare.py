"""Read new samples, a photo or a table, into what the shipped network takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from archsmith.errors import DataError, nearest
from archsmith.task.columns import encode_columns
from archsmith.task.decode import IMAGE_SUFFIXES, decode_images, read_headers
from archsmith.task.read_arrays import to_pixels
from archsmith.task.read_table import is_table, read_cells
from archsmith.task.reader import Reader
from archsmith.task.task import Task
from archsmith.task.values import Cells

__all__ = ["image_files", "prepare"]


def prepare(task: Task | Reader, source: Any) -> Tensor:
    """Return new samples as the shipped network takes them: uint8 ``[N, C, H, W]`` or float32 ``[N, columns]``.

    Images: a file, a folder of images, a list of files, or an array as the task was given. Tables: a CSV or Parquet
    file with the columns of the task (the target may be missing), a list of mappings, or an array of raw rows.
    """
    reader = task.reader if isinstance(task, Task) else task
    if isinstance(source, (np.ndarray, Tensor)):
        return _array(reader, np.asarray(source))
    return _images(reader, source) if reader.kind == "image" else _table(reader, source)


def _array(reader: Reader, array: Cells) -> Tensor:
    single = array.ndim == len(reader.shape) and array.shape[-1] == reader.shape[-1]
    array = array[None] if single else array
    if reader.kind == "image":
        out = to_pixels(array, reader.pixels)
    else:
        out = torch.from_numpy(np.asarray(array, dtype=np.float32))
    if tuple(out.shape[1:]) != reader.shape:
        raise DataError(f"samples have the shape {tuple(out.shape[1:])}; this network takes {reader.shape}.")
    return out


def image_files(source: Any) -> list[Path]:
    """Return the image files that a path, a folder or a list of paths means, in the order they are read in."""
    paths = [Path(p) for p in ([source] if isinstance(source, (str, Path)) else source)]
    if len(paths) == 1 and paths[0].is_dir():
        folder = paths[0]
        paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
        if not paths:
            raise DataError(f"{folder}: there are no PNG or JPEG images in this folder.")
    return paths


def _images(reader: Reader, source: Any) -> Tensor:
    paths = image_files(source)
    for path in paths:
        if not path.is_file():
            raise DataError(f"{path}: there is no such file.")
        if is_table(path):
            raise DataError(f"{path}: this network takes images (PNG or JPEG), not a table.")
    read_headers(paths)
    channels, height, width = reader.shape
    return decode_images(paths, channels, (height, width))


def _table(reader: Reader, source: Any) -> Tensor:
    if isinstance(source, (str, Path)):
        path = Path(source)
        if not path.is_file():
            raise DataError(f"{path}: there is no such file.")
        if not is_table(path):
            raise DataError(f"{path}: this network takes a table (CSV or Parquet).")
        cells, notes = read_cells(path, expected=reader.names)
        if any("no header" in note for note in notes):
            cells = _by_position(reader, cells, path)
        return encode_columns(_complete(reader, cells, str(path)), reader.columns)
    return encode_columns(_complete(reader, _cells(source), "the rows"), reader.columns)


def _by_position(reader: Reader, cells: Mapping[str, Cells], path: Path) -> dict[str, Cells]:
    """Name the columns of a file without a header by their order, with or without the target."""
    inputs = [n for n in reader.names if n != reader.target]
    for names in (list(reader.names), inputs):
        if len(names) == len(cells):
            return dict(zip(names, cells.values(), strict=True))
    raise DataError(f"{path}: without a header line there must be {len(inputs)} columns, in the order of the training "
                    f"data; there are {len(cells)}.")  # fmt: skip


def _cells(rows: Sequence[Mapping[str, Any]]) -> dict[str, Cells]:
    """Return the columns of rows given as mappings; None is missing."""
    names = {name: None for row in rows for name in row}
    return {n: np.array(["" if row.get(n) is None else str(row[n]) for row in rows], dtype=object) for n in names}


def _complete(reader: Reader, cells: Mapping[str, Cells], what: str) -> Mapping[str, Cells]:
    for column in reader.columns:
        if column.name not in cells:
            raise DataError(f"{what}: there is no column {column.name!r}. {nearest(column.name, cells)}")
    return cells
