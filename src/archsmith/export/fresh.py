"""What a fresh process runs to check one shipped file: load it, run it, compare it with what the network computed.

It is started as a script and imports nothing of this project, which it makes impossible to import first. It prints one
line of JSON: the greatest difference, the scale of the outputs, the share of rows whose greatest output is at the same
place, and for ONNX the latency.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["main"]

_Array = NDArray[np.float32]
_LATENCY_SECONDS = 0.3


class _Refuse:
    """Stands first among the finders: this project cannot be imported here."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> None:
        if name.partition(".")[0] == "archsmith":
            raise ModuleNotFoundError("a shipped network must not need archsmith", name=name)


def main(arguments: list[str]) -> None:
    """Check one file: ``format path reference.npz package-folder...``; print the findings as JSON."""
    kind, path, reference, *folders = arguments
    sys.path += [folder for folder in folders if folder not in sys.path]
    sys.dont_write_bytecode = True  # the folder is to be handed on as it is
    sys.meta_path.insert(0, _Refuse)
    with np.load(reference, allow_pickle=False) as data:
        x = data["x"]
        wanted = {int(name[1:]): data[name] for name in data.files if name.startswith("y")}
    run = {"safetensors": _weights, "pt2": _program, "onnx": _onnx}[kind](path)
    found = {batch: np.asarray(run(np.ascontiguousarray(x[:batch]))) for batch in wanted}
    result = _compare(found, wanted)
    if kind == "onnx":
        result["latency_ms"] = _latency(lambda: run(x[:1]))
    print(json.dumps(result))


def _weights(path: str) -> Callable[[_Array], Any]:
    torch = importlib.import_module(_needed("torch"))
    spec = importlib.util.spec_from_file_location("model", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["model"] = module
    spec.loader.exec_module(module)
    network = module.load()

    def run(x: _Array) -> Any:
        assert len(module.predict(torch.from_numpy(x), network)) == len(x)
        with torch.inference_mode():
            return network(torch.from_numpy(x)).numpy()

    return run


def _program(path: str) -> Callable[[_Array], Any]:
    torch = importlib.import_module(_needed("torch"))
    network = torch.export.load(path).module()

    def run(x: _Array) -> Any:
        with torch.no_grad():
            return network(torch.from_numpy(x)).numpy()

    return run


def _needed(name: str) -> str:
    return name  # torch takes a second to import: the ONNX check must not wait for it


def _onnx(path: str) -> Callable[[_Array], Any]:
    import onnx
    import onnxruntime

    outside = _outside(onnx.load(path, load_external_data=False))
    if outside:  # a file of ours is whole; a path in one that was altered could name any file of this machine
        raise ValueError(f"it refers to data in other files ({outside[0][:100]!r}), which are not read")

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda x: session.run(None, {name: x})[0]


def _outside(message: Any) -> list[str]:
    """Return the places outside the file that a model's tensors are said to be at, wherever they are nested."""
    found = [entry.value for entry in getattr(message, "external_data", ()) if entry.key == "location"]
    for field, value in message.ListFields():
        if field.type == field.TYPE_MESSAGE:
            for inner in value if hasattr(value, "__len__") else [value]:
                found += _outside(inner)
    return found


def _compare(found: dict[int, Any], wanted: dict[int, Any]) -> dict[str, Any]:
    greatest, scale, agreed, rows = 0.0, 0.0, 0, 0
    for batch, y in wanted.items():
        got = found[batch]
        if got.shape != y.shape:
            raise ValueError(f"at batch {batch} the output has shape {list(got.shape)}, not {list(y.shape)}")
        difference = np.abs(got.astype(np.float64) - y)
        if not np.isfinite(difference).all():
            raise ValueError(f"at batch {batch} the output is not finite")
        greatest, scale = max(greatest, float(difference.max())), max(scale, float(np.abs(y).max()))
        flat, flat_wanted = got.reshape(batch, -1), y.reshape(batch, -1)
        top = np.take_along_axis(flat_wanted, flat.argmax(1)[:, None], 1)[:, 0]
        # Two outputs that are equal but for rounding may change places.
        agreed += int((flat_wanted.max(1) - top <= 1e-4 * max(1.0, scale)).sum())
        rows += batch
    return {"max_difference": greatest, "scale": scale, "agreement": agreed / rows, "batches": sorted(wanted)}


def _latency(call: Callable[[], Any]) -> float:
    """Return the median milliseconds of the quietest of several rounds."""
    for _ in range(3):
        call()
    medians: list[float] = []
    end = time.perf_counter() + _LATENCY_SECONDS
    while len(medians) < 3 or time.perf_counter() < end:
        times: list[float] = []
        for _ in range(5):
            start = time.perf_counter()
            call()
            times.append(time.perf_counter() - start)
        medians.append(statistics.median(times))
    return min(medians) * 1e3


if __name__ == "__main__":
    main(sys.argv[1:])
