import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

ROWS = [
    {"file": "a.png", "label": "cat", "probability": 0.93456},
    {"file": "b,c.png", "label": "dog", "probability": 0.5},
]


@pytest.fixture(autouse=True)
def pipeline(monkeypatch: pytest.MonkeyPatch, make_run: Callable[..., Path]) -> None:
    make_run()
    fake = SimpleNamespace(predict=lambda folder, file: ROWS)
    monkeypatch.setattr("archsmith.cli.predict.load", lambda name: fake)


def test_text_is_a_table(command: Any) -> None:
    done = command("predict", "digits", "photos")
    assert [line.split() for line in done.out.splitlines()] == [
        ["file", "label", "probability"],
        ["a.png", "cat", "0.9346"],
        ["b,c.png", "dog", "0.5"],
    ]


def test_csv_can_be_read_again(command: Any) -> None:
    done = command("predict", "digits", "photos", "--csv")
    assert done.out == 'file,label,probability\na.png,cat,0.93456\n"b,c.png",dog,0.5\n'


def test_json_holds_everything(command: Any) -> None:
    data = json.loads(command("predict", "digits", "photos", "--json").out)
    assert data["schema_version"] == 1 and data["predictions"] == ROWS
