"""What the documentation shows is run: its Python, its scripts, and the grammar of every command in it."""

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image

from archsmith.cli.app import app

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").glob("*.md"))
BLOCK = re.compile(r"^```(\w+)(?: title=\"([\w.]+)\")?\n(.*?)^```", re.MULTILINE | re.DOTALL)
# The pages speak of half an hour; here the smallest budget has to do.
BUDGET = re.compile(r'budget="\w+"')
SMALLEST = 'budget="30s"'


@dataclass(frozen=True)
class Block:
    """One fenced block of a page: its language, the file it is to be saved as, its text."""

    language: str
    title: str
    text: str


def blocks(page: Path) -> list[Block]:
    return [Block(m[1], m[2] or "", m[3]) for m in BLOCK.finditer(page.read_text(encoding="utf-8"))]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder with what the pages speak of: some photos of three colours, and a table of houses."""
    rng = np.random.default_rng(0)
    for place, colour in enumerate(("red", "green", "blue")):
        folder = tmp_path / "photos" / colour
        folder.mkdir(parents=True)
        for i in range(24):
            pixels = rng.integers(0, 90, (16, 16, 3), dtype=np.uint8)
            pixels[..., place] += 120
            Image.fromarray(pixels).save(folder / f"{i}.png")
    lines = ["rooms,area,city,sold,price"]
    for i in range(240):
        rooms, area = int(rng.integers(1, 7)), float(rng.uniform(20, 200))
        city = ("Bern", "Oslo", "")[int(rng.integers(3))]
        price = 2000 * area + 9000 * rooms + (30000 if city == "Oslo" else 0) + rng.normal(0, 5000)
        lines.append(f"{rooms},{area:.1f},{city},2025-01-{i % 28 + 1:02d},{price:.0f}")
    (tmp_path / "houses.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_the_code_of_the_page_runs(page: Path, data: Path) -> None:
    parts = blocks(page)
    for part in parts:
        if part.title:
            (data / part.title).write_text(part.text, encoding="utf-8")
    code = "\n\n".join(p.text for p in parts if p.language == "python" and not p.title)
    (data / "page.py").write_text(BUDGET.sub(SMALLEST, code), encoding="utf-8")
    scripts = [
        ln.split()[1] for p in parts if p.language == "console" for ln in p.text.splitlines() if ln[:7] == "python "
    ]
    for script in ["page.py", *scripts]:
        done = subprocess.run(
            [sys.executable, "-W", "error", script],
            cwd=data,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "src")},
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert done.returncode == 0, f"{page.name}, {script}:\n{done.stdout[-1000:]}\n{done.stderr[-4000:]}"


def test_every_page_has_code() -> None:
    assert len(PAGES) >= 5
    assert all(any(b.language == "python" for b in blocks(p)) for p in PAGES)


def commands() -> list[tuple[str, str]]:
    pages = [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
    lines = [(p.name, ln) for p in pages for b in blocks(p) if b.language == "console" for ln in b.text.splitlines()]
    return [(page, line) for page, line in lines if line.startswith("archsmith ")]


@pytest.mark.parametrize(("page", "line"), commands(), ids=lambda v: v[:60])
def test_the_commands_shown_exist_with_their_options(page: str, line: str) -> None:
    words = shlex.split(line, comments=True)[1:]
    group = typer.main.get_command(app)
    command = group.get_command(group.make_context("archsmith", ["ls"]), words[0])  # type: ignore[attr-defined]
    assert command is not None, f"{page}: no command {words[0]}"
    command.make_context(words[0], words[1:])


def test_the_python_in_the_readme_is_the_python_of_a_page() -> None:
    shown = "".join(p.read_text(encoding="utf-8") for p in PAGES)
    for block in blocks(ROOT / "README.md"):
        if block.language == "python":
            assert block.text in shown


def test_links_lead_somewhere() -> None:
    for page in [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md"]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"
