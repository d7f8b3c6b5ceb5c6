"""Frames out of time or place: interlaced, dropped, unsteady in the gate."""

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from dvface.degradation.operator import Clip, Parameters, checked_probability, checked_range, draw_seed, span


class Interlacing:
    """Weaves each frame with the next, as film or fast video on interlaced tape shows it.

    Of frame t one field (every second line) stays; the other comes from frame t + 1. The last frame has no next and
    stays whole.

    Args:
        top_first_probability: that the first field is the top one, lines 0, 2, 4, …; otherwise lines 1, 3, 5, …
    """

    def __init__(self, top_first_probability: float = 1.0) -> None:
        self.top_first_probability = checked_probability("top_first_probability", top_first_probability)

    def draw(self, rng: np.random.Generator, shape: Sequence[int]) -> Parameters:
        """Which field comes first."""
        return {"top_first": bool(rng.random() < self.top_first_probability)}

    def apply(self, clip: Clip, parameters: Mapping[str, Any]) -> Clip:
        """The interlaced clip, as many frames."""
        second = 1 if parameters["top_first"] else 0
        woven = clip.copy()
        woven[:-1, second::2] = clip[1:, second::2]
        return woven

    def describe(self) -> str:
        """A few words with the numbers."""
        return f"interlacing ({self.top_first_probability:.0%} top field first)"


class FrameDrops:
    """Drops frames; the one before stands in for them, as players do. The first is never dropped.

    After every frame that arrives a gap begins with ``probability``; it lasts an even draw of 1 to ``longest``
    frames. With mean gap m that drops a share of probability·m / (1 + probability·m).

    Args:
        probability: range of that probability, in [0, 1], one for a clip.
        longest: frames in the longest gap, at least 1.
    """

    def __init__(self, probability: Sequence[float], longest: int) -> None:
        self.probability = checked_range("probability", probability, 0, 1)
        if longest < 1:
            raise ValueError(f"longest must be at least 1 frame, got {longest}")
        self.longest = longest

    def draw(self, rng: np.random.Generator, shape: Sequence[int]) -> Parameters:
        """The probability, the longest gap and the seed of which frames drop."""
        return {"probability": rng.uniform(*self.probability), "longest": self.longest, "seed": draw_seed(rng)}

    def apply(self, clip: Clip, parameters: Mapping[str, Any]) -> Clip:
        """The clip with repeats, as many frames."""
        rng = np.random.default_rng(parameters["seed"])
        shown = np.arange(len(clip))
        frame = 1
        while frame < len(clip):
            if rng.random() < parameters["probability"]:
                gap = int(rng.integers(1, parameters["longest"] + 1))
                shown[frame : frame + gap] = frame - 1
                frame += gap
            frame += 1
        return clip[shown]

    def describe(self) -> str:
        """A few words with the numbers."""
        return f"dropped frames (a gap of 1–{self.longest} after {span(self.probability)} of the frames)"


class Shake:
    """Gate weave: each frame sits a fraction of pixels off, along a smooth random path.

    Across and down are two independent normal series, smoothed over time by a Gaussian and scaled back to the
    drawn deviation. Cubic interpolation; borders are mirrored.

    Args:
        pixels: range of the standard deviation of each, at least 0.
        smoothness: range of the smoothing's σ, frames; 0 jumps anew in every frame.
    """

    def __init__(self, pixels: Sequence[float], smoothness: Sequence[float]) -> None:
        self.pixels = checked_range("pixels", pixels, 0, 1000)
        self.smoothness = checked_range("smoothness", smoothness, 0, 1000)

    def draw(self, rng: np.random.Generator, shape: Sequence[int]) -> Parameters:
        """The deviation, the smoothness and the path's seed."""
        return {
            "pixels": rng.uniform(*self.pixels),
            "smoothness": rng.uniform(*self.smoothness),
            "seed": draw_seed(rng),
        }

    def apply(self, clip: Clip, parameters: Mapping[str, Any]) -> Clip:
        """The unsteady clip; overshoot of the interpolation may leave [0, 1]."""
        frames, height, width, _ = clip.shape
        shaken = np.empty_like(clip)
        for source, target, (right, down) in zip(clip, shaken, path(frames, parameters), strict=True):
            # OpenCV 5.0 never returns from BORDER_REFLECT_101 where a side is one pixel.
            move = np.array([[1, 0, right], [0, 1, down]])
            cv2.warpAffine(
                source, move, (width, height), dst=target, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
            )
        return shaken

    def describe(self) -> str:
        """A few words with the numbers."""
        return f"gate weave of {span(self.pixels)} px (smooth over {span(self.smoothness)} frames)"


def path(frames: int, parameters: Mapping[str, Any]) -> np.ndarray:
    """(frames, 2) pixels to the right and down: where `Shake` puts each frame."""
    sigma = parameters["smoothness"]
    reach = int(np.ceil(3 * sigma))
    noise = np.random.default_rng(parameters["seed"]).standard_normal((frames + 2 * reach, 2))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(sigma, 1e-6)) ** 2)
    weights /= np.sqrt((weights**2).sum())
    smooth = [np.convolve(noise[:, axis], weights, mode="valid") for axis in (0, 1)]
    return parameters["pixels"] * np.stack(smooth, axis=1)
