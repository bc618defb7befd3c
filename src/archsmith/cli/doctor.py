"""``archsmith doctor``: what this machine has, and what could go wrong on it."""

from __future__ import annotations

import os
import platform
import shutil
import socket
import sqlite3
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import psutil
import typer

from archsmith import __version__
from archsmith.cli.bundle import write_bundle
from archsmith.cli.lazy import load
from archsmith.cli.output import emit, emit_json, table
from archsmith.cli.runs import find_run, server_of
from archsmith.errors import MissingExtra
from archsmith.redact import redact
from archsmith.report.text import size
from archsmith.store import SHARED, check_store, file_system

if sys.platform != "win32":
    import resource

__all__ = ["doctor", "findings"]

_EXTRAS = {
    "onnx": ("onnx", "onnxscript", "onnxruntime"),
    "parquet": ("pyarrow",),
    "postgresql": ("psycopg",),
    "ray": ("ray",),
    "optuna": ("optuna", "cmaes"),
}
_CORE = ("numpy", "safetensors", "scikit-learn", "scipy", "pillow", "sqlalchemy", "typer", "rich", "tomli-w", "psutil")
# Before this version, two connections that checkpoint a write-ahead log at the same moment can corrupt the file.
_SQLITE_MENDED = (3, 51, 3)
_LITTLE_DISK = 2_000_000_000
_LITTLE_MEMORY = 2_000_000_000
_LITTLE_SHARED_MEMORY = 500_000_000
_FEW_FILES = 1024
_PATIENCE_S = 5.0


def doctor(
    run: Annotated[
        str | None, typer.Option(help="Also check a run: its log, page by page and line by line.", metavar="RUN")
    ] = None,
    out: Annotated[Path, typer.Option(help="Where run folders are.")] = Path("runs"),
    store: Annotated[str | None, typer.Option(help="Also try a PostgreSQL server.", metavar="URL")] = None,
    ray: Annotated[str | None, typer.Option(help="Also try a Ray cluster.", metavar="HOST:PORT")] = None,
    bundle: Annotated[
        Path | None,
        typer.Option(help="Write all this, and a run's errors and logs, to a zip for a bug report.", metavar="FILE"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")] = False,
) -> None:
    """Say what is installed, what this machine has, and what to do about what is wrong."""
    facts = findings()
    for name, address, port in (("postgresql", store, 5432), ("ray", ray, 6379)):
        if address is not None:
            facts[f"{name}_reachable"] = _reachable(address, port)
    folder = None if run is None else find_run(run, out)
    if folder is not None and server_of(folder):
        facts["log"] = f"on {redact(server_of(folder))}"
    elif folder is not None:
        facts["log_problems"] = check_store(folder / "store.sqlite")
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
    if bundle is not None:
        names = write_bundle(bundle, {**facts, "warnings": warnings}, folder)
        if not as_json:
            emit(f"{bundle} holds {len(names)} files; look through them before you send it.")
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
        "file_system": file_system(Path.cwd()) or None,
        "shared_memory_bytes": _shared_memory(),
        "open_files": _open_files(),
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
    if facts["file_system"] in SHARED:
        yield (
            f"this folder is on a {facts['file_system']} file system, which several machines may share: a log there is "
            "slower, and its locks cannot be relied on. Give a local folder with --out, or use --store postgresql://."
        )
    if facts["shared_memory_bytes"] is not None and facts["shared_memory_bytes"] < _LITTLE_SHARED_MEMORY:
        yield (
            f"only {size(facts['shared_memory_bytes'])} of shared memory (/dev/shm) are free. Archsmith needs none, "
            "but data loaders with workers do: start a container with --shm-size=2g, or load with num_workers=0."
        )
    if facts["open_files"] is not None and facts["open_files"] < _FEW_FILES:
        yield f"only {facts['open_files']} files may be open at once. Raise it: ulimit -n 65536"
    for name in ("postgresql", "ray"):
        if facts.get(f"{name}_reachable") is not None and facts[f"{name}_reachable"] != "yes":
            yield f"{name}: {facts[f'{name}_reachable']}"
    for problem in facts.get("log_problems", ()):
        yield f"the log of the run: {problem}. A new one is made from events.jsonl by: archsmith salvage RUN"
    for extra, found in facts["extras"].items():
        lacking = [name for name, present in found.items() if present is None]
        if lacking:
            yield f"extra {extra}: {', '.join(lacking)} missing. Install it with: pip install 'archsmith[{extra}]'"
    if facts["disk_free_bytes"] < _LITTLE_DISK:
        yield f"only {size(facts['disk_free_bytes'])} of disk are free here; a long search may need more."
    if facts["memory_bytes"]["available"] < _LITTLE_MEMORY:
        yield f"only {size(facts['memory_bytes']['available'])} of memory are available; search with --executor inline."


def _shared_memory() -> int | None:
    try:
        return shutil.disk_usage("/dev/shm").free
    except OSError:  # not every system has it
        return None


def _open_files() -> int | None:
    if sys.platform == "win32":
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft


def _reachable(address: str, port: int) -> str:
    """Say whether anybody listens at an address; who it is, and whether a password is right, is for a search to see."""
    try:
        parts = urlsplit(address if "://" in address else f"//{address}")
        host, number = parts.hostname or "localhost", parts.port or port
        with socket.create_connection((host, number), timeout=_PATIENCE_S):
            return "yes"
    except (OSError, ValueError) as error:
        return f"nobody answers at {redact(address)} ({error})"


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
    if name in ("disk_free_bytes", "shared_memory_bytes"):
        return size(value)
    if isinstance(value, dict):
        if name == "extras":
            value = {extra: "yes" if all(found.values()) else "no" for extra, found in value.items()}
        return ", ".join(f"{k} {size(v) if name == 'memory_bytes' else v or 'missing'}" for k, v in value.items())
    return (", ".join(map(str, value)) or "none") if isinstance(value, list) else str(value)
