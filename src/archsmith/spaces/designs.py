"""Well-known designs by people, built here in plain PyTorch and scaled to the input: what a search has to beat."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from archsmith.build.blocks import Classifier, ConvNormAct, InvertedBottleneck, PlainBlock, TableStem
from archsmith.space import Space, call
from archsmith.spaces.mobile import strides
from archsmith.spaces.training import recipe
from archsmith.spec import Spec

__all__ = ["designs"]


def designs(spec: Spec) -> Mapping[str, Space]:
    """Return the human designs for a task, by name, each as a ``Space`` with a single architecture.

    For images: ``resnet20`` (He et al. 2016, for CIFAR), ``mobilenetv2`` (Sandler et al. 2018, at half its width) and
    ``plain_cnn``, three convolutions with pooling. For tables: ``mlp``, two hidden layers. All come with the settings
    of ``recipe``.
    """
    if spec.kind == "table":
        models = {"mlp": _mlp(spec)}
    else:
        models = {"plain_cnn": _plain_cnn(spec), "resnet20": _resnet20(spec), "mobilenetv2": _mobilenetv2(spec)}
    return {name: Space(model=model, **recipe(spec)) for name, model in models.items()}


def _reduce(spec: Spec, width: int, activation: str = "relu") -> tuple[list[Any], int]:
    """Return stem convolutions that bring large images down to fewer than 48 pixels, and the size they leave."""
    channels, size = spec.input_shape[0], min(spec.input_shape[1:])
    steps: list[Any] = []
    while size >= 48:
        steps.append(call(ConvNormAct, channels, width, 3, 2, activation=activation))
        channels, size = width, (size + 1) // 2
    return steps or [call(ConvNormAct, channels, width, 3, activation=activation)], size


def _resnet20(spec: Spec) -> Any:
    parts, size = _reduce(spec, 16)
    before = 16
    for width, halved_from in ((16, 48), (32, 6), (64, 16)):  # 8x8 digits are halved once, 28x28 and more twice
        first = 2 if size >= halved_from else 1
        parts += [call(PlainBlock, before, width, 3, first), *[call(PlainBlock, width, width)] * 2]
        before = width
    return call(nn.Sequential, *parts, call(Classifier, before, spec.outputs))


def _mobilenetv2(spec: Spec) -> Any:
    stem, later = strides(min(spec.input_shape[1:]))
    steps = [s for s in later if s == 2]
    # (expansion, width, blocks, whether the resolution may be halved here), the published table at half width
    table = (
        (1, 8, 1, False), (6, 16, 2, True), (6, 16, 3, True), (6, 32, 4, True), (6, 48, 3, False), (6, 80, 3, True),
        (6, 160, 1, False),
    )  # fmt: skip
    parts: list[Any] = [call(ConvNormAct, spec.input_shape[0], 16, 3, stem)]
    before = 16
    for expansion, width, blocks, halves in table:
        first = steps.pop() if halves and steps else 1
        parts.append(call(InvertedBottleneck, before, width, expansion, 3, first))
        parts += [call(InvertedBottleneck, width, width, expansion, 3)] * (blocks - 1)
        before = width
    parts.append(call(ConvNormAct, before, 640, 1))
    return call(nn.Sequential, *parts, call(Classifier, 640, spec.outputs, 0.2))


def _plain_cnn(spec: Spec) -> Any:
    parts, size = _reduce(spec, 32)
    before = 32
    for width in (64, 128):
        if size >= 6:
            parts.append(call(nn.MaxPool2d, 2))
            size //= 2
        parts.append(call(ConvNormAct, before, width))
        before = width
    if size >= 6:
        parts.append(call(nn.MaxPool2d, 2))
    return call(nn.Sequential, *parts, call(Classifier, before, spec.outputs, 0.2))


def _mlp(spec: Spec) -> Any:
    numeric = spec.input_shape[0] - len(spec.cardinalities)
    between = [call(nn.ReLU), call(nn.Dropout, 0.1)]
    return call(
        nn.Sequential,
        call(TableStem, numeric, list(spec.cardinalities), 256),
        *between,
        call(nn.Linear, 256, 256),
        *between,
        call(nn.Linear, 256, spec.outputs),
    )
