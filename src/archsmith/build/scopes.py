"""Which names of a statement belong to its module, and not to a function or class inside it."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Use", "bound_names", "module_uses"]

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclass(frozen=True, eq=False)
class Use:
    """One place where a statement loads or binds a name of its module.

    ``attributes`` are the attribute nodes around the name, from the inside out: for ``np.random.rand`` the node of
    ``np.random`` and the node of ``np.random.rand``. ``annotation`` tells a name that only annotates.
    """

    name: str
    node: ast.AST
    attributes: tuple[ast.Attribute, ...] = ()
    annotation: bool = False


def module_uses(statement: ast.stmt) -> list[Use]:
    """Return every use of a module-level name in a top-level statement, in the order of the text."""
    visitor = _Visitor()
    visitor.visit(statement)
    return visitor.uses


def bound_names(nodes: Iterable[ast.AST]) -> set[str]:
    """Return the names that these nodes bind in their own scope, not in functions or classes inside them."""
    names: set[str] = set()
    shared: set[str] = set()
    for node in nodes:
        _bind(node, names, shared)
    return names - shared


def _bind(node: ast.AST, names: set[str], shared: set[str], walrus_only: bool = False) -> None:
    if isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
        names.add(node.name)
        return
    if isinstance(node, ast.Lambda):
        return
    if isinstance(node, ast.Import | ast.ImportFrom):
        names.update(alias.asname or alias.name.partition(".")[0] for alias in node.names)
    elif isinstance(node, ast.Global | ast.Nonlocal):
        shared.update(node.names)
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Del) and not walrus_only:
        names.add(node.id)
    elif isinstance(node, ast.NamedExpr):
        names.add(node.target.id)
    elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
        names.add(node.name)
    elif isinstance(node, ast.MatchMapping) and node.rest:
        names.add(node.rest)
    walrus_only = walrus_only or isinstance(node, _COMPREHENSIONS)  # only := leaves a comprehension
    for child in ast.iter_child_nodes(node):
        _bind(child, names, shared, walrus_only)


class _Visitor(ast.NodeVisitor):
    """Walks one top-level statement with a stack of the names that inner scopes bind."""

    def __init__(self) -> None:
        self.uses: list[Use] = []
        self._scopes: list[tuple[bool, set[str]]] = []  # (is it a class, its names); empty at module level
        self._annotation = False

    def _is_local(self, name: str) -> bool:
        # A class's names are seen in its own body only, not in the functions there.
        top = len(self._scopes) - 1
        return any(name in names for i, (is_class, names) in enumerate(self._scopes) if not is_class or i == top)

    def _use(self, name: str, node: ast.AST, attributes: tuple[ast.Attribute, ...] = ()) -> None:
        if not self._is_local(name):
            self.uses.append(Use(name, node, attributes, self._annotation))

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Store) and self._scopes and self._scopes[-1][0]:
            self._scopes[-1][1].add(node.id)  # a class binds as it goes: what it loaded before was the module's
        self._use(node.id, node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        chain: list[ast.Attribute] = []
        inner: ast.expr = node
        while isinstance(inner, ast.Attribute):
            chain.append(inner)
            inner = inner.value
        if isinstance(inner, ast.Name):
            self._use(inner.id, inner, tuple(reversed(chain)))
        else:
            self.visit(inner)

    def visit_Assign(self, node: ast.Assign) -> None:
        self.visit(node.value)
        for target in node.targets:
            self.visit(target)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self._visit_annotation(node.annotation)
        if node.value is not None:
            self.visit(node.value)
        self.visit(node.target)

    def visit_Global(self, node: ast.Global) -> None:
        for name in node.names:
            self.uses.append(Use(name, node))

    def visit_Import(self, node: ast.Import | ast.ImportFrom) -> None:
        if not self._scopes:
            for alias in node.names:
                self.uses.append(Use(alias.asname or alias.name.partition(".")[0], alias))

    visit_ImportFrom = visit_Import

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        for decorator in node.decorator_list:
            self.visit(decorator)
        self._bind_definition(node)
        self._visit_function(node.args, node.body, returns=node.returns, parameters=getattr(node, "type_params", []))

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._visit_function(node.args, [node.body])

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for expression in [*node.decorator_list, *node.bases, *(k.value for k in node.keywords)]:
            self.visit(expression)
        self._bind_definition(node)
        self._scopes.append((False, {p.name for p in getattr(node, "type_params", [])}))
        self._scopes.append((True, set()))
        for statement in node.body:
            self.visit(statement)
        del self._scopes[-2:]

    def _bind_definition(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
        if not self._scopes:
            self.uses.append(Use(node.name, node))
        elif self._scopes[-1][0]:
            self._scopes[-1][1].add(node.name)

    def _visit_annotation(self, annotation: ast.expr | None) -> None:
        if annotation is not None:
            before, self._annotation = self._annotation, True
            self.visit(annotation)
            self._annotation = before

    def _visit_function(
        self,
        arguments: ast.arguments,
        body: list[ast.stmt] | list[ast.expr],
        returns: ast.expr | None = None,
        parameters: Iterable[ast.AST] = (),
    ) -> None:
        everything = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        everything += [a for a in (arguments.vararg, arguments.kwarg) if a is not None]
        for default in [*arguments.defaults, *arguments.kw_defaults]:
            if default is not None:
                self.visit(default)
        self._scopes.append((False, {p.name for p in parameters}))  # type: ignore[attr-defined]
        for argument in everything:
            self._visit_annotation(argument.annotation)
        self._visit_annotation(returns)
        self._scopes.append((False, bound_names(body) | {a.arg for a in everything}))
        for node in body:
            self.visit(node)
        del self._scopes[-2:]

    def _visit_comprehension(self, node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp) -> None:
        self.visit(node.generators[0].iter)  # evaluated outside
        targets = {n.id for g in node.generators for n in ast.walk(g.target) if isinstance(n, ast.Name)}
        self._scopes.append((False, targets))
        for i, generator in enumerate(node.generators):
            for part in [*([generator.iter] if i else []), *generator.ifs]:
                self.visit(part)
        for part in (node.key, node.value) if isinstance(node, ast.DictComp) else (node.elt,):
            self.visit(part)
        self._scopes.pop()

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _visit_comprehension
