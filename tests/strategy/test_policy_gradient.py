"""Policies: their gradients are exact, and what learns by them beats random search, also within limits."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from archsmith.errors import UsageError
from archsmith.space import Arch, Space, choice, enumerate_archs
from archsmith.strategy import RandomSearch, Strategy
from archsmith.strategy.categories import Categories
from archsmith.strategy.learner import Feasibility
from archsmith.strategy.policies import Policy, Recurrent, Softmaxes, Tried, draw, log_probability, path_of
from archsmith.strategy.ppo import PPO
from archsmith.strategy.reinforce import Reinforce
from archsmith.testing.spaces import EXAMPLES
from archsmith.testing.strategy import drive
from archsmith.trial import Evaluate, Proposal, State, Trial

BRANCHES = EXAMPLES["branches"]
SPACE = Space(**{f"x{i}": choice(*range(5), name=f"x{i}") for i in range(6)})
POLICIES: dict[str, Callable[[], Policy]] = {"softmax": Softmaxes, "recurrent": lambda: Recurrent(hidden=5, seed=1)}
each = pytest.mark.parametrize("make", POLICIES.values(), ids=POLICIES.keys())


def warmed(make: Callable[[], Policy], space: Space) -> tuple[Policy, Categories]:
    """Return a policy that is not uniform any more."""
    policy, categories = make(), Categories()
    for arch in enumerate_archs(space):
        log_probability(policy, path_of(space, arch, categories))
    rng = np.random.default_rng(0)
    for array in policy.parameters.values():
        array += rng.normal(size=array.shape) * 0.5
    return policy, categories


@each
def test_probabilities_of_all_architectures_add_up_to_one(make: Callable[[], Policy]) -> None:
    policy, categories = warmed(make, BRANCHES)
    logs = [log_probability(policy, path_of(BRANCHES, arch, categories)) for arch in enumerate_archs(BRANCHES)]
    assert np.exp(logs).sum() == pytest.approx(1.0, abs=1e-12)


@each
def test_draws_are_as_frequent_as_they_are_probable(make: Callable[[], Policy]) -> None:
    policy, categories = warmed(make, BRANCHES)
    rng, n = np.random.default_rng(0), 3000
    drawn = [draw(policy, BRANCHES, categories, rng) for _ in range(n)]
    for arch in enumerate_archs(BRANCHES):
        p = float(np.exp(log_probability(policy, path_of(BRANCHES, arch, categories))))
        assert abs(drawn.count(arch) / n - p) < 4 * np.sqrt(p * (1 - p) / n) + 1e-9


@each
@pytest.mark.parametrize("name", EXAMPLES)
def test_the_same_is_drawn_whatever_is_known_to_have_been_tried(make: Callable[[], Policy], name: str) -> None:
    space, policy, categories, tried = EXAMPLES[name], make(), Categories(), Tried()
    rngs = [np.random.default_rng(0), np.random.default_rng(0)]
    for _ in range(100):
        plain, found = (
            draw(policy, space, categories, rng, None, t) for rng, t in zip(rngs, (None, tried), strict=True)
        )
        assert plain == found
        tried.add(path_of(space, found, categories), found)


@each
def test_gradients_are_those_of_finite_differences(make: Callable[[], Policy]) -> None:
    policy, categories = warmed(make, BRANCHES)
    for arch in list(enumerate_archs(BRANCHES))[::4]:
        path = path_of(BRANCHES, arch, categories)

        def value(path: list = path) -> float:  # type: ignore[type-arg]
            state, total = policy.begin(), 0.0
            for split, group in path:
                logs, state = policy.step(state, split)
                total += 0.7 * logs[group] - 0.3 * float(np.exp(logs) @ logs)
                state = policy.chosen(state, split, group)
            return float(total)

        gradient = policy.ascent(path, 0.7, 0.3)
        for name, array in policy.parameters.items():
            flat, slope = array.reshape(-1), gradient.get(name, np.zeros_like(array)).reshape(-1)
            for place in range(0, flat.size, max(1, flat.size // 7)):
                kept = flat[place]
                ends = []
                for step in (1e-6, -1e-6):
                    flat[place] = kept + step
                    ends.append(value())
                flat[place] = kept
                assert slope[place] == pytest.approx((ends[0] - ends[1]) / 2e-6, abs=1e-7), (name, place)


@each
def test_the_expected_score_is_zero(make: Callable[[], Policy]) -> None:
    """A constant reward teaches nothing: the gradients of log p, weighted by p, cancel."""
    policy, categories = warmed(make, BRANCHES)
    total = {name: np.zeros_like(array) for name, array in policy.parameters.items()}
    for arch in enumerate_archs(BRANCHES):
        path = path_of(BRANCHES, arch, categories)
        for name, slope in policy.ascent(path, float(np.exp(log_probability(policy, path))), 0.0).items():
            total[name] += slope
    assert max(float(np.abs(array).max()) for array in total.values()) < 1e-12


def told(strategy: Strategy, archs: list[Arch], losses: list[float]) -> None:
    for number, (arch, loss) in enumerate(zip(archs, losses, strict=True)):
        strategy.tell(Trial(number, Evaluate(arch), "complete", losses=(loss,)))


def test_equal_results_change_nothing() -> None:
    strategy = Reinforce(SPACE)
    told(strategy, list(enumerate_archs(SPACE))[:50], [0.3] * 50)
    assert all((array == 0).all() for array in strategy._learner.policy.parameters.values())


def separable(proposal: Proposal, rng: np.random.Generator) -> tuple[State, tuple[float, ...], float]:
    weights = (1.0, 0.8, 0.6, 0.5, 0.4, 0.3)
    return "complete", (sum(w * abs(int(proposal.arch[f"x{i}"]) - 3) for i, w in enumerate(weights)),), 0.0  # type: ignore[arg-type]


def late(strategy: Strategy, seed: int) -> float:
    return float(np.mean([t.losses[0] for t in drive(strategy, 150, separable, slots=2, seed=seed).told[-50:]]))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Reinforce(SPACE),
        lambda: Reinforce(SPACE, "recurrent", hidden=8),
        lambda: PPO(SPACE, "softmax"),
    ],
    ids=["reinforce", "reinforce_recurrent", "ppo"],
)
def test_it_learns_what_random_search_cannot(make: Callable[[], Strategy]) -> None:
    seeds = range(3)
    learned, random = [late(make(), s) for s in seeds], [late(RandomSearch(SPACE), s) for s in seeds]
    assert np.mean(learned) < 0.75 * np.mean(random)
    assert all(a < b for a, b in zip(learned, random, strict=True))


# TabNAS: the two layers of a bottleneck. Larger is better, the first layer above all, within a budget of parameters.

LAYERS = Space(a=choice(2, 3, 4, name="a"), b=choice(2, 3, 4, name="b"))


def bottleneck(arch: Arch, bound: int = 25) -> tuple[float, float]:
    a, b = int(arch["a"]), int(arch["b"])  # type: ignore[arg-type]
    params = 4 * a + a * b + b
    return -(0.25 * a + 0.05 * b), max(0.0, params - bound) / bound


def learned(rejecting: bool, steps: int = 600, seed: int = 0) -> dict[Arch, float]:
    """Return the probability of each feasible architecture among them, drawn on policy."""
    policy, categories, feasible = Softmaxes(), Categories(), Feasibility(64)
    rng, average = np.random.default_rng(seed), None
    for _ in range(steps):
        arch = draw(policy, LAYERS, categories, rng)
        path = path_of(LAYERS, arch, categories)
        loss, violation = bottleneck(arch)
        feasible.saw(policy, path, violation == 0)
        if violation and rejecting:
            continue
        reward = -loss - 3 * violation
        advantage = 0.0 if average is None else reward - average
        average = reward if average is None else 0.9 * average + 0.1 * reward
        gradient = policy.ascent(path, advantage, 0.0)
        if rejecting:
            feasible.correct(gradient, policy, advantage)
        for name, slope in gradient.items():
            policy.parameters[name] += 0.3 * slope
    p = {a: float(np.exp(log_probability(policy, path_of(LAYERS, a, categories)))) for a in enumerate_archs(LAYERS)}
    total = sum(v for a, v in p.items() if not bottleneck(a)[1])
    return {a: v / total for a, v in p.items() if not bottleneck(a)[1]}


def test_rejection_with_correction_converges_to_the_feasible_optimum() -> None:
    shares = [learned(rejecting=True, seed=s) for s in range(4)]
    best = min(shares[0], key=lambda a: bottleneck(a)[0])
    assert np.mean([share[best] for share in shares]) > 0.8
    assert np.mean([share[best] for share in shares]) > np.mean([learned(False, seed=s)[best] for s in range(4)])


def test_the_correction_is_the_gradient_of_the_feasible_probability() -> None:
    policy, categories = warmed(Softmaxes, LAYERS)
    everything = {a: path_of(LAYERS, a, categories) for a in enumerate_archs(LAYERS)}
    feasible, rng = Feasibility(4000), np.random.default_rng(0)
    for _ in range(4000):
        arch = draw(policy, LAYERS, categories, rng)
        feasible.saw(policy, everything[arch], bottleneck(arch)[1] == 0)
    found: dict[str, np.ndarray] = {}
    feasible.correct(found, policy, -1.0)
    p = {a: float(np.exp(log_probability(policy, path))) for a, path in everything.items()}
    total = sum(v for a, v in p.items() if not bottleneck(a)[1])
    for name in ("a", "b"):
        kept = [a for a in everything if not bottleneck(a)[1]]
        exact = sum(p[a] / total * policy.ascent(everything[a], 1.0, 0.0)[name] for a in kept)
        assert found[name] == pytest.approx(exact, abs=0.03)


def test_within_limits_it_finds_the_best_feasible_one() -> None:
    def limited(proposal: Proposal, rng: np.random.Generator) -> tuple[State, tuple[float, ...], float]:
        loss, violation = bottleneck(proposal.arch)
        return ("infeasible", (float("inf"),), violation) if violation else ("complete", (loss,), 0.0)

    log = drive(Reinforce(LAYERS), 9, limited)
    assert {t.arch for t in log.told} == set(enumerate_archs(LAYERS))


@pytest.mark.parametrize("name", ["branches", "everything"])
def test_a_recurrent_controller_is_restored_by_a_replay(name: str) -> None:
    space = EXAMPLES[name]
    strategy = Reinforce(space, "recurrent", hidden=4, entropy=0.01)
    told = drive(strategy, 25, lambda p, r: ("complete", (float(r.random()),), 0.0), slots=2).told
    copy = replace(strategy)
    for trial in told:
        copy.tell(trial)
    for seed in range(3):
        asked = [list(s.ask(2, np.random.default_rng(seed), ())) for s in (strategy, copy)]
        assert asked[0] == asked[1]


def test_senseless_arguments_are_refused() -> None:
    for senseless in ({"rate": 0}, {"momentum": 1.0}, {"policy": "lstm"}):
        for strategy in (Reinforce, PPO):
            with pytest.raises(UsageError, match=next(iter(senseless))):
                strategy(SPACE, **senseless)  # type: ignore[arg-type]


def test_every_trial_that_the_correction_learns_from_is_weighted_by_how_likely_it_has_become() -> None:
    policy, categories = warmed(Softmaxes, LAYERS)
    feasible, rng = Feasibility(32), np.random.default_rng(0)
    for _ in range(31):  # before any limit was broken
        feasible.saw(policy, path_of(LAYERS, draw(policy, LAYERS, categories, rng), categories), True)
    kept = path_of(LAYERS, Arch({"a": 2, "b": 2}), categories)
    feasible.saw(policy, path_of(LAYERS, Arch({"a": 4, "b": 4}), categories), False)
    feasible.saw(policy, kept, True)
    for name, slope in policy.ascent(kept, 1.0, 0.0).items():
        policy.parameters[name] += 2.0 * slope
    found: dict[str, np.ndarray] = {}
    feasible.correct(found, policy, -1.0)
    for name, slope in policy.ascent(kept, 1.0, 0.0).items():  # the one that is known to be feasible since
        assert found[name] == pytest.approx(slope)
