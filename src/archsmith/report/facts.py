"""What a run comes to: the facts that the page, the summary and the terminal all tell, from one place."""

from __future__ import annotations

import math
import re
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from archsmith.report.record import RunRecord, dig, number_in, rows_in
from archsmith.report.text import DASH, brief, clean, duration, label, metric, moment, percent, plural, shorten, size
from archsmith.trial import Trial

__all__ = [
    "OWN",
    "Rival",
    "command",
    "counts",
    "export_rows",
    "failures",
    "figures",
    "gap",
    "machine_facts",
    "rivals",
    "strategy_text",
    "strays",
    "task_line",
    "verdict",
    "wilson",
]

OWN = ("winner", "equal")
_LIMIT_OPTIONS = (
    ("latency_ms", "--max-latency", "ms"),
    ("params", "--max-params", ""),
    ("macs", "--max-macs", ""),
    ("activation_bytes", "--max-memory", "B"),
)
_STATES = ("complete", "cached", "infeasible", "stopped", "failed", "running")


@dataclass(frozen=True)
class Rival:
    """One line of the comparison.

    ``kind`` is ``winner`` for the network as it was shipped, ``equal`` for the same one trained as long as what it is
    compared with, else what the comparison is: ``human``, ``random``, ``boosting``.
    """

    name: str
    kind: str
    valid: float | None
    test: float | None
    metrics: Mapping[str, Any]
    seconds: float | None = None
    note: str = ""
    fits: bool = True


def verdict(record: RunRecord) -> str:
    """Return the first paragraph: what the run says, and that search was beaten where it does not say so itself."""
    said = " ".join(clean(record.result.get("verdict") or "", 3_000).split())
    if not said:
        if record.best:
            said = "The run has a network, but no verdict was recorded."
        elif record.status == "running":
            tried = plural(len(record.trials), "trial")
            said = f"The search is still going: {tried} so far, and no network is chosen yet."
        else:
            said = (
                f"The run is {record.status}, without a network yet, after {plural(len(record.trials), 'trial')}. "
                f"Go on with: archsmith resume {record.folder}"
            )
    better = [r for r in rivals(record) if r.kind not in OWN and r.fits and _beats(record, r)]
    if better and not any(r.name.lower() in said.lower() for r in better):
        best, own, name = better[0], _own(record, better[0]), record.main.metric
        which, mine, theirs = (
            ("test", own.test, best.test) if _tested(own, best) else ("validation", own.valid, best.valid)
        )
        said += (
            f" Search did not win everywhere: on the {which} data {best.name} has {label(name)} {metric(name, theirs)} "
            f"against {metric(name, mine)}."
        )
    return said


def rivals(record: RunRecord) -> list[Rival]:
    """Return the winner and the comparisons, best first: by the test score if all have one, else by validation."""
    main, lines = record.main, []
    rows = rows_in(record.result, "comparisons")
    if record.best:
        metrics, tested_on = dig(record.best, "metrics"), dig(record.best, "test")
        name = "The winner" + (", as shipped" if any(row.get("kind") == "winner" for row in rows) else "")
        valid, test = number_in(metrics, main.metric), number_in(tested_on, main.metric)
        lines.append(Rival(name, "winner", valid, test, metrics, number_in(record.best, "seconds")))
    for row in rows:
        metrics, kind = dig(row, "metrics"), shorten(row.get("kind", ""), 20)
        lines.append(
            Rival(
                shorten(row.get("name", "unnamed"), 60),
                "equal" if kind == "winner" else kind,
                number_in(metrics, main.metric),
                number_in(dig(row, "test"), main.metric),
                metrics,
                number_in(row, "seconds"),
                shorten(row.get("note") or "", 200),
                all((number_in(metrics, k) or 0.0) <= bound for k, bound in record.limits.items()),
            )
        )
    tested = all(r.test is not None for r in lines)
    sign = -1.0 if main.direction == "max" else 1.0

    def key(rival: Rival) -> float:
        value = rival.test if tested else rival.valid
        return math.inf if value is None else sign * value

    return sorted(lines, key=key)


def figures(record: RunRecord) -> list[tuple[str, str, str]]:
    """Return the key figures as ``(label, value, note)``, as many as are known."""
    found: list[tuple[str, str, str]] = []
    metrics, test, name = dig(record.best, "metrics"), dig(record.best, "test"), record.main.metric
    tested, valid = number_in(test, name), number_in(metrics, name)
    if tested is not None:
        note = ""
        samples = number_in(dig(record.result, "task", "sizes"), "test")
        if name == "accuracy" and samples:
            low, high = wilson(tested, samples)
            note = f"95 % interval {100 * low:.1f} to {percent(high, 1)}"
        found.append((f"test {label(name)}", metric(name, tested), note))
    if valid is not None:
        found.append((f"validation {label(name)}", metric(name, valid), "" if tested is None else "used to choose"))
    for cost in ("params", "macs", "latency_ms", "onnx_latency_ms", "activation_bytes", "bytes"):
        value = number_in(metrics, cost)
        if value is not None:
            limit = record.limits.get(cost)
            found.append((label(cost), metric(cost, value), f"limit {brief(cost, limit)}" if limit is not None else ""))
    spent = sum(number_in(p, "spent_s") or 0.0 for p in rows_in(record.result, "phases"))
    if spent:
        budget = number_in(record.result, "budget_s")
        found.append(("total time", duration(spent), f"of {duration(budget)}" if budget else ""))
    total = sum(counts(record).values())
    if total:
        found.append(("networks tried", f"{total:,}", f"{counts(record).get('complete', 0):,} trained and measured"))
    return found


def counts(record: RunRecord) -> dict[str, int]:
    """Return how many trials ended in each state, from the trials, else as the result says."""
    if record.trials:
        found = Counter(str(t.state) for t in record.trials)
    else:
        given = dig(record.result, "counts")
        found = Counter({s: int(n) for s in _STATES if (n := number_in(given, s))})
    known = {s: found[s] for s in _STATES if found[s]}
    return known | {clean(s, 40): n for s, n in found.items() if s not in _STATES and n}


def failures(record: RunRecord) -> list[tuple[str, int, str]]:
    """Return failures grouped by cause, most frequent first: ``(cause, how many, which trials)``."""
    groups: dict[str, list[Trial]] = {}
    for trial in record.trials:
        if trial.state == "failed":
            first = next((line for line in trial.reason.splitlines() if line.strip()), "no reason was recorded")
            groups.setdefault(re.sub(r"\d+(\.\d+)?", "#", first).strip(), []).append(trial)
    found = []
    for trials in sorted(groups.values(), key=lambda g: (-len(g), g[0].number)):
        reason = next((line for line in trials[0].reason.splitlines() if line.strip()), "no reason was recorded")
        numbers = ", ".join(str(t.number) for t in trials[:6]) + (", …" if len(trials) > 6 else "")
        found.append((shorten(reason, 160), len(trials), numbers))
    return found


def strays(record: RunRecord) -> list[tuple[str, int]]:
    """Return why trials were stopped or found infeasible, grouped: ``(an example, how many)``, most frequent first."""
    groups: dict[str, list[str]] = {}
    for trial in record.trials:
        if trial.state in ("stopped", "infeasible") and trial.reason:
            words = f"{trial.state}: {shorten(trial.reason, 110)}"
            groups.setdefault(re.sub(r"[-+]?[0-9][0-9.,]*", "#", words), []).append(words)
    found = [(words[0], len(words)) for words in groups.values()]
    return sorted(found, key=lambda pair: -pair[1])[:6]


def gap(record: RunRecord) -> str:
    """Return a sentence on the gap between validation and test, with how much chance alone would explain."""
    name = record.main.metric
    valid, test = number_in(dig(record.best, "metrics"), name), number_in(dig(record.best, "test"), name)
    if valid is None or test is None:
        return "The test data have not been used yet." if record.best else ""
    openings = int(number_in(dig(record.result, "task"), "test_openings") or 1)
    times = "once" if openings == 1 else f"{openings} times because the run was extended, each time"
    words = (
        f"The winner has {label(name)} {metric(name, valid)} on the validation data, by which it was chosen, and "
        f"{metric(name, test)} on the test data, which were opened {times}, after the choice was frozen."
    )
    samples = number_in(dig(record.result, "task", "sizes"), "test")
    if name != "accuracy" or not samples:
        return words
    chance = 1.96 * math.sqrt(max(test * (1 - test), 1e-9) / samples)
    points = 100 * abs(valid - test)
    inside = "no more than" if abs(valid - test) <= chance else "more than"
    return (
        f"{words} The difference of {points:.2f} points is {inside} chance alone explains with "
        f"{samples:,.0f} test samples (±{100 * chance:.2f} points)."
    )


def wilson(share: float, samples: float) -> tuple[float, float]:
    """Return the 95 % interval of a share that was counted on ``samples`` (Wilson, 1927)."""
    z2 = 1.96**2
    middle = (share + z2 / (2 * samples)) / (1 + z2 / samples)
    half = 1.96 / (1 + z2 / samples) * math.sqrt(max(share * (1 - share), 0.0) / samples + z2 / (4 * samples**2))
    return max(0.0, middle - half), min(1.0, middle + half)


def task_line(record: RunRecord) -> str:
    """Return one line about the data: what they are, how many, into how many classes."""
    task = dig(record.result, "task")
    sizes, parts = dig(task, "sizes"), []
    if task.get("name"):
        parts.append(shorten(task["name"], 80))
    facts = {**dig(task, "spec"), **task}
    if facts.get("kind") or facts.get("goal"):
        parts.append(" ".join(clean(facts[k], 40) for k in ("kind", "goal") if facts.get(k)))
    labels = task.get("labels")
    if isinstance(labels, list | tuple) and labels:
        parts.append(f"{len(labels):,} classes")
    known = [
        f"{n:,.0f} {name}"
        for key, name in (("train", "training"), ("valid", "validation"), ("test", "test"))
        if (n := number_in(sizes, key)) is not None
    ]
    if known:
        parts.append(f"{', '.join(known)} samples")
    return " · ".join(parts)


def command(record: RunRecord) -> str:
    """Return the command that makes the run again: as it was recorded, else composed from the run's settings.

    Empty where there are no settings, or where the data or the space came from Python and not from a file.
    """
    for source in (record.result, record.environment, record.config):
        value = source.get("command") or source.get("argv")
        if value:
            return clean(" ".join(map(str, value)) if isinstance(value, list | tuple) else value, 2_000)
    config, limits = record.config, dig(record.config, "limits")
    budget = number_in(config, "budget")
    if not isinstance(config.get("source"), str) or config.get("in_memory") or budget is None:
        return ""
    words = ["archsmith", "search", config["source"]]
    words += ["--target", config["target"]] if config.get("target") else []
    words += ["--budget", f"{budget:g}s"]
    for objective in rows_in(config, "objectives")[: None if len(rows_in(config, "objectives")) > 1 else 0]:
        words += ["--objective", str(objective.get("metric"))]
    for name, option, unit in _LIMIT_OPTIONS:
        several = dig(config, "family").get(name)
        bounds = several if isinstance(several, list) else [number_in(limits, name)]
        for bound in (b for b in bounds if isinstance(b, int | float)):
            words += [option, f"{bound:.15g}{unit}"]
    for name in ("space", "method", "weights", "strategy", "trials", "seed", "folds"):
        words += [f"--{name}", str(config[name])] if config.get(name) not in (None, "", 0) else []
    return clean(shlex.join(map(str, words)), 2_000)


def strategy_text(record: RunRecord) -> str:
    """Return the strategy as it was recorded, without the architectures it was given to begin with."""
    text = clean(record.result.get("strategy") or "", 20_000)
    return shorten(re.sub(r"Arch\(\{.*?\}\),? ?", "", text), 400)


def machine_facts(record: RunRecord) -> list[tuple[str, str]]:
    """Return where and when the run took place."""
    found = []
    for key, value in dig(record.result, "machine").items():
        if value in (None, "", [], ()):
            continue
        words = {
            "cpu": "processor",
            "slots": "trials side by side",
            "threads": "threads per trial",
            "channels_last": "memory format",
        }.get(key, label(key))
        if key == "channels_last":
            value = "channels last" if value else "contiguous"
        found.append((words, "; ".join(map(clean, value)) if isinstance(value, list | tuple) else shorten(value, 300)))
    begun = [start for start, _ in record.clock.values()]
    if begun:
        found.append(("first trial started", moment(min(begun))))
    ended = [end for _, end in record.clock.values()]
    if ended:
        found.append(("last trial finished", moment(max(ended))))
    return found


def export_rows(rows: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Return the exports as cells: format, path, checked, size, latency, largest difference, batches, reason."""
    lines = []
    for row in rows:
        batches = row.get("batches")
        difference = number_in(row, "max_difference")
        lines.append(
            [
                shorten(row.get("format", ""), 30),
                shorten(row.get("path", ""), 60),
                DASH if row.get("ok") is None else "yes" if row.get("ok") else "NO",
                size(number_in(row, "bytes")),
                metric("latency_ms", number_in(row, "latency_ms")),
                DASH if difference is None else "0" if difference == 0 else f"{difference:.1e}",
                ", ".join(map(clean, batches)) if isinstance(batches, list | tuple) else clean(batches or DASH, 40),
                "" if row.get("ok") else shorten(row.get("reason") or "", 200),
            ]
        )
    return lines


def _tested(a: Rival, b: Rival) -> bool:
    return a.test is not None and b.test is not None


def _own(record: RunRecord, other: Rival) -> Rival:
    """What a comparison is held against: the winner trained equally long, where there is that; boosting the winner."""
    lines = {r.kind: r for r in rivals(record) if r.kind in OWN}
    kinds = ("winner",) if other.kind == "boosting" else ("equal", "winner")
    return next((lines[k] for k in kinds if k in lines), Rival("", "winner", None, None, {}))


def _beats(record: RunRecord, other: Rival) -> bool:
    own = _own(record, other)
    a, b = (other.test, own.test) if _tested(other, own) else (other.valid, own.valid)
    if a is None or b is None:
        return False
    return a > b if record.main.direction == "max" else a < b
