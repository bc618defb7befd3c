"""Taking over a bank: as it is, or as the beginning of one for another search, another space or other data."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

from torch import Tensor, nn

from archsmith.build.bank import Bank
from archsmith.build.slices import Rule
from archsmith.errors import SpaceError
from archsmith.space import Arch, Space

__all__ = ["carry_over", "carry_over_network", "load_whole"]

_NAMED = 5  # tensors that an error lists


def carry_over(
    folder: str | Path, space: Space, seed: int = 0, rules: Mapping[type, Rule] | None = None
) -> tuple[Bank, list[str]]:
    """Return a bank of ``space`` that begins with the weights of the bank in the folder, and what it could not take.

    What both have, under the same path of the expression, is taken: where the sizes differ, such as the outputs of
    another data set, the part that both have. The rest begins anew from ``seed``. ``rules`` are those of both banks.
    Raises ``StoreError`` for a folder without a usable bank, and ``SpaceError`` where kernels have no common middle.
    """
    bank = Bank.load(folder, space, rules)
    fresh = Bank(space, seed, rules, kernel_transforms=bank.kernel_transforms)
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
    network: nn.Module,
    arch: Arch,
    trained_in: Space,
    space: Space,
    seed: int = 0,
    rules: Mapping[type, Rule] | None = None,
) -> tuple[Bank, list[str]]:
    """Return a bank of ``space`` that begins with a trained network, and what it could not take; see ``carry_over``.

    ``network`` is that of ``arch`` in the space ``trained_in``.
    """
    old = Bank(trained_in, seed, rules, survey=False)
    lost = old.absorb(arch, network)
    with TemporaryDirectory() as folder:
        old.save(Path(folder))
        bank, left = carry_over(folder, space, seed, rules)
    return bank, [*(f"{name}: the architecture has no place for it" for name in lost), *left]


def load_whole(folder: str | Path, space: Space, rules: Mapping[type, Rule] | None = None) -> Bank:
    """Return the bank in the folder with room for the whole space, nothing of which begins anew.

    For measuring on it: a score on weights that were never trained says nothing. Raises ``StoreError`` for a folder
    without a usable bank, and ``SpaceError`` for a bank that lacks what the space needs, or cannot serve it.
    """
    bank = Bank.load(folder, space, rules)
    before = _shapes(bank)
    bank.survey()
    lacking = [key for key, shape in _shapes(bank).items() if before.get(key) != shape]
    if lacking:
        needed = len(bank.met().union(lacking))
        held = f"only {needed - len(lacking)}" if needed > len(lacking) else "none"
        more = f" and {len(lacking) - _NAMED} more" if len(lacking) > _NAMED else ""
        raise SpaceError(
            f"The bank in {folder} holds {held} of the {needed} tensors that networks of this space need, and lacks, "
            f"in whole or in part, {', '.join(map(_readable, lacking[:_NAMED]))}{more}. Scores on weights that were "
            "never trained say nothing. Name the folder of a bank of this space, or begin one with what is there: "
            f"carry_over({str(folder)!r}, space), then train_bank, and save it."
        )
    return bank


def _shapes(bank: Bank) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor of the bank by its key; none of buffers of which nothing is kept."""
    kept = chain(bank.shared.items(), bank.statistics.named_buffers())
    return {key: tuple(tensor.shape) for key, tensor in kept}


def _readable(key: str) -> str:
    return key.replace("\u00b7", ".").rsplit(":", 1)[0]


def _why(value: Tensor | None, other: tuple[int, ...] | None) -> str:
    if other is None or value is None:
        return "this space has nothing there"
    return f"{list(value.shape)} there, {list(other)} here"
