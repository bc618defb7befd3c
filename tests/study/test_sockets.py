"""Everything that fits a socket is held to the socket's laws: executors, stores and estimators."""

import pytest

from archsmith.execute import Inline, Processes, Simulated
from archsmith.run import Run
from archsmith.space import Arch
from archsmith.store import MemoryStore, SQLiteStore
from archsmith.testing.estimator import ESTIMATOR_LAWS, EstimatorLaw
from archsmith.testing.executor import EXECUTOR_LAWS, ExecutorLaw, MakeExecutor
from archsmith.testing.store import DURABLE_STORE_LAWS, STORE_LAWS, MakeStore, StoreLaw
from archsmith.trial import Evaluate, Proposal

EXECUTORS: dict[str, MakeExecutor] = {
    "inline": lambda evaluate, folder, seed: Inline(evaluate, folder, seed=seed),
    "processes": lambda evaluate, folder, seed: Processes(evaluate, folder, slots=2, seed=seed),
    "simulated": lambda evaluate, folder, seed: Simulated(evaluate, 2, folder=folder, seed=seed),
}
STORES: dict[str, MakeStore] = {
    "memory": lambda folder: MemoryStore(),
    "sqlite": lambda folder: SQLiteStore(folder / "store.sqlite"),
}


@pytest.mark.parametrize("law", EXECUTOR_LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("make", EXECUTORS.values(), ids=EXECUTORS.keys())
def test_executor_law(make: MakeExecutor, law: ExecutorLaw) -> None:
    law(make)


@pytest.mark.parametrize("law", STORE_LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("make", STORES.values(), ids=STORES.keys())
def test_store_law(make: MakeStore, law: StoreLaw) -> None:
    law(make)


@pytest.mark.parametrize("law", DURABLE_STORE_LAWS, ids=lambda law: law.__name__)
def test_durable_store_law(law: StoreLaw) -> None:
    law(STORES["sqlite"])


def plain(proposal: Proposal, run: Run) -> dict[str, float]:
    return {"accuracy": float(proposal.arch["x"]) + run.seed, "seconds": 0.1}


@pytest.mark.parametrize("law", ESTIMATOR_LAWS, ids=lambda law: law.__name__)
def test_a_plain_function_is_an_estimator(law: EstimatorLaw) -> None:
    law(lambda: (plain, Evaluate(Arch({"x": 1}))))


@pytest.mark.parametrize("law", ESTIMATOR_LAWS[:1], ids=lambda law: law.__name__)
def test_an_estimator_law_can_be_broken(law: EstimatorLaw) -> None:
    with pytest.raises(AssertionError):
        law(lambda: (lambda proposal, run: {"accuracy": float("nan")}, Evaluate(Arch({}))))


def test_where_a_memory_store_is_not_durable_the_law_says_so() -> None:
    with pytest.raises(AssertionError, match="changed between two openings"):
        DURABLE_STORE_LAWS[0](lambda folder: MemoryStore())
