"""The project read as text and as syntax trees, once for all tests of the house."""

import ast
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Module:
    """One source file of the package: dotted name, path relative to the project, text and tree."""

    name: str
    path: str
    text: str
    tree: ast.Module
    is_package: bool

    @property
    def room(self) -> str:
        """First name below the package: ``space`` of ``archsmith.space.walk``; empty for the package itself."""
        return [*self.name.split("."), ""][1]


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def modules() -> list[Module]:
    found = []
    for path in sorted((ROOT / "src").rglob("*.py")):
        parts = list(path.relative_to(ROOT / "src").with_suffix("").parts)
        is_package = parts[-1] == "__init__"
        text = path.read_text(encoding="utf-8")
        name = ".".join(parts[:-1] if is_package else parts)
        found.append(Module(name, str(path.relative_to(ROOT)), text, ast.parse(text), is_package))
    return found


@pytest.fixture(scope="session")
def texts() -> dict[str, str]:
    """Every text file of the project that people read, by path relative to the project."""
    kinds = {".py", ".md", ".toml", ".txt", ".css", ".js", ".html", ".svg", ".csv", ""}
    folders = ["src", "tests", "docs", "benchmarks", "examples", ".ci"]
    paths = [p for p in ROOT.iterdir() if p.is_file()]
    paths += [p for f in folders for p in (ROOT / f).rglob("*") if p.is_file()]
    skip = {"__pycache__", ".git"}
    return {
        str(p.relative_to(ROOT)): p.read_text(encoding="utf-8")
        for p in sorted(paths)
        if p.suffix in kinds and not skip & set(p.relative_to(ROOT).parts) and ".egg-info" not in str(p)
    }
