"""Natural scene statistics of frames: what NIQE (Mittal, Soundararajan & Bovik 2013) looks at, in float64.

Where the paper leaves details open, they are those of the authors' MATLAB release as pyiqa's ``niqe`` carries them out.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

BLOCK = 96
"""Side in pixels of the blocks that statistics are taken of, at full size."""

FEATURES = 36
"""Numbers for each block: 18 at each of two sizes."""

_NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))


class AsymmetricGaussian(NamedTuple):
    """Asymmetric generalised Gaussian distributions with mode 0, of any one shape (...).

    Their density at x is proportional to exp(-(|x| / side)^shape), side being ``left`` where x < 0, else ``right``.

    Attributes:
        shape: α; 2 is Gaussian, 1 Laplacian. From 0.2 to 10.
        left: βₗ, in the samples' unit.
        right: βᵣ.
    """

    shape: Tensor
    left: Tensor
    right: Tensor

    @property
    def mean(self) -> Tensor:
        """Mittal et al. 2013, eq. 8."""
        return (self.right - self.left) * (torch.lgamma(2 / self.shape) - torch.lgamma(1 / self.shape)).exp()


def luma(frames: Tensor) -> Tensor:
    """Full-range luma of BT.601, of frames as 8-bit files hold them, rounded.

    Args:
        frames: (N, 3, H, W) RGB in [-1, 1].

    Returns:
        (N, H, W) float64, whole numbers from 0 to 255.
    """
    stored = ((frames.float() + 1) * 127.5).round().clamp(0, 255) / 255
    # one colour after the other, in float32: halves round as pyiqa's do, on every device
    grey = stored[:, 0] * 0.299 + stored[:, 1] * 0.587 + stored[:, 2] * 0.114
    return (grey * 255).round().double()


def contrast_normalised(brightness: Tensor) -> Tensor:
    """Mean-subtracted contrast-normalised coefficients (eq. 1), of the same shape: about normal in natural pictures.

    Args:
        brightness: (N, H, W) float64 in [0, 255].
    """
    mean = _weighted(brightness)
    deviation = (_weighted(brightness.square()) - mean.square()).abs().sqrt()
    return (brightness - mean) / (deviation + 1)


def halved(brightness: Tensor) -> Tensor:
    """Half as many pixels a side, as MATLAB's ``imresize`` makes them: bicubic (Keys 1981), antialiased.

    Args:
        brightness: (N, H, W) float64, H and W even and at least 6.

    Returns:
        (N, H/2, W/2).
    """
    distance = (torch.arange(8, dtype=torch.float64) - 3.5).abs() / 2
    near = 1.5 * distance**3 - 2.5 * distance**2 + 1
    far = -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2
    kernel = torch.where(distance <= 1, near, far)
    for _ in range(2):
        top, bottom = brightness[:, :3].flip(1), brightness[:, -3:].flip(1)
        mirrored = torch.cat([top, brightness, bottom], dim=1)
        brightness = _down_columns(mirrored, kernel / kernel.sum(), stride=2).transpose(1, 2)
    return brightness


def fit_asymmetric(samples: Tensor) -> AsymmetricGaussian:
    """The asymmetric generalised Gaussian with the samples' moments (Lasmar et al. 2009), α to 0.001.

    Args:
        samples: (..., N) float64. Where there is none below 0, α is 0.2 and βₗ NaN; above 0, α is 0.2 and βᵣ NaN.
    """
    below, above = samples.clamp(max=0), samples.clamp(min=0)
    power_below, power_above = below.square().sum(dim=-1), above.square().sum(dim=-1)
    left = (power_below / (samples < 0).sum(dim=-1)).sqrt()
    right = (power_above / (samples > 0).sum(dim=-1)).sqrt()
    spread = (above.sum(dim=-1) - below.sum(dim=-1)).square() / ((power_below + power_above) * samples.shape[-1])
    skew = left / right
    shape = _shape_of(spread * (skew**3 + 1) * (skew + 1) / (skew.square() + 1).square())
    scale = ((torch.lgamma(1 / shape) - torch.lgamma(3 / shape)) / 2).exp()
    return AsymmetricGaussian(shape, left * scale, right * scale)


def block_features(brightness: Tensor) -> Tensor:
    """The statistics of each whole block of 96 × 96 pixels, from the top left corner on.

    Args:
        brightness: (N, H, W) float64 in [0, 255].

    Returns:
        (N, blocks, 36): at full and at half size, α and the mean of βₗ and βᵣ of the coefficients, then α, mean, βₗ, βᵣ
        of the products of neighbours to the right, below, and on either diagonal. NaN where a block is flat.
    """
    rows, columns = (side // BLOCK for side in brightness.shape[1:])
    if not rows * columns:
        return brightness.new_zeros(len(brightness), 0, FEATURES)
    whole = brightness[:, : rows * BLOCK, : columns * BLOCK]
    sizes = ((whole, BLOCK), (halved(whole), BLOCK // 2))
    return torch.cat([_features(contrast_normalised(picture), side) for picture, side in sizes], dim=-1)


def _features(coefficients: Tensor, side: int) -> Tensor:
    """(N, H, W) in blocks of side x side -> (N, blocks, 18)."""
    blocks = coefficients.unfold(1, side, side).unfold(2, side, side).flatten(1, 2).contiguous()
    own = fit_asymmetric(blocks.flatten(2))
    features = [own.shape, (own.left + own.right) / 2]
    for shift in _NEIGHBOURS:
        # a block's edge meets its opposite edge
        fit = fit_asymmetric((blocks * blocks.roll(shift, dims=(2, 3))).flatten(2))
        features += [fit.shape, fit.mean, fit.left, fit.right]
    return torch.stack(features, dim=-1)


def _weighted(picture: Tensor) -> Tensor:
    """Each pixel's mean over the Gaussian window of 7 × 7 pixels, σ 7/6; edges go on as they are. (N, H, W) -> same."""
    profile = (-torch.arange(-3, 4, dtype=torch.float64).square() / (2 * (7 / 6) ** 2)).exp()
    profile = profile / profile.sum()
    # pyiqa's window is rounded to float32 and so sums to 1 within 1e-8: that decides the sign of coefficients in
    # flat areas, and through it NIQE's third digit
    profile = profile * torch.outer(profile, profile).float().double().sum().sqrt()
    padded = functional.pad(picture[:, None], (3, 3, 3, 3), mode="replicate")[:, 0]
    return _down_columns(_down_columns(padded, profile).transpose(1, 2), profile).transpose(1, 2)


def _down_columns(picture: Tensor, kernel: Tensor, stride: int = 1) -> Tensor:
    """(N, H, W) filtered along H, whole kernels alone: PyTorch's convolution is slow in float64."""
    rows = (picture.shape[1] - len(kernel)) // stride + 1
    filtered = picture.new_zeros(len(picture), rows, picture.shape[2])
    for first, weight in enumerate(kernel.tolist()):
        filtered.add_(picture[:, first : first + stride * (rows - 1) + 1 : stride], alpha=weight)
    return filtered


def _shape_of(ratio: Tensor) -> Tensor:
    """The α whose E[|x|]² / E[x²] is nearest to ``ratio``; the first α where that is NaN."""
    shapes, ratios = (table.to(ratio.device) for table in _shape_table())
    after = torch.searchsorted(ratios, ratio.contiguous()).clamp(1, len(ratios) - 1)
    nearest = after - (ratio - ratios[after - 1] <= ratios[after] - ratio).long()
    return shapes[nearest.masked_fill(ratio.isnan(), 0)]


@cache
def _shape_table() -> tuple[Tensor, Tensor]:
    """α from 0.2 to 10, and Γ(2/α)² / (Γ(1/α) Γ(3/α)), which grows with α."""
    shapes = torch.linspace(0.2, 10, 9801, dtype=torch.float64)
    ratios = (2 * torch.lgamma(2 / shapes) - torch.lgamma(1 / shapes) - torch.lgamma(3 / shapes)).exp()
    return shapes, ratios
