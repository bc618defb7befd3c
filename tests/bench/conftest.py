from pathlib import Path

import pytest

ROWS = "\n".join(
    f"{a},{b},{c},{epochs},{0.5 + 0.05 * a + 0.02 * b - 0.01 * (a - b) ** 2 + 0.001 * c + 0.01 * epochs},"
    f"{a + 2 * b},{epochs}"
    for a in range(4)
    for b in range(4)
    for c in range(3)
    for epochs in (1, 3, 9)
)


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A table of 48 architectures at three levels of epochs: accuracy, latency and seconds."""
    path = tmp_path / "mine.csv"
    path.write_text(f"a,b,c,epochs,accuracy,latency_ms,seconds\n{ROWS}\n", encoding="utf-8")
    return path
