"""Standalone text of classes and functions: their own source and, from their modules, everything it needs.

Modules of a person's own are read as text and taken apart statement by statement; only the statements that are needed
are kept, in the order of the file. What comes from an installed package is imported. Nothing of this project may be
needed, save its plain PyTorch blocks, which are taken over like a person's own.
"""

from __future__ import annotations

import ast
import builtins
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from types import ModuleType
from typing import Any

from archsmith.build.scopes import Use, module_uses
from archsmith.build.statements import OURS, Statements, absolute_module, installed, statements_of
from archsmith.errors import SpaceError

__all__ = ["PLAIN", "Inlined", "inline"]

PLAIN = frozenset({f"{OURS}.build.{name}" for name in ("answers", "assembled", "blocks", "darts_blocks", "preprocess")})
# What a standalone file holds beside the definitions: itself and, when shipped, how it is loaded and used.
_SHIPPED = {"COLUMNS", "INPUT_SHAPE", "LABELS", "build", "load", "pathlib", "predict", "safetensors", "torch"}
_RESERVED = frozenset({*_SHIPPED, *dir(builtins)})
_SHORTHANDS = {"torch.nn.functional": "F", "numpy": "np"}


@dataclass(frozen=True)
class Inlined:
    """Standalone Python: import lines, definitions, and the expression by which each object is reached there."""

    future: bool
    imports: tuple[str, ...]
    definitions: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class _Library:
    """A module of an installed package, or an attribute of one."""

    module: str
    attribute: str | None
    local: str


@dataclass(frozen=True)
class _Definition:
    """A name bound by statements of a module that is inlined."""

    module: str
    name: str


@dataclass(frozen=True)
class _Local:
    """A module of the person's own, used by attribute."""

    module: str


_Referent = _Library | _Definition | _Local | None


def inline(objects: Sequence[Any]) -> Inlined:
    """Return standalone Python in which every one of ``objects`` (classes, functions) can be reached.

    The name ``build`` and Python's own are left free. Raises ``SpaceError`` for an object without
    a module-level name, and for code that needs this project, naming who needs what.
    """
    collector = _Collector()
    paths = [collector.reach(item) for item in objects]
    return collector.write(paths)


@dataclass
class _Collector:
    """Gathers the statements that some objects need, then writes them."""

    needed: dict[str, set[int]] = field(default_factory=dict)
    uses: dict[tuple[str, int], list[tuple[_Referent, int]]] = field(default_factory=dict)
    libraries: dict[_Library, None] = field(default_factory=dict)
    edges: dict[str, dict[str, None]] = field(default_factory=dict)

    def reach(self, item: Any) -> tuple[_Referent, str]:
        """Return what ``item`` is bound to and the dotted rest by which it is reached from there."""
        name, module = getattr(item, "__qualname__", None) or "", getattr(item, "__module__", None)
        library = _library(item)
        if library is not None:
            if library[0] is not None:
                self.libraries[library[0]] = None
            return library
        if not name or "<" in name or not isinstance(module, str) or _lookup(module, name) != item:
            raise SpaceError(
                f"{item!r} cannot be written into a standalone file: it has no name at the top level of a module. "
                "Define it with class or def at the top level of a .py file."
            )
        first, _, rest = name.partition(".")
        return self.need(module, first, f"the space calls {name}"), rest

    def need(self, module: str, name: str, why: str) -> _Referent:
        """Return what a name of an inlined module stands for, and gather everything it needs."""
        source = statements_of(module)
        if name not in source.binders:
            for star in source.stars:
                if hasattr(sys.modules.get(star), name):
                    return self._imported(star, name, name, why)
            if hasattr(builtins, name) or (name.startswith("__") and name.endswith("__")):
                return None
            submodule = f"{module}.{name}"
            if submodule in sys.modules:
                return _Local(submodule)
            if module.partition(".")[0] == OURS:
                raise SpaceError(_refusal(f"{module}.{name}", why))
            return None  # never bound at all: the person's own code would fail at the same place
        indices = source.binders[name]
        statement = source.statements[indices[-1]]
        if isinstance(statement, ast.ImportFrom):
            alias = next(a for a in statement.names if (a.asname or a.name) == name)
            return self._imported(absolute_module(statement, module), alias.name, name, why)
        if isinstance(statement, ast.Import):
            alias = next(a for a in statement.names if (a.asname or a.name.partition(".")[0]) == name)
            return self._module(alias.name, alias.asname, why)
        if module.partition(".")[0] == OURS and module not in PLAIN:
            raise SpaceError(_refusal(f"{module}.{name}", why))
        for index in (*indices, *source.changers.get(name, ())):
            self._add(source, index)
        return _Definition(module, name)

    def _imported(self, module: str, attribute: str, local: str, why: str) -> _Referent:
        submodule = f"{module}.{attribute}"
        if installed(module):
            inner = submodule in sys.modules and not isinstance(getattr(sys.modules.get(module), attribute, None), type)
            library = _Library(submodule, None, local) if inner else _Library(module, attribute, local)
            self.libraries[library] = None
            return library
        if submodule in sys.modules and attribute not in statements_of(module).binders:
            return _Local(submodule)
        return self.need(module, attribute, why)

    def _module(self, module: str, asname: str | None, why: str) -> _Referent:
        root = module.partition(".")[0]
        if not installed(module):
            return _Local(module if asname else root)
        library = _Library(module if asname else root, None, asname or root)
        self.libraries[library] = None
        if not asname and module != root:
            self.libraries[_Library(module, None, "")] = None  # import torch.nn.functional: keep that it is loaded
        return library

    def _add(self, source: Statements, index: int) -> None:
        done = self.needed.setdefault(source.module, set())
        if index in done:
            return
        done.add(index)
        statement, where = source.statements[index], source.module
        line = source.texts[index].lstrip("#").strip().splitlines()[0][:60]
        why = f"{where} needs it in {line!r}"
        self._refuse_inner_imports(source, statement, why)
        found: list[tuple[_Referent, int]] = []
        for use in module_uses(statement):
            found.append(self._resolve(source, use, why))
        self.uses[where, index] = found

    def _resolve(self, source: Statements, use: Use, why: str) -> tuple[_Referent, int]:
        """Return what a use stands for, and how many of its attributes that takes in."""
        optional = use.annotation and source.future  # a postponed annotation is never evaluated
        before = self._state() if optional else None
        try:
            referent = self.need(source.module, use.name, why)
            taken = 0
            while isinstance(referent, _Local):
                if taken == len(use.attributes):
                    raise SpaceError(
                        f"{source.module} uses its module {referent.module!r} as a value ({why}), which cannot be "
                        f"written into one file. Import the names it needs instead: from {referent.module} import ..."
                    )
                module, attribute = referent.module, use.attributes[taken].attr
                known = f"{module}.{attribute}" in sys.modules and attribute not in statements_of(module).binders
                referent = _Local(f"{module}.{attribute}") if known else self.need(module, attribute, why)
                taken += 1
        except SpaceError:
            if before is None:
                raise
            self.needed, self.uses, self.libraries, self.edges = before
            return None, 0
        if isinstance(referent, _Definition) and referent.module != source.module:
            self.edges.setdefault(source.module, {})[referent.module] = None
        return referent, taken

    def _state(self) -> tuple[Any, Any, Any, Any]:
        edges = {module: dict(others) for module, others in self.edges.items()}
        return {m: set(done) for m, done in self.needed.items()}, dict(self.uses), dict(self.libraries), edges

    def _refuse_inner_imports(self, source: Statements, statement: ast.stmt, why: str) -> None:
        for node in ast.walk(statement):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [absolute_module(node, source.module)]
            else:
                continue
            for name in names:
                if name.partition(".")[0] == OURS:
                    raise SpaceError(_refusal(name, why))
                if not installed(name):
                    raise SpaceError(
                        f"{source.module} imports its own module {name!r} inside a statement ({why}). Move that "
                        "import to the top of the file, so that a standalone file can be written."
                    )

    def write(self, paths: Sequence[tuple[_Referent, str]]) -> Inlined:
        """Return the text of everything that was gathered."""
        names = self._names()
        blocks: list[tuple[bool, str]] = []
        for module in self._order():
            source = statements_of(module)
            for index in sorted(self.needed[module]):
                text = _rename(source, index, self.uses[module, index], names)
                blocks.append((isinstance(source.statements[index], ast.Assign | ast.AnnAssign), text))
        parts: list[str] = []
        for i, (small, text) in enumerate(blocks):
            parts.append("" if not i else "\n" if small and blocks[i - 1][0] else "\n\n\n")
            parts.append(text)
        lines = {_import_line(library, names.get(library, "")) for library in self.libraries}
        imports = sorted(lines, key=_import_order)
        standard = sum(not _import_order(line)[0] for line in imports)
        if 0 < standard < len(imports):
            imports.insert(standard, "")
        reached = tuple(".".join(filter(None, (names.get(item), rest))) for item, rest in paths)
        future = any(statements_of(module).future for module in self.needed)
        return Inlined(future, tuple(imports), "".join(parts), reached)

    def _order(self) -> list[str]:
        order: list[str] = []
        visited: set[str] = set()

        def visit(module: str) -> None:
            if module not in visited:
                visited.add(module)
                for dependency in self.edges.get(module, ()):
                    visit(dependency)
                order.append(module)

        for module in self.needed:
            visit(module)
        return order

    def _names(self) -> dict[_Referent, str]:
        """Give every library and definition a name of its own; the first to come keeps the name it had."""
        identifiers = {
            node.id
            for module, indices in self.needed.items()
            for index in indices
            for node in ast.walk(statements_of(module).statements[index])
            if isinstance(node, ast.Name)
        }
        names: dict[_Referent, str] = {}
        taken = set(_RESERVED)

        def give(referent: _Referent, wanted: str) -> None:
            name, number = wanted, 2
            own = isinstance(referent, _Library) and referent.module == wanted
            while not own and (name in taken or (name != wanted and name in identifiers)):
                name, number = f"{wanted}_{number}", number + 1
            taken.add(name)
            names[referent] = name

        for library in self.libraries:
            if library.local:
                give(library, library.local)
        for module in self._order():
            for name, indices in statements_of(module).binders.items():
                if self.needed[module].intersection(indices):
                    give(_Definition(module, name), name)
        return names


def _refusal(what: str, why: str) -> str:
    return (
        f"A standalone file cannot use {what}: {why}. A network that is shipped needs nothing of this project; only "
        f"the plain PyTorch classes of {', '.join(sorted(PLAIN))} are copied into its file. Keep code that writes a "
        "space out of the classes and functions the space calls."
    )


def _lookup(module: str, path: str) -> Any:
    found: Any = sys.modules.get(module)
    for part in path.split("."):
        found = getattr(found, part, None)
    return found


def _library(item: Any) -> tuple[_Library | None, str] | None:
    """Return the shortest public path by which something from an installed package is imported, if it is that."""
    module = getattr(item, "__module__", None)
    if isinstance(item, ModuleType):
        return None
    candidates = ["torch.nn", "torch", "torch.nn.functional"]
    if isinstance(module, str):
        if not installed(module):
            return None
        parts = module.split(".")
        candidates += [".".join(parts[:n]) for n in range(1, len(parts) + 1)]
    # Functions written in C may call themselves by the name of a class that holds them, which nobody imports.
    names = [getattr(item, "__qualname__", None) or "", getattr(item, "__name__", None) or ""]
    for name, candidate in product(names, candidates):
        if name and "<" not in name and candidate in sys.modules and _lookup(candidate, name) is item:
            if candidate == "builtins":
                return None, name
            local = _SHORTHANDS.get(candidate) or candidate.rpartition(".")[2]
            return _Library(candidate, None, local), name
    return None


def _import_line(library: _Library, name: str) -> str:
    if not name:
        return f"import {library.module}"
    parent, _, last = library.module.rpartition(".")
    if library.attribute is not None:
        renamed = "" if name == library.attribute else f" as {name}"
        return f"from {library.module} import {library.attribute}{renamed}"
    if name == library.module:
        return f"import {name}"
    if parent and name == last:
        return f"from {parent} import {name}"
    return f"import {library.module} as {name}"


def _import_order(line: str) -> tuple[bool, bool, str]:
    module = line.split()[1]
    return module.partition(".")[0] not in sys.stdlib_module_names, line.startswith("from"), line


def _rename(source: Statements, index: int, uses: list[tuple[_Referent, int]], names: Mapping[_Referent, str]) -> str:
    """Return a statement's text with every name that had to change changed; comments are kept where that is safe."""
    text = source.texts[index]
    found = module_uses(source.statements[index])
    pairs = zip(found, uses, strict=True)
    if all(names.get(referent, use.name) == use.name and not taken for use, (referent, taken) in pairs):
        return text
    tree = ast.parse(text)
    replaced: dict[int, ast.expr] = {}
    spans: list[tuple[int, int, int, str]] = []
    definitions: list[tuple[str, str]] = []
    for use, (referent, taken) in zip(module_uses(tree.body[0]), uses, strict=True):
        new = names.get(referent, use.name)
        node: Any = use.attributes[taken - 1] if taken else use.node
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            node.name = new
            definitions.append((use.name, new))
        elif isinstance(node, ast.Global):
            node.names = [new if name == use.name else name for name in node.names]
        elif isinstance(node, ast.alias):
            node.asname = new
        elif new != use.name or taken:
            replaced[id(node)] = ast.copy_location(ast.Name(new, node.ctx), node)
            spans.append((node.lineno, node.col_offset, node.end_col_offset, new))
    wanted = ast.fix_missing_locations(_Replace(replaced).visit(tree))
    lines = [line.encode() for line in text.splitlines()]
    for line, start, end, new in sorted(spans, reverse=True):
        lines[line - 1] = lines[line - 1][:start] + new.encode() + lines[line - 1][end:]
    changed = b"\n".join(lines).decode(errors="replace")
    for old, new in definitions:
        changed = re.sub(rf"^((?:async\s+)?def|class)(\s+){old}\b", rf"\1\2{new}", changed, count=1, flags=re.M)
    try:  # positions inside f-strings are not to be trusted in Python 3.11, so the result is compared
        safe = ast.dump(ast.parse(changed)) == ast.dump(wanted)
    except SyntaxError:
        safe = False
    return changed if safe else ast.unparse(wanted)


class _Replace(ast.NodeTransformer):
    def __init__(self, replaced: Mapping[int, ast.expr]) -> None:
        self.replaced = replaced

    def visit(self, node: ast.AST) -> Any:
        return self.replaced[id(node)] if id(node) in self.replaced else self.generic_visit(node)
