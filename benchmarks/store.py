"""How many durable events a second the log takes, beside bare SQLite, and how long a study of 10,000 trials opens.

    python benchmarks/store.py [FOLDER]

FOLDER should be on the disk that matters; a temporary one is used without it. "Durable" means that the event is on the
disk (``synchronous=FULL``) before the next one is written; together, events are durable when ``append_many`` returns.
"""

from __future__ import annotations

import sqlite3
import sys
import tempfile
import time
from pathlib import Path

from archsmith.space import Arch
from archsmith.store import MemoryStore, SQLiteStore, Store
from archsmith.trial import Evaluate, Event, maximize, read_trials

TRIALS = 10_000
SINGLE = 1_000
BATCH = 50


def events(trials: int) -> list[Event]:
    log = []
    for number in range(trials):
        arch = Arch({f"model/stage/{i}": (number * i) % 5 for i in range(12)})
        log.append(Event("asked", number, {"proposal": Evaluate(arch, {"epochs": 3.0}).to_json(), "index": number}))
        metrics = {"accuracy": 0.9, "log_loss": 0.3, "params": 1e5, "macs": 1e7, "latency_ms": 1.5}
        data = {"state": "complete", "metrics": metrics, "seconds": 12.5, "reason": ""}
        log.append(Event("finished", number, data, 1.7e9 + number))
    return log


def rate(count: int, begin: float) -> float:
    return count / (time.perf_counter() - begin)


def bare_sqlite(path: Path) -> float:
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.execute("CREATE TABLE log (id INTEGER PRIMARY KEY, data TEXT)")
    begin = time.perf_counter()
    for _ in range(SINGLE):
        database.execute("BEGIN IMMEDIATE")
        database.execute("INSERT INTO log (data) VALUES (?)", ("x" * 300,))
        database.execute("COMMIT")
    found = rate(SINGLE, begin)
    database.close()
    return found


def one_by_one(store: Store, log: list[Event]) -> float:
    begin = time.perf_counter()
    for event in log:
        store.append("single", event)
    return rate(len(log), begin)


def together(store: Store, log: list[Event]) -> float:
    begin = time.perf_counter()
    for first in range(0, len(log), BATCH):
        store.append_many("study", log[first : first + BATCH])
    return rate(len(log), begin)


def main(folder: Path) -> None:
    log = events(TRIALS)
    bare = bare_sqlite(folder / "bare.sqlite")
    path = folder / "run" / "store.sqlite"
    store = SQLiteStore(path)
    single = one_by_one(store, log[:SINGLE])
    many = together(store, log)
    store.close()
    memory = one_by_one(MemoryStore(), log)
    print(f"bare SQLite, one by one, durable     {bare:10,.0f} events/s    1.00")
    print(f"SQLiteStore, one by one, durable     {single:10,.0f} events/s  {single / bare:6.2f}")
    print(f"SQLiteStore, {BATCH} together, durable    {many:10,.0f} events/s  {many / bare:6.2f}   (wanted: 1,000/s)")
    print(f"MemoryStore, one by one              {memory:10,.0f} events/s  {memory / bare:6.2f}")
    for name, readonly in (("to continue it", False), ("to read it", True)):
        begin = time.perf_counter()
        store = SQLiteStore(path, readonly=readonly)
        opened = time.perf_counter() - begin
        trials = read_trials(store.events("study"), [maximize("accuracy")])
        total = time.perf_counter() - begin
        assert len(trials) == TRIALS
        store.close()
        print(f"open {TRIALS:,} trials {name:15}  {opened * 1e3:8.0f} ms, with every trial told {total * 1e3:6.0f} ms")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as name:
        main(Path(name))
