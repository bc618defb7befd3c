"""The few pieces of HTML that every section is made of; text given to them is escaped here and nowhere else."""

from __future__ import annotations

import io
import keyword
import tokenize
from collections.abc import Sequence
from dataclasses import dataclass

from archsmith.report.text import DASH, clean, escape, identifier

__all__ = ["Bar", "bars", "figure", "highlight", "pairs", "paragraph", "section", "table", "tiles"]


@dataclass(frozen=True)
class Bar:
    """A line of a bar chart: a share from 0 to 1 that is filled, and one that is outlined (None: no outline)."""

    label: str
    filled: float
    text: str
    outlined: float | None = None


def section(title: str, *parts: str) -> str:
    """Return a section with its heading; empty when it has no content."""
    body = "".join(parts)
    return f'<section id="{identifier(title)}"><h2>{escape(title)}</h2>{body}</section>' if body else ""


def paragraph(text: str, class_: str = "") -> str:
    """Return a paragraph; empty for an empty text."""
    return f"<p{_class(class_)}>{escape(text)}</p>" if text else ""


def figure(drawings: Sequence[str], caption: str, legend: Sequence[tuple[str, str]] = (), title: str = "") -> str:
    """Return drawings under one caption: one, or a wide and a narrow one of which the page shows what fits.

    ``legend`` is a list of ``(mark class, words)``. Without any drawing the result is empty.
    """
    kept = [d for d in drawings if d]
    if not kept:
        return ""
    sizes = ("wide", "narrow") if len(kept) > 1 else ("",)
    shown = "".join(f"<div{_class(size)}>{d}</div>" for size, d in zip(sizes, kept, strict=False))
    keys = "".join(f'<li><i class="key {escape(kind)}"></i>{escape(words)}</li>' for kind, words in legend)
    heading = f"<h3>{escape(title)}</h3>" if title else ""
    listed = f'<ul class="legend">{keys}</ul>' if keys else ""
    return f"<figure>{heading}{listed}{shown}<figcaption>{escape(caption)}</figcaption></figure>"


def table(
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    words: Sequence[int] = (0,),
    strong: Sequence[int] = (),
    caption: str = "",
) -> str:
    """Return a table of texts; columns in ``words`` are set left, all others right; rows in ``strong`` stand out.

    Columns in which every cell is empty or a dash are left out. Without rows the result is empty.
    """
    if not rows:
        return ""
    keep = [i for i in range(len(heads)) if i in words[:1] or any(row[i] not in ("", DASH) for row in rows)]
    left = {i for i in keep if i in words}
    head = "".join(f'<th scope="col"{_class("l" if i in left else "")}>{escape(heads[i])}</th>' for i in keep)
    lines = []
    for n, row in enumerate(rows):
        kinds = [("l w" if len(row[i]) > 26 else "l") if i in left else "" for i in keep]
        cells = "".join(f"<td{_class(kind)}>{escape(row[i])}</td>" for i, kind in zip(keep, kinds, strict=True))
        lines.append(f"<tr{_class('strong' if n in strong else '')}>{cells}</tr>")
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    return (
        f'<div class="scroll"><table>{title}<thead><tr>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'
    )


def tiles(items: Sequence[tuple[str, str, str]]) -> str:
    """Return key figures: ``(label, value, note)``."""
    cells = []
    for name, value, note in items:
        remark = f'<dd class="note">{escape(note)}</dd>' if note else ""
        cells.append(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd>{remark}</div>")
    return f'<dl class="tiles">{"".join(cells)}</dl>' if cells else ""


def pairs(items: Sequence[tuple[str, str]], columns: bool = False) -> str:
    """Return names with their values, one to a line; in two columns where there is room, if ``columns``."""
    lines = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in items)
    return f'<dl class="pairs{" columns" if columns else ""}">{lines}</dl>' if items else ""


def bars(items: Sequence[Bar]) -> str:
    """Return horizontal bars with their labels and values."""
    lines = []
    for bar in items:
        outline = f'<i class="plan" style="width:{_share(bar.outlined)}"></i>' if bar.outlined is not None else ""
        track = f'<span class="track">{outline}<i class="fill" style="width:{_share(bar.filled)}"></i></span>'
        lines.append(
            f'<div><span class="bar-label">{escape(bar.label)}</span>{track}'
            f'<span class="bar-value">{escape(bar.text)}</span></div>'
        )
    return f'<div class="bars">{"".join(lines)}</div>' if items else ""


def highlight(source: str) -> str:
    """Return Python source as a block in which comments, strings and keywords are told apart."""
    text = clean(source, 400_000)
    lines = text.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    out, reached = [], 0
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            kind = _kind(token)
            begin = starts[token.start[0] - 1] + token.start[1] if token.start[0] <= len(lines) else len(text)
            end = starts[token.end[0] - 1] + token.end[1] if token.end[0] <= len(lines) else len(text)
            if kind and begin >= reached:
                out.append(f'{escape(text[reached:begin])}<span class="{kind}">{escape(text[begin:end])}</span>')
                reached = end
    except (tokenize.TokenError, SyntaxError):
        pass  # What is not Python is shown all the same, without colours.
    return f'<pre class="source"><code>{"".join(out)}{escape(text[reached:])}</code></pre>'


def _kind(token: tokenize.TokenInfo) -> str:
    if token.type == tokenize.COMMENT:
        return "com"
    if token.type == tokenize.STRING:
        return "str"
    return "kw" if token.type == tokenize.NAME and keyword.iskeyword(token.string) else ""


def _share(value: float | None) -> str:
    return f"{100 * min(1.0, max(0.0, value or 0.0)):.1f}%"


def _class(name: str) -> str:
    return f' class="{name}"' if name else ""
