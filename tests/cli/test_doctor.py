import json
import os
import re
import socket
import stat
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from archsmith.cli import doctor as room


def test_doctor_says_what_is_here(command: Any) -> None:
    data = json.loads(command("doctor", "--json").out)
    assert data["schema_version"] == 1
    assert data["torch"] and data["threads"] >= 1 and data["devices"][0] == "cpu"
    assert data["disk_free_bytes"] > 0 and data["memory_bytes"]["total"] > 0
    assert all(data["packages"].values())


def test_the_fault_of_old_sqlite_is_named_and_only_there(command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room.sqlite3, "sqlite_version", "3.51.2")
    assert "mended in 3.51.3" in command("doctor").out
    monkeypatch.setattr(room.sqlite3, "sqlite_version", "3.51.10")
    assert "mended in 3.51.3" not in command("doctor").out


def test_a_torch_that_cannot_be_imported_is_told_and_ends_with_7(command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> Any:
        raise RuntimeError("operator does not exist")

    monkeypatch.setattr(room, "load", broken)
    done = command("doctor")
    assert done.code == 7 and "operator does not exist" in done.out and "torch" in done.err


def test_a_missing_extra_is_a_warning_with_its_command(command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_EXTRAS", {"onnx": ("a-package-that-is-not-there",)})
    done = command("doctor")
    assert done.code == 0 and "archsmith[onnx]" in done.out


def test_little_disk_is_a_warning(command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room.shutil, "disk_usage", lambda path: SimpleNamespace(free=10_000_000))
    assert "10.0 MB of disk" in command("doctor").out


def test_doctor_knows_the_disk_the_shared_memory_and_the_open_files(
    command: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = json.loads(command("doctor", "--json").out)
    assert facts["open_files"] is None or facts["open_files"] > 0
    assert {"file_system", "shared_memory_bytes"} <= facts.keys()
    assert set(facts["extras"]) == {"onnx", "parquet", "postgresql", "ray", "optuna"}
    monkeypatch.setattr(room, "file_system", lambda path: "nfs4")
    monkeypatch.setattr(room, "_shared_memory", lambda: 64_000_000)
    monkeypatch.setattr(room, "_open_files", lambda: 256)
    said = command("doctor").out
    assert "on a nfs4 file system" in said and "--shm-size" in said and "ulimit -n 65536" in said


def test_the_extras_that_doctor_knows_are_those_of_the_package() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = {k: v for k, v in project["optional-dependencies"].items() if k not in ("all", "dev")}
    named = {k: {re.split(r"[\[>=<~!]", requirement)[0] for requirement in v} for k, v in extras.items()}
    assert {k: set(v) for k, v in room._EXTRAS.items()} == named


def test_a_server_that_does_not_answer_is_told_without_its_password(command: Any) -> None:
    done = command("doctor", "--store", "postgresql://me:hunter2@127.0.0.1:1/db", "--ray", "127.0.0.1:1")
    assert done.code == 0 and "postgresql://me:***@127.0.0.1:1/db" in done.out and "ray: nobody answers" in done.out
    assert "hunter2" not in done.out + done.err
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        facts = json.loads(command("doctor", "--ray", f"127.0.0.1:{port}", "--json").out)
    assert facts["ray_reachable"] == "yes"


def test_the_log_of_a_run_is_checked_and_salvaged(command: Any, make_run: Callable[..., Path]) -> None:
    folder = make_run()
    assert json.loads(command("doctor", "--run", folder.name, "--json").out)["log_problems"] == []
    assert command("salvage", folder.name).code == 5  # nothing is wrong with it
    store = folder / "store.sqlite"
    rotten = store.read_bytes()[:-5000]
    store.write_bytes(rotten)
    assert "archsmith salvage RUN" in command("doctor", "--run", folder.name).out
    done = command("salvage", folder.name)
    assert done.code == 0 and "made anew with 3 events" in done.out
    assert command("salvage", folder.name).code == 5
    assert (folder / "store.damaged-1.sqlite").read_bytes() == rotten


def test_a_log_on_a_server_is_named_as_such(command: Any, make_run: Callable[..., Path]) -> None:
    folder = make_run()
    (folder / "run.toml").write_text('store = "postgresql://me@host/db"\n')
    facts = json.loads(command("doctor", "--run", folder.name, "--json").out)
    assert facts["log"] == "on postgresql://me@host/db" and "log_problems" not in facts
    done = command("salvage", folder.name)
    assert done.code == 5 and "is on postgresql://me@host/db" in done.err


SECRET = "hunter2-and-more"


@pytest.fixture
def secretive(make_run: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run in whose every file a secret is hidden."""
    folder = make_run()
    monkeypatch.setenv("SOME_TOKEN", SECRET)
    url = f"postgresql://me:{SECRET}@host/db"
    (folder / "run.toml").write_text(f'name = "digits"\naddress = "{url}"\npassword = "{SECRET}"\n')
    environment = {"command": f"archsmith search --store {url}", "db": {"API_KEY": SECRET}, "versions": {"torch": "2"}}
    (folder / "env.json").write_text(json.dumps(environment))
    trial = folder / "trials" / "1"
    trial.mkdir(parents=True)
    error = {"reason": "raised", "detail": f"no answer from {url}", "token": SECRET}
    (trial / "error.json").write_text(json.dumps(error))
    lines = [f"line {n}" for n in range(1000)]
    (trial / "log.txt").write_text("\n".join([*lines, f"printed by itself: {SECRET}", "the last line"]))
    outside = folder.parent / "elsewhere.txt"
    outside.write_text("none of the run's business")
    (folder / "trials" / "2").mkdir()
    (folder / "trials" / "2" / "error.json").write_text("{}")
    (folder / "trials" / "2" / "log.txt").symlink_to(outside)
    return folder


def test_a_bundle_holds_what_helps_and_no_secret(command: Any, secretive: Path, tmp_path: Path) -> None:
    path = tmp_path / "bundle.zip"
    before = os.umask(0)
    try:
        done = command("doctor", "--run", secretive.name, "--bundle", str(path))
    finally:
        os.umask(before)
    assert done.code == 0 and "bundle.zip" in done.out
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name).decode() for name in archive.namelist()}
    assert set(parts) == {
        "doctor.json", "run.toml", "env.json", "check.txt", "trials/1/error.json", "trials/1/log.txt",
        "trials/2/error.json",
    }  # fmt: skip
    assert not [name for name, text in parts.items() if SECRET in text or "business" in text]
    assert SECRET.encode() not in path.read_bytes()
    assert "postgresql://me:***@host/db" in parts["run.toml"] and 'name = "digits"' in parts["run.toml"]
    assert parts["trials/1/log.txt"].endswith("the last line") and "line 10\n" not in parts["trials/1/log.txt"]
    assert json.loads(parts["doctor.json"])["torch"] and json.loads(parts["env.json"])["versions"] == {"torch": "2"}
    assert parts["check.txt"] == "nothing is wrong"
    assert command("doctor", "--bundle", str(path)).code == 2  # it is there already


def test_a_bundle_without_a_run_is_of_the_machine(command: Any, tmp_path: Path) -> None:
    assert command("doctor", "--bundle", str(tmp_path / "b.zip"), "--json").code == 0
    with zipfile.ZipFile(tmp_path / "b.zip") as archive:
        assert archive.namelist() == ["doctor.json"]
    assert command("doctor", "--bundle", str(tmp_path / "no" / "b.zip")).code == 2
