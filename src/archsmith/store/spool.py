"""What a database did not take, kept beside it until it is opened again."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from archsmith.errors import StoreError
from archsmith.files import write_bytes
from archsmith.store.mirror import mirror_rows, row_line
from archsmith.store.schema import Row

__all__ = ["Spool"]


_SEVERAL = ("note", "measured")  # kinds of which a trial may have more than one


class Spool:
    """The file ``waiting.jsonl`` beside a log: events that could not be written, such as the result of a long trial
    that ended while another program had the log locked.

    They follow the number of the log's last event, and are of use only as long as that is still its last one:
    whoever wrote on has run their trials again.
    """

    def __init__(self, mirror: Path) -> None:
        name = mirror.name.replace("events", "waiting")
        self.path = mirror.with_name(name if name != mirror.name else f"waiting.{name}")
        self.used = False

    def keep(self, rows: Sequence[Row], after: int) -> bool:
        """Keep rows that were to follow the event ``after``; return False where the disk does not take them either."""
        kept = [row for _, rows in self.read(after) for row in rows]
        known = {(row["study"], row["kind"], row["trial"]) for row in kept if row["kind"] not in _SEVERAL}
        kept += [row for row in rows if (row["study"], row["kind"], row["trial"]) not in known]
        lines = [row_line({**row, "id": after + step, "sequence": 0}) for step, row in enumerate(kept, start=1)]
        try:
            write_bytes(self.path, b"".join(lines), "store.spool")
        except OSError:
            return False
        self.used = True
        return True

    def read(self, after: int) -> list[tuple[str, list[Row]]]:
        """Return by study what is kept and follows the event ``after``, in order.

        It ends before the first line that cannot be read: what comes after may speak of trials that are lost with it.
        """
        rows: list[Row] = []
        with contextlib.suppress(StoreError):
            for row in mirror_rows(self.path):
                if row is None or row["id"] != after + len(rows) + 1:
                    break
                rows.append(row)
        return [(study, list(part)) for study, part in groupby(rows, key=itemgetter("study"))]

    def clear(self) -> None:
        """Forget what was kept, since it is in the log now, or of no use any more."""
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)
        self.used = False
