"""Make the package's NAS-Bench-201 table from the published files.

    python benchmarks/nasbench201_data.py FOLDER

FOLDER holds ``nasbench201.npz`` and ``hw_nas_bench_nb201.npz``, collections of what the repositories named in
``src/archsmith/tables/data/nasbench201.md`` publish, rows in the order of the index of NATS-Bench.

Accuracies are shares of whole images: a validation set of 25,000 images knows only multiples of 1/250 %. Each is
written as the whole number above its denominator, which loses nothing and repairs what was rounded in print. Times,
latencies and energies are float32, as published. Every number is compared with its source before it is written.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from archsmith.tables.nasbench201 import EDGES, OPERATIONS

TARGET = Path(__file__).parents[1] / "src" / "archsmith" / "tables" / "data" / "nasbench201.npz"
MISSING = 65535
# The column here, the column there, and the denominator of its percentages: images, or images times averaged seeds.
ACCURACIES = (
    ("cifar10.val_12", "c10_val_12", 500),
    ("cifar10.test_12", "c10_test_12", 100),
    ("cifar10.val_200", "c10valid_val_200_seeds", 250),
    ("cifar10.test_200", "c10_test_200_mean", 600),
    ("cifar100.val_12", "c100_val_12", 50),
    ("cifar100.test_12", "c100_test_12", 50),
    ("cifar100.val_200", "c100_val_naslib", 50),
    ("cifar100.both_200", "c100_valtest_200_seeds", 100),
    ("cifar100.test_200", "c100_test_200_mean", 300),
    ("imagenet16.val_12", "in16_val_12", 30),
    ("imagenet16.test_12", "in16_test_12", 30),
    ("imagenet16.both_200", "in16_valtest_200_seeds", 60),
    ("imagenet16.test_200", "in16_test_200_mean", 180),
)
TIMES = (("cifar10", "c10valid", 1.0), ("cifar100", "c100", 2.0), ("imagenet16", "in16", 6.068))


def codes(texts: np.ndarray) -> np.ndarray:
    """Return each cell as a number with one digit to the base of five for each edge, the first edge first."""
    found = []
    for text in texts:
        cell = text.decode().replace("+", "").split("|")
        digits = [OPERATIONS.index(part.split("~")[0]) for part in cell if part]
        assert len(digits) == len(EDGES)
        code = 0
        for digit in digits:
            code = 5 * code + digit
        found.append(code)
    assert sorted(found) == list(range(5 ** len(EDGES)))
    return np.array(found, dtype=np.uint16)


def numerators(values: np.ndarray, denominator: int) -> np.ndarray:
    """Return percentages as whole numbers above a denominator, ``MISSING`` where there is none."""
    whole = np.round(values.astype(np.float64) * denominator)
    assert np.nanmax(np.abs(whole / denominator - values)) < 2.1e-5, "the denominator is not the right one"
    assert np.nanmax(whole) < MISSING
    return np.where(np.isnan(whole), MISSING, whole).astype(np.uint16)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    source = np.load(folder / "nasbench201.npz", allow_pickle=False)
    hardware = np.load(folder / "hw_nas_bench_nb201.npz", allow_pickle=False)

    arrays = {"code": codes(source["arch_str"])}
    for here, there, denominator in ACCURACIES:
        arrays[here] = numerators(source[there], denominator)
    arrays["accuracies"] = np.array([here for here, _, _ in ACCURACIES])
    arrays["denominators"] = np.array([denominator for _, _, denominator in ACCURACIES], dtype=np.int32)
    seconds = source["c10valid_train_time_200_s"]
    for _, there, factor in TIMES:  # the three data sets' times are one measurement and its multiples
        assert np.abs(source[f"{there}_train_time_200_s"] / (seconds.astype(np.float64) * factor) - 1).max() < 1e-6
    arrays["seconds_200"] = seconds
    arrays["time_factors"] = np.array([factor for _, _, factor in TIMES])
    arrays["devices"] = np.array([name.decode() for name in hardware["metrics"]])
    for data_set, _, _ in TIMES:
        measured = hardware[data_set]
        arrays[f"{data_set}.devices"] = np.where(measured == -1, np.nan, measured).astype(np.float32)
    np.savez_compressed(TARGET, **arrays)
    print(f"{TARGET.name}: {TARGET.stat().st_size:,} bytes, {len(arrays['code']):,} cells, {len(arrays)} arrays")


if __name__ == "__main__":
    main()
