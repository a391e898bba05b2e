"""Small charts as SVG inside a page: they take the page's colours, in the light and in the dark, and load nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 400.0, 240.0
LEFT, RIGHT, TOP, BOTTOM = 58.0, 14.0, 10.0, 42.0
POINTS = 400  # of a line
CELLS = 24  # rows and columns of a matrix

Point = tuple[float, float]


@dataclass(frozen=True)
class Series:
    """A line (or dots) with a name and a colour; ``low`` and ``high`` are a band around it."""

    name: str
    colour: str
    points: Sequence[Point]
    low: Sequence[float] = ()
    high: Sequence[float] = ()


@dataclass(frozen=True)
class Frame:
    """What stands around a chart: title (for screen readers too), names of the axes."""

    title: str
    x: str
    y: str


def ink(colour: str) -> str:
    """Black is the page's own colour of text, which is white in the dark."""
    return "currentColor" if colour.lower() in ("", "#000000") else escape(colour)


def number(value: float) -> str:
    """A value beside an axis."""
    return f"{value:.3g}" if abs(value) < 1e3 else f"{value:,.0f}" if abs(value) < 1e6 else f"{value:.1e}"


def thinned(points: Sequence[Point], most: int = POINTS) -> list[Point]:
    """At most ``most`` points, the last among them."""
    step = max(1, math.ceil(len(points) / most))
    kept = list(points[::step])
    return kept if not points or kept[-1] == points[-1] else [*kept, points[-1]]


class _Scale:
    def __init__(self, series: Sequence[Series]) -> None:
        xs = [x for one in series for x, _ in one.points]
        ys = [y for one in series for y in (*(y for _, y in one.points), *one.low, *one.high) if math.isfinite(y)]
        self.x0, self.x1 = _wide(xs)
        self.y0, self.y1 = _wide(ys, 0.05)

    def x(self, value: float) -> float:
        return LEFT + (value - self.x0) / (self.x1 - self.x0) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        return HEIGHT - BOTTOM - (value - self.y0) / (self.y1 - self.y0) * (HEIGHT - TOP - BOTTOM)


def _wide(values: Sequence[float], margin: float = 0.0) -> tuple[float, float]:
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    if low == high:
        return low - (abs(low) or 1) * 0.5, high + (abs(high) or 1) * 0.5
    return low - margin * (high - low), high + margin * (high - low)


def ticks(low: float, high: float) -> list[float]:
    """Round values between two, five at most."""
    raw = (high - low) / 4
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(size * k for k in (1, 2, 2.5, 5, 10) if raw <= size * k * 1.001)
    return [round(k * step, 12) for k in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def _axes(scale: _Scale, frame: Frame) -> str:
    parts = []
    for x in ticks(scale.x0, scale.x1):
        parts.append(f'<text x="{scale.x(x):.1f}" y="{HEIGHT - BOTTOM + 16}" class="tick mid">{number(x)}</text>')
    for y in ticks(scale.y0, scale.y1):
        parts.append(f'<text x="{LEFT - 6}" y="{scale.y(y) + 4:.1f}" class="tick end">{number(y)}</text>')
        parts.append(f'<path d="M{LEFT} {scale.y(y):.1f}H{WIDTH - RIGHT}" class="grid"/>')
    parts.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 8}" class="axis mid">{escape(frame.x)}</text>')
    middle = (TOP + HEIGHT - BOTTOM) / 2
    turned = f'x="12" y="{middle}" transform="rotate(-90 12 {middle})"'
    parts.append(f'<text {turned} class="axis mid">{escape(frame.y)}</text>')
    return "".join(parts)


def _figure(frame: Frame, inside: str, named: Sequence[Series], size: tuple[float, float] = (WIDTH, HEIGHT)) -> str:
    keys = "".join(f'<li><i style="background:{ink(one.colour)}"></i>{escape(one.name)}</li>' for one in named)
    head = f"<figcaption>{escape(frame.title)}</figcaption>"
    view = f'viewBox="0 0 {size[0]:.0f} {size[1]:.0f}" role="img" aria-label="{escape(frame.title, quote=True)}"'
    legend = f'<ul class="key">{keys}</ul>' if keys else ""
    return f"<figure>{head}<svg {view}>{inside}</svg>{legend}</figure>"


def lines(series: Sequence[Series], frame: Frame) -> str:
    """Lines over a number; a band where a series has one, a dashed level where it has one point beside others. Empty
    where there is no point."""
    drawn = [one for one in series if one.points]
    if not drawn:
        return ""
    scale, parts = _Scale(drawn), []
    for one in drawn:
        if one.low and len(one.low) == len(one.points):
            up = [f"{scale.x(x):.1f} {scale.y(v):.1f}" for (x, _), v in zip(one.points, one.high, strict=True)]
            down = [f"{scale.x(x):.1f} {scale.y(v):.1f}" for (x, _), v in zip(one.points, one.low, strict=True)][::-1]
            parts.append(f'<path d="M{"L".join(up + down)}Z" fill="{ink(one.colour)}" opacity=".15"/>')
        path = "L".join(f"{scale.x(x):.1f} {scale.y(y):.1f}" for x, y in thinned(one.points))
        parts.append(f'<path d="M{path}" fill="none" stroke="{ink(one.colour)}" stroke-width="2"/>')
        if len(one.points) == 1 and len(drawn) > 1:  # measured once (all classes at once): a level for the others
            level = f"M{LEFT} {scale.y(one.points[0][1]):.1f}H{WIDTH - RIGHT}"
            parts.append(f'<path d="{level}" stroke="{ink(one.colour)}" stroke-width="2" stroke-dasharray="5 4"/>')
        elif len(one.points) <= 20:
            dots = (f'<circle cx="{scale.x(x):.1f}" cy="{scale.y(y):.1f}" r="3"/>' for x, y in one.points)
            parts.append(f'<g fill="{ink(one.colour)}">{"".join(dots)}</g>')
    return _figure(frame, _axes(scale, frame) + "".join(parts), drawn)


def scatter(series: Sequence[Series], frame: Frame, front: Sequence[Point] = ()) -> str:
    """A dot for each point, and a dashed line through the ``front``. Empty where there is no point."""
    drawn = [one for one in series if one.points]
    if not drawn:
        return ""
    scale, parts = _Scale(drawn), []
    if len(front) > 1:
        path = "L".join(f"{scale.x(x):.1f} {scale.y(y):.1f}" for x, y in front)
        parts.append(f'<path d="M{path}" fill="none" stroke="currentColor" stroke-dasharray="5 4" opacity=".6"/>')
    for one in drawn:
        dots = (f'<circle cx="{scale.x(x):.1f}" cy="{scale.y(y):.1f}" r="5"/>' for x, y in one.points)
        parts.append(f'<g fill="{ink(one.colour)}">{"".join(dots)}</g>')
    return _figure(frame, _axes(scale, frame) + "".join(parts), drawn)


def pareto(points: Sequence[Point], higher: bool) -> list[Point]:
    """The points of which none other has less x and a better y, by x."""
    front: list[Point] = []
    for x, y in sorted(points, key=lambda p: (p[0], -p[1] if higher else p[1])):
        if not front or (y > front[-1][1] if higher else y < front[-1][1]):
            front.append((x, y))
    return front


def heat(cells: Mapping[tuple[int, int], float], title: str, higher: bool | None) -> str:
    """A matrix after experience t (down) on experience j (across); the better, the stronger the colour."""
    shown = {key: v for key, v in cells.items() if max(key) < CELLS and math.isfinite(v)}
    if not shown:
        return ""
    side, edge = 44.0, 30.0
    size = 1 + max(max(key) for key in shown)
    rows = 1 + max(t for t, _ in shown)
    low, high = min(shown.values()), max(shown.values())
    parts = []
    for (t, j), value in sorted(shown.items()):
        share = (value - low) / (high - low) if high > low else 0.5
        strength = 0.06 + 0.74 * (share if higher is not False else 1 - share)
        x, y = edge + j * side, edge + t * side
        parts.append(f'<rect x="{x}" y="{y}" width="{side - 2}" height="{side - 2}" rx="3" opacity="{strength:.2f}"/>')
        parts.append(f'<text x="{x + side / 2 - 1}" y="{y + side / 2 + 3}" class="tick mid">{number(value)}</text>')
    for k in range(size):
        parts.append(f'<text x="{edge + k * side + side / 2}" y="20" class="tick mid">{k}</text>')
    for k in range(rows):
        parts.append(f'<text x="20" y="{edge + k * side + side / 2 + 3}" class="tick mid">{k}</text>')
    more = f" (the first {CELLS})" if len(shown) < len(cells) else ""
    frame = Frame(f"{title}: after experience (down) on experience (across){more}", "", "")
    return _figure(frame, f'<g class="heat">{"".join(parts)}</g>', (), (edge + size * side, edge + rows * side))
