"""What is taken over into a standalone file, and what is refused."""

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

from archsmith.build import build, source
from archsmith.build.inline import inline
from archsmith.errors import SpaceError
from archsmith.space import Arch, Space, call

Write = Callable[..., ModuleType]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Write modules and import the last of them; they are forgotten afterwards."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)

    def do(**texts: str) -> ModuleType:
        for name, text in texts.items():
            (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
        importlib.invalidate_caches()
        return importlib.import_module(list(texts)[-1])

    yield do
    for name in set(sys.modules) - before:
        del sys.modules[name]


def run(text: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "standalone"}
    exec(compile(text, "standalone.py", "exec", dont_inherit=True), names)
    return names


def source_of(target: Any, *args: Any) -> str:
    return source(Space(model=call(target, *args)), Arch({}))


HEAD = "import torch\nfrom torch import nn\n"


def test_only_what_a_class_needs_is_taken_from_a_file_that_also_writes_its_space(write: Write) -> None:
    module = write(
        mine=HEAD
        + "import archsmith\nfrom archsmith.space import Space, call, choice\nimport json\n\n"
        + "GAIN = 2.0\nUNUSED = json.dumps({})\n\n"
        + "# doubles\nclass Net(nn.Module):\n    def forward(self, x):\n        return x * GAIN  # kept\n\n"
        + "def other(): return UNUSED\n\nspace = Space(model=call(Net))\n"
    )
    text = source_of(module.Net)
    assert "archsmith" not in text and "UNUSED" not in text and "json" not in text
    assert "# doubles\nclass Net" in text and "# kept" in text
    assert run(text)["build"]()(torch.ones(2)).tolist() == [2.0, 2.0]


def test_what_is_needed_follows_through_functions_constants_bases_decorators_and_defaults(write: Write) -> None:
    module = write(
        deep=HEAD
        + "import math\nfrom functools import partial as part\n"
        + "BASE = 3\nTABLE = {'a': 1}\nTABLE['b'] = BASE\nfor k in ('c', 'd'):\n    TABLE[k] = len(TABLE)\n"
        + "def marked(cls):\n    cls.mark = TABLE['d']\n    return cls\n"
        + "class Root(nn.Module):\n    size = BASE\n    twice = size * 2\n"
        + "def default(): return math.pi\n"
        + "@marked\nclass Net(Root):\n"
        + "    def forward(self, x, value=default(), f=part(max, 1)):\n"
        + "        total = [y * self.mark for y in (self.size, self.twice)]\n"
        + "        return x * value + sum(total) + f(0)\n"
    )
    assert torch.equal(run(source_of(module.Net))["build"]()(torch.ones(1)), module.Net()(torch.ones(1)))


def test_other_modules_of_a_persons_own_are_taken_over_and_clashing_names_kept_apart(write: Write) -> None:
    module = write(
        lower=HEAD
        + "SIZE = 2\ndef scale(x): return x * SIZE\n"
        + "class Block(nn.Module):\n    def forward(self, x): return scale(x)\n",
        middle="from lower import Block as Lower\nimport lower as low\nSIZE = 5\n",
        upper=HEAD
        + "import middle, lower\nfrom middle import Lower, SIZE as five\n"
        + "SIZE = 7\ndef scale(x):\n    SIZE = 100  # a local of the same name\n    return x + 0 * SIZE\n"
        + "class Block(Lower):\n"
        + "    def forward(self, x):\n"
        + "        x = super().forward(scale(x)) + middle.low.scale(x)  # both\n"
        + "        return x * SIZE + five + lower.SIZE + middle.SIZE, f'{SIZE} {lower.SIZE}'\n",
    )
    text = source_of(module.Block)
    ours, theirs = run(text)["build"]()(torch.ones(1)), module.Block()(torch.ones(1))
    assert ours[0].item() == theirs[0].item() and ours[1] == theirs[1]
    assert "import lower" not in text and "import middle" not in text


def test_a_persons_names_do_not_clash_with_those_of_the_shipped_file(write: Write) -> None:
    module = write(
        names=HEAD
        + "import pathlib as load\nLABELS = load.Path('a').name\n"
        + "def predict(x): return x\ndef sum(x): return predict(x)\n"
        + "class build(nn.Module):\n    def forward(self, x): return sum(x), LABELS\n"
    )
    names = run(source_of(module.build))
    assert not {"LABELS", "load", "predict"} & set(names)
    assert names["build"]()(3) == (3, "a")


def test_installed_packages_are_imported_and_torch_has_its_usual_names() -> None:
    text = source_of(nn.Conv2d, 1, 2, 3)
    assert text.endswith("return nn.Conv2d(1, 2, 3)\n")
    assert [line for line in text.splitlines() if "import" in line] == ["from torch import nn"]
    made = inline([torch.relu, nn.functional.relu, dict, nn.init.zeros_, importlib.import_module])
    assert made.names == ("torch.relu", "F.relu", "dict", "init.zeros_", "importlib.import_module")
    assert made.definitions == ""


def test_star_imports_and_nested_classes_are_followed(write: Write) -> None:
    module = write(
        parts=HEAD + "class Outer:\n    class Inner(nn.Module):\n        def forward(self, x): return x + 1\n",
        star="from parts import *\nfrom torch.nn import *\nclass Net(Sequential):\n"
        "    def __init__(self): super().__init__(Outer.Inner(), ReLU())\n",
    )
    assert run(source_of(module.Net))["build"]()(torch.zeros(1)).item() == 1
    assert "Outer.Inner()" in source_of(module.Outer.Inner)


def test_alternatives_at_import_are_taken_whole(write: Write) -> None:
    module = write(
        either=HEAD
        + "try:\n    import no_such_package as fast\nexcept ImportError:\n    fast = None\n"
        + "class Net(nn.Module):\n    def forward(self, x): return x if fast is None else fast(x)\n"
    )
    assert run(source_of(module.Net))["build"]()(4) == 4


def test_postponed_annotations_may_name_what_is_not_there(write: Write) -> None:
    module = write(
        noted="from __future__ import annotations\n"
        + HEAD
        + "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from archsmith.space import Arch\n"
        + "class Net(nn.Module):\n    arch: Arch\n    def forward(self, x: Arch) -> Arch: return x\n"
    )
    text = source_of(module.Net)
    assert "archsmith" not in text
    assert run(text)["build"]()(4) == 4


def test_code_that_needs_this_project_is_refused_with_who_needs_what(write: Write) -> None:
    module = write(
        needy=HEAD
        + "import archsmith.space as language\nfrom archsmith.space import call\n"
        + "def helper(): return call\n"
        + "class Direct(nn.Module):\n    def forward(self, x): return language.call\n"
        + "class ByHelper(nn.Module):\n    def forward(self, x): return helper()\n"
        + "class Inside(nn.Module):\n    def forward(self, x):\n        import archsmith\n        return archsmith\n"
    )
    for name, needs in {"Direct": "archsmith.space", "ByHelper": "def helper", "Inside": "archsmith"}.items():
        with pytest.raises(SpaceError, match="cannot use archsmith") as caught:
            source_of(getattr(module, name))
        assert needs in str(caught.value) and "needy" in str(caught.value)


def test_our_plain_blocks_are_taken_over_like_a_persons_own(write: Write) -> None:
    module = write(
        blocky=HEAD
        + "from archsmith.build import blocks\nfrom archsmith.build.blocks import ConvNormAct\n"
        + "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        + "        self.body = nn.Sequential(ConvNormAct(1, 4), blocks.SqueezeExcite(4))\n"
        + "    def forward(self, x): return self.body(x)\n"
    )
    text = source_of(module.Net)
    assert "archsmith" not in text and "class SqueezeExcite" in text
    network, again = build(Space(model=call(module.Net)), Arch({}), seed=0), run(text)["build"]()
    again.load_state_dict(network.state_dict())
    x = torch.rand(2, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    assert torch.equal(again.eval()(x), network.eval()(x))


def test_what_has_no_name_in_a_file_is_refused() -> None:
    class Local(nn.Module):
        pass

    with pytest.raises(SpaceError, match="top level"):
        inline([Local])
    with pytest.raises(SpaceError, match="top level"):
        inline([lambda: nn.ReLU()])


def test_a_module_used_as_a_value_or_imported_inside_a_function_is_refused(write: Write) -> None:
    module = write(
        tools="def f(x): return x\n",
        users=HEAD
        + "import tools\n"
        + "class Value(nn.Module):\n    def forward(self, x): return getattr(tools, 'f')(x)\n"
        + "class Inner(nn.Module):\n    def forward(self, x):\n        from tools import f\n        return f(x)\n",
    )
    with pytest.raises(SpaceError, match="as a value"):
        source_of(module.Value)
    with pytest.raises(SpaceError, match="Move that import"):
        source_of(module.Inner)


def test_definitions_of_a_notebook_are_read_from_its_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    cells = ["%matplotlib inline", HEAD, "class Net(nn.Module):\n    def forward(self, x): return x - ONE", "ONE = 1"]
    notebook = ModuleType("notebook_cells")
    monkeypatch.setitem(sys.modules, "notebook_cells", notebook)
    for cell in cells[1:]:
        exec(cell, vars(notebook))
    vars(notebook)["In"] = cells
    assert run(source_of(vars(notebook)["Net"]))["build"]()(3) == 2


def test_a_module_without_a_text_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    typed = ModuleType("typed_in")
    monkeypatch.setitem(sys.modules, "typed_in", typed)
    exec(HEAD + "class Net(nn.Module): pass", vars(typed))
    with pytest.raises(SpaceError, match=r"\.py file"):
        source_of(vars(typed)["Net"])
