"""The space of DARTS against its published facts (Liu et al. 2019; PC-DARTS, Xu et al. 2020)."""

import numpy as np
import pytest
import torch

from archsmith.build import RELAXATIONS, Bank, Gates, Mixed, build, expected_cost, meta_cost, relax, relaxable
from archsmith.errors import SpaceError
from archsmith.space import Arch, Space, call, check, choice, completed, count, sample
from archsmith.spaces.darts import DARTS_OPERATIONS, darts_arch, darts_model, strongest_edges
from archsmith.spec import Spec

CIFAR = Spec("image", "classification", (3, 32, 32), 10, 50_000)
IMAGENET = Spec("image", "classification", (3, 224, 224), 1000, 1_281_167)
SHORT = {"max": "max_pool_3x3", "avg": "avg_pool_3x3", "skip": "skip_connect"}
SHORT |= {f"{kind}{k}": f"{kind}_conv_{k}x{k}" for kind in ("sep", "dil") for k in (3, 5)}


def genotype(normal: str, reduce: str) -> Arch:
    def pairs(text: str) -> list[tuple[str, int]]:
        return [(SHORT[word.split("<")[0]], int(word.split("<")[1])) for word in text.split()]

    return darts_arch(pairs(normal), pairs(reduce))


FIRST = genotype(
    "sep3<1 sep3<0 skip<0 sep3<1 skip<0 sep3<1 sep3<0 skip<2",
    "max<0 max<1 skip<2 max<0 max<0 skip<2 skip<2 avg<0",
)
SECOND = genotype(
    "sep3<0 sep3<1 sep3<0 sep3<1 sep3<1 skip<0 skip<0 dil3<2",
    "max<0 max<1 skip<2 max<1 max<0 skip<2 skip<2 max<1",
)
PARTIAL = genotype(
    "sep3<1 skip<0 sep3<0 dil3<1 sep5<0 sep3<1 avg<0 dil3<1",
    "sep5<1 max<0 sep5<1 sep5<2 sep3<0 sep3<3 sep3<1 sep3<2",
)


@pytest.mark.parametrize(
    ("arch", "cifar", "imagenet"),
    [(FIRST, 3_169_414, 4_510_432), (SECOND, 3_349_342, 4_718_752), (PARTIAL, 3_634_678, 5_270_560)],
    ids=["first order", "second order", "partial channels"],
)
def test_parameters_are_the_published_ones(arch: Arch, cifar: int, imagenet: int) -> None:
    for spec, width, layers, params in ((CIFAR, 36, 20, cifar), (IMAGENET, 48, 14, imagenet)):
        space = Space(model=darts_model(spec, width, layers))
        check(space, arch)
        counted = meta_cost(space, arch, spec.input_shape)
        assert (counted.params, counted.output_shape) == (params, (spec.outputs,))


def test_the_space_has_the_published_size() -> None:
    assert count(Space(model=darts_model(CIFAR, 4, 3))) == 1_037_664_180**2


def test_random_cells_compute_for_even_and_odd_sizes() -> None:
    rng = np.random.default_rng(0)
    for size in (12, 15):
        spec = Spec("image", "classification", (1, size, size), 5, 100)
        space = Space(model=darts_model(spec, 4, 3))
        network = build(space, sample(space, rng), seed=0).eval()
        with torch.no_grad():
            assert network(torch.zeros(2, 1, size, size)).shape == (2, 5)


def test_the_network_with_every_edge_relaxes_and_what_it_derives_is_in_the_space() -> None:
    spec = Spec("image", "classification", (1, 12, 12), 5, 100)
    full, space = (Space(model=darts_model(spec, 4, 3, every_edge=e)) for e in (True, False))
    gates = Gates(relaxable(full).values(), RELAXATIONS["darts"])
    assert len(gates.parameters()) == 28
    gates.draw()
    relax(Bank(full, survey=False), gates)(torch.randn(2, 1, 12, 12)).sum().backward()
    assert all(logits.grad is not None for logits in gates.parameters())
    shares = {key: logits.softmax(-1).tolist() for key, logits in gates.logits.items()}
    shares["normal_3_4"] = [0.5, *[0.0] * 6, 0.5]
    shares["normal_3_2"] = [0.99, *[0.01] * 7]
    arch = strongest_edges(shares)
    check(space, arch)
    assert arch["normal_3_4"] == DARTS_OPERATIONS[-1] and "normal_3_2" not in arch


def test_the_space_itself_relaxes_with_all_edges_of_both_cells() -> None:
    spec = Spec("image", "classification", (1, 12, 12), 5, 100)
    space = Space(model=darts_model(spec, 4, 3))
    gates = Gates(relaxable(space).values(), RELAXATIONS["darts"])
    assert gates.decisions.keys() == space.decisions.keys() and len(gates.parameters()) == 28 + 6
    bank, x = Bank(space, survey=False), torch.randn(2, 1, 12, 12, generator=torch.Generator().manual_seed(0))
    network = relax(bank, gates)
    for kind in ("normal", "reduce"):
        edges = {m.key for m in network.modules() if isinstance(m, Mixed) and m.key.startswith(kind)}
        assert len(edges) == 14
    gates.draw()
    network(x).sum().backward()
    assert all(logits.grad is not None and logits.grad.any() for logits in gates.parameters())
    expected = expected_cost(space, gates, (1, 12, 12))
    size = sum(p.numel() for p in bank.parameters())
    arch = sample(space, np.random.default_rng(0))
    gates.fix(arch)
    assert torch.equal(network(x), bank.lend(arch)(x))
    assert float(expected(gates.weights)) == meta_cost(space, arch, (1, 12, 12)).macs
    assert sum(p.numel() for p in bank.parameters()) == size  # an edge is one edge, whichever other is taken with it
    gates.logits["normal_inputs3"].data[7] = 9.0
    answers = gates.derive()
    check(space, completed(space, answers, {}))
    assert answers["normal_inputs3"] == "2_3"


def test_a_list_is_not_mixed_unless_who_is_given_it_adds_up() -> None:
    a, b, c = (call(torch.nn.Linear, 8, 8) for _ in range(3))
    lists = {"first": [a, b], "second": [a, c]}
    assert relaxable(Space(model=call(torch.nn.ModuleList, choice(**lists)))) == {}


def test_tables_are_refused() -> None:
    with pytest.raises(SpaceError, match="is for images"):
        darts_model(Spec("table", "classification", (3,), 2, 100))
