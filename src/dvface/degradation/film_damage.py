"""What wear leaves on film: scratches that stay for a while, and dust that is gone with the frame."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dvface.degradation.operator import Clip, Parameters, checked_probability, checked_range, draw_seed, span

DRIFT = 0.5
"""Standard deviation of a scratch's path, pixels a frame; ours."""

SLOPE = 0.02
"""Standard deviation of a scratch's lean, pixels across for one pixel down; ours: it runs along the film."""

SHORTEST = 0.3
"""A scratch spans an even draw of this share of the height to all of it; ours."""

OUTLINE = ((2, 0.2), (3, 0.1), (5, 0.05))
"""Waves around a speck's outline: how many, and how far each reaches as a share of the radius; ours."""


def _mixed(frame: np.ndarray, mask: np.ndarray, opacity: float, value: float) -> np.ndarray:
    share = (opacity * mask)[..., None].astype(np.float32)
    return frame + share * (np.float32(value) - frame)


@dataclass(frozen=True)
class _Scratch:
    first: int
    last: int
    position: float
    velocity: float
    slope: float
    top: float
    bottom: float
    value: float

    def mask(self, frame: int, height: int, width: int, sigma: float) -> np.ndarray:
        """(H, W) in [0, 1]: a Gaussian across the line."""
        rows = np.arange(height)[:, None] + 0.5
        centre = self.position * width + self.velocity * (frame - self.first) + self.slope * (rows - height / 2)
        across = np.exp(-0.5 * ((np.arange(width) + 0.5 - centre) / sigma) ** 2)
        return across * ((rows >= self.top * height) & (rows <= self.bottom * height))


class Scratches:
    """Thin lines along the film that live for several frames, lean a little and drift sideways.

    They are born at random (a Poisson process that began before the clip) at even places and live for an even draw
    of frames. Across, a line is a Gaussian of σ ``width`` / 2; it is mixed into the frame.

    Args:
        count: range of how many a frame shows on average.
        width: range of the lines' width, pixels, one for a clip; above 0.
        lifetime: range of the frames that one line lives, at least 1.
        opacity: range of how much of the picture a line hides, in [0, 1], one for a clip.
        bright_probability: that a line is white (emulsion gone from a print) and not black (gone from a negative).
    """

    def __init__(
        self,
        count: Sequence[float],
        width: Sequence[float],
        lifetime: Sequence[float],
        opacity: Sequence[float],
        bright_probability: float,
    ) -> None:
        self.count = checked_range("count", count, 0, 1000)
        self.width = checked_range("width", width, 0.1, 100)
        self.lifetime = checked_range("lifetime", lifetime, 1, 10000)
        self.opacity = checked_range("opacity", opacity, 0, 1)
        self.bright_probability = checked_probability("bright_probability", bright_probability)

    def draw(self, rng: np.random.Generator, shape: Sequence[int]) -> Parameters:
        """How many, their look and the seed of where and when."""
        return {
            "count": rng.uniform(*self.count),
            "width": rng.uniform(*self.width),
            "lifetime": list(self.lifetime),
            "opacity": rng.uniform(*self.opacity),
            "bright_probability": self.bright_probability,
            "seed": draw_seed(rng),
        }

    def apply(self, clip: Clip, parameters: Mapping[str, Any]) -> Clip:
        """The scratched clip."""
        frames, height, width, _ = clip.shape
        scratched = clip.copy()
        for scratch in self._scratches(parameters, frames):
            for frame in range(max(0, scratch.first), min(frames, scratch.last + 1)):
                mask = scratch.mask(frame, height, width, parameters["width"] / 2)
                scratched[frame] = _mixed(scratched[frame], mask, parameters["opacity"], scratch.value)
        return scratched

    @staticmethod
    def _scratches(parameters: Mapping[str, Any], frames: int) -> list[_Scratch]:
        rng = np.random.default_rng(parameters["seed"])
        shortest, longest = (round(value) for value in parameters["lifetime"])
        began = longest - 1
        births = parameters["count"] * 2 / (shortest + longest) * (frames + began)
        scratches = []
        for _ in range(rng.poisson(births)):
            first = int(rng.integers(-began, frames))
            length = rng.uniform(SHORTEST, 1)
            top = rng.uniform(0, 1 - length)
            scratches.append(
                _Scratch(
                    first=first,
                    last=first + int(rng.integers(shortest, longest + 1)) - 1,
                    position=rng.random(),
                    velocity=rng.normal(0, DRIFT),
                    slope=rng.normal(0, SLOPE),
                    top=top,
                    bottom=top + length,
                    value=float(rng.random() < parameters["bright_probability"]),
                )
            )
        return scratches

    def describe(self) -> str:
        """A few words with the numbers."""
        return (
            f"{span(self.count)} scratches a frame, {span(self.width)} px wide, for {span(self.lifetime)} frames "
            f"({self.bright_probability:.0%} white)"
        )


class Dust:
    """Specks that last one frame: uneven round spots with an edge of one pixel, black or white.

    Args:
        rate: range of the mean number of specks in a frame; each frame has a Poisson number of them.
        size: range of a speck's radius, pixels; each has its own; above 0.
        opacity: range of how much of the picture a speck hides, in [0, 1], one for a clip.
        bright_probability: that a speck is white (dust on the negative) and not black (on the print).
    """

    def __init__(
        self, rate: Sequence[float], size: Sequence[float], opacity: Sequence[float], bright_probability: float
    ) -> None:
        self.rate = checked_range("rate", rate, 0, 10000)
        self.size = checked_range("size", size, 0.1, 1000)
        self.opacity = checked_range("opacity", opacity, 0, 1)
        self.bright_probability = checked_probability("bright_probability", bright_probability)

    def draw(self, rng: np.random.Generator, shape: Sequence[int]) -> Parameters:
        """How many, their look and the seed of where."""
        return {
            "rate": rng.uniform(*self.rate),
            "size": list(self.size),
            "opacity": rng.uniform(*self.opacity),
            "bright_probability": self.bright_probability,
            "seed": draw_seed(rng),
        }

    def apply(self, clip: Clip, parameters: Mapping[str, Any]) -> Clip:
        """The dusty clip."""
        rng = np.random.default_rng(parameters["seed"])
        dusty = clip.copy()
        for frame in dusty:
            for _ in range(rng.poisson(parameters["rate"])):
                value = float(rng.random() < parameters["bright_probability"])
                self._settle(frame, rng, rng.uniform(*parameters["size"]), parameters["opacity"], value)
        return dusty

    @staticmethod
    def _settle(frame: np.ndarray, rng: np.random.Generator, radius: float, opacity: float, value: float) -> None:
        """One speck into ``frame``, in place; only the pixels around it are looked at."""
        height, width, _ = frame.shape
        y, x = rng.uniform(0, height), rng.uniform(0, width)
        phases = rng.uniform(0, 2 * math.pi, len(OUTLINE))
        reach = radius * (1 + sum(share for _, share in OUTLINE)) + 1
        top, left = max(0, math.floor(y - reach)), max(0, math.floor(x - reach))
        part = frame[top : math.ceil(y + reach), left : math.ceil(x + reach)]
        rows = np.arange(top, top + part.shape[0])[:, None] + 0.5 - y
        columns = np.arange(left, left + part.shape[1]) + 0.5 - x
        angle = np.arctan2(rows, columns)
        outline = 1 + sum(
            share * np.cos(waves * angle + phase) for (waves, share), phase in zip(OUTLINE, phases, strict=True)
        )
        mask = np.clip(radius * outline - np.hypot(rows, columns) + 0.5, 0, 1)
        part[...] = _mixed(part, mask, opacity, value)

    def describe(self) -> str:
        """A few words with the numbers."""
        return (
            f"{span(self.rate)} specks of dust a frame, {span(self.size)} px in radius "
            f"({self.bright_probability:.0%} white)"
        )
