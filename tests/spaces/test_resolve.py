"""From what a person names to a space."""

import sys
from pathlib import Path

import numpy as np
import pytest
from torch import nn

from archsmith import spaces
from archsmith.errors import SpaceError
from archsmith.space import evaluate, from_json, sample, settings, to_json
from archsmith.spec import Spec

SPEC = Spec("image", "classification", (1, 8, 8), 10, 1_200)
SETTINGS = {"optimizer", "lr", "weight_decay", "label_smoothing", "augment", "batch_size"}

MINE = """
from archsmith.space import Space, call, choice, real
from torch import nn
import helper_of_mine

class Net(nn.Module):
    def __init__(self, outputs=10, width=8):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, outputs))

    def forward(self, x):
        return self.layers(x)

def allowed(arch):
    return arch["width"] > 8

width = choice(8, 16, 24, name="width")
expression = call(Net, 10, width)
space = Space(model=expression, valid=allowed)
tuned = Space(model=expression, lr=real(0.1, 0.2), augment="none")
headless = Space(lr=0.1)

def scaled(spec):
    return Space(model=call(Net, spec.outputs, width))

def bare(spec):
    return call(Net, spec.outputs, width)

def fixed():
    return Net(10, 32)

def by_run(pick):
    return Net(10, pick("width", 8, 16))

def two(a, b):
    return None

def wrong(spec):
    return 3

number = 3
"""


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    (tmp_path / "helper_of_mine.py").write_text("")
    (tmp_path / "mynet.py").write_text(MINE)
    request.addfinalizer(lambda: [sys.modules.pop(name) for name in set(sys.modules) - before])
    return tmp_path / "mynet.py"


def model(space):
    arch = sample(space, np.random.default_rng(0))
    return evaluate(space, arch, lambda call, path, args, kwargs: call.target(*args, **kwargs), ["model"])["model"]


@pytest.mark.parametrize("name", ["space", "scaled", "bare", "expression", "fixed", "by_run", "Net"])
def test_each_way_of_writing_a_network_becomes_a_space_with_training_settings(mine: Path, name: str) -> None:
    space = spaces.resolve(f"{mine}:{name}", SPEC)
    assert set(space.roots) == {"model"} | SETTINGS
    assert isinstance(model(space), nn.Module)


def test_the_name_space_is_the_default(mine: Path) -> None:
    assert spaces.resolve(str(mine), SPEC).roots["model"] is spaces.resolve(f"{mine}:expression", SPEC).roots["model"]


def test_constraints_are_kept(mine: Path) -> None:
    space = spaces.resolve(f"{mine}:space", SPEC)
    assert all(sample(space, np.random.default_rng(seed))["width"] > 8 for seed in range(20))


def test_settings_of_the_person_are_kept_and_not_mixed_with_ranges_for_another_optimiser(mine: Path) -> None:
    space = spaces.resolve(f"{mine}:tuned", SPEC)
    values = settings(space, sample(space, np.random.default_rng(0)))
    assert set(values) == {"lr", "augment", "label_smoothing", "batch_size"}
    assert 0.1 <= values["lr"] <= 0.2 and values["augment"] == "none"


def test_a_persons_space_survives_json(mine: Path) -> None:
    space = spaces.resolve(f"{mine}:space", SPEC)
    again = from_json(to_json(space), allow=("torch", "archsmith", "mynet"))
    assert again.decisions == space.decisions


def test_two_files_of_one_name_stay_apart(mine: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "mynet.py"
    other.parent.mkdir()
    other.write_text("from archsmith.space import call\nfrom torch import nn\nspace = call(nn.Flatten)\n")
    assert "width" in spaces.resolve(f"{mine}:space", SPEC).decisions
    assert isinstance(model(spaces.resolve(f"{other}:space", SPEC)), nn.Flatten)
    assert isinstance(model(spaces.resolve(f"{other}:space", SPEC)), nn.Flatten)


def test_a_file_cannot_stand_in_for_a_module_that_is_there(mine: Path) -> None:
    import statistics

    (mine.parent / "statistics.py").write_text("from torch import nn\nspace = 1\n")
    with pytest.raises(SpaceError, match="of type int"):
        spaces.resolve(f"{mine.parent / 'statistics.py'}", SPEC)
    assert sys.modules["statistics"] is statistics


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("spase", "Did you mean 'space'"),
        ("number", "of type int"),
        ("two", "of type function"),
        ("wrong", "of type int"),
        ("headless", "no root called 'model'"),
    ],
)
def test_what_cannot_be_a_space_is_refused_with_a_reason(mine: Path, name: str, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        spaces.resolve(f"{mine}:{name}", SPEC)


def test_unknown_names_and_files_get_the_nearest(mine: Path) -> None:
    with pytest.raises(SpaceError, match="Did you mean 'mobile'"):
        spaces.resolve("mobil", SPEC)
    with pytest.raises(SpaceError, match=r"Did you mean 'mynet\.py'"):
        spaces.resolve(f"{mine.parent / 'mynets.py'}:space", SPEC)


@pytest.mark.parametrize("text", ["x = 1\nimport no_such_module_here\n", "x = 1\nx = = 2\n", "x = 1\n1 / 0\n"])
def test_an_error_in_the_file_is_told_with_its_line(mine: Path, text: str) -> None:
    (mine.parent / "broken_space.py").write_text(text)
    for _ in range(2):
        with pytest.raises(SpaceError, match=r"broken_space\.py could not be run: line 2: "):
            spaces.resolve(f"{mine.parent / 'broken_space.py'}", SPEC)


def test_names_are_those_that_resolve() -> None:
    assert spaces.names() == ("mobile", "cell", "darts", "hierarchical", "mlp")
