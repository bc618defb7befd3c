"""What a search hands back, and the way from a run folder to a network that predicts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from archsmith.documents import read_json
from archsmith.errors import StoreError
from archsmith.export import load_network
from archsmith.task import Reader, prepare
from archsmith.task.prepare import image_files
from archsmith.trial import Trial

__all__ = ["PREDICTED_AT_ONCE", "Best", "Result", "load_result", "predict"]


PREDICTED_AT_ONCE = 256


@dataclass(frozen=True)
class Best:
    """The network that is shipped.

    ``model`` takes raw inputs, as the person has them, and is a plain ``nn.Module``. ``metrics`` are on the validation
    split with the costs beside them, ``test`` on the test split. ``source`` is the network's Python source.
    """

    model: nn.Module
    metrics: Mapping[str, float]
    test: Mapping[str, float]
    arch: Mapping[str, Any]
    source: str


@dataclass(frozen=True)
class Result:
    """The outcome of a search: the best network, the front of the trials, and where the report is.

    ``data`` is what ``result.json`` holds. Where a limit had several values, ``by_limit`` has the network for each.
    """

    best: Best
    front: tuple[Trial, ...]
    report: Path
    folder: Path
    data: Mapping[str, Any] = field(repr=False)
    by_limit: Mapping[float, Best] = field(default_factory=dict, repr=False)

    @property
    def verdict(self) -> str:
        """The outcome in plain words."""
        return str(self.data["verdict"])

    def _repr_html_(self) -> str:
        return (
            f'<p><b>archsmith</b>: {_escape(self.verdict)}</p><p><a href="{_escape(str(self.report))}">report</a></p>'
        )


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")


def load_result(folder: str | Path) -> dict[str, Any]:
    """Return what ``result.json`` of a run folder holds; raises ``StoreError`` when there is none or it is damaged."""
    path = Path(folder) / "result.json"
    try:
        return read_json(path)
    except FileNotFoundError:
        raise StoreError(f"{folder} has no result.json: it is no run, or its search has not come to an end.") from None
    except StoreError as error:
        raise StoreError(f"{error} The trials themselves are in store.sqlite.") from error


def predict(folder: str | Path, source: Any) -> list[dict[str, Any]]:
    """Return one row per photo, with its ``file``, or table row: the label with its probability, or the number.

    Uses only what the run folder holds: the network's files and the facts of the task. Raises
    ``DataError`` for inputs that are not of the task's kind.
    """
    root = Path(folder)
    reader = _reader(root)
    rows = prepare(reader, source)
    model = load_network(root / "best")
    with torch.no_grad():
        outputs = torch.cat([model(x) for x in torch.split(rows, PREDICTED_AT_ONCE)])
    found: list[dict[str, Any]]
    if reader.goal == "regression":
        found = [{reader.target or "prediction": float(v)} for v in outputs.reshape(-1)]
    else:
        best = outputs.softmax(dim=1).max(dim=1)
        pairs = zip(best.indices, best.values, strict=True)
        found = [{"label": reader.labels[int(i)], "probability": float(p)} for i, p in pairs]
    if reader.kind == "image" and not isinstance(source, np.ndarray | torch.Tensor):
        return [{"file": str(path), **row} for path, row in zip(image_files(source), found, strict=True)]
    return found


def _reader(root: Path) -> Reader:
    try:
        return Reader.from_json(load_result(root)["task"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        what = f"{type(error).__name__}: {error}"
        raise StoreError(f"{root / 'result.json'} does not say what the network takes ({what}).") from error
