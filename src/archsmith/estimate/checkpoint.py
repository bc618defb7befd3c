"""The state of a training in one safetensors file that is either whole or refused.

A checkpoint is one file: tensors as such, everything else as JSON in the header, and a SHA-256 of both, because a
flipped bit in a weight loads silently. It is written beside its final name, flushed to the disk and renamed, so a
crash at any moment leaves the previous one. No pickle is involved.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from archsmith.errors import StoreError
from archsmith.files import write_bytes

__all__ = ["load_checkpoint", "optimizer_tensors", "restore_optimizer", "save_checkpoint"]


def save_checkpoint(path: Path, tensors: Mapping[str, Tensor], scalars: Mapping[str, Any]) -> None:
    """Write ``tensors`` and JSON-ready ``scalars`` to ``path``, atomically. Raises ``StoreError`` if it cannot be."""
    # Copies, since tensors that share memory, such as tied weights, are refused.
    plain = {n: t.detach().cpu().clone(memory_format=torch.contiguous_format) for n, t in tensors.items()}
    header = json.dumps(scalars, sort_keys=True)
    data = save(plain, {"scalars": header, "sha256": _digest(plain, header)})
    try:
        write_bytes(path, data, "checkpoint")
    except OSError as error:
        raise StoreError(
            f"The checkpoint {path} could not be written: {error}. The previous one is untouched."
        ) from error


def load_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors (on the CPU) and scalars of the checkpoint at ``path``.

    Raises ``StoreError`` when the file is missing, cut short, altered, or no checkpoint.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except (OSError, SafetensorError) as error:
        raise StoreError(f"The checkpoint {path} is missing or damaged: {error}") from error
    if metadata.get("sha256") != _digest(tensors, metadata.get("scalars", "")):
        raise StoreError(f"The checkpoint {path} was altered after it was written, so it is not used.")
    try:
        return tensors, json.loads(metadata["scalars"])
    except (KeyError, ValueError, RecursionError) as error:
        raise StoreError(f"{path} is no checkpoint of Archsmith ({type(error).__name__}).") from error


def optimizer_tensors(optimizer: torch.optim.Optimizer, names: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the optimiser's tensors by ``"optimizer/<parameter>/<name>"``; rates are set anew at every step.

    ``names`` are its parameters by name: parameters come and go in another order than they are listed in later.
    """
    known = {id(parameter): name for name, parameter in names.items()}
    return {
        f"optimizer/{known[id(parameter)]}/{slot}": value
        for parameter, entry in optimizer.state.items()
        if id(parameter) in known
        for slot, value in entry.items()
        if isinstance(value, Tensor)
    }


def restore_optimizer(
    optimizer: torch.optim.Optimizer, names: Mapping[str, Tensor], tensors: Mapping[str, Tensor]
) -> None:
    """Put back what ``optimizer_tensors`` returned, in the memory format of each parameter.

    Fused kernels walk parameter and state side by side, so both must lie in memory in the same order. Raises
    ``StoreError`` for a parameter that there is not.
    """
    for key, value in tensors.items():
        if key.startswith("optimizer/"):
            name, _, slot = key.removeprefix("optimizer/").rpartition("/")
            if name not in names:
                raise StoreError(f"The checkpoint holds momentum of {name!r}, which this network does not have.")
            parameter = names[name]
            if value.shape == parameter.shape:
                value = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
            optimizer.state[parameter][slot] = value.to(parameter.device)


def _digest(tensors: Mapping[str, Tensor], header: str) -> str:
    digest = hashlib.sha256(header.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
