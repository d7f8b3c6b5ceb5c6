"""Resizing up or down at random, as Real-ESRGAN (Wang et al. 2021) and DOVE have it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dvface.degradation.operator import (
    Clip,
    Parameters,
    checked_probabilities,
    checked_range,
    draw_name,
    percent,
    shares,
    span,
)
from dvface.degradation.resize import INTERPOLATIONS, resize


class RandomResize:
    """Enlarges the clip, shrinks it or keeps its size; `ResizeBack` restores the first size.

    Args:
        scale: smallest and largest factor of height and width, with 1 between them.
        directions: probabilities of ``up`` (1 to the largest factor), ``down`` (the smallest to 1) and ``keep`` (1).
        interpolations: probabilities of ``area``, ``bilinear`` and ``bicubic``.
        divisor: null: the factor is of the size that arrives here. A number: it is of the size at which the clip
            entered the recipe, divided by this, whatever came between.
    """

    def __init__(
        self,
        scale: Sequence[float],
        directions: Mapping[str, float],
        interpolations: Mapping[str, float],
        divisor: float | None = None,
    ) -> None:
        low, high = checked_range("scale", scale, 0.001, 100)
        if not low <= 1 <= high:
            raise ValueError(f"scale must be [low, high] with low <= 1 <= high, got {scale}")
        if divisor is not None and divisor <= 0:
            raise ValueError(f"divisor must be null or above 0, got {divisor}")
        self.factors = {"up": (1.0, high), "down": (low, 1.0), "keep": (1.0, 1.0)}
        self.directions = checked_probabilities("directions", directions, self.factors)
        self.interpolations = checked_probabilities("interpolations", interpolations, INTERPOLATIONS)
        self.divisor = divisor

    def draw(self, rng: np.random.Generator, shape: Sequence[int]) -> Parameters:
        """The factor, the interpolation and the size [H, W] that it is of; null: that of the clip that arrives."""
        base = None if self.divisor is None else [int(side) / self.divisor for side in shape[1:3]]
        return {
            "scale": rng.uniform(*self.factors[draw_name(rng, self.directions)]),
            "interpolation": draw_name(rng, self.interpolations),
            "base": base,
        }

    def apply(self, clip: Clip, parameters: Mapping[str, Any]) -> Clip:
        """The resized clip, at least one pixel each way."""
        base = parameters["base"] or clip.shape[1:3]
        height, width = (max(1, round(side * parameters["scale"])) for side in base)
        if (height, width) == clip.shape[1:3]:
            return clip
        return resize(clip, height, width, parameters["interpolation"])

    def describe(self) -> str:
        """A few words with the numbers."""
        ways = [
            f"{name} {percent(share)}" + (f" by {span(self.factors[name])}" if name != "keep" else "")
            for name, share in self.directions.items()
        ]
        base = "" if self.divisor is None else f" relative to 1/{self.divisor:g} of the first size"
        return f"resizing{base} ({', '.join(ways)}; {shares(self.interpolations)})"
