"""The laws of the relaxed network, over generated spaces, and of the methods that draw its weights."""

from typing import Any

import numpy as np
import pytest
import torch
from generated import FEATURES, Dense, Mix, by_run
from hypothesis import HealthCheck, given, settings
from torch import nn

from archsmith.build import RELAXATIONS, Bank, Gates, expected_cost, meta_cost, relax, relaxable
from archsmith.build.relaxations import binary, dirichlet, gumbel, softmax
from archsmith.errors import SpaceError
from archsmith.space import Arch, Space, call, choice, sample, switch
from archsmith.spaces.cell import cell_model
from archsmith.spec import Spec
from archsmith.testing.relaxation import RELAXATION_LAWS, RelaxationLaw
from archsmith.testing.spaces import spaces_and_archs

SLOW = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
X = torch.randn(3, FEATURES, generator=torch.Generator().manual_seed(0))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def gates_of(space: Space, **kwargs: Any) -> Gates:
    return Gates(relaxable(space).values(), kwargs.pop("relaxation", softmax), **kwargs)


@SLOW
@given(spaces_and_archs(leaf=Dense, block=Mix))
def test_under_one_hot_gates_the_relaxed_network_is_the_lent_one(pair: tuple[Space, Arch]) -> None:
    space, arch = pair
    bank, gates = Bank(space, survey=False), gates_of(space)
    relaxed = relax(bank, gates, arch)
    gates.fix(arch)
    assert torch.equal(relaxed(X), bank.lend(arch)(X))


@SLOW
@given(spaces_and_archs(leaf=Dense, block=Mix))
def test_under_one_hot_gates_the_expected_cost_is_that_of_the_standalone_network(pair: tuple[Space, Arch]) -> None:
    space, arch = pair
    gates = gates_of(space)
    gates.fix(arch)
    counted = meta_cost(space, arch, (FEATURES,))
    for metric, expected in (("macs", counted.macs), ("params", counted.params)):
        assert float(expected_cost(space, gates, (FEATURES,), metric, arch)(gates.weights)) == expected


def test_a_decision_that_two_answers_together_reveal_is_answered() -> None:
    kind, bias = choice("x", "y", name="kind"), choice(False, True, name="bias")
    one = switch(kind, x=call(nn.ReLU), y=call(nn.Tanh))
    other = switch(kind, x=call(nn.Linear, FEATURES, FEATURES, bias=bias), y=call(nn.ReLU))
    space = Space(model=call(nn.Sequential, choice(one=one, other=other, name="edge")))
    arch = Arch({"edge": "one", "kind": "y"})
    bank, gates = Bank(space), gates_of(space)
    relaxed = relax(bank, gates, arch)
    gates.fix(arch)
    assert torch.equal(relaxed(X), bank.lend(arch)(X))


CELLS = Space(model=cell_model(Spec("image", "classification", (3, 8, 8), 10, 100), width=4, cells=1))


def test_a_mixture_is_the_weighted_sum_of_its_options() -> None:
    space = Space(model=call(nn.Sequential, choice(a=call(nn.Linear, 8, 8), b=call(nn.ReLU), name="first")))
    bank, gates = Bank(space), gates_of(space)
    gates.draw()
    share = gates.logits["first"].softmax(-1)
    a, b = (bank.lend(Arch({"first": label}))(X) for label in "ab")
    torch.testing.assert_close(relax(bank, gates)(X), share[0] * a + share[1] * b)


def test_one_decision_has_one_weight_wherever_it_is_used() -> None:
    gates = gates_of(CELLS)
    assert len(gates.parameters()) == 6
    expected = expected_cost(CELLS, gates, (3, 8, 8))
    assert len(expected.choices) == 3 * 6
    gates.draw()
    value = expected(gates.weights)
    assert isinstance(value, torch.Tensor)
    value.backward()
    slopes = gates.logits["edge01"].grad
    assert slopes is not None and slopes.argmax() == 3 and slopes.argmin() != 3  # the 3x3 convolution costs most


@pytest.mark.parametrize("law", RELAXATION_LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("name", RELAXATIONS)
def test_every_relaxation_keeps_the_laws(name: str, law: RelaxationLaw) -> None:
    law(RELAXATIONS[name])


@pytest.mark.parametrize("name", ["darts", "gdas"])
def test_where_only_cost_counts_a_search_finds_the_cheapest_network(name: str) -> None:
    gates = gates_of(CELLS, relaxation=RELAXATIONS[name])
    expected = expected_cost(CELLS, gates, (3, 8, 8))
    optimizer = torch.optim.Adam(gates.parameters(), 0.05)
    for step in range(150):
        gates.draw(step / 150)
        value = expected(gates.weights)
        assert isinstance(value, torch.Tensor)
        optimizer.zero_grad()
        (value / 1e5).backward()
        optimizer.step()
    free = {"none", "skip_connect", "avg_pool_3x3"}
    assert set(gates.derive().values()) <= free


@pytest.mark.parametrize("method", [gumbel, binary])
def test_drawn_options_follow_the_shares(method: Any) -> None:
    logits = torch.tensor([1.0, 0.0, -1.0, 0.5])
    drawn = method(logits.expand(20_000, -1), generator(), 0.5)
    weights = drawn[0] if isinstance(drawn, tuple) else drawn
    assert set(weights.unique().tolist()) == {0.0, 1.0}
    torch.testing.assert_close(weights.mean(0), logits.softmax(-1), atol=0.01, rtol=0.0)


def test_the_pathwise_gradient_of_a_dirichlet_draw_is_that_of_its_mean() -> None:
    logits = torch.tensor([0.3, -0.2, 1.0], requires_grad=True)
    dirichlet(logits.expand(40_000, -1), generator(), 0.0)[:, 0].mean().backward()
    again = logits.detach().clone().requires_grad_()
    strengths = nn.functional.elu(again) + 1.0
    (strengths[0] / strengths.sum()).backward()
    torch.testing.assert_close(logits.grad, again.grad, atol=0.01, rtol=0.0)


def test_the_gradient_of_a_binary_gate_is_that_of_the_shares() -> None:
    logits = torch.tensor([0.3, -0.2, 1.0], requires_grad=True)
    costs = torch.tensor([5.0, 1.0, 2.0])
    (expected,) = torch.autograd.grad(logits.softmax(-1) @ costs, logits)
    for seed in range(5):
        weights, runs = binary(logits, generator(seed), 0.0)
        assert runs.all()
        torch.testing.assert_close(torch.autograd.grad(weights @ costs, logits)[0], expected)


def test_an_option_that_is_not_drawn_is_not_run() -> None:
    class Counted(nn.Module):
        runs = 0

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            Counted.runs += 1
            return x

    space = Space(model=choice(*[call(Counted) for _ in range(4)], name="one"))
    gates = gates_of(space, relaxation=gumbel)
    gates.draw(1.0)
    relax(Bank(space), gates)(X)
    assert Counted.runs == 1


def test_a_method_of_ones_own_is_a_function() -> None:
    def sparse(logits: torch.Tensor, generator: torch.Generator, progress: float) -> torch.Tensor:
        return torch.where(logits == logits.max(), 1.0, 0.0)

    space = Space(model=choice(a=call(nn.ReLU), b=call(nn.Tanh), name="act"))
    gates = gates_of(space, relaxation=sparse)
    gates.draw()
    answer = gates.derive()
    assert torch.equal(relax(Bank(space), gates)(X), Bank(space).lend(Arch(answer))(X))


def test_what_cannot_be_relaxed_is_refused_with_the_reason() -> None:
    with pytest.raises(SpaceError, match="define-by-run space cannot be relaxed"):
        relaxable(Space.from_function(by_run))
    width = choice(4, 8, name="width")
    space = Space(model=call(nn.Linear, 8, width))
    assert relaxable(space) == {}
    with pytest.raises(SpaceError, match="'width' cannot be mixed: it does not only choose between modules"):
        relax(Bank(space), Gates(space.decisions.values(), softmax))


def test_a_decision_that_also_sets_a_number_is_not_mixed() -> None:
    kind = choice(a=call(nn.ReLU), b=call(nn.Tanh), name="kind")
    space = Space(model=call(nn.Sequential, kind, call(nn.Linear, 8, switch(kind, a=4, b=8))))
    assert relaxable(space) == {}


def test_options_of_different_shapes_are_refused_with_their_path() -> None:
    options = {"same": call(nn.ReLU), "narrow": call(nn.Linear, 8, 4)}
    space = Space(model=call(nn.Sequential, choice(name="kind", **options)))
    gates = gates_of(space)
    gates.draw()
    with pytest.raises(SpaceError, match=r"options at model/0 cannot be mixed: one returns \[3, 8\], another \[3, 4\]"):
        relax(Bank(space), gates)(X)
    with pytest.raises(SpaceError, match="cannot be mixed"):
        expected_cost(space, gates, (8,))


def test_gradients_reach_the_bank_and_the_gates() -> None:
    bank, gates = Bank(CELLS), gates_of(CELLS)
    gates.draw()
    relax(bank, gates)(torch.randn(2, 3, 8, 8, generator=generator())).square().sum().backward()
    assert all(p.grad is not None for p in bank.parameters())
    assert all(p.grad is not None and p.grad.any() for p in gates.parameters())
    arch = sample(CELLS, np.random.default_rng(0))
    gates.fix(arch)
    x = torch.randn(2, 3, 8, 8, generator=generator())
    assert torch.equal(relax(bank, gates)(x), bank.lend(arch)(x))
