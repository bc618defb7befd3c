"""The reading that shares weights: a sub-network is the standalone network itself, running on borrowed slices.

The bank keeps one tensor per (path of the call that made the module, name of the parameter in it), as large as any
architecture has needed it. There are no elastic layers, and no state on layers.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from archsmith.build.kernels import cut_kernel, kernel_steps, write_kernel
from archsmith.build.module import build_with_paths
from archsmith.build.places import Place, places
from archsmith.build.slices import RULES, Layout, Rule, union
from archsmith.build.statistics import own_buffers
from archsmith.build.templates import Templates
from archsmith.errors import SpaceError, StoreError
from archsmith.space import Arch, Mix, Space, cover, sample, valid

__all__ = ["Bank", "Lent"]

_TENSORS, _HEADER = "bank.safetensors", "bank.json"
_SAMPLES = 64


class Bank(nn.Module):
    """The shared parameters of all networks of a space.

    To lend an architecture, its network is built without data, every parameter is looked up by its path and cut to
    the shape that was built: channels from the front, kernels from the middle, and by rules (see ``slices``) where that
    is wrong: those that classes declare, and ``rules``, from classes to rules. Gradients flow through the slices.

    Laws, held by ``archsmith.testing.bank``: what is lent computes what is extracted, to the last bit; what is absorbed
    is extracted again; the gradient of a lent network reaches its slices and nothing else. Each tensor is the smallest
    box that holds what any network has needed of it, so the bank is as large as their union, not as their sum.

    Room is made when the bank is, for every option of the space, with each network's own first weights from ``seed``.
    An architecture that needs more still finds it: the tensor grows in place, and ``growth`` counts how often any did,
    for whoever keeps something of the old size, such as momentum. All else that works on a module works on a bank:
    ``to``, optimisers, clipping, autocast, and calling it: ``bank(x, arch)``.

    With ``kernel_transforms`` a smaller kernel is the middle of the larger one times a matrix that is learned (see
    ``kernels``); then a gradient also reaches these matrices.

    Running statistics of normalisation are lent as copies, so no network disturbs another; they belong to one
    network's activations, so recalibrate them before you measure it (``recalibrate``). Other buffers stay as each
    network is built with them, since a table may differ from network to network; those that a network which is absorbed
    has changed, such as a running mean of one's own, are kept from then on and cut like parameters.

    Raises ``SpaceError`` for a network that cannot be built, or whose parameters cannot be cut, with the path in the
    expression.
    """

    def __init__(
        self,
        space: Space,
        seed: int = 0,
        rules: Mapping[type, Rule] | None = None,
        survey: bool = True,
        kernel_transforms: bool = False,
    ) -> None:
        super().__init__()
        self.space, self.seed, self.growth = space, seed, 0
        self.kernel_transforms = kernel_transforms
        self.rules: Mapping[type, Rule] = {**RULES, **(rules or {})}
        self.shared = nn.ParameterDict()
        self.statistics = nn.Module()  # as buffers of it
        self._own: dict[str, tuple[int, ...]] = {}  # buffers that networks have of their own, by key
        self._templates = Templates(space, self.rules)
        self._held: set[tuple[str, Layout]] = set()  # what there is room for: room is never taken away
        self._surveyed = False
        self._origin: Path | None = None
        if survey:
            self.survey()

    @property
    def device(self) -> torch.device:
        """Where the tensors are."""
        return next((p.device for p in self.parameters()), torch.device("cpu"))

    def forward(self, x: Any, arch: Arch) -> Any:
        """Return what the network of ``arch`` computes from ``x``."""
        return self.lend(arch)(x)

    def reserve(self, arch: Arch) -> None:
        """Make room for an architecture, so that lending it later does not grow the bank."""
        self._skeleton(arch)

    def survey(self) -> None:
        """Make room for every option of the space. Raises ``SpaceError`` for what cannot be built, or not be shared."""
        if not self._surveyed:
            for arch in _survey(self.space, self.seed):
                self.reserve(arch)
            self._surveyed = True

    def lend(self, arch: Arch, mixed: Mapping[str, Mix] = MappingProxyType({})) -> Lent:
        """Return the network of ``arch`` on borrowed slices, in the bank's mode (training or evaluation).

        The slices are cut at every call, so they are always up to date. Decisions in ``mixed`` are left open: see
        ``relax``.
        """
        network, found, _ = self._skeleton(arch, mixed)
        for place in found:
            if not place.learned:
                place.lay(place.cut(self._tensor(place)).clone())
        borrowed = {place: self._tensor(place) for place in found if place.learned}
        return Lent(network, borrowed, self._cut if self.kernel_transforms else Place.cut).train(self.training)

    def extract(self, arch: Arch) -> nn.Module:
        """Return the standalone network of ``arch`` with copies of its slices, on the bank's device."""
        network, paths = build_with_paths(self.space, arch, self._seed(arch.id))
        found, _ = self._places(network, paths)
        self._make_room(found, lambda: found)
        with torch.no_grad():
            for place in found:
                place.tensor.copy_(self._cut(place, self._tensor(place)))
        return network.to(self.device)

    def absorb(self, arch: Arch, weights: nn.Module | Mapping[str, Tensor]) -> list[str]:
        """Write a network's weights, or its ``state_dict``, back into the slices of ``arch``.

        Returns the names of what could not be carried over: what the network of ``arch`` does not have, or has in
        another shape. What ``weights`` lacks stays as it is.
        """
        state = dict(weights.state_dict() if isinstance(weights, nn.Module) else weights)
        _, found, others = self._skeleton(arch)
        for place in others:
            value = state.get(place.names[0])
            if value is not None and value.shape == place.tensor.shape:
                # As it was built: a table, which may be another one in each network, or nothing was learned yet.
                if torch.equal(value.to(place.tensor), place.tensor):
                    for name in place.names:
                        state.pop(name, None)
                else:
                    self._grow(place)
                    found.append(place)
        self._sort()
        for place in found:
            value = state.get(place.names[0])
            if value is not None and value.shape == place.tensor.shape:
                for name in place.names:
                    state.pop(name, None)
                if self.kernel_transforms:
                    write_kernel(place, self._tensor(place).detach(), value, functools.partial(self._matrix, place))
                else:
                    place.region(self._tensor(place).detach()).copy_(value.detach().reshape(place.layout.sizes))
        return list(state)

    def places(self, arch: Arch) -> list[Place]:
        """Return where the network of ``arch`` has its parameters and running statistics, with room for them."""
        return self._skeleton(arch)[1]

    def sizes(self) -> dict[str, tuple[int, ...]]:
        """Return what there is room for: the size of each tensor by its key.

        With those of the buffers of one's own that networks were met with, of which nothing may be kept yet.
        """
        kept = {**dict(self.shared.items()), **self.statistics._buffers}
        return {**self._own, **{key: tuple(value.shape) for key, value in kept.items() if value is not None}}

    def met(self) -> set[str]:
        """Return the keys of the tensors that the networks it has lent, or made room for, are cut from.

        Those that the last of them made grow may be missing.
        """
        return {key for key, _ in self._held}

    def tensor(self, place: Place) -> Tensor:
        """Return the bank's own tensor that a place is cut from."""
        return self._tensor(place).detach()

    def get_extra_state(self) -> Tensor:
        """Return what is no tensor: the seed that new room is filled from."""
        return torch.frombuffer(bytearray(str(self.seed).encode()), dtype=torch.uint8)

    def set_extra_state(self, state: Tensor) -> None:
        """Take over what is no tensor."""
        self.seed = int(state.cpu().numpy().tobytes())

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *rest: Any) -> None:
        """Become the bank that is loaded, as large as it had grown; what is in both stays the same parameter."""
        for learned, name in ((True, "shared"), (False, "statistics")):
            start = f"{prefix}{name}."
            loaded = {key.removeprefix(start): value for key, value in state_dict.items() if key.startswith(start)}
            room: Any = self.shared if learned else self.statistics._buffers
            for key in [key for key in room if key not in loaded]:
                del room[key]
            for key, value in loaded.items():
                if key in room and room[key].shape == value.shape:
                    continue
                self.growth += 1
                if key in room:
                    room[key].data, room[key].grad = torch.empty_like(value, device=self.device), None
                else:
                    self._put(key, torch.empty_like(value, device=self.device), learned)
        self._sort()
        self._held.clear()
        self._surveyed = False
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def save(self, folder: str | Path) -> None:
        """Write the tensors to ``bank.safetensors`` and the rest to ``bank.json`` in the folder.

        Rules that were passed are functions and are not written, only for which classes they were.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        kept = {name: value for name, value in self.state_dict().items() if name.startswith(("shared.", "statistics."))}
        save_file({name: value.detach().cpu().contiguous() for name, value in kept.items()}, folder / _TENSORS)
        frozen = [key for key, value in self.shared.items() if not value.requires_grad]
        header = {
            "format": 1,
            "seed": self.seed,
            "frozen": frozen,
            "kernel_transforms": self.kernel_transforms,
            "rules": _passed(self.rules),
        }
        (folder / _HEADER).write_text(json.dumps(header, indent=1) + "\n", encoding="utf-8")

    @staticmethod
    def load(folder: str | Path, space: Space, rules: Mapping[type, Rule] | None = None) -> Bank:
        """Return the bank that was saved in the folder, for the space it was made for or one that extends it.

        ``rules`` are those that it was made with. What a larger space needs beside what was saved is begun when it is
        first lent. Raises ``StoreError``.
        """
        folder = Path(folder)
        try:
            header = _checked(json.loads((folder / _HEADER).read_text(encoding="utf-8")))
            _check_rules(folder, header.get("rules", []), rules or {})
            tensors = load_file(folder / _TENSORS)
            bank = Bank(space, header["seed"], rules, False, header.get("kernel_transforms", False))
            for name, value in tensors.items():
                room, _, key = name.partition(".")
                bank._put(key, value, learned=room == "shared", trains=key not in header["frozen"])
            bank._sort()
            bank._origin = folder
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:  # a RecursionError is of these
            raise StoreError(f"There is no usable bank in {folder}: {error}") from error
        return bank

    def _seed(self, word: str) -> int:
        return int.from_bytes(hashlib.sha256(f"{self.seed} {word}".encode()).digest()[:4], "big")

    def _tensor(self, place: Place) -> Tensor:
        # Not by attribute: this is done for every tensor at every step.
        found = (self.shared._parameters if place.learned else self.statistics._buffers)[place.key]
        assert found is not None
        return found

    def _cut(self, place: Place, shared: Tensor) -> Tensor:
        return (
            cut_kernel(place, shared, functools.partial(self._matrix, place))
            if self.kernel_transforms
            else (place.cut(shared))
        )

    def _matrix(self, place: Place, size: int) -> Tensor:
        count = size ** len(place.layout.centred)
        vector: Tensor = self.shared[f"{place.key} {size}"]
        return vector.view(count, count)

    def _add_matrices(self, found: list[Place]) -> None:
        for place in found:
            for size in kernel_steps(place, self._tensor(place)):
                if f"{place.key} {size}" not in self.shared:  # as a vector: those are not decayed
                    matrix = torch.eye(size ** len(place.layout.centred), device=self.device)
                    self._put(f"{place.key} {size}", matrix.flatten(), learned=True)
                    self.growth += 1

    def _skeleton(
        self, arch: Arch, mixed: Mapping[str, Mix] = MappingProxyType({})
    ) -> tuple[nn.Module, list[Place], list[Place]]:
        """Return the network, where possible without data, and where its tensors are kept; make room for them.

        And where its other buffers would be kept.
        """

        @functools.cache
        def real() -> tuple[nn.Module, dict[str, str]]:
            return build_with_paths(self.space, arch, self._seed(arch.id), mixed)

        try:
            network, found = self._templates.build(arch, mixed)
        except SpaceError:  # a block that looks at numbers while it is made needs real ones
            network, paths = real()
            found = places(network, paths, self.rules)
        self._make_room(found, lambda: places(*real(), self.rules))
        if not _has_own_numbers(network, found):
            return network, found, []
        network, paths = real()
        found, others = self._places(network.to(self.device), paths)
        self._make_room(found, lambda: found)
        return network, found, others

    def _places(self, network: nn.Module, paths: Mapping[str, str]) -> tuple[list[Place], list[Place]]:
        """Return where the network's tensors are kept, and where its other buffers would be if they had changed."""
        found, others = places(network, paths, self.rules), list[Place]()
        for place in own_buffers(network, paths, self.rules):
            sizes = place.layout.sizes
            self._own[place.key] = union(self._own.get(place.key, sizes), sizes)
            (found if self._known(place) else others).append(place)
        return found, others

    def _make_room(self, found: list[Place], fresh: Callable[[], list[Place]]) -> None:
        """Grow what is too small for these places; ``fresh`` returns them with first weights."""
        before = self.growth
        if not all(self._holds(place) for place in found):
            for place in fresh():
                if not self._holds(place):
                    self._grow(place)
        if self.kernel_transforms:
            self._add_matrices(found)
        if self.growth != before:
            self._sort()

    def _sort(self) -> None:
        """Put the parameters into the order of their keys, so that it does not depend on which network came first."""
        for tensors in (self.shared._parameters, self.statistics._buffers):
            ordered: dict[str, Any] = dict(sorted(tensors.items()))
            tensors.clear()
            tensors.update(ordered)

    def _known(self, place: Place) -> bool:
        return place.key in self.shared._parameters or place.key in self.statistics._buffers

    def _holds(self, place: Place) -> bool:
        spot = (place.key, place.layout)
        if spot in self._held:
            return True
        if not self._known(place):
            return False
        full, sizes = self._tensor(place).shape, place.layout.sizes
        if len(full) != len(sizes) and self._origin is not None:
            raise SpaceError(
                f"{place.names[0]} (made at {place.path}) is {list(sizes)} in a network of this space and {list(full)} "
                f"in the bank that was read from {self._origin}: it was made for another space, or with other slice "
                "rules. Read it with the space and the rules= that it was made with."
            )
        if len(full) != len(sizes):
            raise SpaceError(
                f"{place.names[0]} (made at {place.path}) is {list(sizes)} in one network and {list(full)} in another: "
                "neither is a part of the other. Write the two as options of a choice: those share nothing."
            )
        held = all(size <= there for size, there in zip(sizes, full, strict=True))
        if held:
            place.region(self._tensor(place))  # raises where it has no place in it
            self._held.add(spot)
        return held

    def _grow(self, place: Place) -> None:
        """Make a tensor large enough for a place that brings first weights.

        Old numbers stay, and so do gradients. What neither the old tensor nor the place has is drawn from the place's
        own first weights, so that it is distributed as they are, whatever the layer. It gets the type and the device of
        the old tensor, since a network is built in the default type, whatever the bank was made since.
        """
        first = place.tensor.detach().reshape(place.layout.sizes).to(self.device)
        self.growth += 1
        if not self._known(place):
            self._put(place.key, first.clone(), place.learned, place.tensor.requires_grad)
            return
        old = self._tensor(place)
        first = first.to(old)
        sizes = union(tuple(old.shape), place.layout.sizes)
        generator = torch.Generator().manual_seed(self._seed(f"{place.key} {sizes}"))
        grown = first.flatten()[torch.randint(first.numel(), sizes, generator=generator).to(old.device)]
        place.region(grown).copy_(first)
        place.region(grown, tuple(old.shape)).copy_(old.detach())
        gradient = None if old.grad is None else torch.zeros_like(grown)
        if gradient is not None:
            place.region(gradient, tuple(old.shape)).copy_(old.grad)  # type: ignore[arg-type]
        old.data, old.grad = grown, gradient

    def _put(self, key: str, value: Tensor, learned: bool, trains: bool = True) -> None:
        if learned:
            self.shared[key] = nn.Parameter(value, requires_grad=trains)
        else:
            self.statistics.register_buffer(key, value)


class Lent(nn.Module):
    """A network of a bank on borrowed slices: ``network`` is the plain network, without data of its own.

    Its running statistics are its own, and are not given back.
    """

    def __init__(
        self,
        network: nn.Module,
        borrowed: Mapping[Place, Tensor],
        cut: Callable[[Place, Tensor], Tensor] = Place.cut,
    ) -> None:
        super().__init__()
        self.network = network
        self._borrowed, self._cut = borrowed, cut

    @property
    def borrowed(self) -> Mapping[Place, Tensor]:
        """The parameters that the network borrows: where each stands, and the bank's tensor that it is cut from."""
        return self._borrowed

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the network on the slices as they are now."""
        try:
            for place, shared in self._borrowed.items():
                place.lay(self._cut(place, shared))
            return self.network(*args, **kwargs)
        finally:
            for place in self._borrowed:
                place.lay(place.tensor)


def _survey(space: Space, seed: int) -> Iterator[Arch]:
    """Yield architectures that need most of what any architecture of the space needs."""
    found = [arch for arch in cover(space) if valid(space, arch)]
    rng = np.random.default_rng(seed)
    yield from found or (sample(space, rng) for _ in range(_SAMPLES))


def _has_own_numbers(network: nn.Module, found: list[Place]) -> bool:
    """Return whether the network has numbers of its own: tables, masks and the like, which it loses without data."""
    kept = {id(place.tensor) for place in found}
    return any(
        isinstance(tensor, Tensor) and id(tensor) not in kept and (held or tensor.is_meta)
        for module in network.modules()
        for held, tensors in ((True, module._buffers), (False, vars(module)))
        for tensor in tensors.values()
    )


def _passed(rules: Mapping[type, Rule]) -> list[str]:
    """Return the names of the classes whose rules were passed: they are neither for torch's own nor declared."""
    known = ((kind, rule, (RULES.get(kind), vars(kind).get("__slices__"))) for kind, rule in rules.items())
    return sorted({kind.__name__ for kind, rule, found in known if rule not in found})


def _check_rules(folder: Path, needed: Collection[str], rules: Mapping[type, Rule]) -> None:
    """Raise ``StoreError`` where a bank is read without the rules by which its tensors were laid out."""
    given = {kind.__name__ for kind in rules}
    if missing := [name for name in needed if name not in given]:
        raise StoreError(
            f"The bank in {folder} was made with slice rules for {' and '.join(missing)}, and cannot be cut without: "
            f"pass the same ones, rules={{{', '.join(f'{name}: its rule' for name in missing)}}}."
        )


def _checked(header: Any) -> dict[str, Any]:
    """Return what ``bank.json`` holds. Raises ``ValueError`` where it is not what ``save`` wrote."""
    if not isinstance(header, dict):
        raise ValueError(f"{_HEADER} must hold an object, and holds {type(header).__name__}")
    if header.get("format", 1) != 1:
        raise ValueError(f"{_HEADER} is of format {header['format']!r}, and format 1 can be read; update archsmith")
    if missing := [name for name in ("seed", "frozen") if name not in header]:
        raise ValueError(f"{_HEADER} lacks {' and '.join(missing)}")
    seed, frozen = header["seed"], header["frozen"]
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise ValueError(f"the seed in {_HEADER} must be a whole number, and is {seed!r}")
    for name, listed in (("frozen", frozen), ("rules", header.get("rules", []))):
        if not isinstance(listed, list) or not all(isinstance(key, str) for key in listed):
            raise ValueError(f"{name!r} in {_HEADER} must be a list of names, and is {listed!r}")
    if not isinstance(header.get("kernel_transforms", False), bool):
        raise ValueError(
            f"'kernel_transforms' in {_HEADER} must be true or false, and is {header['kernel_transforms']!r}"
        )
    return header
