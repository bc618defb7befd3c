"""The derivatives of a bilevel problem, beside their closed forms."""

import pytest
import torch
from torch import nn

from archsmith.estimate import dominant_eigenvalue, hypergradient
from archsmith.estimate.optimizer import push_of


def test_the_hypergradient_is_that_of_the_closed_form_and_the_first_order_is_not() -> None:
    # The weights follow the gates: train = |w - A a|^2 / 2, valid = |w - b|^2 / 2 + |a|^2 / 2. One step of rate r gives
    # w' = w - r (w - A a), so the derivative of valid(w') by a is a + r A^T (w' - b).
    generator = torch.Generator().manual_seed(0)
    matrix, aim = torch.randn(5, 3, generator=generator), torch.randn(5, generator=generator)
    weights = torch.randn(5, generator=generator).requires_grad_()
    gates = torch.randn(3, generator=generator).requires_grad_()
    rate, before = 0.3, weights.detach().clone()
    found = hypergradient(
        lambda: 0.5 * (weights - matrix @ gates).square().sum(),
        lambda: 0.5 * (weights - aim).square().sum() + 0.5 * gates.square().sum(),
        [weights],
        [gates],
        rate,
    )[0]
    after = before - rate * (before - matrix @ gates.detach())
    exact = gates.detach() + rate * matrix.T @ (after - aim)
    assert (found - exact).norm() / exact.norm() < 1e-5
    first_order = gates.detach()
    assert (first_order - exact).norm() / exact.norm() > 0.1
    assert torch.equal(weights, before)


def test_the_step_of_the_hypergradient_is_that_of_the_optimiser_with_its_momentum_and_decay() -> None:
    rate, decay, momentum = 0.1, 0.3, 0.9
    weight, gate = nn.Parameter(torch.tensor([2.0])), torch.tensor([0.5], requires_grad=True)
    optimizer = torch.optim.SGD([weight], rate, momentum=momentum, weight_decay=decay)
    optimizer.state[weight]["momentum_buffer"] = torch.tensor([4.0])
    [found] = hypergradient(
        lambda: (gate * weight).sum(),
        lambda: 0.5 * weight.square().sum(),
        [weight],
        [gate],
        rate,
        push_of(optimizer, [weight]),
    )
    # d/dgate of w'^2 / 2, where w' = w - rate (gate + decay w + momentum v)
    after = 2.0 - rate * (0.5 + decay * 2.0 + momentum * 4.0)
    assert found.item() == pytest.approx(-rate * after, rel=1e-5)


def test_the_dominant_eigenvalue_is_that_of_the_matrix() -> None:
    generator = torch.Generator().manual_seed(0)
    root = torch.randn(6, 6, generator=generator)
    matrix = root @ root.T
    gates = [torch.randn(2, generator=generator).requires_grad_(), torch.randn(4, generator=generator).requires_grad_()]

    def loss() -> torch.Tensor:
        joined = torch.cat(gates)
        return 0.5 * joined @ matrix @ joined

    exact = float(torch.linalg.eigvalsh(matrix)[-1])
    assert abs(dominant_eigenvalue(loss, gates, generator, 100) - exact) < 1e-3 * exact
