"""Drawing by hand: elements, scales, ticks, marks and the frame that every chart shares."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from archsmith.report.text import TIMES, escape, number

__all__ = [
    "Axis",
    "Plot",
    "cross",
    "drawing",
    "element",
    "errors",
    "linear",
    "logarithmic",
    "mark",
    "polyline",
    "text_width",
]


@dataclass(frozen=True)
class Axis:
    """What one axis shows: its range, its label, and how a value is written at a tick.

    ``steps`` are the distances ticks may have, where powers of ten would read badly (minutes). With ``error`` a share
    is drawn by the logarithm of what is missing to 1, so that 98 % and 99 % lie as far apart as 80 % and 90 %.
    """

    label: str
    low: float
    high: float
    log: bool = False
    write: Callable[[float], str] = number
    steps: tuple[float, ...] = ()
    error: bool = False

    def position(self, value: float) -> float:
        """Return where ``value`` lies, 0 at the low end and 1 at the high end; beyond the ends it is held there."""
        if self.error:
            low, high, value = (-math.log(max(1 - v, 1e-9)) for v in (self.low, self.high, value))
        elif self.log:
            low, high, value = math.log(self.low), math.log(self.high), math.log(max(value, self.low))
        else:
            low, high = self.low, self.high
        return min(1.0, max(0.0, (value - low) / (high - low)))

    def ticks(self, count: int) -> list[float]:
        """Return about ``count`` round values inside the range."""
        if self.error:
            missing = _log_ticks(1 - self.high, 1 - self.low, count + 1)
            return [round(1 - v, 12) for v in reversed(missing)]
        return _log_ticks(self.low, self.high, count) if self.log else _ticks(self.low, self.high, count, self.steps)


@dataclass(frozen=True)
class Plot:
    """A drawing area with two axes; ``at`` turns data into pixels."""

    x: Axis
    y: Axis
    width: float
    height: float
    left: float = 54
    right: float = 14
    top: float = 26
    bottom: float = 42

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Return the pixel of a point."""
        across = self.left + self.x.position(x) * (self.width - self.left - self.right)
        return across, self.height - self.bottom - self.y.position(y) * (self.height - self.top - self.bottom)

    def frame(self) -> str:
        """Return the grid, the ticks and the labels: a quiet base line, hair lines across, no box."""
        right, base = self.width - self.right, self.height - self.bottom
        parts = []
        for value in self.y.ticks(max(3, round((base - self.top) / 52))):
            _, y = self.at(self.x.low, value)
            parts.append(element("line", class_="grid", x1=self.left, x2=right, y1=y, y2=y))
            parts.append(element("text", self.y.write(value), class_="tick end", x=self.left - 8, y=y + 4))
        for value in self.x.ticks(max(2, round((right - self.left) / 92))):
            x, _ = self.at(value, self.y.low)
            parts.append(element("line", class_="axis", x1=x, x2=x, y1=base, y2=base + 4))
            parts.append(element("text", self.x.write(value), class_="tick mid", x=x, y=base + 17))
        parts.append(element("line", class_="axis", x1=self.left, x2=right, y1=base, y2=base))
        parts.append(element("text", self.y.label, class_="axis-label", x=2, y=12))
        parts.append(element("text", self.x.label, class_="axis-label end", x=right, y=self.height - 5))
        return "".join(parts)


def element(name: str, text: str = "", /, *, inner: str = "", title: str = "", **attributes: object) -> str:
    """Return one element; ``text`` and ``title`` (shown on hover) are escaped, ``inner`` is drawn already.

    Underscores in attribute names become hyphens, a last one is dropped (``class_``); None leaves an attribute out.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_value(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    body = (f"<title>{escape(title)}</title>" if title else "") + escape(text) + inner
    return f"<{name}{written}>{body}</{name}>" if body else f"<{name}{written}/>"


def drawing(width: float, height: float, inner: str, description: str, class_: str = "") -> str:
    """Return a whole drawing that scales to its place and tells a screen reader what it shows."""
    return element(
        "svg",
        inner=inner,
        viewBox=f"0 0 {_value(width)} {_value(height)}",
        role="img",
        aria_label=description,
        class_=class_ or None,
        style=f"max-width:{_value(width * 1.04)}px",
    )


def polyline(points: Sequence[tuple[float, float]], class_: str, title: str = "") -> str:
    """Return a line through ``points``."""
    path = " ".join(f"{_value(x)},{_value(y)}" for x, y in points)
    return element("polyline", title=title, class_=f"line {class_}", points=path)


def mark(shape: str, at: tuple[float, float], radius: float, class_: str, title: str = "") -> str:
    """Return a mark: ``circle``, ``square``, ``diamond``, ``triangle``, ``down`` or ``star``."""
    x, y = at
    if shape == "circle":
        return element("circle", title=title, class_=class_, cx=x, cy=y, r=radius)
    corners = [(x + radius * s * math.sin(a), y - radius * s * math.cos(a)) for a, s in _CORNERS[shape]]
    return element(
        "polygon", title=title, class_=class_, points=" ".join(f"{_value(a)},{_value(b)}" for a, b in corners)
    )


def cross(at: tuple[float, float], radius: float, class_: str, title: str = "") -> str:
    """Return a small cross, the mark of what was stopped or failed."""
    (x, y), r = at, radius
    return element(
        "path",
        title=title,
        class_=f"line {class_}",
        d=f"M{x - r:.1f} {y - r:.1f}l{2 * r:.1f} {2 * r:.1f}m{-2 * r:.1f} 0l{2 * r:.1f} {-2 * r:.1f}",
    )


def linear(
    label: str,
    values: Sequence[float],
    write: Callable[[float], str] = number,
    low: float | None = None,
    high: float | None = None,
) -> Axis:
    """Return an axis around ``values`` with a little air; ``low`` and ``high`` are never crossed."""
    least, most = (min(values), max(values)) if values else (0.0, 1.0)
    air = (most - least) * 0.06 or abs(most) * 0.05 or 0.5
    start, end = least - air, most + air
    start = start if low is None else max(start, low)
    end = end if high is None else min(end, high)
    return Axis(label, start, end if end > start else start + air, write=write)


def logarithmic(label: str, values: Sequence[float], write: Callable[[float], str] = number) -> Axis:
    """Return a logarithmic axis where positive ``values`` span more than a factor of 12, a linear one elsewhere."""
    if not values or min(values) <= 0 or max(values) / min(values) <= 12:
        return linear(label, values, write, 0.0 if values and min(values) >= 0 else None)
    return Axis(label, min(values) / 1.25, max(values) * 1.25, True, write)


def errors(label: str, values: Sequence[float], write: Callable[[float], str] = number) -> Axis:
    """Return an axis for shares near 1 by what they miss of it; a linear one where that would not help."""
    missing = [1 - v for v in values if v < 1]
    if not missing or max(missing) / min(missing) < 2.5 or max(missing) > 0.7:
        return linear(label, values, write, 0.0, 1.0)
    least = min(missing) if len(missing) == len(values) else min(missing) / 2
    return Axis(label, 1 - min(max(missing) * 1.08, 1.0), 1 - least / 1.15, write=write, error=True)


def text_width(text: str, font: float) -> float:
    """Return about how wide ``text`` is drawn at a font size, in pixels: there is no font to measure here."""
    return sum(0.36 if c in "iljtfr.,:;'|!() " else 0.9 if c in _WIDE else 0.63 for c in text) * font


def _ticks(low: float, high: float, count: int, steps: Sequence[float] = ()) -> list[float]:
    raw = (high - low) / max(count, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(s for s in (*steps, *(s * power for s in (1, 2, 5, 10))) if s >= raw * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def _log_ticks(low: float, high: float, count: int) -> list[float]:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    chosen: list[float] = []
    for digits in ((1, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9), (1, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
        chosen = [d * 10.0**p for p in powers for d in digits if low <= d * 10.0**p <= high]
        if len(chosen) <= count + 1:
            break
    return chosen[:: -(-len(chosen) // (count + 2))] or [low, high]


def _value(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.1f}".removesuffix(".0")
    return escape(value)


def _around(count: int, start: float = 0.0) -> list[tuple[float, float]]:
    return [(start + 2 * math.pi * i / count, 1.0) for i in range(count)]


_WIDE = f"mwMW{TIMES}\u2192"
_CORNERS: dict[str, list[tuple[float, float]]] = {
    "square": _around(4, math.pi / 4),
    "diamond": [(a, 1.15) for a, _ in _around(4)],
    "triangle": [(a, 1.15) for a, _ in _around(3)],
    "down": [(a, 1.15) for a, _ in _around(3, math.pi)],
    "star": [(math.pi * i / 5, 1.35 if i % 2 == 0 else 0.6) for i in range(10)],
}
