"""Checkpoints that rot, and disks that do not take them."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from archsmith.estimate import Machine, Settings, load_weights, train
from archsmith.failpoint import arm
from archsmith.task import Task, load


@pytest.fixture(scope="module")
def task() -> Task:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(120, 4, generator=generator)
    return load((x.numpy(), (x.sum(1) > 2).long().numpy()))


def trained(task: Task, folder: Path, resume: Path | None = None, **more: Any) -> Any:
    layers = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(task.spec.input_shape), 8), nn.ReLU(), nn.Linear(8, 2))
    with torch.no_grad():
        for number, parameter in enumerate(layers.parameters()):
            values = torch.rand(parameter.shape, generator=torch.Generator().manual_seed(number))
            parameter.copy_(values - 0.5)
    settings = Settings(batch_size=16, augment="none")
    budget = {"epochs": 4.0, "cooldown": 0.5, **more}
    return train(layers, task, settings, machine=Machine(), seed=0, checkpoint=folder, resume=resume, **budget)


def spoil(path: Path, how: str) -> None:
    data = path.read_bytes()
    if how == "flip":
        path.write_bytes(data[:-3] + bytes([data[-3] ^ 1]) + data[-2:])
    else:
        path.write_bytes(data[: int(len(data) * float(how))])


@pytest.mark.parametrize("how", ["flip", "0", "0.25", "0.95"])
def test_a_damaged_checkpoint_is_passed_over_and_said(how: str, task: Task, tmp_path: Path) -> None:
    trained(task, tmp_path / "first")
    whole = trained(task, tmp_path / "whole", tmp_path / "first", epochs=8.0)
    assert whole.resumed and not whole.notes
    spoil(tmp_path / "first" / "trunk.safetensors", how)
    again = trained(task, tmp_path / "again", tmp_path / "first", epochs=8.0)
    assert not again.resumed  # there was no other one, so it began anew, to the same end
    assert len(again.notes) == 1 and "trunk.safetensors" in again.notes[0] and "begins anew" in again.notes[0]
    ends = [load_weights(tmp_path / name) for name in ("whole", "again")]
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


def test_a_disk_that_takes_no_checkpoint_costs_no_training(task: Task, tmp_path: Path) -> None:
    expected = trained(task, tmp_path / "expected")
    arm("checkpoint.*=enospc")
    try:
        got = trained(task, tmp_path / "full")
    finally:
        arm("")
    assert got.metrics["log_loss"] == expected.metrics["log_loss"] and not got.stopped
    assert any("No space left on device" in note and "went on without it" in note for note in got.notes)
    assert not [p for p in (tmp_path / "full").rglob("*") if p.is_file()] if (tmp_path / "full").exists() else True
