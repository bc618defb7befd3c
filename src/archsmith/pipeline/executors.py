"""Where the trials of a run are done, and what one of them may take."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psutil
import torch

from archsmith.errors import UsageError
from archsmith.estimate import Machine
from archsmith.execute import Executor, Inline, Processes, Ray
from archsmith.execute.protocol import Evaluation
from archsmith.pipeline.pause import Pause
from archsmith.request import Request

__all__ = ["LEAST_SECONDS", "MOST_MEMORY", "MOST_OF_SEARCH", "OF_A_NODE", "STALLED_S", "make_executor"]

MOST_OF_SEARCH = 0.6  # of the time for searching, what one trial may take: about twice what the longest should
LEAST_SECONDS = 30.0
STALLED_S = 600.0  # a training saves its state every 30 seconds
MOST_MEMORY = 0.8  # of the memory that is free, what all trials together may take
OF_A_NODE = 0.75  # of that, what is asked of a node of a Ray cluster, which has a third of its own set aside


def make_executor(
    estimator: Evaluation,
    request: Request,
    machine: Machine,
    folder: Path,
    share: float,
    *,
    workers: bool,
    pause: Pause,
    note: Callable[[str], None],
) -> Executor:
    """Return what runs the trials of a search of ``share`` seconds: this process, or ``workers`` if they can be had.

    Raises ``UsageError`` where those that were asked for cannot be.
    """
    most = max(MOST_OF_SEARCH * share, LEAST_SECONDS)
    memory = _memory(machine)
    if not workers:
        return Inline(estimator, folder, seed=request.seed, interrupted=pause)
    if request.executor == "ray":
        return Ray(
            estimator,
            folder,
            threads=machine.threads,
            gpus=float(machine.device.startswith("cuda")),
            memory=None if memory is None else int(OF_A_NODE * memory),
            seed=request.seed,
            trial_seconds=most,
            initialize=torch.set_num_threads,
        )
    try:
        return Processes(
            estimator,
            folder,
            machine.slots,
            machine.threads,
            seed=request.seed,
            initialize=torch.set_num_threads,
            trial_seconds=most,
            memory_bytes=memory,
            stall_seconds=STALLED_S,
        )
    except UsageError as error:  # such as a space made of functions that another process cannot find
        if request.executor == "processes":
            raise
        note(f"one trial at a time, in this process: {error}")
        return Inline(estimator, folder, seed=request.seed, interrupted=pause)


def _memory(machine: Machine) -> int | None:
    """Return the bytes that one trial may take on the CPU; an accelerator's memory keeps its own account."""
    if machine.device != "cpu":
        return None
    return max(1_000_000_000, int(MOST_MEMORY * psutil.virtual_memory().available / machine.slots))
