"""The section on shared weights: what was trained, how far its scores can be believed, and whether it collapsed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from archsmith.report.facts import export_rows
from archsmith.report.markup import paragraph, section, table
from archsmith.report.record import RunRecord, dig, number_in, rows_in
from archsmith.report.text import DASH, brief, clean, duration, label, metric, number, percent, plural, shorten

__all__ = ["shared_lines", "shared_section"]

_FEW = 3
_GROUPS = {"finalists": "finalists", "checked": "networks trained as long as the comparisons"}


def shared_section(record: RunRecord) -> str:
    """Return the section; empty for a run that trained every candidate on its own."""
    shared = dig(record.result, "shared")
    if not shared:
        return ""
    name = label(record.main.metric)
    rows = [
        [
            clean(row.get("name", ""), 60),
            _GROUPS.get(str(row.get("group")), ""),
            metric(record.main.metric, number_in(row, "shared")),
            metric(record.main.metric, number_in(row, "alone")),
            duration(number_in(row, "seconds")),
        ]
        for row in rows_in(shared, "pairs")
    ]
    heads = ["network", "", f"{name} on shared weights", f"{name} trained on its own", "training"]
    sides = [
        [
            clean(row.get("name", ""), 40),
            f"{number_in(row, 'trials') or 0:,.0f}",
            metric(record.main.metric, number_in(row, "score")),
            DASH if (trial := number_in(row, "trial")) is None else f"trial {trial:.0f}",
        ]
        for row in rows_in(shared, "side_by_side")
    ]
    return section(
        "Shared weights",
        *(paragraph(line) for line in shared_lines(record)),
        _by_limit(record),
        "<h3>The strategy and random search on the same bank</h3>",
        table(["asked", "networks", f"best {name} on shared weights", "which"], sides, words=(0, 3)),
        "<h3>Scores on shared weights, and what the networks reach on their own</h3>",
        table(heads, rows, words=(0, 1)) if rows else paragraph("No network was trained on its own.", "soft"),
    )


def _by_limit(record: RunRecord) -> str:
    rows = [
        [
            f"{label(clean(row.get('metric', ''), 40))} at most {brief(str(row.get('metric')), bound)}",
            metric(record.main.metric, number_in(dig(row, "test"), record.main.metric)),
            metric(record.main.metric, number_in(dig(row, "metrics"), record.main.metric)),
            *(metric(c, number_in(dig(row, "metrics"), c)) for c in record.costs[:3]),
            shorten(row.get("origin") or "", 60),
            shorten(row.get("folder") or "", 60),
            _checked(row),
        ]
        for row in rows_in(record.result, "by_limit")
        if (bound := number_in(row, "limit")) is not None
    ]
    if not rows:
        return ""
    name = label(record.main.metric)
    heads = [
        "limit",
        f"test {name}",
        f"validation {name}",
        *map(label, record.costs[:3]),
        "origin",
        "folder",
        "verified",
    ]
    text = (
        "From one bank there is a network for each limit. That of the strictest keeps them all, and is the one of this "
        "report and in best/. A network of a stricter limit stands for a looser one where no larger one was better. "
        "What is verified was loaded in a fresh process, and does what the network does."
    )
    shown = table(heads, rows, words=(0, *range(len(heads) - 3, len(heads))))
    return f"<h3>A network for each limit</h3>{paragraph(text)}{shown}"


def _checked(row: Mapping[str, Any]) -> str:
    """Return whether the files of the network for a limit were verified, and why not."""
    rows = export_rows(rows_in(row, "exports"))
    wrong = [": ".join(filter(None, ("NO", cells[-1].rstrip(".")))) for cells in rows if cells[2] == "NO"]
    return "; ".join(wrong) or (rows[0][2] if rows else DASH)


def shared_lines(record: RunRecord) -> list[str]:
    """Return what there is to say of a search on shared weights, as sentences; none where there was none."""
    shared = dig(record.result, "shared")
    if not shared:
        return []
    count, epochs = number_in(shared, "parameters"), number_in(shared, "epochs")
    said = [
        f"Shared weights ({clean(shared.get('method', ''), 40)}; {shorten(shared.get('paper', ''), 120)}): "
        f"one bank of {number(count)} weights saw the data {number(epochs, 3)} times in "
        f"{duration(number_in(shared, 'seconds'))}. Scores on it compare networks; no result is reported by them."
    ]
    for row in rows_in(record.result, "by_limit"):
        bound, name = number_in(row, "limit"), record.main.metric
        if bound is not None:
            limited, where = clean(row.get("metric", ""), 40), shorten(row.get("folder") or "", 60)
            reached = f"{label(name)} {metric(name, number_in(dig(row, 'test'), name))} on the test data"
            said.append(
                f"{label(limited)} at most {brief(limited, bound)}: {reached}, in {where} (verified: {_checked(row)})."
            )
    for group, row in dig(shared, "correlation").items():
        said.append(_agreement(_GROUPS.get(group, clean(group, 40)), row))
    said += [line for line in (_collapsed(dig(shared, "collapse")), _held(shared), _left(shared)) if line]
    return said


def _agreement(group: str, row: Any) -> str:
    count, rho = int(number_in(row, "n") or 0), number_in(row, "spearman")
    if count < _FEW or rho is None:
        many = plural(count, "network") if count < _FEW else "only equal scores"
        return f"Rank correlation of shared and standalone scores, {group}: n = {count}, {many}: too few to tell."
    how = "well" if rho >= 0.8 else "fairly" if rho >= 0.5 else "badly"
    hint = "; with so few networks that is no more than a hint" if count < 10 else ""
    return (
        f"Rank correlation of shared and standalone scores, {group}: Spearman {number(rho, 2)}, Kendall "
        f"{number(number_in(row, 'kendall'), 2)}, n = {count}: the bank told their order {how}{hint}."
    )


def _collapsed(collapse: Mapping[str, Any]) -> str:
    parts = []
    free, chosen, usual = (number_in(collapse, k) for k in ("free", "chosen", "usual_share"))
    if chosen:
        parts.append(
            f"{free or 0:.0f} of the {chosen:.0f} modules that the winner chose have no weights (skips, pools, nothing)"
            + (f"; of a random network {percent(usual, 0)} have none" if usual is not None else "")
        )
    entropy = rows_in(collapse, "gates")
    first, last = (number_in(row, "entropy") for row in (entropy[0], entropy[-1])) if entropy else (None, None)
    if first is not None and last is not None:
        parts.append(
            f"the entropy of the gates went from {number(first, 3)} to {number(last, 3)} (1: undecided, 0: decided)"
        )
    values = [v for row in entropy if (v := number_in(row, "eigenvalue")) is not None]
    if values:
        parts.append(
            f"the dominant eigenvalue of the gates' loss went from {number(values[0], 3)} to {number(values[-1], 3)}"
        )
    return f"Signs of collapse: {'; '.join(parts)}." if parts else ""


def _held(shared: Mapping[str, Any]) -> str:
    held = dig(shared, "held")
    if not held:
        return ""
    answers = ", ".join(f"{clean(k, 60)} = {clean(v, 40)}" for k, v in held.items())
    return f"Not searched, since they do not choose between modules: {shorten(answers, 600)}."


def _left(shared: Mapping[str, Any]) -> str:
    left = shared.get("not_carried")
    if not isinstance(left, list) or not shared.get("started_from"):
        return ""
    begun = f"The bank began with the weights of {shorten(shared['started_from'], 200)}"
    if not left:
        return f"{begun}; all were carried over."
    return (
        f"{begun}; {plural(len(left), 'tensor')} could not be carried over: {shorten(', '.join(map(str, left)), 600)}."
    )
