from collections.abc import Iterator
from pathlib import Path

import pytest

from archsmith.store import MemoryStore, SQLiteStore, Store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "store.sqlite"


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, path: Path) -> Iterator[Store]:
    made: Store = MemoryStore() if request.param == "memory" else SQLiteStore(path)
    yield made
    made.close()
