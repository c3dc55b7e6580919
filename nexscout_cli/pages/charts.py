"""Charts as SVG text. Pure functions of numbers; all texts are escaped; no style or script inside.

A chart is 420 units wide, so that its words stay readable on a telephone and three stand side by side on a desk. Colours are
classes of the page's style: ``c0`` to ``c6`` for series, ``c7`` for the rest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from markupsafe import Markup

WIDTH, HEIGHT = 420, 210
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 412, 10, 186
_WIDEST = 44
"""A bar's width at most, where there are few days."""
_PLACES = '<g class="h">'
COLOURS = 7
"""Series with a colour of their own; what comes after them is the rest."""

Number = float | None
Point = tuple[float, float]


class Unit(NamedTuple):
    """How a chart's numbers are said: ``short`` beside the grid, ``exact`` when a day is pointed at; ``name`` tells the script
    of the server's pages, which says them itself.
    """

    short: Callable[[float], str]
    exact: Callable[[float], str]
    name: str = "count"

    @property
    def is_whole(self) -> bool:
        """Whether there is nothing between two whole numbers."""
        return self.name == "count"


class Line(NamedTuple):
    """One series: its name, a number for each day (None where there is none), its colour's class."""

    name: str
    values: Sequence[Number]
    colour: str


class Scale(NamedTuple):
    """From numbers to heights: ``top`` is the number at the upper edge, ``step`` lies between two lines of the grid."""

    top: float
    step: float

    def y(self, value: float) -> float:
        """The height of a number."""
        return _BOTTOM - (_BOTTOM - _TOP) * value / self.top


def scale(most: float, *, whole: bool = False) -> Scale:
    """A scale from 0 to a round number at or above ``most``, with five lines at most; of ``whole`` numbers where it is."""
    if not most > 0:
        return Scale(1.0, 1.0)
    power = 10.0 ** math.floor(math.log10(most))
    steps = (power * part for part in (0.2, 0.25, 0.5, 1, 2, 2.5))
    step = next(step for step in steps if most / step <= 5 and (not whole or step % 1 == 0))
    return Scale(step * math.ceil(most / step - 1e-9), step)


def _n(value: float) -> str:
    """A coordinate, short."""
    return f"{value:.1f}".removesuffix(".0")


def _x(n: int, many: int) -> float:
    """The middle of the place of number ``n``."""
    return _LEFT + (_RIGHT - _LEFT) * (n + 0.5) / many


def stacked(label: str, days: Sequence[str], parts: Sequence[Line], unit: Unit) -> Markup:
    """Bars by day, each part on top of the one before."""
    sums = [sum(part.values[n] or 0 for part in parts) for n in range(len(days))]
    by = scale(max(sums, default=0), whole=unit.is_whole)
    wide = (_RIGHT - _LEFT) / max(1, len(days))
    bar = min(_WIDEST, max(0.8, wide * 0.82)) / wide
    reached = [0.0] * len(days)
    marks: list[Markup] = []
    for part in parts:
        path = []
        for n, value in enumerate(part.values):
            if value:
                reached[n] += value
                path.append(f"M{n} 0V{10 * (_BOTTOM - by.y(reached[n])):.0f}")
        marks.insert(
            0, Markup('<path class="p {}" stroke-width="{:.3f}" d="{}"/>').format(part.colour, bar, "".join(path))
        )
    # There are hundreds of bars: they are counted in days and tenths of a unit, begin at the bottom, and cover each other.
    x, y = f"{_x(0, len(days)):.3f}", f"{wide:.4f}"
    group = Markup('<g class="s" transform="translate({} {})scale({},-.1)">{}</g>')
    marks = [group.format(x, _BOTTOM, y, Markup("").join(marks))]
    texts = []
    for n, day in enumerate(days):
        named = [(p.values[n] or 0, p.name) for p in parts]
        lines = [f"{name}: {unit.exact(value)}" for value, name in reversed(named) if value]
        texts.append("\n".join([f"{day}: {unit.exact(sums[n])}", *(lines if len(parts) > 1 else ())]))
    return _svg(label, by, unit, days, marks, texts)


def lines(
    label: str, days: Sequence[str], series: Sequence[Line], unit: Unit, band: tuple[Line, Line] | None = None
) -> Markup:
    """Lines by day; a day without a number is a gap. ``band``: the area between two series, which is filled."""
    drawn = [*series, *(band or ())]
    by = scale(max((v for one in drawn for v in one.values if v is not None), default=0), whole=unit.is_whole)
    marks = [_area(days, by, *band)] if band else []
    for one in series:
        marks.append(Markup('<path class="l {}" d="{}"/>').format(one.colour, _path(one.values, by)) + _dots(one, by))
    texts = [
        "\n".join(
            [day, *(f"{one.name}: {unit.exact(v)}" for one in drawn if (v := one.values[n]) is not None)],
        )
        for n, day in enumerate(days)
    ]
    return _svg(label, by, unit, days, marks, texts)


def _path(values: Sequence[Number], by: Scale) -> str:
    points = [None if v is None else (round(_x(n, len(values)), 1), round(by.y(v), 1)) for n, v in enumerate(values)]
    return "".join(_step(before, at) for before, at in zip([None, *points], points, strict=False) if at is not None)


def _step(before: Point | None, at: Point) -> str:
    """To a point of a line from the one before it, if it has one: so far from there, which takes fewer characters."""
    if before is None:
        return f"M{_n(at[0])} {_n(at[1])}"
    return f"l{_n(at[0] - before[0])} {_n(at[1] - before[1])}".replace(" -", "-")


def _dots(one: Line, by: Scale) -> Markup:
    """A dot for each number that stands alone, which a line would not show."""
    values = one.values
    found = [
        (n, value)
        for n, value in enumerate(values)
        if value is not None and (n == 0 or values[n - 1] is None) and (n + 1 == len(values) or values[n + 1] is None)
    ]
    return Markup("").join(
        Markup('<circle class="{}" cx="{}" cy="{}" r="2.5"/>').format(
            one.colour, _n(_x(n, len(values))), _n(by.y(value))
        )
        for n, value in found
    )


def _area(days: Sequence[str], by: Scale, low: Line, high: Line) -> Markup:
    known = [
        (_x(n, len(days)), by.y(a), by.y(b))
        for n, (a, b) in enumerate(zip(low.values, high.values, strict=True))
        if a is not None and b is not None
    ]
    if not known:
        return Markup("")
    around = [(x, top) for x, _, top in known] + [(x, bottom) for x, bottom, _ in reversed(known)]
    points = [(round(x, 1), round(y, 1)) for x, y in around]
    path = "".join(_step(before, at) for before, at in zip([None, *points], points, strict=False))
    return Markup('<path class="b {}" d="{}z"/>').format(high.colour, path)


def without_places(picture: Markup) -> Markup:
    """A picture without what is pointed at: a script can make that from the figures beside it, and the page is smaller."""
    start, end = picture.index(_PLACES), picture.rindex("</svg>")
    return picture[:start] + picture[end:]  # parts of what is escaped already


def _svg(
    label: str, by: Scale, unit: Unit, days: Sequence[str], marks: Sequence[Markup], texts: Sequence[str]
) -> Markup:
    """The whole picture: grid, marks, days below, and over each day a place that says its figures when pointed at."""
    grid = []
    for n in range(round(by.top / by.step) + 1):
        y = _n(by.y(n * by.step))
        grid.append(
            Markup('<path class="g" d="M{} {}H{}"/><text x="{}" y="{}" class="y">{}</text>').format(
                _LEFT, y, _RIGHT, _LEFT - 5, _n(by.y(n * by.step) + 3.5), unit.short(n * by.step)
            )
        )
    many = len(days)
    shown = sorted({0, many - 1} | ({many // 3, 2 * many // 3} if many > 8 else set())) if many else []
    axis = [
        Markup('<text x="{}" y="{}" class="x{}">{}</text>').format(
            _n(_x(n, many)),
            HEIGHT - 8,
            (" s" if n == 0 else " e" if n == many - 1 else "") if many > 1 else "",
            days[n][5:] if len(days[n]) == 10 else days[n],
        )
        for n in shown
    ]
    wide = (_RIGHT - _LEFT) / max(1, many)
    places = [
        Markup('<rect x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>').format(
            _n(_LEFT + n * wide), _TOP, _n(wide), _BOTTOM - _TOP, text
        )
        for n, text in enumerate(texts)
    ]
    empty = Markup("").join
    return Markup(
        '<svg viewBox="0 0 {} {}" role="img" aria-label="{}"><g>{}</g>{}<g>{}</g><g class="h">{}</g></svg>'
    ).format(WIDTH, HEIGHT, label, empty(grid), empty(marks), empty(axis), empty(places))
