"""A store that is gone with the process: for tests and simulations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from archsmith.store.codec import check_event, check_name, decode, encode
from archsmith.trial import Event

__all__ = ["MemoryStore"]


class MemoryStore:
    """Keeps the log in memory, as the text a file would hold, so that it obeys every law a file does."""

    def __init__(self) -> None:
        self._logs: dict[str, list[tuple[str, int | None, str, float]]] = {}

    def append(self, study: str, event: Event) -> None:
        """Add one event to the log of a study."""
        self.append_many(study, (event,))

    def append_many(self, study: str, events: Sequence[Event]) -> None:
        """Add events to the log of a study, all or none."""
        check_name(study)
        for event in events:
            check_event(event)
        rows = [(event.kind, event.trial, encode(event.data), event.time) for event in events]
        if rows:
            self._logs.setdefault(study, []).extend(rows)

    def events(self, study: str, after: int = 0) -> Iterator[Event]:
        """Yield the events of a study in order, without the first ``after``."""
        for kind, trial, data, time in self._logs.get(study, [])[max(0, after) :]:
            yield Event(kind, trial, decode(data), time)

    def studies(self) -> tuple[str, ...]:
        """Return the names of the studies, in the order of their first events."""
        return tuple(self._logs)

    def close(self) -> None:
        """Do nothing: the log lives as long as the object."""
