"""Blur kernels as closed forms: each is an odd square of float32 that sums to one."""

import math

import numpy as np
from numpy.typing import NDArray

Kernel = NDArray[np.float32]

_SUPERSAMPLING = 16


def gaussian_kernel(size: int, sigma_x: float, sigma_y: float, angle: float) -> Kernel:
    """A Gaussian turned by ``angle``: (size, size).

    Args:
        size: odd number of pixels; the Gaussian is cut off there.
        sigma_x: standard deviation along the first axis, pixels.
        sigma_y: standard deviation along the second axis, pixels.
        angle: radians from the image's x axis towards its y axis.
    """
    return _normalized(np.exp(-0.5 * _squared_distance(size, sigma_x, sigma_y, angle)))


def generalized_gaussian_kernel(size: int, sigma_x: float, sigma_y: float, angle: float, beta: float) -> Kernel:
    """exp(-d^β / 2), with d the Gaussian's squared distance: (size, size).

    Liu et al. 2020, "Estimating generalized Gaussian blur kernels for out-of-focus image deblurring". β = 1 is the
    Gaussian; below it the kernel is pointed with long tails, above it flat with a steep edge.

    Args:
        size: odd number of pixels.
        sigma_x: see `gaussian_kernel`.
        sigma_y: see `gaussian_kernel`.
        angle: see `gaussian_kernel`.
        beta: the shape β, above 0.
    """
    return _normalized(np.exp(-0.5 * _squared_distance(size, sigma_x, sigma_y, angle) ** beta))


def plateau_kernel(size: int, sigma_x: float, sigma_y: float, angle: float, beta: float) -> Kernel:
    """1 / (1 + d^β), with d the Gaussian's squared distance: (size, size); Wang et al. 2021 (Real-ESRGAN).

    Args:
        size: odd number of pixels.
        sigma_x: see `gaussian_kernel`.
        sigma_y: see `gaussian_kernel`.
        angle: see `gaussian_kernel`.
        beta: the shape β, above 0.
    """
    return _normalized(1 / (1 + _squared_distance(size, sigma_x, sigma_y, angle) ** beta))


def sinc_kernel(size: int, omega: float) -> Kernel:
    """The ideal circular low pass, ω J₁(ω r) / (2π r), cut off at ``size``: it leaves ringing. (size, size).

    Args:
        size: odd number of pixels.
        omega: cut-off, radians a pixel, in (0, π].
    """
    offsets = np.arange(size) - size // 2
    radius = np.hypot(*np.meshgrid(offsets, offsets))
    radius[size // 2, size // 2] = 1
    kernel = omega * bessel_j1(omega * radius) / (2 * math.pi * radius)
    kernel[size // 2, size // 2] = omega**2 / (4 * math.pi)
    return _normalized(kernel)


def motion_kernel(length: float, angle: float) -> Kernel:
    """A line: what a point leaves that moves evenly while the shutter is open.

    Args:
        length: of the line, pixels.
        angle: radians from the image's x axis towards its y axis.

    Returns:
        The line's weight shared among its pixels in proportion to their nearness (bilinearly); the square is just
        large enough to hold it.
    """
    radius = math.ceil(length / 2 + 0.5)
    count = _SUPERSAMPLING * (radius + 1)
    along = ((np.arange(count) + 0.5) / count - 0.5) * length
    offsets = np.arange(-radius, radius + 1)[:, None]
    nearness_x = np.maximum(0, 1 - np.abs(offsets - along * math.cos(angle)))
    nearness_y = np.maximum(0, 1 - np.abs(offsets - along * math.sin(angle)))
    return _normalized(nearness_y @ nearness_x.T)


def disc_kernel(radius: float) -> Kernel:
    """A disc, the picture of a point out of focus; a pixel on its edge weighs its covered share.

    Args:
        radius: pixels; the square is just large enough to hold the disc.
    """
    reach = math.ceil(max(0.0, radius - 0.5))
    side = 2 * reach + 1
    positions = (np.arange(side * _SUPERSAMPLING) + 0.5) / _SUPERSAMPLING - side / 2
    # At least the innermost samples, so that a radius of nearly 0 is a point and not nothing.
    inside = np.hypot(*np.meshgrid(positions, positions)) <= max(radius, 1 / _SUPERSAMPLING)
    return _normalized(inside.reshape(side, _SUPERSAMPLING, side, _SUPERSAMPLING).mean((1, 3)))


def bessel_j1(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The Bessel function J₁ of ``x`` (any shape), as Bessel's integral: the mean of cos(τ - x sin τ) over a turn.

    The trapezoid rule is exact to rounding for a periodic integrand once it has more points than the largest x.
    """
    count = 2 * math.ceil(float(np.abs(x).max())) + 64
    turn = np.arange(count) * (2 * math.pi / count)
    mean: NDArray[np.float64] = np.cos(turn - x[..., None] * np.sin(turn)).mean(-1)
    return mean


def _squared_distance(size: int, sigma_x: float, sigma_y: float, angle: float) -> NDArray[np.float64]:
    offsets = np.arange(size) - size // 2
    x, y = np.meshgrid(offsets, offsets)
    along = x * math.cos(angle) + y * math.sin(angle)
    across = y * math.cos(angle) - x * math.sin(angle)
    squared: NDArray[np.float64] = (along / sigma_x) ** 2 + (across / sigma_y) ** 2
    return squared


def _normalized(kernel: NDArray[np.float64]) -> Kernel:
    return (kernel / kernel.sum()).astype(np.float32)
