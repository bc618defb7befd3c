"""Cross-validation is the mean over the folds, each with a checkpoint of its own."""

import pytest
from torch import nn

from archsmith.build import Bank
from archsmith.errors import SpaceError
from archsmith.estimate import CrossValidated, Machine, TrainEstimator
from archsmith.run import Run
from archsmith.space import Arch, Space, call
from archsmith.strategy import RandomSearch, Sharing
from archsmith.study import Study
from archsmith.task import load
from archsmith.trial import Evaluate


@pytest.fixture(scope="module")
def estimator() -> TrainEstimator:
    model = call(nn.Sequential, call(nn.Flatten), call(nn.Linear, 64, 10))
    space = Space(model=model, batch_size=64, lr=0.05, augment="none")
    return TrainEstimator(load("digits", folds=3), space, Machine(), full_epochs=4.0)


def test_the_metrics_are_the_means_over_the_folds(estimator, tmp_path) -> None:
    proposal = Evaluate(Arch({}), {"epochs": 2.0})
    found = CrossValidated(estimator)(proposal, Run(0, seed=1, folder=tmp_path))
    alone = [
        TrainEstimator(estimator.task.fold(i), estimator.space, Machine(), 4.0)(proposal, Run(0, seed=1))["accuracy"]
        for i in range(3)
    ]
    assert found["accuracy"] == pytest.approx(sum(alone) / 3)
    assert found["accuracy_deviation"] > 0 and found["epochs"] == pytest.approx(2.0, rel=0.05)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["fold0", "fold1", "fold2"]


def test_a_promotion_continues_every_fold(estimator, tmp_path) -> None:
    evaluate = CrossValidated(estimator)
    evaluate(Evaluate(Arch({}), {"epochs": 1.0}), Run(0, seed=1, folder=tmp_path / "0"))
    promoted = Evaluate(Arch({}), {"epochs": 3.0}, resume=0)
    on = evaluate(promoted, Run(1, seed=9, folder=tmp_path / "1", resume_folder=tmp_path / "0"))
    straight = evaluate(Evaluate(Arch({}), {"epochs": 3.0}), Run(0, seed=1))
    assert on["accuracy"] == pytest.approx(straight["accuracy"])


def test_a_child_inherits_in_every_fold(estimator, tmp_path) -> None:
    evaluate, short = CrossValidated(estimator), {"epochs": 0.2}
    evaluate(Evaluate(Arch({}), {"epochs": 3.0}), Run(0, seed=1, folder=tmp_path / "0"))
    child = Evaluate(Arch({}), short, parent=0, inherit=True)
    found = evaluate(child, Run(1, seed=9, folder=tmp_path / "1", parent_folder=tmp_path / "0"))
    assert found["accuracy"] > evaluate(Evaluate(Arch({}), short), Run(1, seed=9))["accuracy"] + 0.1
    lost = evaluate(child, Run(1, seed=9, folder=tmp_path / "2", parent_folder=tmp_path / "none"))
    assert lost["accuracy"] < found["accuracy"] - 0.1
    assert "nothing could be inherited" in (tmp_path / "2" / "fold2" / "log.txt").read_text()


def test_a_bank_that_cannot_serve_is_refused_before_any_fold(estimator, tmp_path) -> None:
    Bank(Space(model=call(nn.Linear, 3, 3))).save(tmp_path)
    with pytest.raises(SpaceError, match="holds none of the 2 tensors"):
        Study(estimator.space, Sharing(RandomSearch(estimator.space), weights=str(tmp_path)), CrossValidated(estimator))
