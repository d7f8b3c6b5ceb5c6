"""Additive Gaussian noise."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dvface.degradation.operator import Clip, Parameters, checked_probability, checked_range, draw_seed, percent, span


class GaussianNoise:
    """Adds normal noise of one strength a clip.

    Args:
        sigma: range of the standard deviation, in levels of 255.
        grey_probability: that the three channels share one noise.
        static_probability: that all frames share one noise, as dirt on a lens does.
    """

    def __init__(self, sigma: Sequence[float], grey_probability: float, static_probability: float) -> None:
        self.sigma = checked_range("sigma", sigma, 0, 255)
        self.grey_probability = checked_probability("grey_probability", grey_probability)
        self.static_probability = checked_probability("static_probability", static_probability)

    def draw(self, rng: np.random.Generator, shape: Sequence[int]) -> Parameters:
        """The strength, the two choices and the noise's own seed."""
        return {
            "sigma": rng.uniform(*self.sigma),
            "grey": bool(rng.random() < self.grey_probability),
            "static": bool(rng.random() < self.static_probability),
            "seed": draw_seed(rng),
        }

    def redraw(self, rng: np.random.Generator, parameters: Mapping[str, Any]) -> Parameters:
        """Another strength."""
        return {"sigma": rng.uniform(*self.sigma)}

    def apply(self, clip: Clip, parameters: Mapping[str, Any]) -> Clip:
        """The noisy clip, not clipped to [0, 1]."""
        frames, height, width, channels = clip.shape
        size = (1 if parameters["static"] else frames, height, width, 1 if parameters["grey"] else channels)
        noise = np.random.default_rng(parameters["seed"]).standard_normal(size, dtype=np.float32)
        noise *= np.float32(parameters["sigma"] / 255)
        # A noise of the clip's own size becomes the result: one array less to fill.
        return np.add(clip, noise, out=noise if noise.shape == clip.shape else None)

    def describe(self) -> str:
        """A few words with the numbers."""
        return (
            f"Gaussian noise of σ {span(self.sigma)}/255 "
            f"({percent(self.grey_probability)} grey, {percent(self.static_probability)} the same in all frames)"
        )
