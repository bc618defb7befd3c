"""What the page of promises says is tested is tested."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reliability.md"
NAMED = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")


def test_every_test_named_on_the_page_exists() -> None:
    missing = []
    for file, name in sorted(set(NAMED.findall(PAGE.read_text(encoding="utf-8")))):
        path = ROOT / file
        if not path.is_file():
            missing.append(file)
            continue
        found = {node.name for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
                 if isinstance(node, ast.FunctionDef)}  # fmt: skip
        if name and name not in found:
            missing.append(f"{file}::{name}")
    assert missing == []


def test_every_promise_names_a_test_or_says_why_there_is_none() -> None:
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if len(cells) != 4 or cells[0] in ("fault", "---"):
            continue
        reason = "cannot be" in cells[1] or len(cells[3].split()) > 3
        assert NAMED.search(cells[3]) or reason, f"a promise without a test or a reason: {cells[0]}"
