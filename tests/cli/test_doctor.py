import json
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
