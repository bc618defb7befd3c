"""MnasNet's reward, by the paper's figures."""

import json
import math

import numpy as np

from archsmith.trial import Objective, maximize, tradeoff

SOFT = tradeoff("accuracy", "latency", 80.0)
HARD = tradeoff("accuracy", "latency", 80.0, 0.0, -1.0)


def reward(objective, accuracy, latency):
    return -objective.loss({"accuracy": accuracy, "latency": latency})


def test_on_target_the_reward_is_the_accuracy():
    for objective in (SOFT, HARD):
        assert reward(objective, 0.75, 80.0) == 0.75


def test_twice_the_latency_is_worth_five_percent_of_accuracy():
    assert round(reward(SOFT, 0.7875, 160.0), 4) == 0.7502
    assert math.isclose(math.log2(1.05), 0.0704, abs_tol=5e-5)


def test_the_hard_form_counts_only_accuracy_below_the_target():
    assert reward(HARD, 0.75, 10.0) == 0.75
    assert reward(HARD, 0.75, 160.0) == 0.375


def test_the_best_latency_grows_with_the_target():
    latency = np.linspace(5, 200, 400)
    accuracy = 0.9 - 0.5 * np.exp(-latency / 40)
    best = []
    for target in (10, 20, 40, 80, 160):
        objective = tradeoff("accuracy", "latency", target, -0.02, -0.5)
        best.append(latency[np.argmax([reward(objective, a, x) for a, x in zip(accuracy, latency, strict=True)])])
    assert best == sorted(best) and best[0] < best[-1]


def test_objectives_survive_json():
    for objective in (SOFT, HARD, maximize("accuracy"), Objective("loss", "min")):
        assert Objective.from_json(json.loads(json.dumps(objective.to_json()))) == objective


def test_what_is_missing_never_wins():
    assert SOFT.loss({"accuracy": 0.9}) == math.inf
    assert SOFT.loss({"latency": 0.9}) == math.inf
    assert SOFT.loss({"accuracy": 0.9, "latency": 0.0}) == math.inf
    assert maximize("accuracy").loss({"accuracy": 0.9}) == -0.9
