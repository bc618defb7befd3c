"""How a search is asked to stop for now, from a signal handler or another thread."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

__all__ = ["Interrupted", "Pause"]


class Interrupted(KeyboardInterrupt):
    """Raised to end what is under way; no ``except Exception`` may stand in its way. ``code`` is the exit code."""

    def __init__(self, code: int) -> None:
        super().__init__()
        self.code = code


@dataclass
class Pause:
    """A wish to stop, and what to do about it.

    Inside ``gently`` it is only noted: what is under way looks at it (calling the object tells), saves what it has and
    ends by itself. Anywhere else whatever is under way is ended at once by ``Interrupted``, because there is nothing to
    save: it is done again when the run goes on.
    """

    code: int = 0
    _gentle: bool = False
    _asked: threading.Event = field(default_factory=threading.Event)

    def __call__(self) -> bool:
        """Tell whether a stop was asked for."""
        return self._asked.is_set()

    def ask(self, code: int = 130) -> None:
        """Ask for a stop; ``code`` is the exit code it should end with. In the main thread it may raise
        ``Interrupted``."""
        self.code = code
        self._asked.set()
        if not self._gentle and threading.current_thread() is threading.main_thread():
            self.check()

    def check(self) -> None:
        """Raise ``Interrupted`` if a stop was asked for."""
        if self._asked.is_set():
            raise Interrupted(self.code)

    @contextlib.contextmanager
    def gently(self) -> Iterator[None]:
        """Let what is inside end by itself when a stop is asked for. What it did is to be kept before ``check``."""
        self.check()
        self._gentle = True
        try:
            yield
        finally:
            self._gentle = False
