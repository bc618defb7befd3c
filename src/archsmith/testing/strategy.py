"""The laws of a strategy, as functions of a factory: ``for law in STRATEGY_LAWS: law(make)``.

``make(space)`` returns a new strategy for a space. Each law drives it through asks and tells that need no training,
and raises ``AssertionError`` with what was broken.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from archsmith.errors import UsageError
from archsmith.run import Run
from archsmith.space import Space, always_asked, check, wirings
from archsmith.strategy import Abilities, Recommends, Strategy, abilities_of, names
from archsmith.study import Study
from archsmith.testing.spaces import EXAMPLES
from archsmith.trial import Objective, Proposal, State, Trial, leaders

__all__ = [
    "STRATEGY_LAWS",
    "Drive",
    "MakeStrategy",
    "Outcome",
    "StrategyLaw",
    "asking_changes_nothing",
    "batches_belong_to_the_space",
    "constructors_store_their_arguments",
    "drive",
    "failure_alone_is_survived",
    "nothing_is_evaluated_twice",
    "objectives_and_limits_go_together",
    "only_losses_are_seen",
    "proposals_belong_to_the_space",
    "randomness_is_handed_in",
    "recommendations_are_of_the_trials",
    "replacing_makes_fresh",
    "replaying_restores",
    "several_objectives_are_taken",
    "trouble_is_survived",
    "what_is_not_claimed_is_refused",
]

MakeStrategy = Callable[[Space], Strategy]
StrategyLaw = Callable[[MakeStrategy], None]
Outcome = Callable[[Proposal, np.random.Generator], tuple[State, tuple[float, ...], float]]


@dataclass
class Drive:
    """What happened in a driven search: every ask with what it was handed and answered, every tell."""

    asks: list[tuple[int, int, tuple[Trial, ...], tuple[Proposal, ...], int]] = field(default_factory=list)
    told: list[Trial] = field(default_factory=list)

    @property
    def proposals(self) -> list[Proposal]:
        """Everything that was proposed, in order."""
        return [p for ask in self.asks for p in ask[3]]


def drive(strategy: Strategy, trials: int, outcome: Outcome, slots: int = 1, batch: int = 1, seed: int = 0) -> Drive:
    """Run a strategy for a number of trials on ``slots`` workers that finish in random order.

    ``outcome(proposal, rng)`` gives a trial's state, losses and violation. Each ask gets a generator seeded by
    (seed, ask index), as in a study. Ends early when nothing is proposed and nothing runs.
    """
    log, running, number = Drive(), list[Trial](), 0
    order = np.random.default_rng([seed, 12345])
    while len(log.told) < trials:
        free = min(batch, slots - len(running), trials - len(log.told) - len(running))
        if free > 0:
            proposals = tuple(strategy.ask(free, np.random.default_rng([seed, number]), tuple(running)))
            log.asks.append((number, free, tuple(running), proposals, len(log.told)))
            running += [Trial(number + i, p) for i, p in enumerate(proposals)]
            number += len(proposals)
            if proposals and len(running) < slots:
                continue
        if not running:
            return log
        ended = running.pop(int(order.integers(len(running))))
        state, losses, violation = outcome(ended.proposal, np.random.default_rng([seed, 1, ended.number]))
        trial = replace(ended, state=state, losses=losses, violation=violation, seconds=1.0)
        log.told.append(trial)
        strategy.tell(trial)
    return log


def _smooth(proposal: Proposal, rng: np.random.Generator) -> tuple[State, tuple[float, ...], float]:
    """Give a loss that depends on the architecture alone, and shrinks a little with what is spent."""
    spent = math.prod(proposal.fidelity.values()) if proposal.fidelity else 1.0
    return "complete", (int(proposal.arch.id[:6], 16) / 16**6 + 0.1 / spent,), 0.0


def _troubled(proposal: Proposal, rng: np.random.Generator) -> tuple[State, tuple[float, ...], float]:
    """Give every kind of ending there is: failed, stopped, infeasible, cached, not a number, beyond a limit."""
    kind = int(rng.integers(9))
    if kind < 3:
        return _smooth(proposal, rng)
    endings: list[tuple[State, tuple[float, ...], float]] = [
        ("failed", (math.inf,), 0.0),
        ("stopped", (math.inf,), 0.0),
        ("infeasible", (math.inf,), float(rng.random()) + 0.1),
        ("complete", (math.inf,), 0.0),
        ("complete", (0.0,), 0.5),
        ("cached", _smooth(proposal, rng)[1], 0.0),
    ]
    return endings[kind - 3]


def _hopeless(proposal: Proposal, rng: np.random.Generator) -> tuple[State, tuple[float, ...], float]:
    """Let every trial fail."""
    return "failed", (math.inf,), 0.0


def _threefold(proposal: Proposal, rng: np.random.Generator) -> tuple[State, tuple[float, ...], float]:
    """Give three losses, the third often tied."""
    digits = proposal.arch.id
    return "complete", (int(digits[:4], 16) / 16**4, int(digits[4:8], 16) / 16**4, float(int(digits[8], 16) // 4)), 0.0


def _bounded(proposal: Proposal, rng: np.random.Generator) -> tuple[State, tuple[float, ...], float]:
    """Give two losses, of which the first shrinks with what is spent, and let two of five break a limit."""
    digits, spent = proposal.arch.id, math.prod(proposal.fidelity.values()) if proposal.fidelity else 1.0
    losses = (int(digits[:4], 16) / 16**4 + 0.1 / spent, int(digits[4:8], 16) / 16**4)
    return "complete", losses, max(0.0, int(digits[8:10], 16) / 256 - 0.6)


def _each(make: MakeStrategy) -> Iterator[tuple[str, Space, Strategy]]:
    """Yield every example that the strategy claims to handle."""
    able = abilities_of(make(EXAMPLES["flat"]))
    for name, space in EXAMPLES.items():
        if not _beyond(able, space):
            yield name, space, make(space)


def _beyond(able: Abilities, space: Space) -> bool:
    """Return whether a space needs what is not claimed."""
    ranges = any(d.size == math.inf for d in space.decisions.values())
    conditional = len(always_asked(space)) < len(space.decisions)
    no_cell = able.cells and not wirings(space)
    return (ranges and not able.ranges) or (conditional and not able.conditionals) or no_cell


def _sound(name: str, space: Space, log: Drive) -> None:
    """Check that every proposal is of the space and that every resumed trial can be resumed."""
    for _, asked, _, proposals, done in log.asks:
        assert len(proposals) <= asked, f"{name}: {len(proposals)} proposals where {asked} were asked for"
        ended = {t.number: t for t in log.told[:done]}
        for proposal in proposals:
            check(space, proposal.arch)
            if proposal.resume is not None:
                assert proposal.resume in ended, f"{name}: resumes {proposal.resume}, which has not ended"
                resumed = ended[proposal.resume]
                assert resumed.usable, f"{name}: resumes {proposal.resume}, which is {resumed.state}"
                assert resumed.arch == proposal.arch, f"{name}: resumes a trial of another architecture"


def proposals_belong_to_the_space(make: MakeStrategy) -> None:
    """Every proposal answers exactly the active decisions: conditionals, ranges, picks, constraints, no decisions."""
    for name, space, strategy in _each(make):
        log = drive(strategy, 25, _smooth)
        assert log.told, f"{name}: nothing was proposed"
        _sound(name, space, log)


def batches_belong_to_the_space(make: MakeStrategy) -> None:
    """Asking for several at once gives at most as many, all of the space; asking for none gives none."""
    for name, space, strategy in _each(make):
        assert not strategy.ask(0, np.random.default_rng(0), ()), f"{name}: a proposal where none was asked for"
        for batch in (2, 7):
            _sound(name, space, drive(make(space), 30, _smooth, slots=batch, batch=batch))


def asking_changes_nothing(make: MakeStrategy) -> None:
    """Asked again with equal generators and running trials, it answers the same, whatever was asked in between."""
    for name, _, strategy in _each(make):
        for told in range(3):
            log = drive(strategy, 8 + told, _troubled, slots=3, seed=told)
            running = tuple(Trial(1000 + i, p) for i, p in enumerate(log.proposals[-2:]))
            first = list(strategy.ask(3, np.random.default_rng(7), running))
            strategy.ask(5, np.random.default_rng(8), ())
            strategy.ask(1, np.random.default_rng(9), running)
            again = list(strategy.ask(3, np.random.default_rng(7), running))
            assert first == again, f"{name}: asking changed what a later ask answers"


def replaying_restores(make: MakeStrategy) -> None:
    """A fresh copy that is told the log answers every ask as the first did, at every point, in whatever order."""
    for outcome in (_smooth, _troubled):
        for name, _, strategy in _each(make):
            log = drive(strategy, 24, outcome, slots=4, batch=2)
            copy, done = _fresh(strategy), 0
            for number, asked, running, proposals, told in log.asks:
                for trial in log.told[done:told]:
                    copy.tell(trial)
                done = told
                again = tuple(copy.ask(asked, np.random.default_rng([0, number]), running))
                assert again == proposals, f"{name}: ask {number} differs after a replay of {told} trials"
            for trial in log.told[done:]:
                copy.tell(trial)
            late = _fresh(strategy)  # told everything at once, never asked in between
            for trial in log.told:
                late.tell(trial)
            last = [list(s.ask(2, np.random.default_rng(5), ())) for s in (copy, late)]
            assert last[0] == last[1], f"{name}: what was asked in between changed the answer"


def replacing_makes_fresh(make: MakeStrategy) -> None:
    """``dataclasses.replace`` of a used strategy equals a new one, and the used one is not disturbed by it."""
    for name, space, strategy in _each(make):
        drive(strategy, 15, _smooth)
        before = list(strategy.ask(2, np.random.default_rng(3), ()))
        used = drive(_fresh(strategy), 15, _smooth, seed=1).proposals
        new = drive(make(space), 15, _smooth, seed=1).proposals
        assert used == new, f"{name}: a copy remembers what the original was told"
        assert list(strategy.ask(2, np.random.default_rng(3), ())) == before, f"{name}: a copy disturbed the original"


def constructors_store_their_arguments(make: MakeStrategy) -> None:
    """Public fields are the constructor's arguments, unchanged by any use; state is private and takes no argument."""
    strategy: Any = make(EXAMPLES["flat"])
    public = {f.name: getattr(strategy, f.name) for f in fields(strategy) if f.init}
    text = repr(strategy)
    for f in fields(strategy):
        assert f.init != f.name.startswith("_"), f"{f.name}: arguments are public, state is private"
        assert f.init or not (f.repr or f.compare), f"{f.name}: state is left out of repr and comparison"
    drive(strategy, 15, _smooth)
    for name, value in public.items():
        assert getattr(strategy, name) is value, f"{name} was changed by use"
    assert repr(strategy) == text, "repr changed by use"
    assert type(strategy)(**public) == strategy, "equal arguments make an unequal strategy"


def trouble_is_survived(make: MakeStrategy) -> None:
    """Failed, stopped, infeasible, cached and NaN trials are told, and the search goes on."""
    for name, space, strategy in _each(make):
        _sound(name, space, drive(strategy, 40, _troubled, slots=3))
    log = drive(make(EXAMPLES["flat"]), 40, _troubled, slots=3)
    assert len(log.told) == 40, "the search ended although most of the space is untried"


def failure_alone_is_survived(make: MakeStrategy) -> None:
    """Told of nothing but failures, it still proposes."""
    log = drive(make(EXAMPLES["flat"]), 30, _hopeless, slots=2)
    assert len(log.told) == 30, "it gave up"
    _sound("flat", EXAMPLES["flat"], log)


def several_objectives_are_taken(make: MakeStrategy) -> None:
    """Losses are a tuple of any length, where it claims to handle several objectives."""
    if not abilities_of(make(EXAMPLES["flat"])).many_objectives:
        return
    for name, space, strategy in _each(make):
        _sound(name, space, drive(strategy, 40, _threefold, slots=3))


def objectives_and_limits_go_together(make: MakeStrategy) -> None:
    """With two objectives and a limit at once, also over rungs: nothing that breaks the limit is given more.

    Where it claims both. The search goes on, is restored by a replay, and a study's front is within the limit.
    """
    able = abilities_of(make(EXAMPLES["flat"]))
    if not (able.many_objectives and able.limits):
        return
    for name, space, strategy in _each(make):
        if name not in ("flat", "branches"):
            continue
        log = drive(strategy, 30, _bounded, slots=3)
        _sound(name, space, log)
        copy = _fresh(strategy)
        for trial in log.told:
            copy.tell(trial)
        asked = [list(s.ask(3, np.random.default_rng(5), ())) for s in (strategy, copy)]
        assert asked[0] == asked[1], f"{name}: a replay asks for something else"

    def evaluate(proposal: Proposal, run: Run) -> dict[str, float]:
        _, (a, b), violation = _bounded(proposal, np.random.default_rng(0))
        return {"a": a, "b": b, "spent": 1.0 + violation}

    objectives = [Objective("a", "min"), Objective("b", "min")]
    study = Study(EXAMPLES["flat"], make(EXAMPLES["flat"]), evaluate, objectives, {"spent": 1.0}).run(trials=40)
    assert study.front and all(t.metrics["spent"] <= 1.0 for t in study.front), "the front breaks the limit"
    resumed = {t.proposal.resume for t in study.trials} - {None}
    assert all(study.trials[n].usable for n in resumed if n is not None), "what breaks the limit was given more"
    if able.fidelities:
        assert resumed, "nothing was given more"


def only_losses_are_seen(make: MakeStrategy) -> None:
    """Metrics, seconds, reasons and keys do not sway it: directions and limits were settled before."""
    for name, space, strategy in _each(make):
        log = drive(strategy, 20, _smooth)
        dressed = make(space)
        for trial in log.told:
            metrics = {"accuracy": trial.number * 1.0}
            dressed.tell(replace(trial, metrics=metrics, seconds=9.0, reason="said", source_key=str(trial.number)))
        asked = [list(s.ask(3, np.random.default_rng(1), ())) for s in (strategy, dressed)]
        assert asked[0] == asked[1], f"{name}: something other than losses changed a proposal"


def randomness_is_handed_in(make: MakeStrategy) -> None:
    """Equal generators give equal searches, others give others, and global generators are left alone."""
    space = EXAMPLES["flat"]
    state, legacy = random.getstate(), repr(np.random.get_state())  # noqa: NPY002  (looked at, never drawn from)
    one, same, other = (drive(make(space), 12, _smooth, seed=seed).proposals for seed in (1, 1, 2))
    assert one == same, "equal seeds gave different searches"
    assert one != other or abilities_of(make(space)).deterministic, "different seeds gave the same search"
    assert random.getstate() == state, "the global generator of random was used"
    assert repr(np.random.get_state()) == legacy, "the global generator of numpy was used"  # noqa: NPY002


def recommendations_are_of_the_trials(make: MakeStrategy) -> None:
    """A strategy that recommends names a usable one of the trials handed in, the same after a replay, and only then."""
    for outcome in (_smooth, _troubled, _hopeless):
        for name, _, strategy in _each(make):
            if not isinstance(strategy, Recommends):
                continue
            assert strategy.recommend(()) is None, f"{name}: recommends something of nothing"
            log = drive(strategy, 25, outcome, slots=2)
            before = list(strategy.ask(2, np.random.default_rng(3), ()))
            for candidates in (leaders(log.told), leaders(log.told[::2]), [t for t in log.told if not t.usable]):
                answer = strategy.recommend(candidates)
                usable = [t for t in candidates if t.usable]
                assert answer in usable or (answer is None and not usable), f"{name}: recommends {answer}"
                copy: Any = _fresh(strategy)
                for trial in log.told:
                    copy.tell(trial)
                assert copy.recommend(candidates) == answer, f"{name}: recommends something else after a replay"
            after = list(strategy.ask(2, np.random.default_rng(3), ()))
            assert after == before, f"{name}: recommending changed what a later ask answers"


def what_is_not_claimed_is_refused(make: MakeStrategy) -> None:
    """What it does not claim to handle it refuses, at once, with a sentence that names strategies that can."""
    flat = make(EXAMPLES["flat"])
    able = abilities_of(flat)
    for name, space in EXAMPLES.items():
        if _beyond(able, space):
            _refused(lambda space=space: make(space), f"a space such as {name!r}")  # type: ignore[misc]
    losses = [Objective("a", "min"), Objective("b", "min")]
    if not able.many_objectives:
        _refused(lambda: Study(EXAMPLES["flat"], flat, lambda p, run: {}, losses), "two objectives")
    if not able.limits:
        _refused(lambda: Study(EXAMPLES["flat"], flat, lambda p, run: {}, losses[:1], {"b": 1.0}), "limits")


def _refused(attempt: Callable[[], object], what: str) -> None:
    try:
        attempt()
    except UsageError as error:
        text = str(error)
        assert "These can: " in text, f"it refuses {what} without naming who can: {text}"
        able = text.rpartition("These can: ")[2].rstrip(".").split(", ")
        assert set(able) <= set(names()), f"it refuses {what} and names strategies that there are not: {text}"
    else:
        raise AssertionError(f"it claims not to handle {what}, and does not refuse")


def nothing_is_evaluated_twice(make: MakeStrategy) -> None:
    """In a study no architecture is evaluated twice at one fidelity; a small space is not searched for ever."""
    for name, space, strategy in _each(make):
        seen: Counter[tuple[str, str]] = Counter()

        def evaluate(proposal: Proposal, run: Run, seen: Counter[tuple[str, str]] = seen) -> dict[str, float]:
            seen[proposal.arch.id, repr(sorted(proposal.fidelity.items()))] += 1
            return {"loss": _smooth(proposal, np.random.default_rng(0))[1][0]}

        Study(space, strategy, evaluate, [Objective("loss", "min")], patience=100).run(trials=30)
        assert seen and max(seen.values()) == 1, f"{name}: evaluated twice: {seen.most_common(1)}"
        if name == "tiny":
            assert len({arch for arch, _ in seen}) == 3, f"{name}: {len(seen)} of 3 architectures were tried"


def _fresh(strategy: Any) -> Any:
    return replace(strategy)


STRATEGY_LAWS: Sequence[StrategyLaw] = (
    proposals_belong_to_the_space,
    batches_belong_to_the_space,
    asking_changes_nothing,
    replaying_restores,
    replacing_makes_fresh,
    constructors_store_their_arguments,
    trouble_is_survived,
    failure_alone_is_survived,
    several_objectives_are_taken,
    objectives_and_limits_go_together,
    only_losses_are_seen,
    randomness_is_handed_in,
    recommendations_are_of_the_trials,
    what_is_not_claimed_is_refused,
    nothing_is_evaluated_twice,
)
