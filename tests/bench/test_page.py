"""Adding a strategy takes one short file, as the page says."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "strategies.md"


def test_the_worked_example_is_shorter_than_forty_lines() -> None:
    (example,) = re.findall(
        r'^```python title="restless.py"\n(.*?)^```', PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    assert example.count("\n") < 40
