"""Beginning a bank with the weights of another one: of an earlier search, of another space or of other data."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from torch import Tensor, nn

from archsmith.build.bank import Bank
from archsmith.space import Arch, Space

__all__ = ["carry_over", "carry_over_network"]


def carry_over(folder: Path, space: Space, seed: int = 0) -> tuple[Bank, list[str]]:
    """Return a bank of ``space`` that begins with the weights of the bank in the folder, and what it could not take.

    What both have, under the same path of the expression, is taken: where the sizes differ, such as the outputs of
    another data set, the part that both have. The rest begins anew from ``seed``. Raises ``StoreError`` for a folder
    without a usable bank, and ``SpaceError`` where kernels have no common middle.
    """
    bank = Bank.load(folder, space)
    fresh = Bank(space, seed, kernel_transforms=bank.kernel_transforms)
    bank.seed = seed
    wanted = fresh.sizes()
    left: list[str] = []
    for room in (bank.shared, bank.statistics._buffers):
        for key, value in list(room.items()):
            other = wanted.get(key)
            if other is None or value is None or len(other) != value.ndim:
                left.append(f"{_readable(key)}: {_why(value, other)}")
                del room[key]
            elif other != tuple(value.shape):
                left.append(f"{_readable(key)}: only in part, {_why(value, other)}")
    bank.survey()
    return bank, left


def carry_over_network(
    network: nn.Module, arch: Arch, trained_in: Space, space: Space, seed: int = 0
) -> tuple[Bank, list[str]]:
    """Return a bank of ``space`` that begins with a trained network, and what it could not take; see ``carry_over``.

    ``network`` is that of ``arch`` in the space ``trained_in``.
    """
    old = Bank(trained_in, seed, survey=False)
    lost = old.absorb(arch, network)
    with TemporaryDirectory() as folder:
        old.save(Path(folder))
        bank, left = carry_over(Path(folder), space, seed)
    return bank, [*(f"{name}: the architecture has no place for it" for name in lost), *left]


def _readable(key: str) -> str:
    return key.replace("\u00b7", ".").rsplit(":", 1)[0]


def _why(value: Tensor | None, other: tuple[int, ...] | None) -> str:
    if other is None or value is None:
        return "this space has nothing there"
    return f"{list(value.shape)} there, {list(other)} here"
