"""The folders of attempts: each has its own, so that what a lost one still writes reaches no other.

A trial on another machine can be given up for dead while it lives on, frozen or cut off. It writes into
``attempts/<trial>-<number>`` only, a number that is never given twice; the controller alone moves the folder of the
attempt that counts to ``trials/<trial>``.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

__all__ = ["clear_attempts", "open_attempt", "publish"]


def open_attempt(folder: Path, trial: int) -> Path:
    """Make the folder of the next attempt at a trial, with what the one before left there, such as its checkpoint."""
    earlier = _numbers(folder, trial)
    own = _path(folder, trial, max(earlier, default=0) + 1)
    before = _path(folder, trial, max(earlier)) if earlier else folder / "trials" / str(trial)
    if before.is_dir():
        # A lost attempt may be writing just now. A file it takes away meanwhile is no loss; half of one is found out
        # by who reads it, as after any crash.
        with contextlib.suppress(shutil.Error):
            shutil.copytree(before, own, ignore=shutil.ignore_patterns(".tmp-*", "*.tmp"))
    own.mkdir(parents=True, exist_ok=True)
    return own


def publish(own: Path, folder: Path, trial: int) -> None:
    """Make the folder of an attempt that of its trial."""
    target, old = folder / "trials" / str(trial), own.with_name(own.name + ".old")
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        os.replace(target, old)
    os.replace(own, target)
    shutil.rmtree(old, ignore_errors=True)


def clear_attempts(folder: Path, trial: int) -> None:
    """Remove what is left of the attempts at a trial that has ended."""
    for number in _numbers(folder, trial):
        shutil.rmtree(_path(folder, trial, number), ignore_errors=True)
    with contextlib.suppress(OSError):
        (folder / "attempts").rmdir()


def _path(folder: Path, trial: int, number: int) -> Path:
    return folder / "attempts" / f"{trial}-{number}"


def _numbers(folder: Path, trial: int) -> list[int]:
    ends = (path.name.partition("-")[2] for path in (folder / "attempts").glob(f"{trial}-*"))
    return sorted(int(end) for end in ends if end.isdecimal())
