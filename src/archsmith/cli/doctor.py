"""``archsmith doctor``: what this machine has, and what could go wrong on it."""

from __future__ import annotations

import os
import platform
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any

import psutil
import typer

from archsmith import __version__
from archsmith.cli.lazy import load
from archsmith.cli.output import emit, emit_json, table
from archsmith.errors import MissingExtra
from archsmith.report.text import size

__all__ = ["doctor", "findings"]

_EXTRAS = {"onnx": ("onnx", "onnxscript", "onnxruntime"), "parquet": ("pyarrow",)}
_CORE = ("numpy", "safetensors", "scikit-learn", "scipy", "pillow", "sqlalchemy", "typer", "rich", "tomli-w", "psutil")
# Before this version, two connections that checkpoint a write-ahead log at the same moment can corrupt the file.
_SQLITE_MENDED = (3, 51, 3)
_LITTLE_DISK = 2_000_000_000
_LITTLE_MEMORY = 2_000_000_000


def doctor(as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")] = False) -> None:
    """Say what is installed, what this machine has, and what to do about what is wrong."""
    facts = findings()
    warnings = list(_warnings(facts))
    if as_json:
        emit_json({**facts, "warnings": warnings})
    else:
        emit(
            table(
                [
                    (name.replace("_", " "), _words(name, value))
                    for name, value in facts.items()
                    if name != "torch_error"
                ],
                indent=0,
            )
        )
        emit("\n".join(["", *(f"warning: {w}" for w in warnings)]) if warnings else "\nNothing is wrong.")
    missing = [name for name, found in facts["packages"].items() if found is None]
    if missing or facts["torch"] is None:
        raise MissingExtra(f"Not installed: {', '.join([*missing, *(['torch'] if facts['torch'] is None else [])])}.")


def findings() -> dict[str, Any]:
    """Return the facts of this machine and installation, JSON-ready; what cannot be found out is None."""
    memory, disk = psutil.virtual_memory(), shutil.disk_usage(Path.cwd())
    return {
        "archsmith": __version__,
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        **_torch(),
        "cpu": _cpu(),
        "cores": {"physical": psutil.cpu_count(logical=False), "usable": _usable_cores()},
        "memory_bytes": {"total": memory.total, "available": memory.available},
        "disk_free_bytes": disk.free,
        "sqlite": sqlite3.sqlite_version,
        "packages": {name: _version(name) for name in _CORE},
        "extras": {extra: {name: _version(name) for name in names} for extra, names in _EXTRAS.items()},
    }


def _torch() -> dict[str, Any]:
    nothing: dict[str, Any] = {"torch": None, "threads": None, "devices": [], "torch_error": None}
    try:
        torch = load("torch")
    except (ImportError, OSError, RuntimeError) as error:  # a build that does not fit fails in any of these ways
        return {**nothing, "torch_error": str(error)}
    devices = ["cpu"]
    if torch.cuda.is_available():
        devices += [f"cuda:{i} {torch.cuda.get_device_name(i)}" for i in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        devices.append("mps")
    return {"torch": torch.__version__, "threads": torch.get_num_threads(), "devices": devices, "torch_error": None}


def _warnings(facts: dict[str, Any]) -> Iterator[str]:
    if facts["torch_error"]:
        yield f"torch is installed but cannot be imported ({facts['torch_error']}). Install it again: pip install torch"
    if tuple(int(p) for p in facts["sqlite"].split(".")) < _SQLITE_MENDED:
        mended = ".".join(map(str, _SQLITE_MENDED))
        yield (
            f"SQLite {facts['sqlite']} has a fault in its write-ahead log, mended in {mended}: a log can be damaged "
            "when several processes write to it at once. A study is written by one process, so a search is safe; do "
            "not open its store.sqlite for writing with other tools meanwhile."
        )
    for extra, found in facts["extras"].items():
        lacking = [name for name, present in found.items() if present is None]
        if lacking:
            yield f"extra {extra}: {', '.join(lacking)} missing. Install it with: pip install 'archsmith[{extra}]'"
    if facts["disk_free_bytes"] < _LITTLE_DISK:
        yield f"only {size(facts['disk_free_bytes'])} of disk are free here; a long search may need more."
    if facts["memory_bytes"]["available"] < _LITTLE_MEMORY:
        yield f"only {size(facts['memory_bytes']['available'])} of memory are available; search with --executor inline."


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _usable_cores() -> int:
    """The cores this process may use, which a container or a scheduler can make fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _words(name: str, value: Any) -> str:
    if value is None:
        return "not found"
    if name == "disk_free_bytes":
        return size(value)
    if isinstance(value, dict):
        if name == "extras":
            value = {extra: "yes" if all(found.values()) else "no" for extra, found in value.items()}
        return ", ".join(f"{k} {size(v) if name == 'memory_bytes' else v or 'missing'}" for k, v in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
