"""A clip of one face, and what filters say of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import numpy as np


@dataclass(frozen=True)
class FaceClip:
    """T consecutive frames of one face, cropped.

    Attributes:
        frames: (T, S, S, 3) uint8 RGB.
        landmarks: (T, 5, 2) float32 x, y in pixels of ``frames``: smoothed; order of `Face.landmarks`.
        detected: (T, 5, 2) float32 x, y in pixels of the footage: as the detector gave them.
        spans: (T,) float32: side, in pixels of the footage, of the square that the aligned crop covers; S / span is
            the magnification.
        scores: (T,) float32: the detector's confidence; 0 where the face was missed and its landmarks interpolated.
        inside: (T,) float32: share of each crop that is picture, not border or black bar.
        rate: frames a second.
    """

    frames: np.ndarray
    landmarks: np.ndarray
    detected: np.ndarray
    spans: np.ndarray
    scores: np.ndarray
    inside: np.ndarray
    rate: Fraction


@dataclass(frozen=True)
class Verdict:
    """What a filter says of a clip.

    Attributes:
        measures: finite numbers by name, known of every clip, kept or not: the report's histograms.
        reason: why the clip is refused, such as ``sharpness 11.2 is below least=40``; None when it may stay.
    """

    measures: Mapping[str, float]
    reason: str | None


class Filter(Protocol):
    """Judges clips by one quality. Thresholds are constructor arguments called ``least`` and ``most``."""

    def __call__(self, clip: FaceClip) -> Verdict:
        """The verdict; the same for the same clip."""
        ...
