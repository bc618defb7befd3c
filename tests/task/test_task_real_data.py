"""The readers on real data: the embedded digits, and files that lie beside the checkout where they are there."""

import gzip
from pathlib import Path

import pytest
import torch

from archsmith.task import load, prepare

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"


def beside(name: str) -> Path:
    if not (DATA / name).exists():
        pytest.skip(f"{name} is not beside the checkout")
    return DATA / name


def test_digits() -> None:
    task = load("digits")
    assert task.spec.input_shape == (1, 8, 8)
    assert task.sizes == {"train": 1151, "valid": 287, "test": 359}
    assert int(task.train.x.max()) == 255
    assert task.split_hash == load("digits").split_hash != load("digits", seed=1).split_hash


def test_fashion_mnist_has_its_official_test_files() -> None:
    task = load(beside("fashion_mnist"))
    assert task.sizes == {"train": 54000, "valid": 6000, "test": 10000}
    assert torch.bincount(task.open_test().y).tolist() == [1000] * 10
    assert torch.bincount(task.valid.y).tolist() == [600] * 10
    assert float(task.train.x.float().mean()) / 255 == pytest.approx(0.2860, abs=1e-3)


def test_adult_without_a_header() -> None:
    path = beside("adult") / "adult.data.gz"
    task = load(path, target="col14")
    assert task.labels == ("<=50K", ">50K")
    assert sum(task.sizes.values()) == 32561
    assert [c.kind[0] for c in task.columns] == list("ncncncccccnnnc")
    assert task.columns[1].missing
    assert [c for c in task.columns if c.kind == "numeric" and c.missing] == []
    assert load(path.parent).split_hash == task.split_hash
    assert prepare(task, path).shape == (32561, 14)


def test_adult_with_a_header(tmp_path: Path) -> None:
    text = gzip.decompress((beside("adult") / "adult.data.gz").read_bytes()).decode()
    names = (
        "age,workclass,fnlwgt,education,education-num,marital-status,occupation,relationship,race,sex,"
        "capital-gain,capital-loss,hours-per-week,native-country,income"
    )
    (tmp_path / "adult.csv").write_text(names + "\n" + text)
    task = load(tmp_path / "adult.csv", target="income")
    assert task.columns[13].name == "native-country"
    assert task.split_hash == load(beside("adult"), target=-1).split_hash
