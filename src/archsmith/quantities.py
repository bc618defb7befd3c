"""Quantities as people write them: ``90s``, ``1h30m``, ``5ms``, ``500k``, ``64MB``."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from archsmith.errors import UsageError

__all__ = ["parse_bytes", "parse_count", "parse_duration", "parse_latency_ms"]

_NUMBER = r"(\d+(?:[._]\d+)*|\.\d+)(e[+-]?\d+)?"
_PART = re.compile(_NUMBER + r"\s*([a-zµμ]*)", re.IGNORECASE)
_SECONDS = {"ms": 1e-3, "s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_MILLISECONDS = {"ns": 1e-6, "us": 1e-3, "µs": 1e-3, "μs": 1e-3, "ms": 1.0, "s": 1e3}
_COUNTS = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "b": 1e9, "t": 1e12}
_BYTES = {"b": 1.0, "k": 1e3, "kb": 1e3, "m": 1e6, "mb": 1e6, "g": 1e9, "gb": 1e9}
_BYTES |= {"kib": 2.0**10, "mib": 2.0**20, "gib": 2.0**30}


def parse_duration(text: str | float, what: str = "a duration") -> float:
    """Return seconds from ``"90s"``, ``"30m"``, ``"1h30m"`` or a plain number of seconds.

    Raises ``UsageError`` for anything else, and for what is not above zero. ``what`` names the value in the message.
    """
    return _parse(text, what, {"": 1.0} | _SECONDS, "90s, 30m or 1h30m", compound=True)


def parse_latency_ms(text: str | float, what: str = "a latency") -> float:
    """Return milliseconds from ``"5ms"``, ``"200us"`` or a plain number of milliseconds; else raise ``UsageError``."""
    return _parse(text, what, {"": 1.0} | _MILLISECONDS, "5ms or 200us")


def parse_count(text: str | float, what: str = "a count") -> int:
    """Return a whole number from ``"500k"``, ``"1.5M"`` or ``"70000"``; else raise ``UsageError``."""
    value = _parse(text, what, _COUNTS, "500k, 1.5M or 70000")
    if abs(value - round(value)) > 1e-6 * value:
        raise UsageError(f"{what}: {text!r} is not a whole number. Write for example 500k, 1.5M or 70000.")
    return round(value)


def parse_bytes(text: str | float, what: str = "a size") -> int:
    """Return bytes from ``"64MB"`` (powers of 1000), ``"2MiB"`` (of 1024) or a plain number; raises ``UsageError``."""
    return math.floor(_parse(text, what, {"": 1.0} | _BYTES, "64MB, 512kB or 2MiB"))


def _parse(text: str | float, what: str, units: Mapping[str, float], example: str, compound: bool = False) -> float:
    if isinstance(text, bool) or not isinstance(text, (int, float, str)):
        raise UsageError(f"{what}: {text!r} is no quantity. Write for example {example}.")
    if not isinstance(text, str):
        value = float(text)
    else:
        parts = [(m.start(), m.end(), m) for m in _PART.finditer(text.strip())]
        rest = _PART.sub("", text.strip()).strip()
        if not parts or rest or (len(parts) > 1 and not compound):
            raise UsageError(f"{what}: {text!r} is not understood. Write for example {example}.")
        value, previous = 0.0, math.inf
        for _, _, match in parts:
            digits, power, unit = match.group(1), match.group(2) or "", match.group(3).lower()
            scale = units.get(unit)
            if scale is None or (len(parts) > 1 and not unit):
                known = ", ".join(u for u in units if u and u.isascii())
                raise UsageError(
                    f"{what}: {text!r} has the unit {unit!r}. Known units: {known}; for example {example}."
                )
            if scale >= previous:
                raise UsageError(f"{what}: {text!r} has its units in a strange order. Write for example {example}.")
            if digits.count(".") > 1:
                raise UsageError(f"{what}: {text!r} is not understood. Write for example {example}.")
            value, previous = value + float(digits.replace("_", "") + power) * scale, scale
    if not math.isfinite(value) or value <= 0:
        raise UsageError(f"{what}: {text!r} must be above zero. Write for example {example}.")
    return value
