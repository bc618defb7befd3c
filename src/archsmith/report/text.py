"""Words and numbers for people: cleaning, escaping, and how each metric is written."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from archsmith.redact import SECRET_NAME, redact

__all__ = [
    "DASH",
    "NBSP",
    "TIMES",
    "amount",
    "brief",
    "clean",
    "csv_cell",
    "duration",
    "escape",
    "identifier",
    "label",
    "markdown",
    "mask",
    "metric",
    "moment",
    "number",
    "percent",
    "plural",
    "shorten",
    "size",
]

DASH = "\u2013"
NBSP = "\u00a0"
TIMES = "\u00d7"
_TERMINAL = re.compile(r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b\[[0-?]*[ -/]*[@-~]|\x1b.?", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_LABELS = {
    "activation_bytes": "activation memory",
    "bytes": "file size",
    "latency_ms": "latency",
    "log_loss": "log loss",
    "macs": "multiply-adds",
    "mae": "mean absolute error",
    "onnx_latency_ms": "ONNX latency",
    "params": "parameters",
    "r2": "R²",
    "rmse": "RMSE",
}


def clean(value: Any, limit: int = 20_000) -> str:
    """Return ``value`` as text without terminal escapes, control or direction characters, cut at ``limit``."""
    text = str(value).replace("\r\n", "\n").replace("\r", "\n")
    text = _CONTROL.sub("", _TERMINAL.sub("", text))
    return text if len(text) <= limit else text[: limit - 1] + "…"


def escape(value: Any) -> str:
    """Return ``value`` cleaned and escaped, safe as the content or a quoted attribute of an element."""
    return html.escape(clean(value), quote=True)


def markdown(value: Any) -> str:
    """Return ``value`` cleaned, on one line, with everything escaped that Markdown would read as markup."""
    text = " ".join(clean(value, 2_000).split())
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]|#!~])", r"\\\1", text)


def csv_cell(value: Any) -> str | int | float | bool:
    """Return ``value`` as a CSV cell that no spreadsheet runs as a formula.

    Numbers stay numbers. Text that begins like a formula, after any white space, gets a quote in front; a text that
    is merely a number keeps its sign.
    """
    if value is None:
        return ""
    if isinstance(value, (bool, int, float)):
        return value
    text = " ".join(clean(value).split())
    if not text.startswith(_FORMULA):
        return text
    try:
        float(text)
    except ValueError:
        return "'" + text
    return text


def identifier(value: Any) -> str:
    """Return ``value`` reduced to letters, digits and hyphens, for use as an ``id``."""
    return re.sub(r"[^a-z0-9]+", "-", clean(value).lower()).strip("-")


def shorten(value: Any, limit: int = 40) -> str:
    """Return ``value`` cleaned, on one line, at most ``limit`` characters long."""
    text = " ".join(clean(value).split())
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def plural(count: int, noun: str) -> str:
    """Return ``count`` with its noun: ``1 trial``, ``2 trials``."""
    return f"{count:,}{NBSP}{noun}{'' if count == 1 else 's'}"


def number(value: float | None, digits: int = 4) -> str:
    """Return ``value`` with ``digits`` significant digits, a dash where there is none."""
    if value is None or not math.isfinite(value):
        return DASH
    if value == 0:
        return "0"
    power = math.floor(math.log10(abs(value)))
    if power < -4 or power >= 7:
        return f"{value:.{max(digits - 2, 0)}e}"
    return f"{value:,.{max(digits - 1 - power, 0)}f}".replace("-", "\u2212")


def percent(value: float | None, digits: int = 2) -> str:
    """Return a share from 0 to 1 as a percentage."""
    if value is None or not math.isfinite(value):
        return DASH
    return f"{100 * value:.{digits}f}{NBSP}%".replace("-", "\u2212")


def amount(value: float | None) -> str:
    """Return a count with k, M, G: ``70.1 k``; small counts in full."""
    if value is None or not math.isfinite(value):
        return DASH
    for bound, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= bound * 0.99995:
            return f"{_three(value / bound)}{NBSP}{unit}"
    return f"{value:,.0f}" if float(value).is_integer() else number(value, 3)


def size(value: float | None) -> str:
    """Return a number of bytes in kB, MB, GB (powers of 1000)."""
    if value is None or not math.isfinite(value):
        return DASH
    for bound, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if abs(value) >= bound * 0.99995:
            return f"{_three(value / bound)}{NBSP}{unit}"
    return f"{value:.0f}{NBSP}B"


def duration(seconds: float | None) -> str:
    """Return seconds as people say them: ``0.42 s``, ``14 s``, ``3 min 20 s``, ``2 h 05 min``."""
    if seconds is None or not math.isfinite(seconds):
        return DASH
    if seconds < 0:
        return "\u2212" + duration(-seconds)
    if seconds < 9.95:
        return f"{number(seconds, 2)}{NBSP}s"
    whole = round(seconds)
    if whole < 120:
        return f"{whole}{NBSP}s"
    if whole < 7200:
        minutes, rest = divmod(whole, 60)
        return f"{minutes}{NBSP}min" + (f"{NBSP}{rest:02d}{NBSP}s" if rest else "")
    hours, rest = divmod(round(seconds / 60), 60)
    return f"{hours}{NBSP}h" + (f"{NBSP}{rest:02d}{NBSP}min" if rest else "")


def moment(time: float | None) -> str:
    """Return seconds since the epoch as a date and time in UTC, a dash where there is none."""
    if time is None or not 0 < time < 32_503_680_000:
        return DASH
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M UTC")


def label(name: str) -> str:
    """Return the words for a metric's name."""
    return _LABELS.get(name, clean(name).replace("_", " "))


def metric(name: str, value: float | None) -> str:
    """Return a metric's value with its unit, as its name tells."""
    if value is None:
        return DASH
    if name.endswith("accuracy") or name in ("auc", "f1", "precision", "recall"):
        return percent(value)
    if name.endswith("_ms"):
        return f"{number(value, 3)}{NBSP}ms"
    if name.endswith("bytes"):
        return size(value)
    if name in ("params", "macs", "flops"):
        return amount(value)
    if name.endswith("seconds"):
        return duration(value)
    return number(value)


def brief(name: str, value: float) -> str:
    """Return a metric's value as at a tick or a limit, without the zeros that only show precision."""
    return re.sub(r"(\.\d*?)0+(?=\D|$)", lambda m: m[1].rstrip("."), metric(name, value))


def mask(data: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Return nested ``data`` as flat ``(name, text)`` lines; values whose name smells of a secret are hidden.

    So are passwords within a value, such as that of a database's URL.
    """
    lines: list[tuple[str, str]] = []
    for key, value in data.items():
        name = f"{prefix}{clean(key, 100)}"
        if isinstance(value, Mapping):
            lines += mask(value, f"{name}.")
        elif SECRET_NAME.search(name):
            lines.append((name, "hidden"))
        elif isinstance(value, list | tuple):
            lines.append((name, shorten(redact(", ".join(clean(v, 200) for v in value)), 400)))
        elif value is not None:
            lines.append((name, shorten(redact(clean(value)), 400)))
    return lines


def _three(value: float) -> str:
    """Three significant digits, trailing zeros kept, so columns of them look alike."""
    return f"{value:,.{0 if abs(value) >= 99.95 else 1 if abs(value) >= 9.995 else 2}f}"
