"""Beginning with the weights of an earlier run: its bank, or the network that it shipped."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file

from archsmith.build import Bank, build, carry_over, carry_over_network
from archsmith.documents import read_json
from archsmith.errors import StoreError
from archsmith.pipeline.reopen import find_space, read_request
from archsmith.pipeline.result import load_result
from archsmith.space import Arch, Space
from archsmith.spec import Spec

__all__ = ["begin_bank", "find_weights"]

_BANK, _NETWORK = "bank.json", "model.safetensors"


def find_weights(path: str | Path) -> Path:
    """Return the folder of a bank, or of a shipped network, that ``path`` means: itself, or in a run's folder.

    Raises ``StoreError`` where there is neither.
    """
    root = Path(path).expanduser()
    for folder, file in ((root, _BANK), (root / "bank", _BANK), (root / "best", _NETWORK)):
        if (folder / file).is_file():
            return folder
    raise StoreError(
        f"{root} holds no weights to begin with: neither a bank ({_BANK}, which a run has in bank/) nor the network of "
        f"a finished run (best/{_NETWORK}). Name the folder of a run, or of a bank that was saved."
    )


def begin_bank(path: str, space: Space, seed: int) -> tuple[Bank, list[str]]:
    """Return a bank for the space with the weights that are found at ``path``, and what could not be carried over.

    A new one without ``path``. Raises ``StoreError`` for weights that cannot be read.
    """
    if not path:
        return Bank(space, seed), []
    folder = find_weights(path)
    if (folder / _BANK).is_file():
        return carry_over(folder, space, seed)
    root = folder.parent
    try:
        spec = Spec.from_json(load_result(root)["task"]["spec"])
        trained_in = find_space(root, read_request(root), spec)
        arch = Arch.from_json(read_json(folder / "arch.json"))
        network = build(trained_in, arch, seed=0)
        # It was shipped behind its preprocessing, as the second of a sequence.
        state = {n.removeprefix("1."): t for n, t in load_file(folder / _NETWORK).items() if n.startswith("1.")}
        network.load_state_dict(state)
    except (OSError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise StoreError(f"The network in {folder} cannot be begun with: {type(error).__name__}: {error}") from error
    return carry_over_network(network, arch, trained_in, space, seed)
