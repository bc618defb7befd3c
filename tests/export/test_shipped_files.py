"""Files that need nothing of ours: what is written, and that checking finds what is wrong with it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn

from archsmith.build import build, shipped_source
from archsmith.build.blocks import Classifier, ConvNormAct
from archsmith.build.preprocess import PixelNormalize, TableNormalize, Unstandardize
from archsmith.errors import ExportError, MissingExtra
from archsmith.export import Facts, check, convert, export, load_network, verify
from archsmith.space import Arch, Space, call, choice
from archsmith.spec import Spec

LABELS = ('zero "0"', "one\\1", "two")
IMAGES = Space(
    model=call(
        nn.Sequential,
        call(ConvNormAct, 1, choice(4, 8, name="width"), 3, 2, activation="hardswish"),
        call(Classifier, 8, 3),
    )
)
PIXELS = torch.randint(0, 256, (3, 1, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
IMAGE_FACTS = Facts(
    'shapes "x"', Spec("image", "classification", (1, 8, 8), 3, 100), (1, 8, 8), LABELS, tested={"accuracy": 0.75}
)


def image_network() -> tuple[nn.Module, str]:
    arch = Arch({"width": 8})
    before = PixelNormalize([100.0], [50.0])
    network = nn.Sequential(before, build(IMAGES, arch, seed=0))
    with torch.no_grad():  # statistics as after training
        network.train()(PIXELS)
    return network.to(memory_format=torch.channels_last), shipped_source(IMAGES, arch, before)


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with every format of a small image network, verified once."""
    run = tmp_path_factory.mktemp("run")
    network, source = image_network()
    network.train()
    written = export(network, source, IMAGE_FACTS, PIXELS, run / "best")
    assert set(written) == {"safetensors", "pt2", "onnx"} and all(path.is_file() for path in written.values())
    assert network.training
    verify(run / "best")
    return run


def copied(shipped: Path, tmp_path: Path) -> Path:
    shutil.copytree(shipped, tmp_path / "run")
    return tmp_path / "run" / "best"


def test_every_format_does_what_the_network_does(shipped: Path) -> None:
    rows = json.loads((shipped / "exports" / "verify.json").read_text())["files"]
    assert [row["format"] for row in rows] == ["safetensors", "pt2", "onnx"]
    for row in rows:
        assert row["ok"] and row["batches"] == [1, 2, 7] and row["agreement"] == 1
        assert row["max_difference"] <= row["tolerance"]
        assert row["bytes"] == (shipped / row["path"]).stat().st_size
    assert rows[2]["latency_ms"] > 0


def test_nothing_is_left_beside_the_files(shipped: Path) -> None:
    names = {"card.md", "model.onnx", "model.pt2", "model.py", "model.safetensors"}
    assert {path.name for path in (shipped / "best").iterdir()} == names
    assert {path.name for path in (shipped / "exports").iterdir()} == {"reference.npz", "verify.json"}


def test_the_network_is_loaded_again_with_its_labels(shipped: Path) -> None:
    network = load_network(shipped / "best")
    original, _ = image_network()
    with torch.no_grad():
        assert torch.allclose(network(PIXELS), original.eval()(PIXELS), atol=1e-6)
    assert network.labels == LABELS


def test_the_python_file_predicts_labels_where_this_project_is_not_installed(shipped: Path) -> None:
    code = (
        "import sys, torch; sys.modules['archsmith'] = None; sys.path.insert(0, sys.argv[1]); import model; "
        "(label, p), *rest = model.predict(torch.zeros(2, 1, 8, 8, dtype=torch.uint8)); "
        "assert label in model.LABELS and 0 < p <= 1 and len(rest) == 1; print(model.__doc__)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-B", "-W", "error", "-c", code, str(shipped / "best")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "[batch, 1, 8, 8]" in done.stdout


def test_the_card_says_what_goes_in_what_comes_out_and_how_good_it_is(shipped: Path) -> None:
    text = (shipped / "best" / "card.md").read_text()
    for said in ("[batch, 1, 8, 8]", "`two`", "| accuracy | 0.75 |", "model.load()"):
        assert said in text


def test_weights_that_changed_after_the_export_are_found(shipped: Path, tmp_path: Path) -> None:
    folder = copied(shipped, tmp_path)
    weights = safetensors.torch.load_file(folder / "model.safetensors")
    weights["1.1.linear.bias"] += 1
    safetensors.torch.save_file(weights, folder / "model.safetensors")
    with pytest.raises(ExportError, match=r"best/model\.safetensors: its outputs differ .* by up to 1, more than"):
        verify(folder, ["safetensors"])
    rows = {row["format"]: row for row in json.loads((folder.parent / "exports" / "verify.json").read_text())["files"]}
    assert not rows["safetensors"]["ok"] and rows["onnx"]["ok"]


def test_a_file_that_needs_this_project_is_found(shipped: Path, tmp_path: Path) -> None:
    folder = copied(shipped, tmp_path)
    with (folder / "model.py").open("a") as file:
        file.write("\nimport archsmith.build\n")
    found = check(folder, ["safetensors"])
    assert not found[0].ok and "must not need archsmith" in found[0].reason


def test_a_batch_size_fixed_by_accident_and_a_cut_file_are_found(shipped: Path, tmp_path: Path) -> None:
    folder = copied(shipped, tmp_path)
    network, _ = image_network()
    fixed = torch.export.export(network.eval(), (PIXELS[:2].float(),))
    torch.export.save(fixed, folder / "model.pt2")
    data = (folder / "model.onnx").read_bytes()
    (folder / "model.onnx").write_bytes(data[: len(data) // 2])
    pt2, onnx = check(folder, ["pt2", "onnx"])
    assert not pt2.ok and not onnx.ok
    assert "fresh process" in pt2.reason and "fresh process" in onnx.reason


def test_a_process_that_hangs_is_given_up(shipped: Path, tmp_path: Path) -> None:
    folder = copied(shipped, tmp_path)
    (folder / "model.py").write_text("import time\ntime.sleep(600)\n")
    assert "within 2 s" in check(folder, ["safetensors"], timeout=2)[0].reason


def test_checking_that_is_interrupted_leaves_no_process_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[subprocess.Popen[str]] = []

    def start(folder: Path, kind: str) -> subprocess.Popen[str]:
        begun.append(subprocess.Popen(["sleep", "100"], stdout=subprocess.PIPE, text=True))
        return begun[-1]

    def interrupted(*given: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules[check.__module__], "_start", start)
    monkeypatch.setattr(sys.modules[check.__module__], "_finish", interrupted)
    with pytest.raises(KeyboardInterrupt):
        check(tmp_path, ["safetensors", "pt2"])
    assert [process.returncode for process in begun] == 2 * [-signal.SIGKILL]


def test_a_format_that_takes_far_longer_than_the_networks_own_file_hangs(
    shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def started(folder: Path, kind: str) -> subprocess.Popen[str]:
        found = json.dumps({"max_difference": 0.0, "scale": 1.0, "agreement": 1.0, "batches": [1, 2, 7]})
        does = f"print({found!r})" if kind == "safetensors" else "import time; time.sleep(600)"
        return subprocess.Popen([sys.executable, "-c", does], stdout=-1, stderr=-1, text=True)

    verifying = sys.modules[check.__module__]
    monkeypatch.setattr(verifying, "_start", started)
    monkeypatch.setattr(verifying, "_HANGING_SECONDS", 0.5)
    good, pt2, onnx = check(copied(shipped, tmp_path), ["safetensors", "pt2", "onnx"], timeout=600.0, least=0.0)
    assert good.ok and not pt2.ok and not onnx.ok
    assert "it was not loaded and run within" in pt2.reason and "within 600 s" not in onnx.reason


def test_a_missing_format_is_found_and_an_unknown_one_refused(shipped: Path, tmp_path: Path) -> None:
    folder = copied(shipped, tmp_path)
    os.remove(folder / "model.onnx")
    assert not check(folder, ["onnx"])[0].ok
    with pytest.raises(ExportError, match="'onnx'"):
        convert(folder, ["onxx"])
    with pytest.raises(ExportError, match="no exported network"):
        convert(tmp_path, ["pt2"])


def test_without_the_extra_onnx_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("archsmith.export.write.available_formats", lambda: ("safetensors", "pt2"))
    network, source = image_network()
    with pytest.raises(MissingExtra, match=r"archsmith\[onnx\]"):
        export(network, source, IMAGE_FACTS, PIXELS, tmp_path / "best")
    assert not (tmp_path / "best").exists()


class DependsOnNumbers(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.flatten(1)
        return x[:, :3] if float(x.sum()) > 0 else x[:, 3:6]


def test_what_cannot_be_traced_is_said_and_the_plain_file_is_still_there(tmp_path: Path) -> None:
    space = Space(model=call(DependsOnNumbers))
    with pytest.raises(ExportError, match=r"model\.pt2 could not be written: .*model\.safetensors"):
        export(DependsOnNumbers(), shipped_source(space, Arch({})), IMAGE_FACTS, PIXELS, tmp_path / "best", ["pt2"])
    assert {path.name for path in (tmp_path / "best").iterdir()} == {"model.py", "model.safetensors", "card.md"}
    assert load_network(tmp_path / "best")(PIXELS).shape == (3, 3)


def test_a_table_with_missing_values_and_a_target_in_its_own_unit(tmp_path: Path) -> None:
    before = TableNormalize([0], [1], [5.0], [2.0], [3], [0])
    after = Unstandardize(100.0, 10.0)
    space = Space(model=call(nn.Sequential, call(nn.Linear, 3, 4), call(nn.ReLU), call(nn.Linear, 4, 1)))
    network = nn.Sequential(before, build(space, Arch({}), seed=0), after)
    rows = torch.tensor([[1.0, 2.0], [float("nan"), 0.0], [7.0, 99.0]])
    columns = (
        {"name": "age", "kind": "numeric", "categories": []},
        {"name": "s", "kind": "categorical", "categories": ["a", "b"]},
    )
    facts = Facts("prices", Spec("table", "regression", (3,), 1, 50, (3,)), (2,), columns=columns, target="price")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        export(network, shipped_source(space, Arch({}), before, after), facts, rows, tmp_path / "best")
    assert all(item.ok for item in verify(tmp_path / "best"))
    text = (tmp_path / "best" / "card.md").read_text()
    assert "`price`" in text and "1 = a, 2 = b" in text
