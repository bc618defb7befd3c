"""A training recipe is checked when it is made, and its mistakes are named."""

from typing import Any

import pytest

from archsmith.errors import UsageError
from archsmith.estimate import Settings


def test_it_survives_json_and_takes_plain_values() -> None:
    chosen = Settings.from_values({"optimizer": "adamw", "lr": 1, "batch_size": 64.0, "dropout": None})
    assert (chosen.optimizer, chosen.lr, chosen.batch_size, chosen.dropout) == ("adamw", 1.0, 64, None)
    assert Settings.from_values(chosen.to_json()) == chosen


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"learning_rte": 0.1}, "no training setting called 'learning_rte'"),
        ({"weight_dekay": 0.1}, "Did you mean 'weight_decay'"),
        ({"optimizer": "adam"}, "Did you mean 'adamw'"),
        ({"augment": "shift_flop"}, "Did you mean 'flip'"),
        ({"lr": "0.1"}, "'lr' must be float or None, not '0.1'"),
        ({"lr": float("nan")}, "lr is nan"),
        ({"lr": 0}, "must be positive"),
        ({"batch_size": 12.5}, "must be int"),
        ({"label_smoothing": 1.0}, "between 0 and 0.99"),
        ({"clip": True}, "must be float"),
    ],
)
def test_what_cannot_be_is_refused_with_the_nearest_that_can(values: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Settings.from_values(values)


def test_the_optimiser_brings_its_usual_rates() -> None:
    assert Settings("sgd").peak_lr > Settings("adamw").peak_lr
    assert Settings("sgd").decay < Settings("adamw").decay
    assert Settings(lr=0.3, weight_decay=0.0).peak_lr == 0.3
    assert Settings(lr=0.3, weight_decay=0.0).decay == 0.0
    assert Settings(augment="none").augmentations == ()
    assert Settings(augment="shift_flip").augmentations == ("shift", "flip")
