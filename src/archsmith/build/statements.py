"""A module's text, taken apart: its top-level statements, and which of them bind or change each name."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from archsmith.build.scopes import module_uses
from archsmith.errors import SpaceError

__all__ = ["OURS", "Statements", "absolute_module", "installed", "statements_of"]

OURS = "archsmith"


@dataclass(frozen=True)
class Statements:
    """The statements of one module with their texts, and the indices of those that bind or change each name.

    ``stars`` are the modules it imports everything from; ``future`` tells that annotations are not evaluated.
    """

    module: str
    statements: tuple[ast.stmt, ...]
    texts: tuple[str, ...]
    binders: Mapping[str, tuple[int, ...]]
    changers: Mapping[str, tuple[int, ...]]
    stars: tuple[str, ...]
    future: bool


def installed(module: str) -> bool:
    """Return whether a module comes with Python or from an installed package, rather than being a person's own."""
    root = module.partition(".")[0]
    if root in ("torch", *sys.stdlib_module_names):
        return root != "__main__"
    if root in (OURS, "__main__", "__mp_main__"):
        return False
    if root not in sys.modules:  # imported only where it is used, or an alternative that is not there
        spec = importlib.util.find_spec(root)
        return spec is None or any(map(_in_packages, [spec.origin or "", *(spec.submodule_search_locations or [])]))
    for found in (sys.modules.get(module), sys.modules.get(root)):
        file = getattr(found, "__file__", None)
        places = [file] if file else list(getattr(found, "__path__", []))  # a namespace package has parts, no file
        if places:
            return any(map(_in_packages, places))
    return False


def _in_packages(path: str) -> bool:
    return bool({"site-packages", "dist-packages"} & set(Path(path).parts))


def statements_of(module: str) -> Statements:
    """Return a loaded module's statements; raises ``SpaceError`` where its text cannot be read."""
    found = sys.modules.get(module) or importlib.import_module(module)
    file = getattr(found, "__file__", None)
    if file is not None and Path(file).is_file():
        status = Path(file).stat()
        return _read(module, file, status.st_mtime_ns)
    cells = vars(found).get("In")  # a notebook keeps what was typed
    if isinstance(cells, list):
        return _take_apart(module, [str(cell) for cell in cells])
    raise SpaceError(
        f"The source of module {module!r} cannot be read, so no standalone file can be written from it. Put the "
        "classes and functions your space calls into a .py file and import them."
    )


@lru_cache(maxsize=256)
def _read(module: str, file: str, modified: int) -> Statements:
    return _take_apart(module, [Path(file).read_text(encoding="utf-8")])


def _take_apart(module: str, parts: list[str]) -> Statements:
    statements: list[ast.stmt] = []
    texts: list[str] = []
    for part in parts:
        try:
            tree = ast.parse(part)
        except SyntaxError:  # a notebook cell with a magic command holds no definition that could be taken over
            continue
        lines = part.splitlines()
        ends = [0, *(s.end_lineno or 0 for s in tree.body)]
        statements += tree.body
        texts += [_text(part, lines, s, end) for s, end in zip(tree.body, ends, strict=False)]
    binders: dict[str, tuple[int, ...]] = {}
    changers: dict[str, tuple[int, ...]] = {}
    stars: list[str] = []
    future = False
    for index, statement in enumerate(statements):
        if isinstance(statement, ast.ImportFrom) and statement.module == "__future__":
            future = future or any(alias.name == "annotations" for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom) and statement.names[0].name == "*":
            stars.append(absolute_module(statement, module))
        else:
            bound = _binds(statement)
            for name in bound:
                binders[name] = (*binders.get(name, ()), index)
            for name in {*_changes(statement)} - bound.keys():
                changers[name] = (*changers.get(name, ()), index)
    return Statements(module, tuple(statements), tuple(texts), binders, changers, tuple(stars), future)


def _text(whole: str, lines: list[str], statement: ast.stmt, end_before: int) -> str:
    """Return a statement's own lines, with its decorators and the comment directly above it."""
    first = min([statement.lineno, *(d.lineno for d in getattr(statement, "decorator_list", []))])
    last = statement.end_lineno or first
    rest = lines[last - 1].encode()[statement.end_col_offset or 0 :].decode().strip()
    if first <= end_before or (rest and not rest.startswith("#")):  # several statements on one line
        return ast.get_source_segment(whole, statement) or ast.unparse(statement)
    while first - 2 >= end_before and lines[first - 2].startswith("#") and not lines[first - 2].startswith("#!"):
        first -= 1
    return "\n".join(lines[first - 1 : last])


def _binds(statement: ast.stmt) -> dict[str, None]:
    """Return the module names a top-level statement binds, in their order: the text must not depend on a hash seed."""
    names: dict[str, None] = {}
    for use in module_uses(statement):
        loads = isinstance(use.node, ast.Name) and isinstance(use.node.ctx, ast.Load | ast.Del)
        if not loads and not isinstance(use.node, ast.Global):
            names[use.name] = None
    return names


def _changes(statement: ast.stmt) -> Iterator[str]:
    """Yield the names of what a top-level statement changes in place: ``TABLE["a"] = 1``, ``LIST.append(2)``."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return
    if isinstance(statement, ast.If) and "__name__" in ast.dump(statement.test):
        return
    for node in ast.walk(statement):
        targets: list[ast.expr] = []
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, ast.AugAssign):
            targets = [node.target]
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            targets = [node.value.func] if isinstance(node.value.func, ast.Attribute) else []
        for target in targets:
            inner: ast.expr = target
            while isinstance(inner, ast.Attribute | ast.Subscript):
                inner = inner.value
            if isinstance(inner, ast.Name):
                yield inner.id


def absolute_module(statement: ast.ImportFrom, module: str) -> str:
    """Return the full name of the module that ``from ... import`` names, inside ``module``."""
    if not statement.level:
        return statement.module or ""
    found = sys.modules.get(module)
    package = getattr(found, "__package__", None) or module.rpartition(".")[0]
    return importlib.util.resolve_name("." * statement.level + (statement.module or ""), package)
