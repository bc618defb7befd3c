"""Measuring, in seconds rather than minutes, how trainings run fastest on the hardware that is there."""

from __future__ import annotations

import copy
import math
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import psutil
import torch
from torch import nn

from archsmith.errors import UsageError, nearest
from archsmith.estimate.feed import make_feed
from archsmith.estimate.machine import Machine, place_network, synchronize, using_threads
from archsmith.estimate.optimizer import make_optimizer
from archsmith.estimate.rng import borrowed_generators
from archsmith.estimate.settings import Settings
from archsmith.estimate.step import make_step
from archsmith.task import Task

__all__ = ["checked_device", "measure_machine", "step_seconds", "unmeasured_machine"]

# Less precise arithmetic and many small trials side by side have their price; they must earn it.
_PRECISION_GAIN, _FORMAT_GAIN, _SLOTS_GAIN = 1.10, 1.03, 1.15
_ALONE_GAIN = 1.25  # by which fewer threads must be faster for one training: other load slows several threads more
_PROBE = 16
_CROWDED = 3.0  # times slower than one thread: then several wait for each other
_LEAST_STEPS = 6  # how many at least are taken to compare anything
_PATIENCE, _LONG = 3.0, 5.0  # what these may take: so many times the time that was given, or so many seconds

_Stepper = Callable[[int | None], float]


def step_seconds(
    network: nn.Module,
    task: Task,
    settings: Settings,
    machine: Machine,
    steps: int = 5,
    resolution: int | None = None,
    seconds: float = math.inf,
) -> float:
    """Return the least seconds of a training step, batch preparation included; the network is left as it was.

    The least, because other load on the machine can only slow a step down, sometimes a hundredfold. Where a whole batch
    would take longer than ``seconds``, the answer is drawn from a step on few samples; no more steps are begun when
    they are over, so that 0 is a mere glance.
    """
    with using_threads(machine.threads), borrowed_generators(machine.device, 0):
        one, began = _stepper(network, task, settings, machine, resolution), time.monotonic()
        one(_PROBE)  # the first call also chooses kernels
        predicted = one(_PROBE) * max(1.0, min(settings.batch_size, len(task.train.y)) / _PROBE)
        times = [predicted] if predicted > seconds else [one(None)]
        while len(times) <= steps and time.monotonic() - began < seconds:
            times.append(one(None))
        return min(times)


def measure_machine(
    task: Task,
    make_network: Callable[[], nn.Module],
    settings: Settings | None = None,
    seconds: float = 6.0,
    device: str | None = None,
) -> Machine:
    """Return the machine with the fastest way found of training networks like ``make_network()`` on the task.

    ``device`` is the fastest kind there is unless named.
    Compares precisions and memory formats, then, on the CPU, one training on all cores with several side by side on
    fewer. Spends about ``seconds``: plain float32, one training on all cores and one thread each are always measured,
    and on a machine so busy that the time is then over, nothing else is. Where even that would take several times as
    long, since the network is so large, nothing is. The notes say what was found.
    """
    settings = settings or Settings()
    base, network = unmeasured_machine(device), make_network()
    device, cores = base.device, base.threads
    one, all_of_them = (
        step_seconds(network, task, settings, replace(base, threads=threads), seconds=0.0) for threads in (1, cores)
    )
    if _LEAST_STEPS * one > max(_PATIENCE * seconds, _LONG):
        note = f"a training step takes about {one:.2g} s, so ways of computing it were not compared"
        return replace(base, notes=(*base.notes, note))
    with borrowed_generators(device, 0):
        if all_of_them > _CROWDED * one:  # looking at them more closely could take minutes
            chosen = _choose_format(replace(base, threads=1), task, network, settings, seconds)
            note = "other programs use the processors, so that threads wait for each other: one for each trial"
            return replace(chosen, slots=cores, notes=(*chosen.notes, note))
        chosen = _choose_format(base, task, network, settings, 0.5 * seconds)
        if device != "cpu" or cores == 1:
            return chosen
        return _choose_slots(chosen, task, network, settings, 0.5 * seconds)


def unmeasured_machine(device: str | None = None) -> Machine:
    """Return the machine as it is used where nothing was measured: float32, one training on all cores."""
    device, cores = checked_device(device) if device else _device(), _cores()
    return Machine(device, threads=cores, notes=(f"{cores} core{'s' * (cores > 1)}, device {device}",))


def _choose_format(base: Machine, task: Task, network: nn.Module, settings: Settings, seconds: float) -> Machine:
    """Return ``base`` with the fastest precision and memory format."""
    formats = (False, True) if task.spec.kind == "image" else (False,)
    candidates = [replace(base, channels_last=last) for last in formats]
    if _computes_bfloat16(base.device):
        candidates += [replace(c, precision="bfloat16") for c in candidates]
    times = dict(zip(candidates, _race(candidates, task, network, settings, seconds), strict=True))

    def cost(machine: Machine) -> float:
        penalty = _PRECISION_GAIN if machine.precision == "bfloat16" else 1.0
        return times[machine] * penalty * (_FORMAT_GAIN if machine.channels_last else 1.0)

    best = min(candidates, key=cost)
    listing = ", ".join(
        f"{m.precision}{' channels last' * m.channels_last} {1000 * t:.1f} ms" for m, t in times.items() if t < math.inf
    )
    return replace(best, notes=(*base.notes, f"a training step of {settings.batch_size}: {listing}"))


def _race(
    candidates: Sequence[Machine], task: Task, network: nn.Module, settings: Settings, seconds: float
) -> list[float]:
    """Return each candidate's least seconds per step, measured in turns so that other load hits all alike.

    A candidate that the device cannot run is out, and so is one that takes thrice the best on a handful of samples, or
    whose turn came when the time was over. What is out is infinite; the first candidate never is.
    """
    began = time.monotonic()
    times = [math.inf] * len(candidates)
    with using_threads(candidates[0].threads):
        steppers: dict[int, _Stepper] = {}
        for i, candidate in enumerate(candidates):
            if i > 0 and time.monotonic() - began > seconds:
                break
            stepper = _stepper(network, task, settings, candidate, None)
            try:
                stepper(_PROBE)  # the first call also chooses kernels
                times[i] = min(stepper(_PROBE) for _ in range(3))
            except (RuntimeError, NotImplementedError):
                if i == 0:  # float32 in torch's own format runs everywhere, so this is the network's fault
                    raise
                continue
            steppers[i] = stepper
        steppers = {i: stepper for i, stepper in steppers.items() if times[i] <= 3 * min(times)}
        times = [math.inf] * len(candidates)
        for _ in range(30):
            for i, stepper in steppers.items():
                times[i] = min(times[i], stepper(None))
            if time.monotonic() - began > seconds:
                break
    return times


def _choose_slots(machine: Machine, task: Task, network: nn.Module, settings: Settings, seconds: float) -> Machine:
    """Return ``machine`` with how many trials to run side by side, by the steps per second of all together."""
    cores = machine.threads
    options = [cores, *(t for t in (2**i for i in range(10)) if t < cores and cores % t == 0)]
    share, began, rates = seconds / len(options), time.monotonic(), dict[int, float]()
    for t in options:
        # One thread is always looked at: on a busy machine several wait for each other most of the time.
        if t in options[:2] or time.monotonic() - began < seconds:
            rates[t] = _throughput(machine, cores // t, t, network, task, settings, share)
    best = max(rates, key=lambda threads: rates[threads] * (_SLOTS_GAIN if threads == cores else 1.0))
    listing = ", ".join(f"{cores // t} x {t} threads {rate:.1f}" for t, rate in rates.items())
    note = f"steps per second of trials side by side: {listing}"
    single = max(
        rates, key=lambda threads: rates[threads] / (cores // threads) * (_ALONE_GAIN if threads == cores else 1.0)
    )
    return replace(machine, threads=best, slots=cores // best, single=single, notes=(*machine.notes, note))


def _throughput(
    machine: Machine, slots: int, threads: int, network: nn.Module, task: Task, settings: Settings, seconds: float
) -> float:
    """Return the steps per second of ``slots`` trainings at once, each in its own thread of this process.

    Trials will run in processes, which start too slowly to be measured here. Threads that compute in torch let each
    other run, so what they reach is close to it and at most a little less.
    """
    steppers = [_stepper(network, task, settings, replace(machine, threads=threads), None) for _ in range(slots)]
    barrier = threading.Barrier(slots)

    def work(stepper: _Stepper) -> float:
        """Return the steps per second of one training, counted while all of them run."""
        with using_threads(threads):
            try:
                stepper(None)
                barrier.wait()
            except BaseException:
                barrier.abort()  # or the others would wait for ever
                raise
            began = time.monotonic()
            count = 0
            while count == 0 or time.monotonic() - began < seconds:
                stepper(None)
                count += 1
            return count / (time.monotonic() - began)

    with using_threads(threads), ThreadPoolExecutor(slots) as pool:
        return sum(pool.map(work, steppers))


def _stepper(network: nn.Module, task: Task, settings: Settings, machine: Machine, resolution: int | None) -> _Stepper:
    """Return a function that takes one real training step on a copy of the network and returns its seconds.

    It trains on the first so many samples of a batch, or on all of it for None.
    """
    network = place_network(copy.deepcopy(network), machine).train()
    feed = make_feed(task, settings, machine, 1.0, resolution)
    generator = torch.Generator(machine.device).manual_seed(0)
    optimizer = make_optimizer(network, settings)
    step = make_step(network, task, settings, machine, optimizer, generator)
    batch = feed.order(0, 0)[: feed.batch]

    def one(samples: int | None) -> float:
        synchronize(machine.device)
        began = time.monotonic()
        step(*feed.take(batch[:samples], generator))
        synchronize(machine.device)
        return time.monotonic() - began

    return one


def checked_device(name: str) -> str:
    """Return the name of a device that is there; raises ``UsageError`` for others."""
    there = [*(f"cuda:{i}" for i in range(torch.cuda.device_count())), "cpu"]
    there += ["cuda"] * torch.cuda.is_available() + ["mps"] * torch.backends.mps.is_available()
    if name not in there:
        raise UsageError(f"There is no device {name!r} here. {nearest(name, there)}")
    return name


def _device() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _computes_bfloat16(device: str) -> bool:
    """Return whether the hardware computes in bfloat16; a processor that only emulates it is slower than in float32."""
    if device != "cpu":
        return True
    # Older versions of torch cannot tell, so there it is measured.
    known: Mapping[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    names = ("avx512_bf16", "amx_bf16", "avx10_1", "avx10_2")
    return known.get("architecture") != "x86_64" or any(known.get(name) for name in names)


def _cores() -> int:
    """Return how many cores this process may compute on, not counting the second threads of one core."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(allowed, psutil.cpu_count(logical=False) or allowed))
