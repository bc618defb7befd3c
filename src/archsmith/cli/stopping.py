"""What Ctrl+C and the system's signals do to a search: once they pause it, twice they end it at once."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

import psutil

__all__ = ["stoppable"]

_SHOW_CURSOR = b"\x1b[?25h"


@contextlib.contextmanager
def stoppable(pause: Any, quiet: bool = False) -> Iterator[None]:
    """Inside, Ctrl+C and SIGTERM ask ``pause`` to stop, with exit code 130 or 143; a second one stops at once.

    A terminal that is closed is no reason to stop: the search goes on, and tells its progress to its log.
    """
    asked = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            _leave(128 + number)
        asked = True
        if not quiet:
            word = "pausing" if number == signal.SIGINT else "stopping"
            _write(f"\n{word}: what is under way is saved; press Ctrl+C again to stop at once\n".encode())
        pause.ask(128 + number)

    numbers = [signal.SIGINT, signal.SIGTERM]
    before: dict[int, Any] = {n: signal.signal(n, handle) for n in numbers}
    if hasattr(signal, "SIGHUP"):
        before[signal.SIGHUP] = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        yield
    except KeyboardInterrupt as error:  # before anything was begun
        sys.exit(getattr(error, "code", 128 + signal.SIGINT))
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave(code: int) -> None:
    """End this process and all that it started, at once: what is on the disk is all that is needed to go on."""
    with contextlib.suppress(psutil.Error):
        for child in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                child.kill()
    if sys.stderr.isatty():
        _write(_SHOW_CURSOR)
    os._exit(code)


def _write(text: bytes) -> None:
    with contextlib.suppress(OSError):
        os.write(2, text)
