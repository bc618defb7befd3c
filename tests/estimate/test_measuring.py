"""Measuring the machine names what it found, and changes nothing."""

import os
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from archsmith.estimate import Machine, Settings, measure, measure_machine, step_seconds
from archsmith.task import Task


def test_a_machine_can_be_trained_on_and_says_why_it_was_chosen(images: Task, network: Callable[[], nn.Module]) -> None:
    threads, generator = torch.get_num_threads(), torch.get_rng_state()
    machine = measure_machine(images, network, Settings(batch_size=32), seconds=0.0)
    assert machine.threads >= 1 and machine.slots >= 1
    assert any("float32" in note and "ms" in note for note in machine.notes)
    assert machine.alone().slots == 1 and 1 <= machine.alone().threads <= machine.slots * machine.threads
    assert torch.get_num_threads() == threads and torch.equal(generator, torch.get_rng_state())
    assert machine.to_json()["notes"] == list(machine.notes)


def test_tables_have_no_memory_format_to_choose(numbers: Task, regressor: Callable[[], nn.Module]) -> None:
    machine = measure_machine(numbers, regressor, Settings(batch_size=32), seconds=0.0)
    assert not machine.channels_last
    assert not any("channels last" in note for note in machine.notes)


def test_a_network_that_does_not_run_is_an_error_and_not_a_slow_candidate(images: Task) -> None:
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        measure_machine(images, lambda: nn.Sequential(nn.Flatten(), nn.Linear(3, 4)), seconds=0.0)


def test_timing_a_step_leaves_the_network_as_it_was(images: Task, network: Callable[[], nn.Module]) -> None:
    model = network()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert step_seconds(model, images, Settings(batch_size=32), Machine(threads=1), steps=3) > 0.0
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_no_time_at_all_still_gives_a_machine_that_can_be_trained_on(
    images: Task, network: Callable[[], nn.Module]
) -> None:
    machine = measure_machine(images, network, seconds=0.0, device="cpu")
    assert machine.precision == "float32" and not machine.channels_last
    assert machine.slots * machine.threads <= max(1, os.cpu_count() or 1)


def test_a_step_too_long_for_the_time_is_told_from_few_samples(images: Task) -> None:
    seen: list[int] = []

    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(images.spec.input_shape[0], images.spec.outputs)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(len(x))
            return self.head(x.mean((2, 3)))

    assert step_seconds(Counting(), images, Settings(batch_size=64), Machine(threads=1), seconds=0.0) > 0.0
    assert max(seen) <= 16, "no whole batch where there is no time for one"
    seen.clear()
    step_seconds(Counting(), images, Settings(batch_size=32), Machine(threads=1), steps=2)
    assert max(seen) >= 32


def test_where_threads_wait_for_each_other_nothing_is_measured_with_several(
    images: Task, network: Callable[[], nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[int] = []
    step = measure._stepper

    def crowded(*arguments: Any) -> Callable[[int | None], float]:
        threads, one = arguments[3].threads, step(*arguments)

        def slow(samples: int | None) -> float:
            used.append(threads)
            return one(samples) * (100.0 if threads > 1 else 1.0)

        return slow

    monkeypatch.setattr(measure, "_stepper", crowded)
    monkeypatch.setattr(measure, "_cores", lambda: 4)
    machine = measure_machine(images, network, Settings(batch_size=32), seconds=0.0, device="cpu")
    assert (machine.threads, machine.slots, machine.alone().threads) == (1, 4, 4)
    assert used.count(4) == 2, "a glance, and no more"
