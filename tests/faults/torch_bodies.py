"""Evaluations that need torch, importable by worker processes; the others, which start faster, stand elsewhere."""

import hashlib
import io
import os
import random
import re
import signal
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from archsmith.run import Run
from archsmith.trial import Proposal


def torch_body(proposal: Proposal, run: Run) -> Mapping[str, float]:
    """Does what its one decision, ``do``, says."""
    return _BODIES[str(proposal.arch["do"])](proposal, run)


def _spoil_everything(proposal: Proposal, run: Run) -> Mapping[str, float]:
    """What a trial may change of its process, all at once."""
    os.environ["LEAK"] = "1"
    os.environ["OMP_NUM_THREADS"] = "64"
    os.chdir("/")
    os.umask(0o077)
    sys.path.insert(0, "/nowhere")
    sys.stdout = sys.stderr = io.StringIO()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    warnings.simplefilter("ignore")
    random.random()
    np.random.rand(3)  # noqa: NPY002
    torch.rand(3)
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(2)
    torch.set_grad_enabled(False)
    torch.use_deterministic_algorithms(True)
    return {"score": 1.0}


def _fingerprint(proposal: Proposal, run: Run) -> Mapping[str, float]:
    """Everything that ``_spoil_everything`` changes, as one number; and that stopping would still be heard."""
    print("heard")
    with warnings.catch_warnings(record=True) as caught:
        warnings.warn("heard", stacklevel=1)
    seen = [
        os.getcwd(), sorted(os.environ.items()), sys.path, len(caught), random.random(),
        np.random.rand(3).tolist(),  # noqa: NPY002
        torch.rand(3).tolist(), torch.get_default_dtype(), torch.get_num_threads(), torch.is_grad_enabled(),
        torch.are_deterministic_algorithms_enabled(), callable(signal.getsignal(signal.SIGTERM)),
        re.search(r"Umask:\s*(\d+)", Path("/proc/self/status").read_text()),
    ]  # fmt: skip
    seen[-1] = seen[-1] and seen[-1][1]
    seen[1] = [(k, v) for k, v in seen[1] if k != "ARCHSMITH_WORKER"]  # the worker's own mark
    return {"hash": float(int(hashlib.sha256(repr(seen).encode()).hexdigest()[:12], 16))}


def _out_of_memory_at_full_batch(proposal: Proposal, run: Run) -> Mapping[str, float]:
    if run.batch_scale == 1.0:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
    return {"scale": run.batch_scale, "seconds": 1.0}


def _always_out_of_memory(proposal: Proposal, run: Run) -> Mapping[str, float]:
    raise MemoryError


def _allocate_by_numpy(proposal: Proposal, run: Run) -> Mapping[str, float]:
    return {"score": float(np.ones(2_000_000_000, dtype=np.uint8)[0])}


def _allocate(proposal: Proposal, run: Run) -> Mapping[str, float]:
    return {"score": float(torch.ones(int(2e9 * run.batch_scale), dtype=torch.uint8)[0])}


class Numbers(torch.utils.data.Dataset):  # type: ignore[type-arg]
    """Two of whose samples take their loader's worker with them."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> torch.Tensor:
        os.kill(os.getpid(), signal.SIGKILL)
        return torch.zeros(1)


def _lose_a_data_worker(proposal: Proposal, run: Run) -> Mapping[str, float]:
    loader = torch.utils.data.DataLoader(Numbers(), num_workers=1, multiprocessing_context="fork")
    return {"score": float(sum(batch.sum() for batch in loader))}


_BODIES = {
    "spoil everything": _spoil_everything,
    "fingerprint": _fingerprint,
    "out of memory": _out_of_memory_at_full_batch,
    "always out of memory": _always_out_of_memory,
    "allocate": _allocate,
    "allocate by numpy": _allocate_by_numpy,
    "lose a data worker": _lose_a_data_worker,
    "score": lambda proposal, run: {"score": 1.0},
}
