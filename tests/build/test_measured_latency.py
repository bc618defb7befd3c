"""Latency: how it is measured, with a clock that does as it is told."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from archsmith.build import latency
from archsmith.build.latency import burst_medians


class Clock:
    """A clock that a call moves forward by a scripted number of seconds, the last again and again."""

    def __init__(self, *durations: float) -> None:
        self.now, self.durations = 0.0, list(durations)

    def perf_counter(self) -> float:
        return self.now

    def call(self) -> None:
        self.now += self.durations.pop(0) if len(self.durations) > 1 else self.durations[0]


def measured(monkeypatch: pytest.MonkeyPatch, clock: Clock, seconds: float) -> tuple[float, float, int]:
    monkeypatch.setitem(burst_medians.__globals__, "time", SimpleNamespace(perf_counter=clock.perf_counter))
    return burst_medians(clock.call, seconds)


def test_a_steady_call_is_measured_exactly_and_the_time_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(2**-9)
    median, iqr, calls = measured(monkeypatch, clock, 0.25)
    assert (median, iqr) == (2**-9, 0.0)
    assert calls >= 100
    assert clock.now <= 0.25 + 6 * 2**-9


def test_a_disturbed_round_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    quiet, loud = 2**-9, 2**-6
    median, iqr, _ = measured(monkeypatch, Clock(*[quiet] * 30, *[loud] * 4, quiet), 0.25)
    assert (median, iqr) == (quiet, 0.0)


def test_the_cold_first_calls_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    median, _, _ = measured(monkeypatch, Clock(1.0, 1.0, 2**-9), 0.25)
    assert median == 2**-9


def test_a_call_longer_than_the_time_is_still_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    median, iqr, calls = measured(monkeypatch, Clock(1.0), 0.25)
    assert (median, iqr) == (1.0, 0.0)
    assert calls == 10


def test_measuring_leaves_threads_mode_and_weights_as_they_were() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout())
    before = torch.get_num_threads()
    mean = network[1].running_mean.clone()
    found = latency(network, (1, 8, 8), batch=3, threads=before + 1, seconds=0.02)
    assert torch.get_num_threads() == before
    assert network.training and torch.equal(network[1].running_mean, mean)
    assert (found.batch, found.threads, found.device) == (3, before + 1, "cpu")
    assert found.median_ms > 0 and found.iqr_ms >= 0 and found.calls >= 10


def test_threads_are_restored_when_the_network_fails() -> None:
    before = torch.get_num_threads()
    with pytest.raises(RuntimeError):
        latency(nn.Linear(3, 3), (4,), threads=before + 1)
    assert torch.get_num_threads() == before
