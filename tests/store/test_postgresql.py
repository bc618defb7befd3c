"""The store of a team, on a real server: its laws, and every way in which a server can go away."""

import hashlib
import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_round_trip import DATA

from archsmith.errors import MissingExtra, StoreError, UsageError
from archsmith.space import Space, choice
from archsmith.store import PostgreSQLStore, read_mirror, salvage
from archsmith.store import SQLiteStore as SQLite
from archsmith.strategy import RandomSearch
from archsmith.study import Study
from archsmith.testing.store import DURABLE_STORE_LAWS, STORE_LAWS, StoreLaw
from archsmith.trial import Event

Open = Callable[..., PostgreSQLStore]


@pytest.fixture
def schema() -> str:
    return f"s{uuid.uuid4().hex[:12]}"


@pytest.fixture
def opened(postgres: Any, schema: str) -> Iterator[Open]:
    """Open stores in a schema of the test's own, and close them in the end."""
    made: list[PostgreSQLStore] = []

    def make(address: str | None = None, **settings: Any) -> PostgreSQLStore:
        made.append(PostgreSQLStore(address or postgres.address(), **{"schema": schema, **settings}))
        return made[-1]

    yield make
    for store in made:
        store.close()


def numbers(store: PostgreSQLStore, study: str = "s") -> list[int | None]:
    return [event.trial for event in store.events(study)]


@pytest.mark.parametrize("law", [*STORE_LAWS, *DURABLE_STORE_LAWS], ids=lambda law: law.__name__)
def test_it_obeys_every_law_of_a_store(law: StoreLaw, opened: Open) -> None:
    law(lambda folder: opened(schema="f" + hashlib.sha256(str(folder).encode()).hexdigest()[:12]))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(DATA, min_size=1, max_size=5))
def test_any_data_comes_back_as_it_was(postgres: Any, several: list[Any]) -> None:
    events = [Event("note", n or None, data, n / 3) for n, data in enumerate(several)]
    store, study = PostgreSQLStore(postgres.address()), uuid.uuid4().hex
    store.append_many(study, events)
    assert repr(list(store.events(study))) == repr(events)
    store.close()


# One writer to a study, many studies, many readers.


def _hold(address: str, schema: str, ready: Any) -> None:
    store = PostgreSQLStore(address, schema=schema)
    store.append("s", Event("note", 0))
    ready.send(os.getpid())
    time.sleep(1000)


def test_a_second_writer_is_told_who_the_first_is_and_takes_over_when_that_one_dies(
    postgres: Any, schema: str, opened: Open
) -> None:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_hold, args=(postgres.address(), schema, theirs))
    process.start()
    try:
        pid = ours.recv()
        store = opened()
        with pytest.raises(StoreError, match=rf"'s' .* written by process {pid} on {socket.gethostname()} since"):
            store.append("s", Event("note", 1))
        with pytest.raises(StoreError, match=f"process {pid}"):  # before it goes by a log that is about to change
            list(store.events("s"))
        store.append("another", Event("note", 7))
        assert numbers(opened(readonly=True)) == [0]
        os.kill(pid, signal.SIGKILL)
        process.join()
        until = time.monotonic() + 10
        while time.monotonic() < until:  # the server notices at its own pace
            with suppress(StoreError):
                store.append("s", Event("note", 1))
                break
        assert numbers(store) == [0, 1]
    finally:
        process.kill()
        process.join()
        process.close()


def test_studies_are_written_side_by_side_and_read_by_many(opened: Open) -> None:
    writers = [opened() for _ in range(3)]

    def write(study: int) -> None:
        for number in range(20):
            writers[study].append(f"study {study}", Event("note", number))

    threads = [threading.Thread(target=write, args=(study,)) for study in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    readers = [opened(readonly=True) for _ in range(3)]
    for reader in readers:
        assert sorted(reader.studies()) == ["study 0", "study 1", "study 2"]
        assert all(numbers(reader, f"study {study}") == list(range(20)) for study in range(3))
    with pytest.raises(StoreError, match="reading only"):
        readers[0].append("study 0", Event("note", 20))


def test_a_study_that_goes_on_elsewhere_is_let_go_of(opened: Open) -> None:
    first = opened()
    first.append("s", Event("note", 0))
    first.close()
    opened().append("s", Event("note", 1))
    with pytest.raises(StoreError, match="closed"):
        first.append("s", Event("note", 2))


# The server goes away.


def _cut_all(postgres: Any) -> None:
    postgres.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'team'")


def test_an_idle_connection_that_was_cut_is_not_noticed(postgres: Any, opened: Open) -> None:
    store, reader = opened(), opened(readonly=True)
    for number in range(4):
        store.append("s", Event("note", number))
        _cut_all(postgres)
    assert numbers(store) == [0, 1, 2, 3]
    _cut_all(postgres)
    assert numbers(reader) == numbers(store) == [0, 1, 2, 3]
    with pytest.raises(StoreError, match="written by process"):  # it owns the study again
        opened().append("s", Event("note", 4))


def test_a_restart_in_the_middle_loses_nothing_and_repeats_nothing(postgres: Any, opened: Open) -> None:
    store = opened()
    restart = threading.Thread(target=postgres.control, args=("restart", "-m", "fast"))
    for number in range(60):
        store.append("s", Event("note", number))
        if number == 10:
            restart.start()
        time.sleep(0.005)
    restart.join()
    store.append("s", Event("note", 60))
    assert numbers(store) == list(range(61))


def test_what_another_wrote_while_the_connection_was_broken_is_not_mixed_with_ours(postgres: Any, opened: Open) -> None:
    store = opened()
    store.append("s", Event("note", 0))
    _cut_all(postgres)
    other = opened()
    other.append("s", Event("note", 100))
    with pytest.raises(StoreError, match="written by process"):
        store.append("s", Event("note", 1))
    other.close()
    with pytest.raises(StoreError, match="by another process while the connection"):
        store.append("s", Event("note", 1))
    assert numbers(opened(readonly=True)) == [0, 100]


class Proxy:
    """Stands between a store and its server, and cuts a connection where it is told to."""

    def __init__(self, folder: Path, server: Path) -> None:
        self.cut = ""
        self._server = str(server / ".s.PGSQL.5432")
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / ".s.PGSQL.5432"))
        self._listener.listen()
        self._open: list[socket.socket] = [self._listener]
        self._mute: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        for one in self._open:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._server)
                self._open += [client, server]
                threading.Thread(target=self._pass, args=(client, server), daemon=True).start()
                threading.Thread(target=self._pass_back, args=(client, server), daemon=True).start()

    def _pass(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                how = self.cut if b"COMMIT" in data else ""
                if how:
                    self.cut = ""
                if how == "before":
                    server.close()
                if how in ("after", "half"):
                    self._mute.append(client)  # from here on, no answer reaches the client
                    server.sendall(data)
                    time.sleep(0.2)
                if how:
                    client.shutdown(socket.SHUT_RDWR)
                    if how == "after":
                        server.close()
                    return  # in the half case the server's session stays, and does not know that it is alone
                server.sendall(data)
            server.shutdown(socket.SHUT_RDWR)

    def _pass_back(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(65536):
                if client in self._mute:
                    return
                client.sendall(data)
            client.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("cut", ["before", "after", "half"])
def test_a_connection_that_breaks_at_the_commit_counts_each_event_once(
    cut: str, postgres: Any, opened: Open, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = postgres.folder / uuid.uuid4().hex[:8]
    folder.mkdir()
    proxy = Proxy(folder, postgres.folder)
    try:
        store = opened(postgres.address(folder=folder))
        store.append("s", Event("note", 0))
        proxy.cut = cut
        store.append_many("s", [Event("note", 1), Event("note", 2)])
        assert proxy.cut == ""
        store.append("s", Event("note", 3))
        assert numbers(store) == [0, 1, 2, 3]
        store.close()
    finally:
        proxy.close()


def _fail_at_first(postgres: Any, schema: str, state: str, times: int) -> None:
    """Let the next inserts fail as the server itself would; a sequence counts, for it is not rolled back."""
    postgres.sql(f"""
        CREATE SEQUENCE {schema}.hits;
        CREATE FUNCTION {schema}.fail() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
            IF nextval('{schema}.hits') <= {times} THEN
                RAISE EXCEPTION 'made to fail' USING ERRCODE = '{state}'; END IF;
            RETURN NEW; END $$;
        CREATE TRIGGER fail BEFORE INSERT ON {schema}.events EXECUTE FUNCTION {schema}.fail()""")


@pytest.mark.parametrize("state", ["40001", "40P01", "55P03", "57014"])
def test_a_transaction_that_lost_against_another_is_tried_again(
    state: str, postgres: Any, schema: str, opened: Open
) -> None:
    store = opened()
    store.append("s", Event("note", 0))
    _fail_at_first(postgres, schema, state, times=3)
    store.append_many("s", [Event("note", 1), Event("note", 2)])
    assert numbers(store) == [0, 1, 2]


def test_what_does_not_pass_is_told_with_what_to_do(postgres: Any, schema: str, opened: Open) -> None:
    store = opened(wait=0.3)
    store.append("s", Event("note", 0))
    _fail_at_first(postgres, schema, "53100", times=1)
    with pytest.raises(StoreError, match=r"made to fail\. The disk of the server is full\. Free some space"):
        store.append("s", Event("note", 1))
    postgres.sql(f"SELECT setval('{schema}.hits', 1, false)")
    with pytest.raises(StoreError, match="disk of the server"):
        store.append("s", Event("note", 1))
    store.append("s", Event("note", 1))
    assert numbers(store) == [0, 1]


def _refuse(study: str, rows: object) -> None:
    raise StoreError("The server went away once more.")


def test_a_server_that_does_not_come_back_is_given_up_on_and_what_it_did_not_take_is_kept(
    postgres: Any, opened: Open, tmp_path: Path
) -> None:
    mirror = tmp_path / "events.jsonl"
    store = opened(wait=0.5, mirror=mirror)
    store.append("s", Event("note", 0))
    postgres.control("stop", "-m", "fast")
    try:
        with pytest.raises(StoreError, match=r"Check the server, then resume; everything recorded so far is kept"):
            store.append("s", Event("note", 1))
        with pytest.raises(StoreError, match="Is the server running"):
            opened()
    finally:
        postgres.control("start")
    store.close()
    assert mirror.with_name("waiting.jsonl").exists()
    again = opened(mirror=mirror)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(again, "_append", _refuse)
        with pytest.raises(StoreError, match="once more"):
            numbers(again)
    again.append("s", Event("note", 2))
    assert numbers(again) == [0, 1, 2] == [e.trial for e in read_mirror(mirror)]
    assert not mirror.with_name("waiting.jsonl").exists()


def test_too_many_clients_are_waited_for_and_then_told(postgres: Any, opened: Open) -> None:
    crowd: list[PostgreSQLStore] = []
    with suppress(StoreError):
        while len(crowd) < 50:
            crowd.append(opened(wait=0.1))
    assert 2 < len(crowd) < 50
    with pytest.raises(StoreError, match="takes no more connections"):
        opened(wait=0.2)
    leave = threading.Timer(0.4, crowd[0].close)
    leave.start()
    opened(wait=20.0).append("s", Event("note", 0))
    leave.join()


# What is refused, and what is said.


def test_a_schema_of_another_program_is_refused_and_left_alone(postgres: Any, schema: str, opened: Open) -> None:
    postgres.sql(f"CREATE SCHEMA {schema} AUTHORIZATION team; CREATE TABLE {schema}.events (mine text)", user="boss")
    with pytest.raises(StoreError, match="tables of another program"):
        opened()
    assert postgres.sql(f"SELECT count(*) FROM pg_tables WHERE schemaname = '{schema}'") == "1"


def test_a_newer_schema_is_refused_and_left_alone(postgres: Any, schema: str, opened: Open) -> None:
    opened().close()
    postgres.sql(f"UPDATE {schema}.archsmith SET value = '99' WHERE name = 'schema_version'")
    for readonly in (False, True):
        with pytest.raises(StoreError, match=r"newer version of Archsmith .*99.* Nothing was changed"):
            opened(readonly=readonly)


def test_a_reader_makes_nothing(postgres: Any, schema: str, opened: Open) -> None:
    with pytest.raises(StoreError, match="no store of Archsmith yet"):
        opened(readonly=True)
    assert postgres.sql(f"SELECT count(*) FROM pg_namespace WHERE nspname = '{schema}'") == "0"


@pytest.mark.parametrize(
    "form", ["postgresql://guarded:geh%26im@/lab?host={}", "postgres://guarded@/lab?password=geh%26im&host={}"]
)
def test_a_password_is_used_and_never_shown(
    form: str, postgres: Any, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = form.format(postgres.folder)
    with pytest.raises(StoreError, match="GRANT CREATE ON DATABASE") as told:
        opened(address)  # it was let in, and lacks the right to make tables
    for text in (str(told.value), repr(told.value)):
        assert "geh" not in text
    with pytest.raises(StoreError, match="password authentication failed") as told:
        opened(address.replace("geh%26im", "wrong-one"))
    assert "wrong-one" not in str(told.value) and "PGPASSWORD" in str(told.value)
    monkeypatch.setenv("PGPASSWORD", "geh&im")
    with pytest.raises(StoreError, match="GRANT CREATE"):  # what was written down without its password
        opened(f"postgresql://guarded:***@/lab?host={postgres.folder}")


@pytest.mark.parametrize("address", ["mysql://me:geheim@host/lab", "postgresql://me:geheim@host", "me:geheim@host", ""])
def test_what_is_no_address_is_refused_without_its_password(address: str) -> None:
    with pytest.raises(UsageError, match="postgresql://me@host/database") as told:
        PostgreSQLStore(address)
    assert "://me:geheim" not in str(told.value)


def test_without_psycopg_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingExtra, match=r"pip install 'archsmith\[postgresql\]'"):
        PostgreSQLStore("postgresql://me:geheim@nowhere/lab")


# The mirror.


def test_the_mirror_is_the_log_and_can_be_salvaged(opened: Open, tmp_path: Path) -> None:
    mirror = tmp_path / "run" / "events.jsonl"
    store = opened(mirror=mirror)
    other = opened()
    for number in range(5):
        store.append("s", Event("note", number, {"x": float("nan")}))
        other.append("another", Event("note", number))
    assert repr(list(read_mirror(mirror))) == repr(list(store.events("s")))
    with pytest.raises(StoreError, match="mirror of 's'"):
        store.append("more", Event("note", 0))
    store.close()
    assert salvage(mirror, tmp_path / "new.sqlite").events == {"s": 5}
    saved = SQLite(tmp_path / "new.sqlite", readonly=True)
    assert [event.trial for event in saved.events("s")] == [0, 1, 2, 3, 4]
    saved.close()


def test_the_next_owner_completes_a_mirror_that_fell_behind(opened: Open, tmp_path: Path) -> None:
    mirror = tmp_path / "events.jsonl"
    store = opened(mirror=mirror)
    store.append_many("s", [Event("note", number) for number in range(4)])
    store.close()
    lines = mirror.read_bytes().splitlines(keepends=True)
    mirror.write_bytes(b"".join(lines[:2]) + lines[2][:20])
    again = opened(mirror=mirror)
    assert numbers(again) == [0, 1, 2, 3]
    assert [event.trial for event in read_mirror(mirror)] == [0, 1, 2, 3]
    again.close()
    lines = mirror.read_text().splitlines()
    ahead = json.loads(lines[-1]) | {"id": 9, "sequence": 9}
    mirror.write_text("\n".join([*lines, json.dumps(ahead)]) + "\n")
    with pytest.raises(StoreError, match=r"knows 9 events of 's', but .* only 4"):
        list(opened(mirror=mirror).events("s"))


# A search.

SPACE = Space(x=choice(*range(64), name="x"))


def _measure(proposal: Any, run: Any) -> dict[str, float]:
    return {"accuracy": float(proposal.arch["x"])}


def test_a_study_goes_on_from_the_database_as_if_it_had_not_stopped(postgres: Any, opened: Open) -> None:
    def study(store: Any, name: str) -> Study:
        return Study(SPACE, RandomSearch(SPACE), _measure, store=store, seed=3, name=name)

    straight = study(opened(), "straight").run(trials=12)
    for until in (4, 8, 12):
        store = opened()
        stopped = study(store, "stopped")
        stopped.on_event = lambda event: _cut_all(postgres) if event.trial in (2, 6, 10) else None
        stopped.run(trials=until)
        store.close()
    assert [(t.number, dict(t.arch), t.metrics) for t in stopped.trials] == [
        (t.number, dict(t.arch), t.metrics) for t in straight.trials
    ]


def test_the_code_of_the_documentation_runs_on_a_server(postgres: Any, tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "cluster.md").read_text(encoding="utf-8")
    for name in ("lab.py", "in_a_database.py"):
        (tmp_path / name).write_text(page.split(f'title="{name}"\n')[1].split("```")[0], encoding="utf-8")
    line = [sys.executable, "-W", "error", "in_a_database.py", postgres.address()]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
