"""How a network is trained: frozen values, checked when they are made."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from archsmith.errors import UsageError, nearest

__all__ = ["AUGMENTATIONS", "OPTIMIZERS", "Settings"]

OPTIMIZERS = ("sgd", "adamw")
AUGMENTATIONS = ("shift", "flip", "cutout")


@dataclass(frozen=True)
class Settings:
    """The training recipe of one network; every field has a default that works.

    ``lr`` and ``weight_decay``: None means the optimiser's usual value at batches of 128. ``warmup`` is in steps.
    ``augment`` is ``"none"`` or names joined by underscores, such as ``"shift_flip_cutout"``; only images are
    augmented. ``mixup`` is the largest share of another sample that is blended in (Zhang et al., 2018), 0 for none.
    ``clip`` bounds the gradient norm, 0 for no bound. ``ema`` is the decay per step of an average of the weights that
    is evaluated and returned in their place, 0 for none. ``dropout`` overrides the rate of every dropout layer of the
    network, None leaves them. Raises ``UsageError`` for a value that cannot be.
    """

    optimizer: str = "sgd"
    lr: float | None = None
    weight_decay: float | None = None
    momentum: float = 0.9
    batch_size: int = 128
    label_smoothing: float = 0.1
    augment: str = "shift"
    mixup: float = 0.0
    dropout: float | None = None
    warmup: int = 100
    clip: float = 2.0
    ema: float = 0.0

    def __post_init__(self) -> None:
        if self.optimizer not in OPTIMIZERS:
            raise UsageError(f"optimizer is {self.optimizer!r}. {nearest(self.optimizer, OPTIMIZERS)}")
        for part in self.augmentations:
            if part not in AUGMENTATIONS:
                allowed = ", ".join(AUGMENTATIONS)
                raise UsageError(
                    f"augment is {self.augment!r}, and {part!r} is no augmentation. {nearest(part, AUGMENTATIONS)} "
                    f"Write 'none', or any of {allowed} joined by underscores."
                )
        for name, low, high in _RANGES:
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and low <= value <= high):
                raise UsageError(f"{name} is {value!r}, but must lie between {low:g} and {high:g}.")
        if self.lr == 0.0:
            raise UsageError("lr is 0, but must be positive: nothing would be learned.")

    @property
    def augmentations(self) -> tuple[str, ...]:
        """The names of the augmentations, in the order they were written."""
        return () if self.augment == "none" else tuple(self.augment.split("_"))

    @property
    def peak_lr(self) -> float:
        """The learning rate after the warm-up."""
        if self.lr is not None:
            return self.lr
        return 0.1 if self.optimizer == "sgd" else 3e-3

    @property
    def decay(self) -> float:
        """The weight decay in the convention of the optimiser: added to the gradient for SGD, decoupled for AdamW."""
        if self.weight_decay is not None:
            return self.weight_decay
        return 5e-4 if self.optimizer == "sgd" else 0.05

    def scaled(self, batch_scale: float) -> Settings:
        """Return the settings for batches of another size, with the learning rate that goes with it.

        It follows the size for SGD (Goyal et al., 2017) and its root for AdamW (Malladi et al., 2022).
        """
        if batch_scale == 1.0:
            return self
        size = max(1, int(self.batch_size * batch_scale))
        share = size / self.batch_size
        lr = self.peak_lr * (share if self.optimizer == "sgd" else math.sqrt(share))
        return replace(self, batch_size=size, lr=lr)

    def to_json(self) -> dict[str, Any]:
        """Return the settings as JSON-ready data."""
        return asdict(self)

    @staticmethod
    def from_values(values: Mapping[str, Any]) -> Settings:
        """Return settings from plain values by name, the rest being defaults.

        Raises ``UsageError``, with the nearest name, for a name that is no setting, and for a value of the wrong type.
        """
        types = {f.name: str(f.type) for f in fields(Settings)}
        checked: dict[str, Any] = {}
        for name, value in values.items():
            if name not in types:
                raise UsageError(f"There is no training setting called {name!r}. {nearest(name, types)}")
            checked[name] = _convert(name, value, types[name])
        return Settings(**checked)


_RANGES: tuple[tuple[str, float, float], ...] = (
    ("lr", 0.0, 1e6),
    ("weight_decay", 0.0, 10.0),
    ("momentum", 0.0, 0.9999),
    ("batch_size", 1, 1 << 20),
    ("label_smoothing", 0.0, 0.99),
    ("mixup", 0.0, 0.5),
    ("dropout", 0.0, 0.99),
    ("warmup", 0.0, 1e6),
    ("clip", 0.0, 1e9),
    ("ema", 0.0, 0.99999),
)


def _convert(name: str, value: Any, kind: str) -> Any:
    if value is None and "None" in kind:
        return None
    if kind == "str" and isinstance(value, str):
        return value
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind == "int" and number and float(value).is_integer():
        return int(value)
    if kind.startswith("float") and number:
        return float(value)
    raise UsageError(f"The training setting {name!r} must be {kind.replace(' | None', ' or None')}, not {value!r}.")
