"""Files, names and addresses made to do harm: refused, or shown as the text they are."""

import io
import json
import os
import stat
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from archsmith.documents import read_json, read_toml
from archsmith.errors import ArchsmithError, DataError, StoreError
from archsmith.estimate import load_checkpoint, load_weights
from archsmith.export.fresh import _outside
from archsmith.pipeline import predict
from archsmith.redact import redact
from archsmith.report import load_record, show_data, show_lines
from archsmith.store import SQLiteStore, read_mirror
from archsmith.task import load, prepare
from archsmith.trial import Event

DEEP = 100_000


class Evil:
    """Leaves a mark where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return open, (str(self.mark), "w")


@pytest.mark.parametrize("name", ["d.pt", "d.pkl", "d.joblib", "d.npy", "d.npz", "d.csv", "d.parquet"])
def test_a_pickle_is_refused_whatever_it_is_called(name: str, tmp_path: Path) -> None:
    import pickle

    mark = tmp_path / "mark"
    (tmp_path / name).write_bytes(pickle.dumps(Evil(mark)))
    with pytest.raises(DataError):
        load(tmp_path / name)
    assert not mark.exists()


def test_a_pickle_in_place_of_a_checkpoint_is_refused(tmp_path: Path) -> None:
    import torch

    mark = tmp_path / "mark"
    for name in ("last.safetensors", "final.safetensors"):
        torch.save({"network": Evil(mark)}, tmp_path / name)
    with pytest.raises(StoreError, match="damaged"):
        load_checkpoint(tmp_path / "last.safetensors")
    with pytest.raises(StoreError, match="damaged"):
        load_weights(tmp_path)
    assert not mark.exists()


def test_names_in_an_archive_lead_nowhere(tmp_path: Path) -> None:
    path = tmp_path / "data" / "d.npz"
    path.parent.mkdir()
    arrays = {}
    for name, values in (("x", np.zeros((40, 3))), ("y", np.arange(40) % 2)):
        file = io.BytesIO()
        np.save(file, values)
        arrays[name] = file.getvalue()
    with zipfile.ZipFile(path, "w") as archive:
        for outside in ("../../escaped.npy", "/escaped.npy", "../x.npy"):
            archive.writestr(outside, arrays["x"])
        link = zipfile.ZipInfo("link.npy")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
        for name, data in arrays.items():
            archive.writestr(f"{name}.npy", data)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(DataError):  # the link holds no array; nothing of it is followed
        load(path)
    assert sorted(tmp_path.rglob("*")) == before


def test_an_archive_of_very_many_files_is_refused_by_its_index(tmp_path: Path) -> None:
    path = tmp_path / "d.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(1500):
            archive.writestr(f"x{number}.npy", b"")
    with pytest.raises(DataError, match="more than the 1,000 files"):
        load(path)
    lying = bytearray(path.read_bytes())
    end = lying.rindex(b"PK\x05\x06")
    lying[end + 8 : end + 12] = struct.pack("<HH", 2, 2)  # the count may lie; the length of the list cannot
    lying[end + 12 : end + 16] = struct.pack("<I", 10**9)
    path.write_bytes(bytes(lying))
    with pytest.raises(DataError, match="more than the 1,000 files"):
        load(path)


def test_only_png_and_jpeg_decoders_ever_see_a_file(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for number in range(6):
            Image.new("L", (8, 8), number).save(tmp_path / name / f"{number}.png")
    Image.new("L", (8, 8)).save(tmp_path / "dog" / "other.png", format="TIFF")
    (tmp_path / "dog" / "post.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n")
    with pytest.raises(DataError, match=r"(?s)2 image.*other\.png.*post\.jpg"):
        load(tmp_path)


def test_text_that_unpacks_to_much_inside_an_image_is_refused(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for number in range(6):
            Image.new("L", (8, 8), number).save(tmp_path / name / f"{number}.png")
    bomb = tmp_path / "dog" / "bomb.png"
    Image.new("L", (8, 8)).save(bomb)
    data = bomb.read_bytes()
    body = b"zTXt" + b"Comment\0\0" + zlib.compress(b"x" * 30_000_000, 9)
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    at = data.index(b"IDAT") - 4
    bomb.write_bytes(data[:at] + chunk + data[at:])
    with pytest.raises(DataError, match=r"bomb\.png"):
        load(tmp_path)


def test_a_parquet_file_is_measured_by_what_it_unpacks_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "d.parquet"
    parquet.write_table(arrow.table({"x": ["the same" * 1000] * 10_000, "y": [0, 1] * 5_000}), path)
    room = SimpleNamespace(available=30_000_000)  # enough for what the footer declares of this table
    monkeypatch.setattr("archsmith.task.limits.psutil.virtual_memory", lambda: room)
    with pytest.raises(DataError, match=r"d\.parquet needs .* GiB in memory"):
        load(path)


JSONS = {
    "deep": b'{"a":' + b"[" * DEEP + b"]" * DEEP + b"}",
    "not so deep": b'{"a":' + b"[" * 150 + b"]" * 150 + b"}",
    "huge number": b'{"best": {"trial": ' + b"9" * 100_000 + b"}}",
    "cut": b'{"best": ',
    "no mapping": b"[1, 2]",
    "binary": bytes(range(256)),
}
TOMLS = {
    "deep": b"a = " + b"[" * DEEP + b"]" * DEEP,
    "huge number": b"a = " + b"9" * 100_000,
    "twice": b"a = 1\na = 2\n",
    "cut": b'a = "',
    "binary": bytes(range(256)),
}


@pytest.mark.parametrize("kind", JSONS)
def test_json_made_to_do_harm_is_refused_and_shown_as_a_note(kind: str, tmp_path: Path) -> None:
    (tmp_path / "result.json").write_bytes(JSONS[kind])
    (tmp_path / "env.json").write_bytes(JSONS[kind])
    with pytest.raises(StoreError, match=r"result\.json"):
        read_json(tmp_path / "result.json")
    record = load_record(tmp_path)
    assert any("result.json" in note for note in record.notes)
    assert show_lines(record) and show_data(record)
    with pytest.raises(StoreError):
        predict(tmp_path, tmp_path / "photo.png")


@pytest.mark.parametrize("kind", TOMLS)
def test_toml_made_to_do_harm_is_refused_and_shown_as_a_note(kind: str, tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_bytes(TOMLS[kind])
    with pytest.raises(StoreError, match=r"run\.toml"):
        read_toml(tmp_path / "run.toml")
    assert any("run.toml" in note for note in load_record(tmp_path).notes)


def test_what_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text("{}" + " " * 2000)
    with pytest.raises(StoreError, match="more than 1,000 bytes"):
        read_json(path, largest=1000)
    assert read_json(path, largest=5000) == {}


def test_lines_of_a_log_made_to_do_harm_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("archsmith.store.mirror._LONGEST", 10_000)
    store = SQLiteStore(tmp_path / "store.sqlite")
    store.append("study", Event("note", None, {"n": 1}))
    store.close()
    mirror = tmp_path / "events.jsonl"
    good = mirror.read_bytes()
    deep = good.replace(b'{"n":1}', b'{"n":' + b"[" * 4000 + b"]" * 4000 + b"}")
    mirror.write_bytes(b"".join([b"x" * 35_000 + b"\n", deep, b'{"id": ' + b"9" * 9000 + b"}\n", good]))
    assert [e.data for e in read_mirror(mirror)] == [{"n": 1}]


def test_result_fields_of_other_kinds_are_told_in_words(tmp_path: Path) -> None:
    for task in (None, [], {"kind": "image"}, {"pixels": "ab", "kind": 3}):
        (tmp_path / "result.json").write_text(json.dumps({"task": task}))
        with pytest.raises(StoreError, match="does not say what the network takes"):
            predict(tmp_path, tmp_path / "photo.png")


def test_an_onnx_file_that_refers_to_others_is_refused_unread(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    weights = onnx.TensorProto(name="w", data_type=kind, dims=[2], data_location=onnx.TensorProto.EXTERNAL)
    weights.external_data.add(key="location", value="../../etc/passwd")
    inner = helper.make_graph(
        [helper.make_node("Identity", ["w"], ["b"])], "inner", [], [helper.make_tensor_value_info("b", kind, [2])],
        [weights],
    )  # fmt: skip
    node = helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner)
    condition = helper.make_tensor_value_info("c", onnx.TensorProto.BOOL, [])
    graph = helper.make_graph([node], "g", [condition], [helper.make_tensor_value_info("y", kind, [2])])
    model = helper.make_model(graph)
    assert _outside(model) == ["../../etc/passwd"] * 2
    assert _outside(helper.make_model(helper.make_graph([], "g", [condition], [condition]))) == []


ESCAPES = "\x1b]0;owned\x07\x1b[31mred\x9b2J\u202e"


def test_what_a_terminal_would_obey_is_never_printed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from archsmith.cli import main
    from archsmith.cli.output import emit, emit_json

    emit(f"name {ESCAPES}")
    emit_json({"name": ESCAPES})
    out = capsys.readouterr().out
    assert json.loads(out[out.index("{") :])["name"] == ESCAPES  # a program gets it whole
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["archsmith", "search", f"nothing{ESCAPES}", "--budget", "10s"])
    with pytest.raises(SystemExit):
        main()
    shown = out + "".join(capsys.readouterr())
    assert "owned" not in shown.replace("\\u001b]0;owned", "")
    assert not set("\x1b\x07\x9b\u202e") & set(shown)


def test_predictions_are_no_formulas(capsys: pytest.CaptureFixture[str]) -> None:
    from archsmith.cli.predict import _csv

    rows = [{"=label": "=cmd|' /C calc'!A0", "probability": -0.5}, {"=label": "+1", "probability": 0.25}]
    assert _csv(rows).splitlines() == ["'=label,probability", "'=cmd|' /C calc'!A0,-0.5", "+1,0.25"]


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("postgresql://me:hunter2@host:5432/db", "postgresql://me:***@host:5432/db"),
        ("postgresql+psycopg://me:hun@ter2@host/db", "postgresql+psycopg://me:***@host/db"),
        ("postgresql://me:hun/ter2@host/db", "postgresql://me:***@host/db"),
        ("postgresql://:hunter2@host/db?sslmode=require", "postgresql://:***@host/db?sslmode=require"),
        ("postgresql://host/db?user=me&password=hunter2&x=1", "postgresql://host/db?user=me&password=***&x=1"),
        ("RAY_AUTH_TOKEN=hunter2 archsmith search", "RAY_AUTH_TOKEN=*** archsmith search"),
        ("--api-key hunter2 --seed 3", "--api-key *** --seed 3"),
        ("{'password': 'hunter2', 'user': 'me'}", "{'password': '***', 'user': 'me'}"),
        ("a sentence about tokenizers, host:port and 3:4@5", "a sentence about tokenizers, host:port and 3:4@5"),
    ],
)
def test_secrets_in_text_are_hidden(text: str, hidden: str) -> None:
    assert redact(text) == hidden


def test_the_trace_of_a_fault_is_its_owners_alone_and_holds_no_password(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import archsmith.cli.app as room

    def broken(**options: Any) -> None:
        raise RuntimeError("no answer from postgresql://me:hunter2@host/db")

    monkeypatch.setattr(room, "app", broken)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["archsmith", "search", "--store", "postgresql://me:hunter2@host/db"])
    before = os.umask(0)
    try:
        with pytest.raises(SystemExit):
            room.main()
    finally:
        os.umask(before)
    (log,) = tmp_path.iterdir()
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert "hunter2" not in log.read_text() and "hunter2" not in capsys.readouterr().err
    assert "postgresql://me:***@host/db" in log.read_text()


def test_a_copy_that_is_read_is_its_owners_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    real: Callable[..., Any] = os.mkdir

    def noted(path: Any, mode: int = 0o777, **more: Any) -> None:
        real(path, mode, **more)
        made.append(stat.S_IMODE(os.stat(path).st_mode))

    from archsmith.store import sqlite_file

    store = SQLiteStore(tmp_path / "store.sqlite")
    store.close()
    calls = iter([sqlite_file.sqlite3.OperationalError("unable to open database file")])
    whole = sqlite_file._read

    def refusing(path: Path, wait: float) -> Any:
        for error in calls:
            raise error
        return whole(path, wait)

    monkeypatch.setattr(sqlite_file, "_read", refusing)
    monkeypatch.setattr(os, "mkdir", noted)
    before = os.umask(0)
    try:
        SQLiteStore(tmp_path / "store.sqlite", readonly=True).close()
    finally:
        os.umask(before)
    assert made == [0o700]


def test_new_samples_are_held_to_the_same_limits(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(8):
            Image.new("L", (8, 8), 20 * number).save(tmp_path / "data" / name / f"{number}.png")
    task = load(tmp_path / "data")
    Image.new("L", (8, 8)).save(tmp_path / "new.png", format="TIFF")
    with pytest.raises(ArchsmithError, match=r"new\.png"):
        prepare(task, tmp_path / "new.png")
