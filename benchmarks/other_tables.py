"""Write tables on which no strategy was developed, for ``archsmith bench``: the same cells judged by other tasks.

    python benchmarks/other_tables.py FOLDER OUT
    archsmith bench OUT/ninapro.csv --strategies archsmith,tpe --trials 150 --seeds 50

FOLDER holds ``nb201_hw360_pi5_pixel.npz`` and ``nb201_robustness_c10.npz``, rows in the order of the index of
NATS-Bench. OUT gets ``ninapro.csv`` (hand movements from muscle currents), ``darcy.csv`` (the flow through a porous
medium) and ``robust.csv`` (CIFAR-10 under attacks of 1/255 by projected gradients), one row for each cell.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from archsmith.tables import EDGES, nasbench201

ATTACK = b"pgd@Linf_eps-1.0"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    tasks = np.load(options.folder / "nb201_hw360_pi5_pixel.npz", allow_pickle=False)
    attacks = np.load(options.folder / "nb201_robustness_c10.npz", allow_pickle=False)
    place = attacks["metrics"].tolist().index(ATTACK)
    table = nasbench201()
    for name, values in (
        ("ninapro", tasks["acc_ninapro"]),
        ("darcy", tasks["acc_darcy"]),
        ("robust", attacks["values"][:, place]),
    ):
        lines = [",".join((*EDGES, "accuracy"))]
        lines += [",".join((*map(str, table.arch(row).values()), f"{value}")) for row, value in enumerate(values)]
        (options.out / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        print(
            f"{options.out / name}.csv: {len(values):,} rows, best {values.max():.3f}, median {np.median(values):.3f}"
        )


if __name__ == "__main__":
    main()
