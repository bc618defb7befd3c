"""The laws of a store, as functions of a factory: ``for law in STORE_LAWS: law(make)``.

``make(folder)`` opens a store that keeps what it keeps in ``folder``. ``DURABLE_STORE_LAWS`` are for stores that reach
beyond the process: opening the same folder again must give the same log.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from archsmith.store import Store
from archsmith.trial import Event

__all__ = [
    "DURABLE_STORE_LAWS",
    "STORE_LAWS",
    "MakeStore",
    "StoreLaw",
    "events_come_back_in_order",
    "numbering_has_no_gaps",
    "odd_numbers_come_back",
    "opening_again_gives_the_same_log",
    "reading_while_writing_is_safe",
    "studies_do_not_see_each_other",
    "what_is_refused_is_not_there",
]

MakeStore = Callable[[Path], Store]
StoreLaw = Callable[[MakeStore], None]

_DATA: tuple[dict[str, Any], ...] = (
    {},
    {"text": "plain", "empty": "", "quotes": "\"'\\", "lines": "a\nb\r\n\tc", "nul": "a\0b"},
    {"scripts": "Ωmega, 网络, 🧠", "lone": "\ud800", "markup": "<script>&amp;", "": "an empty key"},
    {"zero": 0.0, "minus": -0.0, "tiny": 5e-324, "huge": 1.7976931348623157e308, "third": 1 / 3},
    {"integers": [0, -1, 2**31, 2**53 + 1, -(2**70)], "truth": [True, False, None]},
    {"deep": {"a": [{"b": [[[]]]}, {}]}, "mixed": [1, 1.0, "1", True]},
    {"$number": "nan"},
    {"$number": {"$number": 1}},
)


def _events() -> list[Event]:
    return [Event("asked" if i % 2 else "note", i if i % 3 else None, d, float(i)) for i, d in enumerate(_DATA)]


def _in_folder(law: Callable[[MakeStore, Path], None], make: MakeStore) -> None:
    with tempfile.TemporaryDirectory() as folder:
        law(make, Path(folder))


def events_come_back_in_order(make: MakeStore) -> None:
    """What comes back is what went in, in order, appended one by one or many at once."""

    def law(make: MakeStore, folder: Path) -> None:
        store = make(folder)
        for event in _events():
            store.append("one", event)
        store.append_many("many", _events())
        for study in ("one", "many"):
            back = list(store.events(study))
            assert back == _events(), f"{study}: other events came back"
            assert [list(e.data) for e in back] == [list(e.data) for e in _events()], "keys came back in another order"
            assert all(_same_types(a.data, b.data) for a, b in zip(back, _events(), strict=True)), "types changed"
        store.close()

    _in_folder(law, make)


def odd_numbers_come_back(make: MakeStore) -> None:
    """NaN and the infinities come back as they were, and tuples as lists."""

    def law(make: MakeStore, folder: Path) -> None:
        store = make(folder)
        store.append("s", Event("note", 0, {"values": (math.nan, math.inf, -math.inf, (1,))}))
        (event,) = store.events("s")
        nan, plus, minus, inner = event.data["values"]
        assert math.isnan(nan) and plus == math.inf and minus == -math.inf and inner == [1]
        store.close()

    _in_folder(law, make)


def numbering_has_no_gaps(make: MakeStore) -> None:
    """``after=k`` leaves out exactly the first k, whatever else is in the store."""

    def law(make: MakeStore, folder: Path) -> None:
        store = make(folder)
        for i in range(20):
            store.append("a", Event("note", i, {"i": i}))
            store.append("b", Event("note", -i, {}))
        for after in (0, 1, 7, 19, 20, 21):
            assert [e.trial for e in store.events("a", after)] == list(range(after, 20)), f"after={after}"
        store.close()

    _in_folder(law, make)


def studies_do_not_see_each_other(make: MakeStore) -> None:
    """Studies are kept apart by name, in the order of their first events; an unknown one is empty."""

    def law(make: MakeStore, folder: Path) -> None:
        store = make(folder)
        assert store.studies() == () and list(store.events("none")) == []
        names = ["b", "a", "B", "a ", "Ω'; --"]
        for i, name in enumerate(names):
            store.append(name, Event("note", i))
        assert store.studies() == tuple(names), store.studies()
        for i, name in enumerate(names):
            assert [e.trial for e in store.events(name)] == [i], name
        store.close()

    _in_folder(law, make)


def what_is_refused_is_not_there(make: MakeStore) -> None:
    """Data that JSON cannot hold is a ``TypeError``, a time that is none a ``ValueError``, and nothing is written."""

    def law(make: MakeStore, folder: Path) -> None:
        store = make(folder)
        store.append("s", Event("note", 0))
        refused: list[tuple[Event, type[Exception]]] = [
            (Event("note", 1, {"object": object()}), TypeError),
            (Event("note", 1, {"bytes": b"x"}), TypeError),
            (Event("note", 1, {"keys": {1: 2}}), TypeError),
            (Event("note", 1, {}, math.nan), ValueError),
        ]
        for event, error in refused:
            for before in ([], [Event("note", 1)]):
                try:
                    store.append_many("s", [*before, event])
                except error:
                    continue
                raise AssertionError(f"{event} was taken")
        assert [e.trial for e in store.events("s")] == [0], "part of what was refused is there"
        store.close()

    _in_folder(law, make)


def reading_while_writing_is_safe(make: MakeStore) -> None:
    """A reader gets at least what was there when it began, in order, while events are appended."""

    def law(make: MakeStore, folder: Path) -> None:
        store = make(folder)
        store.append_many("s", [Event("note", i) for i in range(50)])
        seen = []
        for event in store.events("s"):
            seen.append(event.trial)
            if len(seen) < 30:
                store.append("s", Event("note", 49 + len(seen)))
        assert seen[:50] == list(range(50)) and seen == list(range(len(seen))), "the reader saw another order"
        assert len(list(store.events("s"))) == 79, "an event is missing"
        store.close()
        store.close()

    _in_folder(law, make)


def opening_again_gives_the_same_log(make: MakeStore) -> None:
    """What ``append`` returned from is there when the folder is opened again, with or without ``close``."""

    def law(make: MakeStore, folder: Path) -> None:
        first = make(folder)
        first.append_many("s", _events())
        first.close()
        second = make(folder)
        assert list(second.events("s")) == _events(), "the log changed between two openings"
        second.append("s", Event("note", 77))
        second.close()
        third = make(folder)
        assert [e.trial for e in third.events("s", len(_DATA))] == [77], "the log cannot be continued"
        third.close()

    _in_folder(law, make)


def _same_types(a: Any, b: Any) -> bool:
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return all(_same_types(a[k], b[k]) for k in b)
    if isinstance(a, list):
        return all(_same_types(x, y) for x, y in zip(a, b, strict=True))
    return math.copysign(1, a) == math.copysign(1, b) if isinstance(a, float) else True


STORE_LAWS: Sequence[StoreLaw] = (
    events_come_back_in_order,
    odd_numbers_come_back,
    numbering_has_no_gaps,
    studies_do_not_see_each_other,
    what_is_refused_is_not_there,
    reading_while_writing_is_safe,
)

DURABLE_STORE_LAWS: Sequence[StoreLaw] = (opening_again_gives_the_same_log,)
