"""Convolution of a clip with one small kernel, by the cheapest way that gives the same numbers."""

import cv2
import numpy as np

from dvface.degradation.kernels import Kernel
from dvface.degradation.operator import Clip

_RESOLUTION = float(np.finfo(np.float32).eps)

_LARGEST_DIRECT = 11
"""Side in pixels; above it OpenCV's own filter goes through spectra too, of many small blocks."""


def convolve(clip: Clip, kernel: Kernel) -> Clip:
    """Every frame correlated with ``kernel``; borders are mirrored. The same as ``cv2.filter2D`` up to rounding.

    A kernel that is the product of a column and a row, as every round Gaussian is, runs as these two; another large
    one as a product of spectra.

    Args:
        clip: (T, H, W, 3) float32.
        kernel: (odd, odd), centred, sums to one.
    """
    kernel = _trimmed(kernel)
    column, row = kernel.sum(1, dtype=np.float64), kernel.sum(0, dtype=np.float64)
    column /= row.sum()
    result = np.empty(clip.shape, np.float32)
    if np.abs(np.outer(column, row) - kernel).max() <= 2 * _RESOLUTION * np.abs(kernel).max():
        for source, target in zip(clip, result, strict=True):
            cv2.sepFilter2D(source, -1, row, column, dst=target, borderType=cv2.BORDER_REFLECT_101)
    elif max(kernel.shape) <= _LARGEST_DIRECT:
        for source, target in zip(clip, result, strict=True):
            cv2.filter2D(source, -1, kernel, dst=target, borderType=cv2.BORDER_REFLECT_101)
    else:
        _convolve_spectra(clip, kernel, result)
    return result


def _convolve_spectra(clip: Clip, kernel: Kernel, result: Clip) -> None:
    """Fill ``result``; the kernel's spectrum is made once for all frames."""
    height, width = clip.shape[1:3]
    above, left = kernel.shape[0] // 2, kernel.shape[1] // 2
    rows, columns = height + 2 * above, width + 2 * left
    plane = np.zeros((cv2.getOptimalDFTSize(rows), cv2.getOptimalDFTSize(columns)), np.float32)
    plane[: kernel.shape[0], : kernel.shape[1]] = kernel
    # Without `nonzeroRows`, which would keep OpenCV off its several times faster path.
    kernel_spectrum = cv2.dft(plane)
    spectrum = np.empty_like(plane)
    plane[:] = 0
    for source, target in zip(clip, result, strict=True):
        padded = cv2.copyMakeBorder(source, above, above, left, left, cv2.BORDER_REFLECT_101)
        for channel in range(clip.shape[3]):
            plane[:rows, :columns] = padded[..., channel]
            cv2.dft(plane, dst=spectrum)
            # The conjugate makes it a correlation, as OpenCV's filters are.
            cv2.mulSpectrums(spectrum, kernel_spectrum, 0, c=spectrum, conjB=True)
            cv2.dft(spectrum, dst=spectrum, flags=cv2.DFT_INVERSE | cv2.DFT_SCALE)
            target[..., channel] = spectrum[:height, :width]


def _trimmed(kernel: Kernel) -> Kernel:
    """``kernel`` without outer rows and columns whose weights together lie below float32's resolution."""
    weights = np.abs(kernel)
    rows, columns = (_negligible(weights.sum(axis)) for axis in (1, 0))
    return np.ascontiguousarray(kernel[rows : len(kernel) - rows, columns : kernel.shape[1] - columns])


def _negligible(weights: np.ndarray) -> int:
    """How many entries at either end of ``weights`` (odd) may go."""
    half = len(weights) // 2
    outer = np.cumsum(weights[:half] + weights[::-1][:half], dtype=np.float64)
    return int(np.count_nonzero(outer <= _RESOLUTION / 2))
