"""A training that was interrupted, or promoted, is the training that was not."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from archsmith.estimate import Machine, Settings, Trained, load_weights, train, training
from archsmith.task import Task

RECIPES = [
    Settings(batch_size=32, augment="shift_flip_cutout", warmup=5),
    Settings(batch_size=32, optimizer="adamw", mixup=0.4, warmup=5, ema=0.9),
]


class Killed(Exception):
    pass


def kill_after(rows: int) -> Callable[[Mapping[str, float]], None]:
    seen: list[Mapping[str, float]] = []

    def report(row: Mapping[str, float]) -> None:
        seen.append(row)
        if len(seen) > rows:
            raise Killed

    return report


def same(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture
def run(images: Task, network: Callable[[], nn.Module], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Trained]:
    # Every epoch is evaluated and saved, however little time it takes.
    monkeypatch.setattr(training, "_EVALUATING_SHARE", float("inf"))
    monkeypatch.setattr(training, "_SAVING_SHARE", float("inf"))

    def run(settings: Settings, seed: int = 1, **options: Any) -> Trained:
        machine = options.pop("machine", Machine(threads=1))
        return train(network(), images, settings, machine=machine, seed=seed, **options)

    return run


@pytest.mark.parametrize("cooldown", [1.0, 0.4])
@pytest.mark.parametrize("settings", RECIPES)
def test_killed_after_any_epoch_and_resumed_it_ends_bit_for_bit_the_same(
    run: Callable[..., Trained], tmp_path: Path, settings: Settings, cooldown: float
) -> None:
    straight = run(settings, epochs=4, cooldown=cooldown)
    for rows in range(1, 4):
        folder = tmp_path / str(rows)
        with pytest.raises(Killed):
            run(settings, epochs=4, cooldown=cooldown, checkpoint=folder, report=kill_after(rows))
        resumed = run(settings, seed=99, epochs=4, cooldown=cooldown, checkpoint=folder, resume=folder)
        assert resumed.resumed and not straight.resumed
        assert same(resumed.network.state_dict(), straight.network.state_dict())
        assert resumed.metrics["train_loss"] == straight.metrics["train_loss"]
        assert [row["epoch"] for row in resumed.curve] == [1.0, 2.0, 3.0, 4.0]
        assert sorted(p.name for p in folder.iterdir()) == ["final.safetensors"] + ["trunk.safetensors"] * (
            cooldown < 1
        )
        assert same(load_weights(folder), straight.network.state_dict())


@pytest.mark.parametrize("settings", RECIPES)
@pytest.mark.parametrize("rungs", [(1.0, 3.0), (0.5, 1.0, 2.25)])
def test_promoted_to_more_epochs_it_is_the_training_that_had_them_from_the_start(
    run: Callable[..., Trained], tmp_path: Path, settings: Settings, rungs: tuple[float, ...]
) -> None:
    straight = run(settings, epochs=rungs[-1], cooldown=0.5)
    previous = None
    for number, epochs in enumerate(rungs):
        folder = tmp_path / str(number)
        promoted = run(settings, seed=number, epochs=epochs, cooldown=0.5, checkpoint=folder, resume=previous)
        previous = folder
    first = run(settings, seed=0, epochs=rungs[-1], cooldown=0.5)
    assert promoted.resumed and promoted.epochs == first.epochs
    assert same(promoted.network.state_dict(), first.network.state_dict())
    assert not same(promoted.network.state_dict(), straight.network.state_dict()), "the seed is the first rung's"


def test_stopped_by_its_deadline_and_resumed_it_ends_the_same(run: Callable[..., Trained], tmp_path: Path) -> None:
    settings = RECIPES[0]
    straight = run(settings, epochs=30)
    stopped = run(settings, epochs=30, checkpoint=tmp_path, deadline=time.monotonic() + 0.4)
    assert stopped.stopped and stopped.epochs < 30 and "accuracy" in stopped.metrics
    resumed = run(settings, epochs=30, checkpoint=tmp_path, resume=tmp_path)
    assert not resumed.stopped and resumed.epochs == 30
    assert same(resumed.network.state_dict(), straight.network.state_dict())


def test_channels_last_resumes_as_exactly(run: Callable[..., Trained], tmp_path: Path) -> None:
    machine = Machine(threads=1, channels_last=True)
    straight = run(RECIPES[0], epochs=3, machine=machine)
    with pytest.raises(Killed):
        run(RECIPES[0], epochs=3, machine=machine, checkpoint=tmp_path, report=kill_after(2))
    resumed = run(RECIPES[0], epochs=3, machine=machine, checkpoint=tmp_path, resume=tmp_path)
    assert same(resumed.network.state_dict(), straight.network.state_dict())


@pytest.mark.parametrize("cooldown", [1.0, 0.5])
@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 0.75, 0.95])
def test_a_damaged_last_state_gives_way_to_the_one_before_it(
    run: Callable[..., Trained], tmp_path: Path, share: float, cooldown: float
) -> None:
    straight = run(RECIPES[0], epochs=4, cooldown=cooldown)
    with pytest.raises(Killed):
        run(RECIPES[0], epochs=4, cooldown=cooldown, checkpoint=tmp_path, report=kill_after(3))
    last = tmp_path / "last.safetensors"
    last.write_bytes(last.read_bytes()[: int(share * last.stat().st_size)])
    resumed = run(RECIPES[0], epochs=4, cooldown=cooldown, resume=tmp_path)
    assert resumed.resumed and same(resumed.network.state_dict(), straight.network.state_dict())
    assert "last.safetensors" in resumed.notes[0]


def test_a_flipped_bit_is_found_and_said(run: Callable[..., Trained], tmp_path: Path) -> None:
    with pytest.raises(Killed):
        run(RECIPES[0], epochs=3, checkpoint=tmp_path, report=kill_after(2))
    for path in tmp_path.iterdir():
        data = bytearray(path.read_bytes())
        data[-9] ^= 1
        path.write_bytes(data)
    fresh = run(RECIPES[0], epochs=1, resume=tmp_path)
    assert not fresh.resumed and all("was altered" in note for note in fresh.notes) and fresh.notes


@pytest.mark.parametrize("steps", [1, 7, 12])
def test_interrupted_between_two_steps_it_saves_and_goes_on_as_if_it_had_not_been(
    run: Callable[..., Trained], tmp_path: Path, steps: int
) -> None:
    looks: list[int] = []

    def interrupted() -> bool:
        looks.append(1)
        return len(looks) > steps

    straight = run(RECIPES[1], epochs=3)
    cut = run(RECIPES[1], epochs=3, checkpoint=tmp_path, interrupted=interrupted)
    assert cut.stopped and cut.epochs < 3
    resumed = run(RECIPES[1], epochs=3, checkpoint=tmp_path, resume=[tmp_path, tmp_path / "nothing"])
    assert resumed.resumed and not resumed.stopped
    assert same(resumed.network.state_dict(), straight.network.state_dict())


def test_a_folder_without_a_usable_state_begins_anew(run: Callable[..., Trained], tmp_path: Path) -> None:
    fresh = run(RECIPES[0], epochs=1, resume=tmp_path / "nothing")
    assert not fresh.resumed and fresh.epochs == 1.0


def test_a_finished_training_goes_on_for_seconds_from_before_its_cool_down(
    run: Callable[..., Trained], tmp_path: Path
) -> None:
    run(RECIPES[0], epochs=2, cooldown=0.5, checkpoint=tmp_path)
    longer = run(RECIPES[0], seconds=0.5, resume=tmp_path)
    assert longer.resumed and longer.epochs > 1.0
