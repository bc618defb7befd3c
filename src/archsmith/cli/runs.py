"""Finding run folders: by path, by name, or the newest."""

from __future__ import annotations

from pathlib import Path

from archsmith.documents import read_toml
from archsmith.errors import StoreError, nearest
from archsmith.report import list_runs

__all__ = ["complete_run", "find_run", "find_weights", "run_folders", "server_of"]

_MARKS = ("run.toml", "result.json", "store.sqlite")


def run_folders(out: Path) -> list[Path]:
    """Return the run folders directly inside ``out``, the newest first."""
    return [Path(entry["folder"]) for entry in list_runs(out)]


def find_run(name: str | None, out: Path) -> Path:
    """Return the run folder that ``name`` means: a path, the name of a folder in ``out``, its beginning, or the newest.

    Raises ``StoreError`` with the nearest name when there is none.
    """
    folders = run_folders(out)
    if name is None:
        if not folders:
            raise StoreError(f"There is no run in {out}. Start one with: archsmith search DATA --budget 90s")
        return folders[0]
    for path in (Path(name), out / name):
        if path.is_dir():
            if _is_run(path):
                return path
            raise StoreError(f"{path} is a folder, but not of a run: it holds none of {', '.join(_MARKS)}.")
    if name.startswith("~"):
        return find_run(str(Path(name).expanduser()), out)
    begun = [p for p in folders if p.name.startswith(name)]
    if len(begun) == 1:
        return begun[0]
    if begun:
        raise StoreError(f"{name!r} is the beginning of several runs: {', '.join(p.name for p in begun)}.")
    hint = nearest(name, [p.name for p in folders]) if folders else "There are none yet."
    raise StoreError(f"There is no run {name!r}, neither as a path nor in {out}. {hint}")


def find_weights(name: str, out: Path) -> Path:
    """Return the folder whose weights ``name`` means: that of a bank that was saved, or a run's, as in ``find_run``."""
    path = Path(name).expanduser()
    return path if (path / "bank.json").is_file() else find_run(name, out)


def server_of(folder: Path) -> str:
    """Return the address of the server that a run keeps its log on; empty where it is a file in the folder."""
    try:
        return str(read_toml(folder / "run.toml").get("store") or "")
    except (OSError, StoreError):
        return ""


def complete_run(incomplete: str) -> list[str]:
    """Return the names of runs that begin with what was typed, for shell completion."""
    return [p.name for p in run_folders(Path("runs")) if p.name.startswith(incomplete)]


def _is_run(path: Path) -> bool:
    return any((path / mark).is_file() for mark in _MARKS)
