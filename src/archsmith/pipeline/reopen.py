"""What a run folder says about its own beginnings: the request, the data, the space."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from archsmith.documents import read_toml
from archsmith.errors import SpaceError, StoreError, UsageError
from archsmith.pipeline.folder import read_json, write_json
from archsmith.request import OWN, Request
from archsmith.space import Space, described, differences, from_json, to_json
from archsmith.spaces import names, resolve
from archsmith.spec import Spec

__all__ = ["find_source", "find_space", "read_request", "write_space"]

_TRUSTED = ("torch", "archsmith")


def read_request(root: Path) -> Request:
    """Return the request of a run folder. Raises ``StoreError`` when there is none that can be read."""
    path = root / "run.toml"
    try:
        return Request.from_toml(read_toml(path))
    except FileNotFoundError:
        raise StoreError(f"{root} is no run: it has no run.toml.") from None
    except (ValueError, TypeError, KeyError) as error:
        raise StoreError(f"{path} cannot be read: {error}.") from error


def find_source(request: Request, given: Any = None) -> Any:
    """Return the data of a run: what is given now, or where they were found when the run began.

    Raises ``UsageError`` where they were in memory and are not given.
    """
    if given is not None:
        return given
    if request.in_memory:
        raise UsageError(
            "The data of this run were in memory, so they cannot be found again. Go on in Python: "
            "archsmith.resume(run, data=...) with the same data."
        )
    return _placed(request, request.source)


def write_space(root: Path, space: Space, name: str) -> None:
    """Write ``space.json``: the space as far as it can be written, and its decisions in words."""
    data: dict[str, Any] = {"schema_version": 1, "name": name, "decisions": described(space)}
    try:
        data["space"] = to_json(space)
    except SpaceError as error:  # lambdas, and functions inside functions
        data["space"], data["reason"] = None, str(error)
    write_json(root / "space.json", data)


def find_space(
    root: Path, request: Request, spec: Spec, given: Space | None = None, trust: Sequence[str] = ()
) -> Space:
    """Return the space of a run: what is given now, what its name stands for, or what ``space.json`` holds.

    Code is loaded from the packages in ``trust`` beside torch and Archsmith. Raises ``SpaceError`` where the space
    cannot be had again, or has other decisions than when the run began.
    """
    known = read_json(root / "space.json")
    if given is not None:
        space = given
    elif request.space != OWN:
        name, colon, rest = request.space.rpartition(":")
        file = request.space if not colon or not name.endswith(".py") else name
        if request.space not in names() and file.endswith(".py"):
            file = str(_placed(request, file))
            space = resolve(f"{file}:{rest}" if colon and name.endswith(".py") else file, spec)
        else:
            space = resolve(request.space, spec)
    elif known is None or known.get("space") is None:
        reason = f" {known['reason']}" if known and "reason" in known else ""
        raise SpaceError(
            f"The space of this run was given in Python, and {root / 'space.json'} does not hold it.{reason} Go on in "
            "Python: archsmith.resume(run, space=...)."
        )
    else:
        space = _from_file(known["space"], request, trust)
    changed = differences(known["decisions"], described(space)) if known else ""
    if changed:
        raise SpaceError(
            f"The space is not the one that the run began with: {changed}. Put it back as it was, or begin a new run: "
            "what was learned in one space cannot be gone on with in another."
        )
    return space


def _from_file(data: Any, request: Request, trust: Sequence[str]) -> Space:
    if trust and request.started_in and request.started_in not in sys.path:
        sys.path.append(request.started_in)  # where the person's own modules were found when the run began
    try:
        return from_json(data, allow=(*_TRUSTED, *trust))
    except SpaceError as error:
        raise SpaceError(f"{error} With the command: archsmith resume RUN --trust PACKAGE.") from error


def _placed(request: Request, path: str) -> str:
    """Return a path as it was meant when the run began, wherever this process was started."""
    there = Path(request.started_in) / Path(path).expanduser()
    return str(there) if request.started_in and there.exists() else path
