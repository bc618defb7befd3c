"""The model card: what the network is for, what it takes, how good it is, and where it came from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from archsmith.export.facts import Facts

__all__ = ["card"]

_MAX_LISTED = 50


def card(facts: Facts) -> str:
    """Return the model card as Markdown."""
    spec = facts.spec
    what = "an image classifier" if spec.kind == "image" else f"a {spec.goal} network for tables"
    if spec.kind == "image" and spec.goal == "regression":
        what = "a network that reads a number from an image"
    parts = [
        f"# {facts.name}",
        f"This is {what}: plain PyTorch, found by architecture search and trained on {spec.samples:,} samples.",
        "## Input and output",
        f"- Takes {facts.input}.\n- Returns {facts.output}.\n- Preprocessing is part of the network.",
    ]
    if facts.target is not None:
        parts[-1] += f"\n- Predicts the column `{facts.target}`."
    if facts.labels:
        parts += ["Labels, in the order of the outputs: " + _listed([f"`{label}`" for label in facts.labels]) + "."]
    if facts.columns:
        parts += ["| # | column | kind | codes |\n|---|---|---|---|\n" + "\n".join(map(_row, enumerate(facts.columns)))]
    parts += ["## How good it is", _metrics(facts)]
    if facts.notes:
        parts += ["## Notes", "\n".join(f"- {note}" for note in facts.notes)]
    parts += [
        "## Use",
        "```python\nimport torch, model        # model.py and model.safetensors; needs torch and safetensors only\n\n"
        "network = model.load()\n"
        f"model.predict(torch.zeros({', '.join(map(str, (1, *facts.input_shape)))}), network)\n```",
        "`model.pt2` (torch.export) and `model.onnx`, where present, hold the same network with a dynamic batch size.",
    ]
    return "\n\n".join(parts) + "\n"


def _metrics(facts: Facts) -> str:
    if not facts.measured and not facts.tested:
        return "Not measured."
    names = dict.fromkeys([*facts.tested, *facts.measured])
    rows = [f"| {name} | {_number(facts.tested, name)} | {_number(facts.measured, name)} |" for name in names]
    return "| metric | test | validation |\n|---|---|---|\n" + "\n".join(rows)


def _number(metrics: Mapping[str, float], name: str) -> str:
    if name not in metrics:
        return ""
    value = metrics[name]
    return f"{int(value):,}" if float(value).is_integer() and abs(value) >= 10 else f"{value:.4g}"


def _listed(words: list[str]) -> str:
    more = len(words) - _MAX_LISTED
    return ", ".join(words[:_MAX_LISTED]) + (f" and {more} more (see `LABELS` in model.py)" if more > 0 else "")


def _row(numbered: tuple[int, Mapping[str, Any]]) -> str:
    place, column = numbered
    categories = list(column.get("categories", ()))
    codes = _listed([f"{i + 1} = {name}" for i, name in enumerate(categories)]) if categories else ""
    cells = [str(place), str(column.get("name", "")), str(column.get("kind", "")), codes]
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
