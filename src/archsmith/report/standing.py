"""Where a run stands: finished, running, or stopped in one way or another."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from archsmith.documents import read_json
from archsmith.errors import StoreError
from archsmith.lease import is_held
from archsmith.report.text import clean

__all__ = ["standing"]


def standing(folder: Path, result: Mapping[str, Any]) -> str:
    """Return ``finished``, ``running``, ``paused``, ``failed`` or ``stopped``, as far as the folder tells.

    ``stopped`` is a run that says it is running, but nobody works on it: it was killed.
    """
    try:
        state = read_json(folder / "phases" / "state.json")
        status = clean(state["status"], 40)
    except (OSError, StoreError, KeyError):
        return clean(result.get("status") or "running", 40)
    if status in ("paused", "failed", "finished"):
        return status
    return "running" if is_held(folder) else "stopped"
