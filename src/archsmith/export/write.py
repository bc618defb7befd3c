"""Write a trained network as plain files: Python with weights, a torch.export program, ONNX, and a model card."""

from __future__ import annotations

import copy
import importlib.util
import json
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn

from archsmith.errors import ExportError, MissingExtra, nearest
from archsmith.export.card import card
from archsmith.export.facts import Facts
from archsmith.export.standalone import standalone
from archsmith.files import replacing

__all__ = ["BATCHES", "FILES", "FORMATS", "available_formats", "convert", "export", "load_network", "reference_path"]

FORMATS = ("safetensors", "pt2", "onnx")
FILES = {"safetensors": "model.safetensors", "pt2": "model.pt2", "onnx": "model.onnx"}
BATCHES = (1, 2, 7)
_ONNX_PACKAGES = ("onnx", "onnxscript", "onnxruntime")


def available_formats() -> tuple[str, ...]:
    """Return the formats that can be written with what is installed."""
    onnx = all(importlib.util.find_spec(name) for name in _ONNX_PACKAGES)
    return FORMATS if onnx else FORMATS[:-1]


def export(
    network: nn.Module,
    source: str,
    facts: Facts,
    examples: Tensor,
    folder: Path | str,
    formats: Sequence[str] = FORMATS,
) -> dict[str, Path]:
    """Write the shipped network (preprocessing and all) into ``folder``; return the path of each format.

    ``model.py`` with ``model.safetensors`` and ``card.md`` are always written; ``source`` is what
    ``archsmith.build.shipped_source`` printed for this network. ``examples`` are a few raw samples ``[N, ...]``, on
    which every file will have to agree with the network: they and its outputs are kept in ``exports`` next to
    ``folder``. Every file appears whole or not at all. Raises ``ExportError`` naming the format that could not be
    written, after the others have been, and ``MissingExtra`` before anything is written.
    """
    _check_formats(formats)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    plain = copy.deepcopy(network).to("cpu", torch.float32).eval()
    plain = plain.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    x = _float_rows(examples)
    _write_reference(plain, x, reference_path(folder))
    with _atomic(folder / "model.py") as path:
        path.write_text(standalone(source, facts), encoding="utf-8")
    with _atomic(folder / "card.md") as path:
        path.write_text(card(facts), encoding="utf-8")
    with _atomic(folder / FILES["safetensors"]) as path:
        safetensors.torch.save_model(plain, str(path), metadata=_metadata(facts.labels))
    written = {"safetensors": folder / FILES["safetensors"]}
    return written | _convert(plain, x, folder, formats, facts.labels)


def convert(folder: Path | str, formats: Sequence[str]) -> dict[str, Path]:
    """Write more formats of a network that ``export`` wrote; return the path of each.

    Asking for several at once is cheaper than one by one: the network is traced once. Raises ``ExportError`` and
    ``MissingExtra`` as ``export`` does, also where the folder holds no exported network.
    """
    _check_formats(formats)
    folder = Path(folder)
    network = load_network(folder)
    try:
        with np.load(reference_path(folder), allow_pickle=False) as data:
            x = torch.from_numpy(data["x"])
    except (OSError, KeyError, ValueError) as error:
        raise ExportError(f"{reference_path(folder)} cannot be read ({error}); export the network again.") from error
    labels = getattr(network, "labels", ())
    return _convert(network, x, folder, formats, labels)


def load_network(folder: Path | str) -> nn.Module:
    """Return the trained network of a folder that ``export`` wrote, by running its ``model.py``.

    The labels are its attribute ``labels``. Raises ``ExportError`` when it cannot be loaded.
    """
    path = Path(folder) / "model.py"
    if not path.is_file():
        raise ExportError(f"{path} is missing: there is no exported network in this folder.")
    module = ModuleType("exported_model")
    module.__file__ = str(path)
    try:  # run from its text: importing it would leave a __pycache__ in a folder that is to be handed on
        exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), vars(module))
        network: nn.Module = module.load()
    except Exception as error:  # the file is a person's: anything can be wrong with it
        raise ExportError(f"{path} cannot be loaded: {type(error).__name__}: {error}.") from error
    network.labels = tuple(getattr(module, "LABELS", ()))  # type: ignore[assignment]
    return network


def reference_path(folder: Path) -> Path:
    """Return where the inputs and outputs that every file must reproduce are kept."""
    return folder.parent / "exports" / "reference.npz"


def _check_formats(formats: Sequence[str]) -> None:
    for name in formats:
        if name not in FORMATS:
            raise ExportError(f"There is no format {name!r}. {nearest(name, FORMATS)}")
    if "onnx" in formats and "onnx" not in available_formats():
        raise MissingExtra(
            "Writing ONNX files needs the packages onnx, onnxscript and onnxruntime. Install them with: "
            "pip install 'archsmith[onnx]'"
        )


def _float_rows(examples: Tensor) -> Tensor:
    rows = max(BATCHES)
    if not len(examples):
        raise ExportError("At least one example is needed to check an exported network.")
    repeated = examples[torch.arange(rows) % len(examples)]
    return repeated.detach().to("cpu", torch.float32).contiguous()


def _write_reference(network: nn.Module, x: Tensor, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with torch.no_grad():
        outputs = {f"y{batch}": network(x[:batch]).numpy() for batch in BATCHES}
    with _atomic(path) as temporary:
        np.savez(temporary, x=x.numpy(), **outputs)


def _convert(
    network: nn.Module, x: Tensor, folder: Path, formats: Sequence[str], labels: Sequence[str]
) -> dict[str, Path]:
    written: dict[str, Path] = {}
    wanted = [name for name in FORMATS if name in formats and name != "safetensors"]
    if not wanted:
        return written
    with _quiet():
        program = _attempt(" and ".join(FILES[name] for name in wanted), lambda: _exported(network, x))
        failures: list[ExportError] = []
        for name in wanted:
            save = _save_program if name == "pt2" else _save_onnx
            try:
                with _atomic(folder / FILES[name]) as path:
                    _attempt(FILES[name], lambda save=save, path=path: save(program, path, x, labels))
                written[name] = folder / FILES[name]
            except ExportError as error:
                failures.append(error)
    if failures:
        raise ExportError(" ".join(map(str, failures))) from failures[0]
    return written


def _attempt(what: str, action: Any) -> Any:
    try:
        return action()
    except Exception as error:  # exporters raise whatever their depths raise
        text = str(error).strip().splitlines()
        raise ExportError(
            f"{what} could not be written: {type(error).__name__}: {text[0][:300] if text else 'no reason given'}. "
            "The network itself is in model.py and model.safetensors. An operation that cannot be exported must be "
            "replaced in the block that uses it."
        ) from error


def _exported(network: nn.Module, x: Tensor) -> torch.export.ExportedProgram:
    batch = torch.export.Dim("batch", min=1)
    with torch.no_grad():
        return torch.export.export(network, (x[:2],), dynamic_shapes=({0: batch},))


def _save_program(program: torch.export.ExportedProgram, path: Path, x: Tensor, labels: Sequence[str]) -> None:
    torch.export.save(program, path, extra_files=_metadata(labels))


def _save_onnx(program: torch.export.ExportedProgram, path: Path, x: Tensor, labels: Sequence[str]) -> None:
    made = torch.onnx.export(
        program,
        (x[:2],),
        dynamo=True,
        input_names=["input"],
        output_names=["output"],
        dynamic_shapes=({0: "batch"},),
        verbose=False,
    )
    assert made is not None
    made.model.metadata_props.update(_metadata(labels))
    made.save(str(path), external_data=False)


def _metadata(labels: Sequence[str]) -> dict[str, str]:
    return {"labels": json.dumps(list(labels))}


@contextmanager
def _atomic(path: Path) -> Iterator[Path]:
    """Yield a path next to ``path`` that takes its place when all went well, and is removed when not."""
    try:
        with replacing(path, "export.file") as temporary:
            yield temporary
            temporary.chmod(0o644)  # some writers leave files that only their owner can read
    except OSError as error:
        raise ExportError(f"{path} could not be written: {error}.") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what torch's exporters say about themselves from people."""
    log = logging.getLogger("torch.onnx._internal.exporter._registration")
    before = log.level
    log.setLevel(logging.ERROR)  # it tells that torchvision is not installed, four times
    try:
        with warnings.catch_warnings():
            for category in (DeprecationWarning, FutureWarning):
                warnings.filterwarnings("ignore", category=category, module=r"(torch|copyreg|onnx\w*)(\.|$)")
            yield
    finally:
        log.setLevel(before)
