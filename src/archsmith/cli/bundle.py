"""A bug bundle: what a maintainer needs to know of an installation and a run, without data and without secrets."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from archsmith.errors import StoreError, UsageError
from archsmith.redact import SECRET_NAME, redact
from archsmith.report.text import clean
from archsmith.store import check_store

__all__ = ["write_bundle"]

_MOST_TRIALS = 30
_MOST_LINES = 100
_TAIL = 200_000  # bytes
_SHORTEST_SECRET = 5  # shorter values of secret variables would be found in words by chance


def write_bundle(path: Path, facts: Mapping[str, Any], run: Path | None) -> list[str]:
    """Write the bundle to the new file ``path``, which only its owner may read; return the names of what is in it.

    It holds the facts of the machine, and of a run its settings, surroundings, errors, the ends of the logs of the
    trials that failed, and what is wrong with its log. Passwords, tokens and the like are hidden, and no data, weights,
    architectures or results are taken along. Raises ``UsageError`` where the file is there, or cannot be written.
    """
    parts = {"doctor.json": _hidden_json(facts), **dict(_of_run(run) if run is not None else ())}
    try:
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(number, "wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, text in parts.items():
                archive.writestr(name, _without_secrets(text))
    except FileExistsError:
        raise UsageError(f"{path} is there already; give another name.") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}.") from error
    return list(parts)


def _of_run(run: Path) -> Iterator[tuple[str, str]]:
    for name in ("run.toml", "env.json"):
        text = _tail(run / name)
        if text:
            yield name, _hidden_json(_parsed(text)) if name.endswith(".json") else _hidden_lines(text)
    failed = sorted((run / "trials").glob("*/error.json"), key=_number)[-_MOST_TRIALS:]
    for error in failed:
        yield f"trials/{error.parent.name}/error.json", _hidden_json(_parsed(_tail(error)))
        log = _tail(error.with_name("log.txt"))
        if log:
            yield f"trials/{error.parent.name}/log.txt", "\n".join(log.splitlines()[-_MOST_LINES:])
    store = run / "store.sqlite"
    try:
        problems = check_store(store) if store.exists() else ["there is no store.sqlite"]
    except StoreError as error:
        problems = [str(error)]
    yield "check.txt", "\n".join(problems) or "nothing is wrong"


def _number(path: Path) -> int:
    return int(path.parent.name) if path.parent.name.isdecimal() else -1


def _tail(path: Path) -> str:
    try:
        if path.is_symlink():  # it could lead out of the run
            return ""
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
            return clean(file.read().decode("utf-8", "replace"), _TAIL)
    except OSError:
        return ""


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _hidden_json(data: Any) -> str:
    return json.dumps(_hidden(data), indent=2, ensure_ascii=False, default=str)


def _hidden(data: Any) -> Any:
    """Hide what stands under a name that smells of a secret."""
    if isinstance(data, Mapping):
        return {str(k): "***" if SECRET_NAME.search(str(k)) else _hidden(v) for k, v in data.items()}
    return [_hidden(v) for v in data] if isinstance(data, list | tuple) else data


def _hidden_lines(text: str) -> str:
    lines = []
    for line in text.splitlines():
        name, sign, _ = line.partition("=")
        lines.append(f"{name}= ***" if sign and SECRET_NAME.search(name) else line)
    return "\n".join(lines)


def _without_secrets(text: str) -> str:
    """Hide passwords in addresses and the like, the values of secret environment variables, and where home is."""
    text = redact(text)
    for name, value in os.environ.items():
        if SECRET_NAME.search(name) and len(value) >= _SHORTEST_SECRET:
            text = text.replace(value, "***")
    home = str(Path.home())
    return text.replace(home, "~") if len(home) > 1 else text
