"""Motifs of motifs: decided once, used everywhere, and read level by level."""

import numpy as np
import pytest
import torch
from torch import nn

from archsmith.build.blocks import Motif, Zero
from archsmith.errors import SpaceError
from archsmith.space import Arch, check, evaluate, mutate, sample
from archsmith.spaces.hierarchical import Genotype, decode, encode, hierarchical
from archsmith.spec import Spec

SPEC = Spec("image", "classification", (3, 32, 32), 10, 50_000)
SPACE = hierarchical(SPEC)


def network(arch: Arch) -> nn.Module:
    made = evaluate(SPACE, arch, lambda call, path, args, kwargs: call.target(*args, **kwargs), ["model"])["model"]
    assert isinstance(made, nn.Module)
    return made.eval()


def settings(arch: Arch) -> dict[str, object]:
    return {k: v for k, v in arch.items() if "/" not in k or not k.split("/")[1].isdigit()}


def test_graphs_are_read_and_written_level_by_level() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        arch = sample(SPACE, rng)
        genotype = decode(arch)
        assert encode(genotype, settings(arch)) == arch
        assert len(genotype.cell) == 10
        assert set(genotype.motifs) == set(genotype.cell.values()) - {"none"}, "only what is used is decided"
        assert all(len(motif) == 6 for motif in genotype.motifs.values())


def test_written_by_hand_it_is_of_the_space() -> None:
    edges = [(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)]
    skip = {edge: "identity" if edge == (0, 3) else "none" for edge in edges}
    cell = {(i, j): "motif2" if (i, j) == (0, 4) else "none" for j in range(5) for i in range(j)}
    arch = encode(Genotype({"motif2": skip}, cell), settings(sample(SPACE, np.random.default_rng(0))))
    check(SPACE, arch)
    with torch.no_grad():
        assert torch.isfinite(network(arch)(torch.zeros(2, 3, 32, 32))).all()


def test_a_changed_motif_changes_every_place_that_uses_it() -> None:
    rng = np.random.default_rng(1)
    arch = sample(SPACE, rng)
    motif = next(iter(decode(arch).motifs))
    child = mutate(SPACE, arch, rng, decisions=[f"{motif}/01"])
    assert {k for k in arch if arch[k] != child.get(k)} == {f"{motif}/01"}
    uses = sum(1 for label in decode(arch).cell.values() if label == motif)
    of = [m for m in network(arch).modules() if isinstance(m, Motif) and len(m.edges) == 6]
    assert len(of) == 3 * sum(label != "none" for label in decode(arch).cell.values()) and uses >= 1


def test_samples_build_and_compute() -> None:
    rng = np.random.default_rng(0)
    for _ in range(5):
        with torch.no_grad():
            out = network(sample(SPACE, rng))(torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)))
        assert out.shape == (2, 10)


def test_a_graph_adds_up_what_comes_in() -> None:
    identity = Motif(*(nn.Identity() for _ in range(10)))
    assert identity(torch.ones(1)).item() == 8, "one path for every subset of the three nodes between"
    assert Motif(*(Zero() for _ in range(6)))(torch.ones(1)).item() == 0


def test_tables_are_refused() -> None:
    with pytest.raises(SpaceError, match="mlp"):
        hierarchical(Spec("table", "classification", (4,), 2, 100))
