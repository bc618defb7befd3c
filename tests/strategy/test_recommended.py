"""The final answer of a search: the strategy's own, or the best single measurement."""

from collections.abc import Sequence
from dataclasses import dataclass

from archsmith.space import Arch, Space, choice
from archsmith.strategy import RandomSearch, recommended
from archsmith.trial import Evaluate, Trial

SPACE = Space(x=choice(1, 2, 3, name="x"))


def trial(number: int, loss: float, epochs: float, violation: float = 0.0) -> Trial:
    proposal = Evaluate(Arch({"x": number % 3 + 1}), {"epochs": epochs})
    return Trial(number, proposal, "complete", losses=(loss,), violation=violation)


@dataclass
class Last(RandomSearch):
    """Answers with the last of the candidates."""

    def recommend(self, trials: Sequence[Trial]) -> Trial | None:
        return trials[-1] if trials else None


TRIALS = [trial(0, 0.1, 3), trial(1, 0.3, 9), trial(2, 0.2, 9), trial(3, 0.5, 9), trial(4, 0.0, 9, violation=1.0)]


def test_without_an_opinion_the_best_at_the_highest_fidelity_is_the_answer() -> None:
    answer = recommended(RandomSearch(SPACE), TRIALS)
    assert answer is not None and answer.number == 2


def test_a_strategy_with_an_opinion_is_asked_about_what_is_usable_at_the_highest_fidelity() -> None:
    answer = recommended(Last(SPACE), TRIALS)
    assert answer is not None and answer.number == 3


def test_of_nothing_usable_there_is_no_answer() -> None:
    assert recommended(RandomSearch(SPACE), TRIALS[4:]) is None
    assert recommended(Last(SPACE), []) is None
