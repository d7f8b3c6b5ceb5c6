"""Down to fewer pixels, and back up at the recipe's end."""

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from dvface.degradation.operator import Clip, Parameters, checked_probabilities, checked_range, draw_name, shares, span

INTERPOLATIONS = {"area": cv2.INTER_AREA, "bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC}


def resize(clip: Clip, height: int, width: int, interpolation: str) -> Clip:
    """(T, height, width, 3); OpenCV's rules, so only ``area`` averages when it shrinks."""
    resized = np.empty((len(clip), height, width, 3), np.float32)
    for source, target in zip(clip, resized, strict=True):
        cv2.resize(source, (width, height), dst=target, interpolation=INTERPOLATIONS[interpolation])
    return resized


class Downscale:
    """Shrinks the clip; `ResizeBack` restores its size.

    Args:
        scale: range of the divisor of height and width; below 1 it enlarges.
        probabilities: of each interpolation (``area``, ``bilinear``, ``bicubic``); they sum to one.
    """

    def __init__(self, scale: Sequence[float], probabilities: Mapping[str, float]) -> None:
        self.scale = checked_range("scale", scale, 0.1, 1000)
        self.probabilities = checked_probabilities("probabilities", probabilities, INTERPOLATIONS)

    def draw(self, rng: np.random.Generator, shape: Sequence[int]) -> Parameters:
        """The divisor and the interpolation."""
        return {"scale": rng.uniform(*self.scale), "interpolation": draw_name(rng, self.probabilities)}

    def apply(self, clip: Clip, parameters: Mapping[str, Any]) -> Clip:
        """The smaller clip, at least one pixel each way."""
        height, width = (max(1, round(side / parameters["scale"])) for side in clip.shape[1:3])
        return resize(clip, height, width, parameters["interpolation"])

    def describe(self) -> str:
        """A few words with the numbers."""
        return f"shrinking by {span(self.scale)} ({shares(self.probabilities)})"


class ResizeBack:
    """Returns the clip to the size at which it entered the recipe; the last step of one that shrinks.

    Args:
        interpolation: ``area``, ``bilinear`` or ``bicubic``.
    """

    def __init__(self, interpolation: str) -> None:
        if interpolation not in INTERPOLATIONS:
            raise ValueError(f"interpolation must be one of {', '.join(INTERPOLATIONS)}, got {interpolation!r}")
        self.interpolation = interpolation

    def draw(self, rng: np.random.Generator, shape: Sequence[int]) -> Parameters:
        """The size to return to; nothing is random."""
        return {"height": int(shape[1]), "width": int(shape[2]), "interpolation": self.interpolation}

    def apply(self, clip: Clip, parameters: Mapping[str, Any]) -> Clip:
        """The clip at its first size; untouched where it has it already."""
        size = parameters["height"], parameters["width"]
        return clip if clip.shape[1:3] == size else resize(clip, *size, parameters["interpolation"])

    def describe(self) -> str:
        """A few words."""
        return f"{self.interpolation} resizing back"
