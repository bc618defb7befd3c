"""Which trials become finalists, what the verdict says, and what is known before training."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from archsmith.errors import LimitError
from archsmith.pipeline.comparisons import BOOSTING, WINNER, Comparison
from archsmith.pipeline.finalists import choose, ranked
from archsmith.pipeline.screen import Pace, Screen, Tempo, corrected, listens, probe
from archsmith.pipeline.verdict import verdict
from archsmith.space import Arch, Space, sample
from archsmith.spaces import mobile
from archsmith.spaces.cell import cell_model
from archsmith.task import load
from archsmith.trial import Evaluate, Trial, maximize


def trial(number, losses, epochs=1.0, arch=None, violation=0.0):
    proposal = Evaluate(Arch({"x": number if arch is None else arch}), {"epochs": epochs})
    return Trial(number, proposal, "complete", losses=losses, violation=violation)


def test_a_low_fidelity_never_outranks_a_full_training():
    trials = [trial(0, (-0.99,), 1.0), trial(1, (-0.90,), 9.0), trial(2, (-0.95,), 9.0), trial(3, (-0.97,), 3.0)]
    assert [t.number for t in ranked(trials)] == [2, 1, 3, 0]
    assert [t.number for t in choose(trials, 2)] == [2, 1]


def test_an_architecture_stands_once_at_its_highest_fidelity():
    trials = [trial(0, (-0.5,), 1.0, arch=7), trial(1, (-0.6,), 3.0, arch=7), trial(2, (-0.4,), 1.0, arch=8)]
    assert [t.number for t in ranked(trials)] == [1, 2]


def test_what_breaks_a_limit_is_never_chosen():
    assert choose([trial(0, (-1.0,), violation=0.1), trial(1, (-0.1,))], 5) == [trial(1, (-0.1,))]
    assert choose([trial(0, (-1.0,), violation=0.1)], 5) == []


def test_several_objectives_choose_along_the_front():
    full = [(-0.9, 5.0), (-0.8, 1.0), (-0.7, 6.0)]
    trials = [*(trial(i, losses, 9.0) for i, losses in enumerate(full)), trial(3, (-0.99, 9.0), 1.0)]
    assert [t.number for t in choose(trials, 4)] == [0, 1]


@pytest.fixture(scope="module")
def digits():
    return load("digits")


@pytest.fixture
def hurried(monkeypatch):
    monkeypatch.setattr("archsmith.pipeline.screen.PROBE_SECONDS", 0.5)


def test_a_limit_nothing_can_meet_is_told_at_once_with_the_closest(digits, hurried):
    space = mobile(digits.spec)
    limits = {"params": 100.0}
    with pytest.raises(LimitError, match=r"closest found has params = [\d,]+ \(limit 100\)"):
        probe(space, Screen(space, digits, limits), limits, np.random.default_rng(0))


def test_a_rare_limit_is_met_by_looking_for_it(digits, hurried):
    space = mobile(digits.spec)
    rng = np.random.default_rng(0)
    smallest = sorted(Screen(space, digits, {})(sample(space, rng))["params"] for _ in range(30))[0]
    limits = {"params": 0.6 * smallest}
    found = probe(space, Screen(space, digits, limits), limits, rng)
    assert found.rare and Screen(space, digits, limits)(found.starts[0])["params"] <= limits["params"]


@pytest.mark.parametrize(("through", "heard"), [("none", False), ("nor_conv_3x3", True)])
def test_a_network_whose_edges_are_cut_is_deaf_and_a_deep_untrained_one_is_not(digits, through, heard):
    space = Space(model=cell_model(digits.spec, width=16, cells=5))
    chain = {"edge01": through, "edge12": through, "edge23": through}
    arch = Arch({**dict.fromkeys(space.decisions, "none"), **chain})
    assert listens(digits, space, arch) is heard


def test_latency_is_measured_only_for_what_breaks_no_other_limit(digits):
    space = mobile(digits.spec)
    arch = sample(space, np.random.default_rng(0))
    assert "latency_ms" not in Screen(space, digits, {"params": 1.0}, timed=True)(arch)
    assert Screen(space, digits, {"params": 1e9}, timed=True)(arch)["latency_ms"] > 0


def test_a_slower_network_is_predicted_to_be_slower():
    tempo = Tempo((0.001, 1e-9, 1e-9), steps=10)
    small, large = (type("C", (), {"macs": n, "activation_bytes": n})() for n in (1e5, 1e7))
    assert tempo.epoch_seconds(small) < tempo.epoch_seconds(large)


def test_trainings_faster_than_predicted_correct_the_tempo_and_slower_ones_do_not(digits):
    space = mobile(digits.spec)
    pace = Pace(space, digits.spec.input_shape, Tempo((0.001, 1e-9, 1e-9), steps=10))
    arch = sample(space, np.random.default_rng(0))
    for ratio, factor in ((0.1, 0.1), (3.0, 1.0)):
        done = [replace(trial(0, (0.0,), arch=1), metrics={})]
        done += [
            replace(t, proposal=Evaluate(arch), metrics={"seconds_per_epoch": ratio * pace(arch)}) for t in 3 * done
        ]
        assert replace(pace, tempo=corrected(pace, done))(arch) == pytest.approx(factor * pace(arch))
    assert corrected(pace, []) == pace.tempo


METRICS = {"accuracy": 0.95, "params": 1000.0, "latency_ms": 0.5}


def judged(winner, rival, noise=0.01, **more):
    compared = [
        Comparison(WINNER, "winner", {"accuracy": winner}, 10.0),
        Comparison("resnet20", "human", {"accuracy": rival}, 10.0),
        *([Comparison(BOOSTING, "boosting", {"accuracy": more["boosting"]}, 1.0)] if "boosting" in more else []),
    ]
    return verdict(maximize("accuracy"), METRICS, {"accuracy": 0.94}, compared, more.get("missing", []), {}, noise)


def test_the_verdict_says_who_won_and_calls_a_tie_a_tie():
    assert "the search won" in judged(0.95, 0.90)
    assert "the search did not win" in judged(0.90, 0.95)
    assert "did not clearly win" in judged(0.95, 0.945)
    assert "Gradient boosting (scikit-learn) has accuracy 99.00%" in judged(0.95, 0.9, boosting=0.99)


def test_the_verdict_says_so_when_nothing_was_compared():
    text = verdict(maximize("accuracy"), METRICS, {"accuracy": 0.94}, [], ["resnet20"], {"params": 1e4}, 0.01)
    assert "no evidence yet" in text and "want of time: resnet20" in text and "All limits hold" in text
    assert torch.is_grad_enabled()
