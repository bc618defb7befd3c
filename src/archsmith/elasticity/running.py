"""Whether the smaller networks of a space run, and which decisions are to blame where one does not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from archsmith.build import build
from archsmith.errors import SpaceError
from archsmith.space import Answer, Arch, Space, largest, sample, smallest, walk

__all__ = ["shapes_in", "tensors_in", "unable"]


def unable(space: Space, x: Tensor, seed: int, unwritten: Sequence[str]) -> dict[str, str]:
    """Return the decisions that must not be free, with the reason, by building and running smaller networks.

    Empty where all that were tried run. ``unwritten`` are the attributes of the network that the space does not hold.
    """
    full = largest(space)
    if reason := _failure(space, full, x, None):
        raise SpaceError(f"The network cannot be made again from its parts: {reason}. {_remedy(unwritten)}")
    with torch.no_grad():
        shapes = shapes_in(build(space, full, seed=0).eval()(x))
    if not shapes:
        raise SpaceError("The network returns no tensor; return what it computes from its forward.")
    for arch in {arch.id: arch for arch in _tried(space, seed) if arch != full}.values():
        if _failure(space, arch, x, shapes):
            return _alone(space, x, shapes) or _together(space, arch, x, shapes)
    return {}


def _remedy(unwritten: Sequence[str]) -> str:
    if not unwritten:
        return "Name the class of the module in which it happens in leaves=..., with how it is made."
    return (
        "Attributes that are neither modules, tensors nor plain values were left out: "
        f"{', '.join(unwritten)}. Name the class that needs one in leaves=..., with how it is made."
    )


def tensors_in(output: Any) -> dict[str, Tensor]:
    """Return the tensors in what a network returns, by where they stand in it: "" for one that stands alone."""
    if isinstance(output, Tensor):
        return {"": output}
    if output is None:
        return {}
    if isinstance(output, Mapping):
        items = [(str(key), value) for key, value in output.items()]
    elif isinstance(output, tuple | list):
        items = [(str(i), value) for i, value in enumerate(output)]
    else:
        raise SpaceError(
            f"The network returns a {type(output).__name__}, {output!r:.60}; it must return a tensor, or tuples, lists "
            "and dicts of tensors. Wrap it in a module whose forward returns the tensors alone."
        )
    return {f"[{key}]{inner}": tensor for key, value in items for inner, tensor in tensors_in(value).items()}


def shapes_in(output: Any) -> dict[str, list[int]]:
    """Return the shapes of those tensors."""
    return {place: list(tensor.shape) for place, tensor in tensors_in(output).items()}


def _failure(space: Space, arch: Arch, x: Tensor, shapes: Mapping[str, list[int]] | None) -> str:
    """Return why the network of an architecture does not run on the example, or gives another shape; else ''."""
    try:
        with torch.no_grad():
            output = build(space, arch, seed=0).eval()(x)
    except Exception as error:
        return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
    if shapes is None or (found := shapes_in(output)) == shapes:
        return ""
    if found.keys() != shapes.keys():
        return "the output would hold other tensors"
    return "; ".join(f"the output{at} would be of shape {shape}" for at, shape in found.items() if shape != shapes[at])


# Which networks are tried. In the smallest one, blocks are left out and what is in them never runs, so that is tried
# with all blocks there. And sizes that must agree, though nothing but the code says so, do agree where all are at
# their least; so any two of them are also tried apart. To try every change alone would take far more networks.


def _tried(space: Space, seed: int) -> Iterator[Arch]:
    """Yield a few architectures in which every option is taken with all blocks there, and any two numbers differ."""
    full = largest(space)
    numbers = [d for key, d in space.decisions.items() if not _is_depth(key)]
    depths = [d for key, d in space.decisions.items() if _is_depth(key)]
    for kind in (numbers, depths):
        for level in range(max((len(d.options) - 1 for d in kind), default=0)):
            yield _changed(space, full, {d.key: d.options[min(level, len(d.options) - 1)] for d in kind})
    # Numbered in binary, any two decisions differ in a digit: where that digit is told, one is least and one is full.
    for digit in range((len(numbers) - 1).bit_length() if numbers else 0):
        for told in (1, 0):
            least = {d.key: d.options[0] for i, d in enumerate(numbers) if i >> digit & 1 == told}
            yield _changed(space, full, least)
    yield smallest(space)
    rng = np.random.default_rng(seed)
    yield from (sample(space, rng) for _ in range(2))


def _is_depth(key: str) -> bool:
    return key.endswith(".depth")


def _changed(space: Space, arch: Arch, changes: Mapping[str, Answer]) -> Arch:
    """Return an architecture with other answers; what only then is asked is at its largest."""
    answers = {**largest(space), **arch, **changes}
    return walk(space, lambda decision: answers[decision.key])


def _alone(space: Space, x: Tensor, shapes: Mapping[str, list[int]]) -> dict[str, str]:
    """Return the decisions of which a change of nothing else breaks the network."""
    full = largest(space)
    found: dict[str, str] = {}
    for key, decision in space.decisions.items():
        for option in decision.options:
            if option != full[key] and (reason := _failure(space, _changed(space, full, {key: option}), x, shapes)):
                found[_name(key)] = f"with {option} the network does not run ({reason})"
                break
    return found


def _together(space: Space, arch: Arch, x: Tensor, shapes: Mapping[str, list[int]]) -> dict[str, str]:
    """Return one of the fewest decisions that break the network together, by undoing all others.

    To fix one of them is enough, since the others without it break nothing.
    """
    full, reason = largest(space), ""
    for key in full:
        undone = _changed(space, arch, {key: full[key]})
        if undone != arch and (still := _failure(space, undone, x, shapes)):
            arch, reason = undone, still
    reason = reason or _failure(space, arch, x, shapes)
    changed = [key for key, answer in arch.items() if answer != full[key]]
    if not changed:
        raise SpaceError(f"The network runs only at times: {reason}.")  # pragma: no cover
    *others, last = changed
    where = " and ".join(f"{key} is {arch[key]}" for key in others)
    return {_name(last): f"with {arch[last]} the network does not run where {where} ({reason})"}


def _name(key: str) -> str:
    """Return the name by which a decision is fixed: a width by its own."""
    return key.removesuffix(".width")
