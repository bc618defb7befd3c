"""Image networks of a stem and stages, scaled to the input: from 8x8 digits to 224x224 photos."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from torch import nn

from archsmith.build.blocks import Classifier, ConvNormAct, InvertedBottleneck, PlainBlock, Shortcut
from archsmith.errors import SpaceError
from archsmith.space import Space, call, choice, repeat, switch
from archsmith.spaces.training import training
from archsmith.spec import Spec

__all__ = ["mobile", "strides"]

_WIDTHS = ((16, 24, 32, 48), (32, 48, 64, 96), (64, 96, 128, 192), (96, 128, 192, 256))


def mobile(spec: Spec) -> Space:
    """Return the space of staged convolutional networks, with its training settings.

    A stem, three stages (four from 56 pixels on) and a linear classifier. Each stage chooses its kind of block (a plain
    convolution, a residual pair of convolutions, an inverted bottleneck with its own kernel and expansion, or only a
    cheap change of resolution), its width, its depth and whether to squeeze and excite; all share one activation and
    one dropout rate. Plain convolutions are there for small inputs, where they are faster on a CPU than depthwise
    ones. Raises ``SpaceError`` for a spec that is not of images.
    """
    if spec.kind != "image":
        raise SpaceError("The space 'mobile' is for images, and this task is a table. Use 'mlp'.")
    stem, later = strides(min(spec.input_shape[1:]))
    first: Any = stem
    begin: Any = later[0]
    if (first, begin) == (1, 2):  # halve in the stem or in the first stage: half the time may go into the stem
        halved = choice("stem", "stage1", name="halved_in")
        first, begin = switch(halved, stem=2, stage1=1), switch(halved, stem=1, stage1=2)
    activation = choice("relu", "hardswish", "silu", name="activation")
    width: Any = choice(16, 24, 32, name="stem_width")
    parts: list[Any] = [call(ConvNormAct, spec.input_shape[0], width, 3, first, activation=activation)]
    before: Any = width
    for i, stride in enumerate((begin, *later[1:])):
        width = choice(*_WIDTHS[i], name=f"width{i + 1}")
        parts.append(_stage(i + 1, before, width, stride, activation))
        before = width
    dropout = choice(0.0, 0.1, 0.2, name="dropout")
    return Space(model=call(nn.Sequential, *parts, call(Classifier, before, spec.outputs, dropout)), **training(spec))


def strides(size: int) -> tuple[int, tuple[int, ...]]:
    """Return the stem's stride and each stage's, so that images of ``size`` pixels end at 4 to 7 pixels a side.

    The stem keeps the resolution of small images; at the resolution of the first stage most time is spent.
    """
    halvings = max(0, min(5, math.floor(math.log2(max(size, 4) / 3.5))))
    if halvings < 4:
        stem = 2 if size >= 40 else 1
        return stem, {0: (1, 1, 1), 1: (1, 2, 1), 2: (2, 2, 1), 3: (1 if stem == 2 else 2, 2, 2)}[halvings]
    return 2, (2, 2, 2, 2) if halvings == 5 else (1, 2, 2, 2)


def _stage(number: int, inputs: Any, outputs: Any, stride: Any, activation: Any) -> Any:
    """One stage: the first block changes resolution and width, the others keep both."""
    depth = choice(1, 2, 3, name=f"depth{number}")
    excite = choice(False, True, name=f"excite{number}")
    kernel = choice(3, 5, name=f"kernel{number}")
    expansion = choice(2, 4, 6, name=f"expansion{number}")

    def plain(width: Any, step: Any) -> Any:
        return call(ConvNormAct, width, outputs, 3, step, activation=activation, residual=True)

    def residual(width: Any, step: Any) -> Any:
        return call(PlainBlock, width, outputs, 3, step, activation, excite)

    def inverted(width: Any, step: Any) -> Any:
        return call(InvertedBottleneck, width, outputs, expansion, kernel, step, activation, excite)

    def stage(block: Callable[[Any, Any], Any]) -> Any:
        return call(nn.Sequential, block(inputs, stride), repeat([block(outputs, 1)] * 2, depth + -1))

    kinds = {"plain": stage(plain), "residual": stage(residual), "inverted": stage(inverted)}
    if number > 1:
        kinds["skip"] = call(Shortcut, inputs, outputs, stride)
    return choice(name=f"stage{number}", **kinds)
