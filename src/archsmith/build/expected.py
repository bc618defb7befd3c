"""What a relaxed network costs on average, differentiable through the gates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from archsmith.build.cost import module_macs
from archsmith.build.latency_table import LatencyTable
from archsmith.build.module import build_with_paths
from archsmith.build.relax import Gates, Member, Mixed, opened
from archsmith.errors import SpaceError, nearest
from archsmith.space import Answer, Space

__all__ = ["ExpectedCost", "expected_cost"]


@dataclass(frozen=True)
class ExpectedCost:
    """A cost that adds up over modules: what every network pays, and what each mixed choice adds.

    ``choices`` holds one entry for each use of a relaxed decision: its key, and the cost of each option.
    """

    own: float
    choices: tuple[tuple[str, tuple[ExpectedCost, ...]], ...]

    def __call__(self, weights: Mapping[str, Tensor]) -> Tensor | float:
        """Return the cost under the gates' weights: that of the standalone network where they are one-hot."""
        total: Tensor | float = self.own
        for key, options in self.choices:
            for weight, option in zip(weights[key], options, strict=True):
                total = total + weight * option(weights)
        return total


def expected_cost(
    space: Space,
    gates: Gates,
    input_shape: Sequence[int],
    metric: str | Callable[[nn.Module], Mapping[nn.Module, float]] = "macs",
    base: Mapping[str, Answer] | None = None,
) -> ExpectedCost:
    """Return the cost of the relaxed network (see ``relax``) as a function of its gates' weights.

    ``metric`` is "params", "macs", "latency_ms" (layers measured on this machine; keep a ``LatencyTable`` and give that
    to measure each but once), or a function from the network, made without data, to what each of its modules costs with
    everything in it and all options of a choice added up.
    Law: under one-hot weights it is the cost of the standalone network. Raises ``SpaceError`` for another metric, and
    where the options of a choice differ in the shape of their results.
    """
    every = Gates(gates.decisions.values(), lambda logits, *_: torch.ones_like(logits))
    every.draw()
    arch, mixed = opened(space, every, base)
    with torch.device("meta"):
        network, _ = build_with_paths(space, arch, None, mixed)
    with torch.no_grad():
        if metric == "latency_ms":
            metric = LatencyTable(input_shape)
        if not isinstance(metric, str):
            return _expected(network, metric(network))
        if metric == "macs":
            return _expected(network, module_macs(network.eval(), input_shape))
    if metric == "params":
        return _expected(network, {m: sum(p.numel() for p in m.parameters()) for m in network.modules()})
    raise SpaceError(f"There is no expected {metric!r}. {nearest(metric, ('params', 'macs', 'latency_ms'))}")


def _expected(network: nn.Module, inclusive: Mapping[nn.Module, float]) -> ExpectedCost:
    mixtures = _outermost(network)
    choices = tuple((mixed.key, _options(mixed, inclusive)) for mixed in mixtures)
    return ExpectedCost(inclusive[network] - sum(inclusive[mixed] for mixed in mixtures), choices)


def _options(mixed: Mixed | Member, inclusive: Mapping[nn.Module, float]) -> tuple[ExpectedCost, ...]:
    if isinstance(mixed, Mixed):
        return tuple(_expected(option, inclusive) for option in mixed.options)
    own, count = _expected(mixed.module, inclusive), len(mixed.gates.decisions[mixed.key].options)
    return tuple(own if place in mixed.places else ExpectedCost(0.0, ()) for place in range(count))


def _outermost(network: nn.Module) -> list[Mixed | Member]:
    """Return the mixed choices in a module that are in no other one."""
    if isinstance(network, Mixed | Member):
        return [network]
    return [mixed for child in network.children() for mixed in _outermost(child)]
