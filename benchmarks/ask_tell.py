"""What searching itself costs: ask and tell, sampling and mutating, beside Optuna in the same run.

    python benchmarks/ask_tell.py [--trials 5000] [--strategies all] [--limit 60]

Prints milliseconds for one ask with its tell: the mean over the first 200, 1,000 and 5,000 trials, and its ratio to
Optuna's TPE of this run over as many; on 12 decisions of 5 options, or, for what needs a cell, on the six edges of
NAS-Bench-201. Then how many architectures of a 30-decision space are sampled and mutated in a second. Times are of the
processor, so that what else the machine does counts little. What takes longer than --limit seconds ends early, or as
soon as that can be foreseen: nothing becomes faster as it goes.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np

from archsmith.errors import MissingExtra, SpaceError
from archsmith.space import Space, call, choice, mutate, real, repeat, sample
from archsmith.strategy import Strategy, make, names
from archsmith.tables import nasbench201
from archsmith.testing.spaces import block, leaf
from archsmith.trial import Trial

DECISIONS, OPTIONS = 12, 5
COUNTS = (200, 1000, 5000)
SPACE = Space(**{f"x{i}": choice(*range(OPTIONS), name=f"x{i}") for i in range(DECISIONS)})


def loss(answers: list[int]) -> float:
    return sum((a - 2) ** 2 * (i + 1) for i, a in enumerate(answers)) / 100


def ours(strategy: Strategy, trials: int, limit: float) -> list[float]:
    seconds: list[float] = []
    for number in range(trials):
        begin = time.process_time()
        proposals = strategy.ask(1, np.random.default_rng([0, number]), ())
        between = time.process_time()
        if not proposals or hopeless(seconds, limit):
            break
        value = loss([len(v) % OPTIONS if isinstance(v, str) else int(v) for v in proposals[0].arch.values()])
        again = time.process_time()
        strategy.tell(Trial(number, proposals[0], "complete", losses=(value,)))
        seconds.append(between - begin + time.process_time() - again)
    return seconds


def optunas(sampler: str, trials: int, limit: float) -> list[float]:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    samplers = {"TPE": optuna.samplers.TPESampler, "NSGA-II": optuna.samplers.NSGAIISampler}
    samplers |= {"GP": optuna.samplers.GPSampler, "random": optuna.samplers.RandomSampler}
    study = optuna.create_study(sampler=samplers[sampler](seed=0))
    seconds: list[float] = []
    while len(seconds) < trials and not hopeless(seconds, limit):
        begin = time.process_time()
        trial = study.ask()
        answers = [trial.suggest_categorical(f"x{i}", list(range(OPTIONS))) for i in range(DECISIONS)]
        between = time.process_time()
        value = loss(answers)
        again = time.process_time()
        study.tell(trial, value)
        seconds.append(between - begin + time.process_time() - again)
    return seconds


def hopeless(seconds: list[float], limit: float) -> bool:
    """Return whether the limit is over, or the next of the counts is out of reach at the pace so far."""
    done = len(seconds)
    following = next((n for n in COUNTS if n > done), done) if done in COUNTS else done
    return bool(seconds) and sum(seconds) * following / done > limit


def means(seconds: list[float]) -> list[float]:
    """Return milliseconds a trial over the first 200, 1,000 and 5,000; NaN where there are not as many."""
    return [1e3 * float(np.mean(seconds[:n])) if len(seconds) >= n else float("nan") for n in COUNTS]


def show(name: str, found: list[float], against: list[float]) -> None:
    cells = [f"{'-' if v != v else format(v, '.3f'):>12}" for v in found]
    ratios = [f"{'-' if v != v or o != o else format(v / o, '.3f'):>10}" for v, o in zip(found, against, strict=True)]
    print(f"{name:<28}{''.join(cells)}{''.join(ratios)}", flush=True)


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
    parser.add_argument("--limit", type=float, default=60.0, help="seconds for each strategy")
    parser.add_argument("--without-optuna", action="store_true")
    parser.add_argument("--strategies", default="all", help="names with commas between, or all")
    options = parser.parse_args()

    heads = "".join(f"{f'to {n:,}':>12}" for n in COUNTS)
    print(f"{'ask + tell, ms a trial':<28}{heads}   and as a share of TPE's")
    tpe = [float("nan")] * len(COUNTS)
    if not options.without_optuna:
        for sampler in ("TPE", "random", "NSGA-II", "GP"):
            found = means(optunas(sampler, options.trials, options.limit))
            tpe = found if sampler == "TPE" else tpe
            show(f"Optuna's {sampler}", found, tpe)
    for name in names() if options.strategies == "all" else options.strategies.split(","):
        try:
            strategy, space = make(name, SPACE), ""
        except SpaceError:
            strategy, space = make(name, nasbench201().space), " (cells)"
        except MissingExtra as error:
            print(f"{name} is left out: {error}")
            continue
        show(name + space, means(ours(strategy, options.trials, options.limit)), tpe)

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
