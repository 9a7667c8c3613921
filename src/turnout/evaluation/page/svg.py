"""Charts as inline SVG: scales, marks, and labels that find a free place.

Colours are CSS variables of the page, so that a chart follows light and dark. Every text is escaped.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from markupsafe import Markup, escape

Point = tuple[float, float]
Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""

CHARACTER = 6.1
"""Mean width of a character of a label, in units of the drawing."""
LINE = 13.0


@dataclass(frozen=True, slots=True)
class Scale:
    """Values to places along one axis, linear or logarithmic."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """The place of a value; outside the range it lies outside the axis."""
        low, high, at = (math.log(v) if self.log else v for v in (self.low, self.high, value))
        part = (at - low) / (high - low) if high != low else 0.5
        return self.start + part * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Round values within the range: 1, 2 and 5 times powers of ten."""
        if self.log:
            first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
            tens = [m * 10.0**e for e in range(first, last + 1) for m in (1, 2, 5)]
            found = [t for t in tens if self.low <= t <= self.high]
            wide = math.log10(self.high / self.low) > 2.2
            return [t for t in found if not wide or f"{t:e}"[0] == "1"] or found
        span = self.high - self.low
        raw = span / 6 if span > 0 else 1.0
        power = 10.0 ** math.floor(math.log10(raw))
        step = next(m * power for m in (1, 2, 5, 10) if raw <= m * power * (1 + 1e-9))
        first = math.ceil(self.low / step - 1e-9)
        count = math.floor(self.high / step + 1e-9) - first + 1
        return [round((first + i) * step, 10) for i in range(count)]


@dataclass(slots=True)
class Chart:
    """A drawing in the making; `svg` closes it."""

    width: float
    height: float
    x: Scale
    y: Scale
    parts: list[Markup] = field(default_factory=list)
    taken: list[Box] = field(default_factory=list)
    """Where labels are."""
    ink: list[Point] = field(default_factory=list)
    """Points of lines and marks that labels should not cover."""

    @classmethod
    def framed(
        cls, x_range: tuple[float, float], y_range: tuple[float, float], *, log: bool = False
    ) -> Chart:
        """An empty chart of the usual size."""
        width, height = 600.0, 380.0
        x = Scale(*x_range, 48.0, width - 14.0, log)
        return cls(width, height, x, Scale(*y_range, height - 46.0, 12.0))

    def axes(self, x_label: str, y_label: str, *, x_unit: str = "") -> None:
        """Grid lines over y, ticks and names of both axes."""
        left, right = self.x.start, self.x.end
        bottom = self.y.start
        for tick in self.y.ticks():
            at = self.y(tick)
            self.parts.append(_line("grid", left, at, right, at))
            self.text(left - 7, at + 4, number(tick), anchor="end", kind="tick")
        for tick in self.x.ticks():
            at = self.x(tick)
            self.parts.append(_line("rule", at, bottom, at, bottom + 4))
            self.text(at, bottom + 17, number(tick) + x_unit, anchor="middle", kind="tick")
        self.parts.append(_line("rule", left, bottom, right, bottom))
        self.text((left + right) / 2, self.height - 8, x_label, anchor="middle", kind="name")
        self.text(left, self.y.end - 2, y_label, anchor="start", kind="name")
        self.taken.append((left, self.y.end - 12, left + len(y_label) * CHARACTER, self.y.end + 3))

    def curve(self, points: Sequence[Point], *, kind: str) -> None:
        """A line through points in values; outside the frame it is cut."""
        placed = [(self.x(x), self.y(y)) for x, y in points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
        self.parts.append(_tag("polyline", kind, points=path))
        self.ink += dense(placed)

    def band(self, points: Sequence[tuple[float, float, float]], *, kind: str) -> None:
        """An area between low and high at each x."""
        low = [(self.x(x), self.y(b)) for x, b, _ in points]
        high = [(self.x(x), self.y(t)) for x, _, t in reversed(points)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in [*low, *high])
        self.parts.append(_tag("polygon", kind, points=path))

    def level(self, value: float, *, kind: str = "level") -> None:
        """A horizontal line at a value."""
        at = self.y(value)
        self.parts.append(_line(kind, self.x.start, at, self.x.end, at))
        self.ink += dense([(self.x.start, at), (self.x.end, at)])

    def dot(self, x: float, y: float, *, kind: str, title: str, radius: float = 3.5) -> None:
        """A mark that says what it is to a pointer and to a reader."""
        at_x, at_y = self.x(x), self.y(y)
        said = Markup("<title>{}</title>").format(title)
        self.parts.append(_tag("circle", kind, said, cx=at_x, cy=at_y, r=radius))
        self.ink.append((at_x, at_y))

    def text(self, x: float, y: float, text: str, *, anchor: str, kind: str) -> None:
        """A text at a place of the drawing."""
        self.parts.append(_tag("text", kind, escape(text), x=x, y=y, text_anchor=anchor))

    def label(self, text: str, near: Sequence[Point], *, kind: str) -> None:
        """A text beside one of some places (in values), where it covers least."""
        size = len(text) * CHARACTER
        best: tuple[float, Box] | None = None
        for order, (x, y) in enumerate(near):
            at_x, at_y = self.x(x), self.y(y)
            for box in _around(at_x, at_y, size):
                cost = self._covered(box) + order * 1e-3
                if best is None or cost < best[0]:
                    best = cost, box
        if best is None:
            return
        left, _, _, bottom = best[1]
        self.taken.append(best[1])
        self.text(left, bottom - 3, text, anchor="start", kind=f"label {kind}")

    def _covered(self, box: Box) -> float:
        left, top, right, bottom = box
        outside = max(0.0, self.x.start - left) + max(0.0, right - self.width + 2)
        outside += max(0.0, self.y.end - 4 - top) + max(0.0, bottom - self.y.start)
        over_ink = sum(left - 2 < x < right + 2 and top < y < bottom for x, y in self.ink)
        over = sum(
            max(0.0, min(right, r) - max(left, x)) * max(0.0, min(bottom, b) - max(top, t))
            for x, t, r, b in self.taken
        )
        return outside * 20 + over_ink + over * 3

    def svg(self, title: str, description: str) -> Markup:
        """The drawing, clipped to its frame, with a name and a description for readers."""
        head = Markup("<title>{}</title><desc>{}</desc>").format(title, description)
        return Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}{}</svg>').format(
            f"{self.width:g}", f"{self.height:g}", title, head, Markup("").join(self.parts)
        )


def number(value: float) -> str:
    """A tick's value without needless digits."""
    if value == 0:
        return "0"
    text = f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{float(text):.10f}".rstrip("0").rstrip(".") if "e" in text else text


def dense(points: Sequence[Point], step: float = 6.0) -> list[Point]:
    """Points along a broken line, not further than `step` from each other."""
    found: list[Point] = list(points[:1])
    for (x0, y0), (x1, y1) in pairwise(points):
        count = max(1, math.ceil(math.hypot(x1 - x0, y1 - y0) / step))
        found += [
            (x0 + (x1 - x0) * i / count, y0 + (y1 - y0) * i / count) for i in range(1, count + 1)
        ]
    return found


def _around(x: float, y: float, size: float) -> list[Box]:
    """Boxes for a text beside a point: right, left, above, below, and further off."""
    found = []
    for gap in (6.0, 12.0, 20.0):
        middle = y - LINE / 2
        corners = [(x + gap, middle), (x - gap - size, middle)]
        corners += [
            (left, top)
            for top in (y - gap - LINE, y + gap)
            for left in (x - size / 2, x - 4, x - size + 4)
        ]
        found += [(left, top, left + size, top + LINE) for left, top in corners]
    return found


def _line(kind: str, x1: float, y1: float, x2: float, y2: float) -> Markup:
    return _tag("line", kind, x1=x1, y1=y1, x2=x2, y2=y2)


def _tag(name: str, kind: str, inner: Markup | str = "", **attributes: float | str) -> Markup:
    given = Markup("").join(
        Markup(' {}="{}"').format(
            key.replace("_", "-"), f"{value:.1f}" if isinstance(value, float) else value
        )
        for key, value in attributes.items()
    )
    return Markup('<{0} class="{1}"{2}>{3}</{0}>').format(name, kind, given, escape(inner))
