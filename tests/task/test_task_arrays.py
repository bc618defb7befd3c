"""Arrays, tensors, datasets, loaders, npz and idx files all become the same task."""

import contextlib
import gzip
import io
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from archsmith.errors import DataError, UsageError
from archsmith.task import load

RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (60, 3, 8, 9)).astype(np.uint8)
Y = np.arange(60) % 3


def write_idx(path: Path, array: np.ndarray) -> None:
    data = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


def idx_folder(root: Path, end: str = "", test: bool = True) -> Path:
    for prefix, count in (("train", 40), ("t10k", 20))[: 1 + test]:
        write_idx(root / f"{prefix}-images-idx3-ubyte{end}", X[:count, 0])
        write_idx(root / f"{prefix}-labels-idx1-ubyte{end}", Y[:count].astype(np.uint8))
    return root


class Pairs(Dataset[Any]):
    def __init__(self, x: Any, y: Any) -> None:
        self.x, self.y = x, y

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, i: int) -> Any:
        return self.x[i], int(self.y[i])


class Stream(IterableDataset[Any]):
    def __iter__(self) -> Any:
        return iter([(X[i], int(Y[i])) for i in range(60)])


SOURCES = {
    "numpy": (X, Y),
    "channels last": (X.transpose(0, 2, 3, 1), Y),
    "tensors": (torch.from_numpy(X), torch.from_numpy(Y)),
    "unit floats": (torch.from_numpy(X) / 255, torch.from_numpy(Y)),
    "float pixels": (X.astype(np.float64), Y.astype(np.float32)),
    "column of targets": (X, Y[:, None]),
    "dataset": Pairs(X, Y),
    "tensor dataset": TensorDataset(torch.from_numpy(X), torch.from_numpy(Y)),
    "stream": Stream(),
    "loader": DataLoader(Pairs(torch.from_numpy(X), Y), batch_size=7),
    "unbatched loader": DataLoader(Pairs(torch.from_numpy(X), Y), batch_size=None),
}


@pytest.mark.parametrize("kind", SOURCES)
def test_every_kind_of_memory_gives_the_same_task(kind: str) -> None:
    goal = "classification" if kind == "float pixels" else None
    task, same = load(SOURCES[kind], goal=goal), load((X, Y))
    assert task.split_hash == same.split_hash
    assert torch.equal(task.train.x, same.train.x)
    assert torch.equal(task.open_test().y, same.open_test().y)
    assert task.labels == ("0", "1", "2")


def test_a_task_is_returned_as_it_is() -> None:
    task = load((X, Y))
    assert load(task) is task


def test_given_test_samples_are_the_locked_split() -> None:
    task = load((X[:40], Y[:40]), test=(X[40:], Y[40:]))
    assert torch.equal(task.open_test().x, torch.from_numpy(X[40:]))
    assert task.sizes["test"] == 20


def test_other_ranges_are_mapped_to_pixels_with_a_note() -> None:
    task = load((torch.linspace(-2, 3, 60 * 64).reshape(60, 1, 8, 8), Y))
    assert int(min(s.x.min() for s in (task.train, task.valid, task.open_test()))) == 0
    assert int(max(s.x.max() for s in (task.train, task.valid, task.open_test()))) == 255
    assert any("-2 to 3" in note for note in task.notes)


def test_two_axes_are_a_table_of_which_no_column_is_lost() -> None:
    x = RNG.normal(size=(80, 4))
    x[:, 1] = 5.0
    x[::7, 2] = np.nan
    task = load((x, x[:, 0] * 2))
    assert (task.spec.kind, task.spec.goal) == ("table", "regression")
    assert [c.name for c in task.columns] == ["col0", "col1", "col2", "col3"]
    assert task.train.x.shape[1] == 4
    assert [c.missing for c in task.columns] == [False, False, True, False]


def test_many_whole_numbers_beside_images_are_classes() -> None:
    task = load((np.repeat(X, 5, 0), np.arange(300) % 50))
    assert task.spec.outputs == 50


def test_class_names_can_be_given() -> None:
    assert load((X, Y), labels=["a", "b", "c"]).labels == ("a", "b", "c")
    with pytest.raises(DataError, match=r"label '2'.*with 2 class names.*from 0 to 1"):
        load((X, Y), labels=["a", "b"])


@pytest.mark.parametrize("end", ["", ".gz"])
def test_idx_folder_with_official_test_files(tmp_path: Path, end: str) -> None:
    task = load(idx_folder(tmp_path, end))
    assert task.sizes["test"] == 20
    assert sum(task.sizes.values()) == 60
    assert torch.equal(task.open_test().x[:, 0], torch.from_numpy(X[:20, 0]))
    assert task.spec.input_shape == (1, 8, 9)


def test_idx_folder_without_test_files_gets_a_cut_one(tmp_path: Path) -> None:
    assert sum(load(idx_folder(tmp_path, test=False)).sizes.values()) == 40


def test_damaged_idx_files_are_named(tmp_path: Path) -> None:
    idx_folder(tmp_path)
    path = tmp_path / "train-images-idx3-ubyte"
    whole = path.read_bytes()
    for data, words in (
        (whole[:-5], "it is damaged"),
        (whole + b"x", "it is damaged"),
        (whole[:8], "cannot be read"),
        (b"\0\0\x0d\x03" + whole[4:], "not an idx file"),
        (struct.pack(">HBBIII", 0, 8, 3, 2**31, 2**15, 2**15), "refused unread"),
    ):
        path.write_bytes(data)
        with pytest.raises(DataError, match=rf"train-images-idx3-ubyte.*{words}"):
            load(tmp_path)
    path.unlink()
    with pytest.raises(DataError, match="no images file for 'train'"):
        load(tmp_path)


def test_idx_label_that_only_the_test_files_have(tmp_path: Path) -> None:
    idx_folder(tmp_path)
    write_idx(tmp_path / "t10k-labels-idx1-ubyte", np.full(20, 11, dtype=np.uint8))
    with pytest.raises(DataError, match="label '11' is not among the training samples"):
        load(tmp_path)


@pytest.mark.parametrize(
    "keys",
    [("x_train", "y_train", "x_test", "y_test"), ("train_images", "train_labels", "test_images", "test_labels")],
)
def test_npz_with_official_splits(tmp_path: Path, keys: tuple[str, ...]) -> None:
    path = tmp_path / "d.npz"
    np.savez_compressed(path, **dict(zip(keys, (X[:40], Y[:40], X[40:], Y[40:]), strict=True)))
    assert load(path).sizes["test"] == 20
    assert load(tmp_path).split_hash == load(path).split_hash


def test_npz_with_x_and_y(tmp_path: Path) -> None:
    path = tmp_path / "d.npz"
    np.savez(path, x=X, y=np.array(["a", "b", "c"])[Y])
    task = load(path)
    assert (task.name, task.labels) == ("d", ("a", "b", "c"))


def test_npz_with_other_keys_names_them(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x_train=X, y_trian=Y)
    with pytest.raises(DataError, match=r"no array 'y'.*x_train, y_trian"):
        load(tmp_path / "d.npz")


def test_object_arrays_are_refused_and_nothing_is_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return (open, (str(tmp_path / "ran"), "w"))

    np.savez(tmp_path / "d.npz", x=np.array([Evil()] * 4, dtype=object), y=np.arange(4))
    with pytest.raises(DataError, match=r"'x' is an array of Python objects.*refused"):
        load(tmp_path / "d.npz")
    assert not (tmp_path / "ran").exists()
    with pytest.raises(DataError, match="object"):
        load((np.array([Evil()] * 4, dtype=object), np.arange(4)))


def npy_header(shape: tuple[int, ...]) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return file.getvalue()


def test_zip_bombs_are_refused_by_their_declared_size(tmp_path: Path) -> None:
    path = tmp_path / "d.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", npy_header((2**40,)) + b"\0" * 100)
        archive.writestr("y.npy", npy_header((4,)) + b"\0\1\0\1")
    with pytest.raises(DataError, match=r"'x' declares the shape"):
        load(path)
    data = bytearray(path.read_bytes())
    at = data.rindex(b"PK\x01\x02", 0, data.rindex(b"PK\x01\x02"))
    data[at + 24 : at + 28] = (2**32 - 2).to_bytes(4, "little")  # declared size in the central directory
    path.write_bytes(bytes(data))
    with pytest.raises(DataError, match=r"d\.npz"):
        load(path)


def test_archives_larger_than_memory_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez_compressed(tmp_path / "d.npz", x=np.zeros((50, 64, 64), dtype=np.uint8), y=Y[:50])

    class Little:
        available = 100_000

    monkeypatch.setattr("archsmith.task.limits.psutil.virtual_memory", Little)
    with pytest.raises(DataError, match=r"d\.npz needs .*refused unread"):
        load(tmp_path / "d.npz")


def test_not_an_archive(tmp_path: Path) -> None:
    (tmp_path / "d.npz").write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(DataError, match=r"d\.npz: cannot be read"):
        load(tmp_path / "d.npz")


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (X, Y[:-1], "must hold one number or name for"),
        (X.astype(float) * np.nan, Y, "NaN or infinity"),
        (X, np.where(Y == 1, np.inf, Y), "y holds inf at sample 1"),
        (X, np.zeros(60), "at least two different values"),
        (X, RNG.permutation(60), "too many to be classes"),
        (RNG.normal(size=(60, 3)), RNG.permutation(60), "like a row number"),
        (X[0], Y, r"must hold one number|has the shape"),
        (X[:, 0, 0, 0], Y, "must hold one number"),
        (np.zeros((60, 2, 3, 4, 5)), Y, "has the shape"),
        (X[:0], Y[:0], "no samples"),
        ([np.zeros((2, 2)), np.zeros((3, 3))], [0, 1], "different shapes"),
        (RNG.normal(size=(5, 3)), RNG.normal(size=5), "at least 10 are needed"),
        (np.where(np.eye(60, 4) > 0, np.inf, 1.0), Y, "'col0' holds infinity in row 1"),
    ],
)
def test_bad_arrays_are_refused_with_a_reason(x: Any, y: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        load((x, y))


def test_datasets_of_other_things_are_refused() -> None:
    with pytest.raises(DataError, match="item 0 is not a pair"):
        load(TensorDataset(torch.zeros(4, 2)))
    ragged = [(torch.zeros(1, 4 + i // 3, 4), i % 2) for i in range(6)]
    with pytest.raises(DataError, match=r"item 3 has the shape \(1, 5, 4\)"):
        load(Pairs([x for x, _ in ragged], [y for _, y in ragged]))
    with pytest.raises(DataError, match="cannot read data of type int"):
        load(3)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"valid_fracton": 0.1}, "Did you mean 'valid_fraction'"),
        ({"goal": "clasification"}, "Did you mean 'classification'"),
        ({"folds": 1}, "folds=1"),
        ({"valid_fraction": 1.5}, "valid_fraction=1.5"),
        ({"folds": 3, "valid_fraction": 0.2}, "cannot both"),
        ({"image_size": 4}, "image_size=4"),
        ({"target": "y"}, "names a column"),
    ],
)
def test_unknown_options_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        load((X, Y), **options)


def test_missing_path_names_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    with pytest.raises(DataError, match="Did you mean 'photos'"):
        load(tmp_path / "photo")
    with pytest.raises(DataError, match="Did you mean 'digits'"):
        load("digit")
    (tmp_path / "a.doc").write_text("")
    with pytest.raises(DataError, match="files of this kind"):
        load(tmp_path / "a.doc")


@settings(max_examples=40, deadline=None)
@given(data=st.binary(max_size=300), name=st.sampled_from(["d.npz", "d.csv", "train-images-idx3-ubyte", "d.csv.gz"]))
def test_any_bytes_are_read_or_refused_but_never_crash(tmp_path_factory: Any, data: bytes, name: str) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / name).write_bytes(data)
    with contextlib.suppress(DataError):
        load(folder if "idx" in name else folder / name)
