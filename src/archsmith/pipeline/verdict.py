"""The outcome in plain words: what came out, whether it won, and how much to trust it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from archsmith.pipeline.comparisons import WINNER, Comparison
from archsmith.trial import Objective

__all__ = ["say_metric", "verdict"]

_SHARES = ("accuracy", "balanced_accuracy", "macro_f1")


def say_metric(metric: str, value: float) -> str:
    """Return a metric's value for a sentence."""
    name = metric.replace("_", " ")
    return f"{name} {value:.2%}" if metric in _SHARES else f"{name} {value:.4g}"


def verdict(
    objective: Objective,
    metrics: Mapping[str, float],
    test: Mapping[str, float],
    compared: Sequence[Comparison],
    missing: Sequence[str],
    limits: Mapping[str, float],
    noise: float,
    openings: int = 1,
) -> str:
    """Return a paragraph: the result on the test split, the comparison at equal cost, and the limits.

    ``noise`` is the standard error of the main metric on the split that is compared; what is closer than two of them
    is called a tie. ``openings`` counts how often the test split was opened in the life of the run.
    """
    name = objective.metric
    times = "once" if openings == 1 else f"{openings} times, for as many choices: the run was extended"
    parts = [
        f"The network reaches {say_metric(name, test[name])} on the test split, which was opened {times}"
        f" (validation: {say_metric(name, metrics[name])}), with {metrics['params']:,.0f} parameters and"
        f" {metrics['latency_ms']:.2f} ms for one sample on this machine."
    ]
    parts.append(_comparison(objective, metrics, compared, noise))
    if limits:
        parts.append("All limits hold.")
    if missing:
        parts.append(f"Not compared for want of time: {', '.join(missing)}.")
    return " ".join(p for p in parts if p)


def _comparison(
    objective: Objective, metrics: Mapping[str, float], compared: Sequence[Comparison], noise: float
) -> str:
    name = objective.metric
    others = [c for c in compared if c.kind != "winner" and name in c.metrics]
    if not others:
        return "Nothing was compared, so there is no evidence yet that searching was worth it."
    equal = next((c for c in compared if c.name == WINNER), None)
    trained = [c for c in others if c.kind != "boosting"]
    words = []
    if equal is not None and trained:
        best = min(trained, key=lambda c: objective.loss(c.metrics))
        gap = objective.loss(best.metrics) - objective.loss(equal.metrics)
        mine, other = say_metric(name, equal.metrics[name]), say_metric(name, best.metrics[name])
        words.append(
            f"Trained equally long ({equal.seconds:.0f} s each) on the same data, it has {mine} on the validation split"
            f" and the best of {len(trained)} comparisons, {best.name}, {other}: {_outcome(gap, noise)}."
        )
    for boosted in (c for c in others if c.kind == "boosting"):
        gap = objective.loss(boosted.metrics) - objective.loss(metrics)
        words.append(
            f"{boosted.name[0].upper()}{boosted.name[1:]} has {say_metric(name, boosted.metrics[name])} on the"
            f" validation split: {_outcome(gap, noise)}."
        )
    return " ".join(words)


def _outcome(gap: float, noise: float) -> str:
    if abs(gap) <= 2 * noise:
        return "no difference beyond the noise, so the search did not clearly win"
    return "the search won" if gap > 0 else "the search did not win"
