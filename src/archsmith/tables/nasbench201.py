"""NAS-Bench-201 (Dong & Yang 2020), the topology space of NATS-Bench: 15,625 cells, trained and measured."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import as_file, files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archsmith.errors import UsageError, nearest
from archsmith.space import Arch
from archsmith.tables.table import Table, mean

__all__ = ["DATA_SETS", "EDGES", "OPERATIONS", "WIRING", "cell_arch", "cell_text", "nasbench201"]

DATA_SETS = ("cifar10", "cifar100", "imagenet16")
EDGES = ("edge01", "edge02", "edge12", "edge03", "edge13", "edge23")
OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
_MISSING = 65535
WIRING = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))


@cache
def nasbench201(data_set: str = "cifar10") -> Table:
    """Return the table of one data set: ``cifar10``, ``cifar100`` or ``imagenet16``. Row i is index i of NATS-Bench.

    Levels are ``epochs`` 12 and 200, which are separate trainings: a schedule of 12 is no prefix of one of 200.

    * ``accuracy``: percent on the validation split. At 200 epochs of CIFAR-10 two or three seeds, of CIFAR-100 one; of
      ImageNet16-120 only the mean of the seeds is known.
    * ``seconds``: of training, on the authors' machine. ``params``, ``macs``: by the closed formulas.
    * ``test_cifar10``, ``test_cifar100``, ``test_imagenet16``: percent on the test split after 200 epochs, the mean of
      the seeds. For judging what was found, never for searching.
    * ``edgegpu_latency`` and so on: milliseconds and millijoules of HW-NAS-Bench (Li et al., 2021).
    """
    if data_set not in DATA_SETS:
        raise UsageError(f"NAS-Bench-201 has no data set {data_set!r}. {nearest(data_set, DATA_SETS)}")
    with as_file(files("archsmith.tables") / "data" / "nasbench201.npz") as path, _open(path) as data:
        digits = np.stack(np.unravel_index(data["code"], (len(OPERATIONS),) * len(EDGES)), axis=1)
        read = _Percentages(data)
        columns = {
            "accuracy": _stacked(read(f"{data_set}.val_12"), _validation(read, data_set)),
            "seconds": _stacked(*_seconds(data, DATA_SETS.index(data_set))),
            **{name: column[:, None, None] for name, column in _costs(digits, data_set).items()},
            **{f"test_{d}": read(f"{d}.test_200")[:, None, None] for d in DATA_SETS},
        }
        devices = data[f"{data_set}.devices"].astype(np.float64)
        columns |= {str(name): devices[:, i, None, None] for i, name in enumerate(data["devices"])}
    for column in columns.values():
        column.flags.writeable = False
    options = dict.fromkeys(EDGES, OPERATIONS)
    levels = ({"epochs": 12.0}, {"epochs": 200.0})
    return Table(f"nasbench201 {data_set}", options, digits, columns, levels, range(len(digits)), WIRING)


def cell_text(arch: Mapping[str, Any]) -> str:
    """Return a cell as the benchmark writes it: ``|op~0|+|op~0|op~1|+|op~0|op~1|op~2|``."""
    parts = [f"{arch[edge]}~{source}" for edge, (source, _) in zip(EDGES, WIRING, strict=True)]
    return f"|{parts[0]}|+|{'|'.join(parts[1:3])}|+|{'|'.join(parts[3:])}|"


def cell_arch(text: str) -> Arch:
    """Return the architecture that ``cell_text`` wrote; raises ``UsageError`` for what it cannot have written."""
    operations = [part.partition("~")[0] for part in text.replace("+", "").split("|") if part]
    arch = Arch(dict(zip(EDGES, operations, strict=False)))
    if set(operations) <= set(OPERATIONS) and len(operations) == len(EDGES) and cell_text(arch) == text:
        return arch
    raise UsageError(
        f"{text!r} is no cell of NAS-Bench-201. Write for example {cell_text(dict.fromkeys(EDGES, 'none'))}."
    )


def _open(path: Any) -> Any:
    return np.load(path, allow_pickle=False)


class _Percentages:
    """Reads a column of percentages, which are kept as whole numbers above one denominator."""

    def __init__(self, data: Any) -> None:
        self.data = data
        self.denominators = dict(zip(data["accuracies"].tolist(), data["denominators"].tolist(), strict=True))

    def __call__(self, name: str) -> NDArray[np.float64]:
        whole = self.data[name]
        return np.where(whole == _MISSING, np.nan, whole / self.denominators[name])


def _validation(read: _Percentages, data_set: str) -> NDArray[np.float64]:
    """Return the validation accuracies after 200 epochs, [rows] or [rows, seeds]."""
    if data_set != "imagenet16":
        return read(f"{data_set}.val_200")
    # Published are the test half and both halves of the images together; what is left is the validation half.
    both = mean(read("imagenet16.both_200"))
    return np.asarray(2 * both - read("imagenet16.test_200"))


def _seconds(data: Any, place: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    full = data["seconds_200"].astype(np.float64) * data["time_factors"][place]
    return full * 12 / 200, full


def _costs(digits: NDArray[Any], data_set: str) -> dict[str, NDArray[np.float64]]:
    """Return parameters and multiply-adds: each 3x3 and 1x1 convolution costs the same wherever it stands."""
    classes, pixels = {"cifar10": (10, 1024), "cifar100": (100, 1024), "imagenet16": (120, 256)}[data_set]
    n3 = (digits == OPERATIONS.index("nor_conv_3x3")).sum(1).astype(np.float64)
    n1 = (digits == OPERATIONS.index("nor_conv_1x1")).sum(1).astype(np.float64)
    params = 5 * (48_608 * n3 + 5_600 * n1) + 72_656 + 65 * classes
    macs = (15 * (2304 * n3 + 256 * n1) + 7_600) * pixels + 64 * classes
    return {"params": params, "macs": macs}


def _stacked(*levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return levels, [rows] or [rows, repeats] each, as [rows, levels, repeats]."""
    repeats = max(level.shape[1] if level.ndim > 1 else 1 for level in levels)
    stacked = np.full((len(levels[0]), len(levels), repeats), np.nan)
    for i, level in enumerate(levels):
        columns = level.reshape(len(level), -1)
        stacked[:, i, : columns.shape[1]] = columns
    return stacked
