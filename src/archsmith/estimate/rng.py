"""The random state of a training: torch's global generators, borrowed and given back.

Dropout layers draw from torch's global generators and cannot be handed another one. So a training borrows them: they
are seeded on entry, saved in checkpoints, and as they were before on exit.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

__all__ = ["borrowed_generators", "restore_rng", "rng_tensors"]


@contextlib.contextmanager
def borrowed_generators(device: str, seed: int) -> Iterator[None]:
    """Run the context with torch's global generators seeded by ``seed``, and put them back as they were."""
    before = rng_tensors(device)
    kind = torch.device(device).type
    torch.set_rng_state(torch.Generator().manual_seed(seed).get_state())
    if kind == "cuda":
        torch.cuda.set_rng_state(torch.Generator(device).manual_seed(seed).get_state(), device)
    elif kind == "mps":
        torch.mps.set_rng_state(torch.Generator(device).manual_seed(seed).get_state())
    try:
        yield
    finally:
        restore_rng(device, before)


def rng_tensors(device: str) -> dict[str, Tensor]:
    """Return the state of the global generators that a network on ``device`` draws from, as byte tensors."""
    state = {"rng/cpu": torch.get_rng_state()}
    kind = torch.device(device).type
    if kind == "cuda":
        state["rng/cuda"] = torch.cuda.get_rng_state(device)
    elif kind == "mps":
        state["rng/mps"] = torch.mps.get_rng_state()
    return state


def restore_rng(device: str, tensors: Mapping[str, Tensor]) -> None:
    """Put back what ``rng_tensors`` returned; states of a device that is not used any more are passed over."""
    kind = torch.device(device).type
    torch.set_rng_state(tensors["rng/cpu"])
    if kind == "cuda" and "rng/cuda" in tensors:
        torch.cuda.set_rng_state(tensors["rng/cuda"], device)
    elif kind == "mps" and "rng/mps" in tensors:
        torch.mps.set_rng_state(tensors["rng/mps"])
