"""The state of a differentiable search, kept after its epochs, so that one that was killed goes on."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from archsmith.build.bank import Bank
from archsmith.build.relax import Gating
from archsmith.errors import StoreError
from archsmith.estimate.checkpoint import load_checkpoint, optimizer_tensors, restore_optimizer, save_checkpoint
from archsmith.estimate.rng import restore_rng, rng_tensors

__all__ = ["GATES", "GateState"]

GATES = "last.safetensors"


@dataclass
class GateState:
    """What a differentiable search carries from epoch to epoch.

    ``generators`` draw the batches' augmentation and what a guard looks at. ``epoch`` counts finished ones, ``step``
    the steps of the one under way, and ``loss`` adds up their losses. ``progress`` is the share of the way that has
    passed, ``seconds`` the time of all calls, and ``kept`` holds the gates after each epoch.
    """

    bank: Bank
    gates: Gating
    optimizers: tuple[torch.optim.Optimizer, torch.optim.Optimizer]
    generators: tuple[torch.Generator, torch.Generator]
    device: str
    epoch: int = 0
    step: int = 0
    loss: Tensor = field(default_factory=lambda: torch.zeros(()))
    progress: float = 0.0
    seconds: float = 0.0
    curve: list[dict[str, float]] = field(default_factory=list)
    kept: list[list[Tensor]] = field(default_factory=list)

    def save(self, folder: Path) -> None:
        """Write the state into the folder, in place of an earlier one. Raises ``StoreError`` if it cannot be."""
        weights, gates = self.optimizers
        tensors = {f"bank/{name}": value for name, value in self.bank.state_dict().items()}
        tensors |= {f"gates/{i}": value.detach() for i, value in enumerate(self.gates.parameters())}
        tensors |= {f"kept/{e}/{i}": value for e, row in enumerate(self.kept) for i, value in enumerate(row)}
        tensors |= optimizer_tensors(weights, dict(self.bank.named_parameters()))
        tensors |= {f"gate-{name}": value for name, value in optimizer_tensors(gates, self._numbered).items()}
        tensors |= {f"generator/{i}": generator.get_state() for i, generator in enumerate(self._drawing)}
        tensors |= rng_tensors(self.device) | {"loss": self.loss}
        counted = {"epoch": self.epoch, "step": self.step, "progress": self.progress, "seconds": self.seconds}
        save_checkpoint(folder / GATES, tensors, {**counted, "curve": self.curve})

    @property
    def _numbered(self) -> dict[str, Tensor]:
        return {str(i): parameter for i, parameter in enumerate(self.gates.parameters())}

    @property
    def _drawing(self) -> list[torch.Generator]:
        own = getattr(self.gates, "generator", None)  # gates that draw nothing have none
        return [*self.generators, *([own] if isinstance(own, torch.Generator) else [])]

    def restore(self, folder: Path) -> bool:
        """Become the state in the folder; return whether there was one that is usable."""
        try:
            tensors, scalars = load_checkpoint(folder / GATES)
            known = {name: tensors[f"gates/{name}"].shape for name in self._numbered if f"gates/{name}" in tensors}
            if known != {name: parameter.shape for name, parameter in self._numbered.items()}:
                return False  # of other gates
            self.bank.load_state_dict({n.removeprefix("bank/"): t for n, t in tensors.items() if n.startswith("bank/")})
        except (StoreError, RuntimeError):
            return False
        weights, gates = self.optimizers
        for i, parameter in enumerate(self.gates.parameters()):
            parameter.data.copy_(tensors[f"gates/{i}"])
        restore_optimizer(weights, dict(self.bank.named_parameters()), tensors)
        moved = {n.removeprefix("gate-"): t for n, t in tensors.items() if n.startswith("gate-")}
        restore_optimizer(gates, self._numbered, moved)
        for i, generator in enumerate(self._drawing):
            generator.set_state(tensors[f"generator/{i}"])
        restore_rng(self.device, tensors)
        self.epoch, self.step, self.progress = int(scalars["epoch"]), int(scalars["step"]), float(scalars["progress"])
        self.loss = tensors["loss"].to(self.device)
        self.seconds, self.curve = float(scalars["seconds"]), [dict(row) for row in scalars["curve"]]
        count = len(self.gates.parameters())
        self.kept = [[tensors[f"kept/{e}/{i}"].to(self.device) for i in range(count)] for e in range(len(self.curve))]
        return True
