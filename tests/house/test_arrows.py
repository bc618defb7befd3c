"""Who may import whom. Every import counts, also one that only a type checker sees."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from typing import Any

# Whatever writes a file may say where a fault can be made to happen.
FILES = {"failpoint", "files", "lease"}
BOTTOM = {"errors", "spec", "run", "quantities", "redact", "documents"} | FILES
ARROWS: dict[str, set[str]] = {
    "failpoint": set(),
    "files": {"failpoint"},
    "lease": {"errors"},
    "errors": set(),
    "spec": set(),
    "run": {"errors"},
    "redact": set(),
    "documents": {"errors"},
    "quantities": {"errors"},
    "space": {"errors"},
    "trial": {"space"},
    "build": {"space", "errors"},
    "tables": {"space", "trial", "run", "errors"},
    "bench": BOTTOM | {"space", "trial", "strategy", "tables", "execute", "study", "report"},
    "predictors": {"space", "errors"},
    "strategy": {"space", "trial", "predictors", "errors"},
    "task": {"spec", "trial", "errors", "build.blocks", "build.preprocess"},
    "estimate": FILES | {"space", "trial", "run", "build", "task", "spec", "errors", "documents"},
    "store": FILES | {"redact", "trial", "errors"},
    "execute": FILES | {"trial", "run", "errors", "redact", "estimate"},
    "study": BOTTOM | {"space", "trial", "build", "strategy", "task", "estimate", "store", "execute"},
    "elasticity": {"space", "trial", "build", "strategy", "task", "estimate", "study", "errors"},
    "spaces": {"space", "spec", "build.blocks", "build.darts_blocks", "build.preprocess", "errors"},
    "report": FILES | {"store", "trial", "space", "build", "errors", "redact", "documents"},
    "export": FILES | {"build", "task", "spec", "errors", "documents"},
    "request": {"errors", "quantities", "redact", "strategy", "trial"},
    "cli": BOTTOM | {"request", "trial", "pipeline", "report", "export", "store", "spaces"},
    "__main__": {"cli"},
}
ARROWS["pipeline"] = set(ARROWS) - {"cli", "__main__", "bench"} | {"pipeline"}
ARROWS["testing"] = set(ARROWS) - {"cli", "__main__"}

# Optional extras may be imported inside a function: whoever does not use them need not have them.
EXTRAS = {"onnx", "onnxscript", "onnxruntime", "pyarrow", "ray", "optuna", "cmaes"}
# The documented lazy loaders: the package's front door, the command line's, and the digits that scikit-learn holds.
LOADERS = {"archsmith", "archsmith.cli.lazy", "archsmith.task.read_digits"}


def imported(module: Any, names: set[str], top_only: bool = False) -> Iterator[tuple[int, str]]:
    """Every module of ours that ``module`` imports, with the line; the submodule where one is named."""
    nodes = module.tree.body if top_only else ast.walk(module.tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "archsmith":
                    yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module.path}:{node.lineno}: imports are absolute here"
            if node.module and node.module.split(".")[0] == "archsmith":
                for alias in node.names:
                    inner = f"{node.module}.{alias.name}"
                    yield node.lineno, inner if inner in names else node.module


def test_every_room_imports_only_the_rooms_below_it(modules: list[Any]) -> None:
    names, wrong = {m.name for m in modules}, []
    for module in modules:
        if module.name == "archsmith":  # the front door names every room, and loads each when it is asked for
            continue
        assert module.room in ARROWS, f"{module.path}: a room without arrows"
        allowed = ARROWS[module.room] | {module.room}
        for line, target in imported(module, names):
            below = target.removeprefix("archsmith").removeprefix(".")
            if below == "" and module.room in ("bench", "cli", "pipeline", "export", "report", "testing"):
                continue  # the version
            if not any(below == a or below.startswith(a + ".") for a in allowed):
                wrong.append(f"{module.path}:{line} imports {target}")
    assert wrong == []


def test_no_module_imports_itself_by_a_detour(modules: list[Any]) -> None:
    names = {m.name for m in modules}
    graph = {
        m.name: {t for _, t in imported(m, names, top_only=True)} - {m.name} for m in modules if m.name != "archsmith"
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        raise AssertionError("import cycle: " + " -> ".join(error.args[1])) from None


def test_nothing_is_imported_inside_a_function(modules: list[Any]) -> None:
    wrong = []
    for module in modules:
        for function in ast.walk(module.tree):
            if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
                continue
            for node in ast.walk(function):
                if isinstance(node, ast.Import):
                    tops = {a.name.split(".")[0] for a in node.names}
                elif isinstance(node, ast.ImportFrom):
                    tops = {(node.module or "").split(".")[0]}
                elif _loads_by_name(node) and module.name not in LOADERS:
                    tops = {ast.unparse(node)}
                else:
                    continue
                if not tops <= EXTRAS:
                    wrong.append(f"{module.path}:{node.lineno} imports {', '.join(sorted(tops))}")
    assert sorted(set(wrong)) == []


def _loads_by_name(node: ast.AST) -> bool:
    """Whether a module is loaded by a name that stands in the code; a name that a person gave is another matter."""
    if not (isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant)):
        return False
    return ast.unparse(node.func).split(".")[-1] in ("import_module", "__import__")
