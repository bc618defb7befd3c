"""The page is whole, needs nothing from outside, tells the truth first, and never fails on what is missing."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from folder import write_folder

from archsmith.report.diagram import Block
from archsmith.report.write import write_reports

FILES = ("report.html", "summary.md", "leaderboard.csv", "pareto.csv")
VOID = {"meta", "br", "link", "img", "hr"}
HOSTILE = "<img src=x onerror=alert(1)>\"'=cmd()\x1b]0;x\x07</title><script>alert(2)</script>"


class Reader(HTMLParser):
    """Collects what a browser would see: elements, attributes, text; and checks that elements are nested."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).replace("\u00a0", " ").split())


def read(folder: Path, block: Block | None = None) -> tuple[str, Reader]:
    text = write_reports(folder, block).read_text(encoding="utf-8")
    reader = Reader(text)
    assert reader.open == []
    for drawing in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        ElementTree.fromstring(drawing)
        assert "nan" not in re.sub(r"<title>.*?</title>|>[^<]*<", "", drawing).lower()
    return text, reader


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("runs") / "fashion")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = write_folder(tmp_path_factory.mktemp("runs") / "small", trials=9)
    return folder, (folder / "result.json").read_text()


def test_a_finished_run_has_everything(finished: Path) -> None:
    _, page = read(finished)
    for words in (
        "reaches 92.9 % on the test data", "What accuracy costs", "limit 5 ms", "ResNet-20", "random 2",
        "Left out, because the share of the budget for comparisons was spent: random 4", "no more than chance alone",
        "± 0.11 points", "Spearman's rank correlation", "Its decisions", "def build() -> nn.Module:", "ConvNormAct",
        "Which decisions mattered", "Best so far", "Learning curves", "Failures, by cause", "Output size is too small",
        "best/model.onnx", "9.5e-07", "1, 2, 7", "search 7 min 21 s of 7 min 20 s",
        "Energy, an estimate and not a measurement",
        "archsmith search fashion_mnist --budget 15m --max-latency 5ms", "sha256:5f1d0c7a92be", "packages.torch 2.13.0",
        "trials side by side 2", "95 % interval 92.3 to 93.4 %", "broke a limit", "known already",
    ):  # fmt: skip
        assert words in page.text, words
    assert all((finished / name).stat().st_size > 100 for name in FILES)
    assert not list(finished.glob(".*"))


def test_the_page_needs_nothing_from_outside(finished: Path) -> None:
    text, page = read(finished)
    assert not page.tags & {"script", "link", "img", "iframe", "object", "embed", "form", "base"}
    assert not re.search(r"https?:|//|url\(|@import|javascript:", re.sub(r"<pre.*?</pre>", "", text, flags=re.DOTALL))
    assert not [name for name, _ in page.attributes if name.startswith("on") or name == "src"]
    assert all(value and value.startswith("#") for name, value in page.attributes if name == "href")
    anchors = {value for name, value in page.attributes if name == "id"}
    assert {str(value)[1:] for name, value in page.attributes if name == "href"} == anchors


def test_the_same_folder_gives_the_same_files(finished: Path) -> None:
    first = [(write_reports(finished).parent / name).read_bytes() for name in FILES]
    assert first == [(write_reports(finished).parent / name).read_bytes() for name in FILES]


def test_secrets_in_the_environment_are_not_shown(finished: Path) -> None:
    text, page = read(finished)
    assert "hunter2" not in text and "wandb_api_key hidden" in page.text


def test_a_search_that_was_beaten_says_so_first(tmp_path: Path) -> None:
    rival = {"name": "plain CNN", "kind": "human", "metrics": {"accuracy": 0.95, "latency_ms": 2.0},
             "test": {"accuracy": 0.948}, "seconds": 80.0}  # fmt: skip
    heavy = rival | {"name": "too slow", "metrics": {"accuracy": 0.99, "latency_ms": 9.0}, "test": {"accuracy": 0.99}}
    run = write_folder(tmp_path / "run", trials=12, comparisons=[rival, heavy], verdict="A network came out.")
    _, page = read(run)
    first = page.text.split("test accuracy")[0]
    assert "on the test data plain CNN has accuracy 94.80 % against 92.87 %" in first
    assert "too slow" not in first
    assert "breaks a limit" in page.text
    said = write_folder(tmp_path / "said", trials=12, comparisons=[rival], verdict="The plain CNN was better.")
    assert "against 92.87 %" not in read(said)[1].text.split("test accuracy")[0]


def test_text_from_people_stays_text(tmp_path: Path) -> None:
    run = write_folder(tmp_path / "run", trials=14, name=HOSTILE)
    result = json.loads((run / "result.json").read_text())

    def spoil(value: Any) -> Any:
        if isinstance(value, dict):
            return {(k if k in KEYS else k + HOSTILE): spoil(v) for k, v in value.items()}
        if isinstance(value, list):
            return [spoil(v) for v in value]
        return value + HOSTILE if isinstance(value, str) and value not in KEYS else value

    keys: set[str] = set()

    def collect(value: Any) -> None:
        if isinstance(value, dict):
            keys.update(value)
            [collect(v) for k, v in value.items() if k not in ("arch", "packages")]
        if isinstance(value, list):
            [collect(v) for v in value]

    collect(result)
    KEYS = keys | {"accuracy", "latency_ms", "max", "min", "finished"}
    (run / "result.json").write_text(json.dumps(spoil(result)))
    (run / "env.json").write_text(json.dumps({HOSTILE: HOSTILE, "command": HOSTILE}))
    (run / "run.toml").write_text("source = " + json.dumps(HOSTILE))
    text, page = read(run)
    assert not page.tags & {"script", "img"}
    assert "\x1b" not in text and "\x07" not in text
    assert "<img src=x onerror=alert(1)>" in page.text
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert "<img" not in (run / "summary.md").read_text()


PARTS = (
    "best comparisons finalists phases task machine objectives limits energy exports strategy space verdict budget_s "
    "correlation counts importance missing_comparisons seed name status"
)


@pytest.mark.parametrize("missing", PARTS.split())
def test_any_part_of_the_result_may_be_missing(small: tuple[Path, str], missing: str) -> None:
    folder, text = small
    result = json.loads(text)
    assert missing in result
    del result[missing]
    (folder / "result.json").write_text(json.dumps(result))
    assert len(read(folder)[1].text) > 800


@pytest.mark.parametrize("trials", [0, 1, 2, 7])
def test_few_trials_are_enough(tmp_path: Path, trials: int) -> None:
    _, page = read(write_folder(tmp_path / "run", trials=trials, best=None, finalists=None, comparisons=None))
    assert "At least" not in page.text or trials
    assert "no winner yet" in page.text
    assert "Nothing was trained beside the search" in page.text


def test_an_empty_folder_is_a_run_that_has_not_begun(tmp_path: Path) -> None:
    _, page = read(tmp_path)
    assert "The search is still going: 0 trials so far" in page.text
    assert "No trial has been recorded yet." in page.text


def test_a_running_study_shows_what_its_log_holds(tmp_path: Path) -> None:
    run = write_folder(tmp_path / "run", trials=30)
    (run / "result.json").unlink()
    _, page = read(run)
    assert "The search is still going: 30 trials so far" in page.text
    assert "This run is not finished" in page.text
    assert "Learning curves" in page.text


@pytest.mark.parametrize("name", ["result.json", "env.json", "run.toml", "store.sqlite"])
@pytest.mark.parametrize("content", [b"", b"\x00\xff\xfe torn", b"[[[[", b'{"a": 1'])
def test_damaged_files_are_noted_not_fatal(tmp_path: Path, name: str, content: bytes) -> None:
    run = write_folder(tmp_path / "run", trials=9)
    (run / name).write_bytes(content)
    text, page = read(run)
    assert "trials" in page.text
    if name == "store.sqlite":
        assert "plain-text copy was used" in page.text and "leaderboard" not in page.text
        assert len((run / "leaderboard.csv").read_text().splitlines()) == 10
    elif content or name != "run.toml":
        assert f"{name} could not be read" in page.text or name not in text


def test_wrong_types_in_the_result_are_left_out(small: tuple[Path, str]) -> None:
    folder, text = small
    for junk in (7, "text", [1, "two", None], {"x": []}, True, 1e308):
        (folder / "result.json").write_text(json.dumps(dict.fromkeys(json.loads(text), junk)))
        read(folder)


def test_a_damaged_curve_is_left_out(tmp_path: Path) -> None:
    run = write_folder(tmp_path / "run", trials=9)
    for i, text in enumerate(
        ("", "epoch\n", "epoch,accuracy\n1,nan\nx,y\n", "\x00\x00", "epoch,accuracy\n1,0.5,9,9\n2\n")
    ):
        (run / "trials" / str(i)).mkdir(exist_ok=True)
        (run / "trials" / str(i) / "metrics.csv").write_text(text)
    read(run)


def test_a_regression_is_told_in_its_own_metric(tmp_path: Path) -> None:
    run = write_folder(tmp_path / "run", trials=12)
    for path in (run / "result.json",):
        text = path.read_text().replace('"accuracy"', '"rmse"').replace('"direction": "max"', '"direction": "min"')
        path.write_text(text)
    _, page = read(run)
    assert "test RMSE 0.9287" in page.text


def test_the_given_tree_is_drawn(finished: Path) -> None:
    text, _ = read(finished, Block("TheNetwork", 12, (Block("OnlyPart", 12),)))
    assert "TheNetwork" in text and "OnlyPart" in text
