"""What a lens, a moving camera and a sharp low-pass filter do to a picture; one kernel a clip."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dvface.degradation.convolve import convolve
from dvface.degradation.kernels import disc_kernel, motion_kernel, sinc_kernel
from dvface.degradation.operator import Clip, Parameters, checked_range, span


class MotionBlur:
    """Smears every frame along the same line, in any direction.

    Args:
        length: range of the line's length, pixels.
    """

    def __init__(self, length: Sequence[float]) -> None:
        self.length = checked_range("length", length, 0, 1000)

    def draw(self, rng: np.random.Generator, shape: Sequence[int]) -> Parameters:
        """The line's length (pixels) and angle (radians)."""
        return self.redraw(rng, {})

    def redraw(self, rng: np.random.Generator, parameters: Mapping[str, Any]) -> Parameters:
        """Another line."""
        return {"length": rng.uniform(*self.length), "angle": rng.uniform(0, math.pi)}

    def apply(self, clip: Clip, parameters: Mapping[str, Any]) -> Clip:
        """The blurred clip; borders are mirrored."""
        return convolve(clip, motion_kernel(parameters["length"], parameters["angle"]))

    def describe(self) -> str:
        """A few words with the numbers."""
        return f"motion blur of {span(self.length)} px"


class Defocus:
    """Blurs every frame with the same disc, as a lens out of focus does.

    Args:
        radius: range of the disc's radius, pixels.
    """

    def __init__(self, radius: Sequence[float]) -> None:
        self.radius = checked_range("radius", radius, 0, 500)

    def draw(self, rng: np.random.Generator, shape: Sequence[int]) -> Parameters:
        """The radius in pixels."""
        return self.redraw(rng, {})

    def redraw(self, rng: np.random.Generator, parameters: Mapping[str, Any]) -> Parameters:
        """Another radius."""
        return {"radius": rng.uniform(*self.radius)}

    def apply(self, clip: Clip, parameters: Mapping[str, Any]) -> Clip:
        """The blurred clip; borders are mirrored."""
        return convolve(clip, disc_kernel(parameters["radius"]))

    def describe(self) -> str:
        """A few words with the numbers."""
        return f"defocus by a disc of radius {span(self.radius)} px"


class SincBlur:
    """Cuts off high frequencies sharply, which leaves ringing at edges, as sharpening and resizing do.

    Args:
        kernel_sizes: range of the kernel's side, odd numbers of pixels.
        omega: range of the cut-off, radians a pixel, up to π.
    """

    def __init__(self, kernel_sizes: Sequence[int], omega: Sequence[float]) -> None:
        self.kernel_sizes = checked_kernel_sizes(kernel_sizes)
        self.omega = checked_omega("omega", omega)

    def draw(self, rng: np.random.Generator, shape: Sequence[int]) -> Parameters:
        """The kernel's size and cut-off."""
        return {"size": draw_kernel_size(rng, self.kernel_sizes), **self.redraw(rng, {})}

    def redraw(self, rng: np.random.Generator, parameters: Mapping[str, Any]) -> Parameters:
        """Another cut-off."""
        return {"omega": rng.uniform(*self.omega)}

    def apply(self, clip: Clip, parameters: Mapping[str, Any]) -> Clip:
        """The filtered clip, which may leave [0, 1] at edges; borders are mirrored."""
        return convolve(clip, sinc_kernel(parameters["size"], parameters["omega"]))

    def describe(self) -> str:
        """A few words with the numbers."""
        return f"sinc filter of {span(self.kernel_sizes)} px and ω {span(self.omega)}"


def checked_kernel_sizes(values: Sequence[int]) -> tuple[int, int]:
    """``values`` as (low, high), or a ValueError unless both are odd."""
    low, high = checked_range("kernel_sizes", values, 1, 999)
    if low % 2 != 1 or high % 2 != 1:
        raise ValueError(f"kernel_sizes must be two odd whole numbers, got {values}")
    return int(low), int(high)


def checked_omega(name: str, values: Sequence[float]) -> tuple[float, float]:
    """A range of cut-offs as (low, high), or a ValueError; π may be written with few digits."""
    return checked_range(name, values, 0.05, 3.142)


def draw_kernel_size(rng: np.random.Generator, sizes: tuple[int, int]) -> int:
    """An odd number in the range, ends included, all equally likely."""
    return int(2 * rng.integers(sizes[0] // 2, sizes[1] // 2 + 1) + 1)
