"""Down to fewer pixels, and back up at the recipe's end."""

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from dvface.degradation.operator import Clip, Parameters, checked_range, span

INTERPOLATIONS = {"area": cv2.INTER_AREA, "bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC}


def resize(clip: Clip, height: int, width: int, interpolation: str) -> Clip:
    """(T, height, width, 3); OpenCV's rules, so only ``area`` averages when it shrinks."""
    resized = np.empty((len(clip), height, width, 3), np.float32)
    for source, target in zip(clip, resized, strict=True):
        cv2.resize(source, (width, height), dst=target, interpolation=INTERPOLATIONS[interpolation])
    return resized


def _check_interpolation(name: str) -> None:
    if name not in INTERPOLATIONS:
        raise ValueError(f"interpolation must be one of {', '.join(INTERPOLATIONS)}, got {name!r}")


class Downscale:
    """Shrinks the clip; `ResizeBack` restores its size.

    Args:
        scale: range of the divisor of height and width, at least 1.
        probabilities: of each interpolation (``area``, ``bilinear``, ``bicubic``); they sum to one.
    """

    def __init__(self, scale: Sequence[float], probabilities: Mapping[str, float]) -> None:
        self.scale = checked_range("scale", scale, 1, 1000)
        for interpolation in probabilities:
            _check_interpolation(interpolation)
        if min(probabilities.values()) < 0 or abs(sum(probabilities.values()) - 1) > 1e-6:
            raise ValueError(f"probabilities must be at least 0 and sum to 1, got {dict(probabilities)}")
        self.probabilities = dict(probabilities)

    def draw(self, rng: np.random.Generator, shape: Sequence[int]) -> Parameters:
        """The divisor and the interpolation."""
        scale = rng.uniform(*self.scale)
        weights = np.array(list(self.probabilities.values()))
        return {
            "scale": scale,
            "interpolation": str(rng.choice(list(self.probabilities), p=weights / weights.sum())),
        }

    def apply(self, clip: Clip, parameters: Mapping[str, Any]) -> Clip:
        """The smaller clip, at least one pixel each way."""
        height, width = (max(1, round(side / parameters["scale"])) for side in clip.shape[1:3])
        return resize(clip, height, width, parameters["interpolation"])

    def describe(self) -> str:
        """A few words with the numbers."""
        shares = ", ".join(f"{name} {share:.0%}" for name, share in self.probabilities.items())
        return f"shrinking by {span(self.scale)} ({shares})"


class ResizeBack:
    """Returns the clip to the size at which it entered the recipe; the last step of one that shrinks.

    Args:
        interpolation: ``area``, ``bilinear`` or ``bicubic``.
    """

    def __init__(self, interpolation: str) -> None:
        _check_interpolation(interpolation)
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
