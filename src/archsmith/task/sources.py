"""Find out what a data source is, and have it read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader, Dataset

from archsmith.errors import DataError, UsageError, nearest
from archsmith.task.read_arrays import raw_from_parts, read_dataset
from archsmith.task.read_digits import read_digits
from archsmith.task.read_idx import find_idx, read_idx
from archsmith.task.read_images import read_images
from archsmith.task.read_npz import read_npz
from archsmith.task.read_table import find_tables, is_table, read_table
from archsmith.task.values import TEST, TRAIN, Raw

__all__ = ["read_source"]


def read_source(source: Any, target: str | int | None, size: Any, header: bool | None, test: Any) -> tuple[Raw, str]:
    """Return the raw samples of any source, and a name for the task."""
    if isinstance(source, (str, Path)):
        if test is not None:
            raise UsageError("test= is for data in memory; put test files beside the training files instead.")
        if str(source) == "digits" and not Path(source).exists():
            return read_digits(), "digits"
        path = Path(source).expanduser()
        name = path.resolve().name if path.is_dir() else path.name.split(".")[0]
        return _read_path(path, target, size, header), name or "data"
    if target is not None:
        raise UsageError(f"target={target!r} names a column of a table file; arrays and datasets bring their targets.")
    given = [source] if test is None else [source, test]
    pairs = []
    for data in given:
        if isinstance(data, (Dataset, DataLoader)):
            pairs.append(read_dataset(data))
        elif isinstance(data, (tuple, list)) and len(data) == 2:
            pairs.append((data[0], data[1]))
        else:
            raise DataError(
                f"cannot read data of type {type(data).__name__}; allowed are a path, 'digits', a pair (x, y) of "
                "arrays or tensors, a torch Dataset or DataLoader, or a Task."
            )
    kind = "arrays" if isinstance(source, (tuple, list)) else type(source).__name__.lower()
    return raw_from_parts(dict(zip((TRAIN, TEST), pairs, strict=False)), kind), kind


def _read_path(path: Path, target: str | int | None, size: Any, header: bool | None) -> Raw:
    if not path.exists():
        folder = path.parent if path.parent.is_dir() else Path()
        raise DataError(f"{path}: there is no such file or folder. "
                        f"{nearest(path.name, [*(p.name for p in folder.iterdir()), 'digits'])}")  # fmt: skip
    if path.is_file() and path.suffix.lower() == ".npz":
        return read_npz(path)
    if path.is_file() and is_table(path):
        return read_table({TRAIN: path}, target, header)
    if path.is_file():
        raise DataError(f"{path}: files of this kind cannot be read; allowed are .csv, .tsv, .csv.gz, .parquet and "
                        ".npz, or a folder.")  # fmt: skip
    if not any(path.iterdir()):
        raise DataError(f"{path}: the folder is empty.")
    if find_idx(path):
        return read_idx(path)
    archives = sorted(path.glob("*.npz"))
    tables = find_tables(path)
    if any(f.is_dir() and not f.name.startswith(".") for f in path.iterdir()) or not (archives or tables):
        return read_images(path, size)
    if tables:
        return read_table(tables, target, header)
    if len(archives) > 1:
        raise DataError(f"{path}: there are {len(archives)} .npz files; name the one to read, such as {archives[0]}.")
    return read_npz(archives[0])
