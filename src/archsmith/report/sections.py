"""The sections of the report, each a function from the record to HTML; what is missing becomes a sentence."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from archsmith.report.diagram import Block, block_from_json, block_from_source, diagram
from archsmith.report.facts import (
    OWN,
    command,
    counts,
    export_rows,
    failures,
    gap,
    machine_facts,
    rivals,
    strategy_text,
    strays,
)
from archsmith.report.front_chart import front_chart, front_marks
from archsmith.report.importance import MINIMUM_TRIALS, importance
from archsmith.report.markup import Bar, bars, figure, highlight, pairs, paragraph, section, table
from archsmith.report.ranks import fidelity_pairs, kendall, spearman
from archsmith.report.record import RunRecord, dig, number_in, rows_in
from archsmith.report.text import (
    DASH,
    brief,
    clean,
    duration,
    escape,
    label,
    mask,
    metric,
    number,
    percent,
    plural,
    shorten,
)
from archsmith.report.time_charts import best_chart, curves_chart, pairs_chart

__all__ = [
    "comparison_section",
    "cost_section",
    "decisions_section",
    "exports_section",
    "repeat_section",
    "search_section",
    "trade_off_section",
    "trust_section",
    "winner_section",
]

_KINDS = {
    "winner": "the winner",
    "equal": "the winner, trained as long as the comparisons",
    "finalist": "finalist",
    "trial": "trial of the search",
    "low": "trial at lower fidelity",
    "human": "human design",
    "random": "random architecture",
    "boosting": "gradient boosting",
    "outside": "breaks a limit",
}


def trade_off_section(record: RunRecord) -> str:
    """The main metric against each cost, the first one large."""
    title = f"What {label(record.main.metric)} costs"
    charts = []
    for i, cost in enumerate([c for c in record.costs[:3] if len(front_marks(record, c)) > 1]):
        kinds = {m.kind for m in front_marks(record, cost)}
        legend = [(kind, words) for kind, words in _KINDS.items() if kind in kinds]
        drawings = [front_chart(record, cost, 864, 430), front_chart(record, cost, 400, 340)]
        if i == 0:
            limit = " Beyond the dashed line lies what the limit forbids." if cost in record.limits else ""
            where = "scored on shared weights" if dig(record.result, "shared") else "where training is short"
            caption = (
                f"Each dot is a network tried in the search, {where}; a line joins those that no other "
                "beats in both respects. The winner, the finalists and the comparisons had their full training." + limit
            )
            charts.append(figure(drawings, caption, legend))
        else:
            charts.append(figure(drawings[1:], "", title=f"Against {label(cost)}"))
    shown = charts[:1] + ([f'<div class="two">{"".join(charts[1:])}</div>'] if charts[1:] else [])
    if not any(charts):
        return section(
            title,
            paragraph(
                "Fewer than two networks have both a score and a cost, so there is nothing to compare in a drawing.",
                "soft",
            ),
        )
    return section(title, *shown)


def comparison_section(record: RunRecord) -> str:
    """The winner beside what was trained under the same recipe at equal cost."""
    lines, name = rivals(record), record.main.metric
    others = [r for r in lines if r.kind not in OWN]
    missing = record.result.get("missing_comparisons")
    names = [shorten(m, 60) for m in missing] if isinstance(missing, list | tuple) else []
    left_out = paragraph(
        f"Left out, because the share of the budget for comparisons was spent: {', '.join(names)}. "
        "“archsmith compare” adds them later."
        if names
        else ""
    )
    if not others:
        none = "Nothing was trained beside the search, so how much the search itself gained is not known."
        return section("Compared at equal cost", paragraph(none, "soft"), left_out)
    heads = [
        "",
        "kind",
        f"test {label(name)}",
        f"validation {label(name)}",
        *map(label, record.costs[:2]),
        "training",
        "",
    ]
    rows = [
        [
            r.name,
            "" if r.kind in OWN else r.kind,
            metric(name, r.test),
            metric(name, r.valid),
            *(metric(c, number_in(r.metrics, c)) for c in record.costs[:2]),
            duration(r.seconds),
            "; ".join(filter(None, ["" if r.fits else "breaks a limit", r.note])),
        ]
        for r in lines
    ]
    strong = [i for i, r in enumerate(lines) if r.kind in OWN]
    text = "All networks here were trained under the same recipe, best first."
    if any(r.kind == "equal" for r in lines):
        text += " The winner stands here twice: as it was shipped, and trained as long as what it is compared with."
    return section(
        "Compared at equal cost",
        paragraph(text),
        table(heads, rows, words=(0, 1, len(heads) - 1), strong=strong),
        left_out,
    )


def search_section(record: RunRecord) -> str:
    """How the search went: the best so far, the learning curves, and how trials ended."""
    found = counts(record)
    total = sum(found.values())
    words = {
        "complete": "measured",
        "cached": "known already",
        "infeasible": "broke a limit",
        "stopped": "stopped early",
        "failed": "failed",
        "running": "not finished",
    }
    ended = [Bar(words.get(s, s), n / total, f"{n:,}") for s, n in found.items()]
    best = figure([best_chart(record, 440, 310)], "Small dots are single trials.", title="Best so far")
    curves = figure(
        [curves_chart(record, 440, 310)],
        "Every line is a trial; the strong ones are the winner, in the search and in its final training.",
        [("stopped", "stopped"), ("failed", "failed"), ("winner", "final training")],
        title="Learning curves",
    )
    groups = table(
        ["cause", "trials", "which"],
        [[c, f"{n:,}", which] for c, n, which in failures(record)],
        words=(0,),
        caption="Failures, by cause",
    )
    reasons = table(
        ["why", "trials"], [[w, f"{n:,}"] for w, n in strays(record)], caption="Stopped or ruled out, by reason"
    )
    if not total:
        return section("The search", paragraph("No trial has been recorded yet.", "soft"))
    strategy = " around ".join(dict.fromkeys(re.findall(r"\b[A-Z]\w+(?=\()", strategy_text(record))))
    space = dig(record.result, "space")
    about = f"{plural(total, 'trial')}" + (f" proposed by {strategy}" if strategy else "")
    if space.get("size"):
        extent = shorten(space["size"], 80)
        extent += "" if re.search("[a-z]{2}", extent) else " networks"
        about += f", from the space “{shorten(space.get('name', 'unnamed'), 40)}” ({extent})"
    return section(
        "The search",
        paragraph(about + "."),
        f'<div class="two">{best}{curves}</div>',
        "<h3>How trials ended</h3>",
        paragraph("What breaks a limit is not trained, and what is known already is not trained again.", "soft"),
        bars(ended),
        groups,
        reasons,
    )


def trust_section(record: RunRecord) -> str:
    """How far to trust the numbers: test against validation, seeds, and cheap scores against full trainings."""
    name = record.main.metric
    rows, strong = [], []
    winner = number_in(record.best, "trial")
    for i, row in enumerate(record.finalists):
        trial, deviation = number_in(row, "trial"), number_in(row, "deviation")
        seeds = rows_in(row, "seeds")
        count = len(seeds) or (len(row["seeds"]) if isinstance(row.get("seeds"), list) else 0)
        spread = (
            DASH
            if deviation is None or count < 2
            else (f"± {100 * deviation:.2f} points" if name.endswith("accuracy") else f"± {number(deviation, 3)}")
        )
        rows.append(
            [
                DASH if trial is None else f"Trial {trial:.0f}",
                shorten(row.get("origin") or "", 60),
                f"{count or DASH}",
                metric(name, number_in(row, "mean")),
                spread,
                *(metric(c, number_in(dig(row, "metrics"), c)) for c in record.costs[:3]),
            ]
        )
        if trial is not None and trial == winner:
            strong.append(i)
    heads = ["finalist", "origin", "seeds", f"mean {label(name)}", "deviation", *map(label, record.costs[:3])]
    finalists = "<h3>Finalists</h3>" + (
        table(heads, rows, words=(0, 1), strong=strong) if rows else paragraph("No finalist was retrained.", "soft")
    )
    if rows and all(row[2] in ("1", DASH) for row in rows):
        finalists += paragraph("The budget allowed one seed each, so there is no deviation to show.", "soft")
    return section(
        "How far to trust it",
        paragraph(gap(record)),
        finalists,
        "<h3>Do cheap scores order networks as full trainings do?</h3>",
        _cheap_scores(record),
    )


def winner_section(record: RunRecord, block: Block | None = None) -> str:
    """The winner as a drawing, as its decisions, and as source."""
    best = record.best
    if not best:
        return section("The winner", paragraph("There is no winner yet.", "soft"))
    source = clean(best.get("source") or _source_file(record), 400_000)
    tree = block or block_from_json(best.get("tree")) or block_from_source(source)
    parts = []
    trial, origin = number_in(best, "trial"), shorten(best.get("origin") or "", 120)
    if trial is not None:
        parts.append(paragraph(f"Trial {trial:.0f}" + (f", {origin}." if origin else ".")))
    if tree is not None:
        caption = "Read from left to right, line by line. A number under a name is how many parameters it holds."
        parts.append(figure([diagram(tree, 864), diagram(tree, 364)], caption))
    else:
        parts.append(paragraph("There is nothing recorded from which the network could be drawn.", "soft"))
    answers = [
        (clean(k, 80), ", ".join(map(clean, v)) if isinstance(v, list) else _answer(v))
        for k, v in dig(best, "arch").items()
    ]
    if answers:
        parts.append(f"<h3>Its decisions</h3>{pairs(answers, columns=True)}")
    if source:
        parts.append(f"<h3>Its source</h3>{highlight(source)}")
    return section("The winner", *parts)


def decisions_section(record: RunRecord) -> str:
    """Which decisions mattered, by how much of the trials' variance each explains alone."""
    title = "Which decisions mattered"
    shares = [
        (clean(row.get("decision", ""), 80), share)
        for row in rows_in(record.result, "importance")
        if (share := number_in(row, "share")) is not None
    ] or importance(record.trials)
    if not shares:
        few = (
            f"To tell, at least {MINIMUM_TRIALS} different networks must have been measured, and not all alike; "
            "this run has fewer."
        )
        return section(title, paragraph(few, "soft"))
    shares = sorted(shares, key=lambda pair: -pair[1])
    rest = max(0.0, 1.0 - sum(s for _, s in shares))
    shown, top = shares[:16], max(shares[0][1], 1e-9)
    text = (
        f"How much of the differences in {label(record.main.metric)} between trials each decision explains by itself "
        f"(functional analysis of variance with a random forest, the length of training set aside). About "
        f"{percent(rest, 0)} is left to combinations and to chance. These are properties of this run, not laws."
    )
    hidden = len(shares) - len(shown)
    more = paragraph(
        f"{plural(hidden, 'decision')} with less than {percent(shown[-1][1], 1)} not shown." if hidden else "", "soft"
    )
    return section(title, paragraph(text), bars([Bar(n, s / top, percent(s, 1)) for n, s in shown]), more)


def exports_section(record: RunRecord) -> str:
    """The files that were written, each read back and compared with the network in numbers."""
    rows = export_rows(rows_in(record.result, "exports"))
    if not rows:
        return section("The files", paragraph("Nothing has been exported yet.", "soft"))
    failed = [i for i, row in enumerate(rows) if row[2] == "NO"]
    heads = ["format", "file", "verified", "size", "latency", "largest difference", "batches", "why not"]
    text = (
        "Each file was loaded in a fresh process, run at the batch sizes shown, and its outputs were compared with "
        "the network's."
    )
    warning = (
        paragraph(
            f"{plural(len(failed), 'file')} could not be verified. Do not use what is marked NO before it is.", "notice"
        )
        if failed
        else ""
    )
    return section("The files", paragraph(text), warning, table(heads, rows, words=(0, 1, len(heads) - 1)))


def cost_section(record: RunRecord) -> str:
    """Where the time went, and about how much energy."""
    phases, parts = rows_in(record.result, "phases"), []
    if phases:
        longest = max(max(number_in(p, k) or 0.0 for k in ("planned_s", "spent_s")) for p in phases) or 1.0
        parts.append(
            bars(
                [
                    Bar(
                        shorten(p.get("name", ""), 40),
                        (number_in(p, "spent_s") or 0.0) / longest,
                        _spent_of(p),
                        None if number_in(p, "planned_s") is None else (number_in(p, "planned_s") or 0.0) / longest,
                    )
                    for p in phases
                ]
            )
        )
        spent, budget = sum(number_in(p, "spent_s") or 0.0 for p in phases), number_in(record.result, "budget_s")
        total = f"Together {duration(spent)}" + (f" of a budget of {duration(budget)}." if budget else ".")
        parts.append(paragraph(f"{total} The pale part of a bar is what was planned."))
        notes = [f"{shorten(p.get('name', ''), 40)}: {shorten(p['note'], 300)}" for p in phases if p.get("note")]
        parts += [paragraph(note, "soft") for note in notes]
    else:
        parts.append(paragraph("The time of the phases was not recorded.", "soft"))
    energy = dig(record.result, "energy")
    watt_hours = number_in(energy, "wh_estimate")
    if watt_hours is not None:
        how = shorten(energy.get("how") or "", 300)
        parts.append(
            paragraph(
                f"Energy, an estimate and not a measurement: about {number(watt_hours, 2)}\u00a0Wh"
                + (f" ({how})." if how else ".")
            )
        )
    return section("What it cost", *parts)


def repeat_section(record: RunRecord) -> str:
    """Everything that is needed to do it again."""
    task, parts = dig(record.result, "task"), []
    said = command(record)
    parts.append(
        f"<pre><code>{escape(said)}</code></pre>"
        if said
        else paragraph("The command was not recorded, or the search was begun from Python.", "soft")
    )
    facts = [("seed", clean(record.result["seed"], 40))] if record.result.get("seed") is not None else []
    facts += [("strategy", strategy_text(record))] if strategy_text(record) else []
    facts += [("split hash", clean(task["split_hash"], 200))] if task.get("split_hash") else []
    facts += [
        (
            "objectives",
            ", ".join(
                f"{'largest' if o.direction == 'max' else 'smallest'} {label(o.metric)}" for o in record.objectives
            ),
        )
    ]
    facts += (
        [("limits", ", ".join(f"{label(k)} at most {brief(k, v)}" for k, v in record.limits.items()))]
        if record.limits
        else []
    )
    parts += [pairs(facts), "<h3>Machine</h3>", pairs(machine_facts(record)) or paragraph("Not recorded.", "soft")]
    if record.environment:
        parts += ["<h3>Versions and surroundings</h3>", pairs(mask(record.environment))]
    notes = task.get("notes")
    if isinstance(notes, list | tuple) and notes:
        items = "".join(f"<li>{escape(shorten(note, 400))}</li>" for note in notes)
        parts.append(f"<h3>Notes on the data</h3><ul>{items}</ul>")
    if record.config:
        settings = "\n".join(f"{k} = {v}" for k, v in mask(record.config))
        parts.append(
            f"<details><summary>All settings of the run</summary><pre><code>{escape(settings)}</code></pre></details>"
        )
    return section("To repeat it", *parts)


def _cheap_scores(record: RunRecord) -> str:
    found = fidelity_pairs(record)
    given = [
        f"{clean(key, 60).replace('_', ' ')}: rank correlation {number(rho, 2)} over "
        f"{plural(int(number_in(row, 'n') or 0), 'network')}"
        for key, row in dig(record.result, "correlation").items()
        if (rho := number_in(row, "rho")) is not None
    ]
    if len(found) < 3:
        if given:
            return paragraph("; ".join(given) + ".")
        many = "No network has" if not found else f"Only {plural(len(found), 'network')} with"
        return paragraph(
            f"{many} both a cheap score and a full training, too few to tell how well the one predicts the other.",
            "soft",
        )
    cheap, full = [p.cheap for p in found], [p.full for p in found]
    rho, tau = spearman(cheap, full), kendall(cheap, full)
    if math.isnan(rho):
        return paragraph("All cheap scores, or all full ones, are equal, so there is no order to compare.", "soft")
    how = "well" if rho >= 0.8 else "fairly" if rho >= 0.5 else "badly"
    text = (
        f"Over {plural(len(found), 'network')} that have both: Spearman's rank correlation {number(rho, 2)}, "
        f"Kendall's tau {number(tau, 2)}. In this run cheap scores predicted the order {how}"
        + (" (1 would be the same order, 0 no relation)" if how != "well" else "")
        + ("; with so few networks that is no more than a hint." if len(found) < 10 else ".")
    )
    legend = [("trial", "in the search"), ("finalist", "finalist")]
    caption = "On the dashed line both scores are equal."
    return paragraph(text) + f'<div class="two">{figure([pairs_chart(record, found, 440, 310)], caption, legend)}</div>'


def _spent_of(phase: Mapping[str, Any]) -> str:
    spent, planned = number_in(phase, "spent_s") or 0.0, number_in(phase, "planned_s")
    return duration(spent) + (f" of {duration(planned)}" if planned is not None else "")


def _answer(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else clean(value, 200)


def _source_file(record: RunRecord) -> str:
    try:
        return (record.folder / "best" / "model.py").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
