"""How long a network takes on this machine, measured."""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

__all__ = ["Latency", "burst_medians", "latency"]

_ROUNDS = 5


@dataclass(frozen=True)
class Latency:
    """Measured milliseconds of one forward pass of a whole batch.

    ``median_ms`` and ``iqr_ms`` (the distance between the quartiles) are those of the quietest of several rounds:
    other work on the machine only ever makes a round slower. ``calls`` were timed in all.
    """

    median_ms: float
    iqr_ms: float
    calls: int
    batch: int
    threads: int
    device: str


def latency(
    network: nn.Module,
    input_shape: Sequence[int],
    *,
    batch: int = 1,
    threads: int = 1,
    device: str = "cpu",
    seconds: float = 0.2,
) -> Latency:
    """Return the measured latency of a network on float32 input ``[batch, *input_shape]``.

    A copy is run in evaluation mode without gradients, on ``threads`` threads (as many as before afterwards), in about
    ``seconds`` of time, of which a fifth warms up. On CUDA and MPS each call is waited for.
    """
    where = torch.device(device)
    network = copy.deepcopy(network).to(where).eval()
    x = torch.rand(batch, *input_shape, generator=torch.Generator().manual_seed(0)).to(where)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.inference_mode():
            median, iqr, calls = burst_medians(lambda: _run(network, x, where), seconds)
    finally:
        torch.set_num_threads(before)
    return Latency(median * 1e3, iqr * 1e3, calls, batch, threads, str(where))


def _run(network: nn.Module, x: torch.Tensor, device: torch.device) -> None:
    network(x)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def burst_medians(call: Callable[[], object], seconds: float) -> tuple[float, float, int]:
    """Return the median and quartile distance, in seconds, of the quietest round of calls, and how many were timed.

    After a warm-up of a fifth of the time, and at least two calls, the rest is five rounds of at least two calls each,
    however long a call takes.
    """
    start = time.perf_counter()
    warm = 0
    while warm < 2 or time.perf_counter() - start < seconds / 5:
        call()
        warm += 1
    rounds: list[tuple[float, float]] = []
    calls = 0
    start = time.perf_counter()
    for number in range(1, _ROUNDS + 1):
        end = start + seconds * 0.8 * number / _ROUNDS
        times: list[float] = []
        while len(times) < 2 or time.perf_counter() < end:
            began = time.perf_counter()
            call()
            times.append(time.perf_counter() - began)
        quartiles = statistics.quantiles(times, n=4, method="inclusive")
        rounds.append((quartiles[1], quartiles[2] - quartiles[0]))
        calls += len(times)
    median, iqr = min(rounds)
    return median, iqr, calls
