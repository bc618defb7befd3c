"""The reading that builds: the standalone ``nn.Module`` of an architecture, in which no class of ours is left."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from archsmith.errors import SpaceError, nearest
from archsmith.space import Arch, Call, Mix, Picker, Program, Space, evaluate

__all__ = ["Construct", "build", "build_with_paths", "called", "seeded"]

Construct = Callable[[Callable[..., Any], str, list[Any], dict[str, Any]], Any]
"""How a call is made: from its target, its path and its computed arguments to what stands for the result."""


@contextmanager
def seeded(seed: int | None) -> Iterator[None]:
    """Give the layers made inside their initial weights from ``seed``, and leave torch's own generator as it was.

    Layers of torch draw from torch's global generator and take no other; this is the one place that seeds it. None
    changes nothing. Only the CPU's generator is seeded: build there, then move.
    """
    if seed is None:
        yield
        return
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def build(space: Space, arch: Arch, seed: int | None = None) -> nn.Module:
    """Return the network of ``arch``: the value of the root ``model``, initialised from ``seed``.

    Raises ``SpaceError`` when something the space calls raises, with the path in the expression and the arguments.
    """
    return build_with_paths(space, arch, seed)[0]


def build_with_paths(
    space: Space,
    arch: Arch,
    seed: int | None = None,
    mixed: Mapping[str, Mix] = MappingProxyType({}),
    construct: Construct | None = None,
) -> tuple[nn.Module, dict[str, str]]:
    """Return the network, and the path in the expression of every module that a call of the space made.

    The keys are module names as in ``named_modules``; the values are paths like ``model/2/body/mbconv/0``, the same
    for every architecture in which that use is active. Modules that a block makes for itself are not listed: they
    belong to the nearest listed name above them. ``mixed`` says what to make of choices that are left open; see
    ``evaluate``. ``construct`` is another way of making a call than running it.
    """
    if "model" not in space.roots:
        raise SpaceError(f"The space has no root 'model' to build. {nearest('model', space.roots)}")
    made: dict[int, tuple[str, Any]] = {}  # keeps what was made alive, so that no id is used twice

    def note(value: Any, path: str) -> Any:
        made.setdefault(id(value), (path, value))
        return value

    def make(call: Call, path: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        return note((construct or called)(call.target, path, args, kwargs), path)

    def run(node: Program, path: str, picker: Picker) -> Any:
        return note(called(node.function, path, [picker], {}), path)

    with seeded(seed):
        network = evaluate(space, arch, make, ["model"], run, mixed)["model"]
    if not isinstance(network, nn.Module):
        raise SpaceError(f"The root 'model' must be a torch module; it is {_short(network)}.")
    named = network.named_modules()
    return network, {name: made[id(module)][0] for name, module in named if id(module) in made}


def called(target: Callable[..., Any], path: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """Return what the target makes of its arguments. Raises ``SpaceError`` with the path where it cannot."""
    try:
        return target(*args, **kwargs)
    except SpaceError:
        raise
    except Exception as error:
        name = getattr(target, "__qualname__", repr(target))
        given = ", ".join([*map(_short, args), *(f"{k}={_short(v)}" for k, v in kwargs.items())])
        raise SpaceError(
            f"{name}({given}) at {path} failed: {type(error).__name__}: {error}. Every option of the space must be "
            "able to be built; mend the call, or rule the combination out with Space(valid=...)."
        ) from error


def _short(value: Any) -> str:
    if isinstance(value, nn.Module):
        return f"<{type(value).__name__}>"
    if isinstance(value, Picker):
        return "pick"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
