"""The table that comes with the package, against the published facts of NAS-Bench-201."""

import itertools
import random
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from archsmith.errors import UsageError
from archsmith.space import count
from archsmith.spaces import cell as cell_space
from archsmith.tables import DATA_SETS, EDGES, OPERATIONS, cell_arch, cell_text, nasbench201

SOURCE = Path(__file__).parents[3] / "shared" / "data" / "nasbench201"
KNOWN = {
    0: "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|",
    9: "|avg_pool_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|nor_conv_3x3~2|",
    13714: "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_1x1~1|nor_conv_3x3~2|",
}


@pytest.mark.parametrize("data_set", DATA_SETS)
def test_every_cell_has_one_row_and_every_row_is_found_again(data_set: str) -> None:
    table = nasbench201(data_set)
    assert len(table) == count(table.space) == 15_625
    assert [table.row(table.arch(row)) for row in range(15_625)] == list(range(15_625))


def test_the_decisions_are_those_of_the_ready_made_cell_space() -> None:
    from archsmith.spec import Spec

    ready = cell_space(Spec("image", "classification", (3, 32, 32), 10, 50_000))
    table = nasbench201()
    for edge in EDGES:
        assert ready.decisions[edge].options == table.space.decisions[edge].options == OPERATIONS


@pytest.mark.parametrize(("row", "text"), KNOWN.items())
def test_known_rows_are_where_the_benchmark_has_them(row: int, text: str) -> None:
    table = nasbench201()
    assert cell_text(table.arch(row)) == text
    assert table.row(cell_arch(text)) == row


def test_the_index_is_the_authors_shuffle() -> None:
    operations = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
    cells: list[tuple[str, ...]] = [()]
    for node in (1, 2, 3):  # all cells of few nodes first, each continued by every way into the next node
        cells = [old + new for old in cells for new in itertools.product(operations, repeat=node)]
    shuffled = random.Random(88)
    shuffled.shuffle(cells)
    table = nasbench201()
    assert [tuple(table.arch(row).values()) for row in range(15_625)] == cells


def test_the_costs_are_the_closed_formulas() -> None:
    table = nasbench201()
    edges = np.array([list(table.arch(row).values()) for row in range(len(table))])
    wide, narrow = ((edges == f"nor_conv_{n}").sum(1) for n in ("3x3", "1x1"))
    macs, params = table.final("macs"), table.final("params")
    assert (macs == 15 * (2304 * wide + 256 * narrow) * 1024 + 7_783_040).all()
    per_cell = (2336 + 9280 + 36_992) * wide + (288 + 1088 + 4224) * narrow
    assert (params == 5 * per_cell + 73_306).all()
    assert (macs[13714], params[13714]) == (153_272_960, 1_073_466)
    assert (macs[3558], params[3558]) == (121_815_680, 858_426)


def test_there_are_28_different_costs() -> None:
    table = nasbench201()
    assert len(np.unique(table.final("macs"))) == 28
    assert table.final("macs").min() == 7_783_040
    assert (table.final("macs").max(), table.final("params").max()) == (220_119_680, 1_531_546)


def test_the_best_cells_are_the_published_ones() -> None:
    table = nasbench201()
    test = table.final("test_cifar10")
    assert round(test.max(), 2) == 94.37
    assert {*np.flatnonzero(test == test.max()).tolist()} == {6111, 13714}
    assert round(table.final("accuracy").max(), 2) == 91.61
    hundred = nasbench201("cifar100").final("test_cifar100")
    assert (int(hundred.argmax()), round(hundred.max(), 2)) == (9930, 73.51)
    net = nasbench201("imagenet16").final("test_imagenet16")
    assert (int(net.argmax()), round(net.max(), 2)) == (857, 47.31)


RANDOM = {  # mean and deviation of a random cell, of the best of 10 and of 100 (Mellor et al., 2021): 500 draws
    "test_cifar10": ((86.61, 13.46), (93.06, 0.59), (93.84, 0.23)),
    "test_cifar100": ((60.83, 12.58), (69.76, 1.25), (71.56, 0.78)),
    "test_imagenet16": ((33.13, 9.66), (43.30, 1.87), (45.67, 0.64)),
}


@pytest.mark.parametrize("name", RANDOM)
def test_random_cells_and_the_best_of_some_are_as_good_as_published(name: str) -> None:
    values, rng = nasbench201(name.removeprefix("test_")).final(name), np.random.default_rng(0)
    for number, (mean, deviation) in zip((1, 10, 100), RANDOM[name], strict=True):
        best = rng.choice(values, (4000, number)).max(1)
        assert abs(best.mean() - mean) < 4 * deviation / 500**0.5, number
        assert 0.75 < best.std() / deviation < 1.3, number


def test_the_first_cell_runs_on_devices_as_published() -> None:
    table = nasbench201()
    published = {
        "edgegpu_latency": 5.8074, "edgegpu_energy": 24.227, "raspi4_latency": 10.482, "edgetpu_latency": 0.95718,
        "pixel3_latency": 3.60585, "eyeriss_latency": 3.64562, "eyeriss_energy": 0.68728, "fpga_latency": 2.57296,
        "fpga_energy": 18.0107,
    }  # fmt: skip
    for name, value in published.items():
        assert table.final(name)[0] == pytest.approx(value, rel=2e-5), name


def test_twelve_epochs_cost_their_share_of_two_hundred() -> None:
    for data_set in DATA_SETS:
        seconds = nasbench201(data_set).column("seconds")[:, :, 0]
        assert np.allclose(seconds[:, 0], seconds[:, 1] * 12 / 200)


def test_repeats_are_two_or_three_seeds() -> None:
    seeds = np.isfinite(nasbench201().column("accuracy")).sum(axis=2)
    assert set(seeds[:, 0].tolist()) == {1}
    assert set(seeds[:, 1].tolist()) == {2, 3}


def test_nobody_writes_into_the_table() -> None:
    with pytest.raises(ValueError, match="read-only"):
        nasbench201().column("accuracy")[0] = 100.0


def test_what_is_no_cell_is_refused() -> None:
    with pytest.raises(UsageError, match="is no cell"):
        cell_arch("|nor_conv_3x3~0|+|none~0|")
    with pytest.raises(UsageError, match="'cifar10'"):
        nasbench201("cifar")
    with pytest.raises(UsageError, match="'skip_connect'"):
        nasbench201().row({**nasbench201().arch(0), "edge01": "skip_conect"})


def test_the_origin_lies_beside_the_data() -> None:
    folder = files("archsmith.tables") / "data"
    assert "MIT" in (folder / "nasbench201.md").read_text(encoding="utf-8")
    assert len((folder / "nasbench201.npz").read_bytes()) < 2_000_000


@pytest.mark.skipif(not SOURCE.is_dir(), reason="the files that the table was made from are not here")
def test_every_printed_digit_survived() -> None:
    source = np.load(SOURCE / "nasbench201.npz", allow_pickle=False)
    for data_set, short in zip(DATA_SETS, ("c10", "c100", "in16"), strict=True):
        table = nasbench201(data_set)
        assert np.abs(table.column("accuracy")[:, 0, 0] - source[f"{short}_val_12"]).max() < 2.1e-5
        assert np.abs(table.final(f"test_{data_set}") - source[f"{short}_test_200_mean"]).max() < 2.1e-5
    table = nasbench201()
    assert np.nanmax(np.abs(table.column("accuracy")[:, 1] - source["c10valid_val_200_seeds"])) < 2.1e-5
    assert (table.column("seconds")[:, 1, 0] == source["c10valid_train_time_200_s"]).all()
    assert [cell_text(table.arch(i)).encode() for i in range(0, 15_625, 7)] == source["arch_str"][::7].tolist()
    wrong = np.abs(table.final("params") / 1e6 - source["c10_params_M"]) > 1e-5
    assert wrong.sum() == 150  # in print these are smaller than any formula allows
