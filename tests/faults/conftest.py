import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from archsmith.execute import Processes

sys.path.append(str(Path(__file__).parents[1] / "execute"))  # the evaluations of every temper are there

from trial_bodies import body


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Callable[..., Processes]]:
    made: list[Processes] = []

    def make(evaluate: Any = body, **settings: Any) -> Processes:
        made.append(Processes(evaluate, **{"folder": tmp_path, "grace": 0.3, **settings}))
        return made[-1]

    yield make
    for executor in made:
        executor.close()
