"""Gaussian blur with one kernel a clip."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dvface.degradation.convolve import convolve
from dvface.degradation.kernels import gaussian_kernel
from dvface.degradation.operator import Clip, Parameters, checked_probability, checked_range, percent, span


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

    def redraw(self, rng: np.random.Generator, parameters: Mapping[str, Any]) -> Parameters:
        """Other axes and, for a stretched kernel, another angle; a round kernel stays round."""
        return draw_axes(rng, self.sigma, stretched=parameters["sigma_x"] != parameters["sigma_y"])

    def apply(self, clip: Clip, parameters: Mapping[str, Any]) -> Clip:
        """The blurred clip; borders are mirrored."""
        kernel = gaussian_kernel(
            parameters["kernel_size"], parameters["sigma_x"], parameters["sigma_y"], parameters["angle"]
        )
        return convolve(clip, kernel)

    def describe(self) -> str:
        """A few words with the numbers."""
        return (
            f"Gaussian blur of σ {span(self.sigma)} px cut off at {self.kernel_size} px "
            f"({percent(self.isotropic_probability)} of them round)"
        )


def draw_axes(rng: np.random.Generator, sigma: tuple[float, float], stretched: bool) -> dict[str, float]:
    """``sigma_x``, ``sigma_y`` (pixels) and ``angle`` (radians) of a round or a stretched kernel."""
    sigma_x = rng.uniform(*sigma)
    if not stretched:
        return {"sigma_x": sigma_x, "sigma_y": sigma_x, "angle": 0.0}
    return {"sigma_x": sigma_x, "sigma_y": rng.uniform(*sigma), "angle": rng.uniform(0, math.pi)}
