"""No part of the system owns or touches global randomness; a generator is handed over."""

import ast
import re
from typing import Any

NUMPY = {"Generator", "default_rng", "SeedSequence", "BitGenerator", "PCG64", "Philox"}
# A trial's own code may draw from the global generators; they are seeded for it, and put back as they were.
LOOKS = {"getstate", "get_state"}
LENDING = {"setstate", "set_state", "Random", "MT19937"}
LENDERS = ("archsmith.execute.isolation",)
SEEDING = re.compile(r"torch(\.\w+)?\.(manual_seed|manual_seed_all|seed|seed_all)")
DRAWS = {"rand", "randn", "randint", "randperm", "bernoulli", "multinomial", "normal", "poisson"}
IN_PLACE = {"uniform_", "normal_", "bernoulli_", "random_", "exponential_", "geometric_", "cauchy_", "log_normal_"}
SKLEARN = {"train_test_split", "HistGradientBoostingClassifier", "HistGradientBoostingRegressor"}
SKLEARN |= {"RandomForestRegressor", "ExtraTreesRegressor", "StratifiedShuffleSplit", "ShuffleSplit"}
# Layers draw their initial weights and dropout masks from torch's global generator. The one helper that seeds it does
# so inside fork_rng; the blocks are plain PyTorch, written to be copied out, so they draw as PyTorch does.
PLAIN_TORCH = ("archsmith.build.blocks",)


def wrong_calls(module: Any) -> list[str]:
    wrong = []
    looks = LOOKS | LENDING if module.name in LENDERS else LOOKS
    for node in ast.walk(module.tree):
        where = f"{module.path}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.ImportFrom) and node.module in ("random", "numpy.random"):
            wrong += [f"{where} imports {a.name}" for a in node.names if a.name not in NUMPY]
        if isinstance(node, ast.Attribute):
            if ast.unparse(node.value) == "random" and node.attr not in looks:
                wrong.append(f"{where} {ast.unparse(node)}")
            if ast.unparse(node.value) in ("np.random", "numpy.random") and node.attr not in NUMPY | looks:
                wrong.append(f"{where} {ast.unparse(node)}")
        if isinstance(node, ast.Call):
            full = ast.unparse(node.func)
            last, keywords = full.split(".")[-1], {k.arg for k in node.keywords}
            if last == "default_rng" and not (node.args or keywords):
                wrong.append(f"{where} a generator without a seed")
            if last in SKLEARN and not {"random_state", None} & keywords:  # None stands for **options
                wrong.append(f"{where} {last} without random_state")
            if full.startswith("torch.") and last in DRAWS and not _given(node) and module.name not in PLAIN_TORCH:
                wrong.append(f"{where} {full} without generator")
            if last in IN_PLACE and "init" not in full and not _given(node) and module.name not in PLAIN_TORCH:
                wrong.append(f"{where} {full} without generator")
    return wrong


def _given(call: ast.Call) -> bool:
    """Whether a generator is handed over, or nothing is drawn at all because the tensor is on the meta device."""
    keywords = {k.arg: k.value for k in call.keywords}
    device = keywords.get("device")
    return "generator" in keywords or (isinstance(device, ast.Constant) and device.value == "meta")


def test_nothing_draws_from_a_global_generator(modules: list[Any]) -> None:
    assert [w for m in modules for w in wrong_calls(m)] == []


def test_torch_is_seeded_in_one_place_and_inside_a_fork(modules: list[Any]) -> None:
    places = []
    for module in modules:
        for function in ast.walk(module.tree):
            if not isinstance(function, ast.FunctionDef):
                continue
            for node in ast.walk(function):
                if isinstance(node, ast.Call) and SEEDING.fullmatch(ast.unparse(node.func)):
                    assert "fork_rng" in ast.unparse(function), f"{module.path}:{node.lineno} seeds outside a fork"
                    places.append(f"{module.path}:{function.name}")
    assert len(set(places)) <= 1, places
