"""Read Parquet files; the one place that needs ``pyarrow``, an optional extra."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from archsmith.errors import DataError, MissingExtra
from archsmith.task.limits import check_memory
from archsmith.task.values import Cells

__all__ = ["read_parquet"]


def read_parquet(path: Path) -> tuple[dict[str, Cells], list[str]]:
    """Return the columns, float64 with NaN for missing or strings with ``""`` for missing, and notes."""
    try:
        import pyarrow as arrow
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise MissingExtra("reading Parquet needs pyarrow: pip install 'archsmith[parquet]'") from error
    try:
        file = parquet.ParquetFile(path)
        declared = sum(file.metadata.row_group(i).total_byte_size for i in range(file.metadata.num_row_groups))
        cells = file.metadata.num_rows * file.metadata.num_columns
        check_memory(max(2 * declared, 16 * cells), str(path), "Use fewer rows.")
        batches, size = [], 0
        for batch in file.iter_batches():  # what a page unpacks to is known only then
            size += batch.nbytes
            check_memory(2 * size, str(path), "Use fewer rows.")
            batches.append(batch)
        table = arrow.Table.from_batches(batches, file.schema_arrow)
    except (OSError, arrow.ArrowException) as error:
        raise DataError(f"{path}: cannot be read as Parquet ({error}).") from error
    columns: dict[str, Cells] = {}
    notes: list[str] = []
    for name, column in zip(table.column_names, table.columns, strict=True):
        kind = column.type
        if name in columns:
            raise DataError(f"{path}: two columns are named {name!r}; give each column its own name.")
        if arrow.types.is_nested(kind) or arrow.types.is_binary(kind) or arrow.types.is_large_binary(kind):
            notes.append(f"column {name!r} holds {kind} values and was ignored")
            continue
        values: list[Any] = column.to_pylist()
        number = arrow.types.is_integer(kind) or arrow.types.is_floating(kind) or arrow.types.is_decimal(kind)
        if number:
            columns[name] = np.array([np.nan if v is None else float(v) for v in values], dtype=np.float64)
        else:
            columns[name] = np.array(["" if v is None else str(v) for v in values], dtype=object)
    return columns, notes
