"""What is public is said so, exactly, and begins with a sentence."""

import ast
import importlib
from typing import Any

import pytest

import archsmith


def declared(tree: ast.Module) -> list[str] | None:
    for node in tree.body:
        targets = getattr(node, "targets", [getattr(node, "target", None)])
        if any(isinstance(t, ast.Name) and t.id == "__all__" for t in targets):
            assert isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None
            return list(ast.literal_eval(node.value))
    return None


def public(tree: ast.Module, with_imports: bool) -> set[str]:
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {t.id for target in node.targets for t in ast.walk(target) if isinstance(t, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
        elif with_imports and isinstance(node, (ast.ImportFrom, ast.Import)):
            if isinstance(node, ast.Import) or (node.module or "").split(".")[0] != "archsmith":
                continue
            names |= {a.asname or a.name for a in node.names}
    return {n for n in names if not n.startswith("_")}


def test_all_is_exactly_what_is_public(modules: list[Any]) -> None:
    wrong = []
    for module in modules:
        if module.name == "archsmith":
            continue
        names = declared(module.tree)
        if names is None:
            wrong.append(f"{module.path}: no __all__")
            continue
        there = public(module.tree, with_imports=module.is_package)
        if set(names) != there:
            extra, missing = sorted(set(names) - there), sorted(there - set(names))
            wrong.append(f"{module.path}: __all__ lacks {missing}, and names {extra} in excess")
    assert wrong == []


def test_the_front_door_opens_on_every_name_it_lists() -> None:
    assert sorted(archsmith.__all__) == sorted(set(archsmith.__all__))
    for name in archsmith.__all__:
        assert getattr(archsmith, name) is not None
    assert set(archsmith.__all__) <= set(dir(archsmith))


def test_type_checkers_see_the_same_front_door(modules: list[Any]) -> None:
    door = next(m for m in modules if m.name == "archsmith")
    guarded = [n for n in door.tree.body if isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING"]
    seen = {a.asname or a.name for n in guarded for i in n.body if isinstance(i, ast.ImportFrom) for a in i.names}
    assert seen | {"__version__"} == set(archsmith.__all__)


def test_a_wrong_name_gets_the_nearest_right_one() -> None:
    with pytest.raises(AttributeError, match="'Study'"):
        archsmith.Studdy  # noqa: B018


def test_every_public_thing_begins_with_a_sentence(modules: list[Any]) -> None:
    wrong = []
    for module in modules:
        names = set(declared(module.tree) or ())
        things = [("module", module.tree)]
        things += [
            (n.name, n) for n in module.tree.body if isinstance(n, (ast.FunctionDef, ast.ClassDef)) and n.name in names
        ]
        for label, node in things:
            first = (ast.get_docstring(node) or "").split("\n\n")[0].strip()
            if not first or not (first[0].isupper() or first[0] in "`'\"0123456789(") or first[-1] not in ".:;!?":
                wrong.append(f"{module.path}: {label}: {first!r}")
    assert wrong == []


def test_every_module_can_be_imported(modules: list[Any]) -> None:
    for module in modules:
        importlib.import_module(module.name)
