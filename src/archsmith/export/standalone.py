"""The text of ``model.py``: the network's own source, with how to load and use it; needs torch and safetensors only."""

from __future__ import annotations

import ast
import pprint
import sys
from collections.abc import Iterable
from typing import Any

from archsmith.export.facts import Facts

__all__ = ["standalone"]

_LOAD = '''def load(path: str | pathlib.Path | None = None) -> torch.nn.Module:
    """Return the trained network, ready to predict; by default with the weights next to this file."""
    network = build()
    safetensors.torch.load_model(network, path or pathlib.Path(__file__).with_name("model.safetensors"))
    return network.eval()
'''
_CLASSIFY = '''def predict(x: torch.Tensor, network: torch.nn.Module | None = None) -> list[tuple[str, float]]:
    """Return the most likely label of each sample in ``x``, and its probability."""
    with torch.inference_mode():
        probabilities, best = (network or load())(x).softmax(1).max(1)
    return [(LABELS[int(i)], float(p)) for i, p in zip(best, probabilities, strict=True)]
'''
_REGRESS = '''def predict(x: torch.Tensor, network: torch.nn.Module | None = None) -> list[float]:
    """Return the predicted value of each sample in ``x``."""
    with torch.inference_mode():
        return [float(value) for value in (network or load())(x).flatten()]
'''


def standalone(source: str, facts: Facts) -> str:
    """Return the text of ``model.py`` for a source that defines ``build()``, as ``shipped_source`` prints it."""
    tree = ast.parse(source)
    body = [s for s in tree.body if not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))]
    head: list[ast.stmt] = []
    while body and isinstance(body[0], ast.Import | ast.ImportFrom):
        head.append(body.pop(0))
    future = [s for s in head if isinstance(s, ast.ImportFrom) and s.module == "__future__"]
    start = max((s.end_lineno or 0 for s in head), default=0)
    rest = "\n".join(source.splitlines()[start:]).strip("\n")
    lines = [ast.unparse(s) for s in head if s not in future]
    parts = [
        _title(facts),
        *(ast.unparse(s) + "\n" for s in future[:1]),
        _imports([*lines, "import pathlib", "import safetensors.torch", "import torch"]) + "\n",
        _constants(facts) + "\n\n",
        rest + "\n\n",
        _LOAD + "\n",
        _CLASSIFY if facts.spec.goal == "classification" else _REGRESS,
    ]
    return "\n".join(parts)


def _title(facts: Facts) -> str:
    said = facts.name.replace("\\", "/").replace('"', "'")
    lines = [
        f'"""{said}: a trained neural network in plain PyTorch; needs torch and safetensors only.',
        "",
        f"Takes {facts.input}.",
        f"Returns {facts.output}.",
        "",
        "    import torch, model",
        "    network = model.load()",
        f"    model.predict(torch.zeros({', '.join(map(str, (1, *facts.input_shape)))}), network)",
        '"""',
        "",
    ]
    return "\n".join(lines)


def _imports(lines: Iterable[str]) -> str:
    def standard(line: str) -> bool:
        return line.split()[1].partition(".")[0] in sys.stdlib_module_names

    unique = sorted(set(lines), key=lambda line: (line.startswith("from"), line))
    groups = [[line for line in unique if standard(line)], [line for line in unique if not standard(line)]]
    return "\n\n".join("\n".join(group) for group in groups if group)


def _constants(facts: Facts) -> str:
    found: dict[str, Any] = {"INPUT_SHAPE": facts.input_shape}
    if facts.labels:
        found["LABELS"] = facts.labels
    if facts.columns:
        found["COLUMNS"] = [dict(column) for column in facts.columns]
    return "\n".join(
        f"{name} = {pprint.pformat(value, width=100, compact=True, sort_dicts=False)}" for name, value in found.items()
    )
