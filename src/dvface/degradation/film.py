"""How old film looks: faded, without colour, flickering, grainy. One model each; the numbers come from the recipe."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from dvface.degradation.operator import Clip, Parameters, checked_probability, checked_range, draw_seed, span

LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)
"""BT.709's weights of red, green and blue."""

SEPIA = np.array([1.0, 0.85, 0.65], np.float32) / (LUMA @ np.array([1.0, 0.85, 0.65], np.float32))
"""A brown of luma 1, by which grey is multiplied; the brown itself is ours."""

BRIGHTEST_GRAIN = math.exp(-0.5)
"""The value at which `grain_weight` is 1."""


def luma(clip: Clip) -> Clip:
    """(..., 1) BT.709 luma of (..., 3) RGB."""
    return (clip @ LUMA)[..., None]


def grain_weight(values: np.ndarray) -> np.ndarray:
    """How much grain shows at each value in [0, 1]: v·√(-2e·ln v), at most 1, and 0 at black and at white.

    Selwyn's law (1935): grain's deviation in density D grows with √D. With v = 10^(-D), or any power of that such
    as a gamma, the deviation of v is in proportion to v·√(-ln v).
    """
    inside = np.clip(values, np.float32(1e-6), 1)
    return inside * np.sqrt(-2 * math.e * np.log(inside))


def smooth_noise(rng: np.random.Generator, shape: Sequence[int], sigma: float) -> np.ndarray:
    """(T, H, W, C) normal float32 noise of unit variance; neighbours within about ``sigma`` pixels agree."""
    frames, height, width, channels = shape
    reach = math.ceil(3 * sigma)
    noise = rng.standard_normal((frames, height + 2 * reach, width + 2 * reach, channels), dtype=np.float32)
    if not reach:
        return noise
    kernel = cv2.getGaussianKernel(2 * reach + 1, sigma, cv2.CV_32F)
    kernel = kernel / np.sqrt((kernel**2).sum())
    smoothed = np.empty((frames, height, width, channels), np.float32)
    for source, target in zip(noise, smoothed, strict=True):
        filtered = cv2.sepFilter2D(source, -1, kernel, kernel).reshape(source.shape)
        target[...] = filtered[reach : reach + height, reach : reach + width]
    return smoothed


class Fading:
    """Fades the dyes of the whole clip: white stays, black lifts and contrast falls, each channel by its own share.

    Channel c becomes 1 - (1 - v)·(1 - s_c) with s_c = strength + tint·cos(hue - 2πc/3), the hue drawn evenly: what
    lifts most gives the cast.

    Args:
        strength: range of the share of contrast that is lost, in [0, 1].
        tint: range of how far single channels differ from that share, in [0, 1]; a draw is cut down to the strength
            or to 1 - strength, so that no channel loses less than nothing or more than all.
    """

    def __init__(self, strength: Sequence[float], tint: Sequence[float]) -> None:
        self.strength = checked_range("strength", strength, 0, 1)
        self.tint = checked_range("tint", tint, 0, 1)

    def draw(self, rng: np.random.Generator, shape: Sequence[int]) -> Parameters:
        """The share of contrast that red, green and blue lose."""
        strength = rng.uniform(*self.strength)
        tint = min(rng.uniform(*self.tint), strength, 1 - strength)
        hue = rng.uniform(0, 2 * math.pi)
        return {"loss": [strength + tint * math.cos(hue - 2 * math.pi * channel / 3) for channel in range(3)]}

    def apply(self, clip: Clip, parameters: Mapping[str, Any]) -> Clip:
        """The faded clip."""
        loss = np.array(parameters["loss"], np.float32)
        return clip * (1 - loss) + loss

    def describe(self) -> str:
        """A few words with the numbers."""
        return f"fading by {span(self.strength)} with a cast of {span(self.tint)}"


class ColourLoss:
    """Takes colour away from the whole clip and may tone what is left brown; BT.709 luma stays as it is.

    Args:
        saturation: range of the share of colour that stays, in [0, 1]; 0 is black and white.
        sepia: range of how brown grey becomes, in [0, 1].
    """

    def __init__(self, saturation: Sequence[float], sepia: Sequence[float]) -> None:
        self.saturation = checked_range("saturation", saturation, 0, 1)
        self.sepia = checked_range("sepia", sepia, 0, 1)

    def draw(self, rng: np.random.Generator, shape: Sequence[int]) -> Parameters:
        """The share of colour and the tone."""
        return {"saturation": rng.uniform(*self.saturation), "sepia": rng.uniform(*self.sepia)}

    def apply(self, clip: Clip, parameters: Mapping[str, Any]) -> Clip:
        """The paler clip; brown highlights may leave [0, 1]."""
        grey = luma(clip)
        tone = 1 + np.float32(parameters["sepia"]) * (SEPIA - 1)
        return grey * tone + np.float32(parameters["saturation"]) * (clip - grey)

    def describe(self) -> str:
        """A few words with the numbers."""
        return f"{span(self.saturation)} of the colour and sepia of {span(self.sepia)}"


class Flicker:
    """Brightness that varies from frame to frame, as shutters, hand cranks and uneven development made it.

    Every frame is multiplied by max(0, 1 + strength·a), a a stationary first-order autoregressive series:
    a_t = ρ·a_(t-1) + √(1-ρ²)·n_t with n_t normal, so that a has unit variance and the correlation ρ.

    Args:
        strength: range of the deviation of brightness, as a share of it, in [0, 1].
        correlation: range of ρ in [0, 1]: 0 flickers, near 1 drifts.
    """

    def __init__(self, strength: Sequence[float], correlation: Sequence[float]) -> None:
        self.strength = checked_range("strength", strength, 0, 1)
        self.correlation = checked_range("correlation", correlation, 0, 1)

    def draw(self, rng: np.random.Generator, shape: Sequence[int]) -> Parameters:
        """The strength, the correlation and the series' seed."""
        return {
            "strength": rng.uniform(*self.strength),
            "correlation": rng.uniform(*self.correlation),
            "seed": draw_seed(rng),
        }

    def apply(self, clip: Clip, parameters: Mapping[str, Any]) -> Clip:
        """The flickering clip, not clipped to [0, 1]."""
        series = np.random.default_rng(parameters["seed"]).standard_normal(len(clip))
        correlation = parameters["correlation"]
        for frame in range(1, len(series)):
            series[frame] = correlation * series[frame - 1] + math.sqrt(1 - correlation**2) * series[frame]
        gains = np.maximum(0, 1 + parameters["strength"] * series).astype(np.float32)
        return clip * gains[:, None, None, None]

    def describe(self) -> str:
        """A few words with the numbers."""
        return f"flicker of {span(self.strength)} (correlation {span(self.correlation)})"


class FilmGrain:
    """Grain: normal noise, new in every frame, as coarse as ``size`` and strongest in the light middle tones.

    How much shows at which luma is `grain_weight`.

    Args:
        strength: range of the standard deviation where most shows (luma 0.61), in levels of 255.
        size: range of the σ, pixels, of the Gaussian that makes neighbours alike; 0 is as fine as pixels.
        grey_probability: that the three channels share one grain, as in black and white.
    """

    def __init__(self, strength: Sequence[float], size: Sequence[float], grey_probability: float) -> None:
        self.strength = checked_range("strength", strength, 0, 255)
        self.size = checked_range("size", size, 0, 100)
        self.grey_probability = checked_probability("grey_probability", grey_probability)

    def draw(self, rng: np.random.Generator, shape: Sequence[int]) -> Parameters:
        """The strength, the size, the choice and the grain's seed."""
        return {
            "strength": rng.uniform(*self.strength),
            "size": rng.uniform(*self.size),
            "grey": bool(rng.random() < self.grey_probability),
            "seed": draw_seed(rng),
        }

    def apply(self, clip: Clip, parameters: Mapping[str, Any]) -> Clip:
        """The grainy clip, not clipped to [0, 1]."""
        shape = (*clip.shape[:3], 1 if parameters["grey"] else 3)
        grain = smooth_noise(np.random.default_rng(parameters["seed"]), shape, parameters["size"])
        return clip + grain * grain_weight(luma(clip)) * np.float32(parameters["strength"] / 255)

    def describe(self) -> str:
        """A few words with the numbers."""
        return f"film grain of {span(self.strength)}/255, {span(self.size)} px wide ({self.grey_probability:.0%} grey)"
