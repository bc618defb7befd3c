"""How to train, as decisions of the same space as the network: optimiser, rates, smoothing, augmentation."""

from __future__ import annotations

from typing import Any

from archsmith.space import choice, real, switch
from archsmith.spec import Spec

__all__ = ["recipe", "training"]


def training(spec: Spec) -> dict[str, Any]:
    """Return the training settings that are left open, as roots to put beside ``model`` in a ``Space``.

    The learning rate and the weight decay have a range for each optimiser. For images whatever regularises keeps away
    from none: a search judges by short trainings, where less is better, and ends with a long one, where it is not. The
    batch size follows from the number of samples and is not searched: it decides speed first of all. Dropout is not
    here, since it is part of the network.
    """
    optimizer = choice("sgd", "adamw", name="optimizer")
    if spec.kind == "image":
        sgd, adamw = real(0.05, 0.3, log=True), real(1e-3, 1e-2, log=True)
        decays = (real(2e-4, 2e-3, log=True), real(1e-2, 0.1, log=True))
    else:
        sgd, adamw = real(0.005, 0.2, log=True), real(5e-4, 8e-3, log=True)
        decays = (real(1e-5, 2e-3, log=True), real(1e-3, 0.1, log=True))
    return {
        "optimizer": optimizer,
        "lr": switch(optimizer, sgd=sgd, adamw=adamw),
        "weight_decay": switch(optimizer, sgd=decays[0], adamw=decays[1]),
        "label_smoothing": _smoothing(spec),
        "augment": _augment(spec),
        "batch_size": _batch_size(spec),
    }


def recipe(spec: Spec) -> dict[str, Any]:
    """Return training settings that work for most networks, the ones that ``designs`` are trained with."""
    image = spec.kind == "image"
    return {
        "optimizer": "sgd" if image else "adamw",
        "lr": 0.1 if image else 1e-3,
        "weight_decay": 5e-4 if image else 0.01,
        "label_smoothing": 0.1 if image and spec.goal == "classification" else 0.0,
        "augment": "shift" if image else "none",
        "batch_size": _batch_size(spec),
    }


def _smoothing(spec: Spec) -> Any:
    if spec.goal == "regression":
        return 0.0
    return choice(*((0.05, 0.1) if spec.kind == "image" else (0.0, 0.05, 0.1)), name="label_smoothing")


def _augment(spec: Spec) -> Any:
    if spec.kind == "table":
        return "none"
    if spec.input_shape[-1] < 16:  # in pictures this small a flip or a hole changes what is seen
        return "shift"
    return choice("shift", "shift_flip", "shift_flip_cutout", name="augment")


def _batch_size(spec: Spec) -> int:
    sizes = ((1_000, 32), (8_000, 64)) if spec.kind == "image" else ((2_000, 32), (10_000, 128))
    return next((size for below, size in sizes if spec.samples < below), 128 if spec.kind == "image" else 256)
