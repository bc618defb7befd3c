"""Executors of real worker processes, which end with the test."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from trial_bodies import body

from archsmith.execute import Processes


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Callable[..., Processes]]:
    made: list[Processes] = []

    def make(evaluate: Any = body, **settings: Any) -> Processes:
        made.append(Processes(evaluate, **{"folder": tmp_path, "grace": 0.3, **settings}))
        return made[-1]

    yield make
    for executor in made:
        executor.close()
