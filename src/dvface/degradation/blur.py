"""Gaussian blur with one kernel a clip."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from dvface.degradation.operator import Clip, Parameters, checked_probability, checked_range, span


def gaussian_kernel(size: int, sigma_x: float, sigma_y: float, angle: float) -> np.ndarray:
    """A Gaussian turned by ``angle``: (size, size) float32 that sums to one.

    Args:
        size: odd number of pixels; the Gaussian is cut off there.
        sigma_x: standard deviation along the first axis, pixels.
        sigma_y: standard deviation along the second axis, pixels.
        angle: radians from the image's x axis towards its y axis.
    """
    offsets = np.arange(size) - size // 2
    x, y = np.meshgrid(offsets, offsets)
    along = x * math.cos(angle) + y * math.sin(angle)
    across = y * math.cos(angle) - x * math.sin(angle)
    kernel = np.exp(-0.5 * ((along / sigma_x) ** 2 + (across / sigma_y) ** 2))
    return (kernel / kernel.sum()).astype(np.float32)


class GaussianBlur:
    """Blurs every frame with the same kernel, round or stretched in a random direction.

    Args:
        kernel_size: odd number of pixels.
        sigma: range of the standard deviation, pixels; a stretched kernel draws it for each axis.
        isotropic_probability: that the kernel is round.
    """

    def __init__(self, kernel_size: int, sigma: Sequence[float], isotropic_probability: float) -> None:
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd and at least 1, got {kernel_size}")
        self.kernel_size = kernel_size
        self.sigma = checked_range("sigma", sigma, 0.01, 1000)
        self.isotropic_probability = checked_probability("isotropic_probability", isotropic_probability)

    def draw(self, rng: np.random.Generator, shape: Sequence[int]) -> Parameters:
        """The kernel's size, axes (pixels) and angle (radians)."""
        sigma_x = sigma_y = rng.uniform(*self.sigma)
        angle = 0.0
        if rng.random() >= self.isotropic_probability:
            sigma_y = rng.uniform(*self.sigma)
            angle = rng.uniform(0, math.pi)
        return {"kernel_size": self.kernel_size, "sigma_x": sigma_x, "sigma_y": sigma_y, "angle": angle}

    def apply(self, clip: Clip, parameters: Mapping[str, Any]) -> Clip:
        """The blurred clip; borders are mirrored."""
        kernel = gaussian_kernel(
            parameters["kernel_size"], parameters["sigma_x"], parameters["sigma_y"], parameters["angle"]
        )
        blurred = np.empty_like(clip)
        for source, target in zip(clip, blurred, strict=True):
            cv2.filter2D(source, -1, kernel, dst=target, borderType=cv2.BORDER_REFLECT_101)
        return blurred

    def describe(self) -> str:
        """A few words with the numbers."""
        return f"Gaussian blur of σ {span(self.sigma)} px ({self.isotropic_probability:.0%} of them round)"
