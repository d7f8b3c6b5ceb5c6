"""Numbers of frames or steps as SVG curves to be put into a page: small however many, broken where there is none."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

import numpy as np

from dvface.report.escape import printable
from dvface.report.histograms import Axis

WIDTH, LEFT, RIGHT = 720, 56, 8
TOP, PLOT, BELOW = 6, 120, 30
COLUMNS, BANDS = 600, 120
COLOURS = 8
MARGIN = 0.05  # of the values' range, free above and below them

STYLE = """
:root { --line-0: #1f6fb4; --line-1: #d9691e; --line-2: #23895a; --line-3: #b0418b; --line-4: #6f5bb8;
  --line-5: #a3341f; --line-6: #7a6a10; --line-7: #4d5a63; }
@media (prefers-color-scheme: dark) {
:root { --line-0: #6cb2f0; --line-1: #f59a58; --line-2: #5fc795; --line-3: #e58cc6; --line-4: #b0a1f0;
  --line-5: #ee8673; --line-6: #d3c04f; --line-7: #a9b8c2; }
}
.lines { display: block; width: 100%; height: auto; }
.lines text { fill: currentColor; font: 11px system-ui, sans-serif; }
.lines .axis { stroke: currentColor; } .lines .grid { stroke: currentColor; opacity: .15; }
.lines path { fill: none; stroke-width: 1.4; stroke-linecap: round; stroke-linejoin: round; }
.lines .range { stroke: none; opacity: .18; }
.lines rect { fill: currentColor; opacity: 0; } .lines rect:hover { opacity: .12; }
.line-dashed { stroke-dasharray: 5 4; }
""" + "".join(
    f".line-{number} {{ stroke: var(--line-{number}); }} .lines .range-{number} {{ fill: var(--line-{number}); }}\n"
    for number in range(COLOURS)
)
"""CSS of the page that holds curves: curve n has the class `line_class` (n)."""


@dataclass(frozen=True)
class Line:
    """One curve.

    Attributes:
        label: whose numbers they are.
        frames: frame numbers, or steps, rising.
        values: a number for each frame; None, NaN and infinity leave a gap.
        ranges: lower and upper end of what each number stands for, finite; empty where no ranges are drawn.
    """

    label: str
    frames: Sequence[int]
    values: Sequence[float | None]
    ranges: Sequence[tuple[float, float]] = ()

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """(N,) frame numbers and (N,) values, NaN where there is none."""
        return np.asarray(self.frames, np.int64), np.asarray(self.values, np.float64)


def line_class(number: int) -> str:
    """CSS classes of the curve with this number; colours come again, dashed, after `COLOURS` curves."""
    return f"line-{number % COLOURS}" + (" line-dashed" if number >= COLOURS else "")


def line_plot(
    name: str,
    lines: Sequence[Line],
    form: str = ".4g",
    columns: int = COLUMNS,
    bands: int = BANDS,
    over: str = "frame",
) -> str:
    """SVG of curves over frame numbers; hovering tells the numbers.

    Where a curve has more than two numbers in a pixel column, the column's least and greatest stand for it, so that no
    peak is lost. A curve is broken where numbers are missing over a pixel column or more, be it that frames have none
    or that frames are passed over.

    Args:
        name: of what is measured, for those who cannot see the picture.
        lines: the curves, at least one finite number in all.
        form: format specification of the numbers that hovering tells.
        columns: pixel columns over which frames are spread.
        bands: at most so many places tell their numbers.
        over: what the numbers are of, such as a frame.

    Returns:
        An ``<svg>`` element whose colours come from `STYLE`; texts in it are escaped.

    Raises:
        ValueError: no finite number, or a line with more frames than values or the reverse.
    """
    arrays = [line.arrays() for line in lines]
    for line, (frames, values) in zip(lines, arrays, strict=True):
        if frames.shape != values.shape:
            raise ValueError(f"{line.label} has {len(values)} values of {len(frames)} frames")
    arrays = [(frames, np.where(np.isfinite(values), values, np.nan)) for frames, values in arrays]
    drawn = [values[~np.isnan(values)] for _, values in arrays]
    if not any(len(values) for values in drawn):
        raise ValueError(f"{name} has no finite number to draw")
    numbers = np.concatenate([frames for frames, _ in arrays])
    across = _axis(float(numbers.min()), float(numbers.max()), margin=0.0)
    finite = np.concatenate([*drawn, *(np.ravel(line.ranges) for line in lines if len(line.ranges))])
    up = _axis(float(finite.min()), float(finite.max()), margin=MARGIN)
    parts = [
        f'<svg class="lines" viewBox="0 0 {WIDTH} {TOP + PLOT + BELOW}" role="img" '
        f'aria-label="{_escaped(name)} over {_escaped(over)}s">',
        *_scales(across, up, over),
        *(_ranges(number, across, up, line) for number, line in enumerate(lines) if len(line.ranges)),
        *(_curve(number, across, up, *pair, columns) for number, pair in enumerate(arrays)),
        *_bands(lines, arrays, across, form, bands, over),
        "</svg>",
    ]
    return "\n".join(parts)


def _axis(low: float, high: float, margin: float) -> Axis:
    """From ``low`` to ``high`` with free space beyond; numbers that are all alike stand in the middle."""
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        around = 0.05 * abs(high) if margin and high else 0.5
        return Axis(low - around, high + around, logarithmic=False)
    return Axis(low - margin * (high - low), high + margin * (high - low), logarithmic=False)


def _x(across: Axis, frame: np.ndarray | float) -> np.ndarray:
    return LEFT + (WIDTH - LEFT - RIGHT) * across.place(frame)


def _y(up: Axis, value: np.ndarray | float) -> np.ndarray:
    return TOP + PLOT * (1 - up.place(value))


def _ranges(number: int, across: Axis, up: Axis, line: Line) -> str:
    """The area between the ends of a curve's ranges."""
    x, ends = _x(across, line.arrays()[0]), _y(up, np.asarray(line.ranges, np.float64))
    corners = [*zip(x, ends[:, 0], strict=True), *zip(x[::-1], ends[::-1, 1], strict=True)]
    path = "L".join(f"{left:.1f},{top:.1f}" for left, top in corners)
    return f'<path class="range range-{number % COLOURS}" d="M{path}Z"/>'


def _curve(number: int, across: Axis, up: Axis, frames: np.ndarray, values: np.ndarray, columns: int) -> str:
    """The path of one curve; a number between two gaps is a dot."""
    step = int(np.diff(frames).min()) if len(frames) > 1 else 1
    there = ~np.isnan(values)
    frames, values = frames[there], values[there]
    kept = thinned(frames, values, across, columns)
    widest = max(step, (across.high - across.low) / columns)  # between two numbers that are joined
    stretches = np.concatenate([[0], np.cumsum(np.diff(frames) > widest)])[kept] if len(kept) else kept
    pieces = []
    for piece in np.split(kept, np.flatnonzero(np.diff(stretches)) + 1) if len(kept) else []:
        points = [f"{x:.1f},{y:.1f}" for x, y in zip(_x(across, frames[piece]), _y(up, values[piece]), strict=True)]
        pieces.append("M" + "L".join(points if len(points) > 1 else 2 * points))
    return f'<path class="{line_class(number)}" d="{"".join(pieces)}"/>'


def thinned(frames: np.ndarray, values: np.ndarray, across: Axis, columns: int) -> np.ndarray:
    """Indices of the numbers to draw, rising: the first, the last, and in each pixel column the least and greatest.

    Args:
        frames: (N,) frame numbers, rising.
        values: (N,) finite numbers.
        across: where frames stand.
        columns: pixel columns of the whole axis.
    """
    column = np.minimum((across.place(frames) * columns).astype(np.int64), columns - 1)
    starts = np.flatnonzero(np.diff(column, prepend=-1))
    kept = [
        index
        for start, end in pairwise([*starts, len(column)])
        for index in (start + values[start:end].argmin(), start + values[start:end].argmax())
    ]
    return np.unique([0, *kept, len(values) - 1]) if kept else np.empty(0, np.int64)


def _scales(across: Axis, up: Axis, over: str) -> list[str]:
    foot = TOP + PLOT
    parts = []
    heights, step = up.ticks(), _step(up.ticks())
    for tick in heights:
        y = round(float(_y(up, tick)), 1)
        parts.append(f'<line class="grid" x1="{LEFT}" y1="{y}" x2="{WIDTH - RIGHT}" y2="{y}"/>')
        parts.append(f'<text x="{LEFT - 5}" y="{y + 4:.1f}" text-anchor="end">{_tick(tick, step)}</text>')
    # between two frames there is nothing
    for tick in (tick for tick in across.ticks() if tick == round(tick)):
        x = round(float(_x(across, tick)), 1)
        parts.append(f'<line class="axis" x1="{x}" y1="{foot}" x2="{x}" y2="{foot + 3}"/>')
        parts.append(f'<text x="{x}" y="{foot + 14}" text-anchor="middle">{tick:,.0f}</text>')
    parts.append(f'<line class="axis" x1="{LEFT}" y1="{foot}" x2="{WIDTH - RIGHT}" y2="{foot}"/>')
    parts.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{foot + 27}" text-anchor="middle">{_escaped(over)}</text>')
    return parts


def _step(ticks: Sequence[float]) -> float:
    return ticks[1] - ticks[0] if len(ticks) > 1 else 1.0


def _tick(value: float, step: float) -> str:
    """With as many digits as tell one tick from the next."""
    digits = max(0, -math.floor(math.log10(step) + 1e-6))
    if digits > 5 or abs(value) >= 1e6:
        significant = math.floor(math.log10(abs(value) / step)) + 2 if value else 1
        return f"{value:.{max(3, significant)}g}"
    return f"{round(value, digits) + 0.0:,.{digits}f}"


def _bands(
    lines: Sequence[Line],
    arrays: Sequence[tuple[np.ndarray, np.ndarray]],
    across: Axis,
    form: str,
    bands: int,
    over: str,
) -> Iterator[str]:
    """Unseen rectangles side by side that tell the numbers of the frames below the pointer."""
    together = np.sort(np.concatenate([frames for frames, _ in arrays]))
    numbers = together[np.diff(together, prepend=together[0] - 1) > 0]
    groups = np.array_split(numbers, min(bands, len(numbers)))
    middles = [(one[-1] + other[0]) / 2 for one, other in pairwise(groups)]
    edges = _x(across, np.array([across.low, *middles, across.high])).round(1)
    for group, left, right in zip(groups, edges, edges[1:], strict=False):
        first, last = int(group[0]), int(group[-1])
        frames = f"{over} {first:,}" if first == last else f"{over}s {first:,} to {last:,}"
        told = [
            f"{line.label}: {_range(values[slice(*np.searchsorted(where, [first, last + 1]))], form)}"
            for line, (where, values) in zip(lines, arrays, strict=True)
        ]
        yield (
            f'<rect x="{left}" y="{TOP}" width="{right - left:.1f}" height="{PLOT}">'
            f"<title>{_escaped('; '.join([frames, *told]))}</title></rect>"
        )


def _range(values: np.ndarray, form: str) -> str:
    finite = values[~np.isnan(values)]
    if not len(finite):
        return "no number"
    low, high = (f"{value:{form}}" for value in (finite.min(), finite.max()))
    return low if low == high else f"{low} to {high}"


def _escaped(text: str) -> str:
    return escape(printable(text))
