"""What searching itself costs: ask and tell, sampling and mutating, beside Optuna in the same run.

    python benchmarks/ask_tell.py [--trials 5000] [--without-optuna] [--strategies all]

Prints milliseconds for one ask with its tell, over all trials and at the end of the history, on 12 decisions of 5
options; and how many architectures of a 30-decision space are sampled and mutated in a second. Times are of the
processor, so that what else the machine does counts little.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np

from archsmith.errors import MissingExtra, SpaceError
from archsmith.space import Space, call, choice, mutate, real, repeat, sample
from archsmith.strategy import RandomSearch, RegularizedEvolution, Strategy, SuccessiveHalving, make, names
from archsmith.testing.spaces import block, leaf
from archsmith.trial import Trial

DECISIONS, OPTIONS = 12, 5
SPACE = Space(**{f"x{i}": choice(*range(OPTIONS), name=f"x{i}") for i in range(DECISIONS)})


def loss(answers: list[int]) -> float:
    return sum((a - 2) ** 2 * (i + 1) for i, a in enumerate(answers)) / 100


def ours(strategy: Strategy, trials: int) -> list[float]:
    seconds = []
    for number in range(trials):
        begin = time.process_time()
        proposal = strategy.ask(1, np.random.default_rng([0, number]), ())[0]
        between = time.process_time()
        value = loss([int(v) for v in proposal.arch.values()])  # type: ignore[arg-type]
        again = time.process_time()
        strategy.tell(Trial(number, proposal, "complete", losses=(value,)))
        seconds.append(between - begin + time.process_time() - again)
    return seconds


def optunas(sampler: str, trials: int) -> list[float]:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    samplers = {"TPE": optuna.samplers.TPESampler, "NSGA-II": optuna.samplers.NSGAIISampler}
    study = optuna.create_study(sampler=samplers[sampler](seed=0))
    seconds = []
    for _ in range(trials):
        begin = time.process_time()
        trial = study.ask()
        answers = [trial.suggest_categorical(f"x{i}", list(range(OPTIONS))) for i in range(DECISIONS)]
        between = time.process_time()
        value = loss(answers)
        again = time.process_time()
        study.tell(trial, value)
        seconds.append(between - begin + time.process_time() - again)
    return seconds


def show(name: str, seconds: list[float]) -> float:
    last = seconds[-max(1, len(seconds) // 10) :]
    mean, end = 1e3 * float(np.mean(seconds)), 1e3 * float(np.mean(last))
    print(f"{name:<28}{mean:>12.3f}{end:>14.3f}{len(seconds):>10}")
    return end


def nested() -> Space:
    """Return a space of 30 decisions, half of them nested, as ready-made spaces have."""

    def one(i: int) -> object:
        deep = call(
            block, call(leaf, choice(4, 8, 16, name=f"w{i}")), call(leaf, 8, scale=real(0.5, 2.0, name=f"s{i}"))
        )
        return choice(deep=deep, flat=call(leaf, 4), name=f"kind{i}")

    settings = {f"setting{i}": choice("a", "b", "c", name=f"setting{i}") for i in range(2)}
    return Space(model=call(block, repeat(one, choice(5, 7, 9, name="depth"))), **settings)


def rate(work: Callable[[], object], seconds: float = 2.0) -> float:
    begin, count = time.process_time(), 0
    while time.process_time() - begin < seconds:
        for _ in range(50):
            work()
        count += 50
    return count / (time.process_time() - begin)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=5000)
    parser.add_argument("--optuna-trials", type=int, default=5000, help="TPE is slow: minutes for 5,000")
    parser.add_argument("--without-optuna", action="store_true")
    parser.add_argument("--strategies", help="names with commas between, or all; the cheapest and halving without it")
    options = parser.parse_args()

    print(f"{'ask + tell, ms':<28}{'mean':>12}{'last tenth':>14}{'trials':>10}")
    strategies: dict[str, Strategy] = {
        "random": RandomSearch(SPACE),
        "evolution": RegularizedEvolution(SPACE),
        "halving of random": SuccessiveHalving(RandomSearch(SPACE)),
        "halving of evolution": SuccessiveHalving(RegularizedEvolution(SPACE)),
    }
    if options.strategies:
        chosen = names() if options.strategies == "all" else options.strategies.split(",")
        strategies = {}
        for name in dict.fromkeys(("random", "evolution", *chosen)):
            try:
                strategies[name] = make(name, SPACE)
            except (SpaceError, MissingExtra) as error:
                print(f"{name} is left out: {error}")
    ends = {name: show(name, ours(strategy, options.trials)) for name, strategy in strategies.items()}
    if not options.without_optuna:
        for sampler in ("TPE", "NSGA-II"):
            end = show(f"Optuna {sampler}", optunas(sampler, options.optuna_trials))
            print(f"{'':<28}{end / ends['random']:>12.1f} x random, {end / ends['evolution']:.1f} x evolution")
    for name in ("random", "evolution"):
        print(f"{name}: {'below' if ends[name] < 1 else 'ABOVE'} the 1 ms it may take")

    space, rng = nested(), np.random.default_rng(0)
    arch = sample(space, rng)
    print(f"\na space of {len(space.decisions)} decisions, architectures a second")
    flat = Space(**{f"x{i}": choice(*range(OPTIONS), name=f"x{i}") for i in range(30)})
    arch_flat = sample(flat, rng)
    for name, work in (
        ("sample, nested", lambda: sample(space, rng)),
        ("mutate, nested", lambda: mutate(space, arch, rng)),
        ("sample, flat", lambda: sample(flat, rng)),
        ("mutate, flat", lambda: mutate(flat, arch_flat, rng)),
    ):
        found = rate(work)
        print(f"{name:<28}{found:>12.0f}   {'above' if found > 5000 else 'BELOW'} the 5,000 it must reach")


if __name__ == "__main__":
    main()
