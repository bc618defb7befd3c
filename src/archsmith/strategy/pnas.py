"""PNAS: from simple to complex, under a predictor."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import islice, product

import numpy as np

from archsmith.errors import UsageError
from archsmith.predictors import Ensemble, Fitted, counted_options, decisions
from archsmith.space import Answer, Arch, Decision, Space, valid, walk, wirings
from archsmith.strategy.candidates import Candidates
from archsmith.strategy.evidence import Evidence
from archsmith.strategy.registry import Named
from archsmith.strategy.untried import distinct
from archsmith.trial import Evaluate, Proposal, Trial

__all__ = ["NAMED", "PNAS", "simplest", "stages_of"]

_AT_ONCE = 64
_PLAIN = ("skip", "identity")


def simplest(decision: Decision) -> Answer:
    """Return the answer that adds least: an option called skip or identity, else the first, or a range's low end."""
    if decision.kind in ("integer", "real"):
        return decision.at(0.0)
    answers = list(islice(decision.answers(), 1000))
    return next((a for a in answers if str(a).lower().startswith(_PLAIN)), answers[0])


def stages_of(space: Space) -> tuple[tuple[str, ...], ...]:
    """Return the decisions in the order in which an architecture grows.

    The edges into each node of a cell are a stage, node by node. What is not in a cell comes before, in the order of
    the expression, as many decisions at once as have at most 64 answers together.
    """
    nodes: dict[tuple[int, int], list[str]] = {}
    for place, cell in enumerate(wirings(space)):
        for _, target, key in cell.edges:
            nodes.setdefault((place, target), []).append(key)
    wired = {key for keys in nodes.values() for key in keys}
    stages: list[list[str]] = []
    size = math.inf
    for key, decision in space.decisions.items():
        if key in wired:
            continue
        if size * decision.size > _AT_ONCE:
            stages.append([])
            size = 1
        stages[-1].append(key)
        size *= min(decision.size, 5)
    return (*map(tuple, stages), *(tuple(dict.fromkeys(nodes[node])) for node in sorted(nodes)))


@dataclass
class PNAS:
    """Progressive search (Liu et al., 2018): tries simple architectures, and grows those that a predictor prefers.

    Decisions are opened stage by stage (``stages_of``); those not open yet have their ``simplest`` answer. The first
    stage tries ``beam`` random ones. Then the ``beam`` best of the stage before, as measured, are expanded by every
    combination of answers that the next stage opens (five of a range; ``expansions`` in all at the most), and an
    ensemble of five networks, trained on all results so far, chooses the ``beam`` of them to try. Workers wait at the
    end of a stage. When all is open, variations of the best are tried, those that such an ensemble prefers.

    A decision that is about to open had the same answer in all that is known, so nothing was learned about it. What
    ranks the expansions therefore sees how often each option is taken by choices that are alike, as the authors'
    networks see the mean of their embeddings; what ranks variations sees each decision.

    Several objectives are added as scores; a trial that breaks a limit ranks behind those that do not.
    """

    space: Space
    beam: int = 16
    expansions: int = 1000
    members: int = 5
    steps: int = 400
    _grown: Ensemble = field(init=False, repr=False, compare=False)
    _whole: Ensemble = field(init=False, repr=False, compare=False)
    _evidence: Evidence = field(default_factory=Evidence, init=False, repr=False, compare=False)
    _candidates: Candidates = field(init=False, repr=False, compare=False)
    _stages: tuple[tuple[str, ...], ...] = field(init=False, repr=False, compare=False)
    _stage: int = field(default=0, init=False, repr=False, compare=False)
    _began: int = field(default=0, init=False, repr=False, compare=False)
    _tried_in_stage: set[Arch] = field(default_factory=set, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if min(self.beam, self.expansions, self.members, self.steps) < 1:
            raise UsageError(f"PNAS needs counts of at least 1, not {self!r}.")
        shape = Ensemble(decisions(self.space), self.members, depth=2, width=32, steps=self.steps)
        self._grown, self._whole = replace(shape, encoding=counted_options(self.space)), shape
        self._candidates = Candidates(self.space)
        self._stages = stages_of(self.space)

    def ask(self, n: int, rng: np.random.Generator, running: Sequence[Trial]) -> Sequence[Proposal]:
        """Return what the open stage still needs; nothing while its last trials run."""
        taken = self._evidence.tried | {t.arch for t in running}
        if self._stage >= len(self._stages):
            return self._varied(n, rng, taken)
        left = self.beam - len(self._tried_in_stage) - len(running)
        if self._stage == 0 or not self._evidence.measured:
            archs = self._first(min(n, left), rng, taken)
        else:
            archs = [arch for arch in self._queue() if arch not in taken][: max(0, min(n, left))]
        if not archs and not running:  # the stage has fewer than it may have
            return self._varied(n, rng, taken)
        return [Evaluate(arch) for arch in archs]

    def tell(self, trial: Trial) -> None:
        """Take note of the trial, and open the next stage when this one is full."""
        self._evidence.tell(trial)
        self._tried_in_stage.add(trial.arch)
        if self._stage < len(self._stages) and len(self._tried_in_stage) >= self.beam:
            self._stage, self._began = self._stage + 1, len(self._evidence.trials)
            self._tried_in_stage = set()

    def _first(self, n: int, rng: np.random.Generator, taken: set[Arch]) -> list[Arch]:
        """Return random architectures of the first stage."""
        found: dict[Arch, None] = {}
        for _ in range(20 * max(n, 0)):
            arch = walk(self.space, lambda d: d.sample(rng) if d.key in self._stages[0] else simplest(d))
            if len(found) < n and arch not in taken and valid(self.space, arch):
                found[arch] = None
        return list(found)

    def _queue(self) -> list[Arch]:
        """Return the expansions of the best that the predictor prefers, the best first."""
        return list(self._evidence.made("queue", (self._stage, self._evidence.objectives), self._expanded))

    def _expanded(self) -> list[Arch]:
        evidence, began = self._evidence, self._began
        ranked = np.argsort(evidence.scores(began).sum(0), kind="stable").tolist()
        best = list(dict.fromkeys(evidence.trials[i].arch for i in ranked))[: self.beam]
        seen = {t.arch for t in evidence.trials[:began]}
        found: dict[Arch, None] = {}
        for parent in best:
            for arch in self._expansions(parent, -(-self.expansions // len(best))):
                if arch not in seen and valid(self.space, arch):
                    found[arch] = None
        archs = list(found)
        if not archs:
            return []
        known = [t.arch for t in evidence.trials[:began]]
        expected = sum(self._grown.fit(known, s.tolist()).predict(archs)[0] for s in evidence.scores(began))
        return [archs[i] for i in np.argsort(expected, kind="stable").tolist()]

    def _expansions(self, parent: Arch, most: int) -> list[Arch]:
        """Return an architecture with every combination of answers to the stage's decisions, evenly at most so many."""
        opened = [self.space.decisions[key] for key in self._stages[self._stage]]
        answers = [[d.at(u) for u in (0.1, 0.3, 0.5, 0.7, 0.9)] if _wide(d) else list(d.answers()) for d in opened]
        found = []
        number = math.prod(map(len, answers))
        for combination in islice(product(*answers), 0, None, -(-number // most)):
            given = {d.key: a for d, a in zip(opened, combination, strict=True)}

            def decide(d: Decision, given: dict[str, Answer] = given) -> Answer:
                if d.key in given:
                    return given[d.key]
                return parent[d.key] if d.key in parent and d.contains(parent[d.key]) else simplest(d)

            found.append(walk(self.space, decide))
        return found

    def _varied(self, n: int, rng: np.random.Generator, taken: set[Arch]) -> Sequence[Proposal]:
        """Return the variations of the best that the predictor prefers; random ones where there are none."""
        evidence = self._evidence
        size = min(100, self.expansions) if evidence.measured else 0
        archs = self._candidates.pool(evidence.best(10), (taken,), rng, size, 0.2)
        if not archs:
            return [Evaluate(arch) for arch in distinct(n, self.space, rng, (taken,))]
        fitted: list[Fitted] = evidence.fitted(self._whole, 0.1, self.beam, 10)
        expected = np.asarray(sum(f.predict(archs)[0] for f in fitted))
        return [Evaluate(archs[i]) for i in np.argsort(expected, kind="stable")[:n].tolist()]


def _wide(decision: Decision) -> bool:
    return decision.kind in ("integer", "real") and decision.size > 5


NAMED = (Named("pnas", PNAS),)
