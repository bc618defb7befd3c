import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

ROW = {
    "format": "onnx",
    "path": "runs/x/best/model.onnx",
    "ok": True,
    "bytes": 98_000,
    "latency_ms": 0.41,
    "max_difference": 1.2e-7,
    "batches": [1, 2, 7],
}


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch, make_run: Callable[..., Path]) -> list[str]:
    make_run()
    formats: list[str] = []

    def export(folder: str, kind: str) -> dict[str, Any]:
        formats.append(kind)
        return ROW

    monkeypatch.setattr("archsmith.cli.export.load", lambda name: SimpleNamespace(export=export))
    return formats


def test_the_file_comes_first_and_then_how_it_was_verified(command: Any, asked: list[str]) -> None:
    done = command("export", "digits", "--format", "pt2")
    assert done.code == 0 and asked == ["pt2"]
    assert done.out.splitlines()[0] == ROW["path"]
    assert "98.0 kB" in done.out and "0.410 ms" in done.out and "batch 1, 2, 7" in done.out


def test_json_holds_everything(command: Any) -> None:
    assert json.loads(command("export", "digits", "--json").out) == {"schema_version": 1, **ROW}


def test_an_unknown_format_is_refused_with_those_there_are(command: Any, asked: list[str]) -> None:
    done = command("export", "digits", "--format", "onyx")
    assert done.code == 2 and "onnx" in done.err and "safetensors" in done.err and asked == []
