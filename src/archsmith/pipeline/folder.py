"""The run folder: made once, written atomically, readable after it was copied to another place."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import platform
import re
import secrets
import shlex
import sys
import time
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil
import tomli_w
import torch

from archsmith.documents import read_json as read_checked
from archsmith.errors import StoreError, UsageError
from archsmith.files import write_text
from archsmith.redact import redact

__all__ = ["cpu_name", "environment", "make_folder", "read_json", "write_json", "write_manifest", "write_toml"]

_PACKAGES = ("archsmith", "torch", "numpy", "scikit-learn", "safetensors", "onnx", "onnxruntime", "pillow")


def make_folder(out: str | Path, name: str) -> Path:
    """Make and return ``out/<name>-<date>-<time>-<six digits>``; raises ``UsageError`` where it cannot be written."""
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "run"
    stamp = time.strftime("%Y%m%d-%H%M%S")
    folder = Path(out) / f"{safe[:60]}-{stamp}-{secrets.token_hex(3)}"
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise UsageError(f"The run folder {folder} cannot be made: {error.strerror}. Choose another --out.") from error
    return folder


def write_json(path: Path, data: Any, place: str = "") -> None:
    """Write JSON that every reader takes: numbers that are not finite become null."""
    write_text(path, json.dumps(_finite(data), indent=1, ensure_ascii=False) + "\n", place or f"run.{path.stem}")


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the mapping that a JSON file holds; None when the file is missing or damaged."""
    try:
        return read_checked(path)
    except (OSError, StoreError):
        return None


def write_toml(path: Path, data: Mapping[str, Any]) -> None:
    """Write a TOML file."""
    write_text(path, tomli_w.dumps(data), f"run.{path.stem}")


def _finite(data: Any) -> Any:
    if isinstance(data, Mapping):
        return {str(k): _finite(v) for k, v in data.items()}
    if isinstance(data, list | tuple):
        return [_finite(v) for v in data]
    if isinstance(data, float) and not math.isfinite(data):
        return None
    return data


def environment(seed: int) -> dict[str, Any]:
    """Return what a run depends on beside its settings: versions, hardware, seed, threads."""
    versions = {}
    for package in _PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            versions[package] = version(package)
    return {
        "python": sys.version.split()[0],
        "versions": versions,
        "platform": platform.platform(),
        "cpu": cpu_name(),
        "cores": psutil.cpu_count(logical=False) or os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "gpu": torch.cuda.get_device_name(0) if torch.cuda.is_available() else None,
        "seed": seed,
        "command": redact(shlex.join(["archsmith", *sys.argv[1:]])) if Path(sys.argv[0]).name == "archsmith" else None,
    }


def cpu_name() -> str:
    """Return the processor's name as the system tells it."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def write_manifest(folder: Path) -> None:
    """Write ``MANIFEST.sha256``: the hash of every file of the run that will not change any more."""
    lines = []
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder).as_posix()
        if (
            path.is_file()
            and not relative.startswith(("MANIFEST", "store.sqlite", "phases/", "run.l"))
            and not path.name.startswith(".tmp-")
        ):
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            lines.append(f"{digest}  {relative}")
    write_text(folder / "MANIFEST.sha256", "\n".join(lines) + "\n", "run.manifest")
