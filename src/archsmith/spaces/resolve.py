"""From what a person names to a space: a ready-made one, or their own in a Python file."""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

from torch import nn

from archsmith.errors import SpaceError, nearest
from archsmith.space import Node, Space, call
from archsmith.spaces.cell import cell
from archsmith.spaces.darts import darts
from archsmith.spaces.hierarchical import hierarchical
from archsmith.spaces.mlp import mlp
from archsmith.spaces.mobile import mobile
from archsmith.spaces.training import training
from archsmith.spec import Spec

__all__ = ["default", "default_name", "names", "resolve"]

_READY: MappingProxyType[str, Callable[[Spec], Space]] = MappingProxyType(
    {"mobile": mobile, "cell": cell, "darts": darts, "hierarchical": hierarchical, "mlp": mlp}
)
_PAIRED = ("optimizer", "lr", "weight_decay")


def names() -> tuple[str, ...]:
    """Return the names of the ready-made spaces."""
    return tuple(_READY)


def default(spec: Spec) -> Space:
    """Return the space to search when none is named: ``mobile`` for images, ``mlp`` for tables."""
    return _READY[default_name(spec)](spec)


def default_name(spec: Spec) -> str:
    """Return the name of the space to search when none is named."""
    return "mobile" if spec.kind == "image" else "mlp"


def resolve(text: str, spec: Spec) -> Space:
    """Return the space that ``text`` names, with training settings added where it has none.

    ``text`` is a ready-made name, or ``path/to/file.py:name`` (``file.py`` alone means ``file.py:space``). The name
    may stand for a ``Space``; an expression such as ``call(MyNet, choice(32, 64))`` for the model; a class of modules
    or a function without parameters that makes one, for a fixed network; a function of the ``Spec`` that returns a
    space or an expression; or a function of ``pick``, which is read as a define-by-run network. The file is run as
    Python, with all that this allows. Raises ``SpaceError`` for anything else.
    """
    path, colon, name = text.rpartition(":")
    if not colon or not path.endswith(".py"):
        path, name = text, "space"
    if path.endswith(".py"):
        return _with_training(_space_of(_attribute(Path(path), name), text, spec), text, spec)
    if text not in _READY:
        raise SpaceError(
            f"There is no space {text!r}. {nearest(text, _READY)} For one of your own, name its file: mynet.py:space."
        )
    return _READY[text](spec)


def _attribute(path: Path, name: str) -> Any:
    module = _load(path)
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            mine = [n for n, v in vars(module).items() if not n.startswith("_") and _is_candidate(v, module)]
            raise SpaceError(f"{path} has nothing called {name!r}. {nearest(name, mine)}")
        found = getattr(found, part)
    return found


def _is_candidate(value: Any, module: ModuleType) -> bool:
    return isinstance(value, Space | Node) or getattr(value, "__module__", None) == module.__name__


def _load(path: Path) -> ModuleType:
    """Import a file under its own stem, so that its classes are found again by name; run it once only.

    Its folder goes to the *end* of the search path: the file can import its neighbours, and no file of the person's
    can stand in for a module that is already there. Where the stem is taken, a name made of the whole path is used.
    """
    file = path.resolve()
    if not file.is_file():
        beside = sorted(p.name for p in file.parent.glob("*.py")) if file.parent.is_dir() else []
        raise SpaceError(f"There is no file {path}. {nearest(file.name, beside) if beside else 'Check the path.'}")
    if str(file.parent) not in sys.path:
        sys.path.append(str(file.parent))
    name = file.stem if _is_free(file) else f"{file.stem}_{hashlib.sha256(str(file).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    found = importlib.util.spec_from_file_location(name, file)
    assert found is not None and found.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(found)
    try:
        found.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise SpaceError(f"{path} could not be run: {_where(error, file)}{type(error).__name__}: {error}") from error
    return module


def _is_free(file: Path) -> bool:
    """Whether the file's stem, as the name of a module, means this file."""
    if file.stem in sys.modules:
        return _same_file(getattr(sys.modules[file.stem], "__file__", None), file)
    found = importlib.util.find_spec(file.stem) if file.stem.isidentifier() else None
    return found is not None and _same_file(found.origin, file)


def _same_file(other: str | None, file: Path) -> bool:
    return other is not None and Path(other).resolve() == file


def _where(error: BaseException, file: Path) -> str:
    """Return the line of the person's own file in which an error arose."""
    if isinstance(error, SyntaxError):
        return f"line {error.lineno}: "
    trace, line = error.__traceback__, None
    while trace is not None:
        if Path(trace.tb_frame.f_code.co_filename) == file:
            line = trace.tb_lineno
        trace = trace.tb_next
    return f"line {line}: " if line else ""


def _space_of(found: Any, text: str, spec: Spec) -> Space:
    if isinstance(found, Space):
        return found
    if isinstance(found, Node):
        return Space(model=found)
    if isinstance(found, type) and issubclass(found, nn.Module):
        return Space(model=call(found))
    if inspect.isfunction(found):
        parameters = [p for p in inspect.signature(found).parameters.values() if p.default is p.empty]
        if [p.name for p in parameters] == ["pick"]:
            return Space.from_function(found)
        if len(parameters) < 2:
            made = found(*[spec][: len(parameters)])
            if isinstance(made, Space | Node):
                return _space_of(made, text, spec)
            if isinstance(made, nn.Module) and not parameters:
                return Space(model=call(found))
            found = made
    raise SpaceError(
        f"{text} is of type {type(found).__name__}. It must be a Space, an expression such as "
        "call(MyNet, choice(32, 64)), a class of modules, or a function of the Spec that returns a Space."
    )


def _with_training(space: Space, text: str, spec: Spec) -> Space:
    if "model" not in space.roots:
        raise SpaceError(f"{text} has no root called 'model', only {', '.join(space.roots)}. Write Space(model=...).")
    missing = {k: v for k, v in training(spec).items() if k not in space.roots}
    if any(
        k in space.roots for k in _PAIRED
    ):  # their ranges belong together: a rate means nothing for another optimiser
        missing = {k: v for k, v in missing.items() if k not in _PAIRED}
    return Space(space.valid or None, **space.roots, **missing)
