"""The room that checkpoints may take, and whose go first."""

from pathlib import Path

from archsmith.pipeline.quota import Quota, usual_limit
from archsmith.space import Arch
from archsmith.trial import Evaluate, State, Trial


def _trial(number: int, loss: float, state: State = "complete", resume: int | None = None) -> Trial:
    usable = state == "complete"
    proposal = Evaluate(Arch({"n": number}), {"epochs": 1.0}, resume)
    return Trial(number, proposal, state, {"accuracy": -loss} if usable else {}, (loss if usable else float("inf"),))


def _write(folder: Path, number: int, size: int = 1000) -> Path:
    place = folder / "trials" / str(number) / "ckpt" / "final.safetensors"
    place.parent.mkdir(parents=True)
    place.write_bytes(b"x" * size)
    return place


def test_what_failed_goes_first_then_the_worst_and_what_is_needed_stays(tmp_path: Path) -> None:
    trials = [_trial(0, 0.5), _trial(1, 0.1), _trial(2, 0.9), _trial(3, 0.0, "failed"), _trial(4, 0.8)]
    running = _trial(5, 0.0, "running", resume=2)
    quota = Quota(tmp_path, limit=3500)
    places = [_write(tmp_path, number) for number in range(5)]
    assert [quota.ended(n, lambda: [*trials, running]) for n in range(3)] == [[], [], []]
    assert quota.ended(3, lambda: [*trials[:4], running]) == [3]
    assert quota.ended(4, lambda: [*trials, running]) == [4]  # and not the worst one, which a running trial continues
    assert [place.exists() for place in places] == [True, True, True, False, False]


def test_without_room_at_all_only_what_is_needed_stays(tmp_path: Path) -> None:
    quota = Quota(tmp_path, limit=0)
    places = [_write(tmp_path, number) for number in range(2)]
    assert quota.ended(0, lambda: [_trial(0, 0.5), _trial(1, 0.0, "running", resume=0)]) == []
    assert quota.ended(1, lambda: [_trial(0, 0.5), _trial(1, 0.1)]) == [0, 1]
    assert not any(place.exists() for place in places)


def test_a_trial_without_checkpoints_takes_no_room(tmp_path: Path) -> None:
    assert Quota(tmp_path, limit=0).ended(7, lambda: [_trial(7, 0.1)]) == []


def test_what_is_there_when_a_run_goes_on_counts(tmp_path: Path) -> None:
    for number in range(3):
        _write(tmp_path, number)
    quota = Quota.of(tmp_path, limit=2500)
    assert quota.sizes == {0: 1000, 1: 1000, 2: 1000}
    assert quota.ended(2, lambda: [_trial(n, 0.1 * n) for n in range(3)]) == [2]


def test_the_usual_limit_is_a_part_of_what_is_free(tmp_path: Path) -> None:
    assert 0 < usual_limit(tmp_path) <= 20_000_000_000
