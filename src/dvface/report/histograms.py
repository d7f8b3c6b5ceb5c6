"""Stacked histograms as SVG to be put into a page: small, sharp at every size, in the colours of the page."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from dvface.report.escape import printable

BINS = 32
TAIL = 0.005  # of the values on either side may lie beyond the axis, so that no outlier squeezes the rest
LOGARITHMIC_FROM = 10  # right end to median: half of the values would crowd into a tenth of the axis
TICKS = 6
MOST_DECADES = 2.5  # with 1, 2 and 5 of each labelled; beyond, powers of ten alone

WIDTH, LEFT, RIGHT = 320, 40, 16
PLOT, BELOW = 100, 18
LINE = 12

STYLE = """
:root { --group-0: #2b7bba; --group-1: #e08a3c; }
.group-0 { fill: var(--group-0); } .group-1 { fill: var(--group-1); }
.histogram { display: block; width: 100%; height: auto; }
.histogram text { fill: currentColor; font: 10px system-ui, sans-serif; }
.histogram line { stroke: currentColor; } .histogram .mark { stroke-dasharray: 3 2; }
"""
"""CSS of the page that holds histograms: group n has the colour ``--group-n``, n below 2."""


@dataclass(frozen=True)
class Axis:
    """Where values stand between the left (0) and the right (1) end.

    Attributes:
        low: value at the left end.
        high: value at the right end, above ``low``.
        logarithmic: whether equal steps multiply; ``low`` is positive then.
    """

    low: float
    high: float
    logarithmic: bool

    @classmethod
    def around(cls, values: np.ndarray, marks: Sequence[float]) -> "Axis":
        """The axis that shows every mark and all of (N,) ``values``, N > 0, but the outermost `TAIL`."""
        low = min([float(np.quantile(values, TAIL, method="lower")), *marks])
        high = max([float(np.quantile(values, 1 - TAIL, method="higher")), *marks])
        if high - low <= 1e-6 * max(abs(low), abs(high)):
            low, high = low - 0.5, high + 0.5
        return cls(low, high, low > 0 and high > LOGARITHMIC_FROM * float(np.median(values)))

    def place(self, values: np.ndarray | float) -> np.ndarray:
        """0 at the left end to 1 at the right; what lies beyond is put onto the end."""
        inside = np.clip(values, self.low, self.high)
        if self.logarithmic:
            return np.log(inside / self.low) / math.log(self.high / self.low)
        return (inside - self.low) / (self.high - self.low)

    def value(self, place: float) -> float:
        """The value at ``place``, 0 to 1."""
        if self.logarithmic:
            return float(self.low * (self.high / self.low) ** place)
        return self.low + (self.high - self.low) * place

    def ticks(self) -> list[float]:
        """Round numbers on the axis."""
        if self.logarithmic:
            decades = math.log10(self.high / self.low)
            steps = (1, 2, 5) if decades < MOST_DECADES else (1,)
            first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
            powers = range(first, last + 1, math.ceil(decades / TICKS))
            ticks = [step * 10.0**power for power in powers for step in steps]
        else:
            rough = (self.high - self.low) / TICKS
            unit = 10.0 ** math.floor(math.log10(rough))
            step = next(factor * unit for factor in (1, 2, 5, 10) if factor * unit >= rough * (1 - 1e-9))
            ticks = [number * step for number in range(math.ceil(self.low / step), math.floor(self.high / step) + 1)]
        return [tick for tick in ticks if self.low <= tick <= self.high]


def histogram(name: str, groups: Mapping[str, Sequence[float]], marks: Mapping[str, float]) -> str:
    """SVG of the groups' values, stacked, the first at the bottom; hovering over a bar tells its numbers.

    The axis is logarithmic where most of the values are positive and far below the largest. Outliers are counted in the
    outermost bars, whose ends are then labelled ≤ and ≥.

    Args:
        name: of what is measured, for those who cannot see the picture.
        groups: label -> values, at least one in all; those that are not finite are left out.
        marks: label -> value where a dashed line stands.

    Returns:
        An ``<svg>`` element whose colours come from `STYLE`; texts in it are escaped.

    Raises:
        ValueError: no finite value.
    """
    arrays = [np.asarray(values, dtype=np.float64) for values in groups.values()]
    arrays = [values[np.isfinite(values)] for values in arrays]
    together = np.concatenate(arrays) if arrays else np.empty(0)
    if not together.size:
        raise ValueError(f"{name} has no finite value to draw")
    axis = Axis.around(together, list(marks.values()))
    counts = np.stack([np.histogram(axis.place(values), BINS, (0, 1))[0] for values in arrays])
    top = LINE * (len(marks) + 1)
    scale = " (logarithmic)" if axis.logarithmic else ""
    parts = [
        f'<svg class="histogram" viewBox="0 0 {WIDTH} {top + PLOT + BELOW}" role="img" '
        f'aria-label="histogram of {_escaped(name)}{scale}">',
        *_bars(axis, counts, list(groups), top),
        *_scales(axis, together, int(counts.sum(axis=0).max()), top),
        *_marks(axis, marks, top),
        "</svg>",
    ]
    return "\n".join(parts)


def _across(place: float) -> float:
    return round(LEFT + (WIDTH - LEFT - RIGHT) * float(place), 1)


def _bars(axis: Axis, counts: np.ndarray, labels: Sequence[str], top: int) -> list[str]:
    """A group of rectangles for each bin of (groups, BINS) ``counts`` that holds anything."""
    tallest = counts.sum(axis=0).max()
    parts = []
    for number in np.flatnonzero(counts.sum(axis=0)):
        left, right = _across(number / BINS), _across((number + 1) / BINS)
        told = ", ".join(f"{count:,} {label}" for count, label in zip(counts[:, number], labels, strict=True))
        low, high = (_number(axis.value(edge / BINS)) for edge in (number, number + 1))
        parts.append(f"<g><title>{low} to {high}: {_escaped(told)}</title>")
        foot = float(top + PLOT)
        for group, count in enumerate(counts[:, number]):
            # A single clip among many thousands would be too low to be seen.
            height = round(max(PLOT * count / tallest, 1), 1) if count else 0
            foot = round(foot - height, 1)
            if count:
                parts.append(
                    f'<rect class="group-{group}" x="{left}" y="{foot}" width="{right - left - 0.5:.1f}" '
                    f'height="{height}"/>'
                )
        parts.append("</g>")
    return parts


def _scales(axis: Axis, values: np.ndarray, tallest: int, top: int) -> list[str]:
    foot = top + PLOT
    parts = [
        f'<line x1="{LEFT}" y1="{foot}" x2="{WIDTH - RIGHT}" y2="{foot}"/>',
        f'<text x="{LEFT - 4}" y="{top + 8}" text-anchor="end">{tallest:,}</text>',
        f'<text x="{LEFT - 4}" y="{foot}" text-anchor="end">0</text>',
    ]
    ends = [
        (0, "start", f"≤ {_number(axis.low)}", bool((values < axis.low).any())),
        (1, "end", f"≥ {_number(axis.high)}", bool((values > axis.high).any())),
    ]
    taken = [place for place, _, _, beyond in ends if beyond]
    labels = [(float(axis.place(tick)), "middle", _number(tick)) for tick in axis.ticks()]
    labels = [label for label in labels if all(abs(label[0] - place) > 0.15 for place in taken)]
    labels += [(place, anchor, text) for place, anchor, text, beyond in ends if beyond]
    for place, anchor, text in labels:
        parts.append(f'<text x="{_across(place)}" y="{foot + 13}" text-anchor="{anchor}">{text}</text>')
    return parts


def _marks(axis: Axis, marks: Mapping[str, float], top: int) -> list[str]:
    """A dashed line for each mark; each label has a row of its own, so that none covers another."""
    parts = []
    for row, (label, value) in enumerate(marks.items()):
        place = float(axis.place(value))
        side, shift = ("start", 3) if place < 0.5 else ("end", -3)
        across, above = _across(place), LINE * row
        parts.append(f'<line class="mark" x1="{across}" y1="{above + 2}" x2="{across}" y2="{top + PLOT}"/>')
        parts.append(
            f'<text x="{across + shift:.1f}" y="{above + 10}" text-anchor="{side}">{_escaped(label)} '
            f"{_number(value)}</text>"
        )
    return parts


def _number(value: float) -> str:
    return f"{value + 0.0:.4g}"


def _escaped(text: str) -> str:
    return escape(printable(text))
