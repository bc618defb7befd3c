"""A checkpoint is whole or refused, and writing one never harms the one before."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from archsmith.errors import StoreError
from archsmith.estimate import load_checkpoint, save_checkpoint

TENSORS = {
    "weight": torch.randn(4, 3, 2, 2, generator=torch.Generator().manual_seed(0)).to(memory_format=torch.channels_last),
    "count": torch.tensor(7),
    "half": torch.ones(3, dtype=torch.bfloat16),
    "state": torch.arange(16, dtype=torch.uint8),
}
SCALARS = {"step": 12, "lr": 0.1 + 0.2, "curve": [{"epoch": 1.0}], "name": "größe"}


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    shared = {**TENSORS, "tied": TENSORS["state"]}
    save_checkpoint(tmp_path / "new" / "a.safetensors", shared, SCALARS)
    tensors, scalars = load_checkpoint(tmp_path / "new" / "a.safetensors")
    assert scalars == SCALARS
    assert set(tensors) == set(shared)
    assert all(
        torch.equal(tensors[name], value) and tensors[name].dtype == value.dtype for name, value in shared.items()
    )
    assert os.listdir(tmp_path / "new") == ["a.safetensors"]


@pytest.mark.parametrize("kept", [0.0, 0.25, 0.5, 0.75, 0.95])
def test_a_file_cut_short_is_refused(tmp_path: Path, kept: float) -> None:
    path = tmp_path / "a.safetensors"
    save_checkpoint(path, TENSORS, SCALARS)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(StoreError, match="missing or damaged"):
        load_checkpoint(path)


def test_every_flipped_bit_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_checkpoint(path, TENSORS, SCALARS)
    data = path.read_bytes()
    for position in range(8, len(data), 7):
        changed = bytearray(data)
        changed[position] ^= 1
        path.write_bytes(changed)
        try:
            tensors, scalars = load_checkpoint(path)
        except StoreError:
            continue
        # The header has a little slack, such as the space that pads it: a flip there changes nothing that is read.
        assert scalars == SCALARS
        assert {n: t.tolist() for n, t in tensors.items()} == {n: t.tolist() for n, t in TENSORS.items()}


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"none\.safetensors"):
        load_checkpoint(tmp_path / "none.safetensors")


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_failed_write_leaves_the_previous_file(tmp_path: Path, call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.safetensors"
    save_checkpoint(path, TENSORS, SCALARS)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, call, full)
    with pytest.raises(StoreError, match="No space left"):
        save_checkpoint(path, {"weight": torch.zeros(1)}, {})
    monkeypatch.undo()
    assert load_checkpoint(path)[1] == SCALARS
    assert os.listdir(tmp_path) == ["a.safetensors"]
