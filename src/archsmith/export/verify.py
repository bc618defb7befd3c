"""Check shipped files: each is loaded in a fresh process, run at several batch sizes, compared with the original."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from archsmith.documents import read_json
from archsmith.errors import ExportError, StoreError
from archsmith.export import fresh
from archsmith.export.write import BATCHES, FILES, FORMATS, reference_path

__all__ = ["TOLERANCE", "Verified", "check", "verify"]

TOLERANCE = 1e-4  # of the largest output, or of 1 where that is smaller
_TIMEOUT_SECONDS = 180.0
_HANGING, _HANGING_SECONDS = 5.0, 10.0  # times as long as another file took, and never less


@dataclass(frozen=True)
class Verified:
    """What checking one file found.

    ``path`` is relative to the folder above the checked one. ``max_difference`` is the greatest absolute difference
    from the original outputs over all ``batches``, allowed up to ``tolerance``; ``agreement`` is the share of rows
    whose greatest output is at the same place. ``latency_ms`` is one sample on one thread in ONNX Runtime. ``reason``
    says what is wrong where ``ok`` is False.
    """

    format: str
    path: str
    ok: bool
    bytes: int
    max_difference: float | None = None
    tolerance: float | None = None
    agreement: float | None = None
    latency_ms: float | None = None
    batches: tuple[int, ...] = BATCHES
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the findings as JSON-ready data."""
        return {**asdict(self), "batches": list(self.batches)}


def verify(
    folder: Path | str, formats: Sequence[str] | None = None, timeout: float = _TIMEOUT_SECONDS
) -> list[Verified]:
    """Check the files of a folder that ``export`` wrote, and return what was found for each.

    The findings are also in ``exports/verify.json`` next to the folder. Raises ``ExportError`` naming every file that
    fails and why, after all were checked.
    """
    found = check(folder, formats, timeout)
    wrong = [f"{item.path}: {item.reason}" for item in found if not item.ok]
    if wrong:
        report = reference_path(Path(folder)).with_name("verify.json")
        raise ExportError(f"An exported file does not do what the network does. {' '.join(wrong)} See {report}.")
    return found


def check(
    folder: Path | str,
    formats: Sequence[str] | None = None,
    timeout: float = _TIMEOUT_SECONDS,
    least: float | None = None,
) -> list[Verified]:
    """Do what ``verify`` does, but leave it to the caller to look for findings that are not ``ok``.

    ``timeout`` is how many seconds a file may take. Where ``least`` is given a file counts as hanging earlier, after
    that many seconds or five times as many as the network's own file took, whichever is more: a slow machine is slow
    for all of them.
    """
    folder = Path(folder)
    wanted = [f for f in FORMATS if (f in formats if formats is not None else (folder / FILES[f]).exists())]
    # Two at a time keeps two cores busy; ONNX comes last and alone, because its latency is measured.
    with contextlib.ExitStack() as stack:

        def start(kind: str) -> subprocess.Popen[str]:
            process = _start(folder, kind)
            stack.callback(_end, process)
            return process

        started = [(f, start(f)) for f in wanted if f != "onnx"]
        begin, found = time.monotonic(), list[Verified]()
        for kind, process in started:
            found.append(_finish(folder, kind, process, max(0.5, begin + timeout - time.monotonic())))
            if kind == "safetensors" and least is not None:
                timeout = min(timeout, max(least, _HANGING * (time.monotonic() - begin), _HANGING_SECONDS))
        found += [_finish(folder, f, start(f), timeout) for f in wanted if f == "onnx"]
    _record(found, reference_path(folder).with_name("verify.json"))
    return found


def _end(process: subprocess.Popen[str]) -> None:
    """Leave no process behind, whatever ended the checking."""
    with process:
        process.kill()


def _start(folder: Path, kind: str) -> subprocess.Popen[str]:
    path = folder / ("model.py" if kind == "safetensors" else FILES[kind])
    # Isolated: neither the current folder nor PYTHONPATH. Only installed packages are reachable.
    command = [sys.executable, "-I", str(Path(fresh.__file__)), kind, str(path), str(reference_path(folder))]
    threads = {name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    return subprocess.Popen(
        [*command, *_package_folders()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
        env={**os.environ, **threads},
    )


def _package_folders() -> list[str]:
    """Return where torch and its like are installed, which an isolated process may not know (a user's own folder)."""
    folders: dict[str, None] = {}
    for name in ("torch", "numpy", "safetensors", "onnxruntime"):
        spec = importlib.util.find_spec(name)
        for place in (spec.submodule_search_locations or []) if spec else []:
            folders[str(Path(place).parent)] = None
    return list(folders)


def _finish(folder: Path, kind: str, process: subprocess.Popen[str], timeout: float) -> Verified:
    path = folder / FILES[kind]
    name, size = f"{folder.name}/{path.name}", path.stat().st_size if path.exists() else 0
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return Verified(kind, name, False, size, reason=f"it was not loaded and run within {timeout:.3g} s.")
    if process.returncode:
        lines = err.strip().splitlines()
        said = lines[-1] if lines else f"the process ended with code {process.returncode}"
        return Verified(kind, name, False, size, reason=f"it cannot be loaded and run in a fresh process: {said}.")
    result = json.loads(out.strip().splitlines()[-1])
    difference, tolerance = float(result["max_difference"]), TOLERANCE * max(1.0, float(result["scale"]))
    reason = ""
    if difference > tolerance:
        reason = f"its outputs differ from the network's by up to {difference:.3g}, more than {tolerance:.3g}."
    elif result["agreement"] < 1:
        reason = f"it names the same class as the network in only {result['agreement']:.0%} of rows."
    return Verified(
        kind, name, not reason, size, difference, tolerance, float(result["agreement"]), result.get("latency_ms"),
        tuple(result["batches"]), reason,
    )  # fmt: skip


def _record(found: Sequence[Verified], path: Path) -> None:
    """Write the findings, keeping those of formats that were not checked now."""
    rows: dict[str, dict[str, Any]] = {}
    if path.is_file():
        with contextlib.suppress(StoreError, KeyError, TypeError):  # findings that cannot be read are found again
            rows = {row["format"]: row for row in read_json(path)["files"]}
    rows |= {item.format: item.to_json() for item in found}
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{os.getpid()}-{path.name}")
    temporary.write_text(json.dumps({"schema_version": 1, "files": list(rows.values())}, indent=2), encoding="utf-8")
    os.replace(temporary, path)
