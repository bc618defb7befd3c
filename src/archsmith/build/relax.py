"""The reading that mixes: every choice of modules becomes a weighted sum of its options, with weights from one gates
object. Parameters are the bank's, under the same paths.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from archsmith.build.bank import Bank, Lent
from archsmith.build.module import build_with_paths
from archsmith.errors import SpaceError, nearest
from archsmith.space import Answer, Arch, Call, Choice, Decision, Mix, Space, Switch
from archsmith.space.cover import ends
from archsmith.space.nodes import children

__all__ = [
    "Gates",
    "Gating",
    "MakeMixed",
    "Member",
    "Mixed",
    "Relaxation",
    "opened",
    "relax",
    "relaxable",
    "require_mixable",
]

Relaxation = Callable[[Tensor, torch.Generator, float], Tensor | tuple[Tensor, Tensor]]
"""A differentiable method: from one decision's logits ``[options]`` to the options' weights, by a generator.

The third argument is how much of the search has passed, from 0 to 1, for what is annealed. Options whose weight is
exactly zero are not run, unless the method also returns which ones are. See ``relaxations`` for those of the
literature.
"""


class Gating(Protocol):
    """What a differentiable search changes: ``Gates``, and whatever else stands in their place."""

    weights: dict[str, Tensor]

    def parameters(self) -> list[nn.Parameter]:
        """Return what is learned."""
        ...

    def draw(self, progress: float = 0.0) -> None:
        """Set the weights that the network uses from now on."""
        ...

    def derive(self) -> dict[str, Answer]:
        """Return the answers that are preferred now."""
        ...

    def shares(self) -> dict[str, tuple[float, ...]]:
        """Return how much each option of a decision weighs."""
        ...

    def entropy(self) -> float:
        """Return how undecided it is, from 0 to 1."""
        ...


class Gates:
    """The logits of every relaxed decision, and the weights last drawn from them.

    ``logits`` are the architecture's parameters, by decision. Every use of one decision has the same weights. ``mix``
    makes the mixtures, if they are not plain sums; see ``partial_channels``. ``nodes`` names, node by node, decisions
    whose results are added up in one place: the results are then scaled by shares that are learned for each node,
    so that they compete (edge normalisation, PC-DARTS, Xu et al., 2020). The ``weights`` are without these shares:
    an option costs what it costs, however much its node listens to it.
    """

    def __init__(
        self,
        decisions: Collection[Decision],
        relaxation: Relaxation,
        seed: int = 0,
        device: str = "cpu",
        mix: MakeMixed | None = None,
        nodes: Collection[Sequence[str]] = (),
    ) -> None:
        self.decisions = {decision.key: decision for decision in decisions}
        self.relaxation = relaxation
        self.mix: MakeMixed = mix or Mixed
        self.generator = torch.Generator(device).manual_seed(seed)
        noise = torch.Generator().manual_seed(seed)
        self.logits = {
            key: nn.Parameter((1e-3 * torch.randn(len(decision.options), generator=noise)).to(device))
            for key, decision in self.decisions.items()
        }
        self.nodes = [tuple(keys) for keys in nodes]
        self.strengths = [nn.Parameter((1e-3 * torch.randn(len(keys), generator=noise)).to(device)) for keys in nodes]
        for key in (key for keys in self.nodes for key in keys):
            if key not in self.decisions:
                raise SpaceError(f"A node names {key!r}, which is not mixed. {nearest(key, self.decisions)}")
        self.weights: dict[str, Tensor] = {}
        self.running: dict[str, list[bool]] = {}
        self._heard: dict[str, Tensor] = {}  # by the nodes

    def parameters(self) -> list[nn.Parameter]:
        """Return the logits, in the order of the decisions, and then those of the nodes."""
        return [*self.logits.values(), *self.strengths]

    def draw(self, progress: float = 0.0) -> None:
        """Draw the weights that all networks on these gates use from now on."""
        for key, logits in self.logits.items():
            drawn = self.relaxation(logits, self.generator, progress)
            self._set(key, *(drawn if isinstance(drawn, tuple) else (drawn, drawn != 0)))
        self._heard = self._strengths()

    def run_drawn(self) -> None:
        """Until the next draw, run only the options that weigh something: what others compute teaches no weights."""
        for key, weights in self.weights.items():
            self.running[key] = (weights != 0).tolist()

    def scaled(self, key: str, result: Tensor) -> Tensor:
        """Return a decision's result as much as its node listens to it, as it is where it is in none."""
        return result * self._heard[key] if key in self._heard else result

    def fix(self, arch: Mapping[str, Answer]) -> None:
        """Set the weights to those of one architecture: one for its answers, zero for the others.

        Decisions that it does not answer take their first option. Nodes listen to all alike.
        """
        self._heard = {}
        for key, decision in self.decisions.items():
            index = _index(decision, arch[key]) if key in arch else 0
            weights = torch.eye(len(decision.options), device=self.generator.device)[index]
            self._set(key, weights, weights != 0)

    def _set(self, key: str, weights: Tensor, running: Tensor) -> None:
        options = len(self.decisions[key].options)
        if weights.shape != (options,) or running.shape != (options,):
            raise SpaceError(
                f"The relaxation gave {list(weights.shape)} weights for {key!r}, which has {options} options: it has "
                "to return one weight for each option."
            )
        self.weights[key], self.running[key] = weights, running.tolist()

    def _strengths(self) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        for keys, strength in zip(self.nodes, self.strengths, strict=True):
            found.update(zip(keys, strength.softmax(-1), strict=True))
        return found

    @torch.no_grad()
    def shares(self) -> dict[str, tuple[float, ...]]:
        """Return the softmax of each decision's logits, scaled by its share of its node where it is in one."""
        strengths = self._strengths()
        return {key: tuple((g.softmax(-1) * strengths.get(key, 1.0)).tolist()) for key, g in self.logits.items()}

    def derive(self) -> dict[str, Answer]:
        """Return the answer of the largest logit of each decision."""
        return {key: self.decisions[key].options[int(logits.argmax())] for key, logits in self.logits.items()}

    @torch.no_grad()
    def entropy(self) -> float:
        """Return how undecided the gates are: the mean entropy of their shares, 1 for even ones and 0 for one-hot."""
        shares = [logits.softmax(-1) for logits in self.logits.values()]
        found = [float(torch.special.entr(s).sum()) / math.log(len(s)) for s in shares]
        return sum(found) / max(1, len(found))


class Mixed(nn.Module):
    """A choice of modules as the weighted sum of what its options compute; those of weight zero are not run."""

    def __init__(self, gates: Gates, key: str, path: str, options: Mapping[Answer, nn.Module]) -> None:
        super().__init__()
        self.gates, self.key, self.path = gates, key, path
        self.options = nn.ModuleList(options.values())

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Return the sum, as much as its node listens to it."""
        return self.gates.scaled(self.key, self.total(*args, **kwargs))

    def total(self, *args: Any, **kwargs: Any) -> Any:
        """Return the sum. Raises ``SpaceError`` where the options' results differ in shape."""
        weights, running = self.gates.weights[self.key], self.gates.running[self.key]
        total: Tensor | None = None
        for weight, runs, option in zip(weights, running, self.options, strict=True):
            if runs:
                result = option(*args, **kwargs)
                if not isinstance(result, Tensor):
                    raise SpaceError(
                        f"The options at {self.path} cannot be mixed: one returns a {type(result).__name__}, and only "
                        "tensors can be added up. Let each option return one tensor, or search this decision with a "
                        "strategy that tries one option at a time."
                    )
                term = weight * result
                if total is not None and term.shape != total.shape:
                    raise SpaceError(
                        f"The options at {self.path} cannot be mixed: one returns {list(total.shape)}, another "
                        f"{list(term.shape)}. Give them equal shapes, for example by a projection of their own, or "
                        "search this decision with a strategy that tries one option at a time."
                    )
                total = term if total is None else total + term
        return total


class Member(nn.Module):
    """A module that some options of a choice of lists have, as much as these options weigh together.

    Who is given such a list adds up what its modules return, so this is the weighted sum over the lists.
    """

    def __init__(self, gates: Gates, key: str, path: str, options: Collection[Answer], module: nn.Module) -> None:
        super().__init__()
        self.gates, self.key, self.path, self.module = gates, key, path, module
        self.places = [_index(gates.decisions[key], option) for option in options]

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Return what the module does, weighed; the number 0 where no option that has it is run."""
        running = self.gates.running[self.key]
        if not any(running[place] for place in self.places):
            return 0.0
        return self.gates.weights[self.key][self.places].sum() * self.module(*args, **kwargs)


def _members(gates: Gates, key: str, path: str, options: Mapping[Answer, Sequence[nn.Module]]) -> list[nn.Module]:
    modules = {id(module): module for inside in options.values() for module in inside}
    return [
        Member(gates, key, path, [o for o, inside in options.items() if any(m is module for m in inside)], module)
        for module in modules.values()
    ]


def _opened(gates: Gates, key: str, path: str, options: Mapping[Answer, Any]) -> Any:
    lists = any(isinstance(option, list) for option in options.values())
    return _members(gates, key, path, options) if lists else gates.mix(gates, key, path, options)


MakeMixed = Callable[[Gates, str, str, Mapping[Answer, nn.Module]], nn.Module]
"""From gates, the decision's key, the path of its use and the options, made, to the module that mixes them."""


def relax(bank: Bank, gates: Gates, base: Mapping[str, Answer] | None = None) -> Lent:
    """Return the network of the bank's space in which the decisions of ``gates`` are mixed, on borrowed slices.

    All other decisions are answered by ``base``, and else by the largest number or the first option. Law, held by the
    tests over generated spaces: with the gates fixed to an architecture it computes what that architecture's lent
    network does. Raises ``SpaceError`` for a define-by-run space, whose code cannot take two branches at once, and for
    gates over a decision that does not choose between modules.
    """
    return bank.lend(*opened(bank.space, gates, base))


def opened(space: Space, gates: Gates, base: Mapping[str, Answer] | None = None) -> tuple[Arch, dict[str, Mix]]:
    """Return what ``evaluate`` needs to leave the gates' decisions open: answers to all others, and the mixtures."""
    allowed = relaxable(space)
    for key in gates.decisions:
        if key not in allowed:
            raise SpaceError(
                f"The decision {key!r} cannot be mixed: it does not only choose between modules. Mixed can be: "
                f"{', '.join(allowed) or 'none of this space'}."
            )
    # Every decision is answered, also one that no single architecture asks beside another: mixtures take all branches.
    answers = {key: ends(decision)[1] for key, decision in space.decisions.items()}
    return Arch({**answers, **(base or {})}), {key: partial(_opened, gates, key) for key in gates.decisions}


def require_mixable(
    space: Space, gates: Gates, input_shape: Sequence[int], base: Mapping[str, Answer] | None = None
) -> None:
    """Raise ``SpaceError`` where options cannot be added up, with their path and the remedy.

    So that it is known before anything is trained, the relaxed network runs once with all of its options, on tensors
    without data. What cannot run so is not judged.
    """
    every = Gates(gates.decisions.values(), lambda logits, *_: torch.ones_like(logits), mix=gates.mix)
    every.draw()
    arch, mixed = opened(space, every, base)
    try:
        with torch.device("meta"):
            network, _ = build_with_paths(space, arch, None, mixed)
    except SpaceError:  # a block that looks at numbers while it is made, or options that this mixture does not take
        build_with_paths(space, arch, None, mixed)
        return
    try:
        with torch.no_grad():
            network.eval()(torch.empty((2, *input_shape), device="meta"))
    except SpaceError:
        raise
    except Exception:  # one that looks at numbers while it runs
        return


def relaxable(space: Space) -> dict[str, Decision]:
    """Return the decisions that choose between modules wherever they are used, by key.

    Also those that choose between lists of modules, such as the two inputs of a node, where who is given the list says
    that it adds up what they return: by a class attribute ``added = True``. Raises ``SpaceError`` for a define-by-run
    space.
    """
    if space.defined_by_run:
        raise SpaceError(
            "A define-by-run space cannot be relaxed: its function takes one branch at a time, and a weighted sum "
            "needs all. Write the model as an expression of calls and choices, or search it with any other strategy."
        )
    uses: dict[str, bool] = {}
    seen: set[tuple[int, bool]] = set()

    def visit(expression: Any, added: bool = False) -> None:
        if (id(expression), added) in seen:
            return
        seen.add((id(expression), added))
        if isinstance(expression, Choice | Switch):
            on = expression.on if isinstance(expression, Switch) else expression
            key = space._table[id(on)].key
            mixable = all(map(_is_module, expression.options)) or (added and all(map(_is_list, expression.options)))
            uses[key] = uses.get(key, True) and mixable
            parts: tuple[Any, ...] = expression.options
        else:
            parts = children(expression)
        for part in parts:
            visit(part, isinstance(expression, Call) and getattr(expression.target, "added", False) is True)

    for root in space.roots.values():
        visit(root)
    return {key: space.decisions[key] for key, modules in uses.items() if modules and key in space.decisions}


def _is_module(option: Any) -> bool:
    if isinstance(option, Choice | Switch):
        return all(map(_is_module, option.options))
    return isinstance(option, Call)


def _is_list(option: Any) -> bool:
    alone = isinstance(option, list | tuple) and len({id(each) for each in option}) == len(option)
    return alone and all(map(_is_module, option))


def _index(decision: Decision, answer: Answer) -> int:
    return next(i for i, option in enumerate(decision.options) if option == answer and type(option) is type(answer))
