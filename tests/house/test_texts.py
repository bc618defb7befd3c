"""Sizes, words and habits that hold in every file."""

import ast
import re
import tomllib
from pathlib import Path
from typing import Any

import archsmith

# Written in pieces, so that this file does not find itself.
MACHINE = re.compile("|".join(["/" + "home/", "/" + "root/", "/" + "work/", "/" + "Users/", "/opt/" + "wheels"]))
HOSTS = re.compile("pypi" + r"\.org|python" + r"hosted|conda\." + "io")
LEFT_OVER = re.compile(r"\b(" + "TO" + "DO|FIX" + "ME|XX" + "X)\\b")


def test_no_file_is_longer_than_600_lines(texts: dict[str, str]) -> None:
    assert [(p, t.count("\n")) for p, t in texts.items() if p.endswith(".py") and t.count("\n") > 600] == []


def test_no_path_of_a_machine_and_no_host_of_a_registry(texts: dict[str, str]) -> None:
    wrong = [f"{p}: {m.group()}" for p, t in texts.items() for r in (MACHINE, HOSTS) for m in r.finditer(t)]
    assert wrong == []


def test_nothing_is_left_for_later_in_the_code(texts: dict[str, str]) -> None:
    assert [p for p, t in texts.items() if LEFT_OVER.search(t)] == []


def test_nothing_is_pickled_and_nothing_pickled_is_read(modules: list[Any]) -> None:
    wrong = []
    for module in modules:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Import):
                banned = {a.name.split(".")[0] for a in node.names} & {"dill", "cloudpickle", "joblib", "shelve"}
                wrong += [f"{module.path}:{node.lineno} {b}" for b in banned]
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                given = {k.arg: ast.unparse(k.value) for k in node.keywords}
                if called in ("pickle.dump", "pickle.load", "pickle.loads", "pickle.Unpickler"):
                    wrong.append(f"{module.path}:{node.lineno} {called}")  # to another process is another matter
                if called == "torch.load" and given.get("weights_only") != "True":
                    wrong.append(f"{module.path}:{node.lineno} torch.load without weights_only=True")
                if called in ("np.load", "numpy.load") and given.get("allow_pickle") != "False":
                    wrong.append(f"{module.path}:{node.lineno} np.load without allow_pickle=False")
    assert wrong == []


def test_one_version(root: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["dynamic"] == ["version"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", archsmith.__version__)
    assert f"## {archsmith.__version__}" in (root / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_constraints_pin_everything_exactly_and_the_package_only_ranges(root: Path) -> None:
    lines = (root / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = {ln.split("==")[0].lower().replace("_", "-") for ln in lines if ln and not ln.startswith("#")}
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", ln) for ln in lines if ln and not ln.startswith("#"))
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = project["dependencies"] + [r for extra in project["optional-dependencies"].values() for r in extra]
    for requirement in wanted:
        name = re.split(r"[<>=!~\[ ]", requirement)[0].lower().replace("_", "-")
        assert name in pins or name == "archsmith", f"{name} is not pinned in constraints.txt"
        assert name == "archsmith" or ">=" in requirement, f"{requirement} should be a range"
