"""The final answer of a search: the strategy's own, or the best single measurement."""

from collections.abc import Sequence
from dataclasses import dataclass

from archsmith.space import Arch, Space, choice
from archsmith.strategy import First, InTurn, Narrowed, RandomSearch, Sharing, recommended
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


def test_a_wrapper_passes_on_what_the_strategy_inside_answers() -> None:
    wrapped = (
        First(Last(SPACE), (Arch({"x": 1}),)),
        Sharing(Last(SPACE), weights="bank"),
        Narrowed(SPACE, Last(SPACE), {}),
    )
    for strategy in wrapped:
        answer = recommended(strategy, TRIALS)
        assert answer is TRIALS[3], strategy


def test_of_two_searches_in_turn_the_better_answer_counts_and_each_answers_for_its_own_trials() -> None:
    assert recommended(InTurn(RandomSearch(SPACE), Last(SPACE)), TRIALS) is TRIALS[2]
    assert recommended(InTurn(RandomSearch(SPACE), Last(SPACE)), [*TRIALS[:2], TRIALS[3]]) is TRIALS[3]
    assert recommended(InTurn(Last(SPACE), Last(SPACE)), TRIALS[4:]) is None
