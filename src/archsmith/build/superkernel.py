"""Superkernels: numbers chosen by thresholds on the weights that only the larger ones have.

One network with the largest layers is all there is (Single-Path NAS, Stamoulis et al., 2019). A 5x5 kernel is its 3x3
centre and a ring; the ring is used where its weights are above a threshold that is learned. In the same way the outer
channels of a width are used, or not. What is left is what the bank lends for those answers.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call

from archsmith.build.bank import Bank, Lent
from archsmith.build.places import Place
from archsmith.errors import SpaceError
from archsmith.space import Answer, Arch, Decision, largest

__all__ = ["Superkernel", "Thresholds", "superkernel"]


class Thresholds:
    """The thresholds of decisions over numbers, such as kernels and widths; they stand where ``Gates`` do.

    Every step from one option to the next larger has a threshold, 0 at first, and is taken where the mean square of
    the weights that it adds is above it; steps above one that is not taken are not. The gradient is that of a sigmoid.
    ``weights`` are one-hot over a decision's options, smallest first, differentiable by thresholds and weights.

    Raises ``SpaceError`` for a decision that does not only change sizes: the depth of a network, or its modules. And
    where it changes over how many channels a layer norm, or a group of a group norm, takes its mean: zeros count there.
    """

    def __init__(self, bank: Bank, decisions: Collection[Decision], base: Mapping[str, Answer] | None = None) -> None:
        if bank.kernel_transforms:
            raise SpaceError(
                "Superkernels are for a bank without kernel transforms: there a part is no smaller kernel."
            )
        self.bank = bank
        self.decisions = {decision.key: decision for decision in decisions}
        self.options = {key: _sizes(decision) for key, decision in self.decisions.items()}
        most = {key: options[-1] for key, options in self.options.items()}
        self.arch = Arch({**largest(bank.space), **(base or {}), **most})
        self.network = bank.lend(self.arch)
        self.levels = {key: self._levels(key) for key in self.decisions}
        self.thresholds = {
            key: nn.Parameter(torch.zeros(len(options) - 1, device=bank.device))
            for key, options in self.options.items()
        }
        self.on: dict[str, Tensor] = {}
        self.weights: dict[str, Tensor] = {}

    def parameters(self) -> list[nn.Parameter]:
        """Return the thresholds, in the order of the decisions."""
        return list(self.thresholds.values())

    def draw(self, progress: float = 0.0) -> None:
        """Compare the weights as they are with the thresholds; nothing is random here."""
        for key, thresholds in self.thresholds.items():
            soft = (self._norms(key) - thresholds).sigmoid()
            steps = (soft > 0.5).to(soft) + (soft - soft.detach())
            self._set(key, torch.cat([steps.new_ones(1), steps.cumprod(0)]))

    def fix(self, arch: Mapping[str, Answer]) -> None:
        """Take the steps up to an architecture's answers, and no more."""
        for key, options in self.options.items():
            taken = 1 + [repr(option) for option in options].index(repr(arch[key]))
            self._set(key, (torch.arange(len(options), device=self.bank.device) < taken).float())

    def derive(self) -> dict[str, Answer]:
        """Return the largest answer of each decision whose steps are all taken."""
        self.draw()
        return {key: self.options[key][int(weights.argmax())] for key, weights in self.weights.items()}

    @torch.no_grad()
    def shares(self) -> dict[str, tuple[float, ...]]:
        """Return the weights that ``draw`` set last."""
        return {key: tuple(weights.tolist()) for key, weights in self.weights.items()}

    @torch.no_grad()
    def entropy(self) -> float:
        """Return how undecided the steps are: the mean entropy of their sigmoids, from 0 to 1."""
        shares = torch.cat([(self._norms(key) - t).sigmoid() for key, t in self.thresholds.items()])
        both = torch.special.entr(shares) + torch.special.entr(1 - shares)
        return float(both.mean() / torch.tensor(2.0).log())

    def mask(self, place: Place) -> Tensor | None:
        """Return what a place's tensor is multiplied by, or None where nothing of it is ever left out."""
        found: Tensor | None = None
        for key, levels in self.levels.items():
            if place.key in levels:
                part = self.on[key][levels[place.key]]
                found = part if found is None else found * part
        return found

    def _set(self, key: str, on: Tensor) -> None:
        self.on[key] = on
        self.weights[key] = on - torch.cat([on[1:], on.new_zeros(1)])

    def _levels(self, key: str) -> dict[str, Tensor]:
        """Return, for each tensor that depends on the decision, the smallest option that has each of its numbers."""
        whole = {place.key: place for place in self.network.borrowed}
        found: dict[str, Tensor] = {}
        for option in reversed(range(len(self.options[key]))):
            arch = Arch({**self.arch, key: self.options[key][option]})
            lent = self.bank.lend(arch)
            parts = {place.key: place for place in lent.borrowed}
            if parts.keys() != whole.keys():
                raise SpaceError(
                    f"The decision {key!r} has no superkernel: it does not only change how large layers are. Search it "
                    "with a strategy, or relax it if it chooses between modules."
                )
            self._require_kept_zeros(key, lent)
            for name, place in whole.items():
                if parts[name].layout.sizes != place.layout.sizes:
                    levels = found.setdefault(
                        name, torch.full(place.layout.sizes, len(self.options[key]) - 1, device=self.bank.device)
                    )
                    parts[name].region(levels).fill_(option)
        if not found:
            raise SpaceError(f"The decision {key!r} changes no weight of the largest network: it has no superkernel.")
        return {name: levels.reshape(whole[name].tensor.shape) for name, levels in found.items()}

    def _require_kept_zeros(self, key: str, lent: Lent) -> None:
        """Raise ``SpaceError`` for a norm that takes its mean over channels which a smaller network does not have."""
        others = dict(lent.network.named_modules())
        paths = {id(owner): place.path for place in self.network.borrowed for owner, _ in place.owners}
        for name, module in self.network.network.named_modules():
            if name in others and _normalised(module) != _normalised(others[name]):
                raise SpaceError(
                    f"The decision {key!r} has no superkernel: {module} at {paths.get(id(module), name)} takes its "
                    "mean over all channels together, also those that are set to zero, so it would not compute what "
                    "the smaller network does. Use a batch norm or an instance norm there, which take each channel on "
                    "its own, or a group norm whose groups keep their size; or search the decision with a strategy."
                )

    def _norms(self, key: str) -> Tensor:
        """Return the mean square of the weights that each step adds, in all layers together ``[options - 1]``."""
        count = len(self.options[key])
        squares = torch.zeros(count, device=self.bank.device)
        numbers = torch.zeros(count, device=self.bank.device)
        for place, shared in self.network.borrowed.items():
            if place.key in self.levels[key] and place.tensor.ndim > 1:
                levels = self.levels[key][place.key].flatten()
                squares = squares.index_add(0, levels, place.cut(shared).flatten().square())
                numbers = numbers.index_add(0, levels, torch.ones_like(levels, dtype=squares.dtype))
        return (squares / numbers.clamp_min(1))[1:]


class Superkernel(nn.Module):
    """The largest network with what the thresholds leave out set to zero."""

    def __init__(self, network: Lent, thresholds: Thresholds) -> None:
        super().__init__()
        self.lent, self.thresholds = network, thresholds

    def forward(self, x: Tensor) -> Tensor:
        """Return what the network computes."""
        tensors: dict[str, Tensor] = {}
        for place, shared in self.lent.borrowed.items():
            mask = self.thresholds.mask(place)
            value = place.cut(shared)
            tensors[place.names[0]] = value if mask is None else value * mask
        out: Tensor = functional_call(self.lent.network, tensors, (x,))
        return out


def superkernel(bank: Bank, thresholds: Thresholds, base: Mapping[str, Answer] | None = None) -> Superkernel:
    """Return the network of the thresholds, for ``search_gates(..., reading=superkernel)``.

    Law: with the thresholds fixed to an architecture it computes what that architecture's lent network does, but for
    rounding, where layers keep zeros: convolutions, batch norms, linear layers and activations that are 0 at 0.
    """
    return Superkernel(bank.lend(thresholds.arch), thresholds)


def _normalised(module: nn.Module) -> tuple[int, ...] | None:
    """Return the sizes that a norm takes its mean over, but for those of the input alone; None for other modules."""
    if isinstance(module, nn.GroupNorm):
        return (module.num_channels // module.num_groups,)
    return tuple(module.normalized_shape) if isinstance(module, nn.LayerNorm | nn.RMSNorm) else None


def _sizes(decision: Decision) -> list[int]:
    options = list(decision.answers()) if decision.kind in ("choice", "integer") else []
    if len(options) < 2 or not all(isinstance(o, int) and not isinstance(o, bool) for o in options):
        raise SpaceError(f"The decision {decision.key!r} does not choose between whole numbers: it has no superkernel.")
    return sorted(options)  # type: ignore[arg-type]
