"""Folders of images become uint8 tensors of one size, whatever kind of image was in them."""

import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from archsmith.errors import DataError
from archsmith.task import load, prepare

RNG = np.random.default_rng(0)


def picture(path: Path, mode: str = "RGB", size: tuple[int, int] = (12, 10), value: int | None = None) -> None:
    """Write one noisy image of (width, height)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    bands = len(Image.new(mode, (1, 1)).getbands())
    shape = (size[1], size[0], bands) if bands > 1 else (size[1], size[0])
    noise = RNG.integers(0, 256, shape) if value is None else np.full(shape, value)
    Image.fromarray(noise.astype(np.uint8)).save(path)


def classes(root: Path, count: int = 10, names: tuple[str, ...] = ("cat", "dog"), **kwargs: object) -> Path:
    for name in names:
        for i in range(count):
            picture(root / name / f"{i}.png", **kwargs)  # type: ignore[arg-type]
    return root


def test_folder_by_class_keeps_size_and_names(tmp_path: Path) -> None:
    task = load(classes(tmp_path))
    assert task.labels == ("cat", "dog")
    assert task.spec.input_shape == (3, 10, 12)
    assert task.train.x.dtype == torch.uint8
    assert sum(task.sizes.values()) == 20
    assert task.augment == "image"


def test_pixels_are_those_of_the_file(tmp_path: Path) -> None:
    for name, value in (("dark", 7), ("light", 200)):
        for i in range(5):
            picture(tmp_path / name / f"{i}.png", mode="L", value=value)
    task = load(tmp_path)
    assert task.spec.input_shape[0] == 1
    for x, y in zip(task.train.x, task.train.y, strict=True):
        assert (x == (7 if task.labels[y] == "dark" else 200)).all()


@pytest.mark.parametrize(("train", "valid", "test"), [("train", "val", "test"), ("training", "valid", "testing")])
def test_given_split_folders_are_the_splits(tmp_path: Path, train: str, valid: str, test: str) -> None:
    for name, count in ((train, 6), (valid, 3), (test, 4)):
        classes(tmp_path / name, count)
    task = load(tmp_path)
    assert task.sizes == {"train": 12, "valid": 6, "test": 8}
    assert any("test folder" in note for note in task.notes)


def test_missing_splits_are_cut_from_train_only(tmp_path: Path) -> None:
    classes(tmp_path / "train", 10)
    classes(tmp_path / "test", 3)
    assert load(tmp_path).sizes == {"train": 16, "valid": 4, "test": 6}


def test_mixed_sizes_and_modes_get_one_shape_and_a_note(tmp_path: Path) -> None:
    for i, mode in enumerate(["L", "RGB", "RGBA", "RGB", "L"]):
        picture(tmp_path / "a" / f"{i}.png", mode, (20 + i, 30))
        picture(tmp_path / "b" / f"{i}.PNG", mode, (40, 20 + i))
    task = load(tmp_path)
    assert task.spec.input_shape[0] == 3
    assert any("different sizes" in note for note in task.notes)
    assert any("transparent" in note for note in task.notes)
    assert load(tmp_path, image_size=16).spec.input_shape == (3, 16, 16)
    assert load(tmp_path, image_size=(8, 24)).spec.input_shape == (3, 8, 24)


def test_transparent_pixels_become_white(tmp_path: Path) -> None:
    for name in ("a", "b"):
        for i in range(5):
            path = tmp_path / name / f"{i}.png"
            path.parent.mkdir(exist_ok=True)
            Image.new("RGBA", (8, 8), (10, 20, 30, 0 if name == "a" else 255)).save(path)
    task = load(tmp_path)
    clear = task.train.x[task.train.y == 0]
    assert (clear == 255).all()
    assert (task.train.x[task.train.y == 1][0, :, 0, 0] == torch.tensor([10, 20, 30])).all()


def test_grey_images_stored_in_colour_use_one_channel(tmp_path: Path) -> None:
    for name in ("a", "b"):
        for i in range(5):
            path = tmp_path / name / f"{i}.jpg"
            path.parent.mkdir(exist_ok=True)
            grey = RNG.integers(0, 256, (9, 9)).astype(np.uint8)
            Image.fromarray(np.stack([grey] * 3, 2)).save(path, quality=95)
    assert load(tmp_path).spec.input_shape == (1, 9, 9)


def test_sixteen_bit_grey_keeps_its_range(tmp_path: Path) -> None:
    for name, value in (("a", 0), ("b", 65535)):
        for i in range(5):
            path = tmp_path / name / f"{i}.png"
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(np.full((8, 8), value, dtype=np.uint16)).save(path)
    task = load(tmp_path)
    assert {int(x.max()) for x in task.train.x} == {0, 255}


def test_sideways_photos_are_turned(tmp_path: Path) -> None:
    for name in ("a", "b"):
        for i in range(5):
            path = tmp_path / name / f"{i}.jpg"
            path.parent.mkdir(exist_ok=True)
            exif = Image.Exif()
            exif[0x0112] = 6
            Image.new("RGB", (32, 16), (i, 90, 200)).save(path, exif=exif)
    assert load(tmp_path).spec.input_shape == (3, 32, 16)


def test_large_photos_are_brought_to_a_trainable_size_of_their_aspect(tmp_path: Path) -> None:
    classes(tmp_path, 4, size=(400, 200))
    _, height, width = load(tmp_path).spec.input_shape
    assert height * width <= 100 * 100
    assert width == pytest.approx(2 * height, rel=0.2)


def test_other_files_are_ignored_with_a_note(tmp_path: Path) -> None:
    classes(tmp_path)
    (tmp_path / "cat" / "notes.txt").write_text("hello")
    (tmp_path / "cat" / ".DS_Store").write_text("")
    (tmp_path / ".git").mkdir()
    notes = load(tmp_path).notes
    assert [n for n in notes if "1 .txt" in n]


def test_a_new_photo_is_prepared_like_the_training_images(tmp_path: Path) -> None:
    task = load(classes(tmp_path / "data"))
    picture(tmp_path / "new.png", "RGBA", (30, 50))
    assert prepare(task, tmp_path / "new.png").shape == (1, 3, 10, 12)
    one = tmp_path / "data" / "cat" / "0.png"
    everything = torch.cat([task.train.x, task.valid.x, task.open_test().x])
    assert (everything == prepare(task, str(one))).flatten(1).all(1).any()
    assert prepare(task, tmp_path / "data").shape[0] == 20
    assert prepare(task, [one, one]).shape[0] == 2
    with pytest.raises(DataError, match=r"nothing\.png: there is no such file"):
        prepare(task, tmp_path / "nothing.png")


# Bad input


def test_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="folder is empty"):
        load(tmp_path)


def test_images_without_class_folders(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    with pytest.raises(DataError, match="no class folders"):
        load(tmp_path)


def test_one_class(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"one class only, 'cat'"):
        load(classes(tmp_path, names=("cat",)))


def test_class_folder_without_images(tmp_path: Path) -> None:
    classes(tmp_path)
    (tmp_path / "horse").mkdir()
    with pytest.raises(DataError, match=r"horse: no PNG or JPEG images"):
        load(tmp_path)


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_truncated_image_is_named(tmp_path: Path, suffix: str) -> None:
    classes(tmp_path)
    bad = tmp_path / "dog" / f"bad.{suffix}"
    picture(bad, size=(64, 64))
    bad.write_bytes(bad.read_bytes()[: bad.stat().st_size // 2])
    with pytest.raises(DataError, match=rf"dog/bad\.{suffix}"):
        load(tmp_path)


def test_unreadable_images_are_named_and_counted(tmp_path: Path) -> None:
    classes(tmp_path)
    for i in range(7):
        (tmp_path / "dog" / f"x{i}.png").write_bytes(b"not an image" * i)
    with pytest.raises(DataError, match=r"(?s)7 image.*x0\.png.*and 2 more"):
        load(tmp_path)


@pytest.mark.parametrize("side", [9_000, 12_000, 50_000])
def test_huge_image_is_refused_by_its_header(tmp_path: Path, side: int) -> None:
    classes(tmp_path)
    bomb = tmp_path / "dog" / "bomb.png"
    picture(bomb, "L", (8, 8))
    data = bytearray(bomb.read_bytes())
    data[16:24] = side.to_bytes(4, "big") * 2
    header = bytes(data[12:29])
    data[29:33] = zlib.crc32(header).to_bytes(4, "big")
    bomb.write_bytes(bytes(data))
    with pytest.raises(DataError, match=r"bomb\.png declares .*refused undecoded"):
        load(tmp_path)


def test_class_that_only_the_test_split_has(tmp_path: Path) -> None:
    classes(tmp_path / "train")
    classes(tmp_path / "test", names=("cat", "dgo"))
    with pytest.raises(DataError, match=r"'dgo' is not among the training classes\. Did you mean 'dog'"):
        load(tmp_path)


def test_too_few_images_of_a_class(tmp_path: Path) -> None:
    classes(tmp_path)
    classes(tmp_path, 2, names=("owl",))
    with pytest.raises(DataError, match=r"at least 3 samples.*'owl' has 2"):
        load(tmp_path)
