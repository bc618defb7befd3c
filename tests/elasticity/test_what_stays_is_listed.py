"""Layers that cannot vary, because of what they are or of what was asked for, are listed with the reason."""

import networks
import pytest
from torch import nn

import archsmith


def listed(network: nn.Module, example: tuple[int, ...], **wishes: object) -> tuple[set[str], dict[str, str]]:
    """The decisions, and the reasons by the path and what is fixed of it."""
    found = archsmith.elastic(network.eval(), example, **wishes)  # type: ignore[arg-type]
    return {*found.space.decisions}, {f"{fixed.path} {fixed.what}": fixed.reason for fixed in found.fixed}


def images(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3))


def test_layers_of_two_groups_are_listed() -> None:
    network = images(nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 8, 3, padding=1, groups=2))
    decisions, reasons = listed(network, (3, 8, 8), depth=False)
    assert not decisions
    for path in "01":
        assert reasons[f"{path} out_channels"] == "its 2 groups leave no smaller size than one group"


def test_a_layer_of_which_no_share_is_smaller_is_listed() -> None:
    decisions, reasons = listed(nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3)), (8,), width=0.95)
    assert not decisions and reasons["0 out_features"] == "no share that was asked for rounds to less than 16"


def test_groups_of_which_no_share_is_smaller_are_listed() -> None:
    network = images(nn.Conv2d(4, 8, 3, padding=1, groups=4))
    _, reasons = listed(nn.Sequential(nn.Conv2d(3, 4, 1), network), (3, 8, 8), width=0.95)
    assert reasons["1.0 out_channels"] == "no share that was asked for rounds to less than 4 groups"


def test_a_layer_of_one_channel_is_listed() -> None:
    network = images(nn.Conv2d(3, 1, 3, padding=1), nn.Conv2d(1, 8, 3, padding=1))
    decisions, reasons = listed(network, (3, 8, 8))
    assert decisions == {"1.width"} and reasons["0 out_channels"] == "no share that was asked for rounds to less than 1"


@pytest.mark.parametrize(("kernel", "told"), [((3,), True), ((2,), False), ((4, 5), False), ((), False)])
def test_a_kernel_without_a_smaller_size_of_its_parity_is_listed(kernel: tuple[int, ...], told: bool) -> None:
    network = images(nn.Conv2d(3, 8, 4, stride=2, padding=1))
    decisions, reasons = listed(network, (3, 8, 8), width=(), kernel=kernel)
    reason = "no kernel that was asked for is smaller than 4 by an even number, as one about the same middle is"
    assert reasons == ({"0 its kernel": reason} if told else {})
    assert decisions == ({"0.kernel"} if kernel == (2,) else set())


@pytest.mark.parametrize(("kernel", "told"), [((3,), True), ((7,), False), ((), False)])
def test_a_kernel_that_is_not_square_is_listed_where_a_smaller_one_was_asked_for(
    kernel: tuple[int, ...], told: bool
) -> None:
    network = images(nn.Conv2d(3, 8, (1, 7), padding=(0, 3)))
    reason = {"0 its kernel": "it is not square: (1, 7)"} if told else {}
    assert listed(network, (3, 8, 8), width=(), kernel=kernel) == (set(), reason)


def test_where_nothing_narrower_was_asked_for_no_width_is_listed() -> None:
    decisions, reasons = listed(nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3)), (8,), width=1.0)
    assert not decisions and not reasons


def test_the_reason_names_the_operation_without_a_rule_and_not_the_layer_after_it() -> None:
    decisions, reasons = listed(networks.Sorted(), (8,))
    assert decisions == {"b.width"} and "it goes through sort (networks.py:" in reasons["a out_features"]
    assert {*reasons} == {"a out_features", "c out_features"}
