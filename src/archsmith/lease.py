"""The right to change a folder: one process has it, the next is told who, and what a dead one left is taken over."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from archsmith.errors import StoreError

if sys.platform != "win32":
    import fcntl

__all__ = ["BEAT_S", "LEASE_S", "Lease", "is_held", "take"]

BEAT_S = 1.0
LEASE_S = 5.0
_NAME = "run.lock"


@dataclass
class Lease:
    """The right to change a folder, until ``release`` or the end of the process.

    Where the file system has locks, the system itself lets go when the process ends, however it ends, so nothing can
    be stale. The file also says who holds it, and its beat goes on while the holder lives: that tells holders on
    other machines, and on file systems without locks, from dead ones. ``taken_from`` says whose lease was taken over.
    ``each_beat`` is called about every second, in another thread, as long as the lease is held.
    """

    path: Path
    taken_from: str = ""
    each_beat: Callable[[], object] | None = None
    _handle: int = -1
    _over: threading.Event = field(default_factory=threading.Event)
    _beating: threading.Thread | None = None

    def release(self) -> None:
        """Give the right back; may be called more than once."""
        if self._handle >= 0:
            self._over.set()
            if self._beating is not None:
                self._beating.join()
            with contextlib.suppress(OSError):
                os.ftruncate(self._handle, 0)
            os.close(self._handle)
            self._handle = -1

    def _hold(self, handle: int) -> None:
        self._handle = handle
        me = _me()

        def write(count: int) -> None:
            with contextlib.suppress(OSError):
                os.pwrite(handle, json.dumps({**me, "beat": count}).encode().ljust(300), 0)

        def beat() -> None:
            count = 0
            while not self._over.wait(BEAT_S):
                count += 1
                write(count)
                if self.each_beat is not None:
                    self.each_beat()

        write(0)
        self._beating = threading.Thread(target=beat, daemon=True, name="archsmith-lease")
        self._beating.start()


def take(folder: Path) -> Lease:
    """Return the lease of a folder. Raises ``StoreError`` that names the holder when another process has it."""
    path = folder / _NAME
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise StoreError(f"{folder} cannot be written: {error.strerror}.") from error
    try:
        before = _read(path)
        locked = _lock(handle)
        if locked is False or (before and _lives(path, before, sure=locked is True)):
            raise StoreError(
                f"{folder} is being worked on by {_words(before)}. Wait until that has ended, or stop it; "
                "reading commands such as show work meanwhile."
            )
    except BaseException:
        os.close(handle)
        raise
    lease = Lease(path, _words(before) if before else "")
    lease._hold(handle)
    return lease


def is_held(folder: Path) -> bool:
    """Return whether some process holds the lease of a folder, without taking it."""
    path = folder / _NAME
    before = _read(path)
    if not before:
        return False
    if before.get("host") == socket.gethostname():
        return _same_process(before)
    with contextlib.suppress(OSError):
        return time.time() - path.stat().st_mtime < LEASE_S
    return False


def _lives(path: Path, before: Mapping[str, Any], sure: bool) -> bool:
    """Whether the holder that the file names lives; ``sure`` that it does not, if it was on this machine."""
    if before.get("host") == socket.gethostname():
        return not sure and _same_process(before)
    until = time.monotonic() + LEASE_S  # on another machine: its beat would go on
    while time.monotonic() < until:
        if _read(path).get("beat") != before.get("beat"):
            return True
        time.sleep(BEAT_S / 4)
    return False


def _lock(handle: int) -> bool | None:
    """Return whether the file could be locked; None where that is not known."""
    if sys.platform == "win32":
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in (errno.ENOLCK, errno.ENOTSUP, errno.EINVAL):
            return None
        raise
    return True


def _same_process(holder: Mapping[str, Any]) -> bool:
    """Whether the process that is named lives, and is not another one that was given its number."""
    try:
        return abs(_born(int(holder["pid"])) - float(holder["born"])) < 2.0
    except (OSError, psutil.Error, KeyError, ValueError, TypeError, IndexError):
        return False


def _born(pid: int) -> float:
    """Return when a process began, on a scale of the system's that no change of the clock moves where there is one."""
    if sys.platform == "linux":
        after_name = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2]
        return int(after_name.split()[19]) / os.sysconf("SC_CLK_TCK")
    return psutil.Process(pid).create_time()


def _me() -> dict[str, Any]:
    born = _born(os.getpid())
    return {"pid": os.getpid(), "host": socket.gethostname(), "born": born, "since": time.strftime("%F %T")}


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes() or b"{}")
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _words(holder: Mapping[str, Any]) -> str:
    if "pid" not in holder:
        return "another process"
    return f"process {holder['pid']} on {holder.get('host')} since {holder.get('since')}"
