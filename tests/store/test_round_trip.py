"""What goes into a store comes out of it, whatever it is; what cannot is refused and leaves no trace."""

import json
import math
import threading
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archsmith.errors import StoreError
from archsmith.store import MemoryStore, SQLiteStore, Store
from archsmith.store.codec import decode, encode
from archsmith.trial import Event

TEXT = st.text(st.characters(exclude_categories=()), max_size=8)
KEYS = st.one_of(TEXT, st.just("$number"))
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXT, st.sampled_from(["nan", "inf", "-inf"]))
VALUES = st.recursive(LEAVES, lambda v: st.lists(v, max_size=3) | st.dictionaries(KEYS, v, max_size=3), max_leaves=12)
DATA = st.dictionaries(KEYS, VALUES, max_size=4)


@settings(deadline=None)
@given(DATA)
def test_data_comes_back_as_it_was(data: dict[str, Any]) -> None:
    assert repr(decode(encode(data))) == repr(data)  # NaN is not equal to itself, but reads the same


@settings(deadline=None)
@given(DATA)
def test_the_text_is_strict_ascii_json_on_one_line(data: dict[str, Any]) -> None:
    text = encode(data)
    assert text.isascii() and "\n" not in text and "\0" not in text
    json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))


@settings(max_examples=15, deadline=None)
@given(st.lists(DATA, min_size=1, max_size=5))
def test_every_store_returns_what_it_was_given(tmp_path_factory: pytest.TempPathFactory, several: list[Any]) -> None:
    events = [Event("note", n or None, data, n / 3) for n, data in enumerate(several)]
    for store in (MemoryStore(), SQLiteStore(tmp_path_factory.mktemp("run") / "store.sqlite")):
        store.append_many("study", events)
        assert repr(list(store.events("study"))) == repr(events)
        store.close()


WRONG: list[tuple[str, Event, type[Exception], str]] = [
    ("study", Event("note", 1, {"x": [{"y": object()}]}), TypeError, "data.x.y is of type object"),
    ("study", Event("note", 1, {"x": {1, 2}}), TypeError, "set"),
    ("study", Event("note", 1, {"x": {1: "no text"}}), TypeError, "data.x has the key 1"),
    ("study", Event("note", 1, time=math.nan), ValueError, "nan"),
    ("study", Event("note", 1, time=math.inf), ValueError, "inf"),
    ("study", Event("note", 2**63), ValueError, "64 bits"),
    ("study", Event("no\0te", 1), ValueError, "kind"),
    ("", Event("note", 1), StoreError, "at least one character"),
    ("a\0b", Event("note", 1), StoreError, "NUL"),
    ("lone \ud800", Event("note", 1), StoreError, "text"),
]


@pytest.mark.parametrize(("study", "event", "error", "word"), WRONG)
def test_what_is_refused_takes_its_whole_batch_along(
    store: Store, study: str, event: Event, error: type[Exception], word: str
) -> None:
    store.append("study", Event("note", 0))
    with pytest.raises(error, match=word):
        store.append_many(study, [Event("note", 7), event, Event("note", 8)])
    store.append("study", Event("note", 1))
    assert [e.trial for e in store.events("study")] == [0, 1]
    assert store.studies() == ("study",)


def test_later_changes_of_the_data_change_nothing(store: Store) -> None:
    data: dict[str, Any] = {"list": [1]}
    store.append("study", Event("note", 0, data))
    data["list"].append(2)
    next(store.events("study")).data["list"].append(3)
    assert next(store.events("study")).data == {"list": [1]}


def test_a_long_log_is_read_in_pages_without_a_gap(store: Store) -> None:
    store.append_many("study", [Event("note", n) for n in range(12_001)])
    store.append("other", Event("note"))
    assert [e.trial for e in store.events("study", -3)] == list(range(12_001))
    assert [e.trial for e in store.events("study", 11_999)] == [11_999, 12_000]
    assert list(store.events("study", 10**12)) == []


def test_nothing_appended_is_nothing_done(store: Store) -> None:
    store.append_many("study", [])
    assert store.studies() == ()


def test_threads_of_the_owner_may_append_together(store: Store) -> None:
    def work(thread: int) -> None:
        for number in range(20):
            store.append("study", Event("note", thread, {"n": number}))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    events = list(store.events("study"))
    for number in range(4):
        assert [e.data["n"] for e in events if e.trial == number] == list(range(20))
