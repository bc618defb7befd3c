"""Distributions over architectures that can be learned: independent softmaxes, and a recurrent controller."""

from __future__ import annotations

import math
import zlib
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from archsmith.errors import UsageError
from archsmith.space import Answer, Arch, Decision, Space, walk
from archsmith.strategy.categories import Categories, Split

__all__ = [
    "Adam",
    "Gradient",
    "Path",
    "Policy",
    "Recurrent",
    "Softmaxes",
    "Tried",
    "default_rate",
    "draw",
    "log_probability",
    "make_policy",
    "path_of",
]

_Array = npt.NDArray[np.float64]
Gradient = dict[str, _Array]
Path = Sequence[tuple[Split, int]]


class Policy(Protocol):
    """A distribution over paths: for each decision in the order of the walk, probabilities of its groups.

    ``parameters`` are arrays by name, made when a decision is first met. The law: ``ascent`` is the exact gradient of
    what it says, which finite differences confirm.
    """

    @property
    def parameters(self) -> Gradient:
        """The arrays that are learned."""
        ...

    def begin(self) -> Any:
        """Return the state before the first decision."""
        ...

    def step(self, state: Any, split: Split) -> tuple[_Array, Any]:
        """Return the log-probabilities of a decision's groups, and the state at it."""
        ...

    def chosen(self, state: Any, split: Split, group: int) -> Any:
        """Return the state after a decision was answered."""
        ...

    def ascent(self, path: Path, weight: float, entropy: float) -> Gradient:
        """Return the gradient of ``weight * log p(path) + entropy * sum of the entropies along it``."""
        ...


@dataclass
class Softmaxes:
    """One softmax for each decision, independent of the others; uniform at first."""

    parameters: Gradient = field(default_factory=dict)

    def begin(self) -> None:
        """There is no state."""

    def step(self, state: None, split: Split) -> tuple[_Array, None]:
        """Return the log-probabilities of a decision's groups."""
        return _log_softmax(self._logits(split)), None

    def chosen(self, state: None, split: Split, group: int) -> None:
        """There is no state."""

    def ascent(self, path: Path, weight: float, entropy: float) -> Gradient:
        """Return the gradient of ``weight * log p(path) + entropy * sum of the entropies along it``."""
        return {
            split.decision.key: _slope(_log_softmax(self._logits(split)), group, weight, entropy)
            for split, group in path
        }

    def _logits(self, split: Split) -> _Array:
        return self.parameters.setdefault(split.decision.key, np.zeros(split.size))


@dataclass
class Recurrent:
    """An LSTM that reads its own answers and has a softmax for each decision, as in Zoph and Le (2017).

    One layer of ``hidden`` units (100 in NASNet), weights uniform in plus or minus 0.1 from a fixed seed. Logits are
    squashed to at most ``bound`` by a tanh, as in ENAS (Pham et al., 2018; 2.5): what looks good early on stays open.
    """

    hidden: int = 100
    seed: int = 0
    bound: float = 2.5
    parameters: Gradient = field(default_factory=dict)

    def __post_init__(self) -> None:
        n = self.hidden
        for name, shape in (("lstm", (4 * n, 2 * n)), ("bias", (4 * n,)), ("start", (n,))):
            self._make(name, shape)

    def begin(self) -> tuple[_Array, _Array, _Array]:
        """Return the first input, and a hidden state and a memory of zeros."""
        return self.parameters["start"], np.zeros(self.hidden), np.zeros(self.hidden)

    def step(self, state: Any, split: Split) -> tuple[_Array, Any]:
        """Return the log-probabilities of a decision's groups, and the state at it."""
        x, h, c = state
        h, c, _ = self._cell(x, h, c)
        return _log_softmax(self._logits(split, h)), (x, h, c)

    def chosen(self, state: Any, split: Split, group: int) -> Any:
        """Return the state after a decision was answered: the answer's embedding is the next input."""
        return self._embedding(split)[group], state[1], state[2]

    def ascent(self, path: Path, weight: float, entropy: float) -> Gradient:
        """Return the gradient of ``weight * log p(path) + entropy * sum of the entropies along it``, through time."""
        found: Gradient = {name: np.zeros_like(self.parameters[name]) for name in ("lstm", "bias", "start")}
        x, h, c = self.begin()
        kept, slopes = [], []
        for split, group in path:
            h, c, cache = self._cell(x, h, c)
            kept.append(cache)
            logits = self._logits(split, h)
            slope = _slope(_log_softmax(logits), group, weight, entropy)
            slopes.append(slope * (1 - (logits / self.bound) ** 2))
            x = self._embedding(split)[group]
        dh, dc = np.zeros(self.hidden), np.zeros(self.hidden)
        for place in reversed(range(len(kept))):
            split = path[place][0]
            inputs, gates, before, after = kept[place]
            i, f, g, o = gates
            squashed = np.tanh(after)
            h = o * squashed
            key = split.decision.key
            found[f"head/{key}"] = np.outer(slopes[place], np.append(h, 1.0))
            dh = dh + self._head(split)[:, :-1].T @ slopes[place]
            dc = dc + dh * o * (1 - squashed**2)
            dz = np.concatenate(
                [dc * g * i * (1 - i), dc * before * f * (1 - f), dc * i * (1 - g**2), dh * squashed * o * (1 - o)]
            )
            found["lstm"] += np.outer(dz, inputs)
            found["bias"] += dz
            back = self.parameters["lstm"].T @ dz
            dx, dh, dc = back[: self.hidden], back[self.hidden :], dc * f
            if place:
                before_it, group = path[place - 1]
                name = f"embedding/{before_it.decision.key}"
                found[name] = np.zeros_like(self._embedding(before_it))
                found[name][group] = dx
            else:
                found["start"] = dx
        return found

    def _cell(self, x: _Array, h: _Array, c: _Array) -> tuple[_Array, _Array, Any]:
        inputs = np.concatenate([x, h])
        z = (self.parameters["lstm"] @ inputs + self.parameters["bias"]).reshape(4, self.hidden)
        i, f, o = (1 / (1 + np.exp(-z[k])) for k in (0, 1, 3))
        g = np.tanh(z[2])
        after = f * c + i * g
        return o * np.tanh(after), after, (inputs, (i, f, g, o), c, after)

    def _logits(self, split: Split, h: _Array) -> _Array:
        return np.asarray(self.bound * np.tanh(self._head(split) @ np.append(h, 1.0) / self.bound))

    def _head(self, split: Split) -> _Array:
        return self._make(f"head/{split.decision.key}", (split.size, self.hidden + 1))

    def _embedding(self, split: Split) -> _Array:
        return self._make(f"embedding/{split.decision.key}", (split.size, self.hidden))

    def _make(self, name: str, shape: tuple[int, ...]) -> _Array:
        if name not in self.parameters:  # by name, so that the order in which decisions are met does not matter
            rng = np.random.default_rng([self.seed, zlib.crc32(name.encode())])
            self.parameters[name] = rng.uniform(-0.1, 0.1, shape)
        return self.parameters[name]


@dataclass
class Adam:
    """Steps up a gradient (Kingma and Ba, 2015); a parameter without a gradient stays where it is."""

    rate: float
    betas: tuple[float, float] = (0.9, 0.999)
    _moments: dict[str, tuple[_Array, _Array, int]] = field(default_factory=dict)

    def ascend(self, parameters: Gradient, gradient: Mapping[str, _Array]) -> None:
        """Change the parameters in place."""
        a, b = self.betas
        for name, slope in gradient.items():
            first, second, steps = self._moments.get(name, (np.zeros_like(slope), np.zeros_like(slope), 0))
            first, second, steps = a * first + (1 - a) * slope, b * second + (1 - b) * slope**2, steps + 1
            self._moments[name] = first, second, steps
            parameters[name] += self.rate * (first / (1 - a**steps)) / (np.sqrt(second / (1 - b**steps)) + 1e-8)


def make_policy(kind: str, hidden: int, seed: int) -> Policy:
    """Return a policy by its name, ``softmax`` or ``recurrent``."""
    if kind not in ("softmax", "recurrent"):
        raise UsageError(f"policy is {kind!r}. Allowed: 'softmax', 'recurrent'.")
    return Softmaxes() if kind == "softmax" else Recurrent(hidden, seed)


def default_rate(kind: str) -> float:
    """Return the rate of Adam that suits a policy in hundreds of trials."""
    return 0.1 if kind == "softmax" else 0.01


@dataclass
class Tried:
    """Architectures that were tried, as a tree of groups in the order of the walk: drawn again, they need no walk."""

    split: Split | None = None
    arch: Arch | None = None
    after: dict[int, Tried] = field(default_factory=dict)

    def add(self, path: Path, arch: Arch) -> None:
        """Remember an architecture, unless a group of its path holds several answers and may be drawn as another."""
        if not path or not all(split.single for split, _ in path):
            return
        place = self
        for split, group in path:
            place.split = split
            place = place.after.setdefault(group, Tried())
        place.arch = arch


def draw(
    policy: Policy,
    space: Space,
    categories: Categories,
    rng: np.random.Generator,
    known: dict[str, list[float]] | None = None,
    tried: Tried | None = None,
) -> Arch:
    """Return an architecture drawn from the policy; the space's constraints are not looked at.

    ``known``, empty at first, keeps what a policy without a state says from draw to draw, while it does not learn.
    With ``tried`` the same is drawn, and what is in there is found sooner.
    """
    state = policy.begin()

    def drawn(split: Split) -> int:
        nonlocal state
        sums = known.get(split.decision.key) if known is not None else None
        if sums is None:
            logs, state = policy.step(state, split)
            sums = list(accumulate(np.exp(logs).tolist()))
            if known is not None and state is None:
                known[split.decision.key] = sums
        group = min(bisect_right(sums, float(rng.random())), split.size - 1)
        state = policy.chosen(state, split, group)
        return group

    groups: list[int] = []
    while tried is not None and tried.split is not None:
        groups.append(drawn(tried.split))
        tried = tried.after.get(groups[-1])
    if tried is not None and tried.arch is not None:
        return tried.arch
    begun = iter(groups)

    def decide(decision: Decision) -> Answer:
        split = categories(decision)
        group = next(begun, None)
        return split.answer(drawn(split) if group is None else group, rng)

    return walk(space, decide)


def path_of(space: Space, arch: Arch, categories: Categories) -> list[tuple[Split, int]]:
    """Return the decisions of an architecture in the order of the walk, each with the group of its answer."""
    path: list[tuple[Split, int]] = []

    def decide(decision: Decision) -> Answer:
        split = categories(decision)
        path.append((split, split.group(arch[decision.key])))
        return arch[decision.key]

    walk(space, decide)
    return path


def log_probability(policy: Policy, path: Path) -> float:
    """Return the logarithm of the probability of a path."""
    state, total = policy.begin(), 0.0
    for split, group in path:
        logs, state = policy.step(state, split)
        total += float(logs[group])
        state = policy.chosen(state, split, group)
    return total


def _log_softmax(logits: _Array) -> _Array:
    values = logits.tolist()  # plain numbers: for a few options faster than arrays
    largest = max(values)
    return np.asarray(logits - (largest + math.log(sum(math.exp(v - largest) for v in values))))


def _slope(logs: _Array, group: int, weight: float, entropy: float) -> _Array:
    """Return the gradient, by the logits, of a weighted log-probability and an entropy."""
    p = np.exp(logs)
    slope = -weight * p
    slope[group] += weight
    if entropy:
        slope -= entropy * p * (logs - float(p @ logs))
    return slope
