"""Places where a fault can be made to happen, by name, to prove that nothing is lost there.

Code calls ``hit("store.commit.before")`` before, between and after every write that must survive. Nothing happens
unless the environment variable ``ARCHSMITH_FAILPOINT`` says so: ``"store.commit.before=kill9@3"`` kills the process
the third time it comes there. Several are separated by commas; ``*`` in a name stands for anything, so that
``"*=kill9@17"`` is the seventeenth place of all. Without ``@n`` it happens every time.

The actions: ``raise`` (``FailpointReached``), ``kill9``, ``exit`` (at once, with code 1), ``sleep:seconds``,
``enospc`` (``OSError``, as from a full disk), ``torn:bytes`` (cut so many bytes off the end of the file at hand, then
die as by ``kill9``).
"""

from __future__ import annotations

import errno
import os
import signal
import time
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

__all__ = ["VARIABLE", "FailpointReached", "arm", "hit"]

VARIABLE = "ARCHSMITH_FAILPOINT"
_ACTIONS = ("raise", "kill9", "exit", "sleep", "enospc", "torn")


class FailpointReached(BaseException):
    """Raised by the action ``raise``: nothing but ``finally`` may stand in its way."""


@dataclass
class _Armed:
    """What is to happen at the places that a pattern names, and how often they were reached."""

    pattern: str
    action: str
    amount: float
    turn: int | None
    hits: int = 0


_armed: dict[str, _Armed] = {}


def arm(text: str) -> None:
    """Arm what ``text``, in the form of the environment variable, says, and disarm everything else.

    Raises ``ValueError`` for a text of another form.
    """
    found = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        pattern, _, rest = part.partition("=")
        action, _, turn = rest.partition("@")
        action, _, amount = action.partition(":")
        if action not in _ACTIONS:
            raise ValueError(f"{VARIABLE}: {part!r} is not name=action@turn with one of {', '.join(_ACTIONS)}")
        found[pattern] = _Armed(pattern, action, float(amount or 0), int(turn) if turn else None)
    _armed.clear()
    _armed.update(found)


def hit(name: str, path: Path | None = None) -> None:
    """Pass the place ``name``; ``path`` is the file at hand. Costs next to nothing while nothing is armed."""
    if _armed:
        for armed in _armed.values():
            if fnmatchcase(name, armed.pattern):
                armed.hits += 1
                if armed.turn in (None, armed.hits):
                    _act(name, armed, path)


def _act(name: str, armed: _Armed, path: Path | None) -> None:
    if armed.action == "raise":
        raise FailpointReached(name)
    if armed.action == "sleep":
        time.sleep(armed.amount)
        return
    if armed.action == "enospc":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), name)
    if armed.action == "torn" and path is not None and path.exists():
        os.truncate(path, max(0, path.stat().st_size - int(armed.amount)))
    if armed.action == "exit" or not hasattr(signal, "SIGKILL"):
        os._exit(1)
    os.kill(os.getpid(), signal.SIGKILL)


arm(os.environ.get(VARIABLE, ""))
