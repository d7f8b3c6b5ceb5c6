"""Photon noise, which grows with the square root of the light."""

import math
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dvface.degradation.operator import Clip, Parameters, checked_probability, checked_range, draw_seed, percent, span

LEVELS = 256
"""Levels of a picture, and the photons that white collects."""

_STEPS = 4096


@cache
def noise_table() -> NDArray[np.float32]:
    """(256, 4096): for each level v/255 the equally likely values of (N - λ) / 256, N Poisson of mean λ = 256 v/255.

    A uniform whole number below 4096 picks a quantile; that is several times faster than drawing N itself. Every row
    has the mean zero.
    """
    rates = np.arange(LEVELS) * (LEVELS / 255)
    # Nine standard deviations above white.
    counts = np.arange(LEVELS + 9 * math.isqrt(LEVELS))
    log_factorials = np.concatenate([[0.0], np.cumsum(np.log(counts[1:]))])
    quantiles = (np.arange(_STEPS) + 0.5) / _STEPS
    table = np.zeros((LEVELS, _STEPS))
    for level, rate in enumerate(rates[1:], 1):
        cumulative = np.cumsum(np.exp(counts * math.log(rate) - rate - log_factorials))
        table[level] = np.searchsorted(cumulative, quantiles) / LEVELS
    table -= table.mean(1, keepdims=True)
    table.setflags(write=False)
    return table.astype(np.float32)


class PoissonNoise:
    """Adds the difference between a photon count and its mean, times one factor a clip.

    Real-ESRGAN (Wang et al. 2021) lets white collect 2^ceil(log2 n) photons, n being the different levels of the
    picture; that is 256 for every picture of more than 128, and 256 here, so that noise does not hang on n. A value
    v gets the variance scale² v / 256.

    Args:
        scale: range of the factor.
        grey_probability: that the three channels share the noise of their luma.
        static_probability: that a pixel's luck is the same in all frames.
    """

    def __init__(self, scale: Sequence[float], grey_probability: float, static_probability: float) -> None:
        self.scale = checked_range("scale", scale, 0, 100)
        self.grey_probability = checked_probability("grey_probability", grey_probability)
        self.static_probability = checked_probability("static_probability", static_probability)

    def draw(self, rng: np.random.Generator, shape: Sequence[int]) -> Parameters:
        """The factor, the two choices and the noise's own seed."""
        return {
            "scale": rng.uniform(*self.scale),
            "grey": bool(rng.random() < self.grey_probability),
            "static": bool(rng.random() < self.static_probability),
            "seed": draw_seed(rng),
        }

    def redraw(self, rng: np.random.Generator, parameters: Mapping[str, Any]) -> Parameters:
        """Another factor."""
        return {"scale": rng.uniform(*self.scale)}

    def apply(self, clip: Clip, parameters: Mapping[str, Any]) -> Clip:
        """The noisy clip, not clipped to [0, 1]."""
        rng = np.random.default_rng(parameters["seed"])
        table, scale = noise_table(), np.float32(parameters["scale"])
        size = (*clip.shape[1:3], 1 if parameters["grey"] else clip.shape[3])
        result = np.empty(clip.shape, np.float32)
        luck = rng.integers(_STEPS, size=size, dtype=np.uint16)
        for index, (source, target) in enumerate(zip(clip, result, strict=True)):
            if index and not parameters["static"]:
                luck = rng.integers(_STEPS, size=size, dtype=np.uint16)
            light = cv2.cvtColor(source, cv2.COLOR_RGB2GRAY)[..., None] if parameters["grey"] else source
            entries = (np.clip(light, 0, 1) * np.float32(255) + np.float32(0.5)).astype(np.int32)
            entries *= _STEPS
            entries += luck
            np.add(source, table.take(entries) * scale, out=target)
        return result

    def describe(self) -> str:
        """A few words with the numbers."""
        return (
            f"Poisson noise times {span(self.scale)} "
            f"({percent(self.grey_probability)} grey, {percent(self.static_probability)} the same in all frames)"
        )
