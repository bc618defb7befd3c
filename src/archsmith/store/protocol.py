"""What a store promises."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from archsmith.trial import Event

__all__ = ["Store"]


class Store(Protocol):
    """The log of one or more studies. One process writes, many read.

    The laws:

    - ``append`` and ``append_many`` are the only writes. Nothing that was appended ever changes or goes away.
    - What they returned from is durable, as far as the store reaches at all; what they raised on is not there. (A store
      may keep that aside, and add it when it is opened again, if nothing else was appended since.) ``append_many`` is
      all or nothing.
    - ``events`` yields a study's events in the order in which they were appended. The first has number 1 and there
      are no gaps, so ``after=k`` leaves out exactly the first ``k``, and a reader that has seen ``k`` asks for those
      after ``k``. It yields at least what was there when it was called. A study that is not there has no events.
    - What comes back equals what went in: ``data`` is JSON-ready (mappings with text keys, lists, text, integers,
      floats, booleans, None), and in addition NaN, the infinities and any text, lone surrogates too, come back as they
      were; tuples come back as lists. Anything else raises ``TypeError``; a ``time`` that is not finite and a ``trial``
      of more than 64 bits raise ``ValueError``.
    - Studies do not see each other. Their names are text of at least one character, without NUL.

    Raises ``StoreError`` when the log is missing, locked, damaged, full, or not ours.
    """

    def append(self, study: str, event: Event) -> None:
        """Add one event to the log of a study."""
        ...

    def append_many(self, study: str, events: Sequence[Event]) -> None:
        """Add events to the log of a study, all or none: much faster than one by one."""
        ...

    def events(self, study: str, after: int = 0) -> Iterator[Event]:
        """Yield the events of a study in order, without the first ``after``."""
        ...

    def studies(self) -> tuple[str, ...]:
        """Return the names of the studies, in the order of their first events."""
        ...

    def close(self) -> None:
        """Let go of the log; may be called more than once."""
        ...
